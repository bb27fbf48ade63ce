//! Access log formats: the `%` directives of mod_log_config and mod_logio.
//!
//! A format is compiled once to a list of items; writing a line appends bytes and allocates nothing else as long
//! as the format has no `%{…}t` of its own. Escaping is Apache's (`ap_escape_logitem`).

pub mod condition;
pub mod escape;
mod json;
mod parse;
pub(in crate::lang) mod strftime;
#[cfg(test)]
mod tests;
mod write;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use crate::lang::vars::Vars;

/// A compiled format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFormat {
    shape: Shape,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    Items(Vec<Item>),
    Json,
}

/// Why a format was refused, as a sentence for the configuration error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFormatError(pub String);

impl fmt::Display for LogFormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The formats that need no LogFormat directive: nickname and format. (`json` is the seventh.)
pub const NICKNAMES: [(&str, &str); 7] = [
    ("CLF", r#"%h %l %u %t "%r" %>s %b"#),
    ("common", r#"%h %l %u %t "%r" %>s %b"#),
    ("combined", r#"%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i""#),
    (
        "combinedio",
        r#"%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %I %O"#,
    ),
    (
        "vhost_combined",
        r#"%v:%p %h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i""#,
    ),
    ("referer", "%{Referer}i -> %U"),
    ("agent", "%{User-agent}i"),
];

impl LogFormat {
    /// Compiles a format string; the line's end is added by itself.
    pub fn parse(format: &str) -> Result<LogFormat, LogFormatError> {
        let items = parse::items(format).map_err(LogFormatError)?;
        Ok(LogFormat {
            shape: Shape::Items(items),
        })
    }

    /// The ready-made format of that nickname: one of [`NICKNAMES`], or `json`, one JSON object a line.
    pub fn named(nickname: &str) -> Option<LogFormat> {
        if nickname == "json" {
            return Some(LogFormat { shape: Shape::Json });
        }
        let (_, format) = NICKNAMES.iter().find(|(name, _)| *name == nickname)?;
        LogFormat::parse(format).ok()
    }

    /// Appends the request's line, with its end, to `out`.
    pub fn append(&self, record: &AccessRecord<'_>, out: &mut Vec<u8>) {
        match &self.shape {
            Shape::Items(items) => {
                for item in items {
                    match item {
                        Item::Literal(text) => out.extend_from_slice(text),
                        Item::Value { .. } => write::item(item, record, out),
                    }
                }
                out.push(b'\n');
            }
            Shape::Json => json::append(record, out),
        }
    }

    /// Whether a line has one of these fields of the response.
    pub fn asks_for_response_field(&self, names: &[&str]) -> bool {
        let is_one = |item: &Item| match item {
            Item::Value {
                value: Value::ResponseField(asked),
                ..
            } => names.iter().any(|name| asked.eq_ignore_ascii_case(name)),
            Item::Value { .. } | Item::Literal(_) => false,
        };
        match &self.shape {
            Shape::Items(items) => items.iter().any(is_one),
            Shape::Json => false,
        }
    }

    /// Whether a line says nothing of a request that came without a name and was not redirected but what its head, its connection
    /// and its answer's status and size say.
    pub fn asks_only_of_the_wire(&self) -> bool {
        let is_of_it = |item: &Item| match item {
            Item::Literal(_) => true,
            Item::Value { value, .. } => matches!(
                value,
                Value::ClientAddress
                    | Value::PeerAddress
                    | Value::LocalAddress
                    | Value::BodyBytes
                    | Value::BodyBytesOrDash
                    | Value::RequestField(_)
                    | Value::RemoteHost
                    | Value::RemoteLogname
                    | Value::Protocol
                    | Value::Method
                    | Value::RequestLine
                    | Value::Status
                    | Value::User
                    | Value::ConnectionState
                    | Value::LocalPort
                    | Value::RemotePort
                    | Value::BytesIn
                    | Value::BytesOut
                    | Value::BytesTotal
                    | Value::FirstByte
                    | Value::Seconds
                    | Value::Milliseconds
                    | Value::Microseconds
                    | Value::Time(..)
            ),
        };
        match &self.shape {
            Shape::Items(items) => items.iter().all(is_of_it),
            Shape::Json => false,
        }
    }

    /// Whether a line needs [`AccessRecord::first_byte`] (`%^FB`).
    pub fn wants_first_byte(&self) -> bool {
        match &self.shape {
            Shape::Items(items) => items.iter().any(|item| {
                matches!(
                    item,
                    Item::Value {
                        value: Value::FirstByte,
                        ..
                    }
                )
            }),
            Shape::Json => false,
        }
    }
}

/// A finished request, as its log line sees it.
#[derive(Clone, Copy)]
pub struct AccessRecord<'r> {
    /// Fields, environment, notes and cookies.
    pub vars: &'r dyn Vars,
    /// The request line as received; none when the client sent nothing usable.
    pub request_line: Option<&'r [u8]>,
    /// `HTTP/1.1`
    pub protocol: &'r [u8],
    /// The request as it came in.
    pub first: Pass<'r>,
    /// The request as it was answered, after internal redirects.
    pub last: Pass<'r>,
    /// Bytes of the response's body that were sent, framing not counted.
    pub body_bytes: u64,
    /// Bytes received for this request, on the wire.
    pub bytes_in: u64,
    /// Bytes sent for it, on the wire.
    pub bytes_out: u64,
    /// When the request began.
    pub started: SystemTime,
    /// From then to now.
    pub duration: Duration,
    /// From the request's head being read to the first byte of the response; none when that was not measured.
    pub first_byte: Option<Duration>,
    /// The client's address, after mod_remoteip's rules.
    pub client: SocketAddr,
    /// The connection's other end.
    pub peer: SocketAddr,
    /// The connection's end here.
    pub local: SocketAddr,
    /// The client's name, when HostnameLookups found one.
    pub remote_host: Option<&'r [u8]>,
    /// The user name that mod_ident asked for.
    pub remote_logname: Option<&'r [u8]>,
    /// How many requests the connection had served before this one.
    pub keepalive_number: u32,
    /// What became of the connection.
    pub connection: ConnectionState,
    /// The request's id in the error log, when it was written there.
    pub log_id: Option<&'r [u8]>,
    /// The connection's id in the error log.
    pub connection_log_id: Option<&'r [u8]>,
    /// The site's ServerName.
    pub server_name: &'r [u8],
    /// The name by UseCanonicalName: usually the request's Host.
    pub canonical_name: &'r [u8],
    /// The port by the site's ServerName, or the default one.
    pub server_port: u16,
    /// The process that served it.
    pub pid: u32,
    /// The thread that served it.
    pub tid: u64,
}

/// What an internal redirect may change.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pass<'r> {
    /// The method; none when there was no readable request line.
    pub method: Option<&'r [u8]>,
    /// The target's path, decoded.
    pub path: Option<&'r [u8]>,
    /// The target's query, without `?`.
    pub query: Option<&'r [u8]>,
    /// The response's status.
    pub status: u16,
    /// The authenticated user.
    pub user: Option<&'r [u8]>,
    /// The file or script the target was mapped to.
    pub filename: Option<&'r [u8]>,
    /// The handler's Apache name.
    pub handler: Option<&'r [u8]>,
}

/// What became of the connection after the response: `%X`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// It was gone before the response was complete.
    Aborted,
    /// It may serve another request.
    KeptAlive,
    /// It is closed after the response.
    Closed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Literal(Box<[u8]>),
    Value {
        value: Value,
        pass: Which,
        only: Option<Box<Statuses>>,
    },
}

