//! One request to a server over a connection of its own, and its answer. Everything has to be there before one deadline.

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::http::chunked::{Decoder, Step};
use crate::http::fields::Fields;
use crate::http::method::Method;
use crate::http::received::{BadLine, BodyEnd, HeadReader, Received};
use crate::net::tls::{Belief, Below, Client, Session, disagreement};

/// So much of a body is kept and compared with its differences shown; of what is behind it, length and digest are.
const KEPT: usize = 4 * 1024 * 1024;

/// A longer line of a head is refused. No directive moves it.
const LONGEST_LINE: usize = 64 * 1024;

/// A server that is asked.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its URL, as it was given.
    pub url: String,
    /// Its name or address, in brackets if it is one of IPv6.
    pub host: String,
    /// Its port.
    pub port: u16,
    addresses: Vec<SocketAddr>,
    /// What TLS needs, where it is spoken.
    tls: Option<Client>,
}

impl Server {
    /// The server of a URL without a path; its name is looked up. An error is a sentence.
    pub fn of(url: &str, belief: Belief) -> Result<Server, String> {
        let (rest, tls) = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (rest, None),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => {
                let client = Client::of_command(belief).map_err(|error| format!("{url}: {error}"))?;
                (rest, Some(client))
            }
            _ => return Err(format!("{url}: not a URL; write `http://host:port`")),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.is_empty() || authority.contains(['/', '?', '#', '@']) {
            return Err(format!("{url}: the paths come from the log; write `http://host:port`"));
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                let port = port.parse().map_err(|_| format!("{url}: `{port}` is not a port"))?;
                (host, port)
            }
            _ => (authority, if tls.is_some() { 443 } else { 80 }),
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let addresses = (bare, port)
            .to_socket_addrs()
            .map_err(|error| format!("{url}: {error}"))?;
        Ok(Server {
            url: url.to_owned(),
            host: host.to_owned(),
            port,
            addresses: addresses.collect(),
            tls,
        })
    }

    /// The Host field for it.
    pub fn authority(&self) -> String {
        match self.port {
            80 if self.tls.is_none() => self.host.clone(),
            443 if self.tls.is_some() => self.host.clone(),
            port => format!("{}:{port}", self.host),
        }
    }

    /// A connection.
    pub fn connect(&self, patience: Duration) -> Result<TcpStream, String> {
        let mut last = "its name has no address".to_owned();
        for address in &self.addresses {
            match TcpStream::connect_timeout(address, patience) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error.to_string(),
            }
        }
        Err(last)
    }

    /// The answer to a request, whose bytes are a head; over TLS, `host` is asked for and must be named by the certificate,
    /// whatever its port. An error is a sentence.
    pub fn ask(&self, host: &[u8], request: &[u8], method: Method, patience: Duration) -> Result<Answer, String> {
        let told = |error: &std::io::Error| error.to_string();
        let stream = self.connect(patience)?;
        let timeouts = stream
            .set_write_timeout(Some(patience))
            .and_then(|()| stream.set_read_timeout(Some(patience)));
        timeouts.map_err(|error| told(&error))?;
        let session = match &self.tls {
            Some(client) => Some(agreed(client, host, &stream).map_err(|why| format!("TLS: {why}"))?),
            None => None,
        };
        let mut wire = Wire {
            deadline: Instant::now() + patience,
            line: Line { stream, session },
            input: Vec::new(),
            is_torn: false,
        };
        wire.line.send(request).map_err(|error| told(&error))?;
        let received = wire.head()?;
        let end = received
            .body_end(method)
            .map_err(|_| "where its body ends cannot be told".to_owned())?;
        let mut body = Body::default();
        let cut = wire.body(end, &mut body)?;
        Ok(Answer {
            status: received.head.status.code(),
            fields: received.head.fields,
            body,
            is_cut: cut == Cut::Early,
        })
    }
}

/// What a server answered.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The fields.
    pub fields: Fields,
    /// The body, without its framing.
    pub body: Body,
    /// Whether the connection ended before the body.
    pub is_cut: bool,
}

/// A body: its beginning, and of the rest what tells it from another.
#[derive(Clone, Debug, Default)]
pub struct Body {
    /// The beginning; all of most.
    pub kept: Vec<u8>,
    /// How long all of it is.
    pub length: u64,
    rest: Sha256,
}

