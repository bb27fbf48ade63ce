//! Fields in which a client says what it would rather have (RFC 9110 section 12.5), read as generously as Apache reads them:
//! members may stand without commas, and a weight that is none counts as 1.

/// One thing that a client names.
#[derive(Clone, Debug, PartialEq)]
pub struct Preference {
    /// A media range, charset, coding or language, in lower case; empty where a member is.
    pub name: Vec<u8>,
    /// Its weight, `q` or `qs`.
    pub quality: f32,
    /// Its parameter `level`; HTML has one without saying so.
    pub level: f32,
    /// Its parameter `charset`, in lower case; empty without one.
    pub charset: Vec<u8>,
}

/// HTML that is parsed for includes, by the types that Apache once gave it.
pub const PARSED_HTML: [&[u8]; 2] = [b"text/x-server-parsed-html", b"text/x-server-parsed-html3"];

/// Whether spaces are part of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spaces {
    /// They end it.
    End,
    /// They belong to it.
    Belong,
}

/// All members of a field.
pub fn preferences(mut value: &[u8]) -> Vec<Preference> {
    let mut all = Vec::new();
    while !value.is_empty() {
        all.push(preference(&mut value));
    }
    all
}

/// Takes one member off the front of a field that is not empty, with its parameters and the comma behind it.
pub fn preference(value: &mut &[u8]) -> Preference {
    let name = token(value, Spaces::End).to_ascii_lowercase();
    let level = match name.as_slice() {
        b"text/html" => 2.0,
        name if name == PARSED_HTML[0] => 2.0,
        name if name == PARSED_HTML[1] => 3.0,
        _ => 0.0,
    };
    let mut found = Preference {
        name,
        quality: 1.0,
        level,
        charset: Vec::new(),
    };
    while let [b';', rest @ ..] = value {
        *value = rest;
        let parameter = token(value, Spaces::Belong);
        let Some((name, value)) = name_and_value(parameter) else {
            continue;
        };
        match name.to_ascii_lowercase().as_slice() {
            b"q" | b"qs" => found.quality = quality(value),
            b"level" => found.level = whole_number(value),
            b"charset" => found.charset = value.to_ascii_lowercase(),
            _ => {}
        }
    }
    if let [b',', rest @ ..] = value {
        *value = rest;
    }
    found
}

/// Takes a token off the front of `text`, with the white space around it; it ends before a comma or semicolon that is not
/// quoted.
pub fn token<'t>(text: &mut &'t [u8], spaces: Spaces) -> &'t [u8] {
    let rest = trim_start(text);
    let (mut is_quoted, mut end) = (false, rest.len());
    for (at, byte) in rest.iter().enumerate() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b';' | b',' if !is_quoted => {
                end = at;
                break;
            }
            byte if !is_quoted && spaces == Spaces::End && is_space(*byte) => {
                end = at;
                break;
            }
            _ => {}
        }
    }
    let (token, behind) = rest.split_at(end);
    *text = trim_start(behind);
    token
}

/// White space as C has it.
pub fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

/// `text` without the white space before it.
pub fn trim_start(text: &[u8]) -> &[u8] {
    let spaces = text.iter().take_while(|byte| is_space(**byte)).count();
    text.get(spaces..).unwrap_or_default()
}

/// A parameter's name and value; nothing without an equals sign or a space between them.
fn name_and_value(parameter: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = parameter.iter().position(|byte| *byte == b'=' || is_space(*byte))?;
    let (name, rest) = parameter.split_at(at);
    let gap = rest
        .iter()
        .take_while(|byte| **byte == b'=' || is_space(**byte))
        .count();
    let value = rest.get(gap..).unwrap_or_default();
    let is_end: fn(&u8) -> bool = match value.first() {
        Some(b'"') => |byte| matches!(byte, b'"' | b'\r' | b'\n'),
        _ => |byte| is_space(*byte),
    };
    let value = value.strip_prefix(b"\"").unwrap_or(value);
    let end = value.iter().position(is_end).unwrap_or(value.len());
    Some((name, value.get(..end).unwrap_or(value)))
}

