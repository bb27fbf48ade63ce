//! What signals ask of the launcher: to take other settings, to end with the last connection, to end now.

use std::io;
use std::time::{Duration, Instant};

use super::asking::Asker;
use super::logs::OpenLogs;
use super::{Change, END_LIMIT, Ending, Launcher, Notes, take_stderr};
use crate::process::notify::State;
use crate::process::say::{Weight, say};
use crate::process::signal::Signal;

impl Launcher<'_> {
    pub(super) fn take_signals(&mut self) -> io::Result<()> {
        while let Some(arrived) = self.signals.next()? {
            match (arrived.signal, arrived.sender) {
                // A hang-up that no process sent is the terminal's own: whoever sat there has left.
                (Signal::SIGTERM | Signal::SIGINT, _) | (Signal::SIGHUP, None) => self.stop(),
                (Signal::SIGHUP | Signal::SIGUSR1, sender) => self.want(Change::Graceful, sender.map(Asker::Signal)),
                (Signal::SIGUSR2, sender) => self.want(Change::Abrupt, sender.map(Asker::Signal)),
                // A terminal that changes its size sends it too, which must stop nobody.
                (Signal::SIGWINCH, Some(_)) => self.stop_gracefully(),
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn want(&mut self, change: Change, asker: Option<Asker>) {
        if self.wanted != Some(Change::Abrupt) {
            self.wanted = Some(change);
        }
        if let Some(asker) = asker {
            self.asking.add(asker);
        }
        if self.ending != Ending::No {
            self.asking.refuse_all(STOPPING, &mut self.desk);
        }
    }

    /// Begins what a signal asked for, unless something else is under way: then it waits for its turn.
    pub(super) fn begin_what_is_wanted(&mut self) {
        if self.candidate.is_some() || self.trial.is_some() || self.ending != Ending::No {
            return;
        }
        let Some(change) = self.wanted.take() else { return };
        self.asking.begin();
        self.notifier.tell(State::Reloading, "reading the settings again");
        say("launcher", Weight::Notice, "reading the settings again");
        // Those that serve now may have long to go: what they write belongs into the new files at once.
        self.reopen_logs();
        if !self.try_other_program(change) {
            self.change(change);
        }
    }

    /// Reads the settings again and starts a candidate.
    pub(super) fn change(&mut self, change: Change) {
        let begun = (self.launch.load)().and_then(|plan| self.begin(plan, change, Notes::Kept));
        if let Err(error) = begun {
            self.refuse(&error);
        }
    }

    /// What was asked for cannot be: all stays as it is.
    pub(super) fn refuse(&mut self, error: &str) {
        self.services.revert(&self.stock);
        self.let_go_of_programs();
        for line in error.lines() {
            say("launcher", Weight::Error, line);
        }
        say("launcher", Weight::Error, "the settings in force stay as they are");
        let first = error.lines().next().unwrap_or_default();
        self.notifier.tell(
            State::Ready,
            &format!("serving by the settings in force; the last reload failed: {first}"),
        );
        self.desk.note_refusal(error);
        self.asking.answer(&Err(error.to_owned()), &mut self.desk);
    }

    /// Those who asked hear that it is done, once nobody takes connections by the old settings any more.
    pub(super) fn answer(&mut self) {
        if self.candidate.is_none() && self.trial.is_none() && !self.old.iter().any(|generation| generation.accepts()) {
            self.asking.answer(&Ok(()), &mut self.desk);
        }
    }

    pub(super) fn stop(&mut self) {
        let again = matches!(self.ending, Ending::Now(_));
        self.ending = Ending::Now(Instant::now() + END_LIMIT);
        let told = if again { "killing all" } else { "stopping" };
        say("launcher", Weight::Notice, told);
        self.leave_off(told);
        for generation in self.generations() {
            if again { generation.hurry() } else { generation.stop() }
        }
    }

    fn stop_gracefully(&mut self) {
        if self.ending == Ending::No {
            let limit = self.begin_graceful_end(None);
            if let Some(current) = &mut self.current {
                current.drain(limit, Duration::ZERO);
            }
        }
    }

    /// As a graceful stop, but so that no request is lost: in this time, or that of the settings. If one is under way already, it
    /// may come to its end sooner now.
    pub(super) fn finish_and_end(&mut self, limit: Option<Duration>) {
        match self.ending {
            Ending::No => {
                let limit = self.begin_graceful_end(limit);
                if let Some(current) = &mut self.current {
                    current.leave(limit);
                }
            }
            Ending::Graceful(until) => {
                let sooner = limit.filter(|limit| !limit.is_zero());
                let sooner = sooner.map(|limit| Instant::now() + limit + AFTER_LIMIT);
                self.ending = Ending::Graceful(until.into_iter().chain(sooner).min());
            }
            Ending::Now(_) => {}
        }
    }

    /// Nothing new is begun from now on; how long the rest may take.
    fn begin_graceful_end(&mut self, limit: Option<Duration>) -> Duration {
        let told = "stopping when the last connection has ended";
        say("launcher", Weight::Notice, told);
        let said = self.plan.as_ref().map_or(Duration::ZERO, |plan| plan.graceful_limit);
        let limit = limit.unwrap_or(said);
        // The worker keeps the limit itself; those of earlier settings have none of their own.
        self.ending = Ending::Graceful((!limit.is_zero()).then(|| Instant::now() + limit + AFTER_LIMIT));
        self.leave_off(told);
        if let Some(candidate) = &mut self.candidate {
            candidate.generation.kill();
        }
        limit
    }

    /// Nothing new is begun any more.
    fn leave_off(&mut self, told: &str) {
        self.notifier.tell(State::Stopping, told);
        self.asking.refuse_all(STOPPING, &mut self.desk);
        self.give_up_trial();
    }

    fn reopen_logs(&mut self) {
        let (Some(current), Some(plan)) = (&mut self.current, &self.plan) else {
            return;
        };
        match OpenLogs::open(&plan.logs, plan.error_log, &mut self.programs) {
            Ok(logs) => {
                current.reopen_logs(logs);
                take_stderr(current);
            }
            Err(error) => say("launcher", Weight::Error, &error),
        }
    }
}

const STOPPING: &str = "the server is stopping";

/// How much later than the worker we see to it that a graceful stop comes to its end.
pub(super) const AFTER_LIMIT: Duration = Duration::from_secs(1);
