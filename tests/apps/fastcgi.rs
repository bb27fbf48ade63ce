//! The same program as a FastCGI responder: `testapp --fastcgi SOCKET [PORT]`, on a Unix socket and a port of 127.0.0.1. The
//! query names the behaviour, good or bad, and its arguments: `/x?bytes/1000`. `--one` instead of `--fastcgi` serves one
//! connection at a time, as most applications do.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::thread::{sleep, spawn};
use std::time::Duration;

use bytes::Bytes;
use lychgate::gateway::fastcgi::params::ParamsReader;
use lychgate::gateway::fastcgi::record::{self, Connection, Message, ProtocolStatus, RecordReader, Role, Stream};

use crate::to_say;

/// What two servers, or two runs, cannot have alike.
pub const DIFFERENT: &[&str] = &[
    "PATH",
    "REDIRECT_PATH",
    "REDIRECT_REMOTE_PORT",
    "REDIRECT_SERVER_PORT",
    "REDIRECT_SERVER_SIGNATURE",
    "REDIRECT_SERVER_SOFTWARE",
    "REDIRECT_UNIQUE_ID",
    "REMOTE_PORT",
    "SERVER_ADMIN",
    "SERVER_PORT",
    "SERVER_SIGNATURE",
    "SERVER_SOFTWARE",
    "UNIQUE_ID",
];

/// How many connections are served at one time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Serves {
    One,
    Many,
}

/// Serves until it is ended.
pub fn serve(serves: Serves, socket: &str, port: Option<&str>) -> io::Result<()> {
    let unix = UnixListener::bind(socket)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o666))?;
    if let Some(port) = port.and_then(|port| port.parse::<u16>().ok()) {
        let tcp = TcpListener::bind(("127.0.0.1", port))?;
        spawn(move || {
            for stream in tcp.incoming().flatten() {
                spawn(move || Talk::new(stream).serve());
            }
        });
    }
    serve_all(serves, &unix)
}

/// Serves what comes to the listening socket that is descriptor 0, until it is ended.
pub fn serve_inherited(serves: Serves) -> io::Result<()> {
    serve_all(serves, &UnixListener::from(io::stdin().as_fd().try_clone_to_owned()?))
}

fn serve_all(serves: Serves, unix: &UnixListener) -> io::Result<()> {
    for stream in unix.incoming() {
        let stream = stream?;
        match serves {
            Serves::One => Talk::new(stream).serve(),
            Serves::Many => drop(spawn(move || Talk::new(stream).serve())),
        }
    }
    Ok(())
}

/// Who and where this process is, and what it has.
fn own_facts() -> String {
    let descriptors = std::fs::read_dir("/proc/self/fd").map_or(0, |entries| {
        let open = entries.flatten().filter(|entry| {
            let number = entry.file_name().to_string_lossy().parse::<u32>();
            number.is_ok_and(|number| number < 4)
        });
        open.count()
    });
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| "-".into());
    let listens_for = variable("LISTEN_PID") == std::process::id().to_string();
    let umask = nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    format!(
        "uid={} gid={} cwd={} umask={:o} descriptors={descriptors} listen={}{} COLOUR={} arguments={}\n",
        nix::unistd::geteuid(),
        nix::unistd::getegid(),
        std::env::current_dir().unwrap_or_default().display(),
        umask.bits(),
        variable("LISTEN_FDS"),
        if listens_for { "" } else { " for another" },
        variable("COLOUR"),
        std::env::args().skip(1).collect::<Vec<_>>().join(" "),
    )
}

/// One connection.
struct Talk<S> {
    stream: S,
    reader: RecordReader,
    unread: Bytes,
    /// How many requests it has carried.
    requests: usize,
    /// It ends, without a word, when the next request has come.
    is_ending: bool,
}

/// A request without its standard input.
struct Request {
    id: u16,
    keep: Connection,
    role: Role,
    variables: BTreeMap<String, String>,
}

