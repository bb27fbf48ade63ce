//! The head of a request (RFC 9112 §2, §3, §5): request line and fields, parsed in pieces as they arrive.
//!
//! What could be read in two ways is refused. `httparse` reads the fields; lines, limits and the request line are ours. A head
//! that comes in one piece, and is nothing but usual, `httparse` reads as a whole: see `head/whole.rs`. One with the field lines
//! of the head before is hardly read at all: see `head/again.rs`.

use std::borrow::Cow;
use std::ops::Range;

use crate::http::depends;
use crate::http::fields::{FieldError, Fields, Marks, Names};
use crate::http::head::again::{Earlier, Lines};
use crate::http::method::Method;
use crate::http::target::{Target, TargetError};

mod again;
mod error;
mod request_line;
mod whole;

pub use error::ParseError;

/// The protocol version of a message. A higher minor version of HTTP/1 counts as 1.1 (RFC 9110 §2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// A simple request: one line, answered with a body alone (RFC 1945 §4.1).
    V09,
    /// HTTP/1.0
    V10,
    /// HTTP/1.1
    V11,
}

impl Version {
    /// As it stands in a request line, and in SERVER_PROTOCOL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Version::V09 => "HTTP/0.9",
            Version::V10 => "HTTP/1.0",
            Version::V11 => "HTTP/1.1",
        }
    }
}

/// How much of a head is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the request line; a longer one is a 414 (`LimitRequestLine`).
    pub line: usize,
    /// Bytes of one field with its name, folds included; a longer one is a 431 (`LimitRequestFieldSize`).
    pub field_size: usize,
    /// Number of fields, 0 for any; more are a 431 (`LimitRequestFields`).
    pub fields: usize,
}

impl Default for HeadLimits {
    fn default() -> HeadLimits {
        HeadLimits {
            line: 8190,
            field_size: 8190,
            fields: 100,
        }
    }
}

/// Whether odd syntax is refused (`HttpProtocolOptions Strict|Unsafe`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Syntax {
    /// By RFC 9112, without its leniences.
    #[default]
    Strict,
    /// Bare LF ends a line, a folded field is unfolded, words of the request line may be further apart.
    Unsafe,
}

/// Whether HTTP/0.9 is spoken (`HttpProtocolOptions Allow0.9|Require1.0`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Http09 {
    /// `GET /path` alone is a request.
    #[default]
    Allow,
    /// It is a 400.
    Refuse,
}

/// Which methods may pass (`HttpProtocolOptions LenientMethods|RegisteredMethods`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Methods {
    /// Any token.
    #[default]
    Lenient,
    /// Only those of [`Method`]; others are a 501.
    Registered,
}

/// `HttpProtocolOptions`; the default is Apache's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProtocolOptions {
    /// Strict or unsafe.
    pub syntax: Syntax,
    /// HTTP/0.9 or not.
    pub http09: Http09,
    /// Any method or registered ones.
    pub methods: Methods,
    /// Registered besides those of [`Method`] (`RegisterHttpMethod`).
    pub more_methods: &'static [Vec<u8>],
}

/// How far a head has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Its end has not arrived.
    Partial,
    /// It is whole.
    Complete {
        /// Its length in the input, with empty lines before it.
        consumed: usize,
    },
}

/// A request's head; reusable, so that a connection asks for memory once.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// The request line without its end, as far as received.
    line: Vec<u8>,
    method_end: usize,
    target: Range<usize>,
    method: Method,
    version: Version,
    fields: Fields,
    lines: Lines,
    earlier: Earlier,
    scan: Scan,
}

/// Where reading stopped, in bytes from the start of the input.
#[derive(Clone, Copy, Debug, Default)]
struct Scan {
    stage: Stage,
    /// Nothing before this needs to be looked at again.
    from: usize,
    line_start: usize,
    fields_start: usize,
    empty_lines: usize,
    fields: usize,
    field_size: usize,
    folded: bool,
}

impl Scan {
    const START: Scan = Scan {
        stage: Stage::RequestLine,
        from: 0,
        line_start: 0,
        fields_start: 0,
        empty_lines: 0,
        fields: 0,
        field_size: 0,
        folded: false,
    };
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    RequestLine,
    Fields,
    Ended,
}

/// Empty lines that a client may send before its request line (RFC 9112 §2.2 asks for one); one more is a 400. No
/// directive moves it.
const EMPTY_LINES: usize = 10;
/// A head of more bytes is a 431, whatever the limits say; no directive moves it.
const HEAD_SIZE: usize = 16 << 20;

impl Default for RequestHead {
    fn default() -> RequestHead {
        RequestHead::new()
    }
}

impl RequestHead {
    /// An empty head.
    pub const fn new() -> RequestHead {
        RequestHead {
            line: Vec::new(),
            method_end: 0,
            target: 0..0,
            method: Method::Other,
            version: Version::V11,
            fields: Fields::new(),
            lines: Lines::CHANGED,
            earlier: Earlier::NONE,
            scan: Scan::START,
        }
    }

