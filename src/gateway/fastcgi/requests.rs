//! What a client asks on one connection, held against what it may ask: one request after the other, its variables whole before
//! it is passed on. What the protocol wants answered is answered here; what breaks it costs the connection, never more.

use std::fmt;

use bytes::Bytes;

use crate::gateway::fastcgi::params::{Pair, ParamsError, ParamsReader};
use crate::gateway::fastcgi::record::{
    self, Connection, Message, NULL_REQUEST, ProtocolStatus, RecordError, RecordReader, Role, Stream,
};

/// A request whose variables are all there. Its standard input follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its id.
    pub id: u16,
    /// What becomes of the connection behind it.
    pub connection: Connection,
    /// Its variables, in the order in which they came.
    pub params: Vec<Pair>,
}

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A request.
    Request(Request),
    /// Bytes of its standard input, at least one.
    Input(Bytes),
    /// Its standard input has ended.
    InputEnd,
    /// The client has lost interest in it.
    Abort,
    /// Something that these bytes are the answer to; then the connection goes on, or does not.
    Answered(Vec<u8>, Connection),
}

/// Why nothing more can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// What it sends are no records.
    Record(RecordError),
    /// The variables of a request cannot be read.
    Params(ParamsError),
    /// A record that is not for now.
    OutOfPlace(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Record(error) => write!(f, "it sent {error}"),
            Fault::Params(error) => error.fmt(f),
            Fault::OutOfPlace(what) => write!(f, "it sent {what}"),
        }
    }
}

impl std::error::Error for Fault {}

/// What is told to a client that asks for variables (section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// FCGI_MAX_CONNS.
    pub connections: usize,
    /// FCGI_MAX_REQS.
    pub requests: usize,
}

/// Reads the requests of one connection as their bytes come in.
#[derive(Debug)]
pub struct Requests {
    records: RecordReader,
    room: Room,
    state: State,
}

/// Where the connection's request is.
#[derive(Debug)]
enum State {
    /// There is none.
    None,
    /// Its variables come.
    Params(u16, Connection, ParamsReader),
    /// Its standard input comes.
    Input(u16),
    /// All of it has come.
    Whole(u16),
}

impl Requests {
    /// The requests of a connection that has just been made.
    pub fn new(room: Room) -> Requests {
        Requests {
            records: RecordReader::new(),
            room,
            state: State::None,
        }
    }

    /// What came next in `input`, which is used up as far as it was read. `None`: more must come in. Behind a fault there is
    /// nothing to ask.
    pub fn next(&mut self, input: &mut Bytes) -> Result<Option<Asked>, Fault> {
        while let Some(message) = self.records.next(input).map_err(Fault::Record)? {
            if let Some(asked) = self.take(message)? {
                return Ok(Some(asked));
            }
        }
        Ok(None)
    }

    /// The request has been answered: what still comes of it is passed over.
    pub fn answered(&mut self) {
        self.state = State::None;
    }

