//! What rewriting, and rules for fields, leave behind for the rest of the request.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::exchange::negotiated::Negotiated;
use crate::exchange::subrequest::Main;
use crate::exchange::{Exchange, Variables};
use crate::http::fields::Fields;
use crate::lang::log_level::Level;
use crate::lang::vars::Accessible;

/// What the rules of a request did besides changing its target.
#[derive(Clone, Debug, Default)]
pub struct Rewriting {
    /// Whether this is a request or a look at what one would come to.
    pub look: Look,
    /// The page that this request is made for, if it is.
    pub main: Option<Rc<Main>>,
    /// How expressions learn whether something else is accessible; a look ahead looks no further.
    pub ahead: Option<IsAccessible>,
    /// `[END]`: no rules any more.
    pub ended: bool,
    /// `[T]` of the server's rules.
    pub media_type: Option<Vec<u8>>,
    /// `[H]` of the server's rules.
    pub handler: Option<Vec<u8>>,
    /// `Set-Cookie` fields for the answer, with the cookies' names.
    pub cookies: Vec<(Vec<u8>, Vec<u8>)>,
    /// What scripts said before they redirected inside the server: fields for whatever answer there will be.
    pub said: Fields,
    /// The request's fields that decided, of rules and of expressions.
    pub vary: Vary,
    /// What variables were before SetEnv said otherwise ([`Exchange::variable`]).
    pub overlaid: Variables,
    /// What `Header note` kept, for expressions and logs.
    pub notes: Variables,
    /// What it has to say.
    pub lines: Lines,
    /// What was negotiated.
    pub negotiated: Negotiated,
    /// What map programs were asked.
    pub asked: Rc<Asked>,
}

impl Rewriting {
    /// Whether both have left the same behind, which is next to nothing; no is not sure.
    pub fn is_like(&self, other: &Rewriting) -> bool {
        let is_next_to_nothing = |one: &Rewriting| {
            // All of them, so that none is forgotten.
            let Rewriting {
                look,
                main,
                ahead: _,
                ended,
                media_type,
                handler,
                cookies,
                said,
                vary,
                overlaid,
                notes,
                lines,
                negotiated,
                asked: _,
            } = one;
            *look == Look::Request
                && main.is_none()
                && !ended
                && media_type.is_none()
                && handler.is_none()
                && cookies.is_empty()
                && said.is_empty()
                && vary.is_empty()
                && overlaid.is_empty()
                && notes.is_empty()
                && lines.is_empty()
                && negotiated.is_empty()
        };
        let is_same_way = |one: Option<IsAccessible>, other: Option<IsAccessible>| match (one, other) {
            (Some(one), Some(other)) => std::ptr::fn_addr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        is_same_way(self.ahead, other.ahead)
            && Rc::ptr_eq(&self.asked, &other.asked)
            && is_next_to_nothing(self)
            && is_next_to_nothing(other)
    }
}

/// Whether the client of a request could have a file or a URL path.
pub type IsAccessible = fn(&Exchange, Accessible, &[u8]) -> bool;

/// What the rules of a request ask of map programs, whose answers take time. Rules that need one that is not there end without
/// a result, and are applied again once it is.
#[derive(Debug, Default)]
pub struct Asked {
    answers: RefCell<BTreeMap<Question, Option<Vec<u8>>>>,
    open: RefCell<Option<Question>>,
}

/// A question to a map program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    /// Its number.
    pub program: usize,
    /// The key.
    pub key: Vec<u8>,
}

impl Asked {
    /// The answer to a question, if it is there; otherwise the question is open.
    pub fn answer(&self, question: Question) -> Option<Option<Vec<u8>>> {
        let known = self.answers.borrow().get(&question).cloned();
        if known.is_none() {
            self.open.borrow_mut().get_or_insert(question);
        }
        known
    }

    /// Takes the open question.
    pub fn take_open(&self) -> Option<Question> {
        self.open.take()
    }

    /// Notes an answer.
    pub fn note(&self, question: Question, answer: Option<Vec<u8>>) {
        self.answers.borrow_mut().insert(question, answer);
    }
}

/// Names of fields of the request, each once.
#[derive(Clone, Debug, Default)]
pub struct Vary(RefCell<Vec<String>>);

impl Vary {
    /// Adds one.
    pub fn add(&self, name: &str) {
        let mut names = self.0.borrow_mut();
        if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            names.push(name.to_owned());
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// All of them.
    pub fn names(&self) -> Vec<String> {
        self.0.borrow().clone()
    }
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
#[derive(Clone, Debug, Default)]
pub struct Lines(RefCell<Vec<Line>>);

/// One of them.
#[derive(Clone, Debug)]
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

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// Takes all there are.
    pub fn take(&self) -> Vec<Line> {
        self.0.take()
    }
}
