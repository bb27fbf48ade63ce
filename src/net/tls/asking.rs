//! The part of a handshake in which the client shows a certificate.

use std::sync::Arc;

use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};

use super::secured::{Doubt, Known, Verified};
use super::trust::{self, Trust};
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
    algorithms: WebPkiSupportedAlgorithms,
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
            algorithms,
        }))
    }

    /// In which manner; another one cannot do with the sessions of this one.
    pub(super) fn manner(&self) -> impl std::fmt::Debug + use<> {
        self.manner
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
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The error that gives the client the alert it knows from other servers.
fn told(doubt: Doubt) -> CertificateError {
    match doubt.why {
        trust::EXPIRED => CertificateError::Expired,
        trust::REVOKED => CertificateError::Revoked,
        trust::UNLISTED => CertificateError::UnknownRevocationStatus,
        trust::UNSUITABLE => CertificateError::InvalidPurpose,
        _ if doubt.leads_nowhere => CertificateError::UnknownIssuer,
        _ => CertificateError::Other(OtherError(Arc::new(Disbelieved(doubt)))),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use tokio_rustls::rustls::crypto::ring;
    use tokio_rustls::rustls::pki_types::CertificateDer;
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::server::danger::ClientCertVerifier;

    use super::Asking;
    use crate::config::error::Severity;
    use crate::config::keyring::Keyring;
    use crate::config::load::load_text;
    use crate::net::tls::secured::{Known, Verified};

    const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls");

    fn asking(text: &str) -> Asking {
        let text = format!("SSLEngine on\nSSLCertificateFile server.pem\nSSLVerifyClient optional_no_ca\n{text}");
        let loaded = load_text("a.conf", text.as_bytes(), Path::new(FILES));
        assert!(!loaded.is_fatal(), "{:?}", loaded.complaints);
        let (keyring, _) = Keyring::read(&loaded.config, Severity::Error);
        let asking = Asking::new(&loaded.config.sites[0], &keyring, &Arc::new(ring::default_provider()));
        asking.expect("the files are right").expect("the site asks")
    }

    fn verdict(asking: &Asking, name: &str) -> String {
        let file = Path::new(FILES).join(format!("{name}.pem"));
        let read = CertificateDer::pem_file_iter(file).expect("there");
        let chain: Vec<_> = read.map(|certificate| certificate.expect("whole")).collect();
        match asking.verdict(&chain) {
            Verified::Good(Known { depth }) => format!("good, {depth}"),
            Verified::Doubtful(doubt) => doubt.why.to_owned(),
            Verified::Nothing => "nothing".to_owned(),
        }
    }

    #[test]
    fn clients_are_told_whose_certificates_are_wanted() {
        for (text, named, unnamed) in [
            ("SSLCACertificateFile ca.pem", "Authority of the tests", "Lone"),
            (
                "SSLCACertificateFile ca.pem\nSSLCADNRequestFile lone.pem",
                "Lone",
                "Authority of the tests",
            ),
        ] {
            let asking = asking(text);
            let tells = |name: &str| {
                let mut subjects = asking.root_hint_subjects().iter();
                subjects.any(|subject| subject.as_ref().windows(name.len()).any(|part| part == name.as_bytes()))
            };
            assert!(tells(named) && !tells(unnamed), "{text}");
        }
    }

    #[test]
    fn certificates_are_believed_by_the_rules_of_openssl() {
        const FIRST: &str = "unable to verify the first certificate";
        for (text, verdicts) in [
            (
                "SSLCACertificateFile ca.pem",
                &[
                    ("client", "good, 1"),
                    ("far", "certificate chain too long"),
                    ("late", "certificate has expired"),
                    ("misfit", "unsuitable certificate purpose"),
                    ("stranger", FIRST),
                    ("lone", "self-signed certificate"),
                    ("dismissed", "good, 1"),
                    ("ca", "good, 0"),
                ][..],
            ),
            ("SSLCACertificateFile ca.pem\nSSLVerifyDepth 2", &[("far", "good, 2")]),
            // One that has signed itself and is no authority is believed itself, and not what it has signed.
            (
                "SSLCACertificateFile lone.pem",
                &[("lone", "good, 0"), ("stranger", FIRST), ("client", FIRST)],
            ),
            // A link that leads to nothing is no authority.
            ("SSLCACertificateFile link.pem\nSSLVerifyDepth 2", &[("client", FIRST)]),
            (
                "SSLCACertificateFile ca.pem\nSSLCARevocationFile dismissed.crl\nSSLCARevocationCheck leaf",
                &[
                    ("client", "good, 1"),
                    ("dismissed", "certificate revoked"),
                    ("far", "unable to get certificate CRL"),
                ],
            ),
            (
                "SSLCACertificateFile ca.pem\nSSLCARevocationCheck chain",
                &[("client", "unable to get certificate CRL")],
            ),
        ] {
            let asking = asking(text);
            for (name, want) in verdicts {
                assert_eq!(verdict(&asking, name), *want, "{text}: {name}");
            }
        }
    }
}
