//! Whose request it is where it came through proxies (mod_remoteip): their word counts as far as they are trusted.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::config::directives::remote_ip::{Proxies, Trust};
use crate::exchange::Exchange;
use crate::exchange::trace::Step;
use crate::http::depends;
use crate::lang::log_level::Level;

/// Finds the client's address, and leaves of the field what nobody vouches for.
pub fn run(ex: &mut Exchange) {
    let settings = &ex.site.settings.remote_ip;
    let Some(field) = settings.field.value() else { return };
    let Some(value) = ex.head.joined(field).map(std::borrow::Cow::into_owned) else {
        return;
    };
    // Who is trusted may be told another thing by the same field than who is not.
    depends::on_client();
    let trusted = settings.proxies.value().map(Vec::as_slice);
    let found = find(ex.connection.client, &value, trusted);
    if let Some(odd) = &found.odd {
        let text = format!(
            "RemoteIP: {} of field {} is no address that may stand there; ignored",
            odd.escape_ascii(),
            field.escape_ascii()
        );
        ex.rewriting.lines.push(Level::Debug, "remoteip", text);
    }
    if found.client == ex.connection.client {
        return;
    }
    ex.connection.client = found.client;
    ex.trace(|| Step::Client {
        address: found.client.ip(),
        field: field.clone(),
    });
    if found.rest.is_empty() {
        ex.head.remove_field(field);
    } else {
        ex.head.fields_mut().set(field, found.rest);
    }
    if found.through.is_empty() {
        return;
    }
    let through = found
        .through
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    if let Some(name) = settings.proxies_field.value() {
        ex.head.fields_mut().set(name, through.as_bytes());
    }
    ex.rewriting
        .notes
        .insert(b"remoteip-proxy-ip-list".to_vec(), through.into_bytes());
}

/// What a field's addresses come to.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    client: SocketAddr,
    /// What is left of the field.
    rest: Vec<u8>,
    /// The trusted proxies, the nearest first.
    through: Vec<IpAddr>,
    /// The word at which the search ended.
    odd: Option<Vec<u8>>,
}

fn find(near: SocketAddr, value: &[u8], trusted: Option<&[Proxies]>) -> Found {
    let mut found = Found {
        client: near,
        rest: value.to_vec(),
        through: Vec::new(),
        odd: None,
    };
    let mut is_whole = false;
    while !is_whole {
        let Some(trust) = trust_in(found.client.ip(), trusted) else {
            break;
        };
        let (rest, word) = match found.rest.iter().rposition(|byte| *byte == b',') {
            Some(at) => (&found.rest[..at], &found.rest[at + 1..]),
            None => (&b""[..], &found.rest[..]),
        };
        is_whole = word.len() == found.rest.len();
        let word = word.trim_ascii();
        let address = std::str::from_utf8(word)
            .ok()
            .and_then(|text| text.parse::<IpAddr>().ok());
        let Some(address) = address.map(|ip| ip.to_canonical()).filter(|ip| may_stand(*ip, trust)) else {
            found.odd = (!word.is_empty()).then(|| word.to_vec());
            break;
        };
        if trust == Trust::External {
            found.through.push(found.client.ip().to_canonical());
        }
        found.client.set_ip(address);
        found.rest = rest.to_vec();
    }
    found
}

/// How far the one at this address is trusted.
fn trust_in(address: IpAddr, trusted: Option<&[Proxies]>) -> Option<Trust> {
    let Some(trusted) = trusted else {
        return Some(Trust::External);
    };
    let proxies = trusted.iter().find(|proxies| proxies.network.contains(address))?;
    Some(proxies.trust)
}

fn may_stand(address: IpAddr, trust: Trust) -> bool {
    trust == Trust::Internal || is_public(address)
}

/// Apache's idea of an address on the public internet.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => !(ip.is_private() || ip.is_loopback() || ip.is_link_local()),
        IpAddr::V6(ip) => is_global_unicast(ip),
    }
}

/// 2000::/3 (RFC 4291 section 2.4).
fn is_global_unicast(ip: Ipv6Addr) -> bool {
    ip.octets()[0] & 0xe0 == 0x20
}
