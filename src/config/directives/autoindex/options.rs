//! `IndexOptions`: the looks of a listing, and how an inner section's options change an outer one's.

use crate::config::setting::Merge;
use crate::config::words::{Said, shown};

/// A set of the options that are on or off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looks(u32);

impl Looks {
    /// `FancyIndexing`.
    pub const FANCY: Looks = Looks(1);
    /// `HTMLTable`.
    pub const TABLE: Looks = Looks(1 << 1);
    /// `FoldersFirst`.
    pub const FOLDERS_FIRST: Looks = Looks(1 << 2);
    /// `IconsAreLinks`.
    pub const ICONS_ARE_LINKS: Looks = Looks(1 << 3);
    /// `IgnoreCase`.
    pub const IGNORE_CASE: Looks = Looks(1 << 4);
    /// `IgnoreClient`.
    pub const IGNORE_CLIENT: Looks = Looks(1 << 5);
    /// `ScanHTMLTitles`.
    pub const SCAN_TITLES: Looks = Looks(1 << 6);
    /// `ShowForbidden`.
    pub const SHOW_FORBIDDEN: Looks = Looks(1 << 7);
    /// `SuppressColumnSorting`.
    pub const NO_SORTING: Looks = Looks(1 << 8);
    /// `SuppressDescription`.
    pub const NO_DESCRIPTION: Looks = Looks(1 << 9);
    /// `SuppressHTMLPreamble`.
    pub const NO_PREAMBLE: Looks = Looks(1 << 10);
    /// `SuppressIcon`.
    pub const NO_ICON: Looks = Looks(1 << 11);
    /// `SuppressLastModified`.
    pub const NO_LAST_MODIFIED: Looks = Looks(1 << 12);
    /// `SuppressRules`.
    pub const NO_RULES: Looks = Looks(1 << 13);
    /// `SuppressSize`.
    pub const NO_SIZE: Looks = Looks(1 << 14);
    /// `TrackModified`.
    pub const TRACK_MODIFIED: Looks = Looks(1 << 15);
    /// `VersionSort`.
    pub const VERSION_SORT: Looks = Looks(1 << 16);
    /// `XHTML`.
    pub const XHTML: Looks = Looks(1 << 17);
    /// `AddAltClass`.
    pub const ALT_CLASS: Looks = Looks(1 << 18);
    const NONE: Looks = Looks(1 << 19);
    /// Nothing was said without `+` or `-`, or was taken back by `None`.
    const UNSAID: Looks = Looks(1 << 20);

    /// Whether any of `other` is on.
    pub fn has(self, other: Looks) -> bool {
        self.0 & other.0 != 0
    }

    /// Both sets together.
    #[must_use]
    pub fn with(self, other: Looks) -> Looks {
        Looks(self.0 | other.0)
    }

    /// Those of this set that are not in `other`.
    #[must_use]
    pub fn without(self, other: Looks) -> Looks {
        Looks(self.0 & !other.0)
    }
}

/// The options by the names that directives have for them.
const NAMES: &[(&str, Looks)] = &[
    ("AddAltClass", Looks::ALT_CLASS),
    ("FancyIndexing", Looks::FANCY),
    ("FoldersFirst", Looks::FOLDERS_FIRST),
    ("HTMLTable", Looks::TABLE),
    ("IconsAreLinks", Looks::ICONS_ARE_LINKS),
    ("IgnoreCase", Looks::IGNORE_CASE),
    ("IgnoreClient", Looks::IGNORE_CLIENT),
    ("ScanHTMLTitles", Looks::SCAN_TITLES),
    ("ShowForbidden", Looks::SHOW_FORBIDDEN),
    ("SuppressColumnSorting", Looks::NO_SORTING),
    ("SuppressDescription", Looks::NO_DESCRIPTION),
    ("SuppressHTMLPreamble", Looks::NO_PREAMBLE),
    ("SuppressIcon", Looks::NO_ICON),
    ("SuppressLastModified", Looks::NO_LAST_MODIFIED),
    ("SuppressRules", Looks::NO_RULES),
    ("SuppressSize", Looks::NO_SIZE),
    ("TrackModified", Looks::TRACK_MODIFIED),
    ("VersionSort", Looks::VERSION_SORT),
    ("XHTML", Looks::XHTML),
];

