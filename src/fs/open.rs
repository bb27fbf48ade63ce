//! Opening what a URL names: by descriptor and kind, under the symbolic link policy of each directory on the way, never a
//! FIFO, a device or a socket, and without a moment between the check and the open.
//!
//! A name is first opened with `O_PATH`, which touches nothing. Its kind and owner are read from that descriptor. A file
//! that is to be read is opened again under the same policy, and must be the same file.

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::path::Arg;

use crate::http::depends::{self, Links, Stamp};

/// What a directory allows of the symbolic links in it (`Options`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symlinks {
    /// `FollowSymLinks`.
    Follow,
    /// `SymLinksIfOwnerMatch`.
    OwnerMatch,
    /// Neither.
    Refuse,
}

/// What the system says of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Its kind.
    pub kind: Kind,
    /// Its size in bytes.
    pub size: u64,
    /// When its content last changed: seconds since 1970, and nanoseconds.
    pub mtime: (i64, u32),
    /// When anything of it last changed.
    pub ctime: (i64, u32),
    /// Its file system.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// Permission bits.
    pub mode: u32,
    /// Its owner.
    pub owner: u32,
    /// Its group.
    pub group: u32,
}

/// What kind of file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Anything else, which is never opened.
    Other,
}

impl Meta {
    fn of(fd: BorrowedFd<'_>) -> io::Result<Meta> {
        Ok(Meta::from_stat(&rustix::fs::fstat(fd)?))
    }

    /// From what stat(2) says.
    pub fn from_stat(stat: &rustix::fs::Stat) -> Meta {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            _ => Kind::Other,
        };
        Meta {
            kind,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mtime: (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0)),
            ctime: (stat.st_ctime, u32::try_from(stat.st_ctime_nsec).unwrap_or(0)),
            device: stat.st_dev,
            inode: stat.st_ino,
            mode: stat.st_mode & 0o7777,
            owner: stat.st_uid,
            group: stat.st_gid,
        }
    }

    /// The time of last change, to the second, as Last-Modified tells it.
    pub fn modified(&self) -> SystemTime {
        match u64::try_from(self.mtime.0) {
            Ok(seconds) => SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
            Err(_) => SystemTime::UNIX_EPOCH,
        }
    }

    /// What tells this state of the file from others.
    pub fn stamp(&self) -> Stamp {
        let kind = match self.kind {
            Kind::File => 1,
            Kind::Directory => 2,
            Kind::Other => 3,
        };
        // What lies in a directory is looked at by itself.
        let (size, modified, changed) = match self.kind {
            Kind::Directory => (0, (0, 0), (0, 0)),
            Kind::File | Kind::Other => (self.size, self.mtime, self.ctime),
        };
        Stamp {
            file: (self.device, self.inode),
            mode: kind << 12 | self.mode,
            owners: (self.owner, self.group),
            size,
            modified,
            changed,
        }
    }

    fn same_file(&self, other: &Meta) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// What was found under a name.
#[derive(Debug)]
pub enum Found {
    /// A regular file.
    File(Seen),
    /// A directory.
    Directory(Seen),
    /// Nothing.
    Missing,
}

/// Something that exists and was looked at, but not opened for reading.
#[derive(Debug)]
pub struct Seen {
    /// What it is.
    pub meta: Meta,
    name: Vec<u8>,
    links: Policy,
}

/// A file open for reading; clones share the descriptor.
#[derive(Clone, Debug)]
pub struct OpenFile {
    fd: Rc<OwnedFd>,
    /// What it was when it was opened.
    pub meta: Meta,
}

impl OpenFile {
    /// The descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Whether it is as it was when it was opened.
    pub fn is_unchanged(&self) -> bool {
        Meta::of(self.fd()).is_ok_and(|now| now == self.meta)
    }

    /// Up to `buffer.len()` bytes from `offset` on; less only at the file's end.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        read_at(self.fd(), buffer, offset)
    }
}

/// Up to `buffer.len()` bytes of a file from `offset` on; less only at its end.
pub(super) fn read_at(file: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match rustix::io::pread(file, rest, offset + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(filled)
}

/// Why a name cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// There is nothing of that name.
    Missing,
    /// The system forbids it: a directory on the way, or the file.
    Permission,
    /// The link policy forbids it.
    Link,
    /// It is neither a file nor a directory.
    Kind,
    /// The system has no descriptors left.
    Exhausted,
    /// Another error, by its number.
    System(i32),
}

impl OpenError {
    fn from_errno(errno: Errno) -> OpenError {
        match errno {
            Errno::NOENT | Errno::NOTDIR => OpenError::Missing,
            Errno::ACCESS | Errno::PERM => OpenError::Permission,
            Errno::LOOP | Errno::XDEV => OpenError::Link,
            Errno::MFILE | Errno::NFILE => OpenError::Exhausted,
            other => OpenError::System(other.raw_os_error()),
        }
    }

