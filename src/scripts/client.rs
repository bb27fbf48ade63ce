//! A worker thread's side of the channel to the spawner: ask for a script, watch it, signal it, let go of it.
//!
//! [`connect`] gives a handle and a [`Driver`]; the driver must run for as long as the handle is used. A spawner may die
//! and be replaced at any time ([`Spawner::restarted`]): requests it had not taken are asked again, and scripts it
//! had started go on and are watched by their pidfds. Nothing is asked for twice that it may have started.

mod error;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fmt, mem};

use rustix::process::Signal;
use tokio::io::Interest;
use tokio::sync::{Notify, oneshot};

use crate::process::channel::{Channel, Heard, Wait};
use crate::process::child::Step;
use crate::process::mark::Mark;
use crate::process::message::{Failed, Order, ScriptNews, ScriptOrder, Start};
use crate::process::pidfd::{Ended, Pidfd};
use crate::process::say::{Weight, say};
use crate::process::watched::Watched;

pub use error::StartError;

/// A script to start.
#[derive(Debug)]
pub struct StartRequest {
    /// What is to be started.
    pub order: Order,
    /// Its standard output. Our copy is closed as soon as it runs.
    pub stdout: OwnedFd,
    /// Its standard error, likewise.
    pub stderr: OwnedFd,
}

/// The handle to the spawner, for one worker thread; clones are the same.
#[derive(Clone)]
pub struct Spawner(Arc<Shared>);

/// Reads news and sends what could not be sent at once.
pub struct Driver(Arc<Shared>);

/// A script that runs, or ran. When it is dropped the spawner may reap it; it is not ended thereby.
pub struct Running {
    id: u64,
    /// None where its spawner died before it told of it.
    pid: Option<i32>,
    /// None where it had ended before we heard of it, or there was no descriptor left.
    pidfd: Option<Pidfd>,
    life: Life,
    generation: u64,
    shared: Arc<Shared>,
}

enum Life {
    /// Its spawner will tell of its end.
    Running(oneshot::Receiver<Ended>),
    /// Its spawner has died; the pidfd tells of its end.
    Orphaned,
    /// With what is known of it.
    Ended(Option<Ended>),
}

struct Shared {
    channel: Watched<Channel>,
    state: Mutex<State>,
    /// There is something in `State::unsent`, or the spawner was restarted.
    to_do: Notify,
    signal_orphan: SignalOrphan,
}

#[derive(Default)]
struct State {
    next_id: u64,
    waiting: HashMap<u64, Waiting>,
    running: HashMap<u64, oneshot::Sender<Ended>>,
    unsent: VecDeque<Arc<ScriptOrder>>,
    /// The mark of the spawner that has taken over.
    successor: Option<Mark>,
    /// How many spawners there have been before this one.
    generation: u64,
    gone: bool,
    /// Scripts that have ended and are let go of, which nobody has told the spawner yet.
    released: Vec<u64>,
    /// The driver will look at them.
    release_is_due: bool,
}

/// A request without an answer.
struct Waiting {
    order: Arc<ScriptOrder>,
    answer: oneshot::Sender<Result<Running, StartError>>,
}

impl Waiting {
    /// That of the spawner that has taken it, if one has.
    fn mark(&self) -> io::Result<Option<Mark>> {
        match &*self.order {
            ScriptOrder::Start(start) => Mark::on(&start.stdout),
            ScriptOrder::Signal { .. } | ScriptOrder::Release { .. } => Ok(None),
        }
    }
}

/// Signals the process group of a script whose spawner has died: the group's number, the signal.
pub type SignalOrphan = Box<dyn Fn(i32, Signal) -> io::Result<()> + Send + Sync>;

/// Takes the worker's end of the channel, within the runtime that is to use it.
pub fn connect(channel: Channel, signal_orphan: SignalOrphan) -> io::Result<(Spawner, Driver)> {
    let shared = Shared {
        channel: Watched::new(channel, Interest::READABLE)?,
        state: Mutex::default(),
        to_do: Notify::new(),
        signal_orphan,
    };
    let shared = Arc::new(shared);
    Ok((Spawner(Arc::clone(&shared)), Driver(shared)))
}

