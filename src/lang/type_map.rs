//! Type maps, the files in which Apache's `mod_negotiation` is told the variants of a resource: fields like those of a message,
//! a blank line behind each variant, and bodies that may stand in the map itself.

use crate::http::accept::{self, Spaces, preference, token};
use crate::http::negotiate::Variant;

/// A map, as far as it can be read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TypeMap {
    /// The variants, in the order of the map. Those whose body is in it have `own_name` for their name.
    pub variants: Vec<Variant>,
    /// Why it ends early, as Apache's does: what comes behind the fault is not read.
    pub ends: Option<String>,
}

/// A map that says nothing: a line of it is no field. A sentence for the error log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken(pub String);

/// A body in the map is no longer than this, with its end tag, as in Apache.
const LONGEST_BODY: usize = 8191;

/// Reads a map; `own_name` is the name of its file.
pub fn parse(text: &[u8], own_name: &[u8]) -> Result<TypeMap, Broken> {
    let mut map = TypeMap::default();
    let (mut variant, mut says_something) = (Variant::default(), false);
    let mut reader = Reader { text, at: 0 };
    while let Some(line) = reader.line() {
        if line.iter().all(|byte| accept::is_space(*byte)) {
            map.add(std::mem::take(&mut variant), std::mem::take(&mut says_something));
            continue;
        }
        let (name, value) = name_and_value(&line)?;
        let mut value = value.as_slice();
        match name.as_slice() {
            b"uri" => variant.name = token(&mut value, Spaces::End).to_vec(),
            b"content-type" => variant.set_content_type(preference(&mut value)),
            b"content-length" => {
                let length = token(&mut value, Spaces::End);
                let Some(length) = strict_length(length) else {
                    let length = String::from_utf8_lossy(length);
                    map.ends = Some(format!("`Content-Length: {length}` is not a number of bytes"));
                    break;
                };
                variant.length = Some(length);
            }
            b"content-language" => variant.languages = languages(value),
            b"content-encoding" => variant.encoding = token(&mut value, Spaces::End).to_vec(),
            b"description" => {
                variant.description = value
                    .strip_suffix(b"\n")
                    .unwrap_or(value)
                    .iter()
                    .map(|byte| if *byte == b'\n' { b' ' } else { *byte })
                    .collect();
            }
            b"body" => {
                let tag = value.trim_ascii_end();
                let Some(body) = reader.body(tag) else {
                    let tag = String::from_utf8_lossy(tag);
                    map.ends = Some(format!(
                        "there is no `{tag}` within {LONGEST_BODY} bytes to end the body that begins so"
                    ));
                    break;
                };
                variant.length = Some(body.len() as u64);
                variant.body = Some(body);
                variant.name = own_name.to_vec();
            }
            _ => {}
        }
        says_something |= OF_CONTENT.contains(&name.as_slice());
    }
    if map.ends.is_none() {
        map.add(variant, says_something);
    }
    Ok(map)
}

impl TypeMap {
    /// A variant counts if it has a name, and anything is said of it.
    fn add(&mut self, variant: Variant, says_something: bool) {
        if says_something && !variant.name.is_empty() {
            self.variants.push(variant);
        }
    }
}

/// The fields that make a variant one.
const OF_CONTENT: [&[u8]; 4] = [
    b"content-type",
    b"content-length",
    b"content-language",
    b"content-encoding",
];

fn languages(mut value: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while !value.is_empty() {
        all.push(token(&mut value, Spaces::End).to_ascii_lowercase());
        if let [b',' | b';', rest @ ..] = value {
            value = rest;
        }
    }
    all
}

/// Digits, and nothing else.
fn strict_length(text: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(text).ok()?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits
        .parse()
        .ok()
        .filter(|length| is_number && i64::try_from(*length).is_ok())
}

/// A field's name in lower case, and its value with comments blanked.
fn name_and_value(line: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Broken> {
    let shown = || String::from_utf8_lossy(line).trim_end().to_owned();
    let Some(colon) = line.iter().position(|byte| *byte == b':') else {
        return Err(Broken(format!("`{}` has no colon", shown())));
    };
    let (name, value) = line.split_at(colon);
    let value = accept::trim_start(value.get(1..).unwrap_or_default());
    if value.is_empty() {
        return Err(Broken(format!("`{}` says nothing", shown())));
    }
    Ok((name.to_ascii_lowercase(), without_comments(value)))
}

/// Comments in parentheses become spaces; one that has no end goes to the end.
fn without_comments(value: &[u8]) -> Vec<u8> {
    let mut is_comment = false;
    let blank = value.iter().map(|byte| {
        let was_comment = is_comment;
        is_comment = if is_comment { *byte != b')' } else { *byte == b'(' };
        if is_comment || was_comment { b' ' } else { *byte }
    });
    blank.collect()
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The next physical line, with its line feed.
    fn physical(&mut self) -> &'t [u8] {
        let rest = self.rest();
        let length = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    /// The next line that is no comment, with those that continue it: they begin with white space.
    fn line(&mut self) -> Option<Vec<u8>> {
        let mut line = loop {
            match self.physical() {
                [] => return None,
                [b'#', ..] => {}
                line => break line.to_vec(),
            }
        };
        let is_blank = line.iter().all(|byte| accept::is_space(*byte));
        if is_blank || line.get(..5).is_some_and(|name| name.eq_ignore_ascii_case(b"body:")) {
            return Some(line);
        }
        loop {
            match self.rest() {
                [b'#', ..] => {
                    self.physical();
                }
                [first, ..] if accept::is_space(*first) => {
                    let is_space = |byte: &&u8| **byte != b'\n' && accept::is_space(**byte);
                    let spaces = self.rest().iter().take_while(is_space).count();
                    self.at += spaces;
                    if matches!(self.rest(), [b'\n', ..]) {
                        return Some(line);
                    }
                    let more = self.physical();
                    line.extend_from_slice(more.strip_suffix(b"\n").unwrap_or(more));
                    line.push(b'\n');
                }
                _ => return Some(line),
            }
        }
    }

    /// Where the body is that begins here and ends before `tag`; goes on behind the tag's line.
    fn body(&mut self, tag: &[u8]) -> Option<std::ops::Range<usize>> {
        let rest = self.rest();
        let within = rest.get(..LONGEST_BODY).unwrap_or(rest);
        let length = memchr::memmem::find(within, tag).filter(|_| !tag.is_empty())?;
        let begin = self.at;
        self.at += length + tag.len();
        self.physical();
        Some(begin..begin + length)
    }
}

#[cfg(test)]
mod tests;
