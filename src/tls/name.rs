//! Distinguished names as OpenSSL and mod_ssl write them: in the form of RFC 2253 with UTF-8 as it is, in the old form
//! with slashes, and single attributes.
//!
//! OpenSSL refuses certificates whose names hold strings of the wrong length or of types that are no strings; here such a value
//! is written as bytes, or as `#` and hexadecimal digits within a name.

use crate::tls::der::{self, Element, Elements, Malformed, tag};
use crate::tls::object;

/// How a whole name is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnForm {
    /// `CN=www.example.com,O=Example\, Inc.,C=XY`, the last part first.
    Rfc2253,
    /// `/C=XY/O=Example, Inc./CN=www.example.com`, which `SSLOptions +LegacyDNStringFormat` asks for.
    Legacy,
}

/// How the characters of one attribute are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charset {
    Utf8,
    /// Latin-1, with `\U` and `\W` for what it does not have: the variables that end in `_RAW`.
    Latin1,
}

/// A distinguished name: the parts of it, the most general first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name<'a>(&'a [u8]);

/// One attribute of a name.
#[derive(Clone, Copy, Debug)]
struct Attribute<'a> {
    /// The number of the part that it belongs to.
    part: usize,
    kind: &'a [u8],
    value: Element<'a>,
}

/// What mod_ssl calls the attributes that have variables of their own.
pub(super) const TAGS: [(&str, &[u8]); 15] = [
    ("C", &[0x55, 4, 6]),
    ("ST", &[0x55, 4, 8]),
    ("L", &[0x55, 4, 7]),
    ("O", &[0x55, 4, 10]),
    ("OU", &[0x55, 4, 11]),
    ("CN", &[0x55, 4, 3]),
    ("T", &[0x55, 4, 12]),
    ("I", &[0x55, 4, 43]),
    ("G", &[0x55, 4, 42]),
    ("S", &[0x55, 4, 4]),
    ("D", &[0x55, 4, 13]),
    ("UID", &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1]),
    ("Email", &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1]),
    ("SerialNumber", &[0x55, 4, 5]),
    // Asked for by this name only by those who come from SSLeay.
    ("SP", &[0x55, 4, 8]),
];

impl<'a> Name<'a> {
    /// From the body of its sequence.
    pub fn parse(body: &'a [u8]) -> Result<Name<'a>, Malformed> {
        let mut parts = Elements::of(body);
        while !parts.is_empty() {
            let mut attributes = Elements::of(parts.expect(tag::SET)?);
            while !attributes.is_empty() {
                attribute(0, attributes.expect(tag::SEQUENCE)?)?;
            }
        }
        Ok(Name(body))
    }

    fn attributes(self) -> impl Iterator<Item = Attribute<'a>> {
        let parts = Elements::of(self.0).enumerate();
        parts.flat_map(|(part, set)| {
            Elements::of(set.body).filter_map(move |sequence| attribute(part, sequence.body).ok())
        })
    }

    /// The whole name; nothing of an empty one.
    pub fn text(self, form: DnForm) -> Option<Vec<u8>> {
        let text = match form {
            DnForm::Rfc2253 => self.rfc2253(),
            DnForm::Legacy => self.legacy(),
        };
        (!text.is_empty()).then_some(text)
    }

    fn rfc2253(self) -> Vec<u8> {
        let mut attributes: Vec<Attribute<'_>> = self.attributes().collect();
        attributes.reverse();
        let mut text = Vec::new();
        let mut before = None;
        for attribute in attributes {
            match before {
                None => {}
                Some(part) if part == attribute.part => text.push(b'+'),
                Some(_) => text.push(b','),
            }
            before = Some(attribute.part);
            let (name, is_known) = attribute.name();
            text.extend_from_slice(name.as_bytes());
            text.push(b'=');
            if is_known && is_string(&attribute.value) {
                append(&mut text, &attribute.value, Charset::Utf8, Escapes::Rfc2253);
            } else {
                text.push(b'#');
                append_digits(&mut text, attribute.value.whole);
            }
        }
        text
    }

    fn legacy(self) -> Vec<u8> {
        let mut text = Vec::new();
        let mut before = None;
        for attribute in self.attributes() {
            text.push(if before == Some(attribute.part) { b'+' } else { b'/' });
            before = Some(attribute.part);
            text.extend_from_slice(attribute.name().0.as_bytes());
            text.push(b'=');
            for byte in bytes(&attribute.value) {
                match byte {
                    b'/' | b'+' => text.extend([b'\\', *byte]),
                    b' '..=b'~' => text.push(*byte),
                    _ => {
                        text.extend_from_slice(b"\\x");
                        append_digits(&mut text, &[*byte]);
                    }
                }
            }
        }
        text
    }

    /// The attribute that mod_ssl calls by this tag, the first of its kind being number 0.
    pub fn attribute(self, tag: &str, number: usize, charset: Charset) -> Option<Vec<u8>> {
        let (_, kind) = TAGS.iter().find(|(name, _)| *name == tag)?;
        let found = self.attributes().filter(|a| a.kind == *kind).nth(number)?;
        Some(string(&found.value, charset))
    }

