//! `-k stop`, `restart`, `graceful`: a signal to the launcher that the pid file names.

use std::fmt;
use std::io;
use std::path::Path;

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

/// Sends a signal to the launcher that a pid file names and returns its number.
pub fn signal_running(pid_file: &Path, signal: rustix::process::Signal) -> Result<i32, NotRunning> {
    let Holder::Running(pid) = holder(pid_file) else {
        return Err(NotRunning::Nobody);
    };
    let sent = Pidfd::open(pid).and_then(|process| process.signal(signal));
    sent.map(|()| pid).map_err(|error| NotRunning::Refused(pid, error))
}

impl fmt::Display for NotRunning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotRunning::Nobody => f.write_str("not running"),
            NotRunning::Refused(pid, error) => write!(f, "cannot signal pid {pid}: {error}"),
        }
    }
}

impl std::error::Error for NotRunning {}
