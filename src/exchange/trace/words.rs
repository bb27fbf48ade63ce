//! Steps in words, one line each, for people.

use std::borrow::Cow;
use std::fmt;

use crate::config::error::Span;
use crate::exchange::trace::{AccessFile, Finding, SiteBy, Step};

/// What a step is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// The virtual host.
    Site,
    /// Whose request it is.
    Client,
    /// The target.
    Path,
    /// Variables and fields of the request.
    Variables,
    /// Rewriting.
    Rewrite,
    /// Redirects.
    Redirect,
    /// From the URL to a name in the file system.
    Name,
    /// Sections and access files.
    Section,
    /// What is there.
    Found,
    /// Options in force.
    Options,
    /// Who may.
    Access,
    /// Who it is.
    User,
    /// What stands for a directory.
    Index,
    /// Which variant it is.
    Variant,
    /// What the file is.
    Type,
    /// Who answers.
    Handler,
    /// What the answer passes.
    Filter,
    /// What the error log would have.
    Log,
    /// Why it failed.
    Failure,
    /// What could not be known here.
    Note,
    /// The next pass.
    Again,
}

impl Topic {
    /// One word for it.
    pub fn word(self) -> &'static str {
        match self {
            Topic::Site => "site",
            Topic::Client => "client",
            Topic::Path => "path",
            Topic::Variables => "variable",
            Topic::Rewrite => "rewrite",
            Topic::Redirect => "redirect",
            Topic::Name => "name",
            Topic::Section => "section",
            Topic::Found => "found",
            Topic::Options => "options",
            Topic::Access => "access",
            Topic::User => "user",
            Topic::Index => "index",
            Topic::Variant => "variant",
            Topic::Type => "type",
            Topic::Handler => "handler",
            Topic::Filter => "filter",
            Topic::Log => "log",
            Topic::Failure => "failure",
            Topic::Note => "note",
            Topic::Again => "again",
        }
    }
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

fn list(paths: &[Vec<u8>]) -> String {
    paths.iter().map(|path| text(path)).collect::<Vec<_>>().join(" ")
}

impl Step {
    /// What it is about.
    pub fn topic(&self) -> Topic {
        match self {
            Step::Site { .. } => Topic::Site,
            Step::Client { .. } => Topic::Client,
            Step::Path { .. } => Topic::Path,
            Step::Variable { .. } | Step::Field { .. } => Topic::Variables,
            Step::Rules(_) | Step::Rule(_) | Step::Rewriting(_) => Topic::Rewrite,
            Step::Redirect { .. } => Topic::Redirect,
            Step::Name { .. } => Topic::Name,
            Step::Section { .. } | Step::AccessFile(..) | Step::Condition { .. } => Topic::Section,
            Step::Found { .. } => Topic::Found,
            Step::Options(_) => Topic::Options,
            Step::Access(_) | Step::Container(_) | Step::ContainerEnd(_) | Step::Requirement { .. } => Topic::Access,
            Step::User(_) => Topic::User,
            Step::Index { .. } | Step::Instead { .. } => Topic::Index,
            Step::Variant(_) => Topic::Variant,
            Step::Type { .. } => Topic::Type,
            Step::Handler(..) => Topic::Handler,
            Step::Filter { .. } => Topic::Filter,
            Step::Said(..) => Topic::Log,
            Step::Failed(_) => Topic::Failure,
            Step::NotLookedUp(_) | Step::NoRights(_) => Topic::Note,
            Step::Again { .. } => Topic::Again,
        }
    }

