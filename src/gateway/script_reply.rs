//! The head of a script's reply: RFC 3875 section 6, with the habits of real scripts (line ends of any kind, blank lines
//! first, an HTTP status line first) and nothing let through that would be a second meaning on the wire.

use std::fmt;

use crate::base::ascii;
use crate::base::quote;

pub mod plain;

#[cfg(test)]
mod tests;

/// A head that has not ended after so many bytes is given up. Nothing moves it: no directive of Apache does either, and
/// no reply known to us comes near.
pub const MAX_HEAD: usize = 256 * 1024;

/// So many bytes of a script's line are quoted in a message.
const QUOTED_BYTES: usize = 80;

/// Fields that speak of a connection the script does not have, or that the server writes itself.
const SERVERS_OWN: &[&str] = &[
    "Connection",
    "Date",
    "Keep-Alive",
    "Proxy-Connection",
    "Server",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
];

/// Fields of which the last one counts, as in Apache: two of them would contradict each other.
const SAID_ONCE: &[&str] = &["Content-Range", "Content-Type", "ETag"];

/// A reply's head, read and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptReply {
    /// 200–599. 200 where the script named none, 302 for a client redirect.
    pub status: u16,
    /// Whether the script named a status, be it 200.
    pub says_status: bool,
    /// The script's own words for the status.
    pub reason: Option<Vec<u8>>,
    /// What the script asks for.
    pub kind: Kind,
    /// The fields for the client, in order, safe to send; Content-Type among them, Location too when the kind is a document.
    /// Content-Length never.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// The length the script promised for its document.
    pub content_length: Option<u64>,
    /// The first bytes of the body: what had arrived behind the head.
    pub body_start: Vec<u8>,
    /// What the script said and the client will not see.
    pub dropped: Vec<Dropped>,
}

/// What a reply asks the server to do: sections 6.2.1 to 6.2.4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Send status, fields and body. A client redirect with a document of its own is this too.
    Document,
    /// Answer as if the client had asked for this path and query, with GET (6.2.2).
    LocalRedirect(Vec<u8>),
    /// Send the client there with 302 and a page of the server's (6.2.3).
    ClientRedirect(Vec<u8>),
    /// Its Location is empty, and no status says what that means: nobody can go there.
    Nowhere,
}

/// A line of the head that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The line as it may stand in a log.
    pub line: String,
    /// Why.
    pub why: WhyDropped,
}

/// Why a line of the head was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyDropped {
    /// The name is no field name; `<!--: spam` of Python's cgitb is the well-known one.
    BadName,
    /// A control byte in the value: sent on, it could end the field and begin another.
    BadValue,
    /// A Content-Length that is no number, or a second one that differs.
    BadLength,
    /// A Location without anything in it.
    Empty,
    /// Framing and connection are the server's.
    ServersOwn,
}

impl WhyDropped {
    /// Was it the script's mistake? A field of the server's own is not worth a warning.
    pub fn is_mistake(self) -> bool {
        self != Self::ServersOwn
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.why {
            WhyDropped::BadName => "is not a field name",
            WhyDropped::BadValue => "has a control character in its value",
            WhyDropped::BadLength => "is not one length",
            WhyDropped::Empty => "has no value",
            WhyDropped::ServersOwn => "is the server's to say",
        };
        write!(f, "dropped from the reply: `{}` {why}", self.line)
    }
}

/// Why there is no reply. Each is a 500 from a CGI script (502 from a backend); the message names the cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplyError {
    /// The script ended without a byte.
    Empty,
    /// The first line with anything on it is no field.
    TextFirst(String),
    /// A later line is no field: mostly the empty line before the body was forgotten.
    TextInHead(String),
    /// The head ended and no line of it could be used; the first of them.
    NoField(String),
    /// A Status that is none.
    BadStatus(String),
    /// The script ended inside its head; the last line it wrote.
    Unfinished(String),
    /// No end of the head within [`MAX_HEAD`].
    TooLong,
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "the script wrote nothing"),
            Self::TextFirst(line) => write!(f, "the script wrote text before its header: `{line}`"),
            Self::TextInHead(line) => {
                write!(
                    f,
                    "the script's header has a line that is no field: `{line}`; is the empty line before it missing?"
                )
            }
            Self::NoField(line) => write!(f, "the script's header has no valid field; it begins `{line}`"),
            Self::BadStatus(line) => write!(
                f,
                "the script's Status is none: `{line}`; a good one is `404 Not Found`"
            ),
            Self::Unfinished(line) => {
                write!(
                    f,
                    "the script ended before the empty line that ends its header, after `{line}`"
                )
            }
            Self::TooLong => write!(f, "the script's header is longer than {} KiB", MAX_HEAD / 1024),
        }
    }
}

impl std::error::Error for ReplyError {}

/// Reads a reply's head as the bytes arrive.
#[derive(Debug, Default)]
pub struct ReplyReader {
    head: Head,
    unread: Vec<u8>,
    searched: usize,
    total: usize,
}

