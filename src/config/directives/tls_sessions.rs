//! Sessions of TLS that are taken up again: `mod_ssl`. They are kept by the clients, as tickets that only the server can read
//! (RFC 5077, RFC 8446 section 2.2), or where there are to be none, by the server.

use std::time::Duration;

use crate::config::directives::tls::{Named, OF_SITES};
use crate::config::setting::{Setting, settings};
use crate::config::table::{Directive, Override, SERVER, Set, Words};

settings! {
    /// How sessions of a site are taken up again.
    pub struct TlsSessions {
        /// `SSLSessionTickets`: whether they are at all.
        tickets: Setting<bool>,
        /// `SSLSessionCache`: whether the server keeps sessions for clients without tickets.
        cache: Setting<bool>,
        /// `SSLSessionTicketKeyFile`: what tickets are made with, in place of what the server draws for itself.
        key: Setting<Named>,
        /// `SSLSessionCacheTimeout`: how long a ticket or a kept session is good.
        lifetime: Setting<Duration>,
    }
}

/// How long a ticket is good without SSLSessionCacheTimeout.
pub const LIFETIME: Duration = Duration::from_secs(5 * 60);

/// How long one may be good at most (RFC 8446 section 4.6.1).
const LONGEST: u64 = 7 * 24 * 60 * 60;

/// Apache's kinds of caches.
const KINDS: [&str; 5] = ["shmcb", "dbm", "dc", "redis", "memcache"];

/// The table.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "SSLSessionCache",
        module: "mod_ssl",
        syntax: "none|nonenotnull|shmcb:file[(bytes)]|dbm:file|dc:...",
        words: Words::exactly(1),
        allowed: SERVER,
        overrides: Override::None,
        default: "none",
        summary: "Have sessions of TLS kept by the server where there are no tickets.",
        manual: "It has an effect with `SSLSessionTickets off` alone. Whatever kind of cache is named, and of which size, sessions are \
kept in the memory of the process that serves, up to 10000 for each site; no file is made. They end with a reload.",
        set: Set::Site(|site, args| {
            let kind = args.bytes(0);
            let named = |name: &str| kind.eq_ignore_ascii_case(name.as_bytes());
            let begins = |name: &str| {
                let Some((front, rest)) = kind.split_at_checked(name.len()) else {
                    return false;
                };
                front.eq_ignore_ascii_case(name.as_bytes()) && (rest.is_empty() || rest.starts_with(b":"))
            };
            let is_kept = if named("none") || named("nonenotnull") {
                false
            } else if KINDS.iter().any(|name| begins(name)) {
                true
            } else {
                return Err("it is none, or a kind of cache such as shmcb:FILE".to_owned());
            };
            site.tls_sessions.cache.set(is_kept);
            Ok(())
        }),
    },
    Directive {
        name: "SSLSessionCacheTimeout",
        syntax: "seconds",
        default: "300",
        summary: "Say how long a client may take up a session again.",
        manual: "It is the life of a ticket, see SSLSessionTickets, and of a session of SSLSessionCache; 604800, a week, is the most.",
        set: Set::Site(|site, args| {
            let seconds = args.number(0, 0..=LONGEST)?;
            site.tls_sessions.lifetime.set(Duration::from_secs(seconds));
            Ok(())
        }),
        ..OF_SITES
    },
    Directive {
        name: "SSLSessionTicketKeyFile",
        syntax: "file",
        default: "",
        summary: "Name a file with the secret that session tickets are made with, so that several machines can read them.",
        manual: "The file has 48 random bytes, as `openssl rand -out FILE 48` makes them. Without it the server draws a secret of its own \
when it starts, which reloads keep. The keys themselves are derived from the secret and change every twelve hours. Tickets can be read \
by servers with the same secret and the same files and lines for the site; Apache's are others, made with the same file.",
        set: Set::Site(|site, args| {
            site.tls_sessions.key.set(Named {
                path: args.path(0),
                span: args.span.clone(),
            });
            Ok(())
        }),
        ..OF_SITES
    },
    Directive {
        name: "SSLSessionTickets",
        syntax: "on|off",
        words: Words::Flag,
        default: "on",
        summary: "Say whether clients may take up a session of TLS again without a whole handshake.",
        manual: "The client is given a ticket that nobody but the server can read. It outlives reloads, but not a change of what is said of \
TLS for the site, or of its files, and is good for that site alone. With `off` \
sessions are kept by the server if there is an SSLSessionCache, or else every connection begins with a whole handshake.",
        set: Set::Site(|site, args| {
            site.tls_sessions.tickets.set(args.flag(0)?);
            Ok(())
        }),
        ..OF_SITES
    },
];
