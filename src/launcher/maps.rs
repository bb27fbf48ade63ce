//! Programs that are maps of a generation: started with its worker, which alone talks to them, and started again when they end
//! or when it says that one does not answer.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::{Access, OFlags, access, fcntl_getfl, fcntl_setfl};
use rustix::process::Signal;

use super::ctl::ProcessStatus;
use super::plan::MapProgram;
use super::roles::{RoleProcess, Stock};
use super::words;
use crate::process::backoff::Backoff;
use crate::process::child::{Child, ChildSpec, Program, Session, spawn};
use crate::process::identity::Identity;
use crate::process::message::ToWorker;
use crate::process::pidfd::Ended;
use crate::process::say::{Weight, say};

/// The map programs of one generation, by their numbers.
#[derive(Default)]
pub(super) struct Maps(Vec<Running>);

struct Running {
    program: MapProgram,
    identity: Option<Identity>,
    child: Option<Child>,
    started: Instant,
    backoff: Backoff,
    restart_at: Option<Instant>,
    /// What is said of its end if it is started again.
    untold: Option<String>,
}

/// What a map's program that has ended was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Its worker serves.
    Sure,
    /// Its worker ends by itself some day, and it may have heard of that before we do.
    Perhaps,
    /// Its worker is stopped.
    None,
}

/// How long it takes at most until we hear of the end of a worker whose pipes have closed.
const HEARSAY: Duration = Duration::from_millis(100);

impl Maps {
    /// Those of a plan; `identity` is who they are that name nobody.
    pub(super) fn new(programs: &[MapProgram], identity: Option<&Identity>) -> Result<Maps, String> {
        let running = programs.iter().map(|program| {
            let path = words::split(&program.command).into_iter().next().unwrap_or_default();
            access(path.as_slice(), Access::EXEC_OK).map_err(|error| {
                let path = String::from_utf8_lossy(&path);
                format!("{program}: `{path}` cannot be executed: {error}")
            })?;
            Ok(Running {
                program: program.clone(),
                identity: program.identity()?.or_else(|| identity.cloned()),
                child: None,
                started: Instant::now(),
                backoff: Backoff::default(),
                restart_at: None,
                untold: None,
            })
        });
        Ok(Maps(running.collect::<Result<_, String>>()?))
    }

    /// Starts all of them for a worker that has just been started. What their predecessors were asked was asked by another.
    pub(super) fn start(&mut self, stock: &Stock, stderr: BorrowedFd<'_>, worker: &RoleProcess) {
        for number in 0..self.0.len() {
            self.start_one(number, stock, stderr, worker);
        }
    }

    fn start_one(&mut self, number: usize, stock: &Stock, stderr: BorrowedFd<'_>, worker: &RoleProcess) {
        let Some(running) = self.0.get_mut(number) else {
            return;
        };
        running.kill();
        running.child = None;
        running.restart_at = None;
        if let Some(told) = running.untold.take() {
            say("launcher", Weight::Error, &told);
        }
        match running.start(stock, stderr) {
            Ok((keys, values)) => worker.tell(&ToWorker::MapProgram {
                number: u32::try_from(number).unwrap_or(u32::MAX),
                keys,
                values,
            }),
            Err(error) => {
                let wait = running.backoff.died(Duration::ZERO).max(Duration::from_millis(100));
                running.restart_at = Some(Instant::now() + wait);
                say("launcher", Weight::Error, &format!("{}: {error}", running.program));
            }
        }
    }

    /// Was this one of them? Then it is due to be started again, now or later, if it is still needed.
    pub(super) fn notice_end(&mut self, pid: i32, ended: &Ended, need: Need) -> bool {
        let is_it = |running: &&mut Running| running.child.as_ref().is_some_and(|child| child.pid == pid);
        let Some(running) = self.0.iter_mut().find(is_it) else {
            return false;
        };
        running.child = None;
        if need == Need::None {
            return true;
        }
        let wait = running.backoff.died(running.started.elapsed());
        let told = format!("{} ended ({}): it is started again", running.program, ended.exit);
        if need == Need::Sure {
            say("launcher", Weight::Error, &told);
            running.restart_at = Some(Instant::now() + wait);
        } else {
            running.untold = Some(told);
            running.restart_at = Some(Instant::now() + wait.max(HEARSAY));
        }
        true
    }

