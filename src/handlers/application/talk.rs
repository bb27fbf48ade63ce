//! An application and its client, watched together: body in, output out, errors into the log, and whether the client has left.

use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::time::Instant;

use crate::backend::conversation::Conversation;
use crate::backend::wire::{Repeatable, Trouble};
use crate::exchange::body::{BodyError, RequestBody};
use crate::gateway::fastcgi::answers::Answer;
use crate::handlers::application::input::Input;
use crate::handlers::presence::{Presence, WaitsFor};
use crate::scripts::notes::{Notes, Weight};
use crate::scripts::stderr::Stderr;

/// An application at work for a client.
pub(super) struct Talk {
    conversation: Conversation,
    input: Input,
    input_ended: bool,
    presence: Presence,
    stderr: Stderr,
    notes: Rc<Notes>,
    heard_at: Instant,
}

/// What happened.
pub(super) enum Event {
    /// Output.
    Output(Bytes),
    /// The request has ended.
    End,
    /// It will not be answered, or not to its end.
    Trouble(Trouble),
    /// The body could not be read to its end.
    Body(BodyError),
    /// The client has left.
    Gone,
}

impl Talk {
    /// A conversation for the client that `client` is the connection of. So many bytes of errors are logged.
    pub(super) fn new(
        conversation: Conversation,
        input: Input,
        client: RequestBody,
        notes: Rc<Notes>,
        stderr_limit: u64,
    ) -> Talk {
        Talk {
            conversation,
            input,
            input_ended: false,
            presence: Presence::new(client),
            stderr: Stderr::new(stderr_limit),
            notes,
            heard_at: Instant::now(),
        }
    }

    /// Notes about the request.
    pub(super) fn notes(&self) -> &Rc<Notes> {
        &self.notes
    }

    /// Whether the request may be told again.
    pub(super) fn repeatable(&self) -> Repeatable {
        self.conversation.repeatable()
    }

    /// Standard input, of which nothing was read.
    pub(super) fn into_input(self) -> Input {
        self.input
    }

    /// The next event.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        loop {
            let waits_for = match self.feed(cx) {
                Ok(waits_for) => waits_for,
                Err(BodyError::Gone) => return Poll::Ready(Event::Gone),
                Err(error) => return Poll::Ready(Event::Body(error)),
            };
            if waits_for == WaitsFor::Client {
                self.conversation.excuse_silence();
            }
            match self.conversation.poll_answer(cx) {
                Poll::Ready(Ok(Answer::Output(bytes))) => {
                    self.heard_at = Instant::now();
                    return Poll::Ready(Event::Output(bytes));
                }
                Poll::Ready(Ok(Answer::Errors(bytes))) => {
                    let notes = &self.notes;
                    self.stderr.push(&bytes, |line| notes.complaint(None, line));
                }
                Poll::Ready(Ok(Answer::OutputEnd)) => {}
                Poll::Ready(Ok(Answer::End(status))) => {
                    if status != 0 {
                        let told = format!("the application ended the request with status {status}");
                        self.notes.note(Weight::Info, None, &told);
                    }
                    return Poll::Ready(Event::End);
                }
                Poll::Ready(Err(trouble)) => return Poll::Ready(Event::Trouble(trouble)),
                // What was handed over is written: there may be room for more.
                Poll::Pending if waits_for == WaitsFor::Program && self.conversation.wants_input() => {}
                Poll::Pending => {
                    let gone = self.presence.poll_gone(cx, waits_for, self.heard_at);
                    return gone.map(|()| Event::Gone);
                }
            }
        }
    }

    /// Hands over what there is of the body, as long as there is room.
    fn feed(&mut self, cx: &mut Context<'_>) -> Result<WaitsFor, BodyError> {
        while !self.input_ended {
            if self.conversation.reads_no_more() {
                self.input_ended = true;
                break;
            }
            if !self.conversation.wants_input() && !self.input.is_empty() {
                return Ok(WaitsFor::Program);
            }
            match self.input.poll(cx) {
                Poll::Ready(Ok(Some(bytes))) => self.conversation.put(&bytes),
                Poll::Ready(Ok(None)) => {
                    self.input_ended = true;
                    self.conversation.put_end();
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(WaitsFor::Client),
            }
        }
        Ok(WaitsFor::Nobody)
    }

    /// The application's last answer is there.
    pub(super) fn end(mut self) {
        self.tell_rest();
        self.conversation.end();
    }

    /// Nobody waits for its answers any more.
    pub(super) fn abort(mut self) {
        self.tell_rest();
        self.conversation.abort();
    }

    /// What came without a line end, and how much was not logged.
    pub(super) fn tell_rest(&mut self) {
        let notes = &self.notes;
        let dropped = self.stderr.end(|line| notes.complaint(None, line));
        if dropped > 0 {
            let told = format!("{dropped} more bytes of its error output are not logged (CGIStderrLimit)");
            notes.note(Weight::Warning, None, &told);
        }
    }
}
