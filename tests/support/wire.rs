//! A raw connection to the server under test: send any bytes, read and check replies by RFC 9112.
//!
//! Sending and reading go on together (a large upload never stops because nobody reads), every wait has a
//! deadline, and a reply that breaks the framing rules is an error by itself.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use regex::bytes::Regex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::support::tls::{Came, Client, Over};

/// How the peer's side of the connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// The server may still send.
    Open,
    /// The server closed in order.
    Closed,
    /// The connection was reset, or TLS found a fault.
    Reset,
    /// The connection ended, and TLS was not told before.
    Torn,
}

/// How strictly a reply's head is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judge {
    /// Every rule that a server's own reply must keep.
    Strict,
    /// Only what is needed to find the end (replies of `nph-` scripts).
    Loose,
}

/// One reply as read from the wire.
#[derive(Debug, Default)]
pub struct Reply {
    /// The status line without its line end.
    pub status_line: Vec<u8>,
    /// The field lines of the head, then of the trailer section.
    pub fields: Vec<Vec<u8>>,
    /// The content, chunked coding removed.
    pub body: Vec<u8>,
    /// The connection ended before the framing said so.
    pub cut: bool,
}

impl Reply {
    /// The lines a case may expect: status line, fields, then the lines of the body.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let body = self
            .body
            .split(|&b| b == b'\n')
            .map(|l| l.strip_suffix(b"\r").unwrap_or(l));
        std::iter::once(self.status_line.as_slice())
            .chain(self.fields.iter().map(Vec::as_slice))
            .chain(body)
    }

    /// The value of a field.
    pub fn value(&self, name: &str) -> Option<&[u8]> {
        self.fields.iter().find_map(|line| {
            let colon = line.iter().position(|&b| b == b':')?;
            line[..colon]
                .eq_ignore_ascii_case(name.as_bytes())
                .then(|| line[colon + 1..].trim_ascii())
        })
    }

    fn count(&self, name: &str) -> usize {
        let named = |line: &&Vec<u8>| {
            line.get(name.len()) == Some(&b':') && line[..name.len()].eq_ignore_ascii_case(name.as_bytes())
        };
        self.fields.iter().filter(named).count()
    }
}

/// A connection under test.
pub struct Wire {
    stream: TcpStream,
    secure: Option<Box<Client>>,
    fault: Option<String>,
    incoming: Vec<u8>,
    peer: Peer,
    patience: Duration,
    asked: Vec<Vec<u8>>,
    answered: usize,
}

impl Wire {
    /// Connects to `address` (`host:port`); every later wait lasts at most `patience`.
    pub fn connect(address: &str, patience: Duration) -> Result<Wire, String> {
        let stream = TcpStream::connect(address).map_err(|e| format!("connect: {address}: {e}"))?;
        Wire::of(stream, patience)
    }

    /// The same from this address of ours.
    pub fn connect_from(own: &str, address: &str, patience: Duration) -> Result<Wire, String> {
        let told = |error: &dyn std::fmt::Display| format!("connect from {own} to {address}: {error}");
        let own: SocketAddr = format!("{own}:0").parse().map_err(|e| told(&e))?;
        let to: SocketAddr = address.parse().map_err(|e| told(&e))?;
        let socket = socket2::Socket::new(socket2::Domain::for_address(to), socket2::Type::STREAM, None);
        let socket = socket.map_err(|e| told(&e))?;
        socket
            .bind(&own.into())
            .and_then(|()| socket.connect(&to.into()))
            .map_err(|e| told(&e))?;
        Wire::of(socket.into(), patience)
    }

    fn of(stream: TcpStream, patience: Duration) -> Result<Wire, String> {
        stream
            .set_nodelay(true)
            .and_then(|()| stream.set_nonblocking(true))
            .map_err(|e| format!("connect: {e}"))?;
        let incoming = Vec::new();
        Ok(Wire {
            stream,
            secure: None,
            fault: None,
            incoming,
            peer: Peer::Open,
            patience,
            asked: Vec::new(),
            answered: 0,
        })
    }