impl Spawner {
    /// Starts a script; waits at most `limit` for the spawner's answer. One whose answer is not waited for any more is
    /// killed should it start all the same.
    pub async fn start(&self, request: StartRequest, limit: Duration) -> Result<Running, StartError> {
        let (answer, answered) = oneshot::channel();
        let (order_id, order) = {
            let mut state = self.0.state();
            if state.gone {
                return Err(StartError::Gone);
            }
            let id = state.next_id;
            state.next_id += 1;
            let order = Arc::new(request.into_order(id, mem::take(&mut state.released)));
            state.waiting.insert(
                id,
                Waiting {
                    order: Arc::clone(&order),
                    answer,
                },
            );
            (id, order)
        };
        let _until_answered = Asked {
            shared: &self.0,
            id: order_id,
        };
        self.0.send(order);
        match tokio::time::timeout(limit, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(StartError::Gone),
            Err(_) => Err(StartError::NoAnswer),
        }
    }

    /// The launcher says that another spawner, this process, has taken over the channel.
    pub fn restarted(&self, pid: i32) {
        self.0.state().successor = Some(Mark::of(pid));
        self.0.to_do.notify_one();
    }

    /// How many scripts run or are about to.
    pub fn count(&self) -> usize {
        let state = self.0.state();
        state.waiting.len() + state.running.len()
    }
}

impl StartRequest {
    fn into_order(self, id: u64, released: Vec<u64>) -> ScriptOrder {
        let StartRequest { order, stdout, stderr } = self;
        ScriptOrder::Start(Start {
            id,
            order,
            released,
            stdout,
            stderr,
        })
    }
}

impl Driver {
    /// Runs until the channel fails, which in a healthy server it never does.
    pub async fn run(self) -> io::Result<()> {
        tokio::select! {
            result = self.read() => result,
            result = self.write() => result,
        }
    }

    async fn read(&self) -> io::Result<()> {
        loop {
            let heard = self.0.channel.read(|channel| channel.hear(Wait::No)).await?;
            if !self.0.take(heard) {
                return Ok(());
            }
        }
    }

    async fn write(&self) -> io::Result<()> {
        loop {
            self.something_to_do().await;
            self.take_over()?;
            loop {
                let Some(order) = self.0.state().unsent.pop_front() else {
                    break;
                };
                self.write_one(&order).await?;
            }
        }
    }

    /// Waits until something is to be sent. Ended scripts are let go of with the next that is started; where none is for a
    /// while, they have a message of their own.
    async fn something_to_do(&self) {
        let notified = self.0.to_do.notified();
        if !self.0.state().release_is_due {
            return notified.await;
        }
        if tokio::time::timeout(RELEASED_WITHIN, notified).await.is_err() {
            let mut state = self.0.state();
            let ids = mem::take(&mut state.released);
            if ids.is_empty() {
                state.release_is_due = false;
            } else {
                state.unsent.push_back(Arc::new(ScriptOrder::Release { ids }));
            }
        }
    }

