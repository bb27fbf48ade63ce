//! `Options MultiViews`: where a name leads to nothing, the files whose names go on behind it are its variants, and the one that
//! suits the client best stands for it (Apache's `mod_negotiation`).

use crate::config::directives::DirConf;
use crate::config::directives::negotiation::Matching;
use crate::config::directives::options::Options;
use crate::config::handlers;
use crate::exchange::Exchange;
use crate::exchange::fail::Fail;
use crate::exchange::negotiated::{self, Decision};
use crate::exchange::place::{Landing, Place, Types};
use crate::exchange::response::{Outcome, Stop};
use crate::exchange::rewriting::Look;
use crate::exchange::tag;
use crate::exchange::type_map;
use crate::fs::dirlist;
use crate::fs::open::{self, Found};
use crate::http::accept::preference;
use crate::http::negotiate::{SCRIPT_TYPE, Scripts, Transparency, Variant};
use crate::http::status::Status;
use crate::http::target::{CleanPath, Slashes};
use crate::lang::log_level::Level;
use crate::phases::translate::Translated;
use crate::phases::{ahead, fixup};

/// More files than this are no variants of a name; the error log says so. No directive moves it.
const MOST_VARIANTS: usize = 256;

/// Another name for the place, where it is missing and has variants. The request's path is that of the variant then.
pub(super) async fn run(ex: &mut Exchange, place: &Place) -> Result<Option<Translated>, Stop> {
    let is_on = || place.conf.core.options.in_force().has(Options::MULTI_VIEWS);
    if place.landing() != Landing::Missing || !is_on() {
        return Ok(None);
    }
    search(ex, place).await
}

/// Whether files stand in the directory of `file` that could be its variants.
pub(super) fn may_find(file: &[u8]) -> bool {
    names(file).is_ok_and(|names| !names.names.is_empty())
}

fn names(file: &[u8]) -> std::io::Result<dirlist::Beginning> {
    let (directory, base) = file.split_at(ahead::directory_of(file).len().min(file.len()));
    dirlist::beginning_with(directory, &[base, b"."].concat(), MOST_VARIANTS)
}

async fn search(ex: &mut Exchange, place: &Place) -> Result<Option<Translated>, Stop> {
    let found = names(&place.path).map_err(|error| unreadable(place, &error))?;
    if found.is_cut {
        let file = String::from_utf8_lossy(&place.path);
        let note = format!("`{file}` has more than {MOST_VARIANTS} variants; the others are passed over");
        ex.rewriting.lines.push(Level::Warn, MODULE, note);
    }
    let mut variants = Vec::new();
    for name in &found.names {
        match look_at(ex, place, name).await {
            Candidate::None => {}
            Candidate::Variant(variant) => variants.push(*variant),
            Candidate::Map(map) => return by_map(ex, place, &map).await.map(Some),
        }
    }
    if variants.is_empty() && !found.names.is_empty() {
        let file = String::from_utf8_lossy(&place.path);
        let note = format!("files match `{file}` (MultiViews), but none of them can be negotiated");
        return Err(Fail::site(Status::NOT_FOUND, note).of_module(MODULE).into());
    }
    // An index leaves none.
    if ex.rewriting.look == Look::Request {
        let directory = open::stat(ahead::directory_of(&place.path)).ok();
        let tag = directory.and_then(|directory| tag::of_list(&place.conf, &directory, ex.began.wall));
        ex.rewriting.negotiated.add_list_tag(tag);
    }
    if variants.is_empty() {
        return Ok(None);
    }
    // By name where they are as good.
    variants.sort_by(|one, other| other.source_quality.total_cmp(&one.source_quality));
    let is_for_script = !negotiated::is_read(ex) || ex.target.query.is_some() || !place.path_info.is_empty();
    let scripts = if is_for_script { Scripts::First } else { Scripts::Last };
    let decision = negotiated::decide(ex, &place.conf, &variants, &place.path_info, scripts)?;
    settle(ex, &variants, decision);
    let name = chosen(&variants, decision);
    ex.target.path = ahead::url_beside(ex, place, name)?;
    let file = [&*ahead::file_beside(place, name), &place.path_info].concat();
    Ok(Some(at_file(ex, place, file)))
}

