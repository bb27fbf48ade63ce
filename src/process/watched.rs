//! Descriptors that a tokio runtime watches for us.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::channel::Channel;
use super::pidfd::Pidfd;

/// A descriptor registered with the runtime, with the calls to make when it is ready.
#[derive(Debug)]
pub struct Watched<T: Steady>(AsyncFd<T>);

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

    /// Waits until the descriptor is writable and `call` returns something else than `WouldBlock`.
    pub async fn write<R>(&self, mut call: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.0.async_io(Interest::WRITABLE, |inner| call(inner)).await
    }

    /// The descriptor's owner.
    pub fn inner(&self) -> &T {
        self.0.get_ref()
    }
}
