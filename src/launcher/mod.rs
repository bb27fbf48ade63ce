//! The parent role: binds, opens logs, starts the other roles, watches, reloads, stops. It speaks no HTTP.
//!
//! One thread, one `poll` loop. A [`Plan`] is all it knows of a configuration. The first start and every reload are one
//! path: a *candidate* generation (a worker and its spawner) is started beside the one that serves; once it is ready it
//! takes over and the old one drains, and if it fails the old one goes on.

mod asking;
mod bind;
mod candidate;
mod control;
mod ctl;
mod detach;
mod generation;
mod handover;
mod logs;
mod maps;
mod orders;
mod orphans;
mod plan;
mod programs;
mod report;
mod roles;
pub mod services;
mod system_log;
mod trial;
mod wait;
mod who;
pub mod words;

use std::env;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::base::secret::Secret;
use crate::process::environment::Environment;
use crate::process::inherit::Role;
use crate::process::listening;
use crate::process::message::ToWorker;
use crate::process::notify::{self, Notifier};
use crate::process::null;
use crate::process::pidfd::reap_any;
use crate::process::pidfile::{Holder, PidFile, holder};
use crate::process::probe;
use crate::process::say::{Weight, say, say_to, say_waiting};
use crate::process::signal::{Signal, Signals};
use crate::process::write_now::Nature;

use asking::Asking;
use bind::{Bound, Ground};
use candidate::Candidate;
use ctl::Desk;
use generation::{Generation, Making};
use logs::OpenLogs;
use maps::Maps;
use programs::Programs;
use roles::Stock;
use services::Services;
use trial::{ProgramFile, Trial};

pub use control::{NotRunning, Outcome, ask_running, signal_running};
pub use detach::{Detached, detach};
pub use handover::VERSION;
pub use plan::{
    ControlSocket, Families, IdentityBy, Listen, LogProgram, LogTarget, MapProgram, Plan, ServicePlan, Shell, SystemLog,
};
pub use trial::CommandLine;

/// What the launcher needs from its caller.
pub struct Launch<'a> {
    /// Reads and checks the settings, at the start and at every reload. The error is for people, a line per fault.
    pub load: &'a mut dyn FnMut() -> Result<Plan, String>,
    /// Reads and checks the settings, and does no more: remarks for people, and whether they would do.
    pub check: &'a dyn Fn() -> (Vec<String>, bool),
    /// The command line by which our program takes a role; its first word is what `ps` shows.
    pub role_argv: fn(Role) -> Vec<CString>,
    /// Called once, when the server accepts connections: with the addresses it listens on.
    pub ready: &'a mut dyn FnMut(&[SocketAddr]),
    /// What becomes of our standard error output.
    pub stderr: StandardError,
    /// How long a worker may give no sign of life before another takes its place. `None`: as long as it likes, as under a
    /// debugger.
    pub silence: Option<Duration>,
    /// How our program was started, so that a reload can start another version of it. `None`: it goes on as it is.
    pub command: Option<CommandLine>,
    /// A listening socket to serve at instead of the addresses of the plan.
    pub socket: Option<OwnedFd>,
    /// The number of the table that an older version of our program has handed over, which goes on in this process.
    pub handed_over: Option<RawFd>,
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
    match launch.handed_over {
        Some(table) => go_on(launch, table),
        None => start(launch),
    }
}

fn start(mut launch: Launch<'_>) -> Result<(), String> {
    let only = launch.socket.take().map(Bound::only).transpose()?;
    // First of all: before a descriptor of ours has such a number. Who has chosen a socket has asked already.
    let given = match only {
        Some(_) => Vec::new(),
        None => listening::given_by_environment(),
    };
    let plan = (launch.load)()?;
    if let Some(path) = &plan.pid_file
        && let Holder::Running(pid) = holder(path)
    {
        return Err(format!("PidFile: {}: already running as pid {pid}", path.display()));
    }
    let mut launcher = Launcher::new(launch, plan.threads).map_err(|error| format!("cannot start: {error}"))?;
    launcher.take_given(given, &plan);
    launcher.only = only.map(Rc::new);
    let result = launcher
        .begin(plan, Change::Graceful, Notes::Said)
        .and_then(|()| launcher.serve());
    launcher.finish();
    result
}

