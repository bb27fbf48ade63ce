//! Listening sockets that were given to us, and those that are to hear of no more connections.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::io::FdFlags;
use rustix::net::{AddressFamily, SocketType, sockopt};

use super::inherit::adopt;

/// What the service manager gave us, as [`given`] has it, by the variables of our own environment.
pub fn given_by_environment() -> Vec<OwnedFd> {
    let variable = |name| std::env::var(name).ok();
    given(variable("LISTEN_PID").as_deref(), variable("LISTEN_FDS").as_deref())
}

/// What the service manager gave us, if it meant us: LISTEN_PID and LISTEN_FDS, sd_listen_fds(3). Descriptors from 3 on;
/// they are closed on exec from now on. Call it once, before any descriptor of our own may have such a number.
pub fn given(pid: Option<&str>, count: Option<&str>) -> Vec<OwnedFd> {
    let (Some(pid), Some(count)) = (pid, count) else {
        return Vec::new();
    };
    if pid.parse() != Ok(std::process::id()) {
        return Vec::new();
    }
    let count: RawFd = count.parse().unwrap_or(0);
    (FIRST..FIRST.saturating_add(count))
        .map_while(|number| adopt(number).ok())
        .collect()
}

/// The number of the first one (SD_LISTEN_FDS_START).
const FIRST: RawFd = 3;

/// The address where a socket accepts TCP connections, and whether `[::]` is for IPv6 alone. The error says what else it
/// is.
pub fn address(socket: BorrowedFd<'_>) -> Result<(SocketAddr, bool), String> {
    let told = |error: rustix::io::Errno| error.to_string();
    if sockopt::socket_type(socket).map_err(told)? != SocketType::STREAM {
        return Err("it is no stream socket".to_owned());
    }
    if !sockopt::socket_acceptconn(socket).map_err(told)? {
        return Err("it does not listen".to_owned());
    }
    let family = sockopt::socket_domain(socket).map_err(told)?;
    if family != AddressFamily::INET && family != AddressFamily::INET6 {
        return Err("it is not of IPv4 or IPv6".to_owned());
    }
    let address = rustix::net::getsockname(socket).map_err(told)?;
    let address = SocketAddr::try_from(address).map_err(told)?;
    let is_alone = family == AddressFamily::INET6 && sockopt::ipv6_v6only(socket).map_err(told)?;
    Ok((address, is_alone))
}

/// What a listening stream socket connects over; `None` for anything else.
pub fn listens(socket: BorrowedFd<'_>) -> Option<AddressFamily> {
    let is_stream = sockopt::socket_type(socket) == Ok(SocketType::STREAM);
    let listens = is_stream && sockopt::socket_acceptconn(socket) == Ok(true);
    sockopt::socket_domain(socket).ok().filter(|_| listens)
}

/// Makes a given socket fit for many who accept: nobody waits in accept(2).
pub fn make_ready(socket: BorrowedFd<'_>) -> io::Result<()> {
    rustix::io::ioctl_fionbio(socket, true)?;
    rustix::io::fcntl_setfd(socket, FdFlags::CLOEXEC)?;
    Ok(())
}

/// Takes a listening socket out of the kernel's search: new connections go to another socket that listens there, or are
/// refused where there is none. What waits in its queue, and what is about to, can still be accepted: a close alone
/// would reset it. (Bound to an interface that does not exist, it is for no packet. Linux 5.7 asks no privilege for it.)
pub fn unlist(socket: &OwnedFd) -> io::Result<()> {
    let nowhere = i32::MAX;
    set(socket.as_fd(), (libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX), nowhere)
}

/// Lets a socket that listens, or will, hand a connection over when its client has sent something, or has been silent for so many
/// seconds, which the system rounds up to a number of its tries; with 0 as soon as it is established (tcp(7), TCP_DEFER_ACCEPT).
pub fn defer(socket: BorrowedFd<'_>, seconds: i32) -> io::Result<()> {
    set(socket, (libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT), seconds)
}

/// Sets an option that is a number, named by its level and itself.
fn set(socket: BorrowedFd<'_>, (level, option): (i32, i32), value: i32) -> io::Result<()> {
    // SAFETY: the option's value is an `int`, which outlives the call.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), 4) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::{AsFd, OwnedFd};

    use super::{address, defer, given, unlist};

    #[test]
    fn what_is_meant_for_others_is_not_taken() {
        let own = std::process::id().to_string();
        assert!(given(None, Some("1")).is_empty());
        assert!(given(Some("1"), Some("1")).is_empty());
        assert!(given(Some("x"), Some("1")).is_empty());
        assert!(given(Some(&own), Some("0")).is_empty());
        assert!(given(Some(&own), Some("-1")).is_empty());
        assert!(given(Some(&own), None).is_empty());
    }

    #[test]
    fn a_listener_tells_its_address_and_others_what_they_are() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let bound = listener.local_addr().expect("bound");
        assert_eq!(address(listener.as_fd()), Ok((bound, false)));
        let stream = TcpStream::connect(bound).expect("it listens");
        assert_eq!(address(stream.as_fd()), Err("it does not listen".to_owned()));
        let (one, _other) = std::os::unix::net::UnixStream::pair().expect("sockets work");
        assert_eq!(address(one.as_fd()), Err("it does not listen".to_owned()));
        let unix = std::os::unix::net::UnixDatagram::unbound().expect("sockets work");
        assert_eq!(address(unix.as_fd()), Err("it is no stream socket".to_owned()));
    }

    #[test]
    fn one_that_is_taken_out_keeps_its_queue() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let bound = listener.local_addr().expect("bound");
        let _waits = TcpStream::connect(bound).expect("it listens");
        let listener = OwnedFd::from(listener);
        unlist(&listener).expect("the kernel knows the option");
        let refused = TcpStream::connect(bound).map(drop).expect_err("nobody listens");
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        TcpListener::from(listener).accept().expect("it still waits");
    }

    #[test]
    fn a_silent_client_is_handed_over_at_once_or_with_its_first_word() {
        use std::io::Write;
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let bound = listener.local_addr().expect("bound");
        listener.set_nonblocking(true).expect("it is a socket");
        for seconds in [30, 0] {
            defer(listener.as_fd(), seconds).expect("the kernel knows the option");
            let mut client = TcpStream::connect(bound).expect("it listens");
            assert_eq!(listener.accept().is_ok(), seconds == 0, "{seconds}");
            if seconds > 0 {
                client.write_all(b"G").expect("it is connected");
                listener.accept().expect("it has spoken");
            }
        }
    }
}
