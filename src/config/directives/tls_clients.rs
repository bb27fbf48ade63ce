//! Which certificates of clients are believed: `mod_ssl`'s directives of certificate authorities and revocation.

use crate::config::directives::SiteSettings;
use crate::config::directives::tls::Named;
use crate::config::directives::tls_access::Verify;
use crate::config::error::Span;
use crate::config::setting::{Setting, settings};
use crate::config::table::{Directive, Override, SITES, Set, Words};
use crate::config::words::{Args, Said, shown};

settings! {
    /// What a site asks of its clients, and whom it believes.
    pub struct TlsClients {
        /// `SSLVerifyClient`, outside of sections.
        verify: Setting<Verify>,
        /// Where that stands.
        verify_at: Setting<Span>,
        /// `SSLVerifyDepth`, likewise.
        depth: Setting<usize>,
        /// `SSLCACertificateFile`.
        ca_file: Setting<Named>,
        /// `SSLCACertificatePath`.
        ca_path: Setting<Named>,
        /// `SSLCADNRequestFile`.
        dn_file: Setting<Named>,
        /// `SSLCADNRequestPath`.
        dn_path: Setting<Named>,
        /// `SSLCARevocationFile`.
        crl_file: Setting<Named>,
        /// `SSLCARevocationPath`.
        crl_path: Setting<Named>,
        /// `SSLCARevocationCheck`.
        crl_check: Setting<Revocation>,
    }
}

/// What is looked up in lists of revoked certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Which certificates.
    pub of: RevocationOf,
    /// What becomes of one whose issuer has no list.
    pub without_list: WithoutList,
}

/// Which certificates are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationOf {
    /// `none`
    Nobody,
    /// `leaf`: the client's own.
    Client,
    /// `chain`: all of them.
    Chain,
}

/// What becomes of a certificate whose issuer has no list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithoutList {
    /// It is refused.
    Refused,
    /// `no_crl_for_cert_ok`
    Believed,
}

impl TlsClients {
    /// Whether the same certificates are believed by the same rules.
    pub fn believes_as(&self, other: &TlsClients) -> bool {
        let path = |file: &Setting<Named>| file.value().map(|file| file.path.clone());
        let pairs = [
            (&self.ca_file, &other.ca_file),
            (&self.ca_path, &other.ca_path),
            (&self.crl_file, &other.crl_file),
            (&self.crl_path, &other.crl_path),
        ];
        pairs.iter().all(|(own, others)| path(own) == path(others)) && self.crl_check == other.crl_check
    }

    /// Whether clients are asked for the same certificates, and those are believed by the same rules.
    pub fn asks_as(&self, other: &TlsClients) -> bool {
        self.verify.or(Verify::None) == other.verify.or(Verify::None)
            && self.depth == other.depth
            && self.believes_as(other)
    }

    /// Where certificates of clients are asked for that none could be good for, because no authority is known.
    pub fn asks_in_vain(&self) -> Option<&Span> {
        let wants = matches!(self.verify.or(Verify::None), Verify::Require | Verify::Optional);
        let knows = self.ca_file.value().is_some() || self.ca_path.value().is_some();
        self.verify_at.value().filter(|_| wants && !knows)
    }

    /// The files and directories, each with the directive that names it.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &Named)> {
        [
            (CA_FILE, &self.ca_file),
            (CA_PATH, &self.ca_path),
            (DN_FILE, &self.dn_file),
            (DN_PATH, &self.dn_path),
            (CRL_FILE, &self.crl_file),
            (CRL_PATH, &self.crl_path),
        ]
        .into_iter()
        .filter_map(|(directive, file)| Some((directive, file.value()?)))
    }
}

