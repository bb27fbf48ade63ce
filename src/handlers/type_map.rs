//! Type maps: the variant that suits the client best, in the map itself or at another path (Apache's `mod_negotiation`).

use std::ops::Range;
use std::time::SystemTime;

use bytes::Bytes;

use crate::base::date::HttpDate;
use crate::base::quote;
use crate::exchange::charset::completed;
use crate::exchange::fail::Fail;
use crate::exchange::looks::Looks;
use crate::exchange::negotiated;
use crate::exchange::place::Place;
use crate::exchange::response::{Body, Copied, FileBody, FilePart, Outcome, Response};
use crate::exchange::type_map;
use crate::exchange::{Again, Exchange};
use crate::fs::open::OpenFile;
use crate::gateway::script_path::split_path;
use crate::handlers::static_file;
use crate::http::conditional::{self, Condition, Validators};
use crate::http::head::Version;
use crate::http::method::Method;
use crate::http::negotiate::{Scripts, Transparency, Variant};
use crate::http::range::{ByteRanges, append_content_range, append_unsatisfied_range};
use crate::http::status::Status;

/// Answers with the body that the map has for the client, or sends the request on to where it is.
pub async fn run<L: Looks>(ex: &mut Exchange, place: &Place, looks: &L) -> Result<Outcome, Fail> {
    ex.handler = place.types.handler.clone().unwrap_or_else(|| b"type-map".to_vec());
    let map = type_map::read(ex, place)?;
    ex.rewriting.negotiated.add_list_tag(map.tag.clone());
    let decision = negotiated::decide(ex, &place.conf, &map.variants, &place.path_info, Scripts::Last)?;
    let Some(variant) = map.variants.get(decision.number) else {
        return Err(Fail::internal("the variant that was chosen is not there"));
    };
    if decision.transparency == Transparency::Transparent {
        let (status, look) = looks.at_sibling(ex, place, &variant.name).await;
        type_map::check(status, &look)?;
    }
    negotiated::settle(ex, &map.variants, decision);
    let keeps = ex.site.settings.negotiation.is_kept.or(false);
    if !keeps && ex.head.version() != Version::V11 {
        ex.rewriting.negotiated.is_old = true;
    }
    match variant.body.clone() {
        Some(body) => inside(ex, place, variant, map.file, body).map(Outcome::Reply),
        None => Ok(Outcome::Again(elsewhere(ex, place, &variant.name))),
    }
}

/// The path beside the request's, with what follows the map in the URL and the query.
fn elsewhere(ex: &Exchange, place: &Place, name: &[u8]) -> Again {
    let (own, _) = split_path(ex.target.path.as_bytes(), &place.path_info);
    let slash = own.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    let mut target = Vec::new();
    quote::escape_path(&mut target, own.get(..slash).unwrap_or(b"/"));
    target.extend_from_slice(name);
    target.extend_from_slice(&place.path_info);
    Again::same(target, ex.target.query.as_deref())
}

/// A body that is in the map.
fn inside(
    ex: &Exchange,
    place: &Place,
    variant: &Variant,
    file: OpenFile,
    body: Range<usize>,
) -> Result<Response, Fail> {
    if !matches!(ex.method, Method::Get | Method::Head | Method::Post) {
        let note = "the body of a variant in a type map can only be read";
        return Err(Fail::client(Status::METHOD_NOT_ALLOWED, note).with_field("Allow", "GET,HEAD,POST,OPTIONS"));
    }
    let mut response = Response::new(Status::OK, Body::Empty);
    describe(&mut response, place, variant);
    let (mut offset, mut length) = (body.start as u64, body.len() as u64);
    if ex.error_status().is_none() && !ex.is_subrequest() && !place.may_be_parsed() {
        // It has no validators: a map may have changed without this body of it.
        let (known, now) = (Validators::default(), HttpDate::from(SystemTime::now()));
        match conditional::evaluate(ex.method, &ex.head, &known, now) {
            Condition::Proceed => {}
            Condition::NotModified => {
                response.head.status = Status::NOT_MODIFIED;
                return Ok(response);
            }
            Condition::PreconditionFailed => {
                response.head.status = Status::PRECONDITION_FAILED;
                return Ok(response);
            }
        }
        let range = ex.head.field(b"range").filter(|_| ex.method == Method::Get);
        let range = range.filter(|_| conditional::if_range_holds(&ex.head, &known, now));
        match range.map(|range| ByteRanges::resolve(range, length, &static_file::limits(place))) {
            Some(ByteRanges::Single(range)) => {
                let mut value = Vec::new();
                append_content_range(&mut value, &range, length);
                response.head.fields.append("Content-Range", value);
                response.head.status = Status::PARTIAL_CONTENT;
                (offset, length) = (offset + range.start, range.end - range.start);
            }
            Some(ByteRanges::Unsatisfiable) => {
                let mut value = Vec::new();
                append_unsatisfied_range(&mut value, length);
                return Err(Fail::client(Status::RANGE_NOT_SATISFIABLE, "").with_field("Content-Range", value));
            }
            // Several parts of it are not sent, as by Apache.
            Some(ByteRanges::Whole | ByteRanges::Multiple(_)) | None => {}
        }
    }
    response.body = Body::File(FileBody {
        file,
        parts: vec![FilePart {
            preface: Bytes::new(),
            offset,
            length,
        }],
        trailer: Bytes::new(),
        copied: Copied::ByReading,
    });
    Ok(response)
}

/// What the map says of a body, or else its name.
fn describe(response: &mut Response, place: &Place, variant: &Variant) {
    let (of_name, fields) = (&place.types, &mut response.head.fields);
    fields.append("Accept-Ranges", "bytes");
    let media_type = match (variant.media_type.as_slice(), variant.charset.as_slice()) {
        (b"", _) => of_name.media_type.as_deref().unwrap_or_default().to_vec(),
        (media_type, b"") => media_type.to_vec(),
        (media_type, charset) => [media_type, b"; charset=", charset].concat(),
    };
    let languages = match variant.languages.as_slice() {
        [] => &of_name.languages,
        languages => languages,
    };
    let encoding = match variant.encoding.as_slice() {
        b"" => of_name.encodings.join(&b", "[..]),
        encoding => encoding.to_vec(),
    };
    for (name, value) in [
        (
            "Content-Type",
            completed(&place.conf, &media_type).unwrap_or(media_type),
        ),
        ("Content-Encoding", encoding),
        ("Content-Language", languages.join(&b',')),
    ] {
        if !value.is_empty() {
            // A map may say what no field can.
            let _unsendable = fields.try_append(name.as_bytes(), &value);
        }
    }
}
