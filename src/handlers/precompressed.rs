//! Files that stand beside others, compressed: `style.css.br` is sent for `style.css` to who takes it (`Precompressed`).

use crate::config::directives::mime::PRECOMPRESSED;
use crate::exchange::Exchange;
use crate::exchange::place::Place;
use crate::exchange::trace::Step;
use crate::fs::open::{OpenFile, Seen};
use crate::http::coding::Coding;

/// Whether the place has such files: then its answers depend on what the client takes. What is parsed for includes has none.
pub fn is_on(place: &Place) -> bool {
    let codings = place.conf.mime.precompressed.value();
    codings.is_some_and(|codings| !codings.is_empty())
        && place.types.encodings.is_empty()
        && !(place.may_be_parsed() && place.has_includes())
}

/// The file that is sent in the place of `seen`, and its coding: the one that the client wants most and that is there, is no
/// older, and is a regular file under the same policy of links. Of those that are wanted as much, Brotli goes before Zstandard
/// and gzip.
pub fn find(ex: &Exchange, place: &Place, seen: &Seen) -> Option<(Coding, OpenFile)> {
    if !is_on(place) {
        return None;
    }
    let said = ex.head.joined(b"accept-encoding")?;
    let allowed = place.conf.mime.precompressed.value()?;
    let mut wanted: Vec<(u16, Coding)> = PRECOMPRESSED
        .into_iter()
        .filter(|coding| allowed.contains(coding) && ex.variable(coding.refusal()).is_none())
        .filter_map(|coding| Some((coding.weight(&said)?, coding)))
        .collect();
    wanted.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    wanted.into_iter().find_map(|(_, coding)| {
        let sibling = seen.beside(coding.extension().as_bytes())?;
        if sibling.meta.mtime < seen.meta.mtime {
            return None;
        }
        let file = sibling.open().ok()?;
        ex.trace(|| Step::Type {
            by: "Precompressed".to_owned(),
            says: format!("{} is sent in its place", String::from_utf8_lossy(sibling.name())),
        });
        Some((coding, file))
    })
}
