//! The things that change an answer.

pub mod default_charset;
pub mod error_document;
pub mod expires;
pub mod headers;
pub mod rewriting;
pub mod ssi;
pub mod tables;
