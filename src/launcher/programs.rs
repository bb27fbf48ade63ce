//! Programs that take a log on their standard input: started, watched, started again.
//!
//! A program keeps its pipe when it dies: what was written meanwhile waits there for its successor.

mod handover;

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::ioctl_fionread;
use rustix::process::Signal;

use super::ctl::ProcessStatus;
use super::logs::OpenLogs;
use super::plan::{LogProgram, Shell};
use super::words;
use crate::process::backoff::Backoff;
use crate::process::child::{Child, ChildSpec, Program, Session, spawn};
use crate::process::environment::Environment;
use crate::process::pidfd::Ended;
use crate::process::say::{Weight, say};

/// All log programs, of all generations.
pub(super) struct Programs {
    list: Vec<Running>,
    null: Rc<OwnedFd>,
    /// Where their standard error goes: that which the launcher was started with, for the error log may be theirs.
    stderr: Rc<OwnedFd>,
    env: Environment,
}

/// A log program and its pipe.
struct Running {
    program: LogProgram,
    reader: OwnedFd,
    /// None once no log in use needs it: it reads what is left and sees the end.
    writer: Option<Rc<OwnedFd>>,
    child: Option<Child>,
    started: Instant,
    backoff: Backoff,
    restart_at: Option<Instant>,
}

impl Programs {
    pub(super) fn new(null: Rc<OwnedFd>, stderr: Rc<OwnedFd>, env: Environment) -> Programs {
        Programs {
            list: Vec::new(),
            null,
            stderr,
            env,
        }
    }

    pub(super) fn null(&self) -> &Rc<OwnedFd> {
        &self.null
    }

    pub(super) fn stderr(&self) -> &Rc<OwnedFd> {
        &self.stderr
    }

    /// The pipe of a program, which is started if it does not run yet.
    pub(super) fn pipe_to(&mut self, program: &LogProgram) -> Result<Rc<OwnedFd>, String> {
        let mut same = self.list.iter().filter(|running| running.program == *program);
        if let Some(writer) = same.find_map(|running| running.writer.as_ref()) {
            return Ok(Rc::clone(writer));
        }
        let told = |error: &dyn std::fmt::Display| format!("the log program `{}`: {error}", shown(program));
        let (reader, writer) = io::pipe().map_err(|error| told(&error))?;
        // Its writers are ours alone, and none of them may wait for a program that has ended.
        let flags = fcntl_getfl(&writer).map_err(|error| told(&error))?;
        fcntl_setfl(&writer, flags | OFlags::NONBLOCK).map_err(|error| told(&error))?;
        let writer = Rc::new(OwnedFd::from(writer));
        let mut running = Running {
            program: program.clone(),
            reader: reader.into(),
            writer: Some(Rc::clone(&writer)),
            child: None,
            started: Instant::now(),
            backoff: Backoff::default(),
            restart_at: None,
        };
        running
            .start(&self.null, &self.stderr, &self.env)
            .map_err(|error| told(&error))?;
        self.list.push(running);
        Ok(writer)
    }

    /// What there is to tell of each.
    pub(super) fn status(&self) -> impl Iterator<Item = ProcessStatus> {
        self.list.iter().map(|running| ProcessStatus {
            name: shown(&running.program),
            pid: running.child.as_ref().map(|child| child.pid),
            restarts: running.backoff.deaths(),
        })
    }

    /// The processes of those that run.
    pub(super) fn pids(&self) -> impl Iterator<Item = i32> {
        self.list.iter().filter_map(|running| Some(running.child.as_ref()?.pid))
    }

    /// Is this the end of a log program? Then it is started again, now or later.
    pub(super) fn notice_end(&mut self, pid: i32, ended: &Ended) -> bool {
        let is_it = |running: &&mut Running| running.child.as_ref().is_some_and(|child| child.pid == pid);
        let Some(running) = self.list.iter_mut().find(is_it) else {
            return false;
        };
        running.child = None;
        let name = shown(&running.program);
        let exit = &ended.exit;
        if running.writer.is_some() || running.has_left_something() {
            let wait = running.backoff.died(running.started.elapsed());
            running.restart_at = Some(Instant::now() + wait);
            let told = format!("the log program `{name}` ended ({exit}): it is started again");
            say("launcher", Weight::Error, &told);
        } else {
            self.list.retain(Running::is_needed);
        }
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
        let wanted: Vec<&LogProgram> = in_use.flat_map(OpenLogs::programs).collect();
        for running in &mut self.list {
            if !wanted.contains(&&running.program) {
                running.writer = None;
            }
        }
        self.list.retain(Running::is_needed);
    }

