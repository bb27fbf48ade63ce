//! One connection to an application, over a Unix socket or TCP; bare, or within TLS.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll, ready};
use std::thread::{self, ThreadId};

use bytes::BytesMut;
use rustix::io::Errno;
use rustix::net::RecvFlags;
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::backend::patience::Patience;
use crate::backend::unix::Unix;
use crate::net::near;
use crate::net::tls::{Below, Partner, Session};

/// So much room is made ready for what comes out of TLS at one time.
const ROOM: usize = 32 * 1024;

/// A connection of this thread's event loop.
#[derive(Debug)]
pub(super) struct Socket {
    /// It is gone while the connection goes from one event loop to another.
    bare: Option<Bare>,
    tls: Option<Box<Tls>>,
    patience: Patience,
}

#[derive(Debug)]
enum Bare {
    Unix(Unix),
    Tcp(TcpStream),
}

/// What is around the bytes.
#[derive(Debug)]
struct Tls {
    session: Session,
    partner: Partner,
}

/// A connection that waits for a request. It stays with the event loop of the thread that has used it, which mostly is the one
/// that uses it next: to leave it and to enter it again would be two system calls a request.
#[derive(Debug)]
pub(super) struct Parked {
    socket: Socket,
    home: ThreadId,
}

/// This thread.
fn here() -> ThreadId {
    thread_local! {
        static HERE: ThreadId = thread::current().id();
    }
    HERE.with(|here| *here)
}

impl Socket {
    pub(super) fn to_path(path: &[u8]) -> io::Result<Socket> {
        Ok(Socket {
            bare: Some(Bare::Unix(Unix::connect(path)?)),
            tls: None,
            patience: Patience::default(),
        })
    }

    pub(super) async fn to_address(address: SocketAddr) -> io::Result<Socket> {
        let tcp = TcpStream::connect(address).await?;
        // Records are written whole, so waiting for more to put in a packet would only cost time.
        tcp.set_nodelay(true)?;
        if near::is_within_machine(tcp.local_addr()?.ip(), address.ip()) {
            near::pace_no_more(&tcp);
        }
        Ok(Socket {
            bare: Some(Bare::Tcp(tcp)),
            tls: None,
            patience: Patience::default(),
        })
    }

    /// Comes to an agreement with the server: from then on what is read and written is within TLS. The caller bounds the time.
    pub(super) async fn secure(&mut self, partner: &Partner) -> io::Result<()> {
        let session = partner.begin()?;
        poll_fn(|cx| {
            loop {
                match session.try_agree(self.bare()) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        if session.wants_to_send() {
                            ready!(self.bare().poll_writable(cx))?;
                        } else {
                            ready!(self.bare().poll_readable(cx))?;
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    agreed => return Poll::Ready(agreed),
                }
            }
        })
        .await?;
        let partner = partner.clone();
        self.tls = Some(Box::new(Tls { session, partner }));
        Ok(())
    }

    pub(super) fn park(self) -> Parked {
        Parked {
            socket: self,
            home: here(),
        }
    }

    /// The timer for what is waited for on it.
    pub(super) fn patience(&mut self) -> &mut Patience {
        &mut self.patience
    }

    fn bare(&self) -> &Bare {
        self.bare.as_ref().expect("only what leaves an event loop has none")
    }

    /// Writes what there is room for, from several pieces. Within TLS some of it may wait still: see [`Socket::try_push`].
    pub(super) fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match &self.tls {
            Some(tls) => tls.session.try_write(self.bare(), pieces),
            None => self.bare().write(pieces),
        }
    }

    /// That of the file system, where it is one.
    pub(super) fn unix(&self) -> Option<&Unix> {
        match self.bare() {
            Bare::Unix(unix) => Some(unix),
            Bare::Tcp(_) => None,
        }
    }

    /// Sends what was written and waits for room in encrypted form; an error of the kind `WouldBlock` when that is not all.
    pub(super) fn try_push(&self) -> io::Result<()> {
        match &self.tls {
            Some(tls) => tls.session.try_push(self.bare()),
            None => Ok(()),
        }
    }

    /// Whether nothing waits for room.
    pub(super) fn is_pushed(&self) -> bool {
        self.tls.as_ref().is_none_or(|tls| !tls.session.wants_to_send())
    }

    /// Reads what is there into the room of the buffer; 0 is the end.
    pub(super) fn try_read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        let Some(tls) = &self.tls else {
            let room = buffer.capacity() - buffer.len();
            let read = match self.bare() {
                Bare::Unix(unix) => unix.try_read_buf(buffer),
                Bare::Tcp(tcp) => tcp.try_read_buf(buffer),
            };
            if read.as_ref().is_ok_and(|count| (1..room).contains(count)) {
                self.bare().is_drained();
            }
            return read;
        };
        let length = buffer.len();
        let room = buffer.capacity().min(length + ROOM);
        buffer.resize(room, 0);
        let read = tls
            .session
            .try_read(self.bare(), buffer.get_mut(length..).unwrap_or_default());
        buffer.truncate(length + read.as_ref().copied().unwrap_or(0));
        read
    }

    /// Tells the other side that no more comes; it may still send.
    pub(super) fn shut_down_sending(&self) {
        if let Some(tls) = &self.tls {
            tls.session.end(self.bare());
        }
        let how = rustix::net::Shutdown::Write;
        // A connection that is gone already has nobody to be told.
        let _ = match self.bare() {
            Bare::Unix(unix) => rustix::net::shutdown(unix, how),
            Bare::Tcp(tcp) => rustix::net::shutdown(tcp, how),
        };
    }

    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.tls.as_ref().is_some_and(|tls| tls.session.has_plaintext()) {
            return Poll::Ready(Ok(()));
        }
        self.bare().poll_readable(cx)
    }

    pub(super) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.bare().poll_writable(cx)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // A server that is not told takes it for an attack, and keeps the session from being taken up again.
        if let (Some(tls), Some(bare)) = (&self.tls, &self.bare) {
            tls.session.end(bare);
        }
    }
}

