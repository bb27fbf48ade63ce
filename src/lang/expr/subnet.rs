//! Networks as Apache writes them: `10.1`, `10.1.0.0/16`, `10.1.0.0/255.255.0.0`, `2001:db8::/32`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network: an address, and how many of its bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    address: u128,
    mask: u128,
    version: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V4,
    V6,
}

impl Subnet {
    /// Reads a network; IPv4 addresses may be cut short when no mask follows.
    pub fn parse(text: &str) -> Option<Subnet> {
        let Some((address, mask)) = text.split_once('/') else {
            if let Ok(address) = text.parse::<IpAddr>() {
                return Some(Subnet::new(address, u128::MAX));
            }
            return partial(text);
        };
        let address: IpAddr = address.parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let mask = match mask.parse::<Ipv4Addr>() {
            Ok(mask) if address.is_ipv4() => !u128::from(!mask.to_bits()),
            _ => {
                let len = mask.parse::<u32>().ok().filter(|len| *len <= bits)?;
                // The mask of an IPv4 address stands in the last 32 bits.
                u128::MAX.checked_shl(bits - len).unwrap_or(0)
            }
        };
        Some(Subnet::new(address, mask))
    }

    /// Whether the address is in it. An IPv4 address in IPv6's clothes counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (version, bits) = number(address);
        version == self.version && bits & self.mask == self.address
    }

    fn new(address: IpAddr, mask: u128) -> Subnet {
        let (version, bits) = number(address);
        Subnet {
            address: bits & mask,
            mask,
            version,
        }
    }
}

/// The address with the number of bits that count, or with the mask where that has holes.
impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, mask) = (|bits: u128| u32::try_from(bits & 0xffff_ffff).unwrap_or(0), self.mask);
        let (address, mask, bits): (IpAddr, IpAddr, u32) = match self.version {
            Version::V4 => {
                let (address, mask) = (low(self.address), low(mask));
                (
                    Ipv4Addr::from_bits(address).into(),
                    Ipv4Addr::from_bits(mask).into(),
                    32,
                )
            }
            Version::V6 => (
                Ipv6Addr::from_bits(self.address).into(),
                Ipv6Addr::from_bits(mask).into(),
                128,
            ),
        };
        // Of an IPv4 mask all bits above its own are set, or none.
        let mask_bits = self.mask << (128 - bits);
        let length = mask_bits.leading_ones();
        if length == bits {
            write!(f, "{address}")
        } else if mask_bits.count_ones() == length {
            write!(f, "{address}/{length}")
        } else {
            write!(f, "{address}/{mask}")
        }
    }
}

fn number(address: IpAddr) -> (Version, u128) {
    match address.to_canonical() {
        IpAddr::V4(address) => (Version::V4, address.to_bits().into()),
        IpAddr::V6(address) => (Version::V6, Ipv6Addr::to_bits(address)),
    }
}

/// `10`, `10.`, `10.1`, `10.1.2.`
fn partial(text: &str) -> Option<Subnet> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let mut octets = [0u8; 4];
    let mut count = 0;
    for part in text.split('.') {
        *octets.get_mut(count)? = part.parse().ok().filter(|_| part.bytes().all(|b| b.is_ascii_digit()))?;
        count += 1;
    }
    let bits = 32 - 8 * u32::try_from(count).ok()?;
    let mask = u128::MAX.checked_shl(bits)?;
    Some(Subnet::new(Ipv4Addr::from(octets).into(), mask))
}

#[cfg(test)]
mod tests {
    use super::Subnet;

    /// Seen with `-R` and `-ipmatch` of Apache 2.4.71.
    #[test]
    fn networks_are_read_as_in_apache() {
        let table = [
            ("127", "127.0.0.1", true),
            ("127.0", "127.0.0.1", true),
            ("127.0.", "127.1.0.1", false),
            ("127.0.0.1", "::ffff:127.0.0.1", true),
            ("127.1.2.3/16", "127.1.0.1", true),
            ("10.1.0.0/255.255.0.0", "10.1.2.3", true),
            ("10.1.0.0/255.255.0.0", "10.2.2.3", false),
            ("0.0.0.0/0", "10.2.2.3", true),
            ("0.0.0.0/0", "::1", false),
            ("10.2.2.3/32", "10.2.2.3", true),
            ("::/64", "::1", true),
            ("::/0", "2001:db8::1", true),
            ("2001:db8::/33", "2001:db8:8000::", false),
        ];
        for (network, address, want) in table {
            let subnet = Subnet::parse(network).expect(network);
            let got = subnet.contains(address.parse().expect("an address"));
            assert_eq!(got, want, "{address} in {network}");
        }
        for network in [
            "",
            "300.1.1.1",
            "10.0.0.1/33",
            "10.0.0.0/x",
            "::1/129",
            "10.1/16",
            "10.1.2.3.4",
            ".",
            "1..2",
            "+1",
        ] {
            assert_eq!(Subnet::parse(network), None, "{network}");
        }
    }

    #[test]
    fn networks_are_shown_as_they_can_be_read() {
        for (network, want) in [
            ("10.1", "10.1.0.0/16"),
            ("10.1.2.3", "10.1.2.3"),
            ("10.1.2.3/24", "10.1.2.0/24"),
            ("10.0.0.1/255.0.0.255", "10.0.0.1/255.0.0.255"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:db8::/33", "2001:db8::/33"),
            ("::1", "::1"),
        ] {
            let subnet = Subnet::parse(network).expect(network);
            assert_eq!(subnet.to_string(), want);
            assert_eq!(Subnet::parse(want), Some(subnet), "{want}");
        }
    }
}
