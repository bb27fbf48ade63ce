//! A script that was started, until it has ended and its worker has let go of it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::Signal;

use super::prepare::{Begun, Starting};
use super::terms::Care;
use super::warden::{KILL_LIMIT, Left, Ward};
use crate::config::directives::cgi::ClientGone;
use crate::process::channel::{Heard, Wait};
use crate::process::child::{Child, Step};
use crate::process::message::{Failed, ScriptNews, ScriptOrder};
use crate::process::pidfd::{Ended, Exit, Reap, signal_group};
use crate::process::say::{Weight, say};

/// One script.
pub(super) struct Script {
    key: (u64, u64),
    by: By,
    care: Care,
    /// As long as it may not have been executed.
    start: Option<Starting>,
    life: Life,
    released: bool,
    /// Its worker has died; at this time what is left of it gets SIGKILL.
    kill_at: Option<Instant>,
    /// Its worker has not heard of it yet, and does so at this time, or with its end.
    tell_at: Option<Instant>,
}

/// Whose child it is.
pub(super) enum By {
    /// Ours.
    Us(Child),
    /// A warden's, with the script's number once it has started.
    Warden(Ward, Option<i32>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Running,
    /// Ended and kept as a zombie; or its warden has not ended yet.
    Ended,
    /// Its number may be somebody else's by now.
    Reaped,
}

impl Script {
    pub(super) fn new(key: (u64, u64), begun: Begun) -> Script {
        let Begun { by, care, start } = begun;
        Script {
            key,
            by,
            care,
            start,
            life: Life::Running,
            released: false,
            kill_at: None,
            tell_at: None,
        }
    }

    /// The same, of which its worker hears at this time, or with its end. A warden tells of its own as soon as that runs.
    pub(super) fn told_at(self, at: Instant) -> Script {
        let is_ours = matches!(self.by, By::Us(_));
        Script {
            tell_at: is_ours.then_some(at),
            ..self
        }
    }

    /// Its line and its number there.
    pub(super) fn key(&self) -> (u64, u64) {
        self.key
    }

    /// What is readable when there is news of it; nothing when there will be none.
    pub(super) fn watched(&self) -> Option<BorrowedFd<'_>> {
        match &self.by {
            By::Us(child) => {
                let starting = self.start.as_ref().and_then(Starting::watched);
                (self.life == Life::Running).then(|| starting.unwrap_or(child.pidfd.as_fd()))
            }
            By::Warden(ward, _) => (self.life != Life::Reaped).then(|| ward.channel.as_fd()),
        }
    }

    /// Has it ended? One with a warden has when the warden has nothing left to do.
    pub(super) fn has_ended(&self) -> bool {
        match self.by {
            By::Us(_) => self.life != Life::Running,
            By::Warden(..) => self.life == Life::Reaped,
        }
    }

    /// Has it ended, been released and been reaped? A warden keeps what it must and asks nobody.
    pub(super) fn is_done(&self) -> bool {
        self.life == Life::Reaped
    }

