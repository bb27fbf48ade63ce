//! A request that waits for a connection that another is done with: see `backend/waiting.rs`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::backend::pool::{Agreed, Idle, Lease, Origin, Pool, Turn};
use crate::backend::waiting::QUEUED;

/// A place in the queue.
#[derive(Debug)]
pub struct Queued {
    /// Until it has a connection.
    turn: Option<Turn>,
    next: oneshot::Receiver<Idle>,
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
        let next = self.waiting.queue(now)?;
        Some(Queued {
            turn: Pool::turn_at_once(self, agreed),
            next,
            until: now + QUEUED,
        })
    }
}

impl Queued {
    /// How long it is worth waiting for.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// A connection, or none where none will come.
    pub fn poll(&mut self, cx: &mut Context<'_>, agreed: &Agreed) -> Poll<Option<Lease>> {
        let next = ready!(Pin::new(&mut self.next).poll(cx));
        let (Some(turn), Ok(idle)) = (self.turn.take(), next) else {
            return Poll::Ready(None);
        };
        let Idle { parked, live, .. } = idle;
        let leased = parked.unpark().ok().map(|socket| {
            turn.0.waiting.is_reused();
            Lease::new(turn, socket, agreed, Origin::Kept(live))
        });
        Poll::Ready(leased)
    }
}
