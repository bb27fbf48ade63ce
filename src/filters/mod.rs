//! The things that change an answer.

pub mod default_charset;
pub mod error_document;
pub mod rewriting;
