//! The PROXY protocol, versions 1 and 2: what a load balancer says of its client before the first byte of the client's own
//! (HAProxy Technologies, "The PROXY protocol", sections 2.1 and 2.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxied {
    /// The connection is this client's.
    By(SocketAddr),
    /// The connection is the balancer's own, or it does not say whose.
    Nobody,
}

/// What came of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is whole, and so many bytes long.
    Complete(Proxied, usize),
    /// Bytes are missing.
    Partial,
}

/// Not a header of either version, or one for something other than a byte stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAHeader;

/// The first bytes of version 2.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// With version, command, family and length.
const FIXED: usize = 16;
/// The most bytes of a header of version 1, with its line end.
const LONGEST_LINE: usize = 107;
/// The most bytes behind the fixed part of version 2: addresses, and more than balancers add to them.
const LONGEST_REST: usize = 8 * 1024;

/// Reads a header from the beginning of a connection's bytes.
pub fn parse(bytes: &[u8]) -> Result<Progress, NotAHeader> {
    let begins = |with: &[u8]| bytes.iter().zip(with).all(|(byte, expected)| byte == expected);
    if begins(SIGNATURE) && !bytes.is_empty() {
        binary(bytes)
    } else if begins(b"PROXY ") {
        line(bytes)
    } else {
        Err(NotAHeader)
    }
}

/// Version 2. Something that is not TCP over IP is told as nobody, as the specification asks.
fn binary(bytes: &[u8]) -> Result<Progress, NotAHeader> {
    let Some(fixed) = bytes.first_chunk::<FIXED>() else {
        return match bytes.get(SIGNATURE.len()) {
            Some(version) if version >> 4 != 2 => Err(NotAHeader),
            _ => Ok(Progress::Partial),
        };
    };
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    let command = fixed[12];
    if !matches!(command, 0x20 | 0x21) || length > LONGEST_REST {
        return Err(NotAHeader);
    }
    let Some(rest) = bytes.get(FIXED..FIXED + length) else {
        return Ok(Progress::Partial);
    };
    let client = match (command, fixed[13]) {
        (0x21, 0x11) => Proxied::By(of_ipv4(rest).ok_or(NotAHeader)?),
        (0x21, 0x21) => Proxied::By(of_ipv6(rest).ok_or(NotAHeader)?),
        _ => Proxied::Nobody,
    };
    Ok(Progress::Complete(client, FIXED + length))
}

/// Both addresses, then both ports: the client's first.
fn of_ipv4(rest: &[u8]) -> Option<SocketAddr> {
    let addresses = rest.first_chunk::<12>()?;
    let [a, b, c, d, .., high, low, _, _] = *addresses;
    Some((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])).into())
}

fn of_ipv6(rest: &[u8]) -> Option<SocketAddr> {
    let addresses = rest.first_chunk::<36>()?;
    let client = Ipv6Addr::from(*addresses.first_chunk::<16>()?);
    Some((client, u16::from_be_bytes([addresses[32], addresses[33]])).into())
}

/// Version 1: `PROXY TCP4 client server port port`, or `PROXY UNKNOWN` with anything behind.
fn line(bytes: &[u8]) -> Result<Progress, NotAHeader> {
    let within = bytes.get(..LONGEST_LINE).unwrap_or(bytes);
    let Some(end) = within.windows(2).position(|pair| pair == b"\r\n") else {
        return if within.len() < LONGEST_LINE {
            Ok(Progress::Partial)
        } else {
            Err(NotAHeader)
        };
    };
    let text = std::str::from_utf8(&within[..end]).map_err(|_| NotAHeader)?;
    let words: Vec<&str> = text.split(' ').collect();
    let client = match words[..] {
        [_, "TCP4", client, server, port, own] => stream(client, server, port, own).filter(|(ip, _)| ip.is_ipv4()),
        [_, "TCP6", client, server, port, own] => stream(client, server, port, own).filter(|(ip, _)| ip.is_ipv6()),
        [_, "UNKNOWN", ..] => return Ok(Progress::Complete(Proxied::Nobody, end + 2)),
        _ => None,
    };
    let client = client.ok_or(NotAHeader)?;
    Ok(Progress::Complete(Proxied::By(client.into()), end + 2))
}

fn stream(client: &str, server: &str, port: &str, own: &str) -> Option<(IpAddr, u16)> {
    let (client, server): (IpAddr, IpAddr) = (client.parse().ok()?, server.parse().ok()?);
    number(own)?;
    Some((client, number(port)?)).filter(|_| client.is_ipv4() == server.is_ipv4())
}

