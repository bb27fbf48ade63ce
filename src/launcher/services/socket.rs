//! The sockets of services: their directory, which only who serves requests may enter, and how one takes another's place.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::process::identity::Identity;

/// The longest name that the address of a socket holds (unix(7)), with its final NUL.
const LONGEST: usize = 108;

/// The directory of all sockets.
#[derive(Debug)]
pub(super) struct Directory(PathBuf);

/// A listening socket.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) fd: OwnedFd,
    /// The name that it was bound to, and by which the kernel's table calls it and its connections.
    pub(super) bound: PathBuf,
}

impl Directory {
    /// Makes it for `owner`, or takes it as it is. What another server has left behind is removed.
    pub(super) fn make(path: &Path, owner: Option<&Identity>) -> Result<Directory, String> {
        let told = |error: &dyn std::fmt::Display| format!("ServiceDir: {}: {error}", path.display());
        match rustix::fs::mkdir(path, Mode::RWXU) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(told(&error)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| told(&error))?;
        let status = rustix::fs::fstat(&opened).map_err(|error| told(&error))?;
        let own = rustix::process::geteuid().as_raw();
        if status.st_uid != own && owner.is_none_or(|owner| owner.uid != status.st_uid) {
            return Err(told(
                &"it belongs to another user; remove it, or name another directory",
            ));
        }
        if let Some(owner) = owner {
            let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
            rustix::fs::fchown(&opened, Some(uid), Some(gid)).map_err(|error| told(&error))?;
        }
        rustix::fs::fchmod(&opened, Mode::RWXU).map_err(|error| told(&error))?;
        let directory = Directory(path.to_owned());
        directory.clear().map_err(|error| told(&error))?;
        Ok(directory)
    }

    /// One that another version of the launcher has made.
    pub(super) fn of_ours(path: PathBuf) -> Directory {
        Directory(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    fn clear(&self) -> io::Result<()> {
        use std::os::unix::fs::FileTypeExt;
        for entry in std::fs::read_dir(&self.0)? {
            let entry = entry?;
            if entry.file_type()?.is_socket() {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// A new socket with a queue of this length, which listens and which nobody finds yet.
    pub(super) fn listen(&self, name: &str, number: u16, serial: u64, queue: u16) -> io::Result<Listening> {
        let bound = self.0.join(format!("{name}.{number}.{}-{serial}", std::process::id()));
        if bound.as_os_str().len() >= LONGEST {
            return Err(io::Error::other(format!(
                "its socket's name is longer than the {} bytes that there may be; ServiceDir moves it",
                LONGEST - 1
            )));
        }
        let address = SocketAddrUnix::new(&bound)?;
        let fd = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        match std::fs::remove_file(&bound) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // The directory decides who gets to it.
        let before = rustix::process::umask(Mode::empty());
        let result = rustix::net::bind(&fd, &address);
        rustix::process::umask(before);
        result?;
        rustix::net::listen(&fd, i32::from(queue))?;
        Ok(Listening { fd, bound })
    }

    /// Has connections for this process go to the socket from now on.
    pub(super) fn put(&self, name: &str, number: u16, socket: &Listening) -> io::Result<()> {
        std::fs::rename(&socket.bound, self.place(name, number))
    }

    /// Has connections for this process fail from now on.
    pub(super) fn take_away(&self, name: &str, number: u16) {
        // Whoever removed it meanwhile has done the same.
        let _ = std::fs::remove_file(self.place(name, number));
    }

    fn place(&self, name: &str, number: u16) -> PathBuf {
        let path = crate::config::services::socket(self.0.as_os_str().as_bytes(), name, number);
        PathBuf::from(OsStr::from_bytes(&path))
    }

    /// Removes it, with its sockets; a failure leaves it for the next start to clear.
    pub(super) fn remove(&self) {
        let _ = self.clear().and_then(|()| std::fs::remove_dir(&self.0));
    }
}

impl AsFd for Listening {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
