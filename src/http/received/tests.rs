//! Heads of responses: lines, limits, cuts, and where bodies end.

use super::{BadLine, BodyEnd, HeadReader, Received, ReceivedError};
use crate::base::testing::{Dice, every_cut};
use crate::http::framing::{FramingError, Persistence};
use crate::http::head::Version;
use crate::http::method::Method;

fn parse(text: &str) -> Result<Option<(Received, usize)>, ReceivedError> {
    HeadReader::new(8192, BadLine::Refused).parse(text.as_bytes())
}

fn whole(text: &str) -> Received {
    match parse(text) {
        Ok(Some((received, length))) => {
            assert_eq!(length, text.len(), "{text:?}");
            received
        }
        other => panic!("{text:?}: {other:?}"),
    }
}

fn lines(received: &Received) -> Vec<String> {
    let line = |(name, value): (&[u8], &[u8])| format!("{}: {}", name.escape_ascii(), value.escape_ascii());
    received.head.fields.iter().map(line).collect()
}

#[test]
fn status_lines() {
    for (line, want) in [
        // The usual phrase need not be kept.
        ("HTTP/1.1 200 OK", Some((Version::V11, 200, None))),
        ("HTTP/1.0 404 Not Here", Some((Version::V10, 404, Some("Not Here")))),
        ("HTTP/1.7 200 ", Some((Version::V11, 200, Some("")))),
        ("HTTP/1.1 599", Some((Version::V11, 599, None))),
        ("HTTP/1.1 099 Low", None),
        ("HTTP/1.1 99999", None),
        ("HTTP/1.1 20", None),
        ("HTTP/1.1 200OK", None),
        ("HTTP/1.1  200 OK", None),
        ("HTTP/1.1 200 O\x01K", None),
        ("HTTP/2.0 200 OK", None),
        ("HTTP/0.9 200 OK", None),
        ("http/1.1 200 OK", None),
        ("ICY 200 OK", None),
        ("<html>", None),
        ("", None),
    ] {
        let got = parse(&format!("{line}\r\n\r\n"));
        match want {
            None => assert_eq!(got, Err(ReceivedError::StatusLine), "{line}"),
            Some((version, code, phrase)) => {
                let (received, _) = got.expect("it is one").expect("it is whole");
                let phrase = phrase.map(|phrase| phrase.as_bytes().to_vec());
                assert_eq!(
                    (received.version, received.head.status.code(), received.head.reason),
                    (version, code, phrase),
                    "{line}"
                );
            }
        }
    }
}

#[test]
fn fields_are_read_with_their_leniences() {
    let text =
        "HTTP/1.1 200 OK\r\nA: 1\r\nB :2 \nA:\t3\r\nFolded: one\r\n  two\r\n\tthree\r\nEmpty:\r\nHigh: \u{e9}\r\n\r\n";
    assert_eq!(
        lines(&whole(text)),
        [
            "A: 1",
            "B: 2",
            "A: 3",
            "Folded: one two three",
            "Empty: ",
            "High: \\xc3\\xa9"
        ]
    );
}

#[test]
fn a_field_of_many_lines_takes_no_more_memory_than_they_do() {
    let lines = "\r\n x".repeat(10_000);
    let text = format!("HTTP/1.1 200 OK\r\nA: 1\r\nFolded: one{lines}\r\n\r\n");
    let fields = whole(&text).head.fields;
    assert_eq!(fields.value("folded").map(<[u8]>::len), Some(3 + 2 * 10_000));
    assert!(fields.capacity() < 2 * text.len(), "{}", fields.capacity());
}

#[test]
fn every_cut_gives_the_same() {
    let text = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nA: 1\r\n b\r\nContent-Length: 5\r\n\r\nhello";
    let read = |pieces: [&[u8]; 2]| {
        let (mut reader, mut buffer, mut heads) = (HeadReader::new(100, BadLine::Refused), Vec::new(), Vec::new());
        for piece in pieces {
            buffer.extend_from_slice(piece);
            while heads.len() < 2
                && let Some((head, length)) = reader.parse(&buffer).expect("well-formed")
            {
                heads.push(head);
                buffer.drain(..length);
            }
        }
        (heads, buffer)
    };
    let at_once = read([text, b""]);
    assert_eq!(at_once.0.len(), 2);
    assert_eq!(at_once.1, b"hello");
    every_cut(text, |head, tail| assert_eq!(read([head, tail]), at_once));
}

#[test]
fn lines_that_are_no_fields() {
    let text = "HTTP/1.1 200 OK\r\nA: 1\r\nno field\r\nB: 2\r\n\r\nbody";
    let read = |bad| HeadReader::new(8192, bad).parse(text.as_bytes());
    assert_eq!(read(BadLine::Refused), Err(ReceivedError::Field));
    let (left_out, length) = read(BadLine::LeftOut).expect("taken").expect("whole");
    assert_eq!(
        (lines(&left_out), &text[length..]),
        (vec!["A: 1".to_owned(), "B: 2".to_owned()], "body")
    );
    let (begun, length) = read(BadLine::BeginsBody).expect("taken").expect("whole");
    assert_eq!(
        (lines(&begun), &text[length..]),
        (vec!["A: 1".to_owned()], "no field\r\nB: 2\r\n\r\nbody")
    );
    for line in [": 1", "A B: 1", "A: \x00", "A: a\rb", " folded first", "(a): 1"] {
        let text = format!("HTTP/1.1 200 OK\r\n{line}\r\n\r\n");
        assert_eq!(parse(&text), Err(ReceivedError::Field), "{line:?}");
    }
}

