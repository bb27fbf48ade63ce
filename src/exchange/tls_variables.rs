//! The variables of mod_ssl (`SSL_PROTOCOL` and their like), made of what was agreed upon with the client when somebody asks.
//! See <https://httpd.apache.org/docs/2.4/mod/mod_ssl.html#envvars>.

use std::borrow::Cow;

use crate::base::version;
use crate::exchange::Exchange;
use crate::net::tls::{Doubt, Secured, Verified};

/// SSL_VERSION_LIBRARY.
const LIBRARY: &str = "rustls/0.23";

impl Exchange {
    /// One of mod_ssl's own variables by its whole name, in any case; `None` where it has no value, as all but the versions have
    /// without TLS.
    pub fn tls_variable(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let name = name.to_ascii_uppercase();
        let text = |text: &'static str| Some(Cow::Borrowed(text.as_bytes()));
        match name.as_str() {
            "SSL_VERSION_INTERFACE" => return Some(Cow::Owned(interface())),
            "SSL_VERSION_LIBRARY" => return text(LIBRARY),
            _ => {}
        }
        let secured = self.connection.tls.as_deref()?;
        let number = |number: u16| Some(Cow::Owned(number.to_string().into_bytes()));
        match name.as_str() {
            "SSL_PROTOCOL" => text(secured.protocol.name()),
            "SSL_CIPHER" => text(secured.cipher()?.name),
            "SSL_CIPHER_EXPORT" => text("false"),
            "SSL_CIPHER_USEKEYSIZE" | "SSL_CIPHER_ALGKEYSIZE" => number(secured.cipher()?.bits),
            "SSL_COMPRESS_METHOD" => text("NULL"),
            "SSL_SECURE_RENEG" => text("true"),
            "SSL_SESSION_ID" => Some(Cow::Owned(hex(&secured.session))),
            "SSL_SESSION_RESUMED" => text(secured.resumption.name()),
            "SSL_CLIENT_VERIFY" => Some(self.client_verify()),
            "SSL_TLS_SNI" => secured.server_name.as_deref().map(Cow::Borrowed),
            _ => None,
        }
    }

    /// SSL_CLIENT_VERIFY.
    fn client_verify(&self) -> Cow<'static, [u8]> {
        Cow::Borrowed(match self.verified() {
            Verified::Nothing => b"NONE",
            Verified::Good(_) => b"SUCCESS",
            Verified::Doubtful(doubt) => return Cow::Owned([b"FAILED:", doubt.why.as_bytes()].concat()),
        })
    }

    /// What is to be thought of the client's certificate, for the site of this request. One that was shown to a site that believes others
    /// is none here.
    pub fn verified(&self) -> Verified {
        let Some(secured) = self.connection.tls.as_deref() else {
            return Verified::Nothing;
        };
        let own = &self.site.settings.tls_clients;
        let shown_to = self
            .config
            .sites
            .get(secured.site)
            .map(|site| &site.settings.tls_clients);
        match secured.verified {
            Verified::Good(_) | Verified::Doubtful(_) if !shown_to.is_some_and(|other| other.believes_as(own)) => {
                Verified::Doubtful(Doubt::of("certificate shown to another site"))
            }
            verified => verified,
        }
    }

    /// What scripts and logs have in the environment of every request within TLS.
    pub fn tls_environment(&self, name: &str) -> Option<&[u8]> {
        let secured: &Secured = self.connection.tls.as_deref()?;
        match name {
            "HTTPS" => Some(b"on"),
            "SSL_TLS_SNI" => secured.server_name.as_deref(),
            _ => None,
        }
    }
}

fn interface() -> Vec<u8> {
    let [major, minor, patch] = version::APACHE;
    format!("mod_ssl/{major}.{minor}.{patch}").into_bytes()
}

fn hex(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or(b'0');
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}
