//! The things that answer.
