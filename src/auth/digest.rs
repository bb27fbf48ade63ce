//! HTTP's Digest scheme (RFC 7616, with MD5 and `qop=auth`) as mod_auth_digest speaks it: what a client's answer says, what it
//! should be, and whether it was made for this request.

use md5::{Digest as _, Md5};
use percent_encoding::percent_decode;

use crate::auth::hash::are_equal;

/// A client's answer to a challenge; quotes are off the values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub username: Vec<u8>,
    /// The realm the password is for.
    pub realm: Vec<u8>,
    /// The nonce of the challenge.
    pub nonce: Vec<u8>,
    /// The target that the answer was made for.
    pub uri: Vec<u8>,
    /// The answer itself: 32 hexadecimal digits.
    pub response: Vec<u8>,
    /// The hash's name, where the client says it.
    pub algorithm: Option<Vec<u8>>,
    /// The client's own nonce.
    pub cnonce: Vec<u8>,
    /// How often the nonce was used, in hexadecimal digits.
    pub count: Vec<u8>,
    /// What is protected: `auth`.
    pub qop: Option<Vec<u8>>,
    /// What the challenge wanted to have back.
    pub opaque: Option<Vec<u8>>,
}

/// Why an Authorization field is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It is of another scheme, which is this one.
    Scheme(Vec<u8>),
    /// Something lacks that every answer has.
    Incomplete,
}

impl Credentials {
    /// Reads the value of an Authorization field. Of a parameter that comes twice the last counts, as in Apache.
    pub fn parse(field: &[u8]) -> Result<Credentials, Unusable> {
        let field = field.trim_ascii_start();
        let end = field.iter().position(u8::is_ascii_whitespace).unwrap_or(field.len());
        let (scheme, mut rest) = field.split_at_checked(end).unwrap_or((field, b""));
        if !scheme.eq_ignore_ascii_case(b"Digest") {
            return Err(Unusable::Scheme(scheme.to_vec()));
        }
        let mut values: [Option<Vec<u8>>; NAMES.len()] = Default::default();
        while !rest.is_empty() {
            let (name, value, behind) = parameter(rest);
            let known = NAMES.iter().position(|known| known.eq_ignore_ascii_case(name));
            if let Some(place) = known.and_then(|at| values.get_mut(at)) {
                *place = Some(value);
            }
            rest = behind;
        }
        let [
            username,
            realm,
            nonce,
            uri,
            response,
            algorithm,
            cnonce,
            opaque,
            qop,
            count,
        ] = values;
        // Without `qop` neither of the two is needed; what that comes to is decided later.
        let optional = |value: Option<Vec<u8>>| match (&qop, value) {
            (_, Some(value)) => Ok(value),
            (None, None) => Ok(Vec::new()),
            (Some(_), None) => Err(Unusable::Incomplete),
        };
        let needed = |value: Option<Vec<u8>>| value.ok_or(Unusable::Incomplete);
        Ok(Credentials {
            username: needed(username)?,
            realm: needed(realm)?,
            nonce: needed(nonce)?,
            uri: needed(uri)?,
            response: needed(response)?,
            algorithm,
            cnonce: optional(cnonce)?,
            count: optional(count)?,
            opaque,
            qop,
        })
    }

    /// Whether the answer is that of whoever knows the hash of name, realm and password. How long this takes does not tell
    /// how much of it is right.
    pub fn is_of(&self, stored: &[u8], method: &[u8]) -> bool {
        are_equal(&self.digest(stored, method), &self.response)
    }

    /// What proves to the client that the server knows the hash too (`rspauth`).
    pub fn counterpart(&self, stored: &[u8]) -> Vec<u8> {
        self.digest(stored, b"")
    }

    /// RFC 7616 section 3.4.1.
    fn digest(&self, stored: &[u8], method: &[u8]) -> Vec<u8> {
        let request = hex(&[method, b":", &self.uri]);
        let qop = self.qop.as_deref().unwrap_or_default();
        hex(&[
            stored,
            b":",
            &self.nonce,
            b":",
            &self.count,
            b":",
            &self.cnonce,
            b":",
            qop,
            b":",
            &request,
        ])
    }
}

/// The parameters of an answer, in the order of [`Credentials::parse`].
const NAMES: [&[u8]; 10] = [
    b"username",
    b"realm",
    b"nonce",
    b"uri",
    b"response",
    b"algorithm",
    b"cnonce",
    b"opaque",
    b"qop",
    b"nc",
];

/// The next parameter: its name, its value, and what follows its comma.
fn parameter(text: &[u8]) -> (&[u8], Vec<u8>, &[u8]) {
    let text = text.trim_ascii_start();
    let is_end = |byte: &u8| matches!(byte, b'=' | b',') || byte.is_ascii_whitespace();
    let (name, rest) = text.split_at(text.iter().position(is_end).unwrap_or(text.len()));
    let mut rest = rest.trim_ascii_start();
    let mut value = Vec::new();
    if let Some(behind) = rest.strip_prefix(b"=") {
        (value, rest) = self::value(behind.trim_ascii_start());
    }
    let comma = rest
        .iter()
        .position(|byte| *byte == b',')
        .map_or(rest.len(), |at| at + 1);
    (name, value, rest.get(comma..).unwrap_or_default())
}

