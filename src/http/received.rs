//! The head of a response that another server sent (RFC 9112 section 4), read in pieces as they arrive, and where its body
//! ends (section 6.3). What could be read in two ways is refused.

use std::fmt;

use crate::base::ascii;
use crate::http::fields::{Fields, is_field_value, list_has_token, list_members};
use crate::http::framing::{FramingError, Persistence, parse_length};
use crate::http::head::Version;
use crate::http::method::Method;
use crate::http::response::ResponseHead;
use crate::http::status::Status;

/// Bytes of a whole head, fields of any number; a longer one is refused. No directive moves it.
const HEAD_SIZE: usize = 256 * 1024;

/// What becomes of a line that is no field (`ProxyBadHeader`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadLine {
    /// The response is refused.
    Refused,
    /// It is left out.
    LeftOut,
    /// The body begins with it.
    BeginsBody,
}

/// Why a head was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceivedError {
    /// The first line is not that of an HTTP/1 response.
    StatusLine,
    /// A line that is no field.
    Field,
    /// A line of more bytes than this.
    LineTooLong(usize),
    /// All lines together.
    HeadTooLarge,
}

impl fmt::Display for ReceivedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReceivedError::StatusLine => f.write_str("its first line is no status line of HTTP/1"),
            ReceivedError::Field => f.write_str("a line of its head is no field (ProxyBadHeader)"),
            ReceivedError::LineTooLong(most) => {
                write!(f, "a line of its head has more than {most} bytes (responsefieldsize)")
            }
            ReceivedError::HeadTooLarge => write!(f, "its head has more than {HEAD_SIZE} bytes"),
        }
    }
}

impl std::error::Error for ReceivedError {}

/// A head that was received.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// The version that it was sent in.
    pub version: Version,
    /// Status and fields.
    pub head: ResponseHead,
}

/// Reads the heads of one response: interim ones, and the final one.
#[derive(Clone, Debug)]
pub struct HeadReader {
    line_limit: usize,
    bad_line: BadLine,
    /// Where the line begins that is not read yet, and up to where no line end is.
    line_start: usize,
    scanned: usize,
    begun: Option<Received>,
    /// Whether the last line was a field, or part of one, so that the next may continue it.
    last: LastLine,
}

impl HeadReader {
    /// A reader that takes lines of so many bytes.
    pub fn new(line_limit: usize, bad_line: BadLine) -> HeadReader {
        HeadReader {
            line_limit,
            bad_line,
            line_start: 0,
            scanned: 0,
            begun: None,
            last: LastLine::None,
        }
    }

    /// Reads from `input`, which starts where the head starts: the head and its length, once it is whole. Until then call
    /// again with the same bytes and more behind them. The call after a whole head begins the next one.
    pub fn parse(&mut self, input: &[u8]) -> Result<Option<(Received, usize)>, ReceivedError> {
        while let Some(at) = memchr::memchr(b'\n', input.get(self.scanned..).unwrap_or_default()) {
            let (start, end) = (self.line_start, self.scanned + at);
            let line = input.get(start..end).unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.len() > self.line_limit {
                return Err(ReceivedError::LineTooLong(self.line_limit));
            }
            if end > HEAD_SIZE {
                return Err(ReceivedError::HeadTooLarge);
            }
            self.line_start = end + 1;
            self.scanned = end + 1;
            match self.line(line)? {
                Line::Read => {}
                Line::Last => return Ok(self.whole(end + 1)),
                Line::OfBody => return Ok(self.whole(start)),
            }
        }
        self.scanned = input.len();
        if input.len() - self.line_start > self.line_limit.saturating_add(1) {
            return Err(ReceivedError::LineTooLong(self.line_limit));
        }
        if input.len() > HEAD_SIZE {
            return Err(ReceivedError::HeadTooLarge);
        }
        Ok(None)
    }

    fn line(&mut self, line: &[u8]) -> Result<Line, ReceivedError> {
        let Some(begun) = &mut self.begun else {
            self.begun = Some(status_line(line).ok_or(ReceivedError::StatusLine)?);
            return Ok(Line::Read);
        };
        let fields = &mut begun.head.fields;
        match (line, self.last) {
            ([], _) => return Ok(Line::Last),
            // RFC 9112 section 5.2: the value of a folded field is one line to whoever comes next.
            ([b' ' | b'\t', rest @ ..], LastLine::OfField) if is_field_value(rest) => {
                fields.continue_last(rest);
                return Ok(Line::Read);
            }
            _ => {}
        }
        if field(line).is_some_and(|(name, value)| fields.try_append(name, value).is_ok()) {
            self.last = LastLine::OfField;
            return Ok(Line::Read);
        }
        match self.bad_line {
            BadLine::Refused => Err(ReceivedError::Field),
            BadLine::LeftOut => Ok(Line::Read),
            BadLine::BeginsBody => Ok(Line::OfBody),
        }
    }