/// How wide a column is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// So many bytes.
    Fixed(usize),
    /// As wide as its longest text, and no less than so many bytes.
    Grows(usize),
}

impl Width {
    /// Bytes of a column where nothing is said.
    const USUAL: usize = 23;

    fn bytes(self) -> usize {
        match self {
            Width::Fixed(bytes) | Width::Grows(bytes) => bytes,
        }
    }
}

/// What a scope says about listings' looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexOptions {
    /// Whether there is any `IndexOptions` line.
    said: bool,
    whole: Looks,
    added: Looks,
    removed: Looks,
    name_width: Option<Width>,
    description_width: Option<Width>,
    icon_width: Option<u32>,
    icon_height: Option<u32>,
    media_type: Option<Vec<u8>>,
    charset: Option<Vec<u8>>,
    old_dates: bool,
}

impl Default for IndexOptions {
    fn default() -> IndexOptions {
        IndexOptions {
            said: false,
            whole: Looks::UNSAID,
            added: Looks::default(),
            removed: Looks::default(),
            name_width: None,
            description_width: None,
            icon_width: None,
            icon_height: None,
            media_type: None,
            charset: None,
            old_dates: false,
        }
    }
}

/// Whether a word adds to what outer scopes say, takes from it, or replaces it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sense {
    Replaces,
    Adds,
    Removes,
}

impl IndexOptions {
    /// Whether a line of `IndexOptions` is about the place.
    pub fn are_said(&self) -> bool {
        self.said
    }

    /// What is on. As in Apache, `+` and `-` count where scopes are merged: those of the main server's own lines do not
    /// where nothing is merged over them.
    pub fn looks(&self) -> Looks {
        self.whole
    }

    /// `NameWidth`.
    pub fn name_width(&self) -> Width {
        self.name_width.unwrap_or(Width::Fixed(Width::USUAL))
    }

    /// `DescriptionWidth`; nothing where it depends on what else is shown.
    pub fn description_width(&self) -> Option<Width> {
        self.description_width
    }

    /// The width of descriptions that no option gives, when everything else is shown.
    pub const DESCRIPTION_WIDTH: usize = Width::USUAL;

    /// `IconWidth` in pixels.
    pub fn icon_width(&self) -> Option<u32> {
        self.icon_width
    }

    /// `IconHeight` in pixels.
    pub fn icon_height(&self) -> Option<u32> {
        self.icon_height
    }

    /// `Type`.
    pub fn media_type(&self) -> &[u8] {
        self.media_type.as_deref().unwrap_or(b"text/html")
    }

    /// `Charset`; empty where there is to be none.
    pub fn charset(&self) -> Option<&[u8]> {
        self.charset.as_deref()
    }

    /// `UseOldDateFormat`.
    pub fn has_old_dates(&self) -> bool {
        self.old_dates
    }

    /// Takes a line's words.
    pub fn take(&mut self, words: &[Vec<u8>]) -> Said<()> {
        self.said = true;
        for word in words {
            let (sense, name) = match word.split_first() {
                Some((b'+', name)) => (Sense::Adds, name),
                Some((b'-', name)) => (Sense::Removes, name),
                _ => (Sense::Replaces, word.as_slice()),
            };
            let one = self.one(name, sense)?;
            match sense {
                Sense::Replaces => {
                    self.whole = self.whole.with(one);
                    (self.added, self.removed) = (Looks::default(), Looks::default());
                }
                Sense::Adds => {
                    self.added = self.added.with(one);
                    self.removed = self.removed.without(one);
                }
                Sense::Removes => {
                    self.removed = self.removed.with(one);
                    self.added = self.added.without(one);
                }
            }
        }
        if self.whole.has(Looks::NONE) && self.whole != Looks::NONE {
            return Err("`None` cannot stand with other options that have no `+` or `-`; leave it out".into());
        }
        Ok(())
    }

