//! One service: its processes by number, each with a socket of its own, and those that were replaced and have requests left.

use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::Signal;

use super::Means;
use super::census::{Census, resident};
use super::crashes::{Crashes, Verdict};
use super::process::Running;
use super::socket::Listening;
use super::status::{ProcessStatus, State, Status};
use crate::launcher::plan::ServicePlan;
use crate::process::pidfd::{Ended, Exit};
use crate::process::say::{Weight, say};

/// A service of the settings.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) plan: ServicePlan,
    pub(super) state: State,
    pub(super) slots: Vec<Slot>,
    pub(super) leaving: Vec<Leaving>,
    pub(super) requests: u64,
    pub(super) restarts: u64,
    crashes: Crashes,
    /// When those that run are looked at next.
    look_at: Instant,
    /// When those that are leaving are looked at next.
    leave_at: Instant,
    /// The numbers of processes that others have taken the places of: the workers should know.
    renewed: Vec<u16>,
}

/// The place of a process.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) socket: Option<Rc<Listening>>,
    pub(super) running: Option<Running>,
    /// Before this time none is started.
    pub(super) not_before: Option<Instant>,
    /// Since when it has had nothing to do.
    pub(super) idle_since: Option<Instant>,
}

/// A process that is to end.
#[derive(Debug)]
pub(super) struct Leaving {
    pub(super) running: Running,
    pub(super) socket: Rc<Listening>,
    step: Step,
}

/// How far its end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It has requests, or may have some; since when it has had none.
    Draining(Instant, Option<Instant>),
    /// It had its SIGTERM; at this time it gets SIGKILL.
    Told(Instant),
    /// It was killed.
    Killed,
}

/// How long a socket must have been without a connection before nobody can be about to make one.
const QUIET: Duration = Duration::from_millis(150);

/// Where nobody can count connections, so long is waited for the last ones.
const UNCOUNTED: Duration = Duration::from_secs(5);

/// Between SIGTERM and SIGKILL for one that is stuck.
const STUCK_GRACE: Duration = Duration::from_millis(500);

/// What lived so long and ended with status 0 has not crashed.
const PROVED: Duration = Duration::from_secs(1);

impl Service {
    pub(super) fn new(plan: ServicePlan) -> Service {
        let slots = (0..plan.most).map(|_| Slot::default()).collect();
        Service {
            plan,
            state: State::Running,
            slots,
            leaving: Vec::new(),
            requests: 0,
            restarts: 0,
            crashes: Crashes::default(),
            look_at: Instant::now(),
            leave_at: Instant::now(),
            renewed: Vec::new(),
        }
    }

    fn say(&self, weight: Weight, what: &str) {
        say("service", weight, &format!("{}: {what}", self.plan.name));
    }

    /// Gives every place its socket, and starts what is to run from the beginning.
    pub(super) fn begin(&mut self, means: &mut Means<'_>) -> Result<(), String> {
        for number in 0..self.plan.most {
            self.give_socket(number, means)
                .map_err(|error| format!("<Service {}>: {error}", self.plan.name))?;
        }
        self.start_due(Instant::now(), means);
        Ok(())
    }

    fn give_socket(&mut self, number: u16, means: &mut Means<'_>) -> io::Result<()> {
        let name = &self.plan.name;
        let socket = means.directory.listen(name, number, means.serial(), self.plan.queue)?;
        means.directory.put(name, number, &socket)?;
        if let Some(slot) = self.slots.get_mut(usize::from(number)) {
            slot.socket = Some(Rc::new(socket));
        }
        Ok(())
    }

    /// Whether a process of this number always runs.
    fn is_wanted_always(&self, number: usize) -> bool {
        number < usize::from(self.plan.least)
    }

    /// The sockets at which a connection would start a process.
    fn awaited(&self, now: Instant) -> impl Iterator<Item = (usize, &Listening)> {
        let slots = self.slots.iter().enumerate();
        slots.filter_map(move |(number, slot)| {
            let idle = self.state == State::Running && slot.running.is_none() && !self.is_wanted_always(number);
            let may = slot.not_before.is_none_or(|at| at <= now);
            Some((number, &**slot.socket.as_ref()?)).filter(|_| idle && may)
        })
    }

