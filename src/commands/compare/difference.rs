//! In what two answers to the same request differ. What is each server's own affair (its date, its name, how it frames a body)
//! does not count, and each server's own address reads the same.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::Read;

use flate2::read::MultiGzDecoder;

use crate::base::ascii;
use crate::base::date::HttpDate;
use crate::exchange::page;
use crate::http::fields::{Fields, list_members};

use super::client::Answer;

/// In what answers differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// `status`, `body`, or a field's name.
    pub what: String,
    /// What the old server says.
    pub old: String,
    /// What the new one says.
    pub new: String,
}

/// How answers are read.
pub struct Reading {
    /// What each server calls itself in what it sends, longest first: the old one's, and the new one's.
    pub own_names: [Vec<Vec<u8>>; 2],
    /// Fields that do not count, in lower case.
    pub ignored: Vec<String>,
}

/// Fields that say nothing of the site.
const OWN_AFFAIR: &[&str] = &[
    "age",
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "server",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// Dates of freshness may be so many seconds apart, for the servers were not asked at the same moment.
const MOMENT: i64 = 5;

/// A body longer than this when it is unpacked is compared as it is sent.
const UNPACKED: u64 = 64 * 1024 * 1024;

/// So much of a value or a line is shown.
const SHOWN: usize = 160;

/// All differences between an answer of the old server and one of the new.
pub fn between(old: &Answer, new: &Answer, reading: &Reading) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut add = |what: &str, old: String, new: String| {
        found.push(Difference {
            what: what.to_owned(),
            old,
            new,
        });
    };
    if old.status != new.status {
        add("status", old.status.to_string(), new.status.to_string());
    }
    let is_status_the_same = old.status == new.status;
    let are_pages = is_status_the_same && are_pages(old, new);
    for name in names(&old.fields, &new.fields) {
        if OWN_AFFAIR.contains(&name.as_str()) || reading.ignored.contains(&name) {
            continue;
        }
        // What else differs follows from the status.
        if !is_status_the_same && name != "location" {
            continue;
        }
        if are_pages && name == "content-type" {
            continue;
        }
        let values = [(old, 0), (new, 1)].map(|(answer, side)| value(&name, answer, &reading.own_names[side]));
        let is_near = name == "expires" && is_near(old, new);
        if values[0] != values[1] && !is_near {
            let [old, new] = values;
            add(&name, shown_value(old), shown_value(new));
        }
    }
    if !is_status_the_same || are_pages {
        return found;
    }
    if let (Some(one), Some(other)) = (length_of_head(old), length_of_head(new))
        && one != other
        && !reading.ignored.contains(&"content-length".to_owned())
    {
        add("content-length", one, other);
    }
    if old.is_cut != new.is_cut {
        let told = |answer: &Answer| if answer.is_cut { "breaks off" } else { "is whole" }.to_owned();
        add("body", told(old), told(new));
    } else if let Some((old, new)) = bodies(old, new, reading) {
        add("body", old, new);
    }
    found
}

/// The names of all fields, in lower case.
fn names(old: &Fields, new: &Fields) -> BTreeSet<String> {
    let all = old.iter().chain(new.iter());
    all.map(|(name, _)| String::from_utf8_lossy(name).to_ascii_lowercase())
        .collect()
}

/// What there is to compare of a field.
fn value(name: &str, answer: &Answer, own_names: &[Vec<u8>]) -> Option<Vec<u8>> {
    let values: Vec<&[u8]> = answer.fields.values(name.as_bytes()).collect();
    if values.is_empty() {
        return None;
    }
    Some(match name {
        "etag" => tag_form(&values).as_bytes().to_vec(),
        "vary" | "allow" | "accept-ranges" => {
            let members = values.iter().flat_map(|value| list_members(value));
            let members: BTreeSet<Vec<u8>> = members.map(<[u8]>::to_ascii_lowercase).collect();
            members.into_iter().collect::<Vec<_>>().join(&b", "[..])
        }
        "set-cookie" => {
            let mut cookies: Vec<Vec<u8>> = values.iter().map(|value| cookie(value)).collect();
            cookies.sort();
            cookies.join(&b"; then "[..])
        }
        "www-authenticate" | "proxy-authenticate" => challenge(&values.join(&b", "[..])),
        // The order of the lines is the sender's.
        _ => {
            let joined = values.join(&b", "[..]);
            without_names(&joined, own_names).into_owned()
        }
    })
}

