//! What a worker is doing at this moment, as its threads have told it: for status pages and metrics.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use crate::backend::states::{BackendState, BalancerState};
use crate::exchange::tally::Tally;
use crate::fs::cache::Counts;
use crate::process::report::ServerReport;
use crate::process::usage::Usage;

/// The state of a worker.
#[derive(Clone, Debug)]
pub struct State {
    /// When it was taken.
    pub taken: SystemTime,
    /// When the worker began to serve.
    pub since: SystemTime,
    /// How many threads serve.
    pub threads: usize,
    /// How many of them did not tell in time.
    pub silent: usize,
    /// What the threads have told together.
    pub work: Work,
    /// How many connections there may be.
    pub most_connections: usize,
    /// How many there are.
    pub open_connections: usize,
    /// How many scripts may run.
    pub most_scripts: usize,
    /// How many do, those that are being started among them.
    pub busy_scripts: usize,
    /// How many requests wait for their turn to start one.
    pub waiting_for_scripts: usize,
    /// Applications and other servers that requests are passed on to.
    pub backends: Vec<BackendState>,
    /// Balancers.
    pub balancers: Vec<BalancerState>,
    /// What the launcher tells of the whole server, if it told in time.
    pub server: Option<ServerReport>,
}

/// What threads tell of themselves.
#[derive(Clone, Debug, Default)]
pub struct Work {
    /// What they have answered.
    pub tally: Tally,
    /// How many connections they have taken.
    pub accepted: u64,
    /// How many scripts they have started.
    pub scripts_started: u64,
    /// What they keep of files, unless nothing is to be kept.
    pub cache: Option<Counts>,
    /// Their connections by phase.
    pub phases: Phases,
    /// Some of their connections, those with a request first.
    pub connections: Vec<ConnectionState>,
    /// Some of their scripts, oldest first.
    pub scripts: Vec<ScriptState>,
}

/// How many connections are in each phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases([usize; 4]);

/// What a connection is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// A request is being answered.
    Answering,
    /// A request's head is being read, or the first is waited for.
    Reading,
    /// It is closed, and its client is waited for.
    Closing,
    /// It waits for another request.
    Idle,
}

impl Phase {
    /// All, in order.
    pub const ALL: [Phase; 4] = [Phase::Answering, Phase::Reading, Phase::Closing, Phase::Idle];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Answering => "answering",
            Phase::Reading => "reading",
            Phase::Closing => "closing",
            Phase::Idle => "idle",
        }
    }

    /// Its letter in Apache's scoreboard.
    pub fn letter(self) -> char {
        match self {
            Phase::Answering => 'W',
            Phase::Reading => 'R',
            Phase::Closing => 'C',
            Phase::Idle => 'K',
        }
    }
}

impl Phases {
    /// One more.
    pub fn add(&mut self, phase: Phase) {
        self.0[phase as usize] += 1;
    }

    /// How many are in this one.
    pub fn of(&self, phase: Phase) -> usize {
        self.0[phase as usize]
    }

    /// How many there are.
    pub fn all(&self) -> usize {
        self.0.iter().sum()
    }
}

/// A connection.
#[derive(Clone, Debug)]
pub struct ConnectionState {
    /// What it is about.
    pub phase: Phase,
    /// Its client, or the proxy before the client.
    pub client: SocketAddr,
    /// How long it has been open.
    pub age: Duration,
    /// How long it has been in its phase.
    pub since: Duration,
    /// How many requests it has had answered.
    pub requests: u32,
    /// The line of its request, or of the last one, cut; empty where that is not to be told.
    pub line: Vec<u8>,
    /// The host that the request names, cut.
    pub host: Vec<u8>,
    /// Bytes sent to it since its request began, or in all where it has none.
    pub sent: u64,
}

/// A script, or another program that was started for a request.
#[derive(Clone, Debug)]
pub struct ScriptState {
    /// Its number in the system; none until it has started.
    pub pid: Option<i32>,
    /// The method and the target of its request; empty where it serves several.
    pub request: Vec<u8>,
    /// Its file.
    pub file: Vec<u8>,
    /// Who asked.
    pub client: SocketAddr,
    /// How long ago it was asked for.
    pub age: Duration,
}

impl Work {
    /// Adds what another thread tells; no more than `most` connections, and as many scripts, are kept.
    pub fn join(&mut self, other: Work, most: usize) {
        self.tally.join(&other.tally);
        self.accepted += other.accepted;
        self.scripts_started += other.scripts_started;
        self.cache = match (self.cache, other.cache) {
            (Some(ours), Some(theirs)) => Some(ours.and(theirs)),
            (ours, theirs) => ours.or(theirs),
        };
        for phase in Phase::ALL {
            self.phases.0[phase as usize] += other.phases.of(phase);
        }
        self.connections.extend(other.connections);
        self.scripts.extend(other.scripts);
        self.arrange(most);
    }

    /// Puts first what is looked for first, and lets go of what is too much.
    pub fn arrange(&mut self, most: usize) {
        self.connections
            .sort_by(|a, b| (a.phase, b.since).cmp(&(b.phase, a.since)));
        self.connections.truncate(most);
        self.scripts.sort_by_key(|script| std::cmp::Reverse(script.age));
        self.scripts.truncate(most);
    }
}

impl State {
    /// What a script or a process of a service has used, if the launcher has told.
    pub fn used_by(&self, pid: i32) -> Option<Usage> {
        let asked = &self.server.as_ref()?.asked;
        let found = asked.iter().find(|process| process.pid == pid);
        found.map(|process| process.usage)
    }

    /// How long the worker has served.
    pub fn up(&self) -> Duration {
        self.taken.duration_since(self.since).unwrap_or_default()
    }
}