const MODULE: &str = "negotiation";

fn settle(ex: &mut Exchange, variants: &[Variant], decision: Decision) {
    negotiated::settle(ex, variants, decision);
    // What a map said before of caches is forgotten, as in Apache.
    ex.rewriting.negotiated.is_old = false;
}

fn chosen(variants: &[Variant], decision: Decision) -> &[u8] {
    variants.get(decision.number).map_or(b"", |variant| &variant.name)
}

fn at_file(ex: &Exchange, place: &Place, path: Vec<u8>) -> Translated {
    Translated {
        path,
        alias: place.alias,
        context_prefix: place.context_prefix.clone(),
        context_root: place.context_root.clone(),
        document_root: ex.target.landed.document_root.clone(),
    }
}

fn unreadable(place: &Place, error: &std::io::Error) -> Fail {
    let directory = String::from_utf8_lossy(ahead::directory_of(&place.path)).into_owned();
    let note = format!("cannot look for variants in `{directory}` (MultiViews): {error}");
    Fail::site(Status::FORBIDDEN, note).of_module(MODULE)
}

/// What a file beside the name is.
enum Candidate {
    /// Nothing that could be sent.
    None,
    /// A variant.
    Variant(Box<Variant>),
    /// A map of the variants, which counts alone.
    Map(Box<Place>),
}

async fn look_at(ex: &Exchange, place: &Place, name: &[u8]) -> Candidate {
    // Its place is found as by a request of its own: what the client may not have is no variant.
    let (look, found) = Box::pin(ahead::beside(ex, place, name)).await;
    let (_, base) = place.path.split_at(ahead::directory_of(&place.path).len());
    let is_ours = |conf: &DirConf| unclaimed(&look, conf, name).is_some_and(|unclaimed| belongs(base, &unclaimed));
    let (found, length) = match found {
        Ok(found) => match &found.found {
            Found::File(seen) if is_ours(&found.conf) => {
                let length = seen.meta.size;
                (found, length)
            }
            _ => return Candidate::None,
        },
        // Rules send it elsewhere inside the server, which is as good as a handler.
        Err(Stop::Outcome(outcome)) if matches!(*outcome, Outcome::Again(_)) && is_ours(look.conf()) => {
            let file = ahead::file_beside(place, name);
            let types = fixup::types_of(&look, look.conf(), &file);
            let length = open::stat(&file).ok().map(|meta| meta.size);
            return described(name, &types, length).map_or(Candidate::None, |variant| {
                Candidate::variant(Variant {
                    is_made: true,
                    ..variant
                })
            });
        }
        Err(_) => return Candidate::None,
    };
    let types = &found.types;
    let handler = types.handler.as_deref();
    if handler.is_some_and(handlers::is_type_map) || types.media_type.as_deref().is_some_and(handlers::is_type_map) {
        return Candidate::Map(Box::new(found));
    }
    described(name, types, Some(length)).map_or(Candidate::None, Candidate::variant)
}

impl Candidate {
    fn variant(variant: Variant) -> Candidate {
        Candidate::Variant(Box::new(variant))
    }
}

/// A variant by what its name says; nothing where that is neither a type nor a handler.
fn described(name: &[u8], types: &Types, length: Option<u64>) -> Option<Variant> {
    let handler = types.handler.as_deref();
    let media_type = types.media_type.as_deref().or(handler.map(|_| SCRIPT_TYPE))?;
    let mut variant = Variant {
        name: name.to_vec(),
        languages: types.languages.clone(),
        encoding: types.encodings.join(&b", "[..]),
        length,
        is_made: handler.is_some(),
        ..Variant::default()
    };
    variant.set_content_type(preference(&mut &*media_type));
    if let Some(charset) = &types.charset {
        variant.charset = charset.to_ascii_lowercase();
    }
    Some(variant)
}

