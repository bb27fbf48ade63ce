//! What a script that was taken over can do: `apps/probe.c` runs as a script under each setting and tries line by line what
//! the privileges chapter speaks of; its table must equal the one in `probe/NAME.txt` (`BLESS=1` writes it).
//!
//! A setting is one line of `SETTINGS`. With `ORACLE=apache2`, the installed Apache is asked, and its tables are compared with
//! those of the manual. What depends on the machine and not on the server is compared where the machine allows it.

mod attempts;
mod side_by_side;
mod world;

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use libtest_mimic::{Completion, Failed, Trial};
use nix::unistd::User;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::processes;
use crate::support::server::{self, Server, bench, privileged};
use crate::support::wire::{Judge, Wire};

use world::{SECRET, World, site_users};

const PATIENCE: Duration = Duration::from_secs(30);
/// A line that the script wants to see in the log as if the server had written it.
const FORGED: &str = "[Fri Nov 20 00:00:00.000000 2026] [core:emerg] [pid 1] AH00000: forged";
/// How long what a script left behind may take to be gone: longer than the grace of `CGIProcessTree kill`.
const GRACE: Duration = Duration::from_secs(8);

/// Who starts the server, and whose the files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Given {
    /// An ordinary user does, and all is theirs.
    Ordinary,
    /// Root does; both sites' scripts run as `User`, to whom their data belong; programs and pages are root's.
    Shared,
    /// Root does; each site has a user of its own, to whom everything of it belongs.
    Own,
}

/// One setting under which the probe runs: one table.
struct Setting {
    name: &'static str,
    given: Given,
    /// Lines for the whole server.
    server: &'static [&'static str],
    /// Lines for the site of the probe.
    site: &'static [&'static str],
    /// Modules, for a setting that Apache is asked under; ours otherwise.
    apache: Option<&'static [&'static str]>,
}

const SETTINGS: &[Setting] = &[
    Setting {
        name: "user",
        given: Given::Ordinary,
        server: &[],
        site: &[],
        apache: None,
    },
    Setting {
        name: "root",
        given: Given::Shared,
        server: &[],
        site: &[],
        apache: None,
    },
    Setting {
        name: "root-suexec",
        given: Given::Own,
        server: &[],
        site: &[],
        apache: None,
    },
    Setting {
        name: "root-limits",
        given: Given::Shared,
        server: &[],
        site: &LIMITS,
        apache: None,
    },
    Setting {
        name: "root-chroot",
        given: Given::Shared,
        server: &["ChrootDir $ROOT/sites"],
        site: &[],
        apache: None,
    },
    Setting {
        name: "apache-chroot",
        given: Given::Shared,
        server: &["ChrootDir $ROOT/sites", "StartServers 2"],
        site: &[],
        apache: Some(&["mpm_prefork", "cgi"]),
    },
    Setting {
        name: "apache-cgid",
        given: Given::Shared,
        server: &["ScriptSock $ROOT/cgid.sock"],
        site: &[],
        apache: Some(&["mpm_event", "cgid"]),
    },
    Setting {
        name: "apache-cgi",
        given: Given::Shared,
        server: &["StartServers 2"],
        site: &[],
        apache: Some(&["mpm_prefork", "cgi"]),
    },
    Setting {
        name: "apache-suexec",
        given: Given::Own,
        server: &["StartServers 2"],
        site: &[],
        apache: Some(&["mpm_prefork", "cgi", "suexec"]),
    },
];

const LIMITS: [&str; 8] = [
    "RLimitCPU 60 120",
    "RLimitMEM 1000000000 1000000000",
    "RLimitNPROC 60 60",
    "RLimitNOFILE 100 100",
    "RLimitFSIZE 1000000000 1000000000",
    "RLimitCORE 0 0",
    "Umask 027",
    "Nice 5",
];

/// Modules that every setting of Apache needs.
const APACHE_MODULES: &[&str] = &["authz_core", "alias", "mime"];

