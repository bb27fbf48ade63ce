//! The sign of life: every thread of the worker has turned its event loop.

use std::sync::atomic::{AtomicBool, Ordering};

/// Which threads have turned since the last sign.
pub struct Pulse(Vec<AtomicBool>);

impl Pulse {
    /// For so many threads.
    pub fn new(threads: usize) -> Pulse {
        Pulse((0..threads).map(|_| AtomicBool::new(false)).collect())
    }

    /// Thread `number` has turned. True for the one that completes a round: it gives the sign. One thread that is stuck
    /// keeps all from it.
    pub fn beat(&self, number: usize) -> bool {
        if let Some(thread) = self.0.get(number) {
            thread.store(true, Ordering::Release);
        }
        let is_round = self.0.iter().all(|thread| thread.load(Ordering::Acquire));
        if is_round {
            for thread in &self.0 {
                thread.store(false, Ordering::Release);
            }
        }
        is_round
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
}
