//! The answer to a command that asked a launcher for something by a signal: what came of it.
//!
//! A signal tells who sent it, and nothing goes back. So the one who asks listens on a socket of the name
//! `lychgate/PID` (unix(7), abstract), PID being its own number, and the launcher connects there once it knows. Each looks whether the
//! other end is the process it takes it for. Whoever sends the signal with kill(1) has no such socket and hears nothing.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::time::{Duration, Instant};

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

use super::pidfd::Pidfd;

/// The ear of the one who asks.
#[derive(Debug)]
pub struct Ear(UnixListener);

/// What came of what was asked for; the error is for people.
pub type Answer = Result<(), String>;

impl Ear {
    /// Listens; to be called before the signal is sent.
    pub fn open() -> io::Result<Ear> {
        let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(name(std::process::id()))?)?;
        listener.set_nonblocking(true)?;
        Ok(Ear(listener))
    }

    /// Waits for the answer of this process. `None` when it ends, or the time is over, without one.
    pub fn hear(&self, pid: i32, process: &Pidfd, limit: Duration) -> io::Result<Option<Answer>> {
        let until = Instant::now() + limit;
        loop {
            match self.0.accept() {
                Ok((stream, _)) if is_peer(stream.as_fd(), pid) => return read(stream, until).map(Some),
                Ok(_) => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || process.ends_within(Duration::ZERO)? {
                return Ok(None);
            }
            let limit = Timespec {
                tv_sec: left.as_secs().cast_signed(),
                tv_nsec: left.subsec_nanos().into(),
            };
            let mut polled = [PollFd::new(&self.0, PollFlags::IN), PollFd::new(process, PollFlags::IN)];
            rustix::io::retry_on_intr(|| rustix::event::poll(&mut polled, Some(&limit)))?;
        }
    }
}

/// Tells the process that asked, if it listens; it is waited for in no case.
pub fn tell(pid: u32, answer: &Answer) {
    let text = match answer {
        Ok(()) => "+".to_owned(),
        Err(error) => format!("-{error}"),
    };
    let text = text.as_bytes();
    // Most who send signals do not listen, and the error log has it all.
    let _unheard = connect(pid).and_then(|socket| {
        let text = text.get(..LONGEST).unwrap_or(text);
        Ok(rustix::net::send(
            &socket,
            text,
            SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
        )?)
    });
}

fn connect(pid: u32) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new_abstract_name(name(pid).as_bytes())?)?;
    if is_peer(socket.as_fd(), i32::try_from(pid).unwrap_or(0)) {
        Ok(socket)
    } else {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

/// The longest answer; what is beyond is in the error log.
const LONGEST: usize = 16 * 1024;

fn name(pid: u32) -> String {
    format!("lychgate/{pid}")
}

fn is_peer(socket: std::os::fd::BorrowedFd<'_>, pid: i32) -> bool {
    // Of another pid namespace its number is 0, which nobody has.
    getsockopt(&socket, PeerCredentials).is_ok_and(|peer| pid != 0 && peer.pid() == pid)
}

fn read(mut stream: UnixStream, until: Instant) -> io::Result<Answer> {
    let left = until.saturating_duration_since(Instant::now());
    stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text)?;
    match text.split_first() {
        Some((b'+', _)) => Ok(Ok(())),
        Some((b'-', error)) => Ok(Err(String::from_utf8_lossy(error).into_owned())),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// For tests: a process can have one ear at a time.
#[cfg(test)]
pub(crate) static ONE_EAR: std::sync::Mutex<()> = std::sync::Mutex::new(());

#[cfg(test)]
mod tests {
    use std::sync::PoisonError;
    use std::time::Duration;

    use super::{Ear, ONE_EAR, tell};
    use crate::process::pidfd::Pidfd;

    #[test]
    fn who_listens_hears_the_answer() {
        let _alone = ONE_EAR.lock().unwrap_or_else(PoisonError::into_inner);
        let ear = Ear::open().expect("nobody else has our number");
        let pid = std::process::id();
        let own = i32::try_from(pid).expect("small");
        let process = Pidfd::open(own).expect("it is us");
        tell(1, &Ok(())); // does not listen
        for answer in [Ok(()), Err("a.conf:1: Bad\na.conf:2: worse".to_owned())] {
            tell(pid, &answer);
            assert_eq!(
                ear.hear(own, &process, Duration::from_secs(10)).expect("sockets work"),
                Some(answer)
            );
        }
        tell(pid, &Ok(()));
        // It is not from the one who was asked.
        assert_eq!(
            ear.hear(1, &process, Duration::from_millis(1)).expect("sockets work"),
            None
        );
    }
}
