//! The last facts before a handler is chosen: the slash behind a directory, its index file, variables, and what the file's
//! name says of its type.

use std::sync::Arc;

use crate::base::quote;
use crate::config::backends;
use crate::config::directives::DirConf;
use crate::config::directives::core::SetHandler;
use crate::config::directives::dir::Slash;
use crate::config::directives::ssi::XBitHack;
use crate::config::filters::{Filter, Named};
use crate::config::handlers::BY_TYPE;
use crate::exchange::Exchange;
use crate::exchange::fail::Fail;
use crate::exchange::negotiated;
use crate::exchange::place::{Alias, Landing, Place, Types};
use crate::exchange::response::{AfterResponse, Body, Outcome, Response, Stop};
use crate::exchange::rewriting::Look;
use crate::exchange::trace::Step;
use crate::exchange::view::View;
use crate::fs::open::Found;
use crate::http::status::Status;
use crate::phases::{instead, request_fields, rewrite};

/// Where the fixups lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fixed {
    /// The place stands.
    Here,
    /// One of these may take its place; where none does, it is to be completed.
    Instead(By, Vec<Vec<u8>>),
}

/// Who says what takes the place of another, without a trace for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// `DirectoryIndex`.
    Index,
    /// `FallbackResource`.
    Fallback,
}

impl By {
    /// The directive.
    pub fn name(self) -> &'static str {
        match self {
            By::Index => "DirectoryIndex",
            By::Fallback => "FallbackResource",
        }
    }
}

/// Completes `place`, or names what may answer for it.
pub fn run(ex: &mut Exchange, place: &mut Place) -> Result<Fixed, Stop> {
    set_variables(ex, place);
    if place.alias == Alias::Proxied {
        request_fields::late(ex);
        return Ok(Fixed::Here);
    }
    let fixed = match place.landing() {
        Landing::Directory => directory(ex, place)?,
        Landing::Missing => fallback(ex, place),
        Landing::File => Fixed::Here,
    };
    if fixed == Fixed::Here {
        complete(ex, place);
    }
    Ok(fixed)
}

/// What is done of it for a place that rules lead away from, through the server again: the next pass is told of the variables
/// (`REDIRECT_...`), and has the fields.
pub(super) fn of_rewritten(ex: &mut Exchange, place: &Place) {
    set_variables(ex, place);
    request_fields::late(ex);
}

/// Sets the variables of SetEnv, and those of TLS that scripts are given.
fn set_variables(ex: &mut Exchange, place: &Place) {
    for (name, value) in place.conf.env.variables.iter() {
        ex.overlay_variable(name, value);
        ex.trace(|| Step::Variable {
            by: "SetEnv",
            name: name.to_vec(),
            value: Some(value.clone()),
            at: None,
        });
    }
    for (name, value) in ex.exported_tls_variables(place.conf.tls_access.options.in_force()) {
        ex.set_variable(name, value);
    }
}

/// What is left to be said of a place that stands.
pub(super) fn complete(ex: &mut Exchange, place: &mut Place) {
    let whole;
    let named = match place.landing() {
        // The name of a directory says nothing of what is in it.
        Landing::Directory => &b""[..],
        _ if place.conf.mime.use_path_info.or(false) => {
            whole = [place.path.as_slice(), &place.path_info].concat();
            &whole
        }
        _ => &place.path,
    };
    place.types = types_of(ex, &place.conf, named);
    name_coding_as_asked(ex, &mut place.types);
    if let Some(SetHandler::Computed(expr)) = place.conf.core.set_handler.value() {
        // What has no value, or names nothing, sets nothing.
        let handler = expr.eval(&View { ex, response: None }).unwrap_or_default();
        if !handler.is_empty() && !handler.eq_ignore_ascii_case(b"none") {
            ex.trace(|| said("SetHandler", "handler", &handler));
            place.types.handler = Some(handler_name(&handler));
        }
    }
    if place.alias != Alias::Proxied {
        ex.handler = place.types.handler.clone().unwrap_or_default();
    }
    // What a look at an index or a fallback meets besides files is forgotten, and changes nothing of the request.
    if ex.rewriting.look == Look::Request || place.landing() == Landing::File {
        request_fields::late(ex);
    }
    if let Some(media_type) = &ex.rewriting.media_type {
        ex.trace(|| said("a rule's [T]", "type", media_type));
    }
    if let Some(handler) = &ex.rewriting.handler {
        ex.trace(|| said("a rule's [H]", "handler", handler));
    }
    rewrite::force_types(ex, place);
    parse_for_includes(place);
    ex.target.filters = place.types.output_filters.iter().filter_map(Named::here).collect();
}

