//! Writing without waiting, whatever a descriptor leads to: what has no room now is told as `Errno::AGAIN`.
//!
//! The descriptor's own mode stays as it is: others may hold the same open file, and rely on it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};
use rustix::io::{Errno, IoSlice, ReadWriteFlags, pwritev2, write};
use rustix::net::sockopt::socket_type;
use rustix::net::{SendFlags, SocketType, send};

/// Writes up to this many bytes go into a pipe whole or not at all (`PIPE_BUF`), so lines of several writers do not mix.
pub const WHOLE: usize = 4096;

/// What a descriptor leads to, as far as it matters for writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// A file, or a device that takes what it is given.
    File,
    /// A pipe.
    Pipe,
    /// A connected socket, such as the journal's.
    Socket,
    /// A socket that takes a line at a time, such as the system's log.
    Lines,
    /// A terminal.
    Terminal,
}

impl Nature {
    /// What `fd` leads to.
    pub fn of(fd: BorrowedFd<'_>) -> io::Result<Nature> {
        Ok(match FileType::from_raw_mode(fstat(fd)?.st_mode) {
            FileType::Fifo => Nature::Pipe,
            FileType::Socket if socket_type(fd) == Ok(SocketType::DGRAM) => Nature::Lines,
            FileType::Socket => Nature::Socket,
            FileType::CharacterDevice if rustix::termios::isatty(fd) => Nature::Terminal,
            _ => Nature::File,
        })
    }

    /// Whether there is a reader behind it, who may be slow.
    pub fn has_reader(self) -> bool {
        self != Nature::File
    }
}

/// Writes what goes at once; how many bytes that were. A file is written as always: it takes the bytes or fails.
pub fn write_now(fd: BorrowedFd<'_>, nature: Nature, bytes: &[u8]) -> Result<usize, Errno> {
    match nature {
        Nature::File => write(fd, bytes),
        Nature::Socket => send(fd, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL),
        Nature::Lines => send_line(fd, bytes),
        // Position -1 is the current one. Before Linux 6.4 pipes do not know it, FIFOs never do.
        Nature::Pipe => match pwritev2(fd, &[IoSlice::new(bytes)], u64::MAX, ReadWriteFlags::NOWAIT) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::PERM | Errno::INVAL | Errno::SPIPE) => if_room(fd, bytes),
            result => result,
        },
        Nature::Terminal => if_room(fd, bytes),
    }
}

/// Sends the first line without its end, as one message; how many bytes it had with it.
fn send_line(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
    let end = memchr::memchr(b'\n', bytes);
    let line = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
    let whole = line.len() + usize::from(end.is_some());
    if line.is_empty() {
        return Ok(whole);
    }
    let sent = match send(fd, line, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
        // Its beginning is better than nothing.
        Err(Errno::MSGSIZE) => send(
            fd,
            line.get(..SHORT).unwrap_or(line),
            SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
        ),
        sent => sent,
    };
    match sent {
        Ok(_) => Ok(whole),
        Err(Errno::NOBUFS) => Err(Errno::AGAIN),
        Err(why) => Err(why),
    }
}

/// So much of a line fits into any message (RFC 3164 section 4.1).
const SHORT: usize = 1024;

/// Asks for room before it writes; a pipe that has some takes a piece of [`WHOLE`] bytes.
fn if_room(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
    let piece = bytes.get(..WHOLE).unwrap_or(bytes);
    if has_room(fd) {
        write(fd, piece)
    } else {
        Err(Errno::AGAIN)
    }
}

