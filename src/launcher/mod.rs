//! The parent role: binds, opens logs, starts the other roles, watches, reloads, stops. It speaks no HTTP.
//!
//! One thread, one `poll` loop. A [`Plan`] is all it knows of a configuration. The first start and every reload are one
//! path: a *candidate* generation (a worker and its spawner) is started beside the one that serves; once it is ready it
//! takes over and the old one drains, and if it fails the old one goes on.

mod bind;
mod control;
mod detach;
mod generation;
mod logs;
mod orphans;
mod plan;
mod programs;
mod roles;
mod words;

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};

use crate::process::identity::Identity;
use crate::process::inherit::Role;
use crate::process::pidfd::reap_any;
use crate::process::pidfile::{Holder, PidFile, holder};
use crate::process::probe;
use crate::process::say::{Weight, say, say_waiting};
use crate::process::signal::{Signal, Signals};
use crate::process::write_now::Nature;

use generation::{Generation, Making, Phase};
use logs::OpenLogs;
use programs::Programs;
use roles::Stock;

pub use control::{NotRunning, signal_running};
pub use detach::{Detached, detach};
pub use plan::{Families, IdentityBy, Listen, LogProgram, LogTarget, Plan, Shell};

/// What the launcher needs from its caller.
pub struct Launch<'a> {
    /// Reads and checks the settings, at the start and at every reload. The error is for people, a line per fault.
    pub load: &'a mut dyn FnMut() -> Result<Plan, String>,
    /// The command line by which our program takes a role; its first word is what `ps` shows.
    pub role_argv: fn(Role) -> Vec<CString>,
    /// Called once, when the server accepts connections: with the addresses it listens on.
    pub ready: &'a mut dyn FnMut(&[SocketAddr]),
    /// What becomes of our standard error output.
    pub stderr: StandardError,
}

/// What becomes of the standard error output that a launcher was started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandardError {
    /// It is a log like others, and takes what log programs say.
    Log,
    /// It is let go of once we serve; logs that name it and what log programs say are written nowhere. Whoever started us
    /// and waits for the end of our output would wait for ours otherwise.
    Left,
}

/// Serves until it is told to stop. The error says why it could not start, in words for people.
pub fn run(launch: Launch<'_>) -> Result<(), String> {
    if let Some(missing) = probe::missing().first() {
        return Err(missing.to_string());
    }
    let plan = (launch.load)()?;
    if let Some(path) = &plan.pid_file
        && let Holder::Running(pid) = holder(path)
    {
        return Err(format!("PidFile: {}: already running as pid {pid}", path.display()));
    }
    let mut launcher = Launcher::new(launch, plan.threads).map_err(|error| format!("cannot start: {error}"))?;
    let result = launcher.begin(plan, Notes::Said).and_then(|()| launcher.serve());
    launcher.finish();
    result
}

/// The launcher's whole state.
struct Launcher<'a> {
    launch: Launch<'a>,
    stock: Stock,
    signals: Signals,
    programs: Programs,
    /// How many listeners each address has, for good.
    copies: usize,
    /// The settings in force, once something serves.
    plan: Option<Plan>,
    current: Option<Generation>,
    candidate: Option<(Generation, Plan)>,
    /// Those that drain or were killed.
    old: Vec<Generation>,
    pid_file: Option<PidFile>,
    wants_reload: bool,
    ending: Ending,
    /// When the names of the log files are looked at next.
    look_at: Instant,
}

/// Whether we are about to end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    No,
    /// With the last connection.
    Graceful,
    /// Soon; whatever is left at this time is left behind.
    Now(Instant),
}

/// Whether remarks on the settings are made: once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Notes {
    Said,
    Kept,
}

impl<'a> Launcher<'a> {
    fn new(launch: Launch<'a>, threads: usize) -> io::Result<Launcher<'a>> {
        let watched = [
            Signal::SIGCHLD,
            Signal::SIGTERM,
            Signal::SIGINT,
            Signal::SIGHUP,
            Signal::SIGUSR1,
            Signal::SIGWINCH,
        ];
        let signals = Signals::take(&watched)?;
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        let null = Rc::new(rustix::fs::open(
            "/dev/null",
            OFlags::RDWR | OFlags::CLOEXEC,
            Mode::empty(),
        )?);
        let stderr = match launch.stderr {
            StandardError::Log => Rc::new(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3)?),
            StandardError::Left => Rc::clone(&null),
        };
        let env = environment();
        let programs = Programs::new(Rc::clone(&null), Rc::clone(&stderr), env.clone());
        let program = OwnedFd::from(File::open("/proc/self/exe")?);
        let stock = Stock {
            program,
            argv: launch.role_argv,
            env,
            null,
            stderr,
        };
        Ok(Launcher {
            launch,
            stock,
            signals,
            programs,
            copies: threads.max(1),
            plan: None,
            current: None,
            candidate: None,
            old: Vec::new(),
            pid_file: None,
            wants_reload: false,
            ending: Ending::No,
            look_at: Instant::now(),
        })
    }

