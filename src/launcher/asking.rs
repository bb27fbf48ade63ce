//! Those who asked for new settings and wait for word of what came of it.

use super::ctl::Desk;
use crate::process::answer::{self, Answer};

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// The process that sent a signal; most do not listen.
    Signal(u32),
    /// A visitor of the control socket.
    Visitor(u64),
}

/// Those who wait.
#[derive(Debug, Default)]
pub(super) struct Asking {
    /// What they asked for was not begun.
    later: Vec<Asker>,
    /// It was.
    now: Vec<Asker>,
}

impl Asking {
    /// Another one.
    pub(super) fn add(&mut self, asker: Asker) {
        self.later.push(asker);
    }

    /// What they asked for is begun.
    pub(super) fn begin(&mut self) {
        self.now.append(&mut self.later);
    }

    /// The processes that sent signals.
    pub(super) fn signallers(&self) -> Vec<u32> {
        let all = self.now.iter().chain(&self.later);
        all.filter_map(|asker| match asker {
            Asker::Signal(pid) => Some(*pid),
            Asker::Visitor(_) => None,
        })
        .collect()
    }

    /// What was begun has come to this.
    pub(super) fn answer(&mut self, answer: &Answer, desk: &mut Desk) {
        for asker in self.now.drain(..) {
            match asker {
                Asker::Signal(pid) => answer::tell(pid, answer),
                Asker::Visitor(number) => desk.tell_outcome(number, answer),
            }
        }
    }

    /// Nothing more will be begun.
    pub(super) fn refuse_all(&mut self, why: &str, desk: &mut Desk) {
        self.begin();
        self.answer(&Err(why.to_owned()), desk);
    }
}
