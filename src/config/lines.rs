//! A configuration file as logical lines: continuations joined, comments gone, white space trimmed, each with its number.
//!
//! As Apache's `ap_cfg_getline`: a backslash right before the end of the line continues it, in comments too, and nothing
//! escapes that backslash. Unlike there a logical line has the number of its first physical line, a byte order mark is
//! skipped, and a NUL is a fault instead of cutting the line short.

use crate::base::quoting::{is_space, trim_start};

/// The longest logical line, as in Apache; a longer one is a fault. No directive moves it.
const MAX_LINE: usize = 16 * 1024 * 1024;

/// One logical line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The number of its first physical line, counted from 1.
    pub number: u32,
    /// Its text without white space at either end; empty for a blank line.
    pub text: Vec<u8>,
    /// What makes the line unusable, if anything does.
    pub fault: Option<LineFault>,
}

/// Why a line cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFault {
    /// It has a NUL byte.
    Nul,
    /// It is longer than 16 MiB.
    TooLong,
}

impl LineFault {
    /// The fault as a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            LineFault::Nul => "the line has a NUL byte; write the file as plain text (UTF-8, not UTF-16)",
            LineFault::TooLong => "the line is longer than 16 MiB; divide it",
        }
    }
}

/// `text` without white space at either end.
pub fn trim(text: &[u8]) -> &[u8] {
    trim_end(trim_start(text))
}

/// `text` without white space at its end.
pub fn trim_end(text: &[u8]) -> &[u8] {
    let to = text.iter().rposition(|b| !is_space(*b)).map_or(0, |at| at + 1);
    text.get(..to).unwrap_or_default()
}

/// The logical lines of a file, comments left out and blank lines kept.
pub fn logical_lines(file: &[u8]) -> Vec<Line> {
    let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    let mut lines = Vec::new();
    let mut open: Option<(u32, Vec<u8>)> = None;
    let mut number = 0_u32;
    for physical in file.split_inclusive(|b| *b == b'\n') {
        number = number.saturating_add(1);
        let (first, mut text) = open.take().unwrap_or((number, Vec::new()));
        let body = physical.strip_suffix(b"\n").unwrap_or(physical);
        let body = body.strip_suffix(b"\r").unwrap_or(body);
        match body.strip_suffix(b"\\") {
            Some(more) if physical.ends_with(b"\n") => {
                text.extend_from_slice(more);
                open = Some((first, text));
            }
            _ => {
                text.extend_from_slice(body);
                push(&mut lines, first, &text);
            }
        }
    }
    if let Some((first, text)) = open {
        push(&mut lines, first, &text);
    }
    lines
}

fn push(lines: &mut Vec<Line>, number: u32, text: &[u8]) {
    let text = trim(text);
    if text.starts_with(b"#") {
        return;
    }
    let fault = if text.len() > MAX_LINE {
        Some(LineFault::TooLong)
    } else if text.contains(&0) {
        Some(LineFault::Nul)
    } else {
        None
    };
    lines.push(Line {
        number,
        text: text.to_vec(),
        fault,
    });
}

#[cfg(test)]
mod tests {
    use super::{LineFault, logical_lines};

    fn of(file: &str) -> Vec<(u32, String)> {
        let text = |line: super::Line| (line.number, String::from_utf8(line.text).expect("tests write UTF-8"));
        logical_lines(file.as_bytes()).into_iter().map(text).collect()
    }

    #[test]
    fn lines_are_joined_trimmed_and_numbered_by_their_first() {
        for (name, file, want) in [
            ("plain", "A b\nC d", vec![(1, "A b"), (2, "C d")]),
            ("white space", "  A\tb \x0b\n", vec![(1, "A\tb")]),
            (
                "continuation keeps inner space",
                "A \\\n  b\nC",
                vec![(1, "A   b"), (3, "C")],
            ),
            ("crlf", "A\\\r\nb\r\nC\r\n", vec![(1, "Ab"), (3, "C")]),
            ("comment swallows its continuation", "# x \\\nA b\nC", vec![(3, "C")]),
            (
                "a comment inside a continued line is text",
                "A \\\n# b\nC",
                vec![(1, "A # b"), (3, "C")],
            ),
            ("two backslashes still continue", "A\\\\\nb\n", vec![(1, "A\\b")]),
            ("backslash and space do not", "A\\ \nb\n", vec![(1, "A\\"), (2, "b")]),
            ("backslash at the end of the file", "A\\", vec![(1, "A\\")]),
            ("continuation into the end of the file", "A\\\n", vec![(1, "A")]),
            ("byte order mark", "\u{feff}A\n", vec![(1, "A")]),
            ("blank lines stay", "\n \nA", vec![(1, ""), (2, ""), (3, "A")]),
        ] {
            let want: Vec<(u32, String)> = want.into_iter().map(|(n, t)| (n, t.to_owned())).collect();
            assert_eq!(of(file), want, "{name}");
        }
    }

    #[test]
    fn a_nul_is_a_fault_of_its_line() {
        let faults: Vec<_> = logical_lines(b"A\nB\0\nC").into_iter().map(|line| line.fault).collect();
        assert_eq!(faults, [None, Some(LineFault::Nul), None]);
    }
}
