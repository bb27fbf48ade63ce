//! The things that answer.

pub mod autoindex;
pub mod balance;
pub mod cgi;
pub mod fastcgi;
pub mod info;
pub mod metrics;
mod precompressed;
mod presence;
pub mod proxy;
pub mod static_file;
pub mod status;
