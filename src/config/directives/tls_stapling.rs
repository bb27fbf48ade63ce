//! Answers of OCSP that the server sends along with its certificate: `mod_ssl`'s directives of stapling (RFC 6066 section 8,
//! RFC 6960).

use std::time::Duration;

use crate::base::ascii;
use crate::config::directives::SiteSettings;
use crate::config::directives::tls::OF_SITES;
use crate::config::error::Span;
use crate::config::setting::{Setting, settings};
use crate::config::table::{Directive, Override, SERVER, Set, Words};
use crate::config::words::{Args, Said, shown};
use crate::tls::responder::Responder;

settings! {
    /// What a site says of the answers that go with its certificates.
    pub struct TlsStapling {
        /// `SSLUseStapling`.
        is_on: Setting<bool>,
        /// Where.
        at: Setting<Span>,
        /// `SSLStaplingForceURL`.
        responder: Setting<Responder>,
        /// `SSLStaplingResponderTimeout`.
        patience: Setting<Duration>,
        /// `SSLStaplingStandardCacheTimeout`.
        pause: Setting<Duration>,
        /// `SSLStaplingErrorCacheTimeout`.
        pause_after_error: Setting<Duration>,
        /// `SSLStaplingResponseTimeSkew`.
        skew: Setting<Duration>,
        /// `SSLStaplingResponseMaxAge`; none is any age.
        most_age: Setting<Option<Duration>>,
    }
}

/// What holds for the answers about a site's certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stapling {
    /// Who is asked instead of the responder that a certificate names.
    pub responder: Option<Responder>,
    /// How long a question may take.
    pub patience: Duration,
    /// When it is asked again at the latest.
    pub pause: Duration,
    /// The same where there was no answer.
    pub pause_after_error: Duration,
    /// How far ahead of ours the responder's clock may be.
    pub skew: Duration,
    /// How old an answer may be.
    pub most_age: Option<Duration>,
}

impl TlsStapling {
    /// What holds; nothing where no answers are sent along.
    pub fn in_force(&self) -> Option<Stapling> {
        self.is_on.or(false).then(|| Stapling {
            responder: self.responder.value().cloned(),
            patience: self.patience.or(Duration::from_secs(10)),
            pause: self.pause.or(Duration::from_secs(3600)),
            pause_after_error: self.pause_after_error.or(Duration::from_secs(600)),
            skew: self.skew.or(Duration::from_secs(300)),
            most_age: self.most_age.value().copied().flatten(),
        })
    }
}

/// The longest time that may be said, about three years.
const LONGEST: u64 = 100_000_000;

fn seconds(args: &Args) -> Said<Duration> {
    args.number(0, 1..=LONGEST).map(Duration::from_secs)
}

fn use_stapling(site: &mut SiteSettings, args: &Args) -> Said<()> {
    site.tls_stapling.is_on.set(args.flag(0)?);
    site.tls_stapling.at.set(args.span.clone());
    Ok(())
}

fn force_url(site: &mut SiteSettings, args: &Args) -> Said<()> {
    let responder = Responder::parse(args.bytes(0)).ok_or_else(|| {
        format!(
            "{} is not a URL that a responder can have; write `http://host/path`",
            shown(args.bytes(0))
        )
    })?;
    site.tls_stapling.responder.set(responder);
    Ok(())
}

/// What would send errors to clients.
fn errors(args: &Args) -> Said<()> {
    if args.flag(0)? {
        args.remark("it has no effect: a client is sent no answer rather than one that is none");
    }
    Ok(())
}

fn max_age(site: &mut SiteSettings, args: &Args) -> Said<()> {
    let most = if ascii::trim_ows(args.bytes(0)) == b"-1" {
        None
    } else {
        Some(seconds(args)?)
    };
    site.tls_stapling.most_age.set(most);
    Ok(())
}

