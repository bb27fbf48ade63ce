//! The request target: which of its forms it has, and its path, decoded once and without dot segments (RFC 9112 section 3.2,
//! RFC 3986 section 6.2).

use crate::config::directives::site::EncodedSlashes as Setting;
use crate::exchange::allowed;
use crate::exchange::fail::Fail;
use crate::exchange::trace::Step;
use crate::exchange::{Exchange, Landed, PassTarget};
use crate::http::method::Method;
use crate::http::target::{CleanPath, EncodedSlashes, Slashes, Target, TargetError, percent_decode, split_query};
use crate::phases::ahead;

/// What a target asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A path of the site.
    Path,
    /// The server as a whole: `OPTIONS *`.
    Server,
}

/// Parts the target of the first pass, and decodes the path of every pass.
pub fn run(ex: &mut Exchange) -> Result<Asked, Fail> {
    if ex.previous.is_none() && !ex.is_subrequest() {
        let target = ex.head.target().map_err(|e| Fail::client(e.status(), e.to_string()))?;
        match target {
            Target::Asterisk => return Ok(Asked::Server),
            // CONNECT asks for a tunnel, which a gateway does not dig (RFC 9110 section 9.3.6).
            Target::Authority(_) => {
                return Err(
                    Fail::client(crate::http::status::Status::METHOD_NOT_ALLOWED, "CONNECT is not served")
                        .with_field("Allow", allowed::methods(ex)),
                );
            }
            Target::Origin { .. } | Target::Absolute { .. } => {}
        }
        let (raw_path, query) = (target.path().to_vec(), target.query().map(<[u8]>::to_vec));
        ex.target = PassTarget {
            raw_path,
            path: CleanPath::root(),
            query,
            landed: Landed::default(),
            filters: Vec::new(),
        };
    }
    ex.target.path = match decode(ex) {
        Ok(path) => path,
        Err(error) => {
            // Error documents and logs are told the path all the same, where there is one; as it came, where it has bad escapes.
            let raw = &ex.target.raw_path;
            let decoded = CleanPath::decode(raw, EncodedSlashes::On, Slashes::Merge);
            let path = decoded.or_else(|_| CleanPath::from_decoded(raw, Slashes::Merge));
            ex.target.path = path.unwrap_or_else(|_| CleanPath::root());
            return Err(error);
        }
    };
    ex.trace(|| Step::Path {
        path: ex.target.path.as_bytes().to_vec(),
        query: ex.target.query.clone(),
    });
    debug_assert!(ex.method != Method::Connect, "CONNECT has no path");
    Ok(Asked::Path)
}

/// A request that is refused before its target is looked at has its path and its query as they came, for logs.
pub fn as_sent(ex: &mut Exchange) {
    let (path, query) = split_query(ex.head.target_bytes());
    let (raw_path, query) = (path.to_vec(), query.map(<[u8]>::to_vec));
    if let Ok(path) = CleanPath::from_decoded(&raw_path, Slashes::Keep) {
        ex.target = PassTarget {
            raw_path,
            path,
            query,
            landed: Landed::default(),
            filters: Vec::new(),
        };
    }
}

fn decode(ex: &Exchange) -> Result<CleanPath, Fail> {
    let slashes = if ex.site.settings.core.merge_slashes.or(true) {
        Slashes::Merge
    } else {
        Slashes::Keep
    };
    // Apache looks for a server's name behind two slashes, and so takes all but one off, whatever MergeSlashes says.
    let mut raw = ex.target.raw_path.as_slice();
    while let Some(rest) = raw.strip_prefix(b"/").filter(|rest| rest.starts_with(b"/")) {
        raw = rest;
    }
    CleanPath::decode(raw, encoded_slashes(ex), slashes).map_err(refused)
}

/// The path of this site that an encoded name leads to, absolute or beside the path of this pass.
pub(super) fn beside(ex: &Exchange, name: &[u8]) -> Result<CleanPath, Fail> {
    let mut path = percent_decode(name, encoded_slashes(ex)).map_err(refused)?;
    if path.first() != Some(&b'/') {
        path = [ahead::directory_of(ex.target.path.as_bytes()), &path].concat();
    }
    CleanPath::from_decoded(&path, Slashes::Merge).map_err(refused)
}

fn encoded_slashes(ex: &Exchange) -> EncodedSlashes {
    // What is not for us is for the server behind, as it is written.
    let usual = if ex.site.settings.static_first.is_on() {
        Setting::Kept
    } else {
        Setting::Refused
    };
    match ex.site.settings.core.encoded_slashes.or(usual) {
        Setting::Refused => EncodedSlashes::Off,
        Setting::Decoded => EncodedSlashes::On,
        Setting::Kept => EncodedSlashes::NoDecode,
    }
}

fn refused(error: TargetError) -> Fail {
    Fail::client(error.status(), error.to_string())
}
