//! A head with the field lines of the head before, as most heads of one client have them, and all of many programs: the lines are
//! compared with those, and not read again.

use std::mem::swap;

use memchr::memchr;

use crate::http::fields::Fields;
use crate::http::head::request_line::may_stand_in_target;
use crate::http::head::{HEAD_SIZE, HeadLimits, ProtocolOptions, RequestHead, Version};
use crate::http::method::Method;

/// Lines with one of these are compared with nobody's: how long that takes could tell something of them.
const SECRETS: [&[u8]; 3] = [b"authorization", b"cookie", b"proxy-authorization"];

/// What is known of field lines.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    /// They are as they came, and were read within these limits.
    within: Option<HeadLimits>,
    /// The number of the one that is the only Host field.
    pub(super) host: Option<usize>,
}

impl Lines {
    /// Nothing: they may have been changed.
    pub(super) const CHANGED: Lines = Lines {
        within: None,
        host: None,
    };
}

/// The field lines of the head before.
#[derive(Debug)]
pub(super) struct Earlier {
    fields: Fields,
    lines: Lines,
}

impl Earlier {
    pub(super) const NONE: Earlier = Earlier {
        fields: Fields::new(),
        lines: Lines::CHANGED,
    };

    /// How many bytes it holds memory for.
    pub(super) fn capacity(&self) -> usize {
        self.fields.capacity()
    }
}

impl Clone for Earlier {
    /// A copy of a head is not read into.
    fn clone(&self) -> Earlier {
        Earlier::NONE
    }
}

impl RequestHead {
    /// The lines were just taken as they came, within these limits.
    pub(super) fn know_lines(&mut self, limits: &HeadLimits) {
        let has_secret = SECRETS.iter().any(|name| self.fields.contains(name));
        self.lines = Lines {
            within: (!has_secret).then_some(*limits),
            host: self.fields.only_position(b"host"),
        };
    }

    /// Takes the lines out, and keeps them if the next ones may be compared with them.
    pub(super) fn put_lines_aside(&mut self) {
        if self.lines.within.is_some() {
            self.change_lines();
        }
        self.fields.clear();
        self.lines = Lines::CHANGED;
    }

    fn change_lines(&mut self) {
        swap(&mut self.fields, &mut self.earlier.fields);
        swap(&mut self.lines, &mut self.earlier.lines);
    }

    /// Reads a head with the lines of the one before into this empty one; its length, or none and nothing has changed.
    pub(super) fn read_again(&mut self, input: &[u8], limits: &HeadLimits, options: ProtocolOptions) -> Option<usize> {
        if self.earlier.lines.within.as_ref() != Some(limits) {
            return None;
        }
        let (line, rest) = input.split_at_checked(memchr(b'\r', input)?)?;
        let block = self.earlier.fields.block();
        if !rest.strip_prefix(b"\r\n")?.starts_with(block) {
            return None;
        }
        let consumed = line.len() + 2 + block.len();
        let (words, version) = match line.split_last_chunk()? {
            (words, b" HTTP/1.1") => (words, Version::V11),
            (words, b" HTTP/1.0") => (words, Version::V10),
            _ => return None,
        };
        let (method, target) = match words {
            [b'G', b'E', b'T', b' ', target @ ..] => (Method::Get, target),
            [b'H', b'E', b'A', b'D', b' ', target @ ..] => (Method::Head, target),
            [b'P', b'O', b'S', b'T', b' ', target @ ..] => (Method::Post, target),
            _ => return None,
        };
        // All are looked at, many at one time.
        let is_target = target.iter().fold(true, |all, byte| all & may_stand_in_target(*byte));
        if target.is_empty() || !is_target || line.len() > limits.line || consumed > HEAD_SIZE {
            return None;
        }
        let name = words.len() - target.len() - 1;
        if !options.lets_pass(method, words.get(..name)?) {
            return None;
        }
        self.change_lines();
        self.line.extend_from_slice(line);
        self.method_end = name;
        self.method = method;
        self.target = name + 1..words.len();
        self.version = version;
        Some(consumed)
    }
}

#[cfg(test)]
mod tests;