/// Goes on where an older version of our program was, in the same process.
fn go_on(launch: Launch<'_>, table: RawFd) -> Result<(), String> {
    let mut launcher = Launcher::new(launch, 1).map_err(|error| format!("cannot go on: {error}"))?;
    let change = launcher
        .take_over(table)
        .map_err(|error| format!("cannot go on: {error}"))?;
    launcher.change(change);
    let result = launcher.serve();
    launcher.finish();
    result
}

/// The launcher's whole state.
struct Launcher<'a> {
    launch: Launch<'a>,
    stock: Stock,
    signals: Signals,
    programs: Programs,
    services: Services,
    notifier: Notifier,
    /// How many listeners each address has, for good.
    copies: usize,
    /// Listeners that the service manager gave us.
    given: Vec<Rc<Bound>>,
    /// The listener that is there instead of those that plans name.
    only: Option<Rc<Bound>>,
    /// The settings in force, once something serves.
    plan: Option<Plan>,
    current: Option<Generation>,
    candidate: Option<Candidate>,
    /// Those that drain or were killed.
    old: Vec<Generation>,
    pid_file: Option<PidFile>,
    /// What a signal asked for that was not begun yet.
    wanted: Option<Change>,
    asking: Asking,
    /// Who has come to the control socket.
    desk: Desk,
    /// How many generations were begun.
    begun: u64,
    /// The file that our program is from, and whether another is there meanwhile.
    program_file: Option<ProgramFile>,
    /// Another version of our program that is being tried.
    trial: Option<Trial>,
    ending: Ending,
    /// When the names of the log files are looked at next.
    look_at: Instant,
}

/// How new settings come into force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// What goes on by the old ones comes to its end.
    Graceful,
    /// It is cut short.
    Abrupt,
}

