//! The same program as a server of HTTP: `testapp --http SOCKET [PORT]`, on a Unix socket and a port of 127.0.0.1. The query
//! names the behaviour, good or bad, and its arguments: `/x?bytes/1000`. Files are below the directory it runs in.

use std::io;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread::{sleep, spawn};
use std::time::Duration;

use crate::https::{Link, Secure};
use crate::to_say;

/// What is around the bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Within {
    Nothing,
    Tls,
}

/// Talks to whoever has come.
fn talk<S: Link>(stream: S, within: Within) {
    match within {
        Within::Nothing => Talk::new(stream).serve(),
        // Who does not agree is not served.
        Within::Tls => {
            if let Ok(secure) = Secure::new(stream) {
                Talk::new(secure).serve();
            }
        }
    }
}

/// Serves until it is ended.
pub fn serve(socket: &str, port: Option<&str>, within: Within) -> io::Result<()> {
    let unix = UnixListener::bind(socket)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o666))?;
    if let Some(port) = port.and_then(|port| port.parse::<u16>().ok()) {
        let tcp = TcpListener::bind(("127.0.0.1", port))?;
        spawn(move || {
            for stream in tcp.incoming().flatten() {
                spawn(move || talk(stream, within));
            }
        });
    }
    for stream in unix.incoming() {
        let stream = stream?;
        spawn(move || talk(stream, within));
    }
    Ok(())
}

/// One connection.
struct Talk<S> {
    stream: S,
    unread: Vec<u8>,
    /// How many requests it has carried.
    requests: usize,
    /// It ends, without a word, when the next request has come.
    is_ending: bool,
}

/// A request without its body.
struct Request {
    line: String,
    fields: Vec<String>,
}

impl Request {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

fn closed() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

impl<S: Link> Talk<S> {
    fn new(stream: S) -> Talk<S> {
        Talk {
            stream,
            unread: Vec::new(),
            requests: 0,
            is_ending: false,
        }
    }

    /// A peer that breaks off is none of our business.
    fn serve(mut self) {
        while let Ok(request) = self.request() {
            self.requests += 1;
            if self.is_ending {
                // All of it is read, so that the end is no reset.
                let _whatever_comes = self.body(&request);
                return;
            }
            let query = request.line.split_once('?').map_or("", |(_, query)| query);
            let query = query.split(' ').next().unwrap_or_default().to_owned();
            let words: Vec<&str> = query.split('/').collect();
            let goes_on = self.run(&request, &words).unwrap_or(false);
            if !goes_on {
                return;
            }
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; 65_536];
        let count = self.stream.read(&mut buffer)?;
        if count == 0 {
            return Err(closed());
        }
        self.unread.extend_from_slice(&buffer[..count]);
        Ok(())
    }

    /// Bytes up to and without this mark.
    fn until(&mut self, mark: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = self.unread.windows(mark.len()).position(|window| window == mark) {
                let taken = self.unread.drain(..at + mark.len()).collect::<Vec<u8>>();
                return Ok(taken[..at].to_vec());
            }
            self.fill()?;
        }
    }

    fn bytes(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < count {
            self.fill()?;
        }
        Ok(self.unread.drain(..count).collect())
    }

    fn request(&mut self) -> io::Result<Request> {
        let head = self.until(b"\r\n\r\n")?;
        let head = head.iter().map(|byte| char::from(*byte)).collect::<String>();
        let mut lines = head.split("\r\n").map(str::to_owned);
        Ok(Request {
            line: lines.next().unwrap_or_default(),
            fields: lines.collect(),
        })
    }

    /// The body to its end.
    fn body(&mut self, request: &Request) -> io::Result<Vec<u8>> {
        if request.field("Transfer-Encoding").is_some() {
            let mut body = Vec::new();
            loop {
                let size = self.until(b"\r\n")?;
                let size = usize::from_str_radix(&String::from_utf8_lossy(&size), 16).map_err(io::Error::other)?;
                body.extend(self.bytes(size)?);
                self.until(b"\r\n")?;
                if size == 0 {
                    return Ok(body);
                }
            }
        }
        let length = request.field("Content-Length").and_then(|length| length.parse().ok());
        self.bytes(length.unwrap_or(0))
    }

    fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    fn text(&mut self, body: &[u8]) -> io::Result<()> {
        let length = body.len();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n");
        self.say(&[head.as_bytes(), body].concat())
    }

