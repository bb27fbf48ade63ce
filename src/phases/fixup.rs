//! The last facts before a handler is chosen: the slash behind a directory, its index file, variables, and what the file's
//! name says of its type.

use crate::base::quote;
use crate::config::directives::DirConf;
use crate::config::directives::dir::Slash;
use crate::config::site::Config;
use crate::exchange::Exchange;
use crate::exchange::fail::Fail;
use crate::exchange::place::{Landing, Place, Types};
use crate::exchange::response::{AfterResponse, Body, Outcome, Response, Stop};
use crate::fs::open::{self, Kind};
use crate::http::status::Status;
use crate::phases::{request_fields, translate};

/// Where the fixups lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fixed {
    /// The place stands.
    Here,
    /// Another path of the site takes its place, without a trace for scripts: an index file, a fallback.
    Instead(Vec<u8>),
}

/// Completes `place`, or sends the request elsewhere.
pub fn run(ex: &mut Exchange, place: &mut Place) -> Result<Fixed, Stop> {
    for (name, value) in place.conf.env.variables.iter() {
        ex.variables.insert(name.clone(), value.clone());
    }
    let fixed = match place.landing() {
        Landing::Directory => directory(ex, place)?,
        Landing::Missing => fallback(ex, place),
        Landing::File => Fixed::Here,
    };
    if fixed == Fixed::Here {
        request_fields::late(ex);
        let whole;
        let named = if place.conf.mime.use_path_info.or(false) {
            whole = [place.path.as_slice(), &place.path_info].concat();
            &whole
        } else {
            &place.path
        };
        place.types = types_of(ex.config, &place.conf, named);
        if let Some(media_type) = &ex.rewriting.media_type {
            place.types.media_type = Some(media_type.as_slice().into());
        }
        if let Some(handler) = &ex.rewriting.handler {
            place.types.handler = Some(handler.clone());
        }
    }
    Ok(fixed)
}

fn fallback(ex: &Exchange, place: &Place) -> Fixed {
    match place.conf.dir.fallback.value() {
        Some(Some(url)) if *url != ex.target.path.as_bytes() => Fixed::Instead(url.clone()),
        _ => Fixed::Here,
    }
}

fn directory(ex: &Exchange, place: &Place) -> Result<Fixed, Stop> {
    let url = ex.target.path.as_bytes();
    if url.last() != Some(&b'/') {
        return match place.conf.dir.slash.or(Slash::On) {
            Slash::On => Err(outcome(slash_redirect(ex))),
            Slash::Off => Ok(Fixed::Here),
            Slash::NotFound => Err(Fail::client(Status::NOT_FOUND, "").into()),
        };
    }
    match index(ex, place)? {
        Some(index) => match place.conf.dir.index_redirect.value() {
            Some(Some(status)) => Err(outcome(index_redirect(ex, *status, &index))),
            _ => Ok(Fixed::Instead(index)),
        },
        None => Ok(fallback(ex, place)),
    }
}

/// The URL path of the first index file that exists.
fn index(ex: &Exchange, place: &Place) -> Result<Option<Vec<u8>>, Fail> {
    let usual = [b"index.html".to_vec()];
    let names = place.conf.dir.index.value().map_or(&usual[..], Vec::as_slice);
    let mut refused = None;
    for name in names {
        let url = if name.first() == Some(&b'/') {
            name.clone()
        } else {
            [ex.target.path.as_bytes(), name].concat()
        };
        let file = translate::path_of(ex, &url).path;
        match open::extent(&file) {
            Ok(extent)
                if extent.meta.kind == Kind::File && (name.first() == Some(&b'/') || extent.length == file.len()) =>
            {
                return Ok(Some(url));
            }
            Ok(_) => {}
            Err(error) => refused = refused.or(Some((file, error))),
        }
    }
    match refused {
        None => Ok(None),
        Some((file, error)) => {
            let file = String::from_utf8_lossy(&file);
            Err(Fail::site(
                Status::FORBIDDEN,
                format!("index file `{file}`: {}", error.reason()),
            ))
        }
    }
}

fn outcome(response: Response) -> Stop {
    Stop::Outcome(Box::new(Outcome::Reply(response)))
}

fn slash_redirect(ex: &Exchange) -> Response {
    let mut path = Vec::new();
    quote::escape_path(&mut path, ex.target.path.as_bytes());
    path.push(b'/');
    redirect_to(ex, Status::MOVED_PERMANENTLY, path)
}

fn index_redirect(ex: &Exchange, status: u16, index: &[u8]) -> Response {
    let mut path = Vec::new();
    quote::escape_path(&mut path, index);
    redirect_to(ex, Status::new(status).unwrap_or(Status::FOUND), path)
}

fn redirect_to(ex: &Exchange, status: Status, mut path: Vec<u8>) -> Response {
    if let Some(query) = &ex.target.query {
        path.push(b'?');
        path.extend_from_slice(query);
    }
    let mut response = Response::new(status, Body::BuiltIn);
    response.head.fields.append("Location", ex.own_url(&path));
    response.connection = AfterResponse::Keep;
    response
}

/// What the extensions of a file's name say; the last one of a kind counts.
pub fn types_of(config: &Config, conf: &DirConf, path: &[u8]) -> Types {
    let name = path.rsplit(|b| *b == b'/').next().unwrap_or(path);
    let mut types = Types::default();
    let mime = &conf.mime;
    for extension in name.split(|b| *b == b'.').skip(1) {
        let extension = extension.to_ascii_lowercase();
        if let Some(media_type) = mime.types.find(&extension) {
            types.media_type = Some(media_type.as_slice().into());
        } else if let Some(media_type) = config.media_types.get(&extension) {
            types.media_type = Some(media_type.clone());
        }
        if let Some(charset) = mime.charsets.find(&extension) {
            types.charset = Some(charset.clone());
        }
        if let Some(language) = mime.languages.find(&extension) {
            types.languages.push(language.clone());
        }
        if let Some(encoding) = mime.encodings.find(&extension) {
            types.encodings.push(encoding.clone());
        }
        if let Some(handler) = mime.handlers.find(&extension) {
            types.handler = Some(handler.clone());
        }
    }
    if let Some(forced) = conf.core.force_type.value() {
        types.media_type = forced.as_deref().map(Into::into).or(types.media_type);
    }
    if let Some(Some(handler)) = conf.core.set_handler.value() {
        types.handler = Some(handler.to_ascii_lowercase());
    }
    if let (true, Some(language)) = (types.languages.is_empty(), mime.default_language.value()) {
        types.languages.push(language.clone());
    }
    types
}
