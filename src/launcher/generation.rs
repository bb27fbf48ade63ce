//! A worker and its spawner, made from one reading of the settings, from their start to their end.

mod handover;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use super::bind::Bound;
use super::ctl::Reports;
use super::logs::OpenLogs;
use super::maps::{Maps, Need};
use super::orphans::Asked;
use super::roles::{Given, RoleProcess, Stock};
use super::services::News;
use crate::config::keyring::Keyring;
use crate::process::channel::{Channel, Heard, MAX_DESCRIPTORS, Wait};
use crate::process::identity::Identity;
use crate::process::inherit::Role;
use crate::process::memfd;
use crate::process::message::{FromSpawner, FromWorker, Message, ToSpawner, ToWorker};
use crate::process::pidfd::Ended;
use crate::process::say::{Weight, say};

/// One worker, one spawner, and what they were given.
pub(super) struct Generation {
    /// Which it is since the server was started.
    pub(super) number: u64,
    /// When its settings were read.
    pub(super) read: SystemTime,
    pub(super) worker: RoleProcess,
    pub(super) spawner: RoleProcess,
    pub(super) listeners: Vec<Rc<Bound>>,
    pub(super) logs: OpenLogs,
    pub(super) maps: Maps,
    /// What its roles have told of themselves when they were asked.
    pub(super) reports: Reports,
    pub(super) phase: Phase,
    /// Whether the worker was started for the first time.
    worker_begun: bool,
    /// When it begins to drain, where that is put off.
    drain_at: Option<Instant>,
    /// How long it may then take; zero is no limit.
    drain_limit: Duration,
    /// Whether its worker is known to give signs of life while it drains: one of an older version may not.
    shows_draining: bool,
    /// The program that its roles execute: of the version it was started with.
    program: Rc<OwnedFd>,
    /// Scripts without a spawner that the worker wants signalled.
    pub(super) orphans: Vec<Asked>,
    /// What the worker wants to know of the server: the number of its question, and its scripts.
    pub(super) questions: Vec<(u64, Vec<i32>)>,
    /// What its worker says of services.
    pub(super) news: Vec<News>,
    settings: OwnedFd,
    /// The keys of TLS, for the worker alone.
    keys: OwnedFd,
    /// The answers of OCSP that the worker has, for the next one.
    pub(super) answers: Keyring,
    worker_as: Option<Identity>,
    spawner_as: Option<Identity>,
    /// For each thread of the worker its end and the spawner's. We hold both, so that neither sees the other's death,
    /// and what was sent waits for a successor.
    lines: Vec<(Channel, Channel)>,
}

/// Where a generation is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not both are ready; it must be by this time.
    Starting(Instant),
    /// It serves, and what dies is started again.
    Serving,
    /// It finishes what it has.
    Draining,
    /// It was told to end at once; at this time it is killed.
    Stopping(Instant),
    /// It was killed.
    Killed,
}

/// What a generation is made from.
pub(super) struct Making<'a> {
    pub(super) number: u64,
    pub(super) settings: &'a [u8],
    /// The keys of TLS, packed.
    pub(super) keys: &'a [u8],
    /// Who the worker is started as, if not who we are.
    pub(super) worker_as: Option<Identity>,
    /// Who the spawner is started as, if not who we are.
    pub(super) spawner_as: Option<Identity>,
    pub(super) listeners: Vec<Rc<Bound>>,
    pub(super) logs: OpenLogs,
    pub(super) maps: Maps,
    pub(super) threads: usize,
}

impl Generation {
    /// Starts the spawner; the worker follows when that is ready. A worker takes connections as soon as it runs, and they
    /// would be cut if the spawner failed then.
    pub(super) fn start(stock: &Stock, making: Making<'_>) -> Result<Generation, String> {
        let told = |error: io::Error| format!("cannot prepare the roles: {error}");
        let mut generation = Generation {
            number: making.number,
            read: SystemTime::now(),
            worker: RoleProcess::new(Role::Worker),
            spawner: RoleProcess::new(Role::Spawner),
            listeners: making.listeners,
            logs: making.logs,
            maps: making.maps,
            reports: Reports::default(),
            phase: Phase::Starting(Instant::now() + START_LIMIT),
            worker_begun: false,
            drain_at: None,
            drain_limit: Duration::ZERO,
            shows_draining: true,
            program: Rc::clone(&stock.program),
            orphans: Vec::new(),
            questions: Vec::new(),
            news: Vec::new(),
            answers: Keyring::default(),
            settings: memfd::sealed("lychgate settings", making.settings).map_err(told)?,
            keys: memfd::sealed("lychgate keys", making.keys).map_err(told)?,
            worker_as: making.worker_as,
            spawner_as: making.spawner_as,
            lines: lines(making.threads.max(1)).map_err(told)?,
        };
        generation.start_spawner(stock)?;
        Ok(generation)
    }

