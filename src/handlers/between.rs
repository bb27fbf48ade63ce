//! A program and its client, watched together, whatever is spoken: the request's body goes in as there is room, answers come
//! out, and the client may leave meanwhile.

use std::task::{Context, Poll};

use tokio::time::Instant;

use crate::backend::conversation::Talks;
use crate::exchange::body::{BodyError, RequestBody};
use crate::handlers::application::input::Input;
use crate::handlers::presence::{Presence, WaitsFor};

/// A conversation and the client that it is for.
pub(super) struct Between<C> {
    conversation: C,
    input: Input,
    input_ended: bool,
    presence: Presence,
    heard_at: Instant,
}

/// Whose turn it was.
pub(super) enum Turn<A> {
    /// The program has answered.
    Answer(A),
    /// The request's body could not be read to its end.
    Body(BodyError),
    /// The client has left.
    Gone,
}

impl<C: Talks> Between<C> {
    /// A conversation for the client that `client` is the connection of.
    pub(super) fn new(conversation: C, input: Input, client: RequestBody) -> Between<C> {
        Between {
            conversation,
            input,
            input_ended: false,
            presence: Presence::new(client),
            heard_at: Instant::now(),
        }
    }

    /// The conversation.
    pub(super) fn conversation(&self) -> &C {
        &self.conversation
    }

    /// The conversation, which is over.
    pub(super) fn into_conversation(self) -> C {
        self.conversation
    }

    /// The body, of which nothing was read.
    pub(super) fn into_input(self) -> Input {
        self.input
    }

    /// The client has just been sent something, and need not be asked whether it is there.
    pub(super) fn client_was_told(&mut self) {
        self.heard_at = Instant::now();
    }

    /// The next turn.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Turn<C::Answer>> {
        loop {
            let waits_for = match self.feed(cx) {
                Ok(waits_for) => waits_for,
                Err(BodyError::Gone) => return Poll::Ready(Turn::Gone),
                Err(error) => return Poll::Ready(Turn::Body(error)),
            };
            if waits_for == WaitsFor::Client {
                self.conversation.excuse_silence();
            }
            match self.conversation.poll_answer(cx) {
                Poll::Ready(answer) => return Poll::Ready(Turn::Answer(answer)),
                // What was handed over is written: there may be room for more.
                Poll::Pending if waits_for == WaitsFor::Program && self.conversation.wants_input() => {}
                Poll::Pending => {
                    let gone = self.presence.poll_gone(cx, waits_for, self.heard_at);
                    return gone.map(|()| Turn::Gone);
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
}
