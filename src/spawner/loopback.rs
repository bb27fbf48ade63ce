//! `ScriptSandboxTCP loopback`: connections of confined scripts to this machine's own loopback addresses, made in their place.
//!
//! The kernel can keep a process from TCP altogether (Landlock) and cannot tell addresses apart. So every connect(2) of
//! such a script comes here. The address is copied and judged, the socket taken over, and the connection begun by us, whom
//! Landlock does not bind: what the script does to its memory or its descriptors meanwhile changes nothing. Calls for other
//! families go on in the kernel, where Landlock still refuses those for TCP. The script's filter sees to it that its Internet
//! sockets are TCP's, and that there is no other way to connect one.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, socket_domain, socket_protocol, socket_timeout, socket_type};
use rustix::net::{AddressFamily, SocketType, ipproto};

use crate::process::bounded::bounded;
use crate::process::say::{Weight, say};
use crate::process::supervise::{Arrival, Call, Calls, Entrance};

/// The ways of all scripts to the loopback addresses.
#[derive(Debug, Default)]
pub(super) struct Gates {
    gates: Vec<Gate>,
    told: Told,
}

/// The way of one script and all it starts.
#[derive(Debug)]
struct Gate {
    from: From,
    waiting: Vec<Waiting>,
}

/// Where calls come from.
#[derive(Debug)]
enum From {
    Entrance(Entrance),
    Calls(Calls),
}

/// A call whose connection is being made.
#[derive(Debug)]
struct Waiting {
    id: u64,
    socket: OwnedFd,
    target: Target,
    /// When the caller's own patience ends (SO_SNDTIMEO).
    until: Option<Instant>,
}

/// Whether the log has a line already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Told {
    #[default]
    Not,
    Once,
}

/// What connect(2) is to lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// A connection.
    To(SocketAddr),
    /// No connection any more (AF_UNSPEC).
    Nowhere,
}

/// What is to be done about a call.
enum Decision {
    Answer(Result<(), Errno>),
    /// It is the kernel's to do.
    Pass,
    Wait(Waiting),
}

/// So many connections of one script may be in the making while it waits; a further one fails with EAGAIN.
const MOST_WAITING: usize = 64;

/// Beginning a connection takes no time on a socket that does not block. Only a script that makes it block again in that
/// very moment comes to know this limit.
const BLOCKED: Duration = Duration::from_millis(10);

impl Gates {
    /// Expects the calls of a script that was just started.
    pub(super) fn add(&mut self, entrance: Entrance) {
        self.gates.push(Gate {
            from: From::Entrance(entrance),
            waiting: Vec::new(),
        });
    }

    /// What to poll for, in the order in which [`Gates::serve`] wants to know what is ready.
    pub(super) fn polled(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        self.gates.iter().flat_map(|gate| {
            let from = match &gate.from {
                From::Entrance(entrance) => entrance.as_fd(),
                From::Calls(calls) => calls.as_fd(),
            };
            let sockets = gate
                .waiting
                .iter()
                .map(|waiting| (waiting.socket.as_fd(), PollFlags::OUT));
            std::iter::once((from, PollFlags::IN)).chain(sockets)
        })
    }

    /// When somebody's patience ends.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let waiting = self.gates.iter().flat_map(|gate| &gate.waiting);
        waiting.filter_map(|waiting| waiting.until).min()
    }

    /// Does what can be done. `events` are those of [`Gates::polled`].
    pub(super) fn serve(&mut self, events: &[PollFlags]) {
        let mut events = events.iter().copied();
        let told = &mut self.told;
        self.gates.retain_mut(|gate| {
            let from = events.next().unwrap_or(PollFlags::empty());
            gate.finish(&mut events);
            from.is_empty() || gate.go_on(from, told)
        });
    }
}

