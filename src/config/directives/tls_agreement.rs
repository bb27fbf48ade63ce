//! What a handshake may come to: `mod_ssl`'s directives of protocols, ciphers and curves.

use crate::config::directives::SiteSettings;
use crate::config::directives::tls::OF_SITES;
use crate::config::setting::{Setting, settings};
use crate::config::table::{ANYWHERE, Directive, Override, SITES, Set, Words};
use crate::config::words::{Args, Said, shown};
use crate::tls::ciphers::{self, Selection};
use crate::tls::protocol::{Protocols, Versions};

settings! {
    /// What a site agrees to.
    pub struct TlsAgreement {
        /// `SSLProtocol`.
        versions: Setting<Versions>,
        /// `SSLCipherSuite`: the numbers of the suites of TLS 1.2, the best first.
        ciphers: Setting<Vec<u16>>,
        /// `SSLCipherSuite TLSv1.3`, likewise.
        ciphers13: Setting<Vec<u16>>,
        /// `SSLHonorCipherOrder`.
        order: Setting<Order>,
        /// `SSLOpenSSLConfCmd Groups`, the best first.
        groups: Setting<Vec<Group>>,
    }
}

/// Whose order of ciphers counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The client's.
    Client,
    /// The server's.
    Server,
}

/// A group that keys are agreed upon in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Curve25519.
    X25519,
    /// P-256.
    P256,
    /// P-384.
    P384,
}

/// The groups by the names that OpenSSL, NIST and SECG have for them.
const GROUPS: &[(&str, Group)] = &[
    ("x25519", Group::X25519),
    ("p-256", Group::P256),
    ("prime256v1", Group::P256),
    ("secp256r1", Group::P256),
    ("p-384", Group::P384),
    ("secp384r1", Group::P384),
];

fn protocol<'a>(site: &mut SiteSettings, args: &Args, words: impl IntoIterator<Item = &'a [u8]>) -> Said<()> {
    let asked = Protocols::parse(words).map_err(|error| error.to_string())?;
    for word in &asked.overriding {
        args.remark(format!(
            "`{word}` undoes what stands before it; write `+{word}` to add it"
        ));
    }
    for name in &asked.in_vain {
        args.remark(format!(
            "{name} is not spoken, being broken or old; only TLSv1.2 and TLSv1.3 are"
        ));
    }
    site.tls_agreement.versions.set(asked.versions);
    Ok(())
}

/// Says which words name no cipher; the numbers of the others.
fn numbers(chosen: &Selection, args: &Args) -> Vec<u16> {
    for word in &chosen.unknown {
        args.remark(format!("`{word}` names no cipher"));
    }
    chosen.suites.iter().map(|suite| suite.id).collect()
}

fn ciphers12(site: &mut SiteSettings, args: &Args, list: &[u8]) -> Said<()> {
    let ids = numbers(&ciphers::tls12(list).map_err(|error| error.to_string())?, args);
    if ids.is_empty() {
        args.remark("no cipher of TLS 1.2 is left that this server has, so that TLS 1.2 is not spoken");
    }
    site.tls_agreement.ciphers.set(ids);
    Ok(())
}

fn ciphers13(site: &mut SiteSettings, args: &Args, list: &[u8]) -> Said<()> {
    let ids = numbers(&ciphers::tls13(list), args);
    if ids.is_empty() {
        return Err(format!(
            "{} names no cipher of TLS 1.3 that this server has; write `SSLProtocol TLSv1.2` to do without TLS 1.3",
            shown(list)
        ));
    }
    site.tls_agreement.ciphers13.set(ids);
    Ok(())
}

fn cipher_suite(site: &mut SiteSettings, args: &Args) -> Said<()> {
    if args.count() == 1 {
        return ciphers12(site, args, args.bytes(0));
    }
    match args.keyword(0).as_str() {
        "ssl" => ciphers12(site, args, args.bytes(1)),
        "tlsv1.3" => ciphers13(site, args, args.bytes(1)),
        _ => Err(format!(
            "{} is not a protocol; write `SSL` or `TLSv1.3`",
            shown(args.bytes(0))
        )),
    }
}

