//! Accepting connections: one after the other, only while there is a place for them, and never in a spin when the system
//! is out of descriptors.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{AddressFamily, SocketFlags, sockopt};
use socket2::SockRef;
use tokio::io::Interest;

use crate::net::near;
use crate::net::stream::Stream;
use crate::process::watched::Watched;

/// A listening socket within an event loop.
pub struct Listener {
    socket: Watched<OwnedFd>,
    /// Our end's address, where all its connections have the same.
    local: Option<SocketAddr>,
}

/// What came of waiting for a connection.
pub enum Accepted<P> {
    /// A connection, its far end's address, which a Unix socket's has not, and the place it has.
    Connection(Stream, Option<SocketAddr>, P),
    /// One waits, and there is no place for it.
    Full,
    /// One waits, and the system is out of descriptors or memory. The error says of what.
    Exhausted(io::Error),
}

impl Listener {
    /// Takes a listening socket, within the runtime that is to watch it.
    pub fn new(listener: OwnedFd) -> io::Result<Listener> {
        rustix::io::ioctl_fionbio(&listener, true)?;
        if sockopt::socket_domain(&listener)? != AddressFamily::UNIX {
            // Answers are written whole, so waiting for more to put in a packet would only cost time. Connections have it from
            // their listener.
            sockopt::set_tcp_nodelay(&listener, true)?;
        }
        if bound_to(&listener).is_some_and(|bound| bound.ip().to_canonical().is_loopback()) {
            near::pace_no_more(&listener);
        }
        Ok(Listener {
            local: the_only_address(&listener),
            socket: Watched::new(listener, Interest::READABLE)?,
        })
    }

    /// Our end's address of all its connections; `None` where each has its own, and for a Unix socket.
    pub fn local(&self) -> Option<SocketAddr> {
        self.local
    }

    /// The next connection, once `place` gives it a place; without one it goes on waiting in the backlog. Connections that
    /// died before they were accepted are passed over.
    pub async fn next<P>(&self, place: impl Fn() -> Option<P>) -> io::Result<Accepted<P>> {
        loop {
            match self.socket.read(|listener| take(listener, &place)).await {
                Err(error) if is_of_the_connection(&error) => {}
                other => return other,
            }
        }
    }

    /// A connection that came together with the last one; what else there is to be told of comes with [`Listener::next`].
    pub fn one_more<P>(&self, place: impl Fn() -> Option<P>) -> Option<Accepted<P>> {
        loop {
            match self.socket.try_read(|listener| take(listener, &place)) {
                Err(error) if is_of_the_connection(&error) => {}
                Ok(Accepted::Full | Accepted::Exhausted(_)) | Err(_) => return None,
                Ok(connection) => return Some(connection),
            }
        }
    }

    /// The next connection that waits already; `None` when there is none. The system is asked itself: an event loop that has
    /// not heard yet that one waits would pass it over.
    pub fn waiting<P>(&self, place: impl Fn() -> Option<P>) -> io::Result<Option<Accepted<P>>> {
        loop {
            match take(self.socket.inner(), &place) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if is_of_the_connection(&error) => {}
                other => return other.map(Some),
            }
        }
    }
}

/// The address that a listener is bound to, unless it takes connections to others as well; without asking further of IPv4 alone.
fn the_only_address(listener: &OwnedFd) -> Option<SocketAddr> {
    let bound = bound_to(listener)?;
    // The connections of a transparent proxy are to anywhere.
    let is_transparent = !matches!(SockRef::from(listener).ip_transparent_v4(), Ok(false));
    (bound.is_ipv4() && !bound.ip().is_unspecified() && !is_transparent).then_some(bound)
}

fn bound_to(listener: &OwnedFd) -> Option<SocketAddr> {
    SocketAddr::try_from(rustix::net::getsockname(listener).ok()?).ok()
}

fn take<P>(listener: &OwnedFd, place: &impl Fn() -> Option<P>) -> io::Result<Accepted<P>> {
    match place() {
        Some(place) => accept(listener, place),
        None if someone_waits(listener) => Ok(Accepted::Full),
        None => Err(io::ErrorKind::WouldBlock.into()),
    }
}

fn accept<P>(listener: &OwnedFd, place: P) -> io::Result<Accepted<P>> {
    match rustix::net::acceptfrom_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
        Ok((socket, peer)) => {
            let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
            Ok(Accepted::Connection(Stream::new(socket), peer, place))
        }
        Err(error) if is_shortage(error) => {
            // Without a descriptor to give, the call fails whether or not anybody waits.
            if someone_waits(listener) {
                Ok(Accepted::Exhausted(error.into()))
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            }
        }
        Err(error) => Err(error.into()),
    }
}

fn someone_waits(listener: &OwnedFd) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut polled = [PollFd::new(listener, PollFlags::IN)];
    matches!(rustix::event::poll(&mut polled, Some(&now)), Ok(1..))
}

fn is_shortage(error: rustix::io::Errno) -> bool {
    use rustix::io::Errno;
    matches!(error, Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
}

/// accept(2): errors of the new connection are passed on by it; the listener is well.
fn is_of_the_connection(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionAborted
        || matches!(
            error.raw_os_error(),
            Some(
                libc::EPROTO
                    | libc::ENETDOWN
                    | libc::EHOSTDOWN
                    | libc::EHOSTUNREACH
                    | libc::ENETUNREACH
                    | libc::ENONET
                    | libc::EOPNOTSUPP
                    | libc::ENOPROTOOPT
                    | libc::EPERM
                    | libc::EINTR
            )
        )
}
