//! What a place makes of TLS and of the client's certificate: `mod_ssl`'s directives of directories.

use crate::config::directives::options::signed;
use crate::config::directives::{DirConf, SiteSettings};
use crate::config::setting::{Appended, Merge, Setting, settings};
use crate::config::table::{ANYWHERE, DIRECTORY, Directive, HTACCESS, Override, Set, Words};
use crate::config::words::{Args, Said, shown};
use crate::lang::expr::Expr;

settings! {
    /// TLS in a place.
    pub struct TlsAccess {
        /// `SSLOptions`.
        options: TlsOptionsEdit,
        /// `SSLRequireSSL`: nobody comes here without TLS.
        required: Setting<bool>,
        /// `SSLRequire`: all of these hold.
        requirements: Appended<TlsRequirement>,
        /// `SSLUserName`: the variable whose value is the user.
        user: Setting<String>,
        /// `SSLVerifyClient`, in sections and access files.
        verify: Setting<Verify>,
        /// `SSLVerifyDepth`, likewise.
        depth: Setting<usize>,
    }
}

/// Whether clients are asked for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// They are not.
    None,
    /// They are; those who have none are served all the same.
    Optional,
    /// They are, and need a good one.
    Require,
    /// They are, and theirs need not lead to a certificate authority that is known.
    OptionalNoCa,
}

/// One `SSLRequire`.
#[derive(Clone, Debug, PartialEq)]
pub struct TlsRequirement {
    /// What must hold.
    pub expr: Expr,
    /// How it was written.
    pub written: Box<str>,
}

/// A set of `SSLOptions`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions(u8);

impl TlsOptions {
    /// `StdEnvVars`: scripts get the variables.
    pub const STD_ENV_VARS: TlsOptions = TlsOptions(1);
    /// `ExportCertData`: scripts get the certificates.
    pub const EXPORT_CERT_DATA: TlsOptions = TlsOptions(2);
    /// `FakeBasicAuth`: the name in the certificate is the user's.
    pub const FAKE_BASIC_AUTH: TlsOptions = TlsOptions(4);
    /// `StrictRequire`: what TLS forbids, `Satisfy Any` does not allow.
    pub const STRICT_REQUIRE: TlsOptions = TlsOptions(8);
    /// `LegacyDNStringFormat`: names are written `/C=…/CN=…`.
    pub const LEGACY_DN: TlsOptions = TlsOptions(16);

    /// Whether all of `other` are on.
    pub fn has(self, other: TlsOptions) -> bool {
        self.0 & other.0 == other.0
    }

    fn with(self, other: TlsOptions) -> TlsOptions {
        TlsOptions(self.0 | other.0)
    }

    fn without(self, other: TlsOptions) -> TlsOptions {
        TlsOptions(self.0 & !other.0)
    }
}

/// What a scope says about them: a set of its own, or changes to the one around it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TlsOptionsEdit {
    whole: Option<TlsOptions>,
    added: TlsOptions,
    removed: TlsOptions,
}

impl TlsOptionsEdit {
    /// The options in force.
    pub fn in_force(&self) -> TlsOptions {
        self.whole.unwrap_or_default().with(self.added).without(self.removed)
    }
}

impl Merge for TlsOptionsEdit {
    fn merge(&mut self, inner: &Self) {
        if inner.whole.is_some() {
            *self = *inner;
        } else {
            self.added = self.added.without(inner.removed).with(inner.added);
            self.removed = self.removed.without(inner.added).with(inner.removed);
        }
    }
}

/// The option of a name, in any case. OptRenegotiate is one that needs nothing to be done.
fn option(name: &[u8]) -> Said<TlsOptions> {
    Ok(match name.to_ascii_lowercase().as_slice() {
        b"stdenvvars" => TlsOptions::STD_ENV_VARS,
        b"exportcertdata" => TlsOptions::EXPORT_CERT_DATA,
        b"fakebasicauth" => TlsOptions::FAKE_BASIC_AUTH,
        b"strictrequire" => TlsOptions::STRICT_REQUIRE,
        b"legacydnstringformat" => TlsOptions::LEGACY_DN,
        b"optrenegotiate" => TlsOptions::default(),
        _ => {
            return Err(format!(
                "{} is not an option; write StdEnvVars, ExportCertData, FakeBasicAuth, StrictRequire, OptRenegotiate or \
LegacyDNStringFormat",
                shown(name)
            ));
        }
    })
}

