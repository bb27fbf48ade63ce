//! Questions to the roles, and what they have reported. One question is on its way at a time, whoever wants to know.

use std::time::{Duration, Instant};

use super::super::generation::Generation;
use crate::process::counts::Counts;
use crate::process::message::{ToSpawner, ToWorker};

/// What the roles of a generation have reported last, with the numbers of the questions.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::launcher) struct Reports {
    pub(in crate::launcher) worker: Option<(u64, Counts)>,
    pub(in crate::launcher) spawner: Option<(u64, u64)>,
}

/// The question on its way, if there is one.
#[derive(Debug, Default)]
pub(super) struct Inquiry {
    last: u64,
    until: Option<Instant>,
}

/// Whoever has not answered by then is reported on without its numbers.
const LIMIT: Duration = Duration::from_secs(2);

impl Inquiry {
    pub(super) fn next_time(&self) -> Option<Instant> {
        self.until
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.until.is_some()
    }

    /// Puts the next question: its number.
    pub(super) fn put<'a>(&mut self, generations: impl Iterator<Item = &'a mut Generation>, now: Instant) -> u64 {
        self.last += 1;
        self.until = Some(now + LIMIT);
        generations.for_each(|generation| generation.ask(self.last));
        self.last
    }

    /// Whether the question is answered by all, or has been waited for long enough: its number.
    pub(super) fn ended<'a>(
        &mut self,
        mut generations: impl Iterator<Item = &'a Generation>,
        now: Instant,
    ) -> Option<u64> {
        let until = self.until?;
        let all = generations.all(|generation| generation.has_answered(self.last));
        (all || until <= now).then(|| {
            self.until = None;
            self.last
        })
    }
}

impl Generation {
    /// Puts a question to both roles.
    fn ask(&mut self, number: u64) {
        self.worker.ask(number, &ToWorker::Report { number });
        self.spawner.ask(number, &ToSpawner::Report { number });
    }

    /// Whether both, as far as they are to, have answered the question of this number.
    pub(super) fn has_answered(&self, number: u64) -> bool {
        let Reports { worker, spawner } = self.reports;
        let worker = !self.worker.owes(number) || worker.is_some_and(|(last, _)| last >= number);
        let spawner = !self.spawner.owes(number) || spawner.is_some_and(|(last, _)| last >= number);
        worker && spawner
    }

    /// What the worker has answered to this question, if it has.
    pub(super) fn counts(&self, number: u64) -> Option<Counts> {
        let report = self.reports.worker.filter(|(last, _)| *last == number);
        report.map(|(_, counts)| counts)
    }

    /// How many scripts run, as the spawner has answered to this question.
    pub(super) fn scripts(&self, number: u64) -> Option<u64> {
        let report = self.reports.spawner.filter(|(last, _)| *last == number);
        report.map(|(_, scripts)| scripts)
    }
}