    /// How many bytes it holds memory for.
    pub fn capacity(&self) -> usize {
        self.line.capacity() + self.fields.capacity() + self.earlier.capacity()
    }

    /// Forgets everything but the memory, and what the next head is compared with.
    pub fn clear(&mut self) {
        self.line.clear();
        self.method_end = 0;
        self.target = 0..0;
        self.method = Method::Other;
        self.version = Version::V11;
        self.put_lines_aside();
        self.scan = Scan::default();
    }

    /// Reads a head from `input`, which starts where the message starts. On [`Progress::Partial`] call again with the
    /// same bytes and more behind them: what was read is not read again. A head that is beyond a limit is refused
    /// before its end is there. After completion or an error the next call begins a new message.
    ///
    /// After an error, [`RequestHead::request_line`] and what could be made out of it remain for the log.
    pub fn parse(
        &mut self,
        input: &[u8],
        limits: &HeadLimits,
        options: ProtocolOptions,
    ) -> Result<Progress, ParseError> {
        if self.scan.stage == Stage::Ended {
            self.clear();
        }
        if self.scan.from == 0
            && let Some(consumed) = self
                .read_again(input, limits, options)
                .or_else(|| self.read_whole(input, limits, options))
        {
            self.scan.stage = Stage::Ended;
            return Ok(Progress::Complete { consumed });
        }
        let result = self.advance(input, limits, options);
        if result != Ok(Progress::Partial) {
            self.scan.stage = Stage::Ended;
        }
        result
    }

    fn advance(&mut self, input: &[u8], limits: &HeadLimits, options: ProtocolOptions) -> Result<Progress, ParseError> {
        while let Some(at) = input
            .get(self.scan.from..)
            .and_then(|unread| memchr::memchr(b'\n', unread))
        {
            let line_end = self.scan.from + at;
            let line = &input[self.scan.line_start..line_end];
            self.scan.from = line_end + 1;
            self.scan.line_start = line_end + 1;
            let ended = match self.scan.stage {
                Stage::RequestLine => self.first_line(line, limits, options)?,
                Stage::Fields | Stage::Ended => self.field_line(without_end(line, options.syntax)?, limits, options)?,
            };
            if ended {
                let consumed = line_end + 1;
                self.take_fields(&input[self.scan.fields_start..consumed])?;
                return Ok(Progress::Complete { consumed });
            }
            if line_end > HEAD_SIZE {
                return Err(ParseError::HeadTooLarge);
            }
        }
        self.scan.from = input.len();
        let unended = input.get(self.scan.line_start..).unwrap_or_default();
        self.check_unended(unended, limits)?;
        Ok(Progress::Partial)
    }

    /// Takes the request line or an empty line before it; true when nothing follows (HTTP/0.9).
    fn first_line(&mut self, line: &[u8], limits: &HeadLimits, options: ProtocolOptions) -> Result<bool, ParseError> {
        let content = line.strip_suffix(b"\r").unwrap_or(line);
        self.keep_line(content, limits);
        if content.len() > limits.line {
            return Err(ParseError::LineTooLong);
        }
        let line = without_end(line, options.syntax)?;
        if line.is_empty() {
            self.scan.empty_lines += 1;
            return if self.scan.empty_lines > EMPTY_LINES {
                Err(ParseError::RequestLine)
            } else {
                Ok(false)
            };
        }
        self.read_request_line(options)?;
        self.scan.stage = Stage::Fields;
        self.scan.fields_start = self.scan.line_start;
        Ok(self.version == Version::V09)
    }

    /// Counts a line of the field block; true when it is the empty one.
    fn field_line(&mut self, line: &[u8], limits: &HeadLimits, options: ProtocolOptions) -> Result<bool, ParseError> {
        match line {
            [] => return Ok(true),
            [b' ' | b'\t', ..] => {
                if options.syntax == Syntax::Strict || self.scan.fields == 0 {
                    return Err(ParseError::Folded);
                }
                self.scan.folded = true;
                self.scan.field_size += line.len();
            }
            _ => {
                self.scan.fields += 1;
                self.scan.field_size = line.len();
            }
        }
        if limits.fields > 0 && self.scan.fields > limits.fields {
            return Err(ParseError::TooManyFields);
        }
        if self.scan.field_size > limits.field_size {
            return Err(ParseError::FieldTooLarge);
        }
        Ok(false)
    }

    /// Refuses a line that is too long although its end has not come; the CR of its end may be there already.
    fn check_unended(&mut self, line: &[u8], limits: &HeadLimits) -> Result<(), ParseError> {
        match self.scan.stage {
            Stage::RequestLine if line.len() > limits.line.saturating_add(1) => {
                self.keep_line(line, limits);
                Err(ParseError::LineTooLong)
            }
            Stage::Fields if line.len() > limits.field_size.saturating_add(1) => Err(ParseError::FieldTooLarge),
            _ if self.scan.from > HEAD_SIZE => Err(ParseError::HeadTooLarge),
            _ => Ok(()),
        }
    }

