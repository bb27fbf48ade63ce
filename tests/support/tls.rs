//! The client's side of TLS, and the certificates that the tests have: `tests/tls/`, copied to $TLS so that the server's user
//! can read them.
//!
//! How a connection is made is said in words: `sni=NAME` (`localhost`; `none`: no server name at all), `tls1.2` or `tls1.3` only,
//! `alpn=NAME,NAME`, `client=NAME` (the certificate `NAME.pem` with `NAME.key`), `suites=NAME,NAME` and `groups=NAME,NAME` by
//! rustls' names, `resume` (what was agreed upon is taken up again by the next connection), `any` (whoever the server says to
//! be; else its certificate must come from `ca.pem`, for whatever name).

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, HandshakeKind, RootCertStore,
    SignatureScheme,
};

use crate::support::server::bench;

/// How connections are made.
#[derive(Clone, Debug)]
pub struct Over {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Over {
    /// Reads the words.
    pub fn parse(words: &str) -> Result<Over, String> {
        let (mut provider, mut versions) = (ring::default_provider(), vec![&TLS13, &TLS12]);
        let (mut name, mut sends_name) = ("localhost", true);
        let (mut alpn, mut client, mut resumes, mut any) = (Vec::new(), None, false, false);
        for word in words.split_whitespace() {
            match word.split_once('=').unwrap_or((word, "")) {
                ("sni", "none") => sends_name = false,
                ("sni", value) => name = value,
                ("tls1.2", "") => versions = vec![&TLS12],
                ("tls1.3", "") => versions = vec![&TLS13],
                ("alpn", names) => alpn = names.split(',').map(|name| name.as_bytes().to_vec()).collect(),
                ("client", value) => client = Some(value),
                ("suites", names) => {
                    let is_named = |suite: String| names.split(',').any(|name| name == suite);
                    provider
                        .cipher_suites
                        .retain(|suite| is_named(format!("{:?}", suite.suite())));
                }
                ("groups", names) => {
                    let is_named = |group: String| names.split(',').any(|name| name == group);
                    provider
                        .kx_groups
                        .retain(|group| is_named(format!("{:?}", group.name())));
                }
                ("resume", "") => resumes = true,
                ("any", "") => any = true,
                _ => return Err(format!("over tls: `{word}`")),
            }
        }
        let provider = Arc::new(provider);
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions)
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier::new(provider, any)?));
        let mut config = match client {
            Some(name) => {
                let (chain, key) = client_certificate(name)?;
                let made = builder.with_client_auth_cert(chain, key);
                made.map_err(|error| format!("client={name}: {error}"))?
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn;
        config.enable_sni = sends_name;
        if !resumes {
            config.resumption = Resumption::disabled();
        }
        let name = ServerName::try_from(name.to_owned()).map_err(|error| format!("sni={name}: {error}"))?;
        let config = Arc::new(config);
        Ok(Over { config, name })
    }
}

/// Where the certificates are.
pub fn directory() -> PathBuf {
    bench().directory.join("tls")
}

/// Copies the keys and certificates to where this user can read them, and nobody else.
pub fn copy_certificates(to: &Path, user: Option<u32>) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls"))? {
        let entry = entry?;
        let copy = to.join(entry.file_name());
        fs::copy(entry.path(), &copy)?;
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o600))?;
        lchown(&copy, user, user)?;
    }
    Ok(())
}

fn client_certificate(name: &str) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    let file = |extension: &str| directory().join(format!("{name}.{extension}"));
    let key = PrivateKeyDer::from_pem_file(file("key")).map_err(|error| format!("{name}.key: {error}"))?;
    Ok((certificates(&file("pem"))?, key))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let read = CertificateDer::pem_file_iter(file).map_err(|error| told(&error))?;
    read.collect::<Result<_, _>>().map_err(|error| told(&error))
}

/// One connection's TLS.
pub struct Client {
    connection: ClientConnection,
    /// Bytes that came before TLS began here.
    ahead: Vec<u8>,
}

/// What reading came to.
pub enum Came {
    /// So many bytes of what is within, maybe none.
    Bytes,
    /// The server said that it ends.
    Ended,
    /// The connection ended without a word.
    Torn,
}

