//! Lines that wait: for a reader that may be slow (a piped log program, a terminal, a socket), or for a slow file's thread.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use crate::log::sink::count_lines;
use crate::process::write_now::{Nature, WHOLE, write_now};

/// How many bytes wait for a slow reader; lines beyond it are dropped and counted.
pub const QUEUE_LIMIT: usize = 256 * 1024;

/// The same for a slow file, whose disk may have a lot to do.
pub const FILE_QUEUE_LIMIT: usize = 1024 * 1024;

/// Lines that wait, in order.
#[derive(Debug, Default)]
pub(super) struct Queue {
    bytes: Vec<u8>,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// All that waits; `spare` is its empty successor.
    pub(super) fn take(&mut self, spare: Vec<u8>) -> Vec<u8> {
        std::mem::replace(&mut self.bytes, spare)
    }

    /// Writes what waits, then `lines`; what does not go now waits. Returns how many lines were dropped because
    /// the queue is full, and why writing stopped if the reader is gone.
    pub(super) fn write(&mut self, fd: BorrowedFd<'_>, nature: Nature, lines: &[u8]) -> (u64, Option<Errno>) {
        let (sent, mut why) = send(fd, nature, &self.bytes);
        self.bytes.drain(..sent);
        let mut rest = lines;
        if self.bytes.is_empty() && why.is_none() {
            let (sent, stopped) = send(fd, nature, lines);
            rest = lines.get(sent..).unwrap_or_default();
            why = stopped;
        }
        (self.keep(rest, QUEUE_LIMIT), why)
    }

    /// Keeps the whole lines of `rest` that there is room for; the number of the others.
    pub(super) fn keep(&mut self, rest: &[u8], limit: usize) -> u64 {
        let room = limit.saturating_sub(self.bytes.len());
        let fits = match rest.get(..room) {
            Some(head) => memchr::memrchr(b'\n', head).map_or(0, |end| end + 1),
            None => rest.len(),
        };
        let (kept, dropped) = rest.split_at(fits);
        self.bytes.extend_from_slice(kept);
        count_lines(dropped)
    }
}

/// Writes until done or the reader has no room; how much went, and the error if there is no reader.
fn send(fd: BorrowedFd<'_>, nature: Nature, bytes: &[u8]) -> (usize, Option<Errno>) {
    let mut sent = 0;
    while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
        let piece = if nature == Nature::Lines {
            rest
        } else {
            whole_lines(rest)
        };
        match write_now(fd, nature, piece) {
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