impl<S: Read + Write> Talk<S> {
    fn new(stream: S) -> Talk<S> {
        Talk {
            stream,
            reader: RecordReader::new(),
            unread: Bytes::new(),
            requests: 0,
            is_ending: false,
        }
    }

    /// A peer that breaks off is none of our business.
    fn serve(mut self) {
        while let Ok(Some(request)) = self.request() {
            self.requests += 1;
            if self.is_ending {
                // All of it is read, so that the end is no reset.
                let _whatever_comes = self.stdin();
                return;
            }
            let query = request.variables.get("QUERY_STRING").cloned().unwrap_or_default();
            let words: Vec<&str> = query.split('/').collect();
            let goes_on = self.run(&request, &words).unwrap_or(false);
            if !goes_on || request.keep == Connection::Close {
                return;
            }
        }
    }

    fn message(&mut self) -> io::Result<Option<Message>> {
        loop {
            if let Some(message) = self.reader.next(&mut self.unread).map_err(io::Error::other)? {
                return Ok(Some(message));
            }
            let mut buffer = vec![0; 65_536];
            let count = self.stream.read(&mut buffer)?;
            if count == 0 {
                return Ok(None);
            }
            buffer.truncate(count);
            self.unread = Bytes::from(buffer);
        }
    }

    fn request(&mut self) -> io::Result<Option<Request>> {
        let (mut begun, mut params) = (None, ParamsReader::new());
        while let Some(message) = self.message()? {
            match message {
                Message::Begin { id, role, connection } => {
                    begun = Some((id, connection, role));
                }
                Message::Bytes {
                    stream: Stream::Params,
                    bytes,
                    ..
                } => params
                    .push(&bytes)
                    .map_err(|error| io::Error::other(error.to_string()))?,
                Message::StreamEnd {
                    stream: Stream::Params, ..
                } => {
                    let (id, keep, role) = begun.ok_or_else(|| io::Error::other("params without a beginning"))?;
                    let pairs = params.end().map_err(|error| io::Error::other(error.to_string()))?;
                    let shown = |bytes: Vec<u8>| {
                        bytes
                            .escape_ascii()
                            .to_string()
                            .replace("\\\"", "\"")
                            .replace("\\'", "'")
                    };
                    let variables = pairs.into_iter().map(|(name, value)| (shown(name), shown(value)));
                    return Ok(Some(Request {
                        id,
                        keep,
                        role,
                        variables: variables.collect(),
                    }));
                }
                Message::GetValues(_) => self.say(|out| {
                    record::values(out, &[(b"FCGI_MAX_CONNS", b"1"), (b"FCGI_MPXS_CONNS", b"0")]);
                })?,
                _ => {}
            }
        }
        Ok(None)
    }

    /// Standard input to its end, or to the client's leaving (`None`).
    fn stdin(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut stdin = Vec::new();
        while let Some(message) = self.message()? {
            match message {
                Message::Bytes {
                    stream: Stream::Stdin,
                    bytes,
                    ..
                } => stdin.extend_from_slice(&bytes),
                Message::StreamEnd {
                    stream: Stream::Stdin, ..
                } => return Ok(Some(stdin)),
                Message::Abort { .. } => return Ok(None),
                _ => {}
            }
        }
        Ok(None)
    }

    fn say(&mut self, make: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let mut out = Vec::new();
        make(&mut out);
        self.stream.write_all(&out)
    }

    fn output(&mut self, id: u16, bytes: &[u8]) -> io::Result<()> {
        self.say(|out| record::stream(out, id, Stream::Stdout, bytes))
    }

    fn end(&mut self, id: u16, status: u32) -> io::Result<()> {
        self.say(|out| {
            record::stream_header(out, id, Stream::Stdout, 0);
            record::end(out, id, status, ProtocolStatus::Complete);
        })
    }

