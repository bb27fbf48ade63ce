//! The chunked transfer coding (RFC 9112 §7.1), decoded as it arrives and encoded chunk by chunk.
//!
//! Extensions and trailer fields are checked and bounded. Extensions are dropped, and trailer fields too unless they are asked
//! for: nothing of a request's reaches a program.

use std::fmt;
use std::ops::Range;

use crate::base::ascii;
use crate::http::fields::Fields;
use crate::http::status::Status;

/// What one call of [`Decoder::decode`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Body bytes; there may be more behind `consumed`.
    Data {
        /// Bytes of the input that are done with, the body bytes among them.
        consumed: usize,
        /// Where in the input the body bytes are; not empty.
        data: Range<usize>,
    },
    /// The whole input is done with, and the body goes on.
    NeedMore,
    /// The body is over; what follows in the input is the next message.
    End {
        /// Bytes of the input that belong to the body.
        consumed: usize,
    },
}

/// Why a chunked body was refused. The connection closes: where the next message begins cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkError {
    /// No hexadecimal number, or one of more than 16 digits or 63 bits.
    Size,
    /// A control byte in a chunk extension, or white space before it.
    Extension,
    /// More extension bytes than any client needs.
    ExtensionsTooLarge,
    /// A line that does not end in CR LF, or chunk data that no CR LF follows.
    LineEnd,
    /// A trailer field that is none.
    Trailer,
    /// More trailer fields, or larger ones, than are put up with.
    TrailersTooLarge,
}

impl ChunkError {
    /// What the client is answered.
    pub fn status(self) -> Status {
        match self {
            ChunkError::ExtensionsTooLarge => Status::CONTENT_TOO_LARGE,
            ChunkError::TrailersTooLarge => Status::FIELDS_TOO_LARGE,
            _ => Status::BAD_REQUEST,
        }
    }
}

impl fmt::Display for ChunkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ChunkError::Size => "chunk size is not a hexadecimal number of 63 bits",
            ChunkError::Extension => "malformed chunk extension",
            ChunkError::ExtensionsTooLarge => "chunk extensions outweigh the body",
            ChunkError::LineEnd => "chunk or chunk line without CR LF after it",
            ChunkError::Trailer => "malformed trailer field",
            ChunkError::TrailersTooLarge => "trailer fields exceed 100 or 16384 bytes",
        })
    }
}

impl std::error::Error for ChunkError {}

/// Hexadecimal digits of a chunk size, leading zeros among them.
const SIZE_DIGITS: u8 = 16;
/// Extension bytes of one chunk; a larger extension is refused.
const EXTENSION: u64 = 4096;
/// Extension bytes of a whole body beyond as many as it has body bytes.
const EXTENSIONS_AHEAD: u64 = 16_384;
/// Bytes of all trailer lines.
const TRAILER_BYTES: u64 = 16_384;
/// Number of trailer fields.
const TRAILERS: u32 = 100;

/// A decoder for one body.
#[derive(Clone, Debug)]
pub struct Decoder {
    state: State,
    /// Bytes of chunk data still to come, or the size as far as read.
    left: u64,
    digits: u8,
    /// Extension bytes of this chunk and of all.
    extension: u64,
    extensions: u64,
    body: u64,
    trailers: u32,
    trailer_bytes: u64,
    /// The trailer's lines, where they are wanted.
    kept: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Padding,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Ended,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder::new()
    }
}

impl Decoder {
    /// A decoder at the start of a body.
    pub fn new() -> Decoder {
        Decoder {
            state: State::Size,
            left: 0,
            digits: 0,
            extension: 0,
            extensions: 0,
            body: 0,
            trailers: 0,
            trailer_bytes: 0,
            kept: None,
        }
    }

    /// The same for a body that is received of a server: it keeps the trailer fields, and white space behind a size is allowed.
    pub fn keeping_trailer() -> Decoder {
        Decoder {
            kept: Some(Vec::new()),
            ..Decoder::new()
        }
    }

    /// The trailer fields that were kept.
    pub fn trailer(&self) -> Fields {
        let mut fields = Fields::new();
        for line in self.kept.as_deref().unwrap_or_default().split(|byte| *byte == b'\n') {
            if let Some(colon) = memchr::memchr(b':', line) {
                let (name, value) = line.split_at(colon);
                fields.append(name, value.get(1..).unwrap_or_default());
            }
        }
        fields
    }

    /// Body bytes found so far.
    pub fn body_length(&self) -> u64 {
        self.body
    }

    /// Whether the end has been found.
    pub fn is_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// Reads on from where the last call stopped: `input` starts behind what that call consumed.
    pub fn decode(&mut self, input: &[u8]) -> Result<Step, ChunkError> {
        for (at, byte) in input.iter().enumerate() {
            if self.state == State::Data {
                return Ok(self.take_data(at, input.len()));
            }
            if self.state == State::Ended {
                return Ok(Step::End { consumed: at });
            }
            self.state = self.step(*byte)?;
        }
        if self.state == State::Ended {
            return Ok(Step::End { consumed: input.len() });
        }
        Ok(Step::NeedMore)
    }