    /// What is done before the body is read, or without it.
    fn before_the_body(
        &mut self,
        request: &Request,
        word: &str,
        number: usize,
        file: &str,
    ) -> Option<io::Result<bool>> {
        Some(match word {
            "close" => Ok(false),
            "deaf" => {
                sleep(Duration::from_secs(60));
                Ok(false)
            }
            "early" => self
                .text(&vec![b'x'; number])
                .and_then(|()| self.body(request).map(|_| true)),
            "taken" => {
                let how = if self.body(request).is_ok() {
                    "whole"
                } else {
                    "broken off"
                };
                std::fs::write(file, format!("{how}\n"))
                    .and_then(|()| self.text(b"taken\n"))
                    .map(|()| true)
            }
            "refuses" => self
                .say(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno\n")
                .map(|()| self.body(request).is_ok()),
            "asks" => self.ask_for_body(request),
            "websocket" => self.switch(request),
            _ => return None,
        })
    }

    /// Asks for the body that the client holds back.
    fn ask_for_body(&mut self, request: &Request) -> io::Result<bool> {
        let had_come = !self.unread.is_empty();
        self.say(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        let body = self.body(request)?;
        let expect = request.field("Expect").unwrap_or("none");
        self.text(format!("expect {expect}, before {had_come}, read {}\n", body.len()).as_bytes())?;
        Ok(true)
    }

    /// Speaks another protocol: what comes is given back.
    fn switch(&mut self, request: &Request) -> io::Result<bool> {
        let key = request.field("Sec-WebSocket-Key").unwrap_or_default();
        let protocol = request.field("Upgrade").unwrap_or("none");
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: {protocol}\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {key}\r\n\r\nhello"
        );
        self.say(head.as_bytes())?;
        self.echo_until_end()
    }

    /// Whether the connection goes on.
    fn run(&mut self, request: &Request, words: &[&str]) -> io::Result<bool> {
        let number = words.get(1).and_then(|word| word.parse::<usize>().ok()).unwrap_or(0);
        let file = words.get(1..).unwrap_or_default().join("/");
        if let Some(done) = self.before_the_body(request, words[0], number, &file) {
            return done;
        }
        let body = self.body(request)?;
        match words[0] {
            "raw" => {
                let bytes = std::fs::read(&file)?;
                self.say(&bytes)?;
            }
            "rawclose" => {
                let bytes = std::fs::read(&file)?;
                self.say(&bytes)?;
                return Ok(false);
            }
            "rawhang" => {
                let bytes = std::fs::read(&file)?;
                self.say(&bytes)?;
                sleep(Duration::from_secs(60));
                return Ok(false);
            }
            "say" => return self.speak(request.field("Say").unwrap_or_default()),
            "bytes" => self.text(&vec![b'x'; number])?,
            "chunks" => self.chunks(number)?,
            "count" => {
                let length = request.field("Content-Length").unwrap_or("none");
                let coding = request.field("Transfer-Encoding").unwrap_or("none");
                self.text(format!("read {} of {length}, {coding}\n", body.len()).as_bytes())?;
            }
            "tls" => {
                let facts = self.stream.facts();
                self.text(facts.as_bytes())?;
            }
            "handshake" => {
                let handshake = self.stream.handshake();
                self.text(handshake.as_bytes())?;
            }
            "torn" => {
                self.say(b"HTTP/1.1 200 OK\r\n\r\nhalf of it")?;
                self.stream.tear();
                return Ok(false);
            }
            "lastword" => {
                self.is_ending = true;
                self.text(b"the last word\n")?;
            }
            "connection" => {
                let told = format!("request {} of this connection\n", self.requests);
                self.text(told.as_bytes())?;
            }
            "trickle" => {
                for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nbyte by byte\n" {
                    self.say(&[*byte])?;
                }
            }
            "hints" => {
                self.say(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: close\r\n\r\n")?;
                wait_for(&file);
                self.text(b"after the hints\n")?;
            }
            "wait" => {
                self.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nbefore\n\r\n")?;
                wait_for(&file);
                self.say(b"6\r\nafter\n\r\n0\r\n\r\n")?;
            }
            "gone" => {
                self.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nbefore\n\r\n")?;
                let how = if self.fill().is_err() { "closed" } else { "more" };
                std::fs::write(&file, format!("{how}\n"))?;
                return Ok(false);
            }
            _ => {
                let mut lines = request.fields.clone();
                lines.sort_by_key(|line| line.to_ascii_lowercase());
                let mut told = format!("{}\n{}\n\n", request.line, lines.join("\n")).into_bytes();
                told.extend(body);
                self.text(&told)?;
            }
        }
        Ok(true)
    }

    /// Says what the request has it say: a status line or its end (200), fields, a body with its length. `close`: without a length,
    /// to the end of the connection.
    fn speak(&mut self, said: &str) -> io::Result<bool> {
        let (mut lines, body) = to_say(said);
        let closes = lines.iter().position(|line| line == b"close");
        if let Some(at) = closes {
            lines.remove(at);
        }
        let status = match lines.first() {
            Some(line) if line.first().is_some_and(u8::is_ascii_digit) => [b"HTTP/1.1 ", &lines.remove(0)[..]].concat(),
            Some(line) if line.starts_with(b"HTTP/") => lines.remove(0),
            _ => b"HTTP/1.1 200 OK".to_vec(),
        };
        let framing: [&[u8]; 2] = [b"content-length:", b"transfer-encoding:"];
        let is_framed = |line: &Vec<u8>| framing.iter().any(|name| line.to_ascii_lowercase().starts_with(name));
        if closes.is_none() && !lines.iter().any(is_framed) {
            lines.push(format!("Content-Length: {}", body.len()).into_bytes());
        }
        let head = lines
            .iter()
            .fold(status, |head, line| [&head[..], b"\r\n", line].concat());
        self.say(&[&head[..], b"\r\n\r\n", &body].concat())?;
        Ok(closes.is_none())
    }

    fn chunks(&mut self, number: usize) -> io::Result<()> {
        self.say(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n",
        )?;
        for _ in 0..number {
            self.say(b"5;ext=1\r\nchunk\r\n")?;
        }
        self.say(b"0\r\nX-Sum: all of it\r\nContent-Length: 1\r\n\r\n")
    }

    /// Gives back what comes, until the other side ends.
    fn echo_until_end(&mut self) -> io::Result<bool> {
        loop {
            let unread = std::mem::take(&mut self.unread);
            self.say(&unread)?;
            if self.fill().is_err() {
                self.say(b"bye")?;
                return Ok(false);
            }
        }
    }
}

fn wait_for(file: &str) {
    while !Path::new(file).exists() {
        sleep(Duration::from_millis(10));
    }
}
