//! The variables of mod_ssl (`SSL_PROTOCOL` and their like), made of what was agreed upon with the client when somebody asks.
//! See <https://httpd.apache.org/docs/2.4/mod/mod_ssl.html#envvars>.

use std::borrow::Cow;
use std::time::SystemTime;

use crate::base::date::HttpDate;
use crate::base::version;
use crate::config::directives::tls_access::TlsOptions;
use crate::exchange::Exchange;
use crate::http::depends;
use crate::net::tls::{Doubt, Secured, Verified};
use crate::tls::certificate::{Certificate, Owner};
use crate::tls::name::DnForm;

/// SSL_VERSION_LIBRARY.
const LIBRARY: &str = "rustls/0.23";

/// Those that `SSLOptions +StdEnvVars` sets, besides those of certificates.
const STANDARD: [&str; 12] = [
    "SSL_CIPHER",
    "SSL_CIPHER_ALGKEYSIZE",
    "SSL_CIPHER_EXPORT",
    "SSL_CIPHER_USEKEYSIZE",
    "SSL_CLIENT_VERIFY",
    "SSL_COMPRESS_METHOD",
    "SSL_PROTOCOL",
    "SSL_SECURE_RENEG",
    "SSL_SESSION_ID",
    "SSL_SESSION_RESUMED",
    "SSL_VERSION_INTERFACE",
    "SSL_VERSION_LIBRARY",
];

/// A site's own certificate.
const SERVER: &str = "SSL_SERVER_";
/// The client's.
const CLIENT: &str = "SSL_CLIENT_";
/// Those that the client has sent with its own, by number.
const CHAIN: &str = "SSL_CLIENT_CERT_CHAIN_";

impl Exchange {
    /// One of mod_ssl's own variables by its whole name, in any case; `None` where it has no value, as all but the versions have
    /// without TLS.
    pub fn tls_variable(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let upper = name.to_ascii_uppercase();
        let text = |text: &'static str| Some(Cow::Borrowed(text.as_bytes()));
        match upper.as_str() {
            "SSL_VERSION_INTERFACE" => return Some(Cow::Owned(interface())),
            "SSL_VERSION_LIBRARY" => return text(LIBRARY),
            _ => {}
        }
        let secured = self.connection.tls.as_deref()?;
        // Of one client, or of one handshake.
        depends::on_more();
        let number = |number: u16| Some(Cow::Owned(number.to_string().into_bytes()));
        match upper.as_str() {
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
            _ => self.of_certificate(secured, name, &upper).map(Cow::Owned),
        }
    }

    /// One of those of certificates. The rest of a name tells subjects from issuers by case.
    fn of_certificate(&self, secured: &Secured, name: &str, upper: &str) -> Option<Vec<u8>> {
        let of = |der: &[u8], prefix: &str| {
            let certificate = Certificate::from_der(der).ok()?;
            certificate.variable(name.get(prefix.len()..)?, self.dn_form(), now())
        };
        if upper.starts_with(SERVER) {
            return of(secured.own.as_deref()?, SERVER);
        }
        if let Some(number) = upper.strip_prefix(CHAIN) {
            let number: usize = number.parse().ok()?;
            return Some(
                Certificate::from_der(secured.chain.get(number.checked_add(1)?)?)
                    .ok()?
                    .pem(),
            );
        }
        of(secured.chain.first().filter(|_| upper.starts_with(CLIENT))?, CLIENT)
    }

    fn dn_form(&self) -> DnForm {
        if self.conf().tls_access.options.in_force().has(TlsOptions::LEGACY_DN) {
            DnForm::Legacy
        } else {
            DnForm::Rfc2253
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
        depends::on_more();
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

    /// The subject of the client's certificate in the old form, where the certificate is believed.
    pub fn believed_subject(&self) -> Option<Vec<u8>> {
        let secured = self.connection.tls.as_deref()?;
        match self.verified() {
            Verified::Good(_) => {
                let certificate = Certificate::from_der(secured.chain.first()?).ok()?;
                certificate.variable("S_DN", DnForm::Legacy, now())
            }
            Verified::Nothing | Verified::Doubtful(_) => None,
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

    /// The variables that SSLOptions gives the environment of a request.
    pub fn exported_tls_variables(&self, options: TlsOptions) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut all = Vec::new();
        let Some(secured) = self.connection.tls.as_deref() else {
            return all;
        };
        let own = secured.own.as_deref().map(|own| (SERVER, Owner::Server, own));
        let client = secured
            .chain
            .first()
            .map(|client| (CLIENT, Owner::Client, client.as_ref()));
        if options.has(TlsOptions::STD_ENV_VARS) {
            for name in STANDARD {
                let value = self.tls_variable(name).filter(|value| !value.is_empty());
                all.extend(value.map(|value| (name.into(), value.into_owned())));
            }
            for (prefix, owner, der) in own.into_iter().chain(client) {
                if let Ok(certificate) = Certificate::from_der(der) {
                    certificate.each_standard(owner, self.dn_form(), now(), |name, value| {
                        all.push((format!("{prefix}{name}").into_bytes(), value));
                    });
                }
            }
        }
        if options.has(TlsOptions::EXPORT_CERT_DATA) {
            let single = own.into_iter().chain(client);
            let mut named: Vec<_> = single.map(|(prefix, _, der)| (format!("{prefix}CERT"), der)).collect();
            let sent = secured.chain.iter().skip(1).enumerate();
            named.extend(sent.map(|(number, der)| (format!("{CHAIN}{number}"), der.as_ref())));
            for (name, der) in named {
                all.extend(
                    Certificate::from_der(der)
                        .ok()
                        .map(|known| (name.into_bytes(), known.pem())),
                );
            }
        }
        all
    }
}

fn now() -> HttpDate {
    HttpDate::from(SystemTime::now())
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
