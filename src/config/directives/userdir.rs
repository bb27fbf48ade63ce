//! Users' own pages, `/~name/`: `mod_userdir`.

use crate::config::directives::SiteSettings;
use crate::config::setting::{Mapped, Setting, settings};
use crate::config::table::{Directive, Override, SITES, Set, Words};
use crate::config::words::{Args, Said, shown};

settings! {
    /// Users' directories of a site.
    pub struct UserDirs {
        /// Where they are, in the order in which they are tried.
        patterns: Setting<Vec<Vec<u8>>>,
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
    syntax: "directory ...|disabled [user ...]|enabled user ...",
    words: Words::AtLeast(1),
    allowed: SITES,
    overrides: Override::None,
    default: "",
    summary: "Serve users' own pages as /~name/.",
    manual: "A directory without a slash at its beginning is one of the user's home. In another, an asterisk stands for the name; without \
one the name is put behind it. Of several the first that exists counts, else the last. Disabled alone leaves only those that are \
enabled by name. Scripts need Options ExecCGI in a <Directory> and run as SuexecUserGroup says there; they do not change to the \
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
                return Err("the names of users are missing; write `UserDir enabled alice`".into());
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

fn directories(site: &mut SiteSettings, args: &Args) -> Said<()> {
    for word in args.words {
        if word.contains(&b':') {
            return Err(format!("{} is a URL; write a RedirectMatch for `^/~`", shown(word)));
        }
        if word.first() != Some(&b'/') && word.contains(&b'*') {
            return Err(format!(
                "{} has an asterisk but no slash at its beginning; write a full path, or a directory of the home",
                shown(word)
            ));
        }
    }
    site.user_dirs.patterns.set(args.words.to_vec());
    Ok(())
}