    /// All of an answer at once.
    fn answer(&mut self, id: u16, bytes: &[u8]) -> io::Result<()> {
        self.say(|out| {
            record::stream(out, id, Stream::Stdout, bytes);
            record::stream_header(out, id, Stream::Stdout, 0);
            record::end(out, id, 0, ProtocolStatus::Complete);
        })
    }

    fn text(&mut self, id: u16, body: &[u8]) -> io::Result<()> {
        self.answer(id, &[b"Content-Type: text/plain\r\n\r\n", body].concat())
    }

    /// Whether the connection goes on.
    fn run(&mut self, request: &Request, words: &[&str]) -> io::Result<bool> {
        let id = request.id;
        let number = words.get(1).and_then(|word| word.parse::<usize>().ok());
        if request.role == Role::Authorizer {
            self.authorize(request, words)?;
            return Ok(false);
        }
        if let Some(done) = self.misbehave(request, words) {
            return done.map(|()| false);
        }
        if words[0] == "early" {
            self.text(id, &vec![b'x'; number.unwrap_or(0)])?;
            return Ok(self.stdin()?.is_some());
        }
        let Some(stdin) = self.stdin()? else { return Ok(false) };
        match words[0] {
            "echo" => self.text(id, &stdin)?,
            "count" => {
                let told = request.variables.get("CONTENT_LENGTH").map_or("none", String::as_str);
                self.text(id, format!("read {} of {told}\n", stdin.len()).as_bytes())?;
            }
            "lastword" => {
                self.is_ending = true;
                self.text(id, b"the last word\n")?;
            }
            "connection" => {
                let told = format!("request {} of this connection\n", self.requests);
                self.text(id, told.as_bytes())?;
            }
            "bytes" => {
                self.output(id, b"Content-Type: text/plain\r\n\r\n")?;
                let mut left = number.unwrap_or(0);
                while left > 0 {
                    let part = left.min(50_000);
                    self.output(id, &vec![b'x'; part])?;
                    left -= part;
                }
                self.end(id, 0)?;
            }
            "say" => {
                let told = request.variables.get("HTTP_SAY").map_or("", String::as_str);
                let (lines, body) = to_say(&told.replace("\\\\", "\\"));
                let head = lines
                    .iter()
                    .fold(Vec::new(), |head, line| [&head[..], line, b"\r\n"].concat());
                self.answer(id, &[&head[..], b"\r\n", &body].concat())?;
            }
            "head" => {
                self.output(id, &stdin)?;
                self.end(id, 0)?;
            }
            "trickle" => {
                for byte in b"Content-Type: text/plain\r\n\r\nbyte by byte\n" {
                    self.output(id, &[*byte])?;
                }
                self.end(id, 0)?;
            }
            "complain" => {
                self.say(|out| record::stream(out, id, Stream::Stderr, b"plain complaint\nodd \x1b[31m end\nno line"))?;
                self.say(|out| record::stream(out, id, Stream::Stderr, b" end"))?;
                self.text(id, b"complained\n")?;
            }
            "status" => {
                self.output(id, b"Content-Type: text/plain\r\n\r\nwith a status\n")?;
                self.end(id, u32::try_from(number.unwrap_or(0)).unwrap_or(0))?;
            }
            "wait" => {
                self.output(id, b"Content-Type: text/plain\r\n\r\nbefore\n")?;
                let root = request.variables.get("DOCUMENT_ROOT").cloned().unwrap_or_default();
                while !std::path::Path::new(&format!("{root}/{}", words[1..].join("/"))).exists() {
                    sleep(Duration::from_millis(10));
                }
                self.output(id, b"after\n")?;
                self.end(id, 0)?;
            }
            "gone" => {
                self.output(id, b"Content-Type: text/plain\r\n\r\nbefore\n")?;
                let how = match self.message() {
                    Ok(Some(Message::Abort { .. })) => "aborted",
                    _ => "closed",
                };
                let root = request.variables.get("DOCUMENT_ROOT").cloned().unwrap_or_default();
                std::fs::write(format!("{root}/{}", words[1..].join("/")), format!("{how}\n"))?;
                return Ok(false);
            }
            _ if self.of_service(id, words)? => {}
            // But for what two servers, or two runs, cannot have alike.
            _ => {
                let own = |name: &str| DIFFERENT.contains(&name) || name.replace('_', "-").contains("proxy-");
                // Of a request without a body, mod_fcgid says that it is nought bytes long.
                let nought =
                    |name: &str, value: &str| words[0] == "bodiless" && (name, value) == ("CONTENT_LENGTH", "0");
                let alike = |name: &str, value: &str| !own(name) && !nought(name, value) || words[0] == "all";
                let variables = request.variables.iter().filter(|(name, value)| alike(name, value));
                let lines = variables.map(|(name, value)| format!("{name}={value}\n"));
                self.text(id, lines.collect::<String>().as_bytes())?;
            }
        }
        Ok(true)
    }

