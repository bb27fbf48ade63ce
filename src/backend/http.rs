//! One request to a server that speaks HTTP/1: its head and body go out as fast as it reads, and what it answers comes in as
//! it is asked for. Both at once, so that neither side waits for the other for ever.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::backend::fastcgi::Repeatable;
use crate::backend::pool::Lease;
use crate::http::chunked::{CHUNK_END, ChunkError, ChunkHead, Decoder, LAST_CHUNK, Step};
use crate::http::fields::Fields;
use crate::http::framing::{Framing, FramingError, Persistence};
use crate::http::method::Method;
use crate::http::received::{BadLine, BodyEnd, HeadReader, Received, ReceivedError};
use crate::http::status::Status;

/// So much is read at one time.
const READ: usize = 32 * 1024;

/// So many pieces are written at one time.
const PIECES: usize = 8;

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
    /// The connection broke.
    Io(io::Error),
    /// It said nothing for so long.
    Silent(Duration),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Head(error) => error.fmt(f),
            Trouble::Framing(error) => write!(f, "where its response ends cannot be told: {error}"),
            Trouble::Chunk(error) => write!(f, "its response is not framed as it says: {error}"),
            Trouble::Closed => f.write_str("it closed the connection without a response"),
            Trouble::Cut => f.write_str("it closed the connection in the middle of its response"),
            Trouble::Io(error) => write!(f, "the connection broke: {error}"),
            Trouble::Silent(limit) => write!(f, "it was silent for {limit:?} (ProxyTimeout)"),
        }
    }
}

/// A request, but for its body.
#[derive(Debug)]
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
    lease: Lease,
    method: Method,
    framing: Framing,
    reader: HeadReader,
    stage: Stage,
    persistence: Persistence,
    trailer: Fields,
    unsent: VecDeque<Bytes>,
    head: Head,
    body: Body,
    /// Until when the body waits to be asked for.
    held: Option<Pin<Box<Sleep>>>,
    buffer: BytesMut,
    heard: bool,
    silence: Duration,
    last_heard: Instant,
    timer: Pin<Box<Sleep>>,
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

/// Whether the server can know what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    Unsent,
    Sent,
}

/// How far the request's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    /// None of it was handed over.
    Untouched,
    /// Some of it was.
    Begun,
    /// All of it was, or there is none.
    Ended,
    /// The server does not read any more; whether something was handed over before.
    Unwanted(Touched),
}

/// Whether the body was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Touched {
    Yes,
    No,
}

impl Conversation {
    /// Begins a request.
    pub fn begin(lease: Lease, order: Order) -> Conversation {
        let now = Instant::now();
        let holds = order.expects == Expects::Continue && order.framing != Framing::None;
        Conversation {
            lease,
            method: order.method,
            framing: order.framing,
            reader: HeadReader::new(order.line_limit, order.bad_line),
            stage: Stage::Head,
            persistence: Persistence::Close,
            trailer: Fields::new(),
            unsent: VecDeque::from([order.head]),
            head: Head::Unsent,
            body: Body::Untouched,
            held: holds.then(|| Box::pin(sleep_until(now + CONTINUE))),
            buffer: BytesMut::new(),
            heard: false,
            silence: order.silence,
            last_heard: now,
            timer: Box::pin(sleep_until(now + order.silence)),
        }
    }

    /// Whether it has room for more of the body.
    pub fn wants_input(&self) -> bool {
        matches!(self.body, Body::Untouched | Body::Begun) && self.unsent.is_empty() && self.held.is_none()
    }

    /// Whether the server reads no more of the body.
    pub fn reads_no_more(&self) -> bool {
        matches!(self.body, Body::Unwanted(_))
    }

    /// Hands over the next bytes of the body.
    pub fn put(&mut self, bytes: &Bytes) {
        if matches!(self.body, Body::Unwanted(_)) || bytes.is_empty() {
            return;
        }
        self.body = Body::Begun;
        if self.framing == Framing::Chunked {
            let head = ChunkHead::new(bytes.len());
            self.unsent.push_back(Bytes::copy_from_slice(head.as_bytes()));
            self.unsent.push_back(bytes.clone());
            self.unsent.push_back(Bytes::from_static(CHUNK_END));
        } else {
            self.unsent.push_back(bytes.clone());
        }
    }

    /// The body has ended.
    pub fn put_end(&mut self) {
        if let Body::Untouched | Body::Begun = self.body {
            // Nothing is lost of a body without a byte, should it have to be told again.
            if self.body == Body::Begun || self.framing == Framing::Chunked {
                self.body = Body::Ended;
            }
            if self.framing == Framing::Chunked {
                self.unsent.push_back(Bytes::from_static(LAST_CHUNK));
            }
        }
    }

    /// The silence so far is not the server's fault.
    pub fn excuse_silence(&mut self) {
        self.last_heard = Instant::now();
    }

    /// The trailer fields of the body that has ended.
    pub fn take_trailer(&mut self) -> Fields {
        std::mem::take(&mut self.trailer)
    }

