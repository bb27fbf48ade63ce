//! What answers in the place of a directory, or of what is missing (Apache's `mod_dir`). Each name is looked up as a request of
//! its own, by GET, and the first that comes to a file is taken: what the client may not have stands for nothing.

use crate::config::directives::options::Options;
use crate::exchange::client::Client;
use crate::exchange::fail::{Blame, Fail};
use crate::exchange::place::{Alias, Landing, Place};
use crate::exchange::response::{Outcome, Stop};
use crate::exchange::rewriting::{Look, Rewriting};
use crate::exchange::trace::Step;
use crate::exchange::{Exchange, Mark};
use crate::fs::open::{self, Kind};
use crate::http::method::Method;
use crate::http::status::Status;
use crate::http::target::{CleanPath, split_query};
use crate::phases::fixup::By;
use crate::phases::{fixup, locate, negotiate, target, translate};

/// How often one place may stand for another (an index file, a fallback) in one pass. No directive moves it.
const SUBSTITUTIONS: usize = 10;

/// The place that stands for this one, `depth` places behind the request's own; nothing where none of the names leads to any.
/// Where the client may not have one of them, and none of the others stands, it is told so: a listing might show what is closed.
pub(super) async fn run(
    ex: &mut Exchange,
    place: &Place,
    (by, names): (By, &[Vec<u8>]),
    depth: usize,
) -> Result<Option<Place>, Stop> {
    if depth >= SUBSTITUTIONS {
        return Err(Fail::internal("index files and fallbacks lead round in a circle").into());
    }
    let redirect = place.conf.dir.index_redirect.value().copied().flatten();
    let redirect = redirect.filter(|_| by == By::Index);
    let mut refused = None;
    let mut names = names.iter();
    while let Some(name) = names.next() {
        let before = Before::of(ex);
        let found = look_up(ex, (by, name), depth).await;
        ex.method = before.method;
        match weigh(ex, found, names.as_slice().is_empty()) {
            Found::Place(_) | Found::Ruled(_) if redirect.is_some() => {
                let stop = fixup::index_redirect(ex, redirect.unwrap_or_default());
                before.restore(ex);
                return Err(stop);
            }
            Found::Place(other) => {
                ex.rewriting.look = before.mark.look();
                // More careful than Apache: what is closed to the request's own method is not opened by its directory.
                if !is_read(ex.method) {
                    ex.client.admitted = None;
                    locate::admitted(ex, &other).await?;
                }
                return Ok(Some(*other));
            }
            Found::Ruled(stop) => {
                ex.rewriting.look = before.mark.look();
                return Err(stop);
            }
            Found::Answer(stop) => {
                let rewriting = std::mem::take(&mut ex.rewriting);
                let look = before.mark.look();
                before.restore(ex);
                ex.rewriting = Rewriting { look, ..rewriting };
                return Err(stop);
            }
            Found::Refused(stop) => {
                before.restore(ex);
                refused = Some(stop);
            }
            Found::Nothing => before.restore(ex),
        }
    }
    refused.map_or(Ok(None), Err)
}

fn is_read(method: Method) -> bool {
    matches!(method, Method::Get | Method::Head)
}

/// What a look changes of the request.
struct Before {
    mark: Mark,
    method: Method,
    client: Client,
}

impl Before {
    fn of(ex: &Exchange) -> Before {
        Before {
            mark: ex.mark(),
            method: ex.method,
            client: ex.client.clone(),
        }
    }

    /// Forgets the look, but for what it has to say to the error log.
    fn restore(self, ex: &mut Exchange) {
        let lines = std::mem::take(&mut ex.rewriting.lines);
        ex.back_to(self.mark);
        ex.rewriting.lines = lines;
        ex.client.back_to(self.client);
    }
}

