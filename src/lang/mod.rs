//! The little languages inside a configuration: regular expressions, log formats, expressions; and of pages and type maps.
//!
//! Compiled when settings are read, evaluated per request.

pub mod error_format;
pub mod expr;
pub mod field_format;
pub mod local_time;
pub mod log_format;
pub mod log_level;
pub mod regex;
pub mod rewrite;
pub mod ssi;
pub mod tls_variable;
pub mod type_map;
pub mod vars;
