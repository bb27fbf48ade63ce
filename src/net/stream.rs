//! A connection's byte stream, shared by its reading and its writing side, over TCP or a Unix socket; bare, or within TLS.

use std::cell::{Cell, OnceCell};
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::time::Instant;

use crate::net::near;
use crate::net::tls::{Below, Session};
use crate::process::watched::WatchedLater;

/// A connection that bytes are read from and written to without waiting; waiting is its caller's, with a deadline.
pub struct Stream {
    socket: Socket,
    /// From the end of its handshake on.
    tls: OnceCell<Box<Session>>,
    /// Bytes handed to the system.
    sent: Cell<u64>,
    /// [`Stream::expect_much`] was here.
    expects_much: Cell<bool>,
}

/// A stream that nobody reads from or writes to, and of which no event loop knows: as little as there has to be of it.
pub struct Still {
    fd: OwnedFd,
    expects_much: bool,
    tls: Option<Box<Session>>,
    sent: u64,
}

struct Socket {
    fd: WatchedLater,
    /// Nothing can have come since the last read, as far as is known without the event loop.
    is_drained: Cell<bool>,
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
    /// Takes an accepted connection, which does not block. The event loop hears of it when it is waited for.
    pub fn new(socket: OwnedFd) -> Stream {
        let still = Still {
            fd: socket,
            expects_much: false,
            tls: None,
            sent: 0,
        };
        still.stream()
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
        Ok(SocketAddr::try_from(rustix::net::getsockname(self)?).ok())
    }

    /// The other end's address; `None` for a Unix socket's. It fails once the connection is gone.
    pub fn peer_addr(&self) -> io::Result<Option<SocketAddr>> {
        let peer = rustix::net::getpeername(self)?;
        Ok(peer.and_then(|peer| SocketAddr::try_from(peer).ok()))
    }

    /// From now on what is read and written is within TLS. It can be begun once.
    pub fn secure(&self, session: Session) {
        // A second handshake within the first is not asked for by anybody.
        let _first = self.tls.set(Box::new(session));
    }

    /// Whether it is within TLS.
    pub fn is_secure(&self) -> bool {
        self.tls.get().is_some()
    }

    /// Ready when bytes, the end or an error can be read.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.tls.get().is_some_and(|tls| tls.has_plaintext()) {
            return Poll::Ready(Ok(()));
        }
        self.socket.fd.poll_readable(cx)
    }

    /// Ready when there is room to write, or an error.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.fd.poll_writable(cx)
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
        match self.tls.get() {
            Some(tls) => tls.try_read(&self.socket, buffer),
            None => self.socket.read(buffer),
        }
    }

    /// Writes what there is room for.
    pub fn try_write(&self, bytes: &[u8], more: More) -> io::Result<usize> {
        if let Some(tls) = self.tls.get() {
            return self.count(tls.try_write(&self.socket, &[IoSlice::new(bytes)]));
        }
        let flags = match more {
            More::Follows => SendFlags::MORE | SendFlags::NOSIGNAL,
            More::Nothing => SendFlags::NOSIGNAL,
        };
        let send = || Ok(rustix::net::send(self, bytes, flags)?);
        self.count(self.socket.fd.attempt(Interest::WRITABLE, send))
    }

    /// Writes what there is room for, from several pieces.
    pub fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.count(match self.tls.get() {
            Some(tls) => tls.try_write(&self.socket, pieces),
            None => self.socket.write(pieces),
        })
    }

    /// Sends what was written and waits for room in encrypted form; an error of the kind `WouldBlock` when that is not all.
    pub fn try_push(&self) -> io::Result<()> {
        self.tls.get().map_or(Ok(()), |tls| tls.try_push(&self.socket))
    }

    /// Lets the kernel send up to `count` bytes of `file` from `offset` on; 0 is the file's end. `EINVAL`: it cannot.
    pub fn try_send_file(&self, file: BorrowedFd<'_>, offset: u64, count: usize) -> io::Result<usize> {
        if self.is_secure() {
            return Err(rustix::io::Errno::INVAL.into());
        }
        let mut offset = offset;
        let send = || Ok(rustix::fs::sendfile(self, file, Some(&mut offset), count)?);
        self.count(self.socket.fd.attempt(Interest::WRITABLE, send))
    }

    /// Says that much is to be sent: to a client on the same machine it goes as fast as that takes it.
    pub fn expect_much(&self) {
        if !self.expects_much.replace(true) && self.is_within_machine() {
            near::pace_no_more(self);
        }
    }

    /// Whether both ends are on this machine, over TCP.
    fn is_within_machine(&self) -> bool {
        let [ours, peer] = [self.local_addr(), self.peer_addr()].map(|address| address.ok().flatten());
        ours.zip(peer)
            .is_some_and(|(ours, peer)| near::is_within_machine(ours.ip(), peer.ip()))
    }

    /// Tells the client that no more comes; it may still send.
    pub fn shut_down_sending(&self) {
        if let Some(tls) = self.tls.get() {
            tls.end(&self.socket);
        }
        // A connection that is gone already has nothing to be told.
        let _ = rustix::net::shutdown(self, rustix::net::Shutdown::Write);
    }

    /// The connection itself, for somebody else to speak on.
    pub fn plain(&self) -> io::Result<BorrowedFd<'_>> {
        if self.is_secure() {
            return Err(io::Error::other("it is within TLS"));
        }
        Ok(self.as_fd())
    }

    /// The stream while nobody has to do with it.
    pub fn still(self) -> Still {
        Still {
            fd: self.socket.fd.into_inner(),
            expects_much: self.expects_much.get(),
            tls: self.tls.into_inner(),
            sent: self.sent.get(),
        }
    }

    /// Unless bytes wait to be read: makes reading end behind what has come so far, as if the client had closed its side; who
    /// waits is woken. Whether it was done.
    pub fn end_if_silent(&self) -> bool {
        end_if_silent(self.as_fd(), self.tls.get().map(Box::as_ref))
    }

    /// Makes closing send a reset instead of the end, so that a client sees that a response is cut.
    pub fn reset_on_close(&self) {
        let socket = socket2::SockRef::from(self);
        // Should it fail, the close is an ordinary one: the length or the last chunk still tell the cut.
        let _ = socket.set_linger(Some(Duration::ZERO));
    }
}

