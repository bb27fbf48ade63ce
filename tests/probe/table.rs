//! A table: the probe's lines with what can be seen from outside only, and without what depends on the machine.

use std::fs;
use std::path::Path;

use super::settings::Setting;
use super::world::site_users;
use super::{FORGED, attempts};
use crate::support::server::privileged;

/// What can be seen from outside only.
pub struct Outside {
    /// What became of the process that the script left behind.
    pub left_behind: &'static str,
    /// The spelling that shows a source, if one does.
    pub source: String,
    /// `/proc/PID/status` of the launcher.
    pub launcher: String,
}

/// The probe's lines, with what it could not know and without what depends on the machine.
pub fn table(setting: &Setting, said: &str, outside: &Outside, log: &str) -> String {
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

/// Every line must be the expected one, but for those that this machine decides.
pub fn compare(expected: &str, table: &str) -> Result<(), String> {
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
        "08 TCP by several paths" => sys("net/mptcp/enabled") != Some(1),
        "09 set up an io_uring" => sys("kernel/io_uring_disabled") != Some(0),
        "06 open a raw IPv6 socket" => !Path::new("/proc/net/if_inet6").exists(),
        _ => {
            let traces = ["05 trace", "05 read memory", "05 open memory", "05 take a descriptor"];
            sys("kernel/yama/ptrace_scope").unwrap_or(0) > 0 && traces.iter().any(|t| name.starts_with(t))
        }
    }
}
