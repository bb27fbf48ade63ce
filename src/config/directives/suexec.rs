//! Who scripts run as: Apache's `mod_suexec`, without a program of its own and without constants (manual: suexec.html).

use crate::config::directives::DirConf;
use crate::config::setting::{Setting, settings};
use crate::config::table::{Directive, Override, PATHS, SERVER, Set, Words};
use crate::config::words::{Args, Said, shown};

settings! {
    /// Who the scripts of a place run as.
    pub struct Suexec {
        /// `SuexecUserGroup`.
        target: Setting<Target>,
    }
}

settings! {
    /// Who scripts may run as at all.
    pub struct SuexecRules {
        /// `Suexec`.
        switch: Setting<Switch>,
        /// `SuexecMinUid`.
        min_uid: Setting<u64>,
        /// `SuexecMinGid`.
        min_gid: Setting<u64>,
    }
}

/// Whether scripts may run as others than the server's user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// They may, and the server must be able to see to it.
    On,
    /// They may not.
    Off,
}

/// Whom the scripts of a place run as.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// This user and group: names, or `#` and numbers.
    Named {
        /// The user.
        user: Vec<u8>,
        /// The group.
        group: Vec<u8>,
    },
    /// Each as the owner and the group of its file.
    FileOwner,
}

/// The smallest user and group where SuexecMinUid and SuexecMinGid say nothing, as Debian builds suexec.
pub const MIN_ID: u64 = 100;

impl Target {
    /// Reads the words of `SuexecUserGroup`. An error is a sentence.
    pub fn read(words: &[Vec<u8>]) -> Said<Target> {
        let word = |at: usize| words.get(at).map_or(&[][..], Vec::as_slice);
        let (user, group) = (word(0), word(1));
        let owner = user.eq_ignore_ascii_case(b"file-owner");
        if owner != group.eq_ignore_ascii_case(b"file-group") {
            return Err("write `file-owner file-group`, or the names of a user and a group".into());
        }
        if owner {
            return Ok(Target::FileOwner);
        }
        for word in [user, group] {
            let number = word.strip_prefix(b"#").is_some_and(|digits| {
                digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) || digits.iter().all(|digit| *digit == b'0')
            });
            if number || word.is_empty() || word == b"root" {
                return Err(format!(
                    "{} may not run scripts; name another, or `#` and a number above 0",
                    shown(word)
                ));
            }
        }
        Ok(Target::Named {
            user: user.to_vec(),
            group: group.to_vec(),
        })
    }
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "Suexec",
        module: "mod_unixd",
        syntax: "On|Off",
        words: Words::Flag,
        allowed: SERVER,
        overrides: Override::None,
        default: "",
        summary: "Insist on SuexecUserGroup, or forbid it.",
        manual: "With On the server starts only as root, which alone can change who a process is. With Off a SuexecUserGroup is an \
error. There is no program suexec to be found: the process that starts scripts changes their user itself.",
        set: Set::Server(|server, args| {
            let switch = args.choice(0, &[("On", Switch::On), ("Off", Switch::Off)])?;
            server.suexec.switch.set(switch);
            Ok(())
        }),
    },
    Directive {
        name: "SuexecMinGid",
        module: "lychgate",
        syntax: "number",
        words: Words::exactly(1),
        allowed: SERVER,
        overrides: Override::None,
        default: "100",
        summary: "Name the lowest group that scripts may run as by SuexecUserGroup.",
        manual: "What is below are groups of the system; root is refused always. In Apache it is chosen when suexec is built.",
        set: Set::Server(|server, args| {
            server.suexec.min_gid.set(args.number(0, IDS)?);
            Ok(())
        }),
    },
    Directive {
        name: "SuexecMinUid",
        module: "lychgate",
        syntax: "number",
        words: Words::exactly(1),
        allowed: SERVER,
        overrides: Override::None,
        default: "100",
        summary: "Name the lowest user that scripts may run as by SuexecUserGroup.",
        manual: "What is below are users of the system; root is refused always. In Apache it is chosen when suexec is built.",
        set: Set::Server(|server, args| {
            server.suexec.min_uid.set(args.number(0, IDS)?);
            Ok(())
        }),
    },
    Directive {
        name: "SuexecUserGroup",
        module: "mod_suexec",
        syntax: "user group | file-owner file-group",
        words: Words::exactly(2),
        allowed: PATHS,
        overrides: Override::None,
        default: "",
        summary: "Name the user and group that scripts run as.",
        manual: "A name, or # and a number. With file-owner file-group each script runs as the owner and the group of its file. The \
supplementary groups are those of the user. Other than in Apache it may stand in <Directory> and <Files> too, but not in <Location>, \
which whoever asks for a script could evade.\n\nA script starts only where suexec would start it, and the error log says what is in \
the way and what mends it: the user and group are not root and not below SuexecMinUid and SuexecMinGid; the script is a regular file of \
its script place (what ScriptAlias or Options ExecCGI cover; there is no docroot), not reached through a link that leaves the place and \
no link itself; the script and its directory belong to that user and group, and nobody else may write to them; the script is not \
set-user-id or set-group-id. The owner of a script under file-owner must be in the user database, and the script's group one of \
his.\n\nWhat was judged is what runs: the script is started in the directory that was looked at, as ./NAME. It and what it starts can gain \
nothing by set-user-id programs (no_new_privs), which Apache's suexec allows: a mail program that needs that has to be reached over \
SMTP. The environment is that of any script: suexec passes those variables that are on a list and sets a PATH of its own; here variables \
that steer the loader or a shell (LD_*, BASH_ENV, IFS and the like) are kept away unless SetEnv or PassEnv names them, and PATH is \
the server's.\n\nIt needs a server that is started as root, whose process for starting scripts then stays root without all \
capabilities but those it needs for this; scripts of other places run as User and Group. In a server that is not root, scripts of such \
places are refused, unless the user and group named are its own.",
        set: Set::Dir(set_target),
    },
];

const IDS: std::ops::RangeInclusive<u64> = 1..=4_294_967_294;

fn set_target(conf: &mut DirConf, args: &Args) -> Said<()> {
    conf.suexec.target.set(Target::read(args.words)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Target;

    fn read(user: &str, group: &str) -> Result<Target, String> {
        Target::read(&[user.as_bytes().to_vec(), group.as_bytes().to_vec()])
    }

    #[test]
    fn a_user_and_a_group_or_the_files_own() {
        let named = |user: &[u8], group: &[u8]| Target::Named {
            user: user.to_vec(),
            group: group.to_vec(),
        };
        assert_eq!(read("bob", "users"), Ok(named(b"bob", b"users")));
        assert_eq!(read("#1001", "#100"), Ok(named(b"#1001", b"#100")));
        assert_eq!(read("File-Owner", "file-group"), Ok(Target::FileOwner));
    }

    #[test]
    fn halves_and_root_are_refused() {
        let both = "write `file-owner file-group`, or the names of a user and a group";
        for (user, group) in [("file-owner", "users"), ("bob", "file-group")] {
            assert_eq!(read(user, group), Err(both.to_owned()), "{user} {group}");
        }
        for (user, group, wrong) in [
            ("root", "users", "root"),
            ("bob", "root", "root"),
            ("#0", "users", "#0"),
            ("bob", "#00", "#00"),
            ("bob", "#x", "#x"),
            ("#", "users", "#"),
            ("", "users", ""),
        ] {
            let sentence = format!("`{wrong}` may not run scripts; name another, or `#` and a number above 0");
            assert_eq!(read(user, group), Err(sentence), "{user} {group}");
        }
    }
}
