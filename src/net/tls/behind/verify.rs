//! Whether the certificate of a server behind is good, as `mod_ssl` decides it: what it leads to, whether it is revoked, its
//! time, and its name.

use std::cell::Cell;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, ServerName, TrustAnchor, UnixTime,
};
use tokio_rustls::rustls::{CertificateError, DigitallySignedStruct, Error as TlsError, OtherError, SignatureScheme};
use webpki::{
    CertRevocationList, EndEntityCert, Error, ExpirationPolicy, KeyUsage, OwnedCertRevocationList,
    RevocationCheckDepth, RevocationOptionsBuilder, VerifiedPath, anchor_from_trusted_cert,
};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::asn1::{Ia5StringRef, PrintableStringRef, TeletexStringRef, Utf8StringRef};
use x509_cert::der::oid::db::rfc4519::COMMON_NAME;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::fault;
use crate::base::date::HttpDate;
use crate::config::directives::tls::Named;
use crate::config::directives::tls_proxy::{NameCheck, Revocation, TlsProxy, Verify};
use crate::config::error::ConfigError;
use crate::config::keyring::Keyring;

/// What is asked of certificates.
pub(super) struct Verifier {
    algorithms: WebPkiSupportedAlgorithms,
    anchors: Vec<TrustAnchor<'static>>,
    /// The same as they were given: a server may show one of them itself.
    trusted: Vec<CertificateDer<'static>>,
    lists: Vec<CertRevocationList<'static>>,
    revocation: Revocation,
    verify: Verify,
    depth: Option<usize>,
    names: NameCheck,
    checks_time: bool,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier by {} certificates", self.trusted.len())
    }
}

/// What is wrong with a certificate, and which it is.
#[derive(Debug)]
struct Refused {
    subject: String,
    issuer: String,
    why: String,
}

impl StdError for Refused {}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refused { subject, issuer, why } = self;
        write!(f, "its certificate, of `{subject}` by `{issuer}`: {why}")
    }
}

impl Verifier {
    pub(super) fn new(
        conf: &TlsProxy,
        keyring: &Keyring,
        provider: &CryptoProvider,
    ) -> Result<Verifier, Vec<ConfigError>> {
        let trusted = trusted(conf, keyring)?;
        let anchors = trusted.iter().filter_map(|der| anchor_from_trusted_cert(der).ok());
        let revocation = conf.revocation.or(Revocation::Unasked);
        let lists = lists(conf, keyring)?;
        if revocation != Revocation::Unasked && lists.is_empty() {
            let what = "there is no list of revoked certificates; name one with SSLProxyCARevocationFile";
            return Err(vec![fault(conf, "SSLProxyCARevocationCheck", None, &what)]);
        }
        Ok(Verifier {
            algorithms: provider.signature_verification_algorithms,
            anchors: anchors.map(|anchor| anchor.to_owned()).collect(),
            trusted,
            lists,
            revocation,
            verify: conf.verify.or(Verify::Trusted),
            depth: conf.depth.value().copied(),
            names: conf.names(),
            checks_time: conf.check_time.or(true),
        })
    }

