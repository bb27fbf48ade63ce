//! Where lines go: a file, a program's pipe, standard error, any inherited descriptor.
//!
//! Files are written with one `write` to an `O_APPEND` descriptor for all the lines of a turn; streams without
//! blocking, with a bounded queue. Lines that cannot be written are counted.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{FileType, OFlags, fstat};
use rustix::io::Errno;

use crate::log::piped::{self, Owner, Queue};
use crate::process::replace::replace;

/// How often a sink's losses are reported.
const REPORT_EVERY: Duration = Duration::from_secs(60);

/// One destination of lines. Shared by all threads; each write is whole lines.
#[derive(Debug)]
pub struct Sink {
    name: Box<str>,
    fd: OwnedFd,
    kind: Kind,
    /// The last write of a file stopped inside a line, which the next one must end.
    cut: AtomicBool,
    lost: AtomicU64,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    File,
    Stream(Owner),
}

#[derive(Debug, Default)]
struct State {
    queue: Queue,
    reported: u64,
    reported_at: Option<Instant>,
    why: Option<Errno>,
}

impl Sink {
    /// Opens or creates the file at `path` for appending. A FIFO without a reader is an error, not a wait.
    pub fn open(path: &Path) -> io::Result<Sink> {
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .custom_flags(i32::try_from(flags.bits()).unwrap_or_default())
            .open(path)?;
        let mut sink = Sink::inherited(&path.to_string_lossy(), file.into())?;
        if sink.kind != Kind::File {
            sink.kind = Kind::Stream(Owner::Ours);
        }
        Ok(sink)
    }

    /// The writing end of a program's pipe, which only this server's processes hold.
    pub fn program(name: &str, pipe: OwnedFd) -> io::Result<Sink> {
        piped::set_nonblocking(pipe.as_fd())?;
        Ok(Sink::new(name, pipe, Kind::Stream(Owner::Ours)))
    }

    /// Any descriptor that was handed over; what it is decides how it is written.
    pub fn inherited(name: &str, fd: OwnedFd) -> io::Result<Sink> {
        let kind = match FileType::from_raw_mode(fstat(&fd)?.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::CharacterDevice if !rustix::termios::isatty(&fd) => Kind::File,
            _ => Kind::Stream(Owner::Shared),
        };
        Ok(Sink::new(name, fd, kind))
    }

    /// A copy of the process's standard error.
    pub fn stderr() -> io::Result<Sink> {
        Sink::inherited("standard error", io::stderr().as_fd().try_clone_to_owned()?)
    }

