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

/// The connections that wait to be accepted, by asking the system until there is none; then the listener is closed.
/// A runtime that has not heard yet that one waits would pass it over.
pub fn what_waits(listener: TcpListener) -> io::Result<impl Iterator<Item = (TcpStream, SocketAddr)>> {
    let listener = listener.into_std()?;
    let next = move || {
        loop {
            match listener.accept() {
                Ok((stream, peer)) => {
                    let Ok(stream) = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream)) else {
                        continue;
                    };
                    return Some((stream, peer));
                }
                Err(error) if is_of_the_connection(&error) => {}
                Err(_) => return None,
            }
        }
    };
    // Others may accept there as well: under load this one must come to an end all the same.
    Ok(std::iter::from_fn(next).take(MOST_WAITING))
}

/// More than any backlog the system allows by itself.
const MOST_WAITING: usize = 65_536;

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
                _ if is_of_the_connection(&error) => {}
                _ => return Err(error),
            },
        }
    }
}

/// accept(2): errors of the new connection are passed on there; the listener is well.
fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
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
        )
    )
}
