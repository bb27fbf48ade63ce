//! Connections within this machine: no wire that could be filled lies between their ends, so there is nothing to pace them by.

use std::net::IpAddr;
use std::os::fd::AsFd;

use rustix::net::sockopt;

/// The congestion control (RFC 5681) of a connection within this machine: the system's own may be one that paces what it sends by
/// timers, as bbr does, for the sake of a wire. This one every kernel has, and anybody may choose it. Measured beside bbr on one
/// core, with a client on another, in CPU milliseconds per GiB: a 1 MiB file to one client 162 and 224, to 16 clients 126 and
/// 137; a 100 MiB file to one 90 and 201, to 4 93 and 146, to 16 105 and 183. With bbr those were the best that a queue of a
/// chosen length (SO_SNDBUF) made of it; with the system's own length they were up to twice that. Uploads to an application behind
/// a proxy: 560 and 640.
const UNPACED: &str = "reno";

/// Whether a connection has both its ends on this machine, by their addresses.
pub fn is_within_machine(ours: IpAddr, peer: IpAddr) -> bool {
    peer == ours || peer.to_canonical().is_loopback()
}

/// Lets a connection send as fast as the other end takes it. From a listener all its connections have it.
pub fn pace_no_more(socket: impl AsFd) {
    // Without it all is sent as well. Where what comes to a loopback address is from elsewhere after all (route_localnet),
    // it has a congestion control still.
    let _ = sockopt::set_tcp_congestion(socket, UNPACED);
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use rustix::net::sockopt::{set_tcp_congestion, tcp_congestion};

    use super::{UNPACED, is_within_machine};
    use crate::net::accept::Listener;
    use crate::net::stream::Stream;

    /// Another than [`UNPACED`], with which we may choose it or not.
    fn another() -> Option<String> {
        let allowed =
            std::fs::read_to_string("/proc/sys/net/ipv4/tcp_allowed_congestion_control").expect("it is Linux");
        allowed
            .split_whitespace()
            .find(|name| *name != UNPACED)
            .map(str::to_owned)
    }

    #[test]
    fn a_client_on_the_same_machine_has_one_of_its_addresses() {
        for (ours, peer, expected) in [
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", true),
            ("::1", "::1", true),
            ("::ffff:127.0.0.1", "::ffff:127.0.0.1", true),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("2001:db8::1", "2001:db8::2", false),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.7", false),
        ] {
            let [ours, peer] = [ours, peer].map(|address| address.parse::<IpAddr>().expect("it is one"));
            assert_eq!(is_within_machine(ours, peer), expected, "{ours} {peer}");
        }
    }

    /// A listener at `address`, as [`Listener::new`] leaves it, and what the system gave it where we may not choose that.
    fn listener(address: &str) -> (TcpListener, String) {
        let listener = TcpListener::bind(address).expect("a port is free");
        if let Some(name) = another() {
            set_tcp_congestion(&listener, &name).expect("it is allowed");
        }
        let before = tcp_congestion(&listener).expect("it is TCP");
        let shared = listener
            .as_fd()
            .try_clone_to_owned()
            .expect("there is a descriptor left");
        Listener::new(shared).expect("it is watched");
        (listener, before)
    }

    /// The server's end of a connection to `listener` from this machine.
    fn connection(listener: &TcpListener) -> (TcpStream, Stream) {
        let port = listener.local_addr().expect("it listens").port();
        let client = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        let (accepted, _) = listener.accept().expect("somebody came");
        (client, Stream::new(accepted.into()))
    }

    #[tokio::test]
    async fn what_comes_to_a_loopback_address_is_not_paced() {
        let (listener, _) = listener("127.0.0.1:0");
        let (_client, stream) = connection(&listener);
        assert_eq!(tcp_congestion(&stream).as_deref(), Ok(UNPACED));
    }

    #[tokio::test]
    async fn what_comes_from_this_machine_to_any_address_is_not_paced_once_much_is_sent() {
        let (listener, before) = listener("0.0.0.0:0");
        let (_client, stream) = connection(&listener);
        assert_eq!(tcp_congestion(&stream), Ok(before));
        stream.expect_much();
        assert_eq!(tcp_congestion(&stream).as_deref(), Ok(UNPACED));
    }
}
