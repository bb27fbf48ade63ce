//! The addresses of virtual hosts.

use std::net::{IpAddr, ToSocketAddrs};

use crate::config::site::Hosts;
use crate::config::words::shown;

/// Adds virtual host `number` under its addresses: `*:80`, `_default_:443`, `192.0.2.1`, `[2001:db8::1]:80`, `name:80`.
pub fn add(hosts: &mut Hosts, addresses: &[Vec<u8>], number: usize) -> Result<(), String> {
    for word in addresses {
        let (host, port) = parted(word)?;
        if matches!(host, "*" | "_default_") {
            hosts.any.entry(port).or_default().push(number);
            continue;
        }
        for ip in ips(host)? {
            // As in Apache, the address that stands for any is a way to write `*`, for both families.
            if ip.is_unspecified() {
                hosts.any.entry(port).or_default().push(number);
            } else {
                hosts.exact.entry((ip, port)).or_default().push(number);
                let word = host.to_ascii_lowercase().into_bytes();
                hosts.written.push((number, ip, port, word));
            }
        }
    }
    Ok(())
}

fn parted(word: &[u8]) -> Result<(&str, Option<u16>), String> {
    let wrong = || {
        format!(
            "{} is not an address; write `*:80`, `192.0.2.1:80` or `[2001:db8::1]:80`",
            shown(word)
        )
    };
    let text = std::str::from_utf8(word).map_err(|_| wrong())?;
    let bracket = text.rfind(']').unwrap_or(0);
    let (host, port) = match text[bracket..].rfind(':') {
        Some(colon) => (&text[..bracket + colon], &text[bracket + colon + 1..]),
        None => (text, "*"),
    };
    let port = if port == "*" {
        None
    } else {
        Some(port.parse().map_err(|_| wrong())?)
    };
    if host.is_empty() {
        Err(wrong())
    } else {
        Ok((host, port))
    }
}

fn ips(name: &str) -> Result<Vec<IpAddr>, String> {
    let bare = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(vec![ip.to_canonical()]);
    }
    let found = (name, 0)
        .to_socket_addrs()
        .map_err(|e| format!("`{name}` has no address: {e}; write the address itself"))?;
    Ok(found.map(|address| address.ip().to_canonical()).collect())
}

#[cfg(test)]
mod tests {
    use super::add;
    use crate::config::site::Hosts;

    #[test]
    fn the_nearest_address_decides() {
        let mut hosts = Hosts::default();
        for (number, address) in ["*:80", "127.0.0.1:80", "_default_:*", "[::1]:8080", "127.0.0.1"]
            .iter()
            .enumerate()
        {
            add(&mut hosts, &[address.as_bytes().to_vec()], number + 1).unwrap();
        }
        for (local, want) in [
            ("127.0.0.1:80", &[2][..]),
            ("127.0.0.2:80", &[1]),
            ("127.0.0.1:99", &[5]),
            ("[::1]:8080", &[4]),
            ("[::ffff:127.0.0.1]:80", &[2]),
            ("10.0.0.1:99", &[3]),
        ] {
            assert_eq!(hosts.at(local.parse().unwrap()), want, "{local}");
        }
        assert!(add(&mut hosts, &[b"*:x".to_vec()], 9).is_err());
    }

    #[test]
    fn the_address_that_stands_for_any_is_a_star() {
        for word in ["0.0.0.0:80", "[::]:80"] {
            let mut hosts = Hosts::default();
            add(&mut hosts, &[b"*:*".to_vec()], 1).unwrap();
            add(&mut hosts, &[word.as_bytes().to_vec()], 2).unwrap();
            for (local, want) in [("127.0.0.1:80", 2), ("[::1]:80", 2), ("127.0.0.1:81", 1)] {
                assert_eq!(hosts.at(local.parse().unwrap()), [want], "{word} {local}");
            }
        }
    }
}
