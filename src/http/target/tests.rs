//! Forms of targets, and two hundred and more ways to spell the way out of a root (TRAPS rows 1 to 6).

use super::{CleanPath, EncodedSlashes, Slashes, Target, TargetError};
use crate::http::method::Method;

#[test]
fn four_forms() {
    let origin = Target::parse(Method::Get, b"/a/b?x=1?y");
    assert_eq!(
        origin,
        Ok(Target::Origin {
            path: b"/a/b",
            query: Some(b"x=1?y")
        })
    );
    assert_eq!(Target::parse(Method::Options, b"*"), Ok(Target::Asterisk));
    assert_eq!(
        Target::parse(Method::Connect, b"a.example:443"),
        Ok(Target::Authority(b"a.example:443"))
    );
    for (text, authority, path, query) in [
        ("http://a.example/x?q", "a.example", "/x", Some("q")),
        ("HTTP://a.example:80", "a.example:80", "/", None),
        ("https://[::1]:8080?q", "[::1]:8080", "/", Some("q")),
        ("http://a:/x", "a", "/x", None),
        ("http://[::1]:?q", "[::1]", "/", Some("q")),
        ("http://a/b://c", "a", "/b://c", None),
    ] {
        let target = Target::parse(Method::Get, text.as_bytes()).expect("the target is good");
        assert_eq!(target.authority(), Some(authority.as_bytes()));
        assert_eq!(target.path(), path.as_bytes());
        assert_eq!(target.query(), query.map(str::as_bytes));
    }
}

#[test]
fn other_forms_are_refused() {
    for (method, text, want) in [
        (Method::Get, "*", TargetError::Form),
        (Method::Get, "f.txt", TargetError::Form),
        (Method::Get, "", TargetError::Form),
        (Method::Get, "?x", TargetError::Form),
        (Method::Get, "a.example:443", TargetError::Form),
        (Method::Get, "http:/a", TargetError::Form),
        (Method::Get, "ftp://a/", TargetError::Form),
        (Method::Get, "file:///etc/passwd", TargetError::Form),
        (Method::Get, "http://:/x", TargetError::Authority),
        (Method::Get, "http://a:80:/x", TargetError::Authority),
        (Method::Get, "http:///x", TargetError::Authority),
        (Method::Get, "http://u:p@a/", TargetError::Authority),
        (Method::Get, "http://a b/", TargetError::Authority),
        (Method::Options, "**", TargetError::Form),
        (Method::Connect, "/", TargetError::Authority),
        (Method::Connect, "a.example", TargetError::Authority),
        (Method::Connect, "http://a.example:80/", TargetError::Authority),
        (Method::Connect, "*", TargetError::Authority),
    ] {
        assert_eq!(Target::parse(method, text.as_bytes()), Err(want), "{text}");
        assert_eq!(want.status().code(), 400);
    }
}

fn decode(raw: &str, encoded: EncodedSlashes, slashes: Slashes) -> Result<String, TargetError> {
    let path = CleanPath::decode(raw.as_bytes(), encoded, slashes)?;
    Ok(String::from_utf8_lossy(path.as_bytes()).into_owned())
}

#[test]
fn paths_are_decoded_once_and_cleaned_after_that() {
    for (raw, want) in [
        ("/", Ok("/")),
        ("/a%20b/%41", Ok("/a b/A")),
        ("/a+b", Ok("/a+b")),
        ("/caf%C3%a9", Ok("/caf\u{e9}")),
        ("/%25zz", Ok("/%zz")),
        ("/%252e%252e/x", Ok("/%2e%2e/x")),
        ("/%2525", Ok("/%25")),
        ("/a/./b", Ok("/a/b")),
        ("/a/../b", Ok("/b")),
        ("/a/%2e%2E/b", Ok("/b")),
        ("/a/b/..", Ok("/a/")),
        ("/a/b/.", Ok("/a/b/")),
        ("/a/b/", Ok("/a/b/")),
        ("/.", Ok("/")),
        ("/a/..", Ok("/")),
        ("/..a/.b/c..", Ok("/..a/.b/c..")),
        ("/.../x", Ok("/.../x")),
        ("//a///b//", Ok("/a/b/")),
        ("/a//../b", Ok("/b")),
        ("/a%0ab", Ok("/a\nb")),
        ("/a%5c..%5cb", Ok("/a\\..\\b")),
        ("/%3fx=1", Ok("/?x=1")),
        ("/%23x", Ok("/#x")),
        ("/..", Err(TargetError::AboveRoot)),
        ("/a/../..", Err(TargetError::AboveRoot)),
        ("//..", Err(TargetError::AboveRoot)),
        ("/%2e%2e/", Err(TargetError::AboveRoot)),
        ("/%", Err(TargetError::Escape)),
        ("/%a", Err(TargetError::Escape)),
        ("/%zz", Err(TargetError::Escape)),
        ("/%%32%65", Err(TargetError::Escape)),
        ("/% 20", Err(TargetError::Escape)),
        ("/%+1", Err(TargetError::Escape)),
        ("/f.txt%00.html", Err(TargetError::Nul)),
        ("/a%2fb", Err(TargetError::EncodedSlash)),
        ("/a%2Fb", Err(TargetError::EncodedSlash)),
        ("/a%2f%zz", Err(TargetError::Escape)),
        ("/a%2f%00", Err(TargetError::Nul)),
        ("a", Err(TargetError::Form)),
        ("", Err(TargetError::Form)),
        ("%2fa", Err(TargetError::EncodedSlash)),
    ] {
        let found = decode(raw, EncodedSlashes::Off, Slashes::Merge);
        assert_eq!(found, want.map(str::to_owned), "{raw}");
    }
}

