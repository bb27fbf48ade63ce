//! The launcher's state, handed over to another version of our program that goes on in the same process.
//!
//! The running roles, the listeners and the log programs stay what they are; the next one starts its own worker beside
//! them, as at every reload.

use std::ffi::{CString, OsString};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use super::asking::Asker;
use super::bind::{Bound, Origin};
use super::generation::Generation;
use super::plan::{ControlSocket, Families, IdentityBy, Listen, LogProgram, LogTarget, Plan, SystemLog};
use super::services::Services;
use super::{Change, Launcher, whole_environment};
use crate::base::secret::Secret;
use crate::base::syslog::Header;
use crate::process::handover::{self, Next, Pack, Unpack, Unreadable};
use crate::process::pidfile::PidFile;
use crate::process::say::{Weight, say, say_to};

/// The version of what is handed over, and of the messages between the roles, which a launcher of another version goes on
/// with: a change of either needs another number. A program that has another does not take over; it must be stopped and
/// started.
pub const VERSION: u8 = 6;

impl Launcher<'_> {
    /// Executes `program` in this process. It returns only when that does not work, and says why.
    pub(super) fn hand_over(&self, program: &OwnedFd, change: Change) -> String {
        let Some(command) = &self.launch.command else {
            return "no command line".to_owned();
        };
        let short_name = rustix::thread::name().unwrap_or_else(|_| c"lychgate".to_owned());
        let mut bound = self.bound();
        let mut pack = Pack::new(VERSION);
        pack.bytes(short_name.as_bytes())
            .tag(u8::from(change == Change::Abrupt));
        self.pack(&mut pack, &mut bound);
        let env = whole_environment(|name| !name.starts_with("LISTEN_"));
        let next = Next {
            program: program.as_fd(),
            argv: &|table| (command.take_over)(&command.words, table),
            env: &env,
            directory: command.directory.as_fd(),
        };
        say("launcher", Weight::Notice, "another version of the program takes over");
        format!("cannot execute it: {}", handover::execute(&next, pack))
    }

    /// Every listener of ours, once.
    fn bound(&self) -> Vec<&Rc<Bound>> {
        let mut all: Vec<&Rc<Bound>> = Vec::new();
        let used = self
            .current
            .iter()
            .chain(&self.old)
            .flat_map(|generation| &generation.listeners);
        for bound in self.given.iter().chain(used) {
            if !all.iter().any(|known| Rc::ptr_eq(known, bound)) {
                all.push(bound);
            }
        }
        all
    }

    fn pack<'a>(&'a self, pack: &mut Pack<'a>, bound: &mut Vec<&'a Rc<Bound>>) {
        pack.bytes(&self.stock.secret);
        pack.descriptor(self.stock.stderr.as_fd()).number(self.copies as u64);
        pack.list(self.asking.signallers().into_iter(), |pack, pid| {
            pack.number(pid.into());
        });
        pack.number(self.begun);
        self.desk.pack(pack);
        pack.option(self.program_file.as_ref(), |pack, file| {
            pack.bytes(file.path().as_os_str().as_bytes());
        });
        pack.option(self.pid_file.as_ref(), |pack, file| {
            pack.bytes(file.path().as_os_str().as_bytes());
        });
        pack.list(bound.iter(), |pack, bound| pack_bound(pack, bound));
        self.programs.pack(pack);
        self.services.pack(pack);
        pack.option(self.plan.as_ref(), pack_plan);
        pack.option(self.current.as_ref(), |pack, current| current.pack(pack, bound));
        pack.list(self.old.iter(), |pack, old| old.pack(pack, bound));
    }

    /// Goes on with what the table behind this descriptor tells of: how new settings are to come into force.
    pub(super) fn take_over(&mut self, table: RawFd) -> io::Result<Change> {
        let (short_name, change) = handover::unpack(table, VERSION, |unpack| {
            let short_name = CString::new(unpack.bytes()?).map_err(|_| Unreadable)?;
            let change = match unpack.tag()? {
                0 => Change::Graceful,
                1 => Change::Abrupt,
                _ => return Err(Unreadable),
            };
            self.unpack(unpack)?;
            Ok((short_name, change))
        })?;
        // Executed by descriptor, we are called by its number.
        rustix::thread::set_name(&short_name)?;
        Ok(change)
    }

    fn unpack(&mut self, unpack: &mut Unpack<'_>) -> Result<(), Unreadable> {
        self.stock.secret = unpack.bytes()?;
        let stderr = unpack.shared()?;
        self.programs.take_stderr(Rc::clone(&stderr));
        self.stock.stderr = stderr;
        self.copies = usize::try_from(unpack.number()?).map_err(|_| Unreadable)?;
        for pid in unpack.list(Unpack::number)? {
            self.asking
                .add(Asker::Signal(u32::try_from(pid).map_err(|_| Unreadable)?));
        }
        self.begun = unpack.number()?;
        for visitor in self.desk.unpack(unpack)? {
            self.asking.add(Asker::Visitor(visitor));
        }
        self.asking.begin();
        if let (Some(path), Some(file)) = (unpack.option(unpack_path)?, self.program_file.take()) {
            self.program_file = Some(file.at(path));
        }
        self.pid_file = unpack.option(unpack_path)?.map(PidFile::of_ours);
        let bound: Vec<Rc<Bound>> = unpack.list(|unpack| unpack_bound(unpack).map(Rc::new))?;
        self.programs.unpack(unpack)?;
        self.services = Services::unpack(unpack)?;
        self.plan = unpack.option(unpack_plan)?;
        let programs = &mut self.programs;
        self.current = unpack.option(|unpack| Generation::unpack(unpack, &bound, programs))?;
        say_to(self.current.as_ref().and_then(|current| current.logs.system_log()));
        self.old = unpack.list(|unpack| Generation::unpack(unpack, &bound, programs))?;
        self.given = bound
            .into_iter()
            .filter(|bound| bound.origin == Origin::Given)
            .collect();
        Ok(())
    }
}

