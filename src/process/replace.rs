//! Putting another open file behind a descriptor that is in use.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Makes `old` lead where `new` leads, at one stroke for every thread that uses it.
pub fn replace(old: BorrowedFd<'_>, new: BorrowedFd<'_>) -> io::Result<()> {
    loop {
        // SAFETY: both descriptors are open for the time of the call; `old` stays an open descriptor of its owner.
        let result = unsafe { libc::dup3(new.as_raw_fd(), old.as_raw_fd(), libc::O_CLOEXEC) };
        if result >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if !matches!(error.raw_os_error(), Some(libc::EINTR | libc::EBUSY)) {
            return Err(error);
        }
    }
}