impl Client {
    /// Begins; `ahead` is what has come already.
    pub fn new(over: &Over, ahead: Vec<u8>) -> Result<Client, String> {
        let connection = ClientConnection::new(Arc::clone(&over.config), over.name.clone());
        let connection = connection.map_err(|error| error.to_string())?;
        Ok(Client { connection, ahead })
    }

    /// Whether there is no agreement yet.
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Takes of `bytes` what there is room for.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.connection.writer().write(bytes)
    }

    /// Sends what waits, until there is no room.
    pub fn push(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(stream)?;
        }
        Ok(())
    }

    /// Reads what there is, and answers where TLS has to. An error of another kind than `WouldBlock` says what is wrong.
    pub fn read(&mut self, stream: &mut TcpStream, within: &mut Vec<u8>) -> io::Result<Came> {
        let count = if self.ahead.is_empty() {
            self.connection.read_tls(stream)?
        } else {
            let mut ahead = &self.ahead[..];
            let count = self.connection.read_tls(&mut ahead)?;
            self.ahead.drain(..count);
            count
        };
        let state = self.connection.process_new_packets().map_err(|error| {
            let _peer_gone = self.connection.write_tls(stream);
            io::Error::new(io::ErrorKind::InvalidData, error)
        })?;
        let _full_or_gone = self.push(stream);
        let mut plain = vec![0; state.plaintext_bytes_to_read()];
        if self.connection.reader().read_exact(&mut plain).is_ok() {
            within.append(&mut plain);
        }
        Ok(match count {
            _ if state.peer_has_closed() => Came::Ended,
            0 => Came::Torn,
            _ => Came::Bytes,
        })
    }

    /// Says that no more comes.
    pub fn end(&mut self, stream: &mut TcpStream) {
        self.connection.send_close_notify();
        let _peer_gone = self.push(stream);
    }

    /// What was agreed upon, a line each: `version TLSv1_3`, `suite NAME`, `group NAME`, `alpn http/1.1` (or `none`), `certificate NAME` by
    /// the file in `tests/tls/` that it is, `chain LENGTH`, `handshake full` (or `resumed`).
    pub fn facts(&self) -> Vec<String> {
        let connection = &self.connection;
        let alpn = connection.alpn_protocol().unwrap_or(b"none");
        let chain = connection.peer_certificates().unwrap_or_default();
        let handshake = match connection.handshake_kind() {
            Some(HandshakeKind::Resumed) => "resumed",
            Some(_) => "full",
            None => "none",
        };
        let group = connection.negotiated_key_exchange_group();
        vec![
            connection
                .protocol_version()
                .map_or("version none".into(), |version| format!("version {version:?}")),
            connection
                .negotiated_cipher_suite()
                .map_or("suite none".into(), |suite| format!("suite {:?}", suite.suite())),
            group.map_or("group none".into(), |group| format!("group {:?}", group.name())),
            format!("alpn {}", String::from_utf8_lossy(alpn)),
            format!("certificate {}", chain.first().map_or("none".into(), name_of)),
            format!("chain {}", chain.len()),
            format!("handshake {handshake}"),
        ]
    }
}

/// The name of the file that holds this certificate.
fn name_of(certificate: &CertificateDer<'_>) -> String {
    let files = fs::read_dir(directory()).into_iter().flatten().filter_map(Result::ok);
    let mut pems = files
        .map(|file| file.path())
        .filter(|file| file.extension().is_some_and(|is| is == "pem"));
    let found = pems.find(|file| certificates(file).is_ok_and(|read| read.first() == Some(certificate)));
    found.map_or("unknown".into(), |file| {
        file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    })
}

/// Who vouches for the server; its name is compared by those who want to know, see [`Client::facts`].
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    known: Option<Arc<WebPkiServerVerifier>>,
}

impl Verifier {
    fn new(provider: Arc<CryptoProvider>, any: bool) -> Result<Verifier, String> {
        if any {
            return Ok(Verifier { provider, known: None });
        }
        let mut roots = RootCertStore::empty();
        for root in certificates(&directory().join("ca.pem"))? {
            roots.add(root).map_err(|error| error.to_string())?;
        }
        let known = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
        let known = Some(known.map_err(|error| error.to_string())?);
        Ok(Verifier { provider, known })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(known) = &self.known else {
            return Ok(ServerCertVerified::assertion());
        };
        match known.verify_server_cert(certificate, others, name, stapled, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            judged => judged,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
