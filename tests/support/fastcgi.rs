//! A FastCGI client: what a web server is to `lychgate fcgiwrap`, byte for byte.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use lychgate::gateway::fastcgi::params;
use lychgate::gateway::fastcgi::record::{self, Connection, Message, ProtocolStatus, RecordReader, Role, Stream};

/// A connection.
pub struct Client {
    stream: UnixStream,
    reader: RecordReader,
    unread: Bytes,
}

/// What came of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reply {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    /// The application's status; `None` where the connection ended before.
    pub end: Option<(u32, u8)>,
}

impl Client {
    pub fn connect(socket: &Path, patience: Duration) -> Result<Client, String> {
        let told = |e: std::io::Error| format!("{}: {e}", socket.display());
        let stream = UnixStream::connect(socket).map_err(told)?;
        stream.set_read_timeout(Some(patience)).map_err(told)?;
        stream.set_write_timeout(Some(patience)).map_err(told)?;
        Ok(Client {
            stream,
            reader: RecordReader::new(),
            unread: Bytes::new(),
        })
    }

    pub fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.stream.write_all(bytes).map_err(|e| format!("send: {e}"))
    }

    /// The same where the other end may have had enough.
    pub fn send_if_wanted(&mut self, bytes: &[u8]) {
        let _it_has_had_enough = self.stream.write_all(bytes);
    }

    pub fn half_close(&self) {
        let _gone_already = self.stream.shutdown(std::net::Shutdown::Write);
    }

    /// The next message; `None` at the end of the connection.
    pub fn message(&mut self) -> Result<Option<Message>, String> {
        loop {
            match self.reader.next(&mut self.unread) {
                Ok(Some(message)) => return Ok(Some(message)),
                Ok(None) => {}
                Err(error) => return Err(error.to_string()),
            }
            let mut buffer = vec![0; 65_536];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(None),
                Ok(n) => self.unread = Bytes::copy_from_slice(&buffer[..n]),
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return Ok(None),
                Err(e) => return Err(format!("read: {e}")),
            }
        }
    }

    /// Everything that is said of a request, to its end.
    pub fn reply(&mut self, of: u16) -> Result<Reply, String> {
        let mut reply = Reply::default();
        loop {
            match self.message()? {
                Some(Message::Bytes { id, stream, bytes }) if id == of && stream == Stream::Stdout => {
                    reply.stdout.extend_from_slice(&bytes);
                }
                Some(Message::Bytes { id, stream, bytes }) if id == of && stream == Stream::Stderr => {
                    reply.stderr.extend_from_slice(&bytes);
                }
                Some(Message::StreamEnd { id, .. }) if id == of => {}
                Some(Message::End {
                    id,
                    application,
                    protocol,
                }) if id == of => {
                    reply.end = Some((application, number(protocol)));
                    return Ok(reply);
                }
                None => return Ok(reply),
                Some(other) => return Err(format!("of request {of}: {other:?}")),
            }
        }
    }
}

fn number(status: ProtocolStatus) -> u8 {
    match status {
        ProtocolStatus::Complete => 0,
        ProtocolStatus::NoMultiplexing => 1,
        ProtocolStatus::Overloaded => 2,
        ProtocolStatus::UnknownRole => 3,
        ProtocolStatus::Other(number) => number,
    }
}

/// A request up to its standard input.
pub fn begin(id: u16, connection: Connection, variables: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    record::begin(&mut out, id, Role::Responder, connection);
    let mut content = Vec::new();
    for (name, value) in variables {
        assert!(params::append(&mut content, name.as_bytes(), value.as_bytes()));
    }
    record::stream(&mut out, id, Stream::Params, &content);
    record::stream_header(&mut out, id, Stream::Params, 0);
    out
}

/// A whole request.
pub fn request(id: u16, connection: Connection, variables: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut out = begin(id, connection, variables);
    record::stream(&mut out, id, Stream::Stdin, body);
    record::stream_header(&mut out, id, Stream::Stdin, 0);
    out
}
