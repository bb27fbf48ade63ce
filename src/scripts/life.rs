//! What a script's request and its keeper know in common.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::process::pidfd::Exit;
use crate::scripts::notes::{Notes, Weight};
use crate::scripts::pipe::Pipe;
use crate::scripts::stderr::Stderr;

/// The life of one script.
pub(super) struct Life {
    /// What was asked for, as far as it is told: method and target.
    request: Vec<u8>,
    since: Instant,
    pid: Cell<i32>,
    end: Cell<Option<End>>,
    stderr_open: Cell<bool>,
    /// Whether its reply has begun, so that nobody asks why there is none.
    answered: Cell<bool>,
    /// Whether we made it end.
    told_to_end: Cell<bool>,
    pub(super) notes: Rc<Notes>,
    /// What it wrote to standard error.
    pub(super) stderr: RefCell<Stderr>,
    /// The request, waiting for the end.
    waiter: RefCell<Option<Waker>>,
    will: RefCell<Option<Will>>,
    /// The keeper has a will to read.
    pub(super) called: Notify,
}

/// The end of a script's process.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    /// How; `None` when nobody can tell.
    pub(super) exit: Option<Exit>,
    /// When it was seen.
    pub(super) at: Instant,
}

/// What the request leaves to the keeper.
pub(super) struct Will {
    /// What shall happen.
    pub(super) wish: Wish,
    /// Its output, if it had not ended.
    pub(super) stdout: Option<Pipe>,
}

/// What shall happen to a script that nobody reads any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// It may run on, as long as it is not silent for too long.
    Finish,
    /// Its group is asked to end, then made to.
    Terminate,
    /// It is left alone.
    Alone,
}

impl Life {
    pub(super) fn new(stderr_limit: u64, notes: Rc<Notes>, request: Vec<u8>) -> Life {
        Life {
            request,
            since: Instant::now(),
            pid: Cell::new(0),
            end: Cell::new(None),
            stderr_open: Cell::new(true),
            answered: Cell::new(false),
            told_to_end: Cell::new(false),
            notes,
            stderr: RefCell::new(Stderr::new(stderr_limit)),
            waiter: RefCell::new(None),
            will: RefCell::new(None),
            called: Notify::new(),
        }
    }

    /// The method and the target of its request; empty where it serves several.
    pub(super) fn request(&self) -> &[u8] {
        &self.request
    }

    /// When it was asked for.
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    pub(super) fn started(&self, pid: i32) {
        self.pid.set(pid);
    }

    /// Its process id, once it has started.
    pub(super) fn pid(&self) -> Option<i32> {
        Some(self.pid.get()).filter(|pid| *pid != 0)
    }

    pub(super) fn end(&self) -> Option<End> {
        self.end.get()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.end.get().is_some()
    }

    pub(super) fn note_end(&self, exit: Option<Exit>) {
        let at = Instant::now();
        self.end.set(Some(End { exit, at }));
        if self.answered.get() {
            self.judge(exit);
        }
        self.wake();
    }

    /// Its reply has begun.
    pub(super) fn note_answer(&self) {
        if !self.answered.replace(true)
            && let Some(end) = self.end.get()
        {
            self.judge(end.exit);
        }
    }

    /// It is being made to end, so how it does is its own affair.
    pub(super) fn note_told_to_end(&self) {
        self.told_to_end.set(true);
    }

    /// A bad end behind a good beginning deserves a record; SIGPIPE is how one ends whose reader has left.
    fn judge(&self, exit: Option<Exit>) {
        let (weight, exit) = match exit {
            _ if self.told_to_end.get() => return,
            None | Some(Exit::Code(0) | Exit::Signal(libc::SIGPIPE)) => return,
            Some(exit @ Exit::Code(_)) => (Weight::Info, exit),
            Some(exit @ Exit::Signal(_)) => (Weight::Error, exit),
        };
        let text = format!("it ended after its reply had begun: {exit}");
        self.notes.note(weight, self.pid(), &text);
    }

    pub(super) fn stderr_is_open(&self) -> bool {
        self.stderr_open.get()
    }

    pub(super) fn note_stderr_closed(&self) {
        self.stderr_open.set(false);
        self.wake();
    }

    /// Wakes the task of `cx` at the next change.
    pub(super) fn watch(&self, cx: &Context<'_>) {
        let mut waiter = self.waiter.borrow_mut();
        if !waiter.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waiter = Some(cx.waker().clone());
        }
    }

    pub(super) fn leave(&self, will: Will) {
        *self.will.borrow_mut() = Some(will);
        self.called.notify_one();
    }

    pub(super) fn take_will(&self) -> Option<Will> {
        self.will.borrow_mut().take()
    }

    fn wake(&self) {
        if let Some(waker) = self.waiter.borrow_mut().take() {
            waker.wake();
        }
    }
}