    /// Why, for the log.
    pub fn reason(&self) -> String {
        match self {
            OpenError::Missing => "it does not exist".into(),
            OpenError::Permission => {
                "permission denied; the server's user needs `x` on every directory above it and `r` on it".into()
            }
            OpenError::Link => {
                "a symbolic link is on the way, and Options allows neither FollowSymLinks nor a link of that owner"
                    .into()
            }
            OpenError::Kind => "it is neither a file nor a directory".into(),
            OpenError::Exhausted => "the process has no file descriptors left".into(),
            OpenError::System(number) => io::Error::from_raw_os_error(*number).to_string(),
        }
    }
}

/// The link policy for the directories of one name.
#[derive(Clone, Debug)]
enum Policy {
    /// Every directory follows.
    Follow,
    /// By directory: the policy for what lies in the directory whose name is so long (1 for the root).
    PerDirectory(Rc<[(usize, Symlinks)]>),
}

/// How far a name exists.
pub struct Extent {
    /// How many bytes of the name exist.
    pub length: usize,
    /// What is there.
    pub meta: Meta,
}

/// Finds how far the absolute name exists, following links: `/srv/a.cgi/x/y` may be a file `/srv/a.cgi`. Trailing slashes
/// belong to what follows.
pub fn extent(name: &[u8]) -> Result<Extent, OpenError> {
    let mut end = name.len();
    if end == 0 {
        // Names that requests make up can be empty, and name nothing then.
        return Err(OpenError::Missing);
    }
    loop {
        while end > 1 && name[end - 1] == b'/' {
            end -= 1;
        }
        match stat(&name[..end.max(1)]) {
            Ok(meta) => {
                return Ok(Extent {
                    length: end.max(1),
                    meta,
                });
            }
            Err(OpenError::Missing) if end > 1 => {
                end = name[..end].iter().rposition(|b| *b == b'/').unwrap_or(0).max(1);
            }
            Err(error) => return Err(error),
        }
    }
}

/// What is under the absolute name, following links.
pub fn stat(name: &[u8]) -> Result<Meta, OpenError> {
    let found = match rustix::fs::statat(CWD, OsStr::from_bytes(name), AtFlags::empty()) {
        Ok(stat) => Ok(Meta::from_stat(&stat)),
        Err(errno) => Err(OpenError::from_errno(errno)),
    };
    told(name, Links::Followed, found.as_ref());
    found
}

/// Whether a symbolic link has the absolute name.
pub fn is_link(name: &[u8]) -> bool {
    match rustix::fs::lstat(name) {
        Ok(stat) => {
            told(name, Links::Seen, Ok(&Meta::from_stat(&stat)));
            FileType::from_raw_mode(stat.st_mode) == FileType::Symlink
        }
        Err(errno) => {
            told(name, Links::Seen, Err(&OpenError::from_errno(errno)));
            false
        }
    }
}

/// What tells the state of the absolute name, following links, from others; none where it is missing.
pub fn stamp(name: &CStr) -> Result<Option<Stamp>, OpenError> {
    as_stamp(rustix::fs::stat(name))
}

/// The same, of the link itself where it is one.
pub fn stamp_of_link(name: &CStr) -> Result<Option<Stamp>, OpenError> {
    as_stamp(rustix::fs::lstat(name))
}

