//! The things that change an answer.
