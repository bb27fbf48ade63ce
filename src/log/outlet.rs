//! An open log and what waits for it.
//!
//! A file is written by whoever has lines for it, one at a time: lines that come meanwhile wait for the writer, which
//! takes them along, so that nobody stands behind somebody else's write. A write that took long makes a thread for this file,
//! which writes it until it is quick again.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::losses::{Cause, Losses};
use super::queue::{FILE_QUEUE_LIMIT, Queue};
use super::sink::count_lines;
use crate::process::replace::replace;
use crate::process::write_now::Nature;

/// The descriptor, shared by the sink and the thread that a slow file has.
#[derive(Debug)]
pub(super) struct Outlet {
    fd: OwnedFd,
    /// A write to a file that takes longer than this is slow.
    slow: Duration,
    pub(super) losses: Losses,
    /// The last write of a file stopped inside a line, which the next one must end.
    cut: AtomicBool,
    /// Lines wait for a reader.
    waits: AtomicBool,
    state: Mutex<State>,
    /// Lines came for a slow file's thread, or the sink is gone.
    came: Condvar,
    /// A writer has written what it had.
    wrote: Condvar,
}

#[derive(Debug)]
struct State {
    nature: Nature,
    queue: Queue,
    writer: Writer,
    /// A writer is at work, with lines that are no longer in the queue.
    writing: bool,
    /// Somebody waits for the end of all writing.
    awaited: bool,
    /// Why a stream took nothing at the last try, if it never will.
    broken: Option<Errno>,
    /// The sink is gone.
    closed: bool,
}

/// Who writes a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writer {
    /// Whoever has lines next.
    Anybody,
    /// Someone who had lines, and takes along those that come meanwhile.
    Somebody,
    /// A thread of its own.
    Thread,
}

/// How a write went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    Quick,
    Slow,
}

/// Lines lost, and why.
type Loss = Option<(u64, Cause)>;

impl Outlet {
    pub(super) fn new(fd: OwnedFd, nature: Nature, slow: Duration) -> Outlet {
        Outlet {
            fd,
            slow,
            losses: Losses::default(),
            cut: AtomicBool::new(false),
            waits: AtomicBool::new(false),
            state: Mutex::new(State {
                nature,
                queue: Queue::default(),
                writer: Writer::Anybody,
                writing: false,
                awaited: false,
                broken: None,
                closed: false,
            }),
            came: Condvar::new(),
            wrote: Condvar::new(),
        }
    }