    /// The option of a name; one that has a value is recorded at once.
    fn one(&mut self, name: &[u8], sense: Sense) -> Said<Looks> {
        let word = String::from_utf8_lossy(name);
        if let Some((_, one)) = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(&word)) {
            return Ok(*one);
        }
        let (key, value) = match name.iter().position(|b| *b == b'=') {
            Some(at) => (name.get(..at).unwrap_or(name), name.get(at + 1..)),
            None => (name, None),
        };
        match (String::from_utf8_lossy(key).to_ascii_lowercase().as_str(), value) {
            ("none", None) if sense != Sense::Replaces => return Err("`None` has no `+` or `-`".into()),
            ("none", None) => {
                self.whole = Looks::default();
                (self.added, self.removed) = (Looks::default(), Looks::default());
                return Ok(Looks::NONE);
            }
            ("useolddateformat", None) => self.old_dates = true,
            ("type", Some(value)) => self.media_type = Some(value.to_vec()),
            ("charset", Some(value)) => self.charset = Some(value.to_vec()),
            ("iconwidth", value) => self.icon_width = pixels(name, value, sense, 20)?,
            ("iconheight", value) => self.icon_height = pixels(name, value, sense, 22)?,
            ("namewidth", value) => self.name_width = Some(width(name, value, sense, self.name_width, 5)?),
            // As in Apache that is no width at all; a name needs one.
            ("descriptionwidth", Some(b"0")) if sense != Sense::Removes => {
                self.description_width = Some(Width::Fixed(0));
            }
            ("descriptionwidth", value) => {
                self.description_width = Some(width(name, value, sense, self.description_width, 12)?);
            }
            _ => return Err(format!("{} is not an option of listings", shown(name))),
        }
        Ok(Looks::default())
    }
}

/// The size of an icon: `usual` by the bare name, none by the name with a minus.
fn pixels(name: &[u8], value: Option<&[u8]>, sense: Sense, usual: u32) -> Said<Option<u32>> {
    match (value, sense) {
        (None, Sense::Removes) => Ok(None),
        (None, _) => Ok(Some(usual)),
        (Some(_), Sense::Removes) => Err(format!("{} has a value and can have no `-`", shown(name))),
        (Some(value), _) => number(value)
            .map(|n| Some(n).filter(|n| *n > 0))
            .ok_or_else(|| format!("{} has no number of pixels; write `IconWidth=20`", shown(name))),
    }
}

/// The width of a column: what is usual by the name with a minus.
fn width(name: &[u8], value: Option<&[u8]>, sense: Sense, so_far: Option<Width>, least: u32) -> Said<Width> {
    let usual = Width::Fixed(Width::USUAL);
    match (value, sense) {
        (None, Sense::Removes) => Ok(usual),
        (None, _) => Err(format!(
            "{} has no value; write `NameWidth=40` or `NameWidth=*`",
            shown(name)
        )),
        (Some(_), Sense::Removes) => Err(format!("{} has a value and can have no `-`", shown(name))),
        (Some([b'*', ..]), _) => Ok(Width::Grows(so_far.unwrap_or(usual).bytes())),
        (Some(value), _) => match number(value) {
            Some(bytes) if bytes >= least => Ok(Width::Fixed(usize::try_from(bytes).unwrap_or(Width::USUAL))),
            _ => Err(format!("{} is no width; write `*`, or {least} or more", shown(name))),
        },
    }
}

fn number(value: &[u8]) -> Option<u32> {
    let number = std::str::from_utf8(value).ok()?.parse().ok()?;
    (number <= 32_767).then_some(number)
}

impl Merge for IndexOptions {
    fn merge(&mut self, inner: &Self) {
        if inner.whole == Looks::NONE {
            self.whole = Looks::NONE;
            (self.added, self.removed) = (Looks::default(), Looks::default());
        } else if inner.whole == Looks::UNSAID {
            self.added = self.added.with(inner.added).without(inner.removed);
            self.removed = self.removed.with(inner.removed);
            self.whole = self.whole.without(Looks::NONE).with(self.added).without(self.removed);
        } else {
            // As in Apache, what the same scope adds and takes by `+` and `-` does not count.
            self.whole = inner.whole;
            (self.added, self.removed) = (Looks::default(), Looks::default());
        }
        self.said |= inner.said;
        self.name_width = inner.name_width.or(self.name_width);
        self.description_width = inner.description_width.or(self.description_width);
        self.icon_width = inner.icon_width.or(self.icon_width);
        self.icon_height = inner.icon_height.or(self.icon_height);
        self.old_dates |= inner.old_dates;
        for (own, inner) in [
            (&mut self.media_type, &inner.media_type),
            (&mut self.charset, &inner.charset),
        ] {
            if inner.is_some() {
                own.clone_from(inner);
            }
        }
    }
}