/// Unless bytes wait to be read: makes reading end.
fn end_if_silent(socket: BorrowedFd<'_>, tls: Option<&Session>) -> bool {
    let mut byte = [0_u8];
    let mut peek = || rustix::net::recv(socket, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT);
    let is_silent = !tls.is_some_and(Session::has_plaintext) && !matches!(peek(), Ok((1.., _)));
    if is_silent {
        // A connection that is gone already ends by itself.
        let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Read);
    }
    is_silent
}

impl Still {
    /// The stream again, from which bytes may have come meanwhile.
    pub fn stream(self) -> Stream {
        Stream {
            socket: Socket {
                fd: WatchedLater::new(self.fd),
                is_drained: Cell::new(false),
            },
            tls: self.tls.map(OnceCell::from).unwrap_or_default(),
            sent: Cell::new(self.sent),
            expects_much: Cell::new(self.expects_much),
        }
    }

    /// How many bytes were handed to the system.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// As [`Stream::end_if_silent`].
    pub fn end_if_silent(&self) -> bool {
        end_if_silent(self.as_fd(), self.tls.as_deref())
    }
}

impl AsFd for Still {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Below for Socket {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_drained.get() && !self.fd.is_watched() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut read = None;
        let recv = || match rustix::net::recv(self.as_fd(), &mut *buffer, RecvFlags::empty()) {
            Ok((n, _)) => {
                read = Some(n);
                // There was no more than that: what comes next is a new event, and nobody needs to ask in vain until then.
                // Tokio's own `poll_read` does the same.
                let is_all = n > 0 && n < buffer.len();
                self.is_drained.set(is_all);
                if is_all {
                    Err(io::ErrorKind::WouldBlock.into())
                } else {
                    Ok(n)
                }
            }
            Err(errno) => {
                self.is_drained.set(errno == rustix::io::Errno::AGAIN);
                Err(errno.into())
            }
        };
        let tried = self.fd.attempt(Interest::READABLE, recv);
        read.map_or(tried, Ok)
    }

    fn write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let send = || {
            let nothing_beside = &mut SendAncillaryBuffer::default();
            Ok(rustix::net::sendmsg(self, pieces, nothing_beside, SendFlags::NOSIGNAL)?)
        };
        self.fd.attempt(Interest::WRITABLE, send)
    }
}

/// A stream during its handshake, with what was read of it already.
pub struct Unsecured {
    stream: Rc<Stream>,
    first: Bytes,
}

impl Unsecured {
    /// The stream, of which `first` was read.
    pub fn new(stream: Rc<Stream>, first: Bytes) -> Unsecured {
        Unsecured { stream, first }
    }
}

impl AsyncRead for Unsecured {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.first.is_empty() {
            let part = this.first.split_to(this.first.len().min(buffer.remaining()));
            buffer.put_slice(&part);
            return Poll::Ready(Ok(()));
        }
        loop {
            match this.stream.try_read(buffer.initialize_unfilled()) {
                Ok(count) => {
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(this.stream.poll_readable(cx))?,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Unsecured {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.stream.try_write(bytes, More::Nothing) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.stream.poll_writable(cx))?,
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
