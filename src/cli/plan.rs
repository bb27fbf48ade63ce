//! From the settings to what the launcher and the spawner need of them.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::directives::log::LogTarget;
use crate::config::directives::server::{Core, Listen as ListenLine};
use crate::config::directives::service::Service;
use crate::config::load::Loaded;
use crate::config::logs::{error_target, needed, targets};
use crate::config::maps;
use crate::config::places::confs;
use crate::config::services;
use crate::config::site::Config;
use crate::config::words::below;
use crate::launcher::{
    self, ControlSocket, IdentityBy, Listen, LogProgram, MapProgram, Plan, ServicePlan, Shell, SystemLog,
};
use crate::spawner::{Rules, stays_root};

use super::options::Threads;

/// Apache's default for ListenTCPDeferAccept, in seconds.
const SILENCE: i32 = 30;
/// Apache's default for ListenBacklog.
const BACKLOG: i32 = 511;

/// The launcher's plan. An error is a sentence.
pub(super) fn of(loaded: &Loaded, threads: Threads) -> Result<Plan, String> {
    let plan = of_all_but_listening(loaded, threads)?;
    if plan.listeners.is_empty() {
        return Err("no `Listen` line says where to listen; write for example `Listen 80`".to_owned());
    }
    Ok(plan)
}

/// The same where it may be that no line says where to listen.
pub(super) fn of_all_but_listening(loaded: &Loaded, threads: Threads) -> Result<Plan, String> {
    let config = &loaded.config;
    let core = &config.server.core;
    let listeners = listeners(&core.listen);
    let logs = targets(config);
    let error_log = config.sites.first().and_then(|main| {
        let target = error_target(config, main);
        logs.iter().position(|log| *log == target)
    });
    let needed = needed(config).len();
    let optional = |(n, log)| match log {
        launcher::LogTarget::File(path) if n >= needed => launcher::LogTarget::Optional(path),
        log => log,
    };
    Ok(Plan {
        lines: core.listen.iter().map(|line| line.span.to_string()).collect(),
        at_once: at_once(core, &listeners),
        silence: core
            .defer_accept
            .value()
            .and_then(|seconds| i32::try_from(*seconds).ok())
            .unwrap_or(SILENCE),
        listeners,
        backlog: core
            .backlog
            .value()
            .and_then(|backlog| i32::try_from(*backlog).ok())
            .unwrap_or(BACKLOG),
        user: core.user.value().cloned(),
        group: core.group.value().cloned(),
        worker_by: by(core.chroot.value().is_some()),
        spawner_by: by(core.chroot.value().is_some() || stays_root(config)),
        pid_file: Some(pid_file(config)),
        control: control_socket(config),
        file: None,
        logs: logs
            .into_iter()
            .map(|target| log(target, config))
            .enumerate()
            .map(optional)
            .collect(),
        error_log,
        maps: maps::programs(config).iter().map(map).collect(),
        services: config.services.iter().map(service).collect(),
        service_dir: service_dir(config)?,
        threads: match threads {
            Threads::One => 1,
            Threads::Configured => configured_threads(config),
        },
        settings: loaded.to_text(),
        keys: loaded.keyring.pack(),
        graceful_limit: core.graceful_shutdown.or(Duration::ZERO),
        remark: loaded.envvars.as_ref().map(|file| {
            let file = file.display();
            format!("{file}: variables that the environment does not have are taken from here")
        }),
    })
}

fn service(service: &Service) -> ServicePlan {
    ServicePlan {
        name: service.name.clone(),
        description: format!("{service:?}").into_bytes(),
        least: service.processes.least,
        most: service.processes.most,
        idle: service.idle,
        max_requests: service.max_requests,
        max_lifetime: service.max_lifetime,
        max_memory: service.max_memory,
        queue: service.queue,
        watchdog: service.watchdog,
        crash_limit: service.crash_limit,
        grace: SERVICE_GRACE,
    }
}

/// How long a process of a service has between SIGTERM and SIGKILL.
const SERVICE_GRACE: Duration = Duration::from_secs(5);

/// Where the launcher makes the sockets of services.
fn service_dir(config: &Config) -> Result<PathBuf, String> {
    if config.services.is_empty() && !services::are_started_on_demand(config) {
        return Ok(PathBuf::new());
    }
    let directory = services::directory(config)?;
    let root = config.server.core.chroot.value().map_or(&b""[..], Vec::as_slice);
    Ok(path_of([root, &directory].concat()))
}

