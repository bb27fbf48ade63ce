//! lychgate: a web server for the CGI and FastCGI programs that run behind a simple Apache set-up.
//!
//! This is the map of the house. Rooms are layered; a room imports only from rooms of lower layers
//! (`tests/house.rs` holds the exceptions and enforces them). To see a request's whole path, start
//! reading at [`worker::serve`].
//!
//! | layer | rooms | what lives there |
//! |---|---|---|
//! | 6 | `launcher` `spawner` `worker` `commands` | the process roles, and what the binary does besides serving |
//! | 5 | `phases` `handlers` `filters` | what happens to a request |
//! | 4 | `exchange` | the request in progress |
//! | 3 | `backend` `fs` `net` `log` `scripts` | live things: connections, descriptors, caches, children |
//! | 2 | `config` | Apache syntax to typed settings |
//! | 1 | `http` `gateway` `lang` `auth` `tls` `process` | bytes in, values out; and system calls |
//! | 0 | `base` | small facts about text, time and paths |

pub mod base;

pub mod auth;
pub mod gateway;
pub mod http;
pub mod lang;
pub mod process;
pub mod tls;

pub mod config;

pub mod backend;
pub mod fs;
pub mod log;
pub mod net;
pub mod scripts;

pub mod exchange;

pub mod filters;
pub mod handlers;
pub mod phases;

pub mod commands;
pub mod launcher;
pub mod spawner;
pub mod worker;

pub mod cli;
