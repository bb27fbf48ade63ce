//! URL paths that belong to application servers: ProxyPass and ProxyPassMatch, before any alias. What they lead to is, as in
//! Apache, a file name that begins with `proxy:`.

use std::borrow::Cow;

use crate::base::path;
use crate::base::quote::{self, EncodedSlash};
use crate::config::backends::{self, Scheme, Target};
use crate::config::balancers;
use crate::config::directives::fastcgi::Backend;
use crate::config::directives::proxy::{From, Pass, PathForm, To};
use crate::config::directives::site::EncodedSlashes;
use crate::config::site::document_root;
use crate::exchange::Exchange;
use crate::exchange::fail::{Blame, Fail};
use crate::exchange::place::{Alias, Place};
use crate::fs::open::{self, Kind};
use crate::http::status::Status;
use crate::http::target::{self, CleanPath, Slashes, percent_decode};
use crate::lang::regex::{self, Groups};
use crate::phases::translate::Translated;

/// Where the path of this pass belongs to an application server: its URL as a file name.
pub(super) fn of(ex: &Exchange) -> Result<Option<Translated>, Fail> {
    if ex.variable(b"no-proxy").is_some() {
        return Ok(None);
    }
    let Some((pass, found)) = found(ex, ex.target.path.as_bytes()) else {
        return Ok(None);
    };
    let To::Url(template) = &pass.to else { return Ok(None) };
    let url = match found {
        Found::Rest(at) => [template.as_slice(), &written(ex, pass, at)].concat(),
        Found::Groups(groups) => {
            let as_sent = match (&pass.from, pass.path) {
                (From::Match(regex), PathForm::AsSent) => regex.captures(&ex.target.raw_path),
                _ => None,
            };
            let (subject, groups) = match as_sent {
                Some(groups) => (ex.target.raw_path.as_slice(), groups),
                None => (ex.target.path.as_bytes(), groups),
            };
            let url = regex::expand(template, subject, &groups);
            if url == *template {
                [template.as_slice(), subject].concat()
            } else {
                url
            }
        }
    };
    to_url(ex, &url, pass.path).map(Some)
}

/// How a path was found.
enum Found {
    /// By its beginning: the rest of it begins here.
    Rest(usize),
    /// By an expression.
    Groups(Groups),
}

/// The line that a path belongs to: the section's, or the first of the site's.
fn found<'s>(ex: &'s Exchange, path: &[u8]) -> Option<(&'s Pass, Found)> {
    let sections = ex.site.locations.iter().rev();
    let mut covering = sections.filter(|section| section.covers_location(path));
    let own = covering.find_map(|section| section.conf.proxy.pass.value());
    own.into_iter()
        .chain(ex.site.settings.proxy.passes.iter())
        .find_map(|pass| Some((pass, matched(pass, path)?)))
}

fn matched(pass: &Pass, path: &[u8]) -> Option<Found> {
    match &pass.from {
        From::Prefix(prefix) => {
            let rest = below(path, prefix)?;
            Some(Found::Rest(path.len() - rest.len()))
        }
        From::Match(regex) => regex.captures(path).map(Found::Groups),
        From::Nothing => None,
    }
}

/// What follows a prefix. As in Apache, a slash at its end stands for as many as there are.
fn below<'p>(path: &'p [u8], prefix: &[u8]) -> Option<&'p [u8]> {
    let mut rest = path::below(path, prefix)?;
    while let (true, Some(behind)) = (prefix.ends_with(b"/"), rest.strip_prefix(b"/")) {
        rest = behind;
    }
    Some(rest)
}

/// What follows a prefix in the path, as the line wants it written.
fn written(ex: &Exchange, pass: &Pass, at: usize) -> Vec<u8> {
    let decoded = ex.target.path.as_bytes();
    if pass.path == PathForm::AsSent
        && let From::Prefix(prefix) = &pass.from
        && let Some(rest) = below(&ex.target.raw_path, prefix)
    {
        return rest.to_vec();
    }
    decoded.get(at..).unwrap_or_default().to_vec()
}

/// A place behind this URL, as a rule with `[P]` or a line of ProxyPass names it.
pub(super) fn to_url(ex: &Exchange, url: &[u8], form: PathForm) -> Result<Translated, Fail> {
    let (server, rest) = if let Some(usual) = backends::Usual::of(url) {
        (Cow::Borrowed(usual.server), Cow::Borrowed(usual.path))
    } else if let Some((name, rest)) = balancers::split(url) {
        (Cow::Owned(name), Cow::Borrowed(rest))
    } else {
        let mut target = Target::parse(url).map_err(|why| Fail::internal(why).of_module("proxy"))?;
        let rest = std::mem::take(&mut target.path);
        (Cow::Owned(target.url()), Cow::Owned(rest))
    };
    let mut path = Vec::with_capacity(backends::HANDLER.len() + server.len() + rest.len() + 1);
    path.extend_from_slice(backends::HANDLER);
    path.extend_from_slice(&server);
    if !rest.starts_with(b"/") {
        path.push(b'/');
    }
    match form {
        PathForm::Canonical => quote::escape_path_for_server(&mut path, &rest, keeps_slashes(ex)),
        PathForm::AsSent if rest.iter().any(|byte| byte.is_ascii_control() || *byte == b'?') => {
            let note = "the path that would be given to the application has control characters or `?`";
            return Err(Fail::new(Status::FORBIDDEN, Blame::Client, note).of_module("proxy"));
        }
        PathForm::AsSent => path.extend_from_slice(&rest),
    }
    Ok(Translated {
        path,
        alias: Alias::Proxied,
        context_prefix: Vec::new(),
        context_root: document_root(ex.config, ex.site),
        document_root: None,
    })
}

