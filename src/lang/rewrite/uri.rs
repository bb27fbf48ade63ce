//! URLs as the rules see them: which are absolute, what of them is escaped, where the query begins.

use crate::base::quote;

/// A scheme by which a substitution leaves the server.
struct Scheme {
    name: &'static str,
    /// Whether `//` and a host follow.
    has_host: bool,
    has_query: bool,
}

const fn scheme(name: &'static str, has_host: bool, has_query: bool) -> Scheme {
    Scheme {
        name,
        has_host,
        has_query,
    }
}

/// The schemes that Apache knows.
const SCHEMES: &[Scheme] = &[
    scheme("ajp:", true, true),
    scheme("balancer:", true, true),
    scheme("fcgi:", true, true),
    scheme("ftp:", true, false),
    scheme("gopher:", true, false),
    scheme("h2:", true, true),
    scheme("h2c:", true, true),
    scheme("http:", true, true),
    scheme("https:", true, true),
    scheme("imap:", true, false),
    scheme("ldap:", true, false),
    scheme("ldaps:", true, false),
    scheme("mailto:", false, true),
    scheme("news:", false, false),
    scheme("nntp:", true, false),
    scheme("scgi:", true, true),
    scheme("uwsgi:", true, true),
    scheme("ws:", true, true),
    scheme("wss:", true, true),
    scheme("unix:", false, true),
];

/// The length of the scheme with what follows it up to the host, if `uri` is absolute, and whether it may have a query.
pub(super) fn absolute(uri: &[u8]) -> Option<(usize, bool)> {
    SCHEMES.iter().find_map(|scheme| {
        let name = uri.get(..scheme.name.len())?;
        if !name.eq_ignore_ascii_case(scheme.name.as_bytes()) {
            return None;
        }
        let rest = &uri[scheme.name.len()..];
        if !scheme.has_host {
            return Some((scheme.name.len(), scheme.has_query));
        }
        rest.starts_with(b"//")
            .then_some((scheme.name.len() + 2, scheme.has_query))
    })
}

/// An absolute URL with its path escaped; `start` is what [`absolute`] said.
pub(super) fn escape_absolute(uri: &[u8], start: usize) -> Vec<u8> {
    let path = if uri.get(start.saturating_sub(1)) == Some(&b'/') {
        let host = uri.get(start..).unwrap_or_default();
        host.iter()
            .position(|byte| *byte == b'/')
            .map(|slash| start + slash + 1)
    } else {
        Some(start)
    };
    let Some((head, path)) = path.and_then(|at| uri.split_at_checked(at)) else {
        return uri.to_vec();
    };
    let mut escaped = head.to_vec();
    quote::escape_path(&mut escaped, path);
    escaped
}

/// Host, port and the rest of an `http` or `https` URL.
pub(super) fn own_parts<'u>(uri: &'u [u8], scheme: &str) -> Option<(&'u [u8], Option<u16>, &'u [u8])> {
    let start = uri.get(..scheme.len())?;
    let rest = uri.get(scheme.len()..)?.strip_prefix(b"://")?;
    if !start.eq_ignore_ascii_case(scheme.as_bytes()) {
        return None;
    }
    let end = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let path = if path.is_empty() { &b"/"[..] } else { path };
    let colon = authority.iter().rposition(|byte| *byte == b':');
    match colon {
        Some(colon) => {
            let port = str::from_utf8(authority.get(colon + 1..)?).ok()?.parse().ok()?;
            Some((&authority[..colon], Some(port), path))
        }
        None => Some((authority, None, path)),
    }
}

/// `input` with the directory `from` at its start replaced by the URL path `to`; unchanged when it does not begin so.
pub(super) fn with_prefix_replaced(input: &[u8], from: &[u8], to: &[u8]) -> Option<Vec<u8>> {
    let rest = input.strip_prefix(from.strip_suffix(b"/").unwrap_or(from))?;
    let rest = rest.strip_prefix(b"/")?;
    let mut output = to.to_vec();
    if !matches!(output.last(), None | Some(b'/')) {
        output.push(b'/');
    }
    output.extend_from_slice(rest);
    Some(output)
}

#[cfg(test)]
mod tests {
    use super::{absolute, escape_absolute, own_parts, with_prefix_replaced};

    #[test]
    fn known_schemes_make_a_url_absolute() {
        for (uri, want) in [
            ("http://a/b", Some((7, true))),
            ("HTTPS://a", Some((8, true))),
            ("mailto:a@b", Some((7, true))),
            ("ftp://a", Some((6, false))),
            ("http:/a", None),
            ("/http://a", None),
            ("httpx://a", None),
            ("fcgi://a", Some((7, true))),
        ] {
            assert_eq!(absolute(uri.as_bytes()), want, "{uri}");
        }
    }

    #[test]
    fn only_the_path_is_escaped() {
        for (uri, start, want) in [
            ("http://h o/a b", 7, "http://h o/a%20b"),
            ("http://host", 7, "http://host"),
            ("mailto:a b", 7, "mailto:a%20b"),
        ] {
            assert_eq!(escape_absolute(uri.as_bytes(), start), want.as_bytes(), "{uri}");
        }
    }

    #[test]
    fn our_own_urls_come_apart() {
        assert_eq!(
            own_parts(b"http://a:8080/x?y", "http"),
            Some((&b"a"[..], Some(8080), &b"/x?y"[..]))
        );
        assert_eq!(own_parts(b"HTTP://a", "http"), Some((&b"a"[..], None, &b"/"[..])));
        assert_eq!(own_parts(b"https://a/", "http"), None);
        assert_eq!(own_parts(b"http://a:x/", "http"), None);
    }

    #[test]
    fn a_directory_becomes_its_url() {
        assert_eq!(
            with_prefix_replaced(b"/srv/a/b", b"/srv/a/", b"/x").as_deref(),
            Some(&b"/x/b"[..])
        );
        assert_eq!(with_prefix_replaced(b"/srv/ab", b"/srv/a/", b"/x"), None);
    }
}
