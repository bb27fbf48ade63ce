//! The things that answer.

pub mod as_is;
pub mod autoindex;
pub mod balance;
pub mod cgi;
pub mod fastcgi;
mod precompressed;
mod presence;
pub mod proxy;
pub mod static_file;
