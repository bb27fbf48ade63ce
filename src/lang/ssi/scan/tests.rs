//! The scanner's tables, each document cut at every byte.

use super::{Argument, Element, Ending, Fault, LONGEST, Piece, Scanner, Tags};
use crate::base::testing::every_cut;

fn whole(document: &[u8]) -> (Vec<Piece>, Ending) {
    let mut scanner = Scanner::new(Tags::default());
    let mut pieces = Vec::new();
    scanner.push(document, &mut pieces);
    let ending = scanner.finish(&mut pieces);
    (joined(pieces), ending)
}

/// Neighbouring texts as one.
fn joined(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut all: Vec<Piece> = Vec::new();
    for piece in pieces {
        match (all.last_mut(), piece) {
            (Some(Piece::Text(before)), Piece::Text(text)) => before.extend_from_slice(&text),
            (_, piece) => all.push(piece),
        }
    }
    all
}

fn told(pieces: &[Piece]) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let argument = |argument: &Argument| match &argument.value {
        Some(value) => format!(" {}=[{}]", text(&argument.name), text(value)),
        None => format!(" {}", text(&argument.name)),
    };
    let one = |piece: &Piece| match piece {
        Piece::Text(bytes) => text(bytes),
        Piece::Element(element) => {
            let arguments: String = element.arguments.iter().map(argument).collect();
            let fault = element.fault.map(|fault| format!(" {fault:?}")).unwrap_or_default();
            format!("{{{}{arguments}{fault}}}", text(&element.name))
        }
    };
    pieces.iter().map(one).collect()
}

const DOCUMENTS: &[(&str, &str)] = &[
    ("", ""),
    ("plain <!-- comment -->", "plain <!-- comment -->"),
    (
        "a<!--#echo var=\"X\" -->b<!--#printenv-->c",
        "a{echo var=[X]}b{printenv}c",
    ),
    ("<!--#ECHO VAR='Ab' -->", "{echo var=[Ab]}"),
    ("<!--#echo var=X -->", "{echo var=[X]}"),
    (
        "<!--#set var = `a b`   value\n=\t\"c\"\n-->",
        "{set var=[a b] value=[c]}",
    ),
    (
        "<!--#echo var=\"a\\\"b\" encoding='it\\'s' -->",
        "{echo var=[a\"b] encoding=[it's]}",
    ),
    ("<!--#echo var=\"a\\b\\\\\" -->\" -->", "{echo var=[a\\b\\\" -->]}"),
    ("<!--#else-->", "{else}"),
    ("<!--#else -->", "{else}"),
    ("<!--#if -- -->", "{if --}"),
    ("<!--#foo---->x", "{foo--}x"),
    ("<!--#foo-bar-->x", "{foo-bar}x"),
    ("<!--#-->x", "{ NoName}x"),
    ("<!--# echo -->x", "{ echo NoName}x"),
    ("<!--#echo \"X\" -->y", "{echo =[X] NoArgumentName}y"),
    ("<!--#echo =\"X\" -->y", "{echo =[X] NoArgumentName}y"),
    ("<!--#echo var -->", "{echo var}"),
    ("<!--#echo var=\"\" -->", "{echo var=[]}"),
    ("<!--#comment Blah, blah. -->x", "{comment blah, blah.}x"),
    ("<<!--<!--#else --><!--#", "<<!--{else}"),
    ("x<!--", "x<!--"),
    ("<!--#echo var=\"X\"-->", "{echo var=[X]}"),
];

#[test]
fn documents_are_taken_apart() {
    for (document, want) in DOCUMENTS {
        let (pieces, _) = whole(document.as_bytes());
        assert_eq!(told(&pieces), *want, "{document}");
    }
}

#[test]
fn pieces_are_the_same_wherever_a_document_is_cut() {
    for (document, _) in DOCUMENTS {
        let want = whole(document.as_bytes());
        every_cut(document.as_bytes(), |head, tail| {
            let mut scanner = Scanner::new(Tags::default());
            let mut pieces = Vec::new();
            scanner.push(head, &mut pieces);
            scanner.push(tail, &mut pieces);
            let ending = scanner.finish(&mut pieces);
            assert_eq!((joined(pieces), ending), want, "{document} at {}", head.len());
        });
    }
}

#[test]
fn an_element_without_its_end_is_told() {
    for document in ["<!--#", "<!--#echo", "a<!--#echo var=\"X --> y", "<!--#echo var=X-->"] {
        assert_eq!(whole(document.as_bytes()).1, Ending::Unfinished, "{document}");
    }
}

#[test]
fn an_element_has_a_longest_length() {
    let document = [b"<!--#echo var=\"", vec![b'x'; LONGEST].as_slice(), b"\" -->y"].concat();
    let (pieces, ending) = whole(&document);
    let Some(Piece::Element(Element { fault, .. })) = pieces.first() else {
        panic!("{pieces:?}");
    };
    assert_eq!((*fault, ending), (Some(Fault::TooLong), Ending::Whole));
}

#[test]
fn tags_may_be_any_that_overlap_themselves() {
    let tags = Tags {
        start: b"--->".as_slice().into(),
        end: b"!".as_slice().into(),
    };
    let document = b"a----->else!b--.--->endif !c";
    every_cut(document, |head, tail| {
        let mut scanner = Scanner::new(tags.clone());
        let mut pieces = Vec::new();
        scanner.push(head, &mut pieces);
        scanner.push(tail, &mut pieces);
        scanner.finish(&mut pieces);
        assert_eq!(told(&joined(pieces)), "a--{else}b--.{endif}c");
    });
}
