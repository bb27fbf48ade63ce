//! What listings say of entries by their names, types and codings: icons, the texts in place of icons, descriptions, and which
//! are left out.

use std::sync::Arc;

use crate::base::glob::{Glob, Slash};
use crate::base::path;
use crate::config::directives::autoindex::Listing;
use crate::config::setting::{Merge, Prepended};
use crate::config::words::{Args, Said, shown};

/// What an entry is recognised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Its file name, with the directories before it.
    Name,
    /// Its media type.
    Type,
    /// Its content coding.
    Encoding,
}

/// The name for directories in `AddIcon` and `AddAlt`.
pub const DIRECTORY: &[u8] = b"^^DIRECTORY^^";
/// The name for the icon at the head of the column.
pub const BLANK: &[u8] = b"^^BLANKICON^^";

/// An icon or a text for the entries that a pattern matches, below the section that says so.
#[derive(Clone, Debug)]
pub struct Item {
    by: By,
    pattern: Glob,
    whatever: bool,
    below: Glob,
    text: Arc<[u8]>,
}

/// What is known of an entry when its icon is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The absolute file name, or one of the names above.
    pub name: &'a [u8],
    /// Its media type without parameters.
    pub media_type: Option<&'a [u8]>,
    /// Its content coding.
    pub encoding: Option<&'a [u8]>,
    /// Whether its name alone counts.
    pub name_only: bool,
}

impl<'a> Entry<'a> {
    /// One that is recognised by its name alone.
    pub fn named(name: &'a [u8]) -> Entry<'a> {
        Entry {
            name,
            media_type: None,
            encoding: None,
            name_only: true,
        }
    }
}

impl Item {
    fn new(by: By, word: &[u8], text: &[u8], args: &Args) -> Item {
        let word = match by {
            By::Name if word == b"**DIRECTORY**" => DIRECTORY.to_vec(),
            By::Name if !Glob::is_wild(word) => [b"*", word].concat(),
            By::Name => word.to_vec(),
            By::Type | By::Encoding => word.to_ascii_lowercase(),
        };
        let pattern = match by {
            By::Name if word == DIRECTORY => [b"*", DIRECTORY].concat(),
            By::Name | By::Type | By::Encoding => word,
        };
        Item {
            by,
            whatever: pattern.is_empty(),
            pattern: Glob::wild(&pattern),
            below: below(args),
            text: text.into(),
        }
    }