fn fallback(ex: &Exchange, place: &Place) -> Fixed {
    match place.conf.dir.fallback.value() {
        Some(Some(url)) if !is_here(ex, url) && !has_handler_of_its_own(ex, place, &place.path) => {
            Fixed::Instead(By::Fallback, vec![url.clone()])
        }
        _ => Fixed::Here,
    }
}

/// Whether the fallback itself is what is missing.
fn is_here(ex: &Exchange, url: &[u8]) -> bool {
    instead::path_and_query(ex, url).is_ok_and(|(path, _)| path == ex.target.path)
}

fn directory(ex: &Exchange, place: &Place) -> Result<Fixed, Stop> {
    let url = ex.target.path.as_bytes();
    if url.last() != Some(&b'/') {
        return match place.conf.dir.slash.or(Slash::On) {
            Slash::On => {
                ex.trace(|| {
                    Step::Handler(
                        "DirectorySlash",
                        "a directory is asked for without its slash".to_owned(),
                    )
                });
                Err(outcome(slash_redirect(ex, url)))
            }
            Slash::Off => Ok(Fixed::Here),
            Slash::NotFound => Err(Fail::client(Status::NOT_FOUND, "").into()),
        };
    }
    if place.conf.dir.check_handler.or(false) && has_handler_of_its_own(ex, place, b"") {
        ex.trace(|| {
            let why = "the directory has another handler, and is left to it".to_owned();
            Step::Handler("DirectoryCheckHandler", why)
        });
        return Ok(Fixed::Here);
    }
    let usual = [b"index.html".to_vec()];
    let names = place.conf.dir.index.value().map_or(&usual[..], Vec::as_slice);
    Ok(match names {
        [] => Fixed::Here,
        names => Fixed::Instead(By::Index, names.to_vec()),
    })
}

/// Whether something else than listings and index files was chosen for a directory, or something at all for a file in it.
fn has_handler_of_its_own(ex: &Exchange, place: &Place, file: &[u8]) -> bool {
    let named = handler_of(ex, &place.conf, file);
    let named = named.as_ref().or(ex.rewriting.handler.as_ref());
    place.alias == Alias::Scripts || named.is_some_and(|name| name != DIRECTORY)
}

/// What Apache calls the handler of directories.
const DIRECTORY: &[u8] = b"httpd/unix-directory";

/// The coding of a file is called what the client calls it: `gzip` or `x-gzip`.
fn name_coding_as_asked(ex: &Exchange, types: &mut Types) {
    if let [coding] = types.encodings.as_mut_slice()
        && let Some(name) = negotiated::coding_as_asked(ex, coding)
    {
        *coding = name;
    }
}

/// What is parsed for includes without a filter that says so: by its handler, or by its mode (XBitHack).
fn parse_for_includes(place: &mut Place) {
    let by_bit = place.conf.ssi.by_bit.or(XBitHack::Off) != XBitHack::Off;
    let types = &mut place.types;
    if types.handler.as_deref() == Some(b"server-parsed") {
        types.handler = Some(b"default-handler".to_vec());
        types.media_type.get_or_insert_with(|| HTML.into());
    } else if !(by_bit && types.media_type.as_deref() == Some(HTML) && is_for_its_owner_to_execute(&place.found)) {
        return;
    }
    types.output_filters.push(Named::Here(Filter::Includes));
}

const HTML: &[u8] = b"text/html";

fn is_for_its_owner_to_execute(found: &Found) -> bool {
    matches!(found, Found::File(seen) if seen.meta.mode & 0o100 != 0)
}

#[cold]
fn said(by: &str, what: &str, says: &[u8]) -> Step {
    Step::Type {
        by: by.to_owned(),
        says: format!("{what} {}", String::from_utf8_lossy(says)),
    }
}

fn outcome(response: Response) -> Stop {
    Stop::Outcome(Box::new(Outcome::Reply(response)))
}

