//! One request to a server that speaks HTTP/1: its head and body go out as fast as it reads, and what it answers comes in as
//! it is asked for. Both at once, so that neither side waits for the other for ever.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::backend::conversation::Talks;
use crate::backend::pool::Lease;
use crate::backend::wire::{self, Repeatable, Serves, Wire};
use crate::http::chunked::{CHUNK_END, ChunkError, ChunkHead, Decoder, LAST_CHUNK, Step};
use crate::http::fields::Fields;
use crate::http::framing::{Framing, FramingError, Persistence};
use crate::http::method::Method;
use crate::http::received::{BadLine, BodyEnd, HeadReader, Received, ReceivedError};
use crate::http::status::Status;

/// So much is read at one time of another protocol.
const READ: usize = 32 * 1024;

/// How long a server may leave `Expect: 100-continue` unanswered before it gets the body all the same (RFC 9110 section
/// 10.1.1 has clients not wait for ever).
const CONTINUE: Duration = Duration::from_secs(1);

/// Why a conversation ended before its time.
#[derive(Debug)]
pub enum Trouble {
    /// The head of its response is none.
    Head(ReceivedError),
    /// Where its body ends cannot be told.
    Framing(FramingError),
    /// Its body is not framed as its head says.
    Chunk(ChunkError),
    /// It closed the connection before its response began.
    Closed,
    /// It closed the connection in the middle of its response.
    Cut,
    /// The connection broke, or was silent for too long.
    Wire(wire::Trouble),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Head(error) => error.fmt(f),
            Trouble::Framing(error) => write!(f, "where its response ends cannot be told: {error}"),
            Trouble::Chunk(error) => write!(f, "its response is not framed as it says: {error}"),
            Trouble::Closed => f.write_str("it closed the connection without a response"),
            Trouble::Cut => f.write_str("it closed the connection in the middle of its response"),
            Trouble::Wire(trouble) => trouble.fmt(f),
        }
    }
}

/// A request, but for its body.
#[derive(Clone, Debug)]
pub struct Order {
    /// Its head, with the empty line.
    pub head: Bytes,
    /// The method, on which the response's framing depends.
    pub method: Method,
    /// How the body is framed that the head tells of.
    pub framing: Framing,
    /// Whether the body waits until it is asked for.
    pub expects: Expects,
    /// How long the server may be silent.
    pub silence: Duration,
    /// The longest line of its head, in bytes.
    pub line_limit: usize,
    /// What becomes of lines that are no fields.
    pub bad_line: BadLine,
}

/// What the head says of 100-continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expects {
    /// The body comes only when it is asked for.
    Continue,
    /// Nothing.
    Nothing,
}

/// What a server says.
#[derive(Debug)]
pub enum Answer {
    /// An interim response; others follow.
    Interim(Received),
    /// The final response, and where its body ends.
    Head(Received, BodyEnd),
    /// It has switched protocols (RFC 9110 section 15.2.2).
    Switched(Received),
    /// Bytes of the body.
    Data(Bytes),
    /// The end of the body.
    End,
}

/// A request that a server answers.
#[derive(Debug)]
pub struct Conversation {
    wire: Wire,
    method: Method,
    framing: Framing,
    reader: HeadReader,
    stage: Stage,
    persistence: Persistence,
    trailer: Fields,
    /// Until when the body waits to be asked for.
    held: Option<Pin<Box<Sleep>>>,
    /// It has answered without the body that it was to ask for.
    is_unasked: bool,
    /// What there is of a head.
    head: Vec<u8>,
    unread: Bytes,
    /// An answer that was put back.
    back: Option<Box<Result<Answer, Trouble>>>,
}

/// How far the response is.
#[derive(Debug)]
enum Stage {
    Head,
    Length(u64),
    Chunked(Box<Decoder>),
    UntilClose,
    Ended,
}

impl Conversation {
    /// Begins a request.
    pub fn begin(lease: Lease, order: Order) -> Conversation {
        let holds = order.expects == Expects::Continue && order.framing != Framing::None;
        Conversation {
            wire: Wire::to(Serves::Many, lease, order.head, order.silence),
            method: order.method,
            framing: order.framing,
            reader: HeadReader::new(order.line_limit, order.bad_line),
            stage: Stage::Head,
            persistence: Persistence::Close,
            trailer: Fields::new(),
            held: holds.then(|| Box::pin(sleep_until(Instant::now() + CONTINUE))),
            is_unasked: false,
            head: Vec::new(),
            unread: Bytes::new(),
            back: None,
        }
    }

