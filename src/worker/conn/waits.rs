//! How a connection waits for what its client sends next, and until when.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use tokio::time::Instant;

use crate::config::directives::site::StageTimeout;
use crate::worker::conn::rest;
use crate::worker::conn::{Conn, KEEP_ALIVE, timeout_of};
use crate::worker::crowd::{Awaits, Idle};
use crate::worker::reader::allowance;

/// What came of waiting for a head's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    /// There are some.
    Bytes,
    /// It is the deadline.
    TooLate,
    /// There will be no more.
    Ended,
}

/// What a read came to; none when there is nothing to read yet.
fn waited(filled: io::Result<usize>) -> Option<Waited> {
    match filled {
        Ok(0) => Some(Waited::Ended),
        Ok(_) => Some(Waited::Bytes),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        Err(_) => Some(Waited::Ended),
    }
}

impl Conn {
    /// Until when the next bytes of a head must have come: the first by KeepAliveTimeout (or, on a new connection, as long as
    /// a head may take), the rest by RequestReadTimeout, counted from the first byte on.
    pub(super) fn head_deadline(&self, first_byte: Option<std::time::Instant>, now: Instant) -> Instant {
        let core = &self.site.settings.core;
        if first_byte.is_none() && self.requests > 0 {
            return now + self.last_site.settings.core.keep_alive_timeout.or(KEEP_ALIVE);
        }
        let stage = core.read_timeout.header.or(StageTimeout::HEADER);
        let patience = now + timeout_of(self.site);
        let waiting = self.reader.borrow().buffer.len();
        let began = first_byte.map_or(now, Instant::from_std);
        allowance(&stage, waiting as u64).map_or(patience, |allowed| patience.min(began + allowed))
    }

    /// Waits until a read comes to something; it is too late also for a connection that may rest meanwhile. It is `now`, or was a
    /// moment ago.
    pub(super) fn wait_for_bytes(&mut self, deadline: Instant, now: Instant) -> impl Future<Output = Waited> {
        // No async function: the arguments of one would be kept twice, and as long as it waits.
        let Conn {
            thread,
            stream,
            reader,
            writer,
            patience,
            to_rest,
            ..
        } = self;
        let read = waited(reader.borrow_mut().fill());
        let (mut idle, mut until) = (None, deadline);
        if read.is_none() {
            if reader.borrow().buffer.is_empty() {
                reader.borrow_mut().end_request();
                let awaits = if self.requests > 0 { Awaits::Next } else { Awaits::First };
                thread.roster.waits(self.seat, now);
                idle = Some(thread.idlers.enter(stream, awaits, now));
                if awaits == Awaits::Next && rest::is_worth_it(deadline, now) {
                    until = now + rest::AFTER;
                }
            } else {
                thread.roster.reads(self.seat);
                reader.borrow_mut().tighten();
            }
            writer.rest();
        }
        let may_rest = until < deadline;
        let mut was_just_read = true;
        poll_fn(move |cx| {
            if let Some(read) = read {
                return Poll::Ready(read);
            }
            let mut reader = reader.borrow_mut();
            let filled = if std::mem::take(&mut was_just_read) {
                reader.poll_more(cx)
            } else {
                reader.poll_fill(cx)
            };
            let waited = match filled {
                Poll::Ready(filled) => Poll::Ready(waited(filled).unwrap_or(Waited::Ended)),
                Poll::Pending => patience.poll_over(cx, until).map(|()| Waited::TooLate),
            };
            if may_rest && waited == Poll::Ready(Waited::TooLate) {
                *to_rest = idle.take().and_then(Idle::stays);
            }
            waited
        })
    }
}
