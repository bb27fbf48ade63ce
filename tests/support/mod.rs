//! What the tests stand on: the server, the wire, the .case format and its player, golden files, packages of Debian.

pub mod applications;
pub mod case;
pub mod debian;
pub mod fastcgi;
pub mod golden;
pub mod play;
pub mod processes;
pub mod random;
pub mod server;
pub mod services;
pub mod site;
pub mod tls;
pub mod traffic;
pub mod wire;