impl ReplyReader {
    /// A reader before its first byte.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the script's output. `Ok(None)`: the head goes on. After `Ok(Some)` or an error there is
    /// nothing more to ask; the bytes behind the head are in the reply.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Option<ScriptReply>, ReplyError> {
        self.unread.extend_from_slice(bytes);
        let mut start = 0;
        while let Some(end) = memchr::memchr(b'\n', self.unread.get(self.searched..).unwrap_or_default()) {
            let next = self.searched + end + 1;
            let line = without_line_end(self.unread.get(start..next).unwrap_or_default());
            self.total += next - start;
            if self.total > MAX_HEAD {
                return Err(ReplyError::TooLong);
            }
            let ended = self.head.line(line)? == Progress::End;
            (start, self.searched) = (next, next);
            if ended {
                let body_start = self.unread.split_off(start);
                return std::mem::take(&mut self.head).finish(body_start).map(Some);
            }
        }
        self.unread.drain(..start);
        self.searched = self.unread.len();
        if self.total + self.unread.len() > MAX_HEAD {
            return Err(ReplyError::TooLong);
        }
        Ok(None)
    }

    /// The script's output ended here: why there is no reply.
    pub fn end(mut self) -> ReplyError {
        let rest = without_line_end(&self.unread);
        let begun = field(rest).is_some();
        if !rest.is_empty() {
            self.head.keep_last(rest);
        }
        let has_field = self.head.has_field() || self.head.pending.is_some();
        match self.head.first.take() {
            Some(_) if has_field => ReplyError::Unfinished(excerpt(&self.head.last)),
            Some(first) => ReplyError::TextFirst(excerpt(&first)),
            None if rest.is_empty() => ReplyError::Empty,
            None if begun => ReplyError::Unfinished(excerpt(&self.head.last)),
            None => ReplyError::TextFirst(excerpt(&self.head.last)),
        }
    }
}

#[derive(PartialEq, Eq)]
enum Progress {
    More,
    End,
}

/// What the lines so far have said.
#[derive(Debug, Default)]
struct Head {
    /// As much of the first line as a message quotes.
    first: Option<Vec<u8>>,
    last: Vec<u8>,
    status: Option<(u16, Option<Vec<u8>>)>,
    location: Option<Vec<u8>>,
    content_length: Option<Length>,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    pending: Option<(Vec<u8>, Vec<u8>)>,
    servers_own: bool,
    dropped: Vec<Dropped>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Known(u64),
    Disputed,
}

impl Head {
    /// Takes one line without its end.
    fn line(&mut self, line: &[u8]) -> Result<Progress, ReplyError> {
        let Some(first_byte) = line.first() else {
            if self.first.is_none() {
                return Ok(Progress::More); // a script that prints one newline too many, before its header
            }
            self.take_pending()?;
            return Ok(Progress::End);
        };
        self.keep_last(line);
        if self.first.is_none() {
            self.first = Some(quotable(line));
            if let Some(status) = after_http_version(line) {
                self.set_status(status, line)?;
                return Ok(Progress::More);
            }
        }
        if let (b' ' | b'\t', Some((_, value))) = (first_byte, &mut self.pending) {
            value.push(b' '); // a folded field is put on one line: RFC 9112 section 5.2
            value.extend_from_slice(ascii::trim_ows(line));
            return Ok(Progress::More);
        }
        self.take_pending()?;
        self.pending = field(line);
        if self.pending.is_some() {
            return Ok(Progress::More);
        }
        if line.contains(&b':') {
            self.drop_line(line, WhyDropped::BadName);
            return Ok(Progress::More);
        }
        match &self.first {
            Some(first) if !self.has_field() => Err(ReplyError::TextFirst(excerpt(first))),
            _ => Err(ReplyError::TextInHead(excerpt(line))),
        }
    }

    fn keep_last(&mut self, line: &[u8]) {
        self.last.clear();
        self.last.extend_from_slice(line.get(..=QUOTED_BYTES).unwrap_or(line));
    }

    fn has_field(&self) -> bool {
        self.servers_own
            || self.status.is_some()
            || self.location.is_some()
            || self.content_length.is_some()
            || !self.fields.is_empty()
    }

