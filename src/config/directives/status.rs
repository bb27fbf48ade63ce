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
        words: Words::Flag,
        allowed: SERVER,
        overrides: Override::None,
        default: "On",
        summary: "Keep the first line of each request for the status page.",
        manual: "With Off the page (SetHandler server-status) shows that a connection has a request, but not which. Counts are \
kept in any case; they begin with the process that serves, so that a reload begins them anew.\n\nThe page shows connections with \
their clients and requests, scripts with their processes, services, balancers and applications, and what was answered. It loads \
itself again every 10 seconds; ?refresh=N is every N, and ?refresh=0 is never. With ?auto it has the names that programs know from \
Apache, with ?json all there is as one object. Of 10,000 connections it shows some and says how many there are.\n\nSetHandler \
metrics has the numbers in Prometheus's text format, version 0.0.4: those of requests equal what the access log says line by \
line. SetHandler server-info shows the settings with their files and lines, without values that are likely to be secret: those \
of variables, of fields for scripts, of command lines behind the program, and passwords in URLs.\n\nThese three are for clients \
on this machine, as Require local has it, unless the section that sets the handler, or one that is merged over it, says with \
Require, Order, Allow or Deny who may see them; sections around it do not count. A request that came through a proxy, as \
X-Forwarded-For, Forwarded or Via tell, is then none of this machine.",
        set: Set::Server(|server, args| {
            server.status.extended.set(args.flag(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "SeeRequestTail",
        module: "core",
        syntax: "On|Off",
        words: Words::Flag,
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
