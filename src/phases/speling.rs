//! A name that is not there, and is nearly one that is (CheckSpelling).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::base::quote;
use crate::config::directives::speling::Spelling;
use crate::exchange::Exchange;
use crate::exchange::fail::Fail;
use crate::exchange::place::{Alias, Landing, Place};
use crate::exchange::response::{Body, Outcome, Response, Stop};
use crate::exchange::rewriting::Look;
use crate::exchange::trace::Step;
use crate::http::depends;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::lang::log_level::Level;
use crate::phases::ahead;

/// So many names of a directory are looked at. No directive moves the bound.
const NAMES: usize = 100_000;

/// Of so many of the nearest it is asked whether the client may have them. No directive moves the bound.
const CANDIDATES: usize = 32;

/// How a name differs from one that is there, the likeliest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    Capitals,
    Transposed,
    Missing,
    Extra,
    Mistyped,
    BaseName,
}

impl Reason {
    /// In Apache's words.
    fn words(self) -> &'static str {
        match self {
            Reason::Capitals => "miscapitalized",
            Reason::Transposed => "transposed characters",
            Reason::Missing => "character missing",
            Reason::Extra => "extra character",
            Reason::Mistyped => "mistyped character",
            Reason::BaseName => "common basename",
        }
    }
}

/// Whether anybody wants to know what is meant.
pub(super) fn concerns(ex: &Exchange, place: &Place) -> bool {
    let is_get = matches!(ex.method, Method::Get | Method::Head);
    let is_request = ex.rewriting.look == Look::Request && ex.rewriting.main.is_none();
    settings(place).check && is_get && is_request && place.landing() == Landing::Missing
}

/// Tells the client what is meant; where nothing is near it goes on.
pub(super) async fn run(ex: &mut Exchange, place: &Place) -> Result<(), Stop> {
    match meant(ex, place).await {
        None => Ok(()),
        Some(Meant::One(url)) => {
            let mut response = Response::new(Status::MOVED_PERMANENTLY, Body::BuiltIn);
            response.head.fields.append("Location", ex.own_url(&url));
            Err(Stop::Outcome(Box::new(Outcome::Reply(response))))
        }
        Some(Meant::Several(list, note)) => {
            // A page of the site's may stand for the list, as for that of a negotiation.
            ex.rewriting.negotiated.list = Some(list);
            Err(Fail::client(Status::MULTIPLE_CHOICES, note).of_module("speling").into())
        }
    }
}

/// What a name may mean.
enum Meant {
    /// What this URL leads to.
    One(Vec<u8>),
    /// One of those in this list, and what the log is told.
    Several(Vec<u8>, String),
}

async fn meant(ex: &Exchange, place: &Place) -> Option<Meant> {
    if place.alias == Alias::Proxied {
        return None;
    }
    let slash = place.path.iter().rposition(|byte| *byte == b'/')?;
    let (directory, wrong) = (place.path.get(..=slash)?, place.path.get(slash + 1..)?);
    // What is wrong must be the URL's own.
    let asked = ex.target.path.as_bytes();
    let before = asked.strip_suffix(place.path_info.as_slice())?.strip_suffix(wrong)?;
    if wrong.is_empty() || before.last() != Some(&b'/') {
        return None;
    }
    let mut open = Vec::new();
    for (reason, name) in near(directory, wrong, place)? {
        if ahead::may_have(ex, &[before, name.as_slice()].concat()).await {
            open.push((reason, [before, &name, &place.path_info].concat()));
        }
    }
    let (reason, best) = open.first()?;
    let is_clear = open.get(1).is_none_or(|(second, _)| second != reason);
    let referer = ex.head.field(b"Referer");
    let from = referer
        .map(|url| format!(" from {}", String::from_utf8_lossy(url)))
        .unwrap_or_default();
    let shown = String::from_utf8_lossy(asked);
    if *reason != Reason::BaseName && is_clear {
        let to = String::from_utf8_lossy(best);
        ex.trace(|| Step::Handler("CheckSpelling", format!("{to} is nearest ({})", reason.words())));
        ex.rewriting
            .lines
            .push(Level::Info, "speling", format!("Fixed spelling: {shown} to {to}{from}"));
        return Some(Meant::One(url_of(ex, best)));
    }
    let count = open.len();
    ex.trace(|| Step::Handler("CheckSpelling", format!("{count} names are near")));
    let note = format!("Spelling fix: {shown}: {count} candidates{from}");
    Some(Meant::Several(list(ex, &open), note))
}

fn settings(place: &Place) -> Spelling {
    place.conf.spelling.or(Spelling::default())
}

