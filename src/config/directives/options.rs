//! `Options`: what may happen in a place.

use std::fmt;

use crate::config::directives::DirConf;
use crate::config::setting::Merge;
use crate::config::table::{ANYWHERE, Directive, Override, Set, Words};
use crate::config::words::{Args, Said, shown};

/// A set of `Options`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options(u16);

impl Options {
    /// `Indexes`: a directory without an index file is listed.
    pub const INDEXES: Options = Options(1);
    /// `FollowSymLinks`.
    pub const FOLLOW_SYM_LINKS: Options = Options(2);
    /// `SymLinksIfOwnerMatch`.
    pub const SYM_LINKS_IF_OWNER_MATCH: Options = Options(4);
    /// `ExecCGI`.
    pub const EXEC_CGI: Options = Options(8);
    /// `Includes`.
    pub const INCLUDES: Options = Options(16);
    /// `IncludesNOEXEC`.
    pub const INCLUDES_NO_EXEC: Options = Options(32);
    /// `MultiViews`.
    pub const MULTI_VIEWS: Options = Options(64);
    /// `All`: everything but MultiViews, and links whoever owns them.
    pub const ALL: Options = Options(1 | 2 | 8 | 16);

    /// Every option there is.
    pub const EVERY: Options = Options(127);

    /// Whether all of `other` are on.
    pub fn has(self, other: Options) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets together.
    #[must_use]
    pub fn with(self, other: Options) -> Options {
        Options(self.0 | other.0)
    }

    fn without(self, other: Options) -> Options {
        Options(self.0 & !other.0)
    }
}

/// The names, as a directive has them.
impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Options::INDEXES, "Indexes"),
            (Options::FOLLOW_SYM_LINKS, "FollowSymLinks"),
            (Options::SYM_LINKS_IF_OWNER_MATCH, "SymLinksIfOwnerMatch"),
            (Options::EXEC_CGI, "ExecCGI"),
            (Options::INCLUDES, "Includes"),
            (Options::INCLUDES_NO_EXEC, "IncludesNOEXEC"),
            (Options::MULTI_VIEWS, "MultiViews"),
        ];
        let on: Vec<_> = names.into_iter().filter(|(one, _)| self.has(*one)).collect();
        if on.is_empty() {
            return f.write_str("None");
        }
        let on: Vec<_> = on.into_iter().map(|(_, name)| name).collect();
        f.write_str(&on.join(" "))
    }
}

/// What a scope says about options: a set of its own, or changes to the one around it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OptionsEdit {
    whole: Option<Options>,
    added: Options,
    removed: Options,
}

impl OptionsEdit {
    /// The options in force; Apache's default is FollowSymLinks.
    pub fn in_force(&self) -> Options {
        self.whole
            .unwrap_or(Options::FOLLOW_SYM_LINKS)
            .with(self.added)
            .without(self.removed)
    }

    /// Whether this scope itself turns all of `options` on.
    pub fn gives(&self, options: Options) -> bool {
        self.whole.unwrap_or_default().with(self.added).has(options)
    }

    /// What this scope leaves of options that those around it may have turned on.
    pub fn leave(&self, outer: Options) -> Options {
        match self.whole {
            Some(_) => Options::default(),
            None => outer.without(self.removed),
        }
    }

    /// A set of its own.
    pub fn replace(options: Options) -> OptionsEdit {
        OptionsEdit {
            whole: Some(options),
            ..OptionsEdit::default()
        }
    }
}

impl Merge for OptionsEdit {
    fn merge(&mut self, inner: &Self) {
        if inner.whole.is_some() {
            *self = *inner;
        } else {
            self.added = self.added.without(inner.removed).with(inner.added);
            self.removed = self.removed.without(inner.added).with(inner.removed);
        }
    }
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[Directive {
    name: "Options",
    module: "core",
    syntax: "[+|-]option ...",
    words: Words::AtLeast(0),
    allowed: ANYWHERE,
    overrides: Override::Options,
    default: "FollowSymLinks",
    summary: "Say what may happen in a place.",
    manual: "The options are Indexes, FollowSymLinks, SymLinksIfOwnerMatch, ExecCGI, Includes, IncludesNOEXEC, MultiViews, All \
and None. SymLinksIfOwnerMatch has its say beside FollowSymLinks too. Bare words replace what an outer section says; words with + or - change it. The two forms cannot be mixed, except that \
All or None in front may be changed by the words behind it. Without a word the line changes nothing.",
    set: Set::Dir(set_options),
}];

/// A word's sign, `+` or `-`, and what follows it.
pub fn signed(word: &[u8]) -> (Option<u8>, &[u8]) {
    match word.split_first() {
        Some((sign @ (b'+' | b'-'), name)) => (Some(*sign), name),
        _ => (None, word),
    }
}

/// The option of a name, in any case.
pub fn option(name: &[u8]) -> Option<Options> {
    Some(match name.to_ascii_lowercase().as_slice() {
        b"indexes" => Options::INDEXES,
        b"followsymlinks" => Options::FOLLOW_SYM_LINKS,
        b"symlinksifownermatch" => Options::SYM_LINKS_IF_OWNER_MATCH,
        b"execcgi" => Options::EXEC_CGI,
        b"includes" => Options::INCLUDES,
        b"includesnoexec" => Options::INCLUDES_NO_EXEC,
        b"multiviews" => Options::MULTI_VIEWS,
        b"all" => Options::ALL,
        b"none" => Options(0),
        _ => return None,
    })
}

fn set_options(conf: &mut DirConf, args: &Args) -> Said<()> {
    let mut edit = OptionsEdit::default();
    let is_set = |name: &[u8]| [&b"all"[..], b"none"].iter().any(|set| name.eq_ignore_ascii_case(set));
    // As in Apache, `All -Indexes` is no mixture: a set in front may be changed by what follows.
    let begins_with_set = args.words.first().is_some_and(|word| is_set(word));
    let mut is_relative = false;
    for (at, word) in args.words.iter().enumerate() {
        let (sign, name) = signed(word);
        if at > 0 && is_relative != sign.is_some() && (is_relative || !begins_with_set) {
            return Err("options with `+` or `-` cannot be mixed with options without; write all of one kind".into());
        }
        is_relative = sign.is_some();
        if is_set(name) && (sign.is_some() || at > 0) {
            return Err(format!(
                "{} is a set of its own; write it first, without a sign",
                shown(word)
            ));
        }
        let known = option(name).ok_or_else(|| {
            format!(
                "{} is not an option; write Indexes, FollowSymLinks, SymLinksIfOwnerMatch, ExecCGI, Includes, \
IncludesNOEXEC, MultiViews, All or None",
                shown(word)
            )
        })?;
        if let Some(allowed) = args.options
            && !allowed.has(known)
        {
            return Err(format!("Option {} not allowed here", String::from_utf8_lossy(name)));
        }
        match sign {
            Some(b'+') => (edit.added, edit.removed) = (edit.added.with(known), edit.removed.without(known)),
            Some(_) => (edit.removed, edit.added) = (edit.removed.with(known), edit.added.without(known)),
            None => edit.whole = Some(edit.whole.unwrap_or_default().with(known)),
        }
    }
    conf.core.options.merge(&edit);
    Ok(())
}
