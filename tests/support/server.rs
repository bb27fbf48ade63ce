//! The server under test: written down in a directory of its own, booted, watched, stopped.
//!
//! `ORACLE=apache2` runs the installed Apache in lychgate's place, to see which expectations are Apache's custom
//! too. When the tests run as root, the server runs as nobody unless the case says `as root`.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::unistd::{User, setgroups, setresgid, setresuid};
use rustix::process::{Pid, Signal, geteuid, kill_process};

use crate::support::processes::{self, Process};
use crate::support::tls;

/// Where all cases of one run work, and what they run.
pub struct Bench {
    /// Directory of the run, removed at its end if nothing failed.
    pub directory: PathBuf,
    /// The program under test.
    pub program: PathBuf,
    /// Whether that is Apache.
    pub oracle: bool,
}

impl Bench {
    /// Becomes the user that TESTS_AS names, for good. Call it while there is but one thread.
    pub fn become_who_was_asked_for(&self) -> Result<(), String> {
        let Some(name) = std::env::var("TESTS_AS").ok().filter(|_| privileged()) else {
            return Ok(());
        };
        let user = User::from_name(&name)
            .map_err(|e| e.to_string())?
            .ok_or("no such user")?;
        let chowned = Command::new("chown").arg("-R").arg(&name).arg(&self.directory).status();
        if !chowned.is_ok_and(|status| status.success()) {
            return Err(format!("cannot give {} to {name}", self.directory.display()));
        }
        setgroups(&[user.gid])
            .and_then(|()| setresgid(user.gid, user.gid, user.gid))
            .and_then(|()| setresuid(user.uid, user.uid, user.uid))
            .map_err(|e| e.to_string())
    }
}

const NOBODY: u32 = 65534;
const APACHE_MODULES: &[&str] = &[
    "mpm_event",
    "authz_core",
    "authz_host",
    "access_compat",
    "alias",
    "cgi",
    "dir",
    "env",
    "mime",
    "remoteip",
    "setenvif",
    "autoindex",
    "headers",
    "reqtimeout",
    "macro",
    "actions",
    "asis",
    "auth_basic",
    "auth_digest",
    "authn_core",
    "authn_file",
    "authn_anon",
    "authz_user",
    "authz_groupfile",
    "authz_owner",
    "allowmethods",
    "expires",
    "userdir",
    "vhost_alias",
    "speling",
    "negotiation",
    "rewrite",
    "unique_id",
    "proxy",
    "proxy_fcgi",
    "proxy_http",
    "proxy_scgi",
    "authnz_fcgi",
    "slotmem_shm",
    "lbmethod_byrequests",
    "lbmethod_bybusyness",
    "proxy_balancer",
    "filter",
    "include",
    "deflate",
    "brotli",
    "status",
    "info",
    "ssl",
];

/// The bench of this run, made at its first use.
pub fn bench() -> &'static Bench {
    static BENCH: OnceLock<Bench> = OnceLock::new();
    BENCH.get_or_init(|| {
        let place = std::env::temp_dir()
            .canonicalize()
            .expect("there is a directory for temporary files");
        // In another PID namespace another run may have our number, or may have had it and failed.
        let directory = (0..1000)
            .map(|n| place.join(format!("lychgate-tests.{}.{n}", std::process::id())))
            .find(|directory| fs::create_dir(directory).is_ok())
            .expect("the directory for temporary files can be written");
        let apps = directory.join("apps");
        fs::create_dir(&apps).expect("it is ours");
        tls::copy_certificates(&directory.join("tls"), privileged().then_some(NOBODY)).expect("it is ours");
        let oracle = std::env::var_os("ORACLE").is_some_and(|v| v == "apache2");
        let built = Path::new(env!("CARGO_BIN_EXE_lychgate"));
        let testapp = built.with_file_name("examples").join("testapp");
        fs::copy(&testapp, apps.join("testapp")).expect("`cargo build --examples` has made testapp");
        fs::hard_link(apps.join("testapp"), apps.join("nph-testapp")).expect("a link beside testapp");
        // A copy, because nobody need not reach the place where cargo builds.
        let program = if oracle {
            PathBuf::from("/usr/sbin/apache2")
        } else {
            directory.join("lychgate")
        };
        if !oracle {
            fs::copy(built, &program).expect("the program is there: cargo built it");
        }
        Bench {
            directory,
            program,
            oracle,
        }
    })
}

