//! How long to wait before something that died is started again: at once, unless it keeps dying.

use std::time::Duration;

/// Counts deaths that follow one another quickly.
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    quick_deaths: u32,
    deaths: u32,
}

impl Backoff {
    /// What lives this long has proved itself; its next death is its first.
    pub const SETTLED: Duration = Duration::from_secs(10);
    /// The longest pause.
    pub const LONGEST: Duration = Duration::from_secs(10);
    const FIRST: Duration = Duration::from_millis(100);

    /// Notes a death after `lived` and returns how long to wait: nothing the first time, then 100 ms, doubled up to
    /// [`Backoff::LONGEST`].
    pub fn died(&mut self, lived: Duration) -> Duration {
        if lived >= Backoff::SETTLED {
            self.quick_deaths = 0;
        }
        self.quick_deaths = self.quick_deaths.saturating_add(1);
        self.deaths = self.deaths.saturating_add(1);
        match self.quick_deaths {
            0 | 1 => Duration::ZERO,
            n => Backoff::FIRST
                .saturating_mul(1_u32 << (n - 2).min(10))
                .min(Backoff::LONGEST),
        }
    }

    /// How many deaths were noted in all.
    pub fn deaths(&self) -> u32 {
        self.deaths
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Backoff;

    #[test]
    fn the_first_death_is_free_and_the_next_ones_cost() {
        let mut backoff = Backoff::default();
        let quick = Duration::from_millis(5);
        let waits: Vec<u128> = (0..10).map(|_| backoff.died(quick).as_millis()).collect();
        assert_eq!(waits, [0, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        assert_eq!(backoff.died(Backoff::SETTLED), Duration::ZERO);
        assert_eq!(backoff.died(quick), Duration::from_millis(100));
        assert_eq!(backoff.deaths(), 12);
    }
}
