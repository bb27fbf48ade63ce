//! A role as a process: started from the program we are, told and heard over a channel, watched.

use std::ffi::CString;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use rustix::rand::GetRandomFlags;

use crate::auth::nonce::SECRET;
use crate::process::backoff::Backoff;
use crate::process::channel::{Channel, Wait};
use crate::process::child::{Bounding, Child, ChildSpec, NewPrivileges, Program, Session, spawn};
use crate::process::environment::Environment;
use crate::process::handover::{Pack, Unpack, Unreadable};
use crate::process::identity::Identity;
use crate::process::inherit::{Outfit, Role};
use crate::process::limits::Limit;
use crate::process::message::Message;
use crate::process::pidfd::{Ended, Pidfd};
use crate::process::say::{Complaints, Weight, say};

/// What all roles have in common.
pub(super) struct Stock {
    /// The program, opened when we started: a role restarted later is of our version.
    pub(super) program: Rc<OwnedFd>,
    /// The command line of a role.
    pub(super) argv: fn(Role) -> Vec<CString>,
    pub(super) env: Environment,
    pub(super) null: Rc<OwnedFd>,
    pub(super) stderr: Rc<OwnedFd>,
    /// What all workers share and nobody else knows; as long as the server runs.
    pub(super) secret: Vec<u8>,
    /// How long a worker may be silent before another takes its place.
    pub(super) silence: Option<Duration>,
}

/// Bytes that nobody can guess.
pub(super) fn new_secret() -> io::Result<Vec<u8>> {
    let mut secret = [0; SECRET];
    match rustix::rand::getrandom(&mut secret, GetRandomFlags::empty())? {
        SECRET => Ok(secret.to_vec()),
        _ => Err(io::Error::other("the system gives no random numbers")),
    }
}

/// One role of one generation, through all its deaths.
pub(super) struct RoleProcess {
    role: Role,
    /// Its process, while it lives.
    pub(super) child: Option<Child>,
    /// Our end of the channel to it.
    pub(super) channel: Option<Channel>,
    pub(super) is_ready: bool,
    pub(super) restart_at: Option<Instant>,
    /// When it last said something, or was started.
    pub(super) heard: Instant,
    pub(super) started: Instant,
    /// The number of the question that was put to this process last; 0 for none.
    asked: u64,
    backoff: Backoff,
    /// What is wrong with what it says.
    pub(super) complaints: Complaints,
}

/// What a role is given besides its channel to us.
pub(super) struct Given<'a> {
    pub(super) program: BorrowedFd<'a>,
    pub(super) settings: BorrowedFd<'a>,
    pub(super) scripts: Vec<BorrowedFd<'a>>,
    pub(super) listeners: Vec<Vec<BorrowedFd<'a>>>,
    pub(super) logs: Vec<BorrowedFd<'a>>,
    pub(super) stderr: BorrowedFd<'a>,
    pub(super) identity: Option<&'a Identity>,
    /// The keys of TLS. None for a spawner.
    pub(super) keys: Option<BorrowedFd<'a>>,
}

impl RoleProcess {
    pub(super) fn new(role: Role) -> RoleProcess {
        RoleProcess {
            role,
            child: None,
            channel: None,
            is_ready: false,
            restart_at: None,
            asked: 0,
            backoff: Backoff::default(),
            heard: Instant::now(),
            complaints: Complaints::default(),
            started: Instant::now(),
        }
    }

    pub(super) fn is(&self, pid: i32) -> bool {
        self.child.as_ref().is_some_and(|child| child.pid == pid)
    }

    /// Starts it, for the first time or again.
    pub(super) fn start(&mut self, stock: &Stock, given: Given<'_>) -> Result<(), String> {
        let name = self.role.name();
        let told = |error: &dyn std::fmt::Display| format!("cannot start the {name}: {error}");
        let (ours, theirs) = Channel::pair().map_err(|error| told(&error))?;
        let Given {
            program,
            settings,
            scripts,
            listeners,
            logs,
            stderr,
            identity,
            keys,
        } = given;
        let outfit = Outfit {
            role: self.role,
            settings,
            launcher: theirs.as_fd(),
            scripts,
            listeners,
            logs,
            secret: match self.role {
                Role::Worker => &stock.secret,
                Role::Spawner => &[],
            },
            keys,
        };
        let table = outfit.table().map_err(|error| told(&error))?;
        let mut descriptors = vec![stock.null.as_fd(), stock.null.as_fd(), stderr, table.as_fd()];
        descriptors.extend(outfit.descriptors());
        let mut spec = ChildSpec::new(Program::Descriptor(program), (stock.argv)(self.role), descriptors);
        spec.env.clone_from(&stock.env);
        spec.session = Session::NoTerminal; // a Ctrl-C there is for the launcher alone
        spec.identity = identity;
        // A spawner has scripts to end first. It sees our end by its channel, also if it was stopped.
        spec.parent_death = Some(Signal::CONT);
        if self.role == Role::Worker {
            spec.parent_death = Some(Signal::KILL);
            spec.new_privileges = NewPrivileges::Never;
            if identity.is_some() {
                // One that takes its identity itself needs root's power for it, and empties the set afterwards.
                spec.bounding = Bounding::Empty;
            }
            spec.limits = vec![Limit::all_files()];
        }
        self.child = Some(spawn(&spec).map_err(|error| told(&error))?);
        self.channel = Some(ours);
        self.started = Instant::now();
        self.heard = self.started;
        self.restart_at = None;
        self.is_ready = false;
        self.asked = 0;
        Ok(())
    }

