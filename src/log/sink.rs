//! Where lines go: a file, a program's pipe, standard error, any inherited descriptor.
//!
//! Files are written with one `write` to an `O_APPEND` descriptor for all collected lines; those whose writes take
//! long by a thread of their own; streams without waiting. What cannot be written now waits in a bounded queue. Lines
//! that are lost are counted.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use crate::log::losses::{Due, Report};
use crate::log::outlet::Outlet;
use crate::process::write_now::Nature;

/// One destination of lines. Shared by all threads; each write is whole lines.
#[derive(Debug)]
pub struct Sink {
    name: Box<str>,
    outlet: Arc<Outlet>,
}

/// What became of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// They are written, or wait to be.
    Kept,
    /// Not all of them.
    Lost,
}

/// A write to a file that takes longer makes it a slow one.
const SLOW: Duration = Duration::from_millis(20);

impl Sink {
    /// Opens or creates the file at `path` for appending. A FIFO without a reader is an error, not a wait.
    pub fn open(path: &Path) -> io::Result<Sink> {
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .custom_flags(i32::try_from(flags.bits()).unwrap_or_default())
            .open(path)?;
        Sink::inherited(&path.to_string_lossy(), file.into())
    }

    /// Any descriptor that was handed over; what it is decides how it is written.
    pub fn inherited(name: &str, fd: OwnedFd) -> io::Result<Sink> {
        let nature = Nature::of(fd.as_fd())?;
        Ok(Sink::with(name, fd, nature, SLOW))
    }

    fn with(name: &str, fd: OwnedFd, nature: Nature, slow: Duration) -> Sink {
        Sink {
            name: name.into(),
            outlet: Arc::new(Outlet::new(fd, nature, slow)),
        }
    }

    /// What the sink is called in messages: its path or program.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Goes on into another open file: the log was moved away, and this is the new one of its name.
    pub fn reopen(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.outlet.reopen(fd)
    }

    /// How many bytes its file has; zero for what is no file.
    pub fn size(&self) -> u64 {
        self.outlet.size()
    }

    /// Writes whole lines, each with its end. Those that are lost are counted.
    pub fn write(&self, lines: &[u8]) -> Fate {
        if lines.is_empty() {
            return Fate::Kept;
        }
        match self.outlet.put(lines) {
            None => Fate::Kept,
            Some((lost, cause)) => {
                self.outlet.losses.add(lost, cause);
                Fate::Lost
            }
        }
    }

    /// Writes what waits for a slow reader, if anything does. To be called now and then, or lines that wait are
    /// written with the next ones only.
    pub fn write_waiting(&self) {
        self.outlet.put_waiting();
    }

    /// Waits until nothing waits any more, or until the time given, which may change; what is left then is lost and counted.
    /// For the end of the process.
    pub fn finish(&self, until: &dyn Fn() -> Instant) {
        self.outlet.finish(until);
    }

    /// How many lines were lost so far.
    pub fn lost(&self) -> u64 {
        self.outlet.losses.lost()
    }

    /// Whether there are losses that were not told yet.
    pub fn owes_report(&self) -> bool {
        self.outlet.losses.owe_report()
    }

    /// A sentence about the lines lost since the last one that arrived, once a minute at most.
    pub fn loss_report(&self, now: Instant) -> Option<Report> {
        self.outlet.losses.report(&self.name, Due::EveryMinute(now))
    }

    /// The same at the end of the process, whenever the last one was.
    pub fn last_report(&self) -> Option<Report> {
        self.outlet.losses.report(&self.name, Due::Now)
    }

    /// Writes a report of a sink's losses, this one's or another's; one that does not arrive comes again.
    pub fn tell(&self, line: &[u8], report: &Report, of: &Sink) {
        // A report that is lost is no line of anybody's, and so not counted.
        if line.is_empty() || self.outlet.put(line).is_none() {
            of.outlet.losses.told(report);
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.outlet.close();
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
    use crate::log::queue::QUEUE_LIMIT;

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
        assert_eq!(one.size(), u64::try_from(text.len()).expect("small"));
    }

    #[test]
    fn a_full_disk_costs_lines_and_is_reported_once_a_minute() {
        let sink = Sink::open(Path::new("/dev/full")).expect("opened");
        let now = Instant::now();
        sink.write(b"a\nb\n");
        let report = |at| {
            let report = sink.loss_report(at)?;
            sink.tell(b"", &report, &sink);
            Some(report.text)
        };
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
        let sink = Sink::inherited("slow", writer.into()).expect("a stream");
        let line = [&[b'x'; 999][..], b"\n"].concat();
        let (mut fit, total) = (0, 2000);
        for _ in 0..total {
            sink.write(&line);
        }
        let lost = sink.lost();
        assert!(lost > 0 && lost < total);
        let report = sink.loss_report(Instant::now()).expect("lines were lost").text;
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
    fn a_reader_that_is_gone_is_told_in_the_report() {
        let (reader, writer) = pipe().expect("a pipe");
        let sink = Sink::inherited("gone", writer.into()).expect("a stream");
        drop(reader);
        for _ in 0..300 {
            sink.write(&[&[b'x'; 999][..], b"\n"].concat());
        }
        let report = sink.loss_report(Instant::now()).expect("lines were lost").text;
        assert_eq!(report, format!("log `gone`: {} lines lost: Broken pipe", sink.lost()));
    }

    #[test]
    fn lines_are_counted_with_the_open_one() {
        for (bytes, want) in [(&b""[..], 0), (b"a", 1), (b"a\n", 1), (b"a\nb", 2), (b"\n\n", 2)] {
            assert_eq!(count_lines(bytes), want);
        }
    }
}
