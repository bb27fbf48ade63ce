//! What a script or an application is told of requests that differ in little: the variables that are the same for all of them,
//! written once, with gaps for the rest. They come in the order of names, as they do without a frame.

use std::cell::Cell;
use std::net::SocketAddr;
use std::ops::Range;

use smallvec::SmallVec;

use crate::base::ascii::append_decimal;
use crate::gateway::meta_vars::{MetaVars, append_address, append_field_variable, is_told};
use crate::gateway::request::Credentials;

/// The gaps; the second is for all fields of the request.
const GAPS: [&[u8]; 5] = [b"CONTENT_TYPE", FIELDS, b"REMOTE_ADDR", b"REMOTE_PORT", b"UNIQUE_ID"];
const FIELDS: &[u8] = b"HTTP_";

/// Requests have mostly no more fields than this.
const FEW: usize = 16;
/// So much room for names is kept from one request to the next.
const LARGE: usize = 4096;

/// Writes a name and a value behind what is there; `false` where they have no form.
pub type Write = fn(&mut Vec<u8>, &[u8], &[u8]) -> bool;

/// The variables that do not change.
#[derive(Debug)]
pub struct Frame {
    /// What stands before each gap, and behind the last.
    parts: [Vec<u8>; GAPS.len() + 1],
    credentials: Credentials,
    write: Write,
}

/// What changes.
pub struct Occasion<'a> {
    /// REMOTE_ADDR and REMOTE_PORT.
    pub peer: SocketAddr,
    /// UNIQUE_ID.
    pub unique_id: &'a [u8],
}

impl Frame {
    /// The frame that is left of the variables of one request without what is its own. Nothing else of them may depend on its
    /// fields or on its client.
    pub fn of(variables: &MetaVars, credentials: Credentials, write: Write) -> Frame {
        let mut parts: [Vec<u8>; GAPS.len() + 1] = Default::default();
        for (name, value) in variables.iter() {
            if GAPS.contains(&name) || name.starts_with(FIELDS) {
                continue;
            }
            let before = GAPS.iter().filter(|gap| **gap < name).count();
            if let Some(part) = parts.get_mut(before) {
                let _has_no_form = write(part, name, value);
            }
        }
        Frame {
            parts,
            credentials,
            write,
        }
    }

    /// Appends the variables of a request with these fields. `false`: it is one whose fields do not fit into a frame, and what was
    /// appended is of no use.
    #[must_use]
    pub fn append<'f>(
        &self,
        out: &mut Vec<u8>,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])>,
        occasion: &Occasion<'_>,
    ) -> bool {
        thread_local! {
            static NAMES: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
        }
        let mut names = NAMES.take();
        let fits = self.append_with(out, fields, occasion, &mut names);
        names.clear();
        names.shrink_to(LARGE);
        NAMES.set(names);
        fits
    }

    /// The same with room for names, which is empty.
    fn append_with<'f>(
        &self,
        out: &mut Vec<u8>,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])>,
        occasion: &Occasion<'_>,
        names: &mut Vec<u8>,
    ) -> bool {
        let mut told: SmallVec<[(Range<usize>, &[u8]); FEW]> = SmallVec::new();
        let mut content_type = None;
        for (name, value) in fields {
            if name.eq_ignore_ascii_case(b"content-type") {
                content_type = content_type.or(Some(value));
                continue;
            }
            let start = names.len();
            if !append_field_variable(names, name) {
                names.truncate(start);
                continue;
            }
            if is_told(names.get(start..).unwrap_or_default(), value, self.credentials) {
                told.push((start..names.len(), value));
            }
        }
        let name = |range: &Range<usize>| names.get(range.clone()).unwrap_or_default();
        told.sort_unstable_by(|(one, _), (other, _)| name(one).cmp(name(other)));
        let is_twice =
            |pair: &[(Range<usize>, &[u8])]| matches!(pair, [(one, _), (other, _)] if name(one) == name(other));
        if told.windows(2).any(is_twice) || content_type.is_some_and(|value| value.contains(&0)) {
            return false;
        }
        let mut parts = self.parts.iter();
        let mut part = |out: &mut Vec<u8>| out.extend_from_slice(parts.next().map_or(&[], Vec::as_slice));
        part(out);
        let mut fits = content_type.is_none_or(|value| (self.write)(out, b"CONTENT_TYPE", value));
        part(out);
        for (range, value) in &told {
            fits &= (self.write)(out, name(range), value);
        }
        part(out);
        let shown = names;
        shown.clear();
        append_address(shown, occasion.peer.ip());
        fits &= (self.write)(out, b"REMOTE_ADDR", shown);
        part(out);
        shown.clear();
        append_decimal(shown, occasion.peer.port().into());
        fits &= (self.write)(out, b"REMOTE_PORT", shown);
        part(out);
        fits &= (self.write)(out, b"UNIQUE_ID", occasion.unique_id);
        part(out);
        fits
    }
}

#[cfg(test)]
mod tests;
