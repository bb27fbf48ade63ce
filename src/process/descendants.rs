//! The processes below this one, as /proc tells of them (proc_pid_children(5), proc_pid_stat(5)).
//!
//! A number that was read may be another's a moment later, so each process is first held by its pidfd and then asked
//! again who its parent is, and the parent whether it is still the same: a stranger is never taken for one of ours.

use std::collections::HashMap;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::fs::{CWD, Dir, Mode, OFlags};

use super::pidfd::Pidfd;

/// The process table: `/proc` of our own PID namespace.
#[derive(Debug)]
pub struct ProcessTable {
    directory: OwnedFd,
    way: Way,
}

/// How the children of a process are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The kernel lists them.
    Listed,
    /// Every process is asked for its parent: a kernel without CONFIG_PROC_CHILDREN.
    Asked,
}

/// What is asked of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    parent: i32,
    /// In clock ticks since the machine's start.
    start: u64,
}

impl ProcessTable {
    /// Opens `/proc`. It is an error where there is none, or it is that of other processes.
    pub fn open() -> io::Result<ProcessTable> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(CWD, "/proc", flags, Mode::empty())?;
        let named = rustix::fs::readlinkat(&directory, "self", Vec::new())?;
        let own = own_pid();
        if named.as_bytes() != own.to_string().as_bytes() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "/proc shows other processes"));
        }
        let mut table = ProcessTable {
            directory,
            way: Way::Listed,
        };
        if table.read(&format!("{own}/task/{own}/children")).is_err() {
            table.way = Way::Asked;
        }
        Ok(table)
    }

    /// The same, but for kernels that do not list the children of a process.
    #[must_use]
    pub fn without_lists(self) -> ProcessTable {
        ProcessTable {
            way: Way::Asked,
            ..self
        }
    }

    /// Shows every process below us once, parents first, with its number; zombies too. What is started meanwhile may be
    /// missed, so whoever must have them all looks until there is nothing new. Those that somebody is hiding (hidepid)
    /// are seen once their parents have died, which makes them our children.
    ///
    /// It is an error when our own children cannot be found.
    pub fn visit(&self, mut visit: impl FnMut(i32, &Pidfd)) -> io::Result<()> {
        let own = own_pid();
        let by_parent = match self.way {
            Way::Listed => None,
            Way::Asked => Some(self.by_parent()?),
        };
        let children_of = |parent: i32| match &by_parent {
            Some(by_parent) => Ok(by_parent.get(&parent).cloned().unwrap_or_default()),
            None => self.listed_children(parent),
        };
        let mut starts = HashMap::from([(own, None)]);
        let mut unasked = vec![own];
        while let Some(parent) = unasked.pop() {
            let children = match children_of(parent) {
                Ok(children) => children,
                Err(error) if parent == own => return Err(error),
                Err(_) => continue, // it has ended, or is hidden
            };
            for child in children {
                if starts.contains_key(&child) {
                    continue;
                }
                let Ok(pidfd) = Pidfd::open(child) else {
                    continue;
                };
                let stat = self.stat(child);
                // A child of our own keeps its number until we reap it.
                if parent == own || stat.is_some_and(|stat| self.is_still(stat.parent, &starts)) {
                    visit(child, &pidfd);
                    starts.insert(child, stat.map(|stat| stat.start));
                    unasked.push(child);
                }
            }
        }
        Ok(())
    }

    /// Is the process of this number one of those seen, and the same as then?
    fn is_still(&self, pid: i32, starts: &HashMap<i32, Option<u64>>) -> bool {
        match starts.get(&pid) {
            None => false,
            Some(None) => pid == own_pid(),
            Some(Some(start)) => self.stat(pid).is_some_and(|stat| stat.start == *start),
        }
    }

    /// The children of all threads of a process.
    fn listed_children(&self, pid: i32) -> io::Result<Vec<i32>> {
        let mut children = Vec::new();
        for thread in self.numbers(&format!("{pid}/task"))? {
            // A thread that has ended meanwhile has left its children to another one.
            let list = self.read(&format!("{pid}/task/{thread}/children")).unwrap_or_default();
            children.extend(
                String::from_utf8_lossy(&list)
                    .split_ascii_whitespace()
                    .filter_map(|word| word.parse::<i32>().ok()),
            );
        }
        Ok(children)
    }

    fn by_parent(&self) -> io::Result<HashMap<i32, Vec<i32>>> {
        let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
        for pid in self.numbers(".")? {
            if let Some(stat) = self.stat(pid) {
                children.entry(stat.parent).or_default().push(pid);
            }
        }
        Ok(children)
    }

    fn stat(&self, pid: i32) -> Option<Stat> {
        Stat::read(&self.read(&format!("{pid}/stat")).ok()?)
    }

    /// The names in a directory that are numbers.
    fn numbers(&self, name: &str) -> io::Result<Vec<i32>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(self.directory.as_fd(), name, flags, Mode::empty())?;
        let mut numbers = Vec::new();
        for entry in Dir::new(directory)? {
            numbers.extend(
                entry?
                    .file_name()
                    .to_str()
                    .ok()
                    .and_then(|name| name.parse::<i32>().ok()),
            );
        }
        Ok(numbers)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(self.directory.as_fd(), name, flags, Mode::empty())?;
        let mut text = Vec::new();
        std::fs::File::from(file).read_to_end(&mut text)?;
        Ok(text)
    }
}

