//! Users' own pages: from `/~name/` to a directory of the user's, or to another server, as UserDir says.

use std::cell::RefCell;
use std::collections::HashMap;
use std::os::unix::ffi::OsStringExt;
use std::time::{Duration, Instant};

use crate::base::{path, quote};
use crate::config::directives::userdir;
use crate::exchange::Exchange;
use crate::exchange::place::Alias;
use crate::http::depends;
use crate::phases::translate::Translated;
use crate::process::identity;

/// How long a home is remembered, so that not every request asks the system's list of users. No directive moves it.
const REMEMBERED: Duration = Duration::from_secs(30);
/// More names than this are not remembered at a time.
const NAMES: usize = 1024;

/// The place of a path that begins with a user's name; nothing where it does not, or that user has no pages here.
pub fn of(ex: &Exchange, url: &[u8]) -> Option<Translated> {
    let (Pages::Directory(directory), user, rest) = pages(ex, url)? else {
        return None;
    };
    Some(Translated {
        path: [directory.as_slice(), rest].concat(),
        alias: Alias::None,
        context_prefix: user.to_vec(),
        context_root: directory,
        document_root: None,
    })
}

/// The URL to which such a path is sent; nothing where it is not, or the user's pages are here. As in Apache the query stays behind.
pub fn elsewhere(ex: &Exchange, url: &[u8]) -> Option<Vec<u8>> {
    let (Pages::Url(mut location), _, rest) = pages(ex, url)? else {
        return None;
    };
    quote::escape_path(&mut location, rest);
    Some(location)
}

/// Where the pages of a user are.
enum Pages {
    Directory(Vec<u8>),
    Url(Vec<u8>),
}

/// Where the pages of the user are that a path begins with, that beginning, and what follows it.
fn pages<'a>(ex: &Exchange, url: &'a [u8]) -> Option<(Pages, &'a [u8], &'a [u8])> {
    let dirs = &ex.site.settings.user_dirs;
    let patterns = dirs.patterns.value()?;
    let behind = url.strip_prefix(b"/~")?;
    let end = behind.iter().position(|byte| *byte == b'/').unwrap_or(behind.len());
    let name = behind.get(..end).unwrap_or(behind);
    if matches!(name, b"" | b"." | b"..") || dirs.disabled.find(name).is_some() {
        return None;
    }
    if dirs.all_disabled.or(false) && dirs.enabled.find(name).is_none() {
        return None;
    }
    depends::on_more();
    let mut candidates = patterns
        .iter()
        .filter_map(|pattern| candidate(pattern, name))
        .peekable();
    while let Some(found) = candidates.next() {
        if let Pages::Directory(directory) = &found
            && candidates.peek().is_some()
            && !path::as_path(directory).exists()
        {
            continue;
        }
        let (user, rest) = url.split_at(end + 2);
        return Some((found, user, rest));
    }
    None
}

/// What a pattern gives a user.
fn candidate(pattern: &[u8], name: &[u8]) -> Option<Pages> {
    match userdir::url_before_name(pattern) {
        Some(before) => {
            let mut url = before.to_vec();
            quote::escape_path(&mut url, name);
            Some(Pages::Url(url))
        }
        None => directory(pattern, name).map(Pages::Directory),
    }
}

/// The directory that a pattern gives a user.
fn directory(pattern: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    if pattern.first() != Some(&b'/') {
        let home = home_of(name)?;
        return Some([home.as_slice(), b"/", pattern].concat());
    }
    Some(match pattern.iter().position(|byte| *byte == b'*') {
        Some(star) => {
            let (before, after) = pattern.split_at(star);
            [before, name, after.get(1..).unwrap_or_default()].concat()
        }
        None => [pattern, b"/", name].concat(),
    })
}

type Homes = HashMap<Vec<u8>, (Instant, Option<Vec<u8>>)>;

fn home_of(name: &[u8]) -> Option<Vec<u8>> {
    thread_local! {
        static HOMES: RefCell<Homes> = RefCell::new(HashMap::new());
    }
    HOMES.with_borrow_mut(|homes| {
        if let Some((asked, home)) = homes.get(name)
            && asked.elapsed() < REMEMBERED
        {
            return home.clone();
        }
        let text = std::str::from_utf8(name).ok()?;
        let home = identity::home_of(text).map(|home| home.into_os_string().into_vec());
        if homes.len() >= NAMES {
            homes.clear();
        }
        homes.insert(name.to_vec(), (Instant::now(), home.clone()));
        home
    })
}

#[cfg(test)]
mod tests {
    use super::directory;

    #[test]
    fn patterns_give_directories() {
        for (pattern, want) in [
            ("/srv/users", "/srv/users/alice"),
            ("/srv/*/www", "/srv/alice/www"),
            ("/home/*", "/home/alice"),
        ] {
            assert_eq!(
                directory(pattern.as_bytes(), b"alice").as_deref(),
                Some(want.as_bytes())
            );
        }
        assert_eq!(directory(b"public_html", b"nobody-has-this-name"), None);
    }
}
