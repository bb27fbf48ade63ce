//! A script and its client, watched together: body in, output out, and whether either has left.

use std::task::{Context, Poll};

use crate::exchange::body::{BodyError, RequestBody};
use crate::handlers::cgi::feed::Feed;
use crate::handlers::presence::{Presence, WaitsFor};
use crate::scripts::script::{Output, Script};

/// A script at work for a client.
pub(super) struct Talk {
    pub(super) script: Script,
    pub(super) feed: Feed,
    presence: Presence,
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
            presence: Presence::new(client),
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
        let (waits_for, silent_since) = (self.feed.waits_for(), self.script.silent_since());
        self.presence
            .poll_gone(cx, waits_for, silent_since)
            .map(|()| Event::Gone)
    }
}