impl Bare {
    /// A read that has not filled its buffer has taken all there was: the event loop tells of more, or of the end.
    fn is_drained(&self) {
        let nothing = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
        // It says what it was told to say.
        let _nothing = match self {
            Bare::Unix(unix) => unix.attempt(|_| nothing()),
            Bare::Tcp(tcp) => tcp.try_io(Interest::READABLE, nothing),
        };
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Bare::Unix(unix) => unix.poll_readable(cx),
            Bare::Tcp(tcp) => tcp.poll_read_ready(cx),
        }
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Bare::Unix(unix) => unix.poll_writable(cx),
            Bare::Tcp(tcp) => tcp.poll_write_ready(cx),
        }
    }
}

impl Below for Bare {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Bare::Unix(unix) => unix.try_read(buffer),
            Bare::Tcp(tcp) => tcp.try_read(buffer),
        }
    }

    fn write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Bare::Unix(unix) => unix.try_write(pieces),
            Bare::Tcp(tcp) => tcp.try_write_vectored(pieces),
        }
    }
}

impl Parked {
    /// The connection, for this thread.
    pub(super) fn unpark(mut self) -> io::Result<Socket> {
        if self.is_at_home() {
            return Ok(self.socket);
        }
        let bare = match self.socket.bare.take() {
            Some(Bare::Unix(unix)) => Bare::Unix(unix.moved()?),
            Some(Bare::Tcp(tcp)) => Bare::Tcp(TcpStream::from_std(tcp.into_std()?)?),
            None => return Err(io::ErrorKind::NotConnected.into()),
        };
        self.socket.bare = Some(bare);
        self.socket.patience.forget();
        Ok(self.socket)
    }

    /// Whether this thread has used it.
    pub(super) fn is_at_home(&self) -> bool {
        self.home == here()
    }

    /// With whom there is an agreement, if within TLS.
    pub(super) fn partner(&self) -> Option<&Partner> {
        self.socket.tls.as_ref().map(|tls| &tls.partner)
    }

    /// Whether nothing has come on it that this thread's event loop knows of, without a question to the system.
    pub(super) fn seems_quiet(&self) -> bool {
        let something = || Ok(());
        self.is_at_home()
            && self.socket.tls.is_none()
            && match self.socket.bare() {
                Bare::Unix(unix) => unix.attempt(|_| something()).is_err(),
                Bare::Tcp(tcp) => tcp.try_io(Interest::READABLE, something).is_err(),
            }
    }

    /// Whether nothing has come on it: a connection that was closed, or on which something was said unasked, is of no use. The
    /// system is asked: what the event loop knows is as old as its last turn. What TLS itself has to say, as a ticket for the
    /// next session, is nothing.
    pub(super) fn is_quiet(&self) -> bool {
        let mut byte = [0_u8];
        let peeked = rustix::net::recv(self.as_fd(), &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT);
        match (peeked, &self.socket.tls) {
            (Err(Errno::AGAIN), _) => true,
            (Ok((1.., _)), Some(tls)) => {
                let read = tls.session.try_read(&Direct(self.as_fd()), &mut byte);
                read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
            }
            _ => false,
        }
    }
}

impl AsFd for Parked {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self.socket.bare() {
            Bare::Unix(unix) => unix.as_fd(),
            Bare::Tcp(tcp) => tcp.as_fd(),
        }
    }
}

/// A socket whatever its event loop knows of it. It does not block.
struct Direct<'s>(BorrowedFd<'s>);

impl Below for Direct<'_> {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(self.0, buffer)?)
    }

    fn write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(rustix::io::writev(self.0, pieces)?)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use rustix::net::sockopt::tcp_congestion;

    use super::{Bare, Socket};

    #[tokio::test]
    async fn what_goes_to_an_application_on_this_machine_is_not_paced() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let socket = Socket::to_address(address).await.expect("it listens");
        let Bare::Tcp(tcp) = socket.bare() else {
            panic!("it is TCP");
        };
        assert_eq!(tcp_congestion(tcp).as_deref(), Ok("reno"));
    }
}