impl AsFd for ProcessTable {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

impl Stat {
    /// Reads a `stat` file: fields 4 and 22. The name, field 2, may hold anything, parentheses too.
    fn read(text: &[u8]) -> Option<Stat> {
        let end = text.iter().rposition(|byte| *byte == b')')?;
        let fields = std::str::from_utf8(text.get(end + 1..)?).ok()?;
        let mut fields = fields.split_ascii_whitespace().skip(1);
        Some(Stat {
            parent: fields.next()?.parse().ok()?,
            start: fields.nth(22 - 5)?.parse().ok()?,
        })
    }
}

/// How long ago a process was started.
pub fn age(pid: i32) -> Option<Duration> {
    let start = Stat::read(&std::fs::read(format!("/proc/{pid}/stat")).ok()?)?.start;
    // SAFETY: the call takes a number and returns one.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    let ticks = u64::try_from(ticks).ok().filter(|ticks| *ticks > 0)?;
    let started = Duration::from_millis(start.checked_mul(1000)? / ticks);
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let now = Duration::new(u64::try_from(now.tv_sec).ok()?, u32::try_from(now.tv_nsec).ok()?);
    Some(now.saturating_sub(started))
}

fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use rustix::process::Signal;

    use super::{ProcessTable, Stat};

    #[test]
    fn a_process_has_an_age() {
        let child = Command::new("sleep").arg("60").spawn();
        let mut child = child.expect("coreutils are there");
        let age = super::age(child.id().cast_signed()).expect("it runs");
        assert!(age < Duration::from_secs(20), "{age:?}");
        child.kill().and_then(|()| child.wait()).expect("ours");
        assert_eq!(super::age(child.id().cast_signed()), None);
    }

    #[test]
    fn a_stat_line_is_read_whatever_the_name() {
        let rest = "S 17 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 9000 1 2 3\n";
        let expected = Stat {
            parent: 17,
            start: 9000,
        };
        for name in ["cat", "a b", ") S 1 2", "\u{1f600}", ""] {
            let line = format!("42 ({name}) {rest}");
            assert_eq!(Stat::read(line.as_bytes()), Some(expected), "{name}");
            let whole = line.len() - " 1 2 3\n".len();
            for cut in 0..whole - "9000".len() {
                assert_ne!(Stat::read(&line.as_bytes()[..cut]), Some(expected), "{name} {cut}");
            }
        }
    }

    /// A child with a child of its own, by both ways; nobody else's.
    #[test]
    fn children_and_their_children_are_found_with_and_without_lists() {
        let script = "sleep 1000 & echo $!; read end; kill $!; wait";
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = shell.spawn().expect("there is a shell");
        let mut word = String::new();
        let output = shell.stdout.take().expect("piped");
        std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut word).expect("it says so");
        let grandchild: i32 = word.trim().parse().expect("a number");
        let child = i32::try_from(shell.id()).expect("small");
        let open = || ProcessTable::open().expect("/proc is there");
        for table in [open(), open().without_lists()] {
            let mut found = HashSet::new();
            table
                .visit(|pid, pidfd| {
                    if pid == grandchild {
                        pidfd.signal(Signal::CONT).expect("ours");
                    }
                    assert!(found.insert(pid), "{pid} twice");
                })
                .expect("it can be read");
            assert!(
                found.contains(&child) && found.contains(&grandchild),
                "{table:?}: {found:?}"
            );
            assert!(!found.contains(&1), "{table:?}");
            assert!(!found.contains(&super::own_pid()), "{table:?}");
        }
        drop(shell.stdin.take());
        shell.wait().expect("ours");
    }
}
