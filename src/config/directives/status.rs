//! What the server tells of itself: ExtendedStatus (Apache's `core` and `mod_status`), and who may see it.

use crate::config::directives::DirConf;
use crate::config::setting::{Setting, settings};
use crate::config::table::{Directive, Override, SERVER, Set, Words};

settings! {
    /// What is kept of requests to be shown.
    pub struct Status {
        /// `ExtendedStatus`.
        extended: Setting<bool>,
        /// `SeeRequestTail`.
        tail: Setting<bool>,
    }
}

settings! {
    /// Who may see what the server tells of itself.
    pub struct Reach {
        /// Whether the section that sets the handler, or one that is merged over it, says who may see the place.
        access: Setting<Access>,
    }
}

/// Whether somebody has said who may see a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// No: a handler was set without a word about it.
    Unsaid,
    /// Yes, with Require, Order, Allow or Deny.
    Said,
}

/// A section sets a handler: what sections around it say about access was not said of this handler.
pub fn note_handler(conf: &mut DirConf) {
    if conf.reach.access.value().is_none() {
        conf.reach.access.set(Access::Unsaid);
    }
}

/// A section says who may see its place.
pub fn note_access(conf: &mut DirConf) {
    conf.reach.access.set(Access::Said);
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "ExtendedStatus",
        module: "core",
        syntax: "On|Off",
        words: Words::exactly(1),
        allowed: SERVER,
        overrides: Override::None,
        default: "On",
        summary: "Keep the first line of each request for the status page.",
        manual: "With Off the page (SetHandler server-status) shows that a connection has a request, but not which. Counts are \
kept in any case.",
        set: Set::Server(|server, args| {
            server.status.extended.set(args.flag(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "SeeRequestTail",
        module: "core",
        syntax: "On|Off",
        words: Words::exactly(1),
        allowed: SERVER,
        overrides: Override::None,
        default: "Off",
        summary: "Keep the end of a long request line for the status page, not its beginning.",
        manual: "256 bytes of each are kept.",
        set: Set::Server(|server, args| {
            server.status.tail.set(args.flag(0)?);
            Ok(())
        }),
    },
];
