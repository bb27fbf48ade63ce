//! The worker confines itself, for good, between reading its settings and starting its first thread: no capabilities, no core
//! dumps and no debugger, no program to execute, nobody to signal, nowhere to listen or connect, nothing to write but what
//! serving needs; and with `ConfineReading`, nothing to read but what is served.
//!
//! Landlock holds for files and ports, seccomp for the calls that Landlock knows nothing of. Where a kernel lacks one of them
//! the server serves on with the other, and says so: who serves must not stop serving after an exchange of kernels.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::process::DumpableBehavior;

use crate::config::backends::Address;
use crate::config::directives::alias::AliasKind;
use crate::config::directives::confine::Reading;
use crate::config::directives::userdir;
use crate::config::places;
use crate::config::site::{Config, document_root};
use crate::config::words::Pattern;
use crate::fs::spool;
use crate::process::capabilities;
use crate::process::landlock::{self, Access, Force, NoRuleset, Others, Ports, Reach};
use crate::process::say::{Weight, say};
use crate::process::seccomp::Filter;
use crate::process::seccomp::lists::{self, Unlinking};

/// What is in force.
#[derive(Debug)]
pub struct Confined {
    landlock: Result<Force, String>,
    /// How many system calls are refused.
    calls: Result<usize, String>,
    /// How many files and directories, each with all below it, may be read; `None` is all.
    readable: Option<usize>,
    /// Paths that ConfineReading names and that could not be opened.
    unreadable: Vec<(PathBuf, io::Error)>,
}

/// Whether a debugger may look into the worker, and the kernel write its memory to a core file (PR_SET_DUMPABLE, prctl(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Debuggers {
    /// None but root's.
    KeptOut,
    /// Its own user's: `-X`.
    Admitted,
}

/// Confines this process, which must have one thread. The error says what could not be given up that must be.
///
/// The ports `more` may be connected to as well.
pub fn enter(config: &Config, more: impl Iterator<Item = u16>, debuggers: Debuggers) -> Result<Confined, String> {
    let told = |what: &'static str| move |error: io::Error| format!("cannot {what}: {error}");
    capabilities::renounce_all().map_err(told("give up capabilities"))?;
    if debuggers == Debuggers::KeptOut {
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
            .map_err(|errno| told("keep debuggers out")(errno.into()))?;
    }
    rustix::thread::set_no_new_privs(true).map_err(|errno| told("renounce new privileges")(errno.into()))?;
    let spool = Spool::here();
    let mut reach = reach(config, &spool);
    if let Ports::Only(ports) = &mut reach.connect {
        ports.extend(more.filter(|port| !ports.contains(port)).collect::<Vec<_>>());
        ports.sort_unstable();
        ports.dedup();
    }
    let mut confined = Confined {
        landlock: Err(String::new()),
        calls: Err(String::new()),
        readable: None,
        unreadable: Vec::new(),
    };
    confined.landlock = reach
        .ruleset()
        .and_then(|made| {
            made.ruleset.enter().map_err(|e| NoRuleset::Failed(e.to_string()))?;
            if reach.reading == landlock::Reading::Paths {
                confined.readable = Some(reach.paths.len() - made.skipped.len());
            }
            confined.unreadable = made.skipped;
            Ok(made.force)
        })
        .map_err(|error| error.to_string());
    let named = named_by_directive(config);
    confined
        .unreadable
        .retain(|(path, _)| named.iter().any(|named| named == path));
    let list = lists::worker(spool.unlinking);
    let entered = Filter::refusing(&list).enter();
    confined.calls = entered.map(|()| lists::calls(&list)).map_err(|error| error.to_string());
    Ok(confined)
}

impl Confined {
    /// Tells the error log what is in force.
    pub fn say(&self) {
        let whole = self.landlock.as_ref().is_ok_and(|force| force.lacks.is_empty()) && self.calls.is_ok();
        let weight = if whole { Weight::Notice } else { Weight::Warning };
        say("worker", weight, &self.to_string());
        for (path, error) in &self.unreadable {
            let what = format!("ConfineReading: {}: {error}: it cannot be read", path.display());
            say("worker", Weight::Warning, &what);
        }
    }
}

impl fmt::Display for Confined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.landlock {
            Ok(force) => write!(f, "confined by {force}; ")?,
            Err(error) => write!(f, "not confined in files, ports and signals ({error}); ")?,
        }
        match &self.calls {
            Ok(calls) => write!(f, "{calls} system calls refused")?,
            Err(error) => write!(f, "no system calls refused ({error})")?,
        }
        match self.readable {
            Some(paths) => write!(f, "; reads {paths} files and directories"),
            None => Ok(()),
        }
    }
}

