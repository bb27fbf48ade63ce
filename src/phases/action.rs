//! Scripts that answer for files of a handler or type, or for a method (`mod_actions`): after every handler that has a name,
//! and before files are shown.

use crate::base::quote;
use crate::config::directives::actions::{Action, File};
use crate::exchange::fail::Fail;
use crate::exchange::place::{Landing, Place};
use crate::exchange::trace::Step;
use crate::exchange::{Again, Exchange};
use crate::http::method::Method;
use crate::http::status::Status;

/// Where the request goes on, if a script answers for the place.
pub fn find(ex: &mut Exchange, place: &Place) -> Result<Option<Again>, Fail> {
    let actions = &place.conf.actions;
    let method = match ex.method {
        Method::Get | Method::Head => ex.target.query.as_ref().map(|_| &b"GET"[..]),
        _ => Some(ex.method_name()),
    };
    let by_method = method.and_then(|method| actions.of_method(method));
    // A script that is none would lead here again, and again.
    if by_method.is_some() && ex.redirects() >= 2 {
        return Ok(None);
    }
    if let Some(kind) = kind(place)
        && let Some(Action { script, file }) = actions.by_kind.find(&kind)
    {
        if *file == File::Needed && place.landing() == Landing::Missing {
            return Err(missing(ex));
        }
        ex.trace(|| told(&format!("Action {}", String::from_utf8_lossy(&kind)), script));
        keep_former(ex);
        ex.variables.insert(b"HANDLER".to_vec(), kind);
        return Ok(Some(again(ex, script)));
    }
    let Some(script) = by_method else { return Ok(None) };
    ex.trace(|| {
        let method = String::from_utf8_lossy(method.unwrap_or_default());
        told(&format!("Script {method}"), script)
    });
    let again = again(ex, script);
    keep_former(ex);
    Ok(Some(again))
}

/// The variables of former passes stay among those of this one, with REDIRECT_ before their names, as in Apache: the script is to
/// have them with one more.
fn keep_former(ex: &mut Exchange) {
    let Some(previous) = &ex.previous else { return };
    let former = previous.variables.iter();
    let mut former: Vec<_> = former
        .map(|(name, value)| ([b"REDIRECT_", name.as_slice()].concat(), value.clone()))
        .collect();
    former.push((
        b"REDIRECT_STATUS".to_vec(),
        previous.status.code().to_string().into_bytes(),
    ));
    if previous.leads_to_error_document() {
        let method = ex.name_of(previous.method).to_vec();
        former.push((b"REDIRECT_REQUEST_METHOD".to_vec(), method));
        let notes = previous.notes.as_ref().map(|notes| notes.as_bytes().to_vec());
        former.extend(notes.map(|notes| (b"REDIRECT_ERROR_NOTES".to_vec(), notes)));
    }
    for (name, value) in former {
        ex.variables.insert_new(name, value);
    }
}

/// What the place is to handlers: the name of its handler, or its media type.
fn kind(place: &Place) -> Option<Vec<u8>> {
    let types = &place.types;
    let media_type = || {
        let media_type = types.media_type.as_deref()?;
        let end = memchr::memchr(b';', media_type).unwrap_or(media_type.len());
        media_type.get(..end).map(<[u8]>::trim_ascii_end)
    };
    let kind = match (types.handler.as_deref(), place.landing()) {
        (Some(handler), _) => handler,
        (None, Landing::Directory) => b"httpd/unix-directory",
        (None, _) => media_type()?,
    };
    Some(kind.to_ascii_lowercase())
}

fn again(ex: &Exchange, script: &[u8]) -> Again {
    let mut target = script.to_vec();
    quote::escape_path(&mut target, ex.target.path.as_bytes());
    // In the way of an error document the status is the error's still.
    let status = ex.previous.as_ref().map_or(Status::OK, |previous| previous.status);
    Again {
        status,
        ..Again::same(target, ex.target.query.as_deref())
    }
}

fn missing(ex: &Exchange) -> Fail {
    let file = String::from_utf8_lossy(&ex.file);
    let note =
        format!("file does not exist: `{file}`; its Action would run without it if `virtual` were behind the script");
    Fail::site(Status::NOT_FOUND, note).of_module("actions")
}

#[cold]
fn told(by: &str, script: &[u8]) -> Step {
    let script = String::from_utf8_lossy(script);
    Step::Handler("action", format!("{by} has {script} answer"))
}
