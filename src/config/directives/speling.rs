//! URLs that are nearly right (mod_speling).

use crate::config::setting::{Setting, settings};
use crate::config::table::{ANYWHERE, Directive, Override, Set, Words};

settings! {
    /// What is done about misspelt names.
    pub struct Spelling {
        /// `CheckSpelling`.
        check: Setting<bool>,
        /// `CheckCaseOnly`.
        case_only: Setting<bool>,
        /// `CheckBasenameMatch`.
        base_names: Setting<bool>,
    }
}

/// An entry of this file's.
const fn entry(
    name: &'static str,
    default: &'static str,
    summary: &'static str,
    manual: &'static str,
    set: Set,
) -> Directive {
    Directive {
        name,
        module: "mod_speling",
        syntax: "On|Off",
        words: Words::exactly(1),
        allowed: ANYWHERE,
        overrides: Override::Options,
        default,
        summary,
        manual,
        set,
    }
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    entry(
        "CheckBasenameMatch",
        "On",
        "Propose files whose names are the same up to the first dot.",
        "With CheckSpelling.",
        Set::Dir(|conf, args| {
            conf.spelling.base_names.set(args.flag(0)?);
            Ok(())
        }),
    ),
    entry(
        "CheckCaseOnly",
        "Off",
        "Correct nothing but capital and small letters.",
        "With CheckSpelling. Files with the same name up to the first dot are proposed all the same, unless CheckBasenameMatch is Off.",
        Set::Dir(|conf, args| {
            conf.spelling.case_only.set(args.flag(0)?);
            Ok(())
        }),
    ),
    entry(
        "CheckSpelling",
        "Off",
        "Redirect a misspelt URL to the file that is meant.",
        "A name that is not there is compared with those beside it: capital and small letters are the same, and one letter may lack, be \
too many, be another, or be exchanged with its neighbour. If one name is nearest the client is redirected to it (301); otherwise it gets a \
list (300).\n\nNames that begin with a dot, and what the client may not have, are never proposed; Apache proposes them too.",
        Set::Dir(|conf, args| {
            conf.spelling.check.set(args.flag(0)?);
            Ok(())
        }),
    ),
];
