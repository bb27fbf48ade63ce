//! Scripts whose spawner has died: we are their parent now, and the worker, which may signal nobody, asks us to.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::process::pidfd::{Pidfd, signal_group};
use crate::process::say::{Weight, say};

/// What a worker asks for: the leader of a process group, and the signal's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) pid: i32,
    pub(super) signal: i32,
}

/// Signals the group of an orphan. A worker that was taken over could name anybody: what is no descendant of ours is refused,
/// and so is each of `ours` (the roles and log programs) with all below it.
pub(super) fn signal(asked: Asked, ours: &[i32]) {
    let Asked { pid, signal } = asked;
    let refused = |why: &str| {
        let what = format!("the worker wants process {pid} signalled ({signal}), {why}: refused");
        say("launcher", Weight::Error, &what);
    };
    let Some(signal) = [Signal::TERM, Signal::KILL]
        .into_iter()
        .find(|one| one.as_raw() == signal)
    else {
        return refused("which is no signal that ends a script");
    };
    let own = rustix::process::getpid().as_raw_nonzero().get();
    match descent(pid, own, ours, parent) {
        // Nobody has reaped it but us, so the number is still its own.
        Descent::Orphan => {
            if let Err(error) = signal_group(pid, signal)
                && error.raw_os_error() != Some(libc::ESRCH)
            {
                let what = format!("cannot signal the process group {pid}: {error}");
                say("launcher", Weight::Error, &what);
            }
        }
        Descent::Gone => {}
        Descent::Foreign => refused("which is no script without a spawner"),
    }
}

/// Ends the scripts whose spawner has died, at our own end: SIGTERM, `grace`, SIGKILL. `ours` are spared with all below them, and so is
/// what has made a session of its own, as daemons do.
pub(super) fn end_all(ours: &[i32], grace: Duration) {
    let until = Instant::now() + grace;
    let mut asked = HashSet::new();
    loop {
        let left = left(ours).unwrap_or_default();
        if left.is_empty() {
            return;
        }
        let is_over = Instant::now() >= until;
        for (pid, pidfd) in left {
            let signal = if is_over { Signal::KILL } else { Signal::TERM };
            if (is_over || asked.insert(pid))
                && let Err(error) = pidfd.signal(signal)
            {
                let what = format!("cannot end process {pid}, which a script has left: {error}");
                say("launcher", Weight::Error, &what);
            }
        }
        if is_over {
            return;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Between two looks for what is left.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What is left of scripts without a spawner, and runs.
fn left(ours: &[i32]) -> io::Result<Vec<(i32, Pidfd)>> {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    // 0 where it is outside of our PID namespace.
    let Some(own_group) = look(own).map(|seen| seen.group) else {
        return Ok(Vec::new());
    };
    let mut left = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let is_left =
            |seen: Seen| may_be_of_script(seen, own_group) && descent(pid, own, ours, parent) == Descent::Orphan;
        if pid == own || !look(pid).is_some_and(is_left) {
            continue;
        }
        // Held first and looked at once more: the number may be another's by now.
        if let Ok(pidfd) = Pidfd::open(pid)
            && look(pid).is_some_and(is_left)
        {
            left.push((pid, pidfd));
        }
    }
    Ok(left)
}

/// A script has a process group of its own within the session of its spawner.
fn may_be_of_script(seen: Seen, own_group: i32) -> bool {
    seen.runs && seen.group != own_group && seen.group != seen.session
}

/// What /proc says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    runs: bool,
    parent: i32,
    group: i32,
    session: i32,
}

/// Fields 3 to 6 of /proc/PID/stat, proc_pid_stat(5).
fn look(pid: i32) -> Option<Seen> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace();
    let runs = !matches!(fields.next()?, "Z" | "X");
    let mut number = || fields.next()?.parse().ok();
    Some(Seen {
        runs,
        parent: number()?,
        group: number()?,
        session: number()?,
    })
}

/// Where a process comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Descent {
    /// From us, and from none of ours.
    Orphan,
    /// From elsewhere, or one of ours.
    Foreign,
    /// It has ended.
    Gone,
}

fn descent(pid: i32, own: i32, ours: &[i32], parent: impl Fn(i32) -> Option<i32>) -> Descent {
    let mut at = pid;
    for _ in 0..DEEPEST {
        if at <= 1 || at == own || ours.contains(&at) {
            return Descent::Foreign;
        }
        match parent(at) {
            None => return Descent::Gone,
            Some(parent) if parent == own => return Descent::Orphan,
            Some(parent) => at = parent,
        }
    }
    Descent::Foreign
}

/// A script is our child, or that of one who watches over it. Deeper ones are left alone.
const DEEPEST: usize = 8;

/// The parent of a process.
pub(super) fn parent(pid: i32) -> Option<i32> {
    Some(look(pid)?.parent)
}

#[cfg(test)]
mod tests {
    use super::{Descent, Seen, descent, may_be_of_script, parent};

    #[test]
    fn only_orphans_of_ours_may_be_signalled() {
        use Descent::{Foreign, Gone, Orphan};
        // 10 is the launcher; 11 a worker, 12 a log program with a child 13; 20 an orphan, 21 its watched child.
        let parents = [
            (10, 1),
            (11, 10),
            (12, 10),
            (13, 12),
            (20, 10),
            (21, 20),
            (30, 1),
            (31, 30),
            (40, 40),
        ];
        let parent = |pid| {
            parents
                .iter()
                .find(|(child, _)| *child == pid)
                .map(|(_, parent)| *parent)
        };
        for (pid, expected) in [
            (20, Orphan),
            (21, Orphan),
            (10, Foreign),
            (11, Foreign),
            (12, Foreign),
            (13, Foreign),
            (30, Foreign),
            (31, Foreign),
            (1, Foreign),
            (0, Foreign),
            (-1, Foreign),
            (40, Foreign),
            (99, Gone),
        ] {
            assert_eq!(descent(pid, 10, &[11, 12], parent), expected, "{pid}");
        }
    }

    #[test]
    fn daemons_and_what_was_there_before_us_are_no_scripts() {
        for (runs, group, session, expected) in [
            (true, 20, 11, true), // in the session of the spawner
            (true, 20, 0, true),  // which is outside of our PID namespace
            (false, 20, 11, false),
            (true, 20, 20, false), // a daemon
            (true, 10, 5, false),  // a background command of the shell that became the launcher
        ] {
            let seen = Seen {
                runs,
                parent: 10,
                group,
                session,
            };
            assert_eq!(may_be_of_script(seen, 10), expected, "{seen:?}");
        }
    }

    #[test]
    fn a_parent_is_read_from_proc() {
        let own = std::process::id().cast_signed();
        assert_eq!(parent(own), Some(nix::unistd::getppid().as_raw()));
        assert_eq!(parent(i32::MAX), None);
    }
}
