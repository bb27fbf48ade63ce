//! Where a body ends, and whether the connection goes on after it (RFC 9112 §6, §9.3).

use std::fmt;

use crate::base::ascii;
use crate::http::fields::{Fields, Names, list_has_token, list_members};
use crate::http::head::{RequestHead, Version};
use crate::http::method::Method;
use crate::http::status::Status;

/// How the body of a request is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// So many bytes, zero among them.
    Length(u64),
    /// Chunks, see [`crate::http::chunked`].
    Chunked,
}

/// Why a message's framing was refused. The connection closes after any of them: what follows the head cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FramingError {
    /// Transfer-Encoding beside Content-Length (RFC 9112 §6.1).
    Both,
    /// Transfer-Encoding in a message below HTTP/1.1.
    CodingInOldVersion,
    /// A transfer coding other than chunked.
    UnknownCoding,
    /// Transfer-Encoding without a coding, or with chunked more than once.
    Coding,
    /// Content-Length that is not one plain number, or that is repeated.
    Length,
}

impl FramingError {
    /// What the client is answered.
    pub fn status(self) -> Status {
        match self {
            FramingError::UnknownCoding => Status::NOT_IMPLEMENTED,
            _ => Status::BAD_REQUEST,
        }
    }
}

impl fmt::Display for FramingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FramingError::Both => "Transfer-Encoding beside Content-Length",
            FramingError::CodingInOldVersion => "Transfer-Encoding in a message below HTTP/1.1",
            FramingError::UnknownCoding => "transfer coding other than chunked",
            FramingError::Coding => "Transfer-Encoding is not chunked once",
            FramingError::Length => "Content-Length is not one plain number",
        })
    }
}

impl std::error::Error for FramingError {}

impl Framing {
    /// Decides by a request's fields.
    pub fn of(head: &RequestHead) -> Result<Framing, FramingError> {
        let mut lengths = head.values(b"content-length");
        let length = lengths.next();
        if head.field(b"transfer-encoding").is_some() {
            if length.is_some() {
                return Err(FramingError::Both);
            }
            return coded(head);
        }
        match length {
            None => Ok(Framing::None),
            Some(_) if lengths.next().is_some() => Err(FramingError::Length),
            Some(digits) => match parse_length(digits) {
                Some(length) => Ok(Framing::Length(length)),
                None => Err(FramingError::Length),
            },
        }
    }
}

fn coded(head: &RequestHead) -> Result<Framing, FramingError> {
    if head.version() < Version::V11 {
        return Err(FramingError::CodingInOldVersion);
    }
    let mut count = 0;
    for coding in head.values(b"transfer-encoding").flat_map(list_members) {
        if !coding.eq_ignore_ascii_case(b"chunked") {
            return Err(FramingError::UnknownCoding);
        }
        count += 1;
    }
    if count == 1 {
        Ok(Framing::Chunked)
    } else {
        Err(FramingError::Coding)
    }
}

/// The value of a Content-Length: decimal digits and nothing else, at most 2^63 - 1 as for Apache's `apr_off_t`.
pub fn parse_length(digits: &[u8]) -> Option<u64> {
    ascii::parse_decimal(digits).filter(|length| i64::try_from(*length).is_ok())
}

/// What a client says of the connection by.
const CONNECTION: Names = Names::new(&[b"connection"]);

/// Whether a connection goes on after the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// Another request may follow.
    KeepAlive,
    /// This was the last.
    Close,
}

impl Persistence {
    /// What the client asks for: in 1.1 it stays unless `Connection: close`, in 1.0 it closes unless
    /// `Connection: keep-alive`, in 0.9 it closes (RFC 9112 §9.3).
    pub fn asked_by(head: &RequestHead) -> Persistence {
        if !head.has_any(&CONNECTION) {
            return match head.version() {
                Version::V09 | Version::V10 => Persistence::Close,
                Version::V11 => Persistence::KeepAlive,
            };
        }
        let has = |token: &[u8]| head.values(b"connection").any(|value| list_has_token(value, token));
        let stays = match head.version() {
            Version::V09 => false,
            Version::V10 => has(b"keep-alive") && !has(b"close"),
            Version::V11 => !has(b"close"),
        };
        if stays {
            Persistence::KeepAlive
        } else {
            Persistence::Close
        }
    }

