//! Request targets (RFC 9112 §3.2): their four forms, and the decoded path that the rest of the house may trust.

use std::fmt;

use crate::base::ascii;
use crate::http::host::Host;
use crate::http::method::Method;
use crate::http::status::Status;

/// A request target in one of its forms; paths and queries are raw, as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// `/path?query`
    Origin {
        /// Starts with a slash.
        path: &'a [u8],
        /// What follows the first `?`.
        query: Option<&'a [u8]>,
    },
    /// `http://authority/path?query`
    Absolute {
        /// `http` or `https`, in the case received.
        scheme: &'a [u8],
        /// Host and port; not empty, without user information, and without a colon at its end.
        authority: &'a [u8],
        /// Starts with a slash; `/` where the target has no path.
        path: &'a [u8],
        /// What follows the first `?`.
        query: Option<&'a [u8]>,
    },
    /// `host:port`, the form of CONNECT.
    Authority(&'a [u8]),
    /// `*`, the form of an OPTIONS that means the server.
    Asterisk,
}

/// Why a target was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// None of the four forms, or not one that goes with the method.
    Form,
    /// The authority is no host with an optional port.
    Authority,
    /// A `%` without two hexadecimal digits.
    Escape,
    /// `%00`, or a NUL.
    Nul,
    /// `%2f`, and `AllowEncodedSlashes` is off.
    EncodedSlash,
    /// Dot segments lead out of the root.
    AboveRoot,
}

impl TargetError {
    /// What the client is answered.
    pub fn status(self) -> Status {
        match self {
            TargetError::EncodedSlash => Status::NOT_FOUND,
            _ => Status::BAD_REQUEST,
        }
    }
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TargetError::Form => "request target has no form that goes with the method",
            TargetError::Authority => "request target has a bad authority",
            TargetError::Escape => "`%` without two hexadecimal digits in the path",
            TargetError::Nul => "NUL in the path",
            TargetError::EncodedSlash => "encoded slash in the path, and AllowEncodedSlashes is off",
            TargetError::AboveRoot => "dot segments lead above the root",
        })
    }
}

impl std::error::Error for TargetError {}

impl<'a> Target<'a> {
    /// Parts a target; which forms are allowed depends on the method.
    pub fn parse(method: Method, target: &'a [u8]) -> Result<Target<'a>, TargetError> {
        if method == Method::Connect {
            return match Host::parse(target) {
                Ok(Host { port: Some(_), .. }) => Ok(Target::Authority(target)),
                _ => Err(TargetError::Authority),
            };
        }
        match target {
            b"*" if method == Method::Options => Ok(Target::Asterisk),
            [b'/', ..] => {
                let (path, query) = split_query(target);
                Ok(Target::Origin { path, query })
            }
            _ => absolute(target),
        }
    }

    /// The raw path; `*` in asterisk form, empty in authority form.
    pub fn path(&self) -> &'a [u8] {
        match self {
            Target::Origin { path, .. } | Target::Absolute { path, .. } => path,
            Target::Authority(_) => b"",
            Target::Asterisk => b"*",
        }
    }

    /// What follows the first `?`, raw.
    pub fn query(&self) -> Option<&'a [u8]> {
        match self {
            Target::Origin { query, .. } | Target::Absolute { query, .. } => *query,
            Target::Authority(_) | Target::Asterisk => None,
        }
    }

    /// The authority of the absolute and the authority form.
    pub fn authority(&self) -> Option<&'a [u8]> {
        match self {
            Target::Absolute { authority, .. } | Target::Authority(authority) => Some(authority),
            Target::Origin { .. } | Target::Asterisk => None,
        }
    }
}

/// Parts a raw target at its first `?`.
pub fn split_query(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'?', target) {
        Some(at) => (&target[..at], Some(&target[at + 1..])),
        None => (target, None),
    }
}

fn absolute(target: &[u8]) -> Result<Target<'_>, TargetError> {
    let colon = memchr::memchr(b':', target).ok_or(TargetError::Form)?;
    let (scheme, rest) = target.split_at(colon);
    let rest = rest.strip_prefix(b"://").ok_or(TargetError::Form)?;
    if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
        return Err(TargetError::Form);
    }
    let end = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    // A colon may stand there without a port, as in Apache (RFC 3986 §3.2.3); a Host field must not have it.
    let named = authority.strip_suffix(b":").unwrap_or(authority);
    match Host::parse(named) {
        Ok(host) if named == authority || host.port.is_none() => {}
        _ => return Err(TargetError::Authority),
    }
    let (path, query) = split_query(rest);
    let path = if path.is_empty() { b"/" } else { path };
    Ok(Target::Absolute {
        scheme,
        authority: named,
        path,
        query,
    })
}

