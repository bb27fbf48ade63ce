//! Type maps and fields of preferences of any bytes: reading ends, bodies lie within the map, and negotiation has an answer.

#![no_main]

use libfuzzer_sys::fuzz_target;

use lychgate::http::negotiate::{Choice, Terms, Transparency, Wishes, choose, reason, told};
use lychgate::lang::type_map;

fuzz_target!(|input: &[u8]| {
    // What comes before the first NUL is the fields, one a line.
    let (fields, map) = match input.iter().position(|byte| *byte == 0) {
        Some(at) => (&input[..at], &input[at + 1..]),
        None => (&b""[..], input),
    };
    let Ok(read) = type_map::parse(map, b"own.var") else {
        return;
    };
    for body in read.variants.iter().filter_map(|variant| variant.body.clone()) {
        assert!(map.get(body).is_some(), "a body lies within the map");
    }
    let mut lines = fields.split(|byte| *byte == b'\n').map(Some);
    let mut field = || lines.next().flatten();
    let wishes = Wishes {
        accept: field(),
        accept_charset: field(),
        accept_encoding: field(),
        accept_language: field(),
        negotiate: field(),
        prefer_language: field(),
        ..Wishes::default()
    };
    let priority = [b"en".to_vec(), b"de".to_vec()];
    let terms = Terms {
        priority: &priority,
        prefer: true,
        fallback: input.len() % 2 == 0,
    };
    for transparency in [Transparency::Transparent, Transparency::Opaque] {
        let verdict = choose(&read.variants, &wishes, &terms, transparency);
        if let Choice::Variant(number) = verdict.choice {
            assert!(number < read.variants.len());
        }
        reason::of(&read.variants, &verdict);
    }
    told::vary(&read.variants, true);
    told::list(&read.variants);
    let alternates = told::alternates(&read.variants).unwrap_or_default();
    assert!(!alternates.iter().any(u8::is_ascii_control), "a field can be sent");
});
