//! `.htaccess`: what lies in a directory on the way, read again whenever it has changed.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::config::directives::DirConf;
use crate::config::directives::overrides::Overrides;
use crate::config::error::{ConfigError, Severity};
use crate::config::htaccess::{self, Around};
use crate::config::site::Config;
use crate::exchange::Exchange;
use crate::exchange::fail::Fail;
use crate::exchange::trace::{self, Step};
use crate::fs::open::Meta;
use crate::http::depends::{self, Links};
use crate::http::status::Status;
use crate::lang::log_level::Level;

/// The settings of an access file, as long as it stays as it is.
#[derive(Debug)]
pub(super) struct AccessFile {
    /// A number that no other text has, and no address: an odd one.
    pub(super) id: usize,
    pub(super) conf: DirConf,
}

/// A larger file is refused: nobody wrote it by hand. No directive moves the bound.
const LARGEST: u64 = 1024 * 1024;

/// So many files are remembered by each thread; beyond that it begins anew.
const REMEMBERED: usize = 4096;

/// A file that changed within this time before it was read may change again without a new time of change.
const SETTLED: Duration = Duration::from_millis(100);

/// The same on file systems that count whole seconds, or two of them.
const COARSE: Duration = Duration::from_millis(2100);

/// What tells one text from the next: file system, number, size, times of change.
type Identity = (u64, u64, u64, (i64, u64), (i64, u64));

struct Known {
    identity: Identity,
    overrides: Overrides,
    read: Result<Arc<AccessFile>, String>,
}

thread_local! {
    static KNOWN: RefCell<HashMap<Vec<u8>, Known>> = RefCell::new(HashMap::new());
}

/// What access files are called (AccessFileName).
pub(super) fn names(ex: &Exchange) -> impl Iterator<Item = &[u8]> {
    let names = ex.site.settings.core.access_file_names.value();
    let usual = names.is_none().then_some(&b".htaccess"[..]);
    usual.into_iter().chain(names.into_iter().flatten().map(Vec::as_slice))
}

/// The access file of a directory, which is named with its final slash; `overrides` says what it may hold.
pub(super) fn of_directory(
    ex: &Exchange,
    directory: &[u8],
    overrides: &Overrides,
) -> Result<Option<Arc<AccessFile>>, Fail> {
    for name in names(ex) {
        let path = [directory, name].concat();
        match look(ex, &path, directory, overrides) {
            Ok(Some(file)) => {
                ex.trace(|| Step::AccessFile(trace::AccessFile::Read, vec![path]));
                return Ok(Some(file));
            }
            Ok(None) => ex.trace(|| Step::AccessFile(trace::AccessFile::Missing, vec![path])),
            Err(fail) => {
                ex.trace(|| Step::AccessFile(trace::AccessFile::Unusable, vec![path]));
                return Err(fail);
            }
        }
    }
    Ok(None)
}

fn look(ex: &Exchange, path: &[u8], directory: &[u8], overrides: &Overrides) -> Result<Option<Arc<AccessFile>>, Fail> {
    let seen = see(path, directory, ex.config, overrides, SystemTime::now()).map_err(|error| {
        if error.kind() == io::ErrorKind::PermissionDenied {
            ex.trace(|| Step::NoRights(path.to_vec()));
        }
        unreadable(path, &error)
    })?;
    let Some(seen) = seen else {
        return Ok(None);
    };
    tell(ex, path, seen.identity, &seen.news);
    seen.read.map(Some).map_err(broken)
}

/// What a look at a file brought.
struct Seen {
    identity: Identity,
    read: Result<Arc<AccessFile>, String>,
    /// What was passed over in it, unless it was remembered.
    news: Vec<ConfigError>,
}

