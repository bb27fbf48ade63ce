//! One process of a `<Service>`, between the launcher that started it and the program that it becomes: it makes itself what
//! the section says, with the same means by which scripts are confined, and executes the Command.
//!
//! Descriptor 0 is the listening socket, 1 and 2 lead to the launcher, which logs what comes there, and 3 is the settings'
//! text. What is in the way is told on 2.

use std::ffi::CString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::process::ExitCode;
use std::sync::Arc;

use rustix::io::FdFlags;

use super::sandbox::{Cage, Cages};
use super::terms;
use crate::config::directives::service::Service;
use crate::config::load;
use crate::config::site::Config;
use crate::process::environment::Environment;
use crate::process::exec::exec;
use crate::process::identity::Identity;
use crate::process::{inherit, jail, memfd};

/// The longest settings, as for any role.
const MAX_SETTINGS: u64 = 256 * 1024 * 1024;

/// The status of a process that could not become its program.
const CANNOT: u8 = 127;

/// Becomes the program of the service of this name.
pub fn run(name: &[u8]) -> ExitCode {
    let Err(told) = turn_into(name);
    let line = format!("cannot be started: {told}\n");
    // Who should read it is gone if this fails, and we with him.
    let _ = rustix::io::write(rustix::stdio::stderr(), line.as_bytes());
    ExitCode::from(CANNOT)
}

fn turn_into(name: &[u8]) -> Result<std::convert::Infallible, String> {
    let told = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
    let settings = settings().map_err(told("the settings"))?;
    arrange_descriptors().map_err(told("its descriptors"))?;
    let config = load::from_text(&settings)?;
    let mut services = config.services.iter();
    let service = services
        .find(|service| service.name.as_bytes() == name)
        .ok_or("the settings do not have it")?;
    // Names are looked up outside of the jail.
    let identity = identity(service, &config)?;
    if let Some(root) = &service.root {
        jail::enter(root).map_err(told("ChrootDir"))?;
    }
    let (directory, program) = program(service)?;
    let cage = Cages::new().cage(&service.conf.sandbox, directory.as_bytes().to_vec())?;
    settle(service)?;
    if let Some(identity) = &identity {
        jail::become_identity(identity).map_err(told("User"))?;
    }
    rustix::process::chdir(directory.as_c_str()).map_err(|errno| told("its directory")(errno.into()))?;
    if service.user.is_some() || cage.is_some() {
        rustix::thread::set_no_new_privs(true).map_err(|errno| told("no_new_privs")(errno.into()))?;
    }
    let env = environment(service);
    let argv = words(&service.command)?;
    enter(cage.as_ref()).map_err(told("ScriptSandbox"))?;
    let error = exec(&program, &argv, &env);
    Err(format!(
        "cannot execute `{}`: {error}",
        program.to_bytes().escape_ascii()
    ))
}

fn settings() -> io::Result<Vec<u8>> {
    let settings = inherit::take_one()?;
    memfd::read(settings.as_fd(), MAX_SETTINGS)
}

/// Whom it becomes; nobody else where this is not root, or everything runs as root.
fn identity(service: &Service, config: &Config) -> Result<Option<Identity>, String> {
    if !Identity::process_is_root() {
        return Ok(None);
    }
    let core = &config.server.core;
    let (user, group) = match &service.user {
        Some(user) => (Some(user), service.group.as_ref()),
        None => (core.user.value(), service.group.as_ref().or(core.group.value())),
    };
    let Some(user) = user else { return Ok(None) };
    let identity = Identity::look_up(user, group.map(Vec::as_slice)).map_err(|error| error.to_string())?;
    if identity.uid == 0 {
        return Err("User: a service does not run as root; name another user".into());
    }
    Ok(Some(identity))
}

/// The directory that the program is in, and its whole name.
fn program(service: &Service) -> Result<(CString, CString), String> {
    let path = service.command.first().ok_or("it has no Command")?;
    let shown = path.escape_ascii();
    let directory = match path.iter().rposition(|byte| *byte == b'/') {
        None => return Err(format!("`{shown}` is not an absolute name")),
        Some(0) => &b"/"[..],
        Some(slash) => path.get(..slash).unwrap_or_default(),
    };
    let text = |bytes: &[u8]| CString::new(bytes).map_err(|_| "its name has a NUL in it".to_owned());
    let (directory, program) = (text(directory)?, text(path)?);
    let status = std::fs::metadata(std::path::Path::new(std::ffi::OsStr::new(
        program.to_str().map_err(|_| format!("`{shown}` is not UTF-8 text"))?,
    )))
    .map_err(|error| format!("`{shown}`: {error}"))?;
    if status.mode() & 0o002 != 0 {
        return Err(format!("`{shown}` may be changed by anybody; `chmod o-w` mends it"));
    }
    Ok((directory, program))
}

/// Limits, umask, nice value.
fn settle(service: &Service) -> Result<(), String> {
    let process = &service.conf.process;
    for limit in process.limits().filter_map(terms::limit) {
        limit
            .set_ours()
            .map_err(|error| format!("{}: {error}", limit.resource.directive()))?;
    }
    if let Some(mask) = process.umask.value() {
        rustix::process::umask(rustix::fs::Mode::from_bits_truncate(*mask));
    }
    if let Some(nice) = process.nice.value() {
        rustix::process::setpriority_process(None, *nice).map_err(|error| format!("Nice: {error}"))?;
    }
    Ok(())
}

/// What the section says, a PATH, and where the socket is.
fn environment(service: &Service) -> Environment {
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned());
    let own = [
        ("PATH", path),
        ("LISTEN_FDS", "1".to_owned()),
        ("LISTEN_FDNAMES", "http".to_owned()),
        ("LISTEN_PID", std::process::id().to_string()),
    ];
    let said = &service.conf.env.exact;
    let is_said = |name: &str| said.iter().any(|(said, _)| said.as_slice() == name.as_bytes());
    let own = own.iter().filter(|(name, _)| !is_said(name));
    let mut environment: Environment = own.map(|(name, value)| (*name, value)).collect();
    environment.extend(said.iter());
    environment
}

fn words(words: &[Vec<u8>]) -> Result<Vec<CString>, String> {
    let word = |word: &Vec<u8>| CString::new(word.as_slice()).map_err(|_| "a word has a NUL in it".to_owned());
    words.iter().map(word).collect()
}

/// The listening socket is descriptor 3 too, as sd_listen_fds(3) has it. All others that are made later are closed on exec.
fn arrange_descriptors() -> io::Result<()> {
    let copy = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), SECOND)?;
    rustix::io::fcntl_setfd(&copy, FdFlags::empty())?;
    if std::os::fd::IntoRawFd::into_raw_fd(copy) != SECOND {
        return Err(io::Error::other("descriptor 3 is in use"));
    }
    Ok(())
}

/// Where systemd puts the first socket.
const SECOND: i32 = 3;

fn enter(cage: Option<&Arc<Cage>>) -> io::Result<()> {
    cage.map_or(Ok(()), |cage| cage.enter())
}
