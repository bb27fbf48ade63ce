//! The cages of scripts: what ScriptSandbox says, made into rules that a child enters before it executes its program.
//!
//! Rules are made once and entered by many. Landlock's stand for files, not for names; so the names are looked at again
//! whenever a script starts, and where one leads elsewhere the rules are made anew: a site that was deployed, a
//! password file that was replaced.

use std::collections::HashMap;
use std::ffi::{OsStr, c_long};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};

use crate::config::directives::DirConf;
use crate::config::directives::sandbox::{Hold, Level, PROGRAMS, READABLE, Sandbox, Tcp, WRITABLE};
use crate::config::places::confs;
use crate::config::site::Config;
use crate::process::child::{ChildSpec, NewPrivileges};
use crate::process::landlock::{Access, Matter, NoRuleset, Others, Ports, Reach, Reading, Ruleset};
use crate::process::say::{Weight, say};
use crate::process::seccomp::{Filter, Refused, When, lists};

/// Every cage that was made and is still good.
#[derive(Debug)]
pub(super) struct Cages {
    made: HashMap<Plan, Arc<Cage>>,
    /// Looked at when the first cage is wanted: ChrootDir has been entered by then.
    system: Option<System>,
}

/// What one script after the other enters.
#[derive(Debug)]
pub(super) struct Cage {
    /// Nothing where the kernel has no Landlock, and that will do.
    ruleset: Option<Ruleset>,
    filter: Filter,
    /// The calls that are decided on from outside of it, see `loopback`.
    asked: Option<Filter>,
    /// What the plan's names led to when it was made.
    seen: Vec<(Vec<u8>, Option<File>)>,
    /// What the system's names led to: their edition.
    edition: u64,
}

/// What makes one cage differ from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Plan {
    tree: Vec<u8>,
    read: Vec<Vec<u8>>,
    write: Vec<Vec<u8>>,
    tcp: Tcp,
    hold: Hold,
}

/// The device and the number of a file. While rules live their files do, so that no number comes to mean another.
type File = (u64, u64);

/// The paths that every cage has.
#[derive(Debug)]
struct System {
    paths: Vec<(PathBuf, Access)>,
    seen: Vec<Option<File>>,
    edition: u64,
    looked: Instant,
    /// Files that the kernel would forget and make anew under memory pressure, and the rules with them.
    _held: Vec<OwnedFd>,
}

/// So long the system's own files are taken to be those that were seen; looking costs 30 µs.
const SYSTEM_KEEPS: Duration = Duration::from_secs(1);

impl Cages {
    pub(super) fn new() -> Cages {
        Cages {
            made: HashMap::new(),
            system: None,
        }
    }

    /// The cage that the settings want for a script of this tree, if they want one. The error is a sentence: there
    /// should be one, and there cannot.
    pub(super) fn cage(&mut self, sandbox: &Sandbox, tree: Vec<u8>) -> Result<Option<Arc<Cage>>, String> {
        if sandbox.level() == Level::Off {
            return Ok(None);
        }
        let plan = Plan {
            tree,
            read: sandbox.read.to_vec(),
            write: sandbox.write.to_vec(),
            tcp: sandbox.tcp(),
            hold: sandbox.hold(),
        };
        if let Some(cage) = self.made.get(&plan).map(Arc::clone)
            && self.is_current(&cage)
        {
            return Ok(Some(cage));
        }
        let cage = Arc::new(self.make(&plan)?);
        self.made.insert(plan, Arc::clone(&cage));
        Ok(Some(cage))
    }

    /// Whether the names that a cage was made of still lead to the same files.
    pub(super) fn is_current(&mut self, cage: &Cage) -> bool {
        cage.edition == self.system().edition && cage.seen.iter().all(|(path, seen)| found(path) == *seen)
    }

    /// Forgets all cages; those that are in use elsewhere live on.
    pub(super) fn clear(&mut self) {
        self.made.clear();
    }

    /// What every cage has, as it is now.
    fn system(&mut self) -> &System {
        let system = self.system.get_or_insert_with(System::new);
        system.look();
        system
    }

