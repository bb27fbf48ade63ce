//! What is known of the client beyond its address: its name, its user, and what had to be asked to know them.

use std::cell::RefCell;
use std::sync::Arc;

use crate::auth::hash::Hash;
use crate::config::directives::DirConf;
use crate::exchange::authorizers::{Authorizing, Gate, Refusal, Whom};
use crate::http::depends;

/// A client.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// Its host's name, where it was asked for and found.
    pub host: Option<Vec<u8>>,
    /// The name it gave itself, in this pass. It is to be believed where access was granted.
    pub user: Option<Vec<u8>>,
    /// How it gave the name: AUTH_TYPE.
    pub auth_type: Option<&'static str>,
    /// What the client is told of how it was known, in Authentication-Info.
    pub authenticated: Option<Vec<u8>>,
    /// The settings under which this pass was let in.
    pub admitted: Option<Arc<DirConf>>,
    /// Whether answers can be waited for.
    pub patience: Patience,
    /// Who can ask authorizers; nobody where there are none.
    pub gate: Option<Gate>,
    answers: Vec<(Question, Answer)>,
    wanted: RefCell<Vec<Question>>,
}

/// Whether a request can wait for an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Patience {
    /// It can.
    #[default]
    Waits,
    /// It is a look ahead; it leaves its questions to the request that looks.
    Leaves,
}

/// Something that takes time to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Whether a password is the one that was hashed.
    Password {
        /// The stored hash.
        hash: Hash,
        /// What the client gave.
        password: Vec<u8>,
    },
    /// The client's name, which leads back to its address.
    HostName,
    /// Whether a name leads to the client's address.
    LeadsHere(Vec<u8>),
    /// Who owns a file.
    Owner(Vec<u8>),
    /// Which group a file is in.
    Group(Vec<u8>),
    /// What an authorizer says.
    Authorizer(Authorizing),
}

/// A variable that is set: its name and its value.
pub type Set = (Vec<u8>, Vec<u8>);

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is so.
    Yes,
    /// It is not so, or could not be found out.
    No,
    /// A name.
    Name(Vec<u8>),
    /// The client may come in, and these variables are set.
    Granted(Vec<Set>),
    /// It may not.
    Refused(Refusal),
}

impl Client {
    /// Whether of both is known the same, which is next to nothing; no is not sure.
    pub fn is_like(&self, other: &Client) -> bool {
        let is_next_to_nothing = |one: &Client| {
            // All of them, so that none is forgotten.
            let Client {
                host,
                user,
                auth_type,
                authenticated,
                admitted: _,
                patience,
                gate,
                answers,
                wanted,
            } = one;
            host.is_none()
                && user.is_none()
                && auth_type.is_none()
                && authenticated.is_none()
                && *patience == Patience::Waits
                && gate.is_none()
                && answers.is_empty()
                && wanted.borrow().is_empty()
        };
        let is_same = match (&self.admitted, &other.admitted) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        is_same && is_next_to_nothing(self) && is_next_to_nothing(other)
    }

    /// The answer to a question, if it was asked.
    pub fn answer(&self, question: &Question) -> Option<&Answer> {
        depends::on_more();
        let known = self.answers.iter().find(|(asked, _)| asked == question);
        known.map(|(_, answer)| answer)
    }

    /// Records an answer.
    pub fn learn(&mut self, question: Question, answer: Answer) {
        self.answers.push((question, answer));
    }

    /// Whether the authorizer of this name has let the client in, to this path.
    pub fn is_let_in_by(&self, name: &[u8], path: &[u8]) -> bool {
        let mut granted = self.granted(path);
        granted.any(|(asked, _)| matches!(&asked.whom, Whom::Provider(known) if known == name))
    }

    /// The variables that authorizers have set for this path.
    pub fn granted_variables(&self, path: &[u8]) -> Vec<Set> {
        self.granted(path)
            .flat_map(|(_, variables)| variables.clone())
            .collect()
    }

    fn granted<'c>(&'c self, path: &[u8]) -> impl Iterator<Item = (&'c Authorizing, &'c Vec<Set>)> {
        self.answers.iter().filter_map(move |known| match known {
            (Question::Authorizer(asked), Answer::Granted(variables)) if asked.path == path => Some((asked, variables)),
            _ => None,
        })
    }

    /// Leaves a question for later.
    pub fn want(&self, question: Question) {
        depends::on_more();
        self.wanted.borrow_mut().push(question);
    }

    /// Leaves another's questions for later.
    pub fn take_over(&self, other: &Client) {
        self.wanted.borrow_mut().extend(other.wanted());
    }

    /// Takes the questions that were left.
    pub fn wanted(&self) -> Vec<Question> {
        self.wanted.take()
    }

    /// Whether questions were left, so that what came out so far does not count.
    pub fn is_in_doubt(&self) -> bool {
        !self.wanted.borrow().is_empty()
    }

    /// The client of a look ahead: the same, who has been let in nowhere yet.
    #[must_use]
    pub fn look_ahead(&self) -> Client {
        Client {
            host: self.host.clone(),
            answers: self.answers.clone(),
            patience: Patience::Leaves,
            ..Client::default()
        }
    }

    /// Is again who it was before another place was looked at; what was learnt there stays known.
    pub fn back_to(&mut self, before: Client) {
        self.user = before.user;
        self.auth_type = before.auth_type;
        self.authenticated = before.authenticated;
        self.admitted = before.admitted;
    }

    /// Forgets what is known of the user, for another place.
    pub fn forget_user(&mut self) {
        self.user = None;
        self.auth_type = None;
        self.authenticated = None;
        self.admitted = None;
    }
}
