//! The serving role: accept, the connection loop, the driver; and the connection loop of `lychgate fcgiwrap`.

pub mod accept;
mod balance;
pub mod board;
pub mod confine;
pub mod conn;
pub mod crowd;
pub mod destination;
pub mod drain;
mod fcgi_conn;
mod heads;
pub mod logs;
mod looks;
mod maps;
mod patience;
pub mod pulse;
pub mod reader;
pub mod record;
mod roster;
pub mod run;
pub mod serve;
mod shortcut;
mod stapling;
mod survey;
pub mod thread;
pub mod unique_id;
pub mod writer;
