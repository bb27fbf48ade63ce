//! What the threads of the process have in hand and have done, in numbers that another thread may read at any time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::process::counts::Counts;
use crate::scripts::queue::Slots;
use crate::worker::crowd::Crowd;
use crate::worker::survey::Survey;

/// The numbers of all threads.
pub struct Board {
    crowd: Arc<Crowd>,
    slots: Arc<Slots>,
    seats: Box<[Seat]>,
    /// The way to what each thread knows of itself.
    pub(super) survey: Survey,
}

/// Those of one thread, on a cache line of its own. It alone writes them, so nothing is locked.
#[derive(Default)]
#[repr(align(64))]
struct Seat {
    requests: AtomicU64,
    answered: AtomicU64,
    bytes: AtomicU64,
}

/// A request is in hand until this is dropped.
pub struct InHand<'a>(Option<&'a Seat>);

impl Board {
    /// That of so many threads.
    pub fn new(crowd: Arc<Crowd>, slots: Arc<Slots>, threads: usize) -> Board {
        Board {
            crowd,
            slots,
            seats: (0..threads).map(|_| Seat::default()).collect(),
            survey: Survey::new(),
        }
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        self.seats.len()
    }

    /// Thread `number` has one more request in hand.
    pub fn take(&self, number: usize) -> InHand<'_> {
        let seat = self.seats.get(number);
        if let Some(seat) = seat {
            add(&seat.requests, 1);
        }
        InHand(seat)
    }

    /// Thread `number` has answered a request with so many bytes.
    pub fn answered(&self, number: usize, bytes: u64) {
        if let Some(seat) = self.seats.get(number) {
            add(&seat.answered, 1);
            add(&seat.bytes, bytes);
        }
    }

    /// All numbers as they are now.
    pub fn counts(&self) -> Counts {
        let sum = |number: fn(&Seat) -> &AtomicU64| {
            let numbers = self.seats.iter().map(|seat| number(seat).load(Ordering::Relaxed));
            numbers.fold(0, u64::wrapping_add)
        };
        Counts {
            connections: self.crowd.open() as u64,
            requests: sum(|seat| &seat.requests),
            scripts: self.slots.taken() as u64,
            waiting: self.slots.waiting() as u64,
            answered: sum(|seat| &seat.answered),
            bytes: sum(|seat| &seat.bytes),
        }
    }
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        if let Some(seat) = self.0 {
            add(&seat.requests, u64::MAX); // one less
        }
    }
}

/// Adds to a number that nobody else changes.
fn add(number: &AtomicU64, more: u64) {
    number.store(number.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::Board;
    use crate::process::counts::Counts;
    use crate::scripts::queue::Slots;
    use crate::worker::crowd::Crowd;

    #[test]
    fn what_is_in_hand_and_what_was_done_is_counted_over_all_threads() {
        let crowd = Arc::new(Crowd::new(10, 2));
        let slots = Arc::new(Slots::new(3, 3, Duration::ZERO));
        let board = Board::new(Arc::clone(&crowd), slots, 2);
        let _place = crowd.place().expect("there is room");
        let (one, two) = (board.take(0), board.take(1));
        let nobody = board.take(2);
        for (thread, bytes) in [(0, 10), (1, 5), (2, 1)] {
            board.answered(thread, bytes);
        }
        drop(one);
        let expected = Counts {
            connections: 1,
            requests: 1,
            answered: 2,
            bytes: 15,
            ..Counts::default()
        };
        assert_eq!(board.counts(), expected);
        drop((two, nobody));
        assert_eq!(board.counts().requests, 0);
    }
}
