//! Variables in the values of arguments: `$NAME`, `${NAME}`, and `\$` for a dollar sign.

/// A value does not grow beyond this; what would go on behind it is cut. No directive moves it.
pub const LONGEST: usize = 256 * 1024;

/// What becomes of a variable that is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unset {
    /// Nothing stands in its place.
    Dropped,
    /// Its reference stays, for a shell to look at.
    Left,
}

/// A value with its variables filled in, and what was odd about it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Expanded {
    /// The value.
    pub text: Vec<u8>,
    /// The reference whose closing brace is missing; the value ends before it.
    pub open: Option<Vec<u8>>,
}

/// Fills in the variables of `text`; `find` knows their values.
pub fn expand(text: &[u8], unset: Unset, mut find: impl FnMut(&[u8]) -> Option<Vec<u8>>) -> Expanded {
    let mut expanded = Expanded::default();
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\\' | b'$')) {
        let (before, special) = rest.split_at(at);
        put(&mut expanded.text, before);
        if let Some(behind) = special.strip_prefix(b"\\") {
            let escaped = behind.strip_prefix(b"$");
            put(&mut expanded.text, if escaped.is_some() { b"$" } else { b"\\" });
            rest = escaped.unwrap_or(behind);
            continue;
        }
        let Some((name, length)) = reference(special) else {
            expanded.open = special.get(2..).map(<[u8]>::to_vec);
            return expanded;
        };
        let (whole, behind) = special.split_at(length);
        match find(name).filter(|_| !name.is_empty()) {
            _ if name.is_empty() => put(&mut expanded.text, whole),
            Some(value) => put(&mut expanded.text, &value),
            None if unset == Unset::Left => put(&mut expanded.text, whole),
            None => {}
        }
        rest = behind;
    }
    put(&mut expanded.text, rest);
    expanded
}

/// The name that a reference beginning with `$` has, and how long the reference is; nothing where its brace stays open. A
/// dollar sign without a name stands for itself.
fn reference(text: &[u8]) -> Option<(&[u8], usize)> {
    if let Some(name) = text.strip_prefix(b"${") {
        let length = name.iter().position(|byte| *byte == b'}')?;
        return match length {
            0 => Some((b"", 1)),
            _ => Some((name.get(..length)?, length + 3)),
        };
    }
    let name = text.get(1..).unwrap_or_default();
    let length = name
        .iter()
        .take_while(|byte| **byte == b'_' || byte.is_ascii_alphanumeric())
        .count();
    Some((name.get(..length)?, length + 1))
}

fn put(out: &mut Vec<u8>, text: &[u8]) {
    let room = LONGEST.saturating_sub(out.len());
    out.extend_from_slice(text.get(..room).unwrap_or(text));
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, Unset, expand};

    fn find(name: &[u8]) -> Option<Vec<u8>> {
        match name {
            b"A" => Some(b"one".to_vec()),
            b"a_2" => Some(b"two".to_vec()),
            b"1" => Some(b"group".to_vec()),
            b"empty" => Some(Vec::new()),
            _ => None,
        }
    }

    #[test]
    fn references_are_filled_in() {
        for (text, dropped, left) in [
            ("", "", ""),
            ("plain", "plain", "plain"),
            ("$A", "one", "one"),
            ("<$A>", "<one>", "<one>"),
            ("${A}B", "oneB", "oneB"),
            ("$a_2-$1", "two-group", "two-group"),
            ("$empty.", ".", "."),
            ("$none.", ".", "$none."),
            ("${none}.", ".", "${none}."),
            ("\\$A", "$A", "$A"),
            ("\\A\\\\$A", "\\A\\$A", "\\A\\$A"),
            ("$", "$", "$"),
            ("$-$", "$-$", "$-$"),
            ("${}x", "${}x", "${}x"),
            ("a\\", "a\\", "a\\"),
        ] {
            for (unset, want) in [(Unset::Dropped, dropped), (Unset::Left, left)] {
                let expanded = expand(text.as_bytes(), unset, find);
                assert_eq!(String::from_utf8_lossy(&expanded.text), want, "{text}");
                assert_eq!(expanded.open, None, "{text}");
            }
        }
    }

    #[test]
    fn a_brace_that_stays_open_ends_the_value() {
        let expanded = expand(b"x$A${A y", Unset::Dropped, find);
        assert_eq!(
            (&expanded.text[..], expanded.open),
            (&b"xone"[..], Some(b"A y".to_vec()))
        );
    }

    #[test]
    fn a_value_has_a_longest_length() {
        let expanded = expand(b"$x$x$x", Unset::Dropped, |_| Some(vec![b'x'; LONGEST / 2]));
        assert_eq!(expanded.text.len(), LONGEST);
    }
}
