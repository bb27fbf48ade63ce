//! The world that the probe finds: two sites with scripts, pages and data, the server's own files, a daemon that is not the
//! server's, and the processes of a server that runs.

use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::chown;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use rustix::process::geteuid;

use super::settings::{Given, Setting};
use crate::support::processes;
use crate::support::server::{self, Server, bench, privileged};
use crate::support::wire::Wire;

const NOBODY: u32 = 65534;
const FIRST_LINE: &str = "#!/bin/sh\n# ";
/// What no page may ever show.
pub const SECRET: &str = "password=correct-horse";

/// Who owns what, who listens where, which process is whose.
pub struct World {
    /// Everything is in here.
    pub root: PathBuf,
    /// How scripts see the directory of the sites: elsewhere when they run in a root directory of their own.
    pub seen_sites: String,
    pub port: u16,
    pub daemon_port: u16,
    pub abstract_name: String,
    pub sibling: u32,
    pub worker: u32,
    pub spawner: u32,
    pub launcher: u32,
    running: Option<Wire>,
    _open: (TcpListener, UdpSocket, Vec<UnixListener>),
}

/// Users of the two sites' programs and pages, and of what their scripts write.
struct Owners {
    programs: [u32; 2],
    written: [u32; 2],
    /// Whether others than the owner may read programs.
    program_mode: u32,
}

/// The users of the two sites. suexec wants them to have names: two of this machine that have a group of the same number.
pub fn site_users(setting: &Setting) -> [u32; 2] {
    if setting.apache.is_none() {
        return [setting.own_user(1), setting.own_user(2)];
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = |line: &str| -> Option<u32> {
        let fields: Vec<&str> = line.split(':').collect();
        let id: u32 = fields.get(2)?.parse().ok()?;
        (fields.get(3)? == fields.get(2)? && id >= 100).then_some(id)
    };
    let mut users = passwd.lines().filter_map(user);
    [1, 2].map(|site| users.next().unwrap_or(setting.own_user(site)))
}

impl Owners {
    fn of(setting: &Setting) -> Owners {
        let us = if privileged() { NOBODY } else { geteuid().as_raw() };
        match setting.given {
            Given::Ordinary => Owners {
                programs: [us; 2],
                written: [us; 2],
                program_mode: 0o700,
            },
            Given::Shared => Owners {
                programs: [0; 2],
                written: [setting.server_user(); 2],
                program_mode: 0o755,
            },
            Given::Own => Owners {
                programs: site_users(setting),
                written: site_users(setting),
                program_mode: 0o700,
            },
        }
    }
}

impl World {
    /// Makes the files; nothing runs yet.
    pub fn prepare(setting: &Setting) -> Result<World, String> {
        let root = server::fresh_root(&format!("probe-{}", setting.name));
        let owners = Owners::of(setting);
        let mut sockets = Vec::new();
        for (site, name) in ["a", "b"].into_iter().enumerate() {
            let own = root.join("sites").join(name);
            let file = |path: &str, mode: u32, owner: u32, text: &str| {
                server::write(&own.join(path), text.as_bytes())?;
                give(&own.join(path), mode, owner)
            };
            let (program, written) = (owners.programs[site], owners.written[site]);
            let script = format!("{FIRST_LINE}{SECRET}\nexit 0\n");
            file("htdocs/index.html", 0o644, program, "a page\n")?;
            file("cgi-bin/other.cgi", 0o644, program, &script)?;
            file("cgi-bin/secrets.cgi", owners.program_mode, program, &script)?;
            file("data/own.txt", 0o600, written, "data\n")?;
            file("data/secret", 0o600, written, SECRET)?;
            for (socket, owner) in [("app.sock", written), ("own.sock", written)] {
                let path = own.join("data").join(socket);
                sockets.push(UnixListener::bind(&path).map_err(|e| format!("{}: {e}", path.display()))?);
                give(&path, 0o600, owner)?;
            }
            let program_name = if site == 0 { "probe" } else { "sibling" };
            copy_program(&own.join("cgi-bin").join(program_name), owners.program_mode, program)?;
            give(&own.join("cgi-bin"), 0o711, program)?;
            give(&own.join("htdocs"), 0o755, program)?;
            give(&own.join("data"), 0o700, written)?;
        }
        let (daemon, datagrams) = daemon_on_the_loopback()?;
        let daemon_port = daemon.local_addr().map_err(|e| e.to_string())?.port();
        let abstract_name = format!("lychgate-probe-{}", root.file_name().unwrap_or_default().display());
        let at = SocketAddr::from_abstract_name(&abstract_name).map_err(|e| e.to_string())?;
        sockets.push(UnixListener::bind_addr(&at).map_err(|e| format!("abstract socket: {e}"))?);
        let path = root.join("daemon.sock");
        sockets.push(UnixListener::bind(&path).map_err(|e| format!("daemon.sock: {e}"))?);
        give(&path, 0o666, geteuid().as_raw())?;
        let world = World {
            seen_sites: setting.sites_seen(&root),
            root,
            port: server::free_port(),
            daemon_port,
            abstract_name,
            sibling: 0,
            worker: 0,
            spawner: 0,
            launcher: 0,
            running: None,
            _open: (daemon, datagrams, sockets),
        };
        world.server_files(setting)?;
        Ok(world)
    }

    /// The server's own files: private but for one, and owned by whoever starts it.
    fn server_files(&self, setting: &Setting) -> Result<(), String> {
        let starter = match setting.given {
            Given::Ordinary if privileged() => NOBODY,
            _ => geteuid().as_raw(),
        };
        for (name, mode) in [("key.pem", 0o600), ("public.txt", 0o644)] {
            server::write(&self.root.join(name), SECRET.as_bytes())?;
            give(&self.root.join(name), mode, starter)?;
        }
        copy_program(&self.root.join("setuid"), 0o4755, geteuid().as_raw())?;
        let at = self.root.display();
        let lines: Vec<String> = setting
            .config(self.port)
            .iter()
            .map(|line| {
                line.replace("$ROOT", &at.to_string())
                    .replace("$SITES", &self.seen_sites)
            })
            .collect();
        server::write_config(&self.root, &lines, &format!("127.0.0.1:{}", self.port))?;
        give(&self.root.join("httpd.conf"), 0o600, starter)?;
        give(&self.root, 0o755, starter)
    }

    /// Looks who is who among the processes of a server that runs, with a script of the other site under way.
    pub fn meet(&mut self, server: &Server) -> Result<(), String> {
        self.running = Some(super::start_sibling(&server.listeners[0])?);
        self.launcher = server.pid();
        let family = processes::descendants(server.pid());
        let sibling = family.iter().find(|p| p.name == "sibling").ok_or("no sibling runs")?;
        self.sibling = sibling.pid;
        if bench().oracle {
            // mod_cgid's daemon, or with mod_cgi the process that serves.
            self.spawner = sibling.parent;
            let other = family.iter().find(|p| p.pid != self.spawner && p.name == "apache2");
            self.worker = other.ok_or("there is one process only")?.pid;
            return Ok(());
        }
        let role = |name: &str| {
            let title = format!("lychgate: {name}");
            let is_it = |pid: &u32| {
                fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(title.as_bytes()))
            };
            let found = family.iter().map(|p| p.pid).find(is_it);
            found.ok_or(format!("there is no {name}"))
        };
        self.worker = role("worker")?;
        self.spawner = role("spawner")?;
        Ok(())
    }

    /// The end of the other site's script; Apache would leave it behind.
    pub fn end(self) {
        super::end(self.sibling);
        drop(self.running);
    }

    /// Writes the list of attempts where the probe reads it.
    pub fn set_task(&self, setting: &Setting) -> Result<(), String> {
        let path = self.root.join("sites/a/cgi-bin/attempts");
        server::write(&path, super::attempts::list(self).as_bytes())?;
        let owners = Owners::of(setting);
        give(&path, owners.program_mode & 0o644, owners.programs[0])
    }
}

