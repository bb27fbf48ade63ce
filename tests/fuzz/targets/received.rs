//! Heads of responses: however they are cut they read the same, no accepted head holds a byte that could end a field, and
//! where the body ends is never told in two ways.

#![no_main]

use libfuzzer_sys::fuzz_target;

use lychgate::http::fields::{is_field_name, is_field_value};
use lychgate::http::method::Method;
use lychgate::http::received::{BadLine, BodyEnd, HeadReader, Received, ReceivedError};

/// The first three heads of the input, what is left of it, and how it ended.
type Read = (Vec<Received>, usize, Option<ReceivedError>);

fuzz_target!(|input: &[u8]| {
    let Some((&choice, input)) = input.split_first() else {
        return;
    };
    let whole = read(choice, input, input.len().max(1));
    assert_eq!(whole, read(choice, input, 1), "byte by byte");
    assert_eq!(whole, read(choice, input, usize::from(choice).max(2)), "in pieces");
    whole.0.iter().for_each(check);
});

fn read(choice: u8, input: &[u8], piece: usize) -> Read {
    let bad_line = match choice % 3 {
        0 => BadLine::Refused,
        1 => BadLine::LeftOut,
        _ => BadLine::BeginsBody,
    };
    let limit = if choice & 64 == 0 { 8192 } else { 40 };
    let mut reader = HeadReader::new(limit, bad_line);
    let (mut heads, mut buffer) = (Vec::new(), Vec::new());
    for part in input.chunks(piece) {
        buffer.extend_from_slice(part);
        while heads.len() < 3 {
            match reader.parse(&buffer) {
                Ok(None) => break,
                Ok(Some((head, length))) => {
                    heads.push(head);
                    buffer.drain(..length);
                }
                // How much had come by then is the cut's affair.
                Err(error) => return (heads, 0, Some(error)),
            }
        }
    }
    (heads, buffer.len(), None)
}

fn check(received: &Received) {
    for (name, value) in received.head.fields.iter() {
        assert!(is_field_name(name) && is_field_value(value));
    }
    let mut said = received.head.fields.values(b"content-length");
    let first = said.next();
    let lengths = received.head.fields.values(b"content-length").count();
    let coded = received.head.fields.contains("Transfer-Encoding");
    match received.body_end(Method::Get) {
        Ok(BodyEnd::Length(_)) => assert!(lengths >= 1 && said.all(|other| Some(other) == first) && !coded),
        Ok(BodyEnd::Chunked) => assert!(lengths == 0 && coded),
        Ok(BodyEnd::Close) => assert!(lengths == 0 && !coded),
        Ok(BodyEnd::NoBody) | Err(_) => {}
    }
}