    /// Starts a candidate for these settings.
    fn begin(&mut self, plan: Plan, notes: Notes) -> Result<(), String> {
        let identity = identity(&plan, notes)?;
        let bound = self
            .current
            .as_ref()
            .map(|current| current.listeners.as_slice())
            .unwrap_or_default();
        let listeners = bind::bind_all(&plan.listeners, bound, self.copies, plan.backlog)?;
        let logs = OpenLogs::open(&plan.logs, plan.error_log, &mut self.programs)?;
        let settings = plan.settings.as_slice();
        let making = Making {
            settings,
            worker_as: identity.clone().filter(|_| plan.worker_by == IdentityBy::Launcher),
            spawner_as: identity.filter(|_| plan.spawner_by == IdentityBy::Launcher),
            listeners,
            logs,
            threads: plan.threads,
        };
        let generation = Generation::start(&self.stock, making)?;
        self.candidate = Some((generation, plan));
        Ok(())
    }

    fn serve(&mut self) -> Result<(), String> {
        while !self.has_ended() {
            self.wait().map_err(|error| format!("cannot wait: {error}"))?;
            self.take_signals()
                .map_err(|error| format!("cannot read signals: {error}"))?;
            for generation in self.generations() {
                generation.hear_worker();
                generation.hear_spawner();
            }
            self.signal_orphans();
            self.reap();
            self.pass_time();
            self.settle_candidate()?;
            self.clear_away();
        }
        Ok(())
    }

    fn generations(&mut self) -> impl Iterator<Item = &mut Generation> {
        self.current
            .iter_mut()
            .chain(self.candidate.as_mut().map(|(generation, _)| generation))
            .chain(&mut self.old)
    }

    fn has_ended(&self) -> bool {
        match self.ending {
            Ending::No => false,
            Ending::Now(until) if Instant::now() >= until => true,
            Ending::Graceful | Ending::Now(_) => {
                self.candidate.is_none() && self.old.is_empty() && self.current.as_ref().is_none_or(Generation::is_over)
            }
        }
    }

    /// Waits for a signal, a message or the next time something is due.
    fn wait(&self) -> io::Result<()> {
        let candidate = self.candidate.as_ref().map(|(generation, _)| generation);
        let generations = || self.current.iter().chain(candidate).chain(&self.old);
        let channels = generations()
            .flat_map(|one| [&one.worker.channel, &one.spawner.channel])
            .flatten();
        let mut polled = vec![PollFd::new(&self.signals, PollFlags::IN)];
        polled.extend(channels.map(|channel| PollFd::new(channel, PollFlags::IN)));
        let ending = match self.ending {
            Ending::Now(until) => Some(until),
            Ending::No | Ending::Graceful => None,
        };
        let times = generations()
            .filter_map(Generation::next_time)
            .chain(self.programs.next_restart())
            .chain(self.current.is_some().then_some(self.look_at))
            .chain(ending);
        let limit = times
            .min()
            .map(|at| timespec(at.saturating_duration_since(Instant::now())));
        rustix::io::retry_on_intr(|| rustix::event::poll(&mut polled, limit.as_ref()))?;
        Ok(())
    }

    fn take_signals(&mut self) -> io::Result<()> {
        while let Some(arrived) = self.signals.next()? {
            match (arrived.signal, arrived.sender) {
                // A hang-up that no process sent is the terminal's own: whoever sat there has left.
                (Signal::SIGTERM | Signal::SIGINT, _) | (Signal::SIGHUP, None) => self.stop(),
                (Signal::SIGHUP | Signal::SIGUSR1, _) => self.wants_reload = true,
                // A terminal that changes its size sends it too, which must stop nobody.
                (Signal::SIGWINCH, Some(_)) => self.stop_gracefully(),
                _ => {}
            }
        }
        if self.wants_reload && self.candidate.is_none() && self.ending == Ending::No {
            self.wants_reload = false;
            self.reload();
        }
        Ok(())
    }

    fn stop(&mut self) {
        let again = matches!(self.ending, Ending::Now(_));
        self.ending = Ending::Now(Instant::now() + END_LIMIT);
        say(
            "launcher",
            Weight::Notice,
            if again { "killing all" } else { "stopping" },
        );
        for generation in self.generations() {
            if again { generation.kill() } else { generation.stop() }
        }
    }