/// The table.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "SSLStaplingCache",
        module: "mod_ssl",
        syntax: "type",
        words: Words::exactly(1),
        allowed: SERVER,
        overrides: Override::None,
        default: "",
        summary: "Taken as Apache takes it, without an effect.",
        manual: "Answers are kept in memory, a few thousand bytes for each certificate; a reload hands them on, and nothing is written \
to a disk. Unlike in Apache, SSLUseStapling needs no such line.",
        set: Set::Server(|_, args| match args.keyword(0).as_str() {
            "none" | "nonenotnull" => {
                Err("without a cache nothing could be stapled; write `SSLUseStapling off`".into())
            }
            _ => Ok(()),
        }),
    },
    Directive {
        name: "SSLStaplingErrorCacheTimeout",
        syntax: "seconds",
        default: "600",
        summary: "Say when a responder is asked again that gave no good answer, at the latest.",
        manual: "It is first asked again after ten seconds, then after twice as long each time, up to this.",
        set: Set::Site(|site, args| {
            site.tls_stapling.pause_after_error.set(seconds(args)?);
            Ok(())
        }),
        ..OF_SITES
    },
    Directive {
        name: "SSLStaplingFakeTryLater",
        syntax: "on|off",
        words: Words::Flag,
        default: "off",
        summary: "Taken, without an effect.",
        manual: "An answer is never made up: where there is none, none is sent. Apache's default is `on`.",
        set: Set::Site(|_, args| errors(args)),
        ..OF_SITES
    },
    Directive {
        name: "SSLStaplingForceURL",
        syntax: "url",
        default: "",
        summary: "Name the responder, in place of the one that the certificate names.",
        manual: "The URL is one of plain HTTP; answers are signed, and need no TLS.",
        set: Set::Site(force_url),
        ..OF_SITES
    },
    Directive {
        name: "SSLStaplingResponderTimeout",
        syntax: "seconds",
        default: "10",
        summary: "Say how long a responder may take to answer.",
        manual: "The time is that of the whole question: to find the responder's address, to connect, to ask, to read. No client waits for it.",
        set: Set::Site(|site, args| {
            site.tls_stapling.patience.set(seconds(args)?);
            Ok(())
        }),
        ..OF_SITES
    },
    Directive {
        name: "SSLStaplingResponseMaxAge",
        syntax: "seconds",
        default: "-1",
        summary: "Say how old an answer may be.",
        manual: "The age is counted from the time that the answer says it was true; -1 is any.",
        set: Set::Site(max_age),
        ..OF_SITES
    },
    Directive {
        name: "SSLStaplingResponseTimeSkew",
        syntax: "seconds",
        default: "300",
        summary: "Say how far ahead a responder's clock may be.",
        manual: "An answer that says it is true from a later time on is not used. Unlike in Apache, nothing is added to the time at which an \
answer ends.",
        set: Set::Site(|site, args| {
            let skew = args.number(0, 0..=LONGEST)?;
            site.tls_stapling.skew.set(Duration::from_secs(skew));
            Ok(())
        }),
        ..OF_SITES
    },
    Directive {
        name: "SSLStaplingReturnResponderErrors",
        syntax: "on|off",
        words: Words::Flag,
        default: "off",
        summary: "Taken, without an effect.",
        manual: "It always is as with `off` in Apache, whose default is `on`: only answers that call a certificate good or revoked are sent.",
        set: Set::Site(|_, args| errors(args)),
        ..OF_SITES
    },
    Directive {
        name: "SSLStaplingStandardCacheTimeout",
        syntax: "seconds",
        default: "3600",
        summary: "Say when a responder is asked again, at the latest.",
        manual: "It is asked again once half of the answer's time is over, or this time. An answer that does not say how long it is \
good is sent for so long.",
        set: Set::Site(|site, args| {
            site.tls_stapling.pause.set(seconds(args)?);
            Ok(())
        }),
        ..OF_SITES
    },
    Directive {
        name: "SSLUseStapling",
        syntax: "on|off",
        words: Words::Flag,
        default: "off",
        summary: "Send along with a certificate the word of its authority that it is not revoked (OCSP).",
        manual: "Clients that ask for it in the handshake are spared a question to the authority. The server asks the responder that the certificate \
names, or that of SSLStaplingForceURL, in the background: no handshake waits for it. The answer must be signed by the certificate's \
issuer or by somebody the issuer has made its responder; the issuer's certificate must stand behind the certificate, or in \
SSLCertificateChainFile. A client is sent an answer as long as it is good, else none. It is kept over a reload, but not over a restart. \
A certificate that names no responder, as those of authorities that have given up OCSP, is served without; a warning says so.",
        set: Set::Site(use_stapling),
        ..OF_SITES
    },
];
