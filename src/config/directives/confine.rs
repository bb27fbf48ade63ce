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
    manual: "The process that serves has one user, who may read much that is not for clients: other settings, keys and password \
files of other programs, the homes of users. With On it reads, by Landlock (Linux 5.13), nothing but what is served: every DocumentRoot, the \
targets of Alias and ScriptAlias.",
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
