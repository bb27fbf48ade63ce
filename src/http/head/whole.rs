//! A head that is there as a whole when it is first looked at, as most are: `httparse` reads it in one pass.
//!
//! It may accept only what is accepted line by line, and leaves everything else to that: whatever is refused, near a limit
//! or of an odd form is as if nobody had looked.

use std::mem::MaybeUninit;

use httparse::{Request, Status};

use crate::http::head::{HEAD_SIZE, HeadLimits, ProtocolOptions, RequestHead, Version};
use crate::http::method::Method;

/// Heads with more fields are read line by line.
const MOST: usize = 64;

impl RequestHead {
    /// Reads a head into this empty one; its length, or none and nothing has changed.
    pub(super) fn read_whole(&mut self, input: &[u8], limits: &HeadLimits, options: ProtocolOptions) -> Option<usize> {
        let mut fields = [const { MaybeUninit::uninit() }; MOST];
        let mut request = Request::new(&mut []);
        let Ok(Status::Complete(consumed)) = request.parse_with_uninit_headers(input, &mut fields) else {
            return None;
        };
        let (method, target) = (request.method?.as_bytes(), request.path?.as_bytes());
        let version = match request.version? {
            0 => Version::V10,
            1 => Version::V11,
            _ => return None,
        };
        let known = Method::from_bytes(method);
        // One space parts the words.
        let target_start = method.len() + 1;
        let target_end = target_start + target.len();
        let (line, rest) = input
            .get(..consumed)?
            .split_at_checked(target_end + " HTTP/1.1".len())?;
        // It passes empty lines before the request line, and line feeds without CR.
        let block = rest.strip_prefix(b"\r\n").filter(|_| line.starts_with(method))?;
        let is_plain = line.len() <= limits.line
            && consumed <= HEAD_SIZE
            && (limits.fields == 0 || request.headers.len() <= limits.fields)
            && memchr::memchr(b'#', target).is_none()
            && options.lets_pass(known, method)
            && self.fields.take_lines(block, request.headers, limits.field_size);
        if !is_plain {
            return None;
        }
        self.line.extend_from_slice(line);
        self.method_end = method.len();
        self.method = known;
        self.target = target_start..target_end;
        self.version = version;
        self.know_lines(limits);
        Some(consumed)
    }
}

#[cfg(test)]
pub(super) mod tests;
