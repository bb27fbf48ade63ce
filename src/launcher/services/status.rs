//! How a service does, for people.

use std::fmt;
use std::time::Duration;

/// What is to become of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its processes run, or are started when they are wanted.
    Running,
    /// Somebody has stopped it.
    Stopped,
    /// It kept dying, and is not started any more.
    Failed,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// What is to become of it.
    pub state: State,
    /// So many processes always run.
    pub least: u16,
    /// So many may.
    pub most: u16,
    /// Those that take requests.
    pub processes: Vec<ProcessStatus>,
    /// How many take none any more and end with the last they have.
    pub leaving: usize,
    /// How many requests they were given, as far as the workers have told.
    pub requests: u64,
    /// How often a process was started again that had ended without having been asked to.
    pub restarts: u64,
}

/// A process of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessStatus {
    /// Its number in the system.
    pub pid: i32,
    /// How long it has run.
    pub age: Duration,
    /// How many requests it was given.
    pub requests: u64,
    /// How many connections it has, taken or waiting; `None` where nobody knows.
    pub connections: Option<usize>,
    /// Its resident memory in bytes, if it is still there.
    pub memory: Option<u64>,
}

impl State {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Stopped => "stopped",
            State::Failed => "failed",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
