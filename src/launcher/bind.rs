//! Listening sockets: bound once, held for the launcher's whole life, as many per address as a worker has threads.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use socket2::{Domain, Protocol, Socket, Type};

use super::plan::{Families, Listen};

/// An address we listen on.
#[derive(Debug)]
pub(super) struct Bound {
    listen: Listen,
    /// The address in truth: with the port the system chose.
    pub(super) local: SocketAddr,
    /// The sockets, each with a queue of its own (SO_REUSEPORT).
    pub(super) sockets: Vec<OwnedFd>,
}

/// Binds every address, taking over those that are bound already. Nothing is left behind when one fails.
pub(super) fn bind_all(
    listeners: &[Listen],
    bound: &[Rc<Bound>],
    copies: usize,
    backlog: i32,
) -> Result<Vec<Rc<Bound>>, String> {
    let mut all: Vec<Rc<Bound>> = Vec::new();
    for listen in listeners {
        let known = all.iter().chain(bound).find(|known| known.listen == *listen);
        match known {
            Some(known) if all.iter().any(|listed| Rc::ptr_eq(listed, known)) => {} // the same Listen twice
            Some(known) => all.push(Rc::clone(known)),
            None => {
                all.push(Rc::new(
                    bind(*listen, copies.max(1), backlog).map_err(|error| format!("{listen}: {error}"))?,
                ));
            }
        }
    }
    Ok(all)
}

fn bind(listen: Listen, copies: usize, backlog: i32) -> io::Result<Bound> {
    match bind_address(listen, listen.address, copies, backlog) {
        Err(error) if listen.families == Families::Both && is_without_ipv6(&error) => {
            let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, listen.address.port()));
            bind_address(listen, address, copies, backlog)
        }
        other => other,
    }
}

fn bind_address(listen: Listen, address: SocketAddr, copies: usize, backlog: i32) -> io::Result<Bound> {
    if address.port() != 0 {
        // With SO_REUSEPORT a second server would bind without complaint and take half the connections: a socket
        // without it, closed again at once, finds that one out.
        drop(open(listen, address, Sharing::Refused)?);
    }
    let first = open(listen, address, Sharing::Among)?;
    let local = first.local_addr()?.as_socket().ok_or(io::ErrorKind::InvalidData)?;
    let mut sockets = vec![first];
    while sockets.len() < copies {
        sockets.push(open(listen, local, Sharing::Among)?);
    }
    for socket in &sockets {
        socket.listen(backlog)?;
    }
    Ok(Bound {
        listen,
        local,
        sockets: sockets.into_iter().map(OwnedFd::from).collect(),
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

    use super::bind_all;
    use crate::launcher::plan::Listen;

    fn loopback(port: u16) -> Listen {
        Listen::own(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    #[test]
    fn every_copy_has_the_same_port_and_connections_arrive() {
        let bound = bind_all(&[loopback(0)], &[], 3, 16).expect("loopback is there");
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
        let ours = bind_all(&[loopback(0)], &[], 2, 16).expect("loopback is there");
        let port = ours.first().expect("one").local.port();
        let error = bind_all(&[loopback(port)], &[], 2, 16)
            .map(drop)
            .expect_err("we have it already");
        assert_eq!(
            error,
            format!("Listen 127.0.0.1:{port}: Address already in use (os error 98)")
        );
    }

    #[test]
    fn a_reload_keeps_what_it_has() {
        let old = bind_all(&[loopback(0)], &[], 1, 16).expect("loopback is there");
        let port = old.first().expect("one").local.port();
        let new = bind_all(&[loopback(0), loopback(0)], &old, 1, 16).expect("nothing new");
        assert_eq!(new.len(), 1);
        assert!(Rc::ptr_eq(&new[0], &old[0]));
        drop((old, new));
        bind_all(&[loopback(port)], &[], 1, 16).expect("it is free again");
    }

    #[test]
    fn a_port_alone_takes_both_families() {
        let bound = bind_all(&[Listen::port(0)], &[], 2, 16).expect("some family is there");
        let port = bound.first().expect("one").local.port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("IPv4 is taken too");
    }
}
