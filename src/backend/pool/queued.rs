//! A request that waits for a connection that another is done with: see `backend/waiting.rs`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::time::Instant;

use crate::backend::pool::{Agreed, Idle, Lease, Origin, Pool, Turn};
use crate::backend::waiting::{InLine, QUEUED};

/// A place in the queue.
#[derive(Debug)]
pub struct Queued {
    pool: Arc<Pool>,
    /// Until it has a connection.
    turn: Option<Turn>,
    place: InLine,
    until: Instant,
}

impl Pool {
    /// A place in the queue for the next connection that another request is done with, where processes are few, and bare
    /// connections to them in any number may be asked for.
    pub fn queue(self: &Arc<Pool>, agreed: &Agreed) -> Option<Queued> {
        if agreed.tls.is_some() || self.process.is_some() || agreed.most > 0 {
            return None;
        }
        let now = Instant::now();
        let place = self.waiting.queue(now)?;
        Some(Queued {
            pool: Arc::clone(self),
            turn: Pool::turn_at_once(self, agreed),
            place,
            until: now + QUEUED,
        })
    }
}

impl Queued {
    /// When it is to be seen whether waiting is any use.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// It is that time. Whether waiting is no use any more: then a connection is to be made.
    pub fn is_over(&mut self) -> bool {
        let now = Instant::now();
        self.until = now + QUEUED;
        let waits_on = self.pool.waiting.waits_on(&self.place, now);
        if !waits_on {
            self.pool.waiting.calls();
        }
        !waits_on
    }

    /// A connection, or none where one is to be made.
    pub fn poll(&mut self, cx: &mut Context<'_>, agreed: &Agreed) -> Poll<Option<Lease>> {
        let next = ready!(Pin::new(&mut self.place.next).poll(cx));
        let (Some(turn), Ok(idle)) = (self.turn.take(), next) else {
            self.pool.waiting.calls();
            return Poll::Ready(None);
        };
        let Idle { parked, live, .. } = idle;
        let leased = parked.unpark().ok().map(|socket| {
            turn.pool.waiting.is_reused();
            Lease::new(turn, socket, agreed, Origin::Kept(live))
        });
        Poll::Ready(leased)
    }
}
