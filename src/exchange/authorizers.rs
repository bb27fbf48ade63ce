//! Applications that say who may come in (FastCGI 1.0 section 6.3): what they are asked and what they answer, as the phases
//! see it. Whoever can ask them stands behind a trait.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use crate::exchange::Exchange;
use crate::exchange::client::Answer;
use crate::exchange::fail::Fail;
use crate::exchange::place::Place;
use crate::http::status::Status;

/// What an authorizer is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorizing {
    /// Who is asked.
    pub whom: Whom,
    /// What it is to find out.
    pub part: Part,
    /// What it means where it gives no proper answer.
    pub standing: Standing,
    /// The user, where one is known.
    pub user: Option<Vec<u8>>,
    /// The password, where it is to be looked at.
    pub password: Option<Vec<u8>>,
    /// The decoded path that is asked for.
    pub path: Vec<u8>,
}

/// An authorizer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// One that runs already, by the name that `AuthnzFcgiDefineProvider` gives it.
    Provider(Vec<u8>),
    /// One that is started when it is wanted: its file and its arguments.
    Program(Vec<Vec<u8>>),
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Whom::Provider(name) => name,
            Whom::Program(command) => command.first().unwrap_or(const { &Vec::new() }),
        };
        f.write_str(&String::from_utf8_lossy(name))
    }
}

/// Whether an authorizer has the last word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has: without a proper answer of its there is none.
    Authoritative,
    /// Others are asked where it does not grant.
    Passing,
}

/// What an authorizer is to find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Who the client is.
    Authenticator,
    /// Whether the client may come in, whoever it is.
    AccessChecker,
    /// Whether the user may come in.
    Authorizer,
    /// Both at once.
    Both,
}

/// An authorizer's answer to a client that may not come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its status, other than 200.
    pub status: Status,
    /// Its fields.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// Its body, whole.
    pub body: Vec<u8>,
}

/// Who can ask authorizers.
pub trait Authorizers {
    /// What the authorizer answers; a failure where it does not, or not properly.
    fn ask<'a>(&'a self, ex: &'a Exchange, place: &'a Place, asked: &'a Authorizing) -> Asking<'a>;
}

/// An answer on its way.
pub type Asking<'a> = Pin<Box<dyn Future<Output = Result<Answer, Fail>> + 'a>>;

/// A handle to those who can ask.
#[derive(Clone)]
pub struct Gate(pub Rc<dyn Authorizers>);

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate")
    }
}
