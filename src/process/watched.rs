//! Descriptors that a tokio runtime watches for us.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::task::{Context, Poll};

use bytes::{BufMut, BytesMut};
use rustix::net::RecvFlags;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::channel::Channel;
use super::pidfd::Pidfd;

/// A descriptor registered with the runtime, with the calls to make when it is ready.
#[derive(Debug)]
pub struct Watched<T: Steady>(AsyncFd<T>);

/// So much room gets a buffer that has none.
const LITTLE: usize = 64;

/// Types that own one descriptor, the same from beginning to end.
pub trait Steady: AsRawFd + private::Sealed {}

impl Steady for OwnedFd {}
impl Steady for Channel {}
impl Steady for Pidfd {}

mod private {
    pub trait Sealed {}
    impl Sealed for std::os::fd::OwnedFd {}
    impl Sealed for super::Channel {}
    impl Sealed for super::Pidfd {}
}

impl<T: Steady> Watched<T> {
    /// Registers a descriptor; must be called within the runtime that is to watch it.
    pub fn new(inner: T, interest: Interest) -> io::Result<Watched<T>> {
        // SAFETY: a `Steady` owns its descriptor as long as it lives, and we hand out shared references only, so that
        // it cannot be exchanged for another.
        Ok(Watched(unsafe { AsyncFd::register_with_interest(inner, interest) }?))
    }

    /// Waits until the descriptor is readable and `call` returns something else than `WouldBlock`.
    pub async fn read<R>(&self, mut call: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.0.async_io(Interest::READABLE, |inner| call(inner)).await
    }

    /// Makes a call unless the descriptor is known not to be readable.
    pub fn try_read<R>(&self, call: impl FnOnce(&T) -> io::Result<R>) -> io::Result<R> {
        self.0.try_io(Interest::READABLE, |inner| call(inner))
    }

    /// Waits until the descriptor is writable and `call` returns something else than `WouldBlock`.
    pub async fn write<R>(&self, mut call: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.0.async_io(Interest::WRITABLE, |inner| call(inner)).await
    }

    /// Ready when it can be read from.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_read_ready(cx).map_ok(|_still| ())
    }

    /// Ready when it can be written to.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_write_ready(cx).map_ok(|_still| ())
    }

    /// The descriptor's owner.
    pub fn inner(&self) -> &T {
        self.0.get_ref()
    }

    /// The descriptor's owner, of whom the runtime does not know any more.
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

impl Watched<OwnedFd> {
    /// Reads what a socket has into the room of the buffer, which gets some if it has none, unless there is known to be nothing;
    /// 0 is the end.
    pub fn receive(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        if buffer.len() == buffer.capacity() {
            buffer.reserve(LITTLE);
        }
        let room = buffer.spare_capacity_mut();
        let count = self.try_read(|socket| {
            let ((read, _), _) = rustix::net::recv(socket, room, RecvFlags::empty())?;
            Ok(read.len())
        })?;
        // SAFETY: so many bytes of the room were written just now.
        unsafe { buffer.advance_mut(count) };
        Ok(count)
    }
}

/// A descriptor that is registered with the runtime when it is waited for, for the first time: one that is done with before
/// that costs no call of epoll, and one that is not waited for any more can be taken back.
#[derive(Debug)]
pub struct WatchedLater {
    // It goes before the descriptor does.
    watch: RefCell<Option<AsyncFd<RawFd>>>,
    fd: OwnedFd,
}

impl WatchedLater {
    /// Takes a descriptor that does not block.
    pub fn new(fd: OwnedFd) -> WatchedLater {
        WatchedLater {
            watch: RefCell::new(None),
            fd,
        }
    }

    /// Whether the runtime knows it.
    pub fn is_watched(&self) -> bool {
        self.watch.borrow().is_some()
    }

    /// The descriptor, of which the runtime does not know any more.
    pub fn into_inner(self) -> OwnedFd {
        drop(self.watch);
        self.fd
    }

    /// Makes a call unless the descriptor is known not to be ready for it. A call that fails with `WouldBlock` is not made again
    /// before the descriptor is.
    pub fn attempt<R>(&self, interest: Interest, call: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        match &*self.watch.borrow() {
            Some(watch) => watch.try_io(interest, |_| call()),
            None => call(),
        }
    }

    /// Ready when it can be read from.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watched(|watch| watch.poll_read_ready(cx).map_ok(|_still| ()))
    }

    /// Ready when it can be written to.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watched(|watch| watch.poll_write_ready(cx).map_ok(|_still| ()))
    }

    fn watched(&self, poll: impl FnOnce(&AsyncFd<RawFd>) -> Poll<io::Result<()>>) -> Poll<io::Result<()>> {
        if let Some(watch) = &*self.watch.borrow() {
            return poll(watch);
        }
        // SAFETY: the descriptor is ours, is never exchanged, and is closed after the registration is dropped: fields are
        // dropped in the order of their declaration.
        let watch = unsafe { AsyncFd::register(self.fd.as_raw_fd()) }.map_err(io::Error::from)?;
        poll(self.watch.borrow_mut().insert(watch))
    }
}

impl AsFd for WatchedLater {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::{self, Read, Write};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use tokio::io::Interest;

    use super::WatchedLater;

    #[test]
    fn it_is_registered_when_it_is_waited_for_and_told_of_what_came_before() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let (ours, mut theirs) = UnixStream::pair().expect("descriptors are free");
        ours.set_nonblocking(true).expect("it is a socket");
        let mut reading = ours.try_clone().expect("descriptors are free");
        let mut read = |later: &WatchedLater| {
            let mut byte = [0];
            later
                .attempt(Interest::READABLE, || reading.read_exact(&mut byte))
                .map(|()| byte[0])
        };
        runtime.expect("a runtime").block_on(async {
            let later = WatchedLater::new(ours.into());
            let nothing = read(&later).expect_err("nothing was written");
            assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
            theirs.write_all(b"ab").expect("there is room");
            assert_eq!(read(&later).expect("it was written"), b'a');
            assert!(!later.is_watched());
            for expected in [b'b', b'c'] {
                let readable = tokio::time::timeout(Duration::from_secs(20), poll_fn(|cx| later.poll_readable(cx)));
                readable.await.expect("it comes").expect("it is open");
                assert_eq!(read(&later).expect("it was written"), expected);
                theirs.write_all(b"c").expect("there is room");
            }
            assert!(later.is_watched());
            let later = WatchedLater::new(later.into_inner());
            assert!(!later.is_watched());
            assert_eq!(read(&later).expect("it was written"), b'c');
            let ready = poll_fn(|cx| later.poll_writable(cx)).await;
            ready.expect("there is room");
        });
    }
}