    /// Where the directive or section stands that decided, as far as that is known.
    pub fn place(&self) -> Option<String> {
        let at: Option<&Span> = match self {
            Step::Rule(place) => return Some(place.clone()).filter(|place| !place.is_empty()),
            Step::Site { at, .. }
            | Step::Variable { at, .. }
            | Step::Name { at, .. }
            | Step::Requirement { at, .. } => at.as_ref(),
            Step::Redirect { at, .. } | Step::Section { at, .. } | Step::Condition { at, .. } => Some(at),
            _ => None,
        };
        at.map(ToString::to_string)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Site {
                name,
                by,
                local,
                candidates,
                ..
            } => told_site(f, &text(name), by, *local, *candidates),
            Step::Client { address, field } => write!(f, "{address}, by RemoteIPHeader {}", text(field)),
            Step::Path { path, query: None } => f.write_str(&text(path)),
            Step::Path {
                path,
                query: Some(query),
            } => write!(f, "{}, query `{}`", text(path), text(query)),
            Step::Variable { by, name, value, .. } => match value {
                Some(value) => write!(f, "{by} sets {}={}", text(name), text(value)),
                None => write!(f, "{by} takes {} away", text(name)),
            },
            Step::Field { name, value } => match value {
                Some(value) => write!(f, "RequestHeader makes it {}: {}", text(name), text(value)),
                None => write!(f, "RequestHeader takes {} away", text(name)),
            },
            Step::Rules(None) => f.write_str("the site's rules"),
            Step::Rules(Some(directory)) => write!(f, "the rules of {}", text(directory)),
            Step::Rule(_) => f.write_str("RewriteRule"),
            Step::Rewriting(text) | Step::Access(text) | Step::User(text) | Step::Variant(text) => f.write_str(text),
            Step::Redirect { by, status, .. } => write!(f, "{by} covers the path: {status}"),
            Step::Name { by, path, .. } => write!(f, "{by}: {}", text(path)),
            Step::Section { what, .. } => f.write_str(what),
            Step::AccessFile(found, paths) => told_access_file(f, *found, paths),
            Step::Condition { what, holds, .. } => f.write_str(&match holds {
                Some(true) => format!("{what} is true"),
                Some(false) => format!("{what} is false"),
                None => format!("{what} has no value, and so is false"),
            }),
            Step::Found { path, kind, path_info } => match path_info.as_slice() {
                [] => write!(f, "{}: {kind}", text(path)),
                rest => write!(f, "{}: {kind}; the URL goes on with {}", text(path), text(rest)),
            },
            Step::Options(options) => write!(f, "{options}"),
            Step::Container(name) => f.write_str(name),
            Step::ContainerEnd(found) => write!(f, "{found}, all in all"),
            Step::Requirement { what, found, .. } => write!(f, "{what}: {found}"),
            Step::Index { url, file, is_there } => {
                let is_there = if *is_there { "is there" } else { "is not there" };
                write!(f, "{}: {} {is_there}", text(url), text(file))
            }
            Step::Instead { by, url } => write!(f, "{by}: {} answers in its place", text(url)),
            Step::Type { by, says } => write!(f, "{by} says {says}"),
            Step::Handler(name, why) => write!(f, "{name}: {why}"),
            Step::Filter { name, by, verdict } => write!(f, "{name} ({by}): {verdict}"),
            Step::NotLookedUp(what) => write!(f, "{what} was not looked up, and is taken for unknown"),
            Step::NoRights(path) => write!(
                f,
                "{} may not be read by you; the server perhaps may read it",
                text(path)
            ),
            Step::Failed(reply) if reply.note.is_empty() => write!(f, "{}", reply.status.code()),
            Step::Failed(reply) => write!(f, "{}: {}", reply.status.code(), reply.note),
            Step::Said(level, text) => write!(f, "{}: {text}", level.name()),
            Step::Again { target, .. } => f.write_str(&text(target)),
        }
    }
}

fn told_site(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    by: &SiteBy,
    local: std::net::SocketAddr,
    candidates: usize,
) -> fmt::Result {
    match by {
        SiteBy::Address => write!(f, "the main server, {name}: no <VirtualHost> has {local}"),
        SiteBy::Name => write!(f, "{name}, of {candidates} at {local}, by its ServerName"),
        SiteBy::Alias(alias) => write!(
            f,
            "{name}, of {candidates} at {local}, by its ServerAlias {}",
            text(alias)
        ),
        SiteBy::Written => write!(
            f,
            "{name}, of {candidates} at {local}, by the name in its <VirtualHost>"
        ),
        SiteBy::Path => write!(f, "{name}, of {candidates} at {local}, by its ServerPath"),
        SiteBy::First if candidates == 1 => write!(f, "{name}, the only <VirtualHost> that has {local}"),
        SiteBy::First => write!(
            f,
            "{name}, the first of {candidates} that have {local}: none of them has the name"
        ),
    }
}

fn told_access_file(f: &mut fmt::Formatter<'_>, found: AccessFile, paths: &[Vec<u8>]) -> fmt::Result {
    match found {
        AccessFile::Read => f.write_str(&list(paths)),
        AccessFile::Missing => write!(f, "{}: not there", list(paths)),
        AccessFile::Unusable => write!(f, "{}: of no use, which closes the directory", list(paths)),
        AccessFile::NotLookedFor => write!(f, "AllowOverride None: no access file is looked for in {}", list(paths)),
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Finding::Granted => "granted",
            Finding::Denied => "denied",
            Finding::NeedsUser => "denied, as long as no user is known",
            Finding::Neutral => "neither granted nor denied",
        })
    }
}
