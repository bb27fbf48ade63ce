//! The things that change an answer.

pub mod error_document;