    /// Signals its group, whose number is its own until it is reaped. With a warden SIGKILL reaches what has left the
    /// group too.
    pub(super) fn signal(&mut self, signal: Signal) {
        if self.life == Life::Reaped {
            return;
        }
        let signalled = match &self.by {
            By::Us(child) => {
                if self.start.is_some() {
                    child.leads_its_group();
                }
                signal_group(child.pid, signal)
            }
            By::Warden(ward, _) => {
                let (id, signal) = (self.key.1, signal.as_raw());
                match ward.channel.tell(&ScriptOrder::Signal { id, signal }, Wait::No) {
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()), // it has just ended
                    told => told,
                }
            }
        };
        if let Err(error) = signalled {
            let pid = self.pid();
            complain(&format!("cannot signal the process group {pid}: {error}"));
        }
    }

    /// What is new of it, if something is.
    pub(super) fn news(&mut self) -> Option<ScriptNews> {
        let By::Us(child) = &self.by else {
            return self.hear_warden();
        };
        let (id, pid) = (self.key.1, child.pid);
        // What was kept for its start is let go of behind the news.
        if let Some(starting) = self.start.as_mut().filter(|starting| starting.is_over()) {
            if let Some(failed) = starting.failed() {
                // It has ended itself, or is about to; its worker lets go of what has failed without saying so.
                let _reaped = child.pidfd.wait();
                self.life = Life::Reaped;
                return Some(ScriptNews::Failed { id, failed });
            }
            if starting.watched().is_some() {
                self.start = None;
                return self.told_to_run();
            }
        }
        let ended = self.notice_end()?;
        Some(match self.tell_at.take() {
            Some(_) => ScriptNews::Ran { id, pid, ended },
            None => ScriptNews::Ended { id, ended },
        })
    }

    /// What was kept for its start is needed no longer than that takes, and that may not take too long.
    pub(super) fn let_land(&mut self) {
        if self.start.as_mut().is_some_and(Starting::is_late) {
            self.signal(Signal::KILL);
        }
        let is_done = |starting: &mut Starting| {
            let is_told_of = starting.watched().is_some();
            starting.is_over() && !is_told_of && starting.failed().is_none()
        };
        self.start.take_if(is_done);
    }

    /// How our child ended, if it has and that was not known before.
    fn notice_end(&mut self) -> Option<Ended> {
        let By::Us(child) = &self.by else { return None };
        if self.life != Life::Running {
            return None;
        }
        let reap = if self.released { Reap::Yes } else { Reap::No };
        match child.pidfd.try_wait(reap) {
            Ok(None) => None,
            Ok(Some(ended)) => {
                self.life = if self.released { Life::Reaped } else { Life::Ended };
                Some(ended)
            }
            Err(error) => {
                complain(&format!("cannot wait for process {}: {error}", child.pid));
                self.life = Life::Reaped;
                None
            }
        }
    }

    fn hear_warden(&mut self) -> Option<ScriptNews> {
        let By::Warden(ward, script) = &mut self.by else {
            return None;
        };
        match ward.channel.hear(Wait::No) {
            Ok(Heard::Message(news)) => {
                match &news {
                    ScriptNews::Started { pid, .. } => *script = Some(*pid),
                    ScriptNews::Failed { .. } | ScriptNews::Ended { .. } | ScriptNews::Ran { .. } => {
                        self.life = Life::Ended;
                    }
                }
                Some(news)
            }
            Ok(Heard::Unknown(error)) => {
                complain(&format!("from a warden: {error}: ignored"));
                None
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Ok(Heard::Closed) | Err(_) => self.notice_warden_end(),
        }
    }

    /// The warden has closed its channel, so it has ended, or is about to. Should it have died at its work, then its script
    /// has been killed thereby; what that has left is out of reach.
    fn notice_warden_end(&mut self) -> Option<ScriptNews> {
        let By::Warden(ward, script) = &self.by else {
            return None;
        };
        let was_running = self.life == Life::Running;
        self.life = Life::Reaped;
        let ended = ward.child.pidfd.wait();
        let (pid, id) = (ward.child.pid, self.key.1);
        let exit = ended.map(|ended| ended.exit);
        let left = match exit {
            Ok(Exit::Code(code)) => Left::from_code(code),
            _ => None,
        };
        let whose = script.map_or(String::new(), |script| format!(" of script {script}"));
        match (left, exit) {
            (Some(Left::Nothing), _) => {}
            (Some(Left::Something), _) => complain(&format!(
                "what is left{whose} did not end within {} s of SIGKILL: it is left alone",
                KILL_LIMIT.as_secs()
            )),
            (Some(Left::Unseen), _) => complain(&format!(
                "without /proc only the process group{whose} was ended (CGIProcessTree kill): something is left"
            )),
            (None, Ok(exit)) => complain(&format!(
                "the warden{whose} died ({exit}): what the script has started may be left"
            )),
            (None, Err(error)) => complain(&format!("cannot wait for process {pid}: {error}")),
        }
        was_running.then(|| match script {
            Some(_) => ScriptNews::Ended { id, ended: KILLED },
            None => ScriptNews::Failed {
                id,
                failed: Failed {
                    step: Step::Clone,
                    errno: Errno::CANCELED.raw_os_error(),
                    first_line: Vec::new(),
                    told: Vec::new(),
                },
            },
        })
    }

    /// Its worker has died without having let go of it: nobody reads it and nobody watches the time. It is as if its
    /// client had left (CGIClientGone).
    pub(super) fn abandon(&mut self) {
        self.tell_at = None;
        let is_to_end = self.care.client_gone == ClientGone::Terminate;
        if self.life == Life::Running && !self.released && is_to_end {
            self.signal(Signal::TERM);
            self.kill_at = Some(Instant::now() + self.care.grace);
        } else {
            self.release();
        }
    }

    /// When something is to be done about it: end it, as its worker has died or it does not come to run, or tell of it.
    pub(super) fn due_at(&self) -> Option<Instant> {
        let given_up = self.start.as_ref().and_then(Starting::until);
        self.kill_at.into_iter().chain(self.tell_at).chain(given_up).min()
    }

    /// That it runs, if its time to be told of has come.
    pub(super) fn overdue_news(&mut self, now: Instant) -> Option<ScriptNews> {
        if self.life != Life::Running || self.tell_at.is_none_or(|at| at > now) {
            return None;
        }
        if self.start.is_some() {
            // Nobody has seen it run.
            self.tell_at = Some(now + TOLD_AGAIN);
            return None;
        }
        self.told_to_run()
    }

    /// That it runs.
    fn told_to_run(&mut self) -> Option<ScriptNews> {
        let By::Us(child) = &self.by else { return None };
        let Ok(pidfd) = child.pidfd.as_fd().try_clone_to_owned() else {
            // There are no descriptors at the moment. Its worker goes on waiting.
            self.tell_at = Some(Instant::now() + TOLD_AGAIN);
            return None;
        };
        self.tell_at = None;
        Some(ScriptNews::Started {
            id: self.key.1,
            pid: child.pid,
            pidfd: Some(pidfd),
        })
    }

    /// Ends what is left of it, once its time has come.
    pub(super) fn end_abandoned(&mut self) {
        if self.kill_at.is_some_and(|at| Instant::now() >= at) {
            self.kill_at = None;
            self.signal(Signal::KILL);
            self.release();
        }
    }

    /// Its worker has let go of it: it is reaped as soon as it has ended.
    pub(super) fn release(&mut self) {
        self.released = true;
        if let By::Us(child) = &self.by
            && self.life == Life::Ended
        {
            // It was seen to have ended, so this takes the zombie away; no other answer is possible.
            let _known = child.pidfd.try_wait(Reap::Yes);
            self.life = Life::Reaped;
        }
    }

    /// Its number is needed until we end, for what may be left of its group: it is not reaped, though its worker has let go of it.
    pub(super) fn keep(&mut self) {
        self.released = false;
    }

    /// Its number; its warden's until it has one.
    fn pid(&self) -> i32 {
        match &self.by {
            By::Us(child) => child.pid,
            By::Warden(ward, script) => script.unwrap_or(ward.child.pid),
        }
    }
}

