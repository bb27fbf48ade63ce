//! Scripts whose spawner has died: we are their parent now, and the worker, which may signal nobody, asks us to.

use std::fs;

use rustix::process::Signal;

use crate::process::pidfd::signal_group;
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

/// The parent of a process: field 4 of /proc/PID/stat, proc_pid_stat(5).
pub(super) fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Descent, descent, parent};

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
    fn a_parent_is_read_from_proc() {
        let own = std::process::id().cast_signed();
        assert_eq!(parent(own), Some(nix::unistd::getppid().as_raw()));
        assert_eq!(parent(i32::MAX), None);
    }
}
