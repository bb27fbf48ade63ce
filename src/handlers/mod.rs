//! The things that answer.

pub mod application;
pub mod as_is;
pub mod autoindex;
pub mod balance;
mod behind;
mod between;
pub mod cgi;
mod precompressed;
mod presence;
pub mod proxy;
pub mod static_file;
pub mod type_map;
