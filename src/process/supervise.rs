//! System calls of others that wait for a decision (seccomp_unotify(2)): a child is started with a list of calls, and whoever
//! holds the other end of a socket decides on each.
//!
//! A decision must not rest on what the caller may change behind our back: the memory an argument leads to, or which file a
//! descriptor is. So who decides looks at a copy of the one, takes the other for itself, and makes the call in the caller's
//! place. [`Calls::pass`] lets the kernel look again, and is only for what something else holds all the same.

use std::ffi::{c_int, c_long, c_void};
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketFlags, SocketType, recvmsg, socketpair,
};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::clone::RawSupervision;
use super::seccomp::Filter;

/// How a child comes to be supervised: what it hands over, and through what.
#[derive(Clone, Copy, Debug)]
pub struct Supervision<'a> {
    /// The calls, see [`Filter::asking`].
    pub filter: &'a Filter,
    /// The socket through which the child sends what [`Entrance::calls`] receives.
    pub exit: BorrowedFd<'a>,
}

/// Where the calls of a child that is being started will come from.
#[derive(Debug)]
pub struct Entrance(OwnedFd);

/// What has come of a child that was to be supervised.
#[derive(Debug)]
pub enum Arrival {
    /// Nothing yet.
    Waiting,
    /// Its calls.
    Calls(Calls),
    /// It ended before.
    Never,
}

/// The calls of a child and of all it starts; readable when one waits, and hung up when nobody is left to make any.
#[derive(Debug)]
pub struct Calls(OwnedFd);

/// A call that waits.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// The kernel's number for it.
    pub id: u64,
    /// Which call, `libc::SYS_…`.
    pub number: c_long,
    thread: i32,
    arguments: [u64; 6],
}

impl Entrance {
    /// The two ends: ours, and the one for [`Supervision::exit`], to be closed here once the child has been started.
    pub fn new() -> io::Result<(Entrance, OwnedFd)> {
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Entrance(ours), theirs))
    }

    /// What has come, without waiting.
    pub fn calls(&self) -> io::Result<Arrival> {
        let mut byte = [0];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        match recvmsg(&self.0, &mut [IoSliceMut::new(&mut byte)], &mut beside, flags) {
            Ok(_) => {}
            Err(Errno::AGAIN | Errno::INTR) => return Ok(Arrival::Waiting),
            Err(errno) => return Err(errno.into()),
        }
        let rights = beside.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        Ok(rights.map_or(Arrival::Never, |listener| Arrival::Calls(Calls(listener))))
    }
}

impl AsFd for Entrance {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsFd for Calls {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Calls {
    /// The next call. To be asked once after each time that `poll` told of one: it waits where there is none. `None` when its caller
    /// has been interrupted or has died meanwhile.
    pub fn next(&self) -> io::Result<Option<Call>> {
        // SAFETY: all zeros is a value of this plain structure, and what the kernel wants to find.
        let mut told: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        match self.ioctl(libc::SECCOMP_IOCTL_NOTIF_RECV, ptr::from_mut(&mut told).cast()) {
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) => Ok(None),
            Err(error) => Err(error),
            Ok(()) => Ok(Some(Call {
                id: told.id,
                number: c_long::from(told.data.nr),
                thread: i32::try_from(told.pid).unwrap_or(0),
                arguments: told.data.args,
            })),
        }
    }

    /// Whether the caller still waits. What was learnt of a call by its thread's number is worth something only when it does.
    pub fn waits(&self, id: u64) -> bool {
        let mut id = id;
        self.ioctl(libc::SECCOMP_IOCTL_NOTIF_ID_VALID, ptr::from_mut(&mut id).cast())
            .is_ok()
    }

    /// Ends the call with this result. A caller that waits no more does not mind.
    pub fn answer(&self, id: u64, result: Result<(), Errno>) {
        self.send(id, result.map_or_else(|errno| -errno.raw_os_error(), |()| 0), 0);
    }

    /// Has the kernel do the call after all, with what its arguments lead to by then.
    pub fn pass(&self, id: u64) {
        let flags = u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).unwrap_or(0);
        self.send(id, 0, flags);
    }

    fn send(&self, id: u64, error: i32, flags: u32) {
        let mut answer = libc::seccomp_notif_resp {
            id,
            val: 0,
            error,
            flags,
        };
        // It fails when the caller is gone, and then nobody waits for it.
        let _gone = self.ioctl(libc::SECCOMP_IOCTL_NOTIF_SEND, ptr::from_mut(&mut answer).cast());
    }

    fn ioctl(&self, request: libc::Ioctl, argument: *mut c_void) -> io::Result<()> {
        // SAFETY: `argument` is the live structure of this request, as the callers above pair them.
        if unsafe { libc::ioctl(self.0.as_raw_fd(), request, argument) } < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }
}

impl Call {
    /// The lower half of argument `n`, counted from 0.
    pub fn argument(&self, n: usize) -> u32 {
        let argument = self.arguments.get(n).copied().unwrap_or(0);
        u32::try_from(argument & u64::from(u32::MAX)).unwrap_or(0)
    }

