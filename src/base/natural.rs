//! The order of names in which numbers count as numbers (`apr_strnatcmp`): `file2` before `file10`.

use std::cmp::Ordering;

/// Whether letters of both cases are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// They are.
    Ignored,
    /// They are not.
    Matters,
}

/// Compares two names. Spaces do not count, nor do zeros before a number but for the comparison of numbers that begin with
/// them: those are compared as fractions are. Bytes above 127 come before the others, as signed ones do.
pub fn compare(left: &[u8], right: &[u8], case: Case) -> Ordering {
    let (mut l, mut r) = (0, 0);
    loop {
        l += left.get(l..).map_or(0, spaces);
        r += right.get(r..).map_or(0, spaces);
        let (rest_l, rest_r) = (left.get(l..).unwrap_or_default(), right.get(r..).unwrap_or_default());
        let (a, b) = (first(rest_l), first(rest_r));
        if a.is_ascii_digit() && b.is_ascii_digit() {
            let order = if a == b'0' || b == b'0' {
                as_fractions(rest_l, rest_r)
            } else {
                as_numbers(rest_l, rest_r)
            };
            if order.is_ne() {
                return order;
            }
        }
        if rest_l.is_empty() && rest_r.is_empty() {
            return Ordering::Equal;
        }
        let folded = |byte: u8| match case {
            Case::Ignored => byte.to_ascii_uppercase().cast_signed(),
            Case::Matters => byte.cast_signed(),
        };
        let order = folded(a).cmp(&folded(b));
        if order.is_ne() {
            return order;
        }
        l += 1;
        r += 1;
    }
}

/// The first byte; 0 at the end, which sorts as in C.
fn first(text: &[u8]) -> u8 {
    text.first().copied().unwrap_or(0)
}

fn spaces(text: &[u8]) -> usize {
    text.iter()
        .take_while(|byte| byte.is_ascii_whitespace() || **byte == b'\x0b')
        .count()
}

/// The longer run of digits is the greater; of runs of one length, the first difference counts.
fn as_numbers(left: &[u8], right: &[u8]) -> Ordering {
    let run = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (l, r) = (run(left), run(right));
    l.cmp(&r).then_with(|| left.get(..l).cmp(&right.get(..r)))
}

/// The first difference counts.
fn as_fractions(left: &[u8], right: &[u8]) -> Ordering {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    left.get(..digits(left)).cmp(&right.get(..digits(right)))
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use super::{Case, compare};

    #[test]
    fn numbers_count_as_numbers() {
        for (left, right, want) in [
            ("file2", "file10", Ordering::Less),
            ("file10", "file2", Ordering::Greater),
            ("file02", "file1", Ordering::Less),
            ("1.010", "1.02", Ordering::Less),
            ("a", "a", Ordering::Equal),
            ("a 1", "a1", Ordering::Equal),
            ("a1b", "a1", Ordering::Greater),
            ("", "a", Ordering::Less),
            ("\u{e9}", "a", Ordering::Less),
            ("12", "123", Ordering::Less),
            ("123x", "123", Ordering::Greater),
        ] {
            assert_eq!(
                compare(left.as_bytes(), right.as_bytes(), Case::Matters),
                want,
                "{left} {right}"
            );
        }
        assert_eq!(compare(b"FILE2", b"file10", Case::Ignored), Ordering::Less);
        assert_eq!(compare(b"B", b"a", Case::Matters), Ordering::Less);
        assert_eq!(compare(b"B", b"a", Case::Ignored), Ordering::Greater);
    }
}
