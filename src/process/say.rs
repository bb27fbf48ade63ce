//! Lines from the launcher and the spawner for the administrator: on stderr, which is the main error log once it is
//! open, in the shape of Apache's error log.
//!
//! Whoever reads the log may be slow, stopped, or a program that the launcher itself is to start again: nobody waits for it.
//! Lines that find no room wait here, and are counted beyond a bound.

use std::cell::Cell;
use std::os::fd::BorrowedFd;
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;

use super::write_now::{Nature, write_now};

/// How many bytes of lines wait for a reader without room.
const LIMIT: usize = 16 * 1024;

use crate::base::syslog::Header;
use crate::base::zone;

/// How much a line matters; Apache's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Something that goes on all the same, but should not have happened.
    Error,
    /// Something to look at.
    Warning,
    /// Something that happens now and then in a healthy life.
    Notice,
}

/// Writes one line for `role` (`launcher`, `spawner`).
pub fn say(role: &str, weight: Weight, what: &str) {
    let line = line(role, weight, what);
    let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
    waiting.put(rustix::stdio::stderr(), role, line.as_bytes());
}

/// Complaints about somebody who may give cause for any number of them: the first are said, the others are not worth a disk.
#[derive(Debug, Default)]
pub struct Complaints(Cell<u32>);

/// So many are said.
const MOST_COMPLAINTS: u32 = 20;

impl Complaints {
    /// Says it as an error, unless enough was said.
    pub fn say(&self, role: &str, what: &str) {
        if let Some(line) = self.line(what) {
            say(role, Weight::Error, &line);
        }
    }

    fn line(&self, what: &str) -> Option<String> {
        let before = self.0.get();
        self.0.set(before.saturating_add(1));
        match before {
            0..MOST_COMPLAINTS => Some(what.to_owned()),
            MOST_COMPLAINTS => Some(format!("{what}; what follows of the same kind is not told")),
            _ => None,
        }
    }
}

/// Writes the lines that found no room before, if there are any. To be called now and then.
pub fn say_waiting(role: &str) {
    let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
    if !waiting.lines.is_empty() || waiting.lost > 0 {
        waiting.put(rustix::stdio::stderr(), role, b"");
    }
}

static WAITING: Mutex<Waiting> = Mutex::new(Waiting {
    lines: Vec::new(),
    lost: 0,
});

/// Lines without room, and how many had none even here.
struct Waiting {
    lines: Vec<u8>,
    lost: u64,
}

impl Waiting {
    fn put(&mut self, fd: BorrowedFd<'_>, role: &str, line: &[u8]) {
        self.send(fd);
        if self.lines.is_empty() && self.lost > 0 {
            let lost = std::mem::take(&mut self.lost);
            let lines = if lost == 1 { "line" } else { "lines" };
            let told = format!("{lost} {lines} of the {role} were lost here");
            self.lines.extend(self::line(role, Weight::Error, &told).bytes());
            self.send(fd);
            if self.lost > 0 {
                self.lost = lost;
            }
        }
        if self.lines.len() < LIMIT {
            self.lines.extend_from_slice(line);
            self.send(fd);
        } else if !line.is_empty() {
            self.lost += 1;
        }
    }

    /// Writes what goes. What a full disk does not take is lost at once: nothing tells when it has room again.
    fn send(&mut self, fd: BorrowedFd<'_>) {
        let nature = Nature::of(fd).unwrap_or(Nature::File);
        let mut sent = 0;
        while let Some(rest) = self.lines.get(sent..).filter(|rest| !rest.is_empty()) {
            match write_now(fd, nature, rest) {
                Ok(n) if n > 0 => sent += n,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                // The system's log is started again.
                Err(_) if nature == Nature::Lines => break,
                Ok(_) | Err(_) => {
                    let ends = memchr::memchr_iter(b'\n', rest).count();
                    self.lost += u64::try_from(ends).unwrap_or(u64::MAX);
                    sent = self.lines.len();
                }
            }
        }
        self.lines.drain(..sent);
    }
}

/// From now on lines are for the system's log, which standard error is then, or are as usual.
pub fn say_to(system_log: Option<Header>) {
    *SYSTEM_LOG.lock().unwrap_or_else(PoisonError::into_inner) = system_log;
}

