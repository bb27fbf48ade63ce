//! One entry per directive: its name, where it may stand, what it takes, what it does, and its page of the manual.

use crate::base::quoting;
use crate::config::directives::service::Service;
use crate::config::directives::{DirConf, Server, SiteSettings};
use crate::config::words::{Args, shown};

/// The places where a directive may stand, as Apache's manual names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contexts(u8);

/// Outside every section.
pub const SERVER: Contexts = Contexts(1);
/// In `<VirtualHost>`.
pub const VHOST: Contexts = Contexts(2);
/// In `<Directory>`, `<Location>`, `<Files>` and their like.
pub const DIRECTORY: Contexts = Contexts(4);
/// In `.htaccess`.
pub const HTACCESS: Contexts = Contexts(8);
/// With [`DIRECTORY`]: not in `<Location>` and its like.
const NOT_BY_URL: Contexts = Contexts(16);

/// With [`DIRECTORY`]: in `<Location>` alone.
const BY_URL: Contexts = Contexts(32);
/// In `<Service>`.
pub const SERVICE: Contexts = Contexts(64);

impl std::ops::BitOr for Contexts {
    type Output = Contexts;
    fn bitor(self, other: Contexts) -> Contexts {
        self.or(other)
    }
}

impl Contexts {
    /// Both sets together.
    #[must_use]
    pub const fn or(self, other: Contexts) -> Contexts {
        Contexts(self.0 | other.0)
    }

    /// Whether every place of `other` is one of `self`.
    pub const fn covers(self, other: Contexts) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether `<Location>` and its like are out of the question although `<Directory>` is not.
    pub const fn excludes_location(self) -> bool {
        self.covers(NOT_BY_URL)
    }

    /// Whether of the sections of places only `<Location>` may hold it.
    pub const fn wants_location(self) -> bool {
        self.covers(BY_URL)
    }

    /// The names as the manual writes them, in its order.
    pub fn names(self) -> Vec<&'static str> {
        [
            (SERVER, "server config"),
            (VHOST, "virtual host"),
            (DIRECTORY, "directory"),
            (HTACCESS, ".htaccess"),
            (SERVICE, "<Service>"),
        ]
        .iter()
        .filter(|(place, _)| self.covers(*place))
        .map(|(place, name)| match *place {
            DIRECTORY if self.excludes_location() => "directory (not <Location>)",
            DIRECTORY if self.wants_location() => "directory (only <Location>)",
            _ => *name,
        })
        .collect()
    }
}

/// Everywhere in the server's own files: `SERVER`, `VHOST`, `DIRECTORY`.
pub const SERVER_FILES: Contexts = SERVER.or(VHOST).or(DIRECTORY);
/// [`SERVER_FILES`] without `<Location>`: for what must not depend on the URL by which a file was asked for.
pub const PATHS: Contexts = SERVER_FILES.or(NOT_BY_URL);
/// [`SERVER_FILES`], but of sections `<Location>` alone: for what is decided before a file is looked for.
pub const LOCATIONS: Contexts = SERVER_FILES.or(BY_URL);
/// `SERVER` and `VHOST`.
pub const SITES: Contexts = SERVER.or(VHOST);
/// All four places.
pub const ANYWHERE: Contexts = SERVER_FILES.or(HTACCESS);

/// The AllowOverride class under which a directive may stand in `.htaccess`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Override {
    /// Not in `.htaccess` at all, or there without any class.
    None,
    /// Authentication and authorization.
    AuthConfig,
    /// Types, handlers, documents, rewriting.
    FileInfo,
    /// Directory indexes.
    Indexes,
    /// Access by host.
    Limit,
    /// Options.
    Options,
    /// AuthConfig or Limit, either of them.
    Access,
    /// With any class.
    Any,
}

