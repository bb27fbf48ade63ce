//! The generation that is to serve: it takes over when it is ready, or is done away with.

use std::net::SocketAddr;

use super::generation::{Generation, Phase};
use super::plan::Plan;
use super::{Change, Ending, Launcher, take_stderr};
use crate::process::ctl::CtlSocket;
use crate::process::footprint;
use crate::process::notify::State;
use crate::process::pidfile::PidFile;
use crate::process::say::{Weight, say};

/// A generation that is to serve by other settings.
pub(super) struct Candidate {
    pub(super) generation: Generation,
    pub(super) plan: Plan,
    pub(super) change: Change,
    /// Its control socket, if that is another than before.
    pub(super) socket: Option<CtlSocket>,
}

impl Launcher<'_> {
    /// A candidate that is ready takes over; one that failed is done away with, which is the end of a first start.
    pub(super) fn settle_candidate(&mut self) -> Result<(), String> {
        let Some(mut candidate) = self.candidate.take() else {
            return Ok(());
        };
        if let Some(fault) = candidate.generation.fault() {
            candidate.generation.kill();
            self.old.push(candidate.generation);
            match (self.ending, &self.current) {
                (Ending::No, None) => return Err(fault),
                (Ending::No, Some(_)) => self.refuse(&fault),
                _ => {}
            }
        } else if candidate.generation.is_ready() && matches!(candidate.generation.phase, Phase::Starting(_)) {
            return self.promote(candidate);
        } else {
            self.candidate = Some(candidate);
        }
        Ok(())
    }

    fn promote(&mut self, candidate: Candidate) -> Result<(), String> {
        let Candidate {
            mut generation,
            plan,
            change,
            socket,
        } = candidate;
        generation.phase = Phase::Serving;
        let is_first = self.current.is_none();
        let pid_file = self.make_pid_file(&plan);
        let addresses: Vec<SocketAddr> = match self.only {
            Some(_) => Vec::new(),
            None => generation.listeners.iter().map(|bound| bound.local).collect(),
        };
        if is_first {
            if let Err(error) = pid_file {
                generation.kill();
                return Err(error);
            }
            (self.launch.ready)(&addresses);
        } else if let Err(error) = pid_file {
            say("launcher", Weight::Error, &error);
        }
        self.desk.open(&plan.control, socket);
        take_stderr(&generation);
        if let Some(mut old) = self.current.take() {
            match change {
                Change::Graceful => old.make_place_for(&generation),
                Change::Abrupt => old.give_way(),
            }
            self.old.push(old);
        }
        if change == Change::Abrupt {
            self.old.iter_mut().for_each(Generation::give_way);
        }
        if let Err(error) = self.services.settle(&plan, &self.stock) {
            say("launcher", Weight::Error, &error);
        }
        // Only now: whoever reads this may ask for a service that had failed, and finds it.
        let told = if is_first {
            "serving"
        } else {
            "serving by the new settings"
        };
        say("launcher", Weight::Notice, told);
        if let Some(remark) = plan.remark.as_ref().filter(|_| is_first) {
            say("launcher", Weight::Notice, remark);
        }
        self.notifier.tell(State::Ready, &serving_on(&addresses));
        self.current = Some(generation);
        self.plan = Some(plan);
        footprint::give_back();
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

fn serving_on(addresses: &[SocketAddr]) -> String {
    if addresses.is_empty() {
        return "serving".to_owned();
    }
    let addresses: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
    format!("serving on {}", addresses.join(", "))
}
