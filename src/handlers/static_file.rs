//! Plain files: validators, conditions, ranges (RFC 9110 sections 8.8, 13 and 14).

use std::time::SystemTime;

use bytes::Bytes;

use crate::base::ascii;
use crate::base::date::HttpDate;
use crate::config::directives::core::{AcceptPathInfo, BODY_LIMIT};
use crate::exchange::Exchange;
use crate::exchange::allowed;
use crate::exchange::body::BodyLength;
use crate::exchange::charset::completed;
use crate::exchange::fail::Fail;
use crate::exchange::place::{Landing, Place};
use crate::exchange::response::{Body, Copied, FileBody, FilePart, Outcome, Response};
use crate::exchange::tag;
use crate::fs::open::{Found, Meta, OpenFile};
use crate::handlers::cgi::broken_body;
use crate::handlers::precompressed;
use crate::http::coding::Coding;
use crate::http::conditional::{self, Condition, ETag, Validators};
use crate::http::depends;
use crate::http::method::Method;
use crate::http::range::{Bound, ByteRanges, RangeLimits, append_content_range, append_unsatisfied_range};
use crate::http::status::Status;

/// Answers with a file, or a part of it, or with what a condition asks for instead.
pub fn run(ex: &mut Exchange, place: &Place) -> Result<Outcome, Fail> {
    ex.handler = place.types.handler.clone().unwrap_or_default();
    let Found::File(seen) = &place.found else {
        return Err(Fail::internal("a place that is no file was given to the file handler"));
    };
    if !place.path_info.is_empty() && place.conf.core.accept_path_info.or(AcceptPathInfo::Default) != AcceptPathInfo::On
    {
        let note = format!(
            "`{}` is a file, and the URL goes on behind it with `{}`; AcceptPathInfo On would allow that",
            String::from_utf8_lossy(&place.path),
            String::from_utf8_lossy(&place.path_info)
        );
        return Err(Fail::client(Status::NOT_FOUND, note));
    }
    check_body(ex, place)?;
    if let Some((coding, file)) = precompressed::find(ex, place, seen) {
        return answer(ex, place, file, Some(coding)).map(Outcome::Reply);
    }
    let file = seen.open().map_err(|error| {
        ex.trace_open_error(&place.path, error);
        let status = match error {
            crate::fs::open::OpenError::Missing => Status::NOT_FOUND,
            crate::fs::open::OpenError::Exhausted => Status::SERVICE_UNAVAILABLE,
            _ => Status::FORBIDDEN,
        };
        let url = String::from_utf8_lossy(ex.target.path.as_bytes());
        Fail::site(
            status,
            format!(
                "access to {url}: `{}`: {}",
                String::from_utf8_lossy(&place.path),
                error.reason()
            ),
        )
    })?;
    answer(ex, place, file, None).map(Outcome::Reply)
}

/// The whole file as a body, for a page that includes it.
pub fn whole(ex: &Exchange, place: &Place) -> Result<Body, Fail> {
    let Found::File(seen) = &place.found else {
        return Err(Fail::internal("a place that is no file was given to the file handler"));
    };
    let file = seen.open().map_err(|error| {
        ex.trace_open_error(&place.path, error);
        let file = String::from_utf8_lossy(&place.path);
        Fail::site(Status::FORBIDDEN, format!("`{file}`: {}", error.reason()))
    })?;
    let length = file.meta.size;
    Ok(body(place, file, vec![part(Bytes::new(), 0, length)], Bytes::new()))
}

/// What a place can be asked for, with what is known of its representation, as in Apache.
pub fn options(ex: &Exchange, place: &Place) -> Response {
    let mut response = Response::new(Status::OK, Body::Empty);
    response.head.fields.append("Allow", allowed::methods(ex));
    if place.landing() == Landing::Directory {
        response.head.fields.append("Content-Type", "httpd/unix-directory");
    } else {
        describe(&mut response, place);
    }
    response
}

/// Reads a body whose length is told at its end only, for LimitRequestBody bounds it all the same.
pub async fn read_body(ex: &Exchange, place: &Place) -> Result<(), Fail> {
    let limit = place.conf.core.limit_request_body.or(BODY_LIMIT);
    ex.body.limit((limit > 0).then_some(limit));
    let broken = |error| broken_body(error).of_module("core");
    while ex.body.data().await.map_err(broken)?.is_some() {}
    Ok(())
}

/// A body that came with the request is not read, but bounded all the same.
fn check_body(ex: &Exchange, place: &Place) -> Result<(), Fail> {
    let limit = place.conf.core.limit_request_body.or(BODY_LIMIT);
    match ex.body.length() {
        BodyLength::Known(length) if limit > 0 && length > limit => Err(Fail::client(
            Status::CONTENT_TOO_LARGE,
            "the request's body is larger than LimitRequestBody",
        )
        .closing()),
        _ => Ok(()),
    }
}

