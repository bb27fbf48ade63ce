//! Moments as a document shows them: strftime(3) in the C locale, in local time or in Greenwich's.

use std::time::Duration;

use crate::lang::local_time;
use crate::lang::log_format::strftime::Format;

/// `SSITimeFormat`'s default.
pub const DEFAULT_FORMAT: &[u8] = b"%A, %d-%b-%Y %H:%M:%S %Z";

/// A longer text is cut, as in Apache. No directive moves it.
const LONGEST: usize = 8191;

/// The moment, given as the time since 1970, in the system's time zone.
pub fn local(format: &[u8], since_epoch: Duration) -> Vec<u8> {
    let zoned = local_time::zoned(since_epoch);
    bytes_of(&Format::new(&chars_of(format)).text(&zoned))
}

/// The moment in Greenwich mean time.
pub fn gmt(format: &[u8], since_epoch: Duration) -> Vec<u8> {
    let zoned = local_time::zoned(since_epoch).with_time_zone(jiff::tz::TimeZone::UTC);
    bytes_of(&Format::new(&of_greenwich(&chars_of(format))).text(&zoned))
}

/// The format with the zone's name and offset written out.
fn of_greenwich(format: &str) -> String {
    let mut out = String::with_capacity(format.len());
    let mut chars = format.chars();
    while let Some(first) = chars.next() {
        match (first, (first == '%').then(|| chars.next()).flatten()) {
            ('%', Some('Z')) => out.push_str("GMT"),
            ('%', Some('z')) => out.push_str("+0000"),
            (first, second) => {
                out.push(first);
                out.extend(second);
            }
        }
    }
    out
}

/// Bytes as characters of ISO 8859-1, so that any format can be text.
fn chars_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

fn bytes_of(text: &str) -> Vec<u8> {
    let bytes = text.chars().map(|char| u8::try_from(char).unwrap_or(b'?'));
    bytes.take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{DEFAULT_FORMAT, gmt, local};

    #[test]
    fn greenwich_has_its_name() {
        let moment = Duration::from_secs(1_795_170_787);
        for (format, want) in [
            (DEFAULT_FORMAT, &b"Friday, 20-Nov-2026 10:33:07 GMT"[..]),
            (b"%H%%Z%z", b"10%Z+0000"),
            (b"\xe9%", b"\xe9%"),
            (b"", b""),
        ] {
            assert_eq!(gmt(format, moment), want, "{}", format.escape_ascii());
        }
        assert_eq!(local(b"%Y", moment), b"2026");
    }
}
