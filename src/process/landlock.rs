//! What a process may reach of files and the network, confined by itself and for good (Landlock, landlock(7)).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Rules that can be entered any number of times.
#[derive(Debug)]
pub struct Ruleset(OwnedFd);

impl AsFd for Ruleset {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
