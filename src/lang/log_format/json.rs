//! The nickname `json`: one JSON object (RFC 8259) a line.
//!
//! Fields, in this order, each always there and `null` where the request has none: `time` (RFC 3339, UTC, when
//! the request began), `client`, `user`, `method`, `target` (the request line's), `protocol`, `status`, `site`
//! (ServerName), `host`, `path` (decoded), `query`, `handler`, `body_bytes`, `bytes_in`, `bytes_out`,
//! `duration_us`, `referer`, `user_agent`. Strings are JSON strings, not `\xhh`: a string that is not UTF-8 is
//! read as ISO 8859-1.

use std::time::Duration;

use jiff::Timestamp;

use super::escape::hex;
use super::record::{AccessRecord, Which};
use super::write::{address, formatted, number, password};
use crate::lang::local_time;

/// Appends the request's object and the line's end.
pub(super) fn append(record: &impl AccessRecord, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"time\":\"");
    timestamp(local_time::since_epoch(record.started()), out);
    out.extend_from_slice(b"\",\"client\":\"");
    address(record.client().ip(), out);
    out.push(b'"');
    member("user", record.user(Which::Last), out);
    member("method", record.method(Which::First), out);
    match record.request_line().and_then(target) {
        Some((target, None)) => member("target", Some(target), out),
        Some((before, Some(after))) => member("target", Some(&[before, b"XXXXXXXX", after].concat()), out),
        None => member("target", None, out),
    }
    member("protocol", Some(record.protocol()), out);
    numeric("status", record.status(Which::Last).into(), out);
    member("site", Some(record.server_name()), out);
    member("host", record.request_field("Host").as_deref(), out);
    member("path", record.path(Which::First), out);
    member("query", record.query(Which::First), out);
    member("handler", record.handler(Which::Last), out);
    numeric("body_bytes", record.body_bytes(), out);
    numeric("bytes_in", record.bytes_in(), out);
    numeric("bytes_out", record.bytes_out(), out);
    formatted(format_args!(",\"duration_us\":{}", record.duration().as_micros()), out);
    member("referer", record.request_field("Referer").as_deref(), out);
    member("user_agent", record.request_field("User-Agent").as_deref(), out);
    out.extend_from_slice(b"}\n");
}

/// The request target; in two pieces when a password stood between them.
fn target(line: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let first = line.iter().position(|b| *b == b' ')?;
    let cut = |text: &'_ [u8]| text.iter().rposition(|b| *b == b' ');
    if let Some((before, after)) = password(line) {
        let end = cut(after).unwrap_or(after.len());
        return Some((&before[first + 1..], Some(&after[..end])));
    }
    let rest = &line[first + 1..];
    Some((&rest[..cut(rest).unwrap_or(rest.len())], None))
}

fn timestamp(since_epoch: Duration, out: &mut Vec<u8>) {
    let seconds = i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX);
    let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
    let date = time.to_zoned(jiff::tz::TimeZone::UTC);
    formatted(
        format_args!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
            date.year(),
            date.month(),
            date.day(),
            date.hour(),
            date.minute(),
            date.second(),
            since_epoch.subsec_micros()
        ),
        out,
    );
}

fn numeric(name: &str, value: u64, out: &mut Vec<u8>) {
    formatted(format_args!(",\"{name}\":"), out);
    number(value, out);
}

fn member(name: &str, value: Option<&[u8]>, out: &mut Vec<u8>) {
    formatted(format_args!(",\"{name}\":"), out);
    match value {
        Some(value) => string(value, out),
        None => out.extend_from_slice(b"null"),
    }
}

fn string(value: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    if let Ok(text) = str::from_utf8(value) {
        for byte in text.bytes() {
            escaped(byte, out);
        }
    } else {
        for byte in value {
            match byte {
                0x80.. => out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)]),
                _ => escaped(*byte, out),
            }
        }
    }
    out.push(b'"');
}

fn escaped(byte: u8, out: &mut Vec<u8>) {
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        0..=0x1f | 0x7f => out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)]),
        _ => out.push(byte),
    }
}