/// Of an internally redirected request, the original (`<`) or the final one (`>`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    First,
    Last,
}

/// `%400,501…` and `%!200,304…`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Statuses {
    codes: Vec<u16>,
    listed: Listed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listed {
    Written,
    Omitted,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    ClientAddress,
    PeerAddress,
    LocalAddress,
    BodyBytes,
    BodyBytesOrDash,
    Cookie(Box<str>),
    Env(Box<str>),
    /// `%{NAME}x`
    Tls(Box<str>),
    /// `%{errstr}c`: why the client's certificate was not believed.
    TlsFault,
    Note(Box<str>),
    RequestField(Box<str>),
    ResponseField(Box<str>),
    ResponseType,
    RequestTrailer(Box<str>),
    ResponseTrailer(Box<str>),
    Filename,
    RemoteHost,
    PeerHost,
    Protocol,
    KeepaliveNumber,
    RemoteLogname,
    LogId,
    ConnectionLogId,
    Method,
    Query,
    RequestLine,
    Handler,
    Status,
    User,
    Path,
    ServerName,
    CanonicalName,
    ConnectionState,
    ServerPort,
    LocalPort,
    RemotePort,
    Pid,
    Tid,
    HexTid,
    BytesIn,
    BytesOut,
    BytesTotal,
    FirstByte,
    Seconds,
    Milliseconds,
    Microseconds,
    Time(Moment, TimeForm),
    /// A `%{word}p`, `P` or `T` whose word Apache does not know either: it writes the word.
    Word(Box<str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Begin,
    End,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum TimeForm {
    Clf,
    Sec,
    Msec,
    Usec,
    MsecFrac,
    UsecFrac,
    Strftime(strftime::Format),
}

impl AccessRecord<'_> {
    fn client_ip(&self) -> IpAddr {
        self.client.ip()
    }
}
