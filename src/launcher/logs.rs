//! Logs: files opened for appending, and programs that take a log on their standard input.
//!
//! A program keeps its pipe when it dies: what was written meanwhile waits there for its successor.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::plan::{LogProgram, LogTarget, Shell};
use super::words;
use crate::process::backoff::Backoff;
use crate::process::child::{Child, ChildSpec, Program, Session, spawn};
use crate::process::pidfd::Ended;
use crate::process::say::{Weight, say};

/// The logs of one generation, open.
#[derive(Clone, Debug)]
pub(super) struct OpenLogs {
    /// In the order of the plan.
    pub(super) descriptors: Vec<Rc<OwnedFd>>,
    /// The main error log.
    pub(super) error: Option<Rc<OwnedFd>>,
    /// The programs behind some of them.
    programs: Vec<LogProgram>,
}

/// All log programs, of all generations.
pub(super) struct Programs {
    list: Vec<Running>,
    null: Rc<OwnedFd>,
    /// Where their standard error goes: that which the launcher was started with, for the error log may be theirs.
    stderr: Rc<OwnedFd>,
    env: Vec<CString>,
}

/// A log program and its pipe.
struct Running {
    program: LogProgram,
    reader: OwnedFd,
    writer: Rc<OwnedFd>,
    child: Option<Child>,
    started: Instant,
    backoff: Backoff,
    restart_at: Option<Instant>,
}

impl Programs {
    pub(super) fn new(null: Rc<OwnedFd>, stderr: Rc<OwnedFd>, env: Vec<CString>) -> Programs {
        Programs {
            list: Vec::new(),
            null,
            stderr,
            env,
        }
    }

    /// Opens all logs of a plan; programs that run already are kept.
    pub(super) fn open(&mut self, targets: &[LogTarget], error: Option<usize>) -> Result<OpenLogs, String> {
        let (mut descriptors, mut programs) = (Vec::new(), Vec::new());
        for target in targets {
            descriptors.push(match target {
                LogTarget::File(path) => Rc::new(open_file(path)?),
                LogTarget::Stderr => Rc::clone(&self.stderr),
                LogTarget::Program(program) => {
                    programs.push(program.clone());
                    self.pipe_to(program)?
                }
            });
        }
        let error = error.and_then(|number| descriptors.get(number)).cloned();
        Ok(OpenLogs {
            descriptors,
            error,
            programs,
        })
    }

    fn pipe_to(&mut self, program: &LogProgram) -> Result<Rc<OwnedFd>, String> {
        if let Some(running) = self.list.iter().find(|running| running.program == *program) {
            return Ok(Rc::clone(&running.writer));
        }
        let told = |error: &dyn std::fmt::Display| format!("the log program `{}`: {error}", shown(program));
        let (reader, writer) = io::pipe().map_err(|error| told(&error))?;
        let mut running = Running {
            program: program.clone(),
            reader: reader.into(),
            writer: Rc::new(writer.into()),
            child: None,
            started: Instant::now(),
            backoff: Backoff::default(),
            restart_at: None,
        };
        running
            .start(&self.null, &self.stderr, &self.env)
            .map_err(|error| told(&error))?;
        let writer = Rc::clone(&running.writer);
        self.list.push(running);
        Ok(writer)
    }

    /// Is this the end of a log program? Then it is started again, now or later.
    pub(super) fn pids(&self) -> impl Iterator<Item = i32> {
        self.list.iter().filter_map(|running| Some(running.child.as_ref()?.pid))
    }

    pub(super) fn notice_end(&mut self, pid: i32, ended: &Ended) -> bool {
        let is_it = |running: &&mut Running| running.child.as_ref().is_some_and(|child| child.pid == pid);
        let Some(running) = self.list.iter_mut().find(is_it) else {
            return false;
        };
        let wait = running.backoff.died(running.started.elapsed());
        running.child = None;
        running.restart_at = Some(Instant::now() + wait);
        let name = shown(&running.program);
        say(
            "launcher",
            Weight::Error,
            &format!("the log program `{name}` ended ({}): it is started again", ended.exit),
        );
        true
    }

