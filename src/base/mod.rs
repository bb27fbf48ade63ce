//! Small facts about text, time and paths, so that the rest of the house sees our types.

pub mod ascii;
pub mod caseless;
pub mod date;
pub mod glob;
pub mod json;
pub mod natural;
pub mod numbered;
pub mod path;
pub mod placed;
pub mod printed;
pub mod quote;
pub mod quoting;
pub mod secret;
pub mod size;
pub mod syslog;
#[cfg(test)]
pub mod testing;
pub mod version;
pub mod zone;
