//! The bytes of one request on a connection to an application, whatever it speaks: what it is told goes out as fast as it
//! reads, and what it says comes in as it is asked for. Both at once, so that neither side waits for the other for ever.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::time::Instant;

use crate::backend::pool::Lease;
use crate::backend::waiting::STARVING;
use crate::gateway::fastcgi::answers::Fault;

/// So much is read at one time, at least: an answer of 64 KiB in records, if it is there.
const READ: usize = 72 * 1024;

/// So much of a thread's buffer is used before it is to begin anew: with memory that nobody reads any more, or with other memory.
const BUFFERED: usize = 4 * READ;

thread_local! {
    /// Where answers arrive; what came is shared, not copied.
    static BUFFER: RefCell<BytesMut> = RefCell::new(BytesMut::new());
}

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

/// A connection that carries a request.
#[derive(Debug)]
pub(super) struct Wire {
    lease: Lease,
    /// What is still to be written.
    unsent: VecDeque<Bytes>,
    /// Whether some of the request's own words are still unsent.
    head: Head,
    stdin: Stdin,
    heard: bool,
    silence: Duration,
    last_heard: Instant,
    /// It is the client's turn, not the application's.
    excused: bool,
    /// When a request on a new connection may be waiting for a process that a kept one holds.
    first_look: Option<Instant>,
}

/// How many connections an application serves at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Serves {
    /// One, or as many as it has processes: one that is kept may keep another waiting.
    Few,
    /// Any number.
    Many,
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

impl Wire {
    /// A request whose own words are `head`. The application may be silent for `silence`.
    pub(super) fn new(lease: Lease, head: Vec<u8>, silence: Duration) -> Wire {
        Wire::to(Serves::Few, lease, Bytes::from(head), silence)
    }

    /// The same to one that serves so many connections.
    pub(super) fn to(serves: Serves, lease: Lease, head: Bytes, silence: Duration) -> Wire {
        let now = Instant::now();
        let may_starve = serves == Serves::Few && !lease.was_kept();
        Wire {
            lease,
            unsent: VecDeque::from([head]),
            head: Head::Unsent,
            stdin: Stdin::Untouched,
            heard: false,
            silence,
            last_heard: now,
            excused: false,
            first_look: may_starve.then(|| now + silence.min(STARVING)),
        }
    }

    /// Whether there is room for more of standard input.
    pub(super) fn wants_input(&self) -> bool {
        matches!(self.stdin, Stdin::Untouched | Stdin::Begun) && self.unsent.is_empty()
    }

    /// Whether the application has closed its side, and so reads no more of standard input.
    pub(super) fn reads_no_more(&self) -> bool {
        matches!(self.stdin, Stdin::Unwanted(_))
    }

    /// Some of standard input is about to be written. `false`: nobody reads it.
    pub(super) fn begin_input(&mut self) -> bool {
        if self.reads_no_more() {
            return false;
        }
        self.stdin = Stdin::Begun;
        true
    }

    /// Standard input has ended. `false`: that was known, or nobody minds.
    pub(super) fn end_input(&mut self) -> bool {
        self.stdin = match self.stdin {
            Stdin::Untouched => Stdin::Empty,
            Stdin::Begun => Stdin::Ended,
            Stdin::Ended | Stdin::Empty | Stdin::Unwanted(_) => return false,
        };
        true
    }

    /// Whether standard input was handed over to its end.
    pub(super) fn is_input_whole(&self) -> bool {
        matches!(self.stdin, Stdin::Ended | Stdin::Empty)
    }

    /// Has these bytes written in their turn.
    pub(super) fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.unsent.push_back(bytes);
        }
    }

    /// Whether all that was to be written is.
    pub(super) fn is_drained(&self) -> bool {
        self.unsent.is_empty() && self.lease.socket().is_pushed()
    }

    /// The silence so far is not the application's fault.
    pub(super) fn excuse_silence(&mut self) {
        self.last_heard = Instant::now();
        self.excused = true;
    }

    /// Writes what there is room for and reads what comes next; `None` is the end.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Trouble>> {
        loop {
            self.write(cx);
            match self.read() {
                Ok(bytes) if bytes.is_empty() => return Poll::Ready(Ok(None)),
                Ok(bytes) => {
                    self.heard = true;
                    self.last_heard = Instant::now();
                    self.lease.is_answered();
                    return Poll::Ready(Ok(Some(bytes)));
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

    fn read(&self) -> io::Result<Bytes> {
        BUFFER.with_borrow_mut(|buffer| {
            // Where nobody reads the last answers any more, the next takes their place, which is at hand.
            if !buffer.try_reclaim(BUFFERED) && buffer.capacity() < READ {
                buffer.reserve(BUFFERED);
            }
            self.lease.socket().try_read(buffer)?;
            Ok(buffer.split().freeze())
        })
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Trouble>> {
        match std::mem::take(&mut self.excused) {
            true => {
                self.lease.waits_for_client();
                // No process is missed as long as there is nothing to do for it.
                self.first_look = self.first_look.map(|_| self.last_heard + self.silence.min(STARVING));
            }
            false if !self.heard => self.lease.waits_for_application(),
            false => {}
        }
        if let Some(look) = self.first_look {
            if !self.heard {
                ready!(self.lease.patience().poll_over(cx, look));
                self.lease.starves();
            }
            self.first_look = None;
        }
        let until = self.last_heard + self.silence;
        ready!(self.lease.patience().poll_over(cx, until));
        Poll::Ready(Err(Trouble::Silent(self.silence)))
    }

    /// Writes what there is room for. An application that reads no more may still have answered, so that is no trouble yet.
    fn write(&mut self, cx: &mut Context<'_>) {
        while !self.is_drained() {
            let mut pieces = [IoSlice::new(&[]); PIECES];
            let count = self.unsent.len().min(PIECES);
            for (piece, unsent) in pieces.iter_mut().zip(&self.unsent) {
                *piece = IoSlice::new(unsent);
            }
            let written = match pieces.get(..count).unwrap_or_default() {
                [] => self.lease.socket().try_push().map(|()| 0),
                pieces => self.lease.socket().try_write(pieces),
            };
            match written {
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
                    return;
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
    pub(super) fn repeatable(&self) -> Repeatable {
        let is_lost = matches!(self.stdin, Stdin::Begun | Stdin::Ended | Stdin::Unwanted(Touched::Yes));
        match self.head {
            _ if self.heard || is_lost || !self.lease.may_be_lost() => Repeatable::No,
            Head::Unsent => Repeatable::Yes,
            Head::Sent => Repeatable::IfIdempotent,
        }
    }

    /// A last word, where it can be said at once: the close that follows says the same to those who do not read.
    pub(super) fn say_at_once(&mut self, word: &[u8]) {
        if self.unsent.is_empty() && !self.reads_no_more() {
            let _ = self.lease.socket().try_write(&[IoSlice::new(word)]);
        }
        self.unsent.clear();
    }

    /// The request has ended, and the connection has nothing more on it.
    pub(super) fn keep_for_another(self) {
        self.lease.keep_for_another();
    }

    /// The bare connection.
    pub(super) fn into_lease(self) -> Lease {
        self.lease
    }
}