/// Whether the tests run as root.
pub fn privileged() -> bool {
    geteuid().is_root()
}

/// Whether root asked to be an ordinary user.
pub fn ordinary_by_wish() -> bool {
    !privileged() && std::env::var_os("TESTS_AS").is_some()
}

/// A directory for one case: its $ROOT.
pub fn fresh_root(name: &str) -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let root = bench()
        .directory
        .join(format!("{number:03}-{}", name.replace('/', "-")));
    fs::create_dir_all(root.join("htdocs")).expect("the bench can be written");
    root
}

/// A port below the kernel's own range that nobody listens on; for configurations that must name it.
pub fn free_port() -> u16 {
    static NEXT: OnceLock<AtomicU16> = OnceLock::new();
    let spread = u16::try_from(std::process::id() % 10_000).expect("less than 10000 fits");
    let next = NEXT.get_or_init(|| AtomicU16::new(20_000 + spread));
    loop {
        let port = 20_000 + next.fetch_add(1, Ordering::Relaxed) % 12_000;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// With `SANDBOX=basic`, the lines that confine the scripts of every case that says nothing of it, to see that they go on
/// as they are. They have the case's own directory, what is in $APPS, and what some look at of themselves.
fn confinement(root: &Path) -> Vec<String> {
    let Some(level) = std::env::var_os("SANDBOX").filter(|_| !bench().oracle) else {
        return Vec::new();
    };
    let (at, apps) = (root.display(), bench().directory.join("apps"));
    vec![
        format!("ScriptSandbox {}", level.display()),
        format!("ScriptSandboxRead \"{at}\" \"{}\" /proc", apps.display()),
        format!("ScriptSandboxWrite \"{at}\""),
    ]
}

/// Writes `httpd.conf`: the case's lines first (their numbers stay), then defaults for what they do not say.
pub fn write_config(root: &Path, lines: &[String], listen: &str) -> Result<(), String> {
    let said = top_level_directives(lines);
    let at = root.display();
    let defaults = [
        ("serverroot", format!("ServerRoot \"{at}\"")),
        ("listen", format!("Listen {listen}")),
        ("servername", "ServerName localhost".into()),
        ("documentroot", format!("DocumentRoot \"{at}/htdocs\"")),
        ("pidfile", format!("PidFile \"{at}/httpd.pid\"")),
        ("errorlog", format!("ErrorLog \"{at}/error.log\"")),
        (
            "customlog",
            format!("CustomLog \"{at}/access.log\" \"%h %l %u %t \\\"%r\\\" %>s %b\""),
        ),
        ("typesconfig", format!("TypesConfig \"{at}/mime.types\"")),
    ];
    // To see that what a case shows does not change with it.
    let tree = std::env::var("PROCESS_TREE").ok().filter(|_| !bench().oracle);
    let tree = tree.map(|word| ("cgiprocesstree", format!("CGIProcessTree {word}")));
    let cache = std::env::var("FILE_CACHE").ok().filter(|_| !bench().oracle);
    let cache = cache.map(|size| ("filecachesize", format!("FileCacheSize {size}")));
    let missing = defaults
        .into_iter()
        .chain(tree)
        .chain(cache)
        .filter(|(name, _)| !said.iter().any(|s| s == name))
        .map(|(_, line)| line);
    let confined = confinement(root)
        .into_iter()
        .filter(|_| !said.iter().any(|s| s == "scriptsandbox"));
    let text: Vec<String> = lines.iter().cloned().chain(missing).chain(confined).collect();
    write(&root.join("httpd.conf"), (text.join("\n") + "\n").as_bytes())?;
    write(&root.join("mime.types"), include_bytes!("mime.types"))
}

/// Names of the directives outside of sections (those about conditions do not count as sections).
fn top_level_directives(lines: &[String]) -> Vec<String> {
    let mut depth = 0_usize;
    let mut names = Vec::new();
    for line in lines.iter().map(|l| l.trim().to_ascii_lowercase()) {
        if line.starts_with("<if") || line.starts_with("</if") {
        } else if line.starts_with("</") {
            depth = depth.saturating_sub(1);
        } else if line.starts_with('<') {
            depth += 1;
        } else if depth == 0 {
            names.extend(line.split_whitespace().next().map(String::from));
        }
    }
    names
}

/// Gives everything below `root` to the user that the server will run as.
pub fn hand_over(root: &Path, as_root: bool) -> Result<(), String> {
    if !privileged() || as_root {
        return Ok(());
    }
    let owned = |e: std::io::Error| format!("{}: {e}", root.display());
    lchown(root, Some(NOBODY), Some(NOBODY)).map_err(owned)?;
    for entry in fs::read_dir(root).map_err(owned)? {
        let path = entry.map_err(owned)?.path();
        if path.is_dir() && !path.is_symlink() {
            hand_over(&path, as_root)?;
        } else {
            lchown(&path, Some(NOBODY), Some(NOBODY)).map_err(owned)?;
        }
    }
    Ok(())
}

/// The uid that the server gets.
pub fn server_uid(as_root: bool) -> u32 {
    if privileged() && !as_root {
        NOBODY
    } else {
        geteuid().as_raw()
    }
}

/// The program with a clean environment, as the right user, in `root`.
pub fn program(root: &Path, as_root: bool, environment: &[(String, String)]) -> Result<Command, String> {
    program_at(&bench().program, root, as_root, environment)
}

/// Another program, likewise.
pub fn program_at(
    program: &Path,
    root: &Path,
    as_root: bool,
    environment: &[(String, String)],
) -> Result<Command, String> {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .current_dir(root)
        .stdin(Stdio::null());
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    if bench().oracle {
        load_modules(&mut command, root)?;
    }
    if privileged() && !as_root {
        command.uid(NOBODY).gid(NOBODY);
    }
    Ok(command)
}

/// The installed Apache with a clean environment, as the right user, in `root`.
pub fn apache(root: &Path) -> Result<Command, String> {
    let mut command = Command::new("/usr/sbin/apache2");
    command
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .current_dir(root)
        .stdin(Stdio::null());
    load_modules(&mut command, root)?;
    if privileged() {
        command.uid(NOBODY).gid(NOBODY);
    }
    Ok(command)
}

fn load_modules(command: &mut Command, root: &Path) -> Result<(), String> {
    let modules: Vec<String> = APACHE_MODULES.iter().map(|m| load_module(m)).collect();
    let text = format!(
        "{}\nStartServers 1\nThreadsPerChild 25\nMaxRequestWorkers 200\nMinSpareThreads 1\n",
        modules.join("\n")
    );
    write(&root.join("oracle.conf"), text.as_bytes())?;
    command.arg("-C").arg(format!("Include {}/oracle.conf", root.display()));
    Ok(())
}

/// Runs a program to its end. Output goes through files, so that a child left behind cannot hold it open; one that
/// does not end in time is killed with all that it started.
pub fn run(root: &Path, mut command: Command, patience: Duration) -> Result<Output, String> {
    let names = [root.join("run.stdout"), root.join("run.stderr")];
    let create = |path: &PathBuf| File::create(path).map_err(|e| format!("{}: {e}", path.display()));
    command.stdout(create(&names[0])?).stderr(create(&names[1])?);
    let mut child = command.spawn().map_err(|e| format!("run: {e}"))?;
    let ended = poll(patience, || match child.try_wait() {
        Ok(Some(status)) => Ok(status),
        _ => Err("the program does not end".to_string()),
    });
    if ended.is_err() {
        for process in processes::descendants(child.id()) {
            kill(process.pid, Signal::KILL);
        }
        let _already_gone = child.kill();
        let _reaped = child.wait();
    }
    let read = |path: &PathBuf| fs::read(path).unwrap_or_default();
    ended.map(|status| Output {
        status,
        stdout: read(&names[0]),
        stderr: read(&names[1]),
    })
}

fn load_module(name: &str) -> String {
    format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so")
}

/// A running server.
pub struct Server {
    /// Addresses of its listeners, `host:port`, in the order of the configuration.
    pub listeners: Vec<String>,
    child: Child,
    at_rest: Vec<Process>,
    open_at_rest: std::collections::BTreeMap<u32, usize>,
}

impl Server {
    /// Boots the server that `root` holds and waits until it listens. `expected` is where the configuration
    /// says it will (needed for Apache, which does not tell).
    pub fn boot(root: &Path, mut command: Command, arguments: &[String], expected: &str) -> Result<Server, String> {
        command
            .arg("-f")
            .arg(root.join("httpd.conf"))
            .args(["-D", "FOREGROUND"])
            .args(arguments);
        Server::boot_as(root, command, expected)
    }

    /// Boots `command` as it is; its standard error goes to the file `stderr` in `root`.
    pub fn boot_as(root: &Path, command: Command, expected: &str) -> Result<Server, String> {
        if bench().oracle {
            return Server::boot_silent(root, command, expected);
        }
        Server::start(root, command, announced_listeners)
    }

    /// Boots a server that does not tell where it listens.
    pub fn boot_silent(root: &Path, command: Command, expected: &str) -> Result<Server, String> {
        Server::start(root, command, |child| {
            wait_until(child, || TcpStream::connect(expected).map(drop)).map(|()| vec![expected.to_string()])
        })
    }

    /// Boots `lychgate fcgiwrap`.
    pub fn boot_fcgiwrap(root: &Path, command: Command) -> Result<Server, String> {
        Server::start(root, command, |child| {
            announced(child, "lychgate: FastCGI at ").map(|place| vec![place])
        })
    }

    fn start(
        root: &Path,
        mut command: Command,
        listens: impl FnOnce(&mut Child) -> Result<Vec<String>, String>,
    ) -> Result<Server, String> {
        let errors = File::create(root.join("stderr")).map_err(|e| format!("stderr: {e}"))?;
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .map_err(|e| format!("boot: {e}"))?;
        let listeners = listens(&mut child);
        let listeners = listeners.map_err(|e| {
            let _already_gone = child.kill();
            let _reaped = child.wait();
            format!(
                "boot: {e}; stderr: {}",
                fs::read_to_string(root.join("stderr")).unwrap_or_default()
            )
        })?;
        let at_rest = processes::descendants(child.id());
        let open_at_rest = processes::channels(&at_rest);
        Ok(Server {
            listeners,
            child,
            at_rest,
            open_at_rest,
        })
    }

    /// Process id of the first process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, by its name without SIG.
    pub fn signal(&self, name: &str) -> Result<(), String> {
        let signal = match name {
            "TERM" => Signal::TERM,
            "HUP" => Signal::HUP,
            "USR1" => Signal::USR1,
            "WINCH" => Signal::WINCH,
            "INT" => Signal::INT,
            _ => return Err(format!("signal `{name}` is not known here")),
        };
        kill(self.pid(), signal);
        Ok(())
    }

    /// Waits until the server is at rest again: no script, no zombie, no more descriptors than at the start.
    pub fn settle(&self, patience: Duration) -> Result<(), String> {
        poll(patience, || {
            let now = processes::descendants(self.child.id());
            if let Some(zombie) = now.iter().find(|p| p.state == 'Z') {
                return Err(format!("zombie: {} ({})", zombie.pid, zombie.name));
            }
            let known = |p: &&Process| self.at_rest.iter().any(|r| r.pid == p.pid && r.start == p.start);
            if let Some(left) = now.iter().find(|p| !known(p)) {
                return Err(format!("process left behind: {} ({})", left.pid, left.name));
            }
            // What services hold is theirs: a connection comes and goes as they like.
            let own = processes::process(self.child.id()).map_or(String::new(), |first| first.name);
            let ours: Vec<Process> = now.into_iter().filter(|p| p.name == own).collect();
            for (pid, open) in processes::channels(&ours) {
                let before = self.open_at_rest.get(&pid).copied().unwrap_or(0);
                if open > before {
                    return Err(format!("descriptors leaked: process {pid} held {before}, now {open}"));
                }
            }
            Ok(())
        })
    }

    /// Stops the server by SIGTERM; everything it started must be gone soon.
    pub fn stop(mut self) -> Result<(), String> {
        let family = processes::descendants(self.child.id());
        kill(self.child.id(), Signal::TERM);
        let ended = poll(Duration::from_secs(15), || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status),
            _ => Err("the server does not stop on SIGTERM".into()),
        });
        let gone = poll(Duration::from_secs(5), || {
            let lives = |p: &&Process| processes::process(p.pid).is_some_and(|now| now.start == p.start);
            family
                .iter()
                .find(lives)
                .map_or(Ok(()), |p| Err(format!("outlived the server: {} ({})", p.pid, p.name)))
        });
        for process in &family {
            if processes::process(process.pid).is_some_and(|now| now.start == process.start) {
                kill(process.pid, Signal::KILL);
            }
        }
        let status = ended?;
        gone?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("the server ended with {status}"))
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // The first one first: nobody is to notice that the others die.
            let family = processes::descendants(self.child.id());
            let _already_gone = self.child.kill();
            for process in family {
                kill(process.pid, Signal::KILL);
            }
            let _reaped = self.child.wait();
        }
    }
}

