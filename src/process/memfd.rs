//! Files without a name, sealed against change: how settings and long messages travel (memfd_create(2)).

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, SealFlags};

/// Puts bytes into a new memory file that nobody can change any more. `name` is what /proc shows.
pub fn sealed(name: &str, bytes: &[u8]) -> io::Result<OwnedFd> {
    let fd = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(fd);
    file.write_all(bytes)?;
    let fd = OwnedFd::from(file);
    rustix::fs::fcntl_add_seals(&fd, SEALS)?;
    Ok(fd)
}

/// Reads all of a sealed memory file of at most `limit` bytes. One that is not sealed is refused: whoever sent it
/// could change it while we read. The file's offset, which all holders share, does not matter.
pub fn read(fd: BorrowedFd<'_>, limit: u64) -> io::Result<Vec<u8>> {
    let refused = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    if !rustix::fs::fcntl_get_seals(fd).is_ok_and(|seals| seals.contains(SEALS)) {
        return Err(refused("not a sealed memory file"));
    }
    let file = File::from(fd.try_clone_to_owned()?);
    let length = file.metadata()?.len();
    if length > limit {
        return Err(refused("too long"));
    }
    let length = usize::try_from(length).map_err(|_| refused("too long"))?;
    let mut bytes = vec![0; length];
    // At positions of our own: another role may be reading the same file at this moment.
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

const SEALS: SealFlags = SealFlags::SHRINK
    .union(SealFlags::GROW)
    .union(SealFlags::WRITE)
    .union(SealFlags::SEAL);

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::os::fd::AsFd;

    #[test]
    fn what_goes_in_comes_out_again_and_again() {
        let fd = super::sealed("test", b"Listen 80\n").expect("memory files work");
        for _ in 0..2 {
            assert_eq!(super::read(fd.as_fd(), 100).expect("it is sealed"), b"Listen 80\n");
        }
        assert_eq!(super::read(fd.as_fd(), 9).expect_err("longer").to_string(), "too long");
        File::from(fd).write_all(b"x").expect_err("it is sealed");
    }

    #[test]
    fn an_unsealed_file_is_refused() {
        let fd = rustix::fs::memfd_create("open", rustix::fs::MemfdFlags::ALLOW_SEALING).expect("memory files work");
        assert_eq!(
            super::read(fd.as_fd(), 9).expect_err("open").to_string(),
            "not a sealed memory file"
        );
        let other = File::open("/dev/null").expect("it is there");
        assert_eq!(
            super::read(other.as_fd(), 9).expect_err("no memory").to_string(),
            "not a sealed memory file"
        );
    }
}