    fn start_worker(&mut self, stock: &Stock) -> Result<(), String> {
        let given = Given {
            program: self.program.as_fd(),
            settings: self.settings.as_fd(),
            scripts: self.lines.iter().map(|(worker, _)| worker.as_fd()).collect(),
            listeners: self
                .listeners
                .iter()
                .map(|bound| bound.sockets.iter().map(AsFd::as_fd).collect())
                .collect(),
            logs: self.logs.descriptors().map(|log| log.as_fd()).collect(),
            stderr: self.logs.error().unwrap_or(&stock.stderr).as_fd(),
            identity: self.worker_as.as_ref(),
            keys: Some(self.keys.as_fd()),
        };
        self.worker.start(stock, given)?;
        let stderr = self.logs.error().unwrap_or(&stock.stderr).as_fd();
        self.maps.start(stock, stderr, &self.worker);
        Ok(())
    }

    fn start_spawner(&mut self, stock: &Stock) -> Result<(), String> {
        let given = Given {
            program: self.program.as_fd(),
            settings: self.settings.as_fd(),
            scripts: self.lines.iter().map(|(_, spawner)| spawner.as_fd()).collect(),
            listeners: Vec::new(),
            logs: Vec::new(),
            stderr: self.logs.error().unwrap_or(&stock.stderr).as_fd(),
            identity: self.spawner_as.as_ref(),
            keys: None,
        };
        self.spawner.start(stock, given)
    }

    /// The processes of both.
    pub(super) fn pids(&self) -> impl Iterator<Item = i32> {
        let children = [&self.worker.child, &self.spawner.child].into_iter().flatten();
        children.map(|child| child.pid).chain(self.maps.pids())
    }

    /// Both have said that they serve.
    pub(super) fn is_ready(&self) -> bool {
        self.worker.is_ready && self.spawner.is_ready
    }

    /// What is wrong with one that should be starting: a role died, or the time is over.
    pub(super) fn fault(&self) -> Option<String> {
        let said = match self.phase {
            Phase::Starting(_) if self.worker_begun && self.worker.child.is_none() => {
                "the worker ended before it was ready"
            }
            Phase::Starting(_) if self.spawner.child.is_none() => "the spawner ended before it was ready",
            Phase::Starting(until) if Instant::now() >= until => "the roles were not ready in time",
            Phase::Starting(_) => return None,
            _ => "the start was given up",
        };
        Some(said.to_owned())
    }

    /// Both are gone for good.
    pub(super) fn is_over(&self) -> bool {
        let gone = |role: &RoleProcess| role.child.is_none() && role.restart_at.is_none();
        gone(&self.worker) && gone(&self.spawner)
    }

