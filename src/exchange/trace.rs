//! What phases decide, told to whoever listens: `lychgate why`. Where nobody does, a step costs one look at an option, and is
//! not made.

mod words;

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};

use crate::config::directives::options::Options;
use crate::config::error::Span;
use crate::exchange::Exchange;
use crate::exchange::fail::Reply;
use crate::fs::open::OpenError;
use crate::http::status::Status;
use crate::lang::log_level::Level;

pub use words::Topic;

/// The steps of a request, in their order. A request that has one is explained and not served: nothing is run for it, no name
/// is looked up, nothing is written.
#[derive(Debug, Default)]
pub struct Trail(RefCell<Vec<Step>>);

/// One decision.
#[derive(Clone, Debug)]
pub enum Step {
    /// Which virtual host it is.
    Site {
        /// What it calls itself.
        name: Vec<u8>,
        /// Why it is this one.
        by: SiteBy,
        /// The address that the connection came to.
        local: SocketAddr,
        /// How many virtual hosts that address has.
        candidates: usize,
        /// Where it starts; nothing for the main server.
        at: Option<Span>,
    },
    /// The client is another than the other end of the connection.
    Client {
        /// Its address.
        address: IpAddr,
        /// The field that says so.
        field: Vec<u8>,
    },
    /// The path, decoded and without dot segments, and the query.
    Path {
        /// The path.
        path: Vec<u8>,
        /// The query.
        query: Option<Vec<u8>>,
    },
    /// A variable was set, or taken away.
    Variable {
        /// The directive that did it.
        by: &'static str,
        /// Its name.
        name: Vec<u8>,
        /// Its value; nothing where it was taken away.
        value: Option<Vec<u8>>,
        /// Where the directive stands.
        at: Option<Span>,
    },
    /// `RequestHeader` changed a field of the request.
    Field {
        /// Its name.
        name: Vec<u8>,
        /// What it is now; nothing where it is gone.
        value: Option<Vec<u8>>,
    },
    /// Rules of this context have their turn; nothing is the server's.
    Rules(Option<Vec<u8>>),
    /// The rule that stands there is applied.
    Rule(String),
    /// A step of rewriting, in Apache's words.
    Rewriting(String),
    /// A redirect of the settings covers the path.
    Redirect {
        /// The directive, with what it compares.
        by: String,
        /// The status that it says.
        status: u16,
        /// Where it stands.
        at: Span,
    },
    /// The name that the path stands for in the file system.
    Name {
        /// The directive that gave it.
        by: String,
        /// The name.
        path: Vec<u8>,
        /// Where the directive stands.
        at: Option<Span>,
    },
    /// A section covers the place.
    Section {
        /// Its first line.
        what: String,
        /// Where it starts.
        at: Span,
    },
    /// An access file was looked for.
    AccessFile(AccessFile, Vec<Vec<u8>>),
    /// The condition of an `<If>` was asked.
    Condition {
        /// Its first line.
        what: String,
        /// Whether it holds; nothing where it has no value.
        holds: Option<bool>,
        /// Where it starts.
        at: Span,
    },
    /// What is there.
    Found {
        /// The file's name.
        path: Vec<u8>,
        /// What it is.
        kind: &'static str,
        /// What follows it in the URL.
        path_info: Vec<u8>,
    },
    /// The options in force.
    Options(Options),
    /// Order, Allow, Deny, Satisfy and AllowMethods.
    Access(String),
    /// A container of requirements begins.
    Container(String),
    /// The innermost container ends, and came to this.
    ContainerEnd(Finding),
    /// A requirement came to this.
    Requirement {
        /// How it was written.
        what: String,
        /// What it came to.
        found: Finding,
        /// Where it stands.
        at: Option<Span>,
    },
    /// Who it is: credentials and providers.
    User(String),
    /// An index file was looked for.
    Index {
        /// Its URL path.
        url: Vec<u8>,
        /// Its name.
        file: Vec<u8>,
        /// Whether it is there.
        is_there: bool,
    },
    /// Another path of the site takes the place of this one.
    Instead {
        /// The directive that says so.
        by: &'static str,
        /// The path.
        url: Vec<u8>,
    },
    /// What was found of a variant, or which was chosen.
    Variant(String),
    /// What a file's name, or a directive, says of its type.
    Type {
        /// The extension or the directive.
        by: String,
        /// What it says.
        says: String,
    },
    /// Who answers, and why.
    Handler(&'static str, String),
    /// A filter that the answer was given.
    Filter {
        /// Its name.
        name: &'static str,
        /// The directive that gave it.
        by: &'static str,
        /// What it did, or why it did nothing.
        verdict: &'static str,
    },
    /// Something that only the network knows was not asked.
    NotLookedUp(String),
    /// This process may not look at a file; the server perhaps may.
    NoRights(Vec<u8>),
    /// The request failed.
    Failed(Reply),
    /// A line for the error log.
    Said(Level, String),
    /// The request goes on with another target.
    Again {
        /// The target.
        target: Vec<u8>,
        /// The status that is told to it.
        status: Status,
    },
}

/// Why it is this virtual host.
#[derive(Clone, Debug)]
pub enum SiteBy {
    /// The address has none: it is the main server.
    Address,
    /// `ServerName`.
    Name,
    /// This `ServerAlias`.
    Alias(Vec<u8>),
    /// The name that its `<VirtualHost>` has the address by.
    Written,
    /// `ServerPath`.
    Path,
    /// It is the first of its address; none of them has the name.
    First,
}

/// What came of looking for an access file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessFile {
    /// It was read.
    Read,
    /// It is not there.
    Missing,
    /// It is broken or cannot be read.
    Unusable,
    /// It was not looked for: `AllowOverride None`.
    NotLookedFor,
}

