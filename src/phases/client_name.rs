//! The client's name, where HostnameLookups asks for it: for REMOTE_HOST, and `%h` in logs.

use std::time::Duration;

use crate::config::directives::core::HostnameLookups;
use crate::exchange::Exchange;
use crate::exchange::trace::Step;
use crate::http::depends;
use crate::process::names;

/// A resolver that answers later is not waited for; the client is then known by its address.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks the client's name up once for a request.
pub async fn run(ex: &mut Exchange) {
    let lookups = ex.conf().core.hostname_lookups.or(HostnameLookups::Off);
    if lookups == HostnameLookups::Off || ex.client.host.is_some() {
        return;
    }
    if ex.is_explained() {
        return ex.trace(|| Step::NotLookedUp("the client's name, for HostnameLookups,".to_owned()));
    }
    // The name is this client's, even where it is there before anybody has to wait.
    depends::on_more();
    let address = ex.connection.client.ip().to_canonical();
    let asked = tokio::task::spawn_blocking(move || {
        let name = names::of_address(address)?;
        (lookups == HostnameLookups::On || names::leads_to(&name, address)).then_some(name)
    });
    if let Ok(Ok(Some(name))) = tokio::time::timeout(PATIENCE, asked).await {
        ex.client.host = Some(name.into_bytes());
    }
}
