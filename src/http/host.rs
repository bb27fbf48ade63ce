//! The host that a request is for (RFC 9110 §7.2, RFC 3986 §3.2.2), checked as strictly as Apache does.

use std::fmt;
use std::net::Ipv6Addr;

use crate::base::ascii;
use crate::http::head::{RequestHead, Version};
use crate::http::status::Status;
use crate::http::target::Target;

/// A host and the port beside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host {
    /// In lower case, without a dot at its end; an IPv6 address keeps its brackets.
    pub name: Vec<u8>,
    /// The port where one was written.
    pub port: Option<u16>,
}

/// Why a host was refused; always a 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostError {
    /// HTTP/1.1 without a Host field.
    Missing,
    /// More than one Host field.
    Repeated,
    /// A Host field with nothing in it.
    Empty,
    /// Not a name, an IPv4 address or an IPv6 address in brackets.
    Name,
    /// Not a number from 1 to 65535.
    Port,
    /// The request target holds none, or a bad one.
    Target,
}

impl HostError {
    /// What the client is answered.
    pub fn status(self) -> Status {
        Status::BAD_REQUEST
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HostError::Missing => "request without Host field",
            HostError::Repeated => "more than one Host field",
            HostError::Empty => "empty Host field",
            HostError::Name => "Host is not a name or an address",
            HostError::Port => "Host has a bad port",
            HostError::Target => "request target has a bad form or authority",
        })
    }
}

impl std::error::Error for HostError {}

impl Host {
    /// Reads `name`, `name:port`, an IPv4 address or an IPv6 address in brackets. A colon
    /// without a port is refused, as Apache does.
    pub fn parse(text: &[u8]) -> Result<Host, HostError> {
        if text.is_empty() {
            return Err(HostError::Empty);
        }
        let (name, port) = if text.starts_with(b"[") {
            let end = memchr::memchr(b']', text).ok_or(HostError::Name)?;
            let (name, rest) = text.split_at(end + 1);
            match rest {
                [] => (name, None),
                [b':', port @ ..] => (name, Some(port)),
                _ => return Err(HostError::Name),
            }
        } else {
            match memchr::memchr(b':', text) {
                Some(at) => (&text[..at], Some(&text[at + 1..])),
                None => (text, None),
            }
        };
        let port = port.map(checked_port).transpose()?;
        let name = checked_name(name)?;
        Ok(Host { name, port })
    }

    /// The name, fit to be a key or a directory's name: lower case, no slash, no empty label.
    pub fn name(&self) -> &[u8] {
        &self.name
    }
}

fn checked_port(digits: &[u8]) -> Result<u16, HostError> {
    let number = ascii::parse_decimal(digits).ok_or(HostError::Port)?;
    match u16::try_from(number) {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(HostError::Port),
    }
}

fn checked_name(name: &[u8]) -> Result<Vec<u8>, HostError> {
    let name = name.to_ascii_lowercase();
    let good = match name.as_slice() {
        [b'[', address @ .., b']'] => is_ipv6(address),
        [b'.', ..] => false,
        [b'0'..=b'9', ..] if name.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'.')) => is_ipv4(&name),
        _ => is_reg_name(&name),
    };
    if !good {
        return Err(HostError::Name);
    }
    let mut name = name;
    if name.ends_with(b".") {
        name.pop();
    }
    Ok(name)
}

fn is_ipv6(address: &[u8]) -> bool {
    std::str::from_utf8(address).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

/// Four numbers without leading zeros; one dot more at the end does no harm.
fn is_ipv4(name: &[u8]) -> bool {
    let name = name.strip_suffix(b".").unwrap_or(name);
    let fits = |part: &[u8]| {
        let plain = part.len() == 1 || !part.starts_with(b"0");
        plain && ascii::parse_decimal(part).is_some_and(|number| number < 256)
    };
    name.split(|byte| *byte == b'.').count() == 4 && name.split(|byte| *byte == b'.').all(fits)
}

/// Labels of letters, digits, `-` and `_`, none empty; the last begins with a letter when there are several (RFC 1123
/// §2.1, Apache's `strict_hostname_check`).
fn is_reg_name(name: &[u8]) -> bool {
    let name = name.strip_suffix(b".").unwrap_or(name);
    let mut labels = name.split(|byte| *byte == b'.');
    let good = labels.clone().all(|label| {
        !label.is_empty()
            && label
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    });
    let last = labels.next_back().unwrap_or_default();
    let one_label = name.len() == last.len();
    good && (one_label || last.first().is_some_and(u8::is_ascii_alphabetic))
}

impl RequestHead {
    /// Finds the host of a parsed request and checks it. The authority of an absolute target wins over the Host field
    /// and replaces it (RFC 9112 §3.2.2), so that there the field may be empty. `None` is an HTTP/1.0 or 0.9 request that names no host.
    pub fn settle_host(&mut self) -> Result<Option<Host>, HostError> {
        if self.values(b"host").nth(1).is_some() {
            return Err(HostError::Repeated);
        }
        let from_field = match self.field(b"host") {
            None if self.version() >= Version::V11 => return Err(HostError::Missing),
            None => Ok(None),
            Some(value) => Host::parse(value).map(Some),
        };
        if from_field.as_ref().is_err_and(|error| *error != HostError::Empty) {
            return from_field;
        }
        let target = Target::parse(self.method(), self.target_bytes()).map_err(|_| HostError::Target)?;
        let Some(authority) = target.authority() else {
            return from_field;
        };
        let (host, authority) = (Host::parse(authority)?, authority.to_vec());
        self.set_field(b"Host", &authority);
        Ok(Some(host))
    }
}

#[cfg(test)]
mod tests;
