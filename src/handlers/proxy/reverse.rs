//! URLs and cookies of the server behind, as they are to be here: ProxyPassReverse and its like. What is compared, and how, is
//! Apache's way (`ap_proxy_location_reverse_map`, `ap_proxy_cookie_reverse_map`).

use std::borrow::Cow;

use crate::base::ascii;
use crate::config::backends::Target;
use crate::config::balancers::{self, Balancer};
use crate::config::directives::proxy_http::{Cookie, ProxyHttp, Reverse};

/// What a URL of an answer becomes: a URL, or a path of this server. `None` leaves it as it is.
pub(super) fn url(list: &[Reverse], balancers: &[Balancer], url: &[u8]) -> Option<Vec<u8>> {
    list.iter().find_map(|reverse| match balancers::split(&reverse.theirs) {
        Some((name, path)) => {
            let balancer = balancers.iter().find(|balancer| balancer.name == name)?;
            let mut members = balancer.members.iter();
            members.find_map(|member| of_member(&reverse.ours, &member.target, path, url))
        }
        None => of_server(&reverse.ours, &reverse.theirs, url),
    })
}

fn of_server(ours: &[u8], theirs: &[u8], url: &[u8]) -> Option<Vec<u8>> {
    let part = if theirs.starts_with(b"/") { path_of(url) } else { url };
    let (start, rest) = part.split_at_checked(theirs.len())?;
    let fits = !theirs.is_empty() && start.eq_ignore_ascii_case(theirs);
    fits.then(|| [ours, rest].concat())
}

/// A URL of a balancer's member: `path` is what follows the balancer's name where the redirect is to come back.
fn of_member(ours: &[u8], member: &Target, path: &[u8], url: &[u8]) -> Option<Vec<u8>> {
    let theirs = [member.base.as_slice(), &member.path].concat();
    let path = if path == b"/" { &b""[..] } else { path };
    let theirs = match theirs.strip_suffix(b"/") {
        Some(shorter) if !path.is_empty() => shorter,
        _ => &theirs,
    };
    let (start, rest) = url.split_at_checked(theirs.len())?;
    let rest = start.eq_ignore_ascii_case(theirs).then(|| rest.strip_prefix(path))??;
    let ours = if ours == b"/" && rest.starts_with(b"/") {
        &b""[..]
    } else {
        ours
    };
    Some([ours, rest].concat())
}

/// The path of a URL; a path as it is.
fn path_of(url: &[u8]) -> &[u8] {
    let path = || {
        let behind = memchr::memmem::find(url, b"://")? + 3;
        let slash = memchr::memchr(b'/', url.get(behind..)?)?;
        url.get(behind + slash..)
    };
    path().unwrap_or(url)
}

/// Whether it is a URL with a scheme and a host.
pub(super) fn is_url(text: &[u8]) -> bool {
    let scheme = memchr::memmem::find(text, b"://").and_then(|at| text.get(..at));
    scheme.is_some_and(|scheme| {
        let is_of_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        !scheme.is_empty() && scheme.iter().all(is_of_scheme)
    })
}

/// A cookie with its Path and Domain as they are to be here.
pub(super) fn cookie<'c>(conf: &ProxyHttp, cookie: &'c [u8]) -> Cow<'c, [u8]> {
    if conf.cookie_paths.is_empty() && conf.cookie_domains.is_empty() {
        return Cow::Borrowed(cookie);
    }
    let mut out = Vec::with_capacity(cookie.len());
    for (n, part) in cookie.split(|byte| *byte == b';').enumerate() {
        if n > 0 {
            out.push(b';');
        }
        match attribute(conf, part).filter(|_| n > 0) {
            Some((start, value)) => {
                out.extend_from_slice(start);
                out.extend_from_slice(value);
            }
            None => out.extend_from_slice(part),
        }
    }
    Cow::Owned(out)
}