/// What a requirement came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It grants.
    Granted,
    /// It refuses.
    Denied,
    /// It refuses as long as there is no user.
    NeedsUser,
    /// It has nothing to say.
    Neutral,
}

impl Trail {
    /// Adds a step. The directories of access files that came to the same are one step.
    fn add(&self, step: Step) {
        let mut steps = self.0.borrow_mut();
        match (steps.last_mut(), step) {
            (Some(Step::AccessFile(known, all)), Step::AccessFile(found, paths))
                if *known == found && matches!(found, AccessFile::Missing | AccessFile::NotLookedFor) =>
            {
                all.extend(paths);
            }
            (_, step) => steps.push(step),
        }
    }

    /// How far it goes, see [`Trail::back_to`].
    fn mark(&self) -> usize {
        self.0.borrow().len()
    }

    /// Forgets what came behind a mark, but for what stays true: that something is not known here.
    fn back_to(&self, mark: usize) {
        let mut steps = self.0.borrow_mut();
        let mark = mark.min(steps.len());
        let behind = steps.split_off(mark);
        steps.extend(behind.into_iter().filter(|step| matches!(step, Step::NotLookedUp(_))));
    }

    /// All steps.
    pub fn take(&self) -> Vec<Step> {
        self.0.take()
    }
}

impl Exchange {
    /// Tells a decision to whoever listens.
    #[inline]
    pub fn trace(&self, step: impl FnOnce() -> Step) {
        if let Some(trail) = &self.trail {
            trail.add(step());
        }
    }

    /// Whether it is explained and not served: nothing may come of it.
    pub fn is_explained(&self) -> bool {
        self.trail.is_some()
    }

    /// Tells that it was for want of rights that a file could not be opened, where it was.
    pub fn trace_open_error(&self, path: &[u8], error: OpenError) {
        if error == OpenError::Permission {
            self.trace(|| Step::NoRights(path.to_vec()));
        }
    }

    /// How far the trail goes.
    pub fn trail_mark(&self) -> usize {
        self.trail.as_ref().map_or(0, |trail| trail.mark())
    }

    /// Forgets the steps behind a mark: they are taken again.
    pub fn forget_steps(&self, mark: usize) {
        if let Some(trail) = &self.trail {
            trail.back_to(mark);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AccessFile, Step, Trail};

    fn words(trail: &Trail) -> Vec<String> {
        trail.take().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn directories_that_came_to_the_same_are_one_line() {
        let trail = Trail::default();
        for (found, path) in [
            (AccessFile::NotLookedFor, "/"),
            (AccessFile::NotLookedFor, "/srv"),
            (AccessFile::Missing, "/srv/a/.htaccess"),
            (AccessFile::Missing, "/srv/a/b/.htaccess"),
            (AccessFile::Read, "/srv/a/b/c/.htaccess"),
            (AccessFile::Read, "/srv/a/b/c/d/.htaccess"),
        ] {
            trail.add(Step::AccessFile(found, vec![path.as_bytes().to_vec()]));
        }
        let want = [
            "AllowOverride None: no access file is looked for in / /srv",
            "/srv/a/.htaccess /srv/a/b/.htaccess: not there",
            "/srv/a/b/c/.htaccess",
            "/srv/a/b/c/d/.htaccess",
        ];
        assert_eq!(words(&trail), want);
    }

    #[test]
    fn what_is_not_known_stays_when_steps_are_taken_again() {
        let trail = Trail::default();
        trail.add(Step::User("before".into()));
        let mark = trail.mark();
        trail.add(Step::User("once".into()));
        trail.add(Step::NotLookedUp("a name".into()));
        trail.back_to(mark);
        trail.add(Step::User("again".into()));
        let want = ["before", "a name was not looked up, and is taken for unknown", "again"];
        assert_eq!(words(&trail), want);
        trail.back_to(7);
        assert!(words(&trail).is_empty());
    }
}
