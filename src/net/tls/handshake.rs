//! The beginning of a connection with TLS: the client's first words, which say whom it asks for, and the agreement.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::rustls::server::Acceptor;
use tokio_rustls::rustls::{HandshakeKind, ProtocolVersion, ServerConnection};
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

use super::engines::Engine;
use super::secured::{Protocol, Resumption, Secured, Verified};
use super::session::Session;

/// What a client said first.
pub struct Hello<S>(StartHandshake<S>);

/// Reads a client's first words. The caller bounds the time.
pub async fn begin<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> io::Result<Hello<S>> {
    LazyConfigAcceptor::new(Acceptor::default(), stream).await.map(Hello)
}

impl<S: AsyncRead + AsyncWrite + Unpin> Hello<S> {
    /// The name of the server that the client asks for, lower case.
    pub fn server_name(&self) -> Option<Vec<u8>> {
        let hello = self.0.client_hello();
        hello.server_name().map(|name| name.to_ascii_lowercase().into_bytes())
    }

    /// Comes to an agreement for a site. The caller bounds the time.
    pub async fn agree(self, engine: &Engine, site: usize) -> io::Result<(Session, Secured)> {
        let config = engine.for_protocols(self.0.client_hello().alpn());
        let own = engine.shown_to(&self.0.client_hello());
        let server_name = self.server_name().map(Vec::into_boxed_slice);
        let (_, connection) = self.0.into_stream(config).await?.into_inner();
        let verified = engine.verdict(connection.peer_certificates().unwrap_or_default());
        let secured = Secured::of(&connection, server_name, site, (own, verified));
        Ok((Session::new(connection), secured))
    }
}

/// The name under which a connection's keys make a number for it (RFC 5705, RFC 8446 section 7.5).
const SESSION: &[u8] = b"EXPORTER-lychgate-session";

impl Secured {
    fn of(
        connection: &ServerConnection,
        server_name: Option<Box<[u8]>>,
        site: usize,
        certificates: (Option<Arc<[u8]>>, Verified),
    ) -> Secured {
        let (own, verified) = certificates;
        let chain = connection.peer_certificates().unwrap_or_default();
        Secured {
            server_name,
            site,
            protocol: match connection.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => Protocol::Tls12,
                _ => Protocol::Tls13,
            },
            suite: connection
                .negotiated_cipher_suite()
                .map_or(0, |suite| u16::from(suite.suite())),
            // It fails only while there is no agreement.
            session: connection
                .export_keying_material([0; 32], SESSION, None)
                .unwrap_or_default(),
            resumption: match connection.handshake_kind() {
                Some(HandshakeKind::Resumed) => Resumption::Resumed,
                _ => Resumption::Initial,
            },
            own,
            chain: chain.iter().map(|certificate| certificate.to_vec().into()).collect(),
            verified,
        }
    }
}
