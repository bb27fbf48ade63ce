//! Chunked bodies: any split gives the same body, nothing behind the end is touched, and what is encoded is read back.

#![no_main]

use libfuzzer_sys::fuzz_target;

use lychgate::http::chunked::{ChunkError, Decoder, LAST_CHUNK, Step, append_chunk};

/// What was found: the body, and where it ended if it did.
type Found = Result<(Vec<u8>, Option<usize>), ChunkError>;

fuzz_target!(|input: &[u8]| {
    let Some((&piece, input)) = input.split_first() else {
        return;
    };
    let whole = decoded(input, input.len().max(1));
    assert_eq!(whole, decoded(input, 1), "byte by byte");
    assert_eq!(whole, decoded(input, usize::from(piece).max(1)), "in pieces");
    if let Ok((body, Some(end))) = &whole {
        assert_eq!(
            decoded(&input[..*end], *end),
            Ok((body.clone(), Some(*end))),
            "without what follows"
        );
        let followed = [&input[..*end], b"GET / HTTP/1.1\r\n\r\n"].concat();
        assert_eq!(
            decoded(&followed, followed.len()),
            Ok((body.clone(), Some(*end))),
            "with another behind"
        );
    }
    round_trip(input, usize::from(piece).max(1));
});

fn decoded(input: &[u8], piece: usize) -> Found {
    let (mut decoder, mut body, mut done) = (Decoder::new(), Vec::new(), 0);
    for part in input.chunks(piece) {
        let mut rest = part;
        while !rest.is_empty() {
            let consumed = match decoder.decode(rest)? {
                Step::NeedMore => rest.len(),
                Step::Data { consumed, data } => {
                    assert!(!data.is_empty() && data.end <= consumed);
                    body.extend_from_slice(&rest[data]);
                    consumed
                }
                Step::End { consumed } => {
                    assert!(decoder.is_ended() && consumed <= rest.len());
                    return Ok((body, Some(done + consumed)));
                }
            };
            assert!(consumed > 0);
            done += consumed;
            rest = &rest[consumed..];
        }
    }
    assert!(decoder.body_length() == body.len() as u64 && !decoder.is_ended());
    Ok((body, None))
}

fn round_trip(body: &[u8], piece: usize) {
    let mut encoded = Vec::new();
    for part in body.chunks(piece) {
        append_chunk(&mut encoded, part);
    }
    encoded.extend_from_slice(LAST_CHUNK);
    assert_eq!(decoded(&encoded, 7), Ok((body.to_vec(), Some(encoded.len()))));
}
