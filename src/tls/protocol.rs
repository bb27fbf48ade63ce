//! The words of SSLProtocol (Apache: mod_ssl, SSLProtocol): which versions of TLS are spoken. Here it is 1.2 and 1.3.

use std::fmt::{self, Display, Formatter};

/// What SSLProtocol asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocols {
    /// The versions to speak.
    pub versions: Versions,
    /// Versions that are asked for by name and not spoken, such as `TLSv1.1`, each once.
    pub in_vain: Vec<&'static str>,
    /// Words that undo all words before them because they have neither `+` nor `-`.
    pub overriding: Vec<String>,
}

/// Versions of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versions {
    /// Only TLS 1.2 (RFC 5246).
    Tls12,
    /// Only TLS 1.3 (RFC 8446).
    Tls13,
    /// Both.
    Both,
}

/// Why there is nothing to speak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// A word that is no protocol.
    Unknown(String),
    /// Only versions that are not spoken are left, or none at all.
    Nothing(Vec<&'static str>),
}

/// What the words mean that are known; bits of a set.
const NAMES: [(&str, u8); 7] = [
    ("SSLv2", 0),
    ("SSLv3", 1),
    ("TLSv1", 2),
    ("TLSv1.1", 4),
    ("TLSv1.2", 8),
    ("TLSv1.3", 16),
    ("all", 8 | 16),
];
const TLS12: u8 = 8;
const TLS13: u8 = 16;

impl Protocols {
    /// Reads the words of SSLProtocol. `all` is what is spoken here; as with Apache, a word without a sign undoes all before it.
    pub fn parse<'a>(words: impl IntoIterator<Item = &'a [u8]>) -> Result<Protocols, ProtocolError> {
        let mut set = 0;
        let mut overriding = Vec::new();
        let mut in_vain = Vec::new();
        for (at, word) in words.into_iter().enumerate() {
            let (sign, name) = match word {
                [sign @ (b'+' | b'-'), name @ ..] => (Some(*sign), name),
                name => (None, name),
            };
            let known = NAMES
                .iter()
                .find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()));
            let (known, bits) = known.ok_or_else(|| ProtocolError::Unknown(text(word)))?;
            match sign {
                Some(b'-') => {
                    set &= !bits;
                    in_vain.retain(|old| old != known);
                    continue;
                }
                Some(_) => set |= bits,
                None => {
                    if at > 0 && (set != 0 || !in_vain.is_empty()) {
                        overriding.push(text(word));
                    }
                    in_vain.clear();
                    set = *bits;
                }
            }
            if bits & (TLS12 | TLS13) == 0 && !in_vain.contains(known) {
                in_vain.push(*known);
            }
        }
        let versions = match (set & TLS12 != 0, set & TLS13 != 0) {
            (true, true) => Versions::Both,
            (true, false) => Versions::Tls12,
            (false, true) => Versions::Tls13,
            (false, false) => return Err(ProtocolError::Nothing(in_vain)),
        };
        Ok(Protocols {
            versions,
            in_vain,
            overriding,
        })
    }
}

fn text(word: &[u8]) -> String {
    String::from_utf8_lossy(word).into_owned()
}

impl Display for ProtocolError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            ProtocolError::Unknown(word) => {
                write!(
                    f,
                    "`{word}` is not a protocol; write `all`, `TLSv1.2` or `TLSv1.3`, with `+` or `-` before it"
                )
            }
            ProtocolError::Nothing(asked) if asked.is_empty() => {
                f.write_str("no protocol is left; write `all`, `TLSv1.2` or `TLSv1.3`")
            }
            ProtocolError::Nothing(asked) => {
                write!(
                    f,
                    "`{}` is not spoken, being broken or old; write `all`, `TLSv1.2` or `TLSv1.3`",
                    asked.join("`, `")
                )
            }
        }
    }
}