    fn stop_gracefully(&mut self) {
        if self.ending != Ending::No {
            return;
        }
        say(
            "launcher",
            Weight::Notice,
            "stopping when the last connection has ended",
        );
        self.ending = Ending::Graceful;
        let limit = self.plan.as_ref().map_or(Duration::ZERO, |plan| plan.graceful_limit);
        if let Some(current) = &mut self.current {
            current.drain(limit);
        }
        if let Some((candidate, _)) = &mut self.candidate {
            candidate.kill();
        }
    }

    /// Reads the settings again and starts a candidate; where that does not work, the logs are opened again at least.
    fn reload(&mut self) {
        say("launcher", Weight::Notice, "reading the settings again");
        // Those that serve now may have long to go: what they write belongs into the new files at once.
        self.reopen_logs();
        if let Err(error) = (self.launch.load)().and_then(|plan| self.begin(plan, Notes::Kept)) {
            for line in error.lines() {
                say("launcher", Weight::Error, line);
            }
            say("launcher", Weight::Error, "the settings in force stay as they are");
        }
    }

    fn reopen_logs(&mut self) {
        let (Some(current), Some(plan)) = (&mut self.current, &self.plan) else {
            return;
        };
        match OpenLogs::open(&plan.logs, plan.error_log, &mut self.programs) {
            Ok(logs) => {
                current.reopen_logs(logs);
                take_stderr(current);
            }
            Err(error) => say("launcher", Weight::Error, &error),
        }
    }

    /// Signals what the workers ask for, before the dead are reaped and their numbers free for others.
    fn signal_orphans(&mut self) {
        let asked: Vec<_> = self
            .generations()
            .flat_map(|generation| std::mem::take(&mut generation.orphans))
            .collect();
        for asked in asked {
            let mut ours: Vec<i32> = self.generations().flat_map(|generation| generation.pids()).collect();
            ours.extend(self.programs.pids());
            orphans::signal(asked, &ours);
        }
    }

    /// Reaps every child that has ended, orphans of scripts among them, and passes on the news.
    fn reap(&mut self) {
        loop {
            match reap_any() {
                Ok(None) => return,
                Ok(Some((pid, ended))) => {
                    let is_role = self.generations().any(|generation| generation.notice_end(pid, &ended));
                    if !is_role {
                        self.programs.notice_end(pid, &ended);
                    }
                }
                Err(error) => return say("launcher", Weight::Error, &format!("cannot reap children: {error}")),
            }
        }
    }

    fn pass_time(&mut self) {
        let now = Instant::now();
        let Launcher {
            stock,
            current,
            candidate,
            old,
            programs,
            ..
        } = self;
        for generation in current
            .iter_mut()
            .chain(candidate.as_mut().map(|(generation, _)| generation))
            .chain(old)
        {
            generation.pass_time(stock, now);
        }
        programs.restart_due(now);
        if now >= self.look_at {
            self.look_at = now + LOOK_EVERY;
            self.look_after_logs();
        }
    }

    /// Log files that were moved away are opened again; what we had to say and found no room is said.
    fn look_after_logs(&mut self) {
        let candidate = self.candidate.as_mut().map(|(generation, _)| generation);
        for generation in candidate.into_iter().chain(&mut self.old) {
            generation.look_after_logs();
        }
        if let Some(current) = &mut self.current
            && current.look_after_logs()
        {
            take_stderr(current);
        }
        say_waiting("launcher");
    }

    /// A candidate that is ready takes over; one that failed is done away with, which is the end of a first start.
    fn settle_candidate(&mut self) -> Result<(), String> {
        let Some((mut generation, plan)) = self.candidate.take() else {
            return Ok(());
        };
        if let Some(fault) = generation.fault() {
            generation.kill();
            self.old.push(generation);
            if self.ending != Ending::No {
                return Ok(());
            }
            if self.current.is_none() {
                return Err(fault);
            }
            say(
                "launcher",
                Weight::Error,
                &format!("{fault}; the settings in force stay as they are"),
            );
        } else if generation.is_ready() && matches!(generation.phase, Phase::Starting(_)) {
            return self.promote(generation, plan);
        } else {
            self.candidate = Some((generation, plan));
        }
        Ok(())
    }