/// Asks again and again, five milliseconds apart, until `question` answers or patience ends.
pub fn poll<T>(patience: Duration, mut question: impl FnMut() -> Result<T, String>) -> Result<T, String> {
    let deadline = Instant::now() + patience;
    loop {
        match question() {
            Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
            answer => return answer,
        }
    }
}

/// Writes a file and says which one if it cannot.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent)
        .and_then(|()| fs::write(path, bytes))
        .map_err(|e| format!("{}: {e}", path.display()))
}

/// Sets permission bits.
pub fn set_mode(path: &Path, mode: u32) -> Result<(), String> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(|e| format!("{}: {e}", path.display()))
}

/// Sends a signal to a process that may have ended.
pub fn kill(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _already_gone = kill_process(pid, signal);
    }
}

/// Waits until one can connect to what a server listens at.
fn wait_until(child: &mut Child, connect: impl Fn() -> std::io::Result<()>) -> Result<(), String> {
    poll(Duration::from_secs(20), || match child.try_wait() {
        Ok(Some(_)) => Ok(Err("the server ended at once".to_string())),
        _ => connect().map(Ok).map_err(|e| format!("it does not listen: {e}")),
    })?
}

/// Reads `lychgate: listening on http://127.0.0.1:PORT/, …` (or https) from its standard output.
fn announced_listeners(child: &mut Child) -> Result<Vec<String>, String> {
    let urls = announced(child, "lychgate: listening on ")?;
    let address = |url: &str| {
        let url = url.trim();
        let behind = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        Some(behind?.strip_suffix('/')?.to_string())
    };
    let listeners = urls.split(", ").map(|u| address(u).ok_or(format!("not a URL: `{u}`")));
    let mut listeners: Vec<String> = listeners.collect::<Result<_, _>>()?;
    // One that speaks TLS and plain HTTP is told twice.
    listeners.dedup();
    Ok(listeners)
}

/// What its first line has behind these words.
fn announced(child: &mut Child, words: &str) -> Result<String, String> {
    let output = child.stdout.take().expect("stdout was asked for as a pipe");
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut line = String::new();
        let _unread_on_error = output.read_line(&mut line);
        let _boot_gave_up = sender.send(line);
        let _until_the_server_ends = output.read_to_end(&mut Vec::new());
    });
    let line = receiver
        .recv_timeout(Duration::from_secs(20))
        .map_err(|_| "it never said where it listens")?;
    let rest = line.trim_end().strip_prefix(words);
    rest.map(str::to_owned).ok_or(format!("it said `{}`", line.trim_end()))
}
