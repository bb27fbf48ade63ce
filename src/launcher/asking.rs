//! Those who asked for new settings by a signal and wait for word of what came of it.

use crate::process::answer::{self, Answer};

/// Process numbers of senders of signals; most do not listen.
#[derive(Debug, Default)]
pub(super) struct Asking {
    /// What they asked for was not begun.
    later: Vec<u32>,
    /// It was.
    now: Vec<u32>,
}

impl Asking {
    /// Another one.
    pub(super) fn add(&mut self, pid: u32) {
        self.later.push(pid);
    }

    /// What they asked for is begun.
    pub(super) fn begin(&mut self) {
        self.now.append(&mut self.later);
    }

    /// Everybody.
    pub(super) fn all(&self) -> Vec<u32> {
        [self.now.as_slice(), &self.later].concat()
    }

    /// What was begun has come to this.
    pub(super) fn answer(&mut self, answer: &Answer) {
        for pid in self.now.drain(..) {
            answer::tell(pid, answer);
        }
    }

    /// Nothing more will be begun.
    pub(super) fn refuse_all(&mut self, why: &str) {
        self.begin();
        self.answer(&Err(why.to_owned()));
    }
}