    /// Does something go on in it at a certain time?
    pub(super) fn next_time(&self, silence: Option<Duration>) -> Option<Instant> {
        let own = match self.phase {
            Phase::Starting(until) | Phase::Stopping(until) => Some(until),
            Phase::Serving | Phase::Draining => self.silent_at(silence),
            Phase::Killed => None,
        };
        [
            own,
            self.drain_at,
            self.worker.restart_at,
            self.spawner.restart_at,
            self.maps.next_restart(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Starts what is due to be started again, and kills what had its time.
    pub(super) fn pass_time(&mut self, stock: &Stock, now: Instant) {
        if matches!(self.phase, Phase::Starting(_)) && self.spawner.is_ready && !self.worker_begun {
            self.worker_begun = true;
            if let Err(error) = self.start_worker(stock) {
                say("launcher", Weight::Error, &error);
            }
        }
        let due = |role: &RoleProcess| role.restart_at.is_some_and(|at| at <= now);
        if due(&self.spawner) {
            match self.start_spawner(stock) {
                Ok(()) => {
                    if let Some(child) = &self.spawner.child {
                        self.worker.tell(&ToWorker::SpawnerRestarted { pid: child.pid });
                    }
                }
                Err(error) => self.spawner.did_not_start(&error),
            }
        }
        if due(&self.worker)
            && let Err(error) = self.renew_lines().and_then(|()| self.start_worker(stock))
        {
            self.worker.did_not_start(&error);
        }
        if self.worker.child.is_some() {
            let stderr = self.logs.error().unwrap_or(&stock.stderr).as_fd();
            self.maps.restart_due(now, stock, stderr, &self.worker);
        }
        if self.drain_at.is_some_and(|at| at <= now) {
            self.drain(self.drain_limit, KEPT_IDLE);
        }
        match self.phase {
            Phase::Stopping(until) if until <= now => self.kill(),
            Phase::Serving | Phase::Draining if self.silent_at(stock.silence).is_some_and(|at| at <= now) => {
                say(
                    "launcher",
                    Weight::Error,
                    "the worker gives no sign of life: it is killed",
                );
                self.worker.kill();
                self.worker.heard = now;
            }
            _ => {}
        }
    }

    /// When the worker has been silent for too long; while it starts that takes as long as any start may, and as long while it
    /// drains: it may be writing its last lines to a slow log.
    fn silent_at(&self, silence: Option<Duration>) -> Option<Instant> {
        let is_draining = self.phase == Phase::Draining;
        if is_draining && !self.shows_draining {
            return None;
        }
        let limit = if self.worker.is_ready && !is_draining {
            silence?
        } else {
            silence?.max(START_LIMIT)
        };
        self.worker.child.as_ref().map(|_| self.worker.heard + limit)
    }

    /// We ourselves were held up: what the worker did not say meanwhile is not its fault.
    pub(super) fn forgive(&mut self, now: Instant) {
        self.worker.heard = now;
    }

    /// New channels between a new worker and the spawner: in the old ones are answers for the dead.
    fn renew_lines(&mut self) -> Result<(), String> {
        let fresh = lines(self.lines.len()).map_err(|error| format!("cannot start the worker: {error}"))?;
        self.lines = fresh; // the last of the old spawner ends are the spawner's own, which sees their other ends close
        for (_, spawner) in &self.lines {
            if let Ok(channel) = spawner.as_fd().try_clone_to_owned() {
                self.spawner.tell(&ToSpawner::Serve { channel });
            }
        }
        Ok(())
    }

    /// Was this one of ours? Then what follows from its end is done.
    pub(super) fn notice_end(&mut self, pid: i32, ended: &Ended) -> bool {
        let serving = self.phase == Phase::Serving;
        if self.worker.is(pid) {
            self.maps.end(); // the next worker has its own
            if serving {
                self.worker.died(ended);
            } else {
                self.told_end("worker", ended);
                self.worker.gone();
                self.listeners.clear();
                self.retire_spawner();
            }
            return true;
        }
        if self.spawner.is(pid) {
            let is_needed = serving || (self.phase == Phase::Draining && self.worker.child.is_some());
            if is_needed {
                self.spawner.died(ended);
            } else {
                self.told_end("spawner", ended);
                self.spawner.gone();
                if matches!(self.phase, Phase::Stopping(_)) {
                    self.worker.tell(&ToWorker::Stop);
                }
            }
            return true;
        }
        let need = match self.phase {
            Phase::Starting(_) | Phase::Serving => Need::Sure,
            Phase::Draining => Need::Perhaps,
            Phase::Stopping(_) | Phase::Killed => Need::None,
        };
        self.maps.notice_end(pid, ended, need)
    }

    fn told_end(&self, role: &str, ended: &Ended) {
        if !ended.exit.is_success() && self.phase != Phase::Killed {
            say(
                "launcher",
                Weight::Error,
                &format!("the {role} ended with {}", ended.exit),
            );
        }
    }

    /// The worker is gone for good: the spawner ends with its last script.
    fn retire_spawner(&mut self) {
        self.lines.clear();
        self.spawner.restart_at = None;
        self.spawner.tell(&ToSpawner::Retire);
    }

    /// Hears what the worker says. One that says it has taken its last connection without having been asked to is not believed:
    /// a successor needs the listeners.
    pub(super) fn hear_worker(&mut self) {
        for message in hear(&mut self.worker) {
            self.worker.heard = Instant::now();
            match message {
                FromWorker::Ready => self.worker.is_ready = true,
                FromWorker::AcceptingEnded if matches!(self.phase, Phase::Starting(_) | Phase::Serving) => {}
                FromWorker::AcceptingEnded => self.listeners.clear(),
                FromWorker::Alive => {}
                FromWorker::SignalOrphan { pid, signal } => self.orphans.push(Asked { pid, signal }),
                FromWorker::MapProgramSilent { number } => self.maps.gave_no_answer(number),
                FromWorker::Report { number, counts } => self.reports.worker = Some((number, counts)),
                FromWorker::ServiceServed {
                    name,
                    process,
                    requests,
                } => self.news.push(News::Served(name, process, requests)),
                FromWorker::ServiceSilent { name, process } => self.news.push(News::Silent(name, process)),
                FromWorker::Stapled { name, answer } => self.answers.add_answer(name, answer),
                FromWorker::AskServer { number, pids } => self.questions.push((number, pids)),
            }
        }
    }

    /// Whether its worker takes connections, or may have some in hand that it is about to take.
    pub(super) fn accepts(&self) -> bool {
        !self.listeners.is_empty()
    }

    /// Hears what the spawner says.
    pub(super) fn hear_spawner(&mut self) {
        for message in hear(&mut self.spawner) {
            match message {
                FromSpawner::Ready => self.spawner.is_ready = true,
                FromSpawner::Report { number, scripts } => self.reports.spawner = Some((number, scripts)),
            }
        }
    }

    /// Takes no new connections and ends with the last of the old ones, or after `limit`. Those without a request are
    /// kept for `idle`.
    pub(super) fn drain(&mut self, limit: Duration, idle: Duration) {
        self.phase = Phase::Draining;
        self.drain_at = None;
        if self.worker.child.is_none() {
            self.worker.gone();
            self.listeners.clear();
            return self.retire_spawner();
        }
        self.worker.tell(&ToWorker::Drain { limit, idle });
    }

    /// Makes place for a successor that serves already. The addresses that it does not have hear of no more connections;
    /// those that began there before have a moment to be made.
    pub(super) fn make_place_for(&mut self, successor: &Generation) {
        let is_gone = |bound: &&Rc<Bound>| !successor.listeners.iter().any(|kept| Rc::ptr_eq(kept, bound));
        let gone: Vec<&Rc<Bound>> = self.listeners.iter().filter(is_gone).collect();
        for bound in &gone {
            bound.unlist();
        }
        if gone.is_empty() || self.worker.child.is_none() {
            self.drain(Duration::ZERO, KEPT_IDLE);
        } else {
            self.phase = Phase::Draining;
            self.drain_at = Some(Instant::now() + HANDSHAKE);
        }
    }

    /// Leaves its addresses to nobody: whoever came before is answered, which may take `limit` in all, and nobody is cut who is
    /// about to be accepted or to send a further request.
    pub(super) fn leave(&mut self, limit: Duration) {
        self.listeners.iter().for_each(|bound| bound.unlist());
        let handshake = if limit.is_zero() {
            HANDSHAKE
        } else {
            HANDSHAKE.min(limit / 2)
        };
        self.phase = Phase::Draining;
        self.drain_limit = limit.saturating_sub(handshake);
        self.drain_at = Some(Instant::now() + handshake);
    }

    /// Makes place at once: its connections are cut, its scripts ended.
    pub(super) fn give_way(&mut self) {
        if !matches!(self.phase, Phase::Serving | Phase::Draining) {
            return; // it is about to end already
        }
        self.drain(Duration::ZERO, Duration::ZERO);
        if !self.is_over() {
            self.stop();
        }
    }

    /// Ends now, within a second or two.
    pub(super) fn stop(&mut self) {
        self.drain_at = None; // one that was put off would take the stop back
        self.worker.restart_at = None;
        self.spawner.restart_at = None;
        self.phase = Phase::Stopping(Instant::now() + STOP_LIMIT);
        if self.spawner.child.is_none() {
            return self.worker.tell(&ToWorker::Stop);
        }
        // The worker follows when the scripts have ended: what they have to say to their SIGTERM still reaches their clients
        // and the log.
        self.spawner.tell(&ToSpawner::Stop { grace: SCRIPT_GRACE });
    }

    /// Ends without a grace: of the scripts first, which nobody else would end.
    pub(super) fn hurry(&mut self) {
        self.stop();
        self.phase = Phase::Stopping(Instant::now() + HURRY_LIMIT);
        self.worker.kill();
        self.spawner.tell(&ToSpawner::Stop { grace: Duration::ZERO });
    }

    /// Ends at once; for one that runs no scripts, or leaves them to nobody.
    pub(super) fn kill(&mut self) {
        self.phase = Phase::Killed;
        self.drain_at = None;
        self.worker.restart_at = None;
        self.spawner.restart_at = None;
        self.worker.kill();
        self.spawner.kill();
    }

    /// Gives the worker and the spawner newly opened logs of the same plan.
    pub(super) fn reopen_logs(&mut self, logs: OpenLogs) {
        self.logs = logs;
        let numbers: Vec<usize> = (0..self.logs.descriptors().len()).collect();
        self.hand_over_logs(&numbers);
    }

    /// Opens what is by the names of the log files now, at once: whether the main error log is another file now, and what
    /// cannot be opened.
    pub(super) fn reopen_moved_logs(&mut self) -> (bool, Vec<String>) {
        let (numbers, problems) = self.logs.reopen();
        self.hand_over_logs(&numbers);
        (numbers.iter().any(|number| self.logs.is_error(*number)), problems)
    }

    /// Looks whether other files have taken the places of log files, and hands those over; true when the main error log is
    /// among them.
    pub(super) fn look_after_logs(&mut self) -> bool {
        let numbers = self.logs.look();
        self.hand_over_logs(&numbers);
        numbers.iter().any(|number| self.logs.is_error(*number))
    }

    /// Gives the worker and the spawner the logs of these numbers, which are in order.
    fn hand_over_logs(&self, numbers: &[usize]) {
        for run in numbers.chunk_by(|number, next| number + 1 == *next) {
            for chunk in run.chunks(MAX_DESCRIPTORS) {
                let Some(first) = chunk.first() else { continue };
                let logs = self.logs.descriptors().skip(*first).take(chunk.len());
                let copies: io::Result<Vec<OwnedFd>> = logs.map(|log| log.as_fd().try_clone_to_owned()).collect();
                match copies {
                    Ok(logs) => self.worker.tell(&ToWorker::ReopenLogs {
                        first: u32::try_from(*first).unwrap_or(u32::MAX),
                        logs,
                    }),
                    Err(error) => say(
                        "launcher",
                        Weight::Error,
                        &format!("cannot hand over the logs: {error}"),
                    ),
                }
            }
        }
        if numbers.iter().any(|number| self.logs.is_error(*number))
            && let Some(Ok(log)) = self.logs.error().map(|log| log.as_fd().try_clone_to_owned())
        {
            self.spawner.tell(&ToSpawner::ReopenLog { log });
        }
    }
}

/// How long a start may take: reading the settings and starting threads, on a slow machine.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How long a connection without a request is kept for one more when a successor serves.
const KEPT_IDLE: Duration = Duration::from_secs(5);

/// How long connections to an address that goes may take to be made, once they have begun.
const HANDSHAKE: Duration = Duration::from_secs(1);

/// How long a stop may take before it becomes a kill.
const STOP_LIMIT: Duration = Duration::from_secs(3);

/// How long that may take when nobody waits any longer.
const HURRY_LIMIT: Duration = Duration::from_secs(1);

/// How long scripts have after their SIGTERM in a stop; shorter than [`STOP_LIMIT`].
const SCRIPT_GRACE: Duration = Duration::from_millis(1500);

fn lines(threads: usize) -> io::Result<Vec<(Channel, Channel)>> {
    (0..threads).map(|_| Channel::pair()).collect()
}

/// What a role has said since, or some of it: one that talks on and on must not keep us from the others. One whose channel
/// is closed or broken is heard no more.
fn hear<M: Message>(role: &mut RoleProcess) -> Vec<M> {
    let mut heard = Vec::new();
    for _ in 0..MESSAGES_A_TURN {
        let Some(channel) = &role.channel else { break };
        match channel.hear(Wait::No) {
            Ok(Heard::Message(message)) => heard.push(message),
            Ok(Heard::Unknown(error)) => role
                .complaints
                .say("launcher", &format!("from a role: {error}: ignored")),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Ok(Heard::Closed) | Err(_) => role.channel = None,
        }
    }
    heard
}

/// How many messages of one role are taken before the others have their turn.
const MESSAGES_A_TURN: usize = 8;

#[cfg(test)]
mod tests;
