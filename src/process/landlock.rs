//! What a process may reach of files and the network, confined by itself and for good (Landlock, landlock(7)).
//!
//! A [`Reach`] says what shall be allowed; [`Reach::ruleset`] makes of it what this kernel can hold, and tells the rest.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, NetPort, PathBeneath, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, Scope,
};
use rustix::fs::{Mode, OFlags};

/// Rules that can be entered any number of times.
#[derive(Debug)]
pub struct Ruleset(OwnedFd);

/// What a process shall reach. What is not allowed here is denied, as far as the kernel can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Whether files may be read that no path allows.
    pub reading: Reading,
    /// Files, and directories with all below them. What several allow is allowed together.
    pub paths: Vec<(PathBuf, Access)>,
    /// TCP ports it may listen on.
    pub bind: Ports,
    /// TCP ports it may connect to.
    pub connect: Ports,
    /// Whom it may send signals.
    pub signals: Others,
    /// Whose abstract Unix sockets it may connect to.
    pub abstract_sockets: Others,
}

/// Which files may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// All.
    Anything,
    /// Those below the paths.
    Paths,
}

/// What is allowed with a path and all below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading files and directories.
    Read,
    /// That, and executing. (A program that runs may still map and jump into what it may read: mmap(2) is not confined.)
    Execute,
    /// Reading, and writing to files that are there, or that never get a name (O_TMPFILE). Nothing is emptied, created, renamed
    /// or removed.
    Rewrite,
    /// Reading, and all that changes: write, truncate, create, rename, link, remove. For a device, ioctl(2) too. Modes,
    /// owners, times and extended attributes are not Landlock's matter: the system's own rules hold for them.
    Write,
    /// All of these.
    All,
}

/// TCP ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ports {
    /// Every port.
    Any,
    /// These; none when empty.
    Only(Vec<u16>),
}

/// Which other processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// All that the system's own rules allow.
    Anyone,
    /// Those that entered the same rules, and what they started since.
    Confined,
}

/// A ruleset, and what it is worth.
#[derive(Debug)]
pub struct Made {
    /// To be entered.
    pub ruleset: Ruleset,
    /// What it holds on this kernel.
    pub force: Force,
    /// Paths that could not be opened, and so are not allowed; mostly they do not exist.
    pub skipped: Vec<(PathBuf, io::Error)>,
}

/// What the kernel holds of a [`Reach`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Force {
    /// The version of Landlock that this kernel has.
    pub abi: u32,
    /// What is confined.
    pub holds: Vec<Matter>,
    /// What should be confined and is not: this kernel's Landlock is too old.
    pub lacks: Vec<Matter>,
}

/// A matter that Landlock confines; each came with a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matter {
    /// Reading, writing, executing, naming files.
    Files,
    /// Emptying files by truncate(2).
    Truncation,
    /// TCP ports.
    Tcp,
    /// ioctl(2) on devices.
    Devices,
    /// Signals.
    Signals,
    /// Abstract Unix sockets.
    AbstractSockets,
}

/// Why there is no ruleset.
#[derive(Debug)]
pub enum NoRuleset {
    /// This kernel has no Landlock, or none switched on.
    Unsupported,
    /// It has, and making the rules failed.
    Failed(String),
}

/// The version of Landlock that this kernel has; 0 when it has none or none switched on.
pub fn abi() -> u32 {
    // SAFETY: with no attributes and this flag the call returns a number and touches nothing.
    let version = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<u8>(),
            0_usize,
            CREATE_RULESET_VERSION,
        )
    };
    u32::try_from(version).unwrap_or(0)
}

/// `LANDLOCK_CREATE_RULESET_VERSION` of <linux/landlock.h>.
const CREATE_RULESET_VERSION: u32 = 1;

/// The newest version whose rights we ask for; newer ones may confine what we have not tried.
const NEWEST: u32 = 7;

impl Reach {
    /// A process that reaches nothing: no file, no port, nobody else.
    pub fn nothing() -> Reach {
        Reach {
            reading: Reading::Paths,
            paths: Vec::new(),
            bind: Ports::Only(Vec::new()),
            connect: Ports::Only(Vec::new()),
            signals: Others::Confined,
            abstract_sockets: Others::Confined,
        }
    }

    /// Makes the rules, as many as this kernel holds.
    pub fn ruleset(&self) -> Result<Made, NoRuleset> {
        self.ruleset_of(abi())
    }

    /// The rules of a kernel with this version.
    fn ruleset_of(&self, abi: u32) -> Result<Made, NoRuleset> {
        if abi == 0 {
            return Err(NoRuleset::Unsupported);
        }
        let mut rules = self.created(abi).map_err(failed)?;
        let mut skipped = Vec::new();
        for (path, access) in &self.paths {
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            match rustix::fs::open(path, flags, Mode::empty()) {
                Ok(fd) => rules = self.path_added(rules, abi, &fd, *access).map_err(failed)?,
                Err(errno) => skipped.push((path.clone(), errno.into())),
            }
        }
        if has(abi, Matter::Tcp) {
            for (ports, access) in [(&self.bind, AccessNet::BindTcp), (&self.connect, AccessNet::ConnectTcp)] {
                for port in ports.listed() {
                    rules = rules.add_rule(NetPort::new(*port, access)).map_err(failed)?;
                }
            }
        }
        // `None` is how the crate says that the kernel has no Landlock.
        let fd: Option<OwnedFd> = rules.into();
        Ok(Made {
            ruleset: Ruleset(fd.ok_or(NoRuleset::Unsupported)?),
            force: self.force(abi),
            skipped,
        })
    }

