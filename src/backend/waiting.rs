//! Requests that wait for a process of an application, where processes may be few: those on new connections that have had no byte
//! of an answer, and those that wait for a connection that another request still uses.
//!
//! A connection that nobody has accepted looks like one whose request takes its time. So it is what happens to others that tells:
//! who has waited for [`STARVING`] while a kept connection was idle, or served others, waits for a process. From then on, for
//! [`TIGHT`], a request takes the next connection that another is done with, which costs neither side a new one; only if none comes
//! within [`QUEUED`] it connects for itself, and now and then one does so at once, to see whether there are more processes by now.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::backend::pool::{Idle, Pool, locked};

/// A request that has had no byte on a new connection for so long may be waiting for a process that a kept one holds.
pub(super) const STARVING: Duration = Duration::from_millis(50);

/// How long the application is taken for one with few processes, after one was waited for that a kept connection held.
pub(super) const TIGHT: Duration = Duration::from_secs(60);

/// So long a request waits for a connection that another is done with.
pub(super) const QUEUED: Duration = Duration::from_millis(10);

/// So often one does not wait, where others do: should it be answered, there is a connection more.
const PROBED: Duration = Duration::from_secs(1);

/// So long a request may be on a new connection before one that is done, and that another request waits for, is closed, so that its
/// process can take the new one.
const GRACE: Duration = Duration::from_millis(5);

/// Who waits.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Requests on new connections that have had no byte of an answer.
    unanswered: AtomicUsize,
    /// Since when there are any.
    since: Mutex<Option<Instant>>,
    /// Those of them that wait for long.
    starving: AtomicUsize,
    /// Processes that were left to them.
    left: AtomicUsize,
    /// How often a kept connection was used.
    reused: AtomicUsize,
    /// Connections that have had a byte of an answer: each has a process.
    live: AtomicUsize,
    /// Until when processes are few.
    tight: Mutex<Option<Instant>>,
    probed: Mutex<Option<Instant>>,
    queue: Mutex<VecDeque<oneshot::Sender<Idle>>>,
}

impl Waiting {
    /// A kept connection is used again.
    pub(super) fn is_reused(&self) {
        self.reused.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether a connection that a request is done with would, kept, hold up nobody. Where it would, its process is left to one of
    /// those that wait.
    pub(super) fn may_keep(&self) -> bool {
        if !self.is_tight() {
            return self.starving.load(Ordering::Acquire) == 0;
        }
        let since = *locked(&self.since);
        let is_recent = since.is_none_or(|since| Instant::now() < since + GRACE);
        if is_recent && !locked(&self.queue).is_empty() {
            return true;
        }
        let unanswered = self.unanswered.load(Ordering::Acquire);
        let one_more = |left| (left < unanswered).then_some(left + 1);
        let left = self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more);
        left.is_err()
    }

    fn is_tight(&self) -> bool {
        locked(&self.tight).is_some_and(|until| Instant::now() < until)
    }

    /// Processes are few, from now on for a while.
    pub(super) fn are_few(&self) {
        *locked(&self.tight) = Some(Instant::now() + TIGHT);
    }

    /// Waits for a connection that another request is done with, where processes are few; not for long.
    pub(super) async fn for_another(&self) -> Option<Idle> {
        if !self.are_waited_for() || self.is_to_probe(Instant::now()) {
            return None;
        }
        timeout(QUEUED, self.join()).await.ok()?.ok()
    }

    /// A place in the queue for such a connection; none where one who waits for it would not, for whatever reason.
    pub(super) fn queue(&self, now: Instant) -> Option<oneshot::Receiver<Idle>> {
        let would_wait = self.are_waited_for() && !is_due(*locked(&self.probed), now);
        would_wait.then(|| self.join())
    }

    /// Whether connections of others are waited for.
    fn are_waited_for(&self) -> bool {
        self.is_tight() && self.live.load(Ordering::Acquire) > 0
    }

