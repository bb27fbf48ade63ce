//! Records (section 3.3): eight bytes of header, up to 65,535 of content, up to 255 of padding. Read as they come in, in
//! pieces of any size, and written whole.

use std::fmt;

use bytes::{Buf, Bytes};

use crate::gateway::fastcgi::params::{self, Pair, ParamsError};

/// The only version there is.
pub const VERSION: u8 = 1;

/// The length of a header.
pub const HEADER: usize = 8;

/// The most content that a record has.
pub const MAX_CONTENT: usize = 0xffff;

/// The request id where there is one request on a connection.
pub const ONLY: u16 = 1;

/// The request id of management records.
pub const NULL_REQUEST: u16 = 0;

/// A stream within a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// FCGI_PARAMS, to the application.
    Params,
    /// FCGI_STDIN, to the application.
    Stdin,
    /// FCGI_STDOUT, from the application.
    Stdout,
    /// FCGI_STDERR, from the application.
    Stderr,
    /// FCGI_DATA, to a filter.
    Data,
}

impl Stream {
    pub(super) const fn number(self) -> u8 {
        match self {
            Stream::Params => 4,
            Stream::Stdin => 5,
            Stream::Stdout => 6,
            Stream::Stderr => 7,
            Stream::Data => 8,
        }
    }
}

const BEGIN_REQUEST: u8 = 1;
const ABORT_REQUEST: u8 = 2;
pub(super) const END_REQUEST: u8 = 3;
const GET_VALUES: u8 = 9;
const GET_VALUES_RESULT: u8 = 10;
const UNKNOWN_TYPE: u8 = 11;

/// What an application is asked to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// FCGI_RESPONDER: as a CGI script.
    Responder,
    /// FCGI_AUTHORIZER: it decides whether a request goes on.
    Authorizer,
    /// FCGI_FILTER: a responder that gets a file besides.
    Filter,
    /// Any other number.
    Other(u16),
}

impl Role {
    const fn number(self) -> u16 {
        match self {
            Role::Responder => 1,
            Role::Authorizer => 2,
            Role::Filter => 3,
            Role::Other(number) => number,
        }
    }

    const fn of(number: u16) -> Role {
        match number {
            1 => Role::Responder,
            2 => Role::Authorizer,
            3 => Role::Filter,
            number => Role::Other(number),
        }
    }
}

/// What becomes of the connection behind a request (FCGI_KEEP_CONN).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// The application closes it.
    Close,
    /// The application leaves it open.
    Keep,
}

/// How the application took a request, by the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolStatus {
    /// FCGI_REQUEST_COMPLETE: it was served.
    Complete,
    /// FCGI_CANT_MPX_CONN: one request at a time on a connection.
    NoMultiplexing,
    /// FCGI_OVERLOADED: it has no means to serve it now.
    Overloaded,
    /// FCGI_UNKNOWN_ROLE: it does not have the role.
    UnknownRole,
    /// Any other number.
    Other(u8),
}

impl ProtocolStatus {
    const fn number(self) -> u8 {
        match self {
            ProtocolStatus::Complete => 0,
            ProtocolStatus::NoMultiplexing => 1,
            ProtocolStatus::Overloaded => 2,
            ProtocolStatus::UnknownRole => 3,
            ProtocolStatus::Other(number) => number,
        }
    }

    const fn of(number: u8) -> ProtocolStatus {
        match number {
            0 => ProtocolStatus::Complete,
            1 => ProtocolStatus::NoMultiplexing,
            2 => ProtocolStatus::Overloaded,
            3 => ProtocolStatus::UnknownRole,
            number => ProtocolStatus::Other(number),
        }
    }
}

