//! The request line (RFC 9112 §3): method, target, version.

use std::ops::Range;

use memchr::memchr;

use crate::base::ascii;
use crate::http::head::{Http09, Methods, ParseError, ProtocolOptions, RequestHead, Syntax, Version};
use crate::http::method::Method;

impl RequestHead {
    /// Reads the line that was kept. What comes before a fault is known afterwards.
    pub(super) fn read_request_line(&mut self, options: ProtocolOptions) -> Result<(), ParseError> {
        let [method, target, version] = words(&self.line, options.syntax).ok_or(ParseError::RequestLine)?;
        self.method_end = method.end;
        self.method = Method::from_bytes(&self.line[method]);
        if !ascii::is_token(self.method_bytes()) {
            return Err(ParseError::Method);
        }
        self.target = target;
        if self.target.is_empty() || !self.target_bytes().iter().all(|byte| may_stand_in_target(*byte)) {
            return Err(ParseError::Target);
        }
        if version.is_empty() {
            return self.simple(options);
        }
        self.version = read_version(&self.line[version])?;
        if options.lets_pass(self.method, self.method_bytes()) {
            Ok(())
        } else {
            Err(ParseError::MethodNotRegistered)
        }
    }

    /// A request line of two words: HTTP/0.9, where all there is is `GET /path` (RFC 1945 §5).
    fn simple(&mut self, options: ProtocolOptions) -> Result<(), ParseError> {
        if options.http09 == Http09::Refuse || self.method != Method::Get || !self.target_bytes().starts_with(b"/") {
            return Err(ParseError::Simple);
        }
        self.version = Version::V09;
        Ok(())
    }
}

impl ProtocolOptions {
    /// Whether a method of that name may pass.
    pub(super) fn lets_pass(&self, method: Method, name: &[u8]) -> bool {
        let is_more = || self.more_methods.iter().any(|more| more == name);
        self.methods == Methods::Lenient || method.is_known() || is_more()
    }
}

/// Where the words are; the third is empty in a line of two.
fn words(line: &[u8], syntax: Syntax) -> Option<[Range<usize>; 3]> {
    if syntax == Syntax::Strict {
        return three_words(line);
    }
    let mut found = [0..0, 0..0, 0..0];
    let mut count = 0;
    let mut start = 0;
    for part in line.split(|byte| matches!(byte, b' ' | b'\t')) {
        let range = start..start + part.len();
        start = range.end + 1;
        if part.is_empty() {
            continue;
        }
        *found.get_mut(count)? = range;
        count += 1;
    }
    (count >= 2).then_some(found)
}

/// The same where one space parts them.
fn three_words(line: &[u8]) -> Option<[Range<usize>; 3]> {
    let space = |from: usize| Some(from + memchr(b' ', line.get(from..)?)?);
    let method = 0..space(0)?;
    let Some(target_end) = space(method.end + 1) else {
        let target = method.end + 1..line.len();
        return (!method.is_empty() && !target.is_empty()).then_some([method, target, 0..0]);
    };
    let (target, version) = (method.end + 1..target_end, target_end + 1..line.len());
    let are_words = [&method, &target, &version].iter().all(|word| !word.is_empty());
    (are_words && space(version.start).is_none()).then_some([method, target, version])
}

/// Visible ASCII but `#`, which begins a fragment and is never sent; and bytes above ASCII, as Apache lets pass.
pub(super) fn may_stand_in_target(byte: u8) -> bool {
    byte > b' ' && byte != b'#' && byte != 0x7f
}

/// `HTTP/` and one digit on each side of a dot; the name is in upper case (RFC 9112 §2.3).
fn read_version(word: &[u8]) -> Result<Version, ParseError> {
    match word {
        [
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            major @ b'0'..=b'9',
            b'.',
            minor @ b'0'..=b'9',
        ] => match (major, minor) {
            (b'1', b'0') => Ok(Version::V10),
            (b'1', _) => Ok(Version::V11),
            (b'0', _) => Err(ParseError::Version),
            _ => Err(ParseError::VersionNotSupported),
        },
        _ => Err(ParseError::Version),
    }
}
