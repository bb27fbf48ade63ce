//! A script at work, as its request sees it: its output, its silence, its end.

use std::cell::Ref;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::config::directives::cgi::ClientGone;
use crate::process::pidfd::Exit;
use crate::scripts::Care;
use crate::scripts::life::{Life, Will, Wish};
use crate::scripts::pipe::Pipe;

/// A running script. Dropped before the end of its output, it is treated as one whose client has left
/// (CGIClientGone), unless [`Script::may_finish`] was said.
pub struct Script {
    life: Rc<Life>,
    stdout: Option<Pipe>,
    /// Nothing more comes of it. It is closed with the script: the answer need not wait for that.
    is_at_end: bool,
    room: BytesMut,
    care: Care,
    /// What was decided for the time after it is dropped.
    wish: Option<Wish>,
    started: Instant,
    bytes: u64,
    /// Since when somebody waits for its output.
    waiting_since: Option<Instant>,
    timer: Pin<Box<Sleep>>,
}

/// What comes out of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// These bytes, at least one.
    Bytes(Bytes),
    /// No more will come.
    End(OutputEnd),
    /// Nothing came for too long (CGIScriptTimeout).
    Silence,
}

/// How a script's output ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputEnd {
    /// It was closed.
    Closed,
    /// The script has ended; something it left behind holds its output, but writes nothing (CGIQuietTime).
    Quiet,
}

/// How a script's process fared when it was last asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs.
    Running,
    /// It has ended; `None` when nobody can tell how.
    Ended(Option<Exit>),
}

impl Script {
    pub(super) fn new(life: Rc<Life>, stdout: Pipe, care: Care) -> Script {
        Script {
            life,
            stdout: Some(stdout),
            is_at_end: false,
            room: BytesMut::new(),
            wish: None,
            started: Instant::now(),
            bytes: 0,
            waiting_since: None,
            timer: Box::pin(sleep_until(Instant::now() + care.silence)),
            care,
        }
    }

    /// The next of its output, its end, or that it was silent for too long. After either there is nothing more to ask.
    pub fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<Output> {
        if let Poll::Ready(read) = self.poll_read(cx) {
            return Poll::Ready(match read {
                Ok(bytes) if !bytes.is_empty() => Output::Bytes(bytes),
                // An error of a pipe would be a fault of ours; for the script it is the end.
                Ok(_) | Err(_) => {
                    self.is_at_end = true;
                    Output::End(OutputEnd::Closed)
                }
            });
        }
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        self.life.watch(cx);
        let Some(end) = self.life.end() else {
            ready!(self.poll_until(cx, since + self.care.silence));
            return Poll::Ready(Output::Silence);
        };
        ready!(self.poll_until(cx, since.max(end.at) + self.care.quiet));
        self.stdout = None;
        Poll::Ready(Output::End(OutputEnd::Quiet))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let Some(stdout) = self.stdout.as_mut().filter(|_| !self.is_at_end) else {
            return Poll::Ready(Ok(Bytes::new()));
        };
        let count = ready!(stdout.poll_read(cx, &mut self.room))?;
        self.bytes += count as u64;
        self.waiting_since = None;
        Poll::Ready(Ok(self.room.split().freeze()))
    }

    /// Waits with a timer that is moved only when it rings too early.
    fn poll_until(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        if self.timer.deadline() > at {
            self.timer.as_mut().reset(at);
        }
        loop {
            ready!(self.timer.as_mut().poll(cx));
            if Instant::now() >= at {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(at);
        }
    }

    /// The next of its output, see [`Script::poll_output`].
    pub async fn output(&mut self) -> Output {
        poll_fn(|cx| self.poll_output(cx)).await
    }

    /// Its silence counts from now on: it was not the one to be waited for.
    pub fn excuse_silence(&mut self) {
        self.waiting_since = None;
    }

    /// Since when it has been waited for.
    pub fn silent_since(&self) -> Instant {
        self.waiting_since.unwrap_or_else(Instant::now)
    }

    /// Its reply has begun: should it end badly from here on, the log says so.
    pub fn answered(&self) {
        self.life.note_answer();
    }

    /// From now on it may run to its end although nobody reads it.
    pub fn may_finish(&mut self) {
        self.wish = Some(Wish::Finish);
    }

    /// When it is dropped, it is ended, whatever CGIClientGone says.
    pub fn must_end(&mut self) {
        self.wish = Some(Wish::Terminate);
    }

    /// Waits until it has ended and its last words are read, each for at most `limit`; for a diagnosis.
    pub async fn settle(&mut self, limit: Duration) -> State {
        let life = &self.life;
        let ended = poll_fn(|cx| {
            life.watch(cx);
            if life.has_ended() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        if tokio::time::timeout(limit, ended).await.is_ok() {
            let silent = poll_fn(|cx| {
                life.watch(cx);
                if life.stderr_is_open() {
                    Poll::Pending
                } else {
                    Poll::Ready(())
                }
            });
            let _somebody_else_holds_it = tokio::time::timeout(self.care.quiet.min(limit), silent).await;
        }
        self.state()
    }

    /// How its process fares.
    pub fn state(&self) -> State {
        self.life.end().map_or(State::Running, |end| State::Ended(end.exit))
    }

    /// How it is treated.
    pub fn care(&self) -> &Care {
        &self.care
    }

    /// Its process id.
    pub fn pid(&self) -> Option<i32> {
        self.life.pid()
    }

    /// How many bytes it has written to standard output, as far as they were read.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How long it has been running, or did run.
    pub fn elapsed(&self) -> Duration {
        let until = self.life.end().map_or_else(Instant::now, |end| end.at);
        until.saturating_duration_since(self.started)
    }

    /// The last it wrote to standard error.
    pub fn stderr_tail(&self) -> Ref<'_, [u8]> {
        Ref::map(self.life.stderr.borrow(), |stderr| stderr.tail())
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let mut stdout = self.stdout.take().filter(|_| !self.is_at_end);
        let wish = self.wish.unwrap_or(match (&stdout, self.care.client_gone) {
            (None, _) | (_, ClientGone::Finish) => Wish::Finish,
            (_, ClientGone::Terminate) => Wish::Terminate,
            (_, ClientGone::PipeOnly) => Wish::Alone,
        });
        if wish == Wish::Alone {
            stdout = None;
        }
        self.life.leave(Will { wish, stdout });
    }
}
