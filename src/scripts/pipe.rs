//! Our end of a pipe that a script writes to. It is read directly as long as there is something in it, and the runtime watches
//! it only once somebody has to wait: the output of a script that has ended already costs no registration.

use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::net::unix::pipe::Receiver;

/// So much is read directly, which is enough for most scripts, and so much at once where somebody had to wait.
const FIRST_CHUNK: usize = 8 * 1024;
const CHUNK: usize = 64 * 1024;
/// Less room than this is not worth a read.
const LEAST_ROOM: usize = 4 * 1024;

/// The reading end, which never blocks.
#[derive(Debug)]
pub(super) enum Pipe {
    /// Nobody had to wait for it yet.
    Direct(OwnedFd),
    /// The runtime watches it.
    Watched(Receiver),
    /// It cannot be watched: nothing more comes of it.
    Broken,
}

impl Pipe {
    /// A pipe: our end and the script's.
    pub(super) fn new() -> io::Result<(Pipe, OwnedFd)> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&reader, true)?;
        Ok((Pipe::Direct(reader), writer))
    }

    /// Reads some of what is there, which `take` gets; nothing is the end, `WouldBlock` that there is nothing yet.
    pub(super) fn read(&self, take: impl FnOnce(&[u8])) -> io::Result<usize> {
        match self {
            Pipe::Direct(pipe) => read(pipe, take),
            Pipe::Watched(pipe) => read_watched(pipe, take),
            Pipe::Broken => Ok(0),
        }
    }

    /// Reads what is there into `room`, or has the task of `cx` woken when there is something.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut BytesMut) -> Poll<io::Result<usize>> {
        if let Pipe::Direct(pipe) = self {
            match read(pipe, |bytes| room.extend_from_slice(bytes)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.watch()?,
                done => return Poll::Ready(done),
            }
        }
        let Pipe::Watched(pipe) = self else {
            return Poll::Ready(Ok(0));
        };
        loop {
            ready!(pipe.poll_read_ready(cx))?;
            if room.capacity() < LEAST_ROOM {
                room.reserve(CHUNK);
            }
            match pipe.try_read_buf(room) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read),
            }
        }
    }

    /// Waits until there is something to read, or the end. Reading meets every error again.
    pub(super) async fn readable(&mut self) {
        let _reading_meets_it = self.watch();
        if let Pipe::Watched(pipe) = self {
            let _reading_meets_it = pipe.readable().await;
        }
    }

    /// Has it watched from now on.
    fn watch(&mut self) -> io::Result<()> {
        *self = match mem::replace(self, Pipe::Broken) {
            // It is a pipe, and does not block: that need not be asked.
            Pipe::Direct(pipe) => Pipe::Watched(Receiver::from_owned_fd_unchecked(pipe)?),
            watched => watched,
        };
        Ok(())
    }
}

/// The room is not filled with zeros before: behind a script hardly anything is in the caches.
fn read(pipe: &OwnedFd, take: impl FnOnce(&[u8])) -> io::Result<usize> {
    let mut room = [const { MaybeUninit::uninit() }; FIRST_CHUNK];
    loop {
        match rustix::io::read(pipe, &mut room) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok((bytes, _)) => {
                take(bytes);
                return Ok(bytes.len());
            }
        }
    }
}

fn read_watched(pipe: &Receiver, take: impl FnOnce(&[u8])) -> io::Result<usize> {
    let mut room = [0; FIRST_CHUNK];
    let count = pipe.try_read(&mut room)?;
    take(room.get(..count).unwrap_or_default());
    Ok(count)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::{ErrorKind, Write};

    use bytes::BytesMut;

    use super::Pipe;
    use crate::scripts::testing::on_thread;

    #[test]
    fn what_is_there_is_read_at_once_and_what_is_not_is_waited_for() {
        on_thread(async {
            let (mut pipe, script) = Pipe::new().expect("pipes work");
            let mut script = std::fs::File::from(script);
            let mut room = BytesMut::new();
            let nothing = pipe.read(|_| ()).map_err(|error| error.kind());
            assert_eq!(nothing, Err(ErrorKind::WouldBlock));
            script.write_all(b"one").expect("there is room");
            let read = poll_fn(|cx| pipe.poll_read(cx, &mut room)).await;
            assert_eq!((read.ok(), &room.split()[..]), (Some(3), &b"one"[..]));
            assert!(matches!(pipe, Pipe::Direct(_)), "nobody has waited");
            let (read, ()) = tokio::join!(poll_fn(|cx| pipe.poll_read(cx, &mut room)), async {
                script.write_all(b"two").expect("there is room");
            });
            assert_eq!((read.ok(), &room[..]), (Some(3), &b"two"[..]));
            assert!(matches!(pipe, Pipe::Watched(_)), "somebody has");
            drop(script);
            // A child that another test starts at this moment may hold the other end a little longer.
            let end = loop {
                pipe.readable().await;
                match pipe.read(|_| ()) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    end => break end,
                }
            };
            assert_eq!(end.ok(), Some(0));
        });
    }
}
