//! Tests: both engines behind one type.

use super::{GaveUp, Regex, RegexError, expand};

fn matches(pattern: &str, text: &[u8]) -> bool {
    Regex::new(pattern, false)
        .unwrap_or_else(|e| panic!("{pattern}: {e}"))
        .is_match(text)
}

#[test]
fn patterns_of_real_configurations_match_as_in_pcre() {
    let table: &[(&str, &[u8], bool)] = &[
        (r"^\/foo\-bar\#\.php$", b"/foo-bar#.php", true),
        (r"(?i)\.PHP$", b"/index.php", true),
        (r"\.(gif|jpe?g|png)$", b"a.jpeg", true),
        (r"^\.ht", b".htaccess", true),
        // `$` is the very end and `.` any byte: RegexDefaultOptions DOTALL DOLLAR_ENDONLY (seen with 2.4.71).
        (r"end$", b"end\n", false),
        (r"end\Z", b"end\n", true),
        (r"end\Z", b"end\n\n", false),
        (r"^/nl/(.*)end$", b"/nl/1\n2end", true),
        (r"^/brace{foo}/", b"/brace{foo}/", true),
        (r"a{2}b{,3}", b"aab{,3}", true),
        (r"^/cls[\w.-]+[[]/", b"/clsa.-[/", true),
        (r"^/lt\</", b"/lt</", true),
        (r"[a[b]", b"[", true),
        (r"^[a&&b]$", b"&", true),
        (r"^[^]]$", b"]", false),
        (r"^[]-]+$", b"]-", true),
        (r"^[[:alnum:]_.-]+$", b"a_.-9", true),
        (r"^\w+$", "é".as_bytes(), false),
        (r"^é$", "é".as_bytes(), true),
        (r"^[é]{2}$", "é".as_bytes(), true),
        (r"^.\xe9.$", b"a\xe9b", true),
        (r"^\h+$", b" \t", true),
        (r"^\Q.*[\E$", b".*[", true),
        (r"^\Q.*", b".*", true),
        (r"\x41\x{42}\103", b"ABC", true),
        (r"\x41\x{42}\0103", b"AB\x083", true),
        (r"^a\ b$", b"a b", true),
        (r"(?x) a \  b # [ comment", b"a b", true),
        (r"(?x: a )#", b"a#", true),
        ("((?x) a #)\n)#b", b"a#b", true),
        (r"(?x)(?-x:a #)", b"a #", true),
        (r"(?x:(?-x)a )b", b"a b", true),
        ("(?x-i: a # )\n)$", b"a", true),
        (r"(?ix: A [ #])$", b"a#", true),
        (r"a(?<!b(?x)) c", b"a c", true),
        (r"^(?)a", b"a", true),
        (r"^\R$", b"\r\n", true),
        (r"^\R\n", b"\r\n", false),
        (r"^\R{2}$", b"\r\n", false),
        (r"a(?#no)b", b"ab", true),
        (r"^(?>a+)b", b"aab", true),
        (r"^a++a", b"aaa", false),
        (r"^a{1,3}+a", b"aaa", false),
        (r"^a+?a$", b"aaa", true),
        (r"^(?!/admin)", b"/admin", false),
        (r"^(?!/admin)", b"/other", true),
        (r"(?<!x)a", b"\xe9abc", true),
        (r"(?<=\xe9)a", b"\xe9abc", true),
        (r"(?<=b)c$", b"\xf0abc", true),
        (r"(.)\1", b"abccd", true),
        (r"(.)\g{1}", b"abcd", false),
        (r"(?'x'.)\k{x}", b"abb", true),
        (r"(?<x>.)\k'x'", b"abb", true),
        (r"(?<x>.)\k'x'", b"abc", false),
        (r"^a[[:]]$", b"a:]", true),
        (r"^a[[:]]$", b"a[]", true),
        (r"^a[[:]b$", b"a:b", true),
        (r"^[[:]$", b"[", true),
        (r"^(a|b)?+c", b"ac", true),
        (r"(?i)K", "\u{212a}".as_bytes(), false),
    ];
    for (pattern, text, want) in table {
        assert_eq!(matches(pattern, text), *want, "{pattern} on {}", text.escape_ascii());
    }
}