fn slash_redirect(ex: &Exchange, url: &[u8]) -> Response {
    let mut path = Vec::new();
    quote::escape_path(&mut path, url);
    path.push(b'/');
    redirect_to(ex, Status::MOVED_PERMANENTLY, path)
}

/// The redirect to the index that was found, with its query.
pub(super) fn index_redirect(ex: &Exchange, status: u16) -> Stop {
    let mut path = Vec::new();
    quote::escape_path(&mut path, ex.target.path.as_bytes());
    outcome(redirect_to(ex, Status::new(status).unwrap_or(Status::FOUND), path))
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

/// The handler that settings give a file, if they were those of this request.
pub(super) fn handler_of(ex: &Exchange, conf: &DirConf, path: &[u8]) -> Option<Vec<u8>> {
    if let Some(SetHandler::Computed(expr)) = conf.core.set_handler.value() {
        let handler = expr.eval(&View { ex, response: None }).unwrap_or_default();
        if !handler.is_empty() && !handler.eq_ignore_ascii_case(b"none") {
            return Some(handler_name(&handler));
        }
    }
    types_of(ex, conf, path).handler
}

/// Handlers are compared in lower case; but the name of a socket is as it is.
fn handler_name(handler: &[u8]) -> Vec<u8> {
    match backends::of_handler(handler) {
        Some(url) => [backends::HANDLER, url].concat(),
        None => handler.to_ascii_lowercase(),
    }
}

/// What the extensions of a file's name say; the last one of a kind counts. Dots before the name are part of it.
pub(super) fn types_of(ex: &Exchange, conf: &DirConf, path: &[u8]) -> Types {
    let name = path.rsplit(|b| *b == b'/').next().unwrap_or(path);
    let hidden = name.iter().take_while(|b| **b == b'.').count();
    let name = name.get(hidden..).unwrap_or_default();
    let mut types = Types::default();
    let mime = &conf.mime;
    let last_only = mime.last_extension.or(false);
    let mut extensions = name.split(|b| *b == b'.').skip(1).peekable();
    while let Some(extension) = extensions.next() {
        let is_last = extensions.peek().is_none();
        let extension = extension.to_ascii_lowercase();
        let own = mime.types.find(&extension).map(|own| own.as_slice().into());
        let counts = |media_type: &Arc<[u8]>| is_last || !last_only || !media_type.starts_with(BY_TYPE);
        // RemoveType takes what TypesConfig says, too.
        let known = ex.config.media_types.get(&extension);
        let known = known.filter(|_| !mime.types.has_lost(&extension));
        let media_type = own.or_else(|| known.cloned());
        let tell = |what, says: &[u8]| {
            ex.trace(|| said(&format!(".{}", String::from_utf8_lossy(&extension)), what, says));
        };
        if let Some(media_type) = media_type.filter(counts) {
            tell("type", &media_type);
            types.media_type = Some(media_type);
        }
        if let Some(charset) = mime.charsets.find(&extension) {
            tell("charset", charset);
            types.charset = Some(charset.clone());
        }
        if let Some(language) = mime.languages.find(&extension) {
            tell("language", language);
            types.languages.push(language.clone());
        }
        if let Some(encoding) = mime.encodings.find(&extension) {
            tell("encoding", encoding);
            types.encodings.push(encoding.clone());
        }
        if let Some(filters) = mime.output_filters.find(&extension) {
            types.output_filters.extend_from_slice(filters);
        }
        if let Some(filters) = mime.input_filters.find(&extension) {
            types.input_filters.extend_from_slice(filters);
        }
        if let Some(handler) = mime.handlers.find(&extension).filter(|_| is_last || !last_only) {
            tell("handler", handler);
            types.handler = Some(handler.clone());
        } else if last_only {
            types.handler = None;
        }
    }
    if let Some(Some(forced)) = conf.core.force_type.value() {
        ex.trace(|| said("ForceType", "type", forced));
        types.media_type = Some(forced.as_slice().into());
        types.charset = None;
    }
    if let Some(SetHandler::Named(handler)) = conf.core.set_handler.value() {
        ex.trace(|| said("SetHandler", "handler", handler));
        types.handler = Some(handler_name(handler));
    }
    if let (true, Some(language)) = (types.languages.is_empty(), mime.default_language.value()) {
        types.languages.push(language.clone());
    }
    types
}