    fn make(&mut self, plan: &Plan) -> Result<Cage, String> {
        // Before the rules are made: what is replaced in between is seen to be another then.
        let system = self.system();
        let edition = system.edition;
        let names = [&plan.tree].into_iter().chain(&plan.read).chain(&plan.write);
        let seen = names.map(|name| (name.clone(), found(name))).collect();
        let (ruleset, holds) = match reach(plan, system).ruleset() {
            Ok(made) if made.force.lacks.is_empty() || plan.hold == Hold::AsFarAsPossible => {
                for (path, error) in made.skipped {
                    complain(plan, &path, &error);
                }
                (Some(made.ruleset), made.force.holds)
            }
            Err(NoRuleset::Unsupported) if plan.hold == Hold::AsFarAsPossible => (None, Vec::new()),
            Ok(made) => {
                return Err(format!(
                    "ScriptSandbox: required, and this kernel holds only {}",
                    made.force
                ));
            }
            Err(error) => return Err(format!("ScriptSandbox: {error}")),
        };
        let tcp = match plan.tcp {
            // Nothing would hold the calls that are passed on.
            Tcp::Loopback if !holds.contains(&Matter::Tcp) => Tcp::None,
            tcp => tcp,
        };
        Ok(Cage {
            ruleset,
            filter: Filter::refusing(&refused(tcp)),
            asked: (tcp == Tcp::Loopback).then(|| Filter::asking(&[libc::SYS_connect])),
            seen,
            edition,
        })
    }
}

impl Cage {
    /// The calls that are decided on from outside of it, if there are any.
    pub(super) fn asked(&self) -> Option<&Filter> {
        self.asked.as_ref()
    }

    /// Enters it, for good. The calls that are decided on from outside are not among what is refused.
    pub(super) fn enter(&self) -> io::Result<()> {
        if let Some(ruleset) = &self.ruleset {
            ruleset.enter()?;
        }
        self.filter.enter()
    }

    /// Has a child enter it.
    pub(super) fn lay_upon<'a>(&'a self, spec: &mut ChildSpec<'a>) {
        spec.new_privileges = NewPrivileges::Never;
        spec.ruleset = self.ruleset.as_ref();
        spec.filter = Some(&self.filter);
    }
}

/// What the scripts of a plan reach.
fn reach(plan: &Plan, system: &System) -> Reach {
    let named = |access| move |name: &Vec<u8>| (path(name), access);
    let mut paths = system.paths.clone();
    paths.push((path(&plan.tree), Access::Execute));
    paths.extend(plan.read.iter().map(named(Access::Execute)));
    paths.extend(plan.write.iter().map(named(Access::Write)));
    let ports = match plan.tcp {
        Tcp::None | Tcp::Loopback => Ports::Only(Vec::new()),
        Tcp::Any => Ports::Any,
    };
    Reach {
        reading: Reading::Paths,
        paths,
        bind: ports.clone(),
        connect: ports,
        signals: Others::Confined,
        abstract_sockets: Others::Confined,
    }
}

/// The system calls that the scripts of a plan are refused.
fn refused(tcp: Tcp) -> Vec<Refused> {
    let sockets: &[Refused] = match tcp {
        Tcp::None => NO_INTERNET,
        Tcp::Loopback => ONLY_CONNECTING,
        Tcp::Any => &[],
    };
    let mut refused = sockets.to_vec(); // first, so that its errors are the ones told
    refused.extend(lists::script());
    refused
}

/// No Internet sockets of any kind.
const NO_INTERNET: &[Refused] = &[
    at(libc::SYS_socket, OF_IPV4, libc::EACCES),
    at(libc::SYS_socket, OF_IPV6, libc::EACCES),
];

/// Of the Internet, TCP's sockets and connect(2): what connects as well, and what opens a port without bind(2), which is
/// Landlock's to refuse.
const ONLY_CONNECTING: &[Refused] = &[
    at(libc::SYS_socket, When::Both(&OF_IPV4, &NO_STREAM), libc::EACCES),
    at(libc::SYS_socket, When::Both(&OF_IPV6, &NO_STREAM), libc::EACCES),
    at(libc::SYS_sendto, When::AnyBit(3, lists::FASTOPEN), libc::EOPNOTSUPP),
    at(libc::SYS_sendmsg, When::AnyBit(2, lists::FASTOPEN), libc::EOPNOTSUPP),
    at(libc::SYS_sendmmsg, When::AnyBit(3, lists::FASTOPEN), libc::EOPNOTSUPP),
    at(libc::SYS_listen, When::Always, libc::EACCES),
];

