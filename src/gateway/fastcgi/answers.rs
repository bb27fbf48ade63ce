//! What an application answers to one request, held against what it may answer: two streams, and the end of the request.
//! Everything else costs the connection, never more.

use std::fmt;

use bytes::Bytes;

use crate::gateway::fastcgi::record::{Message, ProtocolStatus, RecordError, RecordReader, Stream};

/// So many bytes of management records and records of unknown types are passed over in one request; an application that
/// sends more is not answering. No directive moves it.
const MAX_IDLE_TALK: usize = 1 << 20;

/// What came of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Bytes of its output, at least one.
    Output(Bytes),
    /// Its output has ended.
    OutputEnd,
    /// Bytes of its error output, at least one.
    Errors(Bytes),
    /// The request has ended; the status is the application's own, as an exit status.
    End(u32),
}

/// Why an answer is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// What it sends are no records.
    Record(RecordError),
    /// A record of another request.
    OtherRequest {
        /// The request it names.
        id: u16,
        /// The only one there is.
        own: u16,
    },
    /// A record that only a client sends, or one of a stream that has ended.
    OutOfPlace(&'static str),
    /// It has no means to serve the request now.
    Overloaded,
    /// It refuses by the protocol.
    Refused(ProtocolStatus),
    /// It closed the connection before the request's end.
    Closed,
    /// It closed the connection within a record.
    CutShort,
    /// It sends records that are no answer, and no end of them.
    IdleTalk,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Record(error) => write!(f, "it sent {error}"),
            Fault::OtherRequest { id, own } => {
                write!(f, "it sent a record of request {id}, and only request {own} is open")
            }
            Fault::OutOfPlace(what) => write!(f, "it sent {what}"),
            Fault::Overloaded => f.write_str("it is overloaded"),
            Fault::Refused(ProtocolStatus::NoMultiplexing) => {
                f.write_str("it takes the only request for a second one on its connection")
            }
            Fault::Refused(ProtocolStatus::UnknownRole) => f.write_str("it does not have the role that was asked for"),
            Fault::Refused(status) => write!(f, "it ended the request with protocol status {}", number(*status)),
            Fault::Closed => f.write_str("it closed the connection before the end of the request"),
            Fault::CutShort => f.write_str("it closed the connection within a record"),
            Fault::IdleTalk => f.write_str("it sends records that are no answer, and no end of them"),
        }
    }
}

impl std::error::Error for Fault {}

fn number(status: ProtocolStatus) -> u8 {
    match status {
        ProtocolStatus::Complete => 0,
        ProtocolStatus::NoMultiplexing => 1,
        ProtocolStatus::Overloaded => 2,
        ProtocolStatus::UnknownRole => 3,
        ProtocolStatus::Other(number) => number,
    }
}

/// Reads the answers to one request as their bytes come in.
#[derive(Debug)]
pub struct Answers {
    id: u16,
    records: RecordReader,
    output: Flow,
    errors: Flow,
    ended: bool,
    idle_talk: usize,
}

/// Whether a stream goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Open,
    Ended,
}

impl Answers {
    /// The answers to the request of this id, which has just begun.
    pub fn new(id: u16) -> Answers {
        Answers {
            id,
            records: RecordReader::new(),
            output: Flow::Open,
            errors: Flow::Open,
            ended: false,
            idle_talk: 0,
        }
    }

    /// The next answer in `input`, which is used up as far as it was read. `None`: more must come in, or the request has
    /// ended. Behind a fault there is nothing to ask.
    pub fn next(&mut self, input: &mut Bytes) -> Result<Option<Answer>, Fault> {
        while !self.ended {
            let before = input.len();
            let Some(message) = self.records.next(input).map_err(Fault::Record)? else {
                self.passed_over(before - input.len())?;
                return Ok(None);
            };
            if let Some(answer) = self.take(message)? {
                self.idle_talk = 0;
                return Ok(Some(answer));
            }
            self.passed_over(before - input.len())?;
        }
        Ok(None)
    }

    /// The end of the connection: why that is none of the request.
    pub fn closed(&self) -> Fault {
        if self.records.is_between_records() {
            Fault::Closed
        } else {
            Fault::CutShort
        }
    }

    /// Whether the request has ended and the connection is good for another: no byte of a further record has come.
    pub fn are_whole(&self, rest: &Bytes) -> bool {
        self.ended && self.records.is_between_records() && rest.is_empty()
    }

    fn passed_over(&mut self, bytes: usize) -> Result<(), Fault> {
        self.idle_talk = self.idle_talk.saturating_add(bytes);
        if self.idle_talk > MAX_IDLE_TALK {
            return Err(Fault::IdleTalk);
        }
        Ok(())
    }

    fn take(&mut self, message: Message) -> Result<Option<Answer>, Fault> {
        match message {
            Message::Bytes { id, stream, bytes } => {
                self.check(id)?;
                let (flow, answer) = match stream {
                    Stream::Stdout => (self.output, Answer::Output(bytes)),
                    Stream::Stderr => (self.errors, Answer::Errors(bytes)),
                    Stream::Params | Stream::Stdin | Stream::Data => {
                        return Err(Fault::OutOfPlace("a stream that only a client sends"));
                    }
                };
                if flow == Flow::Ended {
                    return Err(Fault::OutOfPlace("more of a stream that had ended"));
                }
                Ok(Some(answer))
            }
            Message::StreamEnd { id, stream } => {
                self.check(id)?;
                match stream {
                    Stream::Stdout if self.output == Flow::Open => {
                        self.output = Flow::Ended;
                        Ok(Some(Answer::OutputEnd))
                    }
                    Stream::Stderr => {
                        self.errors = Flow::Ended;
                        Ok(None)
                    }
                    // Some end their output twice; that says nothing else.
                    Stream::Stdout => Ok(None),
                    Stream::Params | Stream::Stdin | Stream::Data => {
                        Err(Fault::OutOfPlace("the end of a stream that only a client sends"))
                    }
                }
            }
            Message::End {
                id,
                application,
                protocol,
            } => {
                self.check(id)?;
                match protocol {
                    ProtocolStatus::Complete => {
                        self.ended = true;
                        Ok(Some(Answer::End(application)))
                    }
                    ProtocolStatus::Overloaded => Err(Fault::Overloaded),
                    refused => Err(Fault::Refused(refused)),
                }
            }
            Message::Begin { .. } | Message::Abort { .. } | Message::GetValues(_) => {
                Err(Fault::OutOfPlace("a record that only a client sends"))
            }
            // Nobody asked; and what is not known is not minded.
            Message::Values(_) | Message::UnknownType(_) | Message::Foreign { .. } => Ok(None),
        }
    }

    fn check(&self, id: u16) -> Result<(), Fault> {
        if id == self.id {
            Ok(())
        } else {
            Err(Fault::OtherRequest { id, own: self.id })
        }
    }
}
