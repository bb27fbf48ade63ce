//! The Digest scheme: each server is asked for a challenge first, and gets an answer to it. What differs in every answer of
//! theirs (nonces, and what is computed of them) is replaced by what it is worth.

use md5::{Digest, Md5};

use super::value_of;
use crate::support::wire::Reply;

/// Who answers, and how: `NAME:PASSWORD`, then `;PARAMETER=VALUE` for each parameter that is to be another; the value `-` leaves
/// it out. `;method=M` computes with another method, `;again` sends the same answer twice.
#[derive(Clone, Debug)]
pub struct Credentials {
    password: String,
    changes: Vec<(String, String)>,
    again: bool,
}

/// An answer to a challenge.
pub struct Answer {
    /// The line of the Authorization field.
    pub line: String,
    /// Whether it is to be sent twice.
    pub again: bool,
    counterpart: String,
}

/// The parameters, in the order in which they are sent, and whether they are quoted.
const PARAMETERS: [(&str, bool); 10] = [
    ("username", true),
    ("realm", true),
    ("nonce", true),
    ("uri", true),
    ("algorithm", false),
    ("cnonce", true),
    ("nc", false),
    ("qop", false),
    ("opaque", true),
    ("response", true),
];

impl Credentials {
    /// Reads what stands behind `digest=`.
    pub fn parse(text: &str) -> Option<Credentials> {
        let mut parts = text.split(';');
        let (name, password) = parts.next()?.split_once(':')?;
        let mut changes = vec![("username".to_owned(), name.to_owned())];
        let mut again = false;
        for part in parts {
            match part.split_once('=') {
                Some((name, value)) => changes.push((name.to_owned(), value.to_owned())),
                None if part == "again" => again = true,
                None => return None,
            }
        }
        Some(Credentials {
            password: password.to_owned(),
            changes,
            again,
        })
    }

    /// The answer to a challenge; nothing where there is none.
    pub fn answer(&self, challenge: &Reply, request: &[u8]) -> Option<Answer> {
        let line = challenge
            .fields
            .iter()
            .filter_map(|line| value_of(line, "www-authenticate"))
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .find(|value| value.starts_with("Digest "))?;
        let head = String::from_utf8_lossy(request);
        let mut words = head.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        let change = |name: &str| self.changes.iter().rev().find(|(changed, _)| changed == name);
        let value = |name: &str, usual: Option<String>| match change(name) {
            Some((_, value)) if value == "-" => None,
            Some((_, value)) => Some(value.clone()),
            None => usual,
        };
        let mut values: Vec<(&str, Option<String>)> = vec![
            ("username", value("username", None)),
            ("realm", value("realm", parameter(&line, "realm"))),
            ("nonce", value("nonce", parameter(&line, "nonce"))),
            ("uri", value("uri", Some(target.to_owned()))),
            ("algorithm", value("algorithm", Some("MD5".to_owned()))),
            ("cnonce", value("cnonce", Some("0a4f113b".to_owned()))),
            ("nc", value("nc", Some("00000001".to_owned()))),
            ("qop", value("qop", Some("auth".to_owned()))),
            ("opaque", value("opaque", parameter(&line, "opaque"))),
        ];
        let of = |name: &str| {
            let found = values.iter().find(|(known, _)| *known == name);
            found.and_then(|(_, value)| value.clone()).unwrap_or_default()
        };
        let method = value("method", Some(method.to_owned())).unwrap_or_default();
        let user = hex(&format!("{}:{}:{}", of("username"), of("realm"), self.password));
        let digest = |method: &str| {
            let request = hex(&format!("{method}:{}", of("uri")));
            if of("qop").is_empty() {
                return hex(&format!("{user}:{}:{request}", of("nonce")));
            }
            let [nonce, nc, cnonce, qop] = ["nonce", "nc", "cnonce", "qop"].map(of);
            hex(&format!("{user}:{nonce}:{nc}:{cnonce}:{qop}:{request}"))
        };
        let (response, counterpart) = (digest(&method), digest(""));
        values.push(("response", value("response", Some(response))));
        let sent: Vec<String> = PARAMETERS
            .iter()
            .filter_map(|(name, quoted)| {
                let (_, value) = values.iter().find(|(known, _)| known == name)?;
                let value = value.as_ref()?;
                Some(if *quoted {
                    format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
                } else {
                    format!("{name}={value}")
                })
            })
            .collect();
        Some(Answer {
            line: format!("Authorization: Digest {}\r\n", sent.join(", ")),
            again: self.again,
            counterpart,
        })
    }
}

/// Replaces what differs every time: nonces by a star, and what proves the server's knowledge by whether it does.
pub fn judge(reply: &mut Reply, answer: Option<&Answer>) {
    for line in &mut reply.fields {
        let text = String::from_utf8_lossy(line).into_owned();
        let lower = text.to_ascii_lowercase();
        if !lower.starts_with("www-authenticate: digest ") && !lower.starts_with("authentication-info:") {
            continue;
        }
        let mut text = text;
        for (name, other) in [("nonce", "*"), ("nextnonce", "*"), ("opaque", "*")] {
            replace(&mut text, name, |_| other.to_owned());
        }
        replace(&mut text, "rspauth", |value| {
            let is_right = answer.is_some_and(|answer| answer.counterpart == value);
            if is_right { "right" } else { "wrong" }.to_owned()
        });
        *line = text.into_bytes();
    }
}

/// Replaces the quoted value of a parameter.
fn replace(text: &mut String, name: &str, by: impl Fn(&str) -> String) {
    for before in [" ", ","] {
        let mark = format!("{before}{name}=\"");
        if let Some(at) = text.find(&mark) {
            let begin = at + mark.len();
            if let Some(length) = text[begin..].find('"') {
                let value = by(&text[begin..begin + length]);
                text.replace_range(begin..begin + length, &value);
                return;
            }
        }
    }
}

/// A quoted parameter of a challenge, without its backslashes.
fn parameter(challenge: &str, name: &str) -> Option<String> {
    let behind = challenge.split_once(&format!("{name}=\""))?.1;
    let (mut value, mut bytes) = (String::new(), behind.chars());
    while let Some(byte) = bytes.next() {
        match byte {
            '"' => return Some(value),
            '\\' => value.extend(bytes.next()),
            byte => value.push(byte),
        }
    }
    None
}

fn hex(text: &str) -> String {
    let hash = Md5::digest(text.as_bytes());
    let digits = hash.iter().flat_map(|byte| format!("{byte:02x}").into_bytes());
    digits.map(char::from).collect()
}
