//! A connection's byte stream, shared by its reading and its writing side, over TCP or a Unix socket. TLS will be another
//! kind of it.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;

/// A connection that bytes are read from and written to without waiting; waiting is its caller's, with a deadline.
pub struct Stream {
    socket: Socket,
    /// Bytes handed to the system.
    sent: Cell<u64>,
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What a socket connects over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// IPv4 or IPv6.
    Tcp,
    /// A Unix socket.
    Unix,
}

async fn by<T>(deadline: Instant, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Option<T> {
    let mut sleep = pin!(tokio::time::sleep_until(deadline));
    poll_fn(|cx| match poll(cx) {
        Poll::Ready(ready) => Poll::Ready(Some(ready)),
        Poll::Pending => sleep.as_mut().poll(cx).map(|()| None),
    })
    .await
}

/// Whether more bytes follow at once, so that the kernel may put them in one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum More {
    /// They do.
    Follows,
    /// They do not.
    Nothing,
}

impl Stream {
    /// Takes an accepted connection, which does not block.
    pub fn new(socket: OwnedFd, over: Over) -> io::Result<Stream> {
        let socket = match over {
            Over::Tcp => {
                let tcp = TcpStream::from_std(std::net::TcpStream::from(socket))?;
                // Answers are written whole, so waiting for more to put in a packet would only cost time.
                tcp.set_nodelay(true)?;
                Socket::Tcp(tcp)
            }
            Over::Unix => Socket::Unix(UnixStream::from_std(std::os::unix::net::UnixStream::from(socket))?),
        };
        Ok(Stream {
            socket,
            sent: Cell::new(0),
        })
    }

    /// How many bytes were handed to the system.
    pub fn sent(&self) -> u64 {
        self.sent.get()
    }

    fn count(&self, sent: io::Result<usize>) -> io::Result<usize> {
        if let Ok(n) = sent {
            self.sent.set(self.sent.get().wrapping_add(n as u64));
        }
        sent
    }

    /// Our end's address; `None` for a Unix socket's.
    pub fn local_addr(&self) -> io::Result<Option<SocketAddr>> {
        match &self.socket {
            Socket::Tcp(tcp) => tcp.local_addr().map(Some),
            Socket::Unix(_) => Ok(None),
        }
    }

    /// Ready when bytes, the end or an error can be read.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.socket {
            Socket::Tcp(tcp) => tcp.poll_read_ready(cx),
            Socket::Unix(unix) => unix.poll_read_ready(cx),
        }
    }

    /// Ready when there is room to write, or an error.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.socket {
            Socket::Tcp(tcp) => tcp.poll_write_ready(cx),
            Socket::Unix(unix) => unix.poll_write_ready(cx),
        }
    }

    /// Waits until bytes, the end or an error can be read, or until the deadline; `None` is the deadline.
    pub async fn readable_by(&self, deadline: Instant) -> Option<io::Result<()>> {
        by(deadline, |cx| self.poll_readable(cx)).await
    }

    /// Waits until there is room to write, or an error, or until the deadline; `None` is the deadline.
    pub async fn writable_by(&self, deadline: Instant) -> Option<io::Result<()>> {
        by(deadline, |cx| self.poll_writable(cx)).await
    }

    /// Reads what is there into `buffer`; 0 is the end.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut read = None;
        let recv = || match rustix::net::recv(self, &mut *buffer, RecvFlags::empty()) {
            Ok((n, _)) => {
                read = Some(n);
                // There was no more than that: what comes next is a new event, and nobody needs to ask in vain until then.
                // Tokio's own `poll_read` does the same.
                let is_all = n > 0 && n < buffer.len();
                if is_all {
                    Err(io::ErrorKind::WouldBlock.into())
                } else {
                    Ok(n)
                }
            }
            Err(errno) => Err(errno.into()),
        };
        let tried = match &self.socket {
            Socket::Tcp(tcp) => tcp.try_io(Interest::READABLE, recv),
            Socket::Unix(unix) => unix.try_io(Interest::READABLE, recv),
        };
        read.map_or(tried, Ok)
    }

    /// Writes what there is room for.
    pub fn try_write(&self, bytes: &[u8], more: More) -> io::Result<usize> {
        self.count(match &self.socket {
            Socket::Tcp(tcp) if more == More::Nothing => tcp.try_write(bytes),
            Socket::Tcp(tcp) => tcp.try_io(Interest::WRITABLE, || {
                Ok(rustix::net::send(tcp, bytes, SendFlags::MORE | SendFlags::NOSIGNAL)?)
            }),
            Socket::Unix(unix) => unix.try_write(bytes),
        })
    }

    /// Writes what there is room for, from several pieces.
    pub fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.count(match &self.socket {
            Socket::Tcp(tcp) => tcp.try_write_vectored(pieces),
            Socket::Unix(unix) => unix.try_write_vectored(pieces),
        })
    }

    /// Lets the kernel send up to `count` bytes of `file` from `offset` on; 0 is the file's end.
    pub fn try_send_file(&self, file: BorrowedFd<'_>, offset: u64, count: usize) -> io::Result<usize> {
        let mut offset = offset;
        let mut send = || Ok(rustix::fs::sendfile(self, file, Some(&mut offset), count)?);
        self.count(match &self.socket {
            Socket::Tcp(tcp) => tcp.try_io(Interest::WRITABLE, send),
            Socket::Unix(unix) => unix.try_io(Interest::WRITABLE, &mut send),
        })
    }

    /// Tells the client that no more comes; it may still send.
    pub fn shut_down_sending(&self) {
        // A connection that is gone already has nothing to be told.
        let _ = rustix::net::shutdown(self, rustix::net::Shutdown::Write);
    }

    /// Whether bytes wait to be read.
    pub fn has_bytes(&self) -> bool {
        let mut byte = [0_u8];
        let peeked = rustix::net::recv(self, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT);
        matches!(peeked, Ok((1.., _)))
    }

    /// Makes reading end behind what has come so far, as if the client had closed its side; who waits is woken.
    pub fn shut_down_receiving(&self) {
        // A connection that is gone already ends by itself.
        let _ = rustix::net::shutdown(self, rustix::net::Shutdown::Read);
    }

    /// Makes closing send a reset instead of the end, so that a client sees that a response is cut.
    pub fn reset_on_close(&self) {
        let socket = socket2::SockRef::from(self);
        // Should it fail, the close is an ordinary one: the length or the last chunk still tell the cut.
        let _ = socket.set_linger(Some(Duration::ZERO));
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Tcp(tcp) => tcp.as_fd(),
            Socket::Unix(unix) => unix.as_fd(),
        }
    }
}