fn answer(ex: &Exchange, place: &Place, file: OpenFile, coding: Option<Coding>) -> Result<Response, Fail> {
    let now = HttpDate::from(SystemTime::now());
    // A time in the future would make a validator of a state that is not there yet (RFC 9110 section 8.8.2.1).
    let modified = HttpDate::from(file.meta.modified().min(SystemTime::now()));
    if HttpDate::from(file.meta.modified()) >= now {
        depends::on_more();
    }
    // What may be parsed for includes is another thing than the file.
    let has_tag = !place.may_be_parsed() || place.conf.ssi.etag.or(false);
    let mut tag = has_tag
        .then(|| tag::of_file(&place.conf, &file, ex.began.wall))
        .flatten();
    if let (Some(tag), Some(coding)) = (&mut tag, coding) {
        // Whatever it is made of, it is not that of the file without the coding.
        tag.pop();
        tag.extend_from_slice(format!("-{}\"", coding.name()).as_bytes());
    }
    if let (Some(tag), Some(list)) = (&mut tag, ex.rewriting.negotiated.list_tag()) {
        *tag = tag::with_list(tag, list);
    }
    let validators = Validators {
        etag: tag.as_deref().and_then(ETag::parse),
        last_modified: Some(modified),
    };
    let mut response = Response::new(Status::OK, Body::Empty);
    add_fields(&mut response, place, tag.as_deref(), modified);
    if precompressed::is_on(place) {
        response.head.fields.append("Vary", "Accept-Encoding");
    }
    if let Some(coding) = coding {
        response.head.fields.append("Content-Encoding", coding.name());
    }
    // An error document is shown whatever the client knows of it, and what a page includes as well.
    let is_asked = ex.error_status().is_none() && !ex.is_subrequest();
    if is_asked && (!place.may_be_parsed() || place.is_kept_by_its_mode()) {
        let condition = depends::quietly(|| conditional::evaluate(ex.method, &ex.head, &validators, now));
        depends::on_conditions(&validators, tag.as_deref(), condition);
        match condition {
            Condition::Proceed => {}
            Condition::NotModified => return Ok(not_modified(response)),
            // As in Apache, there is neither a page about this one nor an ErrorDocument.
            Condition::PreconditionFailed => {
                response.head.status = Status::PRECONDITION_FAILED;
                return Ok(response);
            }
        }
    }
    if is_asked && !(place.may_be_parsed() && place.has_includes()) {
        let range = ex.head.field(b"range").filter(|_| ex.method == Method::Get);
        if let Some(field) = range.filter(|_| conditional::if_range_holds(&ex.head, &validators, now)) {
            let ranges = ByteRanges::resolve(field, file.meta.size, &limits(place));
            return ranged(response, place, file, 0, ranges);
        }
    }
    let length = file.meta.size;
    response.body = body(place, file, vec![part(Bytes::new(), 0, length)], Bytes::new());
    Ok(response)
}

fn body(place: &Place, file: OpenFile, parts: Vec<FilePart>, trailer: Bytes) -> Body {
    let copied = if place.conf.core.enable_sendfile.or(true) {
        Copied::ByKernel
    } else {
        Copied::ByReading
    };
    Body::File(FileBody {
        file,
        parts,
        trailer,
        copied,
    })
}

fn part(preface: Bytes, offset: u64, length: u64) -> FilePart {
    FilePart {
        preface,
        offset,
        length,
    }
}

/// What the settings of a place say of ranges.
pub(in crate::handlers) fn limits(place: &Place) -> RangeLimits {
    let core = &place.conf.core;
    let bound = |value: Option<u64>| match value {
        None => Bound::Unlimited,
        Some(0) => Bound::None,
        Some(n) => Bound::At(usize::try_from(n).unwrap_or(usize::MAX)),
    };
    RangeLimits {
        ranges: bound(core.max_ranges.or(Some(200))),
        overlaps: bound(core.max_range_overlaps.or(Some(20))),
        reversals: bound(core.max_range_reversals.or(Some(20))),
    }
}

fn add_fields(response: &mut Response, place: &Place, tag: Option<&[u8]>, modified: HttpDate) {
    let fields = &mut response.head.fields;
    let mut date = Vec::with_capacity(29);
    modified.append_to(&mut date);
    fields.append("Last-Modified", date);
    if let Some(tag) = tag {
        fields.append("ETag", tag);
    }
    let no_ranges = place.conf.core.max_ranges.or(Some(200)) == Some(0);
    fields.append("Accept-Ranges", if no_ranges { "none" } else { "bytes" });
    describe(response, place);
}

