//! Lines of access logs, as requests to send again: `common`, `combined` and what is built on them, with the virtual host before
//! them or not, and lychgate's own `json`. What a line says is a stranger's: nothing of it is sent that is no request.

use std::collections::HashMap;
use std::fmt;

use crate::base::ascii;

/// A request that a line tells of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Logged {
    /// The virtual host, with its port where that is not a usual one.
    pub host: Option<Vec<u8>>,
    /// The method.
    pub method: Vec<u8>,
    /// Path and query.
    pub target: Vec<u8>,
}

/// Why a line is no request to send again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unfit {
    /// There is no request in it, or none that could be sent as it was.
    Unreadable,
    /// Its method is neither GET nor HEAD.
    Method,
    /// Its URL has a word of [`DOING`].
    Doing,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unfit::Unreadable => "without a request that could be sent",
            Unfit::Method => "neither GET nor HEAD",
            Unfit::Doing => "with a word like `logout` or `delete` in the URL (`--all` sends them)",
        })
    }
}

/// Words of URLs behind which something is perhaps done, although nothing should be (RFC 9110 section 9.2.1).
const DOING: &[&str] = &[
    "add",
    "approve",
    "buy",
    "cancel",
    "checkout",
    "clear",
    "confirm",
    "create",
    "delete",
    "disable",
    "drop",
    "edit",
    "enable",
    "flush",
    "install",
    "kill",
    "logoff",
    "logout",
    "pay",
    "publish",
    "purge",
    "reboot",
    "remove",
    "reset",
    "restart",
    "save",
    "send",
    "shutdown",
    "signout",
    "stop",
    "subscribe",
    "uninstall",
    "unsubscribe",
    "update",
    "upload",
    "vote",
];

/// The request of a line, if it is safe to send again.
pub fn read(line: &[u8]) -> Result<Logged, Unfit> {
    let line = line.trim_ascii();
    let logged = if line.first() == Some(&b'{') {
        of_object(line)
    } else {
        of_words(line)
    };
    let logged = logged.ok_or(Unfit::Unreadable)?;
    match logged.method.as_slice() {
        b"GET" | b"HEAD" => Ok(logged),
        _ => Err(Unfit::Method),
    }
}

impl Logged {
    /// Whether a word of the URL says that something is perhaps done.
    pub fn may_do_something(&self) -> bool {
        let mut words = self.target.split(|byte| !byte.is_ascii_alphanumeric());
        words.any(|word| DOING.iter().any(|doing| doing.as_bytes().eq_ignore_ascii_case(word)))
    }
}

/// `%v:%p %h … "%r" …`: the first quoted text that is a request line.
fn of_words(line: &[u8]) -> Option<Logged> {
    let host = host_before(line);
    let mut rest = line;
    while let Some((quoted, behind)) = next_quoted(rest) {
        if let Some((method, target)) = request_line(&quoted) {
            return checked(host, &method, &target);
        }
        rest = behind;
    }
    None
}

/// The virtual host that a line begins with: a name and a port. An address of a client has no port, and one of IPv6 more colons.
fn host_before(line: &[u8]) -> Option<Vec<u8>> {
    let word = line.split(|byte| *byte == b' ').next()?;
    let colon = word.iter().rposition(|byte| *byte == b':')?;
    let (name, port) = (word.get(..colon)?, word.get(colon + 1..)?);
    let port = u16::try_from(ascii::parse_decimal(port)?).ok()?;
    (is_host(name) && !name.is_empty()).then(|| match port {
        0 | 80 | 443 => name.to_vec(),
        _ => word.to_vec(),
    })
}

/// A name, an IPv4 address, or one of IPv6 in brackets.
fn is_host(name: &[u8]) -> bool {
    match name {
        [b'[', inside @ .., b']'] => inside
            .iter()
            .all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')),
        _ => name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')),
    }
}

/// The next text in quotes with its escapes undone, and what is behind it.
fn next_quoted(line: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut rest = line;
    loop {
        match rest {
            [] => return None,
            // Such a quote is one of a client's name.
            [b'"', behind @ ..] => return unquoted(behind),
            [b'\\', _, behind @ ..] | [_, behind @ ..] => rest = behind,
        }
    }
}

/// Undoes what `ap_escape_logitem` does, up to the closing quote.
fn unquoted(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut out = Vec::new();
    let mut rest = text;
    loop {
        let (&byte, behind) = rest.split_first()?;
        rest = behind;
        match (byte, rest) {
            (b'"', _) => return Some((out, rest)),
            (b'\\', [b'x', high, low, behind @ ..]) => {
                out.push(hex(*high)? << 4 | hex(*low)?);
                rest = behind;
            }
            (b'\\', [letter, behind @ ..]) => {
                out.push(match letter {
                    b'b' => 0x08,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'v' => 0x0b,
                    other => *other,
                });
                rest = behind;
            }
            (byte, _) => out.push(byte),
        }
    }
}