/// Where request bodies go that are too long for memory.
struct Spool {
    directory: PathBuf,
    access: Access,
    unlinking: Unlinking,
}

impl Spool {
    fn here() -> Spool {
        let directory = spool::directory();
        let (access, unlinking) = match spool::naming(&directory) {
            spool::Naming::Never => (Access::Rewrite, Unlinking::Refused),
            spool::Naming::ForAMoment => (Access::Write, Unlinking::Allowed),
        };
        Spool {
            directory,
            access,
            unlinking,
        }
    }
}

/// What the worker needs.
fn reach(config: &Config, spool: &Spool) -> Reach {
    let mut reach = Reach {
        connect: Ports::Only(ports(config)),
        reading: landlock::Reading::Anything,
        bind: Ports::Only(Vec::new()),
        signals: Others::Confined,
        abstract_sockets: Others::Confined,
        paths: vec![(spool.directory.clone(), spool.access)],
    };
    if let Some(Reading::Served(more)) = config.server.confine.reading.value() {
        reach.reading = landlock::Reading::Paths;
        let served = served(config);
        let all = served.iter().chain(more).map(|one| path(one));
        let all = all.chain(SYSTEM.iter().map(PathBuf::from));
        reach.paths.extend(all.map(|one| (one, Access::Read)));
    }
    reach
}

/// Where it may connect to: name servers, and the applications that the settings name.
fn ports(config: &Config) -> Vec<u16> {
    let mut ports = vec![DNS];
    ports.extend(config.backends.iter().filter_map(|address| match address {
        Address::Tcp { port, .. } => Some(*port),
        Address::Unix(_) | Address::Service(_) => None,
    }));
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// Where names of hosts are asked for, once an answer is too long for UDP.
const DNS: u16 = 53;

/// What the C library reads to find names of hosts and of users (in messages), and we to find the local time.
const SYSTEM: &[&str] = &[
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/resolv.conf",
    "/etc/services",
    "/run/systemd/resolve",
    "/etc/passwd",
    "/etc/group",
    "/etc/localtime",
    "/usr/share/zoneinfo",
    "/etc/ld.so.cache",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
];

/// The directories and files that the settings serve: document roots, targets of aliases, and places that sections without
/// wildcards are about. The root of all is none: a section about it is there to close it.
fn served(config: &Config) -> Vec<Vec<u8>> {
    let mut served = Vec::new();
    for site in &config.sites {
        served.push(document_root(config, site));
        let aliases = &site.settings.aliases.list;
        served.extend(aliases.iter().map(|alias| alias.literal_target().to_vec()));
        let users = site.settings.user_dirs.patterns.value().into_iter().flatten();
        served.extend(users.filter_map(|pattern| userdir::known_part(pattern)));
        let hosts = &site.settings.virtual_hosts;
        let patterns = [&hosts.root, &hosts.scripts]
            .into_iter()
            .filter_map(|pattern| pattern.value());
        served.extend(patterns.flatten().map(|pattern| pattern.known_part().to_vec()));
        for kind in [AliasKind::Files, AliasKind::Scripts] {
            served.extend(places::place_aliases(site, kind).map(<[u8]>::to_vec));
        }
        served.extend(site.directories.iter().filter_map(|section| match &section.pattern {
            Pattern::Plain(path) => Some(path.clone()),
            Pattern::Glob(_) | Pattern::Regex(_) => None,
        }));
    }
    served.extend(auth_files(config));
    served.retain(|path| path.iter().any(|byte| *byte != b'/'));
    served.sort();
    served.dedup();
    served
}

/// The files of passwords and groups.
fn auth_files(config: &Config) -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    let aliases = config.server.providers.aliases.iter();
    let confs = places::confs(config).into_iter().map(|conf| &conf.authn);
    for authn in confs.chain(aliases.map(|(_, alias)| &alias.conf)) {
        files.extend(authn.user_file.value().cloned());
        files.extend(authn.group_file.value().cloned());
    }
    let requirements = config.server.providers.requirements.iter();
    files.extend(requirements.filter_map(|(_, alias)| alias.group_file.clone()));
    files
}

fn named_by_directive(config: &Config) -> Vec<PathBuf> {
    match config.server.confine.reading.value() {
        Some(Reading::Served(more)) => more.iter().map(|one| path(one)).collect(),
        Some(Reading::Anything) | None => Vec::new(),
    }
}

fn path(bytes: &[u8]) -> PathBuf {
    Path::new(OsStr::from_bytes(bytes)).to_owned()
}

#[cfg(test)]
mod attempts;
#[cfg(test)]
mod tests;
