//! The certificates of a site and their keys, as a handshake needs them.

use std::sync::Arc;

use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{CipherSuite, SignatureAlgorithm};

use crate::config::directives::tls::{Named, SiteTls};
use crate::config::error::ConfigError;
use crate::config::keyring::Keyring;

/// Those of a site, in the order of the settings.
#[derive(Debug)]
pub(super) struct Certificates(Vec<Shown>);

/// One of them.
#[derive(Debug)]
struct Shown {
    key: Arc<CertifiedKey>,
    /// The server's own, for those who ask what was shown.
    own: Option<Arc<[u8]>>,
}

impl Certificates {
    /// Those that the settings of a site name. The errors say what is wrong with which file.
    pub(super) fn new(
        tls: &SiteTls,
        keyring: &Keyring,
        provider: &CryptoProvider,
    ) -> Result<Certificates, Vec<ConfigError>> {
        let files = tls.certificates.value().map_or(&[][..], Vec::as_slice);
        let keys = tls.keys.value().map_or(&[][..], Vec::as_slice);
        let mut certificates = Vec::new();
        let mut faults = Vec::new();
        for (number, file) in files.iter().enumerate() {
            match certified(file, keys.get(number), tls.chain.value(), keyring, provider) {
                Ok(key) => certificates.push(Shown {
                    own: key.cert.first().map(|certificate| Arc::from(certificate.as_ref())),
                    key: Arc::new(key),
                }),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() {
            Ok(Certificates(certificates))
        } else {
            Err(faults)
        }
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn certified(
    file: &Named,
    key: Option<&Named>,
    chain: Option<&Named>,
    keyring: &Keyring,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, ConfigError> {
    const CERTIFICATE: &str = "SSLCertificateFile";
    let (key_directive, key) = key.map_or((CERTIFICATE, file), |key| ("SSLCertificateKeyFile", key));
    let shown = |file: &Named| String::from_utf8_lossy(&file.path).into_owned();
    let fault = |directive, file: &Named, what: String| {
        ConfigError::error(&file.span, directive, format!("{}: {what}", shown(file)))
    };
    let contents = |directive, file: &Named| {
        keyring
            .contents(&file.path)
            .ok_or_else(|| fault(directive, file, "it was not read".to_owned()))
    };
    let in_file = |directive, file: &Named| {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(contents(directive, file)?).collect();
        match certificates {
            Ok(certificates) if !certificates.is_empty() => Ok(certificates),
            Ok(_) => Err(fault(
                directive,
                file,
                "there is no certificate in it, in PEM form".to_owned(),
            )),
            Err(error) => Err(fault(directive, file, format!("it is not in PEM form: {error}"))),
        }
    };
    let mut certificates = in_file(CERTIFICATE, file)?;
    if let Some(chain) = chain {
        certificates.extend(in_file("SSLCertificateChainFile", chain)?);
    }
    let der = PrivateKeyDer::from_pem_slice(contents(key_directive, key)?).map_err(|_| {
        let what = "there is no private key in it, in PEM form and not encrypted";
        fault(key_directive, key, what.to_owned())
    })?;
    let key = provider.key_provider.load_private_key(der).map_err(|_| {
        let what = "a key of a kind that is not understood; RSA of 2,048 bits and more, the curves P-256 and P-384, and Ed25519 are";
        fault(key_directive, key, what.to_owned())
    })?;
    let certified = CertifiedKey::new(certificates, key);
    // Some keys cannot tell; those are found out by the first handshake.
    match certified.keys_match() {
        Err(tokio_rustls::rustls::Error::InconsistentKeys(tokio_rustls::rustls::InconsistentKeys::KeyMismatch)) => Err(
            fault(CERTIFICATE, file, "it is not the certificate of its key".to_owned()),
        ),
        Err(tokio_rustls::rustls::Error::InvalidCertificate(error)) => Err(fault(
            CERTIFICATE,
            file,
            format!("its certificate cannot be read: {error:?}"),
        )),
        _ => Ok(certified),
    }
}

impl Certificates {
    /// The first whose key the client can verify; where none is, the first of all, for the client to refuse.
    fn fitting(&self, hello: &ClientHello<'_>) -> Option<&Shown> {
        let fits = |shown: &&Shown| {
            shown.key.key.choose_scheme(hello.signature_schemes()).is_some()
                && has_suite_for(hello, shown.key.key.algorithm())
        };
        self.0.iter().find(fits).or_else(|| self.0.first())
    }

    /// The certificate that a client is shown, in DER.
    pub(super) fn shown_to(&self, hello: &ClientHello<'_>) -> Option<Arc<[u8]>> {
        self.fitting(hello)?.own.clone()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.fitting(&hello).map(|shown| Arc::clone(&shown.key))
    }
}

/// Whether the client has a cipher suite that goes with a key: in TLS 1.2 a suite names the kind of key, in TLS 1.3 it does not.
fn has_suite_for(hello: &ClientHello<'_>, algorithm: SignatureAlgorithm) -> bool {
    let suites = hello.cipher_suites();
    let has = |wanted: &[CipherSuite]| suites.iter().any(|suite| wanted.contains(suite));
    has(&TLS13)
        || match algorithm {
            SignatureAlgorithm::RSA => has(&TLS12_RSA),
            _ => has(&TLS12_ECDSA),
        }
}

const TLS13: [CipherSuite; 3] = [
    CipherSuite::TLS13_AES_128_GCM_SHA256,
    CipherSuite::TLS13_AES_256_GCM_SHA384,
    CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
];

const TLS12_RSA: [CipherSuite; 3] = [
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

const TLS12_ECDSA: [CipherSuite; 3] = [
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
];
