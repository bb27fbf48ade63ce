//! The words of a line, as Apache's `ap_getword_conf` divides them.
//!
//! White space separates words. A word that starts with `"` or `'` goes on to the same quote; inside it a backslash
//! takes away the meaning of that quote and of a backslash, and of nothing else. Outside quotes only `\\` is special.

/// The next word of `line` and the rest after it (without leading white space), or `None` at the end.
pub fn next_word(line: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let line = trim_start(line);
    let (quote, mut rest) = match line.split_first()? {
        (quote @ (b'"' | b'\''), rest) => (Some(*quote), rest),
        _ => (None, line),
    };
    let mut word = Vec::new();
    while let Some((byte, after)) = rest.split_first() {
        if Some(*byte) == quote {
            rest = after;
            break;
        }
        if quote.is_none() && is_space(*byte) {
            break;
        }
        rest = after;
        match after.split_first() {
            Some((escaped, after)) if *byte == b'\\' && (*escaped == b'\\' || Some(*escaped) == quote) => {
                word.push(*escaped);
                rest = after;
            }
            _ => word.push(*byte),
        }
    }
    Some((word, trim_start(rest)))
}

/// All words of `line`.
pub fn words(line: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut rest = line;
    while let Some((word, after)) = next_word(rest) {
        words.push(word);
        rest = after;
    }
    words
}

/// All words of `line` as mod_rewrite divides the lines of its rules: white space behind a backslash belongs to a word, a quote
/// goes on to the next one of its kind, and every backslash stays, for patterns and substitutions to read.
pub fn words_of_rules(line: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut rest = trim_start(line);
    while let Some((first, after)) = rest.split_first() {
        let quote = matches!(first, b'"' | b'\'').then_some(*first);
        let text = if quote.is_some() { after } else { rest };
        let is_end = |byte: u8| quote.map_or(is_space(byte), |quote| byte == quote);
        let mut end = 0;
        while let Some(byte) = text.get(end).filter(|byte| !is_end(**byte)) {
            let is_pair = *byte == b'\\' && text.get(end + 1).is_some_and(|next| is_space(*next));
            end += if is_pair { 2 } else { 1 };
        }
        words.push(text.get(..end).unwrap_or_default().to_vec());
        rest = trim_start(text.get(end + 1..).unwrap_or_default());
    }
    words
}

/// `word` so that [`next_word`] reads it back, always between double quotes.
pub fn quoted(word: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(word.len() + 2);
    out.push(b'"');
    for byte in word {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
    out
}

/// White space as C's `isspace` has it.
pub fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

/// `text` without white space at its start.
pub fn trim_start(text: &[u8]) -> &[u8] {
    let from = text.iter().position(|b| !is_space(*b)).unwrap_or(text.len());
    text.get(from..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{next_word, quoted, words, words_of_rules};

    #[test]
    fn words_are_divided_as_apache_divides_them() {
        for (line, want) in [
            ("a b\tc", vec!["a", "b", "c"]),
            ("  a  ", vec!["a"]),
            ("", vec![]),
            (r#""a b" c"#, vec!["a b", "c"]),
            (r#"'a "b"' c"#, vec![r#"a "b""#, "c"]),
            (r#""b"c"#, vec!["b", "c"]),
            (r#"b"c d""#, vec![r#"b"c"#, r#"d""#]),
            (r#""unterminated x"#, vec!["unterminated x"]),
            (r#"unterminated""#, vec![r#"unterminated""#]),
            (r#""a\"b\\c\n\'""#, vec![r#"a"b\c\n\'"#]),
            (r"'x \' \n \\ '", vec![r"x ' \n \ "]),
            (r"a\\b\c\ d", vec![r"a\b\c\", "d"]),
            (r#""" x"#, vec!["", "x"]),
            (r#"""#, vec![""]),
            (r#""\"#, vec![r"\"]),
        ] {
            let got: Vec<String> = words(line.as_bytes())
                .into_iter()
                .map(|word| String::from_utf8(word).expect("tests write UTF-8"))
                .collect();
            assert_eq!(got, want, "{line}");
        }
    }

    #[test]
    fn words_of_rules_are_divided_as_mod_rewrite_divides_them() {
        for (line, want) in [
            (r"^a\ b$ /c [L]", vec![r"^a\ b$", "/c", "[L]"]),
            ("a\\\tb\tc", vec!["a\\\tb", "c"]),
            (r"a\\ b c", vec![r"a\\ b", "c"]),
            (r"a\\b c\", vec![r"a\\b", r"c\"]),
            (r#""a b" 'c d' e"#, vec!["a b", "c d", "e"]),
            (r#""a\"b c"#, vec![r"a\", "b", "c"]),
            (r#""a\ b" c"d"#, vec![r"a\ b", r#"c"d"#]),
            (r#""a"#, vec!["a"]),
            (r#""" b "#, vec!["", "b"]),
            ("", vec![]),
        ] {
            let got: Vec<String> = words_of_rules(line.as_bytes())
                .into_iter()
                .map(|word| String::from_utf8(word).expect("tests write UTF-8"))
                .collect();
            assert_eq!(got, want, "{line}");
        }
    }

    #[test]
    fn the_rest_after_a_word_keeps_its_quotes() {
        let (word, rest) = next_word(b"SetEnv  A \"b c\" ").expect("there is a word");
        assert_eq!((word.as_slice(), rest), (&b"SetEnv"[..], &b"A \"b c\" "[..]));
    }

    #[test]
    fn a_quoted_word_reads_back() {
        for word in [&b""[..], b"a", b"a b", b"\"", b"\\", b"a\\\"'\xff\n"] {
            assert_eq!(words(&quoted(word)), [word.to_vec()]);
        }
    }
}
