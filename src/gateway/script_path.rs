//! Where a path stops naming the script and begins to be its PATH_INFO: RFC 3875 sections 4.1.5 and 4.1.13.

/// SCRIPT_NAME and PATH_INFO: `path` is the decoded path as it was routed, `tail` what the file system did not need of
/// it. Both results joined are `path`, byte for byte, also when `tail` has `/` where the path has `//`.
///
/// Where an alias or a rule put words into the tail that the path never had, it is no end of the path; then, as in Apache,
/// SCRIPT_NAME is the path up to the slash after the last byte in which they differ, and PATH_INFO the tail.
pub fn split_path<'a>(path: &'a [u8], tail: &'a [u8]) -> (&'a [u8], &'a [u8]) {
    match tail_start(path, tail) {
        Ok(start) => path.split_at(start),
        Err(end) => (path.get(..end).unwrap_or(path), tail),
    }
}

/// Where in `path` the end begins that equals `tail`, runs of `/` counting as one; else where the segment ends in which they
/// differ.
fn tail_start(path: &[u8], tail: &[u8]) -> Result<usize, usize> {
    if !tail.is_empty() && !tail.starts_with(b"/") {
        return Err(path.len());
    }
    let segment_end = |at: usize| {
        let rest = path.get(at..).unwrap_or_default();
        at + rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len())
    };
    let (mut path_rest, mut tail_rest) = (path, tail);
    while let Some((last, tail_before)) = tail_rest.split_last() {
        let Some((path_last, path_before)) = path_rest.split_last() else {
            return Err(0);
        };
        if path_last != last {
            return Err(segment_end(path_before.len()));
        }
        (path_rest, tail_rest) = (path_before, tail_before);
        if *last == b'/' {
            path_rest = without_trailing_slashes(path_rest);
            tail_rest = without_trailing_slashes(tail_rest);
        }
    }
    Ok(path_rest.len())
}

fn without_trailing_slashes(mut path: &[u8]) -> &[u8] {
    while let Some(shorter) = path.strip_suffix(b"/") {
        path = shorter;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::split_path;

    #[test]
    fn paths_split_into_script_name_and_path_info() {
        let table = [
            ("/cgi-bin/x", "", "/cgi-bin/x", ""),
            ("/cgi-bin/x/a/b", "/a/b", "/cgi-bin/x", "/a/b"),
            ("/cgi-bin/x/", "/", "/cgi-bin/x", "/"),
            ("/", "/", "", "/"),
            ("/a/b", "/a/b", "", "/a/b"),
            ("/x//a///b", "/a/b", "/x", "//a///b"),
            ("/x/x/x", "/x", "/x/x", "/x"),
            ("/x.cgi/a b/c?", "/a b/c?", "/x.cgi", "/a b/c?"),
            ("/x", "/bar", "/x", "/bar"),
            ("/x/zbar", "/bar", "/x/zbar", "/bar"),
            ("/x/bar", "/x-bar", "/x", "/x-bar"),
            ("/x", "x", "/x", "x"),
        ];
        for (path, tail, script_name, path_info) in table {
            let split = split_path(path.as_bytes(), tail.as_bytes());
            assert_eq!(split, (script_name.as_bytes(), path_info.as_bytes()), "{path} {tail}");
        }
    }

    /// SCRIPT_NAME + PATH_INFO = decoded path, for every path of up to seven bytes of a small alphabet, cut at every slash,
    /// with the tail as it is and with its slashes merged.
    #[test]
    fn script_name_and_path_info_make_the_path_again() {
        let alphabet = b"/a\n";
        for number in 0..3_usize.pow(7) {
            let path: Vec<u8> = (0_u32..7)
                .map(|digit| alphabet[number / 3_usize.pow(digit) % 3])
                .collect();
            let ends = (0..=path.len()).filter(|at| path[*at..].is_empty() || path[*at] == b'/');
            for at in ends {
                let tail = &path[at..];
                let mut merged = tail.to_vec();
                merged.dedup_by(|next, before| *next == b'/' && *before == b'/');
                for tail in [tail, &merged] {
                    let (script_name, path_info) = split_path(&path, tail);
                    assert_eq!([script_name, path_info].concat(), path, "tail {tail:?}");
                    assert_eq!(tail.is_empty(), path_info.is_empty(), "{path:?} {tail:?}");
                }
            }
        }
    }
}
