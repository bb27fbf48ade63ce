//! Which spawner has taken an order in hand.
//!
//! It leaves a mark on the standard output that came with the order before it starts anything. The worker has the same
//! description still open, so that the mark outlives who left it: an order that may have been carried out is never given a second time.
//! The mark is what fcntl(2) F_SETSIG sets, which means nothing where nobody asks for signals and has no owner to send
//! them to.

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// A spawner's mark. One in 64 others has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(c_int);

impl Mark {
    /// That of a process by its id.
    pub fn of(pid: i32) -> Mark {
        Mark(1 + pid.rem_euclid(LAST_SIGNAL))
    }

    /// That of this process.
    pub fn own() -> Mark {
        Mark::of(rustix::process::getpid().as_raw_nonzero().get())
    }

    /// Leaves it on a description, which all its descriptors share, instead of any that was there.
    pub fn leave_on(self, description: impl AsFd) -> io::Result<()> {
        fcntl(description, F_SETSIG, self.0).map(drop)
    }

    /// The one that was left on a description.
    pub fn on(description: impl AsFd) -> io::Result<Option<Mark>> {
        Ok(Some(fcntl(description, F_GETSIG, 0)?)
            .filter(|mark| *mark != 0)
            .map(Mark))
    }
}

fn fcntl(description: impl AsFd, what: c_int, argument: c_int) -> io::Result<c_int> {
    // SAFETY: these commands take an int and touch no memory of ours; the descriptor is open for as long as it is borrowed.
    match unsafe { libc::fcntl(description.as_fd().as_raw_fd(), what, argument) } {
        -1 => Err(io::Error::last_os_error()),
        answer => Ok(answer),
    }
}

/// Signals have the numbers 1 to 64 (signal(7)).
const LAST_SIGNAL: i32 = 64;

/// Of Linux' asm-generic/fcntl.h; the libc crate has them for few targets.
const F_SETSIG: c_int = 10;
const F_GETSIG: c_int = 11;

#[cfg(test)]
mod tests {
    use super::Mark;

    #[test]
    fn a_mark_is_seen_through_every_descriptor_and_outlives_the_one_it_was_left_by() {
        let (_reader, writer) = std::io::pipe().expect("pipes work");
        assert_eq!(Mark::on(&writer).expect("a pipe"), None);
        let other = writer.try_clone().expect("descriptors are free");
        for pid in [1, 63, 64, 65, i32::MAX] {
            Mark::of(pid).leave_on(&other).expect("any number is one");
            assert_eq!(Mark::on(&writer).expect("a pipe"), Some(Mark::of(pid)));
        }
        drop(other);
        assert_eq!(Mark::on(&writer).expect("a pipe"), Some(Mark::of(i32::MAX)));
        assert_ne!(Mark::of(1000), Mark::of(1001));
    }
}