    fn new(name: &str, fd: OwnedFd, kind: Kind) -> Sink {
        Sink {
            name: name.into(),
            fd,
            kind,
            cut: AtomicBool::new(false),
            lost: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    /// What the sink is called in messages: its path or program.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Goes on into another open file: the log was moved away, and this is the new one of its name.
    pub fn reopen(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        replace(self.fd.as_fd(), fd)
    }

    /// Writes whole lines, each with its end.
    pub fn write(&self, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        match self.kind {
            Kind::File => self.append(lines),
            Kind::Stream(owner) => self.stream(owner, lines),
        }
    }

    /// Writes what waits for a slow reader, if anything does. To be called now and then, or lines that wait are
    /// written with the next ones only.
    pub fn write_waiting(&self) {
        if let Kind::Stream(owner) = self.kind
            && !self.state().queue.is_empty()
        {
            self.stream(owner, b"");
        }
    }

    /// How many lines were lost so far.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// A sentence about the lines lost since the last one, once a minute at most.
    pub fn loss_report(&self, now: Instant) -> Option<String> {
        let lost = self.lost();
        if lost == 0 {
            return None;
        }
        let mut state = self.state();
        let since = lost.checked_sub(state.reported).filter(|since| *since > 0)?;
        if state
            .reported_at
            .is_some_and(|at| now.saturating_duration_since(at) < REPORT_EVERY)
        {
            return None;
        }
        state.reported = lost;
        state.reported_at = Some(now);
        let lines = if since == 1 { "line" } else { "lines" };
        let why = state.why.take().map_or_else(
            || "the reader is too slow".to_owned(),
            |why| strerror(&io::Error::from(why)),
        );
        Some(format!("log `{}`: {since} {lines} lost: {why}", self.name))
    }

    fn append(&self, lines: &[u8]) {
        let mut rest = lines;
        if self.cut.load(Ordering::Relaxed) && rustix::io::write(&self.fd, b"\n").is_ok() {
            self.cut.store(false, Ordering::Relaxed);
        }
        while !rest.is_empty() {
            match rustix::io::write(&self.fd, rest) {
                Ok(0) => return self.lose(rest, Errno::IO),
                Ok(n) => rest = rest.get(n..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(why) => {
                    if rest.len() < lines.len() && !lines[..lines.len() - rest.len()].ends_with(b"\n") {
                        self.cut.store(true, Ordering::Relaxed);
                    }
                    return self.lose(rest, why);
                }
            }
        }
    }

    #[cold]
    fn lose(&self, lines: &[u8], why: Errno) {
        self.lost.fetch_add(count_lines(lines), Ordering::Relaxed);
        self.state().why = Some(why);
    }

    fn stream(&self, owner: Owner, lines: &[u8]) {
        let mut state = self.state();
        let (dropped, why) = state.queue.write(self.fd.as_fd(), owner, lines);
        if why.is_some() {
            state.why = why;
        }
        self.lost.fetch_add(dropped, Ordering::Relaxed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many lines `bytes` touches: the last need not have its end.
pub(super) fn count_lines(bytes: &[u8]) -> u64 {
    let ends = memchr::memchr_iter(b'\n', bytes).count();
    let open = usize::from(!bytes.is_empty() && !bytes.ends_with(b"\n"));
    u64::try_from(ends + open).unwrap_or(u64::MAX)
}

/// The system's words for an error, without Rust's number behind them.
pub(super) fn strerror(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, pipe};
    use std::path::Path;
    use std::time::{Duration, Instant};

    use super::{Sink, count_lines};
    use crate::log::piped::QUEUE_LIMIT;

    #[test]
    fn files_are_appended_to() {
        let dir = std::env::temp_dir().join(format!("lychgate-sink-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory of our own");
        let path = dir.join("access_log");
        std::fs::write(&path, "old\n").expect("written");
        let (one, two) = (Sink::open(&path).expect("opened"), Sink::open(&path).expect("opened"));
        one.write(b"a\nb\n");
        two.write(b"c\n");
        one.write(b"d\n");
        one.write(b"");
        let text = std::fs::read_to_string(&path).expect("read");
        std::fs::remove_dir_all(&dir).expect("removed");
        assert_eq!(text, "old\na\nb\nc\nd\n");
        assert_eq!(one.lost(), 0);
        assert_eq!(one.loss_report(Instant::now()), None);
    }

    #[test]
    fn a_full_disk_costs_lines_and_is_reported_once_a_minute() {
        let sink = Sink::open(Path::new("/dev/full")).expect("opened");
        let now = Instant::now();
        sink.write(b"a\nb\n");
        let report = |at| sink.loss_report(at);
        assert_eq!(
            report(now).as_deref(),
            Some("log `/dev/full`: 2 lines lost: No space left on device")
        );
        assert_eq!(report(now + Duration::from_secs(120)), None);
        sink.write(b"c\n");
        assert_eq!(report(now + Duration::from_secs(59)), None);
        assert_eq!(
            report(now + Duration::from_secs(60)).as_deref(),
            Some("log `/dev/full`: 1 line lost: No space left on device")
        );
        assert_eq!(sink.lost(), 3);
    }

    #[test]
    fn a_slow_program_costs_lines_but_never_waits() {
        let (mut reader, writer) = pipe().expect("a pipe");
        let sink = Sink::program("slow", writer.into()).expect("non-blocking");
        let line = [&[b'x'; 999][..], b"\n"].concat();
        let (mut fit, total) = (0, 2000);
        for _ in 0..total {
            sink.write(&line);
        }
        let lost = sink.lost();
        assert!(lost > 0 && lost < total);
        let report = sink.loss_report(Instant::now()).expect("lines were lost");
        assert_eq!(report, format!("log `slow`: {lost} lines lost: the reader is too slow"));
        // Everything that was not lost arrives whole once the reader reads.
        let mut buffer = vec![0; QUEUE_LIMIT];
        while fit < (total - lost) * 1000 {
            let n = reader.read(&mut buffer).expect("read");
            assert!(buffer[..n].iter().all(|b| *b == b'x' || *b == b'\n'));
            fit += u64::try_from(n).expect("small");
            sink.write_waiting();
        }
        assert_eq!(fit, (total - lost) * 1000);
    }

    #[test]
    fn a_shared_pipe_is_never_waited_for() {
        let (_reader, writer) = pipe().expect("a pipe");
        let sink = Sink::inherited("shared", writer.into()).expect("a stream");
        for _ in 0..600 {
            sink.write(&[&[b'x'; 999][..], b"\n"].concat());
        }
        assert!(sink.lost() > 0);
    }

    #[test]
    fn a_reader_that_is_gone_is_told_in_the_report() {
        let (reader, writer) = pipe().expect("a pipe");
        let sink = Sink::program("gone", writer.into()).expect("non-blocking");
        drop(reader);
        for _ in 0..300 {
            sink.write(&[&[b'x'; 999][..], b"\n"].concat());
        }
        let report = sink.loss_report(Instant::now()).expect("lines were lost");
        assert_eq!(report, format!("log `gone`: {} lines lost: Broken pipe", sink.lost()));
    }

    #[test]
    fn lines_are_counted_with_the_open_one() {
        for (bytes, want) in [(&b""[..], 0), (b"a", 1), (b"a\n", 1), (b"a\nb", 2), (b"\n\n", 2)] {
            assert_eq!(count_lines(bytes), want);
        }
    }
}
