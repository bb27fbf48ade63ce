//! The things that change an answer.

pub mod chain;
pub mod coder;
pub mod compress;
pub mod compressed;
pub mod default_charset;
pub mod error_document;
pub mod expires;
pub mod gunzip;
pub mod headers;
pub mod inflate;
pub mod negotiated;
pub mod rewriting;
pub mod ssi;
pub mod tables;
