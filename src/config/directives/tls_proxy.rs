//! TLS towards the servers behind this one: the `SSLProxy` directives of `mod_ssl`.

use crate::config::directives::DirConf;
use crate::config::directives::tls::Named;
use crate::config::error::Span;
use crate::config::setting::{Setting, settings};
use crate::config::table::{Directive, Override, SERVER_FILES, Set, Words};
use crate::config::words::{Args, Said};
use crate::tls::ciphers;
use crate::tls::protocol::{Protocols, Versions};

settings! {
    /// How servers behind this one are asked over TLS.
    #[derive(PartialEq, Eq)]
    pub struct TlsProxy {
        /// `SSLProxyEngine`.
        engine: Setting<bool>,
        /// Where.
        engine_at: Setting<Span>,
        /// `SSLProxyVerify`.
        verify: Setting<Verify>,
        /// `SSLProxyVerifyDepth`: so many certificates above the server's own.
        depth: Setting<usize>,
        /// `SSLProxyCACertificateFile`.
        ca_file: Setting<Named>,
        /// `SSLProxyCACertificatePath`.
        ca_directory: Setting<Named>,
        /// `SSLProxyCARevocationFile`.
        revoked_file: Setting<Named>,
        /// `SSLProxyCARevocationPath`.
        revoked_directory: Setting<Named>,
        /// `SSLProxyCARevocationCheck`.
        revocation: Setting<Revocation>,
        /// `SSLProxyCheckPeerName`.
        check_name: Setting<bool>,
        /// `SSLProxyCheckPeerCN`.
        check_common_name: Setting<bool>,
        /// `SSLProxyCheckPeerExpire`.
        check_time: Setting<bool>,
        /// `SSLProxyProtocol`.
        versions: Setting<Versions>,
        /// `SSLProxyCipherSuite`: the suites of TLS 1.2 by their numbers, in the order of preference.
        suites: Setting<Vec<u16>>,
        /// The same for TLS 1.3.
        suites13: Setting<Vec<u16>>,
        /// `SSLProxyMachineCertificateFile`.
        own_file: Setting<Named>,
        /// `SSLProxyMachineCertificatePath`.
        own_directory: Setting<Named>,
        /// `SSLProxyMachineCertificateChainFile`.
        own_chain: Setting<Named>,
    }
}

/// What a server's certificate must lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// To nothing.
    Nothing,
    /// To a certificate that is trusted.
    Trusted,
    /// To any, unless something else is wrong with it (`optional_no_ca`).
    Anybody,
}

/// Whose revocation is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// Nobody's.
    Unasked,
    /// That of the server's certificate.
    Leaf,
    /// That of all certificates of the chain.
    Chain,
}

/// What a server's certificate must say of its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameCheck {
    /// Nothing.
    Nothing,
    /// Its name, wherever it may stand.
    Name,
    /// Its name, as the first common name.
    CommonName,
}

impl TlsProxy {
    /// Whether servers may be asked over TLS.
    pub fn is_on(&self) -> bool {
        self.engine.or(false)
    }

    /// Which name is looked for, as Apache from 2.4.21 on combines the two directives.
    pub fn names(&self) -> NameCheck {
        match (self.check_name.value(), self.check_common_name.value()) {
            (Some(true), _) | (None, None | Some(true)) => NameCheck::Name,
            (Some(false), Some(true)) => NameCheck::CommonName,
            (Some(false), None | Some(false)) | (None, Some(false)) => NameCheck::Nothing,
        }
    }

    /// Whether the certificates that the system trusts are needed.
    pub fn trusts_the_system(&self) -> bool {
        self.verify.or(Verify::Trusted) != Verify::Nothing
            && self.ca_file.value().is_none()
            && self.ca_directory.value().is_none()
    }

    /// The files and directories that are named, and the directive of each.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &Named)> {
        [
            ("SSLProxyCACertificateFile", &self.ca_file),
            ("SSLProxyCACertificatePath", &self.ca_directory),
            ("SSLProxyCARevocationFile", &self.revoked_file),
            ("SSLProxyCARevocationPath", &self.revoked_directory),
            ("SSLProxyMachineCertificateFile", &self.own_file),
            ("SSLProxyMachineCertificatePath", &self.own_directory),
            ("SSLProxyMachineCertificateChainFile", &self.own_chain),
        ]
        .into_iter()
        .filter_map(|(directive, file)| Some((directive, file.value()?)))
    }
}

