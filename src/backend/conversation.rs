//! One request to an application, in whichever protocol it speaks.

use std::task::{Context, Poll};

use bytes::Bytes;

use crate::backend::wire::{Repeatable, Trouble};
use crate::backend::{fastcgi, scgi};
use crate::gateway::fastcgi::answers::Answer;

/// A request that is told and answered at the same time, whatever is spoken.
pub trait Talks {
    /// What comes back.
    type Answer;

    /// Whether there is room for more of the request's body.
    fn wants_input(&self) -> bool;

    /// Whether the other side reads no more of the body.
    fn reads_no_more(&self) -> bool;

    /// Hands over the next bytes of the body.
    fn put(&mut self, bytes: &Bytes);

    /// The body has ended.
    fn put_end(&mut self);

    /// The silence so far is not the other side's fault.
    fn excuse_silence(&mut self);

    /// The next answer. Behind the last one and trouble there is nothing to ask.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Self::Answer>;

    /// Whether a request that has failed may be told again.
    fn repeatable(&self) -> Repeatable;
}

/// A request that an application serves.
#[derive(Debug)]
pub enum Conversation {
    /// In records.
    FastCgi(fastcgi::Conversation),
    /// With a header, to the end of the connection.
    Scgi(scgi::Conversation),
}

impl Talks for Conversation {
    type Answer = Result<Answer, Trouble>;

    fn wants_input(&self) -> bool {
        match self {
            Conversation::FastCgi(told) => told.wants_input(),
            Conversation::Scgi(told) => told.wire().wants_input(),
        }
    }

    fn reads_no_more(&self) -> bool {
        match self {
            Conversation::FastCgi(told) => told.reads_no_more(),
            Conversation::Scgi(told) => told.wire().reads_no_more(),
        }
    }

    fn put(&mut self, bytes: &Bytes) {
        match self {
            Conversation::FastCgi(told) => told.put(bytes),
            Conversation::Scgi(told) => told.put(bytes),
        }
    }

    fn put_end(&mut self) {
        match self {
            Conversation::FastCgi(told) => told.put_end(),
            Conversation::Scgi(told) => told.put_end(),
        }
    }

    fn excuse_silence(&mut self) {
        match self {
            Conversation::FastCgi(told) => told.excuse_silence(),
            Conversation::Scgi(told) => told.wire_mut().excuse_silence(),
        }
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, Trouble>> {
        match self {
            Conversation::FastCgi(told) => told.poll_answer(cx),
            Conversation::Scgi(told) => told.poll_answer(cx),
        }
    }

    fn repeatable(&self) -> Repeatable {
        match self {
            Conversation::FastCgi(told) => told.repeatable(),
            Conversation::Scgi(told) => told.wire().repeatable(),
        }
    }
}

impl Conversation {
    /// Ends a request whose last answer is there: its connection is kept where that was agreed and is possible.
    pub fn end(self) {
        match self {
            Conversation::FastCgi(told) => told.end(),
            Conversation::Scgi(_) => {}
        }
    }

    /// Lets the application know that nobody waits for the request any more, and closes the connection.
    pub fn abort(self) {
        match self {
            Conversation::FastCgi(told) => told.abort(),
            Conversation::Scgi(_) => {}
        }
    }
}
