//! The address of an OCSP responder: a URL of plain HTTP (RFC 6960 appendix A.1).

/// A responder.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Responder {
    /// Its name or address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What the Host field says.
    authority: String,
    /// What is asked for: path and query.
    path: String,
}

/// A longer URL is none. No directive moves it.
const LONGEST: usize = 2048;

impl Responder {
    /// That of a URL; `None` where it is not one of plain HTTP.
    pub fn parse(url: &[u8]) -> Option<Responder> {
        let text = std::str::from_utf8(url).ok().filter(|url| url.len() <= LONGEST)?;
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let (scheme, rest) = text.split_once("://")?;
        if !scheme.eq_ignore_ascii_case("http") {
            return None;
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end)?;
        let path = path.split('#').next().unwrap_or_default();
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().ok().filter(|port| *port > 0)?),
            _ => (authority, 80),
        };
        let bare = match host.strip_prefix('[') {
            Some(inside) => inside.strip_suffix(']')?,
            None => host,
        };
        if bare.is_empty() || authority.contains('@') || (bare.contains(':') && !host.starts_with('[')) {
            return None;
        }
        Some(Responder {
            host: bare.to_owned(),
            port,
            authority: authority.to_owned(),
            path: if path.starts_with('/') {
                path.to_owned()
            } else {
                format!("/{path}")
            },
        })
    }

    /// The request of HTTP that asks it this question.
    pub fn post(&self, question: &[u8]) -> Vec<u8> {
        // HTTP/1.0, so that nobody answers in chunks.
        let mut request = format!(
            "POST {} HTTP/1.0\r\nHost: {}\r\nContent-Type: application/ocsp-request\r\n\
             Accept: application/ocsp-response\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.path,
            self.authority,
            question.len()
        )
        .into_bytes();
        request.extend_from_slice(question);
        request
    }
}

impl std::fmt::Display for Responder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "http://{}{}", self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::Responder;

    #[test]
    fn only_urls_of_plain_http_are_responders() {
        for (url, host, port, shown) in [
            ("http://r.example", "r.example", 80, "http://r.example/"),
            (
                "HTTP://r.example:8080/a/b?c=d#e",
                "r.example",
                8080,
                "http://r.example:8080/a/b?c=d",
            ),
            ("http://[::1]:99/x", "::1", 99, "http://[::1]:99/x"),
            ("http://r.example?q", "r.example", 80, "http://r.example/?q"),
        ] {
            let found = Responder::parse(url.as_bytes()).unwrap();
            assert_eq!((&*found.host, found.port, &*found.to_string()), (host, port, shown));
        }
        for url in [
            "",
            "http://",
            "https://r.example/",
            "ldap://r.example",
            "r.example",
            "http://a@b/",
            "http://r:0/",
            "http://r:x/",
            "http://a b/",
            "http://r/\r\nX: y",
            "http://::1/",
            "http://[::1/",
            "http://:80/",
        ] {
            assert_eq!(Responder::parse(url.as_bytes()), None, "{url}");
        }
        let asked = Responder::parse(b"http://r.example/x").unwrap().post(b"??");
        assert!(asked.starts_with(b"POST /x HTTP/1.0\r\nHost: r.example\r\n"));
        assert!(asked.ends_with(b"Content-Length: 2\r\nConnection: close\r\n\r\n??"));
    }
}
