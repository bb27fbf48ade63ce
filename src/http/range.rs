//! Byte ranges (RFC 9110 §14): parsed, resolved against a length, merged and bounded as Apache does.

use std::ops::Range;

use crate::base::ascii;

/// A bound on the number of something in a Range field (`MaxRanges` and its kin).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// `none`: not even one.
    None,
    /// Up to so many.
    At(usize),
    /// `unlimited`
    Unlimited,
}

impl Bound {
    fn allows(self, count: usize) -> bool {
        match self {
            Bound::None => count == 0,
            Bound::At(most) => count <= most,
            Bound::Unlimited => true,
        }
    }
}

/// How much work a Range field may make; beyond it the field is ignored and the whole is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeLimits {
    /// Ranges that are sent (`MaxRanges`); [`Bound::None`] means ranges are not served at all.
    pub ranges: Bound,
    /// Ranges that touch the one before (`MaxRangeOverlaps`).
    pub overlaps: Bound,
    /// Ranges that start before the one before (`MaxRangeReversals`).
    pub reversals: Bound,
}

impl Default for RangeLimits {
    fn default() -> RangeLimits {
        RangeLimits {
            ranges: Bound::At(200),
            overlaps: Bound::At(20),
            reversals: Bound::At(20),
        }
    }
}

/// What a Range field makes of a representation of known length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ByteRanges {
    /// The field is absent, malformed, of another unit, or asks for too much: 200 and the whole.
    Whole,
    /// 206 with this part; not empty.
    Single(Range<u64>),
    /// 206 with these parts, in the order asked for.
    Multiple(Vec<Range<u64>>),
    /// No part of it exists: 416.
    Unsatisfiable,
}

impl ByteRanges {
    /// Resolves the value of a Range field for `length` bytes. Ranges that touch the one before are merged with it.
    pub fn resolve(field: &[u8], length: u64, limits: &RangeLimits) -> ByteRanges {
        let Some(list) = byte_list(field) else {
            return ByteRanges::Whole;
        };
        if length == 0 || limits.ranges == Bound::None {
            return ByteRanges::Whole;
        }
        let mut merged = Merged::default();
        let mut unsatisfiable = false;
        for member in list.split(|byte| *byte == b',') {
            let member = ascii::trim_ows(member);
            if member.is_empty() {
                continue;
            }
            match resolve_one(member, length) {
                None => return ByteRanges::Whole,
                Some(range) if range.is_empty() => unsatisfiable = true,
                Some(range) => merged.add(range),
            }
            if !merged.within(limits) {
                return ByteRanges::Whole;
            }
        }
        merged.into_ranges(length, unsatisfiable)
    }
}

/// What follows `bytes=`, the unit being of either case.
fn byte_list(field: &[u8]) -> Option<&[u8]> {
    let field = ascii::trim_ows(field);
    ascii::starts_with_ignore_case(field, b"bytes=").then(|| &field[6..])
}

/// One range cut to the length: empty if nothing of it exists, none if it is malformed.
fn resolve_one(spec: &[u8], length: u64) -> Option<Range<u64>> {
    let dash = memchr::memchr(b'-', spec)?;
    let (first, last) = (&spec[..dash], &spec[dash + 1..]);
    if first.is_empty() {
        return Some(length.saturating_sub(position(last)?)..length);
    }
    let first = position(first)?;
    let end = if last.is_empty() {
        length
    } else {
        let last = position(last)?;
        if last < first {
            return None;
        }
        last.saturating_add(1).min(length)
    };
    Some(first.min(end)..end)
}

/// A position; one too large for 64 bits is beyond every representation all the same.
fn position(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(ascii::parse_decimal(digits).unwrap_or(u64::MAX))
}

#[derive(Default)]
struct Merged {
    ranges: Vec<Range<u64>>,
    previous_start: u64,
    overlaps: usize,
    reversals: usize,
}

impl Merged {
    fn add(&mut self, range: Range<u64>) {
        self.reversals += usize::from(range.start < self.previous_start);
        self.previous_start = range.start;
        match self.ranges.last_mut() {
            Some(last) if range.start <= last.end && last.start <= range.end => {
                self.overlaps += 1;
                *last = last.start.min(range.start)..last.end.max(range.end);
            }
            _ => self.ranges.push(range),
        }
    }

    fn within(&self, limits: &RangeLimits) -> bool {
        limits.ranges.allows(self.ranges.len())
            && limits.overlaps.allows(self.overlaps)
            && limits.reversals.allows(self.reversals)
    }

    fn into_ranges(mut self, length: u64, unsatisfiable: bool) -> ByteRanges {
        let sum = self
            .ranges
            .iter()
            .fold(0_u64, |sum, range| sum.saturating_add(range.end - range.start));
        match self.ranges.len() {
            0 if unsatisfiable => ByteRanges::Unsatisfiable,
            0 => ByteRanges::Whole,
            _ if sum > length => ByteRanges::Whole,
            1 => ByteRanges::Single(self.ranges.remove(0)),
            _ => ByteRanges::Multiple(self.ranges),
        }
    }
}

/// Appends a Content-Range value: `bytes 0-4/10`, the range not being empty.
pub fn append_content_range(out: &mut Vec<u8>, range: &Range<u64>, length: u64) {
    out.extend_from_slice(b"bytes ");
    ascii::append_decimal(out, range.start);
    out.push(b'-');
    ascii::append_decimal(out, range.end.saturating_sub(1));
    out.push(b'/');
    ascii::append_decimal(out, length);
}

/// Appends the Content-Range value of a 416: `bytes */10`.
pub fn append_unsatisfied_range(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"bytes */");
    ascii::append_decimal(out, length);
}

#[cfg(test)]
mod tests;