    /// The ruleset without its exceptions.
    fn created(&self, abi: u32) -> Result<RulesetCreated, landlock::RulesetError> {
        let mut rules = landlock::Ruleset::default().handle_access(self.confined_files(abi))?;
        if has(abi, Matter::Tcp) {
            for (ports, access) in [(&self.bind, AccessNet::BindTcp), (&self.connect, AccessNet::ConnectTcp)] {
                if *ports != Ports::Any {
                    rules = rules.handle_access(access)?;
                }
            }
        }
        for (others, scope, matter) in [
            (self.signals, Scope::Signal, Matter::Signals),
            (
                self.abstract_sockets,
                Scope::AbstractUnixSocket,
                Matter::AbstractSockets,
            ),
        ] {
            if others == Others::Confined && has(abi, matter) {
                rules = rules.scope(scope)?;
            }
        }
        rules.create()
    }

    fn path_added(
        &self,
        rules: RulesetCreated,
        abi: u32,
        fd: &OwnedFd,
        access: Access,
    ) -> Result<RulesetCreated, String> {
        let kind = rustix::fs::fstat(fd).map_err(|errno| io::Error::from(errno).to_string())?;
        let mut rights = access.rights(abi) & self.confined_files(abi);
        if !rustix::fs::FileType::from_raw_mode(kind.st_mode).is_dir() {
            rights &= AccessFs::from_file(version(abi));
        }
        if rights.is_empty() {
            return Ok(rules); // it allows what is not confined
        }
        rules
            .add_rule(PathBeneath::new(fd, rights))
            .map_err(|error| error.to_string())
    }

    /// The rights on files that need a rule.
    fn confined_files(&self, abi: u32) -> BitFlags<AccessFs> {
        match self.reading {
            Reading::Paths => AccessFs::from_all(version(abi)),
            Reading::Anything => AccessFs::from_write(version(abi)) | AccessFs::Execute,
        }
    }

    fn force(&self, abi: u32) -> Force {
        let (holds, lacks) = self.matters().into_iter().partition(|matter| has(abi, *matter));
        Force { abi, holds, lacks }
    }

    /// What shall be confined.
    fn matters(&self) -> Vec<Matter> {
        let mut matters = vec![Matter::Files, Matter::Truncation];
        if self.bind != Ports::Any || self.connect != Ports::Any {
            matters.push(Matter::Tcp);
        }
        matters.push(Matter::Devices);
        if self.signals == Others::Confined {
            matters.push(Matter::Signals);
        }
        if self.abstract_sockets == Others::Confined {
            matters.push(Matter::AbstractSockets);
        }
        matters
    }
}

impl Access {
    fn rights(self, abi: u32) -> BitFlags<AccessFs> {
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        match self {
            Access::Read => read,
            Access::Execute => read | AccessFs::Execute,
            Access::Rewrite => read | AccessFs::WriteFile,
            Access::Write => read | AccessFs::from_write(version(abi)),
            Access::All => AccessFs::from_all(version(abi)),
        }
    }
}

impl Ports {
    fn listed(&self) -> &[u16] {
        match self {
            Ports::Any => &[],
            Ports::Only(ports) => ports,
        }
    }
}

impl Matter {
    /// The version of Landlock that first confined it.
    fn since(self) -> u32 {
        match self {
            Matter::Files => 1,
            Matter::Truncation => 3,
            Matter::Tcp => 4,
            Matter::Devices => 5,
            Matter::Signals | Matter::AbstractSockets => 6,
        }
    }
}

fn has(abi: u32, matter: Matter) -> bool {
    abi >= matter.since()
}

fn version(abi: u32) -> ABI {
    ABI::from(i32::try_from(abi.min(NEWEST)).unwrap_or(0))
}

fn failed(error: impl fmt::Display) -> NoRuleset {
    NoRuleset::Failed(error.to_string())
}

impl Ruleset {
    /// Confines this thread and all it starts from now on, for good. It must have renounced new privileges, or be root.
    /// To confine a process, enter before its second thread begins.
    pub fn enter(&self) -> io::Result<()> {
        // SAFETY: the descriptor is open; the call changes nothing but what this thread may do.
        let result = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, self.0.as_raw_fd(), 0_u32) };
        if result < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }
}

impl AsFd for Ruleset {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl fmt::Display for Force {
    /// `Landlock 7: files, truncation, TCP ports, …`, and what is missing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Landlock {}: {}", self.abi, listed(&self.holds))?;
        if !self.lacks.is_empty() {
            write!(f, "; not {}", listed(&self.lacks))?;
        }
        Ok(())
    }
}

fn listed(matters: &[Matter]) -> String {
    let words: Vec<String> = matters.iter().map(Matter::to_string).collect();
    words.join(", ")
}

impl fmt::Display for Matter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Matter::Files => "files",
            Matter::Truncation => "truncation",
            Matter::Tcp => "TCP ports",
            Matter::Devices => "devices",
            Matter::Signals => "signals",
            Matter::AbstractSockets => "abstract sockets",
        })
    }
}

impl fmt::Display for NoRuleset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoRuleset::Unsupported => f.write_str("this kernel has no Landlock"),
            NoRuleset::Failed(error) => f.write_str(error),
        }
    }
}

impl std::error::Error for NoRuleset {}

#[cfg(test)]
mod tests;
