//! Accepting connections: one after the other, and a pause instead of a spin when the system has no descriptors left.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

/// How long accepting pauses when there are no descriptors or no memory; a connection's end may free some meanwhile.
const PAUSE: Duration = Duration::from_millis(50);

/// What came of waiting for a connection.
pub enum Accepted {
    /// A connection and its far end.
    Connection(TcpStream, SocketAddr),
    /// The system is out of something; accepting paused. The error says of what.
    Exhausted(io::Error),
}

/// The next connection. Connections that died before they were accepted are passed over.
pub async fn next(listener: &TcpListener) -> io::Result<Accepted> {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return Ok(Accepted::Connection(stream, peer)),
            Err(error) => match error.raw_os_error() {
                Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => {
                    tokio::time::sleep(PAUSE).await;
                    return Ok(Accepted::Exhausted(error));
                }
                // accept(2): errors of the new connection are passed on here; the listener is well.
                Some(
                    libc::ECONNABORTED
                    | libc::EPROTO
                    | libc::ENETDOWN
                    | libc::EHOSTDOWN
                    | libc::EHOSTUNREACH
                    | libc::ENETUNREACH
                    | libc::ENONET
                    | libc::EOPNOTSUPP
                    | libc::ENOPROTOOPT
                    | libc::EPERM
                    | libc::EINTR,
                ) => {}
                _ => return Err(error),
            },
        }
    }
}
