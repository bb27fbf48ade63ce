//! The control socket: the unix socket by which `lychgate ctl` talks to a launcher that runs (unix(7)).
//!
//! It has mode 0600 from its first moment on. One that somebody was killed behind is replaced; one that somebody listens at,
//! and what is no socket, is left alone.

pub mod words;

use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use rustix::fs::{Mode, OFlags};
use rustix::net::sockopt::Timeout;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// A socket that we listen at; its name goes away with us.
#[derive(Debug)]
pub struct CtlSocket {
    path: PathBuf,
    listener: UnixListener,
    /// Device and inode of the name, so that another's is never removed.
    file: (u64, u64),
}

/// The process at the other end, when it connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its number; 0 where we cannot see it.
    pub pid: i32,
    /// Its effective user.
    pub uid: u32,
}

impl CtlSocket {
    /// Listens at `path`. An error says who or what is there.
    pub fn bind(path: &Path) -> io::Result<CtlSocket> {
        clear(path)?;
        let socket = stream_socket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
        // The name gets the socket's mode, so there is no moment at which others may connect.
        rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
        by_address(path, |address| rustix::net::bind(&socket, address))?;
        rustix::net::listen(&socket, BACKLOG)?;
        CtlSocket::of_ours(path.to_owned(), socket)
    }

    /// One that we listened at when we were another version of our program.
    pub fn of_ours(path: PathBuf, socket: OwnedFd) -> io::Result<CtlSocket> {
        let file = identity(&path)?;
        Ok(CtlSocket {
            path,
            listener: UnixListener::from(socket),
            file,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether its name still leads to it.
    pub fn is_there(&self) -> bool {
        identity(&self.path).is_ok_and(|file| file == self.file)
    }

    /// The next who has connected, without waiting.
    pub fn next(&self) -> io::Result<Option<UnixStream>> {
        match self.listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(true)?;
                Ok(Some(stream))
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionAborted) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for CtlSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for CtlSocket {
    fn drop(&mut self) {
        if self.is_there() {
            let _nothing_to_be_done = fs::remove_file(&self.path);
        }
    }
}

/// Connects to the socket of this name. One whose owner takes nobody is given up after this time, and so is each write there.
pub fn connect(path: &Path, patience: Duration) -> io::Result<UnixStream> {
    let socket = stream_socket(SocketFlags::CLOEXEC)?;
    rustix::net::sockopt::set_socket_timeout(&socket, Timeout::Send, Some(patience))?;
    connect_by(socket, path)
}

fn stream_socket(flags: SocketFlags) -> io::Result<OwnedFd> {
    Ok(rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        flags,
        None,
    )?)
}

fn connect_by(socket: OwnedFd, path: &Path) -> io::Result<UnixStream> {
    by_address(path, |address| rustix::net::connect(&socket, address))?;
    Ok(UnixStream::from(socket))
}

/// Who is at the other end.
pub fn peer(stream: impl AsFd) -> io::Result<Peer> {
    let peer = getsockopt(&stream, PeerCredentials)?;
    Ok(Peer {
        pid: peer.pid(),
        uid: peer.uid(),
    })
}

/// How many may wait to be taken; the next one's connect(2) waits.
const BACKLOG: i32 = 64;

/// Makes place for a socket: removes one at which nobody listens.
fn clear(path: &Path) -> io::Result<()> {
    let there = match fs::symlink_metadata(path) {
        Ok(there) => there,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !there.file_type().is_socket() {
        return Err(io::Error::new(ErrorKind::AlreadyExists, "it is there, and no socket"));
    }
    let in_use = |told| Err(io::Error::new(ErrorKind::AddrInUse, told));
    match stream_socket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK).and_then(|socket| connect_by(socket, path)) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        // Whoever listens there does not take anybody at the moment.
        Err(error) if error.kind() == ErrorKind::WouldBlock => in_use("somebody listens there".to_owned()),
        Err(error) => Err(error),
        Ok(stream) => {
            let pid = peer(&stream).map_or(0, |peer| peer.pid);
            in_use(format!("process {pid} listens there"))
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let file = fs::symlink_metadata(path)?;
    Ok((file.dev(), file.ino()))
}

/// Does something with the address of a name. One that is longer than an address may be is reached by its directory.
fn by_address(path: &Path, act: impl FnOnce(&SocketAddrUnix) -> Result<(), rustix::io::Errno>) -> io::Result<()> {
    if let Ok(address) = SocketAddrUnix::new(path) {
        return Ok(act(&address)?);
    }
    let directory = path.parent().filter(|parent| *parent != Path::new(""));
    let directory = rustix::fs::open(
        directory.unwrap_or(Path::new(".")),
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let name = path.file_name().unwrap_or(OsStr::new(""));
    let number = std::os::fd::AsRawFd::as_raw_fd(&directory);
    let short = Path::new("/proc/self/fd").join(number.to_string()).join(name);
    Ok(act(&SocketAddrUnix::new(short)?)?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{ErrorKind, Read};
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use super::{CtlSocket, connect, peer};

    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Place {
            let place = std::env::temp_dir().join(format!("lychgate-ctl-{name}-{}", std::process::id()));
            fs::create_dir_all(&place).expect("a directory of our own");
            Place(place)
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _left_for_the_system = fs::remove_dir_all(&self.0);
        }
    }

    fn talks(socket: &CtlSocket, path: &Path) {
        let client = connect(path, Duration::from_secs(10)).expect("it listens");
        let server = socket.next().expect("it works").expect("one has connected");
        let peer = peer(&server).expect("it is connected");
        assert_eq!(peer.pid, std::process::id().cast_signed());
        assert_eq!(peer.uid, rustix::process::geteuid().as_raw());
        drop(server);
        assert_eq!((&client).read(&mut [0; 8]).expect("closed"), 0);
        assert!(socket.next().expect("it works").is_none());
    }

    #[test]
    fn it_is_the_owners_alone_and_goes_with_its_maker() {
        let place = Place::new("ours");
        let path = place.0.join("httpd.ctl");
        let socket = CtlSocket::bind(&path).expect("there is room");
        let mode = fs::symlink_metadata(&path).expect("made").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        talks(&socket, &path);
        assert!(socket.is_there());
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn a_name_may_be_longer_than_an_address() {
        let place = Place::new("long");
        let directory = place.0.join("d".repeat(100));
        fs::create_dir(&directory).expect("there is room");
        let path = directory.join("httpd.ctl");
        let socket = CtlSocket::bind(&path).expect("there is room");
        talks(&socket, &path);
    }

    #[test]
    fn what_a_killed_one_left_is_replaced_and_nothing_else() {
        let place = Place::new("stale");
        let path = place.0.join("httpd.ctl");
        let listener = std::os::unix::net::UnixListener::bind(&path).expect("there is room");
        let error = CtlSocket::bind(&path).expect_err("it listens");
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert_eq!(
            error.to_string(),
            format!("process {} listens there", std::process::id())
        );
        drop(listener);
        // A child that another test starts at this moment may hold the listener a little longer.
        let mut tries = (0..500).map(|_| {
            std::thread::sleep(Duration::from_millis(10));
            CtlSocket::bind(&path)
        });
        let socket = tries.find_map(Result::ok).expect("nobody listens any more");
        talks(&socket, &path);
        fs::remove_file(&path).expect("ours");
        assert!(!socket.is_there());
        fs::write(&path, "precious").expect("there is room");
        let error = CtlSocket::bind(&path).expect_err("a file");
        assert_eq!(error.to_string(), "it is there, and no socket");
        drop(socket);
        assert_eq!(fs::read_to_string(&path).expect("left alone"), "precious");
    }
}
