//! The same program as a service that takes connections over (lychgate-handoff(7)): `testapp --handoff SOCKET`. The socket's
//! name says how it behaves before it has a connection, the path's last segment how with it.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread::{sleep, spawn};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};

/// Serves until it is ended.
pub fn serve(socket: &str) -> io::Result<()> {
    let listener = UnixListener::bind(socket)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o666))?;
    let behaviour = std::path::Path::new(socket).file_stem().unwrap_or_default();
    serve_all(&listener, &behaviour.to_string_lossy())
}

/// The same on descriptor 0.
pub fn serve_inherited() -> io::Result<()> {
    serve_all(&UnixListener::from(io::stdin().as_fd().try_clone_to_owned()?), "")
}

fn serve_all(listener: &UnixListener, behaviour: &str) -> io::Result<()> {
    for errand in listener.incoming() {
        let errand = errand?;
        let behaviour = behaviour.to_owned();
        spawn(move || {
            let _broken_off = take(errand, &behaviour);
        });
    }
    Ok(())
}

fn take(mut errand: UnixStream, behaviour: &str) -> io::Result<()> {
    match behaviour {
        "close" => return Ok(()),
        "junk" => errand.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?,
        "silent" => {}
        "halves" => {
            errand.write_all(b"HAND")?;
            sleep(Duration::from_millis(50));
            errand.write_all(b"OFF/1\n")?;
        }
        _ => errand.write_all(b"HANDOFF/1\n")?,
    }
    let mut told = Vec::new();
    let mut connections = Vec::new();
    let (fields, read) = loop {
        if receive(&errand, &mut told, &mut connections)? == 0 {
            return Ok(());
        }
        if let Some(whole) = whole(&told) {
            break whole;
        }
    };
    let connection = TcpStream::from(connections.pop().ok_or_else(|| io::Error::other("no connection"))?);
    Served {
        errand,
        connection,
        fields,
        unread: read,
    }
    .serve()
}

/// The fields and the bytes, if all are there.
fn whole(told: &[u8]) -> Option<(String, Vec<u8>)> {
    let end = memchr::memmem::find(told, b"\n\n")?;
    let fields = String::from_utf8_lossy(told.get(..end)?).into_owned();
    let length = fields
        .lines()
        .next()?
        .strip_prefix("HANDOFF/1 ")?
        .parse::<usize>()
        .ok()?;
    let bytes = told.get(end + 2..)?;
    (bytes.len() == length).then(|| (fields, bytes.to_vec()))
}

fn receive(errand: &UnixStream, told: &mut Vec<u8>, connections: &mut Vec<OwnedFd>) -> io::Result<usize> {
    let mut room = vec![0; 65536];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut room)];
    let received = rustix::net::recvmsg(errand, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            connections.extend(rights);
        }
    }
    told.extend_from_slice(&room[..received.bytes]);
    Ok(received.bytes)
}

fn send(errand: &UnixStream, words: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    rustix::net::sendmsg(errand, &[IoSlice::new(words)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// A connection that this service has.
struct Served {
    errand: UnixStream,
    connection: TcpStream,
    /// What was told with it.
    fields: String,
    /// What was read of it and not used.
    unread: Vec<u8>,
}

impl Served {
    fn serve(mut self) -> io::Result<()> {
        while let Some(request) = self.request()? {
            let target = request.split(' ').nth(1).unwrap_or_default().to_owned();
            if !target.starts_with("/own/") {
                // Somebody else's.
                self.unread.splice(..0, request.into_bytes());
                return self.give_back();
            }
            let behaviour = target.rsplit('/').next().unwrap_or_default();
            if behaviour == "vanish" {
                return Ok(());
            }
            self.answer(&request)?;
            match behaviour {
                "once" => return self.give_back(),
                "leave" => return Ok(()),
                "keep" => drop(std::mem::replace(&mut self.errand, UnixStream::pair()?.0)),
                "talk" => return send(&self.errand, b"hello\n", &[]),
                "half" => return send(&self.errand, b"BACK ", &[self.connection.as_fd()]),
                "nothing" => return send(&self.errand, b"BACK 0\n", &[]),
                "file" => return send(&self.errand, b"BACK 0\n", &[File::open("/dev/null")?.as_fd()]),
                "other" => {
                    let local = self.fields.lines().find_map(|line| line.strip_prefix("Local: "));
                    let other = TcpStream::connect(local.unwrap_or_default())?;
                    return send(&self.errand, b"BACK 0\n", &[other.as_fd()]);
                }
                "two" => {
                    let own = self.connection.as_fd();
                    return send(&self.errand, b"BACK 0\n", &[own, own]);
                }
                "much" => {
                    send(&self.errand, b"BACK 70000\n", &[self.connection.as_fd()])?;
                    return self.errand.write_all(&vec![b'x'; 70000]);
                }
                // It goes on until a request comes that is not its own, or the errand ends.
                _ => {}
            }
        }
        Ok(())
    }

    /// The next request with its body, or none.
    fn request(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(end) = memchr::memmem::find(&self.unread, b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.unread[..end]).to_ascii_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let length = length.and_then(|length| length.parse::<usize>().ok()).unwrap_or(0);
                if self.unread.len() >= end + 4 + length {
                    let rest = self.unread.split_off(end + 4 + length);
                    let request = std::mem::replace(&mut self.unread, rest);
                    return Ok(Some(String::from_utf8_lossy(&request).into_owned()));
                }
            }
            let mut room = [0; 16384];
            let count = self.connection.read(&mut room)?;
            if count == 0 {
                return Ok(None);
            }
            self.unread.extend_from_slice(&room[..count]);
        }
    }

    /// All that was said, by the client and of it.
    fn answer(&mut self, request: &str) -> io::Result<()> {
        let body = format!("{}\n\n{request}", self.fields);
        let head = format!(
            "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nServer: service\r\nRequest-Length: {}\r\nContent-Length: {}\r\n\r\n",
            request.len(),
            body.len()
        );
        self.connection.write_all(format!("{head}{body}").as_bytes())
    }

    fn give_back(&mut self) -> io::Result<()> {
        let words = [format!("BACK {}\n", self.unread.len()).as_bytes(), &self.unread].concat();
        send(&self.errand, &words, &[self.connection.as_fd()])
    }
}
