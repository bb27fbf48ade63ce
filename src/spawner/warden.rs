//! The process between the spawner and a script of CGIProcessTree kill: whatever the script starts ends with it.
//!
//! A copy of the spawner that has let go of all it need not have. As a subreaper (prctl(2)) it becomes the parent of
//! everything below it that loses its own, whatever session that has gone to, so that it has ended its task when it has no
//! children any more. It speaks to the spawner as the spawner does to a worker, of one script.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{DumpableBehavior, Signal as RawSignal};

use crate::process::channel::{Channel, Heard, Wait};
use crate::process::child::{Child, ChildSpec, SpawnError, spawn};
use crate::process::descendants::ProcessTable;
use crate::process::fork::{Forked, fork};
use crate::process::message::{Failed, ScriptNews, ScriptOrder};
use crate::process::pidfd::{Children, Reap, reap_ended, signal_group};
use crate::process::signal::{Signal, Signals};
use crate::process::title;

/// What a warden is to do.
pub(super) struct Task<'a> {
    /// The number of its script.
    pub(super) id: u64,
    /// What its script is.
    pub(super) spec: &'a ChildSpec<'a>,
    /// What to say of a script that cannot be started.
    pub(super) failed: &'a dyn Fn(SpawnError) -> Failed,
    /// How long what the script has left has between SIGTERM and SIGKILL.
    pub(super) grace: Duration,
    /// Where processes are found; without it only the script's process group is.
    pub(super) table: Option<&'a ProcessTable>,
    /// What stands in for standard input, output and error.
    pub(super) null: &'a OwnedFd,
}

/// A warden, as the spawner has it.
#[derive(Debug)]
pub(super) struct Ward {
    /// The warden.
    pub(super) child: Child,
    /// What it says of its script, and hears.
    pub(super) channel: Channel,
}

/// What is left of a script when its warden ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// Nothing.
    Nothing,
    /// Something that SIGKILL did not end in time.
    Something,
    /// Something that is not to be found without /proc.
    Unseen,
}

/// How long what has had SIGKILL is waited for; no directive moves it. One that sits in a system call which nothing
/// interrupts is left behind then, and the log says so.
pub(super) const KILL_LIMIT: Duration = Duration::from_secs(5);

/// Between two looks for what was started since the one before.
const PAUSE: Duration = Duration::from_millis(5);

/// Starts a warden, which starts the script.
pub(super) fn post(task: &Task<'_>) -> io::Result<Ward> {
    let (ours, theirs) = Channel::pair()?;
    let child = fork(|copy| match stand(&copy, task, &theirs) {
        Ok(left) => left.code(),
        Err(_) => Left::Something.code(),
    })?;
    Ok(Ward { child, channel: ours })
}

/// The warden's whole life.
fn stand(copy: &Forked, task: &Task<'_>, channel: &Channel) -> io::Result<Left> {
    title::rename(c"lychgate: warden", c"warden")?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    // Its script must not trace it.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let id = task.id;
    let script = match spawn(task.spec) {
        Ok(script) => script,
        Err(error) => {
            let failed = (task.failed)(error);
            channel.tell(&ScriptNews::Failed { id, failed }, Wait::Yes)?;
            return Ok(Left::Nothing);
        }
    };
    let pidfd = Some(script.pidfd.as_fd().try_clone_to_owned()?);
    let pid = script.pid;
    // A spawner that has gone meanwhile is no reason to leave the script unattended.
    let _spawner_is_gone = channel.tell(&ScriptNews::Started { id, pid, pidfd }, Wait::Yes);
    rustix::stdio::dup2_stdin(task.null)?;
    rustix::stdio::dup2_stdout(task.null)?;
    rustix::stdio::dup2_stderr(task.null)?;
    let standard = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    let mut kept = vec![channel.as_fd(), script.pidfd.as_fd()];
    kept.extend(standard);
    kept.extend(task.table.map(AsFd::as_fd));
    copy.keep_only(&kept)?;
    let mut watch = Watch {
        id,
        channel: Some(channel),
        script,
        has_ended: false,
        children: None,
        grace: task.grace,
        table: task.table,
        stage: Stage::Running,
        asked: HashSet::new(),
    };
    watch.run()
}

/// A warden on its watch.
struct Watch<'a> {
    id: u64,
    /// Until the spawner is gone: then it goes on by itself.
    channel: Option<&'a Channel>,
    script: Child,
    has_ended: bool,
    /// The signals of other children that end, once the script itself has.
    children: Option<Signals>,
    grace: Duration,
    table: Option<&'a ProcessTable>,
    stage: Stage,
    /// Who has had SIGTERM.
    asked: HashSet<i32>,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The script runs.
    Running,
    /// What it has left has had SIGTERM, and will have SIGKILL at this time.
    Asked(Instant),
    /// All of it gets SIGKILL until nothing is left, or until this time.
    Killing(Instant),
}

