//! The role that starts scripts: one thread, one `poll` loop.
//!
//! It knows the script places from the settings it has parsed itself and starts nothing else, whatever a worker asks
//! for. A script that has ended stays a zombie until its worker releases it, so that the number of its process group
//! is never given to another while somebody may still signal it.
//!
//! Scripts are made by `process::child::launch`, never by a fork, and nobody waits until one has been executed: any number
//! are on their way at once. Under CGIProcessTree kill alone a fork of ours, the warden, stands between: that is what it costs.

mod explain;
mod line;
mod loopback;
mod place;
mod powers;
mod prepare;
mod sandbox;
mod script;
pub mod service;
mod suexec;
mod terms;
mod warden;

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::Signal;

use crate::config::logs::system_log;
use crate::config::site::Config;
use crate::process::channel::{Channel, Heard, Wait};
use crate::process::child;
use crate::process::footprint;
use crate::process::inherit::Inherited;
use crate::process::mark::Mark;
use crate::process::message::{FirstNews, FromSpawner, ScriptNews, ScriptOrder, Start, ToSpawner};
use crate::process::say::{Weight, say, say_to};

use line::Line;
use powers::Powers;
use prepare::{Refusal, Starter};
use script::Script;

pub use explain::{Asked, Explained, Wanted};
pub use powers::{exceeds, hastens, stays_root};

/// What a spawner may start.
#[derive(Debug, Default)]
pub struct Rules {
    /// The settings: the script places, and the sections that say on which terms their scripts run.
    pub config: Config,
    /// Variables that reach a script although their name is one of those that are refused otherwise (`LD_*` and the
    /// like), because the administrator has set them.
    pub admitted_variables: Vec<Vec<u8>>,
}

