//! The rows of a listing: what is in the directory, as far as the client may see it, and in which order.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::base::natural::{self, Case};
use crate::config::directives::autoindex::options::Looks;
use crate::config::directives::autoindex::patterns::{self, DIRECTORY, Entry};
use crate::config::directives::autoindex::{Direction, Key, Listing};
use crate::exchange::Exchange;
use crate::exchange::looks::{Looks as LooksAhead, Sight};
use crate::exchange::place::Place;
use crate::fs::dirlist;
use crate::fs::open::{Kind, Meta};
use crate::handlers::autoindex::query::{Form, Wanted};
use crate::handlers::autoindex::title;
use crate::http::status::Status;

/// An entry as a row shows it.
#[derive(Debug)]
pub struct Row {
    /// Its name, with a slash behind a directory's; the parent's URL path.
    pub name: Vec<u8>,
    /// Whether it is the directory above.
    pub is_parent: bool,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Its icon.
    pub icon: Option<Arc<[u8]>>,
    /// The text in the icon's place.
    pub alt: Option<Arc<[u8]>>,
    /// Its description.
    pub description: Option<Arc<[u8]>>,
    /// Its size in bytes; only a file's is shown.
    pub size: Option<u64>,
    /// The time of its last change, in seconds and microseconds; only where it is shown.
    pub modified: Option<(i64, u32)>,
    /// The media type, for lychgate's own page.
    pub media_type: Option<Arc<[u8]>>,
}

/// How many entries are looked at before other requests have their turn.
const TURN: usize = 32;

/// The rows of the directory, in order.
pub async fn gather<L: LooksAhead>(
    ex: &Exchange,
    place: &Place,
    settings: &Listing,
    wanted: &Wanted,
    entries: Vec<dirlist::Entry>,
    looks: &L,
) -> Vec<Row> {
    let mut rows: Vec<Row> = parent(ex, place, settings, wanted).into_iter().collect();
    for (number, entry) in entries.into_iter().enumerate() {
        if number % TURN == TURN - 1 {
            tokio::task::yield_now().await;
        }
        let file = within(&place.path, &entry.name);
        let is_hidden = wanted.form == Form::Own && is_odd(&entry.name);
        if is_hidden || !wanted.is_about(&entry.name) || settings.ignore.has(&file) {
            continue;
        }
        let sight = looks.at_entry(ex, place, &entry.name).await;
        if is_shown(sight.status, wanted.looks) {
            rows.push(row(settings, wanted, entry, &file, sight));
        }
    }
    rows.sort_by(|left, right| order(left, right, wanted));
    rows
}

fn within(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let slash: &[u8] = if directory.ends_with(b"/") { b"" } else { b"/" };
    [directory, slash, name].concat()
}

/// Hidden files and editors' copies are nothing for lychgate's own page.
fn is_odd(name: &[u8]) -> bool {
    name.first() == Some(&b'.') || name.ends_with(b"~") || name.ends_with(b"#")
}

fn is_shown(status: Status, looks: Looks) -> bool {
    match status.code() {
        200..=399 => true,
        401 | 403 => looks.has(Looks::SHOW_FORBIDDEN),
        _ => false,
    }
}

/// The row that leads up. IndexIgnore and icons know it as `..` of this directory.
fn parent(ex: &Exchange, place: &Place, settings: &Listing, wanted: &Wanted) -> Option<Row> {
    let url = ex.target.path.as_bytes();
    let own = url.strip_suffix(b"/").unwrap_or(url);
    let above = own.iter().rposition(|byte| *byte == b'/')?;
    let file = within(&place.path, b"..");
    if settings.ignore.has(&file) {
        return None;
    }
    let mut row = Row {
        name: own.get(..=above)?.to_vec(),
        is_parent: true,
        is_directory: true,
        icon: None,
        alt: None,
        description: None,
        size: None,
        modified: None,
        media_type: None,
    };
    // As in Apache, HTMLTable without FancyIndexing says nothing of it.
    let says_more = match wanted.form {
        Form::Own | Form::Fancy => true,
        Form::Table => wanted.looks.has(Looks::FANCY),
        Form::Plain => false,
    };
    if says_more {
        let named = Entry::named(&file);
        row.icon = text(&settings.icons, &named);
        row.alt = Some(text(&settings.alts, &named).unwrap_or_else(|| b"PARENTDIR"[..].into()));
        row.description = patterns::description_for(&settings.descriptions, &file);
    }
    Some(row)
}