impl Watch<'_> {
    fn run(&mut self) -> io::Result<Left> {
        loop {
            self.wait()?;
            self.obey();
            if !self.has_ended {
                self.look_after_script()?;
            }
            if self.has_ended && reap_ended()? == Children::None {
                return Ok(Left::Nothing);
            }
            match self.stage {
                Stage::Asked(until) if Instant::now() >= until => self.kill(),
                Stage::Asked(_) => self.ask_all(),
                Stage::Running => {}
                Stage::Killing(until) if Instant::now() >= until => {
                    return Ok(self.table.map_or(Left::Unseen, |_| Left::Something));
                }
                Stage::Killing(_) => self.end_all(),
            }
        }
    }

    /// Waits until something is to be done.
    fn wait(&self) -> io::Result<()> {
        let mut polled = Vec::with_capacity(2);
        polled.extend(self.channel.map(|channel| PollFd::new(channel, PollFlags::IN)));
        polled.push(match &self.children {
            None => PollFd::new(&self.script.pidfd, PollFlags::IN),
            Some(children) => PollFd::new(children, PollFlags::IN),
        });
        let limit = match self.stage {
            Stage::Running => None,
            Stage::Asked(until) => Some(until.saturating_duration_since(Instant::now())),
            Stage::Killing(_) => Some(PAUSE),
        };
        let limit = limit.map(|time| Timespec {
            tv_sec: time.as_secs().cast_signed(),
            tv_nsec: time.subsec_nanos().into(),
        });
        rustix::io::retry_on_intr(|| rustix::event::poll(&mut polled, limit.as_ref()))?;
        if let Some(children) = &self.children {
            while children.next()?.is_some() {}
        }
        Ok(())
    }

    /// Does what the spawner says. Letting go of the script changes nothing: what it leaves has to end all the same.
    fn obey(&mut self) {
        while let Some(channel) = self.channel {
            match channel.hear(Wait::No) {
                Ok(Heard::Message(ScriptOrder::Signal { signal, .. })) => {
                    if let Some(signal) = RawSignal::from_named_raw(signal) {
                        self.signal(signal);
                    }
                }
                Ok(Heard::Message(ScriptOrder::Start(_) | ScriptOrder::Release { .. }) | Heard::Unknown(_)) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Ok(Heard::Closed) | Err(_) => self.channel = None,
            }
        }
    }

    /// Signals the script's group while the script keeps its number, then what is left; SIGKILL is for everything.
    fn signal(&mut self, signal: RawSignal) {
        if !self.has_ended {
            self.signal_group(signal);
        } else if signal != RawSignal::KILL {
            self.signal_all(signal);
        }
        if signal == RawSignal::KILL {
            self.kill();
        }
    }

    fn kill(&mut self) {
        if !matches!(self.stage, Stage::Killing(_)) {
            self.stage = Stage::Killing(Instant::now() + KILL_LIMIT);
        }
        self.end_all();
    }

    /// Tells of the script's end at once, then asks what it has left to end too.
    fn look_after_script(&mut self) -> io::Result<()> {
        let Some(ended) = self.script.pidfd.try_wait(Reap::No)? else {
            return Ok(());
        };
        if let Some(channel) = self.channel {
            let _spawner_is_gone = channel.tell(&ScriptNews::Ended { id: self.id, ended }, Wait::Yes);
        }
        self.has_ended = true;
        if self.table.is_none() {
            // The last moment at which the group's number is certain to be its own.
            self.signal_group(RawSignal::KILL);
            self.stage = Stage::Killing(Instant::now() + KILL_LIMIT);
        }
        if reap_ended()? == Children::None {
            return Ok(());
        }
        self.children = Some(Signals::take(&[Signal::SIGCHLD])?); // whoever ended before this line is reaped behind it
        if self.stage == Stage::Running {
            self.stage = Stage::Asked(Instant::now() + self.grace);
        }
        Ok(())
    }

    /// Nothing of it may be left alone for want of a right: what cannot be signalled is found out by its staying.
    fn signal_group(&self, signal: RawSignal) {
        let _found_out_later = signal_group(self.script.pid, signal);
    }

    fn signal_all(&self, signal: RawSignal) {
        if let Some(table) = self.table {
            let _found_out_later = table.visit(|_, pidfd| {
                let _found_out_later = pidfd.signal(signal);
            });
        }
    }

    /// Asks all that has not been asked yet to end: what one of them had just started comes to light when that one ends.
    fn ask_all(&mut self) {
        let asked = &mut self.asked;
        if let Some(table) = self.table {
            let _found_out_later = table.visit(|pid, pidfd| {
                if asked.insert(pid) {
                    let _found_out_later = pidfd.signal(RawSignal::TERM);
                }
            });
        }
    }

    /// Stops everything first, so that nothing can be started while we look, and goes on until there is nothing new; then
    /// kills it all.
    fn end_all(&self) {
        let Some(table) = self.table else { return };
        let Stage::Killing(until) = self.stage else { return };
        let mut before = HashSet::new();
        loop {
            if self.has_ended {
                // One that starts its successor and ends would fill the table with its dead.
                let _nothing_may_be_left = reap_ended();
            }
            let mut now = HashSet::new();
            let looked = table.visit(|pid, pidfd| {
                now.insert(pid);
                let _found_out_later = pidfd.signal(RawSignal::STOP);
            });
            if looked.is_err() || now.is_subset(&before) || Instant::now() >= until {
                break;
            }
            before = now;
        }
        self.signal_all(RawSignal::KILL);
    }
}

impl Left {
    /// As an exit status.
    fn code(self) -> u8 {
        match self {
            Left::Nothing => 0,
            Left::Something => 1,
            Left::Unseen => 2,
        }
    }

    /// What an exit status says.
    pub(super) fn from_code(code: i32) -> Option<Left> {
        [Left::Nothing, Left::Something, Left::Unseen]
            .into_iter()
            .find(|left| i32::from(left.code()) == code)
    }
}
