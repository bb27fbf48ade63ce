//! Splitting the command line of a log program into words, as Apache's library does (apr_tokenize_to_argv).

/// The words: separated by white space, held together by quotes of either kind, a backslash takes the next byte as it
/// is.
pub fn split(line: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut bytes = line.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => word.get_or_insert_default().extend(bytes.next().or(Some(b'\\'))),
            _ if Some(byte) == quote => quote = None,
            b'"' | b'\'' if quote.is_none() => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            _ if byte.is_ascii_whitespace() && quote.is_none() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn lines_are_split_as_apache_splits_them() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            ("  ", &[]),
            ("/bin/a", &["/bin/a"]),
            (
                " /bin/rotatelogs  -l /var/log/%Y 86400 ",
                &["/bin/rotatelogs", "-l", "/var/log/%Y", "86400"],
            ),
            ("/a 'b c' \"d 'e'\" f\\ g", &["/a", "b c", "d 'e'", "f g"]),
            ("a '' \"\"", &["a", "", ""]),
            ("a'b'c", &["abc"]),
            ("a \"open", &["a", "open"]),
            ("a\\", &["a\\"]),
        ];
        for (line, expected) in cases {
            let words: Vec<String> = split(line.as_bytes())
                .iter()
                .map(|word| word.escape_ascii().to_string())
                .collect();
            let expected: Vec<String> = expected
                .iter()
                .map(|word| word.as_bytes().escape_ascii().to_string())
                .collect();
            assert_eq!(words, expected, "{line}");
        }
    }
}