#[test]
fn encoded_slashes_and_merging_are_settings() {
    for (raw, encoded, slashes, want) in [
        ("/a%2fb", EncodedSlashes::On, Slashes::Merge, Ok("/a/b")),
        ("/a%2f%2e%2e%2fb", EncodedSlashes::On, Slashes::Merge, Ok("/b")),
        ("/.%2F/x", EncodedSlashes::On, Slashes::Merge, Ok("/x")),
        (
            "/%2f..",
            EncodedSlashes::On,
            Slashes::Merge,
            Err(TargetError::AboveRoot),
        ),
        (
            "/..%2f..%2fx",
            EncodedSlashes::On,
            Slashes::Merge,
            Err(TargetError::AboveRoot),
        ),
        ("/a%2Fb", EncodedSlashes::NoDecode, Slashes::Merge, Ok("/a%2Fb")),
        (
            "/a%2f..%2fb",
            EncodedSlashes::NoDecode,
            Slashes::Merge,
            Ok("/a%2f..%2fb"),
        ),
        ("/a//b", EncodedSlashes::Off, Slashes::Keep, Ok("/a//b")),
        ("//a//", EncodedSlashes::Off, Slashes::Keep, Ok("//a//")),
        ("/a//../b", EncodedSlashes::Off, Slashes::Keep, Ok("/a/b")),
        ("/a/./", EncodedSlashes::Off, Slashes::Keep, Ok("/a/")),
        ("/a/.", EncodedSlashes::Off, Slashes::Keep, Ok("/a/")),
        ("/", EncodedSlashes::Off, Slashes::Keep, Ok("/")),
        ("//", EncodedSlashes::Off, Slashes::Keep, Ok("//")),
        ("/../x", EncodedSlashes::Off, Slashes::Keep, Err(TargetError::AboveRoot)),
    ] {
        let found = decode(raw, encoded, slashes);
        assert_eq!(found, want.map(str::to_owned), "{raw}");
    }
    assert_eq!(TargetError::EncodedSlash.status().code(), 404);
}

/// Every sequence of up to four of these pieces, and each behind a directory.
const PIECES: [&str; 14] = [
    "/", "//", "..", "%2e%2e", ".%2E", "%2e.", ".", "%2e", "\\", "%5c", "%2f", "a", "..;", "%252e",
];

#[test]
fn no_spelling_leads_out_of_the_root() {
    let mut spellings = vec![String::new()];
    let mut last = spellings.clone();
    for _ in 0..4 {
        last = last
            .iter()
            .flat_map(|begin| PIECES.iter().map(move |piece| format!("{begin}{piece}")))
            .collect();
        spellings.extend_from_slice(&last);
    }
    assert!(spellings.len() > 40_000);
    for spelling in &spellings {
        for raw in [format!("/{spelling}"), format!("/cgi-bin/{spelling}/etc/passwd")] {
            for encoded in [EncodedSlashes::Off, EncodedSlashes::On, EncodedSlashes::NoDecode] {
                for slashes in [Slashes::Merge, Slashes::Keep] {
                    if let Ok(path) = CleanPath::decode(raw.as_bytes(), encoded, slashes) {
                        assert_clean(path.as_bytes(), &raw, slashes);
                    }
                }
            }
        }
    }
}

fn assert_clean(path: &[u8], raw: &str, slashes: Slashes) {
    assert!(path.starts_with(b"/"), "{raw}");
    for segment in path.split(|byte| *byte == b'/') {
        assert!(segment != b".." && segment != b".", "{raw}");
    }
    let merged = slashes == Slashes::Keep || !path.windows(2).any(|two| two == b"//");
    assert!(merged, "{raw}");
    // Cleaning what is clean changes nothing.
    let again = CleanPath::from_decoded(path, slashes).map(CleanPath::into_bytes);
    assert_eq!(again.as_deref(), Ok(path), "{raw}");
}

#[test]
fn rewritten_paths_are_cleaned_without_decoding() {
    let path = |text: &str| CleanPath::from_decoded(text.as_bytes(), Slashes::Merge).map(CleanPath::into_bytes);
    assert_eq!(path("/a/%2e%2e/b"), Ok(b"/a/%2e%2e/b".to_vec()));
    assert_eq!(path("/a\0b"), Err(TargetError::Nul));
    assert_eq!(path("/../b"), Err(TargetError::AboveRoot));
}
