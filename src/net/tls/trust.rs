//! Whether a client's certificate is believed: a way from it to a certificate authority that the site knows (RFC 5280), none of
//! whose certificates is revoked.

use std::fmt;

use tokio_rustls::rustls::crypto::WebPkiSupportedAlgorithms;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, CertificateRevocationListDer, TrustAnchor, UnixTime};
use webpki::{
    CertRevocationList, EndEntityCert, Error, ExpirationPolicy, KeyUsage, OwnedCertRevocationList,
    RevocationCheckDepth, RevocationOptionsBuilder, UnknownStatusPolicy, anchor_from_trusted_cert,
};

use super::secured::{Doubt, Known};
use crate::config::directives::SiteSettings;
use crate::config::directives::tls::Named;
use crate::config::directives::tls_clients::{self, Revocation, RevocationOf, WithoutList};
use crate::config::error::ConfigError;
use crate::config::keyring::Keyring;

/// Whom a site believes.
pub(super) struct Trust {
    /// The certificate authorities.
    anchors: Vec<TrustAnchor<'static>>,
    /// Their certificates, which clients may have themselves.
    roots: Vec<CertificateDer<'static>>,
    /// Certificates that may lie between.
    between: Vec<CertificateDer<'static>>,
    /// The subjects that clients are told, in DER without the outermost header.
    pub(super) subjects: Vec<Vec<u8>>,
    revocation: Revocation,
    lists: Vec<CertRevocationList<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trust in {} authorities", self.anchors.len())
    }
}

impl Trust {
    /// What the settings of a site name. The errors say what is wrong with which file.
    pub(super) fn new(
        settings: &SiteSettings,
        keyring: &Keyring,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Result<Trust, Vec<ConfigError>> {
        let usual = Revocation {
            of: RevocationOf::Nobody,
            without_list: WithoutList::Refused,
        };
        let mut trust = Trust {
            anchors: Vec::new(),
            roots: Vec::new(),
            between: Vec::new(),
            subjects: Vec::new(),
            revocation: settings.tls_clients.crl_check.or(usual),
            lists: Vec::new(),
            algorithms,
        };
        let (mut faults, mut told) = (Vec::new(), Vec::new());
        for (directive, file) in settings.tls_clients.files() {
            let contents = keyring.contents(&file.path).unwrap_or_default();
            let taken = match directive {
                tls_clients::CA_FILE | tls_clients::CA_PATH => trust.take_authorities(contents),
                tls_clients::DN_FILE | tls_clients::DN_PATH => subjects(contents, &mut told),
                _ => trust.take_lists(contents),
            };
            if let Err(what) = taken {
                faults.push(fault(directive, file, &what));
            }
        }
        // As in Apache, these take the place of the others.
        if !told.is_empty() {
            trust.subjects = told;
        }
        if faults.is_empty() { Ok(trust) } else { Err(faults) }
    }

    fn take_authorities(&mut self, contents: &[u8]) -> Result<(), String> {
        for certificate in CertificateDer::pem_slice_iter(contents) {
            let certificate = certificate.map_err(|error| format!("it is not in PEM form: {error}"))?;
            let anchor = anchor_from_trusted_cert(&certificate)
                .map_err(|error| format!("a certificate in it cannot be read: {error:?}"))?
                .to_owned();
            if !self.subjects.iter().any(|known| *known == *anchor.subject) {
                self.subjects.push(anchor.subject.to_vec());
            }
            if is_its_own_issuer(&certificate) {
                self.anchors.push(anchor);
                self.roots.push(certificate);
            } else {
                self.between.push(certificate);
            }
        }
        Ok(())
    }

    fn take_lists(&mut self, contents: &[u8]) -> Result<(), String> {
        for list in CertificateRevocationListDer::pem_slice_iter(contents) {
            let list = list.map_err(|error| format!("it is not in PEM form: {error}"))?;
            let list = OwnedCertRevocationList::from_der(&list).map_err(|error| match error {
                Error::UnsupportedCrlVersion => "a list in it is of version 1; make one of version 2 (crl_extensions \
                    and crlnumber in openssl.cnf)"
                    .to_owned(),
                error => format!("a list in it cannot be read: {error:?}"),
            })?;
            self.lists.push(list.into());
        }
        Ok(())
    }

    /// How far the first of these certificates is from one that is known; the others are those that the client has sent with it.
    pub(super) fn judge(
        &self,
        own: &CertificateDer<'_>,
        sent: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Known, Doubt> {
        let end = EndEntityCert::try_from(own).map_err(|error| doubt(&error))?;
        let mut between: Vec<CertificateDer<'_>> = sent.to_vec();
        between.extend(self.between.iter().map(|known| CertificateDer::from(known.as_ref())));
        let lists: Vec<&CertRevocationList<'_>> = self.lists.iter().collect();
        let algorithms = self.algorithms.all;
        let path = end.verify_for_usage(
            algorithms,
            &self.anchors,
            &between,
            now,
            KeyUsage::client_auth(),
            self.options(&lists)?,
            None,
        );
        let is_root = self.roots.iter().any(|root| root == own);
        match path {
            Ok(_) if is_root => Ok(Known { depth: 0 }),
            Ok(path) => Ok(Known {
                depth: 1 + path.intermediate_certificates().count(),
            }),
            // It was found to be in its time before.
            Err(Error::CaUsedAsEndEntity) if is_root => Ok(Known { depth: 0 }),
            Err(Error::UnknownIssuer) => Err(leading_nowhere(own, sent)),
            Err(error) => Err(doubt(&error)),
        }
    }

    fn options<'l>(
        &self,
        lists: &'l [&'l CertRevocationList<'l>],
    ) -> Result<Option<webpki::RevocationOptions<'l>>, Doubt> {
        let depth = match self.revocation.of {
            RevocationOf::Nobody => return Ok(None),
            RevocationOf::Client => RevocationCheckDepth::EndEntity,
            RevocationOf::Chain => RevocationCheckDepth::Chain,
        };
        let policy = match self.revocation.without_list {
            WithoutList::Refused => UnknownStatusPolicy::Deny,
            WithoutList::Believed => UnknownStatusPolicy::Allow,
        };
        match RevocationOptionsBuilder::new(lists) {
            Ok(builder) => Ok(Some(
                builder
                    .with_depth(depth)
                    .with_status_policy(policy)
                    .with_expiration_policy(ExpirationPolicy::Enforce)
                    .build(),
            )),
            Err(_) if self.revocation.without_list == WithoutList::Believed => Ok(None),
            Err(_) => Err(Doubt::of("unable to get certificate CRL")),
        }
    }
}

