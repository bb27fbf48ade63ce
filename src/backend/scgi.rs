//! One request to an SCGI application: a header, the body, and all it says until it closes the connection.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;

use crate::backend::pool::Lease;
use crate::backend::wire::{Trouble, Wire};
use crate::gateway::fastcgi::answers::Answer;
use crate::gateway::scgi;

/// A request that an application serves. Its connection carries no other.
#[derive(Debug)]
pub struct Conversation {
    wire: Wire,
}

impl Conversation {
    /// Begins a request whose body has `length` bytes. The application may be silent for `silence`.
    pub fn begin<'p>(
        lease: Lease,
        variables: impl Iterator<Item = (&'p [u8], &'p [u8])>,
        length: u64,
        silence: Duration,
    ) -> Conversation {
        Conversation {
            wire: Wire::new(lease, scgi::header(length, variables), silence),
        }
    }

    /// Hands over the next bytes of the body.
    pub fn put(&mut self, bytes: &Bytes) {
        if !bytes.is_empty() && self.wire.begin_input() {
            self.wire.push(bytes.clone());
        }
    }

    /// The body has ended. The application knows it by the length that it was told.
    pub fn put_end(&mut self) {
        self.wire.end_input();
    }

    /// The application's next answer. Behind [`Answer::End`] and trouble there is nothing to ask.
    pub fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, Trouble>> {
        let read = ready!(self.wire.poll_read(cx))?;
        Poll::Ready(Ok(read.map_or(Answer::End(0), Answer::Output)))
    }

    /// What all conversations have.
    pub(super) fn wire(&self) -> &Wire {
        &self.wire
    }

    /// The same, to be changed.
    pub(super) fn wire_mut(&mut self) -> &mut Wire {
        &mut self.wire
    }
}
