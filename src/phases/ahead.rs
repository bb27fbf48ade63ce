//! What a request for something else would come to: `-U`, `-F`, `%{LA-U:...}`. It is found by the same phases, on an exchange
//! that is thrown away.

use std::rc::Rc;

use percent_encoding::percent_decode;

use crate::base::path;
use crate::exchange::Exchange;
use crate::exchange::client::Patience;
use crate::exchange::fail::Fail;
use crate::exchange::looks::Sight;
use crate::exchange::place::{Landing, Place, Types};
use crate::exchange::response::{Outcome, Stop};
use crate::exchange::trace::Trail;
use crate::fs::open::{self, Found, Kind};
use crate::gateway::script_path::split_path;
use crate::http::status::Status;
use crate::http::target::{CleanPath, Slashes};
use crate::lang::vars::Accessible;
use crate::phases::{fixup, locate, target};

/// The exchange of a look, and the place it came to.
pub(super) type Looked = (Exchange, Result<Place, Stop>);

/// Where a request for a URL path of this site, absolute or beside this one, perhaps with a query, would come to; nothing where that is no path.
pub(super) fn at_url(ex: &Exchange, path: &[u8]) -> Option<Looked> {
    let mut look = to_url(ex, path)?;
    let place = locate::look(&mut look);
    Some(taken_over(ex, look, place))
}

/// A look at a URL path, absolute or beside this one, with its query.
fn to_url(ex: &Exchange, path: &[u8]) -> Option<Exchange> {
    let mut look = ex.look_ahead();
    let mut parts = path.splitn(2, |byte| *byte == b'?');
    let path = parts.next().unwrap_or_default();
    let whole = url_from(ex.target.path.as_bytes(), path);
    look.target.path = CleanPath::from_decoded(&whole, Slashes::Merge).ok()?;
    look.target.query = parts.next().map(<[u8]>::to_vec);
    Some(look)
}

/// A URL path of this site, absolute or beside `own`.
pub(super) fn url_from(own: &[u8], path: &[u8]) -> Vec<u8> {
    if path.starts_with(b"/") {
        path.to_vec()
    } else {
        [directory_of(own), path].concat()
    }
}

/// The same for a file by its name, absolute or beside that of the request.
pub(super) fn at_file(ex: &Exchange, path: &[u8]) -> Looked {
    let mut look = ex.look_ahead();
    let whole = path::absolute(directory_of(&ex.file), path);
    let place = locate::look_at_file(&mut look, &whole);
    taken_over(ex, look, place)
}

/// What a look could not wait for, and had to say, is the request's.
fn taken_over(ex: &Exchange, look: Exchange, place: Result<Place, Stop>) -> Looked {
    ex.client.take_over(&look.client);
    ex.rewriting.lines.take_over(&look.rewriting.lines);
    (look, place)
}

/// What a request for an entry of a directory would come to.
pub async fn at_entry(ex: &Exchange, directory: &Place, name: &[u8]) -> Sight {
    let mut look = ex.look_ahead();
    look.client.patience = Patience::Waits;
    let url = within(ex.target.path.as_bytes(), name);
    let Ok(url) = CleanPath::from_decoded(&url, Slashes::Keep) else {
        return Sight {
            status: Status::NOT_FOUND,
            types: Types::default(),
            file: None,
        };
    };
    look.target.path = url;
    let mut file = within(&directory.path, name);
    // A directory is listed with its slash, and what names are compared with is behind that.
    if matches!(open::extent(&file), Ok(extent) if extent.meta.kind == Kind::Directory && extent.length == file.len()) {
        file.push(b'/');
    }
    let found = locate::entry(&mut look, directory, &file).await;
    let types = match &found {
        Ok(place) => place.types.clone(),
        // Types are known before a redirect is.
        Err(Stop::Outcome(_)) => fixup::types_of(&look, look.conf(), &file),
        Err(Stop::Fail(_)) => Types::default(),
    };
    Sight {
        status: status_of(&found),
        types,
        file: match found.map(|place| place.found) {
            Ok(Found::File(seen)) => Some(seen),
            _ => None,
        },
    }
}

/// What a request for a file beside that of `place` would come to, with the same query and the same path behind it.
pub(super) async fn beside(ex: &Exchange, place: &Place, name: &[u8]) -> Looked {
    let mut look = ex.look_ahead();
    look.client.patience = ex.client.patience;
    look.target.query.clone_from(&ex.target.query);
    // A look of a request that is only explained has no effects either.
    look.trail = ex.is_explained().then(|| Rc::new(Trail::default()));
    let found = match url_beside(ex, place, name) {
        Ok(url) => {
            look.target.path = url;
            let file = [&*file_beside(place, name), &place.path_info].concat();
            locate::entry(&mut look, place, &file).await
        }
        Err(fail) => Err(fail.into()),
    };
    taken_over(ex, look, found)
}