    /// Whether it leads to what is trusted. The error is a sentence.
    fn check_chain(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), String> {
        if self.verify == Verify::Nothing || self.trusted.contains(leaf) {
            return Ok(());
        }
        let parsed = EndEntityCert::try_from(leaf).map_err(|error| why(&error))?;
        let lists: Vec<&CertRevocationList<'_>> = self.lists.iter().collect();
        let depth = match self.revocation {
            Revocation::Unasked => None,
            Revocation::Leaf => Some(RevocationCheckDepth::EndEntity),
            Revocation::Chain => Some(RevocationCheckDepth::Chain),
        };
        let revocation = depth.and_then(|depth| {
            let options = RevocationOptionsBuilder::new(&lists).ok()?.with_depth(depth);
            Some(options.with_expiration_policy(ExpirationPolicy::Enforce).build())
        });
        let is_too_long = Cell::new(false);
        let check_depth = |path: &VerifiedPath<'_>| {
            let above = path.intermediate_certificates().count() + 1;
            is_too_long.set(self.depth.is_some_and(|depth| above > depth));
            if is_too_long.get() {
                return Err(Error::MaximumPathDepthExceeded);
            }
            Ok(())
        };
        let verified = parsed.verify_for_usage(
            self.algorithms.all,
            &self.anchors,
            between,
            now,
            KeyUsage::server_auth(),
            revocation,
            Some(&check_depth),
        );
        match verified {
            Ok(_) => Ok(()),
            Err(_) if is_too_long.get() => {
                Err("more certificates stand above it than may (SSLProxyVerifyDepth)".to_owned())
            }
            Err(Error::UnknownIssuer | Error::CaUsedAsEndEntity) if self.verify == Verify::Anybody => Ok(()),
            Err(error) => Err(why(&error)),
        }
    }

    fn check(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), TlsError> {
        let certificate = Certificate::from_der(leaf).map_err(|_| CertificateError::BadEncoding)?;
        self.check_chain(leaf, between, now)
            .and_then(|()| self.check_time(&certificate, leaf, now))
            .and_then(|()| self.check_name(&certificate, leaf, name))
            .map_err(|why| {
                let subject = &certificate.tbs_certificate;
                let refused = Refused {
                    subject: subject.subject.to_string(),
                    issuer: subject.issuer.to_string(),
                    why,
                };
                CertificateError::Other(OtherError(Arc::new(refused))).into()
            })
    }

    /// Whether it is within its time, where the chain has not been asked that.
    fn check_time(&self, certificate: &Certificate, leaf: &CertificateDer<'_>, now: UnixTime) -> Result<(), String> {
        if !self.checks_time && !self.trusted.contains(leaf) {
            return Ok(());
        }
        let validity = &certificate.tbs_certificate.validity;
        let (from, to) = (
            validity.not_before.to_unix_duration(),
            validity.not_after.to_unix_duration(),
        );
        let now = Duration::from_secs(now.as_secs());
        if now < from {
            return Err(not_yet(from));
        }
        if now > to { Err(expired(to)) } else { Ok(()) }
    }

    fn check_name(
        &self,
        certificate: &Certificate,
        leaf: &CertificateDer<'_>,
        name: &ServerName<'_>,
    ) -> Result<(), String> {
        let host = name.to_str();
        let common_names = common_names(certificate);
        let is_named = match self.names {
            NameCheck::Nothing => true,
            NameCheck::CommonName => common_names.first().is_some_and(|named| covers(named, &host)),
            NameCheck::Name => {
                let parsed = EndEntityCert::try_from(leaf).map_err(|error| why(&error))?;
                let mut others = match (alternative_names(certificate), name) {
                    (None, _) => common_names.iter(),
                    // Some write an address as if it were a name.
                    (Some(_), ServerName::IpAddress(_)) => common_names.iter(),
                    (Some(_), _) => [].iter(),
                };
                parsed.verify_is_valid_for_subject_name(name).is_ok()
                    || others.any(|named| covers(named, &host))
                    || matches!(name, ServerName::IpAddress(_))
                        && alternative_names(certificate)
                            .is_some_and(|names| names.iter().any(|named| **named == *host))
            }
        };
        if is_named {
            return Ok(());
        }
        let names = match (self.names, alternative_names(certificate)) {
            (NameCheck::Name, Some(names)) if !names.is_empty() => names,
            _ => common_names,
        };
        let names = names.iter().map(|name| format!("`{}`", name.escape_debug()));
        let names: Vec<String> = names.take(8).collect();
        Err(match names.as_slice() {
            [] => format!("it names no host, and so not `{host}`"),
            names => format!("it is not one of `{host}` but of {}", names.join(", ")),
        })
    }
}

/// The alternative names that are text; `None` where the certificate has no alternative names at all.
fn alternative_names(certificate: &Certificate) -> Option<Vec<String>> {
    let (_, names) = certificate.tbs_certificate.get::<SubjectAltName>().ok()??;
    let texts = names.0.iter().filter_map(|name| match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_ascii_lowercase()),
        _ => None,
    });
    Some(texts.collect())
}

fn common_names(certificate: &Certificate) -> Vec<String> {
    let parts = certificate.tbs_certificate.subject.0.iter();
    let parts = parts.flat_map(|part| part.0.iter());
    let named = parts.filter(|part| part.oid == COMMON_NAME);
    named
        .filter_map(|part| {
            let value = &part.value;
            Utf8StringRef::try_from(value)
                .map(|text| text.as_str().to_owned())
                .or_else(|_| PrintableStringRef::try_from(value).map(|text| text.as_str().to_owned()))
                .or_else(|_| Ia5StringRef::try_from(value).map(|text| text.as_str().to_owned()))
                .or_else(|_| TeletexStringRef::try_from(value).map(|text| text.as_str().to_owned()))
                .ok()
        })
        .collect()
}

/// Whether a common name is the host's; `*.` stands for one label.
fn covers(named: &str, host: &str) -> bool {
    if named.eq_ignore_ascii_case(host) {
        return true;
    }
    let (Some(suffix), Some((label, rest))) = (named.strip_prefix("*."), host.split_once('.')) else {
        return false;
    };
    !label.is_empty() && rest.contains('.') && rest.eq_ignore_ascii_case(suffix)
}

fn not_yet(from: Duration) -> String {
    format!("it is not valid before {}", shown(from))
}

fn expired(to: Duration) -> String {
    format!("it expired on {}", shown(to))
}

