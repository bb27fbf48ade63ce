//! The order to stop: no new connections, at most one more request on idle ones; what is in progress goes on.

use std::cell::Cell;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// One thread's order to stop.
#[derive(Default)]
pub struct Drain {
    /// Until when connections without a request are kept, once it was given.
    idle_until: Cell<Option<Instant>>,
    notify: Notify,
}

impl Drain {
    /// Gives the order. A connection that has had an answer is kept this long for one more request, which its client may
    /// have sent before it could know.
    pub fn ask(&self, idle: Duration) {
        self.idle_until.set(Some(Instant::now() + idle));
        self.notify.notify_waiters();
    }

    /// Whether it was given.
    pub fn is_asked(&self) -> bool {
        self.idle_until.get().is_some()
    }

    /// The earlier of this time and the one until which idle connections are kept.
    pub fn bounded(&self, deadline: Instant) -> Instant {
        self.idle_until.get().map_or(deadline, |until| until.min(deadline))
    }

    /// Waits for it.
    pub async fn asked(&self) {
        let notified = self.notify.notified();
        if !self.is_asked() {
            notified.await;
        }
    }
}
