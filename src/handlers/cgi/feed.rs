//! The request's body on its way into a script's standard input, no faster than the script reads it.

use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::net::unix::pipe::Sender;

use crate::exchange::body::{BodyError, RequestBody};
use crate::handlers::presence::WaitsFor;

/// The pump between a body and a pipe. Dropped before its end, it closes the pipe.
pub(super) struct Feed {
    body: RequestBody,
    /// Our end; `None` when all is done.
    pipe: Option<Sender>,
    /// Read from the client, not yet taken by the script.
    chunk: Bytes,
    /// The first bytes, for the script log.
    kept: Vec<u8>,
    to_keep: usize,
}

impl Feed {
    /// Nothing to feed.
    pub(super) fn none() -> Feed {
        Feed {
            body: RequestBody::none(),
            pipe: None,
            chunk: Bytes::new(),
            kept: Vec::new(),
            to_keep: 0,
        }
    }

    /// A pump for `body`, and the script's end of its pipe.
    pub(super) fn new(body: RequestBody) -> io::Result<(Feed, OwnedFd)> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&writer, true)?;
        let feed = Feed {
            body,
            // It is a pipe, and does not block: that need not be asked.
            pipe: Some(Sender::from_owned_fd_unchecked(writer)?),
            ..Feed::none()
        };
        Ok((feed, reader))
    }

    /// Keeps the first `bytes` bytes that come from now on.
    pub(super) fn keep(&mut self, bytes: usize) {
        self.to_keep = bytes;
    }

    /// What was kept.
    pub(super) fn kept(&self) -> &[u8] {
        &self.kept
    }

    /// Whom it waits for, after it was polled.
    pub(super) fn waits_for(&self) -> WaitsFor {
        match &self.pipe {
            None => WaitsFor::Nobody,
            Some(_) if self.chunk.is_empty() => WaitsFor::Client,
            Some(_) => WaitsFor::Program,
        }
    }

    /// Moves what is there; ready when there is nothing more to do: the body's end, or a script that has closed its
    /// standard input and leaves the rest unread.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        while let Some(pipe) = &self.pipe {
            if self.chunk.is_empty() {
                match ready!(self.body.poll_data(cx)) {
                    Ok(Some(chunk)) => {
                        let room = self.to_keep.saturating_sub(self.kept.len()).min(chunk.len());
                        self.kept.extend_from_slice(chunk.get(..room).unwrap_or_default());
                        self.chunk = chunk;
                    }
                    Ok(None) => self.pipe = None,
                    Err(error) => return Poll::Ready(Err(error)),
                }
                continue;
            }
            match pipe.try_write(&self.chunk) {
                Ok(count) => self.chunk.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if ready!(pipe.poll_write_ready(cx)).is_err() {
                        self.close();
                    }
                }
                // It reads no more (EPIPE).
                Err(_) => self.close(),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Fills the pipe with what has come already. An error is met again by the next poll.
    pub(super) async fn prime(&mut self) {
        poll_fn(|cx| {
            let _pending_or_met_again = self.poll(cx);
            Poll::Ready(())
        })
        .await;
    }

    fn close(&mut self) {
        self.pipe = None;
        self.chunk.clear();
    }
}