    /// Puts the question of this number, which is this message.
    pub(super) fn ask(&mut self, number: u64, question: &impl Message) {
        self.asked = number;
        self.tell(question);
    }

    /// Whether it is to answer the question of this number: it serves, and it was put to it. One that is being started reads it
    /// when it serves, and whoever came after it knows nothing of it; neither is waited for.
    pub(super) fn owes(&self, number: u64) -> bool {
        self.is_ready && self.channel.is_some() && self.asked >= number
    }

    /// Tells it something. One that is dead or does not listen hears it no more: it is dealt with as such elsewhere.
    pub(super) fn tell(&self, message: &impl Message) {
        let Some(channel) = &self.channel else { return };
        if let Err(error) = channel.tell(message, Wait::No)
            && !matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
        {
            say(
                "launcher",
                Weight::Warning,
                &format!("the {} does not hear us: {error}", self.role.name()),
            );
        }
    }

    /// Notes its unexpected end; it is due to be started again after a while.
    pub(super) fn died(&mut self, ended: &Ended) {
        let lived = self.started.elapsed();
        let wait = self.backoff.died(lived);
        self.gone();
        self.restart_at = Some(Instant::now() + wait);
        let when = if wait == Duration::ZERO {
            String::new()
        } else {
            format!(" in {wait:?}")
        };
        let name = self.role.name();
        say(
            "launcher",
            Weight::Error,
            &format!("the {name} died ({}): it is started again{when}", ended.exit),
        );
    }

    /// It could not even be started.
    pub(super) fn did_not_start(&mut self, error: &str) {
        let wait = self.backoff.died(Duration::ZERO).max(Duration::from_millis(100));
        self.restart_at = Some(Instant::now() + wait);
        say("launcher", Weight::Error, error);
    }

    /// It has ended as it should.
    pub(super) fn gone(&mut self) {
        self.child = None;
        self.channel = None;
        self.is_ready = false;
        self.restart_at = None;
    }

    /// How often it was started again.
    pub(super) fn restarts(&self) -> u32 {
        self.backoff.deaths()
    }

    /// Ends it without asking.
    pub(super) fn kill(&self) {
        if let Some(child) = &self.child
            && let Err(error) = child.pidfd.signal(Signal::KILL)
        {
            say(
                "launcher",
                Weight::Error,
                &format!("cannot kill the {}: {error}", self.role.name()),
            );
        }
    }
}

impl RoleProcess {
    /// Packs it for another version of the launcher.
    pub(super) fn pack<'a>(&'a self, pack: &mut Pack<'a>) {
        pack.option(self.child.as_ref(), pack_child);
        pack.option(self.channel.as_ref(), |pack, channel| {
            pack.descriptor(channel.as_fd());
        });
        pack.tag(u8::from(self.is_ready))
            .tag(u8::from(self.restart_at.is_some()));
    }

    /// Reads what was packed; one that was to be started again later is so at once.
    pub(super) fn unpack(role: Role, unpack: &mut Unpack<'_>) -> Result<RoleProcess, Unreadable> {
        let mut process = RoleProcess::new(role);
        process.child = unpack.option(unpack_child)?;
        process.channel = unpack.option(Unpack::owned)?.map(Channel::from);
        process.is_ready = unpack.tag()? == 1;
        process.restart_at = (unpack.tag()? == 1).then(Instant::now);
        Ok(process)
    }
}

/// Packs a child: it stays one, whatever we become.
pub(super) fn pack_child<'a>(pack: &mut Pack<'a>, child: &'a Child) {
    pack.number(child.pid.unsigned_abs().into())
        .descriptor(child.pidfd.as_fd());
}

/// Reads what was packed.
pub(super) fn unpack_child(unpack: &mut Unpack<'_>) -> Result<Child, Unreadable> {
    Ok(Child {
        pid: i32::try_from(unpack.number()?).map_err(|_| Unreadable)?,
        pidfd: Pidfd::from(unpack.owned()?),
    })
}

#[cfg(test)]
mod tests {
    use super::{Channel, Role, RoleProcess};
    use crate::process::message::ToWorker;

    #[test]
    fn who_came_after_a_question_is_not_waited_for() {
        let (ours, _theirs) = Channel::pair().expect("a channel");
        let mut worker = RoleProcess::new(Role::Worker);
        worker.channel = Some(ours);
        worker.is_ready = true;
        assert!(!worker.owes(3), "it was put to those before it");
        worker.ask(4, &ToWorker::Report { number: 4 });
        assert!(worker.owes(3) && worker.owes(4) && !worker.owes(5));
        worker.is_ready = false;
        assert!(!worker.owes(4), "it does not serve yet");
    }
}
