//! Shell-style patterns as `fnmatch` and Apache's `ap_strcmp_match` understand them.

/// A pattern of `*`, `?` and `[...]`, compiled once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    pattern: Vec<u8>,
}

/// Whether `*` and `?` may match a slash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slash {
    /// Wildcards stop at `/`, as in `<Directory>` (`FNM_PATHNAME`).
    Stops,
    /// Wildcards match `/` too.
    Ordinary,
}

impl Glob {
    /// Takes any bytes; a lone `[` stands for itself.
    pub fn new(pattern: &[u8]) -> Glob {
        Glob {
            pattern: pattern.to_vec(),
        }
    }

    /// A pattern of `*` and `?` alone, as `ap_strcmp_match` takes them; brackets and backslashes stand for themselves.
    pub fn wild(pattern: &[u8]) -> Glob {
        let mut escaped = Vec::with_capacity(pattern.len());
        for byte in pattern {
            if matches!(byte, b'[' | b'\\') {
                escaped.push(b'\\');
            }
            escaped.push(*byte);
        }
        Glob { pattern: escaped }
    }

    /// The pattern as it was written.
    pub fn pattern(&self) -> &[u8] {
        &self.pattern
    }

    /// Whether `word` has any of `*`, `?`, `[`.
    pub fn is_pattern(word: &[u8]) -> bool {
        word.iter().any(|b| matches!(b, b'*' | b'?' | b'['))
    }

    /// Whether `word` has `*` or `?`, which is what [`Glob::wild`] minds.
    pub fn is_wild(word: &[u8]) -> bool {
        word.iter().any(|b| matches!(b, b'*' | b'?'))
    }

    /// Whether the whole of `text` matches.
    pub fn matches(&self, text: &[u8], slash: Slash) -> bool {
        matches(&self.pattern, text, slash)
    }
}

fn matches(pattern: &[u8], text: &[u8], slash: Slash) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        let step = if p < pattern.len() && pattern[p] == b'*' {
            star = Some((p + 1, t));
            p += 1;
            continue;
        } else {
            one(&pattern[p..], text.get(t).copied(), slash)
        };
        match step {
            Some(width) => {
                p += width;
                t += 1;
            }
            None if p == pattern.len() && t == text.len() => return true,
            None => match star {
                Some((after, from)) if from < text.len() && !(slash == Slash::Stops && text[from] == b'/') => {
                    star = Some((after, from + 1));
                    p = after;
                    t = from + 1;
                }
                _ => return false,
            },
        }
    }
}

/// How many pattern bytes match the one text byte, if they do.
fn one(pattern: &[u8], byte: Option<u8>, slash: Slash) -> Option<usize> {
    let byte = byte?;
    let wild = !(slash == Slash::Stops && byte == b'/');
    match pattern.first()? {
        b'?' => wild.then_some(1),
        b'[' => match class(pattern, byte) {
            Some((width, hit)) => (hit && wild).then_some(width),
            None => (byte == b'[').then_some(1),
        },
        b'\\' if pattern.len() > 1 => (pattern[1] == byte).then_some(2),
        literal => (*literal == byte).then_some(1),
    }
}

/// A bracket expression at the start of `pattern`: its width and whether `byte` is in it.
fn class(pattern: &[u8], byte: u8) -> Option<(usize, bool)> {
    let mut at = 1;
    let negated = matches!(pattern.get(at)?, b'!' | b'^');
    if negated {
        at += 1;
    }
    let first = at;
    let mut hit = false;
    loop {
        let low = *pattern.get(at)?;
        if low == b']' && at > first {
            return Some((at + 1, hit != negated));
        }
        if pattern.get(at + 1) == Some(&b'-') && pattern.get(at + 2).is_some_and(|b| *b != b']') {
            hit |= (low..=*pattern.get(at + 2)?).contains(&byte);
            at += 3;
        } else {
            hit |= low == byte;
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Glob, Slash};

    #[test]
    fn patterns_match_as_fnmatch_does() {
        for (pattern, text, slash, want) in [
            ("*.html", "a.html", Slash::Stops, true),
            ("*.html", "a/b.html", Slash::Stops, false),
            ("*.html", "a/b.html", Slash::Ordinary, true),
            ("/home/*/public_html", "/home/ann/public_html", Slash::Stops, true),
            ("?", "", Slash::Ordinary, false),
            ("[a-c]x[!d]", "bxe", Slash::Stops, true),
            ("[a-c]x[!d]", "bxd", Slash::Stops, false),
            (".ht*", ".htaccess", Slash::Stops, true),
            ("a\\*b", "a*b", Slash::Stops, true),
            ("[", "[", Slash::Stops, true),
            ("**", "abc", Slash::Stops, true),
            ("", "", Slash::Stops, true),
        ] {
            assert_eq!(
                Glob::new(pattern.as_bytes()).matches(text.as_bytes(), slash),
                want,
                "{pattern} {text}"
            );
        }
    }
}