fn as_stamp(found: Result<rustix::fs::Stat, Errno>) -> Result<Option<Stamp>, OpenError> {
    match found.map_err(OpenError::from_errno) {
        Ok(stat) => Ok(Some(Meta::from_stat(&stat).stamp())),
        Err(OpenError::Missing) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Tells those who want to know what answers depend on.
fn told(name: &[u8], links: Links, found: Result<&Meta, &OpenError>) {
    match found {
        Ok(meta) => depends::on_file(name, links, Some(meta.stamp())),
        Err(OpenError::Missing) => depends::on_file(name, links, None),
        Err(_) => depends::on_more(),
    }
}

/// Looks at the absolute name under the policies: pairs of a directory name's length (1 for the root) and the policy for
/// what lies in that directory, from the root down. A directory without an entry has its parent's.
///
/// `known` is what [`stat`] said of the name. Where every link may be followed that is the answer already: a second look
/// would find the same, and [`Seen::open`] judges what it has opened.
pub fn look(name: &[u8], known: Meta, policies: &[(usize, Symlinks)]) -> Result<Seen, OpenError> {
    let (links, meta) = if policies.iter().all(|(_, policy)| *policy == Symlinks::Follow) {
        (Policy::Follow, known)
    } else {
        depends::on_more();
        let links = Policy::PerDirectory(policies.into());
        let fd = open(name, &links, OFlags::PATH)?;
        let meta = Meta::of(fd.as_fd()).map_err(|e| OpenError::System(e.raw_os_error().unwrap_or(0)))?;
        (links, meta)
    };
    if meta.kind == Kind::Other {
        return Err(OpenError::Kind);
    }
    Ok(Seen {
        meta,
        name: name.to_vec(),
        links,
    })
}

impl Seen {
    /// Opens it for reading. It must still be the file that was looked at.
    pub fn open(&self) -> Result<OpenFile, OpenError> {
        // O_NONBLOCK: should a FIFO have taken the name meanwhile, the open must not wait for its writer.
        let fd = open(
            &self.name,
            &self.links,
            OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY,
        )?;
        let meta = Meta::of(fd.as_fd()).map_err(|e| OpenError::System(e.raw_os_error().unwrap_or(0)))?;
        told(&self.name, Links::Followed, Ok(&meta));
        if meta.kind != self.meta.kind {
            return Err(OpenError::Kind);
        }
        if !meta.same_file(&self.meta) && meta.kind == Kind::File && !self.replaced_lawfully(&meta) {
            return Err(OpenError::Missing);
        }
        Ok(OpenFile { fd: Rc::new(fd), meta })
    }

    /// A file renamed over the old one between the two opens is what every editor does; it went through the same policy,
    /// so it may be served, with its own facts.
    fn replaced_lawfully(&self, meta: &Meta) -> bool {
        meta.owner == self.meta.owner
    }

    /// The regular file of the same name with `suffix` behind it, under the same policy of links, if there is one.
    pub fn beside(&self, suffix: &[u8]) -> Option<Seen> {
        let name = [self.name.as_slice(), suffix].concat();
        let fd = match open(&name, &self.links, OFlags::PATH) {
            Ok(fd) => fd,
            Err(error) => {
                told(&name, Links::Followed, Err(&error));
                return None;
            }
        };
        let meta = Meta::of(fd.as_fd()).ok()?;
        told(&name, Links::Followed, Ok(&meta));
        (meta.kind == Kind::File).then(|| Seen {
            meta,
            name,
            links: self.links.clone(),
        })
    }

    /// The absolute name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }
}

/// Opens the file that was found under the absolute name, where every link may be followed; none if something else is there
/// by now, or the file has changed.
pub fn again(name: &CStr, found: &Stamp) -> Option<OpenFile> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let fd = open_below(CWD, name, flags, ResolveFlags::NO_MAGICLINKS).ok()?;
    let meta = Meta::of(fd.as_fd()).ok()?;
    (meta.kind == Kind::File && meta.stamp() == *found).then(|| OpenFile { fd: Rc::new(fd), meta })
}

fn open(name: &[u8], links: &Policy, flags: OFlags) -> Result<OwnedFd, OpenError> {
    match links {
        Policy::Follow => open_below(CWD, name, flags, ResolveFlags::NO_MAGICLINKS),
        Policy::PerDirectory(policies) => open_by_steps(name, policies, flags),
    }
}

fn open_below(
    at: BorrowedFd<'_>,
    name: impl Arg + Copy,
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd, OpenError> {
    loop {
        match rustix::fs::openat2(at, name, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(errno) => return Err(OpenError::from_errno(errno)),
            Ok(fd) => return Ok(fd),
        }
    }
}

/// Opens a name one directory after the other, each link judged by the directory it lies in.
fn open_by_steps(name: &[u8], policies: &[(usize, Symlinks)], flags: OFlags) -> Result<OwnedFd, OpenError> {
    let mut here = open_below(CWD, c"/", OFlags::PATH, ResolveFlags::NO_MAGICLINKS)?;
    let mut policy = Symlinks::Follow;
    let mut at = 0;
    let mut segments = name.split(|b| *b == b'/').filter(|s| !s.is_empty()).peekable();
    if segments.peek().is_none() {
        return open_below(CWD, c"/", flags, ResolveFlags::NO_MAGICLINKS);
    }
    while let Some(segment) = segments.next() {
        let directory_length = at.max(1);
        if let Some((_, new)) = policies.iter().find(|(length, _)| *length == directory_length) {
            policy = *new;
        }
        at += 1 + segment.len();
        let flags = if segments.peek().is_some() { OFlags::PATH } else { flags };
        here = step(here.as_fd(), segment, policy, flags)?;
    }
    Ok(here)
}

fn step(at: BorrowedFd<'_>, segment: &[u8], policy: Symlinks, flags: OFlags) -> Result<OwnedFd, OpenError> {
    let follow = ResolveFlags::NO_MAGICLINKS;
    if policy == Symlinks::Follow {
        return open_below(at, segment, flags, follow);
    }
    match open_below(at, segment, flags, ResolveFlags::NO_SYMLINKS) {
        Err(OpenError::Link) if policy == Symlinks::OwnerMatch => {}
        other => return other,
    }
    let link = open_below(at, segment, OFlags::PATH | OFlags::NOFOLLOW, follow)?;
    // Where it leads is read from the very link whose owner is asked: another may have taken its name by now.
    let leads_to = rustix::fs::readlinkat(&link, c"", Vec::new()).map_err(OpenError::from_errno)?;
    let link = Meta::of(link.as_fd()).map_err(|e| OpenError::System(e.raw_os_error().unwrap_or(0)))?;
    let target = open_below(at, leads_to.as_bytes(), flags, follow)?;
    let meta = Meta::of(target.as_fd()).map_err(|e| OpenError::System(e.raw_os_error().unwrap_or(0)))?;
    if link.owner == meta.owner {
        Ok(target)
    } else {
        Err(OpenError::Link)
    }
}

#[cfg(test)]
mod tests;