#[test]
fn what_is_too_long_is_refused_before_its_end() {
    let mut reader = HeadReader::new(20, BadLine::Refused);
    assert_eq!(reader.parse(b"HTTP/1.1 200 OK\r\nA: 34567890123456789\r"), Ok(None));
    let long = b"HTTP/1.1 200 OK\r\nA: 345678901234567890\r";
    assert_eq!(reader.parse(long), Err(ReceivedError::LineTooLong(20)));
    let many = format!("HTTP/1.1 200 OK\r\n{}", "A: 1\r\n".repeat(50_000));
    assert_eq!(parse(&many), Err(ReceivedError::HeadTooLarge));
}

#[test]
fn bodies_end_where_rfc_9112_says() {
    let chunked = "Transfer-Encoding: chunked\r\n";
    for (head, method, want) in [
        (
            "1.1 200 OK\r\nContent-Length: 5\r\n",
            Method::Get,
            Ok(BodyEnd::Length(5)),
        ),
        ("1.1 200 OK\r\nContent-Length: 5\r\n", Method::Head, Ok(BodyEnd::NoBody)),
        ("1.1 304 Not\r\nContent-Length: 5\r\n", Method::Get, Ok(BodyEnd::NoBody)),
        ("1.1 204 Not\r\nContent-Length: 5\r\n", Method::Get, Ok(BodyEnd::NoBody)),
        ("1.1 103 Not\r\n", Method::Get, Ok(BodyEnd::NoBody)),
        ("1.1 200 OK\r\n", Method::Get, Ok(BodyEnd::Close)),
        ("1.0 200 OK\r\n", Method::Get, Ok(BodyEnd::Close)),
        (
            "1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n",
            Method::Get,
            Ok(BodyEnd::Chunked),
        ),
        (
            "1.1 200 OK\r\nTransfer-Encoding: gzip\r\n",
            Method::Get,
            Err(FramingError::UnknownCoding),
        ),
        (
            "1.1 200 OK\r\nTransfer-Encoding: identity\r\n",
            Method::Get,
            Err(FramingError::UnknownCoding),
        ),
        (
            "1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n",
            Method::Get,
            Err(FramingError::Coding),
        ),
        (
            "1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n",
            Method::Get,
            Err(FramingError::Coding),
        ),
        (
            "1.1 200 OK\r\nTransfer-Encoding:\r\n",
            Method::Get,
            Err(FramingError::Coding),
        ),
        (
            "1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n",
            Method::Get,
            Err(FramingError::UnknownCoding),
        ),
        (
            "1.1 200 OK\r\nContent-Length: 5\r\nA: b\r\nContent-Length: 5\r\n",
            Method::Get,
            Ok(BodyEnd::Length(5)),
        ),
        (
            "1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
            Method::Get,
            Err(FramingError::Length),
        ),
        (
            "1.1 200 OK\r\nContent-Length: x\r\nContent-Length: x\r\n",
            Method::Get,
            Err(FramingError::Length),
        ),
        (
            "1.1 200 OK\r\nContent-Length: 5, 5\r\n",
            Method::Get,
            Err(FramingError::Length),
        ),
        (
            "1.1 200 OK\r\nContent-Length: -5\r\n",
            Method::Head,
            Err(FramingError::Length),
        ),
        (
            "1.1 200 OK\r\nContent-Length: 5x\r\n",
            Method::Get,
            Err(FramingError::Length),
        ),
        (
            "1.1 200 OK\r\nContent-Length:\r\n",
            Method::Get,
            Err(FramingError::Length),
        ),
    ] {
        let received = whole(&format!("HTTP/{head}\r\n"));
        assert_eq!(received.body_end(method), want, "{head}");
    }
    let both = whole(&format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n{chunked}\r\n"));
    assert_eq!(both.body_end(Method::Get), Err(FramingError::Both));
    let old = whole(&format!("HTTP/1.0 200 OK\r\n{chunked}\r\n"));
    assert_eq!(old.body_end(Method::Get), Err(FramingError::CodingInOldVersion));
}

#[test]
fn who_keeps_the_connection() {
    for (head, stays) in [
        ("1.1 200 OK\r\n", true),
        ("1.1 200 OK\r\nConnection: foo, Close\r\n", false),
        ("1.0 200 OK\r\n", false),
        ("1.0 200 OK\r\nConnection: keep-alive\r\n", true),
    ] {
        let persistence = whole(&format!("HTTP/{head}\r\n")).persistence();
        assert_eq!(persistence == Persistence::KeepAlive, stays, "{head}");
    }
}

#[test]
fn damaged_heads_read_the_same_in_pieces() {
    let texts: [&[u8]; 3] = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: 1\r\n b\r\n\r\nhello",
        b"HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.0 404\nA : b\nno field\nB: c\n\n",
    ];
    let read = |input: &[u8], piece: usize, bad| {
        let (mut reader, mut heads, mut buffer) = (HeadReader::new(40, bad), Vec::new(), Vec::new());
        for part in input.chunks(piece) {
            buffer.extend_from_slice(part);
            while heads.len() < 3 {
                match reader.parse(&buffer) {
                    Ok(None) => break,
                    Ok(Some((head, length))) => {
                        heads.push(head);
                        buffer.drain(..length);
                    }
                    Err(error) => return (heads, 0, Some(error)),
                }
            }
        }
        (heads, buffer.len(), None)
    };
    let mut dice = Dice::new(7);
    for round in 0..30_000 {
        let mut text = texts[round % texts.len()].to_vec();
        dice.damage(&mut text);
        let bad = [BadLine::Refused, BadLine::LeftOut, BadLine::BeginsBody][dice.below(3)];
        let whole = read(&text, text.len().max(1), bad);
        for piece in [1, 1 + dice.below(20)] {
            assert_eq!(
                read(&text, piece, bad),
                whole,
                "{} in pieces of {piece}",
                text.escape_ascii()
            );
        }
    }
}