/// What `AllowEncodedSlashes` says about `%2f` in a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EncodedSlashes {
    /// `Off`: such a path is not found (404).
    #[default]
    Off,
    /// `On`: decoded like any other byte; it parts segments.
    On,
    /// `NoDecode`: stays in the path as it was written.
    NoDecode,
}

/// What `MergeSlashes` says about `//` in a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Slashes {
    /// `On`: several count as one.
    #[default]
    Merge,
    /// `Off`: each begins a segment, an empty one too.
    Keep,
}

/// A path below a root: decoded once, starts with a slash, no NUL, no dot segments. It holds bytes, not text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CleanPath(Vec<u8>);

impl CleanPath {
    /// The path `/`.
    pub fn root() -> CleanPath {
        CleanPath(vec![b'/'])
    }

    /// Decodes a raw path exactly once and takes the dot segments out after that, as Apache 2.4.71 does; a path that
    /// leads above the root is refused.
    pub fn decode(raw: &[u8], encoded: EncodedSlashes, slashes: Slashes) -> Result<CleanPath, TargetError> {
        if memchr::memchr(b'%', raw).is_none() {
            return CleanPath::from_decoded(raw, slashes);
        }
        CleanPath::from_decoded(&percent_decode(raw, encoded)?, slashes)
    }

    /// Takes a path that needs no decoding (a rewritten one, a file's) and takes its dot segments out.
    pub fn from_decoded(path: &[u8], slashes: Slashes) -> Result<CleanPath, TargetError> {
        if memchr::memchr(0, path).is_some() {
            return Err(TargetError::Nul);
        }
        let path = path.strip_prefix(b"/").ok_or(TargetError::Form)?;
        let mut clean = Vec::with_capacity(path.len() + 1);
        let mut segments = path.split(|byte| *byte == b'/').peekable();
        while let Some(segment) = segments.next() {
            let last = segments.peek().is_none();
            match segment {
                b".." => {
                    let parent = memchr::memrchr(b'/', &clean).ok_or(TargetError::AboveRoot)?;
                    clean.truncate(parent);
                }
                b"" if slashes == Slashes::Keep => clean.push(b'/'),
                b"." | b"" => {}
                name => {
                    clean.push(b'/');
                    clean.extend_from_slice(name);
                }
            }
            let names_directory = matches!(segment, b"." | b"..") || (segment.is_empty() && slashes == Slashes::Merge);
            if last && names_directory {
                clean.push(b'/');
            }
        }
        Ok(CleanPath(clean))
    }

    /// The bytes; they start with a slash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, given away.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl AsRef<[u8]> for CleanPath {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Decodes `%xx` once. `%00` and half escapes are refused, `%2f` is what `encoded` makes of it.
pub fn percent_decode(raw: &[u8], encoded: EncodedSlashes) -> Result<Vec<u8>, TargetError> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    let mut slash_seen = false;
    while let Some(at) = memchr::memchr(b'%', rest) {
        out.extend_from_slice(&rest[..at]);
        let escape = rest.get(at..at + 3).ok_or(TargetError::Escape)?;
        rest = &rest[at + 3..];
        let byte = match (ascii::hex_value(escape[1]), ascii::hex_value(escape[2])) {
            (Some(high), Some(low)) => high << 4 | low,
            _ => return Err(TargetError::Escape),
        };
        match (byte, encoded) {
            (0, _) => return Err(TargetError::Nul),
            (b'/', EncodedSlashes::Off) => slash_seen = true,
            (b'/', EncodedSlashes::NoDecode) => out.extend_from_slice(escape),
            _ => out.push(byte),
        }
    }
    out.extend_from_slice(rest);
    // As in Apache a bad escape anywhere outranks the slash: 400 before 404.
    if slash_seen {
        Err(TargetError::EncodedSlash)
    } else {
        Ok(out)
    }
}

#[cfg(test)]
mod tests;