/// What a request for a file beside that of `place` would come to, for a handler.
pub async fn at_sibling(ex: &Exchange, place: &Place, name: &[u8]) -> (Status, Exchange) {
    let (mut look, found) = beside(ex, place, name).await;
    if let Ok(found) = &found {
        let types = &found.types;
        let named = types.handler.as_deref().or(types.media_type.as_deref());
        look.handler = named.unwrap_or_default().to_vec();
    }
    (status_of(&found), look)
}

/// The file of this name in the directory of `place`.
pub(super) fn file_beside(place: &Place, name: &[u8]) -> Vec<u8> {
    [directory_of(&place.path), name].concat()
}

/// A path up to its last slash.
pub(super) fn directory_of(path: &[u8]) -> &[u8] {
    let slash = path.iter().rposition(|byte| *byte == b'/');
    slash.and_then(|at| path.get(..=at)).unwrap_or(b"/")
}

/// The URL path of a file beside that of `place`, with what follows that in the request's.
pub(super) fn url_beside(ex: &Exchange, place: &Place, name: &[u8]) -> Result<CleanPath, Fail> {
    let (own, _) = split_path(ex.target.path.as_bytes(), &place.path_info);
    let url = [directory_of(own), name, &place.path_info].concat();
    CleanPath::from_decoded(&url, Slashes::Keep).map_err(|error| Fail::internal(error.to_string()))
}

fn within(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let slash: &[u8] = if directory.ends_with(b"/") { b"" } else { b"/" };
    [directory, slash, name].concat()
}

/// The file that a URL path, absolute or beside this one, with its query leads to, for a handler that can wait.
pub async fn file_at_url(ex: &Exchange, url: &[u8]) -> Option<(Exchange, Place)> {
    let mut url = url.splitn(2, |byte| *byte == b'?');
    let path: Vec<u8> = percent_decode(url.next()?).collect();
    let mut look = to_url(ex, &path)?;
    look.target.query = url.next().map(<[u8]>::to_vec);
    look.client.patience = Patience::Waits;
    // What is looked at for a part of a page is part of it too.
    look.rewriting.main.clone_from(&ex.rewriting.main);
    loop {
        match locate::run(&mut look).await {
            Ok(place) => return (place.landing() == Landing::File).then_some((look, place)),
            Err(Stop::Fail(_)) => return None,
            Err(Stop::Outcome(outcome)) => {
                let Outcome::Again(next) = *outcome else { return None };
                look.again(next).ok()?;
                target::run(&mut look).ok()?;
            }
        }
    }
}

/// Whether the client could have what a path of this site leads to. It can wait.
pub(super) async fn may_have(ex: &Exchange, path: &[u8]) -> bool {
    let mut look = ex.look_ahead();
    look.client.patience = Patience::Waits;
    let Ok(path) = CleanPath::from_decoded(path, Slashes::Keep) else {
        return false;
    };
    look.target.path = path;
    let place = Box::pin(locate::run(&mut look)).await;
    status_of(&place).code() < 400
}

/// What a look by `-F` or `-U` came to.
pub(super) struct Answer {
    /// Whether the client could have it.
    pub(super) succeeds: bool,
    /// With which status.
    pub(super) status: Status,
    /// The file's name.
    pub(super) file: Vec<u8>,
}

/// Looks; nothing where there is no such path.
pub(super) fn look(ex: &Exchange, what: Accessible, name: &[u8]) -> Option<Answer> {
    let (look, place) = match what {
        Accessible::Url => at_url(ex, name)?,
        Accessible::File => at_file(ex, name),
    };
    let status = status_of(&place);
    let succeeds = match what {
        Accessible::Url => status.code() < 400,
        // A lookup that met nothing is no error yet: the file must be there. A directory is no file.
        Accessible::File => place.is_ok_and(|place| place.landing() == Landing::File),
    };
    Some(Answer {
        succeeds,
        status,
        file: look.file,
    })
}

/// Whether the client could have it.
pub(super) fn is_accessible(ex: &Exchange, what: Accessible, name: &[u8]) -> bool {
    look(ex, what, name).is_some_and(|sight| sight.succeeds)
}

/// The status that a look came to.
fn status_of(place: &Result<Place, Stop>) -> Status {
    match place {
        Ok(_) => Status::OK,
        Err(Stop::Fail(fail)) => fail.status(),
        Err(Stop::Outcome(outcome)) => match &**outcome {
            Outcome::Reply(response) => response.head.status,
            Outcome::Again(_) => Status::OK,
        },
    }
}