fn fault(directive: &'static str, file: &Named, what: &str) -> ConfigError {
    let path = String::from_utf8_lossy(&file.path);
    ConfigError::error(&file.span, directive, format!("{path}: {what}"))
}

fn subjects(contents: &[u8], subjects: &mut Vec<Vec<u8>>) -> Result<(), String> {
    for certificate in CertificateDer::pem_slice_iter(contents) {
        let certificate = certificate.map_err(|error| format!("it is not in PEM form: {error}"))?;
        let anchor = anchor_from_trusted_cert(&certificate)
            .map_err(|error| format!("a certificate in it cannot be read: {error:?}"))?;
        subjects.push(anchor.subject.to_vec());
    }
    Ok(())
}

/// Whether a certificate's issuer and subject are the same.
fn is_its_own_issuer(certificate: &CertificateDer<'_>) -> bool {
    match EndEntityCert::try_from(certificate) {
        Ok(certificate) => certificate.issuer() == certificate.subject(),
        // One of version 1, which can be nothing but an authority's.
        Err(_) => true,
    }
}

/// How a certificate leads nowhere, in the words of OpenSSL.
fn leading_nowhere(own: &CertificateDer<'_>, sent: &[CertificateDer<'_>]) -> Doubt {
    Doubt::leading_nowhere(match sent.last() {
        None if is_its_own_issuer(own) => "self-signed certificate",
        None => "unable to verify the first certificate",
        Some(last) if is_its_own_issuer(last) => "self-signed certificate in certificate chain",
        Some(_) => "unable to get local issuer certificate",
    })
}

/// What else is wrong with a certificate, likewise.
fn doubt(error: &Error) -> Doubt {
    Doubt::of(match error {
        Error::CertExpired { .. } => "certificate has expired",
        Error::CertNotValidYet { .. } => "certificate is not yet valid",
        Error::CertRevoked => "certificate revoked",
        Error::UnknownRevocationStatus => "unable to get certificate CRL",
        Error::CrlExpired { .. } => "CRL has expired",
        Error::InvalidCrlSignatureForPublicKey => "CRL signature failure",
        Error::EmptyEkuExtension | Error::RequiredEkuNotFoundContext(_) => "unsuitable certificate purpose",
        Error::InvalidSignatureForPublicKey => "certificate signature failure",
        Error::CaUsedAsEndEntity => "certificate of a certificate authority",
        Error::EndEntityUsedAsCa => "invalid CA certificate",
        Error::PathLenConstraintViolated => "path length constraint exceeded",
        Error::NameConstraintViolation => "permitted subtree violation",
        Error::MaximumPathDepthExceeded => "certificate chain too long",
        Error::UnsupportedCertVersion => "unsupported certificate version",
        Error::UnsupportedCriticalExtension => "unhandled critical extension",
        Error::UnsupportedSignatureAlgorithmContext(_) | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            "unsupported signature algorithm"
        }
        _ => "certificate rejected",
    })
}
