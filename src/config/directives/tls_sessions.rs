//! Sessions of TLS that are taken up again: `mod_ssl`. They are kept by the clients, as tickets that only the server can read
//! (RFC 5077, RFC 8446 section 2.2).

use std::time::Duration;

use crate::config::directives::tls::Named;
use crate::config::setting::{Setting, settings};
use crate::config::table::{Directive, Override, SITES, Set, Words};

settings! {
    /// How sessions of a site are taken up again.
    pub struct TlsSessions {
        /// `SSLSessionTickets`: whether they are at all.
        tickets: Setting<bool>,
        /// `SSLSessionTicketKeyFile`: what tickets are made with, in place of what the server draws for itself.
        key: Setting<Named>,
        /// `SSLSessionCacheTimeout`: how long a ticket is good.
        lifetime: Setting<Duration>,
    }
}

/// How long a ticket is good without SSLSessionCacheTimeout.
pub const LIFETIME: Duration = Duration::from_secs(5 * 60);

/// How long one may be good at most (RFC 8446 section 4.6.1).
const LONGEST: u64 = 7 * 24 * 60 * 60;

/// The table.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "SSLSessionCacheTimeout",
        module: "mod_ssl",
        syntax: "seconds",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "300",
        summary: "Say how long a client may take up a session again.",
        manual: "It is the life of a ticket, see SSLSessionTickets; 604800, a week, is the most.",
        set: Set::Site(|site, args| {
            let seconds = args.number(0, 0..=LONGEST)?;
            site.tls_sessions.lifetime.set(Duration::from_secs(seconds));
            Ok(())
        }),
    },
    Directive {
        name: "SSLSessionTicketKeyFile",
        module: "mod_ssl",
        syntax: "file",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
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
    },
    Directive {
        name: "SSLSessionTickets",
        module: "mod_ssl",
        syntax: "on|off",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "on",
        summary: "Say whether clients may take up a session of TLS again without a whole handshake.",
        manual: "The client is given a ticket that nobody but the server can read. It outlives reloads, but not a change of what is said of \
TLS for the site, or of its files, and is good for that site alone. There is no other way to take up a session: with `off` every \
connection begins with a whole handshake.",
        set: Set::Site(|site, args| {
            site.tls_sessions.tickets.set(args.flag(0)?);
            Ok(())
        }),
    },
];
