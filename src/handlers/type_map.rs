//! Type maps: the variant that suits the client best, in the map itself or at another path (Apache's `mod_negotiation`).

use crate::base::quote;
use crate::exchange::charset::completed;
use crate::exchange::fail::Fail;
use crate::exchange::looks::Looks;
use crate::exchange::negotiated;
use crate::exchange::place::Place;
use crate::exchange::response::{Body, Copied, FileBody, FilePart, Outcome, Response};
use crate::exchange::type_map;
use crate::exchange::{Again, AgainMethod, Exchange};
use crate::fs::open::OpenFile;
use crate::gateway::script_path::split_path;
use crate::http::head::Version;
use crate::http::method::Method;
use crate::http::negotiate::{Scripts, Transparency, Variant};
use crate::http::status::Status;

/// Answers with the body that the map has for the client, or sends the request on to where it is.
pub async fn run<L: Looks>(ex: &mut Exchange, place: &Place, looks: &L) -> Result<Outcome, Fail> {
    ex.handler = place.types.handler.clone().unwrap_or_else(|| b"type-map".to_vec());
    let map = type_map::read(ex, place)?;
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
    if let Some(query) = &ex.target.query {
        target.push(b'?');
        target.extend_from_slice(query);
    }
    Again {
        target,
        status: Status::OK,
        notes: None,
        method: AgainMethod::Same,
    }
}

fn inside(
    ex: &Exchange,
    place: &Place,
    variant: &Variant,
    file: OpenFile,
    body: std::ops::Range<usize>,
) -> Result<Response, Fail> {
    if !matches!(ex.method, Method::Get | Method::Head | Method::Post) {
        let note = "the body of a variant in a type map can only be read";
        return Err(Fail::client(Status::METHOD_NOT_ALLOWED, note).with_field("Allow", "GET,POST,OPTIONS"));
    }
    let mut response = Response::new(Status::OK, Body::Empty);
    let fields = &mut response.head.fields;
    fields.append("Accept-Ranges", "bytes");
    let media_type = match (variant.media_type.as_slice(), variant.charset.as_slice()) {
        (b"", _) => place.types.media_type.as_deref().unwrap_or_default().to_vec(),
        (media_type, b"") => media_type.to_vec(),
        (media_type, charset) => [media_type, b"; charset=", charset].concat(),
    };
    let media_type = completed(&place.conf, &media_type).unwrap_or(media_type);
    let languages = match variant.languages.as_slice() {
        [] => place.types.languages.join(&b','),
        languages => languages.join(&b','),
    };
    let encoding = match variant.encoding.as_slice() {
        b"" => place.types.encodings.join(&b", "[..]),
        encoding => encoding.to_vec(),
    };
    for (name, value) in [
        ("Content-Type", media_type),
        ("Content-Encoding", encoding),
        ("Content-Language", languages),
    ] {
        if !value.is_empty() {
            // A map may say what no field can.
            let _unsendable = fields.try_append(name.as_bytes(), &value);
        }
    }
    let copied = if place.conf.core.enable_sendfile.or(true) {
        Copied::ByKernel
    } else {
        Copied::ByReading
    };
    response.body = Body::File(FileBody {
        file,
        parts: vec![FilePart {
            preface: bytes::Bytes::new(),
            offset: body.start as u64,
            length: body.len() as u64,
        }],
        trailer: bytes::Bytes::new(),
        copied,
    });
    Ok(response)
}