fn set_options(conf: &mut DirConf, args: &Args) -> Said<()> {
    for word in args.words {
        let (sign, name) = signed(word);
        let (option, none) = (option(name)?, TlsOptions::default());
        let edit = match sign {
            Some(b'+') => TlsOptionsEdit {
                whole: None,
                added: option,
                removed: none,
            },
            Some(_) => TlsOptionsEdit {
                whole: None,
                added: none,
                removed: option,
            },
            None => TlsOptionsEdit {
                whole: Some(option),
                added: none,
                removed: none,
            },
        };
        conf.tls_access.options.merge(&edit);
    }
    if args.words.iter().filter(|word| signed(word).0.is_none()).count() > 1 {
        args.remark("of several options without a sign the last alone holds, as in Apache; write them all with `+`");
    }
    Ok(())
}

fn require(conf: &mut DirConf, args: &Args) -> Said<()> {
    let text = args.text(0)?.trim();
    let expr = Expr::parse_of_ssl_require(text, args.trust).map_err(|error| error.0)?;
    conf.tls_access.requirements.push(TlsRequirement {
        expr,
        written: text.into(),
    });
    Ok(())
}

fn user_name(conf: &mut DirConf, args: &Args) -> Said<()> {
    conf.tls_access.user.set(args.text(0)?.to_owned());
    Ok(())
}

fn verify(args: &Args) -> Said<Verify> {
    let choices = [
        ("none", Verify::None),
        ("off", Verify::None),
        ("optional", Verify::Optional),
        ("require", Verify::Require),
        ("on", Verify::Require),
        ("optional_no_ca", Verify::OptionalNoCa),
    ];
    args.choice(0, &choices)
}

fn depth(args: &Args) -> Said<usize> {
    let depth = args.number(0, 0..=100)?;
    usize::try_from(depth).map_err(|error| error.to_string())
}

