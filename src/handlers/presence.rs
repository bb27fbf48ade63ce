//! Whether the client of a program at work is still there.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::exchange::body::{Gone, Probed, RequestBody};

/// A client that sends no more may still read. When the program has been silent for so long, it is asked by bytes that mean
/// nothing; where there are none (HTTP/1.0), it is taken for gone after [`HALF_CLOSED`].
const FIRST_PROBE: Duration = Duration::from_secs(1);
const HALF_CLOSED: Duration = Duration::from_secs(3);

/// The answer to the first probe comes at once or, from a client that still reads, not at all. The later ones are for
/// clients that leave later; each waits twice as long as the one before.
const SECOND_PROBE: Duration = Duration::from_millis(250);
const PROBES: u32 = 12;

/// Whom the request's body waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitsFor {
    /// Nobody: it is done.
    Nobody,
    /// The client, for more of it.
    Client,
    /// The program, for room.
    Program,
}

/// The client, watched.
pub(super) struct Presence {
    client: RequestBody,
    half_closed: Option<HalfClosed>,
}

struct HalfClosed {
    since: Instant,
    timer: Pin<Box<Sleep>>,
    probes: u32,
}

impl Presence {
    /// Of the client that `client` is the connection of.
    pub(super) fn new(client: RequestBody) -> Presence {
        Presence {
            client,
            half_closed: None,
        }
    }

    /// Ready when the client has left. While a body is being read, its reader sees that. The program was heard of last at
    /// `silent_since`.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>, waits_for: WaitsFor, silent_since: Instant) -> Poll<()> {
        if waits_for == WaitsFor::Client {
            return Poll::Pending;
        }
        match self.client.poll_gone(cx) {
            Poll::Ready(Gone::Reset) => Poll::Ready(()),
            Poll::Ready(Gone::SendingClosed) if waits_for == WaitsFor::Nobody => {
                self.poll_half_closed(cx, silent_since)
            }
            Poll::Ready(Gone::SendingClosed) | Poll::Pending => Poll::Pending,
        }
    }

    fn poll_half_closed(&mut self, cx: &mut Context<'_>, silent_since: Instant) -> Poll<()> {
        let half_closed = self.half_closed.get_or_insert_with(|| HalfClosed {
            since: Instant::now(),
            timer: Box::pin(sleep_until(Instant::now() + FIRST_PROBE)),
            probes: 0,
        });
        loop {
            if half_closed.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let silent_since = half_closed.since.max(silent_since);
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
