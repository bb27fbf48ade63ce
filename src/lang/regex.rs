//! Regular expressions on bytes, in the PCRE syntax that Apache configurations use.
//!
//! A pattern that `regex::bytes` understands runs there in linear time; one that needs look-around,
//! back-references or possessive quantifiers runs in `fancy-regex` with a limit on backtracking, and fails to
//! match at the limit, as PCRE does at its own. Who has a request's future [watched](effort::watched) learns of it.
//!
//! Matching follows Apache's default `RegexDefaultOptions DOTALL DOLLAR_ENDONLY`: `.` matches a newline and `$`
//! only the very end. Patterns and subjects are bytes, and `\w`, `\d`, `\b` know ASCII only, as in Apache, which
//! does not switch PCRE to UTF-8.

pub mod effort;
mod pcre;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// How often `fancy-regex` may step back in one search before the search counts as "no match".
///
/// PCRE stops at ten million; this is reached after some hundredths of a second.
const BACKTRACK_LIMIT: usize = 250_000;

/// A match's groups as byte ranges of the subject; group 0 is the whole match.
pub type Groups = Vec<Option<Range<usize>>>;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct Regex {
    pattern: Box<str>,
    ignore_case: bool,
    engine: Engine,
    names: Arc<[(usize, Box<str>)]>,
}

#[derive(Clone, Debug)]
enum Engine {
    Linear(regex::bytes::Regex),
    Backtracking(Box<fancy_regex::Regex>),
}

/// Why a pattern was refused, as a sentence for the configuration error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegexError(pub String);

impl fmt::Display for RegexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The search was given up at the backtracking limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GaveUp;

impl Regex {
    /// Compiles `pattern`; `ignore_case` is Apache's `NC`.
    pub fn new(pattern: &str, ignore_case: bool) -> Result<Regex, RegexError> {
        let refused = |why: &str| RegexError(format!("`{pattern}` is not a regular expression: {why}"));
        let translated = pcre::translate(pattern).map_err(|why| refused(&why))?;
        let linear = linear(&translated.text, ignore_case);
        let engine = match linear {
            Ok(engine) if !translated.backtracks => Engine::Linear(engine),
            Ok(_) => Engine::Backtracking(backtracking(&translated.text, ignore_case).map_err(|e| refused(&e))?),
            Err(why) => match backtracking(&translated.text, ignore_case) {
                Ok(engine) if why.needs_backtracking => Engine::Backtracking(engine),
                Err(e) if why.needs_backtracking => return Err(refused(&e)),
                _ => return Err(refused(&why.sentence)),
            },
        };
        Ok(Regex {
            pattern: pattern.into(),
            ignore_case,
            names: names(&engine),
            engine,
        })
    }

    /// The pattern as it was written.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// How many groups the pattern has, group 0 included.
    pub fn group_count(&self) -> usize {
        match &self.engine {
            Engine::Linear(engine) => engine.captures_len(),
            Engine::Backtracking(engine) => engine.captures_len(),
        }
    }

    /// The named groups: number and name, in the pattern's order. `<DirectoryMatch>` and its kin export them as
    /// `MATCH_NAME`.
    pub fn names(&self) -> &[(usize, Box<str>)] {
        &self.names
    }

    /// Whether the pattern occurs anywhere in `text`.
    pub fn is_match(&self, text: &[u8]) -> bool {
        match &self.engine {
            Engine::Linear(engine) => engine.is_match(text),
            Engine::Backtracking(engine) => effort::search(&self.pattern, || engine.is_match(text)).unwrap_or(false),
        }
    }

    /// The first match's groups; no match when the search was given up.
    pub fn captures(&self, text: &[u8]) -> Option<Groups> {
        self.try_captures(text).unwrap_or(None)
    }

    /// The first match's groups, and apart from "no match" the news that the search was given up.
    pub fn try_captures(&self, text: &[u8]) -> Result<Option<Groups>, GaveUp> {
        match &self.engine {
            Engine::Linear(engine) => Ok(engine
                .captures(text)
                .map(|caps| caps.iter().map(|m| m.map(|m| m.range())).collect())),
            Engine::Backtracking(engine) => {
                let caps = effort::search(&self.pattern, || engine.captures(text))?;
                Ok(caps.map(|caps| caps.iter().map(|m| m.map(|m| m.range())).collect()))
            }
        }
    }
}

impl PartialEq for Regex {
    fn eq(&self, other: &Regex) -> bool {
        self.pattern == other.pattern && self.ignore_case == other.ignore_case
    }
}

impl Eq for Regex {}

/// Fills a replacement as Apache's `ap_pregsub` does: `$0` to `$9` are the match's groups (an absent one is
/// empty), a backslash makes the next byte ordinary, everything else (`&` too) stands for itself.
pub fn expand(template: &[u8], subject: &[u8], groups: &[Option<Range<usize>>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(template.len());
    let mut rest = template;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after.first()) {
            (b'$', Some(digit @ b'0'..=b'9')) => {
                out.extend_from_slice(group(usize::from(digit - b'0'), subject, groups));
                rest = &after[1..];
            }
            (b'\\', Some(&next)) => {
                out.push(next);
                rest = &after[1..];
            }
            _ => out.push(byte),
        }
    }
    out
}

/// Group `number` of a match in `subject`, or nothing.
pub fn group<'s>(number: usize, subject: &'s [u8], groups: &[Option<Range<usize>>]) -> &'s [u8] {
    let range = groups.get(number).cloned().flatten();
    range.and_then(|range| subject.get(range)).unwrap_or_default()
}

struct Refused {
    sentence: String,
    needs_backtracking: bool,
}

fn linear(pattern: &str, ignore_case: bool) -> Result<regex::bytes::Regex, Refused> {
    regex::bytes::RegexBuilder::new(pattern)
        .case_insensitive(ignore_case)
        .dot_matches_new_line(true)
        .unicode(false)
        .build()
        .map_err(|e| {
            let text = e.to_string();
            Refused {
                // The crate draws a picture of the pattern; the sentence is its last line.
                sentence: text.rsplit("error: ").next().unwrap_or(&text).trim().to_owned(),
                needs_backtracking: UNSUPPORTED.iter().any(|s| text.contains(s)),
            }
        })
}

/// What `regex::bytes` says about constructs that `fancy-regex` may know.
const UNSUPPORTED: [&str; 3] = ["not supported", "unrecognized escape", "unrecognized flag"];

fn backtracking(pattern: &str, ignore_case: bool) -> Result<Box<fancy_regex::Regex>, String> {
    fancy_regex::RegexBuilder::new(pattern)
        .case_insensitive(ignore_case)
        .dot_matches_new_line(true)
        .bytes_mode(fancy_regex::BytesMode::Ascii)
        .backtrack_limit(BACKTRACK_LIMIT)
        .build()
        .map(Box::new)
        .map_err(|e| e.to_string().replace('\n', " "))
}

fn names(engine: &Engine) -> Arc<[(usize, Box<str>)]> {
    let keep = |(number, name): (usize, Option<&str>)| name.map(|name| (number, name.into()));
    match engine {
        Engine::Linear(engine) => engine.capture_names().enumerate().filter_map(keep).collect(),
        Engine::Backtracking(engine) => engine.capture_names().enumerate().filter_map(keep).collect(),
    }
}
