//! Tests: words and files of `lychgate passwd`.

use std::ffi::OsString;

use super::options::{Deed, Source, parse};
use super::{Code, changed};
use crate::auth::hash::Method;

fn words(line: &str) -> Vec<OsString> {
    line.split(' ')
        .filter(|word| !word.is_empty())
        .map(OsString::from)
        .collect()
}

#[test]
fn letters_are_those_of_htpasswd() {
    for (line, deed, method, has_file) in [
        ("file ann", Deed::Update, Method::Bcrypt(10), true),
        ("-cbB -C 4 file ann pw", Deed::Create, Method::Bcrypt(4), true),
        ("-C4 -bB file ann pw", Deed::Update, Method::Bcrypt(4), true),
        ("-nbm ann pw", Deed::Print, Method::Apr1, false),
        ("-nb2r1000 ann pw", Deed::Print, Method::Sha256(1000), false),
        ("-n -b -5 ann pw", Deed::Print, Method::Sha512(5000), false),
        ("-ni -s ann", Deed::Print, Method::Sha1, false),
        ("-vb file ann pw", Deed::Verify, Method::Bcrypt(10), true),
        ("-D file ann", Deed::Delete, Method::Bcrypt(10), true),
    ] {
        let request = parse(&words(line)).expect(line);
        assert_eq!((request.deed, request.method), (deed, method), "{line}");
        assert_eq!(request.file.is_some(), has_file, "{line}");
        assert_eq!(request.user, b"ann", "{line}");
        assert_eq!(
            matches!(request.source, Source::Given(_)),
            line.contains("pw"),
            "{line}"
        );
    }
}

#[test]
fn wrong_words_have_the_codes_of_htpasswd() {
    let long = "x".repeat(257);
    for (line, code) in [
        (String::new(), Code::Syntax),
        ("-b file ann".into(), Code::Syntax),
        ("-cn ann".into(), Code::Syntax),
        ("-cD file ann".into(), Code::Syntax),
        ("-bi file ann pw".into(), Code::Syntax),
        ("-nbp ann pw".into(), Code::Syntax),
        ("-nbd ann pw".into(), Code::Syntax),
        ("-nb -C x ann pw".into(), Code::Syntax),
        ("-z".into(), Code::Syntax),
        ("-nb -C 3 ann pw".into(), Code::Mismatch),
        ("-nb -C 18 ann pw".into(), Code::Mismatch),
        ("-nb5 -r 10 ann pw".into(), Code::Mismatch),
        ("-nb a:b pw".into(), Code::BadUser),
        (format!("-nb {long} pw"), Code::TooLong),
        (format!("-nb ann {long}"), Code::TooLong),
    ] {
        assert_eq!(parse(&words(&line)).err().map(|(code, _)| code), Some(code), "{line}");
    }
}

#[test]
fn other_lines_stay_as_they_are() {
    let text = b"# who\nann:1\n\nbob:2";
    for (at, line, want) in [
        (Some(1), Some(&b"ann:3"[..]), &b"# who\nann:3\n\nbob:2\n"[..]),
        (Some(3), None, b"# who\nann:1\n\n"),
        (None, Some(b"eve:4"), b"# who\nann:1\n\nbob:2\neve:4\n"),
    ] {
        assert_eq!(changed(text, at, line), want);
    }
    assert_eq!(changed(b"", None, Some(b"ann:1")), b"ann:1\n");
    assert_eq!(changed(b"ann:1\n", Some(0), None), b"");
}
