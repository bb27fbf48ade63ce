//! Type maps of a place: read, and their variants measured, for the handler of maps and for `Options MultiViews`.

use crate::config::handlers;
use crate::exchange::Exchange;
use crate::exchange::fail::Fail;
use crate::exchange::place::Place;
use crate::exchange::tag;
use crate::fs::open::{self, Found, OpenError, OpenFile};
use crate::http::negotiate::Variant;
use crate::http::status::Status;
use crate::lang::log_level::Level;
use crate::lang::type_map::{self, Broken};

/// A larger map is not read: 500. No directive moves it.
const LARGEST: u64 = 1024 * 1024;

/// A map that was read.
pub struct Read {
    /// Its variants.
    pub variants: Vec<Variant>,
    /// It, for the bodies that are in it.
    pub file: OpenFile,
    /// Its entity tag.
    pub tag: Option<Vec<u8>>,
}

/// Reads the map of a place.
pub fn read(ex: &Exchange, place: &Place) -> Result<Read, Fail> {
    let shown = || String::from_utf8_lossy(&place.path).into_owned();
    let Found::File(seen) = &place.found else {
        return Err(Fail::client(
            Status::NOT_FOUND,
            format!("type map `{}` does not exist", shown()),
        ));
    };
    let file = seen.open().map_err(|error| {
        ex.trace_open_error(&place.path, error);
        let status = match error {
            OpenError::Missing => Status::NOT_FOUND,
            _ => Status::FORBIDDEN,
        };
        site(status, format!("type map `{}`: {}", shown(), error.reason()))
    })?;
    let broken = |why: String| site(Status::INTERNAL_SERVER_ERROR, format!("type map `{}`: {why}", shown()));
    if file.meta.size > LARGEST {
        return Err(broken(format!("it is larger than {LARGEST} bytes")));
    }
    let mut text = vec![0; usize::try_from(file.meta.size).unwrap_or_default()];
    let length = file.read_at(&mut text, 0).map_err(|error| broken(error.to_string()))?;
    text.truncate(length);
    let slash = place.path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    let (directory, own_name) = place.path.split_at(slash);
    let mut map = type_map::parse(&text, own_name).map_err(|Broken(why)| broken(why))?;
    if let Some(why) = map.ends {
        let note = format!("type map `{}`: {why}", shown());
        ex.rewriting.lines.push(Level::Error, MODULE, note);
    }
    for variant in &mut map.variants {
        if variant.length.is_none() {
            let file = open::stat(&[directory, &variant.name].concat());
            variant.length = file.ok().map(|meta| meta.size);
        }
    }
    let tag = tag::of_file(&place.conf, &file, ex.began.wall);
    Ok(Read {
        variants: map.variants,
        file,
        tag,
    })
}

/// Whether a variant may stand for a transparently negotiable resource, by a look at it: the client can have it, and there is
/// nothing to be chosen there again (RFC 2295 section 8.1).
pub fn check(status: Status, look: &Exchange) -> Result<(), Fail> {
    let file = String::from_utf8_lossy(&look.file);
    let is_negotiated = look.rewriting.negotiated.is_transparent();
    if is_negotiated || handlers::is_type_map(&look.handler) {
        let note = format!("variant `{file}` of a type map has variants itself");
        return Err(site(Status::VARIANT_ALSO_NEGOTIATES, note));
    }
    if status == Status::OK {
        return Ok(());
    }
    Err(site(status, format!("variant `{file}` of a type map cannot be had")))
}

const MODULE: &str = "negotiation";

fn site(status: Status, note: String) -> Fail {
    Fail::site(status, note).of_module(MODULE)
}
