//! The things that answer.

pub mod autoindex;
pub mod static_file;