/// What a record, or a part of one, says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A request begins.
    Begin {
        /// Its id.
        id: u16,
        /// The role it asks for.
        role: Role,
        /// What becomes of the connection behind it.
        connection: Connection,
    },
    /// The client has lost interest.
    Abort {
        /// In this request.
        id: u16,
    },
    /// A request has ended.
    End {
        /// Its id.
        id: u16,
        /// The application's own status, as an exit status.
        application: u32,
        /// How it was taken.
        protocol: ProtocolStatus,
    },
    /// Bytes of a stream, at least one. A long record comes in several parts.
    Bytes {
        /// The request.
        id: u16,
        /// The stream.
        stream: Stream,
        /// The bytes.
        bytes: Bytes,
    },
    /// A stream has ended: a record of it without content.
    StreamEnd {
        /// The request.
        id: u16,
        /// The stream.
        stream: Stream,
    },
    /// The client asks for these variables; their values are empty.
    GetValues(Vec<Pair>),
    /// The application's variables.
    Values(Vec<Pair>),
    /// The application does not know records of this type.
    UnknownType(u8),
    /// A record of a type that the specification does not have. Its content was passed over.
    Foreign {
        /// Its type.
        kind: u8,
        /// Its request id.
        id: u16,
    },
}

/// Why what came in is no record. Nothing behind it can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// Another version.
    Version(u8),
    /// A record of a request without a request's id, or a management record with one.
    Id {
        /// Its type.
        kind: u8,
        /// Its request id.
        id: u16,
    },
    /// A record whose content has a fixed length, of another.
    Length {
        /// Its type.
        kind: u8,
        /// The length it says.
        length: u16,
    },
    /// A management record whose pairs cannot be read.
    Params(ParamsError),
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::Version(version) => write!(f, "a record of FastCGI version {version}; there is only 1"),
            RecordError::Id { kind, id } => write!(f, "a record of type {kind} has request id {id}"),
            RecordError::Length { kind, length } => write!(f, "a record of type {kind} has {length} bytes of content"),
            RecordError::Params(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RecordError {}

/// Reads records as their bytes come in.
#[derive(Debug, Default)]
pub struct RecordReader {
    state: State,
    /// The header, or the content that is read whole, as far as it is there.
    kept: Vec<u8>,
}

/// What comes next.
#[derive(Debug)]
enum State {
    Header,
    Content(Open),
    /// So many bytes of it.
    Padding(usize),
}

impl Default for State {
    fn default() -> State {
        State::Padding(0)
    }
}

/// A record whose header was read.
#[derive(Clone, Copy, Debug)]
struct Open {
    kind: u8,
    id: u16,
    /// Content that is yet to come.
    content: usize,
    padding: usize,
    what: What,
}

/// How the content of a record is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// In parts, as it comes.
    Parts(Stream),
    /// Whole.
    Whole,
    /// Not at all.
    PassedOver,
}

impl RecordReader {
    /// A reader before its first byte.
    pub fn new() -> RecordReader {
        RecordReader::default()
    }

    /// Whether the bytes so far end with a record.
    pub fn is_between_records(&self) -> bool {
        match self.state {
            State::Padding(left) => left == 0,
            State::Header => self.kept.is_empty(),
            State::Content(_) => false,
        }
    }

    /// The next message in `input`, which is used up as far as it was read. `None`: more must come in. Behind an error there
    /// is nothing to ask.
    pub fn next(&mut self, input: &mut Bytes) -> Result<Option<Message>, RecordError> {
        loop {
            match &mut self.state {
                State::Padding(left) => {
                    let there = (*left).min(input.len());
                    input.advance(there);
                    *left -= there;
                    if *left > 0 {
                        return Ok(None);
                    }
                    self.state = State::Header;
                }
                State::Header => {
                    let wanted = HEADER.saturating_sub(self.kept.len()).min(input.len());
                    self.kept.extend_from_slice(&input.split_to(wanted));
                    let Some(header) = self.kept.first_chunk::<HEADER>() else {
                        return Ok(None);
                    };
                    let open = Open::of(*header)?;
                    self.kept.clear();
                    if let (What::Parts(stream), 0) = (open.what, open.content) {
                        self.state = State::Padding(open.padding);
                        return Ok(Some(Message::StreamEnd { id: open.id, stream }));
                    }
                    self.state = State::Content(open);
                }
                State::Content(open) => {
                    let bytes = input.split_to(open.content.min(input.len()));
                    open.content -= bytes.len();
                    let open = *open;
                    if open.content == 0 {
                        self.state = State::Padding(open.padding);
                    }
                    return self.content(open, bytes);
                }
            }
        }
    }

