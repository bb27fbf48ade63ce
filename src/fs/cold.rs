//! Files whose disk makes one wait: what is in memory is read at once, the rest by threads that may wait, so that a cold file
//! holds up nobody who asks for a hot one.

use std::cell::RefCell;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::{Errno, ReadWriteFlags};

use crate::fs::open::{OpenFile, read_at};

/// How a file system takes a reader that does not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// It tells what is in memory (`RWF_NOWAIT`).
    Tells,
    /// It does not tell, and is taken for one on which nobody waits for long.
    Fast,
    /// It does not tell, and may make one wait: all of it is read by threads that may.
    Slow,
}

/// File systems that cannot tell what is in memory, and are so fast, or so common as the root of a container, that a thread
/// for each read would cost more than it saves: tmpfs, ramfs, overlayfs (statfs(2)).
const FAST: &[i64] = &[0x0102_1994, 0x8584_58f6, 0x794c_7630];

/// So many file systems are remembered by a thread.
const REMEMBERED: usize = 32;

thread_local! {
    static KNOWN: RefCell<Vec<(u64, Manner)>> = const { RefCell::new(Vec::new()) };
}

impl OpenFile {
    /// Fills the buffer from `offset` on, if that can be done without waiting for a disk. Whatever is said is no answer to
    /// where the file ends: that is for [`OpenFile::read_by_another`] to find out.
    pub fn fill_at_once(&self, buffer: &mut [u8], offset: u64) -> bool {
        let length = buffer.len();
        match self.manner() {
            Manner::Tells => self.read_without_waiting(buffer, offset) == Ok(length),
            Manner::Fast => self.read_at(buffer, offset).is_ok_and(|read| read == length),
            Manner::Slow => false,
        }
    }

    /// Whether so many bytes from `offset` on seem to be in memory: the first and the last of them are.
    pub fn is_at_hand(&self, offset: u64, length: u64) -> bool {
        match self.manner() {
            Manner::Tells => {
                let is_there = |at| self.read_without_waiting(&mut [0], at) == Ok(1);
                is_there(offset) && is_there(offset + length.saturating_sub(1))
            }
            Manner::Fast => true,
            Manner::Slow => false,
        }
    }

    /// Reads up to `length` bytes from `offset` on in a thread that may wait; fewer only at the file's end. It must be called
    /// in an event loop of tokio's.
    pub fn read_by_another(&self, length: usize, offset: u64) -> impl Future<Output = io::Result<Vec<u8>>> + use<> {
        let file = self.fd().try_clone_to_owned();
        async move {
            let file = file?;
            let reading = tokio::task::spawn_blocking(move || {
                let mut bytes = vec![0; length];
                let read = read_at(file.as_fd(), &mut bytes, offset)?;
                bytes.truncate(read);
                Ok(bytes)
            });
            reading.await.map_err(io::Error::other)?
        }
    }

    fn manner(&self) -> Manner {
        let device = self.meta.device;
        let known = KNOWN.with_borrow(|known| known.iter().find(|(of, _)| *of == device).map(|(_, manner)| *manner));
        known.unwrap_or_else(|| {
            let manner = manner_of(self.fd());
            KNOWN.with_borrow_mut(|known| {
                known.truncate(REMEMBERED - 1);
                known.push((device, manner));
            });
            manner
        })
    }

    fn read_without_waiting(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
        rustix::io::preadv2(
            self.fd(),
            &mut [IoSliceMut::new(buffer)],
            offset,
            ReadWriteFlags::NOWAIT,
        )
    }
}

/// Asks a file's file system.
fn manner_of(file: BorrowedFd<'_>) -> Manner {
    let mut byte = [0];
    let asked = rustix::io::preadv2(file, &mut [IoSliceMut::new(&mut byte)], 0, ReadWriteFlags::NOWAIT);
    if !matches!(asked, Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS)) {
        return Manner::Tells;
    }
    match rustix::fs::fstatfs(file) {
        Ok(system) if FAST.contains(&system.f_type) => Manner::Fast,
        _ => Manner::Slow,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::os::unix::ffi::OsStrExt;

    use rustix::fs::{Advice, fadvise};

    use super::Manner;
    use crate::fs::open::{OpenFile, Symlinks, look, stat};

    /// A file of so many bytes, open, on the disk where tests are built.
    fn file(name: &str, length: usize) -> OpenFile {
        let path = std::env::current_exe()
            .expect("it is us")
            .with_file_name(format!("cold-{name}"));
        let mut written = File::create(&path).expect("the directory is ours");
        written.write_all(&vec![7; length]).expect("there is room");
        written.sync_all().expect("it was written");
        let name = path.as_os_str().as_bytes();
        let seen = stat(name).and_then(|known| look(name, known, &[(1, Symlinks::Follow)]));
        let file = seen.and_then(|seen| seen.open());
        std::fs::remove_file(&path).expect("it is there");
        file.expect("it is there")
    }

    fn by_another(file: &OpenFile, length: usize, offset: u64) -> Vec<u8> {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let reading = file.read_by_another(length, offset);
        runtime
            .expect("there are threads")
            .block_on(reading)
            .expect("it can be read")
    }

    #[test]
    fn what_is_in_memory_is_read_at_once_and_the_rest_by_another() {
        let file = file("memory", 300_000);
        let mut buffer = vec![0; 300_000];
        // Just written, it is in memory; where that cannot be asked, all depends on the file system.
        let at_once = file.manner() != Manner::Slow;
        assert_eq!(file.fill_at_once(&mut buffer, 0), at_once);
        assert_eq!(file.is_at_hand(0, 300_000), at_once);
        if file.manner() == Manner::Tells {
            // To ask in vain has the system begin to read: each question has a file of its own.
            for is_there in [
                |file: &OpenFile| file.is_at_hand(0, 300_000),
                |file: &OpenFile| file.fill_at_once(&mut vec![0; 300_000], 0),
            ] {
                let file = self::file("gone", 300_000);
                fadvise(file.fd(), 0, None, Advice::DontNeed).expect("it is a file");
                assert!(!is_there(&file));
                assert_eq!(by_another(&file, 300_000, 0), vec![7; 300_000]);
            }
        }
        assert_eq!(by_another(&file, 300_000, 0), vec![7; 300_000]);
        assert_eq!(file.is_at_hand(0, 300_000), at_once);
    }

    #[test]
    fn behind_the_end_there_is_nothing() {
        let file = file("end", 10);
        assert!(!file.fill_at_once(&mut [0; 11], 0));
        assert!(!file.fill_at_once(&mut [0; 1], 10));
        assert_eq!(by_another(&file, 11, 0), vec![7; 10]);
        assert_eq!(by_another(&file, 1, 10), Vec::<u8>::new());
    }
}
