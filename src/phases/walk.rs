//! What is under a file name, and which settings hold there: `<Directory>` from the root down, then `<DirectoryMatch>`,
//! `<Files>` and `<Location>`, in Apache's order of merging.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use crate::config::directives::DirConf;
use crate::config::directives::core::AllowOverride;
use crate::config::directives::options::Options;
use crate::config::setting::Merge;
use crate::config::site::Site;
use crate::exchange::Exchange;
use crate::exchange::fail::Fail;
use crate::exchange::place::{Place, Types};
use crate::fs::open::{self, Extent, Found, Kind, Meta, OpenError, Symlinks};
use crate::http::status::Status;
use crate::phases::translate::{self, Translated};
use crate::scripts::diagnosis::obstacle::{self, Runner};

/// Finds the file and merges its settings.
pub fn run(ex: &mut Exchange, translated: Translated) -> Result<Place, Fail> {
    let name = without_doubled_slashes(&translated.path);
    let extent = open::extent(&name).map_err(|error| refused(ex, &name, error))?;
    let landed = Landed::new(&name, &extent);
    let directories = directories_of(&name, &extent);
    let judged = judge(ex, &landed, &directories);
    ex.set_conf(Arc::clone(&judged.conf));
    ex.file = landed.path.to_vec();
    refuse_access_files(ex, &judged)?;
    let found = match landed.kind {
        Landing::Missing => Found::Missing,
        Landing::File | Landing::Directory => look(ex, landed.path, extent.meta, &judged)?,
    };
    Ok(Place {
        conf: judged.conf,
        path: landed.path.to_vec(),
        path_info: landed.path_info.to_vec(),
        path_translated: match landed.path_info {
            [] => Vec::new(),
            path_info => translate::path_of(ex, path_info).path,
        },
        found,
        alias: translated.alias,
        context_prefix: translated.context_prefix,
        context_root: translated.context_root,
        types: Types::default(),
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Landing {
    File,
    Directory,
    Missing,
}

/// A name parted into what is there, or the first segment that is not, and what follows.
struct Landed<'a> {
    kind: Landing,
    path: &'a [u8],
    /// The path, with the final slash that the request had behind a directory.
    asked: &'a [u8],
    path_info: &'a [u8],
}

impl<'a> Landed<'a> {
    fn new(name: &'a [u8], extent: &Extent) -> Landed<'a> {
        let (path, rest) = name.split_at(extent.length.min(name.len()));
        if extent.meta.kind != Kind::Directory {
            return Landed {
                kind: Landing::File,
                path,
                asked: path,
                path_info: rest,
            };
        }
        if rest.is_empty() || rest == b"/" || path == b"/" && rest.is_empty() {
            return Landed {
                kind: Landing::Directory,
                path,
                asked: name,
                path_info: &[],
            };
        }
        let slash = usize::from(rest.first() == Some(&b'/'));
        let segment = rest
            .iter()
            .skip(slash)
            .position(|b| *b == b'/')
            .map_or(rest.len(), |at| at + slash);
        let (path, path_info) = name.split_at(path.len() + segment);
        Landed {
            kind: Landing::Missing,
            path,
            asked: path,
            path_info,
        }
    }
}

fn without_doubled_slashes(path: &[u8]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(path.len());
    for byte in path {
        if *byte != b'/' || clean.last() != Some(&b'/') {
            clean.push(*byte);
        }
    }
    clean
}

/// The lengths of the names of the directories on the way: 1 for the root, and so on, down to the last that exists.
fn directories_of(name: &[u8], extent: &Extent) -> Vec<usize> {
    let exists = name.get(..extent.length).unwrap_or(name);
    let mut lengths = vec![1];
    lengths.extend(
        exists
            .iter()
            .enumerate()
            .skip(1)
            .filter(|(_, b)| **b == b'/')
            .map(|(at, _)| at),
    );
    if extent.meta.kind == Kind::Directory && exists.len() > 1 {
        lengths.push(exists.len());
    }
    lengths
}

/// The settings in force at a name, and what they say of the directories on the way.
struct Judged {
    conf: Arc<DirConf>,
    links: Vec<(usize, Symlinks)>,
    access_files: Vec<usize>,
}

fn judge(ex: &Exchange, landed: &Landed<'_>, directories: &[usize]) -> Judged {
    let (site, path, url) = (ex.site, landed.path, ex.target.path.as_bytes());
    let mut sections: Vec<&DirConf> = Vec::new();
    let (mut links, mut access_files) = (Vec::new(), Vec::new());
    let covering = |name: &[u8]| -> Vec<&'static DirConf> {
        let covers = site.directories.iter().filter(|section| section.covers_directory(name));
        covers.map(|section| &*section.conf).collect()
    };
    for length in directories {
        sections.extend(covering(path.get(..*length).unwrap_or(path)));
        let so_far = merged(site, &sections);
        links.push((*length, symlinks(so_far.core.options.in_force())));
        if matches!(so_far.core.allow_override.value(), Some(AllowOverride::Some(_))) {
            access_files.push(*length);
        }
    }
    // `<Directory "/srv/*">` covers the files in /srv too: Apache takes a file's name as one more directory.
    if landed.kind == Landing::File {
        sections.extend(covering(path));
    }
    let matches = site.directory_matches.iter();
    sections.extend(matches.filter(|s| s.covers_directory(landed.asked)).map(|s| &*s.conf));
    if landed.kind != Landing::Directory {
        let files = merged(site, &sections);
        let name = path.rsplit(|b| *b == b'/').next().unwrap_or(path);
        return Judged {
            conf: with_files(url, site, &sections, &files, name),
            links,
            access_files,
        };
    }
    Judged {
        conf: with_locations(url, site, &mut sections),
        links,
        access_files,
    }
}

fn with_locations(url: &[u8], site: &'static Site, sections: &mut Vec<&DirConf>) -> Arc<DirConf> {
    sections.extend(
        site.locations
            .iter()
            .filter(|s| s.covers_location(url))
            .map(|s| &*s.conf),
    );
    merged(site, sections)
}

/// Adds the `<Files>` sections that the settings so far hold, then the locations.
fn with_files(url: &[u8], site: &'static Site, sections: &[&DirConf], so_far: &DirConf, name: &[u8]) -> Arc<DirConf> {
    let files: Vec<_> = so_far.core.files.iter().filter(|f| f.covers(name)).cloned().collect();
    let mut all = sections.to_vec();
    all.extend(files.iter().map(|f| &f.conf));
    with_locations(url, site, &mut all)
}

fn symlinks(options: Options) -> Symlinks {
    if options.has(Options::FOLLOW_SYM_LINKS) {
        Symlinks::Follow
    } else if options.has(Options::SYM_LINKS_IF_OWNER_MATCH) {
        Symlinks::OwnerMatch
    } else {
        Symlinks::Refuse
    }
}

/// More merged settings than this are not remembered; a site has as many as combinations of sections that occur.
const REMEMBERED: usize = 4096;

thread_local! {
    static MERGED: RefCell<HashMap<Vec<usize>, Arc<DirConf>>> = RefCell::new(HashMap::new());
}

/// The site's base settings with the sections laid over them in order. The same sections always give the same settings, so
/// they are merged once; they live as long as the process, so their addresses name them.
fn merged(site: &'static Site, sections: &[&DirConf]) -> Arc<DirConf> {
    if sections.is_empty() {
        return Arc::clone(&site.base);
    }
    let mut key = Vec::with_capacity(sections.len() + 1);
    key.push(site.number);
    key.extend(sections.iter().map(|s| std::ptr::from_ref::<DirConf>(s).addr()));
    MERGED.with_borrow_mut(|known| {
        if let Some(conf) = known.get(&key) {
            return Arc::clone(conf);
        }
        let mut conf = DirConf::clone(&site.base);
        for section in sections {
            conf.merge(section);
        }
        let conf = Arc::new(conf);
        if known.len() < REMEMBERED {
            known.insert(key, Arc::clone(&conf));
        }
        conf
    })
}

/// This version reads no `.htaccess`. Where one is allowed and lies on the way, the place is closed: what the file may
/// protect must not be served without it.
fn refuse_access_files(ex: &Exchange, judged: &Judged) -> Result<(), Fail> {
    if judged.access_files.is_empty() {
        return Ok(());
    }
    let usual = vec![b".htaccess".to_vec()];
    let names = ex.site.settings.core.access_file_names.value().unwrap_or(&usual);
    for length in &judged.access_files {
        for name in names {
            let mut file = ex.file.get(..*length).unwrap_or(&ex.file).to_vec();
            if file.last() != Some(&b'/') {
                file.push(b'/');
            }
            file.extend_from_slice(name);
            if open::stat(&file) != Err(OpenError::Missing) {
                let file = String::from_utf8_lossy(&file);
                return Err(Fail::site(
                    Status::INTERNAL_SERVER_ERROR,
                    format!(
                        "`{file}`: AllowOverride lets this file rule here, but this version does not read it; move its \
                         directives into a <Directory> section and set AllowOverride None"
                    ),
                ));
            }
        }
    }
    Ok(())
}

fn look(ex: &Exchange, path: &[u8], known: Meta, judged: &Judged) -> Result<Found, Fail> {
    match open::look(path, known, &judged.links) {
        Ok(seen) if seen.meta.kind == Kind::Directory => Ok(Found::Directory(seen)),
        Ok(seen) => Ok(Found::File(seen)),
        Err(OpenError::Missing) => Ok(Found::Missing),
        Err(error) => Err(refused(ex, path, error)),
    }
}

fn refused(ex: &Exchange, path: &[u8], error: OpenError) -> Fail {
    let status = match error {
        OpenError::Exhausted => Status::SERVICE_UNAVAILABLE,
        _ => Status::FORBIDDEN,
    };
    let url = String::from_utf8_lossy(ex.target.path.as_bytes());
    let file = String::from_utf8_lossy(path);
    let why = closed_directory(path, error).unwrap_or_else(|| error.reason());
    Fail::site(status, format!("access to {url}: `{file}`: {why}"))
}

/// The directory on the way that keeps us out, and what would let us in.
#[cold]
fn closed_directory(path: &[u8], error: OpenError) -> Option<String> {
    if error != OpenError::Permission {
        return None;
    }
    let (file, runner) = (Path::new(OsStr::from_bytes(path)), Runner::current(b""));
    let closed = obstacle::closed_directory(file, &runner)?;
    Some(format!("permission denied: {}", closed.diagnosis(file, &runner)))
}
