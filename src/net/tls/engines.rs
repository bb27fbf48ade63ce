//! What the sites need for their handshakes, made once from the settings and the contents of their files.

use std::collections::HashSet;
use std::sync::Arc;

use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::server::{ClientHello, NoServerSessionStorage};

use super::asking::Asking;
use super::certificates::Certificates;
use super::remarks;
use super::secured::Verified;
use super::sessions::Sessions;
use super::stapling::{Subject, Unasked};
use super::terms::Terms;
use super::tickets::Tickets;
use crate::config::directives::tls_sessions::LIFETIME;
use crate::config::error::{ConfigError, Span};
use crate::config::keyring::Keyring;
use crate::config::site::{Config, Site};

/// The protocol that is spoken within (RFC 7301).
const HTTP: &[u8] = b"http/1.1";

/// What each site needs.
#[derive(Debug, Default)]
pub struct Engines {
    /// By their numbers.
    sites: Vec<Option<Engine>>,
    /// The certificates that authorities are asked about.
    subjects: Vec<Arc<Subject>>,
}

/// What one site needs.
#[derive(Clone, Debug)]
pub struct Engine {
    /// For a client that knows the protocol's name, or says nothing of protocols.
    named: Arc<ServerConfig>,
    /// For one that names others only: it is spoken to as if it had named none, as Apache does.
    unnamed: Arc<ServerConfig>,
    certificates: Arc<Certificates>,
    /// The files of certificates that no authority is asked about, although it was to be.
    unasked: Vec<(Vec<u8>, Unasked)>,
    asking: Option<Arc<Asking>>,
}

impl Engines {
    /// Those of all sites that have to do with TLS. The errors say what is wrong with which file.
    pub fn new(config: &Config, keyring: &Keyring) -> Result<Engines, Vec<ConfigError>> {
        let provider = Arc::new(ring::default_provider());
        let mut engines = Vec::new();
        let mut faults = Vec::new();
        let mut subjects = Vec::new();
        for site in &config.sites {
            match Engine::new(config, site, keyring, &provider, &mut subjects) {
                Ok(engine) => engines.push(engine),
                Err(found) => faults.extend(found),
            }
        }
        faults.dedup_by_key(|fault| fault.to_string());
        if faults.is_empty() {
            for subject in &mut subjects {
                subject.begin(keyring);
            }
            Ok(Engines {
                sites: engines,
                subjects: subjects.into_iter().map(Arc::new).collect(),
            })
        } else {
            Err(faults)
        }
    }

    /// What is wrong with the files of the sites, and what is odd about them although they serve. Sites that a file of was not
    /// read are passed over.
    pub fn remarks(config: &Config, keyring: &Keyring) -> Vec<ConfigError> {
        let provider = Arc::new(ring::default_provider());
        let mut found: Vec<ConfigError> = Vec::new();
        for site in config.sites.iter().filter(|site| !keyring.lacks(site)) {
            match Engine::new(config, site, keyring, &provider, &mut Vec::new()) {
                Ok(None) => {}
                Ok(Some(engine)) => {
                    found.extend(remarks::of(site, keyring));
                    found.extend(remarks::of_stapling(site, &engine.certificates, &engine.unasked));
                }
                Err(faults) => found.extend(faults),
            }
        }
        let mut known = HashSet::new();
        found.retain(|remark| known.insert(remark.to_string()));
        found
    }

    /// Whether any site has to do with TLS.
    pub fn are_there(&self) -> bool {
        self.sites.iter().any(Option::is_some)
    }

    /// That of a site.
    pub fn of(&self, site: &Site) -> Option<&Engine> {
        self.sites.get(site.number)?.as_ref()
    }

    /// The certificates that authorities are asked about.
    pub fn subjects(&self) -> &[Arc<Subject>] {
        &self.subjects
    }
}

impl Engine {
    fn new(
        config: &Config,
        site: &Site,
        keyring: &Keyring,
        provider: &Arc<CryptoProvider>,
        subjects: &mut Vec<Subject>,
    ) -> Result<Option<Engine>, Vec<ConfigError>> {
        let tls = &site.settings.tls;
        if !tls.is_on() {
            return Ok(None);
        }
        let fault = |directive, what: &dyn std::fmt::Display| {
            let unknown = Span::new(&Arc::from(""), 0);
            let span = tls.engine_at.value().unwrap_or(&unknown);
            vec![ConfigError::error(span, directive, what.to_string())]
        };
        let mut certificates = Certificates::new(tls, keyring)?;
        if certificates.is_empty() {
            let what = "the site has no certificate; name one with SSLCertificateFile";
            return Err(fault("SSLEngine", &what));
        }
        let stapling = site.settings.tls_stapling.in_force();
        let unasked = stapling.map_or_else(Vec::new, |terms| certificates.staple(&terms, subjects));
        let terms = Terms::of(config, site, provider);
        let certificates = Arc::new(certificates.for_suites(&terms.provider.cipher_suites));
        let versions = ServerConfig::builder_with_provider(Arc::clone(&terms.provider))
            .with_protocol_versions(&terms.versions)
            .map_err(|_| {
                fault(
                    "SSLProtocol",
                    &"no cipher is left for the protocols that are spoken (SSLCipherSuite)",
                )
            })?;
        let asking = Asking::new(site, keyring, provider)?.map(Arc::new);
        let versions = match &asking {
            Some(asking) => versions.with_client_cert_verifier(Arc::<Asking>::clone(asking)),
            None => versions.with_no_client_auth(),
        };
        let mut unnamed = versions.with_cert_resolver(Arc::<Certificates>::clone(&certificates));
        unnamed.ignore_client_order = terms.ignores_client_order;
        let asks = asking.as_ref().map(|asking| asking.manner());
        if let Some(tickets) = Tickets::new(site, &asks, keyring).map_err(|fault| vec![fault])? {
            unnamed.session_storage = Arc::new(NoServerSessionStorage {});
            unnamed.ticketer = Arc::new(tickets);
        } else if site.settings.tls_sessions.cache.or(false) {
            unnamed.session_storage = Arc::new(Sessions::new(site.settings.tls_sessions.lifetime.or(LIFETIME)));
        } else {
            unnamed.session_storage = Arc::new(NoServerSessionStorage {});
            unnamed.send_tls13_tickets = 0;
        }
        let mut named = unnamed.clone();
        named.alpn_protocols = vec![HTTP.to_vec()];
        Ok(Some(Engine {
            named: Arc::new(named),
            unnamed: Arc::new(unnamed),
            certificates,
            unasked,
            asking,
        }))
    }

    /// The certificate that a client is shown, in DER.
    pub(super) fn shown_to(&self, hello: &ClientHello<'_>) -> Option<Arc<[u8]>> {
        self.certificates.shown_to(hello)
    }

    /// What is to be thought of the certificates of a client, its own first.
    pub(super) fn verdict(&self, chain: &[CertificateDer<'_>]) -> Verified {
        match &self.asking {
            Some(asking) => asking.verdict(chain),
            None => Verified::Nothing,
        }
    }

    /// What a client is answered with that has named these protocols.
    pub(super) fn for_protocols<'h>(&self, mut protocols: Option<impl Iterator<Item = &'h [u8]>>) -> Arc<ServerConfig> {
        let is_known = protocols
            .as_mut()
            .is_none_or(|protocols| protocols.any(|name| name == HTTP));
        Arc::clone(if is_known { &self.named } else { &self.unnamed })
    }
}

#[cfg(test)]
mod tests;
