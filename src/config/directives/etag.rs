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

/// What a scope says about entity tags: parts of its own, or changes to those around it. Bits are those of the constants
/// below; without any that was named, Apache's default is MTime and Size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ETagEdit {
    whole: u8,
    added: u8,
    removed: u8,
}

const NONE: u8 = 1;
const MTIME: u8 = 2;
const INODE: u8 = 4;
const SIZE: u8 = 8;
const DIGEST: u8 = 16;

impl ETagEdit {
    /// The parts in force. What is changed where no part was named yet is changed from nothing, not from the default.
    pub fn in_force(&self) -> ETagParts {
        let bits = match self.whole & !self.removed | self.added {
            bits if bits & NONE != 0 => 0,
            0 => MTIME | SIZE,
            bits => bits,
        };
        ETagParts {
            inode: bits & INODE != 0,
            mtime: bits & MTIME != 0,
            size: bits & SIZE != 0,
            digest: bits & DIGEST != 0,
        }
    }

    /// `None` ends with the first part that is named beside it.
    fn without_lone_none(mut self) -> ETagEdit {
        if self.whole != NONE {
            self.whole &= !NONE;
        }
        self
    }
}

impl Merge for ETagEdit {
    fn merge(&mut self, inner: &Self) {
        if inner.whole == 0 {
            self.added = self.added & !inner.removed | inner.added;
            self.removed = self.removed & !inner.added | inner.removed;
            self.whole = self.whole & !self.removed | self.added;
        } else {
            *self = *inner;
        }
        *self = self.without_lone_none();
    }
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[Directive {
    name: "FileETag",
    module: "core",
    syntax: "[component ...]",
    words: Words::AtLeast(0),
    allowed: ANYWHERE,
    overrides: Override::FileInfo,
    default: "MTime Size",
    summary: "Say what the entity tag of a file is made of.",
    manual: "The components are INode, MTime, Size, Digest (a hash of the content), All (the first three) and None. With + or - \
before each of the first four they change what the outer sections named; where these named none, that is nothing, not the \
default.",
    set: Set::Dir(set_file_etag),
}];

fn set_file_etag(conf: &mut DirConf, args: &Args) -> Said<()> {
    let mut edit = conf.core.file_etag;
    let mut is_first = true;
    for word in args.words {
        let (sign, name) = signed(word);
        let bits = match name.to_ascii_lowercase().as_slice() {
            b"inode" => INODE,
            b"mtime" => MTIME,
            b"size" => SIZE,
            b"digest" => DIGEST,
            b"all" if sign.is_none() => INODE | MTIME | SIZE,
            b"none" if sign.is_none() => NONE,
            b"all" | b"none" => {
                return Err(format!(
                    "{} is not a component of its own; write it without a sign",
                    shown(word)
                ));
            }
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
            None => {
                let before = if is_first || bits == NONE || name.eq_ignore_ascii_case(b"all") {
                    0
                } else {
                    edit.whole
                };
                edit = ETagEdit {
                    whole: before | bits,
                    ..ETagEdit::default()
                };
                is_first = false;
            }
        }
    }
    conf.core.file_etag = edit.without_lone_none();
    Ok(())
}
