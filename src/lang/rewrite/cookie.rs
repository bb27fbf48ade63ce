//! `[CO]`: the cookie that a rule sets.

use std::time::{Duration, SystemTime};

use crate::base::date::HttpDate;

/// The name and the Set-Cookie field of a `[CO]`: `NAME:VALUE:DOMAIN:minutes:path:secure:httponly:samesite`, or the same with
/// semicolons when it begins with one. Without the first three there is no cookie.
pub(super) fn field(text: &[u8], now: SystemTime) -> Option<(Vec<u8>, Vec<u8>)> {
    let (separator, text) = match text.strip_prefix(b";") {
        Some(text) => (b';', text),
        None => (b':', text),
    };
    // Apache takes separators in a row for one.
    let mut words = text.split(|byte| *byte == separator).filter(|word| !word.is_empty());
    let (name, value, domain) = (words.next()?, words.next()?, words.next()?);
    let minutes = words.next().unwrap_or_default();
    let path = words.next().unwrap_or(b"/");
    let is_on = |word: Option<&[u8]>, also: &[u8]| {
        word.is_some_and(|word| word.eq_ignore_ascii_case(also) || word.eq_ignore_ascii_case(b"true") || word == b"1")
    };
    let secure = is_on(words.next(), b"secure");
    let http_only = is_on(words.next(), b"httponly");
    let same_site = words
        .next()
        .filter(|word| !matches!(*word, b"" | b"0") && !word.eq_ignore_ascii_case(b"false"));
    let mut field = [name, b"=", value, b"; path=", path].concat();
    if !domain.eq_ignore_ascii_case(b"invalid") {
        field.extend_from_slice(b"; domain=");
        field.extend_from_slice(domain);
    }
    let minutes: i64 = str::from_utf8(minutes)
        .ok()
        .and_then(|minutes| minutes.trim().parse().ok())
        .unwrap_or(0);
    if minutes != 0 {
        field.extend_from_slice(b"; expires=");
        field.extend_from_slice(&expires(now, minutes));
    }
    for (is_said, word) in [(secure, &b"; secure"[..]), (http_only, b"; HttpOnly")] {
        if is_said {
            field.extend_from_slice(word);
        }
    }
    if let Some(same_site) = same_site {
        field.extend_from_slice(b"; SameSite=");
        field.extend_from_slice(same_site);
    }
    // A response is not split by what a request brought into a cookie.
    if field.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        return None;
    }
    Some((name.to_vec(), field))
}

/// The date of a cookie's end, as Apache writes it: with hyphens.
fn expires(now: SystemTime, minutes: i64) -> Vec<u8> {
    let seconds = minutes.unsigned_abs().saturating_mul(60).min(u64::from(u32::MAX));
    let span = Duration::from_secs(seconds);
    let at = if minutes > 0 {
        now.checked_add(span)
    } else {
        now.checked_sub(span)
    };
    let mut date = HttpDate::from(at.unwrap_or(SystemTime::UNIX_EPOCH)).to_bytes();
    for at in [7, 11] {
        if let Some(byte) = date.get_mut(at) {
            *byte = b'-';
        }
    }
    date.to_vec()
}
