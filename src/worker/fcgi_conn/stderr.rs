//! Where a script's error output goes: to our error log, or to the client, who logs it beside the request it is of.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::log::script_log::ScriptLog;
use crate::scripts::notes::{About, Logs, Taken, Weight};
use crate::worker::thread::Errors;

/// The notes of one request.
pub(super) struct Complaints {
    logs: Rc<dyn Logs>,
    errors: Errors,
    /// Lines for the client, each with its end. CGIStderrLimit bounds them.
    lines: RefCell<Vec<u8>>,
    waiter: Cell<Option<Waker>>,
}

impl Complaints {
    pub(super) fn new(logs: Rc<dyn Logs>, errors: Errors) -> Complaints {
        Complaints {
            logs,
            errors,
            lines: RefCell::default(),
            waiter: Cell::default(),
        }
    }

    /// What has come for the client.
    pub(super) fn take(&self) -> Vec<u8> {
        self.lines.take()
    }

    /// Ready when something has come for the client.
    pub(super) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.lines.borrow().is_empty() {
            return Poll::Ready(());
        }
        self.waiter.set(Some(cx.waker().clone()));
        Poll::Pending
    }
}

impl Logs for Complaints {
    fn note(&self, about: &About, weight: Weight, text: &str) {
        self.logs.note(about, weight, text);
    }

    fn script_log(&self, site: usize) -> Option<Rc<ScriptLog>> {
        self.logs.script_log(site)
    }

    fn complaint(&self, line: &[u8]) -> Taken {
        if self.errors == Errors::Log {
            return Taken::Not;
        }
        let mut lines = self.lines.borrow_mut();
        lines.extend_from_slice(line);
        lines.push(b'\n');
        if let Some(waiter) = self.waiter.take() {
            waiter.wake();
        }
        Taken::ByOthers
    }
}
