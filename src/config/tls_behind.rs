//! What the settings say of servers that are asked over TLS: under which settings each may be asked, and what those need.

use std::fs;

use crate::config::backends::{self, Target};
use crate::config::directives::proxy::Pass;
use crate::config::directives::tls_proxy::TlsProxy;
use crate::config::error::{ConfigError, Span};
use crate::config::setting::Merge;
use crate::config::site::{Config, Site};

/// Where distributions have the certificates that the system trusts, all in one file; the first that is there counts.
const TRUSTED: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
];

/// Every one of the settings under which some server may be asked over TLS: a site's own, and those with each `<Proxy>`
/// section. Sites that name no such server have none.
pub fn confs(config: &Config) -> Vec<TlsProxy> {
    let mut confs: Vec<TlsProxy> = Vec::new();
    for conf in config.sites.iter().filter(|site| asks(site)).flat_map(of_site) {
        if conf.is_on() && !confs.contains(&conf) {
            confs.push(conf);
        }
    }
    confs
}

/// Whether the site's settings name a server that is asked over TLS.
fn asks(site: &Site) -> bool {
    backends::targets(site).iter().any(|target| target.scheme.is_secure())
}

fn of_site(site: &Site) -> impl Iterator<Item = TlsProxy> {
    let own = &site.base.tls_proxy;
    let with_section = site.proxies.iter().map(|section| {
        let mut merged = own.clone();
        merged.merge(&section.conf.tls_proxy);
        merged
    });
    std::iter::once(own.clone()).chain(with_section)
}

/// The certificates that the system trusts, in PEM form.
pub fn trusted_by_the_system() -> Option<Vec<u8>> {
    TRUSTED.iter().find_map(|file| fs::read(file).ok())
}

/// There are none, and nobody has named others.
pub fn nothing_is_trusted(asking: &TlsProxy) -> Option<ConfigError> {
    let sentence = format!(
        "the system has no list of certificates that it trusts ({}); install the package ca-certificates, name those that are to be \
         trusted with SSLProxyCACertificateFile, or write `SSLProxyVerify none`",
        TRUSTED.join(", ")
    );
    let span: &Span = asking.engine_at.value()?;
    Some(ConfigError::error(span, "SSLProxyEngine", sentence))
}

/// What is said of ProxyPass lines that name servers which no request of the site may ask.
pub fn switched_off(site: &Site) -> Option<ConfigError> {
    if !asks(site) || of_site(site).any(|conf| conf.is_on()) {
        return None;
    }
    let is_secure = |pass: &&Pass| {
        let target = pass.to.url().and_then(|url| Target::parse(url).ok());
        target.is_some_and(|target| target.scheme.is_secure())
    };
    let places = site.locations.iter();
    let of_places = places.filter_map(|section| section.conf.proxy.pass.value());
    let pass = site.settings.proxy.passes.iter().chain(of_places).find(is_secure)?;
    let sentence =
        "the server behind is asked over TLS, and requests to it are answered with 500 without `SSLProxyEngine on`";
    Some(ConfigError::warning(&pass.span, "ProxyPass", sentence))
}
