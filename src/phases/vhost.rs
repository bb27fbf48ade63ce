//! Which site a request is for: the connection's address first, then the host that the request names.

use std::sync::Arc;

use crate::base::glob::{Glob, Slash};
use crate::exchange::Exchange;
use crate::exchange::fail::Fail;
use crate::exchange::trace::{SiteBy, Step};
use crate::phases::ahead;

/// Finds the site and makes it the exchange's. A request of HTTP/1.1 must name its host (RFC 9112 section 3.2).
pub fn run(ex: &mut Exchange) -> Result<(), Fail> {
    let settled = ex.head.settle_host();
    if let Ok(Some(host)) = &settled {
        ex.host = host.name().to_vec();
        ex.host_port = host.port;
    }
    let named = (!ex.host.is_empty()).then_some(ex.host.as_slice());
    ex.site = ex.config.site_for(ex.connection.local, named, ex.head.target_bytes());
    ex.set_conf(Arc::clone(&ex.site.base));
    ex.trace(|| chosen(ex));
    ex.rewriting.ahead = Some(ahead::is_accessible);
    match settled {
        Ok(_) => Ok(()),
        Err(error) => Err(Fail::client(error.status(), error.to_string()).closing()),
    }
}

/// Why it is this site.
#[cold]
fn chosen(ex: &Exchange) -> Step {
    let (site, host) = (ex.site, ex.host.as_slice());
    let candidates = ex.config.hosts.at(ex.connection.local);
    let is_named = site
        .settings
        .core
        .name
        .value()
        .is_some_and(|name| name.host.eq_ignore_ascii_case(host));
    let mut aliases = site.settings.core.aliases.iter();
    let by = if candidates.is_empty() {
        SiteBy::Address
    } else if host.is_empty() && candidates.first() != Some(&site.number) {
        SiteBy::Path
    } else if site.names_itself && is_named {
        SiteBy::Name
    } else {
        let alias = aliases.find(|alias| Glob::new(alias).matches(host, Slash::Ordinary));
        match alias {
            Some(alias) => SiteBy::Alias(alias.clone()),
            None if ex.config.hosts.is_written(site.number, ex.connection.local, host) => SiteBy::Written,
            None => SiteBy::First,
        }
    };
    Step::Site {
        name: ex.site_name().to_vec(),
        by,
        local: ex.connection.local,
        candidates: candidates.len(),
        at: site.span.clone(),
    }
}
