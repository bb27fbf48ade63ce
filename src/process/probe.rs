//! Does this kernel, or a container's filter before it, let us do what we cannot do without? Asked once at start.

use std::fmt;
use std::os::fd::AsFd;

use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::pidfd::Pidfd;

/// A system call that is refused, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Its name.
    pub call: &'static str,
    /// The system's answer.
    pub errno: i32,
}

/// The system calls that are needed and refused; empty on Linux 5.10 and newer without a filter.
pub fn missing() -> Vec<Missing> {
    let mut missing = Vec::new();
    let mut note = |call, result: Result<(), std::io::Error>| {
        if let Err(error) = result {
            missing.push(Missing {
                call,
                errno: error.raw_os_error().unwrap_or(0),
            });
        }
    };
    let own_pid = rustix::process::getpid().as_raw_nonzero().get();
    let pidfd = Pidfd::open(own_pid);
    note("pidfd_open", pidfd.map(drop));
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::DIRECTORY;
    let opened = rustix::fs::open("/", flags, Mode::empty())
        .and_then(|root| rustix::fs::openat2(root.as_fd(), ".", flags, Mode::empty(), resolve));
    note("openat2", opened.map(|_| ()).map_err(std::io::Error::from));
    note("close_range", close_nothing());
    missing
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = std::io::Error::from_raw_os_error(self.errno);
        write!(
            f,
            "the system call {} is refused ({error}); Linux 5.10 or newer is needed",
            self.call
        )
    }
}

/// close_range(2) of a range in which no descriptor can be.
fn close_nothing() -> std::io::Result<()> {
    // SAFETY: closes descriptor numbers that the kernel never gives out.
    let result = unsafe { libc::syscall(libc::SYS_close_range, u32::MAX, u32::MAX, 0) };
    if result < 0 {
        Err(std::io::Error::last_os_error())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_is_missing_where_the_tests_run() {
        assert_eq!(super::missing(), []);
    }
}
