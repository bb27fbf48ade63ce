//! A script and its client, watched together: body in, output out, and whether either has left.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::exchange::body::{BodyError, Gone, Probed, RequestBody};
use crate::handlers::cgi::feed::{Feed, WaitsFor};
use crate::scripts::script::{Output, Script};

/// A client that sends no more may still read. When the script has been silent for so long, it is asked by bytes that mean
/// nothing; where there are none (HTTP/1.0), it is taken for gone after [`HALF_CLOSED`].
const FIRST_PROBE: Duration = Duration::from_secs(1);
const HALF_CLOSED: Duration = Duration::from_secs(3);

/// The answer to the first probe comes at once or, from a client that still reads, not at all. The later ones are for
/// clients that leave later; each waits twice as long as the one before.
const SECOND_PROBE: Duration = Duration::from_millis(250);
const PROBES: u32 = 12;

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
    probes: u32,
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
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
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
        if self.poll_gone(cx).is_ready() {
            return Poll::Ready(Event::Gone);
        }
        Poll::Pending
    }

    /// While a body is being read, its reader sees when the client leaves.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let waits_for = self.feed.waits_for();
        if waits_for == WaitsFor::Client {
            return Poll::Pending;
        }
        match self.client.poll_gone(cx) {
            Poll::Ready(Gone::Reset) => Poll::Ready(()),
            Poll::Ready(Gone::SendingClosed) if waits_for == WaitsFor::Nobody => self.poll_half_closed(cx),
            Poll::Ready(Gone::SendingClosed) | Poll::Pending => Poll::Pending,
        }
    }

    fn poll_half_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let half_closed = self.half_closed.get_or_insert_with(|| HalfClosed {
            since: Instant::now(),
            timer: Box::pin(sleep_until(Instant::now() + FIRST_PROBE)),
            probes: 0,
        });
        loop {
            if half_closed.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let silent_since = half_closed.since.max(self.script.silent_since());
            let now = Instant::now();
            if now < silent_since + FIRST_PROBE {
                // It has been heard of meanwhile: what it wrote shows whether the client reads.
                half_closed.timer.as_mut().reset(silent_since + FIRST_PROBE);
                continue;
            }
            let next = match self.client.probe() {
                Probed::Gone => return Poll::Ready(()),
                Probed::Impossible if now >= silent_since + HALF_CLOSED => return Poll::Ready(()),
                Probed::Impossible => silent_since + HALF_CLOSED,
                Probed::Perhaps if half_closed.probes >= PROBES => return Poll::Pending,
                Probed::Perhaps => now + SECOND_PROBE * 2_u32.pow(half_closed.probes),
            };
            half_closed.probes += 1;
            half_closed.timer.as_mut().reset(next);
        }
    }
}