impl std::error::Error for ProtocolError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Protocols, ProtocolError> {
        Protocols::parse(line.split(' ').map(str::as_bytes))
    }

    /// Apache 2.4.71 was asked what it speaks with each; what it speaks below TLS 1.2 is left out.
    #[test]
    fn words_mean_what_they_mean_to_apache() {
        let cases = [
            ("all", Versions::Both),
            ("all -SSLv3", Versions::Both),
            ("ALL -tlsv1.3", Versions::Tls12),
            ("+TLSv1.2 TLSv1.3", Versions::Tls13),
            ("TLSv1.2 TLSv1.3", Versions::Tls13),
            ("TLSv1.2 +TLSv1.3", Versions::Both),
            ("-all +TLSv1.3", Versions::Tls13),
            ("all -SSLv2", Versions::Both),
            ("+TLSv1.2", Versions::Tls12),
            ("all -all TLSv1.2", Versions::Tls12),
            ("+all -TLSv1.3", Versions::Tls12),
            ("all -SSLv3 -TLSv1 -TLSv1.1", Versions::Both),
        ];
        for (line, versions) in cases {
            assert_eq!(parse(line).map(|p| p.versions), Ok(versions), "{line}");
        }
    }

    #[test]
    fn what_is_asked_in_vain_is_told() {
        let cases: [(&str, &[&str]); 6] = [
            ("all", &[]),
            ("+TLSv1 +TLSv1.1 +TLSv1.2", &["TLSv1", "TLSv1.1"]),
            ("+TLSv1 +tlsv1 +TLSv1.2", &["TLSv1"]),
            ("+TLSv1 -TLSv1 +TLSv1.2", &[]),
            ("SSLv3 +TLSv1.2", &["SSLv3"]),
            ("TLSv1 TLSv1.2", &[]),
        ];
        for (line, asked) in cases {
            assert_eq!(parse(line).expect(line).in_vain, asked, "{line}");
        }
    }

    #[test]
    fn a_word_without_a_sign_undoes_those_before_it() {
        let cases: [(&str, &[&str]); 5] = [
            ("TLSv1.2 TLSv1.3", &["TLSv1.3"]),
            ("TLSv1 TLSv1.1 TLSv1.2", &["TLSv1.1", "TLSv1.2"]),
            ("TLSv1.2 +TLSv1.3", &[]),
            ("-all TLSv1.2", &[]),
            ("all -all TLSv1.2", &[]),
        ];
        for (line, overriding) in cases {
            assert_eq!(parse(line).expect(line).overriding, overriding, "{line}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let ours = "write `all`, `TLSv1.2` or `TLSv1.3`";
        let cases = [
            (
                "all -TLSv1.4",
                format!("`-TLSv1.4` is not a protocol; {ours}, with `+` or `-` before it"),
            ),
            (
                "+ TLSv1.2",
                format!("`+` is not a protocol; {ours}, with `+` or `-` before it"),
            ),
            (
                "all,-SSLv3",
                format!("`all,-SSLv3` is not a protocol; {ours}, with `+` or `-` before it"),
            ),
            (
                "TLSv1.0",
                format!("`TLSv1.0` is not a protocol; {ours}, with `+` or `-` before it"),
            ),
            ("-all", format!("no protocol is left; {ours}")),
            ("all -TLSv1.2 -TLSv1.3", format!("no protocol is left; {ours}")),
            ("SSLv3", format!("`SSLv3` is not spoken, being broken or old; {ours}")),
            (
                "+TLSv1 +TLSv1.1",
                format!("`TLSv1`, `TLSv1.1` is not spoken, being broken or old; {ours}"),
            ),
            (
                "TLSv1 TLSv1.1",
                format!("`TLSv1.1` is not spoken, being broken or old; {ours}"),
            ),
        ];
        for (line, message) in cases {
            assert_eq!(parse(line).expect_err(line).to_string(), message, "{line}");
        }
    }
}