    /// The worker says that one does not answer: it is ended, and what follows follows from that.
    pub(super) fn gave_no_answer(&mut self, number: u32) {
        let running = usize::try_from(number).ok().and_then(|number| self.0.get(number));
        if let Some(running) = running.filter(|running| running.child.is_some()) {
            say(
                "launcher",
                Weight::Error,
                &format!("{} does not answer: it is ended", running.program),
            );
            running.kill();
        }
    }

    /// When the next one is due to be started.
    pub(super) fn next_restart(&self) -> Option<Instant> {
        self.0.iter().filter_map(|running| running.restart_at).min()
    }

    /// Starts those that are due.
    pub(super) fn restart_due(&mut self, now: Instant, stock: &Stock, stderr: BorrowedFd<'_>, worker: &RoleProcess) {
        for number in 0..self.0.len() {
            let at = self.0.get(number).and_then(|running| running.restart_at);
            if at.is_some_and(|at| at <= now) {
                self.start_one(number, stock, stderr, worker);
            }
        }
    }

    /// What there is to tell of each.
    pub(super) fn status(&self) -> impl Iterator<Item = ProcessStatus> {
        self.0.iter().map(|running| ProcessStatus {
            name: running.program.name.escape_ascii().to_string(),
            pid: running.child.as_ref().map(|child| child.pid),
            restarts: running.backoff.deaths(),
        })
    }

    /// Their processes.
    pub(super) fn pids(&self) -> impl Iterator<Item = i32> {
        self.0.iter().filter_map(|running| Some(running.child.as_ref()?.pid))
    }

    /// Ends all for good: nobody asks any more.
    pub(super) fn end(&mut self) {
        for running in &mut self.0 {
            running.kill();
            running.child = None;
            running.restart_at = None;
            running.untold = None;
        }
    }
}

impl Drop for Maps {
    fn drop(&mut self) {
        self.end();
    }
}

impl Running {
    /// Starts the program; the worker's ends of its pipes, where it writes keys and reads values.
    fn start(&mut self, stock: &Stock, stderr: BorrowedFd<'_>) -> Result<(OwnedFd, OwnedFd), String> {
        let argv: Result<Vec<CString>, _> = words::split(&self.program.command)
            .into_iter()
            .map(CString::new)
            .collect();
        let argv = argv.map_err(|_| "a NUL in its command line".to_owned())?;
        let path = argv.first().cloned().ok_or("an empty command line")?;
        let told = |error: io::Error| error.to_string();
        let (stdin, keys) = io::pipe().map_err(told)?;
        let (values, stdout) = io::pipe().map_err(told)?;
        for end in [keys.as_fd(), values.as_fd()] {
            let flags = fcntl_getfl(end).map_err(|error| error.to_string())?;
            fcntl_setfl(end, flags | OFlags::NONBLOCK).map_err(|error| error.to_string())?;
        }
        let mut spec = ChildSpec::new(Program::Path(&path), argv, vec![stdin.as_fd(), stdout.as_fd(), stderr]);
        spec.env.clone_from(&stock.env);
        spec.session = Session::Own; // a Ctrl-C at the terminal is for the launcher alone
        spec.identity = self.identity.as_ref();
        spec.parent_death = Some(Signal::KILL);
        self.child = Some(spawn(&spec).map_err(|error| error.to_string())?);
        self.started = Instant::now();
        Ok((keys.into(), values.into()))
    }

    fn kill(&self) {
        if let Some(child) = &self.child
            && let Err(error) = child.pidfd.signal(Signal::KILL)
        {
            say(
                "launcher",
                Weight::Error,
                &format!("cannot end {}: {error}", self.program),
            );
        }
    }
}
