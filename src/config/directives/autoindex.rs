//! Listings of directories without an index file: `mod_autoindex`, as far as plain listings need it.

use crate::base::glob::{Glob, Slash};
use crate::config::setting::{Appended, settings};
use crate::config::table::{ANYWHERE, Directive, Override, Set, Words};

settings! {
    /// Listings.
    pub struct Autoindex {
        /// `IndexIgnore`: names that are left out. Inner sections add to it.
        ignore: Appended<Glob>,
    }
}

impl Autoindex {
    /// Whether a listing leaves `name` out.
    pub fn ignores(&self, name: &[u8]) -> bool {
        self.ignore.iter().any(|pattern| pattern.matches(name, Slash::Ordinary))
    }
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[Directive {
    name: "IndexIgnore",
    module: "mod_autoindex",
    syntax: "file ...",
    words: Words::AtLeast(1),
    allowed: ANYWHERE,
    overrides: Override::Indexes,
    default: "",
    summary: "Leave files out of directory listings.",
    manual: "Each word is a name or a shell-style pattern. Lines add up, those of outer sections too. Names that begin with a \
             dot, and editors' copies, are left out without being named.",
    set: Set::Dir(|conf, args| {
        for name in args.words {
            conf.autoindex.ignore.push(Glob::new(name));
        }
        Ok(())
    }),
}];
