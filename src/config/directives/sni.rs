//! What the server's name in a handshake has to do with the Host of requests: `mod_ssl`.

use crate::config::directives::tls::{OF_SITES, SiteTls};
use crate::config::setting::{Setting, settings};
use crate::config::site::Site;
use crate::config::table::{Directive, Override, SERVER, Set, Words};

settings! {
    /// What a site wants of handshakes.
    pub struct SiteSni {
        /// `SSLStrictSNIVHostCheck`: clients that name no server are refused.
        strict: Setting<bool>,
    }
}

settings! {
    /// What the server as a whole wants of them.
    pub struct Sni {
        /// `SSLVHostSNIPolicy`.
        policy: Setting<Policy>,
    }
}

/// In what the site of a request may differ from that of the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// It is the same site.
    Strict,
    /// In nothing that TLS has settled.
    Secure,
    /// In whatever does not concern the client's certificate.
    AuthOnly,
    /// In everything.
    Insecure,
}

impl Policy {
    /// What lies between the site of a handshake and that of a request, and forbids that the one's connection serves the other.
    pub fn obstacle(self, handshake: &Site, request: &Site) -> Option<&'static str> {
        let (agreed, wanted) = (&handshake.settings.tls, &request.settings.tls);
        match self {
            _ if handshake.number == request.number => None,
            Policy::Insecure => None,
            Policy::Strict => Some("it is another site, and SSLVHostSNIPolicy is strict"),
            _ if wanted.is_on() != agreed.is_on() => Some("the site is not served over TLS"),
            _ if !handshake.settings.tls_clients.asks_as(&request.settings.tls_clients) => {
                Some("its clients need other certificates")
            }
            Policy::Secure if !has_same_certificates(agreed, wanted) => Some("its certificates or keys are others"),
            Policy::Secure if !agrees_to_the_same(handshake, request) => Some("its protocols or ciphers are others"),
            Policy::Secure | Policy::AuthOnly => None,
        }
    }
}

fn agrees_to_the_same(one: &Site, other: &Site) -> bool {
    let (one, other) = (&one.settings.tls_agreement, &other.settings.tls_agreement);
    one.versions == other.versions
        && one.ciphers == other.ciphers
        && one.ciphers13 == other.ciphers13
        && one.groups == other.groups
}

fn has_same_certificates(one: &SiteTls, other: &SiteTls) -> bool {
    let paths = |tls: &SiteTls| {
        let lists = [tls.certificates.value(), tls.keys.value()];
        let list_paths = |list: Option<&Vec<_>>| -> Vec<Vec<u8>> {
            list.into_iter()
                .flatten()
                .map(|file: &crate::config::directives::tls::Named| file.path.clone())
                .collect()
        };
        (lists.map(list_paths), tls.chain.value().map(|file| file.path.clone()))
    };
    paths(one) == paths(other)
}

/// The table.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "SSLStrictSNIVHostCheck",
        syntax: "on|off",
        words: Words::Flag,
        default: "off",
        summary: "Refuse clients that do not name the server in the handshake.",
        manual: "Their requests are answered with 403: in the first virtual host of an address those for any of its virtual hosts, in \
another one those for that one only.",
        set: Set::Site(|site, args| {
            site.sni.strict.set(args.flag(0)?);
            Ok(())
        }),
        ..OF_SITES
    },
    Directive {
        name: "SSLVHostSNIPolicy",
        module: "mod_ssl",
        syntax: "strict|secure|authonly|insecure",
        words: Words::exactly(1),
        allowed: SERVER,
        overrides: Override::None,
        default: "secure",
        summary: "Say which virtual hosts a connection serves besides that of its handshake.",
        manual: "A request whose Host leads to another virtual host than the name in the handshake did is answered with 421 (Misdirected \
Request), for the client to ask again on a connection of its own: with `strict` always, with `secure` where certificates, keys, protocols, ciphers \
or what is asked of clients' certificates differ, with `authonly` where the last differs or one of the two is not served over TLS, \
with `insecure` never. Where the handshake named no server, that of the first virtual host counts.",
        set: Set::Server(|server, args| {
            let policies = [
                ("strict", Policy::Strict),
                ("secure", Policy::Secure),
                ("authonly", Policy::AuthOnly),
                ("insecure", Policy::Insecure),
            ];
            server.sni.policy.set(args.choice(0, &policies)?);
            Ok(())
        }),
    },
];
