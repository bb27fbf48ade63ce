//! Pairs of answers, and what is told of them.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Reading, between, shown};
use crate::commands::compare::client::{Answer, Body};
use crate::exchange::page;
use crate::http::fields::Fields;

fn answer(status: u16, fields: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut all = Fields::new();
    for (name, value) in fields {
        all.append(name, value);
    }
    Answer {
        status,
        fields: all,
        body: Body::of(body),
        is_cut: false,
    }
}

fn told(old: &Answer, new: &Answer) -> Vec<String> {
    let reading = Reading {
        own_names: [vec![b"a:80".to_vec()], vec![b"a:8081".to_vec()]],
        ignored: vec!["x-ignored".to_owned()],
    };
    let found = between(old, new, &reading);
    found
        .into_iter()
        .map(|found| format!("{}: {} / {}", found.what, found.old, found.new))
        .collect()
}

#[test]
fn what_is_each_servers_own_affair_does_not_count() {
    let old = [
        ("Date", "Fri, 20 Nov 2026 22:00:00 GMT"),
        ("Server", "Apache"),
        ("ETag", "\"1-2\""),
        ("Vary", "Accept, Cookie"),
        ("Set-Cookie", "id=1; Path=/; Secure"),
        ("Set-Cookie", "b=1; Expires=Fri, 20 Nov 2026 22:00:00 GMT"),
        ("Location", "http://a:80/x"),
        ("Expires", "Fri, 20 Nov 2026 23:00:00 GMT"),
        ("WWW-Authenticate", "Digest realm=\"r\", nonce=\"abc=\", qop=\"auth\""),
        ("Content-Length", "10"),
        ("X-Ignored", "1"),
    ];
    let new = [
        ("date", "Fri, 20 Nov 2026 22:00:02 GMT"),
        ("Server", "lychgate"),
        ("ETag", "\"3\""),
        ("Vary", "cookie"),
        ("Vary", "accept"),
        ("Set-Cookie", "b=1; Expires=Fri, 20 Nov 2026 22:00:02 GMT"),
        ("Set-Cookie", "id=2; secure; path=/"),
        ("Location", "http://a:8081/x"),
        ("Expires", "Fri, 20 Nov 2026 23:00:02 GMT"),
        ("WWW-Authenticate", "Digest realm=\"r\", nonce=\"xyz\", qop=\"auth\""),
        ("Transfer-Encoding", "chunked"),
        ("X-Ignored", "2"),
    ];
    let old = answer(200, &old, b"see http://a:80/\n");
    let new = answer(200, &new, b"see http://a:8081/\n");
    assert_eq!(told(&old, &new), Vec::<String>::new());
    // A name of the other server's is a difference.
    let strayed = answer(200, &[("Location", "http://a:80/x")], b"");
    let right = answer(200, &[("Location", "http://a:80/x")], b"");
    assert_eq!(told(&right, &strayed), ["location: http://HOST/x / http://a:80/x"]);
}

#[test]
fn what_counts_is_told() {
    let none: &[(&str, &str)] = &[];
    for (old, new, want) in [
        (
            answer(200, none, b"a"),
            answer(404, none, b"b"),
            vec!["status: 200 / 404"],
        ),
        (
            answer(200, &[("Content-Type", "text/html")], b""),
            answer(200, &[("Content-Type", "text/plain")], b""),
            vec!["content-type: text/html / text/plain"],
        ),
        (
            answer(200, &[("ETag", "\"1\"")], b""),
            answer(200, &[("ETag", "W/\"1\"")], b""),
            vec!["etag: a strong one / a weak one"],
        ),
        (
            answer(200, &[("X-Frame-Options", "DENY")], b""),
            answer(200, none, b""),
            vec!["x-frame-options: DENY / none"],
        ),
        (
            answer(200, &[("Set-Cookie", "id=1; HttpOnly")], b""),
            answer(200, &[("Set-Cookie", "id=1")], b""),
            vec!["set-cookie: id; httponly / id"],
        ),
        (
            answer(200, &[("Content-Length", "5")], b""),
            answer(200, &[("Content-Length", "6")], b""),
            vec!["content-length: 5 / 6"],
        ),
        (
            answer(200, none, b"one\ntwo\nthree\n"),
            answer(200, none, b"one\n2\nthree\n"),
            vec!["body: 14 bytes, line 2: two / 12 bytes, line 2: 2"],
        ),
        (
            answer(200, none, b"one\n"),
            answer(200, none, b"one\ntwo\n"),
            vec!["body: 4 bytes, which end before line 2 / 8 bytes, line 2: two"],
        ),
        (
            answer(200, none, b"\0\0a"),
            answer(200, none, b"\0\0bc"),
            vec!["body: 3 bytes, the same up to 2 / 4 bytes, the same up to 2"],
        ),
    ] {
        assert_eq!(told(&old, &new), want);
    }
    let mut cut = answer(200, none, b"a");
    cut.is_cut = true;
    assert_eq!(told(&answer(200, none, b"a"), &cut), ["body: is whole / breaks off"]);
}

#[test]
fn the_same_text_is_the_same_however_it_is_packed() {
    let packed = |level: u32| {
        let mut packed = GzEncoder::new(Vec::new(), Compression::new(level));
        packed
            .write_all(b"the same text, the same text, the same text\n")
            .expect("there is room");
        packed.finish().expect("there is room")
    };
    let fields = [("Content-Encoding", "gzip")];
    let (old, new) = (answer(200, &fields, &packed(1)), answer(200, &fields, &packed(0)));
    assert_ne!(old.body.kept, new.body.kept);
    assert_eq!(told(&old, &new), Vec::<String>::new());
}

#[test]
fn pages_of_the_servers_own_are_the_same_and_those_of_the_site_are_not() {
    let html = [("Content-Type", "text/html")];
    let theirs = b"<!DOCTYPE HTML PUBLIC \"-//IETF//DTD HTML 2.0//EN\">\n<html><head>\n<title>404 Not Found</title>\n";
    let ours = page::begin(b"404 Not Found");
    let latin = [("Content-Type", "text/html; charset=iso-8859-1")];
    assert_eq!(
        told(&answer(404, &latin, theirs), &answer(404, &html, &ours)),
        Vec::<String>::new()
    );
    assert_eq!(
        told(&answer(404, &latin, b""), &answer(404, &html, b"")),
        Vec::<String>::new()
    );
    for (status, site) in [
        (
            404,
            &b"<!DOCTYPE html>\n<html lang=\"en\"><title>404 Not here</title>"[..],
        ),
        (404, b""),
        (200, &ours),
    ] {
        let found = told(&answer(status, &html, theirs), &answer(status, &html, site));
        assert_eq!(found.len(), 1, "{}", site.escape_ascii());
    }
}

#[test]
fn the_signature_under_a_page_is_the_servers_own() {
    let signed = |signature: &str| answer(404, &[], format!("<p>no</p>\n<hr>\n{signature}\n</html>").as_bytes());
    let old = signed("<address>Apache/2.4.71 (Debian) Server at a Port 80</address>");
    let new = signed("<address>lychgate/0.1.0 Server at <a href=\"mailto:x\">a</a> Port 8081</address>");
    assert_eq!(told(&old, &new), Vec::<String>::new());
    assert_eq!(told(&old, &signed("<address>me</address>")).len(), 1);
}

#[test]
fn a_strangers_bytes_reach_no_terminal_as_they_are() {
    assert_eq!(shown(b"a\x1b[2J\xff"), "a\u{fffd}[2J\u{fffd}");
    assert_eq!(shown("é".repeat(200).as_bytes()).chars().count(), 161);
}
