//! Maps whole, broken and cut.

use super::{Broken, TypeMap, parse};
use crate::base::testing::every_cut;

const MAP: &[u8] = b"# a comment\n\
URI: foo\n\
\n\
URI: foo.en.html\n\
Content-type: text/html; charset=ISO-8859-1; qs=0.7\n\
# another\n\
Content-language: en,\n en-GB (of Britain)\n\
Description: a page\n in English\n\
\n\
Uri: foo.de.html.gz\n\
Content-Language: de\n\
Content-Encoding: x-GZIP\n\
Content-Length: 17\n\
   \n\
Content-type: text/plain\n\
Body:----here----\n\
one\n\
two\n\
----here---- and more\n\
\n\
URI: last\n\
Content-Type: a/b;level=3";

fn told(map: &TypeMap) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let told = map.variants.iter().map(|one| {
        format!(
            "{}|{}|{}|{}|{}|{}|{}|{}|{:?}|{:?}",
            text(&one.name),
            text(&one.media_type),
            one.source_quality,
            one.level,
            text(&one.charset),
            text(&one.languages.join(&b'+')),
            text(&one.encoding),
            text(&one.description),
            one.length,
            one.body,
        )
    });
    told.collect()
}

#[test]
fn a_map_lists_its_variants_in_their_order() {
    let map = parse(MAP, b"own.var").expect("it is a map");
    let body = MAP
        .windows(8)
        .position(|piece| piece == b"one\ntwo\n")
        .expect("it is there");
    let want = [
        "foo.en.html|text/html|0.7|2|iso-8859-1|en+en-gb||a page in English|None|None".to_owned(),
        "foo.de.html.gz||0|0||de|x-GZIP||Some(17)|None".to_owned(),
        format!("own.var|text/plain|1|0|||||Some(8)|Some({body}..{})", body + 8),
        "last|a/b|1|3|||||None|None".to_owned(),
    ];
    assert_eq!((told(&map), map.ends.clone()), (want.to_vec(), None));
}

#[test]
fn what_is_no_field_breaks_a_map() {
    for (text, want) in [
        ("URI foo\n", "`URI foo` has no colon"),
        ("URI: a\nContent-Type: a/b\n\nx\n", "`x` has no colon"),
        ("URI:\n\n", "`URI:` says nothing"),
    ] {
        assert_eq!(parse(text.as_bytes(), b"m"), Err(Broken(want.to_owned())), "{text}");
    }
}

#[test]
fn a_fault_ends_a_map_and_leaves_what_came_before() {
    let good = "URI: a\nContent-Type: a/b\n\nURI: b\nContent-Type: a/b\n";
    let long = format!("Body:END\n{}\nEND\n\nURI: c\nContent-Type: a/b\n", "x".repeat(8192));
    for (fault, want) in [
        ("Content-Length: x\n", "`Content-Length: x` is not a number of bytes"),
        ("Content-Length: -1\n", "`Content-Length: -1` is not a number of bytes"),
        (
            "Body:END\ntext\n",
            "there is no `END` within 8191 bytes to end the body that begins so",
        ),
        (
            &long,
            "there is no `END` within 8191 bytes to end the body that begins so",
        ),
    ] {
        let map = parse(format!("{good}{fault}").as_bytes(), b"m").expect("it is a map");
        assert_eq!((map.variants.len(), map.ends.as_deref()), (1, Some(want)));
    }
}

#[test]
fn nothing_makes_no_variant() {
    for text in [
        "",
        "\n\n",
        "#\n",
        "URI: a\n",
        "Content-Type: a/b\n",
        "X-Other: y\nURI: a\n",
    ] {
        assert_eq!(parse(text.as_bytes(), b"m"), Ok(TypeMap::default()), "{text}");
    }
}

#[test]
fn every_piece_of_a_map_is_read_to_its_end() {
    every_cut(MAP, |head, tail| {
        for piece in [head, tail] {
            if let Ok(map) = parse(piece, b"m") {
                for body in map.variants.iter().filter_map(|variant| variant.body.clone()) {
                    assert!(piece.get(body).is_some(), "a body lies in the map");
                }
            }
        }
    });
}
