//! Content codings (RFC 9110 sections 8.4 and 12.5.3).

use crate::http::fields::list_members;

/// A content coding that answers can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
}

impl Coding {
    /// Its name in fields, which is also what entity tags end with.
    pub fn name(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
        }
    }

    /// What the names of files end with that have it.
    pub fn extension(self) -> &'static str {
        match self {
            Coding::Gzip => ".gz",
            Coding::Brotli => ".br",
            Coding::Zstd => ".zst",
        }
    }

    /// The variable that forbids it.
    pub fn refusal(self) -> &'static [u8] {
        match self {
            Coding::Gzip => b"no-gzip",
            Coding::Brotli => b"no-brotli",
            Coding::Zstd => b"no-zstd",
        }
    }

    /// How much an Accept-Encoding wants it, in thousandths; nothing where it does not name it, or says 0. Where it names it
    /// twice, what it says first counts. A weight that cannot be read is 1, as in Apache; so is `*` for a coding's name, which
    /// is not taken for any.
    pub fn weight(self, accept_encoding: &[u8]) -> Option<u16> {
        let named = list_members(accept_encoding).find_map(|member| {
            let mut words = member.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let is_it = words.next()?.eq_ignore_ascii_case(self.name().as_bytes());
            is_it.then_some(words)
        });
        let weight = named?.find_map(weight_of).unwrap_or(1000);
        (weight > 0).then_some(weight)
    }
}

/// The weight that a parameter says, if it says one.
fn weight_of(parameter: &[u8]) -> Option<u16> {
    let at = parameter.iter().position(|byte| *byte == b'=')?;
    let (name, value) = parameter.split_at(at);
    let value = value.get(1..)?.trim_ascii();
    if !name.trim_ascii().eq_ignore_ascii_case(b"q") {
        return None;
    }
    let (whole, part) = match value {
        [whole] => (*whole, &[][..]),
        [whole, b'.', part @ ..] if part.len() <= 3 => (*whole, part),
        _ => return None,
    };
    if !part.iter().all(u8::is_ascii_digit) {
        return None;
    }
    match whole {
        b'1' => Some(1000),
        b'0' => {
            let digit = |n: usize| u16::from(part.get(n).map_or(0, |digit| digit - b'0'));
            Some(digit(0) * 100 + digit(1) * 10 + digit(2))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Coding;

    #[test]
    fn weights_are_read() {
        for (said, want) in [
            ("gzip", Some(1000)),
            ("br, GZIP", Some(1000)),
            (", gzip", Some(1000)),
            ("gzip;q=0.5", Some(500)),
            ("gzip ; Q = 0.25 ", Some(250)),
            ("gzip;q=0.001", Some(1)),
            ("gzip;x=1;q=0.1", Some(100)),
            ("gzip;q=1.000", Some(1000)),
            ("gzip;q=0", None),
            ("gzip;q=0.", None),
            ("gzip;q=0.000", None),
            ("gzip;q=0, gzip", None),
            ("gzip, gzip;q=0", Some(1000)),
            ("gzip;q=", Some(1000)),
            ("gzip;q", Some(1000)),
            ("gzip;q=x", Some(1000)),
            ("gzip;q=00", Some(1000)),
            ("gzip;q=0.0000", Some(1000)),
            ("gzip;q=2", Some(1000)),
            ("gzipped", None),
            ("x-gzip", None),
            ("*", None),
            ("", None),
            ("br", None),
        ] {
            assert_eq!(Coding::Gzip.weight(said.as_bytes()), want, "{said}");
        }
        assert_eq!(Coding::Zstd.weight(b"gzip, zstd;q=0.9"), Some(900));
        assert_eq!(Coding::Brotli.weight(b"gzip, br;q=0.9"), Some(900));
    }
}
