//! A script that was started, until it has ended and its worker has let go of it.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::process::child::Child;
use crate::process::pidfd::{Ended, Pidfd, Reap, signal_group};
use crate::process::say::{Weight, say};

/// One script.
pub(super) struct Script {
    key: (u64, u64),
    child: Child,
    life: Life,
    released: bool,
    /// Its worker has died; at this time what is left of its group gets SIGKILL.
    kill_at: Option<Instant>,
}

/// Between SIGTERM and SIGKILL for scripts whose worker has died: CGIKillGrace as it is where nothing is said, for only
/// the worker knew what is said for this script.
const GRACE: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Running,
    /// Ended and kept as a zombie.
    Ended,
    /// Its number may be somebody else's by now.
    Reaped,
}

impl Script {
    pub(super) fn new(key: (u64, u64), child: Child) -> Script {
        Script {
            key,
            child,
            life: Life::Running,
            released: false,
            kill_at: None,
        }
    }

    /// Its line and its number there.
    pub(super) fn key(&self) -> (u64, u64) {
        self.key
    }

    pub(super) fn pidfd(&self) -> &Pidfd {
        &self.child.pidfd
    }

    pub(super) fn has_ended(&self) -> bool {
        self.life != Life::Running
    }

    /// Has it ended, been released and been reaped?
    pub(super) fn is_done(&self) -> bool {
        self.life == Life::Reaped
    }

    /// Signals its group, whose number is its own until it is reaped.
    pub(super) fn signal(&mut self, signal: Signal) {
        if self.life == Life::Reaped {
            return;
        }
        if let Err(error) = signal_group(self.child.pid, signal) {
            let pid = self.child.pid;
            say(
                "spawner",
                Weight::Error,
                &format!("cannot signal the process group {pid}: {error}"),
            );
        }
    }

    /// How it ended, if it has and that was not known before.
    pub(super) fn notice_end(&mut self) -> Option<Ended> {
        if self.has_ended() {
            return None;
        }
        let reap = if self.released { Reap::Yes } else { Reap::No };
        match self.child.pidfd.try_wait(reap) {
            Ok(None) => None,
            Ok(Some(ended)) => {
                self.life = if self.released { Life::Reaped } else { Life::Ended };
                Some(ended)
            }
            Err(error) => {
                let pid = self.child.pid;
                say(
                    "spawner",
                    Weight::Error,
                    &format!("cannot wait for process {pid}: {error}"),
                );
                self.life = Life::Reaped;
                None
            }
        }
    }

    /// Its worker has died without having let go of it: nobody reads it and nobody watches the time.
    pub(super) fn abandon(&mut self) {
        match self.life {
            Life::Running if !self.released => {
                self.signal(Signal::TERM);
                self.kill_at = Some(Instant::now() + GRACE);
            }
            _ => self.release(),
        }
    }

    /// When it is to be ended, if its worker has died.
    pub(super) fn kill_at(&self) -> Option<Instant> {
        self.kill_at
    }

    /// Ends what is left of its group, once its time has come.
    pub(super) fn end_abandoned(&mut self) {
        if self.kill_at.is_some_and(|at| Instant::now() >= at) {
            self.kill_at = None;
            self.signal(Signal::KILL);
            self.release();
        }
    }

    /// Its worker has let go of it: it is reaped as soon as it has ended.
    pub(super) fn release(&mut self) {
        self.released = true;
        if self.life == Life::Ended {
            // It was seen to have ended, so this takes the zombie away; no other answer is possible.
            let _known = self.child.pidfd.try_wait(Reap::Yes);
            self.life = Life::Reaped;
        }
    }
}
