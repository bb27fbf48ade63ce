//! The generation that is to serve: it takes over when it is ready, or is done away with.

use std::net::SocketAddr;

use super::generation::{Generation, Phase};
use super::plan::Plan;
use super::{Ending, Launcher, take_stderr};
use crate::process::pidfile::PidFile;
use crate::process::say::{Weight, say};

impl Launcher<'_> {
    /// A candidate that is ready takes over; one that failed is done away with, which is the end of a first start.
    pub(super) fn settle_candidate(&mut self) -> Result<(), String> {
        let Some((mut generation, plan)) = self.candidate.take() else {
            return Ok(());
        };
        if let Some(fault) = generation.fault() {
            generation.kill();
            self.old.push(generation);
            if self.ending != Ending::No {
                return Ok(());
            }
            if self.current.is_none() {
                return Err(fault);
            }
            say(
                "launcher",
                Weight::Error,
                &format!("{fault}; the settings in force stay as they are"),
            );
        } else if generation.is_ready() && matches!(generation.phase, Phase::Starting(_)) {
            return self.promote(generation, plan);
        } else {
            self.candidate = Some((generation, plan));
        }
        Ok(())
    }

    fn promote(&mut self, mut generation: Generation, plan: Plan) -> Result<(), String> {
        generation.phase = Phase::Serving;
        let is_first = self.current.is_none();
        let pid_file = self.make_pid_file(&plan);
        if is_first {
            if let Err(error) = pid_file {
                generation.kill();
                return Err(error);
            }
            let addresses: Vec<SocketAddr> = generation.listeners.iter().map(|bound| bound.local).collect();
            (self.launch.ready)(&addresses);
        } else if let Err(error) = pid_file {
            say("launcher", Weight::Error, &error);
        }
        take_stderr(&generation);
        say(
            "launcher",
            Weight::Notice,
            if is_first {
                "serving"
            } else {
                "serving by the new settings"
            },
        );
        if let Some(mut old) = self.current.replace(generation) {
            old.drain(plan.graceful_limit);
            self.old.push(old);
        }
        self.plan = Some(plan);
        Ok(())
    }

    fn make_pid_file(&mut self, plan: &Plan) -> Result<(), String> {
        let old = self.pid_file.as_ref().map(PidFile::path);
        if old == plan.pid_file.as_deref() && old.is_some_and(|path| path.exists()) {
            return Ok(());
        }
        let told = |path: &std::path::Path, error| format!("PidFile: {}: {error}", path.display());
        self.pid_file = None; // removed before the next is made, which may have the same name
        if let Some(path) = &plan.pid_file {
            self.pid_file = Some(PidFile::create(path).map_err(|error| told(path, error))?);
        }
        Ok(())
    }
}
