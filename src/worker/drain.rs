//! The order to stop: no new connections, no more requests on idle ones; what is in progress goes on.

use std::cell::Cell;

use tokio::sync::Notify;

/// One thread's order to stop.
#[derive(Default)]
pub struct Drain {
    asked: Cell<bool>,
    notify: Notify,
}

impl Drain {
    /// Gives the order.
    pub fn ask(&self) {
        self.asked.set(true);
        self.notify.notify_waiters();
    }

    /// Whether it was given.
    pub fn is_asked(&self) -> bool {
        self.asked.get()
    }

    /// Waits for it.
    pub async fn asked(&self) {
        let notified = self.notify.notified();
        if !self.is_asked() {
            notified.await;
        }
    }
}
