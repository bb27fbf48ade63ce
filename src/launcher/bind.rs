//! Listening sockets: bound once, held for the launcher's whole life, as many for an address as the first worker had threads.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use socket2::{Domain, Protocol, Socket, Type};

use super::plan::{Families, Listen};
use crate::process::listening;
use crate::process::say::{Weight, say};

/// An address we listen on.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) listen: Listen,
    /// The address in truth: with the port the system chose.
    pub(super) local: SocketAddr,
    /// The sockets, each with a queue of its own (SO_REUSEPORT); one alone where it was given.
    pub(super) sockets: Vec<OwnedFd>,
    pub(super) origin: Origin,
}

/// Whose a listening socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// We have bound it.
    Ours,
    /// The service manager has, and keeps it.
    Given,
}

/// What the listeners of a plan are made from.
pub(super) struct Ground<'a> {
    /// Those in use, and those that were given: taken over where the plan names them.
    pub(super) bound: Vec<&'a Rc<Bound>>,
    /// How many sockets an address gets.
    pub(super) copies: usize,
    /// How many connections may wait at each.
    pub(super) backlog: i32,
    /// Where each Listen stands.
    pub(super) lines: &'a [String],
    /// Those whose connections are taken before their clients have said anything.
    pub(super) at_once: &'a [Listen],
    /// How many seconds the clients of others may be silent.
    pub(super) silence: i32,
}

impl Ground<'_> {
    /// Makes an address's sockets listen, or listen anew: backlog and filter may be others than before.
    fn listen(&self, listen: &Listen, sockets: &[OwnedFd]) -> io::Result<()> {
        let seconds = if self.at_once.contains(listen) { 0 } else { self.silence };
        for socket in sockets {
            // Without the option, connections are there at once.
            let _ = listening::defer(socket.as_fd(), seconds);
            rustix::net::listen(socket, self.backlog)?;
        }
        Ok(())
    }
}

impl Bound {
    /// A socket that the service manager gave us. The error says why it is none for us.
    pub(super) fn given(socket: OwnedFd) -> Result<Bound, String> {
        let (local, is_alone) = listening::address(socket.as_fd())?;
        listening::make_ready(socket.as_fd()).map_err(|error| error.to_string())?;
        let families = if local.ip() == Ipv6Addr::UNSPECIFIED && !is_alone {
            Families::Both
        } else {
            Families::Own
        };
        let listen = Listen {
            address: local,
            families,
        };
        Ok(Bound {
            listen,
            local,
            sockets: vec![socket],
            origin: Origin::Given,
        })
    }

    /// The socket that is there instead of those of a plan, be it of TCP or a Unix socket, whose address nobody asks for.
    pub(super) fn only(socket: OwnedFd) -> Result<Bound, String> {
        listening::make_ready(socket.as_fd()).map_err(|error| error.to_string())?;
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        Ok(Bound {
            listen: Listen::own(nowhere),
            local: nowhere,
            sockets: vec![socket],
            origin: Origin::Given,
        })
    }

    /// Hears of no more connections; those that wait can still be accepted. One that was given goes on to listen for
    /// whoever gave it.
    pub(super) fn unlist(&self) {
        if self.origin == Origin::Given {
            return;
        }
        for socket in &self.sockets {
            if let Err(error) = listening::unlist(socket) {
                let told = format!("{}: connections may be reset while it is closed: {error}", self.listen);
                say("launcher", Weight::Warning, &told);
            }
        }
    }

    /// Whether some connections would be for both.
    fn overlaps(&self, address: SocketAddr) -> bool {
        let (ours, theirs) = (self.local.ip(), address.ip());
        self.local.port() == address.port() && (ours == theirs || ours.is_unspecified() || theirs.is_unspecified())
    }
}

