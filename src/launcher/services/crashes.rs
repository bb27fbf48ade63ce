//! Deaths of a service's processes that nobody asked for: how long to wait after each, and when there were too many.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Counts deaths.
#[derive(Debug, Default)]
pub(super) struct Crashes {
    recent: VecDeque<Instant>,
    /// Those that followed one another quickly.
    in_a_row: u32,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Start it again after so long.
    Again(Duration),
    /// There were too many.
    Failed,
}

/// What lived so long has proved itself.
const SETTLED: Duration = Duration::from_secs(10);
/// The pause after the second death.
const FIRST: Duration = Duration::from_millis(50);
/// The longest pause: short enough for a crash loop to reach its limit of 30 in 50 seconds.
const LONGEST: Duration = Duration::from_secs(1);

impl Crashes {
    /// Notes a death at `now` of one that has lived so long, where `deaths` within `within` are too many.
    pub(super) fn died(&mut self, now: Instant, lived: Duration, deaths: u32, within: Duration) -> Verdict {
        self.recent.push_back(now);
        self.recent.retain(|at| now.saturating_duration_since(*at) <= within);
        if u32::try_from(self.recent.len()).unwrap_or(u32::MAX) >= deaths {
            return Verdict::Failed;
        }
        if lived >= SETTLED {
            self.in_a_row = 0;
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        Verdict::Again(match self.in_a_row {
            0 | 1 => Duration::ZERO,
            n => FIRST.saturating_mul(1 << (n - 2).min(10)).min(LONGEST),
        })
    }

    /// Begins anew.
    pub(super) fn forget(&mut self) {
        *self = Crashes::default();
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Crashes, Verdict};

    #[test]
    fn a_crash_loop_reaches_its_limit() {
        let (mut crashes, mut now, mut waits) = (Crashes::default(), Instant::now(), Vec::new());
        let begun = now;
        let within = Duration::from_secs(50);
        while let Verdict::Again(wait) = crashes.died(now, Duration::ZERO, 30, within) {
            waits.push(wait.as_millis());
            now += wait + Duration::from_millis(5);
        }
        assert_eq!(waits[..8], [0, 50, 100, 200, 400, 800, 1000, 1000]);
        assert_eq!(waits.len(), 29);
        assert!(now - begun < within);
    }

    #[test]
    fn deaths_far_apart_are_no_loop() {
        let (mut crashes, mut now) = (Crashes::default(), Instant::now());
        for _ in 0..100 {
            let verdict = crashes.died(now, Duration::from_secs(20), 3, Duration::from_secs(50));
            assert_eq!(verdict, Verdict::Again(Duration::ZERO));
            now += Duration::from_secs(26);
        }
    }
}