/// How many words a directive takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    /// Between the two numbers, both included.
    Between(usize, usize),
    /// At least so many.
    AtLeast(usize),
    /// Between the two numbers, divided as mod_rewrite divides its lines; what follows is passed over, as Apache does there.
    Leading(usize, usize),
    /// `on` or `off`; what follows is passed over, as Apache passes it over where it reads no more than a flag.
    Flag,
    /// The rest of the line as one word, quotes and all.
    Raw,
}

impl Words {
    /// Exactly `n` words.
    pub const fn exactly(n: usize) -> Words {
        Words::Between(n, n)
    }

    /// Whether `count` words will do.
    pub fn takes(self, count: usize) -> bool {
        match self {
            Words::Between(low, high) => (low..=high).contains(&count),
            Words::AtLeast(low) | Words::Leading(low, _) => count >= low,
            Words::Flag => count >= 1,
            Words::Raw => true,
        }
    }

    /// The words of a line that is not divided as others are.
    pub fn divided(self, raw: &[u8]) -> Option<Vec<Vec<u8>>> {
        match self {
            Words::Raw => Some(vec![raw.to_vec()]),
            Words::Leading(..) => Some(quoting::words_of_rules(raw)),
            Words::Between(..) | Words::AtLeast(_) | Words::Flag => None,
        }
    }

    /// What is to be said about words that nobody reads, if there are any.
    pub fn passed_over(self, words: &[Vec<u8>]) -> Option<String> {
        let unread = match self {
            Words::Flag => words.get(1)?,
            Words::Leading(_, high) => words.get(high)?,
            _ => return None,
        };
        let hint = if unread.starts_with(b"#") {
            "a comment needs"
        } else {
            "write it on"
        };
        Some(format!(
            "{} and what follows it is passed over; {hint} a line of its own",
            shown(unread)
        ))
    }
}

/// What a directive does with its words. A setter records and returns what is wrong as a sentence; the engine adds the
/// place and the directive's name.
#[derive(Clone, Copy)]
pub enum Set {
    /// Settings of the whole server.
    Server(fn(&mut Server, &Args) -> Result<(), String>),
    /// Settings of a site: the main server's, or a virtual host's.
    Site(fn(&mut SiteSettings, &Args) -> Result<(), String>),
    /// Settings of a place, which sections and `.htaccess` refine.
    Dir(fn(&mut DirConf, &Args) -> Result<(), String>),
    /// Settings of a site outside of the sections of places, settings of a place inside.
    SiteOrDir(
        fn(&mut SiteSettings, &Args) -> Result<(), String>,
        fn(&mut DirConf, &Args) -> Result<(), String>,
    ),
    /// The same, where what is said outside is also where places begin.
    SiteAndDir(
        fn(&mut SiteSettings, &Args) -> Result<(), String>,
        fn(&mut DirConf, &Args) -> Result<(), String>,
    ),
    /// Settings of a `<Service>`.
    Service(fn(&mut Service, &Args) -> Result<(), String>),
    /// Settings of the whole server, or of the `<Service>` in which it stands.
    ServerOrService(
        fn(&mut Server, &Args) -> Result<(), String>,
        fn(&mut Service, &Args) -> Result<(), String>,
    ),
    /// Acted upon when the text was read (`Include`, `Define`, …) or a section.
    Language,
    /// Accepted without effect; says why in one clause.
    Ignored(&'static str),
}

/// A directive that lychgate has.
pub struct Directive {
    /// The name, in the case the manual uses.
    pub name: &'static str,
    /// Apache's module that has it (`core`, `mod_alias`), or `lychgate` for our own.
    pub module: &'static str,
    /// What follows the name, as a manual writes it.
    pub syntax: &'static str,
    /// How many words that is.
    pub words: Words,
    /// Where it may stand.
    pub allowed: Contexts,
    /// The class that allows it in `.htaccess`.
    pub overrides: Override,
    /// The words that say what holds without it; empty where there are none.
    pub default: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// The rest of its manual text; paragraphs are separated by an empty line.
    pub manual: &'static str,
    /// What it does.
    pub set: Set,
}
