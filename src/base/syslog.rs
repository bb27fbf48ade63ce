//! Lines for the system's log, as syslog(3) of the C library writes them into its socket (RFC 3164, without the host):
//! `<187>Nov  1 12:00:00 lychgate[123]: message`.

use std::io::Write;

use crate::base::zone;

/// What stands before each line: to whom it goes, and who says it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Header {
    /// The facility's number.
    pub facility: u8,
    /// What the program calls itself.
    pub tag: Vec<u8>,
}

/// The least urgent severity, `debug`: what is less urgent has it too.
pub const DEBUG: u8 = 7;

/// The facility where none is named: `local7`, as in Apache.
pub const DEFAULT_FACILITY: u8 = 23;

/// Facilities by name.
const FACILITIES: [(&str, u8); 21] = [
    ("auth", 4),
    ("authpriv", 10),
    ("cron", 9),
    ("daemon", 3),
    ("ftp", 11),
    ("kern", 0),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
    ("lpr", 6),
    ("mail", 2),
    ("news", 7),
    ("security", 4),
    ("syslog", 5),
    ("user", 1),
    ("uucp", 8),
];

/// The number of a facility, by its name in any case.
pub fn facility(name: &str) -> Option<u8> {
    let known = FACILITIES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    known.map(|(_, number)| *number)
}

/// The names of all facilities, for messages.
pub fn facilities() -> String {
    FACILITIES.map(|(name, _)| name).join(", ")
}

/// The name of a facility.
pub fn name_of(facility: u8) -> &'static str {
    let known = FACILITIES.iter().find(|(_, number)| *number == facility);
    known.map_or("local7", |(name, _)| name)
}

impl Header {
    /// Appends it for a line of this severity, of now and of this process.
    pub fn append(&self, severity: u8, out: &mut Vec<u8>) {
        let priority = u32::from(self.facility) * 8 + u32::from(severity.min(DEBUG));
        let time = jiff::Timestamp::now().to_zoned(zone::local());
        // Writing to a Vec cannot fail.
        let _ = write!(out, "<{priority}>{} ", time.strftime("%b %e %H:%M:%S"));
        out.extend_from_slice(&self.tag);
        let _ = write!(out, "[{}]: ", std::process::id());
    }
}

#[cfg(test)]
mod tests {
    use super::{FACILITIES, Header, facility, name_of};

    #[test]
    fn a_header_is_that_of_the_c_library() {
        let header = Header {
            facility: 23,
            tag: b"httpd.srv1".to_vec(),
        };
        for (severity, priority) in [(0, 184), (3, 187), (7, 191), (12, 191)] {
            let mut out = Vec::new();
            header.append(severity, &mut out);
            let text = String::from_utf8(out).expect("ASCII");
            let end = format!(" httpd.srv1[{}]: ", std::process::id());
            assert!(
                text.starts_with(&format!("<{priority}>")) && text.ends_with(&end),
                "{text}"
            );
            // `Nov  1 12:00:00`
            assert_eq!(text.len(), format!("<{priority}>").len() + 15 + end.len(), "{text}");
        }
    }

    #[test]
    fn facilities_have_their_names() {
        assert_eq!(facility("LOCAL1"), Some(17));
        assert_eq!(facility("local8"), None);
        for (name, number) in FACILITIES {
            assert!(name == "security" || name_of(number) == name);
        }
    }
}
