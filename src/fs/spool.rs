//! A place to keep a body of unknown length until its end: memory at first, then a file without a name.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, SeekFrom};
use rustix::io::Errno;

/// Up to so many bytes stay in memory; more go to a file.
const IN_MEMORY: u64 = 256 * 1024;

/// Bytes kept in order, to be read by a script as its standard input.
pub struct Spool {
    fd: OwnedFd,
    length: u64,
    in_memory: bool,
}

impl Spool {
    /// An empty one, in memory.
    pub fn new() -> io::Result<Spool> {
        let fd = rustix::fs::memfd_create(c"lychgate body", MemfdFlags::CLOEXEC)?;
        Ok(Spool {
            fd,
            length: 0,
            in_memory: true,
        })
    }

    /// Adds bytes at the end.
    pub fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.in_memory && self.length + bytes.len() as u64 > IN_MEMORY {
            self.move_to_file()?;
        }
        write_all(&self.fd, bytes)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// How many bytes it holds.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// A descriptor that reads it from its start.
    pub fn into_reader(self) -> io::Result<OwnedFd> {
        rustix::fs::seek(&self.fd, SeekFrom::Start(0))?;
        Ok(self.fd)
    }

    fn move_to_file(&mut self) -> io::Result<()> {
        let file = unnamed_file(&directory())?;
        let mut buffer = vec![0; 64 * 1024];
        let mut offset = 0;
        while offset < self.length {
            let n = rustix::io::pread(&self.fd, &mut buffer, offset)?;
            if n == 0 {
                break;
            }
            write_all(&file, buffer.get(..n).unwrap_or(&[]))?;
            offset += n as u64;
        }
        self.fd = file;
        self.in_memory = false;
        Ok(())
    }
}

/// Where the files are: TMPDIR, or /tmp.
pub fn directory() -> PathBuf {
    std::env::temp_dir()
}

/// Whether a file has a name while it is made, which its file system decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// Never: nothing needs to be created or removed (O_TMPFILE, open(2)).
    Never,
    /// For a moment.
    ForAMoment,
}

/// What files in this directory need.
pub fn naming(directory: &Path) -> Naming {
    match nameless_file(directory) {
        Ok(_closed_again) => Naming::Never,
        Err(_) => Naming::ForAMoment,
    }
}

/// A file in `directory` that is gone with its last descriptor, so that nothing is left behind, whatever happens.
fn unnamed_file(directory: &Path) -> io::Result<OwnedFd> {
    match nameless_file(directory) {
        Ok(fd) => return Ok(fd),
        // The file system cannot; give it a name for a moment.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {}
        Err(errno) => return Err(errno.into()),
    }
    let mut random = [0; 16];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
    let path = directory.join(format!("lychgate-{:032x}", u128::from_ne_bytes(random)));
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let fd = rustix::fs::openat(CWD, &path, flags, FOR_US)?;
    rustix::fs::unlink(&path)?;
    Ok(fd)
}

fn nameless_file(directory: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, directory, flags, FOR_US)
}

const FOR_US: Mode = Mode::RUSR.union(Mode::WUSR);

fn write_all(fd: &OwnedFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(fd, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => bytes = bytes.get(n..).unwrap_or(&[]),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::{IN_MEMORY, Spool};

    #[test]
    fn what_went_in_comes_out_from_memory_and_from_a_file() {
        for size in [0, 10, usize::try_from(IN_MEMORY).unwrap() + 5] {
            let bytes: Vec<u8> = (0..size).map(|n| u8::try_from(n % 251).unwrap()).collect();
            let mut spool = Spool::new().unwrap();
            for piece in bytes.chunks(70_000) {
                spool.add(piece).unwrap();
            }
            assert_eq!(spool.length(), size as u64);
            let mut back = Vec::new();
            std::fs::File::from(spool.into_reader().unwrap())
                .read_to_end(&mut back)
                .unwrap();
            assert_eq!(back, bytes);
        }
    }
}
