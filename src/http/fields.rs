//! Fields of a response: ordered names and values (RFC 9110 §5), and what may stand in them.

use std::borrow::Cow;
use std::ops::Range;

use crate::base::ascii;

/// An ordered list of fields. Names compare without regard to case and keep the case they were given.
///
/// No name or value in it can break a head apart: see [`Fields::append`] and [`Fields::try_append`].
#[derive(Clone, Debug, Default)]
pub struct Fields {
    text: Vec<u8>,
    entries: Vec<Entry>,
    marks: Marks,
}

/// Which names may be among the fields: most questions are about one that is not, and are answered by one bit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Marks(u64);

impl Marks {
    const NONE: Marks = Marks(0);

    /// Those of all these names.
    pub fn of_all<'n>(names: impl Iterator<Item = &'n [u8]>) -> Marks {
        Marks(names.fold(0, |marks, name| marks | Marks::of(name)))
    }

    /// The mark of a name, the same in any case.
    #[inline]
    const fn of(name: &[u8]) -> u64 {
        let (first, last) = match name {
            [first, .., last] => (*first | 0x20, *last | 0x20),
            [only] => (*only | 0x20, *only | 0x20),
            [] => (0x20, 0x20),
        };
        let mixed = first as usize + 5 * last as usize + 11 * name.len();
        1 << (mixed % 64)
    }

    /// Adds the mark of a name, which it returns.
    #[inline]
    fn add(&mut self, name: &[u8]) -> u64 {
        let mark = Marks::of(name);
        self.0 |= mark;
        mark
    }

    #[inline]
    fn may_have(self, mark: u64) -> bool {
        self.0 & mark != 0
    }
}

/// Names that are asked for together: where there is none of them, one look tells.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    names: &'static [&'static [u8]],
    marks: u64,
}

impl Names {
    /// These.
    pub const fn new(names: &'static [&'static [u8]]) -> Names {
        let (mut marks, mut rest) = (0, names);
        while let [name, others @ ..] = rest {
            marks |= Marks::of(name);
            rest = others;
        }
        Names { names, marks }
    }

    /// They one by one.
    pub fn iter(&self) -> impl Iterator<Item = &'static [u8]> {
        self.names.iter().copied()
    }
}

#[derive(Clone, Debug)]
struct Entry {
    /// The mark of its name.
    mark: u64,
    name: Range<usize>,
    value: Range<usize>,
}

/// Up to so many lines of a head are parsed without asking for memory; more work as well. Most heads have no more than the first
/// of these: the room for them is made ready each time.
const FEW: usize = 16;
const MORE: usize = 64;

/// Why a field was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldError {
    /// The name is not a token.
    Name,
    /// The value holds a control byte.
    Value,
}

impl Fields {
    /// No fields.
    pub const fn new() -> Fields {
        Fields {
            text: Vec::new(),
            entries: Vec::new(),
            marks: Marks::NONE,
        }
    }

    /// No fields, and room for so many, of so many bytes in all.
    pub fn with_room(fields: usize, bytes: usize) -> Fields {
        Fields {
            text: Vec::with_capacity(bytes),
            entries: Vec::with_capacity(fields),
            marks: Marks::NONE,
        }
    }