/// `SSLCACertificateFile`
pub const CA_FILE: &str = "SSLCACertificateFile";
/// `SSLCACertificatePath`
pub const CA_PATH: &str = "SSLCACertificatePath";
/// `SSLCADNRequestFile`
pub const DN_FILE: &str = "SSLCADNRequestFile";
/// `SSLCADNRequestPath`
pub const DN_PATH: &str = "SSLCADNRequestPath";
/// `SSLCARevocationFile`
pub const CRL_FILE: &str = "SSLCARevocationFile";
/// `SSLCARevocationPath`
pub const CRL_PATH: &str = "SSLCARevocationPath";

fn named(args: &Args) -> Named {
    Named {
        path: args.path(0),
        span: args.span.clone(),
    }
}

fn check(site: &mut SiteSettings, args: &Args) -> Said<()> {
    let choices = [
        ("none", RevocationOf::Nobody),
        ("leaf", RevocationOf::Client),
        ("chain", RevocationOf::Chain),
    ];
    let mut revocation = Revocation {
        of: args.choice(0, &choices)?,
        without_list: WithoutList::Refused,
    };
    for flag in args.rest(1) {
        if !flag.eq_ignore_ascii_case(b"no_crl_for_cert_ok") {
            return Err(format!("{} is not a flag; write no_crl_for_cert_ok", shown(flag)));
        }
        revocation.without_list = WithoutList::Believed;
    }
    site.tls_clients.crl_check.set(revocation);
    Ok(())
}

const fn file(
    name: &'static str,
    syntax: &'static str,
    summary: &'static str,
    manual: &'static str,
    set: fn(&mut SiteSettings, &Args) -> Said<()>,
) -> Directive {
    Directive {
        name,
        module: "mod_ssl",
        syntax,
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "",
        summary,
        manual,
        set: Set::Site(set),
    }
}

/// The table.
pub const DIRECTIVES: &[Directive] = &[
    file(
        CA_FILE,
        "file",
        "Name a file with the certificate authorities that clients' certificates come from, in PEM form.",
        "A certificate that has signed itself is believed; others are links between a client's and one of those. They are also what \
clients are told to have a certificate of, unless SSLCADNRequestFile says otherwise. The file is read when the server starts and at \
each reload. Sections cannot have their own.",
        |site, args| {
            site.tls_clients.ca_file.set(named(args));
            Ok(())
        },
    ),
    file(
        CA_PATH,
        "directory",
        "Name a directory with such files.",
        "All of its files are read; they need not be named by hashes.",
        |site, args| {
            site.tls_clients.ca_path.set(named(args));
            Ok(())
        },
    ),
    file(
        DN_FILE,
        "file",
        "Name a file with the certificates whose subjects clients are told, in PEM form.",
        "A client that has several certificates chooses by them. They need not be believed.",
        |site, args| {
            site.tls_clients.dn_file.set(named(args));
            Ok(())
        },
    ),
    file(
        DN_PATH,
        "directory",
        "Name a directory with such files.",
        "All of its files are read; they need not be named by hashes.",
        |site, args| {
            site.tls_clients.dn_path.set(named(args));
            Ok(())
        },
    ),
    Directive {
        name: "SSLCARevocationCheck",
        module: "mod_ssl",
        syntax: "chain|leaf|none [no_crl_for_cert_ok]",
        words: Words::Between(1, 2),
        allowed: SITES,
        overrides: Override::None,
        default: "none",
        summary: "Say which certificates are looked up in the lists of revoked ones.",
        manual: "With leaf the client's own, with chain those between as well. One whose issuer has no list is refused, unless \
no_crl_for_cert_ok stands behind it; so is one whose list is too old.",
        set: Set::Site(check),
    },
    file(
        CRL_FILE,
        "file",
        "Name a file with the lists of revoked certificates, in PEM form.",
        "They are looked into if SSLCARevocationCheck says so. Lists of version 2 are understood.",
        |site, args| {
            site.tls_clients.crl_file.set(named(args));
            Ok(())
        },
    ),
    file(
        CRL_PATH,
        "directory",
        "Name a directory with such files.",
        "All of its files are read; they need not be named by hashes.",
        |site, args| {
            site.tls_clients.crl_path.set(named(args));
            Ok(())
        },
    ),
];