/// What is said of a directory: for its name, or for all directories.
fn text(items: &[patterns::Item], entry: &Entry) -> Option<Arc<[u8]>> {
    patterns::text_for(items, entry).or_else(|| patterns::text_for(items, &Entry::named(DIRECTORY)))
}

fn row(settings: &Listing, wanted: &Wanted, entry: dirlist::Entry, file: &[u8], sight: Sight) -> Row {
    let is_directory = entry.meta.kind == Kind::Directory;
    let mut name = entry.name;
    if is_directory {
        name.push(b'/');
    }
    let mut row = Row {
        name,
        is_parent: false,
        is_directory,
        icon: None,
        alt: None,
        description: None,
        size: None,
        modified: None,
        media_type: None,
    };
    if wanted.form == Form::Plain {
        return row;
    }
    row.modified = Some(modified(&entry.meta));
    if is_directory {
        let named = Entry::named(file);
        row.icon = text(&settings.icons, &named);
        row.alt = Some(text(&settings.alts, &named).unwrap_or_else(|| b"DIR"[..].into()));
    } else {
        let encoding = sight.types.encodings.join(&b", "[..]);
        let entry_facts = Entry {
            name: file,
            media_type: sight.types.media_type.as_deref().map(without_parameters),
            encoding: (!encoding.is_empty()).then_some(encoding.as_slice()),
            name_only: false,
        };
        row.icon = patterns::text_for(&settings.icons, &entry_facts);
        row.alt = patterns::text_for(&settings.alts, &entry_facts);
        row.size = Some(entry.meta.size);
    }
    row.description = patterns::description_for(&settings.descriptions, file);
    if wanted.looks.has(Looks::SCAN_TITLES) && row.description.is_none() {
        let title = sight.file.and_then(|file| title::of(&file, &sight.types));
        row.description = title.map(Into::into);
    }
    row.media_type = sight.types.media_type;
    row
}

fn without_parameters(media_type: &[u8]) -> &[u8] {
    let end = media_type.iter().position(|byte| *byte == b';');
    end.and_then(|end| media_type.get(..end))
        .unwrap_or(media_type)
        .trim_ascii()
}

fn modified(meta: &Meta) -> (i64, u32) {
    (meta.mtime.0, meta.mtime.1 / 1000)
}

/// The parent comes first whatever the order, then directories where they should, then what the query or the settings say; names
/// decide the rest.
fn order(left: &Row, right: &Row, wanted: &Wanted) -> Ordering {
    let looks = wanted.looks;
    let folders_first = match wanted.form {
        Form::Own => true,
        Form::Plain => false,
        Form::Fancy | Form::Table => looks.has(Looks::FOLDERS_FIRST),
    };
    let by_parent = right.is_parent.cmp(&left.is_parent);
    let by_kind = if folders_first {
        right.is_directory.cmp(&left.is_directory)
    } else {
        Ordering::Equal
    };
    by_parent.then(by_kind).then_with(|| match wanted.order.direction {
        Direction::Ascending => ascending(left, right, wanted),
        Direction::Descending => ascending(right, left, wanted),
    })
}

fn ascending(left: &Row, right: &Row, wanted: &Wanted) -> Ordering {
    let by_version = wanted.looks.has(Looks::VERSION_SORT);
    let description = |row: &'_ Row| row.description.clone().unwrap_or_default();
    let by_key = match wanted.order.key {
        Key::Name => Ordering::Equal,
        Key::Date => left.modified.cmp(&right.modified),
        Key::Size => left.size.cmp(&right.size),
        Key::Description if by_version => natural::compare(&description(left), &description(right), Case::Matters),
        Key::Description => description(left).cmp(&description(right)),
    };
    by_key.then_with(|| by_name(&left.name, &right.name, wanted.looks))
}

fn by_name(left: &[u8], right: &[u8], looks: Looks) -> Ordering {
    let ignores_case = looks.has(Looks::IGNORE_CASE);
    let folded = |name: &[u8]| name.to_ascii_lowercase();
    let natural = |case| natural::compare(left, right, case);
    let by_version = match (looks.has(Looks::VERSION_SORT), ignores_case) {
        (false, _) => Ordering::Equal,
        (true, true) => natural(Case::Ignored).then_with(|| natural(Case::Matters)),
        (true, false) => natural(Case::Matters),
    };
    by_version
        .then_with(|| {
            if ignores_case {
                folded(left).cmp(&folded(right))
            } else {
                Ordering::Equal
            }
        })
        .then_with(|| left.cmp(right))
}