    fn whole(&mut self, length: usize) -> Option<(Received, usize)> {
        self.last = LastLine::None;
        (self.line_start, self.scanned) = (0, 0);
        Some((self.begun.take()?, length))
    }
}

/// What the line before was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LastLine {
    None,
    OfField,
}

/// What a line was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Read,
    /// The empty one.
    Last,
    /// The first of the body.
    OfBody,
}

/// What most heads have room in.
const USUAL_FIELDS: usize = 16;
const USUAL_SIZE: usize = 512;

/// `HTTP/1.1 200 OK`; the phrase may be missing.
fn status_line(line: &[u8]) -> Option<Received> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let (minor, rest) = rest.split_first()?;
    let version = match minor {
        b'0' => Version::V10,
        b'1'..=b'9' => Version::V11,
        _ => return None,
    };
    let (code, phrase) = rest.strip_prefix(b" ")?.split_at_checked(3)?;
    let mut head = ResponseHead::new(Status::from_bytes(code)?);
    head.fields = Fields::with_room(USUAL_FIELDS, USUAL_SIZE);
    head.reason = match phrase {
        [] => None,
        [b' ', phrase @ ..] if phrase == head.status.reason().as_bytes() => None,
        [b' ', phrase @ ..] if is_field_value(phrase) => Some(phrase.to_vec()),
        _ => return None,
    };
    Some(Received { version, head })
}

/// Name and value, as they stand there. White space before the colon is taken out, as RFC 9112 section 5.1 has it of responses.
fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', line)?;
    let (name, value) = (line.get(..colon)?, line.get(colon + 1..)?);
    let length = name.iter().rposition(|byte| !matches!(byte, b' ' | b'\t'))? + 1;
    Some((name.get(..length)?, ascii::trim_ows(value)))
}

/// Where the body of a received response ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyEnd {
    /// There is none.
    NoBody,
    /// Behind so many bytes.
    Length(u64),
    /// Where the last chunk says so.
    Chunked,
    /// With the connection.
    Close,
}

impl Received {
    /// Where the body ends of this response to `method`. Anything but one length or one chunked coding is refused, and so is
    /// a coding of HTTP/1.0 (RFC 9112 section 6.1): whoever sent it may mean another end than we.
    pub fn body_end(&self, method: Method) -> Result<BodyEnd, FramingError> {
        let status = self.head.status;
        let fields = &self.head.fields;
        let length = self.stated_length()?;
        // A response to HEAD may say how its body would be framed; 1xx and 204 may not, and have none all the same.
        if !status.allows_body() {
            return Ok(BodyEnd::NoBody);
        }
        let end = match (fields.contains("Transfer-Encoding"), length) {
            (true, Some(_)) => return Err(FramingError::Both),
            (true, None) => coded(self.version, fields)?,
            (false, Some(length)) => BodyEnd::Length(length),
            (false, None) => BodyEnd::Close,
        };
        Ok(if method == Method::Head { BodyEnd::NoBody } else { end })
    }

    /// The one Content-Length. Said twice, it must be the same (RFC 9112 section 6.3).
    pub fn stated_length(&self) -> Result<Option<u64>, FramingError> {
        let mut lengths = self.head.fields.values(b"content-length");
        let Some(digits) = lengths.next() else {
            return Ok(None);
        };
        match parse_length(digits) {
            Some(length) if lengths.all(|other| other == digits) => Ok(Some(length)),
            _ => Err(FramingError::Length),
        }
    }

    /// Whether the sender keeps the connection (RFC 9112 section 9.3).
    pub fn persistence(&self) -> Persistence {
        let has = |token: &[u8]| {
            let mut values = self.head.fields.values(b"connection");
            values.any(|value| list_has_token(value, token))
        };
        let stays = match self.version {
            Version::V11 => !has(b"close"),
            Version::V10 => has(b"keep-alive") && !has(b"close"),
            Version::V09 => false,
        };
        if stays {
            Persistence::KeepAlive
        } else {
            Persistence::Close
        }
    }
}

fn coded(version: Version, fields: &Fields) -> Result<BodyEnd, FramingError> {
    if version < Version::V11 {
        return Err(FramingError::CodingInOldVersion);
    }
    let mut codings = fields.values(b"transfer-encoding").flat_map(list_members);
    match (codings.next(), codings.next()) {
        (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => Ok(BodyEnd::Chunked),
        (Some(coding), _) if !coding.eq_ignore_ascii_case(b"chunked") => Err(FramingError::UnknownCoding),
        _ => Err(FramingError::Coding),
    }
}

#[cfg(test)]
mod tests;
