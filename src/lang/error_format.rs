//! `ErrorLogFormat`: what stands in a line of the error log, as Apache's core has it.
//!
//! A format is a row of fields. A field begins at a space, or at `% `, which writes nothing; one of which an item has nothing to
//! say is left out as a whole, back to where it begins.

mod parse;
#[cfg(test)]
mod tests;
mod write;

use std::net::SocketAddr;
use std::time::SystemTime;

use crate::lang::log_format::strftime;
use crate::lang::log_level::Level;

/// A compiled format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorFormat {
    items: Vec<Item>,
}

/// What a format is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Every line; the message must be in it.
    Line,
    /// A line before the first one about a connection or a request, without a message.
    Once,
}

/// The formats of a site.
#[derive(Clone, Debug, Default)]
pub struct ErrorFormats {
    /// Of every line; without it lines have the usual shape.
    pub line: Option<ErrorFormat>,
    /// Of the lines before the first one about a connection.
    pub connection: Vec<ErrorFormat>,
    /// Of the lines before the first one about a request.
    pub request: Vec<ErrorFormat>,
}

/// What is known of a line to be, besides its message.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'e> {
    /// Now.
    pub now: SystemTime,
    /// How urgent it is, and the module whose work it is about; nothing for a line before the first one.
    pub said: Option<(Level, &'e str)>,
    /// The process.
    pub pid: u32,
    /// The thread.
    pub tid: i32,
    /// The number and the words of the system's error behind it.
    pub os_error: Option<(i32, &'e str)>,
    /// The client.
    pub client: Option<SocketAddr>,
    /// The request.
    pub request: Option<&'e RequestFacts>,
    /// Whether it is about the request, or about its connection alone.
    pub scope: Scope,
    /// The site's own name.
    pub server_name: &'e [u8],
}

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A request, or nothing of the kind.
    Request,
    /// A connection.
    Connection,
}

/// What is known of the request that a line is about; of its fields and variables only what the formats ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestFacts {
    /// The connection's other end.
    pub peer: SocketAddr,
    /// The connection's end here.
    pub local: SocketAddr,
    /// How many requests the connection had carried before.
    pub keepalives: u32,
    /// The request's own name.
    pub id: Vec<u8>,
    /// The connection's.
    pub connection_id: Vec<u8>,
    /// The name of the server that the request is for, by `UseCanonicalName`.
    pub name: Vec<u8>,
    /// What it says to the questions of the formats, where it says anything.
    pub answers: Vec<(Question, Vec<u8>)>,
}

/// Something that a format asks of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// A variable.
    Env(Box<str>),
    /// A field.
    Field(Box<str>),
    /// A note.
    Note(Box<str>),
}

impl ErrorFormat {
    /// Compiles a format; the error is a sentence.
    pub fn parse(format: &str, used: Use) -> Result<ErrorFormat, String> {
        parse::items(format, used).map(|items| ErrorFormat { items })
    }

    /// What it asks of requests.
    pub fn questions(&self) -> impl Iterator<Item = &Question> {
        self.items.iter().filter_map(|item| match &item.value {
            Value::Asked(question) => Some(question),
            _ => None,
        })
    }

    /// Appends a line without its end; `message` writes the message, safe to stand in a log. Nothing may come of it.
    pub fn append(&self, facts: &Facts<'_>, message: impl Fn(&mut Vec<u8>), out: &mut Vec<u8>) {
        write::line(&self.items, facts, message, out);
    }
}

impl ErrorFormats {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.line.is_none() && self.connection.is_empty() && self.request.is_empty()
    }

    /// What they ask of requests.
    pub fn questions(&self) -> impl Iterator<Item = &Question> {
        let all = self.line.iter().chain(&self.connection).chain(&self.request);
        all.flat_map(ErrorFormat::questions)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    value: Value,
    place: Place,
    without: Without,
    /// Only lines that are as little urgent have it. (Apache's manual says that it is the other way round; seen with 2.4.71.)
    from: Option<u32>,
}

/// Where an item stands in its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    First,
    Later,
}

/// What becomes of an item that has nothing to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Without {
    /// Its field is left out.
    NoField,
    /// A hyphen stands for it.
    Hyphen,
    /// Its line is left out.
    NoLine,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Text(Box<[u8]>),
    Message,
    Client,
    Peer,
    Local,
    Asked(Question),
    OsError,
    /// `%F`: no line has a source here.
    Source,
    Keepalives,
    Level,
    RequestId,
    ConnectionId,
    LoneConnectionId,
    Module,
    Pid,
    Tid,
    Time(TimeForm),
    ServerName,
    Name,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum TimeForm {
    Usual(Fraction, Zone),
    Compact(Fraction, Zone),
    Strftime(strftime::Format),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fraction {
    None,
    Millis,
    Micros,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Zone {
    Hidden,
    Shown,
}
