//! Lines that a log could not take: how many, why, and how much of that was told already.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::sink::strerror;

/// How often a log's losses are told.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Why lines were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The system refused them.
    System(Errno),
    /// Too many waited for whoever reads the stream.
    SlowReader,
    /// Too many waited for a file whose writes take long.
    SlowFile,
}

/// When losses are due to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Once a minute.
    EveryMinute(Instant),
    /// Now: the process ends.
    Now,
}

/// The lost lines of one log.
#[derive(Debug, Default)]
pub(super) struct Losses {
    lost: AtomicU64,
    told: AtomicU64,
    ledger: Mutex<Ledger>,
}

#[derive(Debug, Default)]
struct Ledger {
    tried_at: Option<Instant>,
    cause: Option<Cause>,
}

/// What is to be told of losses.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    /// A sentence.
    pub text: String,
    /// How many lines had been lost in all.
    total: u64,
}

impl Losses {
    #[cold]
    pub(super) fn add(&self, lines: u64, cause: Cause) {
        if lines > 0 {
            self.lost.fetch_add(lines, Ordering::Relaxed);
            self.ledger().cause = Some(cause);
        }
    }

    /// How many lines were lost so far.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Whether there are losses that were not told yet.
    pub(super) fn owe_report(&self) -> bool {
        self.lost() != self.told.load(Ordering::Relaxed)
    }

    /// A sentence about the lines lost since the last one that arrived.
    pub(super) fn report(&self, name: &str, due: Due) -> Option<Report> {
        let mut ledger = self.ledger();
        let total = self.lost();
        let since = total
            .checked_sub(self.told.load(Ordering::Relaxed))
            .filter(|n| *n > 0)?;
        if let Due::EveryMinute(now) = due {
            let early = |at| now.saturating_duration_since(at) < TELL_EVERY;
            if ledger.tried_at.is_some_and(early) {
                return None;
            }
            ledger.tried_at = Some(now);
        }
        let lines = if since == 1 { "line" } else { "lines" };
        let why = match ledger.cause {
            Some(Cause::System(why)) => strerror(&why.into()),
            Some(Cause::SlowFile) => "writing to it takes too long".to_owned(),
            Some(Cause::SlowReader) | None => "the reader is too slow".to_owned(),
        };
        let text = format!("log `{name}`: {since} {lines} lost: {why}");
        Some(Report { text, total })
    }

    /// The report was written where it belongs.
    pub(super) fn told(&self, report: &Report) {
        self.told.fetch_max(report.total, Ordering::Relaxed);
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use rustix::io::Errno;

    use super::{Cause, Due, Losses};

    #[test]
    fn losses_are_told_once_a_minute_and_until_it_arrives() {
        let losses = Losses::default();
        let start = Instant::now();
        let report = |after| losses.report("l", Due::EveryMinute(start + Duration::from_secs(after)));
        assert_eq!(report(0), None);
        losses.add(2, Cause::System(Errno::NOSPC));
        let first = report(0).expect("two lines");
        assert_eq!(first.text, "log `l`: 2 lines lost: No space left on device");
        losses.add(1, Cause::SlowReader);
        assert_eq!(report(59), None);
        // The first one did not arrive.
        let second = report(60).expect("three lines");
        assert_eq!(second.text, "log `l`: 3 lines lost: the reader is too slow");
        losses.told(&second);
        assert_eq!(report(200), None);
        losses.add(1, Cause::SlowFile);
        let third = losses.report("l", Due::Now).expect("one line");
        assert_eq!(third.text, "log `l`: 1 line lost: writing to it takes too long");
        losses.told(&first);
        assert_eq!(
            losses.report("l", Due::Now),
            Some(third),
            "an older report takes nothing back"
        );
    }
}