fn groups(site: &mut SiteSettings, args: &Args, list: &[u8]) -> Said<()> {
    let mut groups = Vec::new();
    for word in list.split(|byte| *byte == b':').filter(|word| !word.is_empty()) {
        let name = String::from_utf8_lossy(word.strip_prefix(b"?").unwrap_or(word)).to_ascii_lowercase();
        let is_usual = matches!(name.as_str(), "auto" | "automatic");
        match GROUPS.iter().find(|(known, _)| *known == name || is_usual) {
            Some(_) if is_usual => groups = vec![Group::X25519, Group::P256, Group::P384],
            Some((_, group)) if !groups.contains(group) => groups.push(*group),
            Some(_) => {}
            None => args.remark(format!("keys are not agreed upon in the group {}", shown(word))),
        }
    }
    if groups.is_empty() {
        return Err("no group is left; write `X25519`, `P-256` or `P-384`".into());
    }
    site.tls_agreement.groups.set(groups);
    Ok(())
}

/// `MinProtocol` or `MaxProtocol`; the other end is what is spoken.
fn bound(site: &mut SiteSettings, args: &Args, is_least: bool) -> Said<()> {
    let versions = match (args.text(1)?, is_least) {
        ("TLSv1.3", true) => Versions::Tls13,
        ("TLSv1.2", false) => Versions::Tls12,
        ("None" | "SSLv3" | "TLSv1" | "TLSv1.1" | "TLSv1.2", true) | ("None" | "TLSv1.3", false) => Versions::Both,
        (name @ ("SSLv3" | "TLSv1" | "TLSv1.1"), false) => {
            return Err(format!("`{name}` is not spoken, being broken or old"));
        }
        (name, _) => return Err(format!("`{name}` is not a protocol; write `TLSv1.2` or `TLSv1.3`")),
    };
    let others = site.tls_agreement.versions.or(Versions::Both);
    let both = match (others, versions) {
        (Versions::Both, only) | (only, Versions::Both) => only,
        (one, other) if one == other => one,
        _ => return Err("no protocol is left".into()),
    };
    site.tls_agreement.versions.set(both);
    Ok(())
}

/// `Options`: a list of words with signs.
fn options(site: &mut SiteSettings, args: &Args) {
    for word in args.bytes(1).split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        let (is_on, name) = match word {
            [b'-', name @ ..] => (false, name),
            [b'+', name @ ..] | name => (true, name),
        };
        match (name, is_on) {
            (b"ServerPreference", true) => site.tls_agreement.order.set(Order::Server),
            (b"ServerPreference", false) => site.tls_agreement.order.set(Order::Client),
            (b"SessionTicket", _) => args.remark("Options SessionTicket has no effect; write SSLSessionTickets"),
            // What these ask for, there is never; or always.
            (
                b"Compression" | b"UnsafeLegacyRenegotiation" | b"UnsafeLegacyServerConnect" | b"AllowNoDHEKEX",
                false,
            )
            | (
                b"Bugs"
                | b"DHSingle"
                | b"ECDHSingle"
                | b"EncryptThenMac"
                | b"NoRenegotiation"
                | b"NoResumptionOnRenegotiation"
                | b"ExtendedMasterSecret"
                | b"AntiReplay"
                | b"MiddleboxCompat"
                | b"PrioritizeChaCha",
                _,
            ) => {}
            _ => args.remark(format!("Options {} has no effect", shown(word))),
        }
    }
}

