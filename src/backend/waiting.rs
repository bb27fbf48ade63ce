//! Requests that wait for a process of an application, where processes may be few: those on new connections that have had no byte
//! of an answer, and those that wait for a connection that another request still uses.
//!
//! A connection that nobody has accepted looks like one whose request takes its time. So it is what happens to others that tells:
//! who has waited for [`STARVING`] while a kept connection was idle, or served others, waits for a process. From then on, for
//! [`TIGHT`], a request takes the next connection that another is done with, which costs neither side a new one. Only if its turn
//! does not seem to come [`SOON`], and those who have connected are answered, it connects for itself: where many do that, each
//! connection has to be closed for the next, and all of them take longer still. Now and then one connects at once, to see whether
//! there are more processes by now; as long as there are, the next does so as well.

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

/// After so long a request that waits for a connection that another is done with sees whether its turn comes, and again after so
/// long.
pub(super) const QUEUED: Duration = Duration::from_millis(10);

/// Within so long from its beginning a wait must seem to come to its end, if the others go on as they have.
const SOON: Duration = Duration::from_millis(80);

/// None is longer than this.
const LONGEST: Duration = Duration::from_millis(250);

/// Whoever waits for long does not connect while more than one for so many connections that have a process wait already.
const CONNECTING: usize = 4;

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
    /// How often a new one had its first byte of an answer.
    begun: AtomicUsize,
    /// Requests that have waited for their time, and are on their way to connect.
    called: AtomicUsize,
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
        if one_less(&self.called) || !self.are_waited_for() || self.is_to_probe(Instant::now()) {
            return None;
        }
        let mut turn = self.join(Instant::now());
        loop {
            match timeout(QUEUED, &mut turn.next).await {
                Ok(next) => return next.ok(),
                Err(_) if self.waits_on(&turn, Instant::now()) => {}
                Err(_) => return None,
            }
        }
    }

    /// A place in the queue for such a connection; none where one who waits for it would not, for whatever reason.
    pub(super) fn queue(&self, now: Instant) -> Option<InLine> {
        let would_wait = self.are_waited_for() && !is_due(*locked(&self.probed), now);
        would_wait.then(|| self.join(now))
    }

    /// Whether connections of others are waited for: such as have one, or will have.
    fn are_waited_for(&self) -> bool {
        let others = || self.live.load(Ordering::Acquire) + self.unanswered.load(Ordering::Acquire);
        self.is_tight() && others() > 0
    }

    fn join(&self, now: Instant) -> InLine {
        let (freed, next) = oneshot::channel();
        let mut queue = locked(&self.queue);
        // All wait for about as long, so that those who have given up stand first.
        while queue.front().is_some_and(oneshot::Sender::is_closed) {
            queue.pop_front();
        }
        queue.push_back(freed);
        InLine {
            next,
            since: now,
            length: queue.len(),
            served_before: self.served(),
        }
    }

    /// How many requests have come to their turn.
    fn served(&self) -> usize {
        let begun = self.begun.load(Ordering::Relaxed);
        begun.wrapping_add(self.reused.load(Ordering::Relaxed))
    }

    /// Whether one that stands in the queue is to go on waiting.
    pub(super) fn waits_on(&self, place: &InLine, now: Instant) -> bool {
        let waited = now.saturating_duration_since(place.since);
        if waited >= LONGEST {
            return false;
        }
        let served = self.served().wrapping_sub(place.served_before);
        let needed = waited.as_micros().saturating_mul(place.length as u128);
        let comes_soon = needed <= SOON.as_micros().saturating_mul(served as u128);
        let connecting = self.unanswered.load(Ordering::Acquire) + self.called.load(Ordering::Acquire);
        comes_soon || connecting * CONNECTING > self.live.load(Ordering::Acquire)
    }

    /// One that stood in the queue is on its way to connect.
    pub(super) fn calls(&self) {
        self.called.fetch_add(1, Ordering::AcqRel);
    }

    /// A request on a new connection has its first byte.
    pub(super) fn is_begun(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
        if !self.is_tight() {
            return;
        }
        if self.left.load(Ordering::Acquire) > 0 {
            // A process had to be left to those who connect.
            self.are_few();
        } else {
            *locked(&self.probed) = None;
        }
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

/// One less, if there was any.
fn one_less(count: &AtomicUsize) -> bool {
    // Mostly there is none, and nobody need be kept from it to see that.
    let less = |count: usize| count.checked_sub(1);
    count.load(Ordering::Acquire) > 0 && count.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).is_ok()
}

