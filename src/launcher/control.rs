//! `-k stop`, `restart`, `graceful`: a signal to the launcher that the pid file names, and its answer.

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use crate::process::answer::{Answer, Ear};
use crate::process::pidfd::Pidfd;
use crate::process::pidfile::{Holder, holder};

/// Why no signal was sent.
#[derive(Debug)]
pub enum NotRunning {
    /// Nobody serves, according to the pid file.
    Nobody,
    /// It may not be signalled, or has just ended.
    Refused(i32, io::Error),
}

/// What came of what a launcher was asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It said so; the error is for people.
    Told(Answer),
    /// It said nothing in time, or has ended.
    Silent,
}

/// Sends a signal to the launcher that a pid file names and returns its number.
pub fn signal_running(pid_file: &Path, signal: rustix::process::Signal) -> Result<i32, NotRunning> {
    let (pid, process) = running(pid_file)?;
    process
        .signal(signal)
        .map(|()| pid)
        .map_err(|error| NotRunning::Refused(pid, error))
}

/// Sends a signal that asks for other settings, and waits for what comes of it.
pub fn ask_running(pid_file: &Path, signal: rustix::process::Signal) -> Result<Outcome, NotRunning> {
    let (pid, process) = running(pid_file)?;
    let ear = Ear::open();
    let sent = process.signal(signal);
    // Without an ear nothing is heard, and what was asked for is done all the same.
    let heard = sent.and_then(|()| ear.map_or(Ok(None), |ear| ear.hear(pid, &process, ANSWER_LIMIT)));
    match heard {
        Ok(Some(answer)) => Ok(Outcome::Told(answer)),
        Ok(None) => Ok(Outcome::Silent),
        Err(error) => Err(NotRunning::Refused(pid, error)),
    }
}

fn running(pid_file: &Path) -> Result<(i32, Pidfd), NotRunning> {
    let Holder::Running(pid) = holder(pid_file) else {
        return Err(NotRunning::Nobody);
    };
    let process = Pidfd::open(pid).map_err(|error| NotRunning::Refused(pid, error))?;
    Ok((pid, process))
}

/// How long an answer may take: a little longer than a start may.
const ANSWER_LIMIT: Duration = Duration::from_secs(45);

impl fmt::Display for NotRunning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotRunning::Nobody => f.write_str("not running"),
            NotRunning::Refused(pid, error) => write!(f, "cannot signal pid {pid}: {error}"),
        }
    }
}

impl std::error::Error for NotRunning {}
