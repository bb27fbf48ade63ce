//! The things that answer.

pub mod autoindex;
pub mod balance;
pub mod cgi;
pub mod fastcgi;
mod presence;
pub mod proxy;
pub mod static_file;
