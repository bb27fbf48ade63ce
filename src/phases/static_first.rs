//! StaticFirst: what surely is a plain file is served here, and everything else belongs to another server, which is asked as
//! we were. Whatever is not sure is no error: it is the other's request.

use crate::base::date::HttpDate;
use crate::base::path;
use crate::config::directives::proxy::PathForm;
use crate::config::directives::static_first::StaticFirst;
use crate::config::filters::{Filter, Named};
use crate::config::handlers;
use crate::exchange::Exchange;
use crate::exchange::body::BodyLength;
use crate::exchange::fail::Fail;
use crate::exchange::place::Alias;
use crate::exchange::trace::Step;
use crate::fs::open::{self, Kind, Meta, OpenError, Symlinks};
use crate::http::depends;
use crate::http::method::Method;
use crate::http::range::{Bound, ByteRanges, RangeLimits};
use crate::http::target::{EncodedSlashes, percent_decode};
use crate::phases::translate::Translated;
use crate::phases::{access_file, fixup, proxy_pass};

/// The URL of the other server as a file name, where there is one and the request is its.
pub(super) fn elsewhere(ex: &Exchange, found: &Translated) -> Result<Option<Translated>, Fail> {
    let first = &ex.site.settings.static_first;
    let Some(url) = first.url(&ex.target.raw_path) else {
        return Ok(None);
    };
    depends::on_more();
    if found.alias == Alias::Scripts || ex.variable(b"no-proxy").is_some() {
        return Ok(None);
    }
    if is_sure(ex, first, found) {
        ex.trace(|| Step::Handler("StaticFirst", "it is surely a plain file".to_owned()));
        return Ok(None);
    }
    proxy_pass::to_url(ex, &url, PathForm::AsSent).map(Some)
}

/// Whether the request is one for a plain file, by all that can be known of it without the other server's settings.
fn is_sure(ex: &Exchange, first: &StaticFirst, found: &Translated) -> bool {
    is_plain(ex)
        && matches!(found.alias, Alias::None | Alias::Files)
        && is_written_plainly(ex)
        && !has_word(ex.target.path.as_bytes(), first.except.iter().map(Vec::as_slice))
        && has_known_type(ex, &found.path)
        && plain_file(&found.path, &found.context_root).is_some_and(|meta| is_usual(ex, &meta))
        && !has_access_file(ex, &found.path, &found.context_root)
}

/// It asks to see something, and for nothing else. A query is for a program.
fn is_plain(ex: &Exchange) -> bool {
    let names_more = [
        &b"upgrade"[..],
        b"expect",
        b"authorization",
        b"te",
        b"if-match",
        b"if-unmodified-since",
    ];
    matches!(ex.method, Method::Get | Method::Head)
        && ex.target.query.is_none()
        && matches!(ex.body.length(), BodyLength::None)
        && names_more.iter().all(|name| ex.head.field(name).is_none())
}

/// The path names one thing to every server: nothing in it was resolved, merged or taken away.
fn is_written_plainly(ex: &Exchange) -> bool {
    let decoded = percent_decode(&ex.target.raw_path, EncodedSlashes::Off);
    decoded.is_ok_and(|decoded| decoded == ex.target.path.as_bytes() && !decoded.contains(&0))
}

/// What makes others think of a program, or of a file that nobody is to see, wherever it stands.
const WORDS: &[&[u8]] = &[
    b"/.", b"~", b"\\", b"cgi-bin", b".asis", b".asp", b".cgi", b".fcgi", b".inc", b".jsp", b".lua", b".map", b".phar",
    b".php", b".phtml", b".pl", b".py", b".rb", b".sh", b".var",
];

fn has_word<'w>(path: &[u8], own: impl Iterator<Item = &'w [u8]>) -> bool {
    let lower = path.to_ascii_lowercase();
    let mut words = WORDS.iter().copied().chain(own);
    words.any(|word| memchr::memmem::find(&lower, word).is_some())
}

/// The name says what it is, by its last extension, and nothing else: no handler, no language, no coding.
fn has_known_type(ex: &Exchange, path: &[u8]) -> bool {
    let mark = ex.trail_mark();
    let types = fixup::types_of(ex, &ex.site.base, path);
    let last = memchr::memrchr(b'.', path).and_then(|dot| path.get(dot..));
    let of_last = last.map(|last| fixup::types_of(ex, &ex.site.base, &[b"x", last].concat()));
    ex.forget_steps(mark);
    if of_last.is_none_or(|last| last.media_type.is_none()) {
        return false;
    }
    let is_more =
        types.handler.is_some() || types.output_filters.iter().any(is_more_than_sending) || types.charset.is_some();
    let is_one_of_several = !types.languages.is_empty() || !types.encodings.is_empty();
    let is_file = |kind: &[u8]| !handlers::is_foreign_type(kind) && !kind.starts_with(handlers::BY_TYPE);
    !is_more && !is_one_of_several && types.media_type.as_deref().is_some_and(is_file)
}

