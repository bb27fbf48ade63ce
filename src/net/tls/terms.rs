//! What a site's handshakes may come to: versions, cipher suites and groups, of those that there are.

use std::sync::Arc;

use tokio_rustls::rustls::crypto::{CryptoProvider, SupportedKxGroup};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{NamedGroup, ProtocolVersion, SupportedCipherSuite, SupportedProtocolVersion};

use crate::config::directives::tls_agreement::{Group, Order, TlsAgreement};
use crate::config::site::{Config, Site};
use crate::tls::protocol::Versions;

/// The terms of a site.
pub(super) struct Terms {
    /// The versions that are spoken; none where no cipher is left for any.
    pub(super) versions: Vec<&'static SupportedProtocolVersion>,
    /// The suites and groups, the best first.
    pub(super) provider: Arc<CryptoProvider>,
    /// Whether the server's order of suites counts.
    pub(super) ignores_client_order: bool,
}

impl Terms {
    /// Those that the settings of a site choose among what `all` has.
    pub(super) fn of(config: &Config, site: &Site, all: &Arc<CryptoProvider>) -> Terms {
        let agreement = &site.settings.tls_agreement;
        let ignores_client_order = agreement.order.or(Order::Client) == Order::Server;
        let versions = versions(config, site);
        let mut provider = CryptoProvider::clone(all);
        provider.cipher_suites = suites(agreement, &provider.cipher_suites);
        provider
            .cipher_suites
            .retain(|suite| versions.contains(&suite.version()));
        if let Some(groups) = agreement.groups.value() {
            provider.kx_groups = groups
                .iter()
                .filter_map(|group| named(*group, &provider.kx_groups))
                .collect();
        }
        let has_suite = |version: &&SupportedProtocolVersion| {
            provider.cipher_suites.iter().any(|suite| suite.version() == *version)
        };
        Terms {
            versions: versions.into_iter().filter(has_suite).collect(),
            provider: Arc::new(provider),
            ignores_client_order,
        }
    }
}

/// A site that says nothing has the protocols of the first virtual host of its address, as in Apache; what the server says is the
/// site's own already.
fn versions(config: &Config, site: &Site) -> Vec<&'static SupportedProtocolVersion> {
    let own = site.settings.tls_agreement.versions.value();
    let first = || {
        config
            .hosts
            .first_beside(site.number)
            .and_then(|first| config.sites.get(first))
    };
    let said = own.or_else(|| first()?.settings.tls_agreement.versions.value());
    match said.copied().unwrap_or(Versions::Both) {
        Versions::Tls12 => vec![&TLS12],
        Versions::Tls13 => vec![&TLS13],
        Versions::Both => vec![&TLS13, &TLS12],
    }
}

fn suites(agreement: &TlsAgreement, all: &[SupportedCipherSuite]) -> Vec<SupportedCipherSuite> {
    let of = |version: ProtocolVersion| {
        all.iter()
            .filter(move |suite| suite.version().version == version)
            .copied()
    };
    let chosen = |ids: Option<&Vec<u16>>, version| match ids {
        None => of(version).collect(),
        Some(ids) => {
            let by_id = |id: &u16| of(version).find(|suite| u16::from(suite.suite()) == *id);
            ids.iter().filter_map(by_id).collect::<Vec<_>>()
        }
    };
    let mut suites = chosen(agreement.ciphers13.value(), ProtocolVersion::TLSv1_3);
    suites.extend(chosen(agreement.ciphers.value(), ProtocolVersion::TLSv1_2));
    suites
}

fn named(group: Group, all: &[&'static dyn SupportedKxGroup]) -> Option<&'static dyn SupportedKxGroup> {
    let name = match group {
        Group::X25519 => NamedGroup::X25519,
        Group::P256 => NamedGroup::secp256r1,
        Group::P384 => NamedGroup::secp384r1,
    };
    all.iter().copied().find(|known| known.name() == name)
}