/// All tests of this directory.
pub fn trials() -> Vec<Trial> {
    let wanted = |setting: &&Setting| {
        let can = privileged() || setting.given == Given::Ordinary;
        can && setting.apache.is_some() == bench().oracle
    };
    let trial = |setting: &'static Setting| {
        Trial::ignorable_test(format!("probe::{}", setting.name), move || match setting.missing() {
            Some(reason) => Ok(Completion::ignored_with(reason)),
            None => play(setting).map(|()| Completion::Completed).map_err(Failed::from),
        })
    };
    let mut trials: Vec<Trial> = SETTINGS.iter().filter(wanted).map(trial).collect();
    trials.extend(side_by_side::trials());
    trials
}

impl Setting {
    fn golden(&self) -> PathBuf {
        golden(self.name)
    }

    /// Why it cannot be asked here: suexec's directory is in a file below /etc, which is the administrator's.
    fn missing(&self) -> Option<String> {
        if !self.apache.is_some_and(|modules| modules.contains(&"suexec")) {
            return None;
        }
        let settings = fs::read_to_string("/etc/apache2/suexec/www-data").unwrap_or_default();
        let allows = settings
            .lines()
            .next()
            .is_some_and(|root| bench().directory.starts_with(root));
        let here = bench().directory.display();
        (!allows).then(|| format!("apache2-suexec-custom is not there, or not told about {here}"))
    }

    /// Who scripts run as where root's server is told nothing else. Apache needs one with a name: for a number without one
    /// it writes an alert (AH02155), and goes on as root.
    fn server_user(&self) -> u32 {
        let named = self.apache.and_then(|_| User::from_name("www-data").ok().flatten());
        named.map_or_else(|| self.own_user(0), |user| user.uid.as_raw())
    }

    /// A user that no other setting has, nor another run at the same time: processes are counted by user. It has no name.
    fn own_user(&self, which: u32) -> u32 {
        let row = SETTINGS
            .iter()
            .position(|setting| setting.name == self.name)
            .unwrap_or(0);
        40_000 + std::process::id() % 250 * 100 + u32::try_from(row).unwrap_or(0) * 4 + which
    }

    /// The lines of the configuration.
    fn config(&self, port: u16) -> Vec<String> {
        let mut lines: Vec<String> = self.server.iter().map(ToString::to_string).collect();
        if self.given != Given::Ordinary {
            let user = self.server_user();
            lines.extend([format!("User #{user}"), format!("Group #{user}")]);
        }
        if self.apache.is_none() {
            // Apache looks for it outside of ChrootDir too.
            lines.push("DocumentRoot \"$SITES/a/htdocs\"".into());
        }
        for (name, user) in ["a", "b"].into_iter().zip(site_users(self)) {
            lines.extend([
                format!("<VirtualHost 127.0.0.1:{port}>"),
                format!("ServerName {name}.example"),
                format!("DocumentRoot \"$SITES/{name}/htdocs\""),
                format!("ScriptAlias /cgi-bin/ \"$SITES/{name}/cgi-bin/\""),
            ]);
            if self.given == Given::Own {
                lines.push(format!("SuexecUserGroup #{user} #{user}"));
            }
            if name == "a" {
                lines.extend(self.site.iter().map(ToString::to_string));
            }
            lines.push("</VirtualHost>".into());
        }
        lines.extend(["<Directory \"$SITES\">", "Require all granted", "</Directory>"].map(String::from));
        lines
    }

    /// Where the sites are for whoever runs as this setting says.
    fn sites_seen(&self, root: &Path) -> String {
        if self.server.iter().any(|line| line.starts_with("ChrootDir ")) {
            String::new()
        } else {
            root.join("sites").display().to_string()
        }
    }