    pub(super) fn reopen(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        let nature = Nature::of(fd)?;
        let mut state = self.state();
        replace(self.fd.as_fd(), fd)?;
        state.nature = nature;
        state.broken = None;
        self.cut.store(false, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn size(&self) -> u64 {
        let size = rustix::fs::fstat(&self.fd).map_or(0, |stat| stat.st_size);
        u64::try_from(size).unwrap_or(0)
    }

    /// Writes lines, or lets them wait; those that are lost are the caller's to count.
    pub(super) fn put(self: &Arc<Outlet>, lines: &[u8]) -> Loss {
        let mut state = self.state();
        if state.nature.has_reader() && state.writer == Writer::Anybody {
            return self.send(&mut state, lines);
        }
        if state.writer != Writer::Anybody {
            let dropped = state.queue.keep(lines, FILE_QUEUE_LIMIT);
            self.came.notify_one();
            return (dropped > 0).then_some((dropped, Cause::SlowFile));
        }
        state.writer = Writer::Somebody;
        state.writing = true;
        if state.queue.is_empty() {
            drop(state);
            let (pace, loss) = self.append(lines);
            self.take_along(pace);
            return loss;
        }
        // Left from the time when it was a stream.
        let dropped = state.queue.keep(lines, FILE_QUEUE_LIMIT);
        drop(state);
        self.take_along(Pace::Quick);
        (dropped > 0).then_some((dropped, Cause::SlowFile))
    }

    pub(super) fn put_waiting(self: &Arc<Outlet>) {
        if self.waits.load(Ordering::Relaxed)
            && let Some((lost, cause)) = self.put(b"")
        {
            self.losses.add(lost, cause);
        }
    }

    /// Waits until all is written, or until the time given, which may change.
    pub(super) fn finish(self: &Arc<Outlet>, until: &dyn Fn() -> Instant) {
        loop {
            self.put_waiting();
            let mut state = self.state();
            if state.queue.is_empty() && !state.writing {
                return;
            }
            let left = until().saturating_duration_since(Instant::now()).min(TICK);
            if left.is_zero() || state.broken.is_some() {
                let rest = state.queue.take(Vec::new());
                let cause = state.broken.map_or(cause_of(state.nature), Cause::System);
                return self.losses.add(count_lines(&rest), cause);
            }
            if state.nature.has_reader() && !state.writing {
                drop(state);
                wait_for_room(self.fd.as_fd(), left);
            } else {
                state.awaited = true;
                // Whatever woke us, we look again.
                let _woken = self.wrote.wait_timeout(state, left);
            }
        }
    }

    /// No lines will come any more: a thread ends when it has written what there is.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.came.notify_one();
    }

    fn send(&self, state: &mut State, lines: &[u8]) -> Loss {
        let (dropped, why) = state.queue.write(self.fd.as_fd(), state.nature, lines);
        self.waits.store(!state.queue.is_empty(), Ordering::Relaxed);
        state.broken = why;
        (dropped > 0).then_some((dropped, why.map_or(Cause::SlowReader, Cause::System)))
    }

    /// After a write of ours: what came meanwhile is written too, by us or, if the file is slow, by a thread of its own.
    fn take_along(self: &Arc<Outlet>, mut pace: Pace) {
        let mut batch = Vec::new();
        loop {
            let mut state = self.state();
            self.wrote(&mut state);
            if pace == Pace::Slow && self.start_thread() {
                state.writer = Writer::Thread;
                return;
            }
            if state.queue.is_empty() {
                state.writer = Writer::Anybody;
                self.waits.store(false, Ordering::Relaxed);
                return;
            }
            batch.clear();
            batch = state.queue.take(batch);
            state.writing = true;
            drop(state);
            pace = self.append_and_count(&batch);
        }
    }

    /// A writer has written what it took.
    fn wrote(&self, state: &mut State) {
        state.writing = false;
        if state.awaited {
            state.awaited = false;
            self.wrote.notify_all();
        }
    }

    /// Starts the thread of a slow file, which waits for the lock that the caller has.
    #[cold]
    fn start_thread(self: &Arc<Outlet>) -> bool {
        let outlet = Arc::clone(self);
        let thread = std::thread::Builder::new().name("slow log".into());
        // Without a thread it is written as before.
        thread.spawn(move || outlet.write_alone()).is_ok()
    }

    /// A slow file's thread: ends when a write was quick and nothing waits.
    fn write_alone(&self) {
        let mut pace = Pace::Slow;
        let mut batch = Vec::new();
        loop {
            let mut state = self.state();
            self.wrote(&mut state);
            while state.queue.is_empty() {
                if pace == Pace::Quick || state.closed {
                    state.writer = Writer::Anybody;
                    return;
                }
                state = self.came.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            batch.clear();
            batch = state.queue.take(batch);
            state.writing = true;
            drop(state);
            pace = self.append_and_count(&batch);
        }
    }

    fn append_and_count(&self, lines: &[u8]) -> Pace {
        let (pace, loss) = self.append(lines);
        if let Some((lost, cause)) = loss {
            self.losses.add(lost, cause);
        }
        pace
    }

    fn append(&self, lines: &[u8]) -> (Pace, Loss) {
        let started = Instant::now();
        let (rest, why) = self.write_all(lines);
        let pace = if started.elapsed() > self.slow {
            Pace::Slow
        } else {
            Pace::Quick
        };
        if rest.is_empty() {
            return (pace, None);
        }
        let inside = |written: &[u8]| !written.is_empty() && !written.ends_with(b"\n");
        if lines.strip_suffix(rest).is_some_and(inside) {
            self.cut.store(true, Ordering::Relaxed);
        }
        (pace, Some((count_lines(rest), Cause::System(why))))
    }

    /// What of it could not be written, and why.
    fn write_all<'l>(&self, lines: &'l [u8]) -> (&'l [u8], Errno) {
        if self.cut.load(Ordering::Relaxed) && rustix::io::write(&self.fd, b"\n").is_ok() {
            self.cut.store(false, Ordering::Relaxed);
        }
        let mut rest = lines;
        while !rest.is_empty() {
            match rustix::io::write(&self.fd, rest) {
                Ok(0) => return (rest, Errno::IO),
                Ok(n) => rest = rest.get(n..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(why) => return (rest, why),
            }
        }
        (rest, Errno::IO)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cause_of(nature: Nature) -> Cause {
    if nature.has_reader() {
        Cause::SlowReader
    } else {
        Cause::SlowFile
    }
}

/// How often a wait for the end looks at its time again.
const TICK: Duration = Duration::from_millis(100);

/// Waits until a stream takes more, or the time is over.
fn wait_for_room(fd: BorrowedFd<'_>, left: Duration) {
    let mut fds = [PollFd::new(&fd, PollFlags::OUT)];
    let limit = Timespec {
        tv_sec: left.as_secs().cast_signed(),
        tv_nsec: left.subsec_nanos().into(),
    };
    // Whatever ended it, the caller looks again.
    let _looked = poll(&mut fds, Some(&limit));
}

#[cfg(test)]
mod tests;
