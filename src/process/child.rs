//! Starting a program: what the child shall be, and the one function that makes it so.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::{fmt, io};

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

/// Starts a program and returns once it has been executed. This is the only door to `exec`.
pub fn spawn(spec: &ChildSpec<'_>) -> Result<Child, SpawnError> {
    let argv = pointers(&spec.argv);
    let env = spec.env.pointers();
    let limits: Vec<(u32, [u64; 2])> = spec.limits.iter().map(|limit| limit.raw()).collect();
    let mut descriptors: Vec<RawFd> = spec.descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let mut parcel = spec.supervision.as_ref().map(Parcel::new);
    let mut orders = Orders {
        program: match spec.program {
            Program::Path(path) => RawProgram::Path(path.as_ptr()),
            Program::Descriptor(fd) => RawProgram::Descriptor(fd.as_raw_fd()),
        },
        argv: &argv,
        env: &env,
        directory: match spec.directory {
            Directory::Inherited => RawDirectory::Inherited,
            Directory::Path(path) => RawDirectory::Path(path.as_ptr()),
            Directory::Descriptor(fd) => RawDirectory::Descriptor(fd.as_raw_fd()),
        },
        descriptors: &mut descriptors,
        session: spec.session,
        umask: spec.umask,
        nice: spec.nice,
        limits: &limits,
        identity: spec.identity.map(|identity| RawIdentity {
            uid: identity.uid,
            gid: identity.gid,
            groups: &identity.groups,
        }),
        empty_bounding: spec.bounding == Bounding::Empty,
        no_new_privs: spec.new_privileges == NewPrivileges::Never,
        ruleset: spec.ruleset.map(|ruleset| ruleset.as_fd().as_raw_fd()),
        filter: spec.filter.map(Filter::raw),
        supervision: parcel.as_mut().map(Parcel::raw),
        parent_death: spec
            .parent_death
            .map(|signal| (signal.as_raw(), rustix::process::getpid().as_raw_nonzero().get())),
        failure: Failure::default(),
    };
    let (pid, pidfd) = clone::run(&mut orders).map_err(|error| SpawnError::new(Step::Clone, &error))?;
    let child = Child {
        pid,
        pidfd: Pidfd::from(pidfd),
    };
    match orders.failure.taken() {
        None => Ok(child),
        Some((step, errno)) => {
            // It has ended itself; nobody else knows of it, so we reap it. Where SIGCHLD is ignored the kernel has.
            let _reaped = child.pidfd.wait();
            Err(SpawnError { step, errno })
        }
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
mod tests;