    /// All attributes that have variables: `take` is told tag, number among those of the tag, and value.
    pub fn each(self, mut take: impl FnMut(&'static str, usize, Vec<u8>)) {
        let mut seen = [0; TAGS.len()];
        for attribute in self.attributes() {
            let of_kind = TAGS
                .iter()
                .zip(&mut seen)
                .find(|((_, kind), _)| *kind == attribute.kind);
            if let Some(((tag, _), number)) = of_kind {
                take(tag, *number, string(&attribute.value, Charset::Utf8));
                *number += 1;
            }
        }
    }
}

fn attribute(part: usize, sequence: &[u8]) -> Result<Attribute<'_>, Malformed> {
    let mut inside = Elements::of(sequence);
    Ok(Attribute {
        part,
        kind: inside.expect(tag::OID)?,
        value: inside.element()?,
    })
}

impl Attribute<'_> {
    /// Its short name or its number, and whether OpenSSL knows it.
    fn name(&self) -> (String, bool) {
        let dotted = der::dotted(self.kind).unwrap_or_else(|| "?".to_string());
        match object::attribute(&dotted) {
            Some(name) => (name.to_string(), true),
            None => (dotted, false),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    /// Of control characters and of the backslash.
    Control,
    /// And of what separates the parts of a name (RFC 2253 section 2.4).
    Rfc2253,
}

/// A string alone, without control characters.
pub(super) fn string(value: &Element<'_>, charset: Charset) -> Vec<u8> {
    let mut text = Vec::with_capacity(value.body.len());
    append(&mut text, value, charset, Escapes::Control);
    text
}

fn append(text: &mut Vec<u8>, value: &Element<'_>, charset: Charset, escapes: Escapes) {
    let bytes = bytes(value);
    match (value.tag, charset) {
        (tag::UTF8_STRING, Charset::Latin1) => {
            let decoded = String::from_utf8_lossy(bytes);
            each_place(decoded.chars().map(u32::from), |c, place| {
                write(text, c, place, charset, escapes);
            });
        }
        // UTF-8 stays as it is, whether or not it is.
        (tag::UTF8_STRING, Charset::Utf8) => {
            let units = bytes.iter().map(|byte| u32::from(*byte));
            each_place(units, |c, place| write(text, c, place, Charset::Latin1, escapes));
        }
        (tag::BMP_STRING, _) if bytes.len().is_multiple_of(2) => {
            let units = bytes.chunks_exact(2).map(wide);
            each_place(units, |c, place| write(text, c, place, charset, escapes));
        }
        (tag::UNIVERSAL_STRING, _) if bytes.len().is_multiple_of(4) => {
            let units = bytes.chunks_exact(4).map(wide);
            each_place(units, |c, place| write(text, c, place, charset, escapes));
        }
        _ => {
            let units = bytes.iter().map(|byte| u32::from(*byte));
            each_place(units, |c, place| write(text, c, place, charset, escapes));
        }
    }
}

fn wide(octets: &[u8]) -> u32 {
    octets.iter().fold(0, |sum, octet| sum << 8 | u32::from(*octet))
}

/// Where in a string a character stands.
#[derive(Clone, Copy, Default)]
struct At {
    is_first: bool,
    is_last: bool,
}

fn each_place(characters: impl Iterator<Item = u32>, mut take: impl FnMut(u32, At)) {
    let mut characters = characters.peekable();
    let mut is_first = true;
    while let Some(c) = characters.next() {
        let is_last = characters.peek().is_none();
        take(c, At { is_first, is_last });
        is_first = false;
    }
}

/// Writes one character. (What OpenSSL does in `do_esc_char`; RFC 2253 section 2.4.)
fn write(text: &mut Vec<u8>, c: u32, at: At, charset: Charset, escapes: Escapes) {
    let separates = |byte: u8| match byte {
        b',' | b'+' | b'"' | b'<' | b'>' | b';' => true,
        b' ' => at.is_first || at.is_last,
        b'#' => at.is_first,
        _ => false,
    };
    match u8::try_from(c) {
        Ok(byte @ (..b' ' | 0x7f)) => {
            text.push(b'\\');
            append_digits(text, &[byte]);
        }
        Ok(b'\\') => text.extend_from_slice(b"\\\\"),
        Ok(byte) if escapes == Escapes::Rfc2253 && separates(byte) => text.extend([b'\\', byte]),
        Ok(byte) if byte < 0x80 || charset == Charset::Latin1 => text.push(byte),
        _ if charset == Charset::Utf8 => {
            let character = char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER);
            text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        _ if c > 0xffff => text.extend_from_slice(format!("\\W{c:08X}").as_bytes()),
        _ => text.extend_from_slice(format!("\\U{c:04X}").as_bytes()),
    }
}

/// The bytes of a value that make its characters.
fn bytes<'a>(value: &Element<'a>) -> &'a [u8] {
    match value.tag {
        tag::BIT_STRING => value.body.get(1..).unwrap_or_default(),
        tag::SEQUENCE | tag::SET => value.whole,
        _ => value.body,
    }
}

/// Whether the value is one of the types that hold characters, and holds whole ones.
fn is_string(value: &Element<'_>) -> bool {
    match value.tag {
        tag::BMP_STRING => value.body.len().is_multiple_of(2),
        tag::UNIVERSAL_STRING => value.body.len().is_multiple_of(4),
        tag::UTF8_STRING
        | tag::NUMERIC_STRING
        | tag::PRINTABLE_STRING
        | tag::T61_STRING
        | tag::IA5_STRING
        | tag::UTC_TIME
        | tag::GENERALIZED_TIME
        | tag::VISIBLE_STRING => true,
        _ => false,
    }
}

/// Appends bytes as hexadecimal digits, in capitals.
pub(super) fn append_digits(text: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)]);
        text.push(DIGITS[usize::from(byte & 0xf)]);
    }
}
