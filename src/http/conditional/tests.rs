//! Conditions in their order of precedence (RFC 9110 §13.1, §13.2.2).

use super::{Condition, ETag, Strength, Validators, evaluate, if_range_holds};
use crate::base::date::HttpDate;
use crate::http::head::{HeadLimits, ProtocolOptions, RequestHead};

const NOW: HttpDate = HttpDate::from_seconds(784_111_777 + 86_400);
const MODIFIED: HttpDate = HttpDate::from_seconds(784_111_777);
const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const AFTER: &str = "Sunday, 06-Nov-94 08:49:38 GMT";
const FUTURE: &str = "Fri, 06 Nov 2099 08:49:37 GMT";

const KNOWN: Validators<'_> = Validators {
    etag: Some(ETag {
        strength: Strength::Strong,
        opaque: b"abc",
    }),
    last_modified: Some(MODIFIED),
};

fn head(method: &str, fields: &str) -> RequestHead {
    let fields = fields
        .replace("{same}", SAME)
        .replace("{before}", BEFORE)
        .replace("{after}", AFTER)
        .replace("{future}", FUTURE)
        .replace('|', "\r\n");
    let text = format!("{method} / HTTP/1.1\r\n{fields}\r\n\r\n");
    let mut head = RequestHead::new();
    head.parse(text.as_bytes(), &HeadLimits::default(), ProtocolOptions::default())
        .expect("the head is good");
    head
}

#[test]
fn entity_tags() {
    for (text, want) in [
        ("\"abc\"", Some((Strength::Strong, "abc"))),
        ("W/\"abc\"", Some((Strength::Weak, "abc"))),
        ("\"\"", Some((Strength::Strong, ""))),
        ("\"a,b\"", Some((Strength::Strong, "a,b"))),
        ("w/\"abc\"", None),
        ("abc", None),
        ("\"abc", None),
        ("\"", None),
        ("\"a\"b\"", None),
        ("\"a b\"", None),
        ("W/", None),
        ("*", None),
        ("", None),
    ] {
        let found = ETag::parse(text.as_bytes()).map(|tag| (tag.strength, tag.opaque));
        assert_eq!(found, want.map(|(s, o)| (s, o.as_bytes())), "{text}");
        if let Some(tag) = ETag::parse(text.as_bytes()) {
            let mut out = Vec::new();
            tag.append_to(&mut out);
            assert_eq!(out, text.as_bytes());
        }
    }
}

#[test]
fn comparison() {
    // RFC 9110 §8.8.3.2, table 3.
    for (one, two, strong, weak) in [
        ("W/\"1\"", "W/\"1\"", false, true),
        ("W/\"1\"", "W/\"2\"", false, false),
        ("W/\"1\"", "\"1\"", false, true),
        ("\"1\"", "\"1\"", true, true),
    ] {
        let (one, two) = (ETag::parse(one.as_bytes()), ETag::parse(two.as_bytes()));
        let (one, two) = one.zip(two).expect("both are tags");
        assert_eq!(one.strongly_matches(two), strong);
        assert_eq!(one.weakly_matches(two), weak);
    }
}

