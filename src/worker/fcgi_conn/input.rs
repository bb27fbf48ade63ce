//! The reading side of a FastCGI connection: the next request, then its standard input, with backpressure; and what the protocol
//! wants answered meanwhile.

use std::collections::VecDeque;
use std::future::Future;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use rustix::event::{PollFd, PollFlags, Timespec};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::config::directives::site::StageTimeout;
use crate::exchange::body::{BodyError, BodyLength, Gone, Incoming, Probed};
use crate::gateway::fastcgi::record::Connection;
use crate::gateway::fastcgi::requests::{Asked, Fault, Request, Requests, Room};
use crate::net::stream::Stream;
use crate::worker::reader::Reader;

/// More than this of a request's input is not taken in while its script does not read.
const AHEAD: usize = 64 * 1024;

/// More than this is not kept for a client that asks and does not listen.
const MOST_ANSWERS: usize = 64 * 1024;

/// The reading side of a connection.
pub(super) struct Input {
    stream: Rc<Stream>,
    reader: Reader,
    requests: Requests,
    /// Bytes that were read and not yet understood.
    unread: Bytes,
    /// Standard input that nobody has taken yet.
    ahead: VecDeque<Bytes>,
    ahead_bytes: usize,
    state: State,
    /// What is to be sent for things asked meanwhile.
    pub(super) answers: Vec<u8>,
    /// A client may be silent for so long where its words are waited for.
    timeout: Duration,
    silence: Option<Pin<Box<Sleep>>>,
}

/// How much of the request's standard input there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// More may come.
    Open,
    /// All of it has come.
    Ended,
    /// No more will come, nor anything else.
    Lost(Loss),
}

/// Why a request's input breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// The client has lost interest; the connection goes on.
    Aborted,
    /// The client sends no more.
    Closed,
    /// The connection is broken.
    Broken,
    /// What it sends cannot be read.
    Fault(Fault),
}

/// What comes between two requests.
pub(super) enum Next {
    /// A request.
    Request(Request),
    /// The answers to something else; behind them the connection goes on, or does not.
    Answers(Connection),
    /// Nothing more.
    Lost(Loss),
}

impl Input {
    pub(super) fn new(stream: &Rc<Stream>, room: Room, timeout: Duration) -> Input {
        Input {
            stream: Rc::clone(stream),
            reader: Reader::new(Rc::clone(stream)),
            requests: Requests::new(room),
            unread: Bytes::new(),
            ahead: VecDeque::new(),
            ahead_bytes: 0,
            state: State::Open,
            answers: Vec::new(),
            timeout,
            silence: None,
        }
    }

    /// Whether nothing has come since the last request.
    pub(super) fn is_idle(&self) -> bool {
        self.requests.is_idle() && self.unread.is_empty()
    }

    /// Why the request's input broke off, if it did.
    pub(super) fn loss(&self) -> Option<Loss> {
        match self.state {
            State::Lost(loss) => Some(loss),
            State::Open | State::Ended => None,
        }
    }

