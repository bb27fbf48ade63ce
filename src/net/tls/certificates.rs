//! The certificates of a site and their keys, as a handshake needs them.

use std::fmt::Display;
use std::sync::Arc;
use std::time::SystemTime;

use tokio_rustls::rustls::crypto::ring::sign::any_supported_type;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::{CertifiedKey, SigningKey};
use tokio_rustls::rustls::{CipherSuite, Error, InconsistentKeys, SignatureAlgorithm, SupportedCipherSuite};
use zeroize::{Zeroize, Zeroizing};

use super::stapling::{Staple, Subject, Unasked};
use crate::config::directives::tls::{Named, SiteTls};
use crate::config::directives::tls_stapling::Stapling;
use crate::config::error::ConfigError;
use crate::config::keyring::Keyring;
use crate::tls::ocsp;
use crate::tls::pem::{self, Block, KeyForm, Kind};

/// Those of a site, one for each kind of key.
#[derive(Debug)]
pub(super) struct Certificates {
    shown: Vec<Shown>,
    /// The cipher suites that the site agrees to.
    suites: Vec<CipherSuite>,
}

/// One of them.
#[derive(Debug)]
struct Shown {
    key: Arc<CertifiedKey>,
    /// The server's own, for those who ask what was shown.
    own: Option<Arc<[u8]>>,
    /// The file that it is in.
    file: Vec<u8>,
    /// The same with the word of its authority, where that goes with it.
    staple: Option<Arc<Staple>>,
}

/// A file of a site, and the directive that names it.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) directive: &'static str,
    pub(super) file: &'a Named,
}

/// A certificate of a chain, and the line of its file on which it begins.
pub(super) struct Link<'a> {
    pub(super) source: Source<'a>,
    pub(super) line: usize,
    pub(super) der: CertificateDer<'static>,
}

impl Source<'_> {
    /// What is wrong with it.
    pub(super) fn fault(&self, what: impl Display) -> ConfigError {
        let path = String::from_utf8_lossy(&self.file.path);
        ConfigError::error(&self.file.span, self.directive, format!("{path}: {what}"))
    }

    fn blocks(&self, keyring: &Keyring) -> Result<Vec<Block>, ConfigError> {
        let text = keyring
            .contents(&self.file.path)
            .ok_or_else(|| self.fault("it was not read"))?;
        pem::blocks(text).map_err(|error| self.fault(error))
    }
}

/// The certificates that a site names: for each the file it is in, that of its key, and what it is shown with.
pub(super) fn named(tls: &SiteTls) -> impl Iterator<Item = (Source<'_>, Source<'_>)> {
    let files = tls.certificates.value().map_or(&[][..], Vec::as_slice);
    let keys = tls.keys.value().map_or(&[][..], Vec::as_slice);
    files.iter().enumerate().map(|(number, file)| {
        let directive = "SSLCertificateFile";
        let certificate = Source { directive, file };
        let key = keys.get(number).map_or(certificate, |file| Source {
            directive: "SSLCertificateKeyFile",
            file,
        });
        (certificate, key)
    })
}

/// A certificate and those that lead from it to its root, as they are sent.
pub(super) fn chain<'a>(tls: &'a SiteTls, first: Source<'a>, keyring: &Keyring) -> Result<Vec<Link<'a>>, ConfigError> {
    let more = tls.chain.value().map(|file| Source {
        directive: "SSLCertificateChainFile",
        file,
    });
    let mut links = Vec::new();
    for source in [first].into_iter().chain(more) {
        let before = links.len();
        for block in source.blocks(keyring)? {
            if block.kind == Kind::Certificate {
                let (line, der) = (block.line, CertificateDer::from(block.bytes));
                links.push(Link { source, line, der });
            }
        }
        if links.len() == before {
            return Err(source.fault("there is no certificate in it, in PEM form"));
        }
    }
    Ok(links)
}

/// The first private key of a file, which is wiped once it is understood.
fn key(source: Source<'_>, keyring: &Keyring) -> Result<Arc<dyn SigningKey>, ConfigError> {
    let mut is_encrypted = false;
    let mut found = None;
    for block in source.blocks(keyring)? {
        match block.kind {
            Kind::Key(form) => found = found.or(Some((form, Zeroizing::new(block.bytes)))),
            Kind::Encrypted(_) => is_encrypted = true,
            _ => {}
        }
    }
    let Some((form, bytes)) = found else {
        return Err(source.fault(if is_encrypted {
            "its private key is encrypted"
        } else {
            "there is no private key in it, in PEM form"
        }));
    };
    let mut der = match form {
        KeyForm::Pkcs1 => PrivateKeyDer::Pkcs1(bytes.to_vec().into()),
        KeyForm::Pkcs8 => PrivateKeyDer::Pkcs8(bytes.to_vec().into()),
        KeyForm::Sec1 => PrivateKeyDer::Sec1(bytes.to_vec().into()),
    };
    let loaded = any_supported_type(&der);
    der.zeroize();
    loaded.map_err(|_| {
        source.fault("a key of a kind that is not understood; RSA of 2,048 bits and more, the curves P-256 and P-384, and Ed25519 are")
    })
}

