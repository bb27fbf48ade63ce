//! The part of a handshake in which the client shows a certificate.

use std::sync::Arc;

use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};

use super::secured::{Doubt, Known, Verified};
use super::trust::Trust;
use crate::config::directives::tls_access::Verify;
use crate::config::error::ConfigError;
use crate::config::keyring::Keyring;
use crate::config::places::confs_of;
use crate::config::site::Site;

/// The deepest certificate that is believed where the settings say nothing (SSLVerifyDepth).
pub const DEPTH: usize = 1;

/// How a site asks its clients for certificates.
#[derive(Debug)]
pub(super) struct Asking {
    trust: Trust,
    manner: Manner,
    /// How deep a certificate may be for any place of the site.
    depth: usize,
    subjects: Vec<DistinguishedName>,
    provider: Arc<CryptoProvider>,
}

/// What becomes of those who have none, or none that is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// The site's own SSLVerifyClient decides at once.
    Whole(Verify),
    /// The place that they ask for decides.
    ByPlace,
}

/// What the log says of a certificate that is not believed.
#[derive(Debug)]
struct Disbelieved(Doubt);

impl std::fmt::Display for Disbelieved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.why)
    }
}

impl std::error::Error for Disbelieved {}

impl Asking {
    /// How a site asks; `None` where it does not. The errors say what is wrong with which file.
    pub(super) fn new(
        site: &Site,
        keyring: &Keyring,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Option<Asking>, Vec<ConfigError>> {
        let own = &site.settings.tls_clients;
        let places = confs_of(site);
        let asks = |verify: &Verify| *verify != Verify::None;
        let manner = match own.verify.value().filter(|verify| asks(verify)) {
            Some(verify) => Manner::Whole(*verify),
            None if places
                .iter()
                .any(|conf| conf.tls_access.verify.value().is_some_and(asks)) =>
            {
                Manner::ByPlace
            }
            None => return Ok(None),
        };
        let algorithms = provider.signature_verification_algorithms;
        let trust = Trust::new(&site.settings, keyring, algorithms)?;
        let depths = places.iter().filter_map(|conf| conf.tls_access.depth.value().copied());
        let depth = depths.chain([own.depth.or(DEPTH)]).max().unwrap_or(DEPTH);
        let subjects = trust
            .subjects
            .iter()
            .map(|subject| DistinguishedName::in_sequence(subject));
        Ok(Some(Asking {
            subjects: subjects.collect(),
            trust,
            manner,
            depth,
            provider: Arc::clone(provider),
        }))
    }

    /// What is to be thought of the certificates of a client, its own first.
    pub(super) fn verdict(&self, chain: &[CertificateDer<'_>]) -> Verified {
        let Some((own, sent)) = chain.split_first() else {
            return Verified::Nothing;
        };
        match self.judge(own, sent, UnixTime::now()) {
            Ok(known) => Verified::Good(known),
            Err(doubt) => Verified::Doubtful(doubt),
        }
    }

    fn judge(&self, own: &CertificateDer<'_>, sent: &[CertificateDer<'_>], now: UnixTime) -> Result<Known, Doubt> {
        let known = self.trust.judge(own, sent, now)?;
        if known.depth > self.depth {
            return Err(Doubt::of(Doubt::TOO_LONG));
        }
        Ok(known)
    }
}

impl ClientCertVerifier for Asking {
    fn client_auth_mandatory(&self) -> bool {
        self.manner == Manner::Whole(Verify::Require)
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.subjects
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        sent: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let is_generous = match self.manner {
            Manner::ByPlace => return Ok(ClientCertVerified::assertion()),
            Manner::Whole(verify) => verify == Verify::OptionalNoCa,
        };
        match self.judge(own, sent, now) {
            Err(doubt) if !(is_generous && doubt.leads_nowhere) => Err(Error::InvalidCertificate(told(doubt))),
            _ => Ok(ClientCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The error that gives the client the alert it knows from other servers.
fn told(doubt: Doubt) -> CertificateError {
    match doubt.why {
        "certificate has expired" => CertificateError::Expired,
        "certificate revoked" => CertificateError::Revoked,
        _ if doubt.leads_nowhere => CertificateError::UnknownIssuer,
        _ => CertificateError::Other(OtherError(Arc::new(Disbelieved(doubt)))),
    }
}
