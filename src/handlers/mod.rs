//! The things that answer.

pub mod application;
pub mod as_is;
pub mod autoindex;
pub mod balance;
mod behind;
mod between;
pub mod cgi;
mod framed;
pub mod handoff;
pub mod known;
pub mod metrics;
mod precompressed;
mod presence;
pub mod proxy;
pub mod settings;
pub mod static_file;
pub mod status;
pub mod type_map;