    /// What is to be waited for.
    pub(super) fn polled(&self, now: Instant) -> impl Iterator<Item = BorrowedFd<'_>> {
        use std::os::fd::AsFd;
        let sockets = self.awaited(now).map(|(_, socket)| socket.as_fd());
        let running = self.slots.iter().filter_map(|slot| slot.running.as_ref());
        let leaving = self.leaving.iter().map(|leaving| &leaving.running);
        sockets.chain(running.chain(leaving).filter_map(Running::output))
    }

    /// Logs what its processes say.
    pub(super) fn listen(&mut self) {
        let running = self.slots.iter_mut().filter_map(|slot| slot.running.as_mut());
        let leaving = self.leaving.iter_mut().map(|leaving| &mut leaving.running);
        for process in running.chain(leaving) {
            process.listen(&self.plan.name);
        }
    }

    /// When something is to be done without an occasion.
    pub(super) fn next_time(&self, now: Instant) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        let mut at = |time: Instant| next = Some(next.map_or(time, |known| known.min(time)));
        for (number, slot) in self.slots.iter().enumerate() {
            match &slot.running {
                None if self.state == State::Running => match slot.not_before {
                    Some(time) if time > now => at(time),
                    _ if self.is_wanted_always(number) => at(now),
                    _ => {}
                },
                Some(_) if self.is_watched(number) => at(self.look_at),
                None | Some(_) => {}
            }
        }
        for leaving in &self.leaving {
            match leaving.step {
                Step::Draining(..) => at(self.leave_at),
                Step::Told(time) => at(time),
                Step::Killed => {}
            }
        }
        next
    }

    /// Whether a running process of this number may have to be replaced, or to go, without an occasion.
    fn is_watched(&self, number: usize) -> bool {
        let plan = &self.plan;
        plan.max_memory > 0 || !plan.max_lifetime.is_zero() || !self.is_wanted_always(number)
    }

    /// Does what is due.
    pub(super) fn pass_time(&mut self, now: Instant, means: &mut Means<'_>) {
        self.start_due(now, means);
        if now >= self.look_at {
            self.look_at = now + LOOK_EVERY;
            self.look_after_running(now, means);
        }
        if now >= self.leave_at {
            self.leave_at = now + QUIET / 3;
        }
        self.end_leaving(now, means.census.as_ref());
    }

    /// Whether connections are to be counted now.
    pub(super) fn wants_census(&self, now: Instant) -> bool {
        let surplus = self.slots.iter().skip(self.plan.least.into());
        let is_draining = |leaving: &Leaving| matches!(leaving.step, Step::Draining(..));
        (now >= self.leave_at && self.leaving.iter().any(is_draining))
            || (now >= self.look_at && surplus.into_iter().any(|slot| slot.running.is_some()))
    }

    fn start_due(&mut self, now: Instant, means: &mut Means<'_>) {
        if self.state != State::Running {
            return;
        }
        let wanted: Vec<usize> = self
            .awaited(now)
            .filter(|(_, socket)| has_connection(socket))
            .map(|(number, _)| number)
            .collect();
        for number in 0..self.slots.len() {
            let slot = &self.slots[number];
            let due = slot.not_before.is_none_or(|at| at <= now);
            if slot.running.is_none() && due && (self.is_wanted_always(number) || wanted.contains(&number)) {
                self.start(number, means);
            }
        }
    }

    fn start(&mut self, number: usize, means: &mut Means<'_>) {
        let Some(slot) = self.slots.get_mut(number) else { return };
        let Some(socket) = &slot.socket else { return };
        slot.not_before = None;
        slot.idle_since = None;
        match Running::start(&self.plan.name, socket, means.settings, means.stock) {
            Ok(running) => slot.running = Some(running),
            Err(error) => {
                self.say(Weight::Error, &format!("cannot be started: {error}"));
                self.crashed(number, Duration::ZERO, "could not be started", means);
            }
        }
    }

    /// A process has ended without having been asked to.
    fn crashed(&mut self, number: usize, lived: Duration, how: &str, means: &mut Means<'_>) {
        let now = Instant::now();
        let limit = self.plan.crash_limit;
        self.restarts += 1;
        match self.crashes.died(now, lived, limit.deaths, limit.within) {
            Verdict::Again(wait) => {
                let when = if wait.is_zero() {
                    String::new()
                } else {
                    format!(" in {wait:?}")
                };
                self.say(Weight::Error, &format!("{how}: it is started again{when}"));
                if let Some(slot) = self.slots.get_mut(number) {
                    slot.not_before = Some(now + wait);
                }
            }
            Verdict::Failed => {
                let (deaths, within) = (limit.deaths, limit.within);
                let told = format!(
                    "{how}: it has failed, with {deaths} deaths within {within:?} (CrashLimit): it is not started again \
                     before a reload or `lychgate ctl start {}`",
                    self.plan.name
                );
                self.say(Weight::Error, &told);
                self.close(State::Failed, means);
            }
        }
    }

    /// Its requests fail at once from now on; what runs ends when it has answered what it has.
    pub(super) fn close(&mut self, state: State, means: &mut Means<'_>) {
        self.state = state;
        for number in 0..self.plan.most {
            means.directory.take_away(&self.plan.name, number);
            let Some(slot) = self.slots.get_mut(usize::from(number)) else {
                continue;
            };
            let socket = slot.socket.take();
            if let (Some(running), Some(socket)) = (slot.running.take(), socket) {
                self.leaving.push(Leaving::draining(running, socket));
            }
            self.renewed.push(number);
        }
    }

    /// Runs again, where it was stopped or has failed.
    pub(super) fn revive(&mut self, means: &mut Means<'_>) -> Result<(), String> {
        self.crashes.forget();
        self.state = State::Running;
        for slot in &mut self.slots {
            slot.not_before = None;
        }
        self.begin(means)
    }

    /// The settings describe it otherwise now: what runs is replaced.
    pub(super) fn become_as(&mut self, plan: ServicePlan, means: &mut Means<'_>) -> Result<(), String> {
        let old = std::mem::replace(self, Service::new(plan));
        self.requests = old.requests;
        let begun = self.begin(means);
        for number in self.plan.most..old.plan.most {
            means.directory.take_away(&old.plan.name, number);
        }
        self.leaving = old.leaving;
        for slot in old.slots {
            if let (Some(running), Some(socket)) = (slot.running, slot.socket) {
                self.leaving.push(Leaving::draining(running, socket));
            }
        }
        self.renewed = (0..old.plan.most).collect();
        begun
    }

    /// Replaces every process that runs, without losing a request.
    pub(super) fn replace_all(&mut self, means: &mut Means<'_>) {
        for number in 0..self.plan.most {
            self.replace(number, means);
        }
        self.start_due(Instant::now(), means);
    }

    /// Has new requests go to a new process, and the one that runs end when it has answered those it has.
    fn replace(&mut self, number: u16, means: &mut Means<'_>) {
        let Some(slot) = self.slots.get_mut(usize::from(number)) else {
            return;
        };
        let (Some(old), Some(running)) = (slot.socket.clone(), slot.running.take()) else {
            return;
        };
        slot.idle_since = None;
        match self.give_socket(number, means) {
            Ok(()) => {
                self.leaving.push(Leaving::draining(running, old));
                self.renewed.push(number);
            }
            Err(error) => {
                self.say(Weight::Error, &format!("cannot make another socket: {error}"));
                if let Some(slot) = self.slots.get_mut(usize::from(number)) {
                    slot.running = Some(running);
                }
            }
        }
    }

    fn look_after_running(&mut self, now: Instant, means: &mut Means<'_>) {
        for number in 0..self.plan.most {
            if let Some(why) = self.should_be_replaced(number, now) {
                self.say(Weight::Notice, &why);
                self.replace(number, means);
            } else if !self.is_wanted_always(usize::from(number))
                && self.has_been_idle(number, now, means.census.as_ref())
            {
                // Where it is wanted after all, another starts.
                self.replace(number, means);
            }
        }
        self.start_due(now, means);
    }

    fn should_be_replaced(&self, number: u16, now: Instant) -> Option<String> {
        let running = self.slots.get(usize::from(number))?.running.as_ref()?;
        let (plan, pid) = (&self.plan, running.child.pid);
        let lived = now.saturating_duration_since(running.started);
        if !plan.max_lifetime.is_zero() && lived >= plan.max_lifetime {
            let lived = Duration::from_secs(lived.as_secs());
            return Some(format!("process {pid} is replaced after {lived:?} (MaxLifetime)"));
        }
        let memory = resident(pid).filter(|memory| plan.max_memory > 0 && *memory >= plan.max_memory)?;
        let kib = memory / 1024;
        Some(format!(
            "process {pid} is replaced: it has {kib} KiB of memory (MaxMemory)"
        ))
    }

    fn has_been_idle(&mut self, number: u16, now: Instant, census: Option<&Census>) -> bool {
        let idle = self.plan.idle;
        let Some(slot) = self.slots.get_mut(usize::from(number)) else {
            return false;
        };
        let (Some(socket), Some(running)) = (&slot.socket, &slot.running) else {
            return false;
        };
        let Some(census) = census else { return false };
        // Where nobody counts, what the workers tell must do.
        if census.connections(&socket.bound).is_some_and(|count| count > 0) {
            slot.idle_since = None;
            return false;
        }
        let since = *slot.idle_since.get_or_insert(now.max(running.started));
        now.saturating_duration_since(since) >= idle
    }

    fn end_leaving(&mut self, now: Instant, census: Option<&Census>) {
        let (name, grace) = (self.plan.name.clone(), self.plan.grace);
        for leaving in &mut self.leaving {
            leaving.go_on(now, census, &name, grace);
        }
    }

    /// Was this one that was to end? Whoever still waits at its socket is told at once that nobody will come.
    pub(super) fn forget(&mut self, pid: i32) -> bool {
        let is_it = |leaving: &Leaving| leaving.running.child.pid == pid;
        let Some(at) = self.leaving.iter().position(is_it) else {
            return false;
        };
        self.leaving.swap_remove(at).running.finish(&self.plan.name);
        true
    }

    /// Was this one of its processes? Then what follows from its end is done.
    pub(super) fn notice_end(&mut self, pid: i32, ended: &Ended, means: &mut Means<'_>) -> bool {
        if self.forget(pid) {
            return true;
        }
        let is_it = |slot: &Slot| slot.running.as_ref().is_some_and(|running| running.child.pid == pid);
        let Some(number) = self.slots.iter().position(is_it) else {
            return false;
        };
        let Some(running) = self.slots.get_mut(number).and_then(|slot| slot.running.take()) else {
            return true;
        };
        let lived = running.started.elapsed();
        running.finish(&self.plan.name);
        self.renewed.push(u16::try_from(number).unwrap_or(u16::MAX));
        if ended.exit == Exit::Code(0) && lived >= PROVED {
            self.say(Weight::Notice, &format!("process {pid} has ended by itself"));
        } else {
            self.crashed(number, lived, &format!("process {pid} ended ({})", ended.exit), means);
        }
        true
    }

    /// A worker has given a process requests.
    pub(super) fn served(&mut self, number: u16, requests: u64, means: &mut Means<'_>) {
        self.requests = self.requests.saturating_add(requests);
        let Some(slot) = self.slots.get_mut(usize::from(number)) else {
            return;
        };
        slot.idle_since = None;
        let Some(running) = &mut slot.running else { return };
        running.requests = running.requests.saturating_add(requests);
        let (pid, requests) = (running.child.pid, running.requests);
        if self.plan.max_requests > 0 && requests >= self.plan.max_requests {
            let told = format!("process {pid} is replaced after {requests} requests (MaxRequests)");
            self.say(Weight::Notice, &told);
            self.replace(number, means);
            self.start_due(Instant::now(), means);
        }
    }

    /// A worker says that a process is stuck: another takes its place, and its socket, at once.
    pub(super) fn is_stuck(&mut self, number: u16, means: &mut Means<'_>) {
        let Some(slot) = self.slots.get_mut(usize::from(number)) else {
            return;
        };
        let Some(socket) = slot.socket.clone() else { return };
        let young = |running: &Running| running.started.elapsed() < self.plan.watchdog;
        let Some(running) = slot.running.take_if(|running| !young(running)) else {
            return;
        };
        let (pid, lived) = (running.child.pid, running.started.elapsed());
        running.signal(Signal::TERM, &self.plan.name);
        self.leaving.push(Leaving {
            running,
            socket,
            step: Step::Told(Instant::now() + STUCK_GRACE),
        });
        self.renewed.push(number);
        let how =
            format!("process {pid} is stuck: it owes answers and was silent for its time (Watchdog): it is ended");
        self.crashed(usize::from(number), lived, &how, means);
        self.start_due(Instant::now(), means);
    }

    /// The numbers of the processes that others have taken the places of, since this was last asked.
    pub(super) fn take_renewed(&mut self) -> Vec<u16> {
        std::mem::take(&mut self.renewed)
    }

    /// The processes of it.
    pub(super) fn pids(&self) -> impl Iterator<Item = i32> {
        let running = self.slots.iter().filter_map(|slot| slot.running.as_ref());
        let leaving = self.leaving.iter().map(|leaving| &leaving.running);
        running.chain(leaving).map(|running| running.child.pid)
    }

    /// How it does.
    pub(super) fn status(&self, census: &Census) -> Status {
        let connections = |slot: &Slot| census.connections(&slot.socket.as_ref()?.bound);
        let process = |slot: &Slot| {
            let running = slot.running.as_ref()?;
            Some(ProcessStatus {
                pid: running.child.pid,
                age: running.started.elapsed(),
                requests: running.requests,
                connections: connections(slot),
                memory: resident(running.child.pid),
            })
        };
        Status {
            name: self.plan.name.clone(),
            state: self.state,
            least: self.plan.least,
            most: self.plan.most,
            processes: self.slots.iter().filter_map(process).collect(),
            leaving: self.leaving.len(),
            requests: self.requests,
            restarts: self.restarts,
        }
    }

    /// Tells all of it to end.
    pub(super) fn tell_to_end(&self) {
        let running = self.slots.iter().filter_map(|slot| slot.running.as_ref());
        for running in running.chain(self.leaving.iter().map(|leaving| &leaving.running)) {
            running.signal(Signal::TERM, &self.plan.name);
        }
    }

    /// Waits for the end of all of it until this time.
    pub(super) fn end_by(self, until: Instant) {
        let running = self.slots.into_iter().filter_map(|slot| slot.running);
        for running in running.chain(self.leaving.into_iter().map(|leaving| leaving.running)) {
            running.end_by(until, &self.plan.name);
        }
    }
}

