//! A connection's byte stream, shared by its reading and its writing side. TLS will be a second kind of it.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// A connection that bytes are read from and written to without waiting; waiting is its caller's, with a deadline.
pub struct Stream {
    tcp: TcpStream,
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
    /// Takes an accepted connection.
    pub fn new(tcp: TcpStream) -> io::Result<Stream> {
        // Answers are written whole, so waiting for more to put in a packet would only cost time.
        tcp.set_nodelay(true)?;
        Ok(Stream { tcp })
    }

    /// Ready when bytes, the end or an error can be read.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp.poll_read_ready(cx)
    }

    /// Ready when there is room to write, or an error.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp.poll_write_ready(cx)
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
        self.tcp.try_read(buffer)
    }

    /// Writes what there is room for.
    pub fn try_write(&self, bytes: &[u8], more: More) -> io::Result<usize> {
        if more == More::Nothing {
            return self.tcp.try_write(bytes);
        }
        self.tcp.try_io(Interest::WRITABLE, || {
            Ok(rustix::net::send(
                &self.tcp,
                bytes,
                SendFlags::MORE | SendFlags::NOSIGNAL,
            )?)
        })
    }

    /// Writes what there is room for, from several pieces.
    pub fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.tcp.try_write_vectored(pieces)
    }

    /// Lets the kernel send up to `count` bytes of `file` from `offset` on; 0 is the file's end.
    pub fn try_send_file(&self, file: BorrowedFd<'_>, offset: u64, count: usize) -> io::Result<usize> {
        let mut offset = offset;
        self.tcp.try_io(Interest::WRITABLE, || {
            Ok(rustix::fs::sendfile(self.tcp.as_fd(), file, Some(&mut offset), count)?)
        })
    }

    /// Tells the client that no more comes; it may still send.
    pub fn shut_down_sending(&self) {
        // A connection that is gone already has nothing to be told.
        let _ = rustix::net::shutdown(&self.tcp, rustix::net::Shutdown::Write);
    }

    /// Whether bytes wait to be read.
    pub fn has_bytes(&self) -> bool {
        let mut byte = [0_u8];
        let peeked = rustix::net::recv(&self.tcp, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT);
        matches!(peeked, Ok((1.., _)))
    }

    /// Makes reading end behind what has come so far, as if the client had closed its side; who waits is woken.
    pub fn shut_down_receiving(&self) {
        // A connection that is gone already ends by itself.
        let _ = rustix::net::shutdown(&self.tcp, rustix::net::Shutdown::Read);
    }

    /// Makes closing send a reset instead of the end, so that a client sees that a response is cut.
    pub fn reset_on_close(&self) {
        let socket = socket2::SockRef::from(&self.tcp);
        // Should it fail, the close is an ordinary one: the length or the last chunk still tell the cut.
        let _ = socket.set_linger(Some(Duration::ZERO));
    }
}
