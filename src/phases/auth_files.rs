//! Files of passwords and groups, read again whenever they have changed.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::sync::Arc;
use std::thread::LocalKey;
use std::time::{Duration, SystemTime};

use rustix::fs::OFlags;

use crate::auth::groups::Groups;
use crate::auth::htdigest::Htdigest;
use crate::auth::htpasswd::Htpasswd;
use crate::exchange::Exchange;
use crate::exchange::trace::Step;

/// A larger file is not read: its place is a database. No directive moves the bound.
const LARGEST: u64 = 64 * 1024 * 1024;

/// So many files are remembered by each thread; beyond that it begins anew.
const REMEMBERED: usize = 256;

/// A file that changed within this time before it was read may change again without a new time of change.
const SETTLED: Duration = Duration::from_millis(100);

/// What tells one text from the next: file system, number, size, times of change.
type Identity = (u64, u64, u64, (i64, i64), (i64, i64));

type Known<T> = RefCell<HashMap<Vec<u8>, (Identity, Arc<T>)>>;

thread_local! {
    static USERS: Known<Htpasswd> = RefCell::default();
    static DIGESTS: Known<Htdigest> = RefCell::default();
    static GROUPS: Known<Groups> = RefCell::default();
}

/// The users of a file.
pub(super) fn users(path: &[u8]) -> io::Result<Arc<Htpasswd>> {
    known(&USERS, path, Htpasswd::parse)
}

/// The users of a file for the Digest scheme.
pub(super) fn digests(path: &[u8]) -> io::Result<Arc<Htdigest>> {
    known(&DIGESTS, path, Htdigest::parse)
}

/// The groups of a file.
pub(super) fn groups(path: &[u8]) -> io::Result<Arc<Groups>> {
    known(&GROUPS, path, Groups::parse)
}

/// Tells that it was for want of rights that a file could not be read, where it was.
#[cold]
pub(super) fn no_rights(ex: &Exchange, path: &[u8], error: &io::Error) {
    if error.kind() == io::ErrorKind::PermissionDenied {
        ex.trace(|| Step::NoRights(path.to_vec()));
    }
}

fn known<T>(files: &'static LocalKey<Known<T>>, path: &[u8], parse: fn(&[u8]) -> T) -> io::Result<Arc<T>> {
    let seen = identity(&std::fs::metadata(OsStr::from_bytes(path))?);
    let known = files.with_borrow(|files| {
        let (identity, file) = files.get(path)?;
        (*identity == seen).then(|| Arc::clone(file))
    });
    if let Some(file) = known {
        return Ok(file);
    }
    let (identity, text) = read(path)?;
    let file = Arc::new(parse(&text));
    if has_settled(&identity) {
        files.with_borrow_mut(|files| {
            if files.len() >= REMEMBERED {
                files.clear();
            }
            files.insert(path.to_vec(), (identity, Arc::clone(&file)));
        });
    }
    Ok(file)
}

fn read(path: &[u8]) -> io::Result<(Identity, Vec<u8>)> {
    let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits()).unwrap_or_default();
    let file = File::options()
        .read(true)
        .custom_flags(flags)
        .open(OsStr::from_bytes(path))?;
    let meta = file.metadata()?;
    // /dev/null is a file without users to Apache too.
    if meta.is_dir() || !meta.is_file() && path != b"/dev/null" {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut text = Vec::new();
    let length = file.take(LARGEST + 1).read_to_end(&mut text)?;
    if length as u64 > LARGEST {
        return Err(io::Error::other(format!("it is larger than {LARGEST} bytes")));
    }
    Ok((identity(&meta), text))
}

fn identity(meta: &std::fs::Metadata) -> Identity {
    (
        meta.dev(),
        meta.ino(),
        meta.size(),
        (meta.mtime(), meta.mtime_nsec()),
        (meta.ctime(), meta.ctime_nsec()),
    )
}

/// Whether the file's time of change lies far enough back to tell it from the next.
fn has_settled(identity: &Identity) -> bool {
    let (seconds, nanos) = identity.4;
    let (Ok(seconds), Ok(nanos)) = (u64::try_from(seconds), u64::try_from(nanos)) else {
        return false;
    };
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    now.saturating_sub(Duration::from_secs(seconds) + Duration::from_nanos(nanos)) > SETTLED
}