    fn join(&self) -> oneshot::Receiver<Idle> {
        let (freed, next) = oneshot::channel();
        let mut queue = locked(&self.queue);
        // All wait for about as long, so that those who have given up stand first.
        while queue.front().is_some_and(oneshot::Sender::is_closed) {
            queue.pop_front();
        }
        queue.push_back(freed);
        next
    }

    /// Whether it is time to see if there are more processes; from now on it is not.
    fn is_to_probe(&self, now: Instant) -> bool {
        let mut probed = locked(&self.probed);
        let is_time = is_due(*probed, now);
        if is_time {
            *probed = Some(now);
        }
        is_time
    }

    /// Gives a connection to the request that has waited longest; back comes what nobody waits for.
    pub(super) fn give(&self, mut idle: Idle) -> Option<Idle> {
        loop {
            let Some(next) = locked(&self.queue).pop_front() else {
                return Some(idle);
            };
            match next.send(idle) {
                Ok(()) => return None,
                // It has given up meanwhile.
                Err(back) => idle = back,
            }
        }
    }
}

/// Whether one that was last done then is to be done again.
fn is_due(last: Option<Instant>, now: Instant) -> bool {
    last.is_none_or(|last| now >= last + PROBED)
}

/// A request on a new connection that has had no byte of an answer.
#[derive(Debug)]
pub(super) struct Unanswered {
    pool: Arc<Pool>,
    patience: Patience,
    reused_before: usize,
}

/// How long it has waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    Short,
    Long,
}

impl Unanswered {
    pub(super) fn new(pool: &Arc<Pool>) -> Unanswered {
        let waiting = &pool.waiting;
        if waiting.unanswered.fetch_add(1, Ordering::AcqRel) == 0 {
            *locked(&waiting.since) = Some(Instant::now());
        }
        Unanswered {
            pool: Arc::clone(pool),
            patience: Patience::Short,
            reused_before: waiting.reused.load(Ordering::Relaxed),
        }
    }

    /// It has waited for [`STARVING`]: what is kept may be what it waits for.
    pub(super) fn starves(&mut self) {
        if self.patience == Patience::Short {
            self.patience = Patience::Long;
            let waiting = &self.pool.waiting;
            waiting.starving.fetch_add(1, Ordering::AcqRel);
            let others_are_served = waiting.reused.load(Ordering::Relaxed) != self.reused_before;
            if self.pool.forget() > 0 || others_are_served {
                waiting.are_few();
            }
        }
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        let waiting = &self.pool.waiting;
        if waiting.unanswered.fetch_sub(1, Ordering::AcqRel) == 1 {
            *locked(&waiting.since) = None;
        }
        let one_less = |left: usize| left.checked_sub(1);
        let _none_was_left = waiting.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_less);
        if self.patience == Patience::Long {
            waiting.starving.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// A connection that has had a byte of an answer, as long as it lasts.
#[derive(Debug)]
pub(super) struct Live(Arc<Pool>);

impl Live {
    pub(super) fn new(pool: &Arc<Pool>) -> Live {
        pool.waiting.live.fetch_add(1, Ordering::AcqRel);
        Live(Arc::clone(pool))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let waiting = &self.0.waiting;
        waiting.live.fetch_sub(1, Ordering::AcqRel);
        // There is one connection less to wait for, and a process that is free or will be: where nobody waits for that already, the
        // first in the queue is told nothing, and connects.
        if waiting.unanswered.load(Ordering::Acquire) == 0 {
            let _first = locked(&waiting.queue).pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Live, locked};
    use crate::backend::pool::Pool;
    use crate::config::backends::Address;

    #[test]
    fn who_has_given_up_does_not_stay_in_the_queue() {
        let pool = Arc::new(Pool::new(Address::Unix(b"/nobody".to_vec())));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            pool.waiting.are_few();
            let _busy = Live::new(&pool);
            for _ in 0..5 {
                assert!(pool.waiting.for_another().await.is_none());
                assert!(locked(&pool.waiting.queue).len() <= 1);
            }
        });
    }
}