    /// Judges the field that is now known to be whole.
    fn take_pending(&mut self) -> Result<(), ReplyError> {
        let Some((name, value)) = self.pending.take() else {
            return Ok(());
        };
        let line = || [&name, b": ".as_slice(), &value].concat();
        let is = |known: &str| ascii::eq_ignore_case(&name, known.as_bytes());
        if is("Status") {
            return self.set_status(&value, &line());
        }
        if SERVERS_OWN.iter().any(|own| is(own)) {
            self.servers_own = true;
            self.drop_line(&line(), WhyDropped::ServersOwn);
        } else if value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            self.drop_line(&line(), WhyDropped::BadValue);
        } else if is("Location") {
            if value.is_empty() {
                self.drop_line(&line(), WhyDropped::Empty);
            }
            self.location = Some(value);
        } else if is("Content-Length") {
            self.set_length(&value, &line());
        } else if is("Content-Type") && value.is_empty() {
            // Apache takes it for a header, and sends no type.
            self.servers_own = true;
            self.drop_line(&line(), WhyDropped::Empty);
        } else {
            if SAID_ONCE.iter().any(|once| is(once)) {
                self.fields.retain(|(known, _)| !ascii::eq_ignore_case(known, &name));
            }
            let value = if is("Content-Type") { lower_type(value) } else { value };
            self.fields.push((name, value));
        }
        Ok(())
    }

    /// `404 Not Found`: three digits, then the end or something that is no digit. The last Status counts. 101 would
    /// promise a protocol no CGI script can speak, and other 1xx are not final.
    fn set_status(&mut self, value: &[u8], line: &[u8]) -> Result<(), ReplyError> {
        let (digits, words) = value.split_at(value.len().min(3));
        let status = ascii::parse_decimal(digits).and_then(|status| u16::try_from(status).ok());
        let Some(status @ 200..=599) = status else {
            return Err(ReplyError::BadStatus(excerpt(line)));
        };
        let is_text = words.iter().all(|byte| !byte.is_ascii_control() || *byte == b'\t'); // RFC 9112 section 4
        if words.first().is_some_and(u8::is_ascii_digit) || !is_text {
            return Err(ReplyError::BadStatus(excerpt(line)));
        }
        let words = ascii::trim_ows(words);
        self.status = Some((status, (!words.is_empty()).then(|| words.to_vec())));
        Ok(())
    }

    /// Two lengths that differ are none: the document is then sent as far as it goes.
    fn set_length(&mut self, value: &[u8], line: &[u8]) {
        let length = match (self.content_length, ascii::parse_decimal(value)) {
            (None, Some(length)) => Length::Known(length),
            (Some(Length::Known(before)), Some(length)) if before == length => return,
            _ => Length::Disputed,
        };
        self.content_length = Some(length);
        if length == Length::Disputed {
            self.drop_line(line, WhyDropped::BadLength);
        }
    }

    fn drop_line(&mut self, line: &[u8], why: WhyDropped) {
        self.dropped.push(Dropped {
            line: excerpt(line),
            why,
        });
    }

    /// The head is complete: what does it ask for?
    fn finish(mut self, body_start: Vec<u8>) -> Result<ScriptReply, ReplyError> {
        if !self.has_field() {
            return Err(ReplyError::NoField(excerpt(&self.first.unwrap_or_default())));
        }
        let says_status = self.status.is_some();
        let (mut status, mut reason) = self.status.take().unwrap_or((200, None));
        let kind = match self.location.take() {
            None => Kind::Document,
            Some(nothing) if nothing.is_empty() && status == 200 => Kind::Nowhere,
            Some(nothing) if nothing.is_empty() => Kind::Document,
            // 200 is what no Status means: Apache redirects for both.
            Some(path) if status == 200 && path.starts_with(b"/") => {
                let end = memchr::memchr(b'#', &path).unwrap_or(path.len());
                Kind::LocalRedirect(path.into_iter().take(end).collect())
            }
            // A document of the script's own beside it must have a status that says so (section 6.2.4).
            Some(uri) if status == 200 => {
                (status, reason) = (302, None);
                Kind::ClientRedirect(uri)
            }
            Some(uri) => {
                self.fields.push((b"Location".to_vec(), uri));
                Kind::Document
            }
        };
        let content_length = match self.content_length {
            Some(Length::Known(length)) => Some(length),
            Some(Length::Disputed) | None => None,
        };
        Ok(ScriptReply {
            status,
            says_status,
            reason,
            kind,
            fields: self.fields,
            content_length,
            body_start,
            dropped: self.dropped,
        })
    }
}

/// Name and value of a line that has the form of a field.
fn field(line: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (name, value) = line.split_at(memchr::memchr(b':', line)?);
    let value = ascii::trim_ows(value.get(1..).unwrap_or_default());
    ascii::is_token(name).then(|| (name.to_vec(), value.to_vec()))
}

/// A media type in lower case, as Apache makes it, for those who compare it; its parameters stay as they are.
fn lower_type(mut value: Vec<u8>) -> Vec<u8> {
    let end = value.iter().position(|byte| *byte == b';').unwrap_or(value.len());
    value.iter_mut().take(end).for_each(u8::make_ascii_lowercase);
    value
}

/// What stands behind the version in a first line `HTTP/1.1 200 OK`, which nph scripts and cut-and-paste produce.
fn after_http_version(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(b"HTTP/")?;
    let space = memchr::memchr(b' ', rest)?;
    let (version, status) = rest.split_at(space);
    let version_like = !version.is_empty() && version.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    version_like.then(|| ascii::trim_ows(status))
}

fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// As much of a line as [`excerpt`] looks at.
fn quotable(line: &[u8]) -> Vec<u8> {
    line.get(..=QUOTED_BYTES).unwrap_or(line).to_vec()
}

/// The beginning of a script's line, escaped as for the error log, to be quoted in a message.
pub fn excerpt(line: &[u8]) -> String {
    let mut out = Vec::new();
    quote::escape_error_log(&mut out, line.get(..QUOTED_BYTES).unwrap_or(line));
    if line.len() > QUOTED_BYTES {
        out.extend_from_slice(b"...");
    }
    String::from_utf8_lossy(&out).into_owned()
}
