//! One connection to an application, over a Unix socket or TCP.

use std::ffi::OsStr;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::task::{Context, Poll};
use std::thread::{self, ThreadId};

use bytes::BytesMut;
use rustix::io::Errno;
use rustix::net::RecvFlags;
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

/// A connection of this thread's event loop.
#[derive(Debug)]
pub(super) enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// A connection that waits for a request. It stays with the event loop of the thread that has used it, which mostly is the one
/// that uses it next: to leave it and to enter it again would be two system calls a request.
#[derive(Debug)]
pub(super) struct Parked {
    socket: Socket,
    home: ThreadId,
}

impl Socket {
    pub(super) async fn to_path(path: &[u8]) -> io::Result<Socket> {
        UnixStream::connect(OsStr::from_bytes(path)).await.map(Socket::Unix)
    }

    pub(super) async fn to_address(address: SocketAddr) -> io::Result<Socket> {
        let tcp = TcpStream::connect(address).await?;
        // Records are written whole, so waiting for more to put in a packet would only cost time.
        tcp.set_nodelay(true)?;
        Ok(Socket::Tcp(tcp))
    }

    pub(super) fn park(self) -> Parked {
        Parked {
            socket: self,
            home: thread::current().id(),
        }
    }

    /// That of the file system, where it is one.
    pub(super) fn unix(&self) -> Option<&UnixStream> {
        match self {
            Socket::Unix(unix) => Some(unix),
            Socket::Tcp(_) => None,
        }
    }

    /// Writes what there is room for, from several pieces.
    pub(super) fn try_write(&self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Socket::Unix(unix) => unix.try_write_vectored(pieces),
            Socket::Tcp(tcp) => tcp.try_write_vectored(pieces),
        }
    }

    /// Reads what is there; 0 is the end.
    pub(super) fn try_read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        let room = buffer.capacity() - buffer.len();
        let read = match self {
            Socket::Unix(unix) => unix.try_read_buf(buffer),
            Socket::Tcp(tcp) => tcp.try_read_buf(buffer),
        };
        if read.as_ref().is_ok_and(|count| (1..room).contains(count)) {
            self.is_drained();
        }
        read
    }

    /// A read that has not filled its buffer has taken all there was: the event loop tells of more, or of the end.
    fn is_drained(&self) {
        let nothing = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
        // It says what it was told to say.
        let _nothing = match self {
            Socket::Unix(unix) => unix.try_io(Interest::READABLE, nothing),
            Socket::Tcp(tcp) => tcp.try_io(Interest::READABLE, nothing),
        };
    }

    /// Tells the other side that no more comes; it may still send.
    pub(super) fn shut_down_sending(&self) {
        let how = rustix::net::Shutdown::Write;
        // A connection that is gone already has nobody to be told.
        let _ = match self {
            Socket::Unix(unix) => rustix::net::shutdown(unix, how),
            Socket::Tcp(tcp) => rustix::net::shutdown(tcp, how),
        };
    }

    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Unix(unix) => unix.poll_read_ready(cx),
            Socket::Tcp(tcp) => tcp.poll_read_ready(cx),
        }
    }

    pub(super) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Unix(unix) => unix.poll_write_ready(cx),
            Socket::Tcp(tcp) => tcp.poll_write_ready(cx),
        }
    }
}

impl Parked {
    /// The connection, for this thread.
    pub(super) fn unpark(self) -> io::Result<Socket> {
        if self.is_at_home() {
            return Ok(self.socket);
        }
        match self.socket {
            Socket::Unix(unix) => UnixStream::from_std(unix.into_std()?).map(Socket::Unix),
            Socket::Tcp(tcp) => TcpStream::from_std(tcp.into_std()?).map(Socket::Tcp),
        }
    }

    /// Whether this thread has used it.
    pub(super) fn is_at_home(&self) -> bool {
        self.home == thread::current().id()
    }

    /// Whether nothing has come on it: a connection that was closed, or on which something was said unasked, is of no use. The
    /// system is asked: what the event loop knows is as old as its last turn.
    pub(super) fn is_quiet(&self) -> bool {
        let mut byte = [0_u8];
        let peeked = rustix::net::recv(self.as_fd(), &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT);
        matches!(peeked, Err(Errno::AGAIN))
    }
}

impl AsFd for Parked {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Unix(unix) => unix.as_fd(),
            Socket::Tcp(tcp) => tcp.as_fd(),
        }
    }
}