fn daemon_on_the_loopback() -> Result<(TcpListener, UdpSocket), String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    let datagrams = UdpSocket::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    Ok((listener, datagrams))
}

/// Sets owner and mode; where we are not root, all is ours anyway.
fn give(path: &Path, mode: u32, owner: u32) -> Result<(), String> {
    if privileged() {
        chown(path, Some(owner), Some(owner)).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    server::set_mode(path, mode)
}

fn copy_program(to: &Path, mode: u32, owner: u32) -> Result<(), String> {
    let from = compiled()?;
    let copied = to.parent().map_or(Ok(()), fs::create_dir_all);
    // By another process: one that a test starts meanwhile would inherit our descriptor, and what is open for writing
    // cannot be executed.
    let done = Command::new("cp").arg(from).arg(to).status();
    copied
        .and(done)
        .map_err(|e| format!("{}: {e}", to.display()))
        .and_then(|status| {
            if status.success() {
                Ok(())
            } else {
                Err("cp failed".into())
            }
        })?;
    give(to, mode, owner)
}

/// The probe, compiled once in a run.
fn compiled() -> Result<&'static Path, String> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let made = PROGRAM.get_or_init(|| {
        let to = bench().directory.join("probe");
        let mut compiler = Command::new("cc")
            .args(["-O1", "-static", "-x", "c", "-", "-o"])
            .arg(&to)
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|e| format!("cc: {e}"))?;
        if let Some(mut input) = compiler.stdin.take() {
            let source = include_bytes!("../apps/probe.c");
            input.write_all(source).map_err(|e| format!("cc: {e}"))?;
        }
        match compiler.wait() {
            Ok(status) if status.success() => Ok(to),
            other => Err(format!("cc: {other:?}")),
        }
    });
    made.as_deref().map_err(Clone::clone)
}