    fn is_for(&self, entry: &Entry) -> bool {
        let is_special = entry.name.first() == Some(&b'^');
        if !is_special && !self.below.matches(entry.name, Slash::Ordinary) {
            return false;
        }
        let lower = |text: &[u8]| text.to_ascii_lowercase();
        match (self.by, entry.encoding) {
            _ if self.whatever => true,
            (By::Name, _) => self.pattern.matches(entry.name, Slash::Ordinary),
            _ if is_special => self.pattern.matches(entry.name, Slash::Ordinary),
            _ if entry.name_only => false,
            (By::Type, None) => entry
                .media_type
                .is_some_and(|kind| self.pattern.matches(&lower(kind), Slash::Ordinary)),
            (By::Encoding, Some(coding)) => self.pattern.matches(&lower(coding), Slash::Ordinary),
            (By::Type, Some(_)) | (By::Encoding, None) => false,
        }
    }
}

/// What lies below the section around the directive, by its path as it is written there.
fn below(args: &Args) -> Glob {
    Glob::wild(&[args.section.unwrap_or_default(), b"*"].concat())
}

/// The first text for an entry.
pub fn text_for(items: &[Item], entry: &Entry) -> Option<Arc<[u8]>> {
    let found = items.iter().find(|item| item.is_for(entry));
    found.map(|item| Arc::clone(&item.text))
}

/// Takes the words of `AddAlt` and its like: a text, and what it is for.
pub fn add(items: &mut Prepended<Item>, by: By, args: &Args) {
    for word in args.rest(1) {
        items.push(Item::new(by, word, args.bytes(0), args));
    }
}

/// Takes the words of `AddIcon` and its like: an icon, or `(text,icon)`, and what it is for.
pub fn add_icon(listing: &mut Listing, by: By, args: &Args) -> Said<()> {
    let word = args.bytes(0);
    let Some(pair) = word.strip_prefix(b"(") else {
        add(&mut listing.icons, by, args);
        return Ok(());
    };
    let Some(closing) = pair.iter().position(|b| *b == b')') else {
        return Err(format!(
            "{} lacks its closing parenthesis; write `(TXT,/icons/text.gif)`",
            shown(word)
        ));
    };
    let comma = pair.iter().position(|b| *b == b',').unwrap_or(pair.len());
    let (alt, icon) = pair.split_at(comma);
    // As in Apache, a parenthesis that closes before the comma is part of the text.
    let icon = if closing < comma {
        icon
    } else {
        pair.get(comma..closing).unwrap_or(icon)
    };
    let icon = icon.iter().position(|b| *b != b',').and_then(|at| icon.get(at..));
    for name in args.rest(1) {
        listing.alts.push(Item::new(by, name, alt, args));
        listing.icons.push(Item::new(by, name, icon.unwrap_or_default(), args));
    }
    Ok(())
}

/// A description for the entries that a pattern matches.
#[derive(Clone, Debug)]
pub struct Description {
    pattern: DescriptionPattern,
    text: Arc<[u8]>,
}

#[derive(Clone, Debug)]
enum DescriptionPattern {
    /// Text that is anywhere in the file's name.
    Part(Vec<u8>),
    /// The file's name.
    Name(Glob),
    /// The absolute name.
    Path(Glob),
}

impl Description {
    /// A description by the word that says which files it is for.
    pub fn new(word: &[u8], text: &[u8]) -> Description {
        let pattern = if word.contains(&b'/') {
            DescriptionPattern::Path(Glob::new(&[b"*/", word, b"*"].concat()))
        } else if is_pattern(word) {
            DescriptionPattern::Name(Glob::new(&[b"*", word, b"*"].concat()))
        } else {
            DescriptionPattern::Part(word.to_vec())
        };
        Description {
            pattern,
            text: text.into(),
        }
    }

    fn is_for(&self, name: &[u8]) -> bool {
        let last = path::file_name(name);
        match &self.pattern {
            DescriptionPattern::Part(part) => memchr::memmem::find(last, part).is_some(),
            DescriptionPattern::Name(glob) => glob.matches(last, Slash::Ordinary),
            DescriptionPattern::Path(glob) => glob.matches(name, Slash::Ordinary),
        }
    }
}

/// Whether a word has wildcards that no backslash stands before; a bracket counts with the one that closes it.
fn is_pattern(word: &[u8]) -> bool {
    let (mut is_open, mut bytes) = (false, word.iter());
    while let Some(byte) = bytes.next() {
        match byte {
            b'*' | b'?' => return true,
            b'[' => is_open = true,
            b']' if is_open => return true,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
    false
}

/// The description of the file with an absolute name.
pub fn description_for(descriptions: &[Description], name: &[u8]) -> Option<Arc<[u8]>> {
    let found = descriptions.iter().find(|description| description.is_for(name));
    found.map(|description| Arc::clone(&description.text))
}

/// Names that are left out (`IndexIgnore`).
#[derive(Clone, Debug, Default)]
pub struct Ignored {
    patterns: Prepended<(Glob, Glob)>,
    /// `IndexIgnoreReset`: what outer scopes say does not count.
    pub alone: bool,
}

impl Ignored {
    /// Leaves out what one more word names.
    pub fn push(&mut self, word: &[u8], args: &Args) {
        self.patterns.push((below(args), Glob::wild(path::file_name(word))));
    }

    /// Whether the file with an absolute name is left out.
    pub fn has(&self, name: &[u8]) -> bool {
        let last = path::file_name(name);
        let mut patterns = self.patterns.iter();
        patterns.any(|(below, pattern)| below.matches(name, Slash::Ordinary) && pattern.matches(last, Slash::Ordinary))
    }
}

impl Merge for Ignored {
    fn merge(&mut self, inner: &Self) {
        if inner.alone {
            self.patterns = inner.patterns.clone();
        } else {
            self.patterns.merge(&inner.patterns);
        }
        // As in Apache: of sections that are merged before they are laid over the rest, one that says no more of it undoes it.
        self.alone = false;
    }
}
