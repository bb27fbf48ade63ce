//! A server behind this one and its client, watched together: body in, answers out, and whether the client has left.

use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::backend::http::{Answer, Conversation, Line, Trouble};
use crate::backend::wire::Repeatable;
use crate::exchange::body::{BodyError, RequestBody};
use crate::handlers::presence::{Presence, WaitsFor};
use crate::handlers::proxy::input::Input;
use crate::http::fields::Fields;
use crate::http::received::{BodyEnd, Received};
use crate::scripts::notes::Notes;

/// A server at work for a client.
pub(super) struct Talk {
    conversation: Conversation,
    input: Input,
    input_ended: bool,
    presence: Presence,
    notes: Rc<Notes>,
    heard_at: Instant,
}

/// What happened.
pub(super) enum Event {
    /// An interim response.
    Interim(Received),
    /// The head of the final one.
    Head(Received, BodyEnd),
    /// The server speaks another protocol from now on.
    Switched(Received),
    /// Bytes of its body.
    Data(Bytes),
    /// The response has ended.
    End,
    /// There is none, or not to its end.
    Trouble(Trouble),
    /// The request's body could not be read to its end.
    Body(BodyError),
    /// The client has left.
    Gone,
}

impl Talk {
    /// A conversation for the client that `client` is the connection of.
    pub(super) fn new(conversation: Conversation, input: Input, client: RequestBody, notes: Rc<Notes>) -> Talk {
        Talk {
            conversation,
            input,
            input_ended: false,
            presence: Presence::new(client),
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

    /// The body, of which nothing was read.
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
                Poll::Ready(answer) => {
                    self.heard_at = Instant::now();
                    return Poll::Ready(event(answer));
                }
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

    /// The response is there: the connection is kept if it may.
    pub(super) fn end(mut self) -> Fields {
        let trailer = self.conversation.take_trailer();
        self.conversation.end();
        trailer
    }

    /// The bare connection, behind [`Event::Switched`].
    pub(super) fn into_line(self, silence: Duration) -> Line {
        self.conversation.into_line(silence)
    }
}

fn event(answer: Result<Answer, Trouble>) -> Event {
    match answer {
        Ok(Answer::Interim(received)) => Event::Interim(received),
        Ok(Answer::Head(received, end)) => Event::Head(received, end),
        Ok(Answer::Switched(received)) => Event::Switched(received),
        Ok(Answer::Data(bytes)) => Event::Data(bytes),
        Ok(Answer::End) => Event::End,
        Err(trouble) => Event::Trouble(trouble),
    }
}