    /// How many bytes it holds memory for.
    pub fn capacity(&self) -> usize {
        self.text.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    /// Adds a field of ours after those there are. A control byte in the value becomes a space (RFC 9110 §5.5), and a
    /// name that is not a token adds nothing; for names and values made by others there is [`Fields::try_append`].
    pub fn append(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let name = name.as_ref();
        if is_field_name(name) {
            self.push(name, value.as_ref());
        }
    }

    /// Adds a field of ours whose value is a number.
    pub fn append_decimal(&mut self, name: &'static str, number: u64) {
        let (mark, name) = (self.marks.add(name.as_bytes()), self.store(name.as_bytes()));
        let start = self.text.len();
        ascii::append_decimal(&mut self.text, number);
        let value = start..self.text.len();
        self.entries.push(Entry { mark, name, value });
    }

    fn push(&mut self, name: &[u8], value: &[u8]) {
        let entry = Entry {
            mark: self.marks.add(name),
            name: self.store(name),
            value: self.store_value(value),
        };
        self.entries.push(entry);
    }

    /// Adds a field after those there are, or tells what is wrong with it.
    pub fn try_append(&mut self, name: &[u8], value: &[u8]) -> Result<(), FieldError> {
        if !is_field_name(name) {
            return Err(FieldError::Name);
        }
        if !is_field_value(value) {
            return Err(FieldError::Value);
        }
        self.push(name, value);
        Ok(())
    }

    /// Adds to the value of the field that was added last, behind a space: a line that goes on (RFC 9112 section 5.2).
    pub(super) fn continue_last(&mut self, more: &[u8]) {
        let Some(last) = self.entries.last().map(|entry| entry.value.clone()) else {
            return;
        };
        // It mostly is the last of the text, and grows in its place: a value of many lines is not copied for each of them.
        let start = if last.end == self.text.len() {
            last.start
        } else {
            let start = self.text.len();
            self.text.extend_from_within(last);
            start
        };
        self.text.push(b' ');
        self.text.extend_from_slice(ascii::trim_ows(more));
        let value = start..self.text.len();
        if let Some(entry) = self.entries.last_mut() {
            entry.value = value;
        }
    }

    /// Makes `value` the one value of `name`: it takes the place of the first such field, others go.
    pub fn set(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let name = name.as_ref();
        let Some(first) = self.position(name) else {
            self.append(name, value);
            return;
        };
        let value = self.store_value(value.as_ref());
        if let Some(entry) = self.entries.get_mut(first) {
            entry.value = value;
        }
        let (text, sought, mut at) = (&self.text, Sought::of(name), 0);
        self.entries.retain(|entry| {
            at += 1;
            at - 1 <= first || !sought.is_that_of(entry, text)
        });
    }

    /// Adds to the first line of that name, behind a comma; a line of its own where there is none.
    pub fn merge(&mut self, name: impl AsRef<[u8]>, value: &[u8]) {
        let name = name.as_ref();
        let Some(first) = self.position(name) else {
            return self.append(name, value);
        };
        let old = self.value(name).unwrap_or_default();
        let whole = [old, b", ", value].concat();
        let value = self.store_value(&whole);
        if let Some(entry) = self.entries.get_mut(first) {
            entry.value = value;
        }
    }

    /// Takes every field of that name out; tells whether there was one.
    pub fn remove(&mut self, name: impl AsRef<[u8]>) -> bool {
        let (text, sought, before) = (&self.text, Sought::of(name.as_ref()), self.entries.len());
        if !self.marks.may_have(sought.mark) {
            return false;
        }
        self.entries.retain(|entry| !sought.is_that_of(entry, text));
        self.entries.len() < before
    }

    /// Takes every field of any of these names out.
    pub fn remove_all(&mut self, names: &[&str]) {
        let text = &self.text;
        let is_one = |entry: &Entry| {
            names
                .iter()
                .any(|name| Sought::of(name.as_bytes()).is_that_of(entry, text))
        };
        self.entries.retain(|entry| !is_one(entry));
    }

    /// Whether there is a field of that name.
    pub fn contains(&self, name: impl AsRef<[u8]>) -> bool {
        self.position(name.as_ref()).is_some()
    }

    /// The first value of that name.
    #[inline]
    pub fn value(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        let entry = self.entries.get(self.position(name.as_ref())?)?;
        Some(&self.text[entry.value.clone()])
    }

    /// The number of the one field of that name; none if there are more.
    pub(super) fn only_position(&self, name: &[u8]) -> Option<usize> {
        let sought = Sought::of(name);
        let entries = self.entries.iter().enumerate();
        let mut found = entries.filter(|(_, entry)| sought.is_that_of(entry, &self.text));
        let (number, _) = found.next()?;
        found.next().is_none().then_some(number)
    }

    /// The value of that number.
    #[inline]
    pub(super) fn value_at(&self, number: usize) -> Option<&[u8]> {
        self.text.get(self.entries.get(number)?.value.clone())
    }

    /// The lines as they were taken, where nothing was changed since.
    pub(super) fn block(&self) -> &[u8] {
        &self.text
    }

    /// Whether there may be a field of one of the names with these marks; no is sure.
    #[inline]
    pub fn may_have(&self, marks: Marks) -> bool {
        self.marks.may_have(marks.0)
    }

    /// Whether there may be a field of one of these names; no is sure.
    #[inline]
    pub fn may_have_any(&self, names: &Names) -> bool {
        self.marks.may_have(names.marks)
    }

    /// Every value of that name in order.
    #[inline]
    pub fn values<'f, 'n>(&'f self, name: &'n [u8]) -> Values<'f, 'n> {
        let sought = Sought::of(name);
        let rest = self.entries_for(&sought).iter();
        Values {
            text: &self.text,
            rest,
            sought,
        }
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries
            .iter()
            .map(|entry| (&self.text[entry.name.clone()], &self.text[entry.value.clone()]))
    }

    /// All values of that name as one: joined with `, `, cookies with `; ` (RFC 9110 §5.3, RFC 6265 §5.4).
    pub fn joined(&self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        let mut values = self.values(name);
        let mut whole = Cow::Borrowed(values.next()?);
        for value in values {
            let is_cookie = name.eq_ignore_ascii_case(b"cookie");
            let all = whole.to_mut();
            all.extend_from_slice(if is_cookie { b"; " } else { b", " });
            all.extend_from_slice(value);
        }
        Some(whole)
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes all fields out and keeps the memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.entries.clear();
        self.marks = Marks::NONE;
    }

    /// Appends `Name: value` lines, without the empty line that ends a head.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        for (name, value) in self.iter() {
            append_line(out, name, value);
        }
    }

    /// Replaces everything by the lines of a received head: `block` holds `count` lines and the empty line after them.
    pub(super) fn parse_block(&mut self, block: &[u8], count: usize) -> Result<(), FieldError> {
        self.clear();
        self.text.extend_from_slice(block);
        if count <= FEW {
            self.find_lines(&mut [httparse::EMPTY_HEADER; FEW])
        } else if count <= MORE {
            self.find_lines(&mut [httparse::EMPTY_HEADER; MORE])
        } else {
            self.find_lines(&mut vec![httparse::EMPTY_HEADER; count])
        }
    }

    /// Puts the lines of a received head into these empty ones: `block` holds them and the empty line after them, and `lines`
    /// are slices of it. False, and nothing has changed, where a line is longer than `longest` or does not end in CR and LF
    /// directly behind its value.
    pub(super) fn take_lines(&mut self, block: &[u8], lines: &[httparse::Header<'_>], longest: usize) -> bool {
        let start = block.as_ptr().addr();
        self.entries.reserve(lines.len());
        for line in lines {
            let name_at = line.name.as_ptr().addr().wrapping_sub(start);
            let value_at = line.value.as_ptr().addr().wrapping_sub(start);
            let value_end = value_at.wrapping_add(line.value.len());
            // A CR behind a value is always followed by LF.
            if block.get(value_end) != Some(&b'\r') || value_end.wrapping_sub(name_at) > longest {
                self.clear();
                return false;
            }
            self.entries.push(Entry {
                mark: self.marks.add(line.name.as_bytes()),
                name: name_at..name_at + line.name.len(),
                value: value_at..value_end,
            });
        }
        if !block.ends_with(b"\r\n") {
            self.clear();
            return false;
        }
        self.text.extend_from_slice(block);
        true
    }

    /// Finds names and values in the text, which is a block of lines.
    fn find_lines<'t>(&'t mut self, lines: &mut [httparse::Header<'t>]) -> Result<(), FieldError> {
        let start = self.text.as_ptr().addr();
        // The parts are slices of `text`; an empty one may point anywhere.
        let place = |part: &[u8]| {
            let from = part.as_ptr().addr().wrapping_sub(start);
            if part.is_empty() { 0..0 } else { from..from + part.len() }
        };
        match httparse::parse_headers(&self.text, lines) {
            Ok(httparse::Status::Complete((_, lines))) => {
                self.entries.extend(lines.iter().map(|line| Entry {
                    mark: self.marks.add(line.name.as_bytes()),
                    name: place(line.name.as_bytes()),
                    value: place(line.value),
                }));
                Ok(())
            }
            Err(httparse::Error::HeaderName) => Err(FieldError::Name),
            Err(_) | Ok(httparse::Status::Partial) => Err(FieldError::Value),
        }
    }

    /// The entries among which one of that name is, if there is one at all.
    #[inline]
    fn entries_for(&self, sought: &Sought<'_>) -> &[Entry] {
        if self.marks.may_have(sought.mark) {
            &self.entries
        } else {
            &[]
        }
    }

    #[inline]
    fn position(&self, name: &[u8]) -> Option<usize> {
        let sought = Sought::of(name);
        self.entries_for(&sought)
            .iter()
            .position(|entry| sought.is_that_of(entry, &self.text))
    }

    fn store(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.text.len();
        self.text.extend_from_slice(bytes);
        start..self.text.len()
    }

    fn store_value(&mut self, value: &[u8]) -> Range<usize> {
        let value = ascii::trim_ows(value);
        let range = self.store(value);
        if !is_field_value(value) {
            for byte in &mut self.text[range.clone()] {
                if !is_value_byte(*byte) {
                    *byte = b' ';
                }
            }
        }
        range
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Fields) -> bool {
        self.iter().eq(other.iter())
    }
}

