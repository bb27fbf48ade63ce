//! URLs that are nearly right (mod_speling).

use crate::config::directives::DirConf;
use crate::config::table::{ANYWHERE, Directive, Override, Set, Words};

/// What is done about misspelt names. What one section says replaces all that was said around it, as in Apache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spelling {
    /// `CheckSpelling`.
    pub check: bool,
    /// `CheckCaseOnly`.
    pub case_only: bool,
    /// `CheckBasenameMatch`.
    pub base_names: bool,
}

impl Default for Spelling {
    fn default() -> Spelling {
        Spelling {
            check: false,
            case_only: false,
            base_names: true,
        }
    }
}

fn change(conf: &mut DirConf, change: impl FnOnce(&mut Spelling)) {
    let mut spelling = conf.spelling.or(Spelling::default());
    change(&mut spelling);
    conf.spelling.set(spelling);
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
        words: Words::Flag,
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
            let flag = args.flag(0)?;
            change(conf, |spelling| spelling.base_names = flag);
            Ok(())
        }),
    ),
    entry(
        "CheckCaseOnly",
        "Off",
        "Correct nothing but capital and small letters.",
        "With CheckSpelling. Files with the same name up to the first dot are proposed all the same, unless CheckBasenameMatch is Off.",
        Set::Dir(|conf, args| {
            let flag = args.flag(0)?;
            change(conf, |spelling| spelling.case_only = flag);
            Ok(())
        }),
    ),
    entry(
        "CheckSpelling",
        "Off",
        "Redirect a misspelt URL to the file that is meant.",
        "A name that is not there is compared with those beside it: capital and small letters are the same, and one letter may lack, be \
too many, be another, or be exchanged with its neighbour. If one name is nearest the client is redirected to it (301); otherwise it gets a \
list (300). What a section says by one of these directives replaces all that sections around it say by any of them.\n\nNames that begin with a dot, and what the client may not have, are never proposed; Apache proposes them too.",
        Set::Dir(|conf, args| {
            let flag = args.flag(0)?;
            change(conf, |spelling| spelling.check = flag);
            Ok(())
        }),
    ),
];
