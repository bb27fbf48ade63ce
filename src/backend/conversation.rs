//! One request to an application, in whichever protocol it speaks.

use std::task::{Context, Poll};

use bytes::Bytes;

use crate::backend::wire::{Repeatable, Trouble};
use crate::backend::{fastcgi, scgi};
use crate::gateway::fastcgi::answers::Answer;

/// A request that an application serves.
#[derive(Debug)]
pub enum Conversation {
    /// In records.
    FastCgi(fastcgi::Conversation),
    /// With a header, to the end of the connection.
    Scgi(scgi::Conversation),
}

impl Conversation {
    /// Whether it has room for more of the request's body.
    pub fn wants_input(&self) -> bool {
        match self {
            Conversation::FastCgi(told) => told.wants_input(),
            Conversation::Scgi(told) => told.wire().wants_input(),
        }
    }

    /// Whether the application has closed its side, and so reads no more of the body.
    pub fn reads_no_more(&self) -> bool {
        match self {
            Conversation::FastCgi(told) => told.reads_no_more(),
            Conversation::Scgi(told) => told.wire().reads_no_more(),
        }
    }

    /// Hands over the next bytes of the body.
    pub fn put(&mut self, bytes: &Bytes) {
        match self {
            Conversation::FastCgi(told) => told.put(bytes),
            Conversation::Scgi(told) => told.put(bytes),
        }
    }

    /// The body has ended.
    pub fn put_end(&mut self) {
        match self {
            Conversation::FastCgi(told) => told.put_end(),
            Conversation::Scgi(told) => told.put_end(),
        }
    }

    /// The silence so far is not the application's fault.
    pub fn excuse_silence(&mut self) {
        match self {
            Conversation::FastCgi(told) => told.excuse_silence(),
            Conversation::Scgi(told) => told.wire_mut().excuse_silence(),
        }
    }

    /// The application's next answer. Behind [`Answer::End`] and trouble there is nothing to ask.
    pub fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, Trouble>> {
        match self {
            Conversation::FastCgi(told) => told.poll_answer(cx),
            Conversation::Scgi(told) => told.poll_answer(cx),
        }
    }

    /// Whether a request that has failed may be told to the application again.
    pub fn repeatable(&self) -> Repeatable {
        match self {
            Conversation::FastCgi(told) => told.repeatable(),
            Conversation::Scgi(told) => told.wire().repeatable(),
        }
    }

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