fn map(program: &maps::Program<'_>) -> MapProgram {
    MapProgram {
        name: program.name.to_vec(),
        command: program.command.to_vec(),
        user: program.identity.map(<[u8]>::to_vec),
    }
}

/// Who gives a role its identity: the role itself where it has need of root first, or for good.
fn by(needs_root: bool) -> IdentityBy {
    if needs_root {
        IdentityBy::Role
    } else {
        IdentityBy::Launcher
    }
}

/// `PidFile`, or its default.
pub(super) fn pid_file(config: &Config) -> PathBuf {
    let path = config.server.core.pid_file.value().cloned();
    path_of(path.unwrap_or_else(|| below(&config.server_root, b"logs/httpd.pid")))
}

/// `ControlSocket`, or its default: beside the PidFile.
pub(super) fn control_socket(config: &Config) -> ControlSocket {
    match config.server.core.control_socket.value() {
        Some(Some(path)) => ControlSocket::Named(path_of(path.clone())),
        Some(None) => ControlSocket::None,
        None => {
            let mut path = pid_file(config).into_os_string().into_vec();
            path.truncate(path.strip_suffix(b".pid").unwrap_or(&path).len());
            path.extend_from_slice(b".ctl");
            ControlSocket::Usual(path_of(path))
        }
    }
}

/// What the spawner may start.
pub(super) fn spawner_rules(config: Config) -> Rules {
    let variables = confs(&config).into_iter().flat_map(|conf| conf.env.variables.iter());
    let initial = config
        .sites
        .iter()
        .flat_map(|site| site.settings.fcgid.initial_env.iter());
    let commands = config.sites.iter().flat_map(|site| site.settings.fcgid.commands.iter());
    let of_commands = commands.flat_map(|(_, options)| options.initial_env.iter().map(|(name, _)| name));
    let variables = variables.map(|(name, _)| &name.0);
    let names = variables.chain(initial.map(|(name, _)| name));
    let mut names: Vec<Vec<u8>> = names.chain(of_commands).cloned().collect();
    names.sort();
    names.dedup();
    Rules {
        config,
        admitted_variables: names,
    }
}

/// Every Listen line. A port alone is for both families, unless IPv4 has a line of its own.
fn listeners(lines: &[ListenLine]) -> Vec<Listen> {
    let all_of_ipv4 = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let has_own = |port| {
        lines
            .iter()
            .any(|line| line.port == port && line.address == Some(all_of_ipv4))
    };
    let listen = |line: &ListenLine| match line.address {
        Some(address) => Listen::own((address, line.port).into()),
        None if has_own(line.port) => Listen::own((Ipv6Addr::UNSPECIFIED, line.port).into()),
        None => Listen::port(line.port),
    };
    lines.iter().map(listen).collect()
}

/// Those of the listeners whose connections are not kept back until their clients speak.
fn at_once(core: &Core, listeners: &[Listen]) -> Vec<Listen> {
    let is_at_once = |line: &ListenLine| core.accept_filters.find(line.protocol) == Some(&false);
    let with_line = core.listen.iter().zip(listeners);
    with_line
        .filter(|(line, _)| is_at_once(line))
        .map(|(_, listen)| *listen)
        .collect()
}

fn configured_threads(config: &Config) -> usize {
    let named = config
        .server
        .core
        .threads
        .value()
        .and_then(|threads| usize::try_from(*threads).ok());
    named.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}

fn log(target: LogTarget, config: &Config) -> launcher::LogTarget {
    match target {
        LogTarget::File(path) if STANDARD_ERROR.contains(&path.as_slice()) => launcher::LogTarget::Stderr,
        LogTarget::File(path) => launcher::LogTarget::File(path_of(path)),
        LogTarget::Program { command, shell } => launcher::LogTarget::Program(LogProgram {
            command,
            shell: if shell { Shell::With } else { Shell::Without },
        }),
        LogTarget::System(header) => {
            let socket = config.server.core.syslog_socket.value().cloned();
            launcher::LogTarget::System(SystemLog {
                socket: path_of(socket.unwrap_or_else(|| b"/dev/log".to_vec())),
                header,
            })
        }
    }
}

/// Names that are our own standard error output, which cannot always be opened by them: not as another user, and not
/// where it is a socket.
const STANDARD_ERROR: &[&[u8]] = &[b"/dev/stderr", b"/dev/fd/2", b"/proc/self/fd/2"];

fn path_of(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests;
