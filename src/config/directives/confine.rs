//! What the worker may read.

use crate::config::setting::{Setting, settings};
use crate::config::table::{Directive, Override, SERVER, Set, Words};

settings! {
    /// What the worker is confined to, beyond what always holds.
    pub struct Confine {
        /// `ConfineReading`.
        reading: Setting<Reading>,
    }
}

/// What the worker may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Whatever its user may.
    Anything,
    /// What the settings serve, and these paths with all below them.
    Served(Vec<Vec<u8>>),
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[Directive {
    name: "ConfineReading",
    module: "lychgate",
    syntax: "Off|On [path]...",
    words: Words::AtLeast(1),
    allowed: SERVER,
    overrides: Override::None,
    default: "Off",
    summary: "Let the process that serves read only what the settings serve.",
    manual: "The process that serves requests has one user, and may read what that user may: settings, keys and password files \
of other programs, the homes of users. With On it reads by Landlock (Linux 5.13 and newer) what is served and nothing else: every \
DocumentRoot, the targets of Alias and ScriptAlias, the directories that sections without wildcards name (but for the root of \
all), and what the system needs to find names of hosts and the local time. What is meant besides stands behind On, files or \
directories with all below them: where symbolic links lead, what AliasMatch or RewriteRule find by patterns, password files that a \
.htaccess names. Several lines add up. Whatever else is asked for fails like a file that its mode protects, with 403.\n\n\
What is allowed is looked up when the server starts or reads its settings again: a directory that is made or replaced later is not \
readable until then. The directory for temporary files (TMPDIR) stays readable, for long bodies of requests wait there. Scripts are \
not concerned: they are other processes. On an older kernel the error log says that files are not confined, and all is served.\n\n\
It costs nothing measurable: each file opened costs some 0.4 microseconds more than without Landlock, with Off as well, for the \
process never writes, executes or connects as it likes, whatever stands here.",
    set: Set::Server(|server, args| {
        let reading = &mut server.confine.reading;
        let paths = (1..args.count()).map(|n| args.path(n));
        match (args.keyword(0).as_str(), args.count()) {
            ("off", 1) => reading.set(Reading::Anything),
            ("off", _) => return Err("`Off` takes no paths; write `On` before them".into()),
            ("on", _) => {
                let before = match reading.value() {
                    Some(Reading::Served(paths)) => paths.clone(),
                    Some(Reading::Anything) | None => Vec::new(),
                };
                reading.set(Reading::Served(before.into_iter().chain(paths).collect()));
            }
            (other, _) => return Err(format!("`{other}` is neither `On` nor `Off`; write `On` before paths")),
        }
        Ok(())
    }),
}];