/// The settings, where the directive may stand.
fn of<'c>(conf: &'c mut DirConf, args: &Args) -> Said<&'c mut TlsProxy> {
    let is_about_servers = |section: &[u8]| section == b"*" || section.contains(&b':');
    if args.section.is_some_and(|section| !is_about_servers(section)) {
        return Err("of the sections of places, only <Proxy> may hold it".into());
    }
    Ok(&mut conf.tls_proxy)
}

fn named(args: &Args) -> Named {
    Named {
        path: args.path(0),
        span: args.span.clone(),
    }
}

fn protocols(conf: &mut DirConf, args: &Args) -> Said<()> {
    let said = Protocols::parse(args.words.iter().map(Vec::as_slice)).map_err(|error| error.to_string())?;
    if !said.in_vain.is_empty() {
        args.remark(format!(
            "`{}` is not spoken, being broken or old",
            said.in_vain.join("`, `")
        ));
    }
    of(conf, args)?.versions.set(said.versions);
    Ok(())
}

fn suites(conf: &mut DirConf, args: &Args) -> Said<()> {
    let (is_of_13, list) = match args.words {
        [list] => (false, list),
        [protocol, list] if protocol.eq_ignore_ascii_case(b"SSL") => (false, list),
        [protocol, list] if protocol.eq_ignore_ascii_case(b"TLSv1.3") => (true, list),
        _ => return Err("takes `SSL` or `TLSv1.3` before the suites".into()),
    };
    let chosen = if is_of_13 {
        ciphers::tls13(list)
    } else {
        ciphers::tls12(list).map_err(|error| error.to_string())?
    };
    if chosen.suites.is_empty() {
        let version = if is_of_13 { "1.3" } else { "1.2" };
        args.remark(format!(
            "none of these suites is spoken here, and so no TLS {version} is with servers behind"
        ));
    }
    let numbers = chosen.suites.iter().map(|suite| suite.id).collect();
    let tls = of(conf, args)?;
    let setting = if is_of_13 { &mut tls.suites13 } else { &mut tls.suites };
    setting.set(numbers);
    Ok(())
}

