//! The body of an application's answer, as it comes: kept to the length that was promised, cut when the application falls
//! silent or fails, so that the client can see it.

use std::future::poll_fn;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::config::backends::Address;
use crate::exchange::response::{BodyStream, Broken};
use crate::handlers::application::talk::{Event, Talk};
use crate::scripts::notes::{Notes, Weight};

/// An application that writes more than this for nobody is left; no directive moves it.
pub(super) const UNWANTED: u64 = 4 << 20;

/// How long a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// As long as it gets.
    Open,
    /// Nobody gets it (a reply to HEAD): the application may come to its end, within [`UNWANTED`].
    Unwanted,
    /// As its Content-Length said, in bytes.
    Promised(u64),
}

/// What is behind the head of a reply.
pub(super) struct ReplyStream {
    /// The conversation; `None` when it is over, or nobody listens to it any more.
    talk: Option<Box<Talk>>,
    address: Address,
    /// What came with the head.
    first: Bytes,
    length: Length,
    sent: u64,
}

impl ReplyStream {
    pub(super) fn new(talk: Box<Talk>, address: Address, first: Bytes, length: Length) -> ReplyStream {
        ReplyStream {
            talk: Some(talk),
            address,
            first,
            length,
            sent: 0,
        }
    }

    /// Passes on what is within the promised length.
    fn take(&mut self, mut bytes: Bytes) -> Option<Result<Bytes, Broken>> {
        if let Length::Promised(promised) = self.length {
            let left = promised - self.sent;
            if bytes.len() as u64 > left {
                self.note(&format!(
                    "it wrote more than the {promised} bytes of its Content-Length: the rest is dropped"
                ));
                bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                self.leave();
            }
        }
        self.sent += bytes.len() as u64;
        if self.length == Length::Unwanted && self.sent > UNWANTED {
            self.note("its reply has no body, and it goes on writing one: it is left");
            self.leave();
            return Some(Err(Broken));
        }
        (!bytes.is_empty()).then_some(Ok(bytes))
    }

    fn is_complete(&self) -> bool {
        self.length == Length::Promised(self.sent)
    }

    /// The application has ended its reply.
    fn end(&mut self) -> Option<Result<Bytes, Broken>> {
        if let Some(talk) = self.talk.take() {
            match self.length {
                Length::Promised(promised) if self.sent < promised => {
                    let sent = self.sent;
                    note(
                        talk.notes(),
                        &self.address,
                        &format!(
                            "it wrote {sent} bytes, and its Content-Length promised {promised}: the connection is closed"
                        ),
                    );
                    talk.end();
                    return Some(Err(Broken));
                }
                Length::Promised(_) | Length::Open | Length::Unwanted => talk.end(),
            }
        }
        None
    }

    /// It fails in the middle of its reply.
    fn fail(&mut self, why: &str) -> Option<Result<Bytes, Broken>> {
        self.note(why);
        self.leave();
        if self.is_complete() { None } else { Some(Err(Broken)) }
    }

    /// Nobody listens to it any more.
    fn leave(&mut self) {
        if let Some(talk) = self.talk.take() {
            talk.abort();
        }
    }

    fn note(&self, why: &str) {
        if let Some(talk) = &self.talk {
            note(talk.notes(), &self.address, why);
        }
    }
}

fn note(notes: &Notes, address: &Address, why: &str) {
    notes.note(Weight::Error, None, &format!("application `{address}`: {why}"));
}

/// What an application still does when its client has all of the reply is done.
async fn ended(mut talk: Box<Talk>) {
    let mut unwanted = 0;
    loop {
        match poll_fn(|cx| talk.poll(cx)).await {
            Event::Output(bytes) if unwanted <= UNWANTED => unwanted += bytes.len() as u64,
            Event::End => return talk.end(),
            Event::Output(_) | Event::Trouble(_) | Event::Body(_) | Event::Gone => return talk.abort(),
        }
    }
}

impl BodyStream for ReplyStream {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        if !self.first.is_empty() {
            let first = std::mem::take(&mut self.first);
            if let Some(taken) = self.take(first) {
                return Poll::Ready(Some(taken));
            }
        }
        let Some(talk) = &mut self.talk else {
            return Poll::Ready(None);
        };
        let event = match talk.poll(cx) {
            Poll::Ready(event) => event,
            Poll::Pending if self.is_complete() => {
                // It may have more to do, but not for this client.
                if let Some(talk) = self.talk.take() {
                    tokio::task::spawn_local(ended(talk));
                }
                return Poll::Ready(None);
            }
            Poll::Pending => return Poll::Pending,
        };
        Poll::Ready(match event {
            Event::Output(bytes) => self.take(bytes),
            Event::End => self.end(),
            Event::Trouble(trouble) => self.fail(&format!("{trouble}, in the middle of its reply")),
            Event::Body(_) => self.fail("the request's body broke off while it was answering"),
            Event::Gone => {
                self.leave();
                Some(Err(Broken))
            }
        })
    }
}

impl Drop for ReplyStream {
    fn drop(&mut self) {
        self.leave();
    }
}
