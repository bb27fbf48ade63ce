//! What signals ask of the launcher: to read the settings again, to end with the last connection, to end now.

use std::io;
use std::time::{Duration, Instant};

use super::{END_LIMIT, Ending, Launcher, Notes, take_stderr};
use crate::process::say::{Weight, say};
use crate::process::signal::Signal;

impl Launcher<'_> {
    pub(super) fn take_signals(&mut self) -> io::Result<()> {
        while let Some(arrived) = self.signals.next()? {
            match (arrived.signal, arrived.sender) {
                // A hang-up that no process sent is the terminal's own: whoever sat there has left.
                (Signal::SIGTERM | Signal::SIGINT, _) | (Signal::SIGHUP, None) => self.stop(),
                (Signal::SIGHUP | Signal::SIGUSR1, _) => self.wants_reload = true,
                // A terminal that changes its size sends it too, which must stop nobody.
                (Signal::SIGWINCH, Some(_)) => self.stop_gracefully(),
                _ => {}
            }
        }
        if self.wants_reload && self.candidate.is_none() && self.ending == Ending::No {
            self.wants_reload = false;
            self.reload();
        }
        Ok(())
    }

    fn stop(&mut self) {
        let again = matches!(self.ending, Ending::Now(_));
        self.ending = Ending::Now(Instant::now() + END_LIMIT);
        say(
            "launcher",
            Weight::Notice,
            if again { "killing all" } else { "stopping" },
        );
        for generation in self.generations() {
            if again { generation.kill() } else { generation.stop() }
        }
    }

    fn stop_gracefully(&mut self) {
        if self.ending != Ending::No {
            return;
        }
        say(
            "launcher",
            Weight::Notice,
            "stopping when the last connection has ended",
        );
        self.ending = Ending::Graceful;
        let limit = self.plan.as_ref().map_or(Duration::ZERO, |plan| plan.graceful_limit);
        if let Some(current) = &mut self.current {
            current.drain(limit);
        }
        if let Some((candidate, _)) = &mut self.candidate {
            candidate.kill();
        }
    }

    /// Reads the settings again and starts a candidate; where that does not work, the logs are opened again at least.
    fn reload(&mut self) {
        say("launcher", Weight::Notice, "reading the settings again");
        // Those that serve now may have long to go: what they write belongs into the new files at once.
        self.reopen_logs();
        if let Err(error) = (self.launch.load)().and_then(|plan| self.begin(plan, Notes::Kept)) {
            for line in error.lines() {
                say("launcher", Weight::Error, line);
            }
            say("launcher", Weight::Error, "the settings in force stay as they are");
        }
    }

    fn reopen_logs(&mut self) {
        let (Some(current), Some(plan)) = (&mut self.current, &self.plan) else {
            return;
        };
        match self.programs.open(&plan.logs, plan.error_log) {
            Ok(logs) => {
                current.reopen_logs(logs);
                take_stderr(current);
            }
            Err(error) => say("launcher", Weight::Error, &error),
        }
    }
}
