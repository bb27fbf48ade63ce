//! What the virtual hosts of an address say of TLS, taken together: the first of them says what is spoken there.

use crate::config::directives::tls::Engine;
use crate::config::error::ConfigError;
use crate::config::site::{Config, Site};

/// Those that leave it to their clients whether TLS is spoken, where the first of their address does not.
pub fn contradictions(config: &Config) -> Vec<ConfigError> {
    let mut found: Vec<ConfigError> = Vec::new();
    for site in config.sites.iter().filter(|site| spoken(site) == Engine::Optional) {
        let lists = config.hosts.exact.values().chain(config.hosts.any.values());
        let with_it = lists.filter(|list| list.contains(&site.number));
        let firsts = with_it.filter_map(|list| config.sites.get(*list.first()?));
        let other = firsts
            .filter(|first| spoken(first) != Engine::Optional)
            .min_by_key(|first| first.number);
        let Some(first) = other else { continue };
        let (Some(place), Some(span)) = (&first.span, site.settings.tls.engine_at.value()) else {
            continue;
        };
        let word = if spoken(first) == Engine::On { "on" } else { "off" };
        let sentence = format!(
            "`optional` here contradicts the first virtual host of the address, {place}, which says `{word}` and so decides what is \
             spoken there; write the same for both"
        );
        found.push(ConfigError::error(span, "SSLEngine", sentence));
    }
    found
}

fn spoken(site: &Site) -> Engine {
    site.settings.tls.spoken()
}