impl Leaving {
    /// One that answers what it has first.
    pub(super) fn draining(running: Running, socket: Rc<Listening>) -> Leaving {
        Leaving {
            running,
            socket,
            step: Step::Draining(Instant::now(), None),
        }
    }

    fn go_on(&mut self, now: Instant, census: Option<&Census>, name: &str, grace: Duration) {
        match &mut self.step {
            Step::Draining(begun, quiet_since) => {
                let Some(census) = census else { return };
                let is_over = match census.connections(&self.socket.bound) {
                    Some(0) => now.saturating_duration_since(*quiet_since.get_or_insert(now)) >= QUIET,
                    Some(_) => {
                        *quiet_since = None;
                        false
                    }
                    None => now.saturating_duration_since(*begun) >= UNCOUNTED,
                };
                if is_over {
                    self.running.signal(Signal::TERM, name);
                    self.step = Step::Told(now + grace);
                }
            }
            Step::Told(at) if *at <= now => {
                self.running.signal(Signal::KILL, name);
                self.step = Step::Killed;
            }
            Step::Told(_) | Step::Killed => {}
        }
    }
}

/// How often processes are looked at that may have to go.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Whether a connection waits.
fn has_connection(socket: &Listening) -> bool {
    let mut polled = [PollFd::new(socket, PollFlags::IN)];
    rustix::event::poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
}
