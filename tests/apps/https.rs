//! TLS around it: `testapp --https SOCKET PORT`, with the certificate of `$TLS` whose name is the first label of the name that the
//! client asks for, or `ecdsa`. Clients may show certificates of `ca.pem`.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

/// What a connection is besides its bytes.
pub trait Link: Read + Write {
    /// What TLS says of it, a fact a line.
    fn facts(&self) -> String {
        "none\n".to_owned()
    }

    /// Whether it was agreed upon anew, or taken up again.
    fn handshake(&self) -> String {
        "none\n".to_owned()
    }

    /// Nothing says that it ends.
    fn tear(&mut self) {}
}

impl Link for TcpStream {}
impl Link for UnixStream {}

/// A connection within TLS.
pub struct Secure<S: Read + Write> {
    stream: StreamOwned<ServerConnection, S>,
    is_torn: bool,
}

static CONFIG: LazyLock<Arc<ServerConfig>> =
    LazyLock::new(|| Arc::new(config().expect("the certificates are there and good")));

fn file(name: &str) -> PathBuf {
    PathBuf::from(std::env::var_os("TLS").unwrap_or_default()).join(name)
}

fn certificates(name: &str) -> Vec<CertificateDer<'static>> {
    let read = CertificateDer::pem_file_iter(file(&format!("{name}.pem")));
    read.map(|all| all.flatten().collect()).unwrap_or_default()
}

fn config() -> Result<ServerConfig, Box<dyn std::error::Error>> {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates("ca"));
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(Arc::new(ByName));
    config.ticketer = ring::Ticketer::new()?;
    Ok(config)
}

#[derive(Debug)]
struct ByName;

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let label = hello.server_name().and_then(|name| name.split('.').next());
        let known = label.filter(|label| file(&format!("{label}.key")).exists());
        let name = known.unwrap_or("ecdsa");
        let mut chain = certificates(name);
        if name == "deep" {
            chain.extend(certificates("between"));
        }
        let key = PrivateKeyDer::from_pem_slice(&fs::read(file(&format!("{name}.key"))).ok()?).ok()?;
        let key = ring::sign::any_supported_type(&key).ok()?;
        Some(Arc::new(CertifiedKey::new(chain, key)))
    }
}

impl<S: Read + Write> Secure<S> {
    pub fn new(stream: S) -> io::Result<Secure<S>> {
        let connection = ServerConnection::new(Arc::clone(&CONFIG)).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Secure { stream, is_torn: false })
    }
}

impl<S: Read + Write> Read for Secure<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl<S: Read + Write> Write for Secure<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl<S: Read + Write> Link for Secure<S> {
    fn facts(&self) -> String {
        let connection = &self.stream.conn;
        let name = connection.server_name().unwrap_or("none");
        let version = connection.protocol_version().map(|version| format!("{version:?}"));
        let suite = connection
            .negotiated_cipher_suite()
            .map(|suite| format!("{:?}", suite.suite()));
        let chain: Vec<String> = connection
            .peer_certificates()
            .unwrap_or_default()
            .iter()
            .map(known_as)
            .collect();
        let chain = if chain.is_empty() {
            "none".to_owned()
        } else {
            chain.join(" ")
        };
        format!(
            "name {name}\nclient {chain}\nversion {}\nsuite {}\n",
            version.unwrap_or_default(),
            suite.unwrap_or_default()
        )
    }

    fn handshake(&self) -> String {
        self.stream
            .conn
            .handshake_kind()
            .map_or_else(String::new, |kind| format!("{kind:?}\n"))
    }

    fn tear(&mut self) {
        self.is_torn = true;
    }
}

/// The name of the file that has it.
fn known_as(certificate: &CertificateDer<'_>) -> String {
    let entries = fs::read_dir(file("")).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".pem").map(str::to_owned));
    let mut known = names.filter(|name| certificates(name).contains(certificate));
    known.next().unwrap_or_else(|| "stranger".to_owned())
}

impl<S: Read + Write> Drop for Secure<S> {
    fn drop(&mut self) {
        if !self.is_torn {
            self.stream.conn.send_close_notify();
            // Who has left is not told.
            let _unsent = self.stream.flush();
        }
    }
}
