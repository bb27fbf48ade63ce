//! The answer: its head, its body as bytes, file parts or a stream, and what a handler may say instead of one.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;

use crate::backend::handoff::Errand;
use crate::exchange::Again;
use crate::exchange::fail::Fail;
use crate::exchange::place::Place;
use crate::exchange::subrequest::Subrequests;
use crate::fs::open::OpenFile;
use crate::gateway::handoff::About;
use crate::http::fields::Fields;
use crate::http::response::ResponseHead;
use crate::http::status::Status;

/// What a handler says.
pub enum Outcome {
    /// This is the answer.
    Reply(Response),
    /// Go on with another target (RFC 3875 section 6.2.2, DirectoryIndex).
    Again(Again),
}

/// Why the phases stop early.
pub enum Stop {
    /// They failed.
    Fail(Fail),
    /// They know the outcome already.
    Outcome(Box<Outcome>),
}

impl From<Fail> for Stop {
    fn from(fail: Fail) -> Stop {
        Stop::Fail(fail)
    }
}

impl Stop {
    /// The outcome, or the failure.
    pub fn into_outcome(self) -> Result<Outcome, Fail> {
        match self {
            Stop::Fail(fail) => Err(fail),
            Stop::Outcome(outcome) => Ok(*outcome),
        }
    }
}

/// An answer. Its head says nothing of framing, Date, Server or Connection: those are the connection's to add.
pub struct Response {
    /// Status and fields.
    pub head: ResponseHead,
    /// The body.
    pub body: Body,
    /// What becomes of the connection.
    pub connection: AfterResponse,
    /// Who has made it.
    pub origin: Origin,
    /// Who has chosen its status.
    pub status_by: StatusBy,
    /// What it takes to parse the body for includes, where a filter may ask for that.
    pub parsable: Option<Box<Parsable>>,
}

/// What it takes to parse a body for includes.
pub struct Parsable {
    /// Where the body comes from.
    pub place: Place,
    /// Who carries out the requests that it makes.
    pub requests: Rc<dyn Subrequests>,
}

/// Who has made a response, and so says Date and Server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This server.
    Here,
    /// One behind it.
    Behind,
}

/// Who has chosen a response's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusBy {
    /// This server, or a server behind it.
    Server,
    /// A script that names one, or the head that a file has itself.
    Script,
}

/// What becomes of the connection behind a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterResponse {
    /// It goes on if both sides agree.
    Keep,
    /// It is closed.
    Close,
}

/// A response's body.
pub enum Body {
    /// None; a response without any, not one of length zero that a HEAD hides.
    Empty,
    /// The server's own page for the status; the filters make it.
    BuiltIn,
    /// These bytes.
    Bytes(Bytes),
    /// Parts of a file, with text before each and behind the last.
    File(FileBody),
    /// Bytes as they come; the length where it is known.
    Stream(Box<dyn BodyStream>, Option<u64>),
    /// The whole response, head and all, as an `nph-` script writes it.
    Raw(Box<dyn BodyStream>),
    /// None; another protocol is spoken behind the head.
    Tunnel(Box<dyn Tunnel>),
    /// None of ours, nor a head: a service takes the connection and answers itself.
    HandOff(Box<HandOff>),
}

/// A connection that is about to be given away.
pub struct HandOff {
    /// The way to the service, which is ready to take it.
    pub errand: Errand,
    /// What the service is told.
    pub about: About,
    /// How long giving may take.
    pub patience: Duration,
}

/// Parts of one open file.
pub struct FileBody {
    /// The file.
    pub file: OpenFile,
    /// What is sent of it, in order.
    pub parts: Vec<FilePart>,
    /// Text behind the last part.
    pub trailer: Bytes,
    /// Who copies large parts.
    pub copied: Copied,
}

/// Who copies a large file to the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copied {
    /// The kernel, by sendfile(2).
    ByKernel,
    /// We, by reading and writing (`EnableSendfile off`).
    ByReading,
}

/// One part of a file.
pub struct FilePart {
    /// Text before it.
    pub preface: Bytes,
    /// Where it begins.
    pub offset: u64,
    /// How long it is.
    pub length: u64,
}

impl FileBody {
    /// How many bytes all of it is.
    pub fn length(&self) -> u64 {
        let parts: u64 = self.parts.iter().map(|p| p.length + p.preface.len() as u64).sum();
        parts + self.trailer.len() as u64
    }
}

/// Why a body's stream broke off; what was sent is cut, and the client can see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// A note for the access log: its name and its value.
pub type Note = (Vec<u8>, Vec<u8>);

/// A body that is made while it is sent. Dropping it before its end is how its maker learns that the client has left.
pub trait BodyStream {
    /// The next bytes, at least one; `None` at the end.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>>;

    /// What the access log may be told of it, names and values; at its end.
    fn notes(&self) -> Vec<Note> {
        Vec::new()
    }

    /// The fields behind the last chunk, once the end is reached.
    fn take_trailer(&mut self) -> Fields {
        Fields::new()
    }
}

/// The far end of a connection on which another protocol is spoken from now on (RFC 9110 section 7.8). Dropping it closes it.
pub trait Tunnel {
    /// The protocol, for the Upgrade field.
    fn protocol(&self) -> &[u8];

    /// How long both ends may be silent.
    fn silence(&self) -> Duration;

    /// The next bytes; none at the end.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>>;

    /// Writes all of `bytes`, or takes off as much as there is room for.
    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &mut Bytes) -> Poll<io::Result<()>>;

    /// No more is written.
    fn end(&mut self);
}

impl Body {
    /// Its length, where that is known before it is sent.
    pub fn length(&self) -> Option<u64> {
        match self {
            Body::Empty | Body::BuiltIn | Body::Tunnel(_) | Body::HandOff(_) => Some(0),
            Body::Bytes(bytes) => Some(bytes.len() as u64),
            Body::File(file) => Some(file.length()),
            Body::Stream(_, length) => *length,
            Body::Raw(_) => None,
        }
    }
}

impl Response {
    /// An answer with fields yet to be added.
    pub fn new(status: Status, body: Body) -> Response {
        Response {
            head: ResponseHead::new(status),
            body,
            connection: AfterResponse::Keep,
            origin: Origin::Here,
            status_by: StatusBy::Server,
            parsable: None,
        }
    }
}
