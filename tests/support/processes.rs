//! What /proc says about the server's processes: descendants, zombies, open descriptors.

use std::collections::BTreeMap;
use std::fs;

/// One process, told apart from a later one with the same pid by its start time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Start time in clock ticks since boot.
    pub start: u64,
    /// `Z` is a zombie.
    pub state: char,
    /// Name of the program, or what it calls itself: at most 15 bytes.
    pub name: String,
    /// Its parent's id.
    pub parent: u32,
}

/// The process `pid`, if it lives (a zombie does).
pub fn process(pid: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (before, after) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = after.split_whitespace().collect();
    Some(Process {
        pid,
        name: before.split_once('(')?.1.into(),
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
    })
}

/// The process that bears this name, if there is one.
pub fn named(name: &str) -> Option<Process> {
    all().into_iter().find(|p| p.name == name && p.state != 'Z')
}

fn all() -> Vec<Process> {
    let names = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    names
        .filter_map(|e| e.file_name().to_str()?.parse().ok())
        .filter_map(process)
        .collect()
}

/// All processes below `pid`, not itself.
pub fn descendants(pid: u32) -> Vec<Process> {
    let all = all();
    let mut family = vec![pid];
    let mut found: Vec<Process> = Vec::new();
    loop {
        let next: Vec<&Process> = all
            .iter()
            .filter(|p| family.contains(&p.parent) && !family.contains(&p.pid))
            .collect();
        if next.is_empty() {
            found.sort();
            return found;
        }
        family.extend(next.iter().map(|p| p.pid));
        found.extend(next.into_iter().cloned());
    }
}

/// How many pipes, sockets and pidfds each process holds; a process that may not be looked at is left out.
pub fn channels(processes: &[Process]) -> BTreeMap<u32, usize> {
    processes
        .iter()
        .filter_map(|p| Some((p.pid, open_channels(p.pid)?)))
        .collect()
}

fn open_channels(pid: u32) -> Option<usize> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let targets = descriptors.filter_map(|e| fs::read_link(e.ok()?.path()).ok());
    let counts = |t: &std::path::PathBuf| {
        let target = t.to_string_lossy();
        ["pipe:", "socket:", "anon_inode:[pidfd]"]
            .iter()
            .any(|kind| target.starts_with(kind))
    };
    Some(targets.filter(counts).count())
}

/// Resident memory of a process in KiB, without the pages of programs and other files: those come in when they are first
/// needed, whoever needs them.
pub fn resident_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kib = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some(kib("RssAnon:")? + kib("RssShmem:")?)
}

/// The user and group of a file, by the names that the system has for them.
pub fn owner(path: &std::path::Path) -> std::io::Result<String> {
    let status = std::fs::metadata(path)?;
    let (uid, gid) = (
        nix::unistd::Uid::from_raw(std::os::unix::fs::MetadataExt::uid(&status)),
        nix::unistd::Gid::from_raw(std::os::unix::fs::MetadataExt::gid(&status)),
    );
    let user = nix::unistd::User::from_uid(uid)?.map(|user| user.name);
    let group = nix::unistd::Group::from_gid(gid)?.map(|group| group.name);
    Ok(format!("{} {}", user.unwrap_or_default(), group.unwrap_or_default()))
}
