//! The request that is asked about: from the words of the command line to bytes as a client would send them, and the
//! connection they would come on.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use base64::Engine;

use crate::base::ascii::is_token;
use crate::config::directives::server::Listen;
use crate::http::fields::is_field_value;
use crate::http::host::Host;

/// The words of the command line.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// METHOD.
    pub method: Vec<u8>,
    /// URL: a whole one, or a path.
    pub url: Vec<u8>,
    /// `--header`, `Name: value` each.
    pub fields: Vec<Vec<u8>>,
    /// `--host`, with a port if it has one.
    pub host: Option<Vec<u8>>,
    /// `--user`, `NAME:PASSWORD`.
    pub user: Option<Vec<u8>>,
    /// `--local`: the server's end of the connection.
    pub local: Option<SocketAddr>,
    /// `--from`: the client's address.
    pub from: Option<IpAddr>,
}

/// A request, and where it comes and goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its head as it would be sent.
    pub head: Vec<u8>,
    /// The server's end.
    pub local: SocketAddr,
    /// The client's end.
    pub peer: SocketAddr,
    /// What the URL says of TLS.
    pub over: Over,
}

/// How a request comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Bare, by `http://`.
    Plain,
    /// Within TLS, by `https://`.
    Tls,
    /// As the address has it.
    Whatever,
}

/// The port of a client that nobody is. Clients have some port above 1023.
const CLIENT_PORT: u16 = 50_000;

/// The request that is meant; `listen` says where the server could be asked. The error is a sentence about the command line.
pub fn request(question: &Question, listen: &[Listen]) -> Result<Asked, String> {
    if !is_token(&question.method) {
        return Err(format!(
            "{} is not a method; write `GET` or the like",
            shown(&question.method)
        ));
    }
    let (over, authority, target) = parted(&question.url)?;
    let host = match (&question.host, authority) {
        (Some(_), Some(_)) => {
            return Err("the URL names a host already; leave --host out, or write the path alone".into());
        }
        (Some(host), None) => host.clone(),
        (None, Some(host)) => host.to_vec(),
        (None, None) => b"localhost".to_vec(),
    };
    let known = Host::parse(&host).map_err(|_| format!("{} is not the name of a host", shown(&host)))?;
    let local = question.local.unwrap_or_else(|| local(over, &known, listen));
    let ip = question.from.unwrap_or(match local {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        SocketAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
    });
    let mut head = [&question.method[..], b" ", target, b" HTTP/1.1\r\n"].concat();
    let has = |name: &[u8]| {
        let mut names = question.fields.iter().map(|line| name_of(line));
        names.any(|known| known.eq_ignore_ascii_case(name))
    };
    if !has(b"host") {
        head.extend_from_slice(&[b"Host: ", &host[..], b"\r\n"].concat());
    }
    if let Some(user) = &question.user {
        if has(b"authorization") {
            return Err("--user and an Authorization field say the same; leave one out".into());
        }
        if !user.contains(&b':') {
            return Err("--user takes NAME:PASSWORD".into());
        }
        let encoded = base64::engine::general_purpose::STANDARD.encode(user);
        head.extend_from_slice(format!("Authorization: Basic {encoded}\r\n").as_bytes());
    }
    for line in &question.fields {
        head.extend_from_slice(field(line)?);
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    Ok(Asked {
        head,
        local,
        peer: SocketAddr::new(ip, CLIENT_PORT),
        over,
    })
}

/// The scheme and the host of a URL, if it names them, and what follows it.
type Parted<'u> = (Over, Option<&'u [u8]>, &'u [u8]);

/// Parts a URL. A fragment stays with the client.
fn parted(url: &[u8]) -> Result<Parted<'_>, String> {
    if url.iter().any(|byte| byte.is_ascii_control() || *byte == b' ') {
        let hint = "it has a space or a control character; write %20 or the like";
        return Err(format!("{} is not a URL: {hint}", shown(url)));
    }
    let end = url.iter().position(|byte| *byte == b'#').unwrap_or(url.len());
    let (url, _) = url.split_at(end);
    let begins = |scheme: &[u8]| {
        url.get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    let (over, length) = if begins(b"https://") {
        (Over::Tls, 8)
    } else if begins(b"http://") {
        (Over::Plain, 7)
    } else {
        return match url.first() {
            Some(b'/') => Ok((Over::Whatever, None, url)),
            _ if url == b"*" => Ok((Over::Whatever, None, url)),
            _ => Err(format!(
                "{} is neither a URL nor a path; write `http://host/path`, or `/path`",
                shown(url)
            )),
        };
    };
    let rest = url.get(length..).unwrap_or_default();
    let end = rest
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?'))
        .unwrap_or(rest.len());
    let (host, target) = rest.split_at(end);
    if host.contains(&b'@') {
        return Err("a name and a password in a URL are not sent as such; write --user NAME:PASSWORD".into());
    }
    match target.first() {
        Some(b'/') => Ok((over, Some(host), target)),
        None => Ok((over, Some(host), b"/")),
        Some(_) => Err(format!(
            "{} has a query and no path; write a slash before it",
            shown(url)
        )),
    }
}

fn name_of(line: &[u8]) -> &[u8] {
    let end = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
    line.get(..end).unwrap_or(line)
}

/// A field that may be sent.
fn field(line: &[u8]) -> Result<&[u8], String> {
    let name = name_of(line);
    let value = line.get(name.len() + 1..);
    let Some(value) = value.filter(|value| is_token(name) && is_field_value(value)) else {
        return Err(format!("{} is not a field; write `Name: value`", shown(line)));
    };
    let is_about_body = [&b"content-length"[..], b"transfer-encoding", b"expect"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name));
    if is_about_body && value.trim_ascii() != b"0" {
        let name = String::from_utf8_lossy(name);
        return Err(format!("the request is explained without a body; leave {name} out"));
    }
    Ok(line)
}

