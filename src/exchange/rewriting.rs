//! What rewriting, and rules for fields, leave behind for the rest of the request.

use std::cell::RefCell;

use crate::exchange::Variables;
use crate::lang::log_level::Level;

/// What the rules of a request did besides changing its target.
#[derive(Debug, Default)]
pub struct Rewriting {
    /// Whether this is a request or a look at what one would come to.
    pub look: Look,
    /// `[END]`: no rules any more.
    pub ended: bool,
    /// `[T]` of the server's rules.
    pub media_type: Option<Vec<u8>>,
    /// `[H]` of the server's rules.
    pub handler: Option<Vec<u8>>,
    /// `Set-Cookie` fields for the answer, with the cookies' names.
    pub cookies: Vec<(Vec<u8>, Vec<u8>)>,
    /// The request's fields that decided.
    pub vary: Vec<String>,
    /// What `Header note` kept, for expressions and logs.
    pub notes: Variables,
    /// What it has to say.
    pub lines: Lines,
}

/// Whether a request is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Look {
    /// It is.
    #[default]
    Request,
    /// It only looks at what another would come to (an index file, `%{LA-U:…}`, `-F`, `-U`).
    Ahead,
}

/// Lines for the error log that phases have made; the worker writes them.
#[derive(Debug, Default)]
pub struct Lines(RefCell<Vec<Line>>);

/// One of them.
#[derive(Debug)]
pub struct Line {
    /// How urgent it is.
    pub level: Level,
    /// The module whose LogLevel decides.
    pub module: &'static str,
    /// What happened.
    pub text: String,
}

impl Lines {
    /// Adds one.
    pub fn push(&self, level: Level, module: &'static str, text: String) {
        self.0.borrow_mut().push(Line { level, module, text });
    }

    /// Adds all of another request's.
    pub fn take_over(&self, others: &Lines) {
        self.0.borrow_mut().append(&mut others.0.borrow_mut());
    }

    /// Takes all there are.
    pub fn take(&self) -> Vec<Line> {
        self.0.take()
    }
}
