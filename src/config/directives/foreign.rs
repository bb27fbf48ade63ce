//! The directives of Apache, old and new, and of well-known modules, that lychgate does not have: each with the answer
//! the administrator gets.
//!
//! The rule for the answer: what only tunes, or has no effect without something that is refused, is ignored; what would
//! change who may see what, or what is seen, is refused until it is done. A directive that becomes real moves from here
//! to its feature's file. Syntax, places and classes are those of Apache 2.4.71's manual.

mod access;
mod content;
mod depends;
mod gateways;
mod legacy;
mod server;
mod third_party;
mod tls;

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::config::error::{ConfigError, Severity};
use crate::config::node::Node;
use crate::config::reader::LANGUAGE_NAMES;
use crate::config::suggest::nearest;
use crate::config::table::{ANYWHERE, Contexts, DIRECTORY, HTACCESS, Override, SERVER, SERVER_FILES, SITES, VHOST};

/// What is done about a directive that lychgate does not have; the text says why, and what to write instead.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// Taken without effect; worth a note.
    Ignored(&'static str),
    /// Taken without effect; the administrator may miss it.
    Warned(&'static str),
    /// The server does not start with it.
    Refused(&'static str),
    /// It depends on the words.
    By(fn(&[Vec<u8>]) -> Answer),
}

/// A directive that lychgate does not have.
#[derive(Debug)]
pub struct Foreign {
    /// The name in the manual's case; a section in `<>`; every name that begins so if it ends with `*`.
    pub name: &'static str,
    /// The module that has it, as `mod_ssl`; `core` and `mpm` for Apache's own.
    pub module: &'static str,
    /// Where it may stand in Apache.
    pub allowed: Contexts,
    /// The class that allows it in `.htaccess`.
    pub overrides: Override,
    /// What follows the name.
    pub syntax: &'static str,
    /// What lychgate does about it.
    pub answer: Answer,
}

const S: Contexts = SERVER;
const V: Contexts = VHOST;
const D: Contexts = DIRECTORY;
const SV: Contexts = SITES;
const DH: Contexts = DIRECTORY.or(HTACCESS);
const SDH: Contexts = SERVER.or(DH);
const SVD: Contexts = SERVER_FILES;
const SVDH: Contexts = ANYWHERE;

/// A table of one line a directive: name, module, places, class, syntax, answer.
macro_rules! foreign {
    ($($name:literal $module:literal $allowed:ident $overrides:ident $syntax:literal => $answer:expr;)*) => {
        /// The directives of this file, by name.
        pub(super) const TABLE: &[Foreign] = &[$(Foreign {
            name: $name,
            module: $module,
            allowed: $allowed,
            overrides: $crate::config::table::Override::$overrides,
            syntax: $syntax,
            answer: $answer,
        }),*];
    };
}
use foreign;

/// Every foreign directive, in no order that means anything.
pub fn all() -> impl Iterator<Item = &'static Foreign> {
    [
        access::TABLE,
        content::TABLE,
        gateways::TABLE,
        legacy::TABLE,
        server::TABLE,
        third_party::TABLE,
        tls::TABLE,
    ]
    .into_iter()
    .flatten()
}

static BY_NAME: LazyLock<HashMap<String, &'static Foreign>> = LazyLock::new(|| {
    all()
        .map(|foreign| (foreign.name.to_ascii_lowercase(), foreign))
        .collect()
});

/// The foreign directive of this name, in any case; a section's name stands in `<>`.
pub fn find(name: &str) -> Option<&'static Foreign> {
    let lower = name.to_ascii_lowercase();
    let begins = |foreign: &&Foreign| {
        foreign
            .name
            .strip_suffix('*')
            .is_some_and(|beginning| lower.starts_with(&beginning.to_ascii_lowercase()))
    };
    BY_NAME.get(&lower).copied().or_else(|| all().find(begins))
}

/// The name nearest to an unknown one, among those lychgate has, those it knows, and those of the language; a section's
/// name stands in `<>`.
pub fn did_you_mean(name: &str) -> Option<&'static str> {
    let own = super::all().map(|directive| directive.name);
    let known = all().map(|foreign| foreign.name).filter(|known| !known.ends_with('*'));
    let same_kind = |known: &&'static str| known.starts_with('<') == name.starts_with('<');
    nearest(
        name,
        own.chain(LANGUAGE_NAMES.iter().copied()).chain(known).filter(same_kind),
    )
}

impl Foreign {
    /// The answer for these words; never [`Answer::By`].
    pub fn answer(&self, words: &[Vec<u8>]) -> Answer {
        match self.answer {
            Answer::By(decide) => decide(words),
            answer => answer,
        }
    }
}

/// What to say of a directive or section that the table does not have.
pub fn answer(node: &Node) -> ConfigError {
    let name = match node {
        Node::Directive { name, .. } => name.clone(),
        Node::Section { name, .. } => format!("<{name}>"),
    };
    let (severity, message) = match find(&name).map(|foreign| foreign.answer(node.words())) {
        Some(Answer::Ignored(why)) => (Severity::Note, format!("ignored: {why}")),
        Some(Answer::Warned(why)) => (Severity::Warning, format!("ignored: {why}")),
        Some(Answer::Refused(why)) => (Severity::Error, why.to_owned()),
        Some(Answer::By(_)) | None => {
            let what = if name.starts_with('<') { "section" } else { "directive" };
            let message = match did_you_mean(&name) {
                Some(near) => format!("there is no such {what}; did you mean `{near}`?"),
                None => format!("there is no such {what}, in Apache or here"),
            };
            (Severity::Error, message)
        }
    };
    ConfigError::new(severity, node.span(), &name, message)
}

#[cfg(test)]
mod tests;