static SYSTEM_LOG: Mutex<Option<Header>> = Mutex::new(None);

fn line(role: &str, weight: Weight, what: &str) -> String {
    let (weight, severity) = match weight {
        Weight::Error => ("error", 3),
        Weight::Warning => ("warn", 4),
        Weight::Notice => ("notice", 5),
    };
    if let Some(header) = &*SYSTEM_LOG.lock().unwrap_or_else(PoisonError::into_inner) {
        let mut line = Vec::new();
        header.append(severity, &mut line);
        let what: String = what.chars().flat_map(escaped).collect();
        let line = String::from_utf8_lossy(&line);
        return format!("{line}[{role}:{weight}] [pid {}] {what}\n", std::process::id());
    }
    let time = jiff::Timestamp::now()
        .to_zoned(zone::local())
        .strftime("%a %b %d %H:%M:%S%.6f %Y");
    let what: String = what.chars().flat_map(escaped).collect();
    format!("[{time}] [{role}:{weight}] [pid {}] {what}\n", std::process::id())
}

/// Control characters would forge lines or steer a terminal.
fn escaped(c: char) -> Box<dyn Iterator<Item = char>> {
    if c.is_control() {
        Box::new(c.escape_default())
    } else {
        Box::new(std::iter::once(c))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::AsFd;

    use super::{LIMIT, Waiting};

    /// Without their dates and process ids.
    fn texts(lines: &str) -> Vec<&str> {
        lines
            .lines()
            .map(|line| line.rsplit("] ").next().unwrap_or(line))
            .collect()
    }

    #[test]
    fn lines_wait_for_a_reader_without_room_and_are_counted_beyond_a_bound() {
        let (mut reader, writer) = std::io::pipe().expect("a pipe");
        let mut waiting = Waiting {
            lines: Vec::new(),
            lost: 0,
        };
        let line = [&[b'x'; 999][..], b"\n"].concat();
        let mut said: u64 = 0;
        while waiting.lost < 5 {
            waiting.put(writer.as_fd(), "launcher", &line);
            said += 1;
        }
        assert!(waiting.lines.len() >= LIMIT);
        let mut all = String::new();
        let mut buffer = vec![0; 100_000];
        while !waiting.lines.is_empty() || waiting.lost > 0 {
            let n = reader.read(&mut buffer).expect("read");
            all.push_str(std::str::from_utf8(&buffer[..n]).expect("ASCII"));
            waiting.put(writer.as_fd(), "launcher", b"");
        }
        waiting.put(writer.as_fd(), "launcher", b"the last\n");
        drop(writer);
        reader.read_to_string(&mut all).expect("read");
        let texts = texts(&all);
        let whole = texts.iter().filter(|text| text.len() == 999).count();
        assert_eq!(u64::try_from(whole), Ok(said - 5));
        assert_eq!(texts[whole..], ["5 lines of the launcher were lost here", "the last"]);
    }

    #[test]
    fn lines_for_a_full_disk_are_counted() {
        let full = File::options().write(true).open("/dev/full").expect("it is there");
        let mut waiting = Waiting {
            lines: Vec::new(),
            lost: 0,
        };
        for n in 1..4 {
            waiting.put(full.as_fd(), "launcher", b"a line\n");
            assert_eq!(waiting.lost, n);
        }
        let (mut reader, writer) = std::io::pipe().expect("a pipe");
        waiting.put(writer.as_fd(), "spawner", b"");
        drop(writer);
        let mut all = String::new();
        reader.read_to_string(&mut all).expect("read");
        assert_eq!(texts(&all), ["3 lines of the spawner were lost here"]);
    }

    #[test]
    fn the_first_complaints_are_said_and_no_more() {
        let complaints = super::Complaints::default();
        let said: Vec<String> = (0..1000).filter_map(|_| complaints.line("odd")).collect();
        assert_eq!(said.len(), 21);
        assert_eq!(said.first().map(String::as_str), Some("odd"));
        assert_eq!(
            said.last().map(String::as_str),
            Some("odd; what follows of the same kind is not told")
        );
    }
}