/// What the file's name says of it.
fn describe(response: &mut Response, place: &Place) {
    let fields = &mut response.head.fields;
    if let Some(content_type) = content_type(place) {
        fields.append("Content-Type", content_type);
    }
    if !place.types.encodings.is_empty() {
        fields.append("Content-Encoding", place.types.encodings.join(&b", "[..]));
    }
    if !place.types.languages.is_empty() {
        fields.append("Content-Language", place.types.languages.join(&b','));
    }
}

/// The Content-Type of a place, with its character set.
pub fn content_type(place: &Place) -> Option<Vec<u8>> {
    let media_type = with_charset(place.types.media_type.as_ref()?, place.types.charset.as_deref());
    Some(completed(&place.conf, &media_type).unwrap_or(media_type))
}

/// A media type, with a character set in place of its own where one is known.
fn with_charset(media_type: &[u8], charset: Option<&[u8]>) -> Vec<u8> {
    let Some(charset) = charset else {
        return media_type.to_vec();
    };
    let mut parts = media_type.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let mut whole = parts.next().unwrap_or_default().to_vec();
    let is_charset = |part: &[u8]| part.to_ascii_lowercase().starts_with(b"charset=");
    for part in parts.filter(|part| !part.is_empty() && !is_charset(part)) {
        whole.extend_from_slice(b"; ");
        whole.extend_from_slice(part);
    }
    whole.extend_from_slice(b"; charset=");
    whole.extend_from_slice(charset);
    whole
}

/// RFC 9110 section 15.4.5: the validators, and nothing of the representation.
fn not_modified(mut response: Response) -> Response {
    response.head.status = Status::NOT_MODIFIED;
    response
}

/// Ranges of what stands in a file from `start` on. The response has its Content-Type already.
pub(in crate::handlers) fn ranged(
    mut response: Response,
    place: &Place,
    file: OpenFile,
    start: u64,
    ranges: ByteRanges,
) -> Result<Response, Fail> {
    let size = file.meta.size.saturating_sub(start);
    match ranges {
        ByteRanges::Whole => {
            response.body = body(place, file, vec![part(Bytes::new(), start, size)], Bytes::new());
        }
        ByteRanges::Unsatisfiable => {
            let mut value = Vec::new();
            append_unsatisfied_range(&mut value, size);
            return Err(Fail::client(Status::RANGE_NOT_SATISFIABLE, "").with_field("Content-Range", value));
        }
        ByteRanges::Single(range) => {
            let mut value = Vec::new();
            append_content_range(&mut value, &range, size);
            response.head.fields.append("Content-Range", value);
            response.head.status = Status::PARTIAL_CONTENT;
            let parts = vec![part(Bytes::new(), start + range.start, range.end - range.start)];
            response.body = body(place, file, parts, Bytes::new());
        }
        ByteRanges::Multiple(list) => {
            let boundary = boundary(&file.meta);
            let content_type = response.head.fields.value("Content-Type").map(<[u8]>::to_vec);
            let parts = list
                .iter()
                .map(|range| {
                    let mut preface = format!("\r\n--{boundary}").into_bytes();
                    if let Some(content_type) = &content_type {
                        preface.extend_from_slice(b"\r\nContent-Type: ");
                        preface.extend_from_slice(content_type);
                    }
                    preface.extend_from_slice(b"\r\nContent-Range: ");
                    append_content_range(&mut preface, range, size);
                    preface.extend_from_slice(b"\r\n\r\n");
                    part(preface.into(), start + range.start, range.end - range.start)
                })
                .collect();
            let trailer = format!("\r\n--{boundary}--\r\n").into_bytes().into();
            response
                .head
                .fields
                .set("Content-Type", format!("multipart/byteranges; boundary={boundary}"));
            response.head.status = Status::PARTIAL_CONTENT;
            response.body = body(place, file, parts, trailer);
        }
    }
    Ok(response)
}

/// A boundary that no file can be expected to hold: random, and new for every response (RFC 2046 section 5.1.1).
fn boundary(meta: &Meta) -> String {
    let mut random = [0; 8];
    // Without randomness the file's own facts must do; the boundary need not be secret, only unlikely.
    if rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty()).is_err() {
        random = (meta.inode ^ meta.mtime.0.unsigned_abs()).to_ne_bytes();
    }
    format!("{:016x}", u64::from_ne_bytes(random))
}

/// Appends a number in decimal, for fields.
pub fn decimal(number: u64) -> Vec<u8> {
    let mut digits = Vec::with_capacity(20);
    ascii::append_decimal(&mut digits, number);
    digits
}