    fn command(&self, root: &Path) -> Result<Command, String> {
        let Some(modules) = self.apache else {
            return server::program(root, self.given != Given::Ordinary, &[]);
        };
        let load = |name: &&str| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n");
        let lines: String = modules.iter().chain(APACHE_MODULES).map(load).collect();
        server::write(&root.join("modules.conf"), lines.as_bytes())?;
        // Without what we have inherited ourselves; and in a group of its own, for at its end it signals its group.
        let closing =
            "for fd in /proc/$$/fd/*; do [ ${fd##*/} -le 2 ] || eval \"exec ${fd##*/}>&-\"; done; exec \"$@\"";
        let mut command = Command::new("bash");
        command
            .args(["-c", closing, "bash"])
            .arg(&bench().program)
            .process_group(0);
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command.current_dir(root);
        command.args([
            "-C",
            &format!("Include {}/modules.conf", root.display()),
            "-C",
            &format!("DefaultRuntimeDir {}", root.display()),
        ]);
        Ok(command)
    }
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/probe/{name}.txt"))
}

/// Runs the probe under one setting and compares its table.
fn play(setting: &Setting) -> Result<(), String> {
    let expected = fs::read_to_string(setting.golden()).unwrap_or_default();
    let mut world = World::prepare(setting)?;
    let command = setting.command(&world.root)?;
    let server = Server::boot(&world.root, command, &[], &format!("127.0.0.1:{}", world.port))?;
    world.meet(&server)?;
    world.set_task(setting)?;
    let said = ask(&server.listeners[0], "a.example", "/cgi-bin/probe?a+b")?;
    let said = String::from_utf8_lossy(&said).into_owned();
    let is_patient = blessing() || expected.contains(&format!("{}: gone", attempts::LEFT_BEHIND));
    let outside = Outside {
        left_behind: left_behind(&world, is_patient),
        source: source_by_url(&server.listeners[0])?,
        launcher: fs::read_to_string(format!("/proc/{}/status", world.launcher)).unwrap_or_default(),
    };
    let root = world.root.clone();
    world.end();
    server.stop()?;
    let log = fs::read_to_string(root.join("error.log")).unwrap_or_default();
    let table = table(setting, &said, &outside, &log);
    if blessing() {
        fs::write(setting.golden(), &table).map_err(|e| format!("{}: {e}", setting.golden().display()))?;
    } else {
        compare(&expected, &table)?;
    }
    let _left_for_the_end_of_the_run = fs::remove_dir_all(root);
    Ok(())
}

fn blessing() -> bool {
    std::env::var_os("BLESS").is_some_and(|v| v == "1")
}

/// What can be seen from outside only.
struct Outside {
    left_behind: &'static str,
    source: String,
    /// `/proc/PID/status` of the launcher.
    launcher: String,
}

/// The probe's lines, with what it could not know and without what depends on the machine.
fn table(setting: &Setting, said: &str, outside: &Outside, log: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in said.lines() {
        let (name, outcome) = line.split_once(": ").unwrap_or((line, ""));
        let ours = "the server's".to_string();
        let outcome = match name {
            _ if name == attempts::LEFT_BEHIND && outcome == "allowed" => outside.left_behind.into(),
            "15 forge lines of the log" => forgery(log).into(),
            "09 its user" | "09 its group" | "09 its groups" => whose(setting, name, outcome, &outside.launcher),
            "10 umask"
                if outcome.trim_start_matches('0')
                    == status_field(&outside.launcher, "Umask").trim_start_matches('0') =>
            {
                ours
            }
            "10 nice" if outcome == own_nice() => ours,
            _ if name.starts_with("10 limit ") && is_our_limit(name, outcome) => ours,
            _ => outcome.into(),
        };
        lines.push(format!("{name}: {outcome}"));
    }
    lines.push(format!("04 read a script's source by URL: {}", outside.source));
    // The probe tells its descriptors first, before it opens any; the numbers make the order.
    lines.sort_by(|a, b| a.get(..2).cmp(&b.get(..2)));
    lines.join("\n") + "\n"
}