fn hex(digit: u8) -> Option<u8> {
    u8::try_from(char::from(digit).to_digit(16)?).ok()
}

/// Method and target of a request line, whose protocol may be missing.
fn request_line(line: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let space = line.iter().position(|byte| *byte == b' ')?;
    let (method, rest) = (line.get(..space)?, line.get(space + 1..)?);
    let protocol = rest.iter().rposition(|byte| *byte == b' ');
    let target = match protocol {
        Some(at) if rest.get(at + 1..)?.starts_with(b"HTTP/") => rest.get(..at)?,
        Some(_) => return None,
        None => rest,
    };
    let is_method = !method.is_empty() && method.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'-');
    is_method.then(|| (method.to_vec(), target.to_vec()))
}

/// The request, if its target is one: a path, or a URL of HTTP, without anything that ends a target.
fn checked(host: Option<Vec<u8>>, method: &[u8], target: &[u8]) -> Option<Logged> {
    let (host, target) = match target
        .strip_prefix(b"http://")
        .or_else(|| target.strip_prefix(b"https://"))
    {
        Some(rest) => {
            let end = rest
                .iter()
                .position(|byte| matches!(byte, b'/' | b'?'))
                .unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            let named = authority.rsplit(|byte| *byte == b'@').next()?;
            let slash: &[u8] = if path.starts_with(b"/") { b"" } else { b"/" };
            (Some(named.to_vec()), [slash, path].concat())
        }
        None => (host, target.to_vec()),
    };
    let fits = target.starts_with(b"/") && !target.iter().any(|byte| *byte <= b' ' || *byte == 0x7f);
    let host_fits = host.as_ref().is_none_or(|host| {
        let name = host
            .iter()
            .rposition(|byte| *byte == b':')
            .filter(|_| !host.ends_with(b"]"));
        let (name, port) = host.split_at(name.unwrap_or(host.len()));
        is_host(name) && !name.is_empty() && port.iter().skip(1).all(u8::is_ascii_digit)
    });
    (fits && host_fits).then(|| Logged {
        host,
        method: method.to_vec(),
        target,
    })
}

/// A line of the format `json`.
fn of_object(line: &[u8]) -> Option<Logged> {
    let mut members = members(std::str::from_utf8(line).ok()?)?;
    let method = members.remove("method")??;
    let target = members.remove("target")??;
    let host = ["host", "site"].iter().find_map(|name| members.remove(*name)?);
    checked(host.map(String::into_bytes), method.as_bytes(), target.as_bytes())
}

/// The members of an object whose values are strings, numbers or `null`, which come back as nothing if they are no strings.
fn members(line: &str) -> Option<HashMap<String, Option<String>>> {
    let mut found = HashMap::new();
    let mut rest = line.strip_prefix('{')?.trim_start();
    while !rest.starts_with('}') {
        let (name, behind) = string(rest)?;
        let behind = behind.trim_start().strip_prefix(':')?.trim_start();
        let (value, behind) = if behind.starts_with('"') {
            let (value, behind) = string(behind)?;
            (Some(value), behind)
        } else {
            let end = behind.find([',', '}'])?;
            (None, behind.get(end..)?)
        };
        found.insert(name, value);
        let behind = behind.trim_start();
        rest = match behind.strip_prefix(',') {
            Some(more) => more.trim_start(),
            None => behind,
        };
        if rest.is_empty() {
            return None;
        }
    }
    Some(found)
}

