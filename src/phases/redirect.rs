//! Redirects that the configuration asks for, before any file is looked for.

use crate::base::{path, quote};
use crate::config::directives::DirConf;
use crate::config::directives::redirect::{From, Redirect, SectionRedirect};
use crate::exchange::Exchange;
use crate::exchange::allowed;
use crate::exchange::fail::Fail;
use crate::exchange::response::{Body, Outcome, Response, Stop};
use crate::exchange::trace::Step;
use crate::exchange::view::View;
use crate::http::status::Status;
use crate::lang::regex::expand;

/// Answers with the first redirect that covers the path, if one does, with the settings that hold before the path is translated: of
/// those that name a path, the site's alone. They are not asked where ProxyPass, or a rule without `[PT]`, has said already what a
/// path stands for.
pub fn of_server(ex: &Exchange, conf: &DirConf) -> Result<(), Stop> {
    first_of(ex, conf, &ex.site.base.redirects.list)
}

/// The same with those of the sections around a place, `.htaccess` files among them.
pub fn of_sections(ex: &Exchange, conf: &DirConf) -> Result<(), Stop> {
    let list = &conf.redirects.list;
    // Those of inner sections come first.
    let own = list.len().saturating_sub(ex.site.base.redirects.list.len());
    first_of(ex, conf, list.get(..own).unwrap_or_default())
}

fn first_of(ex: &Exchange, conf: &DirConf, list: &[Redirect]) -> Result<(), Stop> {
    let url = ex.target.path.as_bytes();
    let listed = || list.iter().find_map(|one| covered(one, url));
    let found = match conf.redirects.section.value() {
        Some(section) => Some(Covered {
            status: section.status,
            to: of_section(ex, section)?,
            by: By::Section(section),
        }),
        None => listed(),
    };
    let Some(Covered { status: code, to, by }) = found else {
        return Ok(());
    };
    ex.trace(|| by.step(code));
    let status = Status::new(code).unwrap_or(Status::FOUND);
    let Some(target) = to else {
        return Err(allowed::refusal(ex, status, format!("a redirect says {code}"))
            .of_module("alias")
            .into());
    };
    let relative = conf.redirects.relative.or(false);
    let mut location = if target.first() == Some(&b'/') && !relative {
        ex.own_url(&target)
    } else {
        target
    };
    if let Some(query) = ex.target.query.as_ref().filter(|_| !location.contains(&b'?')) {
        location.push(b'?');
        location.extend_from_slice(query);
    }
    Err(sent_to(status, location))
}

/// The answer that sends the client elsewhere.
pub fn sent_to(status: Status, location: Vec<u8>) -> Stop {
    let mut response = Response::new(status, Body::BuiltIn);
    response.head.fields.append("Location", location);
    Stop::Outcome(Box::new(Outcome::Reply(response)))
}

/// Where everything of a section is sent.
fn of_section(ex: &Exchange, section: &SectionRedirect) -> Result<Option<Vec<u8>>, Fail> {
    let Some(to) = &section.to else {
        return Ok(None);
    };
    let target = to.eval(&View { ex, response: None }).map_err(|no_value| {
        let path = String::from_utf8_lossy(&no_value.path).into_owned();
        Fail::internal(format!("a redirect's expression has no value: `{path}` cannot be read")).of_module("alias")
    })?;
    Ok(Some(escaped(&target)))
}

/// What a redirect says of a path that it covers; no target for a status that is no redirect.
struct Covered<'a> {
    status: u16,
    to: Option<Vec<u8>>,
    by: By<'a>,
}

enum By<'a> {
    Section(&'a SectionRedirect),
    Path(&'a Redirect),
}

impl By<'_> {
    fn step(&self, status: u16) -> Step {
        let (by, at) = match self {
            By::Section(section) => ("Redirect of the section".to_owned(), &section.span),
            By::Path(redirect) => match &redirect.from {
                From::Prefix(prefix) => (format!("Redirect {}", String::from_utf8_lossy(prefix)), &redirect.span),
                From::Match(regex) => (format!("RedirectMatch {}", regex.pattern()), &redirect.span),
            },
        };
        Step::Redirect {
            by,
            status,
            at: at.clone(),
        }
    }
}

fn covered<'a>(redirect: &'a Redirect, url: &[u8]) -> Option<Covered<'a>> {
    let to = redirect.to.as_deref();
    let to = match &redirect.from {
        From::Prefix(prefix) => {
            let rest = path::below(url, prefix)?;
            to.map(|to| {
                let mut target = to.to_vec();
                quote::escape_path(&mut target, rest);
                target
            })
        }
        From::Match(regex) => {
            let groups = regex.captures(url)?;
            to.map(|to| escaped(&expand(to, url, &groups)))
        }
    };
    Some(Covered {
        status: redirect.status,
        to,
        by: By::Path(redirect),
    })
}

/// A target made of decoded pieces, its path escaped and its query left alone.
fn escaped(target: &[u8]) -> Vec<u8> {
    let end = target
        .iter()
        .position(|b| matches!(b, b'?' | b'#'))
        .unwrap_or(target.len());
    let (path, rest) = target.split_at(end);
    let mut out = Vec::with_capacity(target.len());
    quote::escape_path(&mut out, path);
    out.extend_from_slice(rest);
    out
}