impl Body {
    /// A body that is at hand.
    #[cfg(test)]
    pub fn of(text: &[u8]) -> Body {
        let mut body = Body::default();
        body.append(text);
        body
    }

    fn append(&mut self, data: &[u8]) {
        let room = KEPT.saturating_sub(self.kept.len()).min(data.len());
        let (kept, rest) = data.split_at(room);
        self.kept.extend_from_slice(kept);
        self.rest.update(rest);
        self.length += data.len() as u64;
    }

    /// The digest of what is not kept.
    pub fn rest(&self) -> Vec<u8> {
        self.rest.clone().finalize().to_vec()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    Early,
    Not,
}

/// Comes to an agreement on a connection that waits.
fn agreed(client: &Client, host: &[u8], stream: &TcpStream) -> Result<Session, String> {
    let session = client.partner(without_port(host))?.begin();
    let session = session.map_err(|error| error.to_string())?;
    session
        .try_agree(&Waiting(stream))
        .map_err(|error| disagreement(&error))?;
    Ok(session)
}

/// A host's name or address alone.
fn without_port(host: &[u8]) -> &[u8] {
    match host.strip_prefix(b"[") {
        Some(rest) => rest.split(|byte| *byte == b']').next().unwrap_or_default(),
        None => host.split(|byte| *byte == b':').next().unwrap_or_default(),
    }
}

/// A socket that waits for as long as it was told.
struct Waiting<'a>(&'a TcpStream);

impl Below for Waiting<'_> {
    fn read(&self, buffer: &mut [u8]) -> std::io::Result<usize> {
        (&mut &*self.0).read(buffer)
    }

    fn write(&self, pieces: &[IoSlice<'_>]) -> std::io::Result<usize> {
        (&mut &*self.0).write_vectored(pieces)
    }
}

/// A connection, bare or within TLS.
struct Line {
    stream: TcpStream,
    session: Option<Session>,
}

impl Line {
    fn send(&mut self, mut bytes: &[u8]) -> std::io::Result<()> {
        let Some(session) = &self.session else {
            return self.stream.write_all(bytes);
        };
        let below = Waiting(&self.stream);
        while !bytes.is_empty() {
            let count = session.try_write(&below, &[IoSlice::new(bytes)])?;
            bytes = bytes.get(count..).unwrap_or_default();
        }
        session.try_push(&below)
    }

    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match &self.session {
            Some(session) => session.try_read(&Waiting(&self.stream), buffer),
            None => self.stream.read(buffer),
        }
    }
}

struct Wire {
    line: Line,
    deadline: Instant,
    input: Vec<u8>,
    /// Nothing within TLS has said that it ends.
    is_torn: bool,
}