/// Whether a filter makes something else of a file, or cannot.
fn is_more_than_sending(named: &Named) -> bool {
    matches!(named, Named::Missing(_) | Named::Here(Filter::Includes))
}

/// What is known of a regular file that all may read and nobody may execute, with no symbolic link on the way to it from `root`.
fn plain_file(name: &[u8], root: &[u8]) -> Option<Meta> {
    let meta = open::stat(name).ok()?;
    let policies = [(1, Symlinks::Follow), (root.len().max(1), Symlinks::Refuse)];
    let is_plain = meta.kind == Kind::File
        && meta.mode & 0o004 != 0
        && meta.mode & 0o1111 == 0
        && path::below(name, root).is_some()
        && open::look(name, meta, &policies).is_ok();
    is_plain.then_some(meta)
}

/// Whether all servers read the request's conditions and ranges alike, and none needs a page to answer.
fn is_usual(ex: &Exchange, meta: &Meta) -> bool {
    let limits = RangeLimits {
        ranges: Bound::Unlimited,
        overlaps: Bound::Unlimited,
        reversals: Bound::Unlimited,
    };
    let has_range = |asked: &[u8]| {
        ex.method == Method::Get && ByteRanges::resolve(asked, meta.size, &limits) != ByteRanges::Unsatisfiable
    };
    // Where both are there, Apache takes If-Modified-Since into account, too; RFC 9110 section 13.1.3 would not.
    let is_of_file =
        |since: &[u8]| HttpDate::parse(since, HttpDate::from(ex.began.wall)) == Some(HttpDate::from(meta.modified()));
    let agrees = |tags: &[u8]| {
        let since = ex.head.field(b"if-modified-since");
        tags.trim_ascii() != b"*" && since.is_none_or(is_of_file) && ex.head.field(b"range").is_none()
    };
    ex.head.field(b"range").is_none_or(has_range) && ex.head.field(b"if-none-match").is_none_or(agrees)
}

/// Whether an access file, which the other server may obey, is on the way from `root`.
fn has_access_file(ex: &Exchange, name: &[u8], root: &[u8]) -> bool {
    let mut slashes = name
        .iter()
        .enumerate()
        .skip(root.len())
        .filter(|(_, byte)| **byte == b'/');
    slashes.any(|(at, _)| {
        let directory = name.get(..=at).unwrap_or_default();
        let there = |file: &[u8]| !matches!(open::stat(&[directory, file].concat()), Err(OpenError::Missing));
        access_file::names(ex).any(there)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::{has_word, plain_file};

    #[test]
    fn words_make_a_path_unsure_in_any_case_and_at_any_place() {
        let own = [b"/private".to_vec()];
        for (path, has) in [
            ("/a/b.html", false),
            ("/a/b.PHP", true),
            ("/a/b.php.txt", true),
            ("/CGI-bin/x.gif", true),
            ("/.git/x.txt", true),
            ("/a/.x", true),
            ("/~joe/x.gif", true),
            ("/Private/x.gif", true),
            ("/a.b/c.d", false),
        ] {
            assert_eq!(has_word(path.as_bytes(), own.iter().map(Vec::as_slice)), has, "{path}");
        }
    }

    #[test]
    fn a_plain_file_is_regular_readable_by_all_and_no_program() {
        let root = std::env::current_exe()
            .expect("it is us")
            .with_file_name("static-first");
        let _left_by_another_run = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("d")).expect("the directory is ours");
        let at = |name: &str| root.join(name);
        for (name, mode) in [
            ("f", 0o644),
            ("x", 0o755),
            ("g", 0o654),
            ("t", 0o1644),
            ("p", 0o640),
            ("d/f", 0o444),
        ] {
            fs::write(at(name), name).expect("there is room");
            fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).expect("it is ours");
        }
        symlink("f", at("l")).expect("links work");
        symlink("d", at("e")).expect("links work");
        nix::unistd::mkfifo(&at("q"), nix::sys::stat::Mode::all()).expect("pipes work");
        for (name, plain) in [
            ("f", true),
            ("d/f", true),
            ("x", false),
            ("g", false),
            ("t", false),
            ("p", false),
            ("l", false),
            ("e/f", false),
            ("q", false),
            ("d", false),
            ("none", false),
        ] {
            let (name, root) = (at(name), root.as_os_str().as_bytes());
            assert_eq!(
                plain_file(name.as_os_str().as_bytes(), root).is_some(),
                plain,
                "{}",
                name.display()
            );
        }
        // Above the root, links are the administrator's.
        assert_eq!(
            plain_file(at("e/f").as_os_str().as_bytes(), at("e").as_os_str().as_bytes()).map(|meta| meta.size),
            Some(3)
        );
        fs::remove_dir_all(&root).expect("it is ours");
    }
}