/// Whether there is a tag, and of which strength: what stands in it is each server's own.
fn tag_form(values: &[&[u8]]) -> &'static str {
    if values.iter().any(|value| value.starts_with(b"W/")) {
        "a weak one"
    } else {
        "a strong one"
    }
}

/// A cookie's name and attributes; values and dates change.
fn cookie(value: &[u8]) -> Vec<u8> {
    let mut parts = value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let name = parts
        .next()
        .unwrap_or_default()
        .split(|byte| *byte == b'=')
        .next()
        .unwrap_or_default();
    let mut attributes: Vec<Vec<u8>> = parts
        .map(|part| {
            let lower = part.to_ascii_lowercase();
            if lower.starts_with(b"expires=") || lower.starts_with(b"max-age=") {
                lower.split(|byte| *byte == b'=').next().unwrap_or_default().to_vec()
            } else {
                lower
            }
        })
        .collect();
    attributes.sort();
    attributes.insert(0, name.to_vec());
    attributes.join(&b"; "[..])
}

/// A challenge without what is made for each answer.
fn challenge(value: &[u8]) -> Vec<u8> {
    let parts = value.split(|byte| *byte == b',');
    let lasting = parts.filter(|part| {
        let part = part.trim_ascii();
        let part = part.rsplit(|byte| *byte == b' ').next().unwrap_or(part);
        let is_made = |name: &[u8]| ascii::starts_with_ignore_case(part, name);
        !is_made(b"nonce=") && !is_made(b"opaque=")
    });
    lasting.map(<[u8]>::trim_ascii).collect::<Vec<_>>().join(&b", "[..])
}

/// Whether both are fresh for about as long.
fn is_near(old: &Answer, new: &Answer) -> bool {
    let lasts = |answer: &Answer| {
        let now = HttpDate::from_seconds(0);
        let date = HttpDate::parse(answer.fields.value("Date")?, now)?;
        let expires = HttpDate::parse(answer.fields.value("Expires")?, now)?;
        Some(expires.seconds() - date.seconds())
    };
    matches!((lasts(old), lasts(new)), (Some(one), Some(other)) if one.abs_diff(other) <= MOMENT.unsigned_abs())
}

/// The length that an answer without a body states: that to HEAD, which stands for what GET would get.
fn length_of_head(answer: &Answer) -> Option<String> {
    let stated = answer.fields.value("Content-Length")?;
    (answer.body.length == 0 && answer.status < 400).then(|| String::from_utf8_lossy(stated).into_owned())
}

/// Whether both answers are pages of the servers' own about their status, which each writes in its own words.
fn are_pages(old: &Answer, new: &Answer) -> bool {
    let is_html = |answer: &Answer| {
        let media_type = answer.fields.value("Content-Type").unwrap_or_default();
        ascii::starts_with_ignore_case(media_type, b"text/html")
    };
    let pages = [old, new].map(|answer| match answer.body.kept.as_slice() {
        // What was asked for with HEAD cannot be told.
        [] => is_html(answer),
        body => is_page(body, answer.status),
    });
    old.status >= 300 && old.body.length.min(1) == new.body.length.min(1) && pages == [true, true]
}

/// Whether a body is such a page of Apache's or of ours.
fn is_page(body: &[u8], status: u16) -> bool {
    let between = |begin: &[u8], end: &[u8]| {
        let start = memchr::memmem::find(body, begin)? + begin.len();
        let rest = body.get(start..)?;
        rest.get(..memchr::memmem::find(rest, end)?)
    };
    let Some(title) = between(b"<title>", b"</title>") else {
        return false;
    };
    let is_about_it = title.starts_with(format!("{status} ").as_bytes());
    is_about_it && body.starts_with(b"<!DOCTYPE HTML PUBLIC \"-//") || body.starts_with(&page::begin(title))
}

/// What there is to say of bodies that are not the same.
fn bodies(old: &Answer, new: &Answer, reading: &Reading) -> Option<(String, String)> {
    if old.body.length == new.body.length && old.body.kept == new.body.kept && old.body.rest() == new.body.rest() {
        return None;
    }
    let is_all_kept = |answer: &Answer| answer.body.kept.len() as u64 == answer.body.length;
    let (one, other) = (unpacked(old), unpacked(new));
    if is_all_kept(old) && is_all_kept(new) {
        let plain = |body: &[u8], side: usize| {
            let named = without_names(body, &reading.own_names[side]);
            without_signature(&named).into_owned()
        };
        let (one, other) = (plain(&one, 0), plain(&other, 1));
        return (one != other).then(|| first_difference(&one, &other));
    }
    let told = |answer: &Answer| format!("{} bytes", answer.body.length);
    Some((told(old), told(new)))
}