/// A name that is looked for.
#[derive(Clone, Copy, Debug)]
struct Sought<'a> {
    name: &'a [u8],
    mark: u64,
}

impl Sought<'_> {
    #[inline]
    fn of(name: &[u8]) -> Sought<'_> {
        let mark = Marks::of(name);
        Sought { name, mark }
    }

    #[inline]
    fn is_that_of(&self, entry: &Entry, text: &[u8]) -> bool {
        entry.mark == self.mark && are_alike(&text[entry.name.clone()], self.name)
    }
}

/// Whether two names are the same but for the case of letters. Most are asked for as they are written, or differ by their
/// capitals.
#[inline]
fn are_alike(left: &[u8], right: &[u8]) -> bool {
    let is_alike = |(left, right): (&u8, &u8)| left == right || left.eq_ignore_ascii_case(right);
    left.len() == right.len() && (left == right || left.iter().zip(right).all(is_alike))
}

/// See [`Fields::values`].
#[derive(Clone, Debug)]
pub struct Values<'f, 'n> {
    text: &'f [u8],
    rest: std::slice::Iter<'f, Entry>,
    sought: Sought<'n>,
}

impl<'f> Iterator for Values<'f, '_> {
    type Item = &'f [u8];

    #[inline]
    fn next(&mut self) -> Option<&'f [u8]> {
        let Values { text, rest, sought } = self;
        let entry = rest.find(|entry| sought.is_that_of(entry, text))?;
        Some(&self.text[entry.value.clone()])
    }
}

