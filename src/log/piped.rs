//! Lines for a reader that may be slow: a piped log program, a terminal, a socket.
//!
//! Only the writing side; the program is started and watched by the launcher.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

/// How much waits for a slow reader; lines beyond it are dropped and counted.
pub const QUEUE_LIMIT: usize = 256 * 1024;

/// Writes up to this many bytes go into a pipe whole or not at all (`PIPE_BUF`), so lines of several writers do
/// not mix.
const WHOLE: usize = 4096;

/// Who else holds the stream's open file description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// Nobody: it was switched to non-blocking.
    Ours,
    /// Others, who may rely on its mode: it is asked for room before each write.
    Shared,
}

/// Lines that wait for their reader.
#[derive(Debug, Default)]
pub(super) struct Queue {
    bytes: Vec<u8>,
}

/// Switches a descriptor that nobody else uses to non-blocking.
pub(super) fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    let flags = fcntl_getfl(fd)?;
    fcntl_setfl(fd, flags | OFlags::NONBLOCK)?;
    Ok(())
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Writes what waits, then `lines`; what does not go now waits. Returns how many lines were dropped because
    /// the queue is full, and why writing stopped if the reader is gone.
    pub(super) fn write(&mut self, fd: BorrowedFd<'_>, owner: Owner, lines: &[u8]) -> (u64, Option<Errno>) {
        let (sent, mut why) = send(fd, owner, &self.bytes);
        self.bytes.drain(..sent);
        let mut rest = lines;
        if self.bytes.is_empty() && why.is_none() {
            let (sent, stopped) = send(fd, owner, lines);
            rest = &lines[sent..];
            why = stopped;
        }
        (self.keep(rest), why)
    }

    /// Keeps the whole lines of `rest` that there is room for; the number of the others.
    fn keep(&mut self, rest: &[u8]) -> u64 {
        let room = QUEUE_LIMIT.saturating_sub(self.bytes.len());
        let fits = match rest.get(..room) {
            Some(head) => memchr::memrchr(b'\n', head).map_or(0, |end| end + 1),
            None => rest.len(),
        };
        let (kept, dropped) = rest.split_at(fits);
        self.bytes.extend_from_slice(kept);
        super::sink::count_lines(dropped)
    }
}

/// Writes until done or the reader has no room; how much went, and the error if there is no reader.
fn send(fd: BorrowedFd<'_>, owner: Owner, bytes: &[u8]) -> (usize, Option<Errno>) {
    let mut sent = 0;
    while sent < bytes.len() {
        if owner == Owner::Shared && !has_room(fd) {
            break;
        }
        match rustix::io::write(fd, whole_lines(&bytes[sent..])) {
            Ok(0) | Err(Errno::AGAIN) => break,
            Ok(n) => sent += n,
            Err(Errno::INTR) => {}
            Err(why) => return (sent, Some(why)),
        }
    }
    (sent, None)
}

/// As many whole lines as one atomic write takes, or a piece of one that is longer.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    let Some(head) = bytes.get(..WHOLE) else {
        return bytes;
    };
    match memchr::memrchr(b'\n', head) {
        Some(end) => &head[..=end],
        None => head,
    }
}

fn has_room(fd: BorrowedFd<'_>) -> bool {
    let fd = fd.as_fd();
    let mut fds = [PollFd::new(&fd, PollFlags::OUT)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut fds, Some(&now)), Ok(1..))
}
