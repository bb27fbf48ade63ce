//! The beginning of a connection with TLS: the client's first words, which say whom it asks for, and the agreement.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::rustls::ServerConnection;
use tokio_rustls::rustls::server::Acceptor;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

use super::engines::Engine;
use super::session::Session;

/// What a client said first.
pub struct Hello<S>(StartHandshake<S>);

/// What was agreed upon.
#[derive(Debug)]
pub struct Secured {
    /// The name of the server that the client asked for, lower case.
    pub server_name: Option<Box<[u8]>>,
    /// The number of the site whose certificate it was shown.
    pub site: usize,
}

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
        let server_name = self.server_name().map(Vec::into_boxed_slice);
        let (_, connection) = self.0.into_stream(config).await?.into_inner();
        let secured = Secured::of(&connection, server_name, site);
        Ok((Session::new(connection), secured))
    }
}

impl Secured {
    fn of(_connection: &ServerConnection, server_name: Option<Box<[u8]>>, site: usize) -> Secured {
        Secured { server_name, site }
    }
}