/// The file as it is `now`: remembered, or read.
fn see(
    path: &[u8],
    directory: &[u8],
    config: &Config,
    overrides: &Overrides,
    now: SystemTime,
) -> io::Result<Option<Seen>> {
    let status = match rustix::fs::stat(path) {
        Ok(status) => status,
        Err(Errno::NOENT | Errno::NOTDIR) => {
            depends::on_file(path, Links::Followed, None);
            return Ok(None);
        }
        Err(error) => {
            depends::on_more();
            return Err(error.into());
        }
    };
    depends::on_file(path, Links::Followed, Some(Meta::from_stat(&status).stamp()));
    if let Some(read) = remembered(path, identity(&status), overrides) {
        return Ok(Some(Seen {
            identity: identity(&status),
            read,
            news: Vec::new(),
        }));
    }
    let (identity, text) = read(path)?;
    let name = Path::new(OsStr::from_bytes(path));
    let file = htaccess::read(name, &text, directory, Around::of(config), overrides);
    let missing = htaccess::missing(&file.conf, &config.server);
    let read = match file.errors.first().or(missing.first()) {
        Some(error) => Err(error.to_string()),
        None => Ok(Arc::new(AccessFile {
            id: next_id(),
            conf: file.conf,
        })),
    };
    let is_settled = has_settled(&identity, now);
    if is_settled {
        remember(path, identity, overrides, &read);
    }
    Ok(Some(Seen {
        identity,
        read,
        news: if is_settled { file.notes } else { Vec::new() },
    }))
}

fn remembered(path: &[u8], seen: Identity, overrides: &Overrides) -> Option<Result<Arc<AccessFile>, String>> {
    KNOWN.with_borrow(|known| {
        let known = known.get(path)?;
        (known.identity == seen && known.overrides == *overrides).then(|| known.read.clone())
    })
}

fn remember(path: &[u8], identity: Identity, overrides: &Overrides, read: &Result<Arc<AccessFile>, String>) {
    KNOWN.with_borrow_mut(|known| {
        if known.len() >= REMEMBERED {
            known.clear();
        }
        let entry = Known {
            identity,
            overrides: overrides.clone(),
            read: read.clone(),
        };
        known.insert(path.to_vec(), entry);
    });
}

/// The text, and what it was read from.
fn read(path: &[u8]) -> io::Result<(Identity, Vec<u8>)> {
    let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits()).unwrap_or_default();
    let file = File::options()
        .read(true)
        .custom_flags(flags)
        .open(OsStr::from_bytes(path))?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let identity = identity(&rustix::fs::fstat(&file)?);
    let mut text = Vec::new();
    let length = file.take(LARGEST + 1).read_to_end(&mut text)?;
    if length as u64 > LARGEST {
        return Err(io::Error::other(format!("it is larger than {LARGEST} bytes")));
    }
    Ok((identity, text))
}

fn identity(status: &rustix::fs::Stat) -> Identity {
    (
        status.st_dev,
        status.st_ino,
        u64::try_from(status.st_size).unwrap_or(0),
        (status.st_mtime, status.st_mtime_nsec),
        (status.st_ctime, status.st_ctime_nsec),
    )
}

/// Whether the file's time of change lies far enough back to tell it from the next.
fn has_settled(identity: &Identity, now: SystemTime) -> bool {
    let (seconds, nanos) = identity.4;
    let changed = u64::try_from(seconds).map(|seconds| Duration::from_secs(seconds) + Duration::from_nanos(nanos));
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let grain = if nanos == 0 { COARSE } else { SETTLED };
    changed.is_ok_and(|changed| now.saturating_sub(changed) > grain)
}

/// What was passed over in a file is told when it is first seen so, by whichever thread.
fn tell(ex: &Exchange, path: &[u8], identity: Identity, notes: &[ConfigError]) {
    static TOLD: Mutex<BTreeMap<Vec<u8>, Identity>> = Mutex::new(BTreeMap::new());
    if notes.is_empty() {
        return;
    }
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    if told.len() >= REMEMBERED {
        told.clear();
    }
    if told.insert(path.to_vec(), identity) == Some(identity) {
        return;
    }
    for note in notes {
        let level = match note.severity {
            Severity::Note => Level::Info,
            Severity::Warning | Severity::Error => Level::Warn,
        };
        ex.rewriting.lines.push(level, "core", note.to_string());
    }
}

fn next_id() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed) * 2 + 1
}

/// What is wrong in a file closes its directory: what it may protect must not be served without it.
fn broken(error: String) -> Fail {
    Fail::site(Status::INTERNAL_SERVER_ERROR, error)
}

/// A file that may be there and cannot be read closes its directory too.
fn unreadable(path: &[u8], error: &io::Error) -> Fail {
    let file = String::from_utf8_lossy(path);
    Fail::site(
        Status::FORBIDDEN,
        format!(
            "`{file}` cannot be read: {error}; make it readable, and its directory executable, for the server's user"
        ),
    )
}

#[cfg(test)]
mod tests;