/// A JSON string and what is behind it.
fn string(text: &str) -> Option<(String, &str)> {
    let text = text.strip_prefix('"')?;
    let mut out = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((out, text.get(at + 1..)?)),
            '\\' => match letters.next()?.1 {
                'b' => out.push('\u{8}'),
                'f' => out.push('\u{c}'),
                'n' => out.push('\n'),
                'r' => out.push('\r'),
                't' => out.push('\t'),
                'u' => {
                    let digits: String = letters.by_ref().take(4).map(|(_, digit)| digit).collect();
                    let code = u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 4)?;
                    // Half of a pair is no letter; a target has none.
                    out.push(char::from_u32(code)?);
                }
                other => out.push(other),
            },
            other => out.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Unfit, read};

    fn told(line: &str) -> Result<String, Unfit> {
        read(line.as_bytes()).map(|logged| {
            let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
            let host = logged.host.as_deref().map_or_else(|| "-".to_owned(), text);
            format!("{} {} {host}", text(&logged.method), text(&logged.target))
        })
    }

    #[test]
    fn the_usual_formats_are_read() {
        let time = "[20/Nov/2026:22:00:00 +0000]";
        for (line, want) in [
            (format!("192.0.2.1 - - {time} \"GET /a?b=1 HTTP/1.1\" 200 5"), "GET /a?b=1 -"),
            (format!("::1 - ann {time} \"HEAD / HTTP/1.0\" 200 - \"-\" \"curl\""), "HEAD / -"),
            (format!("2001:db8::80 - - {time} \"GET / HTTP/1.0\" 200 -"), "GET / -"),
            (format!("www.example:80 192.0.2.1 - - {time} \"GET /x HTTP/1.1\" 304 0 \"-\" \"-\""), "GET /x www.example"),
            (format!("www.example:8080 ::1 - a b {time} \"GET /x HTTP/1.1\" 304 0"), "GET /x www.example:8080"),
            (format!("[::1]:443 ::1 - - {time} \"GET /x HTTP/1.1\" 304 0"), "GET /x [::1]"),
            (format!("h - \\\"GET /user HTTP/1.1\\\" {time} \"GET /r HTTP/1.1\" 1 1"), "GET /r -"),
            (format!("h - - {time} \"GET /old\" 200 5"), "GET /old -"),
            (format!("h - - {time} \"GET /\\xc3\\xa9\\\"\\\\ HTTP/1.1\" 200 5"), "GET /\\xc3\\xa9\\\"\\\\ -"),
            (format!("h - - {time} \"GET http://x.example/a HTTP/1.1\" 200 5"), "GET /a x.example"),
            (format!("h - - {time} \"GET http://u:p@x.example:81?q HTTP/1.1\" 200 5"), "GET /?q x.example:81"),
            ("\"Mozilla GET /\" \"GET /second HTTP/1.1\"".to_owned(), "GET /second -"),
            (
                "{\"time\":\"2026\",\"user\":null,\"method\":\"GET\",\"target\":\"/a\\u0022?é\",\"status\":200,\"site\":\"s\",\"host\":null}".to_owned(),
                "GET /a\\\"?\\xc3\\xa9 s",
            ),
            ("{\"method\":\"HEAD\",\"target\":\"/\",\"host\":\"h:81\",\"site\":\"s\"}".to_owned(), "HEAD / h:81"),
        ] {
            assert_eq!(told(&line), Ok(want.to_owned()), "{line}");
        }
    }

    /// TRAPS 56: a log is written by whoever sends requests.
    #[test]
    fn what_is_no_request_is_not_sent() {
        for line in [
            "",
            "-",
            "h - - [t] \"-\" 408 -",
            "h - - [t] \"GET\" 400 1",
            "h - - [t] \"\\x16\\x03\\x01\" 400 226",
            "h - - [t] \"GET /a\\r\\nX: y HTTP/1.1\" 400 1",
            "h - - [t] \"GET /a b HTTP/1.1\" 400 1",
            "h - - [t] \"GET /\\x00 HTTP/1.1\" 400 1",
            "h - - [t] \"GET /a HTTP/1.1",
            "h - - [t] \"GET /a\\",
            "h - - [t] \"GET /a\\x4",
            "h - - [t] \"get /a HTTP/1.1\" 501 1",
            "h - - [t] \"GET * HTTP/1.1\" 400 1",
            "h - - [t] \"GET a HTTP/1.1\" 400 1",
            "h - - [t] \"GET http:///a HTTP/1.1\" 400 1",
            "h - - [t] \"GET http://a\\r\\nX/ HTTP/1.1\" 400 1",
            "{\"method\":\"GET\",\"target\":\"/a\"",
            "{\"method\":\"GET\",\"target\":null}",
            "{\"method\":\"GET\",\"target\":\"/\\u000d\\u000a\"}",
            "{\"method\":\"GET\",\"target\":\"/\",\"host\":\"a\\r\\nb\"}",
            "{\"a\":",
            "{",
        ] {
            assert_eq!(told(line), Err(Unfit::Unreadable), "{line}");
        }
        assert_eq!(told("h - - [t] \"POST /a HTTP/1.1\" 200 1"), Err(Unfit::Method));
        assert_eq!(told("h - - [t] \"M-SEARCH * HTTP/1.1\" 200 1"), Err(Unfit::Unreadable));
    }

    #[test]
    fn a_line_may_end_anywhere() {
        for line in [
            "www.example:80 192.0.2.1 - - [t] \"GET /\\xc3\\\"x HTTP/1.1\" 304 0 \"-\" \"-\"",
            "{\"method\":\"GET\",\"target\":\"/a\\u0022?b\",\"status\":200,\"host\":\"x\"}",
        ] {
            for cut in 0..line.len() {
                let _any = read(&line.as_bytes()[..cut]);
            }
        }
    }

    #[test]
    fn urls_that_may_do_something_are_told_by_their_words() {
        for (target, may) in [
            ("/logout", true),
            ("/a?do=Delete&id=1", true),
            ("/wiki/index.php?action=edit", true),
            ("/editor/address.html", false),
            ("/a?runs=1", false),
            ("/", false),
        ] {
            let logged = read(format!("h - - [t] \"GET {target} HTTP/1.1\" 200 1").as_bytes()).expect("a request");
            assert_eq!(logged.may_do_something(), may, "{target}");
        }
    }
}
