//! The encodings of `echo` and `set`: URLs, forms, base64 and HTML entities.

use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

use crate::base::{ascii, quote};

/// An encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `none`
    None,
    /// `url`: as in the path of a URL.
    Url,
    /// `urlencoded`: as in the query that a form makes.
    Form,
    /// `base64`
    Base64,
    /// `entity`: as in the text of an HTML page.
    Entity,
}

/// The encodings of a list, divided by commas and white space; or the word that is none.
pub fn parse(list: &[u8]) -> Result<Vec<Encoding>, &[u8]> {
    list.split(|byte| matches!(byte, b',' | b' ' | b'\t'))
        .filter(|word| !word.is_empty())
        .map(|word| {
            Ok(match word.to_ascii_lowercase().as_slice() {
                b"none" => Encoding::None,
                b"url" => Encoding::Url,
                b"urlencoded" => Encoding::Form,
                b"base64" => Encoding::Base64,
                b"entity" => Encoding::Entity,
                _ => return Err(word),
            })
        })
        .collect()
}

impl Encoding {
    /// Puts the encoding on.
    pub fn encode(self, text: &[u8]) -> Vec<u8> {
        match self {
            Encoding::None => text.to_vec(),
            Encoding::Url => quote::url_path(text).into_owned(),
            Encoding::Form => form(text),
            Encoding::Base64 => STANDARD.encode(text).into_bytes(),
            Encoding::Entity => quote::html(text).into_owned(),
        }
    }

    /// Takes the encoding off; what is no such encoding stays as it is.
    pub fn decode(self, text: &[u8]) -> Vec<u8> {
        match self {
            Encoding::None => text.to_vec(),
            Encoding::Url => percent(text),
            Encoding::Form => percent(
                &text
                    .iter()
                    .map(|b| if *b == b'+' { b' ' } else { *b })
                    .collect::<Vec<_>>(),
            ),
            Encoding::Base64 => base64(text),
            Encoding::Entity => entities(text),
        }
    }
}

fn form(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            b' ' => out.push(b'+'),
            b'.' | b'-' | b'*' | b'_' => out.push(*byte),
            _ if byte.is_ascii_alphanumeric() => out.push(*byte),
            _ => {
                out.push(b'%');
                ascii::append_hex_byte(&mut out, *byte);
            }
        }
    }
    out
}

/// `%xx` as the bytes they stand for, up to the code of NUL; what is no such code stays.
pub fn percent(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        let code = behind.get(..2).and_then(|digits| str::from_utf8(digits).ok());
        let code = code.filter(|digits| *first == b'%' && digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let decoded = code.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        if decoded == Some(0) {
            break;
        }
        out.push(decoded.unwrap_or(*first));
        rest = match decoded {
            Some(_) => behind.get(2..).unwrap_or_default(),
            None => behind,
        };
    }
    out
}

/// As much as is base64.
fn base64(text: &[u8]) -> Vec<u8> {
    let lenient = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let good = text
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
        .count();
    // One digit of a group says less than a byte.
    let good = if good % 4 == 1 { good - 1 } else { good };
    let decoded = GeneralPurpose::new(&ALPHABET, lenient).decode(text.get(..good).unwrap_or_default());
    decoded.unwrap_or_default()
}

/// The entities of ISO 8859-1, by their names.
const NAMES: [(&[u8], u8); 66] = [
    (b"lt", b'<'),
    (b"gt", b'>'),
    (b"amp", b'&'),
    (b"quot", b'"'),
    (b"ETH", 0xd0),
    (b"eth", 0xf0),
    (b"Auml", 0xc4),
    (b"Euml", 0xcb),
    (b"Iuml", 0xcf),
    (b"Ouml", 0xd6),
    (b"Uuml", 0xdc),
    (b"auml", 0xe4),
    (b"euml", 0xeb),
    (b"iuml", 0xef),
    (b"ouml", 0xf6),
    (b"uuml", 0xfc),
    (b"yuml", 0xff),
    (b"Acirc", 0xc2),
    (b"Aring", 0xc5),
    (b"AElig", 0xc6),
    (b"Ecirc", 0xca),
    (b"Icirc", 0xce),
    (b"Ocirc", 0xd4),
    (b"Ucirc", 0xdb),
    (b"THORN", 0xde),
    (b"szlig", 0xdf),
    (b"acirc", 0xe2),
    (b"aring", 0xe5),
    (b"aelig", 0xe6),
    (b"ecirc", 0xea),
    (b"icirc", 0xee),
    (b"ocirc", 0xf4),
    (b"ucirc", 0xfb),
    (b"thorn", 0xfe),
    (b"Agrave", 0xc0),
    (b"Aacute", 0xc1),
    (b"Atilde", 0xc3),
    (b"Ccedil", 0xc7),
    (b"Egrave", 0xc8),
    (b"Eacute", 0xc9),
    (b"Igrave", 0xcc),
    (b"Iacute", 0xcd),
    (b"Ntilde", 0xd1),
    (b"Ograve", 0xd2),
    (b"Oacute", 0xd3),
    (b"Otilde", 0xd5),
    (b"Oslash", 0xd8),
    (b"Ugrave", 0xd9),
    (b"Uacute", 0xda),
    (b"Yacute", 0xdd),
    (b"agrave", 0xe0),
    (b"aacute", 0xe1),
    (b"atilde", 0xe3),
    (b"ccedil", 0xe7),
    (b"egrave", 0xe8),
    (b"eacute", 0xe9),
    (b"igrave", 0xec),
    (b"iacute", 0xed),
    (b"ntilde", 0xf1),
    (b"ograve", 0xf2),
    (b"oacute", 0xf3),
    (b"otilde", 0xf5),
    (b"oslash", 0xf8),
    (b"ugrave", 0xf9),
    (b"uacute", 0xfa),
    (b"yacute", 0xfd),
];

