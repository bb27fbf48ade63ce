//! Hosts good and bad, and which one wins (TRAPS rows 14, 15; Apache's verdicts seen with 2.4.71).

use super::{Host, HostError};
use crate::http::head::{HeadLimits, ProtocolOptions, RequestHead};

#[test]
fn names_and_addresses() {
    for (text, name, port) in [
        ("example.org", "example.org", None),
        ("WWW.Example.ORG:8080", "www.example.org", Some(8080)),
        ("example.org.", "example.org", None),
        ("example.org.:80", "example.org", Some(80)),
        ("localhost", "localhost", None),
        ("a_b.example", "a_b.example", None),
        ("-a", "-a", None),
        ("1a.com", "1a.com", None),
        ("a.b1", "a.b1", None),
        ("127.0.0.1:65535", "127.0.0.1", Some(65535)),
        ("1.2.3.4.", "1.2.3.4", None),
        ("[::1]", "[::1]", None),
        ("[2001:DB8::1]:443", "[2001:db8::1]", Some(443)),
        ("xn--caf-dma.example", "xn--caf-dma.example", None),
    ] {
        let want = Host {
            name: name.as_bytes().to_vec(),
            port,
        };
        assert_eq!(Host::parse(text.as_bytes()), Ok(want), "{text}");
    }
}

#[test]
fn what_is_no_host_is_refused() {
    for text in [
        "",
        ".",
        "..",
        "a..b",
        ".a",
        "a..",
        "a b",
        " a",
        "a/b",
        "a\\b",
        "../etc",
        "a,b",
        "u@a",
        "a:",
        "a:0",
        "a:65536",
        "a:80x",
        "a:+80",
        "a:-1",
        "a:80:80",
        ":80",
        "1.2.3",
        "01.2.3.4",
        "1.2.3.400",
        "1.2.3.4.5",
        "123",
        "a.1",
        "[::1",
        "::1",
        "[::g]",
        "[]",
        "[::1]x",
        "[::1]80",
        "[::1]:",
        "[v1.a]",
        "[::1%25eth0]",
        "caf\u{e9}",
        "a%2eb",
        "a\0",
        "a\t",
        "*",
        "a*",
        "<a>",
        "a\"b",
    ] {
        assert!(Host::parse(text.as_bytes()).is_err(), "{text}");
    }
}

fn settle(request: &str) -> (RequestHead, Result<Option<Vec<u8>>, HostError>) {
    let mut head = RequestHead::new();
    head.parse(request.as_bytes(), &HeadLimits::default(), ProtocolOptions::default())
        .expect("the head is good");
    let host = head.settle_host().map(|host| host.map(|host| host.name));
    (head, host)
}

#[test]
fn every_request_of_one_point_one_has_one_good_host() {
    for (request, want) in [
        ("GET / HTTP/1.1\r\nHost: A\r\n\r\n", Ok(Some(b"a".to_vec()))),
        ("GET / HTTP/1.1\r\n\r\n", Err(HostError::Missing)),
        ("GET http://a/ HTTP/1.1\r\n\r\n", Err(HostError::Missing)),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Err(HostError::Repeated)),
        ("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", Err(HostError::Repeated)),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Err(HostError::Name)),
        ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", Err(HostError::Name)),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", Err(HostError::Empty)),
        ("GET / HTTP/1.0\r\nHost:\r\n\r\n", Err(HostError::Empty)),
        ("GET http://b/ HTTP/1.1\r\nHost:\r\n\r\n", Ok(Some(b"b".to_vec()))),
        ("GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", Err(HostError::Port)),
        ("GET http://a/ HTTP/1.1\r\nHost: /\r\n\r\n", Err(HostError::Name)),
        ("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", Err(HostError::Target)),
        ("GET / HTTP/1.0\r\n\r\n", Ok(None)),
        ("GET /\r\n", Ok(None)),
        ("GET http://b/ HTTP/1.0\r\n\r\n", Ok(Some(b"b".to_vec()))),
    ] {
        let (_, host) = settle(request);
        assert_eq!(host, want, "{request}");
        if let Err(error) = host {
            assert_eq!(error.status().code(), 400);
        }
    }
}

#[test]
fn the_authority_of_the_target_replaces_the_host_field() {
    let (head, host) = settle("GET http://Right.example:81/x HTTP/1.1\r\nX: 1\r\nHost: wrong.example\r\n\r\n");
    assert_eq!(host, Ok(Some(b"right.example".to_vec())));
    assert_eq!(head.field(b"host"), Some(&b"Right.example:81"[..]));
    assert_eq!(head.field_count(), 2);
}
