//! Name-value pairs (section 3.4): how FCGI_PARAMS and the management records carry variables.

use std::fmt;

/// All pairs of a request may have so many bytes together; no directive moves it. Environments of real requests have a
/// hundredth of that, and a peer that sends more would have them kept in memory.
pub const MAX_PARAMS: usize = 1 << 20;

/// The longest name or value that one byte can announce.
const SHORT: usize = 0x7f;

/// A length of four bytes has this bit set.
const LONG: u32 = 0x8000_0000;

/// A name and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Why pairs cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamsError {
    /// They end within a pair.
    CutShort,
    /// There is more of them than [`MAX_PARAMS`].
    TooMuch,
}

impl fmt::Display for ParamsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParamsError::CutShort => f.write_str("the name-value pairs end within a pair"),
            ParamsError::TooMuch => write!(f, "the name-value pairs are longer than {} KiB", MAX_PARAMS / 1024),
        }
    }
}

/// Appends one pair. `false`, and nothing is appended, where a length has more than 31 bits.
#[must_use]
pub fn append(out: &mut Vec<u8>, name: &[u8], value: &[u8]) -> bool {
    let (Some(name_length), Some(value_length)) = (Length::of(name), Length::of(value)) else {
        return false;
    };
    name_length.append(out);
    value_length.append(out);
    out.extend_from_slice(name);
    out.extend_from_slice(value);
    true
}

/// A length that has a form.
struct Length(u32);

impl Length {
    fn of(bytes: &[u8]) -> Option<Length> {
        u32::try_from(bytes.len())
            .ok()
            .filter(|length| length & LONG == 0)
            .map(Length)
    }

    fn append(&self, out: &mut Vec<u8>) {
        match u8::try_from(self.0) {
            Ok(short) if usize::from(short) <= SHORT => out.push(short),
            _ => out.extend_from_slice(&(self.0 | LONG).to_be_bytes()),
        }
    }
}

/// Pairs as they come in, whole or in pieces.
#[derive(Debug, Default)]
pub struct ParamsReader {
    pairs: Vec<Pair>,
    unread: Vec<u8>,
    total: usize,
}

impl ParamsReader {
    /// A reader before its first byte.
    pub fn new() -> ParamsReader {
        ParamsReader::default()
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), ParamsError> {
        self.total = self.total.saturating_add(bytes.len());
        if self.total > MAX_PARAMS {
            return Err(ParamsError::TooMuch);
        }
        self.unread.extend_from_slice(bytes);
        let mut rest = self.unread.as_slice();
        while let Some((name, value, behind)) = pair(rest)? {
            self.pairs.push((name.to_vec(), value.to_vec()));
            rest = behind;
        }
        let read = self.unread.len() - rest.len();
        self.unread.drain(..read);
        Ok(())
    }

    /// The end: all pairs, in the order in which they came.
    pub fn end(self) -> Result<Vec<Pair>, ParamsError> {
        if self.unread.is_empty() {
            Ok(self.pairs)
        } else {
            Err(ParamsError::CutShort)
        }
    }
}

/// All pairs of a management record.
pub fn whole(bytes: &[u8]) -> Result<Vec<Pair>, ParamsError> {
    let mut reader = ParamsReader::new();
    reader.push(bytes)?;
    reader.end()
}

/// The first pair and what is behind it; `None` while it is not whole.
#[expect(clippy::type_complexity, reason = "two slices and the rest")]
fn pair(bytes: &[u8]) -> Result<Option<(&[u8], &[u8], &[u8])>, ParamsError> {
    let Some((name_length, rest)) = length(bytes) else {
        return Ok(None);
    };
    let Some((value_length, rest)) = length(rest) else {
        return Ok(None);
    };
    if name_length.saturating_add(value_length) > MAX_PARAMS {
        return Err(ParamsError::TooMuch);
    }
    Ok(rest.split_at_checked(name_length).and_then(|(name, rest)| {
        let (value, rest) = rest.split_at_checked(value_length)?;
        Some((name, value, rest))
    }))
}

/// A length of one byte or four, and what is behind it.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    if usize::from(*first) <= SHORT {
        return Some((usize::from(*first), rest));
    }
    let (four, rest) = bytes.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes(*four) & !LONG;
    Some((usize::try_from(length).unwrap_or(usize::MAX), rest))
}