    /// Has this answer, which was the last one, come once more.
    pub fn put_back(&mut self, answer: Result<Answer, Trouble>) {
        self.back = Some(Box::new(answer));
    }

    /// The body of a response whose head was the last answer, if all of it is there and nothing behind it. The response has ended
    /// then.
    pub fn take_whole_body(&mut self) -> Option<Bytes> {
        let is_whole = matches!(self.stage, Stage::Length(left) if left == self.unread.len() as u64);
        is_whole.then(|| {
            self.stage = Stage::Ended;
            std::mem::take(&mut self.unread)
        })
    }

    /// The trailer fields of the body that has ended.
    pub fn take_trailer(&mut self) -> Fields {
        std::mem::take(&mut self.trailer)
    }

    /// What the bytes that are there say.
    fn next(&mut self) -> Result<Option<Answer>, Trouble> {
        match &mut self.stage {
            Stage::Length(0) | Stage::Ended => {
                self.stage = Stage::Ended;
                Ok(Some(Answer::End))
            }
            _ if self.unread.is_empty() && self.head.is_empty() => Ok(None),
            Stage::Head => {
                // Mostly it comes in one piece, and is read where it is.
                let whole = if self.head.is_empty() {
                    std::mem::take(&mut self.unread)
                } else {
                    self.head.extend_from_slice(&std::mem::take(&mut self.unread));
                    Bytes::from(std::mem::take(&mut self.head))
                };
                let Some((received, length)) = self.reader.parse(&whole).map_err(Trouble::Head)? else {
                    self.head = Vec::from(whole);
                    return Ok(None);
                };
                self.unread = whole;
                self.unread.advance(length);
                self.begun(received).map(Some)
            }
            Stage::Length(left) => {
                let there = usize::try_from(*left).unwrap_or(usize::MAX).min(self.unread.len());
                *left -= there as u64;
                Ok(Some(Answer::Data(self.unread.split_to(there))))
            }
            Stage::UntilClose => Ok(Some(Answer::Data(std::mem::take(&mut self.unread)))),
            Stage::Chunked(decoder) => match decoder.decode(&self.unread).map_err(Trouble::Chunk)? {
                Step::NeedMore => {
                    self.unread.clear();
                    Ok(None)
                }
                Step::Data { consumed, data } => {
                    let piece = self.unread.split_to(consumed);
                    Ok(Some(Answer::Data(piece.slice(data))))
                }
                Step::End { consumed } => {
                    self.trailer = decoder.trailer();
                    self.unread.advance(consumed);
                    self.stage = Stage::Ended;
                    Ok(Some(Answer::End))
                }
            },
        }
    }

    /// A head is there.
    fn begun(&mut self, received: Received) -> Result<Answer, Trouble> {
        let status = received.head.status;
        if status == Status::SWITCHING_PROTOCOLS {
            return Ok(Answer::Switched(received));
        }
        if status.is_informational() {
            if status == Status::CONTINUE {
                self.held = None;
            }
            return Ok(Answer::Interim(received));
        }
        if self.held.take().is_some() {
            self.is_unasked = true;
        }
        let end = received.body_end(self.method).map_err(Trouble::Framing)?;
        self.persistence = received.persistence();
        self.stage = match end {
            BodyEnd::NoBody => Stage::Ended,
            BodyEnd::Length(length) => Stage::Length(length),
            BodyEnd::Chunked => Stage::Chunked(Box::new(Decoder::keeping_trailer())),
            BodyEnd::Close => Stage::UntilClose,
        };
        if end == BodyEnd::Close {
            self.persistence = Persistence::Close;
        }
        Ok(Answer::Head(received, end))
    }

    /// The server has closed its side.
    fn closed(&mut self) -> Result<Answer, Trouble> {
        match self.stage {
            Stage::UntilClose | Stage::Ended => {
                self.stage = Stage::Ended;
                Ok(Answer::End)
            }
            Stage::Head if self.head.is_empty() => Err(Trouble::Closed),
            Stage::Head | Stage::Length(_) | Stage::Chunked(_) => Err(Trouble::Cut),
        }
    }