/// The body without the coding gzip.
fn unpacked(answer: &Answer) -> Cow<'_, [u8]> {
    let kept = &answer.body.kept;
    let is_packed = answer.fields.value("Content-Encoding") == Some(b"gzip");
    let mut out = Vec::new();
    let mut unpacking = MultiGzDecoder::new(kept.as_slice()).take(UNPACKED);
    if is_packed
        && unpacking
            .read_to_end(&mut out)
            .is_ok_and(|length| (length as u64) < UNPACKED)
    {
        Cow::Owned(out)
    } else {
        Cow::Borrowed(kept)
    }
}

/// A text in which a server's names are the same as the other's. Where a name is but a part of another it stays.
fn without_names<'a>(text: &'a [u8], names: &[Vec<u8>]) -> Cow<'a, [u8]> {
    let mut text = Cow::Borrowed(text);
    for name in names.iter().filter(|name| !name.is_empty()) {
        let mut places = memchr::memmem::find_iter(&text, name).peekable();
        if places.peek().is_none() {
            continue;
        }
        let mut out = Vec::with_capacity(text.len());
        let mut from = 0;
        for at in places.filter(|at| is_whole(&text, *at, *at + name.len())) {
            out.extend_from_slice(text.get(from..at).unwrap_or_default());
            out.extend_from_slice(b"HOST");
            from = at + name.len();
        }
        out.extend_from_slice(text.get(from..).unwrap_or_default());
        text = Cow::Owned(out);
    }
    text
}

/// Whether what is between the two places is a whole name with its port.
fn is_whole(text: &[u8], start: usize, end: usize) -> bool {
    let before = start.checked_sub(1).and_then(|at| text.get(at));
    let is_joined = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    let goes_on = match text.get(end..).unwrap_or_default() {
        [b'.' | b':', next, ..] | [next, ..] => is_joined(next),
        [] => false,
    };
    !goes_on && !before.is_some_and(|byte| is_joined(byte) || *byte == b'.')
}

/// A page without the line that ServerSignature puts under it, which names the server.
fn without_signature(body: &[u8]) -> Cow<'_, [u8]> {
    const BEGIN: &[u8] = b"<address>";
    const END: &[u8] = b"</address>";
    let find = |text: &[u8], what: &[u8]| memchr::memmem::find(text, what);
    let line = find(body, BEGIN).and_then(|start| {
        let length = find(body.get(start..)?, END)? + END.len();
        let line = body.get(start..start + length)?;
        let at = find(line, b" Server at ")?;
        find(line.get(at..)?, b" Port ").map(|_| (start, start + length))
    });
    match line {
        Some((start, end)) => {
            let (before, behind) = (body.get(..start), body.get(end..));
            Cow::Owned([before.unwrap_or_default(), behind.unwrap_or_default()].concat())
        }
        None => Cow::Borrowed(body),
    }
}

/// Where two bodies part: the line, for text.
fn first_difference(old: &[u8], new: &[u8]) -> (String, String) {
    let is_text = |body: &[u8]| !body.iter().take(4096).any(|byte| *byte == 0);
    let same = old.iter().zip(new).take_while(|(one, other)| one == other).count();
    if !is_text(old) || !is_text(new) {
        let told = |body: &[u8]| format!("{} bytes, the same up to {same}", body.len());
        return (told(old), told(new));
    }
    let begin = old.get(..same).unwrap_or_default();
    let line = memchr::memchr_iter(b'\n', begin).count() + 1;
    let start = begin.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    // A line that is long is shown from shortly before where they part.
    let start = if same - start > SHOWN / 2 {
        same - SHOWN / 2
    } else {
        start
    };
    let told = |body: &[u8]| {
        let rest = body.get(start..).unwrap_or_default();
        let text = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
        if rest.is_empty() {
            format!("{} bytes, which end before line {line}", body.len())
        } else {
            format!("{} bytes, line {line}: {}", body.len(), shown(text))
        }
    };
    (told(old), told(new))
}

fn shown_value(value: Option<Vec<u8>>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| shown(&value))
}

/// Bytes of a stranger's, made fit for a terminal.
pub fn shown(text: &[u8]) -> String {
    let all = String::from_utf8_lossy(text);
    let mut out: String = all
        .chars()
        .take(SHOWN)
        .map(|letter| if letter.is_control() { '\u{fffd}' } else { letter })
        .collect();
    if all.chars().nth(SHOWN).is_some() {
        out.push('\u{2026}');
    }
    out
}

#[cfg(test)]
mod tests;
