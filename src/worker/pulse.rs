//! The sign of life: every thread of the worker has turned its event loop.

use std::sync::atomic::{AtomicU8, Ordering};

/// What each thread has done since the last sign.
pub struct Pulse(Vec<AtomicU8>);

/// It has not turned.
const STILL: u8 = 0;
/// It has.
const TURNED: u8 = 1;
/// It has ended in order, and nobody waits for it.
const ENDED: u8 = 2;

impl Pulse {
    /// For so many threads.
    pub fn new(threads: usize) -> Pulse {
        Pulse((0..threads).map(|_| AtomicU8::new(STILL)).collect())
    }

    /// Thread `number` has turned. True for the one that completes a round: it gives the sign. One thread that is stuck
    /// keeps all from it.
    pub fn beat(&self, number: usize) -> bool {
        if let Some(thread) = self.0.get(number) {
            thread.store(TURNED, Ordering::Release);
        }
        let is_round = self.0.iter().all(|thread| thread.load(Ordering::Acquire) != STILL);
        if is_round {
            for thread in &self.0 {
                // One that has ended stays so.
                let _ended = thread.compare_exchange(TURNED, STILL, Ordering::AcqRel, Ordering::Relaxed);
            }
        }
        is_round
    }

    /// Thread `number` has come to its end while others go on.
    pub fn end(&self, number: usize) {
        if let Some(thread) = self.0.get(number) {
            thread.store(ENDED, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Pulse;

    #[test]
    fn the_last_of_a_round_gives_the_sign() {
        let pulse = Pulse::new(3);
        let beats = [0, 1, 0, 2, 2, 1, 1, 0].map(|number| pulse.beat(number));
        assert_eq!(beats, [false, false, false, true, false, false, false, true]);
        assert!(Pulse::new(1).beat(0));
    }

    #[test]
    fn nobody_waits_for_a_thread_that_has_ended() {
        let pulse = Pulse::new(3);
        pulse.end(1);
        let beats = [0, 0, 2, 2, 0].map(|number| pulse.beat(number));
        assert_eq!(beats, [false, false, true, false, true]);
    }
}
