//! A connection on its way to a service that takes it over, and back: the errand, a connection of its own to the service's
//! socket (lychgate-handoff(7)).
//!
//! Nothing of the client goes to a service that has not said that it takes it. From the moment that it has the descriptor the
//! connection is its own, and the errand only says whether it comes back.

use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};

use tokio::time::{Instant, timeout_at};

use crate::backend::pool::Lease;
use crate::backend::unix::Unix;
use crate::gateway::handoff::{self, READY};

/// What one read asks for.
const READ: usize = 16 * 1024;

/// Room for so many descriptors; the kernel closes more itself.
const DESCRIPTORS: usize = 4;

/// The way of one connection.
#[derive(Debug)]
pub struct Errand {
    lease: Lease,
    /// Which connection it is (SO_COOKIE, socket(7)), once it was given.
    connection: u64,
    said: BytesMut,
    brought: Vec<OwnedFd>,
}

/// Why a service takes no connection.
#[derive(Debug)]
pub enum Unready {
    /// It closed the errand without a word.
    Closed,
    /// It said something else.
    OutOfPlace,
    /// It did not say so in time.
    TooLate,
    /// The errand broke.
    Broken(io::Error),
}

/// Why a connection was not given.
#[derive(Debug)]
pub enum NotGiven {
    /// The service has nothing of it.
    AtAll(io::Error),
    /// The service has the descriptor, but not all of the bytes.
    Whole(io::Error),
}

/// What became of a connection that a service has.
#[derive(Debug)]
pub enum Fate {
    /// It does not come back.
    Kept,
    /// It is back, with the bytes that the service has read and not used.
    Back(OwnedFd, Bytes),
    /// The service says something that cannot be; in words that follow `it`.
    Wrong(&'static str),
}

impl Errand {
    /// An errand on a new connection to the service.
    pub fn new(lease: Lease) -> Errand {
        Errand {
            lease,
            connection: 0,
            said: BytesMut::new(),
            brought: Vec::new(),
        }
    }

    fn socket(&self) -> io::Result<&Unix> {
        self.lease
            .socket()
            .unix()
            .ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    /// Whether another process may be there by now that would take the connection.
    pub fn may_be_lost(&self) -> bool {
        self.lease.may_be_lost()
    }

    /// Ready when the service takes a connection, or does not.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Unready>> {
        while self.said.len() < READY.len() {
            match self.lease.socket().try_read(&mut self.said) {
                Ok(0) => return Poll::Ready(Err(Unready::Closed)),
                Ok(_) => {
                    self.lease.is_answered();
                    if !READY.starts_with(&self.said) {
                        return Poll::Ready(Err(Unready::OutOfPlace));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if let Err(error) = ready!(self.lease.socket().poll_readable(cx)) {
                        return Poll::Ready(Err(Unready::Broken(error)));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(Unready::Broken(error))),
            }
        }
        self.said.clear();
        Poll::Ready(Ok(()))
    }

    /// Gives the service the connection, which stays ours as well until it is closed here. The bytes go with it.
    pub async fn give(&mut self, mut bytes: Bytes, connection: BorrowedFd<'_>, until: Instant) -> Result<(), NotGiven> {
        let cookie = rustix::net::sockopt::socket_cookie(connection);
        self.connection = cookie.map_err(|errno| NotGiven::AtAll(errno.into()))?;
        let sent = self.send(&bytes, Some(connection)).map_err(NotGiven::AtAll)?;
        bytes.advance(sent);
        let rest = async {
            while !bytes.is_empty() {
                match self.send(&bytes, None) {
                    Ok(sent) => bytes.advance(sent),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        poll_fn(|cx| self.lease.socket().poll_writable(cx)).await?;
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        };
        match timeout_at(until, rest).await {
            Ok(done) => done.map_err(NotGiven::Whole),
            Err(_) => Err(NotGiven::Whole(io::ErrorKind::TimedOut.into())),
        }
    }

    fn send(&self, bytes: &[u8], connection: Option<BorrowedFd<'_>>) -> io::Result<usize> {
        let socket = self.socket()?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if let Some(connection) = &connection {
            control.push(SendAncillaryMessage::ScmRights(std::slice::from_ref(connection)));
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let send = || rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, flags);
        Ok(rustix::io::retry_on_intr(send)?)
    }

    /// Tells the service that a connection it does not give back now is its own for good.
    pub fn wants_none_back(&self) {
        self.lease.socket().shut_down_sending();
    }

    /// Waits for what becomes of the connection; however long the service has it.
    pub fn poll_fate(&mut self, cx: &mut Context<'_>) -> Poll<Fate> {
        loop {
            match self.receive() {
                Ok(0) if self.said.is_empty() && self.brought.is_empty() => return Poll::Ready(Fate::Kept),
                Ok(0) => return Poll::Ready(Fate::Wrong("ended in the middle of giving the connection back")),
                Ok(_) => match handoff::back(&self.said) {
                    Ok(None) => {}
                    Ok(Some(range)) => return Poll::Ready(self.returned(&range)),
                    Err(why) => return Poll::Ready(Fate::Wrong(why.words())),
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if ready!(self.lease.socket().poll_readable(cx)).is_err() {
                        return Poll::Ready(Fate::Kept);
                    }
                }
                // As if it had closed the errand: it has broken off.
                Err(_) => return Poll::Ready(Fate::Kept),
            }
        }
    }

    fn receive(&mut self) -> io::Result<usize> {
        let mut room = [0; READ];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let socket = self.socket()?;
        let received = socket.attempt(|socket| {
            let receive = || {
                let mut parts = [IoSliceMut::new(&mut room)];
                let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
                rustix::net::recvmsg(socket, &mut parts, &mut control, flags)
            };
            Ok(rustix::io::retry_on_intr(receive)?)
        })?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                // Of too many it is enough to know that they are too many.
                self.brought.extend(rights);
                self.brought.truncate(DESCRIPTORS);
            }
        }
        let bytes = room.get(..received.bytes).unwrap_or_default();
        self.said.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn returned(&mut self, unused: &std::ops::Range<usize>) -> Fate {
        let unused = Bytes::copy_from_slice(self.said.get(unused.clone()).unwrap_or_default());
        let (Some(connection), true) = (self.brought.pop(), self.brought.is_empty()) else {
            return Fate::Wrong("did not give back one descriptor");
        };
        match rustix::net::sockopt::socket_cookie(&connection) {
            Ok(cookie) if cookie == self.connection => Fate::Back(connection, unused),
            _ => Fate::Wrong("gave back another descriptor than that of the connection it was given"),
        }
    }
}
