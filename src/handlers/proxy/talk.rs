//! A server behind this one and its client, watched together: body in, answers out, and whether the client has left.

use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;

use crate::backend::conversation::Talks;
use crate::backend::http::{Answer, Conversation, Line, Trouble};
use crate::backend::wire::Repeatable;
use crate::exchange::body::{BodyError, RequestBody};
use crate::handlers::application::input::Input;
use crate::handlers::between::{Between, Turn};
use crate::http::fields::Fields;
use crate::http::received::{BodyEnd, Received};
use crate::scripts::notes::Notes;

/// A server at work for a client.
pub(super) struct Talk {
    /// In a box, for it goes from the request to the body of its answer.
    between: Box<Between<Conversation>>,
    notes: Rc<Notes>,
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
            between: Box::new(Between::new(conversation, input, client)),
            notes,
        }
    }

    /// Notes about the request.
    pub(super) fn notes(&self) -> &Rc<Notes> {
        &self.notes
    }

    /// Whether the request may be told again.
    pub(super) fn repeatable(&self) -> Repeatable {
        self.between.conversation().repeatable()
    }

    /// The body, of which nothing was read.
    pub(super) fn into_input(self) -> Input {
        self.between.into_input()
    }

    /// The next event.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let turn = std::task::ready!(self.between.poll(cx));
        Poll::Ready(match turn {
            Turn::Answer(answer) => {
                self.between.client_was_told();
                event(answer)
            }
            Turn::Body(error) => Event::Body(error),
            Turn::Gone => Event::Gone,
        })
    }

    /// The response is there: the connection is kept if it may.
    pub(super) fn end(self) -> Fields {
        let mut conversation = self.between.into_conversation();
        let trailer = conversation.take_trailer();
        conversation.end();
        trailer
    }

    /// The bare connection, behind [`Event::Switched`].
    pub(super) fn into_line(self, silence: Duration) -> Line {
        self.between.into_conversation().into_line(silence)
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