#[test]
fn refused_patterns_say_why_in_one_line() {
    for pattern in [
        "(abc",
        "abc)",
        "*.php",
        "[a",
        "a\\",
        "[z-a]",
        "(?|a)",
        "a(?R)",
        "(?u)a",
        "(?R:a)",
        "(?xx)a",
        "\\x{100}",
        "(?<!a",
        "x{3,2}",
        "[\\w-z]a(",
        "(.)\\g{}",
        "(.)\\k'",
        "(.)\\k''",
        "[[:",
    ] {
        let RegexError(text) = Regex::new(pattern, false).expect_err(pattern);
        assert!(
            text.starts_with(&format!("`{pattern}` is not a regular expression: ")),
            "{text}"
        );
        assert!(!text.contains('\n') && text.len() < 200, "{text}");
    }
}

#[test]
fn every_cut_of_a_pattern_compiles_or_is_refused() {
    let pattern = r"(?<n>[[:alpha:]\d\]-]{2,3}+\Qx\E(?=\x{4a}\012\cA)|\k<n>é(?#c)\g1)*";
    for end in 0..=pattern.len() {
        if let Some(cut) = pattern.get(..end) {
            let _ = Regex::new(cut, true);
        }
    }
}

/// Whoever may write a `.htaccess` writes patterns.
#[test]
fn every_short_pattern_of_odd_characters_is_translated_or_refused() {
    let parts = [
        "[", "]", "[:", ":]", "^", "-", "(", ")", "?", "<", ">", "'", "{", "}", "\\", "\\Q", "\\E", "\\k", "\\g",
        "\\x", "\\c", "0", "a", ",", "#", "|", "é",
    ];
    let mut patterns = vec![String::new()];
    for _ in 0..4 {
        let longer = patterns
            .iter()
            .flat_map(|start| parts.map(|part| format!("{start}{part}")));
        patterns = longer.collect();
        for pattern in &patterns {
            let _ = super::pcre::translate(pattern);
        }
    }
    assert_eq!(patterns.len(), parts.len().pow(4));
}

#[test]
fn a_search_beyond_the_limit_is_no_match() {
    let regex = Regex::new(r"^((a|aa)(?!x))+$", false).expect("valid");
    let mut text = [b'a'; 60];
    text[59] = b'!';
    assert_eq!(regex.try_captures(&text), Err(GaveUp));
    assert_eq!(regex.captures(&text), None);
    assert!(!regex.clone().is_match(&text));
}

#[test]
fn nested_quantifiers_are_linear_without_look_around() {
    let regex = Regex::new(r"^(a+)+$", false).expect("valid");
    let mut text = vec![b'a'; 100_000];
    text.push(b'!');
    assert!(!regex.is_match(&text));
}

#[test]
fn named_groups_are_listed_by_number() {
    for pattern in [
        r"^/(?<site>[^/]+)/(x)(?P<rest>.*)",
        r"^/(?<site>[^/]+)/(x)(?'rest'.*)(?!y)",
    ] {
        let regex = Regex::new(pattern, false).expect("valid");
        assert_eq!(regex.names(), [(1, "site".into()), (3, "rest".into())]);
        assert_eq!(regex.group_count(), 4);
    }
}

#[test]
fn case_is_ignored_for_ascii_only_when_asked() {
    assert!(Regex::new("^/CGI-bin/", true).expect("valid").is_match(b"/cgi-BIN/x"));
    assert!(!Regex::new("é", true).expect("valid").is_match("É".as_bytes()));
}

/// The golden results come from `RedirectMatch` in Apache 2.4.71.
#[test]
fn replacements_are_filled_as_in_apache() {
    let regex = Regex::new(r"^/a/(.)(x)?(.*)$", false).expect("valid");
    let table: [(&[u8], &[u8]); 2] = [
        (b"/a/b.c", b"/r/b--.c-$1-&-&-a--/a/b.c-$"),
        (b"/a/bxc", b"/r/b-x-c-$1-&-&-a--/a/bxc-$"),
    ];
    for (subject, want) in table {
        let groups = regex.captures(subject).expect("matches");
        let got = expand(br"/r/$1-$2-$3-\$1-&-\&-\a-$9-$0-$", subject, &groups);
        assert_eq!(got.escape_ascii().to_string(), want.escape_ascii().to_string());
    }
    assert_eq!(expand(br"\", b"", &[]), br"\");
}
