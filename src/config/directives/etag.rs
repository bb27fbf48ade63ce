//! `FileETag`: what the entity tag of a file is made of.

use crate::config::directives::DirConf;
use crate::config::directives::options::signed;
use crate::config::setting::Merge;
use crate::config::table::{ANYWHERE, Directive, Override, Set, Words};
use crate::config::words::{Args, Said, shown};

/// What an entity tag is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "four parts, each in or out")]
pub struct ETagParts {
    /// The file's inode number.
    pub inode: bool,
    /// Its time of last change.
    pub mtime: bool,
    /// Its size.
    pub size: bool,
    /// A digest of its content.
    pub digest: bool,
}

/// What a scope says about entity tags: parts of its own, or changes to those around it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ETagEdit {
    whole: Option<u8>,
    added: u8,
    removed: u8,
}

impl ETagEdit {
    /// The parts in force; Apache's default is MTime and Size.
    pub fn in_force(&self) -> ETagParts {
        let bits = (self.whole.unwrap_or(2 | 4) | self.added) & !self.removed;
        ETagParts {
            inode: bits & 1 != 0,
            mtime: bits & 2 != 0,
            size: bits & 4 != 0,
            digest: bits & 8 != 0,
        }
    }
}

impl Merge for ETagEdit {
    fn merge(&mut self, inner: &Self) {
        if inner.whole.is_some() {
            *self = *inner;
        } else {
            self.added = self.added & !inner.removed | inner.added;
            self.removed = self.removed & !inner.added | inner.removed;
        }
    }
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[Directive {
    name: "FileETag",
    module: "core",
    syntax: "component ...",
    words: Words::AtLeast(1),
    allowed: ANYWHERE,
    overrides: Override::FileInfo,
    default: "MTime Size",
    summary: "Say what the entity tag of a file is made of.",
    manual: "The components are INode, MTime, Size, Digest (a hash of the content), All (the first three) and None. With + or - \
before each they change what the outer section says.",
    set: Set::Dir(set_file_etag),
}];

fn set_file_etag(conf: &mut DirConf, args: &Args) -> Said<()> {
    let mut edit = ETagEdit::default();
    for word in args.words {
        let (sign, name) = signed(word);
        let bits = match name.to_ascii_lowercase().as_slice() {
            b"inode" => 1,
            b"mtime" => 2,
            b"size" => 4,
            b"digest" => 8,
            b"all" => 1 | 2 | 4,
            b"none" if sign.is_none() => 0,
            _ => {
                return Err(format!(
                    "{} is not one of INode, MTime, Size, Digest, All, None",
                    shown(word)
                ));
            }
        };
        match sign {
            Some(b'+') => (edit.added, edit.removed) = (edit.added | bits, edit.removed & !bits),
            Some(_) => (edit.removed, edit.added) = (edit.removed | bits, edit.added & !bits),
            None => edit.whole = Some(edit.whole.unwrap_or(0) | bits),
        }
    }
    conf.core.file_etag.merge(&edit);
    Ok(())
}
