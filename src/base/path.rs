//! Paths as bytes: joining, parents, file names, extensions. Nothing here asks the file system.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// `base` and `tail` with exactly one slash between them; an absolute `tail` is still put below `base`.
pub fn join(base: &[u8], tail: &[u8]) -> Vec<u8> {
    let base = base.strip_suffix(b"/").unwrap_or(base);
    let tail = tail.strip_prefix(b"/").unwrap_or(tail);
    let mut out = Vec::with_capacity(base.len() + 1 + tail.len());
    out.extend_from_slice(base);
    out.push(b'/');
    out.extend_from_slice(tail);
    out
}

/// The path `name` means when it was written below `root`: itself when absolute, else joined (as `ServerRoot` works).
pub fn absolute(root: &[u8], name: &[u8]) -> Vec<u8> {
    if name.starts_with(b"/") {
        name.to_vec()
    } else {
        join(root, name)
    }
}

/// An absolute path without `.`, `..` and empty segments, as text: what a symbolic link on the way leads to is not asked. Behind
/// the root `..` is the root. A relative path is left as it is.
pub fn resolved(path: &[u8]) -> Cow<'_, [u8]> {
    let is_settled = |segment: &[u8]| !matches!(segment, b"" | b"." | b"..");
    let Some(below) = path.strip_prefix(b"/") else {
        return Cow::Borrowed(path);
    };
    let named = below.strip_suffix(b"/").unwrap_or(below);
    if below.is_empty() || named.split(|byte| *byte == b'/').all(is_settled) {
        return Cow::Borrowed(path);
    }
    let mut clean = Vec::with_capacity(path.len());
    let mut names_directory = false;
    for segment in below.split(|byte| *byte == b'/') {
        names_directory = !is_settled(segment);
        match segment {
            b".." => {
                let parent = memchr::memrchr(b'/', &clean).unwrap_or(0);
                clean.truncate(parent);
            }
            b"." | b"" => {}
            name => {
                clean.push(b'/');
                clean.extend_from_slice(name);
            }
        }
    }
    if names_directory {
        clean.push(b'/');
    }
    Cow::Owned(clean)
}

/// The directory a path lies in, without its closing slash: `/a/b` and `/a/b/` give `/a`, `/a` gives `/`, `/` none.
pub fn parent(path: &[u8]) -> Option<&[u8]> {
    let path = without_slash(path);
    if path == b"/" {
        return None;
    }
    let slash = path.iter().rposition(|byte| *byte == b'/')?;
    Some(&path[..slash.max(1)])
}

/// What follows the last slash; empty for a path that ends in one.
pub fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

/// `path` without slashes at its end, but never shorter than `/`.
pub fn without_slash(path: &[u8]) -> &[u8] {
    let mut rest = path;
    while let [head @ .., b'/'] = rest {
        if head.is_empty() {
            break;
        }
        rest = head;
    }
    rest
}

/// The extensions of a file name from left to right, without their dots, as mod_mime sees them: the part before the
/// first dot is the name, dots at the very start belong to it, empty parts are left out.
pub fn extensions(name: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    let start = name.iter().position(|byte| *byte != b'.').unwrap_or(name.len());
    let rest = &name[start..];
    let first_dot = rest
        .iter()
        .position(|byte| *byte == b'.')
        .map_or(rest.len(), |dot| dot + 1);
    rest[first_dot..]
        .split(|byte| *byte == b'.')
        .filter(|part| !part.is_empty())
}

/// The part of `path` below `prefix`, if `prefix` names it or a directory above it: `/a` holds `/a` and `/a/b`, not
/// `/ab`. What is returned is empty or starts with a slash, unless `prefix` ends in one.
pub fn below<'a>(path: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with(b"/") || prefix.ends_with(b"/")).then_some(rest)
}

/// Every directory from the root to `path` itself, each with its closing slash except a last part that has none:
/// `/a/b` gives `/`, `/a/`, `/a/b`.
pub fn steps(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter()
        .enumerate()
        .filter(move |(at, byte)| **byte == b'/' || at + 1 == path.len())
        .map(move |(at, _)| &path[..=at])
}

/// The bytes as the standard library's path.
pub fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::{absolute, below, extensions, file_name, join, parent, resolved, steps};

    #[test]
    fn joins_with_one_slash() {
        for (base, tail, want) in [
            ("/a", "b", "/a/b"),
            ("/a/", "b", "/a/b"),
            ("/a/", "/b", "/a/b"),
            ("/a", "", "/a/"),
            ("/", "b", "/b"),
            ("", "b", "/b"),
        ] {
            assert_eq!(join(base.as_bytes(), tail.as_bytes()), want.as_bytes());
        }
        assert_eq!(absolute(b"/etc/httpd", b"conf/x"), b"/etc/httpd/conf/x");
        assert_eq!(absolute(b"/etc/httpd", b"/x"), b"/x");
    }

    #[test]
    fn dots_are_taken_out() {
        for (path, want) in [
            ("/", "/"),
            ("//", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("/a//b", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/b/.", "/a/b/"),
            ("/a/../..", "/"),
            ("/../../etc/x", "/etc/x"),
            ("/a/.b/..c/...", "/a/.b/..c/..."),
            ("a/../b", "a/../b"),
            ("", ""),
        ] {
            assert_eq!(resolved(path.as_bytes()), want.as_bytes(), "{path}");
        }
    }

    #[test]
    fn parents_and_names() {
        for (path, dir, name) in [
            ("/a/b", Some("/a"), "b"),
            ("/a/b/", Some("/a"), ""),
            ("/a", Some("/"), "a"),
            ("/", None, ""),
            ("a", None, "a"),
            ("a/b", Some("a"), "b"),
        ] {
            assert_eq!(parent(path.as_bytes()), dir.map(str::as_bytes), "{path}");
            assert_eq!(file_name(path.as_bytes()), name.as_bytes(), "{path}");
        }
    }

    #[test]
    fn extensions_are_walked_as_mod_mime_does() {
        for (name, want) in [
            ("index.html.en", &["html", "en"][..]),
            ("index", &[]),
            (".htaccess", &[]),
            (".ht.txt", &["txt"]),
            ("a..b.", &["b"]),
            ("x.", &[]),
            ("...", &[]),
            ("", &[]),
        ] {
            let found: Vec<&[u8]> = extensions(name.as_bytes()).collect();
            let want: Vec<&[u8]> = want.iter().map(|s| s.as_bytes()).collect();
            assert_eq!(found, want, "{name}");
        }
    }

    #[test]
    fn prefixes_end_at_segments() {
        assert_eq!(below(b"/a/b", b"/a"), Some(&b"/b"[..]));
        assert_eq!(below(b"/a", b"/a"), Some(&b""[..]));
        assert_eq!(below(b"/ab", b"/a"), None);
        assert_eq!(below(b"/a/b", b"/a/"), Some(&b"b"[..]));
        let all: Vec<&[u8]> = steps(b"/a/b").collect();
        assert_eq!(all, [&b"/"[..], b"/a/", b"/a/b"]);
        let all: Vec<&[u8]> = steps(b"/a/").collect();
        assert_eq!(all, [&b"/"[..], b"/a/"]);
    }
}