/// An attribute that changes: what stands before its value, and the value.
fn attribute<'a>(conf: &'a ProxyHttp, part: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (start, value) = part.split_at(memchr::memchr(b'=', part)? + 1);
    let name = ascii::trim_ows(start.strip_suffix(b"=")?);
    let changed = |list: &'a [Cookie], fits: fn(&[u8], &[u8]) -> bool| {
        let fits = |cookie: &&Cookie| {
            let begins = value.get(..cookie.theirs.len());
            begins.is_some_and(|begins| fits(begins, &cookie.theirs))
        };
        list.iter().find(fits).map(|cookie| cookie.ours.as_slice())
    };
    let value = if name.eq_ignore_ascii_case(b"path") {
        changed(&conf.cookie_paths, <[u8]>::eq)?
    } else if name.eq_ignore_ascii_case(b"domain") {
        changed(&conf.cookie_domains, <[u8]>::eq_ignore_ascii_case)?
    } else {
        return None;
    };
    Some((start, value))
}

#[cfg(test)]
mod tests {
    use super::{cookie, is_url, of_member, url};
    use crate::config::backends::Target;
    use crate::config::directives::proxy_http::{Cookie, ProxyHttp, Reverse};

    #[test]
    fn urls_lead_back_here() {
        let list: Vec<Reverse> = [
            ("/app", "http://inside:8080/x"),
            ("/", "http://inside:8080/"),
            ("http://public/p/", "http://other/"),
            ("/here", "/there"),
        ]
        .map(|(ours, theirs)| Reverse {
            ours: ours.into(),
            theirs: theirs.into(),
        })
        .into();
        for (said, want) in [
            ("http://inside:8080/x/y?z", Some("/app/y?z")),
            ("HTTP://Inside:8080/x", Some("/app")),
            ("http://inside:8080/y", Some("/y")),
            ("http://inside:8080", None),
            ("http://other/a", Some("http://public/p/a")),
            ("http://any/there/a", Some("/here/a")),
            ("/there/a", Some("/here/a")),
            ("/elsewhere", None),
            ("", None),
        ] {
            let got = url(&list, &[], said.as_bytes());
            assert_eq!(got.as_deref(), want.map(str::as_bytes), "{said}");
        }
        assert!(is_url(b"http://a/") && !is_url(b"/a://b") && !is_url(b"://b") && !is_url(b"/a"));
    }

    #[test]
    fn urls_of_members_lead_back_here() {
        for (ours, member, path, said, want) in [
            ("/app", "http://a:81", "", "http://a:81/x", Some("/app/x")),
            ("/app", "http://a:81", "/", "HTTP://A:81/x", Some("/app/x")),
            ("/", "http://a:81", "", "http://a:81/x", Some("/x")),
            (
                "/bash",
                "http://a/foo/",
                "/bar",
                "http://a/foo/bar/that",
                Some("/bash/that"),
            ),
            ("/bash", "http://a/foo", "/bar", "http://a/foo/that", None),
            ("/app", "http://b", "", "http://a/x", None),
        ] {
            let target = Target::parse(member.as_bytes()).expect(member);
            let got = of_member(ours.as_bytes(), &target, path.as_bytes(), said.as_bytes());
            assert_eq!(got.as_deref(), want.map(str::as_bytes), "{said}");
        }
    }

    #[test]
    fn cookies_are_of_here() {
        let pair = |theirs: &str, ours: &str| Cookie {
            theirs: theirs.into(),
            ours: ours.into(),
        };
        let mut conf = ProxyHttp::default();
        conf.cookie_paths.push(pair("/inside", "/"));
        conf.cookie_domains.push(pair("inside.example", "public.example"));
        for (said, want) in [
            ("a=b; path=/inside/x; HttpOnly", "a=b; path=/; HttpOnly"),
            ("a=b;Path=/inside", "a=b;Path=/"),
            ("a=b; Path=/Inside", "a=b; Path=/Inside"),
            (
                "a=b; domain=INSIDE.example; path=/o",
                "a=b; domain=public.example; path=/o",
            ),
            ("path=/inside; secure", "path=/inside; secure"),
            ("a=b", "a=b"),
        ] {
            let got = cookie(&conf, said.as_bytes());
            assert_eq!(String::from_utf8_lossy(&got), want, "{said}");
        }
    }
}
