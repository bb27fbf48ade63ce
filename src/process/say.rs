//! Lines from the launcher and the spawner for the administrator: on stderr, which is the main error log once it is
//! open, in the shape of Apache's error log.

use std::io::Write;

use crate::base::zone;

/// How much a line matters; Apache's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Something that goes on all the same, but should not have happened.
    Error,
    /// Something to look at.
    Warning,
    /// Something that happens now and then in a healthy life.
    Notice,
}

/// Writes one line for `role` (`launcher`, `spawner`).
pub fn say(role: &str, weight: Weight, what: &str) {
    let weight = match weight {
        Weight::Error => "error",
        Weight::Warning => "warn",
        Weight::Notice => "notice",
    };
    let time = jiff::Timestamp::now()
        .to_zoned(zone::local())
        .strftime("%a %b %d %H:%M:%S%.6f %Y");
    let what: String = what.chars().flat_map(escaped).collect();
    let line = format!("[{time}] [{role}:{weight}] [pid {}] {what}\n", std::process::id());
    // A log that takes no more lines must not stop the work, and there is nowhere else to say so.
    let _lost = std::io::stderr().write_all(line.as_bytes());
}

/// Control characters would forge lines or steer a terminal.
fn escaped(c: char) -> Box<dyn Iterator<Item = char>> {
    if c.is_control() {
        Box::new(c.escape_default())
    } else {
        Box::new(std::iter::once(c))
    }
}
