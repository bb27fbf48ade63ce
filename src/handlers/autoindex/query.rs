//! The query of a listing: what it is sorted by (`C`, `O`, `V`), its format (`F`) and which names it is about (`P`).

use crate::base::glob::{Glob, Slash};
use crate::base::{ascii, quote};
use crate::config::directives::autoindex::options::Looks;
use crate::config::directives::autoindex::{Direction, Key, Listing, Order};

/// Which page a listing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Lychgate's own.
    Own,
    /// Apache's `<ul>`.
    Plain,
    /// Apache's `<pre>`.
    Fancy,
    /// Apache's `<table>`.
    Table,
}

/// What is asked of a listing, by settings and by the query.
#[derive(Debug)]
pub struct Wanted {
    /// Which page.
    pub form: Form,
    /// What is on, `VersionSort` as the query says.
    pub looks: Looks,
    /// The order.
    pub order: Order,
    /// What the links that sort have to keep of the query.
    pub kept: Vec<u8>,
    pattern: Option<Names>,
}

#[derive(Debug)]
struct Names {
    glob: Glob,
    begins_with_dot: bool,
}

impl Wanted {
    /// What settings and query ask for. A part of the query that is not understood ends it.
    pub fn new(settings: &Listing, query: Option<&[u8]>) -> Wanted {
        let looks = settings.options.looks();
        let mut wanted = Wanted {
            form: form(settings),
            looks,
            order: settings.order.or(Order::USUAL),
            kept: Vec::new(),
            pattern: None,
        };
        if looks.has(Looks::IGNORE_CLIENT) {
            wanted.looks = looks.with(Looks::NO_SORTING);
            return wanted;
        }
        let mut kept = Kept::default();
        for part in query.unwrap_or_default().split(|byte| matches!(byte, b'&' | b';')) {
            if !wanted.take(part, &mut kept) {
                break;
            }
        }
        wanted.kept = [kept.form, kept.version, kept.pattern].concat();
        wanted
    }

    fn take(&mut self, part: &[u8], kept: &mut Kept) -> bool {
        match part {
            b"C=N" => self.order.key = Key::Name,
            b"C=M" => self.order.key = Key::Date,
            b"C=S" => self.order.key = Key::Size,
            b"C=D" => self.order.key = Key::Description,
            b"O=A" => self.order.direction = Direction::Ascending,
            b"O=D" => self.order.direction = Direction::Descending,
            b"F=0" | b"F=1" | b"F=2" => {
                self.form = match part {
                    b"F=0" => Form::Plain,
                    b"F=1" => Form::Fancy,
                    _ => Form::Table,
                };
                if self.form != Form::Plain {
                    self.looks = self.looks.with(Looks::FANCY);
                }
                kept.form = [b";", part].concat();
            }
            b"V=0" | b"V=1" => {
                self.looks = match part {
                    b"V=0" => self.looks.without(Looks::VERSION_SORT),
                    _ => self.looks.with(Looks::VERSION_SORT),
                };
                kept.version = [b";", part].concat();
            }
            [b'P', b'=', pattern @ ..] => self.take_pattern(pattern, kept),
            _ => return false,
        }
        true
    }

    fn take_pattern(&mut self, pattern: &[u8], kept: &mut Kept) {
        let decoded = (!pattern.is_empty()).then(|| decoded(pattern)).flatten();
        if let Some(decoded) = &decoded {
            kept.pattern = b";P=".to_vec();
            quote::escape_path(&mut kept.pattern, decoded);
        }
        self.pattern = decoded.map(|decoded| Names::new(&decoded));
    }

    /// Whether the query is about a name.
    pub fn is_about(&self, name: &[u8]) -> bool {
        self.pattern.as_ref().is_none_or(|pattern| pattern.match_name(name))
    }
}

fn form(settings: &Listing) -> Form {
    let looks = settings.options.looks();
    if !settings.options.are_said() {
        Form::Own
    } else if looks.has(Looks::TABLE) {
        Form::Table
    } else if looks.has(Looks::FANCY) {
        Form::Fancy
    } else {
        Form::Plain
    }
}

#[derive(Default)]
struct Kept {
    form: Vec<u8>,
    version: Vec<u8>,
    pattern: Vec<u8>,
}

impl Names {
    /// A backslash stands for itself, and a dot at the beginning is matched by a dot alone (`FNM_PERIOD`).
    fn new(pattern: &[u8]) -> Names {
        let mut literal = Vec::with_capacity(pattern.len());
        for byte in pattern {
            literal.push(*byte);
            if *byte == b'\\' {
                literal.push(b'\\');
            }
        }
        Names {
            glob: Glob::new(&literal),
            begins_with_dot: pattern.first() == Some(&b'.'),
        }
    }

    fn match_name(&self, name: &[u8]) -> bool {
        (name.first() != Some(&b'.') || self.begins_with_dot) && self.glob.matches(name, Slash::Ordinary)
    }
}

/// `text` with its `%xx` decoded; nothing where one is broken, or stands for a slash or a NUL.
fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        match rest {
            [b'%', high, low, after @ ..] => {
                let byte = ascii::hex_value(*high)? << 4 | ascii::hex_value(*low)?;
                if matches!(byte, b'/' | 0) {
                    return None;
                }
                plain.push(byte);
                rest = after;
            }
            [b'%', ..] => return None,
            [byte, after @ ..] => {
                plain.push(*byte);
                rest = after;
            }
            [] => return Some(plain),
        }
    }
}
