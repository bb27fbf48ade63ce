//! A document's text and elements, found as the document comes, in any pieces (`mod_include`'s parser).

use std::sync::Arc;

use memchr::memmem;

#[cfg(test)]
mod tests;

/// An element that goes on for longer is an error, and what follows is text again. No directive moves it.
pub const LONGEST: usize = 64 * 1024;

/// A piece of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text, to be shown as it is.
    Text(Vec<u8>),
    /// An element, to be carried out.
    Element(Element),
}

/// An element: `<!--#name argument="value" -->`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Its name in lower case.
    pub name: Vec<u8>,
    /// Its arguments, in order.
    pub arguments: Vec<Argument>,
    /// What is wrong with its shape; the first fault found.
    pub fault: Option<Fault>,
}

/// An argument of an element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Argument {
    /// Its name in lower case; empty where it has none.
    pub name: Vec<u8>,
    /// Its value, without quotes and the backslashes before quotes inside; none where only the name stands.
    pub value: Option<Vec<u8>>,
}

/// What can be wrong with the shape of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It has no name.
    NoName,
    /// A value has no name before it.
    NoArgumentName,
    /// It is longer than [`LONGEST`].
    TooLong,
}

/// How a document ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As text.
    Whole,
    /// Within an element.
    Unfinished,
}

/// Takes a document apart.
#[derive(Debug)]
pub struct Scanner {
    tags: Tags,
    state: State,
    /// Bytes of text that may begin an element.
    held: Vec<u8>,
    element: Element,
    /// How long the element is so far.
    length: usize,
}

/// What elements begin and end with; neither is empty.
#[derive(Clone, Debug)]
pub struct Tags {
    /// `<!--#`
    pub start: Arc<[u8]>,
    /// `-->`
    pub end: Arc<[u8]>,
}

impl Default for Tags {
    fn default() -> Tags {
        Tags {
            start: Arc::from(&b"<!--#"[..]),
            end: Arc::from(&b"-->"[..]),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Text,
    Name,
    /// So many bytes of the end tag have come directly behind the name.
    NameTail(usize),
    BeforeArgument,
    /// So many bytes of the end tag have come where an argument might begin.
    Tail(usize),
    ArgumentName,
    Equals,
    BeforeValue,
    /// In a value: its quote, and whether a backslash was the last byte.
    Value(Option<u8>, Backslash),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backslash {
    No,
    Seen,
}

impl Scanner {
    /// At the beginning of a document.
    pub fn new(tags: Tags) -> Scanner {
        Scanner {
            tags,
            state: State::Text,
            held: Vec::new(),
            element: Element::default(),
            length: 0,
        }
    }

    /// Takes the next bytes, and appends what they complete to `pieces`.
    pub fn push(&mut self, bytes: &[u8], pieces: &mut Vec<Piece>) {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match self.state {
                State::Text => self.text(rest, pieces),
                _ => self.element_bytes(rest, pieces),
            };
        }
    }

    /// The document has ended.
    pub fn finish(&mut self, pieces: &mut Vec<Piece>) -> Ending {
        if self.state != State::Text {
            return Ending::Unfinished;
        }
        put_text(std::mem::take(&mut self.held), pieces);
        Ending::Whole
    }

    /// Text up to the start tag, or what cannot begin one; what follows it.
    fn text<'b>(&mut self, bytes: &'b [u8], pieces: &mut Vec<Piece>) -> &'b [u8] {
        let start = Arc::clone(&self.tags.start);
        let before = self.held.len();
        let joined;
        let all: &[u8] = if before == 0 {
            bytes
        } else {
            // Only as much as a tag that has begun may need.
            let more = bytes.get(..start.len()).unwrap_or(bytes);
            joined = [self.held.as_slice(), more].concat();
            &joined
        };
        if let Some(at) = memmem::find(all, &start) {
            let (text, tail) = all.split_at(at);
            put_text(text.to_vec(), pieces);
            let behind = all.len() - (tail.len() - start.len());
            self.held.clear();
            self.begin_element();
            return bytes.get(behind - before..).unwrap_or_default();
        }
        let taken = all.len() - before;
        let longest = all.len().min(start.len() - 1);
        let partial = (1..=longest).rev().find(|length| {
            let tail = all.get(all.len() - length..).unwrap_or_default();
            start.starts_with(tail)
        });
        let (text, held) = all.split_at(all.len() - partial.unwrap_or(0));
        put_text(text.to_vec(), pieces);
        self.held = held.to_vec();
        bytes.get(taken..).unwrap_or_default()
    }

    fn begin_element(&mut self) {
        self.element = Element::default();
        self.length = 0;
        self.state = State::Name;
    }