/// Whether we are about to end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    No,
    /// With the last connection; at this time, if there is one, whatever is left is stopped.
    Graceful(Option<Instant>),
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
            Signal::SIGUSR2,
            Signal::SIGWINCH,
        ];
        let signals = Signals::take(&watched)?;
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        let null = Rc::new(null::open()?);
        let stderr = match launch.stderr {
            StandardError::Log => Rc::new(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3)?),
            StandardError::Left => Rc::clone(&null),
        };
        let env = environment();
        let programs = Programs::new(Rc::clone(&null), Rc::clone(&stderr), env.clone());
        let program = File::open("/proc/self/exe");
        let program = program.map_err(|error| io::Error::new(error.kind(), format!("/proc/self/exe: {error}")))?;
        let program = Rc::new(OwnedFd::from(program));
        let program_file = launch
            .command
            .as_ref()
            .map(|command| ProgramFile::of(command, &program));
        let silence = launch.silence;
        let stock = Stock {
            program,
            argv: launch.role_argv,
            env,
            null,
            stderr,
            secret: roles::new_secret()?,
            silence,
        };
        Ok(Launcher {
            launch,
            stock,
            signals,
            programs,
            services: Services::default(),
            notifier: Notifier::from_environment(),
            copies: threads.max(1),
            given: Vec::new(),
            only: None,
            plan: None,
            current: None,
            candidate: None,
            old: Vec::new(),
            pid_file: None,
            wanted: None,
            asking: Asking::default(),
            desk: Desk::default(),
            begun: 0,
            program_file: program_file.transpose()?,
            trial: None,
            ending: Ending::No,
            look_at: Instant::now(),
        })
    }

    /// Takes the sockets that the service manager has bound for us.
    fn take_given(&mut self, given: Vec<OwnedFd>, plan: &Plan) {
        for socket in given {
            let warning = match Bound::given(socket) {
                Ok(bound) => {
                    let unnamed = !plan.listeners.contains(&bound.listen);
                    let local = bound.local;
                    self.given.push(Rc::new(bound));
                    unnamed.then(|| format!("for {local} is not used: there is no `Listen` line for it"))
                }
                Err(error) => Some(format!("is not used: {error}")),
            };
            if let Some(warning) = warning {
                say(
                    "launcher",
                    Weight::Warning,
                    &format!("a socket of the service manager's {warning}"),
                );
            }
        }
    }

    /// Starts a candidate for these settings.
    fn begin(&mut self, mut plan: Plan, change: Change, notes: Notes) -> Result<(), String> {
        let identity = who::identity(&plan, notes)?;
        // The addresses come last: where one overlaps an old one, connections for it begin to arrive at once.
        let logs = OpenLogs::open(&plan.logs, plan.error_log, &mut self.programs)?;
        let bound = self.current.iter().flat_map(|current| &current.listeners);
        let ground = Ground {
            bound: bound.chain(&self.given).collect(),
            copies: self.copies,
            backlog: plan.backlog,
            lines: &plan.lines,
            at_once: &plan.at_once,
            silence: plan.silence,
        };
        let listeners = match &self.only {
            Some(only) => vec![Rc::clone(only)],
            None => bind::bind_all(&plan.listeners, &ground)?,
        };
        let maps = Maps::new(&plan.maps, identity.as_ref())?;
        let socket = self.desk.socket_for(&plan.control)?;
        self.begun += 1;
        self.services.prepare(&plan, identity.as_ref(), &self.stock)?;
        let settings = plan.settings.as_slice();
        let answers = self.current.as_mut().map(|current| {
            // What the old worker has said before the order came counts.
            current.hear_worker();
            current.answers.pack()
        });
        let keys = Secret::joined(&[&plan.keys, answers.as_deref().unwrap_or_default()]);
        let making = Making {
            number: self.begun,
            settings,
            keys: &keys,
            worker_as: identity.clone().filter(|_| plan.worker_by == IdentityBy::Launcher),
            spawner_as: identity.filter(|_| plan.spawner_by == IdentityBy::Launcher),
            listeners,
            logs,
            maps,
            threads: plan.threads,
        };
        let generation = Generation::start(&self.stock, making)?;
        // From now on they are in the memory file alone, which nobody but the worker is given.
        plan.keys = Secret::default();
        drop(keys);
        self.candidate = Some(Candidate {
            generation,
            plan,
            change,
            socket,
        });
        Ok(())
    }

    fn serve(&mut self) -> Result<(), String> {
        while !self.has_ended() {
            let woke = self.wait().map_err(|error| format!("cannot wait: {error}"))?;
            self.take_signals()
                .map_err(|error| format!("cannot read signals: {error}"))?;
            for generation in self.generations() {
                generation.hear_worker();
                generation.hear_spawner();
            }
            self.signal_orphans();
            self.hear_of_services();
            self.tell_of_server();
            self.reap();
            self.pass_time(woke);
            self.attend_desk(woke);
            self.begin_what_is_wanted();
            self.settle_candidate()?;
            self.answer();
            self.clear_away();
        }
        Ok(())
    }

    fn generations(&mut self) -> impl Iterator<Item = &mut Generation> {
        self.current
            .iter_mut()
            .chain(self.candidate.as_mut().map(|candidate| &mut candidate.generation))
            .chain(&mut self.old)
    }

    fn has_ended(&self) -> bool {
        match self.ending {
            Ending::No => false,
            Ending::Now(until) if Instant::now() >= until => true,
            Ending::Graceful(_) | Ending::Now(_) => {
                self.candidate.is_none() && self.old.is_empty() && self.current.as_ref().is_none_or(Generation::is_over)
            }
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
            ours.extend(self.services.pids());
            ours.extend(self.trial.as_ref().map(Trial::pid));
            orphans::signal(asked, &ours);
        }
    }

    /// Passes on what the workers say of services.
    fn hear_of_services(&mut self) {
        let news: Vec<_> = self
            .generations()
            .flat_map(|generation| std::mem::take(&mut generation.news))
            .collect();
        for news in news {
            self.services.hear(&news, &self.stock);
        }
    }

    /// Tells the workers whose connections lead to processes that others have taken the places of.
    fn tell_of_services(&mut self) {
        for (name, number) in self.services.take_renewed() {
            let renewed = ToWorker::ServiceRenewed {
                name: name.into_bytes(),
                process: number.into(),
            };
            for generation in self.generations() {
                generation.worker.tell(&renewed);
            }
        }
    }

    /// Reaps every child that has ended, orphans of scripts among them, and passes on the news.
    fn reap(&mut self) {
        loop {
            match reap_any() {
                Ok(None) => return,
                Ok(Some((pid, ended))) => {
                    let is_role = self.generations().any(|generation| generation.notice_end(pid, &ended));
                    if !is_role && !self.notice_trial_end(pid, &ended) && !self.programs.notice_end(pid, &ended) {
                        self.services.notice_end(pid, &ended, &self.stock);
                    }
                }
                Err(error) => return say("launcher", Weight::Error, &format!("cannot reap children: {error}")),
            }
        }
    }

    fn pass_time(&mut self, now: Instant) {
        let Launcher {
            stock,
            current,
            candidate,
            old,
            programs,
            services,
            ..
        } = self;
        for generation in current
            .iter_mut()
            .chain(candidate.as_mut().map(|candidate| &mut candidate.generation))
            .chain(old)
        {
            generation.pass_time(stock, now);
        }
        programs.restart_due(now);
        services.pass_time(now, stock);
        self.tell_of_services();
        self.notifier.pass_time(now);
        self.pass_trial_time(now);
        if matches!(self.ending, Ending::Graceful(Some(until)) if until <= now) {
            self.stop();
        }
        if now >= self.look_at {
            self.look_at = now + LOOK_EVERY;
            self.look_after_logs();
        }
    }

    /// Log files that were moved away are opened again; what we had to say and found no room is said.
    fn look_after_logs(&mut self) {
        let candidate = self.candidate.as_mut().map(|candidate| &mut candidate.generation);
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

    /// Ends the log programs, after the last of their writers; the pid file goes with us.
    fn finish(mut self) {
        let whole = self.has_ended_whole();
        let mut ours: Vec<i32> = self.generations().flat_map(|generation| generation.pids()).collect();
        ours.extend(self.programs.pids().chain(self.services.pids()));
        orphans::end_all(&ours, ORPHANS_GRACE);
        let Launcher {
            stock,
            programs,
            services,
            current,
            candidate,
            old,
            pid_file,
            desk,
            ..
        } = self;
        drop((current, candidate, old));
        services.finish(PROGRAM_GRACE);
        let is_pipe = Nature::of(rustix::stdio::stderr()).is_ok_and(|nature| nature == Nature::Pipe);
        // A log program sees its end when the last of its writers is gone, and we may be that.
        if is_pipe && let Err(error) = rustix::stdio::dup2_stderr(&stock.stderr) {
            let told = format!("cannot let go of the error log: {error}");
            say("launcher", Weight::Error, &told);
        }
        programs.finish(PROGRAM_GRACE);
        drop(pid_file);
        desk.close(whole);
    }

    /// Forgets generations that are over, and the log programs that nobody writes to any more.
    fn clear_away(&mut self) {
        let before = self.old.len();
        self.old.retain(|generation| !generation.is_over());
        if self.old.len() < before {
            self.let_go_of_programs();
        }
    }

    /// Those that no log in use needs see their end.
    fn let_go_of_programs(&mut self) {
        let candidate = self.candidate.as_ref().map(|candidate| &candidate.generation);
        let used = self.current.iter().chain(candidate).chain(&self.old);
        self.programs.keep(used.map(|one| &one.logs));
    }
}

