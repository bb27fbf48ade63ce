//! Starting a program: what the child shall be, and what makes it so, with somebody who waits or without.

use std::cell::Cell;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};
use std::{fmt, io};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::Signal;

use super::clone::{self, Failure, Orders, RawDirectory, RawIdentity, RawProgram};
use super::environment::Environment;
use super::exec::pointers;
use super::identity::Identity;
use super::landlock::Ruleset;
use super::limits::Limit;
use super::pidfd::Pidfd;
use super::seccomp::Filter;
use super::supervise::{Parcel, Supervision};

/// What to start and what it shall be.
#[derive(Clone)]
pub struct ChildSpec<'a> {
    /// The program.
    pub program: Program<'a>,
    /// Its arguments, the first being its own name.
    pub argv: Vec<CString>,
    /// Its whole environment.
    pub env: Environment,
    /// Where it starts.
    pub directory: Directory<'a>,
    /// Its descriptors 0, 1, 2 and on, in this order; it gets no others.
    pub descriptors: Vec<BorrowedFd<'a>>,
    /// What it leads.
    pub session: Session,
    /// Its file mode creation mask, when not ours.
    pub umask: Option<u32>,
    /// Its nice value, when not ours.
    pub nice: Option<i32>,
    /// Limits, beyond those it inherits.
    pub limits: Vec<Limit>,
    /// Who it is, when not who we are; needs root.
    pub identity: Option<&'a Identity>,
    /// Whether set-user-id programs may give it more than it has.
    pub new_privileges: NewPrivileges,
    /// What part of root's power it and all it starts could ever have.
    pub bounding: Bounding,
    /// What it may reach of the file system and the network. Needs [`NewPrivileges::Never`], or root.
    pub ruleset: Option<&'a Ruleset>,
    /// The system calls it is refused. Needs [`NewPrivileges::Never`], or root.
    pub filter: Option<&'a Filter>,
    /// The system calls that somebody else decides on. Needs [`NewPrivileges::Never`], or root.
    pub supervision: Option<Supervision<'a>>,
    /// The signal it gets when we end.
    pub parent_death: Option<Signal>,
}

/// A program to execute.
#[derive(Clone, Copy, Debug)]
pub enum Program<'a> {
    /// By its path, which a `#!` interpreter is given too.
    Path(&'a CStr),
    /// By an open descriptor; not for `#!` scripts, whose interpreter could not open it again.
    Descriptor(BorrowedFd<'a>),
}

/// Where a child starts.
#[derive(Clone, Copy, Debug)]
pub enum Directory<'a> {
    /// Where we are.
    Inherited,
    /// In the directory of this name.
    Path(&'a CStr),
    /// In this open directory.
    Descriptor(BorrowedFd<'a>),
}

/// Whose session a child belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    /// Ours, and our process group.
    Same,
    /// Ours, in a process group of its own, numbered as itself. Much cheaper than a session: where the kernel groups tasks
    /// by session (sched(7), autogroup) each new one is one more group that the processors' time is divided among, and
    /// processes that work for one another in small steps hold one another up.
    Group,
    /// The same, and the terminal is given up: no key pressed there reaches it, and it cannot open it. Where it cannot be
    /// given up, a session of its own.
    NoTerminal,
    /// Its own: it leads a new session and process group, both numbered as itself.
    Own,
}

/// Whether executing a set-user-id program has its usual effect (prctl(2), PR_SET_NO_NEW_PRIVS).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewPrivileges {
    /// As usual.
    Allowed,
    /// Never again, for it and all it starts.
    Never,
}

/// The bounding set of a child's capabilities (capabilities(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bounding {
    /// As ours.
    Same,
    /// Empty. Without CAP_SETPCAP, which root has, it stays as it is.
    Empty,
}

/// A program that runs.
#[derive(Debug)]
pub struct Child {
    /// Its process id; also its process group unless that is [`Session::Same`], and its session under [`Session::Own`].
    pub pid: i32,
    /// The descriptor that stands for it.
    pub pidfd: Pidfd,
}

/// What could not be done for the child, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpawnError {
    /// What.
    pub step: Step,
    /// The system's error number.
    pub errno: i32,
}

pub use super::clone::keep_dispositions;

/// A program that is being started, and may not have been executed yet. To be kept until [`Flight::has_landed`]: what it
/// needs is lost for good when this is dropped before.
pub struct Flight {
    way: clone::Flight<Held>,
    landing: Option<OwnedFd>,
}

/// Whether somebody waits for a program that is being started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landing {
    /// Nobody does, or they look at [`Flight::has_landed`].
    Unseen,
    /// Somebody does, at [`Flight::landing`].
    Watched,
}

/// What a flight's orders lead to.
struct Held {
    _program: Option<CString>,
    _directory: Option<CString>,
    _words: (Vec<CString>, Environment),
    _identity: Option<Identity>,
    _filters: [Option<Filter>; 2],
    _parcel: Option<Parcel>,
}

/// Starts a program and returns once it has been executed. One that was not for [`LANDING_LIMIT`] is killed: a process that
/// becomes somebody else on its way can be stopped there by whoever is the same.
pub fn spawn(spec: &ChildSpec<'_>) -> Result<Child, SpawnError> {
    spawn_within(LANDING_LIMIT, spec)
}