    /// Begins with TLS here, and comes to an agreement. What is wrong with it is told by whatever is read next, and by
    /// [`Wire::fault`].
    pub fn secure(&mut self, over: &Over) -> Result<(), String> {
        let deadline = Instant::now() + self.patience;
        let ahead = std::mem::take(&mut self.incoming);
        let mut had_some = !ahead.is_empty();
        self.secure = Some(Box::new(Client::new(over, ahead)?));
        while self.peer == Peer::Open && self.secure.as_ref().is_some_and(|client| client.is_handshaking()) {
            if let Some(client) = &mut self.secure {
                let _peer_gone_or_busy = client.push(&mut self.stream);
            }
            if !std::mem::take(&mut had_some) {
                self.ready(PollFlags::IN, deadline)
                    .map_err(|e| format!("handshake: {e}"))?;
            }
            self.take_in();
        }
        if let Some(client) = &mut self.secure {
            let _peer_gone_or_busy = client.push(&mut self.stream);
        }
        if self.peer != Peer::Open {
            self.fault
                .get_or_insert_with(|| "the server ended the handshake".into());
        }
        Ok(())
    }

    /// What is wrong with TLS on this connection, if anything is.
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// What was agreed upon, see [`Client::facts`]; nothing without TLS.
    pub fn facts(&self) -> Vec<String> {
        self.secure.as_ref().map(|client| client.facts()).unwrap_or_default()
    }