/// Appends one line of a head.
pub fn append_line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Whether `name` may name a field: a token (RFC 9110 §5.1).
pub fn is_field_name(name: &[u8]) -> bool {
    ascii::is_token(name)
}

/// Whether `value` may be a field's value: no control byte but the tab (RFC 9110 §5.5).
pub fn is_field_value(value: &[u8]) -> bool {
    // All of them are looked at, many at one time.
    value.iter().fold(true, |all, byte| all & is_value_byte(*byte))
}

fn is_value_byte(byte: u8) -> bool {
    byte >= b' ' && byte != 0x7f || byte == b'\t'
}

/// The members of a comma-separated list (RFC 9110 §5.6.1): white space around them is cut, empty ones are left out, a
/// comma inside a quoted string does not part them.
pub fn list_members(value: &[u8]) -> ListMembers<'_> {
    ListMembers { rest: value }
}

/// See [`list_members`].
#[derive(Clone, Debug)]
pub struct ListMembers<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for ListMembers<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let (member, rest) = match comma(self.rest) {
                Some(at) => (&self.rest[..at], &self.rest[at + 1..]),
                None => (self.rest, &b""[..]),
            };
            self.rest = rest;
            let member = ascii::trim_ows(member);
            if !member.is_empty() {
                return Some(member);
            }
        }
        None
    }
}

/// Where the first comma outside of quotes is.
fn comma(list: &[u8]) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    list.iter().position(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' => return !quoted,
            _ => {}
        }
        false
    })
}

/// Whether a comma-separated list of tokens has `token`, in any case.
pub fn list_has_token(value: &[u8], token: &[u8]) -> bool {
    list_members(value).any(|member| member.eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests;
