//! Another protocol on a connection (RFC 9110 section 7.8): bytes go both ways as they come, until both ends have closed or
//! have been silent for too long.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{Conn, Cut};
use crate::exchange::response::Tunnel;
use crate::net::stream::More;

/// So many pieces are moved before other connections have their turn.
const AT_ONCE: usize = 16;

/// One direction.
#[derive(Default)]
struct Way {
    /// What was read and is not written yet; no more is read meanwhile.
    bytes: Bytes,
    has_ended: bool,
}

impl Way {
    fn is_done(&self) -> bool {
        self.has_ended && self.bytes.is_empty()
    }
}

/// How far both directions got.
enum Moved {
    /// Bytes, or an end.
    Some,
    None,
}

impl Conn {
    /// Carries bytes between the client and the far end, behind the head that is collected.
    pub(super) async fn tunnel(&mut self, far: &mut dyn Tunnel) -> Result<(), Cut> {
        self.writer.flush().await?;
        self.writer.rest();
        let (mut there, mut back) = (Way::default(), Way::default());
        let silence = far.silence();
        let mut timer = Box::pin(sleep_until(Instant::now() + silence));
        poll_fn(|cx| {
            for _ in 0..AT_ONCE {
                let moved = self.poll_both(cx, far, &mut there, &mut back);
                match moved {
                    Err(_) => return Poll::Ready(Err(Cut::Client)),
                    Ok(_) if there.is_done() && back.is_done() => return Poll::Ready(Ok(())),
                    Ok(Moved::Some) => timer.as_mut().reset(Instant::now() + silence),
                    Ok(Moved::None) => return poll_timer(cx, &mut timer),
                }
            }
            // The others have their turn.
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }

    fn poll_both(
        &mut self,
        cx: &mut Context<'_>,
        far: &mut dyn Tunnel,
        there: &mut Way,
        back: &mut Way,
    ) -> io::Result<Moved> {
        let before = (there.bytes.len(), back.bytes.len());
        let (mut is_there, mut is_back) = (false, false);
        if let Poll::Ready(done) = self.poll_there(cx, far, there) {
            done?;
            is_there = true;
        }
        if let Poll::Ready(done) = self.poll_back(cx, far, back) {
            done?;
            is_back = true;
        }
        // Of what was only begun to be written, the rest waits for room.
        let has_moved = is_there || is_back || before != (there.bytes.len(), back.bytes.len());
        Ok(if has_moved { Moved::Some } else { Moved::None })
    }

    /// From the client to the far end; ready when something has moved.
    fn poll_there(&self, cx: &mut Context<'_>, far: &mut dyn Tunnel, way: &mut Way) -> Poll<io::Result<()>> {
        if !way.bytes.is_empty() {
            return far.poll_write(cx, &mut way.bytes);
        }
        if way.has_ended {
            return Poll::Pending;
        }
        let mut reader = self.reader.borrow_mut();
        if reader.buffer.is_empty() && std::task::ready!(reader.poll_fill(cx))? == 0 {
            way.has_ended = true;
            far.end();
        } else {
            way.bytes = reader.buffer.split().freeze();
        }
        Poll::Ready(Ok(()))
    }

    /// From the far end to the client.
    fn poll_back(&mut self, cx: &mut Context<'_>, far: &mut dyn Tunnel, way: &mut Way) -> Poll<io::Result<()>> {
        if !way.bytes.is_empty() {
            return self.poll_write(cx, &mut way.bytes);
        }
        if way.has_ended {
            return Poll::Pending;
        }
        way.bytes = std::task::ready!(far.poll_read(cx))?;
        if way.bytes.is_empty() {
            way.has_ended = true;
            self.stream.shut_down_sending();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &mut Bytes) -> Poll<io::Result<()>> {
        while !bytes.is_empty() {
            match self.stream.try_write(bytes, More::Nothing) {
                Ok(count) => {
                    bytes.advance(count);
                    self.writer.bytes_out += count as u64;
                    self.writer.body_bytes += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::task::ready!(self.stream.poll_writable(cx))?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Ready when both ends have been silent for too long.
fn poll_timer(cx: &mut Context<'_>, timer: &mut Pin<Box<Sleep>>) -> Poll<Result<(), Cut>> {
    timer.as_mut().poll(cx).map(|()| Ok(()))
}
