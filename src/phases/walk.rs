//! What is under a file name, and which settings hold there: `<Directory>` from the root down, then `<DirectoryMatch>`,
//! `<Files>` and `<Location>`, in Apache's order of merging.

pub(super) mod applications;
pub(super) mod locations;

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use crate::base::path;
use crate::config::directives::DirConf;
use crate::config::directives::core::{Branch, FilesSection, IfSection};
use crate::config::directives::options::Options;
use crate::config::error::Span;
use crate::config::setting::Merge;
use crate::config::site::{Section, Site};
use crate::config::words::Pattern;
use crate::exchange::fail::Fail;
use crate::exchange::place::{Place, Types};
use crate::exchange::trace::{AccessFile as LookedFor, Step};
use crate::exchange::view::{Noting, View};
use crate::exchange::{self, Exchange, Variables};
use crate::fs::open::{self, Extent, Found, Kind, Meta, OpenError, Symlinks};
use crate::http::status::Status;
use crate::lang::regex;
use crate::phases::access_file::{self, AccessFile};
use crate::phases::translate::{self, Translated};
use crate::scripts::diagnosis::obstacle::{self, Runner};

/// Finds the file and merges its settings.
pub fn run(ex: &mut Exchange, translated: &Translated) -> Result<Place, Fail> {
    // Sections are chosen by the name of what is opened: dots that a pattern or a rule took from the client lead nowhere else.
    let name = path::resolved(&translated.path);
    let extent = open::extent(&name).map_err(|error| refused(ex, &name, error))?;
    let landed = Landed::new(&name, &extent);
    let directories = directories_of(&name, &extent);
    // As in Apache a directory that was asked for by its slash has it in its name.
    ex.file = landed.asked.to_vec();
    ex.target.landed = exchange::Landed {
        path_info: landed.path_info.to_vec(),
        context_prefix: translated.context_prefix.clone(),
        context_root: translated.context_root.clone(),
        document_root: translated.document_root.clone(),
        directory: match landed.kind {
            Landing::Directory if landed.asked.ends_with(b"/") => Some(landed.asked.to_vec()),
            Landing::Directory | Landing::Missing => None,
            Landing::File => ex.target.landed.directory.take(),
        },
        is_told: false,
    };
    let judged = judge(ex, &landed, &directories)?;
    ex.set_conf(Arc::clone(&judged.conf));
    ex.trace(|| Step::Options(judged.conf.core.options.in_force()));
    for field in &judged.fields {
        ex.rewriting.vary.add(field);
    }
    ex.trace(|| landed.step());
    let found = match landed.kind {
        Landing::Missing if open::is_link(landed.path) => return Err(leads_nowhere(ex, landed.path)),
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
        context_prefix: translated.context_prefix.clone(),
        context_root: translated.context_root.clone(),
        types: Types::default(),
    })
}

