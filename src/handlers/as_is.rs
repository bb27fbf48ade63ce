//! Files with a head of their own, sent as they are (`mod_asis`): the fields stand before an empty line, as a script writes
//! them, and a `Status` may be among them.

use std::time::SystemTime;

use bytes::Bytes;

use crate::base::date::HttpDate;
use crate::exchange::Exchange;
use crate::exchange::fail::Fail;
use crate::exchange::place::Place;
use crate::exchange::response::{Body, Outcome, Response};
use crate::fs::open::{Found, OpenFile};
use crate::gateway::script_reply::{Kind, MAX_HEAD, ReplyReader, ScriptReply};
use crate::handlers::cgi::reply;
use crate::handlers::static_file;
use crate::http::conditional::{ETag, Validators, if_range_holds};
use crate::http::method::Method;
use crate::http::range::ByteRanges;
use crate::http::status::Status;
use crate::lang::log_level::Level;

/// So much of a file is read at once in search of the end of its head.
const PIECE: usize = 8 * 1024;

/// Answers with a file that has a head of its own.
pub fn run(ex: &mut Exchange, place: &Place) -> Result<Outcome, Fail> {
    ex.handler = place.types.handler.clone().unwrap_or_default();
    let Found::File(seen) = &place.found else {
        return Err(Fail::internal(
            "a place that is no file was given to the handler of files as they are",
        ));
    };
    let file = seen.open().map_err(|error| {
        ex.trace_open_error(&place.path, error);
        refused(place, Status::FORBIDDEN, &error.reason())
    })?;
    let (mut head, start) = head_of(&file).map_err(|why| refused(place, Status::INTERNAL_SERVER_ERROR, &why))?;
    let local = local_target(&mut head);
    // A script redirects by its Location alone, a file does not.
    if let Kind::ClientRedirect(location) = std::mem::replace(&mut head.kind, Kind::Document) {
        head.fields.push((b"Location".to_vec(), location));
    }
    if !head.says_status {
        head.status = 200;
    }
    let tell = |text: &str| {
        let text = format!("`{}`: {text}", String::from_utf8_lossy(&place.path));
        ex.rewriting.lines.push(Level::Warn, "asis", text);
    };
    for mistake in head.dropped.iter().filter(|dropped| dropped.why.is_mistake()) {
        tell(&mistake.to_string());
    }
    if let Some(target) = local {
        return Ok(Outcome::Again(reply::local_redirect(&head, target, tell)));
    }
    let mut response = reply::head_telling(&head, Body::Empty, tell);
    reply::add_what_the_name_says(&mut response, place);
    body(ex, place, response, file, start).map(Outcome::Reply)
}

/// The head of a file, and where its body begins; or why it has none.
fn head_of(file: &OpenFile) -> Result<(ScriptReply, u64), String> {
    let mut reader = ReplyReader::new();
    let mut piece = [0; PIECE];
    let mut offset = 0;
    // The reader gives up on a head that is too long.
    while offset <= MAX_HEAD as u64 {
        let read = file.read_at(&mut piece, offset).map_err(|error| error.to_string())?;
        let bytes = piece.get(..read).unwrap_or_default();
        if bytes.is_empty() {
            break;
        }
        offset += bytes.len() as u64;
        if let Some(head) = reader.push(bytes).map_err(|error| of_file(&error.to_string()))? {
            let start = offset - head.body_start.len() as u64;
            return Ok((head, start));
        }
    }
    Err(of_file(&reader.end().to_string()))
}

/// What is said of a script's reply, said of a file.
fn of_file(why: &str) -> String {
    why.replace("the script's ", "its ").replace("the script ", "it ")
}

/// A path of the site that the file redirects to, which is answered in its place.
fn local_target(head: &mut ScriptReply) -> Option<Vec<u8>> {
    if let Kind::LocalRedirect(target) = &mut head.kind {
        return Some(std::mem::take(target));
    }
    let is_redirect = head.says_status && (300..400).contains(&head.status);
    let location = head
        .fields
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(b"Location"));
    let location = location.filter(|(_, value)| is_redirect && value.starts_with(b"/"));
    location.map(|(_, value)| value.clone())
}

fn body(ex: &Exchange, place: &Place, mut response: Response, file: OpenFile, start: u64) -> Result<Response, Fail> {
    if !response.head.status.allows_body() {
        return Ok(response);
    }
    let length = file.meta.size.saturating_sub(start);
    let fields = &response.head.fields;
    let now = HttpDate::from(SystemTime::now());
    let validators = Validators {
        etag: fields.value("ETag").and_then(ETag::parse),
        last_modified: fields
            .value("Last-Modified")
            .and_then(|date| HttpDate::parse(date, now)),
    };
    let is_asked = response.head.status == Status::OK && ex.error_status().is_none() && !ex.is_subrequest();
    let range = ex
        .head
        .field(b"range")
        .filter(|_| is_asked && ex.method == Method::Get && length > 0);
    let ranges = match range.filter(|_| if_range_holds(&ex.head, &validators, now)) {
        Some(field) => ByteRanges::resolve(field, length, &static_file::limits(place)),
        None => ByteRanges::Whole,
    };
    if length == 0 {
        response.body = Body::Bytes(Bytes::new());
        return Ok(response);
    }
    static_file::ranged(response, place, file, start, ranges)
}

fn refused(place: &Place, status: Status, why: &str) -> Fail {
    let note = format!("`{}`: {why}", String::from_utf8_lossy(&place.path));
    Fail::site(status, note).of_module("asis")
}
