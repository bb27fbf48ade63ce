//! From the target of a pass to its place: rules, redirects, aliases, the walk, access, and what the place itself says.

use crate::exchange::Exchange;
use crate::exchange::fail::Fail;
use crate::exchange::place::{Alias, Place};
use crate::exchange::response::Stop;
use crate::exchange::rewriting::Look;
use crate::http::target::{CleanPath, Slashes};
use crate::phases::fixup::Fixed;
use crate::phases::translate::Translated;
use crate::phases::{access, early, fixup, redirect, rewrite, walk};

/// How often a place may give way to another (an index file, a fallback) in one pass.
const SUBSTITUTIONS: usize = 10;

/// Finds the place of this pass: the path's own, or that of an index file or fallback which stands for it.
pub fn run(ex: &mut Exchange) -> Result<Place, Stop> {
    let look = ex.rewriting.look;
    if look == Look::Request {
        early::of_site(ex);
    }
    for _ in 0..SUBSTITUTIONS {
        let translated = rewrite::of_server(ex)?;
        let mut place = judged(ex, translated)?;
        match fixup::run(ex, &mut place)? {
            Fixed::Here => {
                ex.rewriting.look = look;
                return Ok(place);
            }
            Fixed::Instead(url) => {
                // Apache finds the file by a subrequest, which rules may tell by [NS].
                ex.rewriting.look = Look::Ahead;
                ex.target.path = CleanPath::from_decoded(&url, Slashes::Merge)
                    .map_err(|e| Fail::internal(format!("index or fallback path: {e}")))?;
            }
        }
    }
    Err(Fail::internal("index files and fallbacks lead round in a circle").into())
}

/// Finds the place of a file by its name, for those who only look.
pub fn of_file(ex: &mut Exchange, path: &[u8]) -> Result<Place, Stop> {
    let translated = Translated {
        path: path.to_vec(),
        alias: Alias::None,
        context_prefix: Vec::new(),
        context_root: Vec::new(),
    };
    judged(ex, translated)
}

/// The place of a name, which the client may see.
fn judged(ex: &mut Exchange, translated: Translated) -> Result<Place, Stop> {
    let place = walk::run(ex, translated)?;
    early::of_place(ex);
    access::run(ex, &place)?;
    rewrite::of_directory(ex, &place)?;
    redirect::run(ex, &place.conf)?;
    Ok(place)
}