    /// What the next bytes of a record's content say.
    fn content(&mut self, open: Open, bytes: Bytes) -> Result<Option<Message>, RecordError> {
        let Open { kind, id, .. } = open;
        match open.what {
            What::Parts(_) if bytes.is_empty() => Ok(None),
            What::Parts(stream) => Ok(Some(Message::Bytes { id, stream, bytes })),
            What::Whole => {
                self.kept.extend_from_slice(&bytes);
                if open.content > 0 {
                    return Ok(None);
                }
                open.message(&std::mem::take(&mut self.kept)).map(Some)
            }
            What::PassedOver => Ok((open.content == 0).then_some(Message::Foreign { kind, id })),
        }
    }
}

impl Open {
    fn of(header: [u8; HEADER]) -> Result<Open, RecordError> {
        let [
            version,
            kind,
            id_high,
            id_low,
            length_high,
            length_low,
            padding,
            _reserved,
        ] = header;
        if version != VERSION {
            return Err(RecordError::Version(version));
        }
        let id = u16::from_be_bytes([id_high, id_low]);
        let length = u16::from_be_bytes([length_high, length_low]);
        let what = match kind {
            4 => What::Parts(Stream::Params),
            5 => What::Parts(Stream::Stdin),
            6 => What::Parts(Stream::Stdout),
            7 => What::Parts(Stream::Stderr),
            8 => What::Parts(Stream::Data),
            BEGIN_REQUEST | END_REQUEST | UNKNOWN_TYPE if length != 8 => {
                return Err(RecordError::Length { kind, length });
            }
            ABORT_REQUEST if length != 0 => return Err(RecordError::Length { kind, length }),
            BEGIN_REQUEST | ABORT_REQUEST | END_REQUEST | GET_VALUES | GET_VALUES_RESULT | UNKNOWN_TYPE => What::Whole,
            _ => What::PassedOver,
        };
        let is_management = matches!(kind, GET_VALUES | GET_VALUES_RESULT | UNKNOWN_TYPE);
        if what != What::PassedOver && is_management != (id == NULL_REQUEST) {
            return Err(RecordError::Id { kind, id });
        }
        Ok(Open {
            kind,
            id,
            content: usize::from(length),
            padding: usize::from(padding),
            what,
        })
    }

    /// What a record that is read whole says.
    fn message(self, content: &[u8]) -> Result<Message, RecordError> {
        let id = self.id;
        let wrong = || RecordError::Length {
            kind: self.kind,
            length: u16::try_from(content.len()).unwrap_or(u16::MAX),
        };
        Ok(match (self.kind, content) {
            (BEGIN_REQUEST, [high, low, flags, ..]) => Message::Begin {
                id,
                role: Role::of(u16::from_be_bytes([*high, *low])),
                connection: if flags & KEEP_CONN == 0 {
                    Connection::Close
                } else {
                    Connection::Keep
                },
            },
            (ABORT_REQUEST, _) => Message::Abort { id },
            (END_REQUEST, [a, b, c, d, protocol, ..]) => Message::End {
                id,
                application: u32::from_be_bytes([*a, *b, *c, *d]),
                protocol: ProtocolStatus::of(*protocol),
            },
            (UNKNOWN_TYPE, [kind, ..]) => Message::UnknownType(*kind),
            (GET_VALUES, _) => Message::GetValues(params::whole(content).map_err(RecordError::Params)?),
            (GET_VALUES_RESULT, _) => Message::Values(params::whole(content).map_err(RecordError::Params)?),
            _ => return Err(wrong()),
        })
    }
}

const KEEP_CONN: u8 = 1;

/// Appends FCGI_BEGIN_REQUEST.
pub fn begin(out: &mut Vec<u8>, id: u16, role: Role, connection: Connection) {
    header(out, BEGIN_REQUEST, id, 8);
    out.extend_from_slice(&role.number().to_be_bytes());
    let keep = if connection == Connection::Keep { KEEP_CONN } else { 0 };
    out.extend_from_slice(&[keep, 0, 0, 0, 0, 0]);
}

