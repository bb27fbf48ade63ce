//! The words of a directive as typed values; every refusal is a sentence that says what would be right.

use std::cell::RefCell;
use std::time::Duration;

use crate::base::glob::Glob;
use crate::base::path;
use crate::config::directives::limit::Methods;
use crate::config::directives::options::Options;
use crate::lang::expr::Trust;
use crate::lang::regex::Regex;

/// The words after a directive's name, quotes removed and variables replaced.
#[derive(Clone, Copy, Debug)]
pub struct Args<'a> {
    /// The words.
    pub words: &'a [Vec<u8>],
    /// The directory that relative file names are below (`ServerRoot`), without a final slash.
    pub server_root: &'a [u8],
    /// Where the directive stands.
    pub span: &'a super::error::Span,
    /// The path of the section around the directive, where it has one (`<Directory>`, `<Location>`).
    pub section: Option<&'a [u8]>,
    /// Whether there is a section, or an access file, around the directive; `<If>` may have no path.
    pub around: Surroundings,
    /// The methods that access control is about, inside `<Limit>` and `<LimitExcept>`.
    pub methods: Option<&'a Methods>,
    /// In `.htaccess`, what `Options` may name.
    pub options: Option<Options>,
    /// Whether expressions may ask everything: in the server's own files, not in `.htaccess`.
    pub trust: Trust,
    /// What the setter has to say although it accepts the directive, see [`Args::remark`].
    pub remarks: &'a RefCell<Vec<String>>,
}

/// What is around a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surroundings {
    /// The server, a virtual host or a service.
    Site,
    /// A section of a place, or an access file.
    Section,
}

/// A result whose error is a sentence.
pub type Said<T> = Result<T, String>;

/// Bytes as text for a message; what is not UTF-8 is replaced.
pub fn shown(bytes: &[u8]) -> String {
    format!("`{}`", String::from_utf8_lossy(bytes))
}

impl<'a> Args<'a> {
    /// Tells the administrator something that is no reason not to start: a warning.
    pub fn remark(&self, sentence: impl Into<String>) {
        self.remarks.borrow_mut().push(sentence.into());
    }

    /// How many words there are.
    pub fn count(&self) -> usize {
        self.words.len()
    }

    /// Word `n`; empty where there is none (the engine has checked the count).
    pub fn bytes(&self, n: usize) -> &'a [u8] {
        self.words.get(n).map_or(&[], |word| word.as_slice())
    }

    /// Word `n` as text.
    pub fn text(&self, n: usize) -> Said<&'a str> {
        std::str::from_utf8(self.bytes(n)).map_err(|_| format!("{} is not UTF-8 text", shown(self.bytes(n))))
    }

    /// Word `n` in lower case, for key words.
    pub fn keyword(&self, n: usize) -> String {
        String::from_utf8_lossy(self.bytes(n)).to_ascii_lowercase()
    }

    /// Word `n` as `on` or `off`.
    pub fn flag(&self, n: usize) -> Said<bool> {
        match self.keyword(n).as_str() {
            "on" => Ok(true),
            "off" => Ok(false),
            _ => Err(format!("{} is neither `on` nor `off`", shown(self.bytes(n)))),
        }
    }

    /// Word `n` as one of the words of a list, in any case: what stands beside it there.
    pub fn choice<T: Copy>(&self, n: usize, choices: &[(&str, T)]) -> Said<T> {
        let word = self.keyword(n);
        if let Some((_, value)) = choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(&word)) {
            return Ok(*value);
        }
        let names: Vec<_> = choices.iter().map(|(name, _)| format!("`{name}`")).collect();
        Err(format!("{} is not one of {}", shown(self.bytes(n)), names.join(", ")))
    }

    /// Word `n` as a whole number within `range`.
    pub fn number(&self, n: usize, range: std::ops::RangeInclusive<u64>) -> Said<u64> {
        let wrong = || {
            let (low, high) = (range.start(), range.end());
            if *high == u64::MAX {
                format!("{} is not a whole number of {low} or more", shown(self.bytes(n)))
            } else {
                format!("{} is not a whole number from {low} to {high}", shown(self.bytes(n)))
            }
        };
        let number = self.text(n)?.parse::<u64>().map_err(|_| wrong())?;
        if range.contains(&number) {
            Ok(number)
        } else {
            Err(wrong())
        }
    }

    /// Word `n` as a duration: a number of seconds, or one with a unit (`ms`, `s`, `min`, `h`), as Apache writes them.
    pub fn duration(&self, n: usize) -> Said<Duration> {
        duration(self.bytes(n))
    }

    /// Word `n` as a file name; a relative one is below ServerRoot.
    pub fn path(&self, n: usize) -> Vec<u8> {
        below(self.server_root, self.bytes(n))
    }

    /// Word `n` as a regular expression.
    pub fn regex(&self, n: usize) -> Said<Regex> {
        regex(self.bytes(n))
    }

    /// All words from `n` on.
    pub fn rest(&self, n: usize) -> &'a [Vec<u8>] {
        self.words.get(n..).unwrap_or(&[])
    }
}