fn conf_command(site: &mut SiteSettings, args: &Args) -> Said<()> {
    let name = args.text(0)?;
    match name.to_ascii_lowercase().as_str() {
        "protocol" => {
            let words = args.bytes(1).split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            // Without a sign a word adds here.
            let signed: Vec<Vec<u8>> = words
                .map(|word| {
                    if matches!(word, [b'+' | b'-', ..]) {
                        word.to_vec()
                    } else {
                        [b"+", word].concat()
                    }
                })
                .collect();
            let all = b"all".as_slice();
            protocol(site, args, std::iter::once(all).chain(signed.iter().map(Vec::as_slice)))
        }
        "minprotocol" => bound(site, args, true),
        "maxprotocol" => bound(site, args, false),
        "cipherstring" => ciphers12(site, args, args.bytes(1)),
        "ciphersuites" => ciphers13(site, args, args.bytes(1)),
        "groups" | "curves" | "ecdhparameters" => groups(site, args, args.bytes(1)),
        "options" => {
            options(site, args);
            Ok(())
        }
        "dhparameters" => {
            args.remark("DHParameters has no effect: keys are agreed upon by elliptic curves alone");
            Ok(())
        }
        "signaturealgorithms" | "clientsignaturealgorithms" | "numtickets" | "recordpadding" | "serverinfofile" => {
            args.remark(format!("{name} has no effect"));
            Ok(())
        }
        "certificate" | "privatekey" => Err("write SSLCertificateFile and SSLCertificateKeyFile".into()),
        "verifymode" => Err("write SSLVerifyClient".into()),
        "chaincafile" | "chaincapath" => Err("write SSLCertificateChainFile".into()),
        "clientcafile" | "clientcapath" | "requestcafile" | "requestcapath" | "verifycafile" | "verifycapath" => {
            Err("write SSLCACertificateFile, SSLCADNRequestFile".into())
        }
        _ => Err(format!("`{name}` is not a command that is understood here")),
    }
}

/// The table.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "SSLCipherSuite",
        module: "mod_ssl",
        syntax: "[SSL|TLSv1.3] list",
        words: Words::Between(1, 2),
        allowed: ANYWHERE,
        overrides: Override::AuthConfig,
        default: "DEFAULT",
        summary: "Choose the ciphers.",
        manual: "The list is written as for OpenSSL, names and words such as HIGH or ECDHE+AESGCM with colons between them and `!`, `-` or `+` \
before them. It chooses among the six ciphers of TLS 1.2 that there are: ECDHE with ECDSA or RSA, and AES-256-GCM, AES-128-GCM or \
ChaCha20-Poly1305. Others may stand in it. Where none of the six is left, TLS 1.2 is not spoken, which a warning says. With `TLSv1.3` before \
it the list names ciphers of TLS 1.3: TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256, TLS_AES_128_GCM_SHA256. In \
sections of places and access files it is refused: a handshake is over before the place of a request is known.",
        set: Set::SiteOrDir(cipher_suite, |_, _| {
            Err("ciphers are agreed upon before the place of a request is known; write it for the virtual host".into())
        }),
    },
    Directive {
        name: "SSLHonorCipherOrder",
        syntax: "on|off",
        words: Words::Flag,
        default: "off",
        summary: "Say whose order of ciphers counts.",
        manual: "With `on` it is that of SSLCipherSuite, else that of the client.",
        set: Set::Site(|site, args| {
            let order = if args.flag(0)? { Order::Server } else { Order::Client };
            site.tls_agreement.order.set(order);
            Ok(())
        }),
        ..OF_SITES
    },
    Directive {
        name: "SSLOpenSSLConfCmd",
        module: "mod_ssl",
        syntax: "command value",
        words: Words::exactly(2),
        allowed: SITES,
        overrides: Override::None,
        default: "",
        summary: "Say to TLS what other directives do not.",
        manual: "Understood are Groups (or Curves, ECDHParameters) with X25519, P-256 and P-384 in the order of preference, Protocol, MinProtocol, \
MaxProtocol, CipherString, Ciphersuites, and Options with ServerPreference. DHParameters, SignatureAlgorithms and others that concern only what \
is not there are taken with a warning; commands that name certificates, and unknown ones, are refused.",
        set: Set::Site(conf_command),
    },
    Directive {
        name: "SSLProtocol",
        module: "mod_ssl",
        syntax: "[+|-]protocol ...",
        words: Words::AtLeast(1),
        allowed: SITES,
        overrides: Override::None,
        default: "all",
        summary: "Choose the versions of TLS.",
        manual: "TLSv1.2 and TLSv1.3 are spoken, and `all` is both. SSLv3, TLSv1 and TLSv1.1 may be taken away, and are never spoken: where \
they are asked for, a warning says so, and where nothing else is asked for the server does not start. A virtual host that says nothing has the \
protocols of the server, or else those of the first virtual host of its address.",
        set: Set::Site(|site, args| protocol(site, args, args.rest(0).iter().map(Vec::as_slice))),
    },
];