    /// Sends `bytes`, reading whatever arrives meanwhile. A peer that no longer listens is no error: its
    /// reply tells.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.note_methods(bytes);
        let deadline = Instant::now() + self.patience;
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.write(rest) {
                Ok(n) => rest = &rest[n..],
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    self.ready(PollFlags::IN | PollFlags::OUT, deadline)
                        .map_err(|e| format!("send: {e}"))?;
                    self.take_in();
                }
                Err(_) => return Ok(()),
            }
        }
        while let Some(client) = &mut self.secure {
            match client.push(&mut self.stream) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    self.ready(PollFlags::IN | PollFlags::OUT, deadline)
                        .map_err(|e| format!("send: {e}"))?;
                    self.take_in();
                }
                _ => break,
            }
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let Some(client) = &mut self.secure else {
            return self.stream.write(bytes);
        };
        match client.write(bytes)? {
            0 => client.push(&mut self.stream).map(|()| 0),
            count => Ok(count),
        }
    }

    /// Sends `bytes` one at a time, `pause` apart: the slow client.
    pub fn drip(&mut self, bytes: &[u8], pause: Duration) {
        self.note_methods(bytes);
        for byte in bytes {
            let pushed = |wire: &mut Wire| {
                wire.secure
                    .as_mut()
                    .map_or(Ok(()), |client| client.push(&mut wire.stream))
            };
            if self.write(&[*byte]).is_err() || pushed(self).is_err() {
                return;
            }
            std::thread::sleep(pause);
        }
    }

    /// Closes our side only.
    pub fn half_close(&mut self) {
        if let Some(client) = &mut self.secure {
            client.end(&mut self.stream);
        }
        let _closed_already = self.stream.shutdown(Shutdown::Write);
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        let _closed_already = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    /// Reads until `text` has arrived, and leaves it to be read.
    pub fn wait_for(&mut self, text: &[u8]) -> Result<(), String> {
        let deadline = Instant::now() + self.patience;
        while memchr::memmem::find(&self.incoming, text).is_none() {
            self.more(deadline)
                .map_err(|e| format!("waiting for `{}`: {e}", show(text)))?;
        }
        Ok(())
    }

    /// Whether `text` has arrived already, and was not read yet.
    pub fn holds(&self, text: &[u8]) -> bool {
        memchr::memmem::find(&self.incoming, text).is_some()
    }

    /// Reads one reply. The method that it answers is the next one sent.
    pub fn reply(&mut self, judge: Judge) -> Result<Reply, String> {
        let deadline = Instant::now() + self.patience;
        let mut reply = self.head(deadline)?;
        let code = status_code(&reply.status_line)?;
        if !(100..200).contains(&code) || code == 101 {
            let method = self.asked.get(self.answered).cloned().unwrap_or_default();
            self.answered += 1;
            let bodiless = method == b"HEAD" || code == 204 || code == 304 || code == 101;
            if judge == Judge::Strict {
                check_head(&reply, code)?;
            }
            if !bodiless {
                self.body(&mut reply, deadline)?;
            }
        }
        Ok(reply)
    }

    /// Reads everything until the server closes: an HTTP/0.9 reply, or a check that nothing follows.
    pub fn rest(&mut self) -> Result<Reply, String> {
        let deadline = Instant::now() + self.patience;
        while self.peer == Peer::Open {
            self.more(deadline)
                .or_else(|e| if self.peer == Peer::Open { Err(e) } else { Ok(()) })?;
        }
        Ok(Reply {
            body: std::mem::take(&mut self.incoming),
            ..Reply::default()
        })
    }

    /// Waits until the server has closed, and tells how; bytes before the end are an error.
    pub fn ending(&mut self) -> Result<Peer, String> {
        let rest = self.rest()?;
        if rest.body.is_empty() {
            Ok(self.peer)
        } else {
            Err(format!("unexpected bytes: {}", show(&rest.body)))
        }
    }

    fn note_methods(&mut self, bytes: &[u8]) {
        let line = Regex::new(r"(?m)^([!-~]+) [!-~]+ HTTP/[0-9.]+\r?$").expect("the pattern is well-formed");
        self.asked.extend(line.captures_iter(bytes).map(|c| c[1].to_vec()));
    }

    fn head(&mut self, deadline: Instant) -> Result<Reply, String> {
        let end = loop {
            if let Some(at) = memchr::memmem::find(&self.incoming, b"\r\n\r\n") {
                break at;
            }
            self.more(deadline)
                .map_err(|e| format!("reading a reply: {e}; so far: {}", show(&self.incoming)))?;
        };
        let head: Vec<u8> = self.incoming.drain(..end + 4).collect();
        let mut lines = split_crlf(&head[..end]);
        if lines.iter().any(|l| l.contains(&b'\n') || l.contains(&b'\r')) {
            return Err(format!("bare CR or LF in a reply's head: {}", show(&head)));
        }
        let fields = lines.split_off(1);
        Ok(Reply {
            status_line: lines.remove(0),
            fields,
            ..Reply::default()
        })
    }

    fn body(&mut self, reply: &mut Reply, deadline: Instant) -> Result<(), String> {
        if reply
            .value("Transfer-Encoding")
            .is_some_and(|v| v.eq_ignore_ascii_case(b"chunked"))
        {
            return self.chunks(reply, deadline);
        }
        let Some(length) = reply.value("Content-Length") else {
            reply.body = self.rest()?.body;
            reply.cut = self.peer != Peer::Closed;
            return Ok(());
        };
        let length: usize = parse(length, 10).ok_or_else(|| format!("bad Content-Length: {}", show(length)))?;
        while self.incoming.len() < length && !reply.cut {
            reply.cut = self.more_or_end(deadline)? != Peer::Open;
        }
        reply.body = self.incoming.drain(..length.min(self.incoming.len())).collect();
        Ok(())
    }

    fn chunks(&mut self, reply: &mut Reply, deadline: Instant) -> Result<(), String> {
        while let Some(line) = self.line(deadline)? {
            let digits = line.split(|&b| b == b';').next().unwrap_or_default().trim_ascii();
            let size: usize = parse(digits, 16).ok_or_else(|| format!("bad chunk size: {}", show(&line)))?;
            if size == 0 {
                while let Some(line) = self.line(deadline)? {
                    if line.is_empty() {
                        return Ok(());
                    }
                    reply.fields.push(line);
                }
                break;
            }
            while self.incoming.len() < size + 2 {
                if self.more_or_end(deadline)? != Peer::Open {
                    reply.body.append(&mut self.incoming);
                    reply.cut = true;
                    return Ok(());
                }
            }
            reply.body.extend(self.incoming.drain(..size));
            let end: Vec<u8> = self.incoming.drain(..2).collect();
            if end != b"\r\n" {
                return Err(format!("chunk not ended by CRLF but by {}", show(&end)));
            }
        }
        reply.cut = true;
        Ok(())
    }

    /// A line of the chunked coding; `None` when the connection ended first.
    fn line(&mut self, deadline: Instant) -> Result<Option<Vec<u8>>, String> {
        loop {
            if let Some(at) = memchr::memmem::find(&self.incoming, b"\r\n") {
                let line = self.incoming.drain(..at + 2).take(at).collect();
                return Ok(Some(line));
            }
            if self.more_or_end(deadline)? != Peer::Open {
                return Ok(None);
            }
        }
    }

    fn more(&mut self, deadline: Instant) -> Result<(), String> {
        match self.more_or_end(deadline)? {
            Peer::Open => Ok(()),
            Peer::Closed => Err("the server closed the connection".into()),
            Peer::Reset => Err(match &self.fault {
                Some(fault) => format!("TLS: {fault}"),
                None => "the server reset the connection".into(),
            }),
            Peer::Torn => Err("the connection ended, and TLS was not told".into()),
        }
    }

    fn more_or_end(&mut self, deadline: Instant) -> Result<Peer, String> {
        let before = self.incoming.len();
        while self.peer == Peer::Open && self.incoming.len() == before {
            self.ready(PollFlags::IN, deadline)?;
            self.take_in();
        }
        // TLS's word for the end comes with the last bytes.
        Ok(if self.incoming.len() > before {
            Peer::Open
        } else {
            self.peer
        })
    }

    fn ready(&self, flags: PollFlags, deadline: Instant) -> Result<(), String> {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(|e| e.to_string())?;
        match poll(&mut [PollFd::new(&self.stream, flags)], Some(&left)) {
            Ok(0) => Err(format!("nothing within {:?}", self.patience)),
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(e) => Err(e.to_string()),
        }
    }

    fn take_in(&mut self) {
        if let Some(client) = &mut self.secure {
            match client.read(&mut self.stream, &mut self.incoming) {
                Ok(Came::Bytes) => {}
                Ok(Came::Ended) => self.peer = Peer::Closed,
                Ok(Came::Torn) => self.peer = Peer::Torn,
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(e) => {
                    if e.kind() == ErrorKind::InvalidData {
                        self.fault = Some(e.to_string());
                    }
                    self.peer = Peer::Reset;
                }
            }
            return;
        }
        let mut buffer = vec![0; 64 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.peer = Peer::Closed,
            Ok(n) => self.incoming.extend_from_slice(&buffer[..n]),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.peer = Peer::Reset,
        }
    }
}