/// The names in the directory that are near, the nearest first; nothing where it has the name itself, or cannot be read.
fn near(directory: &[u8], wrong: &[u8], place: &Place) -> Option<Vec<(Reason, Vec<u8>)>> {
    depends::on_more();
    let (mut found, settings) = (Vec::new(), settings(place));
    for entry in std::fs::read_dir(OsStr::from_bytes(directory)).ok()?.take(NAMES) {
        let name = entry.ok()?.file_name();
        let name = name.as_bytes();
        // A link that leads nowhere, or a file that came this moment: a redirect would lead round in a circle.
        if name == wrong {
            return None;
        }
        if name.first() == Some(&b'.') {
            continue;
        }
        let reason = if wrong.eq_ignore_ascii_case(name) {
            Some(Reason::Capitals)
        } else {
            let typing = || distance(wrong, name);
            let typing = (!settings.case_only).then(typing).flatten();
            typing.or_else(|| (settings.base_names && have_one_base(wrong, name)).then_some(Reason::BaseName))
        };
        found.extend(reason.map(|reason| (reason, name.to_vec())));
    }
    found.sort();
    found.truncate(CANDIDATES);
    Some(found)
}

/// What mistake of one letter makes `wrong` of `right`, if one does; neither case nor a letter more at the end matters.
fn distance(wrong: &[u8], right: &[u8]) -> Option<Reason> {
    let same = wrong
        .iter()
        .zip(right)
        .take_while(|(a, b)| a.eq_ignore_ascii_case(b))
        .count();
    let (wrong, right) = (wrong.get(same..)?, right.get(same..)?);
    let behind = |text: &[u8], letters: usize| text.get(letters..).map(<[u8]>::to_ascii_lowercase);
    let equal = |a: Option<Vec<u8>>, b: Option<Vec<u8>>| a.is_some() && a == b;
    if let ([a, b, ..], [c, d, ..]) = (wrong, right)
        && a.eq_ignore_ascii_case(d)
        && b.eq_ignore_ascii_case(c)
        && equal(behind(wrong, 2), behind(right, 2))
    {
        return Some(Reason::Transposed);
    }
    if equal(behind(wrong, 1), behind(right, 1)) {
        return Some(Reason::Mistyped);
    }
    if equal(behind(wrong, 1), behind(right, 0)) {
        return Some(Reason::Extra);
    }
    equal(behind(wrong, 0), behind(right, 1)).then_some(Reason::Missing)
}

/// Whether both are the same up to the first dot.
fn have_one_base(one: &[u8], other: &[u8]) -> bool {
    let base = |name: &[u8]| {
        name.split(|byte| *byte == b'.')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase()
    };
    base(one) == base(other)
}

/// A path of this site as a URL, with the query of the request.
fn url_of(ex: &Exchange, path: &[u8]) -> Vec<u8> {
    let mut url = Vec::new();
    quote::escape_path(&mut url, path);
    if let Some(query) = &ex.target.query {
        url.push(b'?');
        url.extend_from_slice(query);
    }
    url
}

/// What proposes them.
fn list(ex: &Exchange, open: &[(Reason, Vec<u8>)]) -> Vec<u8> {
    let mut page = b"<p>The document name you requested (<code>".to_vec();
    quote::escape_html(&mut page, ex.target.path.as_bytes());
    page.extend_from_slice(b"</code>) could not be found on this server. However, we found documents with names similar to the one you requested.</p>\n<ul>\n");
    for (reason, path) in open {
        page.extend_from_slice(b"<li><a href=\"");
        quote::escape_html(&mut page, &url_of(ex, path));
        page.extend_from_slice(b"\">");
        quote::escape_html(&mut page, path);
        page.extend_from_slice(format!("</a> ({})</li>\n", reason.words()).as_bytes());
    }
    page.extend_from_slice(b"</ul>\n");
    page
}

#[cfg(test)]
mod tests {
    use super::{Reason, distance, have_one_base};

    #[test]
    fn one_mistake_is_seen_through() {
        for (wrong, right, want) in [
            ("plian", "plain", Some(Reason::Transposed)),
            ("PLIAN", "plain", Some(Reason::Transposed)),
            ("plan", "plain", Some(Reason::Missing)),
            ("plai", "plain", Some(Reason::Missing)),
            ("lain", "plain", Some(Reason::Missing)),
            ("plaiin", "plain", Some(Reason::Extra)),
            ("plainn", "plain", Some(Reason::Extra)),
            ("plzin", "plain", Some(Reason::Mistyped)),
            ("plaiz", "plain", Some(Reason::Mistyped)),
            ("pzzin", "plain", None),
            ("pl", "plain", None),
            ("", "a", Some(Reason::Missing)),
            ("", "ab", None),
            ("ab", "ba", Some(Reason::Transposed)),
        ] {
            assert_eq!(distance(wrong.as_bytes(), right.as_bytes()), want, "{wrong} {right}");
        }
        assert!(have_one_base(b"One.gif", b"one.txt.gz"));
        assert!(have_one_base(b"one", b"one.txt"));
        assert!(!have_one_base(b"one.", b"on.e"));
    }
}