/// Appends all of the request [`ONLY`], which has no standard input; `pairs` appends its variables. `false`: they are not to be
/// told, or too long for one record, and what was appended is of no use.
#[must_use]
pub fn request(
    out: &mut Vec<u8>,
    role: Role,
    connection: Connection,
    pairs: impl FnOnce(&mut Vec<u8>) -> bool,
) -> bool {
    begin(out, ONLY, role, connection);
    let at = out.len();
    header(out, Stream::Params.number(), ONLY, 0);
    if !pairs(out) {
        return false;
    }
    let length = u16::try_from(out.len() - at - HEADER);
    let (Ok(length @ 1..), Some(place)) = (length, out.get_mut(at + LENGTH..at + PADDING)) else {
        return false;
    };
    place.copy_from_slice(&length.to_be_bytes());
    header(out, Stream::Params.number(), ONLY, 0);
    header(out, Stream::Stdin.number(), ONLY, 0);
    true
}

/// Appends FCGI_ABORT_REQUEST.
pub fn abort(out: &mut Vec<u8>, id: u16) {
    header(out, ABORT_REQUEST, id, 0);
}

/// Appends FCGI_END_REQUEST.
pub fn end(out: &mut Vec<u8>, id: u16, application: u32, protocol: ProtocolStatus) {
    header(out, END_REQUEST, id, 8);
    out.extend_from_slice(&application.to_be_bytes());
    out.extend_from_slice(&[protocol.number(), 0, 0, 0]);
}

/// Appends the header of a stream's record with so much content, which must follow. A length of 0 ends the stream.
pub fn stream_header(out: &mut Vec<u8>, id: u16, stream: Stream, length: u16) {
    header(out, stream.number(), id, length);
}

/// Appends bytes of a stream in as many records as they need. None for no bytes: that would end the stream.
pub fn stream(out: &mut Vec<u8>, id: u16, stream: Stream, bytes: &[u8]) {
    for part in bytes.chunks(MAX_CONTENT) {
        stream_header(out, id, stream, u16::try_from(part.len()).unwrap_or(u16::MAX));
        out.extend_from_slice(part);
    }
}

/// Appends FCGI_GET_VALUES for these names. It has padding, though it would need none: without any, the development kit's
/// library waits for more.
pub fn ask_values(out: &mut Vec<u8>, names: &[&str]) {
    let pairs: Vec<(&[u8], &[u8])> = names.iter().map(|name| (name.as_bytes(), &[][..])).collect();
    let at = out.len();
    management(out, GET_VALUES, &pairs);
    if let Some(padding) = out.get_mut(at + PADDING) {
        *padding = 8;
        out.extend_from_slice(&[0; 8]);
    }
}

/// Where a header tells the length of the content.
const LENGTH: usize = 4;

/// Where a header tells the length of the padding.
const PADDING: usize = 6;

/// Appends FCGI_GET_VALUES_RESULT.
pub fn values(out: &mut Vec<u8>, pairs: &[(&[u8], &[u8])]) {
    management(out, GET_VALUES_RESULT, pairs);
}

/// Appends FCGI_UNKNOWN_TYPE for a record of this type.
pub fn unknown_type(out: &mut Vec<u8>, kind: u8) {
    header(out, UNKNOWN_TYPE, NULL_REQUEST, 8);
    out.extend_from_slice(&[kind, 0, 0, 0, 0, 0, 0, 0]);
}

/// A management record: pairs that do not fit into it are left out.
fn management(out: &mut Vec<u8>, kind: u8, pairs: &[(&[u8], &[u8])]) {
    let mut content = Vec::new();
    for (name, value) in pairs {
        let before = content.len();
        let _too_long_for_any_record = params::append(&mut content, name, value);
        if content.len() > MAX_CONTENT {
            content.truncate(before);
        }
    }
    header(out, kind, NULL_REQUEST, u16::try_from(content.len()).unwrap_or(0));
    out.extend_from_slice(&content);
}

/// Without padding: nothing here reads better for being aligned.
fn header(out: &mut Vec<u8>, kind: u8, id: u16, length: u16) {
    out.extend_from_slice(&[VERSION, kind]);
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&[0, 0]);
}
