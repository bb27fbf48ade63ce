//! Who answers.

use crate::base::path;
use crate::config::directives::options::Options;
use crate::config::handlers;
use crate::exchange::Exchange;
use crate::exchange::fail::Fail;
use crate::exchange::place::{Alias, Landing, Place};
use crate::exchange::trace::Step;
use crate::http::method::Method;
use crate::http::status::Status;

/// The things that answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handler {
    /// `handlers::static_file`.
    StaticFile,
    /// `handlers::autoindex`.
    Autoindex,
    /// `handlers::cgi`.
    Cgi,
}

/// Chooses the handler of a place.
pub fn run(ex: &Exchange, place: &Place) -> Result<Handler, Fail> {
    let handler = chosen(ex, place)?;
    ex.trace(|| told(place, handler));
    Ok(handler)
}

#[cold]
fn told(place: &Place, handler: Handler) -> Step {
    let (name, why) = match handler {
        Handler::StaticFile => ("file", "no handler is set, so that it is sent as it is"),
        Handler::Autoindex => (
            "listing",
            "a directory without an index file, and Options Indexes is on",
        ),
        Handler::Cgi if place.alias == Alias::Scripts => ("script", "ScriptAlias makes a script of it"),
        Handler::Cgi => (
            "script",
            "its handler or type makes a script of it, and Options ExecCGI is on",
        ),
    };
    Step::Handler(name, why.to_owned())
}

fn chosen(ex: &Exchange, place: &Place) -> Result<Handler, Fail> {
    let named = place.types.handler.as_deref();
    let script = match (place.alias, named) {
        (Alias::Scripts, _) => return script(ex, place),
        (_, Some(b"cgi-script")) => true,
        (_, Some(b"default-handler") | None) => place.types.media_type.as_deref() == Some(b"application/x-httpd-cgi"),
        // Served as it is, a PHP file would show its source.
        (_, Some(other)) => return Err(unknown(other)),
    };
    // Only a script may know a method that the server does not.
    if !script && ex.method == Method::Other {
        return Err(Fail::client(Status::NOT_IMPLEMENTED, "method not known"));
    }
    // What a place can be asked for is told whether or not there is anything, as Apache does; a script answers for itself.
    if !script && ex.method == Method::Options {
        return Ok(Handler::StaticFile);
    }
    match place.landing() {
        Landing::Missing => Err(missing(ex)),
        // The handler of files has nothing to show of a directory.
        Landing::Directory if named == Some(b"default-handler") => Err(missing(ex)),
        Landing::Directory => directory(ex, place),
        Landing::File if !script => file(ex, place),
        Landing::File if place.conf.core.options.in_force().has(Options::EXEC_CGI) => Ok(Handler::Cgi),
        Landing::File => Err(not_a_script_here(ex)),
    }
}

/// A file to be shown, unless it is a program by its place or by its type.
fn file(ex: &Exchange, place: &Place) -> Result<Handler, Fail> {
    if let Some(only) = ex
        .config
        .script_only
        .iter()
        .find(|only| path::below(&place.path, only).is_some())
    {
        let (file, only) = (String::from_utf8_lossy(&ex.file), String::from_utf8_lossy(only));
        let note = format!("`{file}` is not shown: a ScriptAlias leads to `{only}`, and what is there is only run");
        return Err(Fail::site(Status::FORBIDDEN, note).of_module("cgi"));
    }
    match place.types.media_type.as_deref() {
        Some(kind) if handlers::is_foreign_type(kind) => Err(unknown(kind)),
        _ => Ok(Handler::StaticFile),
    }
}

fn script(ex: &Exchange, place: &Place) -> Result<Handler, Fail> {
    match place.landing() {
        Landing::File => Ok(Handler::Cgi),
        Landing::Missing => Err(Fail::site(
            Status::NOT_FOUND,
            format!("script not found: `{}`", String::from_utf8_lossy(&ex.file)),
        )
        .of_module("cgi")),
        Landing::Directory => Err(Fail::site(
            Status::FORBIDDEN,
            format!(
                "`{}` is a directory, and this place has scripts only",
                String::from_utf8_lossy(&ex.file)
            ),
        )
        .of_module("cgi")),
    }
}

fn not_a_script_here(ex: &Exchange) -> Fail {
    let file = String::from_utf8_lossy(&ex.file);
    Fail::site(
        Status::FORBIDDEN,
        format!("`{file}` would be run as a script, but Options ExecCGI is off here; add `Options +ExecCGI` for its directory"),
    )
    .of_module("cgi")
}

fn unknown(handler: &[u8]) -> Fail {
    let handler = String::from_utf8_lossy(handler);
    Fail::site(
        Status::INTERNAL_SERVER_ERROR,
        format!("handler `{handler}` is not one that this version has; the file is not shown, for it may be a program"),
    )
}

/// Not worth a line in the error log at its usual level: the access log has it.
fn missing(ex: &Exchange) -> Fail {
    Fail::client(
        Status::NOT_FOUND,
        format!("file does not exist: `{}`", String::from_utf8_lossy(&ex.file)),
    )
}

fn directory(ex: &Exchange, place: &Place) -> Result<Handler, Fail> {
    if place.conf.core.options.in_force().has(Options::INDEXES) {
        return Ok(Handler::Autoindex);
    }
    Err(Fail::site(
        Status::FORBIDDEN,
        format!(
            "cannot serve directory `{}`: it has no index file (DirectoryIndex), and Options Indexes is off",
            String::from_utf8_lossy(&ex.file)
        ),
    )
    .of_module("autoindex"))
}