/// A link to nothing is refused, not missing, as in Apache.
fn leads_nowhere(ex: &Exchange, path: &[u8]) -> Fail {
    let url = String::from_utf8_lossy(ex.target.path.as_bytes());
    let file = String::from_utf8_lossy(path);
    Fail::site(
        Status::FORBIDDEN,
        format!("access to {url}: `{file}` is a symbolic link that leads to nothing"),
    )
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
    fn step(&self) -> Step {
        Step::Found {
            path: self.path.to_vec(),
            kind: match self.kind {
                Landing::File => "a file",
                Landing::Directory => "a directory",
                Landing::Missing => "nothing is there",
            },
            path_info: self.path_info.to_vec(),
        }
    }

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

fn without_doubled_slashes(path: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memmem::find(path, b"//").is_none() {
        return Cow::Borrowed(path);
    }
    let mut clean = Vec::with_capacity(path.len());
    for byte in path {
        if *byte != b'/' || clean.last() != Some(&b'/') {
            clean.push(*byte);
        }
    }
    Cow::Owned(clean)
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
    /// The request's fields on which an `<If>` depended.
    fields: Vec<String>,
}

/// Settings that are laid over others.
#[derive(Clone)]
enum Piece {
    Section(&'static DirConf),
    Location(&'static DirConf),
    AccessFile(Arc<AccessFile>),
    Files(Arc<FilesSection>),
    Branch(Arc<DirConf>),
}

impl Piece {
    fn conf(&self) -> &DirConf {
        match self {
            Piece::Section(conf) | Piece::Location(conf) => conf,
            Piece::AccessFile(file) => &file.conf,
            Piece::Files(files) => &files.conf,
            Piece::Branch(conf) => conf,
        }
    }

    /// A number that no other piece has as long as merged settings are remembered, which hold on to what has an address.
    fn id(&self) -> usize {
        match self {
            Piece::AccessFile(file) => file.id,
            Piece::Section(_) | Piece::Location(_) | Piece::Files(_) | Piece::Branch(_) => {
                std::ptr::from_ref(self.conf()).addr()
            }
        }
    }

    /// The walk of Apache's that merges it: each merges its own before it lays them over what was there.
    fn walk(&self) -> u8 {
        match self {
            Piece::Section(_) | Piece::AccessFile(_) => 1,
            Piece::Files(_) => 2,
            Piece::Location(_) => 3,
            Piece::Branch(_) => 4,
        }
    }
}

fn judge(ex: &mut Exchange, landed: &Landed<'_>, directories: &[usize]) -> Result<Judged, Fail> {
    let (site, path) = (ex.site, landed.path);
    let mut pieces: Vec<Piece> = Vec::new();
    let mut links = Vec::new();
    let covering = |name: &[u8]| {
        let covers = site.directories.iter().filter(|section| section.covers_directory(name));
        covers
            .map(|section| piece(ex, "Directory", section))
            .collect::<Vec<_>>()
    };
    for length in directories {
        let directory = path.get(..*length).unwrap_or(path);
        pieces.extend(covering(directory));
        let mut so_far = merged(site, &pieces);
        if so_far.overrides.any() {
            let slash: &[u8] = if directory.ends_with(b"/") { b"" } else { b"/" };
            let named = [directory, slash].concat();
            if let Some(file) = access_file::of_directory(ex, &named, &so_far.overrides)? {
                pieces.push(Piece::AccessFile(file));
                so_far = merged(site, &pieces);
            }
        } else {
            ex.trace(|| Step::AccessFile(LookedFor::NotLookedFor, vec![directory.to_vec()]));
        }
        links.push((*length, symlinks(so_far.core.options.in_force())));
    }
    // Apache has looked through the directory for which an index file stands, and does not look through it again for the file.
    let own = path.get(..=path.iter().rposition(|b| *b == b'/').unwrap_or(0));
    let standing_for = ex
        .target
        .landed
        .directory
        .clone()
        .filter(|directory| own == Some(directory));
    // `<Directory "/srv/*">` covers the files in /srv too: Apache takes a file's name as one more directory.
    if landed.kind == Landing::File && standing_for.is_none() {
        pieces.extend(covering(path));
    }
    let walked = standing_for.as_deref().unwrap_or(landed.asked);
    let matches = site.directory_matches.iter();
    for section in matches.filter(|section| section.covers_directory(walked)) {
        export(&mut ex.variables, &section.pattern, walked);
        pieces.push(piece(ex, "DirectoryMatch", section));
    }
    // A directory is a name too, as in Apache: an empty one, or its own where its slash is missing.
    let name = landed.asked.rsplit(|b| *b == b'/').next().unwrap_or_default();
    let files = merged(site, &pieces);
    for files in files.core.files.iter().filter(|files| files.covers(name)) {
        export(&mut ex.variables, &files.name, name);
        ex.trace(|| section_step("Files", &files.name, &files.span));
        pieces.push(Piece::Files(Arc::clone(files)));
    }
    let url = ex.target.path.as_bytes();
    for section in locations_of(site, url) {
        export(&mut ex.variables, &section.pattern, url);
        pieces.push(piece(ex, "Location", section));
    }
    Ok(with_branches(ex, pieces, links))
}

/// The `<Location>` sections that cover a path. Doubled slashes, where MergeSlashes leaves them, are for regular expressions
/// alone.
fn locations_of<'a>(site: &'static Site, url: &'a [u8]) -> impl Iterator<Item = &'static Section> + use<'a> {
    let plain = without_doubled_slashes(url);
    site.locations.iter().filter(move |section| match section.pattern {
        Pattern::Regex(_) => section.covers_location(url),
        Pattern::Plain(_) | Pattern::Glob(_) => section.covers_location(&plain),
    })
}

/// The pieces merged, with the branches of their `<If>` that hold.
fn with_branches(ex: &Exchange, mut pieces: Vec<Piece>, links: Vec<(usize, Symlinks)>) -> Judged {
    let conf = merged(ex.site, &pieces);
    let view = Noting::new(View { ex, response: None });
    let branches = holding(ex, &view, &conf.core.ifs);
    let fields = view.into_fields();
    if branches.is_empty() {
        return Judged { conf, links, fields };
    }
    pieces.extend(branches.into_iter().map(Piece::Branch));
    let conf = merged(ex.site, &pieces);
    Judged { conf, links, fields }
}

fn piece(ex: &Exchange, kind: &'static str, section: &'static Section) -> Piece {
    ex.trace(|| section_step(kind, &section.pattern, &section.span));
    if kind == "Location" {
        return Piece::Location(&section.conf);
    }
    Piece::Section(&section.conf)
}

/// A section that covers the place, by the name of its kind without `Match`.
#[cold]
fn section_step(kind: &str, pattern: &Pattern, span: &Span) -> Step {
    let kind = kind.trim_end_matches("Match");
    let what = match pattern {
        Pattern::Plain(plain) => format!("<{kind} \"{}\">", String::from_utf8_lossy(plain)),
        Pattern::Glob(glob) => format!("<{kind} \"{}\">", String::from_utf8_lossy(glob.pattern())),
        Pattern::Regex(regex) => format!("<{kind}Match \"{}\">", regex.pattern()),
    };
    Step::Section { what, at: span.clone() }
}

/// The named groups of a section's pattern become variables: `(?<site>...)` is MATCH_SITE.
fn export(variables: &mut Variables, pattern: &Pattern, subject: &[u8]) {
    let Pattern::Regex(regex) = pattern else { return };
    if regex.names().is_empty() {
        return;
    }
    let groups = regex.captures(subject).unwrap_or_default();
    for (number, name) in regex.names() {
        if groups.get(*number).is_some_and(Option::is_some) {
            let value = regex::group(*number, subject, &groups).to_vec();
            let name = format!("MATCH_{}", name.to_ascii_uppercase());
            variables.insert(name.into_bytes(), value);
        }
    }
}

/// Of each `<If>` the first branch that holds. Those inside of branches come after all that are around them, as in Apache.
fn holding(ex: &Exchange, view: &Noting<'_>, ifs: &[Arc<IfSection>]) -> Vec<Arc<DirConf>> {
    let mut branches: Vec<Arc<DirConf>> = Vec::new();
    let mut waiting: VecDeque<Arc<IfSection>> = ifs.iter().cloned().collect();
    while let Some(section) = waiting.pop_front() {
        let holds = |branch: &&Branch| {
            let holds = branch
                .condition
                .as_ref()
                .map_or(Ok(true), |condition| condition.eval(view));
            ex.trace(|| Step::Condition {
                what: branch.written.to_string(),
                holds: holds.as_ref().ok().copied(),
                at: branch.span.clone(),
            });
            holds.unwrap_or(false)
        };
        let branch = section.branches.iter().find(holds);
        if let Some(branch) = branch {
            waiting.extend(branch.conf.core.ifs.iter().cloned());
            branches.push(Arc::clone(&branch.conf));
        }
    }
    branches
}

fn symlinks(options: Options) -> Symlinks {
    if options.has(Options::SYM_LINKS_IF_OWNER_MATCH) {
        Symlinks::OwnerMatch
    } else if options.has(Options::FOLLOW_SYM_LINKS) {
        Symlinks::Follow
    } else {
        Symlinks::Refuse
    }
}

/// More merged settings than this are not remembered; a site has as many as combinations of sections that occur.
const REMEMBERED: usize = 4096;

thread_local! {
    static MERGED: RefCell<HashMap<Vec<usize>, Arc<DirConf>>> = RefCell::new(HashMap::new());
}

/// The site's base settings with the pieces laid over them in order. The same pieces always give the same settings, so they
/// are merged once.
fn merged(site: &'static Site, pieces: &[Piece]) -> Arc<DirConf> {
    if pieces.is_empty() {
        return Arc::clone(&site.base);
    }
    let mut key = Vec::with_capacity(pieces.len() + 1);
    key.push(site.number);
    key.extend(pieces.iter().map(Piece::id));
    MERGED.with_borrow_mut(|known| {
        if let Some(conf) = known.get(&key) {
            return Arc::clone(conf);
        }
        let mut conf = DirConf::clone(&site.base);
        let mut walk = 0;
        for piece in pieces {
            if piece.walk() != walk {
                conf.autoindex.close();
                walk = piece.walk();
            }
            conf.merge(piece.conf());
            match piece {
                Piece::Section(_) | Piece::AccessFile(_) => {}
                Piece::Files(_) => conf.laid.files = true,
                Piece::Location(_) => conf.laid.locations = true,
                Piece::Branch(_) => conf.laid.branches = true,
            }
        }
        let conf = Arc::new(conf);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(key, Arc::clone(&conf));
        conf
    })
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
    ex.trace_open_error(path, error);
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
