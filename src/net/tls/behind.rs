//! TLS towards the servers behind this one: what the settings ask of them, and the beginning of a connection.

mod own;
mod verify;

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{CertificateError, ClientConfig, ClientConnection, Error};

use self::own::OwnCertificates;
use self::verify::Verifier;
use super::session::Session;
use crate::config::directives::tls::Named;
use crate::config::directives::tls_proxy::TlsProxy;
use crate::config::error::{ConfigError, Span};
use crate::config::keyring::Keyring;
use crate::config::site::Config;
use crate::config::tls_behind;

/// What is needed to ask servers over TLS, for each of the settings under which one may be asked.
#[derive(Debug, Default)]
pub struct Clients {
    keyring: Keyring,
    known: Mutex<Vec<(TlsProxy, Client)>>,
}

/// What is needed under the same settings. Sessions of servers that were asked before are in it.
#[derive(Clone, Debug)]
pub struct Client(Arc<ClientConfig>);

/// A server that is asked over TLS.
#[derive(Clone, Debug)]
pub struct Partner {
    client: Client,
    /// Whom the certificate must name, and who is asked for.
    name: ServerName<'static>,
}

impl PartialEq for Partner {
    fn eq(&self, other: &Partner) -> bool {
        Arc::ptr_eq(&self.client.0, &other.client.0) && self.name == other.name
    }
}

impl Clients {
    /// Those of all settings. The errors say what is wrong with which file.
    pub fn new(config: &Config, keyring: Keyring) -> Result<Clients, Vec<ConfigError>> {
        let clients = Clients {
            keyring,
            known: Mutex::default(),
        };
        let mut faults = Vec::new();
        for conf in tls_behind::confs(config) {
            faults.extend(clients.of(&conf).err().into_iter().flatten());
        }
        faults.dedup_by_key(|fault| fault.to_string());
        if faults.is_empty() { Ok(clients) } else { Err(faults) }
    }

    /// That of these settings. Those that several sections make together are met for the first time with a request.
    pub fn of(&self, conf: &TlsProxy) -> Result<Client, Vec<ConfigError>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = known.iter().find(|(known, _)| known == conf) {
            return Ok(client.clone());
        }
        let client = Client::new(conf, &self.keyring)?;
        known.push((conf.clone(), client.clone()));
        Ok(client)
    }
}

/// What is wrong, at the line that names the file, or the one that asks for TLS.
fn fault(conf: &TlsProxy, directive: &'static str, file: Option<&Named>, what: &dyn fmt::Display) -> ConfigError {
    let unknown = Span::new(&Arc::from(""), 0);
    let span = file.map(|file| &file.span).or(conf.engine_at.value());
    let shown = file.map_or_else(String::new, |file| format!("{}: ", String::from_utf8_lossy(&file.path)));
    ConfigError::error(span.unwrap_or(&unknown), directive, format!("{shown}{what}"))
}

impl Client {
    fn new(conf: &TlsProxy, keyring: &Keyring) -> Result<Client, Vec<ConfigError>> {
        let provider = Arc::new(ring::default_provider());
        let verifier = Verifier::new(conf, keyring, &provider)?;
        let own = OwnCertificates::new(conf, keyring, &provider)?;
        let versions = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| vec![fault(conf, "SSLProxyProtocol", None, &error)])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let config = if own.is_empty() {
            versions.with_no_client_auth()
        } else {
            versions.with_client_cert_resolver(Arc::new(own))
        };
        Ok(Client(Arc::new(config)))
    }

    /// The server of this host. The error is a sentence.
    pub fn partner(&self, host: &[u8]) -> Result<Partner, String> {
        let named = std::str::from_utf8(host)
            .ok()
            .and_then(|host| ServerName::try_from(host.strip_suffix('.').unwrap_or(host)).ok());
        let unfit = || format!("`{}` is no name that a certificate could have", host.escape_ascii());
        Ok(Partner {
            client: self.clone(),
            name: named.ok_or_else(unfit)?.to_owned(),
        })
    }
}

impl Partner {
    /// The beginning of a connection, before its first byte.
    pub fn begin(&self) -> io::Result<Session> {
        let config = Arc::clone(&self.client.0);
        let connection = ClientConnection::new(config, self.name.clone()).map_err(io::Error::other)?;
        Ok(Session::with_server(connection))
    }
}

/// Why there was no agreement, in words.
pub fn disagreement(error: &io::Error) -> String {
    let said = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match said {
        Some(Error::InvalidCertificate(CertificateError::Other(why))) => why.0.to_string(),
        Some(Error::AlertReceived(alert)) => format!("it refused this server: {alert:?}"),
        Some(error) => error.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "it closed the connection".to_owned(),
        None => error.to_string(),
    }
}
