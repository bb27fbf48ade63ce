//! Access log formats: the `%` directives of mod_log_config and mod_logio.
//!
//! A format is compiled once to a list of items, each with the text before it; writing a line asks the request for what the
//! items say and for nothing else, appends bytes, and allocates nothing else as long as the format has no `%{…}t` of its own.
//! Escaping is Apache's (`ap_escape_logitem`).

pub mod condition;
pub mod escape;
mod json;
mod literal;
mod parse;
pub mod record;
pub(in crate::lang) mod strftime;
#[cfg(test)]
mod tests;
mod write;

use std::fmt;

use literal::Literal;
use record::{AccessRecord, Which};

/// A compiled format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFormat {
    shape: Shape,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    Items {
        items: Vec<Item>,
        /// What stands behind the last, with the line's end.
        end: Literal,
    },
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
        let (items, end) = parse::items(format).map_err(LogFormatError)?;
        Ok(LogFormat {
            shape: Shape::Items { items, end },
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
    pub fn append(&self, record: &impl AccessRecord, out: &mut Vec<u8>) {
        match &self.shape {
            Shape::Items { items, end } => {
                for item in items {
                    item.before.append_to(out);
                    write::item(item, record, out);
                }
                end.append_to(out);
            }
            Shape::Json => json::append(record, out),
        }
    }

    /// Whether a line has one of these fields of the response.
    pub fn asks_for_response_field(&self, names: &[&str]) -> bool {
        let is_one = |value: &Value| match value {
            Value::ResponseField(asked) => names.iter().any(|name| asked.eq_ignore_ascii_case(name)),
            _ => false,
        };
        self.values().is_some_and(|mut values| values.any(is_one))
    }

    /// Whether a line says nothing of a request that came without a name and was not redirected but what its head, its connection
    /// and its answer's status and size say.
    pub fn asks_only_of_the_wire(&self) -> bool {
        let is_of_it = |value: &Value| {
            matches!(
                value,
                Value::ClientAddress
                    | Value::PeerAddress
                    | Value::LocalAddress
                    | Value::BodyBytes
                    | Value::BodyBytesOrDash
                    | Value::RequestField(_)
                    | Value::RemoteHost
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
            )
        };
        self.values().is_some_and(|mut values| values.all(is_of_it))
    }

    /// Whether a line needs [`AccessRecord::first_byte`] (`%^FB`).
    pub fn wants_first_byte(&self) -> bool {
        self.values()
            .is_some_and(|mut values| values.any(|value| *value == Value::FirstByte))
    }

    /// What is asked for; nothing of the one whose lines are always the same.
    fn values(&self) -> Option<impl Iterator<Item = &Value>> {
        match &self.shape {
            Shape::Items { items, .. } => Some(items.iter().map(|item| &item.value)),
            Shape::Json => None,
        }
    }
}

/// A value of the request, and the text before it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    before: Literal,
    value: Value,
    pass: Which,
    only: Option<Box<Statuses>>,
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
    LogId,
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
    /// What no request has here: the name that mod_ident asks for, the id of a connection in the error log.
    Nothing,
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
