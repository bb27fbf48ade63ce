//! Pages that are parsed for includes: the same pieces however the page comes, text that is not lost, and conditions,
//! variables and encodings of any bytes that end and stay within their bounds.

#![no_main]

use libfuzzer_sys::fuzz_target;

use lychgate::lang::expr::{Expr, Trust};
use lychgate::lang::ssi::codec::{self, Encoding};
use lychgate::lang::ssi::expand::{self, Unset, expand};
use lychgate::lang::ssi::legacy::{self, Document};
use lychgate::lang::ssi::moment;
use lychgate::lang::ssi::scan::{Ending, Piece, Scanner, Tags};
use lychgate::lang::ssi::variables::{Value, Variables};

fuzz_target!(|input: &[u8]| {
    let Some((&piece, input)) = input.split_first() else {
        return;
    };
    let tags = if piece % 2 == 0 {
        Tags::default()
    } else {
        Tags {
            start: b"--->".as_slice().into(),
            end: b"--!".as_slice().into(),
        }
    };
    let whole = taken_apart(input, &tags, input.len().max(1));
    assert_eq!(whole, taken_apart(input, &tags, 1), "byte by byte");
    assert_eq!(whole, taken_apart(input, &tags, usize::from(piece).max(1)), "in pieces");
    let mut page = Page::default();
    for piece in &whole.0 {
        if let Piece::Element(element) = piece {
            for argument in &element.arguments {
                page.argument(&argument.name, argument.value.as_deref().unwrap_or_default());
            }
        }
    }
});

/// The pieces, neighbouring texts as one.
fn taken_apart(input: &[u8], tags: &Tags, length: usize) -> (Vec<Piece>, Ending) {
    let (mut scanner, mut pieces) = (Scanner::new(tags.clone()), Vec::new());
    for part in input.chunks(length) {
        scanner.push(part, &mut pieces);
    }
    let ending = scanner.finish(&mut pieces);
    let mut all: Vec<Piece> = Vec::new();
    for piece in pieces {
        match (all.last_mut(), piece) {
            (Some(Piece::Text(before)), Piece::Text(text)) => before.extend_from_slice(&text),
            (_, piece) => all.push(piece),
        }
    }
    (all, ending)
}

#[derive(Default)]
struct Page {
    variables: Variables,
}

impl Page {
    fn argument(&mut self, name: &[u8], value: &[u8]) {
        let value = self.expand(&codec::entities(value));
        assert!(value.len() <= expand::LONGEST);
        if self.variables.set(name, Value::Text(value.clone())).is_ok() {
            assert_eq!(self.variables.find(name), Some(&Value::Text(value.clone())));
        }
        let _either_is_well = legacy::evaluate(&value, self);
        if let Ok(text) = std::str::from_utf8(&value) {
            let _either_is_well = Expr::parse(text, Trust::Document);
        }
        for encoding in codec::parse(name).unwrap_or_default() {
            let encoded = encoding.encode(&value);
            if !value.contains(&0) && (encoding != Encoding::Entity || !value.contains(&b'&')) && encoding != Encoding::Url {
                assert_eq!(encoding.decode(&encoded), value, "{encoding:?}");
            }
        }
        let _any_text = moment::gmt(&value, std::time::Duration::from_secs(951_782_400));
    }
}

impl Document for Page {
    fn expand(&mut self, text: &[u8]) -> Vec<u8> {
        let find = |name: &[u8]| match self.variables.find(name) {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => None,
        };
        expand(text, Unset::Dropped, find).text
    }

    fn matches(&mut self, text: &[u8], pattern: &[u8]) -> bool {
        text == pattern
    }

    fn is_accessible(&mut self, url: &[u8]) -> bool {
        url.is_empty()
    }
}