/// `name` below `root` unless it is absolute already, without `.` and `..`, as far as it holds nothing that a request fills in.
pub fn below(root: &[u8], name: &[u8]) -> Vec<u8> {
    let path = if root.is_empty() {
        name.to_vec()
    } else {
        path::absolute(root, name)
    };
    let literal = path.iter().position(|byte| *byte == b'$').unwrap_or(path.len());
    if literal == path.len() {
        return path::resolved(&path).into_owned();
    }
    let (directory, rest) = path.split_at(memchr::memrchr(b'/', &path[..literal]).map_or(0, |slash| slash + 1));
    [&path::resolved(directory), rest].concat()
}

/// Text as a duration: a number of seconds, or a number with a unit.
pub fn duration(word: &[u8]) -> Said<Duration> {
    let wrong = || format!("{} is not a duration; write `5` (seconds) or `500ms`", shown(word));
    let digits = word.iter().take_while(|b| b.is_ascii_digit()).count();
    let (number, unit) = word.split_at(digits);
    let number: u64 = std::str::from_utf8(number)
        .ok()
        .and_then(|n| n.parse().ok())
        .ok_or_else(wrong)?;
    let millis = match unit.to_ascii_lowercase().as_slice() {
        b"ms" => Some(number),
        b"" | b"s" => number.checked_mul(1000),
        b"mi" | b"min" => number.checked_mul(60_000),
        b"h" => number.checked_mul(3_600_000),
        _ => return Err(wrong()),
    };
    // A year is for ever here; more would only overflow deadlines.
    millis
        .filter(|ms| *ms <= 31_536_000_000)
        .map(Duration::from_millis)
        .ok_or_else(wrong)
}

/// Text as a regular expression.
pub fn regex(pattern: &[u8]) -> Said<Regex> {
    let text = std::str::from_utf8(pattern).map_err(|_| format!("{} is not UTF-8 text", shown(pattern)))?;
    Regex::new(text, false).map_err(|e| e.0)
}

/// What a section's path or name is compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum Pattern {
    /// A literal path or name.
    Plain(Vec<u8>),
    /// A shell-style pattern.
    Glob(Glob),
    /// A regular expression (`~`, `…Match`).
    Regex(Regex),
}

impl Pattern {
    /// A literal, or a shell-style pattern where the word has wildcards.
    pub fn wild(word: &[u8]) -> Pattern {
        if Glob::is_pattern(word) {
            Pattern::Glob(Glob::new(word))
        } else {
            Pattern::Plain(word.to_vec())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::duration;

    #[test]
    fn durations_take_apaches_units() {
        for (word, want) in [
            ("5", 5000),
            ("500ms", 500),
            ("2min", 120_000),
            ("1h", 3_600_000),
            ("20s", 20_000),
        ] {
            assert_eq!(duration(word.as_bytes()), Ok(Duration::from_millis(want)), "{word}");
        }
        for word in ["", "x", "5x", "-1", "99999999999999999999", "999999999999h"] {
            assert!(duration(word.as_bytes()).is_err(), "{word}");
        }
        assert_eq!(
            duration(b"5x").unwrap_err(),
            "`5x` is not a duration; write `5` (seconds) or `500ms`"
        );
    }
}