    async fn write_one(&self, order: &ScriptOrder) -> io::Result<()> {
        match self.tell_when_there_is_room(order).await {
            Err(error) if is_fatal(&error) => Err(error),
            Err(error) => {
                self.0.could_not_ask(order, &error);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// A second registration for the rare times without room: each message that the spawner takes makes room, and nobody
    /// wants to be woken for that.
    async fn tell_when_there_is_room(&self, order: &ScriptOrder) -> io::Result<()> {
        match self.0.channel.inner().tell(order, Wait::No) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            told => return told,
        }
        let again = Channel::from(self.0.channel.inner().as_fd().try_clone_to_owned()?);
        let told = Watched::new(again, Interest::WRITABLE)?;
        told.write(|channel| channel.tell(order, Wait::No)).await
    }

    /// After a restart: what the old spawner said is read first, then what it had not taken is asked again.
    ///
    /// A script that it may have started without having said so counts as started: its output tells the rest, and is at its
    /// end at once should there be no script. It would run twice otherwise, and what it was sent would be done twice.
    fn take_over(&self) -> io::Result<()> {
        let Some(successor) = self.0.state().successor.take() else {
            return Ok(());
        };
        loop {
            match self.0.channel.inner().hear(Wait::No) {
                Ok(heard) => {
                    self.0.take(heard);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let mut state = self.0.state();
        state.generation += 1;
        state.running.clear(); // nobody will send their ends: those who wait turn to the pidfds
        let (mut again, mut taken) = (Vec::new(), Vec::new());
        for (id, waiting) in &state.waiting {
            match waiting.mark() {
                Ok(None) => again.push((*id, Arc::clone(&waiting.order))),
                // It was still in the channel.
                Ok(Some(mark)) if mark == successor => {}
                Ok(Some(_)) | Err(_) => taken.push(*id),
            }
        }
        again.sort_unstable_by_key(|(id, _)| *id);
        // Those that are given up may still be in the channel.
        state.unsent.retain(|order| !matches!(**order, ScriptOrder::Start(_)));
        let rest = mem::take(&mut state.unsent);
        state.unsent = again.into_iter().map(|(_, order)| order).chain(rest).collect();
        drop(state);
        for id in taken {
            self.0.started(id, (None, None), Life::Orphaned, None);
        }
        Ok(())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.gone = true;
        let ids = mem::take(&mut state.released);
        if !ids.is_empty() {
            // Without room the spawner sees to them itself as soon as the channel is closed.
            let _best_effort = self.0.channel.inner().tell(&ScriptOrder::Release { ids }, Wait::No);
        }
        let unanswered = (
            mem::take(&mut state.waiting),
            mem::take(&mut state.running),
            mem::take(&mut state.unsent),
        );
        drop(state);
        drop(unanswered);
    }
}

impl Running {
    /// Its process id, which is its process group's too; none where its spawner died before it told of it.
    pub fn pid(&self) -> Option<i32> {
        self.pid
    }

    /// Waits until it has ended; `None` when it has but nobody knows how (the spawner had died before it, and the
    /// kernel does not tell). May be called again, and may be cancelled.
    pub async fn ended(&mut self) -> io::Result<Option<Ended>> {
        if let Life::Running(ended) = &mut self.life {
            match ended.await {
                Ok(ended) => self.life = Life::Ended(Some(ended)),
                Err(_) => self.life = Life::Orphaned,
            }
        }
        if let Life::Ended(end) = self.life {
            return Ok(end);
        }
        let end = self.ended_by_pidfd().await?;
        self.life = Life::Ended(end);
        Ok(end)
    }

    /// How it ended, where that is known already.
    pub(super) fn known_end(&self) -> Option<Ended> {
        match self.life {
            Life::Ended(end) => end,
            Life::Running(_) | Life::Orphaned => None,
        }
    }

    async fn ended_by_pidfd(&self) -> io::Result<Option<Ended>> {
        let Some(own) = &self.pidfd else { return Ok(None) };
        let pidfd = Pidfd::from(own.as_fd().try_clone_to_owned()?);
        Watched::new(pidfd, Interest::READABLE)?.read(|_| Ok(())).await?;
        for _ in 0..REAPING_TRIES {
            if let Some(exit) = own.exit_told_by_kernel() {
                return Ok(Some(Ended {
                    exit,
                    user: Duration::ZERO,
                    system: Duration::ZERO,
                }));
            }
            tokio::time::sleep(REAPING_PAUSE).await; // until the launcher, its parent now, has reaped it
        }
        Ok(None)
    }

    /// Sends a signal to its process group, what it left behind included.
    pub fn signal_group(&self, signal: Signal) {
        if self.has_spawner() {
            return self.shared.send(Arc::new(ScriptOrder::Signal {
                id: self.id,
                signal: signal.as_raw(),
            }));
        }
        // Its spawner is gone, so nothing keeps the group's number once the leader has ended.
        let may_run = |pidfd: &Pidfd| !pidfd.ends_within(Duration::ZERO).unwrap_or(true);
        if let Some(pid) = self.pid
            && self.pidfd.as_ref().is_some_and(may_run)
            && let Err(error) = (self.shared.signal_orphan)(pid, signal)
        {
            say(
                "worker",
                Weight::Error,
                &format!("cannot signal the process group {pid}: {error}"),
            );
        }
    }

    /// Does the spawner that started it still watch it?
    fn has_spawner(&self) -> bool {
        self.shared.state().generation == self.generation
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let ids = vec![self.id];
        let mut state = self.shared.state();
        state.running.remove(&self.id);
        if !matches!(self.life, Life::Ended(Some(_))) || state.generation != self.generation {
            drop(state);
            return self.shared.send(Arc::new(ScriptOrder::Release { ids }));
        }
        state.released.extend(ids);
        if !mem::replace(&mut state.release_is_due, true) {
            drop(state);
            self.shared.to_do.notify_one();
        }
    }
}

impl Shared {
    /// The lock is held for moments only, never across a wait.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends at once, or leaves it to the driver.
    fn send(&self, order: Arc<ScriptOrder>) {
        let mut state = self.state();
        if state.gone
            || (state.unsent.is_empty()
                && state.successor.is_none()
                && self.channel.inner().tell(&*order, Wait::No).is_ok())
        {
            return;
        }
        state.unsent.push_back(order); // an error other than a full channel meets the driver again
        drop(state);
        self.to_do.notify_one();
    }

    /// Passes news on to whom they concern; false when there will be no more.
    fn take(self: &Arc<Shared>, heard: Heard<ScriptNews>) -> bool {
        match heard {
            Heard::Closed => return false,
            Heard::Unknown(error) => say("worker", Weight::Error, &format!("from the spawner: {error}: ignored")),
            Heard::Message(ScriptNews::Started { id, pid, pidfd }) => {
                let (tell, ended) = oneshot::channel();
                // Without a descriptor its spawner's word must do.
                self.started(
                    id,
                    (Some(pid), pidfd.map(Pidfd::from)),
                    Life::Running(ended),
                    Some(tell),
                );
            }
            Heard::Message(ScriptNews::Ran { id, pid, ended }) => {
                self.started(id, (Some(pid), None), Life::Ended(Some(ended)), None);
            }
            Heard::Message(ScriptNews::Failed { id, failed }) => {
                if let Some(waiting) = self.state().waiting.remove(&id) {
                    let _nobody_waits_any_more = waiting.answer.send(Err(StartError::Failed(failed)));
                }
            }
            Heard::Message(ScriptNews::Ended { id, ended }) => {
                if let Some(watcher) = self.state().running.remove(&id) {
                    let _nobody_waits_any_more = watcher.send(ended);
                }
            }
        }
        true
    }

    /// A request that could not even be sent (no descriptors, no memory) has failed.
    fn could_not_ask(&self, order: &ScriptOrder, error: &io::Error) {
        let ScriptOrder::Start(start) = order else { return };
        let failed = Failed {
            step: Step::Ask,
            errno: error.raw_os_error().unwrap_or(0),
            first_line: Vec::new(),
            told: Vec::new(),
        };
        let mut state = self.state();
        state.release_again(&start.released);
        if let Some(waiting) = state.waiting.remove(&start.id) {
            let _nobody_waits_any_more = waiting.answer.send(Err(StartError::Failed(failed)));
        }
    }

    /// A script was started: who it is, how it fares, and who is to be told of its end.
    fn started(
        self: &Arc<Shared>,
        id: u64,
        (pid, pidfd): (Option<i32>, Option<Pidfd>),
        life: Life,
        tell: Option<oneshot::Sender<Ended>>,
    ) {
        let (waiting, generation) = {
            let mut state = self.state();
            let Some(waiting) = state.waiting.remove(&id) else {
                return;
            };
            if let Some(tell) = tell {
                state.running.insert(id, tell);
            }
            (waiting, state.generation)
        };
        let running = Running {
            id,
            pid,
            pidfd,
            life,
            generation,
            shared: Arc::clone(self),
        };
        if let Err(Ok(unwanted)) = waiting.answer.send(Ok(running)) {
            unwanted.signal_group(Signal::KILL);
        }
    }
}

impl State {
    /// What a request that was never sent should have let go of waits for the next one.
    fn release_again(&mut self, ids: &[u64]) {
        self.released.extend(ids);
    }
}

/// A request until it is answered. Given up before, it is taken back, or ended if it was sent already: the orders reach
/// a spawner in this order, whichever it is by then.
struct Asked<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        let id = self.id;
        {
            let mut state = self.shared.state();
            if state.waiting.remove(&id).is_none() {
                return;
            }
            let mut taken_back = None;
            state.unsent.retain(|order| match &**order {
                ScriptOrder::Start(start) if start.id == id => {
                    taken_back = Some(start.released.clone());
                    false
                }
                _ => true,
            });
            if let Some(released) = taken_back {
                return state.release_again(&released);
            }
        }
        self.shared.send(Arc::new(ScriptOrder::Signal {
            id,
            signal: Signal::KILL.as_raw(),
        }));
        self.shared.send(Arc::new(ScriptOrder::Release { ids: vec![id] }));
    }
}

/// Is the channel itself broken?
fn is_fatal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::NotConnected
    )
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("id", &self.id)
            .field("pid", &self.pid)
            .finish_non_exhaustive()
    }
}

/// How long the spawner may keep scripts that have ended and are let go of.
const RELEASED_WITHIN: Duration = Duration::from_millis(20);

/// How often, and after what pauses, the kernel is asked how an orphan ended: a second in all.
const REAPING_TRIES: u32 = 50;
const REAPING_PAUSE: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests;