    fn promote(&mut self, mut generation: Generation, plan: Plan) -> Result<(), String> {
        generation.phase = Phase::Serving;
        let is_first = self.current.is_none();
        let pid_file = self.make_pid_file(&plan);
        if is_first {
            if let Err(error) = pid_file {
                generation.kill();
                return Err(error);
            }
            let addresses: Vec<SocketAddr> = generation.listeners.iter().map(|bound| bound.local).collect();
            (self.launch.ready)(&addresses);
        } else if let Err(error) = pid_file {
            say("launcher", Weight::Error, &error);
        }
        take_stderr(&generation);
        say(
            "launcher",
            Weight::Notice,
            if is_first {
                "serving"
            } else {
                "serving by the new settings"
            },
        );
        if let Some(mut old) = self.current.replace(generation) {
            old.drain(plan.graceful_limit);
            self.old.push(old);
        }
        self.plan = Some(plan);
        Ok(())
    }

    fn make_pid_file(&mut self, plan: &Plan) -> Result<(), String> {
        let old = self.pid_file.as_ref().map(PidFile::path);
        if old == plan.pid_file.as_deref() && old.is_some_and(|path| path.exists()) {
            return Ok(());
        }
        let told = |path: &std::path::Path, error| format!("PidFile: {}: {error}", path.display());
        self.pid_file = None; // removed before the next is made, which may have the same name
        if let Some(path) = &plan.pid_file {
            self.pid_file = Some(PidFile::create(path).map_err(|error| told(path, error))?);
        }
        Ok(())
    }

    /// Ends the log programs, after the last of their writers; the pid file goes with us.
    fn finish(self) {
        let Launcher {
            stock,
            programs,
            current,
            candidate,
            old,
            pid_file,
            ..
        } = self;
        drop((current, candidate, old));
        let is_pipe = Nature::of(rustix::stdio::stderr()).is_ok_and(|nature| nature == Nature::Pipe);
        // A log program sees its end when the last of its writers is gone, and we may be that.
        if is_pipe && let Err(error) = rustix::stdio::dup2_stderr(&stock.stderr) {
            let told = format!("cannot let go of the error log: {error}");
            say("launcher", Weight::Error, &told);
        }
        programs.finish(PROGRAM_GRACE);
        drop(pid_file);
    }

    /// Forgets generations that are over, and the log programs that nobody writes to any more.
    fn clear_away(&mut self) {
        let before = self.old.len();
        self.old.retain(|generation| !generation.is_over());
        if self.old.len() < before {
            let candidate = self.candidate.as_ref().map(|(generation, _)| generation);
            self.programs.keep(
                self.current
                    .iter()
                    .chain(candidate)
                    .chain(&self.old)
                    .map(|one| &one.logs),
            );
        }
    }
}

/// How often we look whether log files were moved away.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long after a stop we leave, whatever is left.
const END_LIMIT: Duration = Duration::from_secs(6);

/// How long log programs have to write what they have.
const PROGRAM_GRACE: Duration = Duration::from_millis(1500);

/// Who the roles are to be.
fn identity(plan: &Plan, notes: Notes) -> Result<Option<Identity>, String> {
    let note = |text: &str| {
        if notes == Notes::Said {
            say("launcher", Weight::Warning, text);
        }
    };
    match (&plan.user, Identity::process_is_root()) {
        (Some(user), true) => {
            let identity = Identity::look_up(user, plan.group.as_deref()).map_err(|error| error.to_string())?;
            Ok(Some(identity))
        }
        (None, true) if plan.listeners.iter().all(|listen| listen.address.ip().is_loopback()) => {
            note("started as root without a `User` line: everything runs as root, reachable from this machine only");
            Ok(None)
        }
        (None, true) => Err("started as root: a `User` line is needed, which says who serves requests".to_owned()),
        (user, false) => {
            if user.is_some() || plan.group.is_some() {
                note("User and Group are ignored: only root can change who a process is");
            }
            Ok(None)
        }
    }
}

/// Our own messages go to the main error log from now on.
fn take_stderr(generation: &Generation) {
    if let Some(log) = generation.logs.error()
        && let Err(error) = rustix::stdio::dup2_stderr(log)
    {
        say(
            "launcher",
            Weight::Error,
            &format!("cannot write to the error log: {error}"),
        );
    }
}

/// Our environment, for roles and log programs.
fn environment() -> Vec<CString> {
    let line = |(name, value): (OsString, OsString)| [name.into_vec(), b"=".to_vec(), value.into_vec()].concat();
    std::env::vars_os()
        .filter_map(|variable| CString::new(line(variable)).ok())
        .collect()
}

fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: time.as_secs().cast_signed(),
        tv_nsec: time.subsec_nanos().into(),
    }
}

#[cfg(test)]
mod tests;
