//! The words an indexed query (`?word+word`) puts on a script's command line: RFC 3875 sections 4.4 and 7.2.

/// A query with more words than this gives no command line at all (section 4.4: all the words or none). Apache stops
/// at 4096; indexed queries were typed by people.
const MAX_WORDS: usize = 1024;

/// What becomes of a query with a word that starts with `-`, which many programs would take for an option
/// (`php-cgi?-s` showed the source: CVE-2012-1823).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DashWords {
    /// The script gets no command line. The default.
    Refuse,
    /// The words are passed like any other, as Apache does.
    Pass,
}

/// The arguments for a script, without its own name: the decoded words of `query` when `method` is GET or HEAD and
/// the query holds no unencoded `=`; otherwise none.
///
/// They are the elements of an argument vector and are never given to a shell. Characters a Bourne shell would act on
/// carry a backslash all the same, as section 7.2 says and Apache does: old scripts hand them to `eval` or `system`.
/// A `%` without two hexadecimal digits stays as it is (seen with 2.4.71). A word that cannot stand on a command line,
/// because it decodes to a NUL, empties the whole list.
pub fn command_line(method: &[u8], query: &[u8], dash_words: DashWords) -> Vec<Vec<u8>> {
    let indexed = matches!(method, b"GET" | b"HEAD") && !query.is_empty() && !query.contains(&b'=');
    if !indexed || memchr::memchr_iter(b'+', query).count() >= MAX_WORDS {
        return Vec::new();
    }
    query
        .split(|byte| *byte == b'+')
        .map(|word| argument(word, dash_words))
        .collect::<Option<_>>()
        .unwrap_or_default()
}

fn argument(word: &[u8], dash_words: DashWords) -> Option<Vec<u8>> {
    let plain: Vec<u8> = percent_encoding::percent_decode(word).collect();
    if plain.contains(&0) || (dash_words == DashWords::Refuse && plain.starts_with(b"-")) {
        return None;
    }
    let mut escaped = Vec::with_capacity(plain.len());
    for byte in plain {
        if b"&;`'\"|*?~<>^()[]{}$\\\n\r".contains(&byte) {
            escaped.push(b'\\');
        }
        escaped.push(byte);
    }
    Some(escaped)
}

#[cfg(test)]
mod tests {
    use super::{DashWords, MAX_WORDS, command_line};

    fn words(method: &str, query: &str, dash_words: DashWords) -> String {
        let words = command_line(method.as_bytes(), query.as_bytes(), dash_words);
        let shown: Vec<_> = words
            .iter()
            .map(|word| format!("<{}>", String::from_utf8_lossy(word)))
            .collect();
        shown.concat()
    }

    #[test]
    fn words_are_split_at_plus_then_decoded() {
        let table = [
            ("one word", "GET", "foo", "<foo>"),
            ("HEAD as GET", "HEAD", "foo", "<foo>"),
            ("decoded after the split", "GET", "foo+b%20ar+a%2Bb", "<foo><b ar><a+b>"),
            ("an encoded = is part of a word", "GET", "a%3Db", "<a=b>"),
            ("empty words stay, as in Apache", "GET", "a++b", "<a><><b>"),
            ("a broken escape stays, as in Apache", "GET", "%zz+%4", "<%zz><%4>"),
            (
                "shell characters carry a backslash",
                "GET",
                "c&d+%24(x)+a;b",
                r"<c\&d><\$\(x\)><a\;b>",
            ),
            ("no query", "GET", "", ""),
            ("a form's query", "GET", "a=b", ""),
            ("one = anywhere is enough", "GET", "a+b+c=", ""),
            ("not a GET", "POST", "foo", ""),
            ("NUL", "GET", "foo+a%00b", ""),
            ("an option", "GET", "-s", ""),
            ("an option, encoded", "GET", "x+%2ds", ""),
        ];
        for (name, method, query, want) in table {
            assert_eq!(words(method, query, DashWords::Refuse), want, "{name}");
        }
    }

    #[test]
    fn dash_words_pass_when_asked() {
        assert_eq!(words("GET", "x+-s", DashWords::Pass), "<x><-s>");
    }

    #[test]
    fn too_many_words_give_no_command_line() {
        let most = vec!["w"; MAX_WORDS].join("+");
        assert_eq!(
            command_line(b"GET", most.as_bytes(), DashWords::Refuse).len(),
            MAX_WORDS
        );
        assert_eq!(
            command_line(b"GET", format!("{most}+w").as_bytes(), DashWords::Refuse).len(),
            0
        );
    }
}
