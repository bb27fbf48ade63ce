//! Users' own pages, `/~name/`: `mod_userdir`.

use crate::config::directives::SiteSettings;
use crate::config::error::Span;
use crate::config::setting::{Mapped, Setting, settings};
use crate::config::table::{Directive, Override, SITES, Set, Words};
use crate::config::words::{Args, Said, shown};

settings! {
    /// Users' directories of a site.
    pub struct UserDirs {
        /// Where they are, in the order in which they are tried.
        patterns: Setting<Vec<Vec<u8>>>,
        /// Where they stand.
        place: Setting<Span>,
        /// Whether all users are off that are not switched on by name.
        all_disabled: Setting<bool>,
        /// Users that are off.
        disabled: Mapped<Vec<u8>, ()>,
        /// Users that are on in spite of `disabled`.
        enabled: Mapped<Vec<u8>, ()>,
    }
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[Directive {
    name: "UserDir",
    module: "mod_userdir",
    syntax: "directory|URL ...|disabled [user ...]|enabled user ...",
    words: Words::AtLeast(1),
    allowed: SITES,
    overrides: Override::None,
    default: "",
    summary: "Serve users' own pages as /~name/.",
    manual: "A directory without a slash at its beginning is one of the user's home. In another, an asterisk stands for the name; without \
one the name is put behind it. Of several the first that exists counts, else the last. A URL with an asterisk, as http://a.example/~*/, \
sends clients there (302), and ends the search; the name stands for the asterisk and what follows it, as in Apache. Disabled alone leaves only those that are \
enabled by name; enabled alone takes that back. Scripts need Options ExecCGI in a <Directory> and run as SuexecUserGroup says there; they do not change to the \
user by themselves. With ConfineReading, name the homes there.",
    set: Set::Site(|site, args| match args.keyword(0).as_str() {
        "disabled" | "disable" => {
            if args.count() == 1 {
                site.user_dirs.all_disabled.set(true);
            }
            for name in args.rest(1) {
                site.user_dirs.disabled.insert(name.clone(), ());
            }
            Ok(())
        }
        "enabled" | "enable" => {
            if args.count() == 1 {
                site.user_dirs.all_disabled.set(false);
            }
            for name in args.rest(1) {
                site.user_dirs.enabled.insert(name.clone(), ());
            }
            Ok(())
        }
        _ => directories(site, args),
    }),
}];

/// The directory above all that a pattern names; nothing for one that is below the users' homes.
pub fn known_part(pattern: &[u8]) -> Option<Vec<u8>> {
    let end = pattern.iter().position(|byte| *byte == b'*').unwrap_or(pattern.len());
    let slash = pattern.get(..end)?.iter().rposition(|byte| *byte == b'/')?;
    let end = if end == pattern.len() { end } else { slash };
    (pattern.first() == Some(&b'/')).then(|| pattern.get(..end).unwrap_or(pattern).to_vec())
}

/// What a pattern that is a URL has before the name: all up to its asterisk. Apache leaves out what is behind that.
pub fn url_before_name(pattern: &[u8]) -> Option<&[u8]> {
    let star = pattern.iter().position(|byte| *byte == b'*')?;
    let before = pattern.get(..star)?;
    (before.contains(&b':') && !before.starts_with(b"/")).then_some(before)
}

fn directories(site: &mut SiteSettings, args: &Args) -> Said<()> {
    for word in args.words {
        let behind = |before: &[u8]| word.get(before.len() + 1..).unwrap_or_default();
        match url_before_name(word) {
            Some(before) if !matches!(behind(before), b"" | b"/") => args.remark(format!(
                "of {} what follows the asterisk is left out, as in Apache; write a RedirectMatch for `^/~`",
                shown(word)
            )),
            None if word.first() == Some(&b'/') => {}
            None if word.contains(&b'*') => {
                return Err(format!(
                    "{} has an asterisk but no slash at its beginning; write a full path, or a directory of the home",
                    shown(word)
                ));
            }
            None if word.contains(&b':') => args.remark(format!(
                "{} is taken for a directory of the home, as in Apache; a URL needs an asterisk, for the name",
                shown(word)
            )),
            Some(_) | None => {}
        }
    }
    site.user_dirs.patterns.set(args.words.to_vec());
    site.user_dirs.place.set(args.span.clone());
    Ok(())
}