/// User, group or groups of the script, by the name of who has the same.
fn whose(setting: &Setting, name: &str, outcome: &str, launcher: &str) -> String {
    let is = |id: u32| outcome.split(' ').all(|word| word == id.to_string());
    let field = match name {
        "09 its user" => "Uid",
        "09 its group" => "Gid",
        _ => "Groups",
    };
    if outcome == status_field(launcher, field) {
        "the launcher's".into()
    } else if is(setting.server_user()) {
        "User's".into()
    } else if is(site_users(setting)[0]) {
        "the site's".into()
    } else {
        outcome.into()
    }
}

/// The first three words of a line of `/proc/PID/status`, or all of one of groups; `none` when there are none.
fn status_field(status: &str, name: &str) -> String {
    let line = status.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'));
    let words: Vec<&str> = line.unwrap_or_default().split_whitespace().collect();
    let most = if name == "Groups" {
        words.len()
    } else {
        words.len().min(3)
    };
    if most == 0 {
        "none".into()
    } else {
        words[..most].join(" ")
    }
}

fn own_nice() -> String {
    rustix::process::getpriority_process(None).map_or(String::new(), |nice| nice.to_string())
}

/// The test's own limits are those that the server was started with.
fn is_our_limit(name: &str, outcome: &str) -> bool {
    let rows = [
        ("cpu", "Max cpu time"),
        ("as", "Max address space"),
        ("nproc", "Max processes"),
        ("nofile", "Max open files"),
        ("fsize", "Max file size"),
        ("core", "Max core file size"),
    ];
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let row = rows.iter().find(|(short, _)| name.ends_with(&format!(" {short}")));
    let row = row.and_then(|(_, long)| limits.lines().find_map(|line| line.strip_prefix(long)));
    let words: Vec<&str> = row.unwrap_or_default().split_whitespace().take(2).collect();
    words.join(" ").replace("unlimited", "-1") == outcome
}

fn forgery(log: &str) -> &'static str {
    if log
        .lines()
        .any(|line| line.trim_start_matches('\r').starts_with(FORGED))
    {
        "stand in it as the server's"
    } else if log.contains("AH00000: forged") {
        "stand in it as the script's"
    } else {
        "do not stand in it"
    }
}

/// Whether the process that the script left behind is gone, in time where that is expected; it is ended in any case.
fn left_behind(world: &World, is_patient: bool) -> &'static str {
    let name = attempts::daemon_name(world);
    let patience = if is_patient { GRACE } else { Duration::ZERO };
    let gone = server::poll(patience, || match processes::named(&name) {
        Some(process) => Err(process.name),
        None => Ok(()),
    });
    if let Some(process) = processes::named(&name) {
        end(process.pid);
    }
    if gone.is_ok() { "gone" } else { "lives on" }
}

fn end(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _already_gone = kill_process(pid, Signal::KILL);
    }
}

/// Asks for a script that is not executable in every spelling that has shown a source somewhere.
fn source_by_url(address: &str) -> Result<String, String> {
    for spelling in [
        "/cgi-bin/other.cgi",
        "/cgi-bin/other.cgi/",
        "/cgi-bin/other.cgi/x",
        "/cgi-bin/other.cgi%00",
        "/cgi-bin/other.cgi%00.html",
        "/cgi-bin/other.cgi%20",
        "/cgi-bin/other.cgi.",
        "/cgi-bin/other.cgi~",
        "/cgi-bin/OTHER.CGI",
        "/CGI-BIN/other.cgi",
        "/cgi-bin//other.cgi",
        "//cgi-bin/other.cgi",
        "/cgi-bin/./other.cgi",
        "/cgi-bin/%2e/other.cgi",
        "/./cgi-bin/other.cgi",
        "/cgi-bin%2fother.cgi",
        "/cgi-bin\\other.cgi",
        "/cgi-bin/x/../other.cgi",
        "/../cgi-bin/other.cgi",
        "/%2e%2e/cgi-bin/other.cgi",
        "/..%2fcgi-bin/other.cgi",
        "/%252e%252e/cgi-bin/other.cgi",
        "/%c0%ae%c0%ae/cgi-bin/other.cgi",
        "/cgi-bin/../../b/cgi-bin/secrets.cgi",
        "/cgi-bin/..%2f..%2fb/cgi-bin/secrets.cgi",
        "/cgi-bin/other.cgi?-s",
        "/cgi-bin/other.cgi::$DATA",
        "/cgi-bin/other%2ecgi",
    ] {
        let head = format!("GET {spelling} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n");
        let mut wire = Wire::connect(address, PATIENCE)?;
        wire.send(head.as_bytes())?;
        let reply = wire.rest()?;
        if memchr::memmem::find(&reply.body, SECRET.as_bytes()).is_some() {
            return Ok(format!("as {spelling}"));
        }
    }
    Ok("in no spelling".into())
}

