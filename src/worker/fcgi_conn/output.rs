//! The writing side of a FastCGI connection: records collected, and sent when there is enough or nothing else to do.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use crate::gateway::fastcgi::record::{self, ProtocolStatus, Stream as Kind};
use crate::net::stream::{More, Stream};

/// So much is collected at most.
const FULL: usize = 32 * 1024;

/// Nothing more can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut;

/// The writing side.
pub(super) struct Output {
    stream: Rc<Stream>,
    /// A client that takes nothing for so long is left.
    timeout: Duration,
    /// The request.
    id: u16,
    collected: Vec<u8>,
}

impl Output {
    pub(super) fn new(stream: Rc<Stream>, timeout: Duration) -> Output {
        Output {
            stream,
            timeout,
            id: 0,
            collected: Vec::new(),
        }
    }

    /// What follows is of this request.
    pub(super) fn begin(&mut self, id: u16) {
        self.id = id;
    }

    /// Adds whole records.
    pub(super) fn append(&mut self, records: &[u8]) {
        self.collected.extend_from_slice(records);
    }

    /// Adds bytes of the answer.
    pub(super) fn stdout(&mut self, bytes: &[u8]) {
        record::stream(&mut self.collected, self.id, Kind::Stdout, bytes);
    }

    /// Adds bytes for the client's log.
    pub(super) fn stderr(&mut self, bytes: &[u8]) {
        record::stream(&mut self.collected, self.id, Kind::Stderr, bytes);
    }

    /// Adds the end of the answer and of the request.
    pub(super) fn end(&mut self, status: u32, protocol: ProtocolStatus) {
        record::stream_header(&mut self.collected, self.id, Kind::Stdout, 0);
        record::end(&mut self.collected, self.id, status, protocol);
    }

    /// Whether it is time to send.
    pub(super) fn is_full(&self) -> bool {
        self.collected.len() >= FULL
    }

    /// Sends everything.
    pub(super) async fn flush(&mut self) -> Result<(), Cut> {
        // An idle connection keeps no buffer.
        let collected = std::mem::take(&mut self.collected);
        let mut rest = collected.as_slice();
        while !rest.is_empty() {
            match self.stream.try_write(rest, More::Nothing) {
                Ok(0) => return Err(Cut),
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    match self.stream.writable_by(Instant::now() + self.timeout).await {
                        Some(Ok(())) => {}
                        Some(Err(_)) | None => return Err(Cut),
                    }
                }
                Err(_) => return Err(Cut),
            }
        }
        Ok(())
    }
}
