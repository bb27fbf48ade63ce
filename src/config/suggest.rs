//! "Did you mean": the known name nearest to an unknown one.

/// The nearest of `names`, if it is near enough to be a slip of the pen; the first of equals.
pub fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = match name.len() {
        3..=5 => 1,
        6..=9 => 2,
        10..=64 => 3,
        _ => return None,
    };
    let wanted: Vec<u8> = name.bytes().map(|b| b.to_ascii_lowercase()).collect();
    names
        .into_iter()
        .filter(|known| known.len().abs_diff(wanted.len()) <= allowed)
        .map(|known| (distance(&wanted, known.as_bytes()), known))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// How many insertions, deletions, replacements and swaps of neighbours lead from `a` (lower case) to `b` (any case).
fn distance(a: &[u8], b: &[u8]) -> usize {
    let b: Vec<u8> = b.iter().map(|byte| byte.to_ascii_lowercase()).collect();
    let mut two_back: Vec<usize> = Vec::new();
    let mut back: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(back.len());
        row.push(i + 1);
        for (j, to) in b.iter().enumerate() {
            let mut best = (back[j + 1] + 1).min(row[j] + 1).min(back[j] + usize::from(from != to));
            if i > 0 && j > 0 && a[i - 1] == *to && *from == b[j - 1] {
                best = best.min(two_back[j - 1] + 1);
            }
            row.push(best);
        }
        two_back = std::mem::replace(&mut back, row);
    }
    back[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let names = [
            "DocumentRoot",
            "DirectoryIndex",
            "ServerName",
            "ServerAlias",
            "Alias",
            "Options",
            "User",
            "Use",
        ];
        for (name, want) in [
            ("DocumentRot", Some("DocumentRoot")),
            ("documentroot", Some("DocumentRoot")),
            ("DocuemntRoot", Some("DocumentRoot")),
            ("DirectoryIndexes", Some("DirectoryIndex")),
            ("Option", Some("Options")),
            ("Alais", Some("Alias")),
            ("Usr", Some("User")),
            ("X", None),
            ("", None),
            ("Frobnicate", None),
            ("ServerNaem", Some("ServerName")),
        ] {
            assert_eq!(nearest(name, names), want, "{name}");
        }
    }

    #[test]
    fn a_very_long_name_is_not_compared() {
        assert_eq!(nearest(&"x".repeat(100_000), ["User"]), None);
    }
}