    /// When the next one is due to be started.
    pub(super) fn next_restart(&self) -> Option<Instant> {
        self.list.iter().filter_map(|running| running.restart_at).min()
    }

    /// Starts those that are due.
    pub(super) fn restart_due(&mut self, now: Instant) {
        for running in self
            .list
            .iter_mut()
            .filter(|running| running.restart_at.is_some_and(|at| at <= now))
        {
            running.restart_at = None;
            if let Err(error) = running.start(&self.null, &self.stderr, &self.env) {
                running.restart_at = Some(now + running.backoff.died(Duration::ZERO).max(Duration::from_millis(100)));
                say(
                    "launcher",
                    Weight::Error,
                    &format!("the log program `{}`: {error}", shown(&running.program)),
                );
            }
        }
    }

    /// Lets go of the programs that no log in use needs: they read what is left in their pipe and see its end.
    pub(super) fn keep<'a>(&mut self, in_use: impl Iterator<Item = &'a OpenLogs>) {
        let wanted: Vec<&LogProgram> = in_use.flat_map(|logs| &logs.programs).collect();
        self.list.retain(|running| wanted.contains(&&running.program));
    }

    /// Ends all: they see the end of their input, and have `grace` to write what they had; then they are killed.
    pub(super) fn finish(self, grace: Duration) {
        let until = Instant::now() + grace;
        let children: Vec<Child> = self.list.into_iter().filter_map(|running| running.child).collect();
        for child in &children {
            for signal in [Some(Signal::TERM), Some(Signal::KILL), None] {
                let left = if signal == Some(Signal::TERM) {
                    until.saturating_duration_since(Instant::now())
                } else {
                    AFTER_SIGNAL
                };
                if child.pidfd.ends_within(left).unwrap_or(true) {
                    break;
                }
                if let Some(Err(error)) = signal.map(|signal| child.pidfd.signal(signal)) {
                    say(
                        "launcher",
                        Weight::Error,
                        &format!("cannot end log program {}: {error}", child.pid),
                    );
                }
            }
        }
    }
}

impl Running {
    fn start(&mut self, null: &OwnedFd, stderr: &OwnedFd, env: &[CString]) -> Result<(), String> {
        let words = match self.program.shell {
            Shell::With => vec![b"/bin/sh".to_vec(), b"-c".to_vec(), self.program.command.clone()],
            Shell::Without => words::split(&self.program.command),
        };
        let argv: Result<Vec<CString>, _> = words.into_iter().map(CString::new).collect();
        let argv = argv.map_err(|_| "a NUL in its command line".to_owned())?;
        let path = argv.first().cloned().ok_or("an empty command line")?;
        let descriptors: Vec<BorrowedFd<'_>> = vec![self.reader.as_fd(), null.as_fd(), stderr.as_fd()];
        let mut spec = ChildSpec::new(Program::Path(&path), argv, descriptors);
        spec.env = env.to_vec();
        spec.session = Session::Own; // a Ctrl-C at the terminal is for the launcher: lines are still to come
        self.child = Some(spawn(&spec).map_err(|error| error.to_string())?);
        self.started = Instant::now();
        Ok(())
    }
}

/// How long a signalled program is waited for.
const AFTER_SIGNAL: Duration = Duration::from_millis(300);

fn open_file(path: &Path) -> Result<OwnedFd, String> {
    let opened = File::options().append(true).create(true).open(path);
    let shown = path.as_os_str().as_bytes().escape_ascii();
    opened
        .map(OwnedFd::from)
        .map_err(|error| format!("cannot open the log `{shown}`: {error}"))
}

fn shown(program: &LogProgram) -> String {
    program.command.escape_ascii().to_string()
}