    /// What comes next, between two requests.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        loop {
            match ready!(self.poll_asked(cx)) {
                Ok(Asked::Request(request)) => {
                    self.state = State::Open;
                    return Poll::Ready(Next::Request(request));
                }
                Ok(Asked::Answered(answer, connection)) => {
                    self.answers.extend_from_slice(&answer);
                    return Poll::Ready(Next::Answers(connection));
                }
                // None is open.
                Ok(Asked::Input(_) | Asked::InputEnd | Asked::Abort) => {}
                Err(loss) => return Poll::Ready(Next::Lost(loss)),
            }
        }
    }

    /// What has come already of the request's input is understood, without waiting for more.
    pub(super) fn look(&mut self, cx: &mut Context<'_>) {
        while self.state == State::Open && self.ahead_bytes < AHEAD && self.poll_step(cx).is_ready() {}
    }

    /// The request has been answered: what is still unread of it is passed over.
    pub(super) fn answered(&mut self) {
        self.requests.answered();
        self.ahead.clear();
        self.ahead_bytes = 0;
        self.silence = None;
    }

    /// Reads away what the client still sends; `false` when it sends no more.
    pub(super) fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        self.reader.buffer.clear();
        self.reader.poll_fill(cx).map(|filled| matches!(filled, Ok(1..)))
    }

    fn poll_asked(&mut self, cx: &mut Context<'_>) -> Poll<Result<Asked, Loss>> {
        loop {
            match self.requests.next(&mut self.unread) {
                Ok(Some(asked)) => return Poll::Ready(Ok(asked)),
                Ok(None) => {}
                Err(fault) => return Poll::Ready(Err(Loss::Fault(fault))),
            }
            if !self.reader.buffer.has_remaining() {
                match ready!(self.reader.poll_fill(cx)) {
                    Ok(0) if self.is_hung_up() => return Poll::Ready(Err(Loss::Broken)),
                    Ok(0) => return Poll::Ready(Err(Loss::Closed)),
                    Ok(_) => {}
                    Err(_) => return Poll::Ready(Err(Loss::Broken)),
                }
            }
            // An idle connection keeps no buffer.
            self.unread = std::mem::take(&mut self.reader.buffer).freeze();
        }
    }

    /// Takes the next step of the request's input.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match ready!(self.poll_asked(cx)) {
            Ok(Asked::Input(bytes)) => {
                self.ahead_bytes += bytes.len();
                self.ahead.push_back(bytes);
            }
            Ok(Asked::InputEnd) => self.state = State::Ended,
            Ok(Asked::Abort) => self.state = State::Lost(Loss::Aborted),
            Ok(Asked::Answered(answer, _)) if self.answers.len() < MOST_ANSWERS => {
                self.answers.extend_from_slice(&answer);
            }
            Ok(Asked::Answered(..)) => self.state = State::Lost(Loss::Broken),
            // While one is open there is no other.
            Ok(Asked::Request(_)) => {}
            Err(loss) => self.state = State::Lost(loss),
        }
        Poll::Ready(())
    }

    /// Whether both directions are closed, where the kernel can tell: over a Unix socket it always can.
    fn is_hung_up(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut polled = [PollFd::from_borrowed_fd(self.stream.as_fd(), PollFlags::empty())];
        let told = rustix::event::poll(&mut polled, Some(&now));
        told.is_ok()
            && polled
                .iter()
                .any(|fd| fd.revents().intersects(PollFlags::HUP | PollFlags::ERR))
    }
}

impl Incoming for Input {
    /// None where the client has said that nothing comes.
    fn length(&self) -> BodyLength {
        if self.state == State::Ended && self.ahead.is_empty() {
            BodyLength::None
        } else {
            BodyLength::Unknown
        }
    }

    /// How long a request is, is for the client to judge.
    fn limit(&mut self, _bytes: Option<u64>) {}

    fn pace(&mut self, _stage: StageTimeout, each: Duration) {
        self.timeout = each;
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        loop {
            if let Some(bytes) = self.ahead.pop_front() {
                self.ahead_bytes = self.ahead_bytes.saturating_sub(bytes.len());
                self.silence = None;
                return Poll::Ready(Ok(Some(bytes)));
            }
            match self.state {
                State::Open => {}
                State::Ended => return Poll::Ready(Ok(None)),
                State::Lost(Loss::Fault(_)) => return Poll::Ready(Err(BodyError::Malformed)),
                State::Lost(_) => return Poll::Ready(Err(BodyError::Gone)),
            }
            if self.poll_step(cx).is_pending() {
                let until = Instant::now() + self.timeout;
                let silence = self.silence.get_or_insert_with(|| Box::pin(sleep_until(until)));
                return silence.as_mut().poll(cx).map(|()| Err(BodyError::TimedOut));
            }
        }
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Gone> {
        loop {
            match self.state {
                State::Lost(Loss::Closed) => return Poll::Ready(Gone::SendingClosed),
                State::Lost(_) => return Poll::Ready(Gone::Reset),
                State::Open | State::Ended if self.ahead_bytes >= AHEAD => return Poll::Pending,
                State::Open | State::Ended => ready!(self.poll_step(cx)),
            }
        }
    }

    /// A CGI reply has one head only: what comes before it has no place there.
    fn interim(&mut self, _head: &[u8]) {}

    /// No record means nothing to every client; but whether both directions are closed can be asked.
    fn probe(&mut self) -> Probed {
        if self.is_hung_up() {
            Probed::Gone
        } else {
            Probed::Impossible
        }
    }
}