/// Binds every address, taking over those that are bound already. Nothing is left behind when one fails.
pub(super) fn bind_all(listeners: &[Listen], ground: &Ground<'_>) -> Result<Vec<Rc<Bound>>, String> {
    let mut all: Vec<Rc<Bound>> = Vec::new();
    for (number, listen) in listeners.iter().enumerate() {
        let told = |error: io::Error| match ground.lines.get(number) {
            Some(line) => format!("{line}: {listen}: {error}"),
            None => format!("{listen}: {error}"),
        };
        if all.iter().any(|listed| listed.listen == *listen) {
            continue; // the same Listen twice
        }
        match ground.bound.iter().find(|known| known.listen == *listen) {
            Some(known) => {
                ground.listen(listen, &known.sockets).map_err(told)?;
                all.push(Rc::clone(known));
            }
            None => all.push(Rc::new(bind(*listen, ground).map_err(|error| {
                let given = ground
                    .bound
                    .iter()
                    .find(|known| known.origin == Origin::Given && known.overlaps(listen.address));
                match given {
                    Some(given) => format!(
                        "{}; the service manager's socket for {} has a part of it",
                        told(error),
                        given.local
                    ),
                    None => told(error),
                }
            })?)),
        }
    }
    Ok(all)
}

fn bind(listen: Listen, ground: &Ground<'_>) -> io::Result<Bound> {
    match bind_address(listen, listen.address, ground) {
        Err(error) if listen.families == Families::Both && is_without_ipv6(&error) => {
            let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, listen.address.port()));
            bind_address(listen, address, ground)
        }
        other => other,
    }
}

fn bind_address(listen: Listen, address: SocketAddr, ground: &Ground<'_>) -> io::Result<Bound> {
    // With SO_REUSEPORT a second server would bind without complaint and take half the connections: a socket without it,
    // closed again at once, finds that one out. Where we ourselves have a part of the address, it would find us.
    if address.port() != 0 && !ground.bound.iter().any(|known| known.overlaps(address)) {
        drop(open(listen, address, Sharing::Refused)?);
    }
    let first = open(listen, address, Sharing::Among)?;
    let local = first.local_addr()?.as_socket().ok_or(io::ErrorKind::InvalidData)?;
    let mut sockets = vec![first];
    while sockets.len() < ground.copies {
        sockets.push(open(listen, local, Sharing::Among)?);
    }
    let sockets: Vec<OwnedFd> = sockets.into_iter().map(OwnedFd::from).collect();
    ground.listen(&listen, &sockets)?;
    Ok(Bound {
        listen,
        local,
        sockets,
        origin: Origin::Ours,
    })
}

/// Whether other sockets may have the same address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    /// No.
    Refused,
    /// Those of the same user that allow it too.
    Among,
}