#[test]
fn preconditions() {
    use Condition::{NotModified, PreconditionFailed, Proceed};
    for (method, fields, want) in [
        ("GET", "X: 1", Proceed),
        ("GET", "If-None-Match: \"abc\"", NotModified),
        ("HEAD", "If-None-Match: \"abc\"", NotModified),
        ("POST", "If-None-Match: \"abc\"", PreconditionFailed),
        ("GET", "If-None-Match: W/\"abc\"", NotModified),
        ("GET", "If-None-Match: \"x\", \"abc\"", NotModified),
        ("GET", "If-None-Match: \"x\"|If-None-Match: \"abc\"", NotModified),
        ("GET", "If-None-Match: *", NotModified),
        ("PUT", "If-None-Match: *", PreconditionFailed),
        ("GET", "If-None-Match: \"x\"", Proceed),
        ("GET", "If-None-Match: abc", Proceed),
        ("GET", "If-None-Match: \"a,\\\"abc\"", Proceed),
        ("GET", "If-Modified-Since: {same}", NotModified),
        ("HEAD", "If-Modified-Since: {after}", NotModified),
        ("GET", "If-Modified-Since: {before}", Proceed),
        ("POST", "If-Modified-Since: {same}", Proceed),
        ("GET", "If-Modified-Since: {future}", Proceed),
        ("GET", "If-Modified-Since: yesterday", Proceed),
        ("GET", "If-Modified-Since: {same}; length=5", NotModified),
        ("GET", "If-Modified-Since: {before}; length=5", Proceed),
        ("GET", "If-None-Match: \"x\"|If-Modified-Since: {same}", Proceed),
        ("GET", "If-None-Match: \"abc\"|If-Modified-Since: {before}", NotModified),
        ("GET", "If-Match: \"abc\"", Proceed),
        ("GET", "If-Match: *", Proceed),
        ("GET", "If-Match: \"x\"", PreconditionFailed),
        ("GET", "If-Match: W/\"abc\"", PreconditionFailed),
        ("GET", "If-Unmodified-Since: {same}", Proceed),
        ("GET", "If-Unmodified-Since: {before}", PreconditionFailed),
        ("POST", "If-Unmodified-Since: {before}", PreconditionFailed),
        ("GET", "If-Unmodified-Since: never", Proceed),
        ("GET", "If-Match: \"abc\"|If-Unmodified-Since: {before}", Proceed),
        ("GET", "If-Match: \"x\"|If-None-Match: \"abc\"", PreconditionFailed),
        ("GET", "If-Match: \"abc\"|If-None-Match: \"abc\"", NotModified),
        (
            "GET",
            "If-Unmodified-Since: {before}|If-Modified-Since: {same}",
            PreconditionFailed,
        ),
        (
            "GET",
            "If-Unmodified-Since: {same}|If-Modified-Since: {same}",
            NotModified,
        ),
    ] {
        let head = head(method, fields);
        assert_eq!(evaluate(head.method(), &head, &KNOWN, NOW), want, "{method} {fields}");
    }
}

#[test]
fn a_representation_without_validators_matches_only_a_star() {
    let none = Validators::default();
    for (fields, want) in [
        ("If-None-Match: \"abc\"", Condition::Proceed),
        ("If-None-Match: *", Condition::NotModified),
        ("If-Match: \"abc\"", Condition::PreconditionFailed),
        ("If-Match: *", Condition::Proceed),
        ("If-Modified-Since: {same}", Condition::Proceed),
        ("If-Unmodified-Since: {before}", Condition::Proceed),
    ] {
        let head = head("GET", fields);
        assert_eq!(evaluate(head.method(), &head, &none, NOW), want, "{fields}");
    }
}

#[test]
fn if_range() {
    let weak = Validators {
        etag: Some(ETag {
            strength: Strength::Weak,
            opaque: b"abc",
        }),
        ..KNOWN
    };
    for (fields, known, now, want) in [
        ("X: 1", KNOWN, NOW, true),
        ("If-Range: \"abc\"", KNOWN, NOW, true),
        ("If-Range: \"x\"", KNOWN, NOW, false),
        ("If-Range: W/\"abc\"", KNOWN, NOW, false),
        ("If-Range: \"abc\"", weak, NOW, false),
        ("If-Range: W/\"abc\"", weak, NOW, false),
        ("If-Range: \"abc\"", Validators::default(), NOW, false),
        ("If-Range: \"x\", \"abc\"", KNOWN, NOW, false),
        ("If-Range: \"abc\"|If-Range: \"abc\"", KNOWN, NOW, false),
        ("If-Range: {same}", KNOWN, NOW, true),
        ("If-Range: {before}", KNOWN, NOW, false),
        ("If-Range: {after}", KNOWN, NOW, false),
        ("If-Range: {same}", KNOWN, MODIFIED, false),
        ("If-Range: {same}", Validators::default(), NOW, false),
        ("If-Range: *", KNOWN, NOW, false),
        ("If-Range: abc", KNOWN, NOW, false),
    ] {
        assert_eq!(if_range_holds(&head("GET", fields), &known, now), want, "{fields}");
    }
}