const OF_IPV4: When = When::Is(0, u32::MAX, libc::AF_INET.unsigned_abs());
const OF_IPV6: When = When::Is(0, u32::MAX, libc::AF_INET6.unsigned_abs());
/// The flags beside a type (SOCK_CLOEXEC …) are above its four bits.
const NO_STREAM: When = When::IsNot(1, 0xf, libc::SOCK_STREAM.unsigned_abs());

const fn at(call: c_long, when: When, errno: i32) -> Refused {
    Refused { call, when, errno }
}

/// A path of the settings that scripts should reach is not there; of the system's, one is missing everywhere.
fn complain(plan: &Plan, missing: &Path, error: &std::io::Error) {
    let is = |paths: &[Vec<u8>]| paths.iter().any(|one| path(one) == missing);
    let directive = if is(&plan.read) {
        "ScriptSandboxRead"
    } else if is(&plan.write) {
        "ScriptSandboxWrite"
    } else {
        return;
    };
    let missing = missing.display();
    say(
        "spawner",
        Weight::Warning,
        &format!("{directive}: scripts cannot reach `{missing}`: {error}"),
    );
}

impl System {
    fn new() -> System {
        let mut paths: Vec<(PathBuf, Access)> = Vec::new();
        for (names, access) in [
            (PROGRAMS, Access::Execute),
            (READABLE, Access::Read),
            (WRITABLE, Access::Write),
        ] {
            paths.extend(names.iter().flat_map(|name| expanded(name)).map(|path| (path, access)));
        }
        let held = paths.iter().filter(|(path, _)| path.starts_with("/proc"));
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let held = held.filter_map(|(path, _)| rustix::fs::open(path, flags, Mode::empty()).ok());
        let held = held.collect();
        let seen = paths
            .iter()
            .map(|(path, _)| found(path.as_os_str().as_bytes()))
            .collect();
        System {
            paths,
            seen,
            edition: 0,
            looked: Instant::now(),
            _held: held,
        }
    }

    /// Looks whether a name leads elsewhere by now, unless that was done a moment ago.
    fn look(&mut self) {
        if self.looked.elapsed() < SYSTEM_KEEPS {
            return;
        }
        self.looked = Instant::now();
        let paths = self.paths.iter();
        let seen: Vec<_> = paths.map(|(path, _)| found(path.as_os_str().as_bytes())).collect();
        if seen != self.seen {
            self.seen = seen;
            self.edition += 1;
        }
    }
}

/// What a name that ends with `*` stands for now.
fn expanded(name: &str) -> Vec<PathBuf> {
    let Some((directory, start)) = name.strip_suffix('*').and_then(|start| start.rsplit_once('/')) else {
        return vec![PathBuf::from(name)];
    };
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().as_bytes().starts_with(start.as_bytes()))
        .map(|entry| entry.path())
        .collect()
}

fn found(name: &[u8]) -> Option<File> {
    let status = rustix::fs::stat(name).ok()?;
    Some((status.st_dev, status.st_ino))
}

fn path(name: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(name))
}

/// Tells what this kernel holds of the levels that the settings use.
pub(super) fn announce(config: &Config) {
    let confs = confs(config);
    if confs.iter().all(|conf| conf.sandbox.level() == Level::Off) {
        return;
    }
    let calls = lists::calls(&refused(Tcp::None));
    let mut holds_tcp = false;
    let (weight, held) = match Reach::nothing().ruleset() {
        Ok(made) => {
            holds_tcp = made.force.holds.contains(&Matter::Tcp);
            let all = made.force.lacks.is_empty();
            let weight = if all { Weight::Notice } else { Weight::Warning };
            (weight, made.force.to_string())
        }
        Err(error) => (
            Weight::Warning,
            format!("{error}: scripts read, change and signal what their user may"),
        ),
    };
    let line = format!("ScriptSandbox basic: no_new_privs; {calls} system calls refused; {held}");
    say("spawner", weight, &line);
    if !holds_tcp && connect_to_loopback(&confs) {
        let line = "ScriptSandboxTCP loopback: without Landlock for TCP it is as none";
        say("spawner", Weight::Warning, line);
    }
}

/// Whether any scripts may have connections made in their place.
pub(super) fn connect_to_loopback(confs: &[&DirConf]) -> bool {
    confs.iter().any(|conf| conf.sandbox.tcp() == Tcp::Loopback)
}

#[cfg(test)]
mod tests;
