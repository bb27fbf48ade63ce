//! A connection's place among those that server-status shows.

use tokio::time::Instant;

use crate::exchange::Began;
use crate::http::head::RequestHead;
use crate::worker::conn::Conn;

impl Conn {
    /// A request has come.
    pub(super) fn show(&self, head: &RequestHead, began: &Began) {
        let (line, host) = (head.request_line(), head.only_host().or_else(|| head.field(b"host")));
        let began = Instant::from_std(began.instant);
        self.thread.roster.answers(self.seat, line, host, began);
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.thread.roster.leave(self.seat);
    }
}
