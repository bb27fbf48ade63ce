//! What the launcher needs to know of a configuration: nothing but this.

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::base::secret::Secret;
use crate::base::syslog::Header;
use crate::config::directives::service::CrashLimit;
use crate::process::identity::Identity;

/// A configuration as the launcher sees it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where to listen.
    pub listeners: Vec<Listen>,
    /// Where each of them stands, as `file:line`.
    pub lines: Vec<String>,
    /// Those of them whose connections are taken before their clients have said anything (AcceptFilter).
    pub at_once: Vec<Listen>,
    /// How many seconds the clients of others may be silent before theirs are (ListenTCPDeferAccept).
    pub silence: i32,
    /// How many connections may wait to be accepted (ListenBacklog).
    pub backlog: i32,
    /// `User`: a name, or `#` and a number.
    pub user: Option<Vec<u8>>,
    /// `Group`, likewise.
    pub group: Option<Vec<u8>>,
    /// Who makes the worker User and Group.
    pub worker_by: IdentityBy,
    /// Who makes the spawner so, or more.
    pub spawner_by: IdentityBy,
    /// `PidFile`.
    pub pid_file: Option<PathBuf>,
    /// `ControlSocket`.
    pub control: ControlSocket,
    /// The file that the settings are in, for people.
    pub file: Option<PathBuf>,
    /// All logs, in the order by which worker and launcher number them.
    pub logs: Vec<LogTarget>,
    /// Which of them is the main ErrorLog; it becomes the stderr of launcher and roles.
    pub error_log: Option<usize>,
    /// The programs that are maps, in the order by which worker and launcher number them.
    pub maps: Vec<MapProgram>,
    /// The programs that are kept running.
    pub services: Vec<ServicePlan>,
    /// Where their sockets are.
    pub service_dir: PathBuf,
    /// How many threads a worker has. The number of listeners for an address is that of the first plan for good.
    pub threads: usize,
    /// The settings' text, which each role parses again.
    pub settings: Vec<u8>,
    /// The keys of TLS, packed, which the worker alone is given.
    pub keys: Secret,
    /// GracefulShutdownTimeout; zero is unlimited.
    pub graceful_limit: Duration,
    /// Worth a line in the error log when serving begins.
    pub remark: Option<String>,
}

/// Where `lychgate ctl` finds us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlSocket {
    /// Nowhere.
    None,
    /// Here, if that can be.
    Usual(PathBuf),
    /// Here, as the settings say.
    Named(PathBuf),
}

impl ControlSocket {
    /// Its name.
    pub fn path(&self) -> Option<&Path> {
        match self {
            ControlSocket::None => None,
            ControlSocket::Usual(path) | ControlSocket::Named(path) => Some(path),
        }
    }
}

/// Who gives a role its identity, where the launcher is root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityBy {
    /// The launcher: it starts the role as User and Group.
    Launcher,
    /// The role itself, which is started as root: it has something to do before, or does not give up all.
    Role,
}

/// One `Listen`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address; port 0 lets the system choose.
    pub address: SocketAddr,
    /// Whether it is for one family or both.
    pub families: Families,
}

/// Which connections an address takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Families {
    /// Those of its own family.
    Own,
    /// `[::]` for IPv4 too, as `Listen PORT` wants; `0.0.0.0` where there is no IPv6.
    Both,
}

/// Where a log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// Appended to a file.
    File(PathBuf),
    /// Appended to a file that can be done without: where it cannot be opened, that is told, and its lines go nowhere.
    Optional(PathBuf),
    /// To a program's standard input.
    Program(LogProgram),
    /// To the standard error output the launcher was started with.
    Stderr,
    /// Into the system's log.
    System(SystemLog),
}

/// The system's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemLog {
    /// The socket where it listens.
    pub socket: PathBuf,
    /// What stands before each line.
    pub header: Header,
}

/// A program that takes a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogProgram {
    /// The command line.
    pub command: Vec<u8>,
    /// Who reads it.
    pub shell: Shell,
}

/// A program that is a map (RewriteMap).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapProgram {
    /// The map's name.
    pub name: Vec<u8>,
    /// The command line; it is split into words and the first one executed.
    pub command: Vec<u8>,
    /// Who it runs as: `user` or `user:group`. Otherwise it is who the roles are.
    pub user: Option<Vec<u8>>,
}

/// A program that is kept running (`<Service>`). What it is made of is its own to read in the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePlan {
    /// Its name.
    pub name: String,
    /// Everything that its section says, in some form: it is another service where that differs.
    pub description: Vec<u8>,
    /// So many processes always run.
    pub least: u16,
    /// So many may.
    pub most: u16,
    /// How long one beyond the least number may be idle.
    pub idle: Duration,
    /// After so many requests a process is replaced; 0 is no bound.
    pub max_requests: u64,
    /// After so long, likewise; zero is no bound.
    pub max_lifetime: Duration,
    /// With so many bytes of memory, likewise; 0 is no bound.
    pub max_memory: u64,
    /// How many connections wait for a process.
    pub queue: u16,
    /// A process that has lived less cannot have been silent for its time.
    pub watchdog: Duration,
    /// So many deaths are too many.
    pub crash_limit: CrashLimit,
    /// Between SIGTERM and SIGKILL.
    pub grace: Duration,
}

impl MapProgram {
    /// Who it was said to run as. Only root can make it so.
    pub(super) fn identity(&self) -> Result<Option<Identity>, String> {
        let Some(user) = &self.user else { return Ok(None) };
        if !Identity::process_is_root() {
            return Err(format!("{self}: only root can start it as another user"));
        }
        let (user, group) = match user.iter().position(|byte| *byte == b':') {
            Some(colon) => (&user[..colon], user.get(colon + 1..)),
            None => (user.as_slice(), None),
        };
        let identity = Identity::look_up(user, group).map_err(|error| format!("{self}: {error}"))?;
        Ok(Some(identity))
    }
}

impl fmt::Display for MapProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the program of RewriteMap {}", self.name.escape_ascii())
    }
}

/// Who reads a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// Nobody: it is split into words and the first one executed (`|` and `||`).
    Without,
    /// `/bin/sh -c` (`|$`).
    With,
}

impl Listen {
    /// The address alone.
    pub fn own(address: SocketAddr) -> Listen {
        Listen {
            address,
            families: Families::Own,
        }
    }

    /// A port of all addresses of both families.
    pub fn port(port: u16) -> Listen {
        Listen {
            address: SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
            families: Families::Both,
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.families {
            Families::Own => write!(f, "Listen {}", self.address),
            Families::Both => write!(f, "Listen {}", self.address.port()),
        }
    }
}