/// How long after a failure it is tried again to tell of a script.
const TOLD_AGAIN: Duration = Duration::from_millis(20);

/// The end of a script whose warden was killed.
const KILLED: Ended = Ended {
    exit: Exit::Signal(libc::SIGKILL),
    user: Duration::ZERO,
    system: Duration::ZERO,
};

fn complain(what: &str) {
    say("spawner", Weight::Error, what);
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::os::fd::AsFd;
    use std::time::{Duration, Instant};

    use rustix::process::Signal;

    use super::{Begun, By, Script};
    use crate::config::directives::cgi::ClientGone;
    use crate::process::child::{ChildSpec, Program, Session, spawn};
    use crate::process::message::ScriptNews;
    use crate::process::pidfd::{Exit, Pidfd};
    use crate::spawner::terms::Care;

    const LONG: Duration = Duration::from_secs(600);

    /// A shell that runs `command`, told of after `patience`; and its descriptor.
    fn script(command: &str, patience: Duration) -> (Script, Pidfd) {
        let null = std::fs::File::open("/dev/null").expect("it is there");
        let argv = ["sh", "-c", command].map(|word| CString::new(word).expect("no NUL"));
        let mut spec = ChildSpec::new(Program::Path(c"/bin/sh"), argv.to_vec(), vec![null.as_fd(); 3]);
        spec.session = Session::Group;
        let child = spawn(&spec).expect("the shell is there");
        let pidfd = child.pidfd.as_fd().try_clone_to_owned().expect("descriptors are free");
        let care = Care {
            client_gone: ClientGone::Terminate,
            grace: LONG,
        };
        let (by, start) = (By::Us(child), None);
        let script = Script::new((0, 7), Begun { by, care, start }).told_at(Instant::now() + patience);
        (script, pidfd.into())
    }

    #[test]
    fn one_that_ends_soon_is_told_of_once() {
        let (mut script, pidfd) = script("exit 3", LONG);
        assert!(script.overdue_news(Instant::now()).is_none(), "it may take its time");
        assert!(pidfd.ends_within(LONG).expect("it can be polled"));
        let Some(ScriptNews::Ran { id: 7, ended, .. }) = script.news() else {
            panic!("it has ended");
        };
        assert_eq!(ended.exit, Exit::Code(3));
        assert!(script.news().is_none() && script.due_at().is_none());
        script.release();
        assert!(script.is_done());
    }

    #[test]
    fn one_that_goes_on_is_told_of_twice() {
        let (mut script, pidfd) = script("sleep 600", Duration::ZERO);
        assert!(script.due_at().is_some());
        let Some(ScriptNews::Started { id: 7, pid, .. }) = script.overdue_news(Instant::now()) else {
            panic!("it is time");
        };
        assert_eq!((pid, script.due_at()), (script.pid(), None));
        assert!(script.overdue_news(Instant::now()).is_none(), "its worker knows");
        script.signal(Signal::KILL);
        assert!(pidfd.ends_within(LONG).expect("it can be polled"));
        let Some(ScriptNews::Ended { id: 7, ended }) = script.news() else {
            panic!("it has ended");
        };
        assert_eq!(ended.exit, Exit::Signal(libc::SIGKILL));
        script.release();
    }
}
