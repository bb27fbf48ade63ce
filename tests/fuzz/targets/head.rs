//! The head of a request: however it is cut it reads the same, what Strict accepts Unsafe reads alike, and no accepted
//! head holds a byte that could end a field.

#![no_main]

use libfuzzer_sys::fuzz_target;

use lychgate::base::ascii;
use lychgate::http::framing::{Expectation, Framing, Persistence};
use lychgate::http::head::{HeadLimits, Http09, Methods, ParseError, Progress, ProtocolOptions, RequestHead, Syntax};

/// A head that was accepted, as far as the rest of the server can see it.
#[derive(Debug, PartialEq)]
struct Read {
    consumed: usize,
    line: Vec<u8>,
    target: Vec<u8>,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    framing: Option<Framing>,
}

fuzz_target!(|input: &[u8]| {
    let Some((&choice, input)) = input.split_first() else {
        return;
    };
    let strict = options(choice, Syntax::Strict);
    let strictly = whole(input, &limits(choice), strict);
    let unsafely = whole(input, &limits(choice), options(choice, Syntax::Unsafe));
    for (whole, options) in [(&strictly, strict), (&unsafely, options(choice, Syntax::Unsafe))] {
        assert_eq!(*whole, byte_by_byte(input, &limits(choice), options), "byte by byte");
        if input.len() <= 512 {
            for at in 0..=input.len() {
                assert_eq!(*whole, in_pieces(input, &[at], &limits(choice), options), "cut at {at}");
            }
        }
    }
    if let Ok(Some(read)) = &strictly {
        assert_eq!(unsafely.as_ref(), Ok(&Some(clone(read))), "Unsafe reads it otherwise");
    }
    for read in [strictly, unsafely].iter().flatten().flatten() {
        check(read, input);
    }
});

fn options(choice: u8, syntax: Syntax) -> ProtocolOptions {
    ProtocolOptions {
        syntax,
        http09: if choice & 1 == 0 { Http09::Allow } else { Http09::Refuse },
        methods: if choice & 2 == 0 {
            Methods::Lenient
        } else {
            Methods::Registered
        },
        more_methods: &[],
    }
}

fn limits(choice: u8) -> HeadLimits {
    match choice & 12 {
        0 | 4 => HeadLimits::default(),
        8 => HeadLimits {
            line: 24,
            field_size: 32,
            fields: 3,
        },
        _ => HeadLimits {
            line: 0,
            field_size: 0,
            fields: 0,
        },
    }
}

fn whole(input: &[u8], limits: &HeadLimits, options: ProtocolOptions) -> Result<Option<Read>, ()> {
    in_pieces(input, &[], limits, options)
}

fn byte_by_byte(input: &[u8], limits: &HeadLimits, options: ProtocolOptions) -> Result<Option<Read>, ()> {
    in_pieces(input, &(0..input.len()).collect::<Vec<_>>(), limits, options)
}

/// Which error it is may depend on how much had arrived; that it is one may not.
fn in_pieces(input: &[u8], cuts: &[usize], limits: &HeadLimits, options: ProtocolOptions) -> Result<Option<Read>, ()> {
    let mut head = RequestHead::new();
    for end in cuts.iter().copied().chain([input.len()]) {
        match head.parse(&input[..end], limits, options) {
            Ok(Progress::Partial) => {}
            Ok(Progress::Complete { consumed }) => return Ok(Some(read(&head, consumed))),
            Err(error) => return Err(told(&head, error)),
        }
    }
    Ok(None)
}

fn told(head: &RequestHead, error: ParseError) {
    assert!(error.status().code() >= 400 && !error.to_string().is_empty());
    assert!(!head.request_line().contains(&b'\n'));
}

fn read(head: &RequestHead, consumed: usize) -> Read {
    let _ = (head.target(), Persistence::asked_by(head), Expectation::of(head));
    Read {
        consumed,
        line: head.request_line().to_vec(),
        target: head.target_bytes().to_vec(),
        fields: head
            .fields()
            .map(|(name, value)| (name.to_vec(), value.to_vec()))
            .collect(),
        framing: Framing::of(head).ok(),
    }
}

fn clone(read: &Read) -> Read {
    Read {
        consumed: read.consumed,
        line: read.line.clone(),
        target: read.target.clone(),
        fields: read.fields.clone(),
        framing: read.framing,
    }
}

fn check(read: &Read, input: &[u8]) {
    assert!(read.consumed <= input.len() && input[..read.consumed].ends_with(b"\n"));
    assert!(!read.target.is_empty() && read.target.iter().all(|byte| *byte > b' ' && *byte != 0x7f));
    for (name, value) in &read.fields {
        assert!(ascii::is_token(name), "a name that is no token");
        assert!(
            !value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)),
            "a value that could end"
        );
    }
}