impl Gate {
    /// Answers the calls whose connections are made, or cannot be.
    fn finish(&mut self, events: &mut impl Iterator<Item = PollFlags>) {
        let From::Calls(calls) = &self.from else { return };
        self.waiting.retain(|waiting| {
            let is_ready = events.next().is_some_and(|events| !events.is_empty());
            let is_over = waiting.until.is_some_and(|until| Instant::now() >= until);
            let result = match (is_ready, is_over) {
                (true, _) if !calls.waits(waiting.id) => return false,
                (true, _) => begin(&waiting.socket, waiting.target),
                (false, true) => Err(Errno::INPROGRESS), // as connect(2) has it
                (false, false) => return true,
            };
            let goes_on = !is_over && matches!(result, Err(Errno::INPROGRESS | Errno::ALREADY));
            if !goes_on {
                calls.answer(waiting.id, result);
            }
            goes_on
        });
    }

    /// Takes what has come; false when nothing can come any more.
    fn go_on(&mut self, events: PollFlags, told: &mut Told) -> bool {
        match &self.from {
            From::Entrance(entrance) => match entrance.calls() {
                Ok(Arrival::Calls(calls)) => self.from = From::Calls(calls),
                Ok(Arrival::Waiting) => {}
                Ok(Arrival::Never) | Err(_) => return false,
            },
            From::Calls(_) if !events.contains(PollFlags::IN) => return false,
            From::Calls(calls) => match calls.next() {
                Ok(None) => {}
                Ok(Some(call)) => match decide(calls, &call, told) {
                    Decision::Answer(result) => calls.answer(call.id, result),
                    Decision::Pass => calls.pass(call.id),
                    Decision::Wait(waiting) => self.keep(waiting),
                },
                Err(_) => return false,
            },
        }
        true
    }

    fn keep(&mut self, waiting: Waiting) {
        let From::Calls(calls) = &self.from else { return };
        if self.waiting.len() >= MOST_WAITING {
            self.waiting.retain(|waiting| calls.waits(waiting.id));
        }
        if self.waiting.len() >= MOST_WAITING {
            calls.answer(waiting.id, Err(Errno::AGAIN));
        } else {
            self.waiting.push(waiting);
        }
    }
}

fn decide(calls: &Calls, call: &Call, told: &mut Told) -> Decision {
    let socket = match call.file(0) {
        Ok(socket) => socket,
        Err(error) if error.raw_os_error() == Some(libc::EBADF) => return Decision::Answer(Err(Errno::BADF)),
        Err(error) => return unseen(&error, told),
    };
    match is_tcp(&socket) {
        Ok(Tcp::Yes) => {}
        Ok(Tcp::No) => return Decision::Pass,
        Err(errno) => return Decision::Answer(Err(errno)),
    }
    let length = usize::try_from(call.argument(2)).unwrap_or(usize::MAX);
    if !(2..=LONGEST).contains(&length) {
        return Decision::Answer(Err(Errno::INVAL));
    }
    let address = match call.memory(1, length) {
        Ok(address) => address,
        Err(error) if error.raw_os_error() == Some(libc::EFAULT) => return Decision::Answer(Err(Errno::FAULT)),
        Err(error) => return unseen(&error, told),
    };
    if !calls.waits(call.id) {
        return Decision::Answer(Err(Errno::INTR)); // nobody hears it: that number was another's by then
    }
    match target(&address) {
        Ok(target) => connect(call.id, socket, target),
        Err(errno) => Decision::Answer(Err(errno)),
    }
}

/// Begins a connection, and waits for it where the caller would.
fn connect(id: u64, socket: OwnedFd, target: Target) -> Decision {
    let waits = rustix::fs::fcntl_getfl(&socket).is_ok_and(|flags| !flags.contains(OFlags::NONBLOCK));
    match begin(&socket, target) {
        Err(Errno::INPROGRESS | Errno::ALREADY) if waits => {
            let patience = socket_timeout(&socket, Timeout::Send).ok().flatten();
            Decision::Wait(Waiting {
                id,
                socket,
                target,
                until: patience.map(|patience| Instant::now() + patience),
            })
        }
        result => Decision::Answer(result),
    }
}

