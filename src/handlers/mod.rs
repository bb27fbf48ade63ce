//! The things that answer.

pub mod autoindex;
pub mod cgi;
pub mod static_file;
