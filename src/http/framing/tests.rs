//! Where bodies end (TRAPS rows 16 to 20, 40; RFC 9112 §6.3 and §9.3).

use super::{Expectation, Framing, FramingError, Persistence, ResponseFraming};
use crate::http::fields::Fields;
use crate::http::head::{HeadLimits, ProtocolOptions, RequestHead, Version};
use crate::http::method::Method;
use crate::http::status::Status;

fn head(version: &str, fields: &str) -> RequestHead {
    let text = format!("POST / {version}\r\n{fields}\r\n");
    let mut head = RequestHead::new();
    head.parse(text.as_bytes(), &HeadLimits::default(), ProtocolOptions::default())
        .expect("the head is good");
    head
}

#[test]
fn request_bodies() {
    for (fields, want) in [
        ("", Ok(Framing::None)),
        ("Content-Length: 0\r\n", Ok(Framing::Length(0))),
        ("Content-Length: 5\r\n", Ok(Framing::Length(5))),
        ("Content-Length: \t5 \r\n", Ok(Framing::Length(5))),
        ("content-length: 005\r\n", Ok(Framing::Length(5))),
        (
            "Content-Length: 9223372036854775807\r\n",
            Ok(Framing::Length(9_223_372_036_854_775_807)),
        ),
        ("Content-Length: 9223372036854775808\r\n", Err(FramingError::Length)),
        ("Content-Length: 18446744073709551616\r\n", Err(FramingError::Length)),
        (
            "Content-Length: 123456789012345678901234567890\r\n",
            Err(FramingError::Length),
        ),
        ("Content-Length: 1\r\nContent-Length: 2\r\n", Err(FramingError::Length)),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", Err(FramingError::Length)),
        ("Content-Length: 5, 5\r\n", Err(FramingError::Length)),
        ("Content-Length: +5\r\n", Err(FramingError::Length)),
        ("Content-Length: -1\r\n", Err(FramingError::Length)),
        ("Content-Length: 0x5\r\n", Err(FramingError::Length)),
        ("Content-Length: 5 5\r\n", Err(FramingError::Length)),
        ("Content-Length: 5;\r\n", Err(FramingError::Length)),
        ("Content-Length: \r\n", Err(FramingError::Length)),
        ("Transfer-Encoding: chunked\r\n", Ok(Framing::Chunked)),
        ("Transfer-Encoding: CHUNKED\r\n", Ok(Framing::Chunked)),
        ("Transfer-Encoding: , chunked ,\r\n", Ok(Framing::Chunked)),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            Err(FramingError::Both),
        ),
        (
            "Content-Length: x\r\nTransfer-Encoding: chunked\r\n",
            Err(FramingError::Both),
        ),
        ("Transfer-Encoding:\r\nContent-Length: 5\r\n", Err(FramingError::Both)),
        ("Transfer-Encoding: xchunked\r\n", Err(FramingError::UnknownCoding)),
        ("Transfer-Encoding: chunkedx\r\n", Err(FramingError::UnknownCoding)),
        (
            "Transfer-Encoding: chunked, identity\r\n",
            Err(FramingError::UnknownCoding),
        ),
        ("Transfer-Encoding: identity\r\n", Err(FramingError::UnknownCoding)),
        ("Transfer-Encoding: gzip, chunked\r\n", Err(FramingError::UnknownCoding)),
        (
            "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
            Err(FramingError::UnknownCoding),
        ),
        ("Transfer-Encoding: chunked, gzip\r\n", Err(FramingError::UnknownCoding)),
        ("Transfer-Encoding: chunked;q=1\r\n", Err(FramingError::UnknownCoding)),
        ("Transfer-Encoding: \"chunked\"\r\n", Err(FramingError::UnknownCoding)),
        ("Transfer-Encoding: chunked, chunked\r\n", Err(FramingError::Coding)),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            Err(FramingError::Coding),
        ),
        ("Transfer-Encoding:\r\n", Err(FramingError::Coding)),
    ] {
        assert_eq!(Framing::of(&head("HTTP/1.1", fields)), want, "{fields}");
    }
}

#[test]
fn transfer_encoding_is_of_one_point_one() {
    let old = head("HTTP/1.0", "Transfer-Encoding: chunked\r\n");
    assert_eq!(Framing::of(&old), Err(FramingError::CodingInOldVersion));
    let old = head("HTTP/1.0", "Content-Length: 3\r\n");
    assert_eq!(Framing::of(&old), Ok(Framing::Length(3)));
}

#[test]
fn errors_have_their_status() {
    for (error, code) in [
        (FramingError::Both, 400),
        (FramingError::CodingInOldVersion, 400),
        (FramingError::UnknownCoding, 501),
        (FramingError::Coding, 400),
        (FramingError::Length, 400),
    ] {
        assert_eq!(error.status().code(), code, "{error}");
    }
}

