//! What rules add to an answer: cookies, and the fields of the request that decided.

use crate::exchange::Exchange;
use crate::exchange::response::{Origin, Response};
use crate::filters::tables::Made;
use crate::http::status::Status;

/// Adds it.
pub fn apply(ex: &Exchange, response: &mut Response, made: Made) {
    let fields = &mut response.head.fields;
    for (_, cookie) in &ex.rewriting.cookies {
        fields.append("Set-Cookie", cookie.as_slice());
    }
    // The server's own pages of redirects and errors are told without it, and what a server behind says of them, as by Apache.
    let names = ex.rewriting.vary.names();
    let status = response.head.status;
    let is_told_without = made == Made::ByServer || response.origin == Origin::Behind;
    if names.is_empty() || is_told_without && status.code() >= 300 && status != Status::NOT_MODIFIED {
        return;
    }
    let said = fields.joined(b"Vary").map(|vary| vary.into_owned()).unwrap_or_default();
    let is_said = |name: &str| {
        said.split(|byte| *byte == b',')
            .any(|word| word.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
    };
    let new: Vec<&str> = names.iter().map(String::as_str).filter(|name| !is_said(name)).collect();
    if new.is_empty() {
        return;
    }
    // Apache writes the whole list without spaces.
    let mut vary: Vec<u8> = said.iter().copied().filter(|byte| *byte != b' ').collect();
    if !vary.is_empty() {
        vary.push(b',');
    }
    vary.extend_from_slice(new.join(",").as_bytes());
    fields.set("Vary", vary);
}
