//! One connection to an application, over a Unix socket or TCP.

use std::ffi::OsStr;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::task::{Context, Poll};

use bytes::BytesMut;
use rustix::io::Errno;
use rustix::net::RecvFlags;
use tokio::net::{TcpStream, UnixStream};

/// A connection of this thread's event loop.
#[derive(Debug)]
pub(super) enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// A connection of no event loop.
#[derive(Debug)]
pub(super) enum Parked {
    Unix(std::os::unix::net::UnixStream),
    Tcp(std::net::TcpStream),
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

    pub(super) fn park(self) -> io::Result<Parked> {
        match self {
            Socket::Unix(unix) => unix.into_std().map(Parked::Unix),
            Socket::Tcp(tcp) => tcp.into_std().map(Parked::Tcp),
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
        match self {
            Socket::Unix(unix) => unix.try_read_buf(buffer),
            Socket::Tcp(tcp) => tcp.try_read_buf(buffer),
        }
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
    pub(super) fn unpark(self) -> io::Result<Socket> {
        match self {
            Parked::Unix(unix) => UnixStream::from_std(unix).map(Socket::Unix),
            Parked::Tcp(tcp) => TcpStream::from_std(tcp).map(Socket::Tcp),
        }
    }

    /// Whether nothing has come on it: a connection that was closed, or on which something was said unasked, is of no use.
    pub(super) fn is_quiet(&self) -> bool {
        let mut byte = [0_u8];
        let peeked = rustix::net::recv(self.as_fd(), &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT);
        matches!(peeked, Err(Errno::AGAIN))
    }
}

impl AsFd for Parked {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Parked::Unix(unix) => unix.as_fd(),
            Parked::Tcp(tcp) => tcp.as_fd(),
        }
    }
}
