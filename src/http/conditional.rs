//! Validators and conditional requests (RFC 9110 §8.8, §13).

use crate::base::date::HttpDate;
use crate::http::fields::{Names, list_members};
use crate::http::head::RequestHead;
use crate::http::method::Method;

/// An entity tag (RFC 9110 §8.8.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ETag<'a> {
    /// Strong or weak.
    pub strength: Strength,
    /// What stands between the quotes.
    pub opaque: &'a [u8],
}

/// What an entity tag promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strength {
    /// Equal bytes.
    Strong,
    /// Equal meaning: `W/` before the quotes.
    Weak,
}

impl<'a> ETag<'a> {
    /// Reads `"opaque"` or `W/"opaque"`; the `W` is in upper case.
    pub fn parse(text: &'a [u8]) -> Option<ETag<'a>> {
        let (strength, quoted) = match text.strip_prefix(b"W/") {
            Some(quoted) => (Strength::Weak, quoted),
            None => (Strength::Strong, text),
        };
        let opaque = quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        let good = opaque.iter().all(|byte| *byte > b' ' && *byte != b'"' && *byte != 0x7f);
        good.then_some(ETag { strength, opaque })
    }

    /// Strong comparison: both are strong and the same (RFC 9110 §8.8.3.2).
    pub fn strongly_matches(self, other: ETag<'_>) -> bool {
        self.strength == Strength::Strong && other.strength == Strength::Strong && self.opaque == other.opaque
    }

    /// Weak comparison: the same, strong or not.
    pub fn weakly_matches(self, other: ETag<'_>) -> bool {
        self.opaque == other.opaque
    }

    /// Appends the tag as a field value has it.
    pub fn append_to(self, out: &mut Vec<u8>) {
        if self.strength == Strength::Weak {
            out.extend_from_slice(b"W/");
        }
        out.push(b'"');
        out.extend_from_slice(self.opaque);
        out.push(b'"');
    }
}

/// What is known of the representation that would be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Validators<'a> {
    /// The value of its ETag field.
    pub etag: Option<ETag<'a>>,
    /// The time of its Last-Modified field.
    pub last_modified: Option<HttpDate>,
}

/// What the conditions of a request come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// They hold, or there are none: do what was asked.
    Proceed,
    /// 304
    NotModified,
    /// 412
    PreconditionFailed,
}

/// The fields that are preconditions, but for those about ranges.
const CONDITIONS: Names = Names::new(&[
    b"if-match",
    b"if-unmodified-since",
    b"if-none-match",
    b"if-modified-since",
]);

/// Whether a request has any precondition that [`evaluate`] looks at; without one it is to proceed.
pub fn is_asked(head: &RequestHead) -> bool {
    head.has_any(&CONDITIONS)
}

/// Evaluates the preconditions of a request for a representation that exists, in their order of precedence (RFC 9110
/// §13.2.2). Range is not looked at: see [`if_range_holds`]. A date that cannot be read makes its field void, and so
/// does an If-Modified-Since later than `now`, as in Apache.
pub fn evaluate(method: Method, head: &RequestHead, known: &Validators<'_>, now: HttpDate) -> Condition {
    let reads = matches!(method, Method::Get | Method::Head);
    if head.field(b"if-match").is_some() {
        if !lists_tag(head, b"if-match", known.etag, Strength::Strong) {
            return Condition::PreconditionFailed;
        }
    } else if let (Some(since), Some(modified)) = (date(head, b"if-unmodified-since", now), known.last_modified)
        && modified > since
    {
        return Condition::PreconditionFailed;
    }
    if head.field(b"if-none-match").is_some() {
        return match lists_tag(head, b"if-none-match", known.etag, Strength::Weak) {
            false => Condition::Proceed,
            true if reads => Condition::NotModified,
            true => Condition::PreconditionFailed,
        };
    }
    match (date(head, b"if-modified-since", now), known.last_modified) {
        (Some(since), Some(modified)) if reads && modified <= since && since <= now => Condition::NotModified,
        _ => Condition::Proceed,
    }
}

/// Whether the Range field of a request counts: there is no If-Range, or it names exactly the representation there is,
/// by a strong tag or by a date that is a strong validator, being in the past by a second at least (RFC 9110 §13.1.5).
pub fn if_range_holds(head: &RequestHead, known: &Validators<'_>, now: HttpDate) -> bool {
    let Some(value) = head.field(b"if-range") else {
        return true;
    };
    if head.values(b"if-range").nth(1).is_some() {
        return false;
    }
    if value.starts_with(b"\"") || value.starts_with(b"W/") {
        return match (ETag::parse(value), known.etag) {
            (Some(asked), Some(etag)) => asked.strongly_matches(etag),
            _ => false,
        };
    }
    match (HttpDate::parse(value, now), known.last_modified) {
        (Some(asked), Some(modified)) => asked == modified && modified < now,
        _ => false,
    }
}

/// Whether one of the tags in the field `name` matches by that comparison; `*` matches any representation.
fn lists_tag<'a>(head: &'a RequestHead, name: &'a [u8], etag: Option<ETag<'_>>, comparison: Strength) -> bool {
    let matches = |asked: ETag<'_>| match (etag, comparison) {
        (None, _) => false,
        (Some(etag), Strength::Strong) => asked.strongly_matches(etag),
        (Some(etag), Strength::Weak) => asked.weakly_matches(etag),
    };
    head.values(name)
        .flat_map(list_members)
        .any(|member| member == b"*" || ETag::parse(member).is_some_and(matches))
}

/// What clients take for a date is one (section 5.6.7) where it can mean one time only; If-Range has to be exact.
fn date(head: &RequestHead, name: &[u8], now: HttpDate) -> Option<HttpDate> {
    HttpDate::parse_loosely(head.field(name)?, now)
}

#[cfg(test)]
mod tests;
