//! What goes over the control socket: one line of words there, lines of an answer back.
//!
//! A request is words with single spaces between them and a line feed behind them; bytes that are no visible ASCII, and `%`, are
//! written `%XX`. Of an answer each line has one letter, a space, and text: `o` is for standard output, `e` for standard error, and
//! `x` with an exit status ends it.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode, percent_encode};

/// The longest request, with its line feed.
pub const LONGEST_REQUEST: usize = 1024;

/// A line of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// For standard output.
    Out(String),
    /// For standard error.
    Err(String),
    /// The end, with the exit status of who asked.
    End(u8),
}

const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

/// The request that these words make.
pub fn request(words: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let escaped: Vec<String> = words
        .iter()
        .map(|word| percent_encode(word.as_ref(), ESCAPED).to_string())
        .collect();
    (escaped.join(" ") + "\n").into_bytes()
}

/// The words of a request, without its line feed.
pub fn words(line: &[u8]) -> Vec<Vec<u8>> {
    line.split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
        .map(|word| percent_decode(word).collect())
        .collect()
}

/// A text for standard output, or error, as lines of an answer.
pub fn lines(text: &str, line: fn(String) -> Line) -> impl Iterator<Item = Line> {
    text.lines().map(move |text| line(text.to_owned()))
}

impl Line {
    /// Its bytes, with the line feed.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (letter, text): (char, Cow<'_, str>) = match self {
            Line::Out(text) => ('o', text.into()),
            Line::Err(text) => ('e', text.into()),
            Line::End(status) => ('x', status.to_string().into()),
        };
        format!("{letter} {text}\n").into_bytes()
    }

    /// Reads it back, without the line feed. Control characters do not reach anybody's terminal.
    pub fn read(line: &[u8]) -> Option<Line> {
        let (letter, text) = (line.first()?, line.strip_prefix(line.get(..1)?)?);
        let text = String::from_utf8_lossy(text.strip_prefix(b" ")?);
        let text = text.replace(|c: char| c.is_control() && c != '\t', "\u{fffd}");
        Some(match letter {
            b'o' => Line::Out(text),
            b'e' => Line::Err(text),
            b'x' => Line::End(text.parse().ok()?),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, lines, request, words};

    #[test]
    fn a_request_is_a_line_of_words() {
        let cases: &[(&[&[u8]], &str)] = &[
            (&[b"status"], "status\n"),
            (&[b"restart", b"a b%"], "restart a%20b%25\n"),
            (&[b"stop", b"\xff\n"], "stop %FF%0A\n"),
            (&[], "\n"),
        ];
        for (sent, line) in cases {
            let bytes = request(sent);
            assert_eq!(bytes, line.as_bytes());
            assert_eq!(words(bytes.strip_suffix(b"\n").expect("its end")), sent.to_vec());
        }
        assert_eq!(words(b"  status   --json\r"), [b"status".to_vec(), b"--json".to_vec()]);
        assert_eq!(words(b"%4 %zz"), [b"%4".to_vec(), b"%zz".to_vec()]);
    }

    #[test]
    fn an_answer_is_lines_for_people_and_an_end() {
        for (line, bytes) in [
            (Line::Out(String::new()), "o \n"),
            (Line::Out("two words".into()), "o two words\n"),
            (Line::Err("a.conf:1: Bad".into()), "e a.conf:1: Bad\n"),
            (Line::End(3), "x 3\n"),
        ] {
            assert_eq!(line.to_bytes(), bytes.as_bytes());
            assert_eq!(Line::read(bytes.trim_end_matches('\n').as_bytes()), Some(line));
        }
        for wrong in ["", "o", "otext", "y 1", "x", "x 256", "x -1", "x a", "\u{e9} a"] {
            assert_eq!(Line::read(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(Line::read(b"o a\x1b[2J\tb"), Some(Line::Out("a\u{fffd}[2J\tb".into())));
        let two: Vec<Line> = lines("a\nb\n", Line::Out).collect();
        assert_eq!(two, [Line::Out("a".into()), Line::Out("b".into())]);
    }
}
