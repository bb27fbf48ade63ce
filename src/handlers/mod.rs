//! The things that answer.

pub mod autoindex;
pub mod balance;
pub mod cgi;
pub mod fastcgi;
mod precompressed;
mod presence;
pub mod proxy;
pub mod static_file;
pub mod type_map;
