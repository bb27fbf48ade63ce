//! Messages that carry descriptors between roles: a pair of sequenced-packet sockets (unix(7), SOCK_SEQPACKET).
//!
//! A packet arrives whole or not at all. A payload too long for a packet travels in a sealed memory file beside it.

use std::cell::RefCell;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

use super::memfd;
use super::message::{Message, MessageError};

/// The most descriptors of one message; the kernel takes 253 (SCM_MAX_FD), one of which a long payload needs.
pub const MAX_DESCRIPTORS: usize = 250;

/// The longest payload; a start request holds at most what `exec` would take.
pub const MAX_PAYLOAD: u64 = 16 * 1024 * 1024;

/// Payloads up to here travel in the packet itself.
const INLINE: usize = 32 * 1024;

thread_local! {
    /// Where packets arrive, whose length nobody knows before.
    static ROOM: RefCell<Box<[u8]>> = RefCell::new(vec![0; INLINE].into_boxed_slice());
}

/// One end of a pair.
#[derive(Debug)]
pub struct Channel(OwnedFd);

/// What a packet brought.
#[derive(Debug)]
pub struct Packet {
    /// The bytes.
    pub payload: Vec<u8>,
    /// The descriptors, closed on exec.
    pub descriptors: Vec<OwnedFd>,
}

/// What to do when there is nothing to receive, or no room to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Wait for it.
    Yes,
    /// Fail with [`io::ErrorKind::WouldBlock`].
    No,
}

/// What was heard.
#[derive(Debug)]
pub enum Heard<M> {
    /// A message.
    Message(M),
    /// A packet that is no message we know; it is to be logged and otherwise ignored.
    Unknown(MessageError),
    /// The other end is closed, everywhere.
    Closed,
}

impl Channel {
    /// Two ends, both closed on exec.
    pub fn pair() -> io::Result<(Channel, Channel)> {
        let (one, other) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Channel(one), Channel(other)))
    }

    /// Sends one message.
    pub fn tell<M: Message>(&self, message: &M, wait: Wait) -> io::Result<()> {
        let (payload, descriptors) = message.encode();
        self.send(&payload, &descriptors, wait)
    }

    /// Receives one message. An error other than `WouldBlock` means that this end can no longer be trusted: close it.
    pub fn hear<M: Message>(&self, wait: Wait) -> io::Result<Heard<M>> {
        Ok(match self.receive(wait)? {
            None => Heard::Closed,
            Some(packet) => match M::decode(&packet.payload, packet.descriptors) {
                Ok(message) => Heard::Message(message),
                Err(error) => Heard::Unknown(error),
            },
        })
    }

    /// Sends one packet; the descriptors stay ours as well.
    pub fn send(&self, payload: &[u8], descriptors: &[BorrowedFd<'_>], wait: Wait) -> io::Result<()> {
        if descriptors.len() > MAX_DESCRIPTORS {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "too many descriptors for one message",
            ));
        }
        if payload.len() as u64 > MAX_PAYLOAD {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "too long for a message"));
        }
        if payload.len() <= INLINE {
            return self.send_packet(
                &[IoSlice::new(&[Form::Inline as u8]), IoSlice::new(payload)],
                descriptors,
                wait,
            );
        }
        let file = memfd::sealed("lychgate message", payload)?;
        let mut all = vec![file.as_fd()];
        all.extend_from_slice(descriptors);
        self.send_packet(&[IoSlice::new(&[Form::Beside as u8])], &all, wait)
    }

    fn send_packet(&self, parts: &[IoSlice<'_>], descriptors: &[BorrowedFd<'_>], wait: Wait) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS + 1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(descriptors));
        }
        let mut flags = SendFlags::NOSIGNAL;
        if wait == Wait::No {
            flags |= SendFlags::DONTWAIT;
        }
        rustix::io::retry_on_intr(|| rustix::net::sendmsg(&self.0, parts, &mut control, flags))?;
        Ok(())
    }

    /// Receives one packet; `None` when the other end is closed. A packet longer than any of ours is an error. For want
    /// of descriptors here (EMFILE) a packet loses some of its own, and is then no message of its kind any more.
    pub fn receive(&self, wait: Wait) -> io::Result<Option<Packet>> {
        ROOM.with_borrow_mut(|room| self.receive_into(room, wait))
    }

    fn receive_into(&self, room: &mut [u8], wait: Wait) -> io::Result<Option<Packet>> {
        let mut form = [0_u8];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS + 1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut flags = RecvFlags::CMSG_CLOEXEC;
        if wait == Wait::No {
            flags |= RecvFlags::DONTWAIT;
        }
        let received = rustix::io::retry_on_intr(|| {
            let mut parts = [IoSliceMut::new(&mut form), IoSliceMut::new(room)];
            rustix::net::recvmsg(&self.0, &mut parts, &mut control, flags)
        })?;
        let mut descriptors = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        if received.flags.contains(ReturnFlags::TRUNC) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a message was cut short"));
        }
        let Some(length) = received.bytes.checked_sub(1) else {
            return Ok(None);
        };
        let mut payload = room.get(..length).unwrap_or_default().to_vec();
        if form == [Form::Beside as u8] {
            let lost = received.flags.contains(ReturnFlags::CTRUNC) && descriptors.is_empty();
            payload = if lost {
                Vec::new()
            } else {
                read_beside(&mut descriptors)?
            };
        }
        Ok(Some(Packet { payload, descriptors }))
    }
}

