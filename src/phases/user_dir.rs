//! Users' own pages: from `/~name/` to a directory of the user's, as UserDir says.

use std::cell::RefCell;
use std::collections::HashMap;
use std::os::unix::ffi::OsStringExt;
use std::time::{Duration, Instant};

use crate::base::path;
use crate::exchange::Exchange;
use crate::exchange::place::Alias;
use crate::http::depends;
use crate::phases::translate::Translated;
use crate::process::identity;

/// How long a home is remembered, so that not every request asks the system's list of users. No directive moves it.
const REMEMBERED: Duration = Duration::from_secs(30);
/// More names than this are not remembered at a time.
const NAMES: usize = 1024;

/// The place of a path that begins with a user's name; nothing where it does not, or that user has no pages.
pub fn of(ex: &Exchange, url: &[u8]) -> Option<Translated> {
    let dirs = &ex.site.settings.user_dirs;
    let patterns = dirs.patterns.value()?;
    let behind = url.strip_prefix(b"/~")?;
    let end = behind.iter().position(|byte| *byte == b'/').unwrap_or(behind.len());
    let (name, rest) = behind.split_at(end);
    if matches!(name, b"" | b"." | b"..") || dirs.disabled.find(name).is_some() {
        return None;
    }
    if dirs.all_disabled.or(false) && dirs.enabled.find(name).is_none() {
        return None;
    }
    depends::on_more();
    let mut candidates = patterns
        .iter()
        .filter_map(|pattern| directory(pattern, name))
        .peekable();
    while let Some(directory) = candidates.next() {
        if candidates.peek().is_some() && !path::as_path(&directory).exists() {
            continue;
        }
        return Some(Translated {
            path: [directory.as_slice(), rest].concat(),
            alias: Alias::None,
            context_prefix: url.get(..end + 2).unwrap_or(url).to_vec(),
            context_root: directory,
            document_root: None,
        });
    }
    None
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