/// A port: digits only, no zero before another digit.
fn number(word: &str) -> Option<u16> {
    let is_plain = word.bytes().all(|byte| byte.is_ascii_digit()) && (word.len() == 1 || !word.starts_with('0'));
    word.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::{NotAHeader, Progress, Proxied, parse};

    fn whole(bytes: &[u8]) -> Result<Proxied, NotAHeader> {
        match parse(bytes)? {
            Progress::Complete(client, length) => {
                assert_eq!(length, bytes.len());
                // Cut anywhere it is a beginning, and what follows is not looked at.
                for cut in 0..length {
                    assert_eq!(parse(&bytes[..cut]), Ok(Progress::Partial), "{cut}");
                }
                let followed = [bytes, b"GET / HTTP/1.1\r\n"].concat();
                assert_eq!(parse(&followed), Ok(Progress::Complete(client, length)));
                Ok(client)
            }
            Progress::Partial => panic!("{}: partial", bytes.escape_ascii()),
        }
    }

    fn by(address: &str) -> Proxied {
        Proxied::By(address.parse().expect("an address"))
    }

    #[test]
    fn lines_of_version_1() {
        assert_eq!(
            whole(b"PROXY TCP4 192.0.2.1 192.0.2.9 56324 443\r\n"),
            Ok(by("192.0.2.1:56324"))
        );
        assert_eq!(
            whole(b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"),
            Ok(by("255.255.255.255:65535"))
        );
        assert_eq!(
            whole(b"PROXY TCP6 2001:db8::7 2001:db8::1 1 2\r\n"),
            Ok(by("[2001:db8::7]:1"))
        );
        assert_eq!(whole(b"PROXY UNKNOWN\r\n"), Ok(Proxied::Nobody));
        assert_eq!(whole(b"PROXY UNKNOWN ff ff 1 2\r\n"), Ok(Proxied::Nobody));
    }

    #[test]
    fn other_lines_are_none() {
        let long = [b"PROXY UNKNOWN ".as_slice(), &[b'f'; 93]].concat();
        for bad in [
            b"GET / HTTP/1.1\r\n".as_slice(),
            b"proxy TCP4 192.0.2.1 192.0.2.9 1 2\r\n",
            b"PROXY  TCP4 192.0.2.1 192.0.2.9 1 2\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.9 1\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.9 1 2 3\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.9 1 65536\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.9 01 2\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.9 +1 2\r\n",
            b"PROXY TCP4 192.0.2 192.0.2.9 1 2\r\n",
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP6 192.0.2.1 192.0.2.9 1 2\r\n",
            b"PROXY TCP6 ::1 192.0.2.9 1 2\r\n",
            b"PROXY UDP4 192.0.2.1 192.0.2.9 1 2\r\n",
            b"PROXY \xff\r\n",
            b"PROXY TCP4\r\n",
            &long,
        ] {
            assert_eq!(parse(bad), Err(NotAHeader), "{}", bad.escape_ascii());
        }
        assert_eq!(parse(&long[..106]), Ok(Progress::Partial));
    }

    fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
        [super::SIGNATURE, &[command, family], &length, rest].concat()
    }

    #[test]
    fn headers_of_version_2() {
        let ipv4 = [192, 0, 2, 1, 192, 0, 2, 9, 0xdc, 0x04, 0x01, 0xbb];
        assert_eq!(whole(&version_2(0x21, 0x11, &ipv4)), Ok(by("192.0.2.1:56324")));
        let more = [ipv4.as_slice(), &[4, 0, 2, b'x', b'y']].concat();
        assert_eq!(whole(&version_2(0x21, 0x11, &more)), Ok(by("192.0.2.1:56324")));
        let mut ipv6 = [0; 36];
        ipv6[15] = 1;
        ipv6[33] = 80;
        assert_eq!(whole(&version_2(0x21, 0x21, &ipv6)), Ok(by("[::1]:80")));
        for (command, family) in [(0x20, 0x11), (0x20, 0x00), (0x21, 0x00), (0x21, 0x12), (0x21, 0x31)] {
            assert_eq!(whole(&version_2(command, family, &ipv4)), Ok(Proxied::Nobody));
        }
        assert_eq!(whole(&version_2(0x20, 0x00, b"")), Ok(Proxied::Nobody));
    }

    #[test]
    fn other_bytes_are_none() {
        let ipv4 = [0; 12];
        for bad in [
            version_2(0x21, 0x11, &ipv4[..11]),
            version_2(0x21, 0x21, &ipv4),
            version_2(0x11, 0x11, &ipv4),
            version_2(0x22, 0x11, &ipv4),
            version_2(0x21, 0x11, &[0; 8 * 1024 + 1]),
        ] {
            assert_eq!(parse(&bad), Err(NotAHeader), "{}", bad[..16].escape_ascii());
        }
        assert_eq!(parse(b"\r\n\r\n\0\r\nQUIT\n\x11"), Err(NotAHeader));
        assert_eq!(parse(b"\r\n\r\n\0\r\nQUIT!"), Err(NotAHeader));
        assert_eq!(parse(b"\r\nGET"), Err(NotAHeader));
        assert_eq!(parse(b""), Ok(Progress::Partial));
    }
}