    /// A body that nobody has asked for in time is sent all the same.
    fn poll_held(&mut self, cx: &mut Context<'_>) {
        if let Some(held) = &mut self.held
            && held.as_mut().poll(cx).is_ready()
        {
            self.held = None;
        }
    }

    /// Ends a request whose response is there: its connection is kept where both sides do, and nothing else has come on it.
    pub fn end(self) {
        let is_told = self.wire.is_input_whole() || matches!(self.framing, Framing::None | Framing::Length(0));
        let is_whole = matches!(self.stage, Stage::Ended) && self.unread.is_empty() && self.wire.is_drained();
        if is_whole && is_told && !self.is_unasked && self.persistence == Persistence::KeepAlive {
            self.wire.keep_for_another();
        }
    }

    /// The bare connection, behind [`Answer::Switched`].
    pub fn into_line(self, silence: Duration) -> Line {
        Line {
            lease: self.wire.into_lease(),
            first: self.unread,
            silence,
        }
    }
}

impl Talks for Conversation {
    type Answer = Result<Answer, Trouble>;

    fn wants_input(&self) -> bool {
        self.held.is_none() && self.wire.wants_input()
    }

    fn reads_no_more(&self) -> bool {
        self.is_unasked || self.wire.reads_no_more()
    }

    fn put(&mut self, bytes: &Bytes) {
        if bytes.is_empty() || !self.wire.begin_input() {
            return;
        }
        if self.framing == Framing::Chunked {
            let head = ChunkHead::new(bytes.len());
            self.wire.push(Bytes::copy_from_slice(head.as_bytes()));
            self.wire.push(bytes.clone());
            self.wire.push(Bytes::from_static(CHUNK_END));
        } else {
            self.wire.push(bytes.clone());
        }
    }

    fn put_end(&mut self) {
        if self.wire.end_input() && self.framing == Framing::Chunked {
            self.wire.push(Bytes::from_static(LAST_CHUNK));
        }
    }

    fn excuse_silence(&mut self) {
        self.wire.excuse_silence();
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Self::Answer> {
        if let Some(answer) = self.back.take() {
            return Poll::Ready(*answer);
        }
        loop {
            match self.next() {
                Ok(Some(answer)) => return Poll::Ready(Ok(answer)),
                Ok(None) => {}
                Err(trouble) => return Poll::Ready(Err(trouble)),
            }
            match self.wire.poll_read(cx) {
                Poll::Ready(Ok(Some(bytes))) => self.unread = bytes,
                Poll::Ready(Ok(None)) => return Poll::Ready(self.closed()),
                Poll::Ready(Err(trouble)) => return Poll::Ready(Err(Trouble::Wire(trouble))),
                Poll::Pending => {
                    self.poll_held(cx);
                    return Poll::Pending;
                }
            }
        }
    }

    fn repeatable(&self) -> Repeatable {
        self.wire.repeatable()
    }
}

/// A connection on which another protocol is spoken.
#[derive(Debug)]
pub struct Line {
    lease: Lease,
    /// What came with the head.
    first: Bytes,
    silence: Duration,
}

impl Line {
    /// How long both sides may be silent.
    pub fn silence(&self) -> Duration {
        self.silence
    }

    /// The next bytes; none at the end.
    pub fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        if !self.first.is_empty() {
            return Poll::Ready(Ok(std::mem::take(&mut self.first)));
        }
        let mut buffer = BytesMut::with_capacity(READ);
        loop {
            match self.lease.socket().try_read(&mut buffer) {
                Ok(_) => return Poll::Ready(Ok(buffer.freeze())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.lease.socket().poll_readable(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Writes all of `bytes`, or as much as there is room for.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &mut Bytes) -> Poll<io::Result<()>> {
        let socket = self.lease.socket();
        while !bytes.is_empty() || !socket.is_pushed() {
            let written = if bytes.is_empty() {
                socket.try_push().map(|()| 0)
            } else {
                socket.try_write(&[IoSlice::new(bytes)])
            };
            match written {
                Ok(count) => bytes.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if socket.poll_writable(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// No more is written.
    pub fn end(&self) {
        self.lease.socket().shut_down_sending();
    }
}

#[cfg(test)]
mod tests;