fn has_room(fd: BorrowedFd<'_>) -> bool {
    let fd = fd.as_fd();
    let mut fds = [PollFd::new(&fd, PollFlags::OUT)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut fds, Some(&now)), Ok(1..))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
    use std::os::unix::net::UnixStream;

    use rustix::fs::{Mode, OFlags};
    use rustix::io::Errno;

    use super::{Nature, WHOLE, write_now};
    use crate::process::seccomp::{Filter, Refused, When};

    /// Fills it; how many bytes it took before it had no room.
    fn fill(fd: BorrowedFd<'_>, put: impl Fn(BorrowedFd<'_>, &[u8]) -> Result<usize, Errno>) -> usize {
        let mut taken = 0;
        loop {
            match put(fd, &[b'x'; WHOLE]) {
                Ok(n) => taken += n,
                Err(why) => {
                    assert_eq!(why, Errno::AGAIN);
                    return taken;
                }
            }
        }
    }

    #[test]
    fn a_line_is_a_message() {
        let (reader, writer) = std::os::unix::net::UnixDatagram::pair().expect("a pair");
        assert_eq!(Nature::of(writer.as_fd()).expect("open"), Nature::Lines);
        let (mut rest, mut sent) = (&b"one\n\ntwo\nthree"[..], Vec::new());
        while !rest.is_empty() {
            let n = write_now(writer.as_fd(), Nature::Lines, rest).expect("there is room");
            sent.push(n);
            rest = &rest[n..];
        }
        assert_eq!(sent, [4, 1, 4, 5]);
        for want in ["one", "two", "three"] {
            let mut buffer = [0; 99];
            let n = reader.recv(&mut buffer).expect("it is there");
            assert_eq!(&buffer[..n], want.as_bytes());
        }
        let full = std::iter::repeat_with(|| write_now(writer.as_fd(), Nature::Lines, b"x\n")).find(Result::is_err);
        assert_eq!(full, Some(Err(Errno::AGAIN)));
        drop(reader);
        assert_eq!(
            write_now(writer.as_fd(), Nature::Lines, b"x\n"),
            Err(Errno::CONNREFUSED)
        );
    }

    #[test]
    fn a_full_pipe_is_not_waited_for() {
        let (_reader, writer) = std::io::pipe().expect("a pipe");
        assert_eq!(Nature::of(writer.as_fd()).expect("open"), Nature::Pipe);
        assert!(fill(writer.as_fd(), |fd, bytes| write_now(fd, Nature::Pipe, bytes)) >= WHOLE);
    }

    /// As on a kernel before 6.4, on one without the call, and under a filter that refuses it.
    #[test]
    fn a_full_pipe_is_not_waited_for_where_the_kernel_must_be_asked_first() {
        for errno in [libc::EOPNOTSUPP, libc::ENOSYS, libc::EPERM] {
            let refused = Refused {
                call: libc::SYS_pwritev2,
                when: When::Always,
                errno,
            };
            let (_reader, writer) = std::io::pipe().expect("a pipe");
            let thread = std::thread::spawn(move || {
                rustix::thread::set_no_new_privs(true).expect("always allowed");
                Filter::refusing(&[refused])
                    .enter()
                    .expect("allowed without new privileges");
                fill(writer.as_fd(), |fd, bytes| write_now(fd, Nature::Pipe, bytes))
            });
            assert!(thread.join().expect("no panic") >= WHOLE, "{errno}");
        }
    }

    #[test]
    fn a_full_fifo_is_not_waited_for() {
        let path = std::env::temp_dir().join(format!("lychgate-fifo-{}", std::process::id()));
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .expect("made");
        let fifo: OwnedFd = rustix::fs::open(&path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).expect("opened");
        std::fs::remove_file(&path).expect("ours");
        assert!(fill(fifo.as_fd(), |fd, bytes| write_now(fd, Nature::Pipe, bytes)) >= WHOLE);
    }

    #[test]
    fn a_full_socket_is_not_waited_for() {
        let (mut reader, writer) = UnixStream::pair().expect("a pair");
        assert_eq!(Nature::of(writer.as_fd()).expect("open"), Nature::Socket);
        let taken = fill(writer.as_fd(), |fd, bytes| write_now(fd, Nature::Socket, bytes));
        drop(writer);
        let mut all = Vec::new();
        reader.read_to_end(&mut all).expect("read");
        assert_eq!(all.len(), taken);
    }

    #[test]
    fn a_reader_that_is_gone_is_an_error() {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        assert_eq!(write_now(writer.as_fd(), Nature::Pipe, b"x"), Err(Errno::PIPE));
    }

    #[test]
    fn devices_are_files() {
        let full = File::options().write(true).open("/dev/full").expect("it is there");
        let nature = Nature::of(full.as_fd()).expect("open");
        assert_eq!((nature, nature.has_reader()), (Nature::File, false));
        assert_eq!(write_now(full.as_fd(), nature, b"x"), Err(Errno::NOSPC));
    }
}