pub(super) fn unpack_path(unpack: &mut Unpack<'_>) -> Result<PathBuf, Unreadable> {
    Ok(PathBuf::from(OsString::from_vec(unpack.bytes()?)))
}

fn pack_bound<'a>(pack: &mut Pack<'a>, bound: &'a Rc<Bound>) {
    pack_listen(pack, bound.listen);
    pack.bytes(bound.local.to_string().as_bytes());
    pack.tag(u8::from(bound.origin == Origin::Given));
    pack.list(bound.sockets.iter(), |pack, socket| {
        pack.descriptor(socket.as_fd());
    });
}

fn unpack_bound(unpack: &mut Unpack<'_>) -> Result<Bound, Unreadable> {
    Ok(Bound {
        listen: unpack_listen(unpack)?,
        local: unpack_address(unpack)?,
        origin: match unpack.tag()? {
            0 => Origin::Ours,
            1 => Origin::Given,
            _ => return Err(Unreadable),
        },
        sockets: unpack.list(Unpack::owned)?,
    })
}

fn pack_listen(pack: &mut Pack<'_>, listen: Listen) {
    pack.bytes(listen.address.to_string().as_bytes());
    pack.tag(u8::from(listen.families == Families::Both));
}

fn unpack_listen(unpack: &mut Unpack<'_>) -> Result<Listen, Unreadable> {
    Ok(Listen {
        address: unpack_address(unpack)?,
        families: match unpack.tag()? {
            0 => Families::Own,
            1 => Families::Both,
            _ => return Err(Unreadable),
        },
    })
}

fn unpack_address(unpack: &mut Unpack<'_>) -> Result<SocketAddr, Unreadable> {
    let text = String::from_utf8(unpack.bytes()?).map_err(|_| Unreadable)?;
    text.parse().map_err(|_| Unreadable)
}

/// What is needed of settings while those that follow them are not in force: not what roles are made from.
fn pack_plan(pack: &mut Pack<'_>, plan: &Plan) {
    pack_targets(pack, plan.logs.iter(), plan.error_log);
    pack.number(u64::try_from(plan.graceful_limit.as_millis()).unwrap_or(u64::MAX));
    pack.option(plan.pid_file.as_ref(), |pack, path| {
        pack.bytes(path.as_os_str().as_bytes());
    });
    pack.option(plan.file.as_ref(), |pack, path| {
        pack.bytes(path.as_os_str().as_bytes());
    });
}

fn unpack_plan(unpack: &mut Unpack<'_>) -> Result<Plan, Unreadable> {
    let (logs, error_log) = unpack_targets(unpack)?;
    let graceful_limit = Duration::from_millis(unpack.number()?);
    Ok(Plan {
        listeners: Vec::new(),
        backlog: 0,
        lines: Vec::new(),
        at_once: Vec::new(),
        silence: 0,
        user: None,
        group: None,
        worker_by: IdentityBy::Launcher,
        spawner_by: IdentityBy::Launcher,
        pid_file: unpack.option(unpack_path)?,
        file: unpack.option(unpack_path)?,
        control: ControlSocket::None,
        logs,
        error_log,
        maps: Vec::new(),
        services: Vec::new(),
        service_dir: PathBuf::new(),
        threads: 1,
        settings: Vec::new(),
        keys: Secret::default(),
        graceful_limit,
        remark: None,
    })
}

/// Packs what logs are opened from.
pub(super) fn pack_targets<'a>(
    pack: &mut Pack<'_>,
    targets: impl ExactSizeIterator<Item = &'a LogTarget>,
    error_log: Option<usize>,
) {
    pack.list(targets, |pack, target| match target {
        LogTarget::File(path) => {
            pack.tag(0).bytes(path.as_os_str().as_bytes());
        }
        LogTarget::Program(program) => {
            pack.tag(1);
            program.pack(pack);
        }
        LogTarget::Stderr => {
            pack.tag(2);
        }
        LogTarget::Optional(path) => {
            pack.tag(3).bytes(path.as_os_str().as_bytes());
        }
        LogTarget::System(log) => {
            pack.tag(4).bytes(log.socket.as_os_str().as_bytes());
            pack.tag(log.header.facility).bytes(&log.header.tag);
        }
    });
    pack.option(error_log, |pack, number| {
        pack.number(number as u64);
    });
}

/// Reads what was packed.
pub(super) fn unpack_targets(unpack: &mut Unpack<'_>) -> Result<(Vec<LogTarget>, Option<usize>), Unreadable> {
    let target = |unpack: &mut Unpack<'_>| {
        Ok(match unpack.tag()? {
            0 => LogTarget::File(unpack_path(unpack)?),
            1 => LogTarget::Program(LogProgram::unpack(unpack)?),
            2 => LogTarget::Stderr,
            3 => LogTarget::Optional(unpack_path(unpack)?),
            4 => LogTarget::System(SystemLog {
                socket: unpack_path(unpack)?,
                header: Header {
                    facility: unpack.tag()?,
                    tag: unpack.bytes()?,
                },
            }),
            _ => return Err(Unreadable),
        })
    };
    let targets = unpack.list(target)?;
    let number = unpack.option(Unpack::number)?;
    Ok((
        targets,
        number.map(usize::try_from).transpose().map_err(|_| Unreadable)?,
    ))
}