#[test]
fn connections_that_stay() {
    for (version, fields, want) in [
        ("HTTP/1.1", "", Persistence::KeepAlive),
        ("HTTP/1.1", "Connection: close\r\n", Persistence::Close),
        ("HTTP/1.1", "Connection: TE, Close\r\n", Persistence::Close),
        (
            "HTTP/1.1",
            "Connection: TE\r\nConnection: close\r\n",
            Persistence::Close,
        ),
        ("HTTP/1.1", "Connection: closed\r\n", Persistence::KeepAlive),
        ("HTTP/1.0", "", Persistence::Close),
        ("HTTP/1.0", "Connection: Keep-Alive\r\n", Persistence::KeepAlive),
        ("HTTP/1.0", "Connection: keep-alive, close\r\n", Persistence::Close),
        ("HTTP/1.0", "Keep-Alive: 300\r\n", Persistence::Close),
    ] {
        assert_eq!(
            Persistence::asked_by(&head(version, fields)),
            want,
            "{version} {fields}"
        );
    }
    assert_eq!(Persistence::KeepAlive.and(Persistence::Close), Persistence::Close);
    assert_eq!(Persistence::Close.and(Persistence::KeepAlive), Persistence::Close);
    assert_eq!(
        Persistence::KeepAlive.and(Persistence::KeepAlive),
        Persistence::KeepAlive
    );
}

#[test]
fn the_connection_field_says_what_does_not_go_without_saying() {
    for (persistence, version, want) in [
        (Persistence::Close, Version::V11, Some("close")),
        (Persistence::Close, Version::V10, Some("close")),
        (Persistence::KeepAlive, Version::V10, Some("Keep-Alive")),
        (Persistence::KeepAlive, Version::V11, None),
        (Persistence::Close, Version::V09, None),
    ] {
        let mut fields = Fields::new();
        persistence.append_field(version, &mut fields);
        assert_eq!(fields.value("Connection"), want.map(str::as_bytes));
    }
}

#[test]
fn response_bodies() {
    let none = ResponseFraming::NoBody { stated: None };
    let stated = ResponseFraming::NoBody { stated: Some(5) };
    for (version, method, status, length, want) in [
        (
            Version::V11,
            Method::Get,
            Status::OK,
            Some(5),
            ResponseFraming::Length(5),
        ),
        (Version::V11, Method::Get, Status::OK, None, ResponseFraming::Chunked),
        (Version::V10, Method::Get, Status::OK, None, ResponseFraming::UntilClose),
        (
            Version::V10,
            Method::Get,
            Status::OK,
            Some(5),
            ResponseFraming::Length(5),
        ),
        (
            Version::V09,
            Method::Get,
            Status::OK,
            Some(5),
            ResponseFraming::UntilClose,
        ),
        (Version::V11, Method::Head, Status::OK, Some(5), stated),
        (Version::V11, Method::Head, Status::OK, None, none),
        (Version::V11, Method::Get, Status::NO_CONTENT, Some(5), none),
        (Version::V11, Method::Get, Status::NOT_MODIFIED, Some(5), none),
        (Version::V11, Method::Get, Status::CONTINUE, None, none),
        (
            Version::V11,
            Method::Get,
            Status::NOT_FOUND,
            Some(0),
            ResponseFraming::Length(0),
        ),
    ] {
        assert_eq!(ResponseFraming::decide(version, method, status, length), want);
    }
    assert_eq!(ResponseFraming::UntilClose.persistence(), Persistence::Close);
    assert_eq!(ResponseFraming::Chunked.persistence(), Persistence::KeepAlive);
    assert!(ResponseFraming::Length(0).has_body());
    assert!(!stated.has_body());
}

#[test]
fn framing_fields_are_the_servers_own() {
    for (framing, length, coding) in [
        (ResponseFraming::Length(7), Some("7"), None),
        (ResponseFraming::NoBody { stated: Some(7) }, Some("7"), None),
        (ResponseFraming::NoBody { stated: None }, None, None),
        (ResponseFraming::Chunked, None, Some("chunked")),
        (ResponseFraming::UntilClose, None, None),
    ] {
        let mut fields = Fields::new();
        fields.append("Content-Length", "999");
        fields.append("Transfer-Encoding", "gzip");
        framing.set_fields(&mut fields);
        assert_eq!(fields.value("Content-Length"), length.map(str::as_bytes));
        assert_eq!(fields.value("Transfer-Encoding"), coding.map(str::as_bytes));
    }
}

#[test]
fn expectations() {
    for (version, fields, want) in [
        ("HTTP/1.1", "", Expectation::None),
        ("HTTP/1.1", "Expect: 100-continue\r\n", Expectation::Continue),
        ("HTTP/1.1", "Expect: 100-Continue\r\n", Expectation::Continue),
        ("HTTP/1.1", "Expect: foo\r\n", Expectation::Unknown),
        ("HTTP/1.1", "Expect: 100-continue, foo\r\n", Expectation::Unknown),
        (
            "HTTP/1.1",
            "Expect: 100-continue\r\nExpect: foo=1\r\n",
            Expectation::Unknown,
        ),
        ("HTTP/1.0", "Expect: 100-continue\r\n", Expectation::None),
        ("HTTP/1.0", "Expect: foo\r\n", Expectation::Unknown),
    ] {
        assert_eq!(Expectation::of(&head(version, fields)), want, "{version} {fields}");
    }
}