/// A token or a quoted string, and what follows it.
fn value(text: &[u8]) -> (Vec<u8>, &[u8]) {
    let Some(mut rest) = text.strip_prefix(b"\"") else {
        let is_end = |byte: &u8| *byte == b',' || byte.is_ascii_whitespace();
        let (token, rest) = text.split_at(text.iter().position(is_end).unwrap_or(text.len()));
        return (token.to_vec(), rest);
    };
    let mut value = Vec::new();
    loop {
        match rest {
            [] => return (value, rest),
            [b'"', behind @ ..] => return (value, behind),
            [b'\\', byte, behind @ ..] | [byte, behind @ ..] => {
                value.push(*byte);
                rest = behind;
            }
        }
    }
}

/// MD5 in 32 hexadecimal digits.
fn hex(parts: &[&[u8]]) -> Vec<u8> {
    let mut hash = Md5::new();
    for part in parts {
        hash.update(part);
    }
    let digits =
        |byte: u8| [byte >> 4, byte & 15].map(|digit| *b"0123456789abcdef".get(usize::from(digit)).unwrap_or(&b'0'));
    hash.finalize().into_iter().flat_map(digits).collect()
}

/// The server as the request names it, for answers that were made for a full URL.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its port.
    pub port: u16,
}

/// Whether the query string may lack in what an answer was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queries {
    /// It may not.
    Count,
    /// It may (`AuthDigestEnableQueryStringHack`).
    MayLack,
}

/// Whether the target that an answer was made for is the one that was asked for: the same bytes, or the same URL however it
/// is written. `path` is the path that was asked for without dot segments, where it has one.
pub fn is_same_target(claimed: &[u8], asked: &[u8], path: Option<&[u8]>, server: Server<'_>, queries: Queries) -> bool {
    if claimed == asked {
        return true;
    }
    let (claimed, asked) = (Url::parse(claimed), Url::parse(asked));
    if let Some(host) = claimed.host.as_deref().filter(|host| !host.is_empty()) {
        let asked_host = asked.host.as_deref().filter(|host| !host.is_empty());
        let asked_port = asked.port.unwrap_or(server.port);
        if !host.eq_ignore_ascii_case(asked_host.unwrap_or(server.name)) || claimed.port.unwrap_or(80) != asked_port {
            return false;
        }
    }
    let is_star = claimed.path.as_deref() == Some(b"*") && asked.path.is_none() && asked.host.is_some();
    let is_excused = queries == Queries::MayLack && claimed.query.is_none();
    let asked_path = path.or(asked.path.as_deref()).filter(|_| asked.path.is_some());
    (claimed.path.as_deref() == asked_path || is_star) && (claimed.query == asked.query || is_excused)
}

/// The parts of a URL or path, decoded.
struct Url {
    host: Option<Vec<u8>>,
    port: Option<u16>,
    path: Option<Vec<u8>>,
    query: Option<Vec<u8>>,
}

impl Url {
    fn parse(text: &[u8]) -> Url {
        let (mut host, mut port, mut rest) = (None, None, text);
        let scheme = text.iter().position(|byte| matches!(byte, b':' | b'/' | b'?' | b'#'));
        if let Some(authority) = scheme.and_then(|at| text.get(at..)?.strip_prefix(b"://")) {
            let is_end = |byte: &u8| matches!(byte, b'/' | b'?' | b'#');
            let (authority, path) = authority.split_at(authority.iter().position(is_end).unwrap_or(authority.len()));
            let authority = authority.rsplit(|byte| *byte == b'@').next().unwrap_or_default();
            let mut parts = authority.rsplitn(2, |byte| *byte == b':');
            let (last, before) = (parts.next().unwrap_or_default(), parts.next());
            let number = std::str::from_utf8(last).ok().and_then(|digits| digits.parse().ok());
            match (before, number) {
                (Some(name), Some(number)) => (host, port) = (Some(decoded(name)), Some(number)),
                (Some(name), None) if last.is_empty() => host = Some(decoded(name)),
                _ => host = Some(decoded(authority)),
            }
            rest = path;
        }
        let rest = rest.split(|byte| *byte == b'#').next().unwrap_or_default();
        let mut parts = rest.splitn(2, |byte| *byte == b'?');
        let path = parts.next().filter(|path| !path.is_empty()).map(decoded);
        let query = parts.next().map(decoded);
        Url {
            host,
            port,
            path,
            query,
        }
    }
}

fn decoded(text: &[u8]) -> Vec<u8> {
    percent_decode(text).collect()
}

#[cfg(test)]
mod tests;
