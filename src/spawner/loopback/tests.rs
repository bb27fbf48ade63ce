//! Addresses as scripts pass them, and sockets that are none of TCP's.

use std::net::SocketAddr;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, ipproto, socket};

use super::{Target, Tcp, is_tcp, target};

fn ipv4(address: [u8; 4], port: u16) -> Vec<u8> {
    let family = u16::try_from(libc::AF_INET).expect("it is small");
    let parts: [&[u8]; 4] = [&family.to_ne_bytes(), &port.to_be_bytes(), &address, &[0; 8]];
    parts.concat()
}

fn ipv6(address: &str, port: u16) -> Vec<u8> {
    let family = u16::try_from(libc::AF_INET6).expect("it is small");
    let address: std::net::Ipv6Addr = address.parse().expect("an address");
    let parts: [&[u8]; 5] = [
        &family.to_ne_bytes(),
        &port.to_be_bytes(),
        &[0; 4],
        &address.octets(),
        &[0; 4],
    ];
    parts.concat()
}

#[test]
fn only_loopback_addresses_are_targets() {
    let to = |address: &str| Ok(Target::To(address.parse::<SocketAddr>().expect("an address")));
    let refused = Err(Errno::ACCESS);
    for (address, want) in [
        (ipv4([127, 0, 0, 1], 80), to("127.0.0.1:80")),
        (ipv4([127, 255, 255, 255], 65535), to("127.255.255.255:65535")),
        (ipv4([126, 255, 255, 255], 80), refused),
        (ipv4([128, 0, 0, 0], 80), refused),
        (ipv4([0, 0, 0, 0], 80), refused),
        (ipv4([169, 254, 169, 254], 80), refused),
        (ipv4([255, 255, 255, 255], 80), refused),
        (ipv6("::1", 80), to("[::1]:80")),
        (ipv6("::ffff:127.1.2.3", 80), to("[::ffff:127.1.2.3]:80")),
        (ipv6("::ffff:128.1.2.3", 80), refused),
        (ipv6("::", 80), refused),
        (ipv6("::2", 80), refused),
        (ipv6("::127.0.0.1", 80), refused),
        (ipv6("fe80::1", 80), refused),
        (vec![0, 0], Ok(Target::Nowhere)),
        (vec![0; 16], Ok(Target::Nowhere)),
        (vec![255; 16], Err(Errno::AFNOSUPPORT)),
        (ipv4([127, 0, 0, 1], 80).repeat(8), to("127.0.0.1:80")),
    ] {
        assert_eq!(target(&address), want, "{address:?}");
    }
}

#[test]
fn an_address_that_is_cut_is_none() {
    for (whole, shortest) in [(ipv4([127, 0, 0, 1], 80), 16), (ipv6("::1", 80), 24)] {
        for length in 0..=whole.len() {
            let cut = target(&whole[..length]);
            if length < shortest {
                assert_eq!(cut, Err(Errno::INVAL), "{length}");
            } else {
                assert!(cut.is_ok(), "{length}");
            }
        }
    }
}

#[test]
fn of_the_internets_sockets_only_tcps_are_let_through() {
    let of = |family, kind, protocol| {
        let socket = socket(family, kind, protocol).expect("ordinary sockets");
        match is_tcp(&socket) {
            Ok(Tcp::Yes) => "tcp",
            Ok(Tcp::No) => "other",
            Err(_) => "refused",
        }
    };
    for family in [AddressFamily::INET, AddressFamily::INET6] {
        assert_eq!(of(family, SocketType::STREAM, None), "tcp");
        assert_eq!(of(family, SocketType::STREAM, Some(ipproto::TCP)), "tcp");
        assert_eq!(of(family, SocketType::DGRAM, None), "refused");
    }
    assert_eq!(of(AddressFamily::UNIX, SocketType::STREAM, None), "other");
    assert_eq!(of(AddressFamily::UNIX, SocketType::DGRAM, None), "other");
    let (pipe, _writer) = std::io::pipe().expect("pipes work");
    assert_eq!(is_tcp(&pipe.into()).err(), Some(Errno::NOTSOCK));
}
