//! One process of a service: started, heard, ended.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::Signal;

use super::socket::Listening;
use crate::launcher::roles::Stock;
use crate::process::child::{Child, ChildSpec, Program, Session, spawn};
use crate::process::pidfd::signal_group;
use crate::process::say::{Weight, say};
use crate::scripts::stderr::Stderr;

/// A process that runs.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) child: Child,
    pub(super) started: Instant,
    /// How many requests it was given.
    pub(super) requests: u64,
    /// Where it writes lines for the log.
    output: Option<OwnedFd>,
    lines: Stderr,
}

/// So much is read of one process before others have their turn.
const READ: usize = 16 * 1024;

impl Running {
    /// Starts one on this socket.
    pub(super) fn start(
        name: &str,
        socket: &Listening,
        settings: BorrowedFd<'_>,
        stock: &Stock,
    ) -> io::Result<Running> {
        let (output, theirs) = io::pipe()?;
        let flags = fcntl_getfl(&output)?;
        fcntl_setfl(&output, flags | OFlags::NONBLOCK)?;
        let shown = CString::new(format!("lychgate: service {name}"))?;
        let argv = vec![shown, c"--role".to_owned(), c"service".to_owned(), CString::new(name)?];
        let descriptors = vec![socket.as_fd(), theirs.as_fd(), theirs.as_fd(), settings];
        let mut spec = ChildSpec::new(Program::Descriptor(stock.program.as_fd()), argv, descriptors);
        spec.env.clone_from(&stock.env);
        spec.session = Session::Own; // what it starts belongs to its group, and no terminal is theirs
        spec.parent_death = Some(Signal::KILL);
        let child = spawn(&spec).map_err(io::Error::other)?;
        Ok(Running {
            child,
            started: Instant::now(),
            requests: 0,
            output: Some(output.into()),
            lines: Stderr::new(u64::MAX),
        })
    }

    /// One that another version of the launcher has started.
    pub(super) fn taken_over(child: Child, requests: u64, age: Duration, output: Option<OwnedFd>) -> Running {
        let now = Instant::now();
        Running {
            child,
            started: now.checked_sub(age).unwrap_or(now),
            requests,
            output,
            lines: Stderr::new(u64::MAX),
        }
    }

    pub(super) fn output(&self) -> Option<BorrowedFd<'_>> {
        self.output.as_ref().map(AsFd::as_fd)
    }

    /// Logs what it has said, or some of it.
    pub(super) fn listen(&mut self, name: &str) {
        let Some(output) = &self.output else { return };
        let mut buffer = vec![0; READ];
        match rustix::io::read(output, &mut *buffer) {
            Ok(0) => self.output = None,
            Ok(n) => {
                let said = buffer.get(..n).unwrap_or_default();
                self.lines.push(said, |line| log(name, line));
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(_) => self.output = None,
        }
    }

    /// It has ended: what it said last is logged, and what it started and left behind ends too.
    pub(super) fn finish(mut self, name: &str) {
        // Its number stays that of its group as long as anybody is in that.
        self.signal(Signal::KILL, name);
        for _ in 0..LAST_WORDS {
            self.listen(name);
        }
        self.lines.end(|line| log(name, line));
    }

    /// Signals it and what it has started.
    pub(super) fn signal(&self, signal: Signal, name: &str) {
        if let Err(error) = signal_group(self.child.pid, signal) {
            let pid = self.child.pid;
            say(
                "service",
                Weight::Error,
                &format!("{name}: cannot end process {pid}: {error}"),
            );
        }
    }

    /// Ends it, and waits as long as it may take until this time.
    pub(super) fn end_by(self, until: Instant, name: &str) {
        for signal in [None, Some(Signal::KILL)] {
            if let Some(signal) = signal {
                self.signal(signal, name);
            }
            let left = match signal {
                None => until.saturating_duration_since(Instant::now()),
                Some(_) => AFTER_KILL,
            };
            if self.child.pidfd.ends_within(left).unwrap_or(true) {
                break;
            }
        }
        self.finish(name);
    }
}

/// How often what an ended process has said is read: its pipe holds no more.
const LAST_WORDS: usize = 5;

/// How long a killed process is waited for.
const AFTER_KILL: Duration = Duration::from_millis(300);

/// A line of a service's own.
fn log(name: &str, line: &[u8]) {
    let line = String::from_utf8_lossy(line);
    say("service", Weight::Error, &format!("{name}: {line}"));
}
