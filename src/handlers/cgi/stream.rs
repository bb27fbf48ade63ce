//! The body of a script's answer, as it comes: kept to the length the script promised, cut when it falls silent, and told in
//! the log when it breaks off.

use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::time::Instant;

use crate::exchange::response::{BodyStream, Broken};
use crate::handlers::cgi::failure::Case;
use crate::handlers::cgi::talk::{Event, Talk};
use crate::scripts::notes::{Notes, Weight};
use crate::scripts::script::{Output, State};

/// What is behind the head of a reply.
pub(super) struct ScriptStream {
    talk: Talk,
    notes: Rc<Notes>,
    /// What came with the head.
    first: Bytes,
    length: Length,
    sent: u64,
    began: Instant,
    over: bool,
}

/// A script that writes more than this for nobody is ended; no directive moves it.
pub(super) const UNWANTED: u64 = 4 << 20;

/// How long a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// As long as it gets.
    Open,
    /// Nobody gets it (a reply to HEAD): the script may come to its end, within [`UNWANTED`] and CGIScriptTimeout.
    Unwanted,
    /// As the script's Content-Length said, in bytes.
    Promised(u64),
}

impl ScriptStream {
    pub(super) fn new(talk: Talk, case: &Case, first: Bytes, length: Length) -> ScriptStream {
        talk.script.answered();
        let mut stream = ScriptStream {
            talk,
            notes: Rc::clone(case.notes()),
            first,
            length,
            sent: 0,
            began: Instant::now(),
            over: false,
        };
        if length == Length::Promised(0) && stream.first.is_empty() {
            stream.complete();
        }
        stream
    }

    /// Waits until the script has ended and its last words are read, but no longer than what it leaves behind may be silent.
    pub(super) async fn settle(&mut self) -> State {
        let limit = self.talk.script.care().quiet;
        self.talk.script.settle(limit).await
    }

    /// Whether the script has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.talk.script.state() != State::Running
    }

    /// All that was promised is there: the client misses nothing by leaving.
    fn complete(&mut self) {
        self.talk.script.may_finish();
    }

    /// Passes on what is within the promised length.
    fn take(&mut self, mut bytes: Bytes) -> Option<Result<Bytes, Broken>> {
        if let Length::Promised(promised) = self.length {
            let left = promised - self.sent;
            if bytes.len() as u64 > left {
                self.over = true;
                self.note(
                    Weight::Warning,
                    &format!("it wrote more than the {promised} bytes of its Content-Length: the rest is dropped"),
                );
                bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            }
            if bytes.len() as u64 == left {
                self.complete();
            }
        }
        self.sent += bytes.len() as u64;
        if self.length == Length::Unwanted
            && (self.sent > UNWANTED || self.began.elapsed() > self.talk.script.care().silence)
        {
            return Some(Err(
                self.break_off("its reply has no body, and it goes on writing one: it is ended")
            ));
        }
        if bytes.is_empty() { None } else { Some(Ok(bytes)) }
    }

    fn end(&mut self) -> Option<Result<Bytes, Broken>> {
        self.over = true;
        match self.length {
            Length::Promised(promised) if self.sent < promised => {
                let sent = self.sent;
                self.note(
                    Weight::Error,
                    &format!(
                        "it wrote {sent} bytes, and its Content-Length promised {promised}: the connection is closed"
                    ),
                );
                Some(Err(Broken))
            }
            Length::Promised(_) | Length::Open | Length::Unwanted => None,
        }
    }

    fn break_off(&mut self, why: &str) -> Broken {
        self.over = true;
        self.talk.script.must_end();
        self.note(Weight::Error, why);
        Broken
    }

    fn note(&self, weight: Weight, text: &str) {
        self.notes.note(weight, self.talk.script.pid(), text);
    }
}

impl BodyStream for ScriptStream {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        if self.over {
            return Poll::Ready(None);
        }
        if !self.first.is_empty() {
            let first = std::mem::take(&mut self.first);
            return Poll::Ready(self.take(first));
        }
        let event = match self.talk.poll(cx) {
            Poll::Ready(event) => event,
            // It may have more to say, but not to this client.
            Poll::Pending if self.length == Length::Promised(self.sent) => return Poll::Ready(None),
            Poll::Pending => return Poll::Pending,
        };
        Poll::Ready(match event {
            Event::Output(Output::Bytes(bytes)) => self.take(bytes),
            Event::Output(Output::End(_)) => self.end(),
            Event::Output(Output::Silence) => {
                let silence = self.talk.script.care().silence.as_secs();
                let why =
                    format!("it was silent for {silence} s in the middle of its reply: it is ended (CGIScriptTimeout)");
                Some(Err(self.break_off(&why)))
            }
            Event::Body(_) => Some(Err(
                self.break_off("the request's body broke off while it was answering: it is ended")
            )),
            // Dropping the stream says the rest.
            Event::Gone => {
                self.over = true;
                Some(Err(Broken))
            }
        })
    }
}