impl Wire {
    /// More bytes behind those that are there; whether any came.
    fn more(&mut self) -> Result<bool, String> {
        let mut buffer = [0; 16 * 1024];
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err("it took too long (--timeout)".to_owned());
            }
            self.line
                .stream
                .set_read_timeout(Some(left))
                .map_err(|error| error.to_string())?;
            match self.line.read(&mut buffer) {
                Ok(length) => {
                    self.input.extend_from_slice(buffer.get(..length).unwrap_or_default());
                    return Ok(length > 0);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Err("it took too long (--timeout)".to_owned());
                }
                // A connection that is torn off within TLS is one that ends early, as a bare one.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    self.is_torn = true;
                    return Ok(false);
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// The final head; interim ones are passed over.
    fn head(&mut self) -> Result<Received, String> {
        let mut reader = HeadReader::new(LONGEST_LINE, BadLine::Refused);
        loop {
            match reader.parse(&self.input).map_err(|error| error.to_string())? {
                Some((received, length)) => {
                    self.input.drain(..length);
                    if received.head.status.code() >= 200 || received.head.status.code() == 101 {
                        return Ok(received);
                    }
                }
                None if self.more()? => {}
                None if self.input.is_empty() => return Err("it closed the connection without an answer".to_owned()),
                None => return Err("it closed the connection in the middle of a head".to_owned()),
            }
        }
    }

    fn body(&mut self, end: BodyEnd, body: &mut Body) -> Result<Cut, String> {
        match end {
            BodyEnd::NoBody => Ok(Cut::Not),
            BodyEnd::Chunked => self.chunks(body),
            BodyEnd::Close | BodyEnd::Length(_) => {
                let most = match end {
                    BodyEnd::Length(length) => length,
                    _ => u64::MAX,
                };
                loop {
                    let room = usize::try_from(most - body.length).unwrap_or(usize::MAX);
                    let data: Vec<u8> = self.input.drain(..room.min(self.input.len())).collect();
                    body.append(&data);
                    if body.length == most {
                        return Ok(Cut::Not);
                    }
                    if !self.more()? {
                        let is_whole = end == BodyEnd::Close && !self.is_torn;
                        return Ok(if is_whole { Cut::Not } else { Cut::Early });
                    }
                }
            }
        }
    }

    fn chunks(&mut self, body: &mut Body) -> Result<Cut, String> {
        let mut decoder = Decoder::new();
        loop {
            let step = decoder.decode(&self.input);
            match step.map_err(|_| "its body is not in chunks, as its head says".to_owned())? {
                Step::Data { consumed, data } => {
                    body.append(self.input.get(data).unwrap_or_default());
                    self.input.drain(..consumed);
                }
                Step::End { .. } => return Ok(Cut::Not),
                Step::NeedMore => {
                    self.input.clear();
                    if !self.more()? {
                        return Ok(Cut::Early);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::time::Duration;

    use super::{Answer, Server};
    use crate::http::method::Method;
    use crate::net::tls::Belief;

    #[test]
    fn a_url_is_a_server_of_http() {
        for (url, want) in [
            ("http://127.0.0.1:8080", Ok("127.0.0.1:8080")),
            ("HTTP://127.0.0.1/", Ok("127.0.0.1")),
            ("http://[::1]:81/", Ok("[::1]:81")),
            ("http://[::1]", Ok("[::1]")),
            ("https://127.0.0.1/", Ok("127.0.0.1")),
            ("https://127.0.0.1:80/", Ok("127.0.0.1:80")),
            ("localhost:80", Err("localhost:80: not a URL; write `http://host:port`")),
            (
                "http://a/b",
                Err("http://a/b: the paths come from the log; write `http://host:port`"),
            ),
            (
                "http://u@a/",
                Err("http://u@a/: the paths come from the log; write `http://host:port`"),
            ),
            ("http://127.0.0.1:x/", Err("http://127.0.0.1:x/: `x` is not a port")),
        ] {
            let told = Server::of(url, Belief::Anybody).map(|server| server.authority());
            assert_eq!(told.as_deref().map_err(String::as_str), want, "{url}");
        }
    }

    /// The answer that a client gets to whom these bytes are sent.
    fn answered(bytes: &'static [u8], method: Method) -> Result<Answer, String> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut request = [0; 4];
            stream.read_exact(&mut request).expect("it asks");
            stream.write_all(bytes).expect("it reads");
        });
        let server = Server::of(&format!("http://{address}"), Belief::Trusted).expect("a URL");
        let answer = server.ask(b"localhost", b"ask\n", method, Duration::from_secs(30));
        thread.join().expect("it answered");
        answer
    }

    #[test]
    fn answers_of_every_framing_are_read() {
        for (bytes, method, want) in [
            (&b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"[..], Method::Get, Ok((200, "abc", false))),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc", Method::Get, Ok((200, "abc", true))),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", Method::Head, Ok((200, "", false))),
            (b"HTTP/1.0 404 No\r\n\r\nabc", Method::Get, Ok((404, "abc", false))),
            (
                b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
                Method::Get,
                Ok((200, "abc", false)),
            ),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nb",
                Method::Get,
                Ok((200, "ab", true)),
            ),
            (b"", Method::Get, Err("it closed the connection without an answer")),
            (b"HTTP/1.1 200", Method::Get, Err("it closed the connection in the middle of a head")),
            (b"SSH-2.0\r\n", Method::Get, Err("its first line is no status line of HTTP/1")),
        ] {
            let told = answered(bytes, method).map(|answer| {
                let body = String::from_utf8_lossy(&answer.body.kept).into_owned();
                (answer.status, body, answer.is_cut)
            });
            let told = told.as_ref().map(|(status, body, is_cut)| (*status, body.as_str(), *is_cut));
            assert_eq!(told.map_err(String::as_str), want);
        }
    }
}
