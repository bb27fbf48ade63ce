//! The certificates by which servers behind know this one, and which of them each is shown.

use std::fmt;
use std::sync::Arc;

use tokio_rustls::rustls::SignatureScheme;
use tokio_rustls::rustls::client::ResolvesClientCert;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};

use super::fault;
use crate::config::directives::tls::Named;
use crate::config::directives::tls_proxy::TlsProxy;
use crate::config::error::ConfigError;
use crate::config::keyring::Keyring;

/// All of them, in the order of the settings.
#[derive(Debug, Default)]
pub(super) struct OwnCertificates(Vec<Own>);

/// One, with those above it.
#[derive(Debug)]
struct Own {
    key: Arc<CertifiedKey>,
    /// The names of its issuer, of that one's issuer and so on, as far as they are known, in DER form.
    issuers: Vec<Vec<u8>>,
}

/// So many certificates may stand above one.
const MOST_ABOVE: usize = 10;

impl OwnCertificates {
    pub(super) fn new(
        conf: &TlsProxy,
        keyring: &Keyring,
        provider: &CryptoProvider,
    ) -> Result<OwnCertificates, Vec<ConfigError>> {
        let mut pairs = Vec::new();
        let mut above = Vec::new();
        for (directive, file) in [
            ("SSLProxyMachineCertificateFile", &conf.own_file),
            ("SSLProxyMachineCertificatePath", &conf.own_directory),
        ] {
            let Some(file) = file.value() else { continue };
            let (found, others) = pairs_of(conf, directive, file, keyring, provider)?;
            if found.is_empty() {
                let what = "there is no certificate with its key in it, in PEM form and not encrypted";
                return Err(vec![fault(conf, directive, Some(file), &what)]);
            }
            pairs.extend(found);
            above.extend(others);
        }
        if let Some(file) = conf.own_chain.value() {
            above.extend(certificates(
                conf,
                "SSLProxyMachineCertificateChainFile",
                file,
                keyring,
            )?);
        }
        Ok(OwnCertificates(
            pairs.into_iter().map(|pair| pair.below(&above)).collect(),
        ))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A certificate and its key.
struct Pair {
    certificate: CertificateDer<'static>,
    key: CertifiedKey,
}

impl Pair {
    /// With those of `above` that lead to its root.
    fn below(self, above: &[CertificateDer<'static>]) -> Own {
        let mut chain = vec![self.certificate];
        let mut issuers = Vec::new();
        while let Some((subject, issuer)) = chain.last().and_then(names_of)
            && chain.len() <= MOST_ABOVE
        {
            let is_root = subject == issuer;
            let next = above
                .iter()
                .find(|der| names_of(der).is_some_and(|(subject, _)| subject == issuer));
            issuers.push(issuer);
            match next {
                Some(next) if !is_root => chain.push(next.clone()),
                _ => break,
            }
        }
        Own {
            key: Arc::new(CertifiedKey::new(chain, self.key.key)),
            issuers,
        }
    }
}

/// Whose certificate it is and by whom, in DER form.
fn names_of(der: &CertificateDer<'static>) -> Option<(Vec<u8>, Vec<u8>)> {
    let certificate = Certificate::from_der(der).ok()?.tbs_certificate;
    Some((certificate.subject.to_der().ok()?, certificate.issuer.to_der().ok()?))
}

fn certificates(
    conf: &TlsProxy,
    directive: &'static str,
    file: &Named,
    keyring: &Keyring,
) -> Result<Vec<CertificateDer<'static>>, Vec<ConfigError>> {
    let text = keyring.contents(&file.path).unwrap_or_default();
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let wrong = |what: &dyn fmt::Display| vec![fault(conf, directive, Some(file), what)];
    let read = read.map_err(|error| wrong(&format_args!("it is not in PEM form: {error}")))?;
    if read.is_empty() {
        return Err(wrong(&"there is no certificate in it, in PEM form"));
    }
    Ok(read)
}

/// The certificates of a file whose keys are in it too, and the others.
fn pairs_of(
    conf: &TlsProxy,
    directive: &'static str,
    file: &Named,
    keyring: &Keyring,
    provider: &CryptoProvider,
) -> Result<(Vec<Pair>, Vec<CertificateDer<'static>>), Vec<ConfigError>> {
    let wrong = |what: &dyn fmt::Display| vec![fault(conf, directive, Some(file), what)];
    let certificates = certificates(conf, directive, file, keyring)?;
    let text = keyring.contents(&file.path).unwrap_or_default();
    let mut keys = Vec::new();
    for der in PrivateKeyDer::pem_slice_iter(text) {
        let der = der.map_err(|error| wrong(&format_args!("a key in it is not in PEM form: {error}")))?;
        let key = provider.key_provider.load_private_key(der);
        keys.push(key.map_err(|_| wrong(&"a key in it is of a kind that is not understood"))?);
    }
    let mut pairs = Vec::new();
    let mut others = Vec::new();
    for certificate in certificates {
        let pair = |key: &Arc<_>| CertifiedKey::new(vec![certificate.clone()], Arc::clone(key));
        match keys.iter().map(pair).find(|pair| pair.keys_match().is_ok()) {
            Some(key) => pairs.push(Pair { certificate, key }),
            None => others.push(certificate),
        }
    }
    if pairs.len() < keys.len() {
        return Err(wrong(&"a key in it has no certificate there"));
    }
    Ok((pairs, others))
}

impl ResolvesClientCert for OwnCertificates {
    fn resolve(&self, issuers: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let is_wanted = |own: &&Own| {
            let is_known = own.issuers.iter().any(|issuer| issuers.contains(&issuer.as_slice()));
            (issuers.is_empty() || is_known) && own.key.key.choose_scheme(schemes).is_some()
        };
        self.0.iter().find(is_wanted).map(|own| Arc::clone(&own.key))
    }

    fn has_certs(&self) -> bool {
        !self.0.is_empty()
    }
}