/// Bytes for a person: text as it is, anything else escaped, long ones shortened.
pub fn show(bytes: &[u8]) -> String {
    let shown = bytes[..bytes.len().min(4000)]
        .escape_ascii()
        .to_string()
        .replace("\\r\\n", "\n  ")
        .replace("\\n", "\n  ");
    let shown = shown.replace("\\\"", "\"").replace("\\'", "'");
    if bytes.len() > 4000 {
        format!("{shown}… ({} bytes)", bytes.len())
    } else {
        shown
    }
}

fn split_crlf(head: &[u8]) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    let mut rest = head;
    while let Some(at) = memchr::memmem::find(rest, b"\r\n") {
        lines.push(rest[..at].to_vec());
        rest = &rest[at + 2..];
    }
    lines.push(rest.to_vec());
    lines
}

fn status_code(line: &[u8]) -> Result<u16, String> {
    let shape = Regex::new(r"^HTTP/1\.[01] ([1-5][0-9][0-9])( .*)?$").expect("the pattern is well-formed");
    let code = shape.captures(line).and_then(|c| parse(&c[1], 10));
    code.and_then(|c: usize| u16::try_from(c).ok())
        .ok_or_else(|| format!("bad status line: {}", show(line)))
}

/// What every head of a server's own must keep: RFC 9110 §6.6.1, RFC 9112 §5 and §6.
fn check_head(reply: &Reply, code: u16) -> Result<(), String> {
    let field = Regex::new(r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+:(?-u)[\t\x20-\x7e\x80-\xff]*$").expect("well-formed");
    if let Some(bad) = reply.fields.iter().find(|line| !field.is_match(line)) {
        return Err(format!("malformed field line: {}", show(bad)));
    }
    for single in [
        "Date",
        "Server",
        "Content-Length",
        "Content-Type",
        "Transfer-Encoding",
        "ETag",
        "Last-Modified",
    ] {
        if reply.count(single) > 1 {
            return Err(format!("{single} more than once"));
        }
    }
    if reply.count("Date") == 0 {
        return Err("no Date field".into());
    }
    let coded = reply.count("Transfer-Encoding") > 0;
    if coded && reply.count("Content-Length") > 0 {
        return Err("both Transfer-Encoding and Content-Length".into());
    }
    if coded && (code == 204 || reply.status_line.starts_with(b"HTTP/1.0")) {
        return Err("Transfer-Encoding where it must not be".into());
    }
    Ok(())
}

fn parse(digits: &[u8], radix: u32) -> Option<usize> {
    let text = std::str::from_utf8(digits).ok()?;
    text.bytes()
        .all(|b| b.is_ascii_hexdigit())
        .then(|| usize::from_str_radix(text, radix).ok())?
}
