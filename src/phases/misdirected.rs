//! Whether a connection's TLS is that of the site that a request is for: the names in the handshake and in Host (RFC 9110
//! section 15.5.20; Apache's `mod_ssl`, SSLVHostSNIPolicy).

use crate::config::directives::sni::Policy;
use crate::config::directives::tls::Engine;
use crate::exchange::Exchange;
use crate::exchange::fail::Fail;
use crate::http::status::Status;

/// Refuses requests for sites that the handshake was not for.
pub fn run(ex: &Exchange) -> Result<(), Fail> {
    let Some(secured) = &ex.connection.tls else {
        return plainly(ex);
    };
    let Some(agreed) = ex.config.sites.get(secured.site) else {
        return Ok(());
    };
    let shown = String::from_utf8_lossy;
    match &secured.server_name {
        Some(name) if ex.host.is_empty() => {
            let note = format!(
                "the handshake was with `{}`, and the request names no host",
                shown(name)
            );
            return Err(Fail::client(Status::BAD_REQUEST, note).of_module("ssl"));
        }
        Some(_) => {}
        None => {
            // Where an address has one virtual host only, there is nothing to be named, in Apache neither.
            let is_strict = [agreed, ex.site].iter().any(|site| site.settings.sni.strict.or(false));
            if is_strict && ex.config.hosts.at(ex.connection.local).len() > 1 {
                let note = "the handshake named no server (SSLStrictSNIVHostCheck)";
                let told = "Reason: The client software did not provide a hostname using Server Name Indication (SNI), \
which is required to access this server.";
                return Err(Fail::client(Status::FORBIDDEN, note).of_module("ssl").telling(told));
            }
        }
    }
    let policy = ex.config.server.sni.policy.or(Policy::Secure);
    match policy.obstacle(agreed, ex.site) {
        None => Ok(()),
        Some(obstacle) => {
            let named = secured.server_name.as_deref().unwrap_or(b"no server");
            let note = format!(
                "the handshake was with `{}`, the request is for `{}`: {obstacle}",
                shown(named),
                shown(&ex.host)
            );
            Err(Fail::client(Status::MISDIRECTED_REQUEST, note).of_module("ssl"))
        }
    }
}

/// Refuses plain requests for a site of TLS alone that came in where both are spoken.
fn plainly(ex: &Exchange) -> Result<(), Fail> {
    if ex.site.settings.tls.spoken() != Engine::On {
        return Ok(());
    }
    // Where the first site of an address speaks no TLS, the others do not either, as in Apache.
    let first = ex.config.site_for(ex.connection.local, None, b"");
    if first.settings.tls.spoken() != Engine::Optional {
        return Ok(());
    }
    Err(Fail::plain_http("plain HTTP was spoken to a site of TLS (SSLEngine)"))
}