/// Where a request for this name would come to.
async fn look_up(ex: &mut Exchange, (by, name): (By, &[u8]), depth: usize) -> Result<Place, Stop> {
    let path = path_and_query(ex, name).map(|(path, query)| {
        ex.target.path = path;
        ex.target.query = query;
    });
    // As in Apache, one under the settings that the client was let in by is not judged as a GET.
    ex.method = Method::Get;
    // Rules may tell it by [NS].
    ex.rewriting.look = Look::Ahead;
    path?;
    let told = tell(ex, by);
    let mark = ex.trail_mark();
    if told == Told::Stands {
        ex.trace(|| stands(ex, by));
    }
    let found = Box::pin(locate::found(ex, depth + 1)).await;
    match &found {
        Ok(place) if is_one(place) => {
            if told == Told::Missing {
                ex.trace(|| stands(ex, by));
            }
        }
        Ok(_) => ex.forget_steps(mark),
        Err(Stop::Fail(fail)) if fail.status() == Status::NOT_FOUND => ex.forget_steps(mark),
        Err(_) => {}
    }
    found
}

/// The path of this site, and the query, that a name with the query of the request behind it leads to. It is decoded as any
/// target, and what follows a `#` is no part of it, as in Apache.
pub(super) fn path_and_query(ex: &Exchange, name: &[u8]) -> Result<(CleanPath, Option<Vec<u8>>), Fail> {
    let own = ex.target.query.as_deref();
    let whole = own.map(|query| [name, b"?", query].concat());
    let whole = whole.as_deref().unwrap_or(name);
    let whole = whole.split(|byte| *byte == b'#').next().unwrap_or_default();
    let (path, query) = split_query(whole);
    Ok((target::beside(ex, path)?, query.map(<[u8]>::to_vec)))
}

/// What a look came to.
enum Found {
    /// A file, or another server.
    Place(Box<Place>),
    /// A file, but rules send the request elsewhere.
    Ruled(Stop),
    /// An answer in itself: a redirect, or what is said of the last name.
    Answer(Stop),
    /// Something that the client may not have.
    Refused(Stop),
    /// No file.
    Nothing,
}

fn is_one(place: &Place) -> bool {
    place.landing() == Landing::File || place.alias == Alias::Proxied
}

fn weigh(ex: &Exchange, found: Result<Place, Stop>, is_last: bool) -> Found {
    let stop = match found {
        Ok(place) if is_one(&place) => return Found::Place(Box::new(place)),
        Ok(_) => return Found::Nothing,
        Err(stop) => stop,
    };
    let status = match &stop {
        Stop::Fail(Fail::ClientGone) => return Found::Answer(stop),
        // What could not be found out says nothing of the other names.
        Stop::Fail(Fail::Reply(reply)) if reply.blame == Blame::Server => return Found::Answer(stop),
        Stop::Fail(Fail::Reply(reply)) => reply.status,
        Stop::Outcome(outcome) => match &**outcome {
            Outcome::Again(_) if open::stat(&ex.file).is_ok_and(|meta| meta.kind == Kind::File) => {
                return Found::Ruled(stop);
            }
            Outcome::Again(_) => return Found::Nothing,
            Outcome::Reply(response) => response.head.status,
        },
    };
    match status {
        Status::NOT_FOUND => Found::Nothing,
        Status::UNAUTHORIZED | Status::NOT_ACCEPTABLE if is_last => Found::Answer(stop),
        status if (300..400).contains(&status.code()) => Found::Answer(stop),
        _ => Found::Refused(stop),
    }
}

/// What the trail says before a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Stands,
    Missing,
}

fn stands(ex: &Exchange, by: By) -> Step {
    Step::Instead {
        by: by.name(),
        url: ex.target.path.as_bytes().to_vec(),
    }
}

fn tell(ex: &Exchange, by: By) -> Told {
    if !ex.is_explained() {
        return Told::Missing;
    }
    let url = ex.target.path.as_bytes().to_vec();
    let file = translate::path_of(ex, &url).path;
    let found = open::extent(&file);
    let is_there = match &found {
        Ok(extent) if extent.meta.kind == Kind::File => true,
        Ok(extent) if extent.length + 1 >= file.len() => true,
        Ok(_) => ex.conf().core.options.in_force().has(Options::MULTI_VIEWS) && negotiate::may_find(&file),
        Err(error) => {
            ex.trace_open_error(&file, *error);
            false
        }
    };
    if by == By::Index || !is_there {
        ex.trace(|| Step::Index { url, file, is_there });
    }
    if is_there { Told::Stands } else { Told::Missing }
}