    /// As an authorizer, which reads no standard input. The query says how it answers those who give no good name.
    fn authorize(&mut self, request: &Request, words: &[&str]) -> io::Result<()> {
        let told = |name: &str| request.variables.get(name).cloned().unwrap_or_else(|| "-".to_owned());
        let (role, user) = (told("FCGI_APACHE_ROLE"), told("REMOTE_USER"));
        let is_good = match role.as_str() {
            "AUTHORIZER" => user == "good",
            _ => told("REMOTE_PASSWD") == "secret",
        };
        let unexpected = ["SCRIPT_NAME", "PATH_INFO", "CONTENT_LENGTH"];
        let unexpected = unexpected.iter().filter(|name| request.variables.contains_key(**name));
        let seen = format!(
            "{role} {user} {} {} {}",
            told("FCGI_ROLE"),
            told("HTTP_CONNECTION"),
            unexpected.count()
        );
        let reply = match words[0] {
            "open" => format!(
                "Status: 200 OK\r\nVariable-SEEN: {seen}\r\nVariable-NAME: told\r\nX-Not: passed\r\n\r\nno body"
            ),
            "nameless" => "Status: 200 OK\r\n\r\n".to_owned(),
            _ if is_good => format!("Variable-SEEN-{role}: {seen}\r\nVariable-NAME: told\r\n\r\n"),
            "teapot" => {
                "Status: 418 I am a teapot\r\nX-Why: short\r\nContent-Type: text/plain\r\n\r\nshort and stout\n"
                    .to_owned()
            }
            "ask" => "Status: 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"app\"\r\n\r\n".to_owned(),
            "login" => "Location: /login\r\n\r\n".to_owned(),
            "garbage" => "garbage".to_owned(),
            "long" => format!("Status: 403 Forbidden\r\n\r\n{}", "x".repeat(100_000)),
            "close" => return Ok(()),
            "deaf" => {
                sleep(Duration::from_secs(60));
                return Ok(());
            }
            _ => "Status: 403 Forbidden\r\nContent-Type: text/plain\r\n\r\nnot you\n".to_owned(),
        };
        self.output(request.id, reply.as_bytes())?;
        self.end(request.id, 0)
    }

