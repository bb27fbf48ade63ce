//! The head of a response (RFC 9112 §4): status line and fields, written in one go.

use crate::http::fields::{Fields, is_field_value};
use crate::http::head::Version;
use crate::http::status::Status;

/// A response's status and fields.
#[derive(Clone, Debug, PartialEq)]
pub struct ResponseHead {
    /// The status.
    pub status: Status,
    /// The phrase where a script gave one of its own; see [`ResponseHead::reason`].
    pub reason: Option<Vec<u8>>,
    /// The fields.
    pub fields: Fields,
}

impl ResponseHead {
    /// A head without fields.
    pub fn new(status: Status) -> ResponseHead {
        ResponseHead {
            status,
            reason: None,
            fields: Fields::new(),
        }
    }

    /// The phrase that is sent: one given, unless a control byte is in it, or the usual one.
    pub fn reason(&self) -> &[u8] {
        match &self.reason {
            Some(reason) if is_field_value(reason) => reason,
            _ => self.status.reason().as_bytes(),
        }
    }

    /// Appends status line, fields and the empty line. The status line says HTTP/1.1 to clients of 1.0 too, as RFC 9110
    /// §2.5 has it; an HTTP/0.9 client gets nothing.
    pub fn write_head(&self, version: Version, out: &mut Vec<u8>) {
        if version == Version::V09 {
            return;
        }
        append_status_line(out, self.status, self.reason());
        self.fields.append_to(out);
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends `HTTP/1.1 200 OK` and its line end.
pub fn append_status_line(out: &mut Vec<u8>, status: Status, reason: &[u8]) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(&status.digits());
    out.push(b' ');
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
}

/// The interim response to `Expect: 100-continue`.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::ResponseHead;
    use crate::http::head::Version;
    use crate::http::status::Status;

    #[test]
    fn heads_are_written_whole() {
        let mut head = ResponseHead::new(Status::NOT_FOUND);
        head.fields.append("Content-Length", "0");
        let mut out = Vec::new();
        head.write_head(Version::V11, &mut out);
        assert_eq!(out, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        head.reason = Some(b"Gone Fishing".to_vec());
        out.clear();
        head.write_head(Version::V10, &mut out);
        assert!(out.starts_with(b"HTTP/1.1 404 Gone Fishing\r\n"));
        out.clear();
        head.write_head(Version::V09, &mut out);
        assert!(out.is_empty());
    }

    #[test]
    fn a_phrase_cannot_end_the_status_line() {
        let mut head = ResponseHead::new(Status::OK);
        head.reason = Some(b"OK\r\nX: 1".to_vec());
        let mut out = Vec::new();
        head.write_head(Version::V11, &mut out);
        assert_eq!(out, b"HTTP/1.1 200 OK\r\n\r\n");
    }
}
