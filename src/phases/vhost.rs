//! Which site a request is for: the connection's address first, then the host that the request names.

use std::sync::Arc;

use crate::exchange::Exchange;
use crate::exchange::fail::Fail;
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
    ex.rewriting.ahead = Some(ahead::is_accessible);
    match settled {
        Ok(_) => Ok(()),
        Err(error) => Err(Fail::client(error.status(), error.to_string()).closing()),
    }
}
