//! How many scripts run at once, in all threads together, and who waits for a turn: CGIMaxScripts, CGIQueueLength,
//! CGIQueueTime. First come, first served.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::directives::cgi::ScriptLimits;

/// The turns of all threads.
#[derive(Debug)]
pub struct Slots {
    free: Arc<Semaphore>,
    running: usize,
    waiting: AtomicUsize,
    queue_length: usize,
    queue_time: Duration,
}

/// The right to have one script run; given back when dropped.
#[derive(Debug)]
pub struct Slot {
    _permit: OwnedSemaphorePermit,
}

/// Why there is no turn; the client may come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSlot {
    /// As many wait as may (CGIQueueLength).
    QueueFull,
    /// Nobody finished within CGIQueueTime.
    WaitedTooLong,
}

impl Slots {
    /// `running` scripts at once, `queue_length` requests that wait, each at most for `queue_time`.
    pub fn new(running: usize, queue_length: usize, queue_time: Duration) -> Slots {
        let running = running.min(Semaphore::MAX_PERMITS);
        Slots {
            free: Arc::new(Semaphore::new(running)),
            running,
            waiting: AtomicUsize::new(0),
            queue_length,
            queue_time,
        }
    }

    /// What the settings say.
    pub fn of(limits: &ScriptLimits) -> Slots {
        let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Slots::new(
            number(limits.max_scripts.or(64)),
            number(limits.queue_length.or(128)),
            limits.queue_time.or(Duration::from_secs(10)),
        )
    }

    /// How many scripts may run at once.
    pub fn most(&self) -> usize {
        self.running
    }

    /// Takes a turn, or waits for one.
    pub async fn take(&self) -> Result<Slot, NoSlot> {
        // Whoever waits is served before this succeeds again: a free turn goes to the queue first.
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
            return Ok(Slot { _permit: permit });
        }
        let _place = self.queue().ok_or(NoSlot::QueueFull)?;
        match tokio::time::timeout(self.queue_time, Arc::clone(&self.free).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Slot { _permit: permit }),
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => Err(NoSlot::WaitedTooLong),
        }
    }

    /// How long to tell a client to stay away, in seconds: as long as it would have waited here, but a second at least.
    pub fn retry_after(&self) -> u64 {
        self.queue_time.as_secs().max(1)
    }

    /// How many turns are taken.
    pub fn taken(&self) -> usize {
        self.running.saturating_sub(self.free.available_permits())
    }

    /// How many requests wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    fn queue(&self) -> Option<Queued<'_>> {
        let one_more = |waiting| (waiting < self.queue_length).then_some(waiting + 1);
        self.waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .ok()?;
        Some(Queued(&self.waiting))
    }
}

/// A place in the queue.
struct Queued<'a>(&'a AtomicUsize);

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future, poll_fn};
    use std::pin::{Pin, pin};
    use std::task::Poll;
    use std::time::Duration;

    use super::{NoSlot, Slot, Slots};

    const TIME: Duration = Duration::from_secs(10);

    /// Polls once: whether it is ready.
    async fn now<F: Future>(future: Pin<&mut F>) -> Option<F::Output> {
        let mut future = future;
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    fn got(result: Option<Result<Slot, NoSlot>>) -> Slot {
        result.expect("it is its turn").expect("it waited in order")
    }

    #[tokio::test]
    async fn turns_go_in_the_order_of_asking() {
        let slots = Slots::new(1, 2, TIME);
        assert_eq!(slots.taken(), 0);
        let running = slots.take().await.expect("it is free");
        assert_eq!(slots.taken(), 1);
        let (mut first, mut second) = (pin!(slots.take()), pin!(slots.take()));
        assert!(now(first.as_mut()).await.is_none());
        assert!(now(second.as_mut()).await.is_none());
        assert_eq!(slots.waiting(), 2);
        assert_eq!(slots.take().await.err(), Some(NoSlot::QueueFull));
        drop(running);
        assert!(now(second.as_mut()).await.is_none(), "the first is first");
        let mut late = pin!(slots.take());
        assert!(now(late.as_mut()).await.expect("full").is_err(), "nobody overtakes");
        let running = got(now(first.as_mut()).await);
        assert!(now(second.as_mut()).await.is_none());
        drop(running);
        got(now(second.as_mut()).await);
        assert_eq!(slots.waiting(), 0);
    }

    #[tokio::test]
    async fn nobody_waits_longer_than_the_queue_time() {
        let slots = Slots::new(1, 5, Duration::from_millis(20));
        let _running = slots.take().await;
        assert_eq!(slots.take().await.err(), Some(NoSlot::WaitedTooLong));
        assert_eq!((slots.waiting(), slots.retry_after()), (0, 1));
    }

    #[tokio::test]
    async fn who_leaves_the_queue_makes_room() {
        let slots = Slots::new(1, 1, TIME);
        let running = slots.take().await;
        {
            let mut impatient = pin!(slots.take());
            assert!(now(impatient.as_mut()).await.is_none());
        }
        let mut other = pin!(slots.take());
        assert!(now(other.as_mut()).await.is_none());
        drop(running);
        got(now(other.as_mut()).await);
    }

    #[tokio::test]
    async fn without_a_queue_the_answer_is_at_once() {
        let slots = Slots::new(1, 0, TIME);
        let _running = slots.take().await;
        assert_eq!(slots.take().await.err(), Some(NoSlot::QueueFull));
    }
}