    /// Whether the client says that it would like the connection to stay.
    pub fn is_asked_for(head: &RequestHead) -> bool {
        let says = |value| list_has_token(value, b"keep-alive");
        head.has_any(&CONNECTION) && head.values(b"connection").any(says)
    }

    /// Stays only if both do.
    #[must_use]
    pub fn and(self, other: Persistence) -> Persistence {
        if self == Persistence::KeepAlive { other } else { self }
    }

    /// Appends the Connection field that a client of that version needs to be told: `close` for 1.1, `Keep-Alive` for
    /// 1.0; the other case goes without saying.
    pub fn append_field(self, version: Version, fields: &mut Fields) {
        match (self, version) {
            (Persistence::Close, Version::V11 | Version::V10) => fields.append("Connection", "close"),
            (Persistence::KeepAlive, Version::V10) => fields.append("Connection", "Keep-Alive"),
            (Persistence::KeepAlive, Version::V11) | (_, Version::V09) => {}
        }
    }
}

/// How the body of a response is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseFraming {
    /// So many bytes follow; Content-Length says so.
    Length(u64),
    /// Chunks follow; Transfer-Encoding says so.
    Chunked,
    /// The body ends with the connection.
    UntilClose,
    /// No body follows, whatever there is of one; a reply to HEAD states the length it knows.
    NoBody {
        /// The Content-Length of the field, if one is stated.
        stated: Option<u64>,
    },
}

impl ResponseFraming {
    /// Decides for a response to `method` in `version`; `length` is the body's where it is known. A body of unknown
    /// length ends with the connection for a 1.0 client; a 1.1 client gets chunks even before a close, so that it sees
    /// when a body was cut short.
    pub fn decide(version: Version, method: Method, status: Status, length: Option<u64>) -> ResponseFraming {
        if !status.allows_body() {
            return ResponseFraming::NoBody { stated: None };
        }
        if method == Method::Head {
            return ResponseFraming::NoBody { stated: length };
        }
        match (length, version) {
            (_, Version::V09) | (None, Version::V10) => ResponseFraming::UntilClose,
            (Some(length), _) => ResponseFraming::Length(length),
            (None, Version::V11) => ResponseFraming::Chunked,
        }
    }

    /// Whether the framing itself lets the connection go on.
    pub fn persistence(self) -> Persistence {
        match self {
            ResponseFraming::UntilClose => Persistence::Close,
            _ => Persistence::KeepAlive,
        }
    }

    /// Whether any body bytes go out.
    pub fn has_body(self) -> bool {
        !matches!(self, ResponseFraming::NoBody { .. })
    }

    /// Makes Content-Length and Transfer-Encoding say what the framing is.
    pub fn set_fields(self, fields: &mut Fields) {
        fields.remove("Content-Length");
        fields.remove("Transfer-Encoding");
        match self {
            ResponseFraming::Length(length) | ResponseFraming::NoBody { stated: Some(length) } => {
                fields.append_decimal("Content-Length", length);
            }
            ResponseFraming::Chunked => fields.append("Transfer-Encoding", "chunked"),
            ResponseFraming::UntilClose | ResponseFraming::NoBody { stated: None } => {}
        }
    }
}

/// What the Expect field asks (RFC 9110 §10.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// Nothing, or nothing that its version may ask.
    None,
    /// `100-continue`: an interim response before the body is sent.
    Continue,
    /// Something else: a 417.
    Unknown,
}

impl Expectation {
    /// Decides by a request's fields. `100-continue` below HTTP/1.1 is ignored; what is unknown is so in any version, as
    /// in Apache.
    pub fn of(head: &RequestHead) -> Expectation {
        let mut found = Expectation::None;
        for member in head.values(b"expect").flat_map(list_members) {
            if !member.eq_ignore_ascii_case(b"100-continue") {
                return Expectation::Unknown;
            }
            if head.version() == Version::V11 {
                found = Expectation::Continue;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests;