impl Certificates {
    /// Those that the settings of a site name; of each kind of key the last, as in Apache. The errors say what is wrong with
    /// which file.
    pub(super) fn new(tls: &SiteTls, keyring: &Keyring) -> Result<Certificates, Vec<ConfigError>> {
        let mut certificates: Vec<Shown> = Vec::new();
        let mut faults = Vec::new();
        for (file, key) in named(tls) {
            match certified(tls, file, key, keyring) {
                Ok(certified) => {
                    certificates.retain(|before| before.key.key.algorithm() != certified.key.algorithm());
                    certificates.push(Shown {
                        own: certified
                            .cert
                            .first()
                            .map(|certificate| Arc::from(certificate.as_ref())),
                        key: Arc::new(certified),
                        file: file.file.path.clone(),
                        staple: None,
                    });
                }
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() {
            Ok(Certificates {
                shown: certificates,
                suites: Vec::new(),
            })
        } else {
            Err(faults)
        }
    }

    /// Has the word of their authorities go with them: who is to be asked about what, and what nobody is asked about.
    pub(super) fn staple(&mut self, terms: &Stapling, subjects: &mut Vec<Subject>) -> Vec<(Vec<u8>, Unasked)> {
        let mut unasked = Vec::new();
        for shown in &mut self.shown {
            let mut subject = match Subject::of(&shown.key, terms, &shown.file) {
                Ok(subject) => subject,
                Err(why) => {
                    unasked.push((shown.file.clone(), why));
                    continue;
                }
            };
            let staple = Arc::new(Staple::new(&shown.key));
            shown.staple = Some(Arc::clone(&staple));
            if !subjects.iter_mut().any(|known| known.takes(&subject, &staple)) {
                subject.feed(staple);
                subjects.push(subject);
            }
        }
        unasked
    }

    /// The files of those that a client is to refuse without the word of their authorities beside them.
    pub(super) fn to_be_stapled(&self) -> impl Iterator<Item = &[u8]> {
        let must = |shown: &&Shown| shown.own.as_deref().is_some_and(ocsp::must_be_stapled);
        self.shown.iter().filter(must).map(|shown| shown.file.as_slice())
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.shown.is_empty()
    }
}

/// The kind of key that a certificate is for, where the certificate and its key are whole.
pub(super) fn kind(key_file: Source<'_>, keyring: &Keyring) -> Option<SignatureAlgorithm> {
    key(key_file, keyring).ok().map(|key| key.algorithm())
}

fn certified(
    tls: &SiteTls,
    file: Source<'_>,
    key_file: Source<'_>,
    keyring: &Keyring,
) -> Result<CertifiedKey, ConfigError> {
    let links = chain(tls, file, keyring)?;
    let key = key(key_file, keyring)?;
    // Some keys cannot tell; those are found out by the first handshake.
    let is_its = |der: &CertificateDer<'static>| {
        let certified = CertifiedKey::new(vec![der.clone()], Arc::clone(&key));
        match certified.keys_match() {
            Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => Ok(false),
            Err(Error::InvalidCertificate(error)) => Err(error),
            _ => Ok(true),
        }
    };
    let Some((first, others)) = links.split_first() else {
        return Err(file.fault("there is no certificate in it, in PEM form"));
    };
    match is_its(&first.der) {
        Ok(true) => {}
        Ok(false) => {
            return Err(match others.iter().find(|other| is_its(&other.der) == Ok(true)) {
                Some(other) if other.source.file == file.file => {
                    let line = other.line;
                    file.fault(format_args!(
                        "the certificate of its key begins on line {line}; it must be the first"
                    ))
                }
                _ => file.fault(format_args!(
                    "it is not the certificate of its key, which is in {}",
                    String::from_utf8_lossy(&key_file.file.path)
                )),
            });
        }
        Err(error) => {
            let line = first.line;
            return Err(file.fault(format_args!("line {line}: the certificate cannot be read: {error:?}")));
        }
    }
    Ok(CertifiedKey::new(links.into_iter().map(|link| link.der).collect(), key))
}

impl Certificates {
    /// The same for a site that agrees to these suites.
    pub(super) fn for_suites(self, suites: &[SupportedCipherSuite]) -> Certificates {
        let suites = suites.iter().map(|suite| suite.suite()).collect();
        Certificates { suites, ..self }
    }

    /// The one whose signatures the client likes best, as in Apache; where it can verify none, the first, for it to refuse.
    fn fitting(&self, hello: &ClientHello<'_>) -> Option<&Shown> {
        let signs = |shown: &&Shown, scheme| {
            let key = &shown.key.key;
            key.choose_scheme(&[scheme]).is_some() && self.has_suite_for(hello, key.algorithm())
        };
        let mut liked = hello.signature_schemes().iter();
        let found = liked.find_map(|scheme| self.shown.iter().find(|shown| signs(shown, *scheme)));
        found.or_else(|| self.shown.first())
    }

    /// Whether client and site have a cipher suite in common that goes with a key: in TLS 1.2 a suite names the kind of key, in
    /// TLS 1.3 it does not.
    fn has_suite_for(&self, hello: &ClientHello<'_>, algorithm: SignatureAlgorithm) -> bool {
        let both = |suite: &&CipherSuite| hello.cipher_suites().contains(suite) && self.suites.contains(suite);
        let has = |wanted: &[CipherSuite]| wanted.iter().any(|suite| both(&suite));
        has(&TLS13)
            || match algorithm {
                SignatureAlgorithm::RSA => has(&TLS12_RSA),
                _ => has(&TLS12_ECDSA),
            }
    }

    /// The certificate that a client is shown, in DER.
    pub(super) fn shown_to(&self, hello: &ClientHello<'_>) -> Option<Arc<[u8]>> {
        self.fitting(hello)?.own.clone()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.fitting(&hello)?;
        Some(match &shown.staple {
            Some(staple) => staple.key(SystemTime::now()),
            None => Arc::clone(&shown.key),
        })
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