    /// Whether nothing has come since the last request.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::None) && self.records.is_between_records()
    }

    fn open(&self) -> Option<u16> {
        match self.state {
            State::None => None,
            State::Params(id, ..) | State::Input(id) | State::Whole(id) => Some(id),
        }
    }

    fn take(&mut self, message: Message) -> Result<Option<Asked>, Fault> {
        match message {
            Message::Begin { id, role, connection } => self.begin(id, role, connection),
            // Section 3.3: of a request that is not open, because it has been answered or refused, records are passed over.
            Message::Bytes { id, .. } | Message::StreamEnd { id, .. } | Message::Abort { id }
                if self.open() != Some(id) =>
            {
                Ok(None)
            }
            Message::Bytes { stream, bytes, .. } => self.bytes(stream, bytes),
            Message::StreamEnd { stream, .. } => self.end(stream),
            Message::Abort { .. } => Ok(Some(self.abort())),
            Message::GetValues(asked) => Ok(Some(Asked::Answered(self.values(&asked), Connection::Keep))),
            Message::Foreign { kind, id: NULL_REQUEST } => {
                let mut answer = Vec::new();
                record::unknown_type(&mut answer, kind);
                Ok(Some(Asked::Answered(answer, Connection::Keep)))
            }
            Message::Foreign { .. } | Message::UnknownType(_) => Ok(None),
            Message::End { .. } | Message::Values(_) => {
                Err(Fault::OutOfPlace("a record that only an application sends"))
            }
        }
    }

    fn begin(&mut self, id: u16, role: Role, connection: Connection) -> Result<Option<Asked>, Fault> {
        let refused = |status, connection| {
            let mut answer = Vec::new();
            record::end(&mut answer, id, 0, status);
            Ok(Some(Asked::Answered(answer, connection)))
        };
        match self.open() {
            Some(open) if open == id => Err(Fault::OutOfPlace("the beginning of a request that is open")),
            Some(_) => refused(ProtocolStatus::NoMultiplexing, Connection::Keep),
            None if role != Role::Responder => refused(ProtocolStatus::UnknownRole, connection),
            None => {
                self.state = State::Params(id, connection, ParamsReader::new());
                Ok(None)
            }
        }
    }

    fn bytes(&mut self, stream: Stream, bytes: Bytes) -> Result<Option<Asked>, Fault> {
        match (stream, &mut self.state) {
            (Stream::Params, State::Params(_, _, reader)) => {
                reader.push(&bytes).map_err(Fault::Params)?;
                Ok(None)
            }
            (Stream::Stdin, State::Input(_)) => Ok(Some(Asked::Input(bytes))),
            (Stream::Stdin, State::Params(..)) => Err(Fault::OutOfPlace("standard input before all variables")),
            // A responder gets none; whoever sends it all the same has the wrong role in mind.
            (Stream::Data, _) => Err(Fault::OutOfPlace("a stream that only a filter gets")),
            (Stream::Params | Stream::Stdin, _) => Err(Fault::OutOfPlace("more of a stream that had ended")),
            (Stream::Stdout | Stream::Stderr, _) => Err(Fault::OutOfPlace("a stream that only an application sends")),
        }
    }

    fn end(&mut self, stream: Stream) -> Result<Option<Asked>, Fault> {
        match (stream, std::mem::replace(&mut self.state, State::None)) {
            (Stream::Params, State::Params(id, connection, reader)) => {
                let params = reader.end().map_err(Fault::Params)?;
                self.state = State::Input(id);
                Ok(Some(Asked::Request(Request { id, connection, params })))
            }
            (Stream::Stdin, State::Input(id)) => {
                self.state = State::Whole(id);
                Ok(Some(Asked::InputEnd))
            }
            (Stream::Stdin, State::Params(..)) => Err(Fault::OutOfPlace("standard input before all variables")),
            (Stream::Stdout | Stream::Stderr, _) => Err(Fault::OutOfPlace("a stream that only an application sends")),
            // An end once more says nothing else; nor does that of a stream that has no bytes.
            (Stream::Params | Stream::Stdin | Stream::Data, state) => {
                self.state = state;
                Ok(None)
            }
        }
    }

    /// A request that was passed on is ended by whoever serves it; of another nobody knows, and it is ended here.
    fn abort(&mut self) -> Asked {
        let State::Params(id, connection, _) = self.state else {
            return Asked::Abort;
        };
        self.state = State::None;
        let mut answer = Vec::new();
        record::end(&mut answer, id, 0, ProtocolStatus::Complete);
        Asked::Answered(answer, connection)
    }

    fn values(&self, asked: &[Pair]) -> Vec<u8> {
        let known = [
            ("FCGI_MAX_CONNS", self.room.connections.to_string()),
            ("FCGI_MAX_REQS", self.room.requests.to_string()),
            ("FCGI_MPXS_CONNS", "0".to_owned()),
        ];
        let wanted = known
            .iter()
            .filter(|(name, _)| asked.iter().any(|(asked, _)| asked == name.as_bytes()));
        let pairs: Vec<_> = wanted
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect();
        let mut answer = Vec::new();
        record::values(&mut answer, &pairs);
        answer
    }
}

#[cfg(test)]
mod tests;
