//! Streams that nobody waits for and that may be silent for long: one descriptor watches all of them, so that each costs the
//! event loop no memory.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll;
use tokio::io::Interest;

use crate::process::watched::Watched;

/// So many streams are told of at one time.
const TOGETHER: usize = 256;

/// Watches streams.
pub struct Vigil(Watched<OwnedFd>);

impl Vigil {
    /// Watches none yet; must be called within the runtime that is to watch it.
    pub fn new() -> io::Result<Vigil> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Vigil(Watched::new(epoll, Interest::READABLE)?))
    }

    /// Watches a stream, which is told of by this number, from now on.
    pub fn add(&self, stream: impl AsFd, number: u32) -> io::Result<()> {
        let data = epoll::EventData::new_u64(number.into());
        let flags = epoll::EventFlags::IN | epoll::EventFlags::RDHUP;
        Ok(epoll::add(self.0.inner(), stream, data, flags)?)
    }

    /// Watches a stream no more.
    pub fn remove(&self, stream: impl AsFd) {
        // One that is not watched is not told of either.
        let _ = epoll::delete(self.0.inner(), stream);
    }

    /// Waits until bytes, the end or an error can be read from one of them. The numbers of those of which that is true are put
    /// into `numbers`; those that are not removed then are told of again.
    pub async fn awake(&self, numbers: &mut Vec<u32>) -> io::Result<()> {
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut events = Vec::with_capacity(TOGETHER);
        let look = |epoll: &OwnedFd| match epoll::wait(epoll, spare_capacity(&mut events), Some(&at_once))? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(()),
        };
        self.0.read(look).await?;
        numbers.extend(events.iter().filter_map(|event| u32::try_from(event.data.u64()).ok()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::Vigil;
    use crate::net::stream::Stream;

    #[test]
    fn those_with_something_to_read_or_an_end_are_told_of_until_they_are_removed() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let vigil = Vigil::new().expect("descriptors are free");
            let (ours, mut theirs): (Vec<Stream>, Vec<UnixStream>) = (0..1000)
                .map(|_| UnixStream::pair().expect("descriptors are free"))
                .map(|(ours, theirs)| (Stream::new(ours.into()), theirs))
                .unzip();
            for (number, stream) in (0..).zip(&ours) {
                vigil.add(stream, number).expect("it can be watched");
            }
            let mut told = Vec::new();
            let nothing = tokio::time::timeout(Duration::from_millis(20), vigil.awake(&mut told)).await;
            assert!(nothing.is_err() && told.is_empty());
            for client in theirs.iter_mut().skip(1) {
                client.write_all(b"x").expect("there is room");
            }
            theirs.remove(0);
            let mut all = Vec::new();
            while all.len() < 1000 {
                let awake = tokio::time::timeout(Duration::from_secs(20), vigil.awake(&mut told)).await;
                awake.expect("in time").expect("it can be waited for");
                for number in told.drain(..) {
                    vigil.remove(&ours[number as usize]);
                    all.push(number);
                }
            }
            all.sort_unstable();
            assert_eq!(all, (0..1000).collect::<Vec<_>>());
            let nothing = tokio::time::timeout(Duration::from_millis(20), vigil.awake(&mut told)).await;
            assert!(nothing.is_err() && told.is_empty());
        });
    }
}