/// Entities as what they stand for. A name that is not known stays; a number of no character of ISO 8859-1 goes.
pub fn entities(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| *byte == b'&') {
        let (before, entity) = rest.split_at(at);
        out.extend_from_slice(before);
        let name = entity.get(1..).unwrap_or_default();
        let Some(length) = name.iter().position(|byte| *byte == b';') else {
            out.extend_from_slice(entity);
            return out;
        };
        let behind = name.get(length + 1..).unwrap_or_default();
        let name = name.get(..length).unwrap_or_default();
        if let Some(number) = name.strip_prefix(b"#") {
            out.extend(numbered(number));
            rest = behind;
        } else if let Some((_, byte)) = NAMES.iter().find(|(known, _)| *known == name) {
            out.push(*byte);
            rest = behind;
        } else {
            out.push(b'&');
            rest = entity.get(1..).unwrap_or_default();
        }
    }
    out.extend_from_slice(rest);
    out
}

fn numbered(number: &[u8]) -> Option<u8> {
    let number = if number.is_empty() {
        0
    } else {
        ascii::parse_decimal(number)?
    };
    let byte = u8::try_from(number).ok()?;
    (!matches!(byte, 0..=8 | 11..=31 | 127..=160)).then_some(byte)
}

#[cfg(test)]
mod tests {
    use super::{Encoding, parse};

    #[test]
    fn encodings_are_put_on_and_taken_off() {
        for (encoding, plain, encoded) in [
            (Encoding::None, "a b&", "a b&"),
            (Encoding::Url, "a b/\u{e9}?", "a%20b/%c3%a9%3f"),
            (Encoding::Form, "a b/\u{e9}&=+", "a+b%2f%c3%a9%26%3d%2b"),
            (Encoding::Base64, "a b", "YSBi"),
            (Encoding::Base64, "ab", "YWI="),
            (
                Encoding::Entity,
                "<a href=\"x\">&'",
                "&lt;a href=&quot;x&quot;&gt;&amp;'",
            ),
        ] {
            assert_eq!(encoding.encode(plain.as_bytes()), encoded.as_bytes(), "{plain}");
            assert_eq!(encoding.decode(encoded.as_bytes()), plain.as_bytes(), "{encoded}");
        }
    }

    #[test]
    fn what_is_not_encoded_stays() {
        for (encoding, text, want) in [
            (Encoding::Url, &b"%zz%4+%00%41"[..], &b"%zz%4+"[..]),
            (Encoding::Form, b"a+b%", b"a b%"),
            (Encoding::Base64, b"YWJj!YWJj", b"abc"),
            (Encoding::Base64, b"YWJjY", b"abc"),
            (Encoding::Base64, b"!", b""),
            (
                Encoding::Entity,
                b"&nope; & &#65;&#0;&#300;&#x41;&eacute;&",
                b"&nope; & A\xe9&",
            ),
            (Encoding::Entity, b"&amp;lt;", b"&lt;"),
        ] {
            assert_eq!(encoding.decode(text), want, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn lists_have_commas_and_white_space() {
        assert_eq!(
            parse(b"URL, entity\tnone"),
            Ok(vec![Encoding::Url, Encoding::Entity, Encoding::None])
        );
        assert_eq!(parse(b"url;x"), Err(&b"url;x"[..]));
        assert_eq!(parse(b""), Ok(vec![]));
    }
}