    /// The caller's file that argument `n` stands for. Whether it still is the caller who is meant, [`Calls::waits`] says afterwards.
    pub fn file(&self, n: usize) -> io::Result<OwnedFd> {
        let number = c_int::from_ne_bytes(self.argument(n).to_ne_bytes());
        let process = self.process()?;
        Ok(pidfd_getfd(&process, number, PidfdGetfdFlags::empty())?)
    }

    /// A copy of so many bytes of the caller's memory at argument `n`. See [`Call::file`].
    pub fn memory(&self, n: usize, length: usize) -> io::Result<Vec<u8>> {
        let address = self.arguments.get(n).copied().unwrap_or(0);
        let address = usize::try_from(address).map_err(|_| io::Error::from(Errno::FAULT))?;
        let mut bytes = vec![0_u8; length];
        let ours = libc::iovec {
            iov_base: bytes.as_mut_ptr().cast(),
            iov_len: bytes.len(),
        };
        let theirs = libc::iovec {
            iov_base: ptr::with_exposed_provenance_mut(address),
            iov_len: length,
        };
        // SAFETY: it writes into `bytes`, at most its length; the other address is never used by us.
        let read = unsafe { libc::process_vm_readv(self.thread, &raw const ours, 1, &raw const theirs, 1, 0) };
        match usize::try_from(read) {
            Ok(read) if read == length => Ok(bytes),
            Ok(_) => Err(Errno::FAULT.into()),
            Err(_) => Err(io::Error::last_os_error()),
        }
    }

    /// The process of the thread that calls.
    fn process(&self) -> io::Result<OwnedFd> {
        let open = |number| {
            let pid = Pid::from_raw(number).ok_or(Errno::SRCH)?;
            pidfd_open(pid, PidfdFlags::empty())
        };
        match open(self.thread) {
            Ok(process) => Ok(process),
            // A thread that is not the first of its process.
            Err(Errno::INVAL | Errno::NOENT) => Ok(open(first_thread(self.thread)?)?),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// The number of the process that a thread belongs to.
fn first_thread(thread: i32) -> io::Result<i32> {
    let status = std::fs::read(format!("/proc/{thread}/status"))?;
    let mut lines = status.split(|byte| *byte == b'\n');
    let group = lines.find_map(|line| line.strip_prefix(b"Tgid:"));
    let group = group.and_then(|group| std::str::from_utf8(group.trim_ascii()).ok());
    group.and_then(|group| group.parse().ok()).ok_or(Errno::SRCH.into())
}

/// A message with room for one descriptor, which the child fills in: the kernel's structures, at addresses that stay.
pub(super) struct Parcel {
    filter: libc::sock_fprog,
    exit: c_int,
    message: Box<libc::msghdr>,
    /// `message` leads to these.
    _byte: Box<u8>,
    _part: Box<libc::iovec>,
    control: Box<[u64; 4]>,
}

// SAFETY: its pointers lead to boxes of its own and to the filter, and nobody but the child follows them.
unsafe impl Send for Parcel {}

impl Parcel {
    pub(super) fn new(supervision: &Supervision<'_>) -> Parcel {
        let mut byte = Box::new(0_u8);
        let mut part = Box::new(libc::iovec {
            iov_base: ptr::from_mut(&mut *byte).cast(),
            iov_len: 1,
        });
        let mut control = Box::new([0_u64; 4]);
        // SAFETY: all zeros is a value of this plain structure.
        let mut message: Box<libc::msghdr> = Box::new(unsafe { std::mem::zeroed() });
        message.msg_iov = ptr::from_mut(&mut *part);
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        // SAFETY: the call computes with its argument and does nothing else.
        message.msg_controllen = unsafe { libc::CMSG_SPACE(DESCRIPTOR) } as _;
        // SAFETY: `control` is zeroed, aligned for a header, and longer than CMSG_SPACE says, so there is a first header.
        unsafe {
            let header = libc::CMSG_FIRSTHDR(&raw const *message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(DESCRIPTOR) as _;
        }
        Parcel {
            filter: supervision.filter.raw(),
            exit: supervision.exit.as_raw_fd(),
            message,
            _byte: byte,
            _part: part,
            control,
        }
    }

    /// For the child, as long as the parcel lives.
    #[expect(
        clippy::cast_ptr_alignment,
        reason = "behind a header, the data is as aligned as the header"
    )]
    pub(super) fn raw(&mut self) -> RawSupervision {
        let header = self.control.as_mut_ptr().cast::<libc::cmsghdr>();
        RawSupervision {
            filter: self.filter,
            exit: self.exit,
            message: &raw const *self.message,
            // SAFETY: within `control`: behind the header there is room for a descriptor.
            number: unsafe { libc::CMSG_DATA(header) }.cast::<c_int>(),
        }
    }
}

/// How long a descriptor is.
const DESCRIPTOR: u32 = 4;

#[cfg(test)]
mod tests;
