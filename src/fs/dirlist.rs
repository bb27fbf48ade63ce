//! The names in a directory, for listings.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, Dir};

use crate::fs::open::{Kind, Meta, OpenFile};

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

/// Reads the names of an open directory, in byte order, without `.` and `..`, files and directories only. What cannot be
/// looked at is left out.
pub fn read(directory: &OpenFile) -> io::Result<Vec<Entry>> {
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
