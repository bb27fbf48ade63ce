//! One request to a FastCGI application: what it is told goes out as fast as it reads, and its answers come in as they are
//! asked for. Both at once, so that neither side waits for the other for ever.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::backend::pool::{Keep, Lease, STARVING};
use crate::gateway::fastcgi::answers::{Answer, Answers, Fault};
use crate::gateway::fastcgi::params;
use crate::gateway::fastcgi::record::{self, Connection, MAX_CONTENT, Role, Stream};

/// The only request on its connection.
const ID: u16 = 1;

/// So much is read at one time.
const READ: usize = 32 * 1024;

/// So many pieces are written at one time.
const PIECES: usize = 8;

/// Why a conversation ended before its time.
#[derive(Debug)]
pub enum Trouble {
    /// What the application said, or that it said no more.
    Fault(Fault),
    /// The connection broke.
    Io(io::Error),
    /// It said nothing for so long.
    Silent(Duration),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Fault(fault) => fault.fmt(f),
            Trouble::Io(error) => write!(f, "the connection broke: {error}"),
            Trouble::Silent(limit) => write!(f, "it was silent for {limit:?} (ProxyTimeout)"),
        }
    }
}

/// A request that an application serves.
#[derive(Debug)]
pub struct Conversation {
    lease: Lease,
    answers: Answers,
    /// What is still to be written.
    unsent: VecDeque<Bytes>,
    /// Whether some of the request's own records are still unsent.
    head: Head,
    stdin: Stdin,
    buffer: BytesMut,
    unread: Bytes,
    heard: bool,
    silence: Duration,
    last_heard: Instant,
    timer: Pin<Box<Sleep>>,
}

/// Whether the application can know what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    Unsent,
    Sent,
}

/// How far standard input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stdin {
    /// None of it was handed over.
    Untouched,
    /// Some of it was.
    Begun,
    /// All of it was, and there was something.
    Ended,
    /// There was none.
    Empty,
    /// The application does not read any more; whether something was handed over before.
    Unwanted(Touched),
}

/// Whether standard input was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Touched {
    Yes,
    No,
}

/// Whether a request whose conversation failed may be told to the application again, on a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeatable {
    /// It may: the application cannot have taken it.
    Yes,
    /// It may if it does no harm twice: the application may have taken it, and has not begun to answer.
    IfIdempotent,
    /// It may not.
    No,
}

