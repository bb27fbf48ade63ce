//! The values of `Header` and `RequestHeader`: text in which `%D`, `%t` and their like stand for something.

use std::time::{Duration, SystemTime};

use crate::http::depends;
use crate::lang::tls_variable;
use crate::lang::vars::Vars;

/// A value, parsed when settings are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldFormat {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    /// `%D`
    Duration,
    /// `%t`
    Began,
    /// `%l`
    Load,
    /// `%i`
    Idle,
    /// `%b`
    Busy,
    /// `%{NAME}e`
    Env(String),
    /// `%{NAME}s`
    Tls(String),
}

/// What a value may tell of its request besides its variables.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// When the request began.
    pub began: SystemTime,
    /// How long it has taken.
    pub elapsed: Duration,
    /// How busy the server is, in percent.
    pub busy: u8,
    /// The machine's load over 1, 5 and 15 minutes.
    pub load: [f64; 3],
}

impl FieldFormat {
    /// Parses a value as `mod_headers` does; the error names what stands behind a `%` and means nothing.
    pub fn parse(text: &[u8]) -> Result<FieldFormat, String> {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((&first, behind)) = rest.split_first() {
            if first == b'%' {
                let (part, after) = tag(behind)?;
                parts.push(part);
                rest = after;
            } else {
                let end = rest.iter().position(|byte| *byte == b'%').unwrap_or(rest.len());
                let (plain, after) = rest.split_at(end);
                parts.push(Part::Text(unescaped(plain)));
                rest = after;
            }
        }
        Ok(FieldFormat { parts })
    }

    /// The value for a request.
    pub fn value(&self, vars: &dyn Vars, facts: &Facts) -> Vec<u8> {
        let mut value = Vec::new();
        for part in &self.parts {
            if !matches!(part, Part::Text(_) | Part::Env(_) | Part::Tls(_)) {
                depends::on_more();
            }
            match part {
                Part::Text(text) => value.extend_from_slice(text),
                Part::Duration => value.extend_from_slice(format!("D={}", facts.elapsed.as_micros()).as_bytes()),
                Part::Began => {
                    let began = facts.began.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                    value.extend_from_slice(format!("t={}", began.as_micros()).as_bytes());
                }
                Part::Load => {
                    let [one, five, fifteen] = facts.load;
                    value.extend_from_slice(format!("l={one:.2}/{five:.2}/{fifteen:.2}").as_bytes());
                }
                Part::Idle => {
                    let idle = 100_u8.saturating_sub(facts.busy);
                    value.extend_from_slice(format!("i={idle}").as_bytes());
                }
                Part::Busy => value.extend_from_slice(format!("b={}", facts.busy).as_bytes()),
                Part::Env(name) => value.extend_from_slice(vars.env(name).as_deref().unwrap_or(b"(null)")),
                Part::Tls(name) => match tls_variable::lookup(name, vars) {
                    Some(found) => value.extend(found.iter().map(|byte| one_line(*byte))),
                    None => value.extend_from_slice(b"(null)"),
                },
            }
        }
        value
    }
}

/// A certificate's lines, and what else a client wrote into its own, make one line.
fn one_line(byte: u8) -> u8 {
    if byte.is_ascii_control() { b' ' } else { byte }
}

/// What stands behind a `%`, and the rest.
fn tag(text: &[u8]) -> Result<(Part, &[u8]), String> {
    let percent = || Part::Text(b"%".to_vec());
    let (name, rest) = match text {
        [] => return Ok((percent(), text)),
        [b'%', rest @ ..] => return Ok((percent(), rest)),
        [b'{', rest @ ..] => {
            let end = rest.iter().position(|byte| *byte == b'}').unwrap_or(rest.len());
            let (name, rest) = rest.split_at(end);
            (name, rest.strip_prefix(b"}").unwrap_or(rest))
        }
        _ => (&text[..0], text),
    };
    let Some((&letter, rest)) = rest.split_first() else {
        return Err("a `%{...}` without a letter behind it; write `%{NAME}e`".to_owned());
    };
    let part = match letter {
        b'D' => Part::Duration,
        b't' => Part::Began,
        b'l' => Part::Load,
        b'i' => Part::Idle,
        b'b' => Part::Busy,
        b'e' => Part::Env(String::from_utf8_lossy(name).into_owned()),
        b's' => Part::Tls(String::from_utf8_lossy(name).into_owned()),
        other => {
            let other = char::from(other);
            return Err(format!("`%{other}` means nothing here; write `%%` for a percent sign"));
        }
    };
    Ok((part, rest))
}

/// The text with `\\`, `\n`, `\r` and `\t` as what they stand for; other backslashes stay.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((&byte, behind)) = rest.split_first() {
        let meant = match (byte, behind.first()) {
            (b'\\', Some(b'\\')) => Some(b'\\'),
            (b'\\', Some(b'n')) => Some(b'\n'),
            (b'\\', Some(b'r')) => Some(b'\r'),
            (b'\\', Some(b't')) => Some(b'\t'),
            _ => None,
        };
        out.push(meant.unwrap_or(byte));
        rest = if meant.is_some() {
            behind.get(1..).unwrap_or_default()
        } else {
            behind
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{Facts, FieldFormat};
    use crate::lang::vars::testing::Table;

    fn value(text: &[u8]) -> Result<String, String> {
        let vars = Table {
            env: vec![("V", b"value")],
            ..Table::default()
        };
        let facts = Facts {
            began: SystemTime::UNIX_EPOCH + Duration::from_millis(1500),
            elapsed: Duration::from_micros(42),
            busy: 4,
            load: [0.5, 1.0, 2.256],
        };
        let value = FieldFormat::parse(text)?.value(&vars, &facts);
        Ok(String::from_utf8_lossy(&value).into_owned())
    }

    #[test]
    fn values_are_filled_as_apache_fills_them() {
        for (text, want) in [
            ("", ""),
            ("plain", "plain"),
            ("%D %t", "D=42 t=1500000"),
            ("%l %i %b", "l=0.50/1.00/2.26 i=96 b=4"),
            ("%{V}e|%{NONE}e|%{SSL}s", "value|(null)|(null)"),
            ("100%% %", "100% %"),
            (r"a\tb\\c\d", "a\tb\\c\\d"),
        ] {
            assert_eq!(value(text.as_bytes()).as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn any_beginning_of_a_value_is_one_or_is_refused_in_words() {
        let whole = br"a%D%{V}e\n%%\";
        for end in 0..=whole.len() {
            match value(&whole[..end]) {
                Ok(_) => {}
                Err(sentence) => assert!(sentence.contains("write"), "{sentence}"),
            }
        }
        assert!(value(b"%q").is_err());
    }
}
