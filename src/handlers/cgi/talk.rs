//! A script and its client, watched together: body in, output out, and whether either has left.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::exchange::body::{BodyError, Gone, RequestBody};
use crate::handlers::cgi::feed::{Feed, WaitsFor};
use crate::scripts::script::{Output, Script};

/// A client that sends no more may still read. It is taken for gone when the script has then been silent for so long.
const HALF_CLOSED: Duration = Duration::from_secs(3);

/// A script at work for a client.
pub(super) struct Talk {
    pub(super) script: Script,
    pub(super) feed: Feed,
    client: RequestBody,
    half_closed: Option<HalfClosed>,
}

struct HalfClosed {
    since: Instant,
    timer: Pin<Box<Sleep>>,
}

/// What happened.
pub(super) enum Event {
    /// Something came out of the script.
    Output(Output),
    /// The body could not be read to its end.
    Body(BodyError),
    /// The client has left.
    Gone,
}

/// Whether the client has got anything of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// Nothing.
    Nothing,
    /// Its beginning at least.
    Something,
}

impl Talk {
    pub(super) fn new(script: Script, feed: Feed, client: RequestBody) -> Talk {
        Talk {
            script,
            feed,
            client,
            half_closed: None,
        }
    }

    /// The next event.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, sent: Sent) -> Poll<Event> {
        if let Poll::Ready(Err(error)) = self.feed.poll(cx) {
            return Poll::Ready(match error {
                BodyError::Gone => Event::Gone,
                error => Event::Body(error),
            });
        }
        if self.feed.waits_for() == WaitsFor::Client {
            self.script.excuse_silence();
        }
        if let Poll::Ready(output) = self.script.poll_output(cx) {
            return Poll::Ready(Event::Output(output));
        }
        if self.poll_gone(cx, sent).is_ready() {
            return Poll::Ready(Event::Gone);
        }
        Poll::Pending
    }

    /// While a body is being read, its reader sees when the client leaves.
    fn poll_gone(&mut self, cx: &mut Context<'_>, sent: Sent) -> Poll<()> {
        let waits_for = self.feed.waits_for();
        if waits_for == WaitsFor::Client {
            return Poll::Pending;
        }
        match self.client.poll_gone(cx) {
            Poll::Ready(Gone::Reset) => Poll::Ready(()),
            Poll::Ready(Gone::SendingClosed) if sent == Sent::Nothing && waits_for == WaitsFor::Nobody => {
                self.poll_half_closed(cx)
            }
            Poll::Ready(Gone::SendingClosed) | Poll::Pending => Poll::Pending,
        }
    }

    fn poll_half_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let half_closed = self.half_closed.get_or_insert_with(|| HalfClosed {
            since: Instant::now(),
            timer: Box::pin(sleep_until(Instant::now() + HALF_CLOSED)),
        });
        let until = half_closed.since.max(self.script.silent_since()) + HALF_CLOSED;
        if half_closed.timer.deadline() < until {
            half_closed.timer.as_mut().reset(until);
        }
        half_closed.timer.as_mut().poll(cx)
    }
}