/// A place in the queue.
#[derive(Debug)]
pub(super) struct InLine {
    /// The connection, or the word that it is time to connect.
    pub(super) next: oneshot::Receiver<Idle>,
    since: Instant,
    /// How long the queue was, with this place.
    length: usize,
    served_before: usize,
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
        let _none_was_left = one_less(&waiting.left);
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
            let mut queue = locked(&waiting.queue);
            while queue.pop_front().is_some_and(|first| first.is_closed()) {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use std::time::Duration;

    use tokio::time::Instant;

    use super::{LONGEST, Live, QUEUED, SOON, Unanswered, Waiting, locked};
    use crate::backend::pool::Pool;
    use crate::config::backends::Address;

    fn pool() -> Arc<Pool> {
        Arc::new(Pool::new(Address::Unix(b"/nobody".to_vec())))
    }

    #[test]
    fn who_waits_goes_on_while_its_turn_comes_near() {
        let (waiting, now) = (Waiting::default(), Instant::now());
        let mut place = waiting.join(now);
        place.length = 80;
        assert!(!waiting.waits_on(&place, now + QUEUED), "nobody was served");
        for (served, is_soon) in [(9, false), (1, true), (30, true)] {
            (0..served).for_each(|_| waiting.is_reused());
            assert_eq!(waiting.waits_on(&place, now + QUEUED), is_soon);
        }
        assert!(waiting.waits_on(&place, now + SOON / 2));
        assert!(
            !waiting.waits_on(&place, now + SOON / 2 + QUEUED),
            "it has become slower"
        );
        (0..1000).for_each(|_| waiting.is_reused());
        assert!(waiting.waits_on(&place, now + LONGEST - Duration::from_millis(1)));
        assert!(!waiting.waits_on(&place, now + LONGEST));
    }

    #[test]
    fn few_connect_at_one_time() {
        let (pool, now) = (pool(), Instant::now());
        let place = pool.waiting.join(now);
        let _live: Vec<Live> = (0..7).map(|_| Live::new(&pool)).collect();
        let _one = Unanswered::new(&pool);
        assert!(!pool.waiting.waits_on(&place, now + QUEUED));
        let _two = Unanswered::new(&pool);
        assert!(pool.waiting.waits_on(&place, now + QUEUED));
        assert!(!pool.waiting.waits_on(&place, now + LONGEST), "not for ever");
    }

    #[test]
    fn who_comes_waits_behind_those_who_have_connected() {
        let (pool, now) = (pool(), Instant::now());
        pool.waiting.are_few();
        *locked(&pool.waiting.probed) = Some(now);
        assert!(pool.waiting.queue(now).is_none(), "nobody is there");
        let _connected = Unanswered::new(&pool);
        assert!(pool.waiting.queue(now).is_some());
    }

    #[test]
    fn as_long_as_there_are_free_processes_the_next_one_is_looked_for() {
        let (pool, now) = (pool(), Instant::now());
        let looks = || {
            let mut probed = locked(&pool.waiting.probed);
            probed.replace(now).is_none()
        };
        pool.waiting.are_few();
        assert!(looks());
        let _one = Live::new(&pool);
        let found = Unanswered::new(&pool);
        pool.waiting.is_begun();
        drop(found);
        assert!(looks(), "it was there at once");
        let waited = Unanswered::new(&pool);
        assert!(!pool.waiting.may_keep(), "nobody else waits for the one that is done");
        pool.waiting.is_begun();
        drop(waited);
        assert!(!looks(), "it was one that another has left");
    }

    #[tokio::test]
    async fn who_is_called_from_the_queue_connects() {
        let (pool, now) = (pool(), Instant::now());
        pool.waiting.are_few();
        *locked(&pool.waiting.probed) = Some(now);
        let (ends, _stays) = (Live::new(&pool), Live::new(&pool));
        let gives_up = pool.waiting.queue(now);
        let mut first = pool.waiting.queue(now).expect("a place");
        drop((gives_up, ends));
        assert!((&mut first.next).await.is_err(), "it is told that there is none");
        pool.waiting.calls();
        assert!(pool.waiting.for_another().await.is_none());
        assert!(Instant::now() < now + QUEUED, "it does not wait again");
    }

    #[test]
    fn who_has_given_up_does_not_stay_in_the_queue() {
        let pool = pool();
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