    fn element_bytes<'b>(&mut self, bytes: &'b [u8], pieces: &mut Vec<Piece>) -> &'b [u8] {
        for (at, byte) in bytes.iter().enumerate() {
            self.length += 1;
            if self.length > LONGEST {
                self.blame(Fault::TooLong);
                self.state = State::Text;
            } else {
                self.step(*byte);
            }
            if self.state == State::Text {
                let mut element = std::mem::take(&mut self.element);
                if element.name.is_empty() && element.fault.is_none() {
                    element.fault = Some(Fault::NoName);
                }
                pieces.push(Piece::Element(element));
                return bytes.get(at + 1..).unwrap_or_default();
            }
        }
        &[]
    }

    fn blame(&mut self, fault: Fault) {
        self.element.fault.get_or_insert(fault);
    }

    fn step(&mut self, byte: u8) {
        match self.state {
            State::Text => {}
            State::Name => self.name(byte),
            State::NameTail(matched) => self.name_tail(byte, matched),
            State::BeforeArgument | State::Equals | State::BeforeValue if is_space(byte) => {}
            State::BeforeArgument if self.tags.end.first() == Some(&byte) => self.tail_goes_on(1),
            State::BeforeArgument => self.begin_argument(byte),
            State::Tail(matched) => self.tail(byte, matched),
            State::ArgumentName => self.argument_name(byte),
            State::Equals if byte == b'=' => self.state = State::BeforeValue,
            State::Equals => {
                self.state = State::BeforeArgument;
                self.step(byte);
            }
            State::BeforeValue => {
                self.value_mut().get_or_insert_default();
                if is_quote(byte) {
                    self.state = State::Value(Some(byte), Backslash::No);
                } else {
                    self.state = State::Value(None, Backslash::No);
                    self.step(byte);
                }
            }
            State::Value(quote, backslash) => self.value(byte, quote, backslash),
        }
    }

    fn name(&mut self, byte: u8) {
        if is_space(byte) {
            self.state = State::BeforeArgument;
        } else if self.tags.end.first() == Some(&byte) {
            // The space before the end tag may be missing.
            self.name_tail_goes_on(1);
        } else {
            self.element.name.push(byte.to_ascii_lowercase());
        }
    }

    fn name_tail(&mut self, byte: u8, matched: usize) {
        if self.tags.end.get(matched) == Some(&byte) {
            self.name_tail_goes_on(matched + 1);
        } else {
            let seen = self.tags.end.get(..matched).unwrap_or_default();
            self.element.name.extend(seen.iter().map(u8::to_ascii_lowercase));
            self.state = State::Name;
            self.step(byte);
        }
    }

    fn name_tail_goes_on(&mut self, matched: usize) {
        self.state = if matched == self.tags.end.len() {
            State::Text
        } else {
            State::NameTail(matched)
        };
    }

    fn tail(&mut self, byte: u8, matched: usize) {
        if self.tags.end.get(matched) == Some(&byte) {
            return self.tail_goes_on(matched + 1);
        }
        // It was an argument.
        let end = Arc::clone(&self.tags.end);
        let mut seen = end.get(..matched).unwrap_or_default().iter();
        if let Some(first) = seen.next() {
            self.begin_argument(*first);
        }
        for byte in seen.chain([&byte]) {
            self.step(*byte);
        }
    }

    fn tail_goes_on(&mut self, matched: usize) {
        self.state = if matched == self.tags.end.len() {
            State::Text
        } else {
            State::Tail(matched)
        };
    }

    fn begin_argument(&mut self, first: u8) {
        self.element.arguments.push(Argument::default());
        if is_quote(first) {
            self.blame(Fault::NoArgumentName);
            self.value_mut().get_or_insert_default();
            self.state = State::Value(Some(first), Backslash::No);
        } else {
            self.state = State::ArgumentName;
            self.step(first);
        }
    }

    fn argument_name(&mut self, byte: u8) {
        let is_over = is_space(byte) || byte == b'=';
        let Some(argument) = self.element.arguments.last_mut() else {
            return;
        };
        if !is_over {
            argument.name.push(byte.to_ascii_lowercase());
            return;
        }
        if argument.name.is_empty() {
            self.blame(Fault::NoArgumentName);
        }
        self.state = State::Equals;
        self.step(byte);
    }

    fn value(&mut self, byte: u8, quote: Option<u8>, backslash: Backslash) {
        let is_over = match quote {
            Some(quote) => byte == quote && backslash == Backslash::No,
            None => is_space(byte),
        };
        if is_over {
            self.state = State::BeforeArgument;
            return;
        }
        let value = self.value_mut().get_or_insert_default();
        if backslash == Backslash::Seen && quote == Some(byte) {
            value.pop();
        }
        value.push(byte);
        let next = if quote.is_some() && byte == b'\\' {
            Backslash::Seen
        } else {
            Backslash::No
        };
        self.state = State::Value(quote, next);
    }

    fn value_mut(&mut self) -> &mut Option<Vec<u8>> {
        if self.element.arguments.is_empty() {
            self.element.arguments.push(Argument::default());
        }
        let last = self.element.arguments.last_mut();
        &mut last.expect("one was pushed if there was none").value
    }
}

fn put_text(text: Vec<u8>, pieces: &mut Vec<Piece>) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
}

fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'`')
}

/// White space of C's `isspace`.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\x0b' | b'\x0c' | b'\r')
}