/// How long [`spawn`] waits.
pub const LANDING_LIMIT: Duration = Duration::from_secs(10);

fn spawn_within(limit: Duration, spec: &ChildSpec<'_>) -> Result<Child, SpawnError> {
    let (child, flight) = launch(spec.clone(), Landing::Watched)?;
    if !flight.lands_within(limit) {
        // Should it land after all, its end is not far.
        let _ended = child.pidfd.signal(Signal::KILL).and_then(|()| child.pidfd.wait());
        return Err(SpawnError {
            step: Step::Execute,
            errno: libc::ETIME,
        });
    }
    match flight.failure() {
        None => Ok(child),
        Some(error) => {
            // It has ended itself; nobody else knows of it, so we reap it. Where SIGCHLD is ignored the kernel has.
            let _reaped = child.pidfd.wait();
            Err(error)
        }
    }
}

/// Starts a program and does not wait for it. The error is that of making a process; of all that fails later
/// [`Flight::failure`] tells, once the child has ended.
pub fn launch(spec: ChildSpec<'_>, landing: Landing) -> Result<(Child, Flight), SpawnError> {
    let failed = |error| SpawnError::new(Step::Clone, &error);
    let (landing, taking_off) = match landing {
        Landing::Unseen => (None, None),
        Landing::Watched => pipe().map(|(read, write)| (Some(read), Some(write))).map_err(failed)?,
    };
    let program = match spec.program {
        Program::Path(path) => Some(path.to_owned()),
        Program::Descriptor(_) => None,
    };
    let directory = match spec.directory {
        Directory::Path(path) => Some(path.to_owned()),
        Directory::Inherited | Directory::Descriptor(_) => None,
    };
    let identity = spec.identity.cloned();
    let filter = spec.filter.cloned();
    let asking = spec
        .supervision
        .map(|supervision| (supervision.filter.clone(), supervision.exit));
    let mut parcel = asking
        .as_ref()
        .map(|(filter, exit)| Parcel::new(&Supervision { filter, exit: *exit }));
    let spec = ChildSpec {
        program: program.as_deref().map_or(spec.program, Program::Path),
        directory: directory.as_deref().map_or(spec.directory, Directory::Path),
        identity: identity.as_ref(),
        filter: filter.as_ref(),
        ..spec
    };
    let mut orders = orders(&spec, parcel.as_mut());
    orders.landing = taking_off.as_ref().map(AsRawFd::as_raw_fd);
    // None of these is anything but a handle of what the orders lead to, which stays where it is.
    let words = (spec.argv, spec.env);
    let held = Held {
        _words: words,
        _program: program,
        _directory: directory,
        _identity: identity,
        _filters: [filter, asking.map(|(filter, _)| filter)],
        _parcel: parcel,
    };
    let (pid, pidfd, way) = clone::fly(orders, held).map_err(failed)?;
    let child = Child {
        pid,
        pidfd: Pidfd::from(pidfd),
    };
    Ok((child, Flight { way, landing }))
}

/// The child's orders, which lead to what the description has and borrows, and to the parcel.
fn orders(spec: &ChildSpec<'_>, parcel: Option<&mut Parcel>) -> Orders {
    Orders {
        program: match spec.program {
            Program::Path(path) => RawProgram::Path(path.as_ptr()),
            Program::Descriptor(fd) => RawProgram::Descriptor(fd.as_raw_fd()),
        },
        argv: pointers(&spec.argv),
        env: spec.env.pointers(),
        directory: match spec.directory {
            Directory::Inherited => RawDirectory::Inherited,
            Directory::Path(path) => RawDirectory::Path(path.as_ptr()),
            Directory::Descriptor(fd) => RawDirectory::Descriptor(fd.as_raw_fd()),
        },
        descriptors: spec.descriptors.iter().map(|fd| Cell::new(fd.as_raw_fd())).collect(),
        session: spec.session,
        umask: spec.umask,
        nice: spec.nice,
        limits: spec.limits.iter().map(|limit| limit.raw()).collect(),
        identity: spec.identity.map(|identity| RawIdentity {
            uid: identity.uid,
            gid: identity.gid,
            groups: identity.groups.as_slice(),
        }),
        empty_bounding: spec.bounding == Bounding::Empty,
        no_new_privs: spec.new_privileges == NewPrivileges::Never,
        ruleset: spec.ruleset.map(|ruleset| ruleset.as_fd().as_raw_fd()),
        filter: spec.filter.map(Filter::raw),
        supervision: parcel.map(Parcel::raw),
        parent_death: spec
            .parent_death
            .map(|signal| (signal.as_raw(), rustix::process::getpid().as_raw_nonzero().get())),
        landing: None,
        failure: Failure::default(),
    }
}

/// Both ends close on execution.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?)
}

impl Flight {
    /// Whether the program has been executed, or the child has ended before.
    pub fn has_landed(&self) -> bool {
        self.way.has_landed()
    }