/// One request with fields that must not become variables of the server's own; the body of the reply.
fn ask(address: &str, host: &str, target: &str) -> Result<Vec<u8>, String> {
    let mut wire = Wire::connect(address, PATIENCE)?;
    let head = format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nProxy: http://evil.example\r\nLd-Preload: /tmp/evil.so\r\n\
         Connection: close\r\n\r\n"
    );
    wire.send(head.as_bytes())?;
    let reply = wire.reply(Judge::Loose)?;
    if reply.status_line.starts_with(b"HTTP/1.1 200 ") {
        Ok(reply.body)
    } else {
        Err(format!("{host}{target}: {reply:?}"))
    }
}

/// Starts the other site's script, which waits; its connection.
fn start_sibling(address: &str) -> Result<Wire, String> {
    let mut wire = Wire::connect(address, PATIENCE)?;
    wire.send(b"GET /cgi-bin/sibling HTTP/1.0\r\nHost: b.example\r\n\r\n")?;
    wire.wait_for(b"sibling runs")?;
    Ok(wire)
}

/// Every line must be the expected one, but for those that this machine decides.
fn compare(expected: &str, table: &str) -> Result<(), String> {
    let mut wrong = Vec::new();
    let outcome = |text: &str, name: &str| {
        let line = text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(": "));
        line.map(str::to_owned)
    };
    let names = |text: &str| -> Vec<String> {
        text.lines()
            .filter_map(|l| Some(l.split_once(": ")?.0.to_owned()))
            .collect()
    };
    if names(expected) != names(table) {
        return Err(format!(
            "not the lines that are expected (BLESS=1 writes them):\n{table}"
        ));
    }
    for name in names(table) {
        let (wanted, have) = (outcome(expected, &name), outcome(table, &name));
        if wanted != have && !machine_decides(&name) {
            let shown = |outcome: Option<String>| outcome.unwrap_or_default();
            wrong.push(format!("{name}: {}, not {}", shown(have), shown(wanted)));
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n"))
    }
}

/// Does this machine refuse by itself what the line is about, or lack it?
fn machine_decides(name: &str) -> bool {
    let number = |path: &str| -> Option<u32> { fs::read_to_string(path).ok()?.trim().parse().ok() };
    let sys = |name: &str| number(&format!("/proc/sys/{name}"));
    match name {
        "09 run a set-user-id program" => !privileged(),
        "09 make a user namespace" => {
            sys("user/max_user_namespaces") == Some(0)
                || sys("kernel/unprivileged_userns_clone") == Some(0)
                || sys("kernel/apparmor_restrict_unprivileged_userns") == Some(1)
        }
        "08 TCP by fast open" => sys("net/ipv4/tcp_fastopen").is_none_or(|set| set & 1 == 0),
        "06 open a raw IPv6 socket" => !Path::new("/proc/net/if_inet6").exists(),
        _ => {
            let traces = ["05 trace", "05 read memory", "05 open memory", "05 take a descriptor"];
            sys("kernel/yama/ptrace_scope").unwrap_or(0) > 0 && traces.iter().any(|t| name.starts_with(t))
        }
    }
}