const fn entry(
    name: &'static str,
    syntax: &'static str,
    default: &'static str,
    texts: [&'static str; 2],
    set: fn(&mut DirConf, &Args) -> Said<()>,
) -> Directive {
    let [summary, manual] = texts;
    Directive {
        name,
        module: "mod_ssl",
        syntax,
        words: Words::exactly(1),
        allowed: SERVER_FILES,
        overrides: Override::None,
        default,
        summary,
        manual,
        set: Set::Dir(set),
    }
}

/// The table.
pub const DIRECTIVES: &[Directive] = &[
    entry(
        "SSLProxyCACertificateFile",
        "file",
        "",
        [
            "Name the file with the certificates that those of servers behind must lead to, in PEM form.",
            "Without it and SSLProxyCACertificatePath they are those that the system trusts, as the package ca-certificates installs them. \
A server's own certificate may stand here too, and is trusted then. The file is read when the server starts and at each reload.",
        ],
        |conf, args| {
            of(conf, args)?.ca_file.set(named(args));
            Ok(())
        },
    ),
    entry(
        "SSLProxyCACertificatePath",
        "directory",
        "",
        [
            "Name a directory with files such as SSLProxyCACertificateFile names.",
            "All its files are read, whatever they are called; Apache reads those that are named for the hash of their subject.",
        ],
        |conf, args| {
            of(conf, args)?.ca_directory.set(named(args));
            Ok(())
        },
    ),
    entry(
        "SSLProxyCARevocationCheck",
        "chain|leaf|none",
        "none",
        [
            "Say whose revocation is looked for in the lists of SSLProxyCARevocationFile.",
            "Of leaf, that of the server's own certificate; of chain, that of all certificates that lead to a trusted one. A certificate \
for whose issuer there is no list, or only one that has expired, is refused.",
        ],
        |conf, args| {
            let choices = [
                ("none", Revocation::Unasked),
                ("leaf", Revocation::Leaf),
                ("chain", Revocation::Chain),
            ];
            of(conf, args)?.revocation.set(args.choice(0, &choices)?);
            Ok(())
        },
    ),
    entry(
        "SSLProxyCARevocationFile",
        "file",
        "",
        [
            "Name the file with lists of revoked certificates, in PEM form.",
            "SSLProxyCARevocationCheck says whether they are looked at. It is read again at each reload.",
        ],
        |conf, args| {
            of(conf, args)?.revoked_file.set(named(args));
            Ok(())
        },
    ),
    entry(
        "SSLProxyCARevocationPath",
        "directory",
        "",
        [
            "Name a directory with files such as SSLProxyCARevocationFile names.",
            "All its files are read, whatever they are called.",
        ],
        |conf, args| {
            of(conf, args)?.revoked_directory.set(named(args));
            Ok(())
        },
    ),
    Directive {
        words: Words::Flag,
        ..entry(
            "SSLProxyCheckPeerCN",
            "on|off",
            "on",
            [
                "Say whether the certificate of a server behind must be one of its host.",
                "SSLProxyCheckPeerName has taken its place: off in either of them means that no name is looked for, as long as the other does \
not say on. With `SSLProxyCheckPeerName off` and on here, the certificate's first common name alone is compared.",
            ],
            |conf, args| {
                of(conf, args)?.check_common_name.set(args.flag(0)?);
                Ok(())
            },
        )
    },
    Directive {
        words: Words::Flag,
        ..entry(
            "SSLProxyCheckPeerExpire",
            "on|off",
            "on",
            [
                "Say whether the certificate of a server behind must be within its time.",
                "It has a use where SSLProxyVerify lets certificates pass that lead to none that is trusted; all others are refused \
behind their time in any case.",
            ],
            |conf, args| {
                of(conf, args)?.check_time.set(args.flag(0)?);
                Ok(())
            },
        )
    },
    Directive {
        words: Words::Flag,
        ..entry(
            "SSLProxyCheckPeerName",
            "on|off",
            "on",
            [
                "Say whether the certificate of a server behind must name its host.",
                "The host is that of the URL, or with ProxyPreserveHost that of the request. The alternative names of the certificate are \
compared, and of one without any its common names; `*.` at the beginning stands for one label. Apache compares common names in any case.",
            ],
            |conf, args| {
                of(conf, args)?.check_name.set(args.flag(0)?);
                Ok(())
            },
        )
    },
    Directive {
        words: Words::Between(1, 2),
        ..entry(
            "SSLProxyCipherSuite",
            "[SSL|TLSv1.3] list",
            "",
            [
                "Choose the cipher suites that servers behind are offered.",
                "The list is one of OpenSSL's, as SSLCipherSuite takes it. Of what it chooses, those suites are offered that this server \
has: the ones of TLS 1.2 with a key of one session (ECDHE) and an authenticated cipher, and those of TLS 1.3, for which TLSv1.3 stands before the list.",
            ],
            suites,
        )
    },
    Directive {
        words: Words::Flag,
        ..entry(
            "SSLProxyEngine",
            "on|off",
            "off",
            [
                "Let servers behind be asked over TLS.",
                "https:// and wss:// in ProxyPass, BalancerMember, rules and handlers need it: without it such a request is answered with 500, as \
by Apache. It stands in the server's own settings, in a <VirtualHost>, or in <Proxy> with the URL.\n\nUnlike in Apache, the certificate of \
the server behind is verified unless `SSLProxyVerify none` says otherwise. What is wrong with one is answered with 502, and the error log says \
which it was and why. Connections are kept as those of plain HTTP are, and a new one to a server that was asked before takes up the earlier \
session. An answer without a length is cut where the connection ends without a word of TLS that it ends.",
            ],
            |conf, args| {
                let is_on = args.flag(0)?;
                if is_on && !cfg!(feature = "tls") {
                    return Err("this program was built without TLS, and plain HTTP never takes its place".into());
                }
                let tls = of(conf, args)?;
                tls.engine.set(is_on);
                tls.engine_at.set(args.span.clone());
                Ok(())
            },
        )
    },
    entry(
        "SSLProxyMachineCertificateChainFile",
        "file",
        "",
        [
            "Name the file with the certificates between those of SSLProxyMachineCertificateFile and their roots.",
            "They are sent behind them. Unlike in Apache, they are not trusted for anything else.",
        ],
        |conf, args| {
            of(conf, args)?.own_chain.set(named(args));
            Ok(())
        },
    ),
    entry(
        "SSLProxyMachineCertificateFile",
        "file",
        "",
        [
            "Name the file with the certificates and keys by which servers behind know this one, in PEM form.",
            "It has any number of certificates, each with its key before or behind it; the keys are not encrypted. Certificates without a \
key are taken for those between. A server that asks for one is shown the first that comes from an issuer it names, or the first of all where \
it names none; where none fits it is shown none. The file is read by root where the server was started so.",
        ],
        |conf, args| {
            of(conf, args)?.own_file.set(named(args));
            Ok(())
        },
    ),
    entry(
        "SSLProxyMachineCertificatePath",
        "directory",
        "",
        [
            "Name a directory with files such as SSLProxyMachineCertificateFile names.",
            "",
        ],
        |conf, args| {
            of(conf, args)?.own_directory.set(named(args));
            Ok(())
        },
    ),
    Directive {
        words: Words::AtLeast(1),
        ..entry(
            "SSLProxyProtocol",
            "[+|-]protocol ...",
            "all",
            [
                "Say which versions of TLS are spoken with servers behind.",
                "all is TLSv1.2 and TLSv1.3; there are no others here, so that a server that speaks only older ones cannot be asked.",
            ],
            protocols,
        )
    },
    entry(
        "SSLProxyVerify",
        "none|optional|require|optional_no_ca",
        "require",
        [
            "Say what the certificates of servers behind must lead to.",
            "Unlike in Apache, whose default is none, they must lead to one that is trusted (SSLProxyCACertificateFile) unless none is \
written: then anybody on the way can read and change what is said. optional is the same as require, since every server shows a certificate. \
optional_no_ca accepts those of unknown issuers. In any case SSLProxyCheckPeerName and SSLProxyCheckPeerExpire hold.",
        ],
        |conf, args| {
            let choices = [
                ("none", Verify::Nothing),
                ("optional", Verify::Trusted),
                ("require", Verify::Trusted),
                ("optional_no_ca", Verify::Anybody),
            ];
            of(conf, args)?.verify.set(args.choice(0, &choices)?);
            Ok(())
        },
    ),
    entry(
        "SSLProxyVerifyDepth",
        "number",
        "",
        [
            "Say how many certificates may stand above that of a server behind.",
            "0 lets pass what is trusted itself, 1 what a trusted certificate has signed, 2 what has one between, and so on. Without it there \
is no such bound, where Apache has 1.",
        ],
        |conf, args| {
            let depth = usize::try_from(args.number(0, 0..=100)?).unwrap_or(usize::MAX);
            of(conf, args)?.depth.set(depth);
            Ok(())
        },
    ),
];

#[cfg(test)]
mod tests {
    use super::{NameCheck, TlsProxy};

    #[test]
    fn the_two_checks_of_names_are_combined_as_in_apache() {
        for (name, common, want) in [
            (None, None, NameCheck::Name),
            (None, Some(true), NameCheck::Name),
            (None, Some(false), NameCheck::Nothing),
            (Some(true), Some(false), NameCheck::Name),
            (Some(false), None, NameCheck::Nothing),
            (Some(false), Some(true), NameCheck::CommonName),
            (Some(false), Some(false), NameCheck::Nothing),
        ] {
            let mut tls = TlsProxy::default();
            if let Some(on) = name {
                tls.check_name.set(on);
            }
            if let Some(on) = common {
                tls.check_common_name.set(on);
            }
            assert_eq!(tls.names(), want, "{name:?} {common:?}");
        }
    }
}