/// A weight (RFC 9110 section 12.4.2): three digits behind a point at most count, and what begins with neither `0` nor a point
/// is 1.
fn quality(text: &[u8]) -> f32 {
    let text = trim_start(text);
    let digits = match text {
        [b'.', digits @ ..] | [b'0', b'.', digits @ ..] => digits,
        [b'0', ..] => return 0.0,
        _ => return 1.0,
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let thousandths: u16 = digits
        .zip([100, 10, 1])
        .map(|(digit, worth)| u16::from(digit - b'0') * worth)
        .sum();
    f32::from(thousandths) / 1000.0
}

/// The number that a text begins with; one that no level has is as good as the largest.
fn whole_number(text: &[u8]) -> f32 {
    let (sign, digits) = match text {
        [b'-', digits @ ..] => (-1.0, digits),
        digits => (1.0, digits.strip_prefix(b"+").unwrap_or(digits)),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let number = digits.fold(0_u16, |number, digit| {
        number.saturating_mul(10).saturating_add(u16::from(digit - b'0'))
    });
    sign * f32::from(number)
}

#[cfg(test)]
mod tests {
    use super::{Spaces, preferences, quality, token};
    use crate::base::testing::every_cut;

    #[test]
    fn a_weight_is_read_as_by_apache() {
        for (text, want) in [
            ("", 1.0),
            ("1", 1.0),
            ("1.5", 1.0),
            ("x", 1.0),
            ("0", 0.0),
            ("0x", 0.0),
            ("0.", 0.0),
            (".5", 0.5),
            ("0.5", 0.5),
            (" 0.25", 0.25),
            ("0.1239", 0.123),
            ("0.1x9", 0.1),
            ("-1", 1.0),
        ] {
            assert!((quality(text.as_bytes()) - want).abs() < f32::EPSILON, "{text}");
        }
    }

    #[test]
    fn members_have_names_weights_levels_and_charsets() {
        let told = |value: &str| {
            let all = preferences(value.as_bytes());
            let told = all.iter().map(|one| {
                let (name, charset) = (
                    String::from_utf8_lossy(&one.name),
                    String::from_utf8_lossy(&one.charset),
                );
                format!("{name} {} {} {charset}", one.quality, one.level)
            });
            told.collect::<Vec<_>>().join("|")
        };
        for (value, want) in [
            ("", ""),
            ("Text/HTML", "text/html 1 2 "),
            ("text/html;level=1;q=0.3", "text/html 0.3 1 "),
            ("a/b c/d", "a/b 1 0 |c/d 1 0 "),
            ("a/b ; Q = 0.5 , c/d", "a/b 0.5 0 |c/d 1 0 "),
            ("a/b;charset=\"UTF-8\";qs=.7", "a/b 0.7 0 utf-8"),
            (",,a", " 1 0 | 1 0 |a 1 0 "),
            (";q=0", " 0 0 "),
            ("a;q", "a 1 0 "),
            ("a;level=99999999999", "a 1 65535 "),
            ("text/x-server-parsed-html3", "text/x-server-parsed-html3 1 3 "),
        ] {
            assert_eq!(told(value), want, "{value}");
        }
    }

    #[test]
    fn a_quoted_comma_is_no_end() {
        let mut text: &[u8] = b" \"a, b\";c";
        assert_eq!(token(&mut text, Spaces::Belong), b"\"a, b\"");
        assert_eq!(text, b";c");
    }

    #[test]
    fn every_piece_of_a_field_is_read_to_its_end() {
        let field = b"text/html;level=2;q=\"0.5\", */*;q=0.1 ,; x/y;charset=a b\x0b\tc,\"";
        every_cut(field, |head, tail| {
            preferences(head);
            preferences(tail);
        });
    }
}