/// connect(2) that does not block. The socket's flags are the script's too, so they are put back at once.
fn begin(socket: &OwnedFd, target: Target) -> Result<(), Errno> {
    let flags = rustix::fs::fcntl_getfl(socket)?;
    rustix::fs::fcntl_setfl(socket, flags | OFlags::NONBLOCK)?;
    let begun = bounded(BLOCKED, || match target {
        Target::To(address) => rustix::net::connect(socket, &address),
        Target::Nowhere => rustix::net::connect_unspec(socket),
    });
    rustix::fs::fcntl_setfl(socket, flags)?;
    match begun {
        Ok(Err(Errno::INTR)) => Err(Errno::ACCESS), // it made the socket block
        Ok(result) => result,
        Err(error) => Err(Errno::from_io_error(&error).unwrap_or(Errno::AGAIN)),
    }
}

/// Whether a socket is one of TCP.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tcp {
    Yes,
    No,
}

/// What a socket is; of those of the Internet only TCP's may connect.
fn is_tcp(socket: &OwnedFd) -> Result<Tcp, Errno> {
    match socket_domain(socket)? {
        AddressFamily::INET | AddressFamily::INET6 => {
            let is_tcp = socket_type(socket)? == SocketType::STREAM && socket_protocol(socket)? == Some(ipproto::TCP);
            if is_tcp { Ok(Tcp::Yes) } else { Err(Errno::ACCESS) }
        }
        _ => Ok(Tcp::No),
    }
}

/// `sizeof(struct sockaddr_storage)`: the kernel takes no longer addresses.
const LONGEST: usize = 128;

/// Reads a `struct sockaddr` and judges it.
fn target(address: &[u8]) -> Result<Target, Errno> {
    let family = AddressFamily::from_raw(u16::from_ne_bytes(bytes(address, 0)?));
    let port = || Ok(u16::from_be_bytes(bytes(address, 2)?));
    let (ip, port) = match family {
        AddressFamily::UNSPEC => return Ok(Target::Nowhere),
        AddressFamily::INET if address.len() >= SOCKADDR_IN => (IpAddr::from(bytes::<4>(address, 4)?), port()?),
        AddressFamily::INET6 if address.len() >= SOCKADDR_IN6 => (IpAddr::from(bytes::<16>(address, 8)?), port()?),
        AddressFamily::INET | AddressFamily::INET6 => return Err(Errno::INVAL),
        _ => return Err(Errno::AFNOSUPPORT),
    };
    if ip.to_canonical().is_loopback() {
        Ok(Target::To(SocketAddr::new(ip, port)))
    } else {
        Err(Errno::ACCESS)
    }
}

/// So many bytes of an address from `at` on.
fn bytes<const LENGTH: usize>(address: &[u8], at: usize) -> Result<[u8; LENGTH], Errno> {
    let part = address.get(at..at + LENGTH).ok_or(Errno::INVAL)?;
    part.try_into().map_err(|_| Errno::INVAL)
}

/// How long the kernel wants these to be at least (the scope at the end of the latter may be missing).
const SOCKADDR_IN: usize = 16;
const SOCKADDR_IN6: usize = 24;

/// The caller could not be looked at: that it may be anything is why it is refused.
fn unseen(error: &io::Error, told: &mut Told) -> Decision {
    // A caller that is gone is none of anybody's business.
    if error.raw_os_error() != Some(libc::ESRCH) && *told == Told::Not {
        *told = Told::Once;
        say(
            "spawner",
            Weight::Warning,
            &format!(
                "ScriptSandboxTCP loopback: a connection is refused, for the process that wants it cannot be looked at: {error}; \
                 kernel.yama.ptrace_scope may be 2 or more, or the program may not be readable"
            ),
        );
    }
    Decision::Answer(Err(Errno::ACCESS))
}

#[cfg(test)]
mod tests;