fn shown(since_1970: Duration) -> String {
    let mut text = Vec::new();
    let seconds = i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX);
    HttpDate::from_seconds(seconds).append_to(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// What is wrong, in words.
fn why(error: &Error) -> String {
    let time = |time: &UnixTime| Duration::from_secs(time.as_secs());
    match error {
        Error::UnknownIssuer => {
            "nobody is trusted who has signed it (SSLProxyCACertificateFile, or `SSLProxyVerify none`)".to_owned()
        }
        Error::CaUsedAsEndEntity => {
            "it is one of a certificate authority, and is not among those that are trusted (SSLProxyCACertificateFile)"
                .to_owned()
        }
        Error::CertExpired { not_after, .. } => expired(time(not_after)),
        Error::CertNotValidYet { not_before, .. } => not_yet(time(not_before)),
        Error::CertRevoked => "it is revoked".to_owned(),
        Error::UnknownRevocationStatus => "no list of SSLProxyCARevocationFile says whether it is revoked".to_owned(),
        Error::CrlExpired { .. } => "the list of what its issuer has revoked has expired".to_owned(),
        Error::RequiredEkuNotFoundContext(_) => "it is not meant for servers".to_owned(),
        Error::UnsupportedCertVersion => "it is of X.509 version 1 or 2, which is not supported".to_owned(),
        other => other.to_string(),
    }
}

fn faulty(conf: &TlsProxy, directive: &'static str, file: &Named, what: &dyn fmt::Display) -> Vec<ConfigError> {
    vec![fault(conf, directive, Some(file), what)]
}

/// The certificates that are trusted. Of a directory, and of what the system trusts, only what can be read counts.
fn trusted(conf: &TlsProxy, keyring: &Keyring) -> Result<Vec<CertificateDer<'static>>, Vec<ConfigError>> {
    let mut all: Vec<CertificateDer<'static>> = Vec::new();
    if conf.trusts_the_system() {
        let text = keyring.trusted_by_the_system().unwrap_or_default();
        all.extend(CertificateDer::pem_slice_iter(text).flatten());
    }
    if let Some(file) = conf.ca_file.value() {
        const DIRECTIVE: &str = "SSLProxyCACertificateFile";
        let text = keyring.contents(&file.path).unwrap_or_default();
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
        let read =
            read.map_err(|error| faulty(conf, DIRECTIVE, file, &format_args!("it is not in PEM form: {error}")))?;
        if read.is_empty() {
            return Err(faulty(
                conf,
                DIRECTIVE,
                file,
                &"there is no certificate in it, in PEM form",
            ));
        }
        if let Some(error) = read.iter().find_map(|der| anchor_from_trusted_cert(der).err()) {
            let what = format!("a certificate in it cannot be read: {error}");
            return Err(faulty(conf, DIRECTIVE, file, &what));
        }
        all.extend(read);
    }
    if let Some(directory) = conf.ca_directory.value() {
        let text = keyring.contents(&directory.path).unwrap_or_default();
        all.extend(CertificateDer::pem_slice_iter(text).flatten());
    }
    // Directories have links to their own files in them.
    all.sort_unstable_by(|one, other| one.as_ref().cmp(other.as_ref()));
    all.dedup();
    Ok(all)
}

/// The lists of what is revoked.
fn lists(conf: &TlsProxy, keyring: &Keyring) -> Result<Vec<CertRevocationList<'static>>, Vec<ConfigError>> {
    if conf.revocation.or(Revocation::Unasked) == Revocation::Unasked {
        return Ok(Vec::new());
    }
    let mut all = Vec::new();
    for (directive, file) in [
        ("SSLProxyCARevocationFile", &conf.revoked_file),
        ("SSLProxyCARevocationPath", &conf.revoked_directory),
    ] {
        let Some(file) = file.value() else { continue };
        let text = keyring.contents(&file.path).unwrap_or_default();
        for der in CertificateRevocationListDer::pem_slice_iter(text) {
            let unread = |error: &dyn fmt::Display| {
                faulty(
                    conf,
                    directive,
                    file,
                    &format_args!("a list in it cannot be read: {error}"),
                )
            };
            let der = der.map_err(|error| unread(&error))?;
            let list = OwnedCertRevocationList::from_der(&der).map_err(|error| unread(&error))?;
            all.push(CertRevocationList::from(list));
        }
    }
    Ok(all)
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        self.check(leaf, between, name, now)
            .map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_star_stands_for_one_label() {
        for (named, host, want) in [
            ("a.example", "A.Example", true),
            ("*.example.org", "a.example.org", true),
            ("*.example.org", "example.org", false),
            ("*.example.org", "a.b.example.org", false),
            ("*.org", "example.org", false),
            ("a*.example.org", "ab.example.org", false),
            ("*.0.0.1", "127.0.0.1", false),
        ] {
            assert_eq!(covers(named, host), want, "{named} {host}");
        }
    }
}