/// Runs the role until the launcher ends it or is gone.
pub fn run(inherited: Inherited, rules: Rules) -> ExitCode {
    child::keep_dispositions();
    say_to(system_log(&rules.config));
    let told = Powers::of(&rules.config).and_then(|powers| {
        let mut spawner = Spawner::new(inherited.launcher, inherited.scripts, rules)?;
        powers.settle()?;
        spawner.starter.announce();
        footprint::give_back();
        spawner.launcher.tell(&FromSpawner::Ready, Wait::Yes)?;
        spawner.serve()
    });
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say("spawner", Weight::Error, &format!("cannot go on: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// The spawner's whole state.
pub struct Spawner {
    launcher: Channel,
    /// Whether the launcher has ended.
    is_alone: bool,
    lines: Vec<Line>,
    next_line: u64,
    scripts: Vec<Script>,
    starter: Starter,
    ending: Ending,
    mark: Mark,
}

/// Whether, and how, it is coming to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// It is not.
    No,
    /// With the last channel and the last script.
    Retiring,
    /// All scripts have had their SIGTERM; at this time they get SIGKILL.
    Stopping(Instant),
    /// They had it; at this time we leave, dead or not.
    Killed(Instant),
}

impl Spawner {
    /// A spawner that answers to `launcher` and serves these channels of worker threads.
    pub fn new(launcher: Channel, scripts: Vec<Channel>, rules: Rules) -> io::Result<Spawner> {
        let mut spawner = Spawner {
            launcher,
            is_alone: false,
            lines: Vec::new(),
            next_line: 0,
            scripts: Vec::new(),
            starter: Starter::new(rules)?,
            ending: Ending::No,
            mark: Mark::own(),
        };
        for channel in scripts {
            spawner.add_line(channel);
        }
        Ok(spawner)
    }

    /// Serves until it is told to end and has, or the launcher is gone, which is an order to end too.
    pub fn serve(&mut self) -> io::Result<()> {
        while !self.has_ended() {
            let ready = self.wait()?;
            if ready.launcher && !self.hear_launcher()? {
                self.is_alone = true;
                self.stop(GRACE_ALONE);
            }
            for key in ready.scripts {
                self.hear_script(key);
            }
            for key in ready.lines {
                self.serve_line(key);
            }
            self.scripts.iter_mut().for_each(Script::let_land);
            self.tell_of_long_ones();
            self.starter.gates.serve(&ready.gates);
            self.end_abandoned();
            self.stop_further();
        }
        Ok(())
    }

    fn add_line(&mut self, channel: Channel) {
        self.lines.push(Line::new(self.next_line, channel));
        self.next_line += 1;
    }

    fn has_ended(&self) -> bool {
        match self.ending {
            Ending::Retiring => self.lines.is_empty() && self.scripts.is_empty(),
            Ending::No | Ending::Stopping(_) => false,
            Ending::Killed(until) => self.scripts.iter().all(Script::has_ended) || Instant::now() >= until,
        }
    }

    /// Waits until something is to be done.
    fn wait(&self) -> io::Result<Ready> {
        let launcher = (!self.is_alone).then(|| PollFd::new(&self.launcher, PollFlags::IN));
        let mut polled: Vec<PollFd<'_>> = launcher.into_iter().collect();
        polled.extend(
            self.lines
                .iter()
                .map(|line| PollFd::new(line.channel(), line.interest())),
        );
        let watched = || {
            let scripts = self.scripts.iter();
            scripts.filter_map(|script| Some((script.key(), script.watched()?)))
        };
        polled.extend(watched().map(|(_, fd)| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        let others = polled.len();
        let gates = self.starter.gates.polled();
        polled.extend(gates.map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags)));
        let limit = match self.ending {
            Ending::No | Ending::Retiring => None,
            Ending::Stopping(at) | Ending::Killed(at) => Some(at),
        };
        let due = self.scripts.iter().filter_map(Script::due_at);
        let limit = due.chain(limit).chain(self.starter.gates.next_deadline()).min();
        let limit = limit.map(|at| timespec(at.saturating_duration_since(Instant::now())));
        rustix::io::retry_on_intr(|| rustix::event::poll(&mut polled, limit.as_ref()))?;
        let gates = polled.iter().skip(others).map(PollFd::revents).collect();
        let mut events = polled.iter().map(|polled| !polled.revents().is_empty());
        let launcher = !self.is_alone && events.next().unwrap_or(false);
        let lines = self
            .lines
            .iter()
            .map(Line::key)
            .zip(events.by_ref())
            .filter(|(_, ready)| *ready);
        let lines = lines.map(|(key, _)| key).collect();
        let scripts = watched()
            .zip(events)
            .filter(|(_, ready)| *ready)
            .map(|((key, _), _)| key)
            .collect();
        Ok(Ready {
            launcher,
            lines,
            scripts,
            gates,
        })
    }

    /// Does what the launcher says; false when it is gone.
    fn hear_launcher(&mut self) -> io::Result<bool> {
        match self.launcher.hear(Wait::No) {
            Ok(Heard::Closed) => return Ok(false),
            Ok(Heard::Unknown(error)) => say(
                "spawner",
                Weight::Error,
                &format!("from the launcher: {error}: ignored"),
            ),
            Ok(Heard::Message(ToSpawner::Serve { channel })) => self.add_line(Channel::from(channel)),
            Ok(Heard::Message(ToSpawner::Retire)) if self.ending == Ending::No => self.ending = Ending::Retiring,
            Ok(Heard::Message(ToSpawner::Retire)) => {}
            Ok(Heard::Message(ToSpawner::Stop { grace })) => self.stop(grace),
            Ok(Heard::Message(ToSpawner::ReopenLog { log })) => rustix::stdio::dup2_stderr(&log)?,
            Ok(Heard::Message(ToSpawner::Report { number })) => {
                let scripts = self.scripts.iter().filter(|script| !script.has_ended()).count() as u64;
                // A launcher without room for it asks again or goes without.
                let _unheard = self.launcher.tell(&FromSpawner::Report { number, scripts }, Wait::No);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // What we had to say was not heard.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(false),
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// Takes no more orders and asks every script to end.
    fn stop(&mut self, grace: Duration) {
        self.lines.clear();
        for script in &mut self.scripts {
            script.keep();
            script.signal(Signal::TERM);
        }
        self.ending = Ending::Stopping(Instant::now() + grace);
    }

    /// Goes on with the end when its time has come, or earlier when all scripts have ended. SIGKILL is for what may
    /// be left of their groups.
    fn stop_further(&mut self) {
        if let Ending::Stopping(until) = self.ending
            && (Instant::now() >= until || self.scripts.iter().all(Script::has_ended))
        {
            for script in &mut self.scripts {
                script.signal(Signal::KILL);
            }
            self.ending = Ending::Killed(Instant::now() + AFTER_KILL);
        }
    }

    /// Tells the worker what is new of a script.
    fn hear_script(&mut self, key: (u64, u64)) {
        if let Some(news) = self.script(key).and_then(Script::news) {
            self.tell(key.0, news);
        }
        self.scripts.retain(|script| !script.is_done());
    }

    /// Sends what waits for a worker and does what it orders.
    fn serve_line(&mut self, key: u64) {
        for _ in 0..ORDERS_A_TURN {
            let Some(line) = self.lines.iter_mut().find(|line| line.key() == key) else {
                return;
            };
            let heard = line.flush().and_then(|()| line.hear());
            match heard {
                Ok(Heard::Message(order)) => self.obey(key, order),
                Ok(Heard::Unknown(error)) => line
                    .complaints
                    .say("spawner", &format!("from a worker: {error}: ignored")),
                Ok(Heard::Closed) => return self.close_line(key),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    say(
                        "spawner",
                        Weight::Error,
                        &format!("a worker's channel is closed: {error}"),
                    );
                    return self.close_line(key);
                }
            }
        }
    }

    /// Nobody will ask for its scripts again. A worker thread that ends in order has let go of all of them.
    fn close_line(&mut self, key: u64) {
        self.lines.retain(|line| line.key() != key);
        for script in self.scripts.iter_mut().filter(|script| script.key().0 == key) {
            script.abandon();
        }
        self.scripts.retain(|script| !script.is_done());
    }

    fn end_abandoned(&mut self) {
        for script in &mut self.scripts {
            script.end_abandoned();
        }
        self.scripts.retain(|script| !script.is_done());
    }

    fn obey(&mut self, line: u64, order: ScriptOrder) {
        match order {
            ScriptOrder::Start(start) => {
                self.release(line, &start.released);
                self.start(line, &start);
                let key = (line, start.id);
                // Its worker sees the end of its output with the news, not behind them.
                drop(start);
                // Where there is one processor, it has had it, and a quick one has ended.
                self.hear_script(key);
            }
            ScriptOrder::Signal { id, signal } => {
                if let (Some(script), Some(signal)) = (self.script((line, id)), Signal::from_named_raw(signal)) {
                    script.signal(signal);
                }
            }
            ScriptOrder::Release { ids } => self.release(line, &ids),
        }
    }

    fn release(&mut self, line: u64, ids: &[u64]) {
        for id in ids {
            if let Some(script) = self.script((line, *id)) {
                script.release();
            }
        }
        if !ids.is_empty() {
            self.scripts.retain(|script| !script.is_done());
        }
    }

    fn script(&mut self, key: (u64, u64)) -> Option<&mut Script> {
        self.scripts.iter_mut().find(|script| script.key() == key)
    }

    fn start(&mut self, line: u64, start: &Start) {
        let id = start.id;
        if Mark::on(&start.stdout).is_ok_and(|mark| mark == Some(self.mark)) {
            // Our predecessor had not taken it: it was asked for again, and was still in the channel as well.
            return;
        }
        if self.script((line, id)).is_some() {
            return self.complain(line, &format!("a worker used the number {id} twice: ignored"));
        }
        let taken = self
            .mark
            .leave_on(&start.stdout)
            .map_err(|error| Refusal::system(&error));
        match taken.and_then(|()| self.starter.start(start)) {
            Ok(begun) => {
                let script = Script::new((line, id), begun);
                let script = match start.order.first_news {
                    FirstNews::AtOnce => script,
                    FirstNews::WithEnd => script.told_at(Instant::now() + self.brief()),
                };
                self.scripts.push(script);
            }
            Err(refusal) => {
                if let Some(said) = refusal.said {
                    self.complain(line, &said);
                }
                self.tell(
                    line,
                    ScriptNews::Failed {
                        id,
                        failed: refusal.failed,
                    },
                );
            }
        }
    }

    /// How long a script that is started now may run before its worker is told that it does.
    fn brief(&self) -> Duration {
        let running = self.scripts.iter().filter(|script| !script.has_ended()).count() + 1;
        BRIEF
            .saturating_mul(u32::try_from(running).unwrap_or(u32::MAX))
            .min(LONGEST_BRIEF)
    }

    /// Tells of scripts that have not ended soon.
    fn tell_of_long_ones(&mut self) {
        if self.scripts.iter().all(|script| script.due_at().is_none()) {
            return;
        }
        let now = Instant::now();
        let due = self.scripts.iter_mut();
        let due: Vec<_> = due
            .filter_map(|script| Some((script.key().0, script.overdue_news(now)?)))
            .collect();
        for (line, news) in due {
            self.tell(line, news);
        }
    }

    fn complain(&self, line: u64, what: &str) {
        if let Some(found) = self.lines.iter().find(|found| found.key() == line) {
            found.complaints.say("spawner", what);
        }
    }

    fn tell(&mut self, line: u64, news: ScriptNews) {
        let Some(found) = self.lines.iter_mut().find(|found| found.key() == line) else {
            return;
        };
        if let Err(error) = found.tell(news) {
            say(
                "spawner",
                Weight::Error,
                &format!("a worker's channel is closed: {error}"),
            );
            self.close_line(line);
        }
    }
}

/// Who wants something.
struct Ready {
    launcher: bool,
    lines: Vec<u64>,
    scripts: Vec<(u64, u64)>,
    gates: Vec<PollFlags>,
}

/// How many orders of one worker thread are taken before the others have their turn.
const ORDERS_A_TURN: usize = 8;

/// A script that ends within this time is told of with its end alone (FirstNews::WithEnd). Most of those that are quick end
/// within it, and the first bytes of one that is not come so much later. Several share the processors, so that it is longer
/// for them, up to a limit.
const BRIEF: Duration = Duration::from_millis(2);
const LONGEST_BRIEF: Duration = Duration::from_millis(20);

/// How long scripts have after their SIGTERM when the launcher was killed; as in a stop.
const GRACE_ALONE: Duration = Duration::from_millis(1500);

/// How long killed scripts are waited for: one may sit in a system call that nothing interrupts.
const AFTER_KILL: Duration = Duration::from_millis(500);

fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: time.as_secs().cast_signed(),
        tv_nsec: time.subsec_nanos().into(),
    }
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