/// Where a packet's payload is.
#[derive(Clone, Copy)]
enum Form {
    Inline = 0,
    Beside = 1,
}

/// Reads the payload from the first descriptor.
fn read_beside(descriptors: &mut Vec<OwnedFd>) -> io::Result<Vec<u8>> {
    if descriptors.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a long message came without its file",
        ));
    }
    memfd::read(descriptors.remove(0).as_fd(), MAX_PAYLOAD)
}

impl From<OwnedFd> for Channel {
    fn from(fd: OwnedFd) -> Channel {
        Channel(fd)
    }
}

impl From<Channel> for OwnedFd {
    fn from(channel: Channel) -> OwnedFd {
        channel.0
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Channel {
    fn as_raw_fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{self, Read, Write};
    use std::os::fd::AsFd;

    use rustix::net::{SendFlags, send};

    use super::{Channel, INLINE, MAX_DESCRIPTORS, Wait};

    fn pair() -> (Channel, Channel) {
        Channel::pair().expect("sockets work")
    }

    #[test]
    fn payloads_of_all_lengths_arrive_whole_and_in_order() {
        let (one, other) = pair();
        for length in [0, 1, INLINE - 1, INLINE, INLINE + 1, 1_000_000] {
            let payload: Vec<u8> = (0..=255).cycle().take(length).collect();
            one.send(&payload, &[], Wait::Yes).expect("there is room");
            let packet = other.receive(Wait::Yes).expect("one was sent").expect("open");
            assert!(packet.payload == payload, "{length}");
            assert!(packet.descriptors.is_empty());
        }
    }

    #[test]
    fn descriptors_arrive_beside_short_and_long_payloads() {
        for length in [3, INLINE + 3] {
            let (one, other) = pair();
            let (mut reader, writer) = io::pipe().expect("pipes work");
            let many = vec![writer.as_fd(); MAX_DESCRIPTORS];
            one.send(&vec![b'x'; length], &many, Wait::Yes).expect("there is room");
            drop(writer);
            let packet = other.receive(Wait::Yes).expect("one was sent").expect("open");
            assert_eq!(
                (packet.payload.len(), packet.descriptors.len()),
                (length, MAX_DESCRIPTORS)
            );
            for descriptor in packet.descriptors {
                let flags = rustix::io::fcntl_getfd(&descriptor).expect("it is open");
                assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
                File::from(descriptor).write_all(b"y").expect("it is the pipe");
            }
            let mut all = Vec::new();
            reader.read_to_end(&mut all).expect("no writer is left");
            assert_eq!(all.len(), MAX_DESCRIPTORS);
        }
    }

    #[test]
    fn too_many_descriptors_are_refused_before_sending() {
        let (one, _other) = pair();
        let many = vec![one.as_fd(); MAX_DESCRIPTORS + 1];
        assert_eq!(
            one.send(b"", &many, Wait::No).expect_err("one too many").kind(),
            io::ErrorKind::InvalidInput
        );
    }

    #[test]
    fn waiting_is_a_choice_and_closing_is_seen() {
        let (one, other) = pair();
        assert_eq!(
            other.receive(Wait::No).expect_err("nothing there").kind(),
            io::ErrorKind::WouldBlock
        );
        let full = vec![0; INLINE];
        while one.send(&full, &[], Wait::No).is_ok() {}
        assert_eq!(
            one.send(&full, &[], Wait::No).expect_err("full").kind(),
            io::ErrorKind::WouldBlock
        );
        drop(one);
        while other.receive(Wait::Yes).expect("what was sent arrives").is_some() {}
        assert_eq!(
            other.send(b"", &[], Wait::Yes).expect_err("closed").kind(),
            io::ErrorKind::BrokenPipe
        );
    }

    #[test]
    fn packets_of_strangers_are_refused() {
        let (one, other) = pair();
        send(&one, &vec![9; INLINE + 2], SendFlags::empty()).expect("there is room");
        assert_eq!(
            other.receive(Wait::Yes).expect_err("too long").kind(),
            io::ErrorKind::InvalidData
        );
        send(&one, &[1], SendFlags::empty()).expect("there is room");
        assert_eq!(
            other.receive(Wait::Yes).expect_err("no file").kind(),
            io::ErrorKind::InvalidData
        );
        let (pipe, _writer) = io::pipe().expect("pipes work");
        one.send_packet(&[io::IoSlice::new(&[1])], &[pipe.as_fd()], Wait::Yes)
            .expect("there is room");
        assert_eq!(
            other.receive(Wait::Yes).expect_err("a pipe is no file").kind(),
            io::ErrorKind::InvalidData
        );
    }
}
