//! The files that `Include` and `IncludeOptional` mean, in Apache's order.
//!
//! A directory means every file in it and below it, hidden ones too; wildcards may stand in any part of the path, do not
//! match a leading dot, and are taken part by part. Names are sorted by their bytes.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::base::glob::{Glob, Slash};

/// How deep directories may lie below an included one, as in Apache; deeper is an error.
const MAX_DIRECTORY_DEPTH: usize = 20;

/// Whether it is an error that nothing is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// `Include`.
    Refused,
    /// `IncludeOptional`.
    Allowed,
}

/// `path` below the directory `root` unless it is absolute; `.`, `..` and doubled slashes are resolved by their letters
/// alone, as APR does. The result has no final slash.
pub fn below(root: &[u8], path: &[u8]) -> Vec<u8> {
    let whole = if path.starts_with(b"/") {
        path.to_vec()
    } else {
        [root, b"/", path].concat()
    };
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in whole.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." if parts.last().is_some_and(|last| *last != b"..") => {
                parts.pop();
            }
            b".." if whole.starts_with(b"/") => {}
            _ => parts.push(part),
        }
    }
    let clean = parts.join(&b'/');
    if whole.starts_with(b"/") {
        [&b"/"[..], &clean].concat()
    } else {
        clean
    }
}

/// The files that `pattern` (absolute, or relative to the working directory) means, or a sentence.
pub(crate) fn files(pattern: &[u8], missing: Missing) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    if has_wildcard(pattern) {
        let (start, rest) = match pattern.strip_prefix(b"/") {
            Some(rest) => (PathBuf::from("/"), rest),
            None => (PathBuf::new(), pattern),
        };
        let parts: Vec<&[u8]> = rest.split(|b| *b == b'/').collect();
        matching(&start, &parts, missing, &mut found)?;
    } else {
        let path = PathBuf::from(OsStr::from_bytes(pattern));
        if missing == Missing::Allowed && !path.exists() {
            return Ok(found);
        }
        tree(path, 0, &mut found)?;
    }
    Ok(found)
}

/// Whether `apr_fnmatch_test` calls it a pattern: `*`, `?`, or `[` with a `]` after it; a backslash hides the next byte.
fn has_wildcard(word: &[u8]) -> bool {
    let mut bytes = word.iter();
    let mut open = false;
    while let Some(byte) = bytes.next() {
        match byte {
            b'*' | b'?' => return true,
            b'\\' => {
                bytes.next();
            }
            b'[' => open = true,
            b']' if open => return true,
            _ => {}
        }
    }
    false
}

/// Adds the files below `directory` that the parts of a pattern match.
fn matching(directory: &Path, parts: &[&[u8]], missing: Missing, found: &mut Vec<PathBuf>) -> Result<(), String> {
    let Some((part, rest)) = parts.split_first() else {
        return Ok(());
    };
    if !has_wildcard(part) {
        let path = directory.join(OsStr::from_bytes(part));
        return if rest.is_empty() {
            tree(path, 0, found)
        } else {
            matching(&path, rest, missing, found)
        };
    }
    let names = match names_in(directory) {
        Ok(names) => names,
        Err(_) if missing == Missing::Allowed => return Ok(()),
        Err(sentence) => return Err(sentence),
    };
    let glob = Glob::new(part);
    let fits =
        |name: &Vec<u8>| (!name.starts_with(b".") || part.starts_with(b".")) && glob.matches(name, Slash::Ordinary);
    let paths = names
        .iter()
        .filter(|name| fits(name))
        .map(|name| directory.join(OsStr::from_bytes(name)));
    let paths: Vec<PathBuf> = paths.filter(|path| rest.is_empty() || path.is_dir()).collect();
    if paths.is_empty() && missing == Missing::Refused {
        let (part, directory) = (String::from_utf8_lossy(part), directory.display());
        return Err(format!(
            "nothing in `{directory}` matches `{part}`; write IncludeOptional if that is no error"
        ));
    }
    for path in paths {
        if rest.is_empty() {
            tree(path, 0, found)?;
        } else {
            matching(&path, rest, missing, found)?;
        }
    }
    Ok(())
}

/// Adds `path` itself, or every file below it if it is a directory.
fn tree(path: PathBuf, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), String> {
    if !path.is_dir() {
        found.push(path);
        return Ok(());
    }
    if depth >= MAX_DIRECTORY_DEPTH {
        let path = path.display();
        return Err(format!(
            "`{path}` lies more than {MAX_DIRECTORY_DEPTH} directories deep; look for a symbolic link to a directory above it"
        ));
    }
    for name in names_in(&path)? {
        tree(path.join(OsStr::from_bytes(&name)), depth + 1, found)?;
    }
    Ok(())
}

/// The names in a directory, sorted.
fn names_in(directory: &Path) -> Result<Vec<Vec<u8>>, String> {
    let shown = if directory.as_os_str().is_empty() {
        Path::new(".")
    } else {
        directory
    };
    let sentence = |e: std::io::Error| format!("the directory `{}` cannot be read: {e}", shown.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(shown).map_err(sentence)? {
        names.push(entry.map_err(sentence)?.file_name().as_bytes().to_vec());
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::{below, has_wildcard};

    #[test]
    fn relative_names_lie_below_the_server_root() {
        for (root, path, want) in [
            ("/etc/apache2", "conf/x.conf", "/etc/apache2/conf/x.conf"),
            ("/etc/apache2/", "/x//y/./z/", "/x/y/z"),
            ("/etc", "../x", "/x"),
            ("/", "../../x", "/x"),
            ("conf", "x", "conf/x"),
            ("conf", "../../x", "../x"),
        ] {
            assert_eq!(
                below(root.as_bytes(), path.as_bytes()),
                want.as_bytes(),
                "{root} {path}"
            );
        }
    }

    #[test]
    fn a_lone_bracket_is_no_pattern() {
        for (word, want) in [
            ("a*", true),
            ("a?", true),
            ("[ab]", true),
            ("[ab", false),
            ("a]", false),
            ("a\\*", false),
        ] {
            assert_eq!(has_wildcard(word.as_bytes()), want, "{word}");
        }
    }
}