/// What becomes of `%2F` that was never decoded.
fn keeps_slashes(ex: &Exchange) -> EncodedSlash {
    match ex.site.settings.core.encoded_slashes.or(EncodedSlashes::Refused) {
        EncodedSlashes::Kept => EncodedSlash::Kept,
        EncodedSlashes::Refused | EncodedSlashes::Decoded => EncodedSlash::Escaped,
    }
}

/// Refuses a path that goes through a regular file which nobody would give to the application by its own name: of
/// /upload.jpg/x.php, php-fpm would run upload.jpg. It is asked of applications that are php-fpm and see our files.
pub(super) fn goes_through_no_file(ex: &Exchange, place: &Place, target: &Target) -> Result<(), Fail> {
    let is_fpm = place.conf.fastcgi.backend.or(Backend::Fpm) == Backend::Fpm;
    if is_fpm && target.scheme == Scheme::FastCgi && target.address.is_local() {
        return goes_through_none(ex, &target.path);
    }
    Ok(())
}

fn goes_through_none(ex: &Exchange, path: &[u8]) -> Result<(), Fail> {
    // php-fpm takes the path as it is or decoded, by its version and settings.
    let decoded = percent_decode(path, target::EncodedSlashes::On).unwrap_or_default();
    let as_it_is = (decoded != path).then_some(path);
    let mut names = [decoded.as_slice()].into_iter().chain(as_it_is);
    let Some(file) = names.find_map(|name| goes_through(ex, name)) else {
        return Ok(());
    };
    let (file, url) = (
        String::from_utf8_lossy(file),
        String::from_utf8_lossy(ex.target.path.as_bytes()),
    );
    Err(Fail::site(
        Status::NOT_FOUND,
        format!("{url}: `{file}` is on the way, and by its own URL it would not be given to the application"),
    )
    .of_module("proxy"))
}

/// The file that a name goes through though nobody would give it to the application by its own name.
fn goes_through<'n>(ex: &Exchange, name: &'n [u8]) -> Option<&'n [u8]> {
    // What is behind a file is behind a slash, and the disk need not be asked.
    name.get(1..).and_then(|name| memchr::memchr(b'/', name))?;
    // Whatever is not there is the application's to say.
    let extent = open::extent(name)
        .ok()
        .filter(|extent| extent.meta.kind == Kind::File)?;
    let (file, rest) = name.split_at_checked(extent.length)?;
    (!rest.is_empty() && !is_given_by_its_own_name(ex, file, rest)).then_some(file)
}

/// Whether the file is one that whoever wrote the lines means to be given to the application.
fn is_given_by_its_own_name(ex: &Exchange, file: &[u8], rest: &[u8]) -> bool {
    let whole = ex.target.path.as_bytes();
    let decoded = percent_decode(rest, target::EncodedSlashes::On).unwrap_or_default();
    let own = whole.strip_suffix(rest).or(whole.strip_suffix(decoded.as_slice()));
    let Some((pass, found)) = found(ex, whole) else {
        return own.is_some_and(|own| rules_give(ex, own)) || ends_alike(file, rest);
    };
    let named = pass.to.url().and_then(|url| Target::parse(url).ok());
    if named.is_some_and(|named| named.path.starts_with(file)) {
        return true;
    }
    let Some(own) = own else { return false };
    let ends_a_group = match found {
        Found::Rest(_) => false,
        Found::Groups(groups) => groups.iter().skip(1).flatten().any(|group| group.end == own.len()),
    };
    ends_a_group || matched(pass, own).is_some()
}

/// Whether the site's rules give a path to an application server.
fn rules_give(ex: &Exchange, path: &[u8]) -> bool {
    let Ok(path) = CleanPath::from_decoded(path, Slashes::Merge) else {
        return false;
    };
    let mut look = ex.look_ahead();
    look.target.path = path;
    look.target.query.clone_from(&ex.target.query);
    super::rewrite::of_server(&mut look).is_ok_and(|found| found.alias == Alias::Proxied)
}

/// Whether what follows a file has no other extension than the file.
fn ends_alike(file: &[u8], rest: &[u8]) -> bool {
    let extension = |path: &[u8]| {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let dot = memchr::memrchr(b'.', name)?;
        name.get(dot..).map(<[u8]>::to_ascii_lowercase)
    };
    extension(rest).is_none_or(|own| extension(file) == Some(own))
}

#[cfg(test)]
mod tests {
    use super::ends_alike;

    #[test]
    fn a_script_is_told_from_what_is_uploaded_by_its_extension() {
        for (file, rest, alike) in [
            ("/w/x.php", "/info", true),
            ("/w/x.php", "/a/y.php", true),
            ("/w/x.php", "/a.PHP", true),
            ("/w/upload.jpg", "/x.php", false),
            ("/w/upload", "/x.php", false),
        ] {
            assert_eq!(ends_alike(file.as_bytes(), rest.as_bytes()), alike, "{file} {rest}");
        }
    }
}