/// The table.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "SSLOptions",
        module: "mod_ssl",
        syntax: "[+|-]option ...",
        words: Words::AtLeast(1),
        allowed: ANYWHERE,
        overrides: Override::Options,
        default: "",
        summary: "Say what scripts and passwords have to do with TLS.",
        manual: "StdEnvVars gives scripts and pages with includes the variables whose names begin with SSL_; ExportCertData the \
certificates besides, in PEM form. With FakeBasicAuth a client with a good certificate is the user whose name is the certificate's \
subject (/C=DE/CN=Alice), and whose password is the word password: AuthUserFile knows it by a hash of that. With StrictRequire, what \
SSLRequireSSL, SSLRequire or SSLVerifyClient forbids is forbidden with Satisfy Any too. LegacyDNStringFormat writes subjects and \
issuers as /C=DE/CN=Alice instead of CN=Alice,C=DE. OptRenegotiate is understood, and there is nothing that it could spare. Words with + or - change \
what an outer section says, a word without replaces all that was said.",
        set: Set::Dir(set_options),
    },
    Directive {
        name: "SSLRequire",
        module: "mod_ssl",
        syntax: "expression",
        words: Words::Raw,
        allowed: DIRECTORY.or(HTACCESS),
        overrides: Override::AuthConfig,
        default: "",
        summary: "Let only those in for whom an expression holds.",
        manual: "It is asked of requests within TLS alone: SSLRequireSSL keeps out the others. The language is that of Require expr, which \
is to be preferred; but whatever a comparison is called, it puts the shorter of two texts first, and goes by the letters where both are \
of one length, so that numbers without zeros before them compare as numbers. The function PeerExtList is not understood.",
        set: Set::Dir(require),
    },
    Directive {
        name: "SSLRequireSSL",
        module: "mod_ssl",
        syntax: "",
        words: Words::Leading(0, 0),
        allowed: DIRECTORY.or(HTACCESS),
        overrides: Override::AuthConfig,
        default: "",
        summary: "Keep out those who do not come by TLS.",
        manual: "They get 403. As in Apache a word behind it says nothing: SSLRequireSSL Off keeps them out too.",
        set: Set::Dir(|conf, _| {
            conf.tls_access.required.set(true);
            Ok(())
        }),
    },
    Directive {
        name: "SSLUserName",
        module: "mod_ssl",
        syntax: "variable",
        words: Words::exactly(1),
        allowed: ANYWHERE,
        overrides: Override::AuthConfig,
        default: "",
        summary: "Take the user's name from a variable of TLS.",
        manual: "Such as SSL_CLIENT_S_DN_CN. It is the user for Require user, logs and scripts; where the variable has no value there is \
none, and a line of the error log says so.",
        set: Set::Dir(user_name),
    },
    Directive {
        name: "SSLVerifyClient",
        module: "mod_ssl",
        syntax: "none|optional|require|optional_no_ca",
        words: Words::exactly(1),
        allowed: ANYWHERE,
        overrides: Override::AuthConfig,
        default: "none",
        summary: "Say whether clients need a certificate.",
        manual: "With require, only those come in whose certificate leads to one of SSLCACertificateFile or SSLCACertificatePath; with \
optional, those without one as well; with optional_no_ca, those too whose certificate leads nowhere, and SSL_CLIENT_VERIFY tells which \
is which. Outside of sections it is a matter of the handshake: who does not come in is not answered.

A certificate is asked for at the handshake or never: TLS 1.3 has no renegotiation, and of TLS 1.2 it is not spoken here. A site one \
of whose sections wants a certificate therefore asks every client for one, and turns none away; the section then answers \
with 403 those without a good one. Browsers may show their users a choice of certificates at the first page already. An access file asks nobody: \
in it require lets in those whom the site has asked, and needs SSLVerifyClient optional outside. Certificates of version 1, RSA keys of less than 2,048 bits and signatures with SHA-1 are \
not believed.",
        set: Set::SiteOrDir(
            |site: &mut SiteSettings, args| {
                site.tls_clients.verify.set(verify(args)?);
                site.tls_clients.verify_at.set(args.span.clone());
                Ok(())
            },
            |conf, args| {
                conf.tls_access.verify.set(verify(args)?);
                Ok(())
            },
        ),
    },
    Directive {
        name: "SSLVerifyDepth",
        module: "mod_ssl",
        syntax: "number",
        words: Words::exactly(1),
        allowed: ANYWHERE,
        overrides: Override::AuthConfig,
        default: "1",
        summary: "Say how far a client's certificate may be from one that is known.",
        manual: "1 lets in those that a known certificate authority has signed itself, 2 those with one certificate between, and so on up to \
7; with 0 the certificate must be a known one itself.",
        set: Set::SiteOrDir(
            |site, args| {
                site.tls_clients.depth.set(depth(args)?);
                Ok(())
            },
            |conf, args| {
                conf.tls_access.depth.set(depth(args)?);
                Ok(())
            },
        ),
    },
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::TlsOptions;
    use crate::config::load::load_text;

    #[test]
    fn options_change_or_replace_what_was_said() {
        let all = [
            ("StdEnvVars", TlsOptions::STD_ENV_VARS),
            ("ExportCertData", TlsOptions::EXPORT_CERT_DATA),
            ("StrictRequire", TlsOptions::STRICT_REQUIRE),
        ];
        for (text, want) in [
            ("SSLOptions +StdEnvVars", "StdEnvVars"),
            ("SSLOptions +StdEnvVars +ExportCertData -StdEnvVars", "ExportCertData"),
            (
                "SSLOptions StdEnvVars\nSSLOptions +StrictRequire",
                "StdEnvVars StrictRequire",
            ),
            ("SSLOptions +StdEnvVars\nSSLOptions StrictRequire", "StrictRequire"),
            // Seen with Apache 2.4.71.
            ("SSLOptions StdEnvVars ExportCertData", "ExportCertData"),
            ("SSLOptions +stdenvvars +OptRenegotiate", "StdEnvVars"),
        ] {
            let loaded = load_text("a.conf", text.as_bytes(), Path::new("/"));
            let options = loaded.config.sites[0].base.tls_access.options.in_force();
            let on: Vec<_> = all.iter().filter(|(_, option)| options.has(*option)).collect();
            let on: Vec<_> = on.into_iter().map(|(name, _)| *name).collect();
            assert_eq!(on.join(" "), want, "{text}");
        }
        assert!(load_text("a.conf", b"SSLOptions +Foo", Path::new("/")).is_fatal());
    }
}
