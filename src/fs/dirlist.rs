//! The names in a directory, for listings and for variants.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};

use crate::fs::open::{Kind, Meta, OpenFile};
use crate::http::depends;

/// More names than this are not read, so that a listing stays below some 40 MB of memory; the page, or the error log, says so.
pub const MOST_ENTRIES: usize = 100_000;

/// One name in a directory.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The name.
    pub name: Vec<u8>,
    /// What it leads to.
    pub meta: Meta,
}

/// Names in a directory that begin alike.
#[derive(Debug, Default)]
pub struct Beginning {
    /// The names, in byte order.
    pub names: Vec<Vec<u8>>,
    /// Whether there are more.
    pub is_cut: bool,
}

/// The names in a directory that go on behind `beginning`, but for those of directories; `most` of them at the most. A
/// directory of more than [`MOST_ENTRIES`] names is not read to its end.
pub fn beginning_with(directory: &[u8], beginning: &[u8], most: usize) -> io::Result<Beginning> {
    depends::on_more();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(CWD, OsStr::from_bytes(directory), flags, Mode::empty())?;
    let mut found = Beginning::default();
    for (count, entry) in Dir::new(fd)?.enumerate() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        let goes_on = name.len() > beginning.len() && name.starts_with(beginning);
        if goes_on && entry.file_type() != FileType::Directory {
            found.names.push(name.to_vec());
        }
        if found.names.len() > most || count >= MOST_ENTRIES {
            found.is_cut = true;
            break;
        }
    }
    found.names.sort();
    found.names.truncate(most);
    Ok(found)
}

/// Reads the names of an open directory, in byte order, without `.` and `..`, files and directories only. What cannot be
/// looked at is left out.
pub fn read(directory: &OpenFile) -> io::Result<Vec<Entry>> {
    depends::on_more();
    let mut entries = Vec::new();
    let mut dir = Dir::read_from(directory.fd())?;
    while let Some(entry) = dir.read() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        let Ok(stat) = rustix::fs::statat(directory.fd(), OsStr::from_bytes(name), AtFlags::empty()) else {
            continue;
        };
        let meta = Meta::from_stat(&stat);
        if meta.kind != Kind::Other {
            entries.push(Entry {
                name: name.to_vec(),
                meta,
            });
        }
        if entries.len() >= MOST_ENTRIES {
            break;
        }
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}