    /// The server's next answer. Behind [`Answer::End`], [`Answer::Switched`] and trouble there is nothing to ask.
    pub fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, Trouble>> {
        loop {
            match self.next() {
                Ok(Some(answer)) => return Poll::Ready(Ok(answer)),
                Ok(None) => {}
                Err(trouble) => return Poll::Ready(Err(trouble)),
            }
            self.write(cx);
            self.buffer.reserve(READ);
            match self.lease.socket().try_read(&mut self.buffer) {
                Ok(0) => return Poll::Ready(self.closed()),
                Ok(_) => {
                    self.heard = true;
                    self.last_heard = Instant::now();
                    self.lease.is_answered();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.lease.socket().poll_readable(cx).is_pending() {
                        self.poll_held(cx);
                        return self.poll_silence(cx);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(Trouble::Io(error))),
            }
        }
    }

    /// What the bytes that are there say.
    fn next(&mut self) -> Result<Option<Answer>, Trouble> {
        match &mut self.stage {
            Stage::Head if self.buffer.is_empty() => Ok(None),
            Stage::Head => {
                let Some((received, length)) = self.reader.parse(&self.buffer).map_err(Trouble::Head)? else {
                    return Ok(None);
                };
                self.buffer.advance(length);
                self.begun(received).map(Some)
            }
            Stage::Length(0) | Stage::Ended => {
                self.stage = Stage::Ended;
                Ok(Some(Answer::End))
            }
            Stage::Length(_) | Stage::UntilClose if self.buffer.is_empty() => Ok(None),
            Stage::Length(left) => {
                let there = usize::try_from(*left).unwrap_or(usize::MAX).min(self.buffer.len());
                *left -= there as u64;
                Ok(Some(Answer::Data(self.buffer.split_to(there).freeze())))
            }
            Stage::UntilClose => Ok(Some(Answer::Data(self.buffer.split().freeze()))),
            Stage::Chunked(decoder) => match decoder.decode(&self.buffer).map_err(Trouble::Chunk)? {
                Step::NeedMore => {
                    self.buffer.clear();
                    Ok(None)
                }
                Step::Data { consumed, data } => {
                    let mut piece = self.buffer.split_to(consumed);
                    piece.truncate(data.end);
                    Ok(Some(Answer::Data(piece.split_off(data.start).freeze())))
                }
                Step::End { consumed } => {
                    self.trailer = decoder.trailer();
                    self.buffer.advance(consumed);
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
            // It answers without the body.
            self.body = Body::Unwanted(Touched::No);
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
            Stage::Head if !self.heard => Err(Trouble::Closed),
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

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, Trouble>> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let until = self.last_heard + self.silence;
            if Instant::now() >= until {
                return Poll::Ready(Err(Trouble::Silent(self.silence)));
            }
            self.timer.as_mut().reset(until);
        }
        Poll::Pending
    }

    /// Writes what there is room for. A server that reads no more may still have answered, so that is no trouble yet.
    fn write(&mut self, cx: &mut Context<'_>) {
        while !self.unsent.is_empty() {
            let pieces = self.unsent.iter().take(PIECES);
            let pieces: Vec<IoSlice<'_>> = pieces.map(|piece| IoSlice::new(piece)).collect();
            match self.lease.socket().try_write(&pieces) {
                Ok(count) => {
                    self.last_heard = Instant::now();
                    self.written(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.lease.socket().poll_writable(cx).is_pending() {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.unsent.clear();
                    self.held = None;
                    self.body = Body::Unwanted(match self.body {
                        Body::Untouched => Touched::No,
                        Body::Begun | Body::Ended => Touched::Yes,
                        Body::Unwanted(touched) => touched,
                    });
                }
            }
        }
    }

    fn written(&mut self, mut count: usize) {
        while let Some(first) = self.unsent.front_mut() {
            let part = count.min(first.len());
            first.advance(part);
            count -= part;
            if !first.is_empty() {
                return;
            }
            self.unsent.pop_front();
            self.head = Head::Sent;
        }
    }

    /// Whether a request that has failed may be told to the server again. Only a kept connection can have been closed
    /// before; and of the body nothing must be lost.
    pub fn repeatable(&self) -> Repeatable {
        let is_lost = matches!(self.body, Body::Begun | Body::Ended | Body::Unwanted(Touched::Yes));
        match self.head {
            _ if self.heard || is_lost || !self.lease.was_kept() => Repeatable::No,
            Head::Unsent => Repeatable::Yes,
            Head::Sent => Repeatable::IfIdempotent,
        }
    }

    /// Ends a request whose response is there: its connection is kept where both sides do, and nothing else has come on it.
    pub fn end(self) {
        let is_told = matches!(self.body, Body::Ended)
            || self.body == Body::Untouched && matches!(self.framing, Framing::None | Framing::Length(0));
        let is_whole = matches!(self.stage, Stage::Ended) && self.buffer.is_empty() && self.unsent.is_empty();
        if is_whole && is_told && self.persistence == Persistence::KeepAlive {
            self.lease.keep_for_another();
        }
    }

    /// The bare connection, behind [`Answer::Switched`].
    pub fn into_wire(self) -> Wire {
        Wire {
            lease: self.lease,
            first: self.buffer.freeze(),
            silence: self.silence,
        }
    }
}

/// A connection on which another protocol is spoken.
#[derive(Debug)]
pub struct Wire {
    lease: Lease,
    /// What came with the head.
    first: Bytes,
    silence: Duration,
}

impl Wire {
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
        while !bytes.is_empty() {
            match self.lease.socket().try_write(&[IoSlice::new(bytes)]) {
                Ok(count) => bytes.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.lease.socket().poll_writable(cx).is_pending() {
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