/// How often we look whether log files were moved away.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long after a stop we leave, whatever is left.
const END_LIMIT: Duration = Duration::from_secs(6);

/// How long scripts whose spawner has died have after their SIGTERM when we end.
const ORPHANS_GRACE: Duration = Duration::from_millis(1500);

/// How long log programs have to write what they have, and services to end.
const PROGRAM_GRACE: Duration = Duration::from_millis(1500);

/// Our own messages go to the main error log from now on.
fn take_stderr(generation: &Generation) {
    let Some(log) = generation.logs.error() else { return };
    let taken = rustix::stdio::dup2_stderr(log);
    if taken.is_ok() {
        say_to(generation.logs.system_log());
    }
    if let Err(error) = taken {
        say(
            "launcher",
            Weight::Error,
            &format!("cannot write to the error log: {error}"),
        );
    }
}

/// Our environment, for roles and log programs: all but what the service manager said to us alone.
fn environment() -> Environment {
    whole_environment(|name| !notify::VARIABLES.contains(&name))
}

/// Our environment, as far as its names are wanted.
fn whole_environment(is_wanted: impl Fn(&str) -> bool) -> Environment {
    env::vars_os()
        .filter(|(name, _)| name.to_str().is_none_or(&is_wanted))
        .map(|(name, value)| (name.into_vec(), value.into_vec()))
        .collect()
}

#[cfg(test)]
mod tests;
