//! TLS: `mod_ssl`.

use crate::config::directives::SiteSettings;
use crate::config::error::Span;
use crate::config::setting::{Setting, settings};
use crate::config::table::{Directive, Override, SITES, Set, Words};
use crate::config::words::{Args, Said};

settings! {
    /// What a site's TLS is made of.
    pub struct SiteTls {
        /// `SSLEngine`.
        engine: Setting<Engine>,
        /// Where.
        engine_at: Setting<Span>,
        /// `SSLCertificateFile`, in order. A virtual host's replace the server's.
        certificates: Setting<Vec<Named>>,
        /// `SSLCertificateKeyFile`, in order; each belongs to the certificate of its number.
        keys: Setting<Vec<Named>>,
        /// `SSLCertificateChainFile`.
        chain: Setting<Named>,
    }
}

/// Whether TLS is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// It is not.
    Off,
    /// Nothing else is.
    On,
    /// It is with those who begin with it, and plain HTTP with the others.
    Optional,
}

/// A file, and where it was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its absolute path.
    pub path: Vec<u8>,
    /// Where.
    pub span: Span,
}

impl SiteTls {
    /// Whether the site has to do with TLS at all.
    pub fn is_on(&self) -> bool {
        self.spoken() != Engine::Off
    }

    /// Whether TLS is spoken, alone or beside plain HTTP.
    pub fn spoken(&self) -> Engine {
        self.engine.or(Engine::Off)
    }
}

fn named(args: &Args) -> Named {
    Named {
        path: args.path(0),
        span: args.span.clone(),
    }
}

fn add(list: &mut Setting<Vec<Named>>, args: &Args) {
    let mut files = list.value().cloned().unwrap_or_default();
    files.push(named(args));
    list.set(files);
}

fn engine(site: &mut SiteSettings, args: &Args) -> Said<()> {
    let choices = [("on", Engine::On), ("off", Engine::Off), ("optional", Engine::Optional)];
    let engine = args.choice(0, &choices)?;
    if engine != Engine::Off && !cfg!(feature = "tls") {
        return Err("this program was built without TLS, and plain HTTP never takes its place".into());
    }
    site.tls.engine.set(engine);
    site.tls.engine_at.set(args.span.clone());
    Ok(())
}

/// What entries of mod_ssl have in common that take one word for a site.
pub(super) const OF_SITES: Directive = Directive {
    name: "",
    module: "mod_ssl",
    syntax: "",
    words: Words::exactly(1),
    allowed: SITES,
    overrides: Override::None,
    default: "",
    summary: "",
    manual: "",
    set: Set::Site(|_, _| Ok(())),
};

/// The table.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "SSLCertificateChainFile",
        syntax: "file",
        default: "",
        summary: "Name a file with the certificates between the server's and its root.",
        manual: "They are sent behind those of SSLCertificateFile, where they can stand as well.",
        set: Set::Site(|site, args| {
            site.tls.chain.set(named(args));
            Ok(())
        }),
        ..OF_SITES
    },
    Directive {
        name: "SSLCertificateFile",
        syntax: "file",
        default: "",
        summary: "Name the file with the server's certificate, in PEM form.",
        manual: "Behind it may stand the certificates that lead to its root, and its private key. Given several times, with \
keys of different kinds, each client is shown the first whose key it can verify. The files are read when the server starts and at each \
reload, by root where the server was started so; the processes that serve are given their contents.",
        set: Set::Site(|site, args| {
            add(&mut site.tls.certificates, args);
            Ok(())
        }),
        ..OF_SITES
    },
    Directive {
        name: "SSLCertificateKeyFile",
        syntax: "file",
        default: "",
        summary: "Name the file with the private key of the certificate, in PEM form.",
        manual: "RSA keys of 2,048 bits and more, those of the curves P-256 and P-384, and Ed25519 are understood. The first belongs to the \
first SSLCertificateFile, the second to the second.",
        set: Set::Site(|site, args| {
            add(&mut site.tls.keys, args);
            Ok(())
        }),
        ..OF_SITES
    },
    Directive {
        name: "SSLEngine",
        syntax: "on|off|optional",
        default: "off",
        summary: "Say whether a site is served over TLS.",
        manual: "It usually stands in the <VirtualHost> of port 443. What is said to such an address without TLS is answered with 400. \
With `optional` the address speaks both: a connection whose first byte begins a handshake is one of TLS, any other is plain HTTP, for \
its whole life. HTTPS and SSL_* are set within TLS alone, so that the usual redirect from http to https works on one port; there \
SSLRequireSSL, SSLVerifyClient require and SSLRequire refuse what comes without TLS. Of the virtual hosts of an address the first says \
what is spoken there: behind an `optional` one, those with `on` answer plain requests with 400, those with `off` requests within TLS \
with 421; `optional` behind another word is an error. Apache's `optional` was another thing, the change to TLS within a connection (RFC 2817), by \
which somebody between could put a request of his own before the client's (CVE-2025-49812); Apache 2.4.64 took it out, and takes the \
word for `off`. A field `Upgrade: TLS/1.0` is ignored here (RFC 9110 section 7.8), and never sent.",
        set: Set::Site(engine),
        ..OF_SITES
    },
];