    fn take_data(&mut self, from: usize, input_length: usize) -> Step {
        let there = input_length - from;
        let taken = usize::try_from(self.left).map_or(there, |left| left.min(there));
        self.left -= taken as u64;
        self.body += taken as u64;
        if self.left == 0 {
            self.state = State::DataCr;
        }
        let data = from..from + taken;
        Step::Data {
            consumed: data.end,
            data,
        }
    }

    fn step(&mut self, byte: u8) -> Result<State, ChunkError> {
        match (self.state, byte) {
            (State::Size, _) => self.size_byte(byte),
            (State::Padding, b' ' | b'\t') => Ok(State::Padding),
            (State::Padding, b';') => Ok(State::Extension),
            (State::Padding | State::Extension, b'\r') => Ok(State::SizeLf),
            (State::Extension, _) => self.extension_byte(byte),
            (State::SizeLf, b'\n') if self.left == 0 => Ok(State::TrailerStart),
            (State::SizeLf, b'\n') => Ok(State::Data),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => {
                (self.digits, self.extension) = (0, 0);
                Ok(State::Size)
            }
            (State::TrailerStart, b'\r') => Ok(State::EndLf),
            (State::TrailerStart | State::TrailerName | State::TrailerValue, _) => self.trailer_byte(byte),
            (State::TrailerLf, b'\n') => Ok(State::TrailerStart),
            (State::EndLf, b'\n') => Ok(State::Ended),
            (State::Data | State::Ended, _) => Ok(self.state),
            _ => Err(ChunkError::LineEnd),
        }
    }

    fn size_byte(&mut self, byte: u8) -> Result<State, ChunkError> {
        if let Some(digit) = ascii::hex_value(byte) {
            if self.digits == SIZE_DIGITS || self.left >> 59 != 0 {
                return Err(ChunkError::Size);
            }
            self.digits += 1;
            self.left = self.left << 4 | u64::from(digit);
            return Ok(State::Size);
        }
        match byte {
            _ if self.digits == 0 => Err(ChunkError::Size),
            b'\r' => Ok(State::SizeLf),
            b';' => Ok(State::Extension),
            b'\n' => Err(ChunkError::LineEnd),
            // Old servers fill the line up. Nobody reads their answer behind us, so that it has one end.
            b' ' | b'\t' if self.kept.is_some() => Ok(State::Padding),
            b' ' | b'\t' => Err(ChunkError::Extension),
            _ => Err(ChunkError::Size),
        }
    }

    fn extension_byte(&mut self, byte: u8) -> Result<State, ChunkError> {
        self.extension += 1;
        self.extensions += 1;
        match byte {
            b'\n' => Err(ChunkError::LineEnd),
            _ if byte.is_ascii_control() && byte != b'\t' => Err(ChunkError::Extension),
            _ if self.extension > EXTENSION || self.extensions > self.body.saturating_add(EXTENSIONS_AHEAD) => {
                Err(ChunkError::ExtensionsTooLarge)
            }
            _ => Ok(State::Extension),
        }
    }

    fn trailer_byte(&mut self, byte: u8) -> Result<State, ChunkError> {
        self.trailers += u32::from(self.state == State::TrailerStart);
        self.trailer_bytes += 1;
        if self.trailers > TRAILERS || self.trailer_bytes > TRAILER_BYTES {
            return Err(ChunkError::TrailersTooLarge);
        }
        if let Some(kept) = &mut self.kept {
            kept.push(if byte == b'\r' { b'\n' } else { byte });
        }
        match (self.state, byte) {
            (State::TrailerName, b':') => Ok(State::TrailerValue),
            (State::TrailerStart | State::TrailerName, _) if ascii::is_tchar(byte) => Ok(State::TrailerName),
            (State::TrailerValue, b'\r') => Ok(State::TrailerLf),
            (State::TrailerValue, _) if byte == b'\t' || !byte.is_ascii_control() => Ok(State::TrailerValue),
            (_, b'\n') => Err(ChunkError::LineEnd),
            _ => Err(ChunkError::Trailer),
        }
    }
}

/// What follows the data of every chunk.
pub const CHUNK_END: &[u8] = b"\r\n";
/// What follows the last chunk: a chunk of no bytes, no trailer fields.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The line before a chunk's data.
#[derive(Clone, Copy, Debug)]
pub struct ChunkHead {
    text: [u8; 18],
    start: usize,
}

impl ChunkHead {
    /// For a chunk of `length` bytes; not zero, which would end the body.
    pub fn new(length: usize) -> ChunkHead {
        debug_assert!(length > 0, "a chunk of no bytes ends the body");
        let mut text = [b'0'; 18];
        text[16..].copy_from_slice(b"\r\n");
        let (mut start, mut rest) = (16, length);
        while rest > 0 && start > 0 {
            start -= 1;
            text[start] = b"0123456789abcdef"[rest & 15];
            rest >>= 4;
        }
        ChunkHead { text, start }
    }

    /// The line with its end.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[self.start..]
    }
}

/// Appends `data` as one chunk; nothing for no data.
pub fn append_chunk(out: &mut Vec<u8>, data: &[u8]) {
    if !data.is_empty() {
        out.extend_from_slice(ChunkHead::new(data.len()).as_bytes());
        out.extend_from_slice(data);
        out.extend_from_slice(CHUNK_END);
    }
}

#[cfg(test)]
mod tests;