/// Where the request would arrive: at the address that the URL names, or where the server listens on its port.
fn local(over: Over, host: &Host, listen: &[Listen]) -> SocketAddr {
    let ports = || listen.iter().map(|line| line.port);
    let port = host.port.unwrap_or_else(|| match over {
        Over::Tls => 443,
        Over::Plain | Over::Whatever => {
            let usual = ports().find(|port| *port == 80).or_else(|| ports().next());
            usual.unwrap_or(80)
        }
    });
    let text = std::str::from_utf8(host.name()).unwrap_or_default();
    let literal = text
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>()
        .ok();
    let of_line = listen
        .iter()
        .find(|line| line.port == port)
        .and_then(|line| line.address)
        .filter(|address| !address.is_unspecified());
    let address = literal.or(of_line).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    SocketAddr::new(address, port)
}

fn shown(bytes: &[u8]) -> String {
    format!("`{}`", bytes.escape_ascii())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Question, request};
    use crate::config::directives::server::Listen;
    use crate::config::error::Span;

    fn listen(lines: &[&str]) -> Vec<Listen> {
        let place = Span::new(&Arc::from("a.conf"), 1);
        let line = |text: &&str| Listen {
            address: text
                .rsplit_once(':')
                .map(|(address, _)| address.parse().expect("an address")),
            port: text.rsplit(':').next().unwrap_or(text).parse().expect("a port"),
            protocol: "http",
            span: place.clone(),
        };
        lines.iter().map(line).collect()
    }

    fn asked(url: &str) -> Question {
        Question {
            method: b"GET".to_vec(),
            url: url.as_bytes().to_vec(),
            ..Question::default()
        }
    }

    #[test]
    fn a_url_says_what_is_sent_and_where() {
        for (url, lines, line, host, local) in [
            (
                "http://a.example/x?y#z",
                &["80"][..],
                "GET /x?y ",
                "a.example",
                "127.0.0.1:80",
            ),
            (
                "http://a.example",
                &["8080", "80"],
                "GET / ",
                "a.example",
                "127.0.0.1:80",
            ),
            ("http://a.example", &["8080"], "GET / ", "a.example", "127.0.0.1:8080"),
            (
                "http://a.example:81/",
                &["8080"],
                "GET / ",
                "a.example:81",
                "127.0.0.1:81",
            ),
            ("HTTP://192.0.2.7/", &["80"], "GET / ", "192.0.2.7", "192.0.2.7:80"),
            ("http://[::1]:8080/", &["8080"], "GET / ", "[::1]:8080", "[::1]:8080"),
            ("/x", &["192.0.2.7:8080"], "GET /x ", "localhost", "192.0.2.7:8080"),
            ("*", &["80"], "GET * ", "localhost", "127.0.0.1:80"),
            ("/", &[], "GET / ", "localhost", "127.0.0.1:80"),
            (
                "https://a.example/x",
                &["80", "192.0.2.7:443"],
                "GET /x ",
                "a.example",
                "192.0.2.7:443",
            ),
            ("https://a.example", &["80"], "GET / ", "a.example", "127.0.0.1:443"),
        ] {
            let made = request(&asked(url), &listen(lines)).expect(url);
            let text = String::from_utf8(made.head).expect("text");
            assert!(text.starts_with(line), "{url}: {text}");
            assert!(text.contains(&format!("\r\nHost: {host}\r\n")), "{url}: {text}");
            assert_eq!(made.local.to_string(), local, "{url}");
            assert_eq!(made.peer.is_ipv4(), made.local.is_ipv4(), "{url}");
        }
    }

    #[test]
    fn what_cannot_be_sent_is_said() {
        for (change, want) in [
            (asked("a.example/"), "neither a URL nor a path"),
            (asked("http://a.example/a b"), "a space or a control character"),
            (asked("/a\r\nX: y"), "a space or a control character"),
            (asked("http://u:p@a.example/"), "--user"),
            (asked("http://a.example?x"), "write a slash"),
            (asked("http:///x"), "not the name of a host"),
            (asked("http://a b/x"), "a space"),
            (asked("http://a:99999/x"), "not the name of a host"),
            (
                Question {
                    method: b"G T".to_vec(),
                    ..asked("/")
                },
                "not a method",
            ),
            (
                Question {
                    fields: vec![b"no colon".to_vec()],
                    ..asked("/")
                },
                "not a field",
            ),
            (
                Question {
                    fields: vec![b"X: a\r\nY: b".to_vec()],
                    ..asked("/")
                },
                "not a field",
            ),
            (
                Question {
                    fields: vec![b"Content-Length: 5".to_vec()],
                    ..asked("/")
                },
                "without a body",
            ),
            (
                Question {
                    host: Some(b"b.example".to_vec()),
                    ..asked("http://a.example/")
                },
                "leave --host out",
            ),
            (
                Question {
                    user: Some(b"alice".to_vec()),
                    ..asked("/")
                },
                "NAME:PASSWORD",
            ),
        ] {
            let said = request(&change, &[]).expect_err(want);
            assert!(said.contains(want), "{said}: {want}");
        }
    }

    #[test]
    fn every_cut_of_a_url_is_a_request_or_a_sentence() {
        let url = "http://[::1]:8080/a%20b?c=d#e";
        for end in 0..url.len() {
            let _either_way = request(&asked(&url[..end]), &[]);
        }
    }
}