/// The parts of a file's name that say nothing of it, its base first; nothing where no part says anything.
fn unclaimed<'n>(ex: &Exchange, conf: &DirConf, name: &'n [u8]) -> Option<Vec<&'n [u8]>> {
    let dots = name.iter().take_while(|byte| **byte == b'.').count();
    let end = name.iter().skip(dots).position(|byte| *byte == b'.');
    let (base, extensions) = name.split_at(end.map_or(name.len(), |end| dots + end));
    let mut unclaimed = vec![base];
    let mut says_something = false;
    for extension in extensions.split(|byte| *byte == b'.').filter(|part| !part.is_empty()) {
        if says(ex, conf, &extension.to_ascii_lowercase()) {
            says_something = true;
        } else {
            unclaimed.push(extension);
        }
    }
    says_something.then_some(unclaimed)
}

/// Whether an extension says something that a variant may be chosen by.
fn says(ex: &Exchange, conf: &DirConf, extension: &[u8]) -> bool {
    let mime = &conf.mime;
    let of_content = mime.types.find(extension).is_some()
        || ex.config.media_types.contains_key(extension) && !mime.types.has_lost(extension)
        || mime.charsets.find(extension).is_some()
        || mime.languages.find(extension).is_some()
        || mime.encodings.find(extension).is_some();
    of_content
        || match conf.negotiation.matching.or(Matching::USUAL) {
            Matching::Any => true,
            Matching::Known { handlers, filters } => {
                let has_filters =
                    || mime.output_filters.find(extension).is_some() || mime.input_filters.find(extension).is_some();
                handlers && mime.handlers.find(extension).is_some() || filters && has_filters()
            }
        }
}

/// Whether the parts that say nothing are parts of the name that was asked for, in its order.
fn belongs(asked: &[u8], unclaimed: &[&[u8]]) -> bool {
    let mut left = unclaimed.iter().peekable();
    for part in asked.split(|byte| *byte == b'.') {
        left.next_if(|next| **next == part);
    }
    left.peek().is_none()
}

/// The variant that a map among the files leads to.
async fn by_map(ex: &mut Exchange, place: &Place, map: &Place) -> Result<Translated, Stop> {
    let read = type_map::read(ex, map)?;
    if ex.rewriting.look == Look::Request {
        ex.rewriting.negotiated.add_list_tag(read.tag.clone());
    }
    let decision = negotiated::decide(ex, &place.conf, &read.variants, &place.path_info, Scripts::Last)?;
    let name = chosen(&read.variants, decision).to_vec();
    if decision.transparency == Transparency::Transparent {
        let (status, look) = Box::pin(ahead::at_sibling(ex, place, &name)).await;
        type_map::check(status, &look)?;
    }
    settle(ex, &read.variants, decision);
    let clean = |path: &[u8]| {
        CleanPath::from_decoded(path, Slashes::Merge)
            .map_err(|error| Fail::site(Status::FORBIDDEN, format!("type map: {error}")).of_module(MODULE))
    };
    let url = [ahead::directory_of(ex.target.path.as_bytes()), &name].concat();
    let file = clean(&ahead::file_beside(place, &name))?;
    ex.target.path = clean(&url)?;
    Ok(at_file(ex, place, file.into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::belongs;

    #[test]
    fn parts_that_say_nothing_must_be_those_of_the_name_in_its_order() {
        for (asked, unclaimed, want) in [
            ("a", &["a"][..], true),
            ("a.b", &["a"], true),
            ("a.b", &["a", "b"], true),
            ("a.b", &["b", "a"], false),
            ("a", &["a", "b"], false),
            ("a.c.b", &["a", "b"], true),
            (".a", &[".a"], false),
            ("b", &["a"], false),
        ] {
            let unclaimed: Vec<&[u8]> = unclaimed.iter().map(|part| part.as_bytes()).collect();
            assert_eq!(belongs(asked.as_bytes(), &unclaimed), want, "{asked} {unclaimed:?}");
        }
    }
}