/// A bound socket, closed on exec, without blocking.
fn open(listen: Listen, address: SocketAddr, sharing: Sharing) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking(),
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?; // else connections that wait out their end keep a restarted server off its port
    if sharing == Sharing::Among {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(listen.families == Families::Own)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

fn is_without_ipv6(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
    use std::rc::Rc;

    use super::{Bound, Ground, bind_all};
    use crate::launcher::plan::Listen;

    fn loopback(port: u16) -> Listen {
        Listen::own(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    fn ground(bound: &[Rc<Bound>], copies: usize) -> Ground<'_> {
        Ground {
            bound: bound.iter().collect(),
            copies,
            backlog: 16,
            lines: &[],
            at_once: &[],
            silence: 0,
        }
    }

    /// The address of the listener that a connection arrives at.
    fn arrives_at(all: &[&[Rc<Bound>]], connection: SocketAddr) -> Option<SocketAddr> {
        let _client = TcpStream::connect(connection).ok()?;
        let sockets = all
            .iter()
            .copied()
            .flatten()
            .flat_map(|bound| bound.sockets.iter().map(|socket| (bound.local, socket)));
        let accepts = |socket: &std::os::fd::OwnedFd| {
            TcpListener::from(socket.try_clone().expect("descriptors are free"))
                .accept()
                .is_ok()
        };
        sockets
            .filter(|(_, socket)| accepts(socket))
            .map(|(local, _)| local)
            .next()
    }

    #[test]
    fn every_copy_has_the_same_port_and_connections_arrive() {
        let bound = bind_all(&[loopback(0)], &ground(&[], 3)).expect("loopback is there");
        let [only] = bound.as_slice() else {
            panic!("one address")
        };
        assert_eq!(only.sockets.len(), 3);
        for socket in &only.sockets {
            let socket = TcpListener::from(socket.try_clone().expect("descriptors are free"));
            assert_eq!(socket.local_addr().expect("bound"), only.local);
        }
        TcpStream::connect(only.local).expect("it listens");
    }

    #[test]
    fn an_address_in_use_is_told() {
        let ours = bind_all(&[loopback(0)], &ground(&[], 2)).expect("loopback is there");
        let port = ours.first().expect("one").local.port();
        let error = bind_all(&[loopback(port)], &ground(&[], 2))
            .map(drop)
            .expect_err("we have it already");
        assert_eq!(
            error,
            format!("Listen 127.0.0.1:{port}: Address already in use (os error 98)")
        );
    }

    #[test]
    fn a_reload_keeps_what_it_has() {
        let old = bind_all(&[loopback(0)], &ground(&[], 1)).expect("loopback is there");
        let port = old.first().expect("one").local.port();
        let new = bind_all(&[loopback(0), loopback(0)], &ground(&old, 1)).expect("nothing new");
        assert_eq!(new.len(), 1);
        assert!(Rc::ptr_eq(&new[0], &old[0]));
        drop((old, new));
        bind_all(&[loopback(port)], &ground(&[], 1)).expect("it is free again");
    }

    #[test]
    fn a_port_alone_takes_both_families() {
        let bound = bind_all(&[Listen::port(0)], &ground(&[], 2)).expect("some family is there");
        let port = bound.first().expect("one").local.port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("IPv4 is taken too");
    }

    #[test]
    fn an_address_may_become_wider_or_narrower_without_a_gap() {
        let any = |port| Listen::own(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)));
        for (one, other) in [
            (loopback as fn(u16) -> Listen, any as fn(u16) -> Listen),
            (any, loopback),
            (loopback, Listen::port),
            (Listen::port, loopback),
            (Listen::port, any),
        ] {
            let old = bind_all(&[one(0)], &ground(&[], 2)).expect("loopback is there");
            let port = old.first().expect("one").local.port();
            let new = bind_all(&[other(port)], &ground(&old, 2)).expect("we have it ourselves");
            let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            let waits = TcpStream::connect(to).expect("both listen");
            for bound in &old {
                bound.unlist();
            }
            drop(waits);
            let arrived = |_| arrives_at(&[&new], to).expect("the new one listens").port();
            assert!((0..20).map(arrived).all(|at| at == port), "{:?}", other(port));
        }
    }

    #[test]
    fn an_address_that_goes_lets_in_who_came_before() {
        let old = bind_all(&[loopback(0)], &ground(&[], 1)).expect("loopback is there");
        let bound = old.first().expect("one");
        let _came_before = TcpStream::connect(bound.local).expect("it listens");
        bound.unlist();
        TcpStream::connect(bound.local)
            .map(drop)
            .expect_err("it hears of no more");
        let listener = TcpListener::from(bound.sockets[0].try_clone().expect("descriptors are free"));
        listener.accept().expect("one waits");
    }

    #[test]
    fn given_sockets_are_found_by_their_address() {
        let socket = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let local = socket.local_addr().expect("bound");
        let given = Rc::new(Bound::given(socket.into()).expect("it listens"));
        let ground = ground(std::slice::from_ref(&given), 3);
        let all = bind_all(&[loopback(local.port())], &ground).expect("it is there already");
        assert!(Rc::ptr_eq(&all[0], &given));
        assert_eq!(
            Bound::given(std::fs::File::open("/dev/null").expect("it is there").into()).map(drop),
            Err("Socket operation on non-socket (os error 88)".to_owned())
        );
    }
}
