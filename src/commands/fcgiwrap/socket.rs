//! The socket where web servers ask for scripts: made, or given by whoever started us.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Gid, Mode, Uid};
use rustix::net::AddressFamily;
use socket2::{Domain, Protocol, Socket, Type};

use crate::process::identity::Identity;
use crate::process::listening;

/// So many connections may wait to be accepted, as at our other listeners.
const BACKLOG: i32 = 511;

/// Where to listen: `/path` or `unix:/path`, `tcp:ADDRESS:PORT` or `tcp6:[ADDRESS]:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketUrl {
    /// A Unix socket.
    Unix(PathBuf),
    /// TCP.
    Tcp(SocketAddr),
}

/// A user, and perhaps a group: `USER` or `USER:GROUP`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub user: String,
    /// The group, if it is not the user's own.
    pub group: Option<String>,
}

/// A socket that listens.
#[derive(Debug)]
pub struct Listening {
    /// The socket.
    pub socket: OwnedFd,
    /// For people.
    pub place: String,
    /// The name that was made for it.
    made: Option<Made>,
}

/// A name in the file system that is ours to take away.
#[derive(Debug)]
struct Made {
    path: PathBuf,
    /// Device and number, by which we know it again.
    file: (u64, u64),
}

impl SocketUrl {
    /// Reads it. The error is a sentence.
    pub fn read(word: &str) -> Result<SocketUrl, String> {
        let wrong = || "write /path or unix:/path, tcp:127.0.0.1:9000 or tcp6:[::1]:9000".to_owned();
        let address = |text: &str| text.parse::<SocketAddr>().map_err(|_| wrong());
        if word.starts_with('/') {
            return Ok(SocketUrl::Unix(PathBuf::from(word)));
        }
        match word.split_once(':') {
            Some(("unix", path)) if path.starts_with('/') => Ok(SocketUrl::Unix(PathBuf::from(path))),
            Some(("tcp", text)) => address(text).map(SocketUrl::Tcp),
            Some(("tcp6", text)) => match address(text)? {
                address if address.is_ipv6() => Ok(SocketUrl::Tcp(address)),
                _ => Err(wrong()),
            },
            _ => Err(wrong()),
        }
    }
}

impl Owner {
    /// Reads it. The error is a sentence.
    pub fn read(word: &str) -> Result<Owner, String> {
        let (user, group) = match word.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (word, None),
        };
        if user.is_empty() || group == Some("") {
            return Err("write a user, or a user and a group as in `www-data:www-data`".to_owned());
        }
        Ok(Owner {
            user: user.to_owned(),
            group: group.map(str::to_owned),
        })
    }
}

/// Makes the socket of `url`. A Unix socket that nobody listens at any more is replaced. The error says what could not be
/// done.
pub fn make(url: &SocketUrl, owner: Option<&Owner>, permissions: u32) -> Result<Listening, String> {
    match url {
        SocketUrl::Tcp(address) => {
            let socket = tcp(*address).map_err(|error| format!("tcp:{address}: {error}"))?;
            let local = socket.local_addr().ok().and_then(|address| address.as_socket());
            Ok(Listening {
                place: format!("tcp:{}", local.unwrap_or(*address)),
                socket: socket.into(),
                made: None,
            })
        }
        SocketUrl::Unix(path) => {
            let told = |error: io::Error| format!("unix:{}: {error}", path.display());
            let owner = owner.map(ids).transpose()?;
            let (socket, made) = unix(path, owner, permissions).map_err(told)?;
            Ok(Listening {
                socket,
                place: format!("unix:{}", path.display()),
                made: Some(made),
            })
        }
    }
}

/// The socket that was given: standard input, as by spawn-fcgi, or else that of the service manager (LISTEN_FDS). To be asked
/// before any descriptor of our own is there.
pub fn given() -> Option<Listening> {
    let given = listening::given_by_environment();
    let named = |socket: OwnedFd, how: &str| {
        let family = listening::listens(socket.as_fd())?;
        let over = if family == AddressFamily::UNIX {
            "a Unix socket"
        } else {
            "TCP"
        };
        Some(Listening {
            place: format!("{how} ({over})"),
            socket,
            made: None,
        })
    };
    let stdin = rustix::stdio::stdin();
    if listening::listens(stdin).is_some() {
        let copy = rustix::io::fcntl_dupfd_cloexec(stdin, 3).ok()?;
        return named(copy, "standard input");
    }
    given
        .into_iter()
        .find_map(|socket| named(socket, "the service manager's socket"))
}

impl Listening {
    /// Whether other machines may reach it.
    pub fn is_public(&self) -> bool {
        let local = rustix::net::getsockname(&self.socket);
        let local = local.ok().and_then(|address| SocketAddr::try_from(address).ok());
        local.is_some_and(|address| !address.ip().to_canonical().is_loopback())
    }

    /// Takes the socket, and leaves what is to be done when it is no longer needed.
    pub fn into_parts(self) -> (OwnedFd, Name) {
        (self.socket, Name(self.made))
    }
}

/// The name of a socket in the file system, which goes when this is dropped.
#[derive(Debug)]
pub struct Name(Option<Made>);

impl Drop for Name {
    fn drop(&mut self) {
        if let Some(Made { path, file }) = &self.0
            && fs::symlink_metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == *file)
        {
            // Whoever has taken the directory away meanwhile has taken this as well.
            let _ = fs::remove_file(path);
        }
    }
}

fn tcp(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.cloexec(),
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?; // else connections that wait out their end keep a restarted server off its port
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// A socket that nobody can connect to before owner and permissions are as they shall be.
fn unix(path: &Path, owner: Option<(Uid, Gid)>, permissions: u32) -> io::Result<(OwnedFd, Made)> {
    clear(path)?;
    let before = rustix::process::umask(Mode::from_raw_mode(0o177));
    let bound = UnixListener::bind(path);
    rustix::process::umask(before);
    let socket = OwnedFd::from(bound?);
    let found = fs::symlink_metadata(path)?;
    let made = Made {
        path: path.to_owned(),
        file: (found.dev(), found.ino()),
    };
    if let Some((user, group)) = owner {
        rustix::fs::chownat(CWD, path, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    rustix::fs::chmod(path, Mode::from_raw_mode(permissions))?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok((socket, made))
}

/// Takes a socket away that nobody listens at; everything else stays.
fn clear(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {}
        _ => return Ok(()),
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        // Binding says that it is in use.
        _ => Ok(()),
    }
}

fn ids(owner: &Owner) -> Result<(Uid, Gid), String> {
    let group = owner.group.as_ref().map(String::as_bytes);
    let identity = Identity::look_up(owner.user.as_bytes(), group).map_err(|error| format!("-U: {}", error.what()))?;
    Ok((Uid::from_raw(identity.uid), Gid::from_raw(identity.gid)))
}