    /// What a service tells of itself, or does to itself. `false`: it is nothing of that.
    fn of_service(&mut self, id: u16, words: &[&str]) -> io::Result<bool> {
        let number = words.get(1).and_then(|word| word.parse::<usize>().ok());
        match words[0] {
            "pid" => self.text(id, format!("{}\n", std::process::id()).as_bytes())?,
            "exit" => std::process::exit(i32::try_from(number.unwrap_or(0)).unwrap_or(1)),
            "sleep" => {
                sleep(Duration::from_millis(number.unwrap_or(0) as u64));
                self.text(id, format!("{}\n", std::process::id()).as_bytes())?;
            }
            "memory" => {
                // It stays.
                Vec::leak(vec![b'x'; number.unwrap_or(0)]);
                self.text(id, format!("{}\n", std::process::id()).as_bytes())?;
            }
            "print" => {
                println!("printed");
                eprintln!("complained");
                self.text(id, b"printed\n")?;
            }
            "read" => {
                let name = format!("/{}", words[1..].join("/"));
                let told =
                    std::fs::read(name).map_or_else(|e| e.kind().to_string(), |bytes| format!("{}", bytes.len()));
                self.text(id, format!("{told}\n").as_bytes())?;
            }
            "self" => self.text(id, own_facts().as_bytes())?,
            "moved" | "local" | "teapot" => {
                let head: &[u8] = match words[0] {
                    "moved" => b"Location: http://elsewhere.example/x\r\nX-Own: field\r\n\r\nmoved\n",
                    "local" => b"Location: /plain.txt\r\n\r\n",
                    _ => b"Status: 418 I am a teapot\r\nContent-Type: text/plain\r\nX-Own: field\r\n\r\nshort\n",
                };
                self.output(id, head)?;
                self.end(id, 0)?;
            }
            "inherited" => {
                let value = words.get(1).and_then(|name| std::env::var(name).ok());
                self.text(
                    id,
                    format!("{}\n", value.unwrap_or_else(|| "nothing".to_owned())).as_bytes(),
                )?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What no application should do; the connection ends behind it.
    fn misbehave(&mut self, request: &Request, words: &[&str]) -> Option<io::Result<()>> {
        let id = request.id;
        if ["cutbody", "cutlength", "longer", "badtail", "textfirst"].contains(&words[0])
            && let Err(error) = self.stdin()
        {
            return Some(Err(error));
        }
        let good = b"Content-Type: text/plain\r\n\r\nhalf";
        Some(match words[0] {
            "version" => self.say(|out| out.extend_from_slice(b"\x07\x06\x00\x01\x00\x05\x00\x00hello")),
            "otherid" => self.say(|out| record::stream(out, id + 1, Stream::Stdout, good)),
            "nullid" => self.say(|out| record::stream(out, 0, Stream::Stdout, good)),
            "endfirst" => self.say(|out| record::end(out, id, 0, ProtocolStatus::Complete)),
            "overloaded" => self.say(|out| record::end(out, id, 0, ProtocolStatus::Overloaded)),
            "norole" => self.say(|out| record::end(out, id, 0, ProtocolStatus::UnknownRole)),
            "clientonly" => self.say(|out| record::stream(out, id, Stream::Stdin, good)),
            "begin" => self.say(|out| record::begin(out, id, Role::Responder, Connection::Keep)),
            "http" => self.say(|out| out.extend_from_slice(b"HTTP/1.1 200 OK\r\n\r\nhello")),
            "close" => Ok(()),
            "cutrecord" => {
                self.say(|out| out.extend_from_slice(b"\x01\x06\x00\x01\xff\xff\x00\x00Content-Type: a/b\r\n"))
            }
            "cutbody" => self.output(id, good),
            "cutlength" => self
                .output(id, b"Content-Type: text/plain\r\nContent-Length: 100\r\n\r\nhalf")
                .and_then(|()| self.end(id, 0)),
            "longer" => self
                .output(
                    id,
                    b"Content-Type: text/plain\r\nContent-Length: 4\r\n\r\nhalf and more",
                )
                .and_then(|()| self.end(id, 0)),
            "badtail" => self
                .output(id, good)
                .and_then(|()| self.say(|out| out.extend_from_slice(b"\x09garbage"))),
            "textfirst" => self
                .output(id, b"Fatal error: no header\n")
                .and_then(|()| self.end(id, 1)),
            "behind" => self
                .stdin()
                .and_then(|_| self.text(id, b"and more\n"))
                .and_then(|()| self.output(id, b"behind the end")),
            "idletalk" => (0..100_000).try_for_each(|_| self.say(|out| record::unknown_type(out, 9))),
            "deaf" => {
                sleep(Duration::from_secs(60));
                Ok(())
            }
            "silent" => self.output(id, good).map(|()| sleep(Duration::from_secs(60))),
            _ => return None,
        })
    }
}