    fn lands_within(&self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        while !self.has_landed() {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(left) = Timespec::try_from(left) else {
                return false;
            };
            let mut polled: Vec<PollFd<'_>> = self.landing.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
            match rustix::event::poll(&mut polled, Some(&left)) {
                Ok(0) => return self.has_landed(),
                // It has left our memory before it closes anything.
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// What could not be done for the child, if something could not; it has ended itself then. To be asked when it has landed.
    pub fn failure(&self) -> Option<SpawnError> {
        let (step, errno) = self.way.failure()?;
        Some(SpawnError { step, errno })
    }

    /// What is readable, or hung up, once it has landed, where that is watched.
    pub fn landing(&self) -> Option<BorrowedFd<'_>> {
        self.landing.as_ref().map(AsFd::as_fd)
    }
}

impl Child {
    /// Makes it the leader of its own process group, as it does itself on its way to its program ([`Session::Group`]): its group
    /// can be signalled from then on. One that has executed its program is what it made itself.
    pub fn leads_its_group(&self) {
        let pid = rustix::process::Pid::from_raw(self.pid);
        // EACCES: it has executed its program. ESRCH: it has ended.
        let _it_may_be_done = rustix::process::setpgid(pid, pid);
    }
}

impl<'a> ChildSpec<'a> {
    /// A child of our own session and identity, with an empty environment.
    pub fn new(program: Program<'a>, argv: Vec<CString>, descriptors: Vec<BorrowedFd<'a>>) -> ChildSpec<'a> {
        ChildSpec {
            program,
            argv,
            env: Environment::default(),
            directory: Directory::Inherited,
            descriptors,
            session: Session::Same,
            umask: None,
            nice: None,
            limits: Vec::new(),
            identity: None,
            new_privileges: NewPrivileges::Allowed,
            bounding: Bounding::Same,
            ruleset: None,
            filter: None,
            supervision: None,
            parent_death: None,
        }
    }
}

impl SpawnError {
    /// The failure of a step with the error of a system call.
    pub fn new(step: Step, error: &io::Error) -> SpawnError {
        SpawnError {
            step,
            errno: error.raw_os_error().unwrap_or(libc::EIO),
        }
    }

    /// The error as the standard library words it.
    pub fn io(&self) -> io::Error {
        io::Error::from_raw_os_error(self.errno)
    }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.step.told(), self.io())
    }
}

impl std::error::Error for SpawnError {}

macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident = $number:literal $told:literal,)*) => {
        /// The steps from a request to a running program, in their order; those of a spawner come first.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Step {
            $($(#[$doc])* $name,)*
        }

        impl Step {
            /// The step of a number, as [`Step::number`] gave it.
            pub fn from_number(number: u32) -> Option<Step> {
                match number {
                    $($number => Some(Step::$name),)*
                    _ => None,
                }
            }

            /// A number that messages carry.
            pub fn number(self) -> u32 {
                match self {
                    $(Step::$name => $number,)*
                }
            }

            /// What could not be done, for people.
            pub fn told(self) -> &'static str {
                match self {
                    $(Step::$name => $told,)*
                }
            }

            /// Every step, for tests and tables.
            pub const ALL: &'static [Step] = &[$(Step::$name),*];
        }
    };
}

steps! {
    /// The message named no script place that there is, or a path that leaves it.
    Place = 1 "not within a script place",
    /// Opening the file below its place.
    Open = 2 "cannot open",
    /// It is a directory, a device or the like.
    Kind = 3 "not a regular file",
    /// Nobody may execute it.
    Executable = 4 "not executable",
    /// An argument or a variable held a NUL.
    Words = 5 "an argument or variable cannot be passed",
    /// Making the process.
    Clone = 6 "cannot make a process",
    /// setsid(2), setpgid(2)
    Session = 7 "cannot start a session or process group",
    /// umask(2)
    Umask = 8 "cannot set the umask",
    /// setpriority(2)
    Nice = 9 "cannot set the nice value",
    /// prlimit(2)
    Limits = 10 "cannot set a resource limit",
    /// setgroups(2)
    Groups = 11 "cannot set the supplementary groups",
    /// setresgid(2)
    Group = 12 "cannot set the group",
    /// setresuid(2)
    User = 13 "cannot set the user",
    /// PR_SET_NO_NEW_PRIVS
    NoNewPrivs = 14 "cannot renounce new privileges",
    /// PR_SET_PDEATHSIG
    ParentDeath = 15 "the parent is gone",
    /// chdir(2)
    Directory = 16 "cannot enter its directory",
    /// dup(2), close_range(2)
    Descriptors = 17 "cannot arrange its descriptors",
    /// rt_sigprocmask(2)
    Signals = 18 "cannot set its signal mask",
    /// execve(2)
    Execute = 19 "cannot execute",
    /// The worker could not send its request to the spawner.
    Ask = 20 "cannot ask the spawner",
    /// landlock_restrict_self(2)
    Ruleset = 21 "cannot confine what it reaches",
    /// seccomp(2)
    Filter = 22 "cannot confine its system calls",
    /// A check of SuexecUserGroup.
    Suexec = 23 "may not be run as its user",
}

#[cfg(test)]
mod flight;
#[cfg(test)]
mod tests;