    /// Ends all: they see the end of their input, and have `grace` to write what they had; then they are killed. One that has
    /// just ended is started once more for what is left in its pipe; what nobody reads is counted.
    pub(super) fn finish(self, grace: Duration) {
        let until = Instant::now() + grace;
        let Programs {
            mut list,
            null,
            stderr,
            env,
        } = self;
        for running in &mut list {
            running.writer = None;
            if running.child.is_none()
                && running.has_left_something()
                && let Err(error) = running.start(&null, &stderr, &env)
            {
                let name = shown(&running.program);
                say("launcher", Weight::Error, &format!("the log program `{name}`: {error}"));
            }
        }
        for running in &mut list {
            if let Some(child) = running.child.take() {
                end(&child, until);
            }
            running.tell_loss();
        }
    }
}

/// Waits for a program's end until the time given, then makes it end.
fn end(child: &Child, until: Instant) {
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
            let told = format!("cannot end log program {}: {error}", child.pid);
            say("launcher", Weight::Error, &told);
        }
    }
}

impl Running {
    fn start(&mut self, null: &OwnedFd, stderr: &OwnedFd, env: &Environment) -> Result<(), String> {
        let words = match self.program.shell {
            Shell::With => vec![b"/bin/sh".to_vec(), b"-c".to_vec(), self.program.command.clone()],
            Shell::Without => words::split(&self.program.command),
        };
        let argv: Result<Vec<CString>, _> = words.into_iter().map(CString::new).collect();
        let argv = argv.map_err(|_| "a NUL in its command line".to_owned())?;
        let path = argv.first().cloned().ok_or("an empty command line")?;
        let descriptors: Vec<BorrowedFd<'_>> = vec![self.reader.as_fd(), null.as_fd(), stderr.as_fd()];
        let mut spec = ChildSpec::new(Program::Path(&path), argv, descriptors);
        spec.env.clone_from(env);
        spec.session = Session::Own; // a Ctrl-C at the terminal is for the launcher: lines are still to come
        self.child = Some(spawn(&spec).map_err(|error| error.to_string())?);
        self.started = Instant::now();
        Ok(())
    }

    /// Somebody writes to it, it runs, or there is something for its successor to read.
    fn is_needed(&self) -> bool {
        self.writer.is_some() || self.child.is_some() || self.restart_at.is_some()
    }

    /// Whether lines are in the pipe that nobody has read.
    fn has_left_something(&self) -> bool {
        ioctl_fionread(&self.reader).is_ok_and(|bytes| bytes > 0)
    }

    /// Tells how many lines are left in the pipe, for which there is no reader any more.
    fn tell_loss(&self) {
        let bytes = ioctl_fionread(&self.reader)
            .ok()
            .and_then(|bytes| usize::try_from(bytes).ok());
        let mut left = vec![0; bytes.unwrap_or(0)];
        let mut lines = 0;
        let mut rest = left.as_mut_slice();
        while !rest.is_empty() {
            // So much is there, so nobody waits.
            let Ok(n @ 1..) = rustix::io::read(&self.reader, &mut *rest) else {
                break;
            };
            let (read, unread) = rest.split_at_mut(n);
            lines += memchr::memchr_iter(b'\n', read).count();
            rest = unread;
        }
        if lines > 0 {
            let what = if lines == 1 { "line" } else { "lines" };
            let name = shown(&self.program);
            let told = format!("log `|{name}`: {lines} {what} lost: the program has ended");
            say("launcher", Weight::Error, &told);
        }
    }
}

/// How long a signalled program is waited for.
const AFTER_SIGNAL: Duration = Duration::from_millis(300);

fn shown(program: &LogProgram) -> String {
    program.command.escape_ascii().to_string()
}