    fn keep_line(&mut self, line: &[u8], limits: &HeadLimits) {
        self.line.clear();
        self.line.extend_from_slice(&line[..line.len().min(limits.line)]);
    }

    fn take_fields(&mut self, block: &[u8]) -> Result<(), ParseError> {
        if self.version == Version::V09 {
            return Ok(());
        }
        let block = if self.scan.folded {
            Cow::Owned(unfold(block))
        } else {
            Cow::Borrowed(block)
        };
        self.fields
            .parse_block(&block, self.scan.fields)
            .map_err(|error| match error {
                FieldError::Name => ParseError::FieldName,
                FieldError::Value => ParseError::FieldValue,
            })
    }
}

/// The line without the CR at its end, which only `Unsafe` may do without.
fn without_end(line: &[u8], syntax: Syntax) -> Result<&[u8], ParseError> {
    match line.strip_suffix(b"\r") {
        Some(line) => Ok(line),
        None if syntax == Syntax::Unsafe => Ok(line),
        None => Err(ParseError::BareLf),
    }
}

/// Makes one SP of every line end that white space follows, and of that white space (RFC 9112 §5.2).
fn unfold(block: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(block.len());
    for line in block.split_inclusive(|byte| *byte == b'\n') {
        if let [b' ' | b'\t', ..] = line {
            while out.last().is_some_and(|byte| b"\r\n \t".contains(byte)) {
                out.pop();
            }
            out.push(b' ');
            out.extend(line.iter().skip_while(|byte| matches!(byte, b' ' | b'\t')));
        } else {
            out.extend_from_slice(line);
        }
    }
    out
}

impl RequestHead {
    /// The method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The method's name as received.
    pub fn method_bytes(&self) -> &[u8] {
        self.line.get(..self.method_end).unwrap_or_default()
    }

    /// The request target as received.
    pub fn target_bytes(&self) -> &[u8] {
        self.line.get(self.target.clone()).unwrap_or_default()
    }

    /// The request target in its form.
    pub fn target(&self) -> Result<Target<'_>, TargetError> {
        Target::parse(self.method, self.target_bytes())
    }

    /// The version; 1.1 as long as none has been read.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The request line as received, without its end; cut at the limit if it was longer.
    pub fn request_line(&self) -> &[u8] {
        &self.line
    }

    /// The first value of the field `name`, without white space at its ends.
    #[inline]
    pub fn field(&self, name: &[u8]) -> Option<&[u8]> {
        depends::on_field(name);
        self.fields.value(name)
    }

    /// The value of the Host field where it is known that there is one and no other.
    #[inline]
    pub fn only_host(&self) -> Option<&[u8]> {
        self.fields.value_at(self.lines.host?)
    }

    /// Whether there is a field of any of these names.
    #[inline]
    pub fn has_any(&self, names: &Names) -> bool {
        // Where it is noted what was asked for, they are asked for one by one.
        let may_have = self.fields.may_have_any(names) || depends::is_recording();
        may_have && names.iter().any(|name| self.field(name).is_some())
    }

    /// Whether there may be a field of one of the names with these marks; no is sure. Nothing is noted of it.
    #[inline]
    pub fn may_have(&self, marks: Marks) -> bool {
        self.fields.may_have(marks)
    }

    /// Every value of the field `name`, in order.
    #[inline]
    pub fn values<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        depends::on_field(name);
        self.fields.values(name)
    }

    /// All values of the field `name` as one, see [`Fields::joined`].
    pub fn joined(&self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        depends::on_field(name);
        self.fields.joined(name)
    }

    /// Names and values in the order received.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        depends::on_more();
        self.fields.iter()
    }

    /// The fields, to be changed; framing and persistence were decided by what came.
    pub fn fields_mut(&mut self) -> &mut Fields {
        depends::on_more();
        self.lines = Lines::CHANGED;
        &mut self.fields
    }

    /// How many fields there are.
    pub fn field_count(&self) -> usize {
        depends::on_more();
        self.fields.len()
    }

    /// Makes `value` the one value of `name` (`RequestHeader set`).
    pub fn set_field(&mut self, name: &[u8], value: &[u8]) {
        self.fields_mut().set(name, value);
    }

    /// Adds a field after those there are (`RequestHeader add`).
    pub fn append_field(&mut self, name: &[u8], value: &[u8]) {
        self.fields_mut().append(name, value);
    }

    /// Takes every field of that name out; tells whether there was one.
    pub fn remove_field(&mut self, name: &[u8]) -> bool {
        self.fields_mut().remove(name)
    }
}

#[cfg(test)]
mod tests;