impl Conversation {
    /// Begins a request. Variables whose names or values are too long for the protocol are left out. The application may be
    /// silent for `silence`.
    pub fn begin<'p>(
        lease: Lease,
        role: Role,
        variables: impl Iterator<Item = (&'p [u8], &'p [u8])>,
        silence: Duration,
    ) -> Conversation {
        let mut head = Vec::with_capacity(4096);
        let connection = match lease.keep() {
            Keep::Yes => Connection::Keep,
            Keep::No => Connection::Close,
        };
        record::begin(&mut head, ID, role, connection);
        let mut pairs = Vec::with_capacity(4096);
        for (name, value) in variables {
            let _too_long_for_the_protocol = params::append(&mut pairs, name, value);
        }
        record::stream(&mut head, ID, Stream::Params, &pairs);
        record::stream_header(&mut head, ID, Stream::Params, 0);
        let now = Instant::now();
        Conversation {
            lease,
            answers: Answers::new(ID),
            unsent: VecDeque::from([Bytes::from(head)]),
            head: Head::Unsent,
            stdin: Stdin::Untouched,
            buffer: BytesMut::new(),
            unread: Bytes::new(),
            heard: false,
            silence,
            last_heard: now,
            timer: Box::pin(sleep_until(now + silence.min(STARVING))),
        }
    }

    /// Whether it has room for more of standard input.
    pub fn wants_input(&self) -> bool {
        matches!(self.stdin, Stdin::Untouched | Stdin::Begun) && self.unsent.is_empty()
    }

    /// Whether the application has closed its side, and so reads no more of standard input.
    pub fn reads_no_more(&self) -> bool {
        matches!(self.stdin, Stdin::Unwanted(_))
    }

    /// Hands over the next bytes of standard input.
    pub fn put(&mut self, bytes: &Bytes) {
        let mut rest = bytes.clone();
        if matches!(self.stdin, Stdin::Unwanted(_)) || bytes.is_empty() {
            return;
        }
        self.stdin = Stdin::Begun;
        while !rest.is_empty() {
            let part = rest.split_to(rest.len().min(MAX_CONTENT));
            let mut header = Vec::with_capacity(record::HEADER);
            record::stream_header(
                &mut header,
                ID,
                Stream::Stdin,
                u16::try_from(part.len()).unwrap_or(u16::MAX),
            );
            self.unsent.push_back(Bytes::from(header));
            self.unsent.push_back(part);
        }
    }

    /// Standard input has ended.
    pub fn put_end(&mut self) {
        self.stdin = match self.stdin {
            Stdin::Untouched => Stdin::Empty,
            Stdin::Begun => Stdin::Ended,
            Stdin::Ended | Stdin::Empty | Stdin::Unwanted(_) => return,
        };
        let mut header = Vec::with_capacity(record::HEADER);
        record::stream_header(&mut header, ID, Stream::Stdin, 0);
        self.unsent.push_back(Bytes::from(header));
    }

    /// The silence so far is not the application's fault.
    pub fn excuse_silence(&mut self) {
        self.last_heard = Instant::now();
        self.lease.waits_for_client();
    }

    /// It is the application's turn.
    pub fn await_application(&mut self) {
        if !self.heard {
            self.lease.waits_for_application();
        }
    }

    /// The application's next answer. Behind [`Answer::End`] and trouble there is nothing to ask.
    pub fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, Trouble>> {
        loop {
            match self.answers.next(&mut self.unread) {
                Ok(Some(answer)) => return Poll::Ready(Ok(answer)),
                Ok(None) => {}
                Err(fault) => return Poll::Ready(Err(Trouble::Fault(fault))),
            }
            self.write(cx);
            self.buffer.reserve(READ);
            match self.lease.socket().try_read(&mut self.buffer) {
                Ok(0) => return Poll::Ready(Err(Trouble::Fault(self.answers.closed()))),
                Ok(_) => {
                    self.unread = self.buffer.split().freeze();
                    self.heard = true;
                    self.last_heard = Instant::now();
                    self.lease.is_answered();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.lease.socket().poll_readable(cx).is_pending() {
                        return self.poll_silence(cx);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(Trouble::Io(error))),
            }
        }
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, Trouble>> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let until = self.last_heard + self.silence;
            if Instant::now() >= until {
                return Poll::Ready(Err(Trouble::Silent(self.silence)));
            }
            if !self.heard {
                self.lease.starves();
            }
            self.timer.as_mut().reset(until);
        }
        Poll::Pending
    }

    /// Writes what there is room for. An application that reads no more may still have answered, so that is no trouble yet.
    fn write(&mut self, cx: &mut Context<'_>) {
        while !self.unsent.is_empty() {
            let pieces: Vec<IoSlice<'_>> = self
                .unsent
                .iter()
                .take(PIECES)
                .map(|piece| IoSlice::new(piece))
                .collect();
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
                    self.stdin = Stdin::Unwanted(match self.stdin {
                        Stdin::Untouched | Stdin::Empty => Touched::No,
                        Stdin::Begun | Stdin::Ended => Touched::Yes,
                        Stdin::Unwanted(touched) => touched,
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

    /// Whether a request that has failed may be told to the application again. Only a kept connection can have been closed
    /// before; and of standard input nothing must be lost.
    pub fn repeatable(&self) -> Repeatable {
        let is_lost = matches!(self.stdin, Stdin::Begun | Stdin::Ended | Stdin::Unwanted(Touched::Yes));
        match self.head {
            _ if self.heard || is_lost || !self.lease.may_be_lost() => Repeatable::No,
            Head::Unsent => Repeatable::Yes,
            Head::Sent => Repeatable::IfIdempotent,
        }
    }

    /// Ends a request whose last answer is there: its connection is kept where that was agreed.
    pub fn end(self) {
        let is_whole = self.answers.are_whole(&self.unread) && self.unsent.is_empty();
        if is_whole && matches!(self.stdin, Stdin::Ended | Stdin::Empty) {
            self.lease.keep_for_another();
        }
    }

    /// Tells the application that nobody waits for the request any more, and closes the connection.
    pub fn abort(mut self) {
        if self.unsent.is_empty() && !matches!(self.stdin, Stdin::Unwanted(_)) {
            let mut record = Vec::with_capacity(record::HEADER);
            record::abort(&mut record, ID);
            // The close that follows says the same to those who do not read.
            let _ = self.lease.socket().try_write(&[IoSlice::new(&record)]);
        }
        self.unsent.clear();
    }
}
