//! The socket of the system's log, as launcher and roles share it: whoever is confined could not open it.
//!
//! All who have it share one open socket, so that the launcher connects it for all of them when the system's log was started
//! again.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

/// A socket that is not connected yet.
pub(super) fn socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    Ok(socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?)
}

/// Connects it to whoever listens there now, for all who share it.
pub(super) fn reach(socket: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    Ok(connect(socket, &SocketAddrUnix::new(path)?)?)
}
