//! Chunks in pieces, odd and hostile (TRAPS rows 21, 22; RFC 9112 §7.1).

use super::{ChunkError, ChunkHead, Decoder, LAST_CHUNK, Step, append_chunk};
use crate::base::testing::every_cut;

/// Feeds `parts` one after the other; the body, and how many bytes of all parts belong to it once it has ended.
fn feed(parts: &[&[u8]]) -> Result<(Vec<u8>, Option<usize>), ChunkError> {
    let mut decoder = Decoder::new();
    let (mut body, mut total) = (Vec::new(), 0);
    for part in parts {
        let mut rest = *part;
        loop {
            match decoder.decode(rest)? {
                Step::Data { consumed, data } => {
                    assert!(!data.is_empty() && consumed >= data.end);
                    body.extend_from_slice(&rest[data]);
                    rest = &rest[consumed..];
                    total += consumed;
                }
                Step::NeedMore => {
                    total += rest.len();
                    break;
                }
                Step::End { consumed } => {
                    assert!(decoder.is_ended());
                    assert_eq!(decoder.body_length(), body.len() as u64);
                    return Ok((body, Some(total + consumed)));
                }
            }
        }
    }
    Ok((body, None))
}

/// RFC 9112 §7.1 and §7.1.1, with extensions and trailer fields.
const GOOD: &[u8] = b"4\r\nWiki\r\n\
    5;name=value;other=\"quoted; string\"\r\npedia\r\n\
    00e\r\n in \r\n\r\nchunks\r\n\
    0;last\r\n\
    X-Trailer: a\r\n\
    Content-Length: 99\r\n\
    X-Empty:\r\n\
    \r\n";

#[test]
fn a_body_is_the_same_wherever_it_is_cut() {
    let want = b"Wikipedia in \r\n\r\nchunks";
    every_cut(GOOD, |head, tail| {
        assert_eq!(feed(&[head, tail]), Ok((want.to_vec(), Some(GOOD.len()))));
    });
    let bytes: Vec<&[u8]> = GOOD.chunks(1).collect();
    assert_eq!(feed(&bytes), Ok((want.to_vec(), Some(GOOD.len()))));
    for short in 0..GOOD.len() {
        assert!(matches!(feed(&[&GOOD[..short]]), Ok((_, None))));
    }
}

#[test]
fn the_next_request_is_left_alone() {
    let input = b"3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\n";
    assert_eq!(feed(&[input]), Ok((b"abc".to_vec(), Some(13))));
    assert_eq!(feed(&[b"0\r\n\r\n"]), Ok((Vec::new(), Some(5))));
    let mut decoder = Decoder::new();
    assert_eq!(decoder.decode(b"0\r\n\r\n"), Ok(Step::End { consumed: 5 }));
    assert_eq!(decoder.decode(b"GET"), Ok(Step::End { consumed: 0 }));
    assert_eq!(decoder.decode(b""), Ok(Step::End { consumed: 0 }));
}

#[test]
fn what_is_no_chunk_is_refused_wherever_it_is_cut() {
    for (input, want) in [
        (&b"zz\r\n"[..], ChunkError::Size),
        (b"\r\n", ChunkError::Size),
        (b";x\r\n", ChunkError::Size),
        (b" 5\r\n", ChunkError::Size),
        (b"+5\r\n", ChunkError::Size),
        (b"-5\r\n", ChunkError::Size),
        (b"0x5\r\n", ChunkError::Size),
        (b"5g\r\n", ChunkError::Size),
        (b"5,\r\n", ChunkError::Size),
        (b"fffffffffffffffff\r\n", ChunkError::Size),
        (b"ffffffffffffffff\r\n", ChunkError::Size),
        (b"8000000000000000\r\n", ChunkError::Size),
        (b"00000000000000005\r\n", ChunkError::Size),
        (b"5 ;x\r\nhello\r\n", ChunkError::Extension),
        (b"5 \r\nhello\r\n", ChunkError::Extension),
        (b"5\t\r\nhello\r\n", ChunkError::Extension),
        (b"5;x\0\r\nhello\r\n", ChunkError::Extension),
        (b"5\nhello\r\n", ChunkError::LineEnd),
        (b"5;x\nhello\r\n", ChunkError::LineEnd),
        (b"5\rhello\r\n", ChunkError::LineEnd),
        (b"5;\rx\r\nhello\r\n", ChunkError::LineEnd),
        (b"5\r\nhello\n", ChunkError::LineEnd),
        (b"5\r\nhelloX\r\n", ChunkError::LineEnd),
        (b"5\r\nhello\rX", ChunkError::LineEnd),
        (b"0\r\n\n", ChunkError::LineEnd),
        (b"0\r\n\rX", ChunkError::LineEnd),
        (b"0\r\nX: 1\n\r\n", ChunkError::LineEnd),
        (b"0\r\nX: 1\rY", ChunkError::LineEnd),
        (b"0\r\nX : 1\r\n\r\n", ChunkError::Trailer),
        (b"0\r\n X: 1\r\n\r\n", ChunkError::Trailer),
        (b"0\r\nX: 1\r\n Y\r\n\r\n", ChunkError::Trailer),
        (b"0\r\n: 1\r\n\r\n", ChunkError::Trailer),
        (b"0\r\nnonsense\r\n\r\n", ChunkError::Trailer),
        (b"0\r\nX: \0\r\n\r\n", ChunkError::Trailer),
    ] {
        every_cut(input, |head, tail| {
            assert_eq!(feed(&[head, tail]), Err(want), "{}", input.escape_ascii());
        });
    }
}

#[test]
fn the_largest_size_is_taken() {
    let mut decoder = Decoder::new();
    assert_eq!(
        decoder.decode(b"7fffffffffffffff\r\nabc"),
        Ok(Step::Data {
            consumed: 21,
            data: 18..21
        })
    );
    assert_eq!(
        feed(&[b"0000000000000001\r\nx\r\n0\r\n\r\n"]),
        Ok((b"x".to_vec(), Some(26)))
    );
}

#[test]
fn extensions_and_trailers_are_bounded() {
    let long = [b"5;".to_vec(), vec![b'x'; 5000]].concat();
    assert_eq!(feed(&[&long]), Err(ChunkError::ExtensionsTooLarge));
    let chunk = [b"1;".to_vec(), vec![b'x'; 4000], b"\r\na\r\n".to_vec()].concat();
    assert!(feed(&[&chunk.repeat(4)]).is_ok());
    assert_eq!(feed(&[&chunk.repeat(5)]), Err(ChunkError::ExtensionsTooLarge));
    // Signatures on large chunks, as some upload clients send them, are no attack.
    let signed = [
        b"1000;chunk-signature=".to_vec(),
        vec![b'f'; 64],
        b"\r\n".to_vec(),
        vec![b'x'; 4096],
        b"\r\n".to_vec(),
    ];
    assert!(feed(&[&signed.concat().repeat(1000)]).is_ok());
    let many = [b"0\r\n".to_vec(), b"A: 1\r\n".repeat(101)].concat();
    assert_eq!(feed(&[&many]), Err(ChunkError::TrailersTooLarge));
    let long = [b"0\r\nA: ".to_vec(), vec![b'x'; 17_000]].concat();
    assert_eq!(feed(&[&long]), Err(ChunkError::TrailersTooLarge));
}

#[test]
fn statuses_and_sentences() {
    for (error, code) in [
        (ChunkError::Size, 400),
        (ChunkError::Extension, 400),
        (ChunkError::ExtensionsTooLarge, 413),
        (ChunkError::LineEnd, 400),
        (ChunkError::Trailer, 400),
        (ChunkError::TrailersTooLarge, 431),
    ] {
        assert_eq!(error.status().code(), code, "{error}");
    }
}

#[test]
fn what_is_encoded_is_decoded() {
    for (length, want) in [
        (1, &b"1\r\n"[..]),
        (15, b"f\r\n"),
        (16, b"10\r\n"),
        (65_536, b"10000\r\n"),
        (usize::MAX, b"ffffffffffffffff\r\n"),
    ] {
        assert_eq!(ChunkHead::new(length).as_bytes(), want);
    }
    let mut out = Vec::new();
    for part in [&b"one"[..], b"", &[7; 300]] {
        append_chunk(&mut out, part);
    }
    out.extend_from_slice(LAST_CHUNK);
    let want = [b"one".to_vec(), vec![7; 300]].concat();
    assert_eq!(feed(&[&out]), Ok((want, Some(out.len()))));
}

#[test]
fn trailer_fields_are_kept_where_that_is_asked_for() {
    let body = b"3\r\nabc\r\n0\r\nDigest: x=1\r\nX-Empty:\r\n\r\n";
    crate::base::testing::every_cut(body, |head, tail| {
        let mut decoder = Decoder::keeping_trailer();
        for mut piece in [head, tail] {
            while let Ok(Step::Data { consumed, .. }) = decoder.decode(piece) {
                piece = &piece[consumed..];
            }
        }
        assert!(decoder.is_ended());
        let trailer = decoder.trailer();
        let lines: Vec<_> = trailer.iter().collect();
        assert_eq!(lines, [(&b"Digest"[..], &b"x=1"[..]), (b"X-Empty", b"")]);
    });
    assert!(Decoder::new().trailer().is_empty());
}

#[test]
fn a_received_size_may_have_white_space_behind_it() {
    for (body, whole) in [
        ("3  \r\nabc\r\n0 \t\r\n\r\n", true),
        ("3 ;a=b\r\nabc\r\n0\r\n\r\n", true),
        ("3 a\r\nabc\r\n0\r\n\r\n", false),
        (" 3\r\nabc\r\n0\r\n\r\n", false),
        ("3 \nabc\r\n0\r\n\r\n", false),
    ] {
        crate::base::testing::every_cut(body.as_bytes(), |head, tail| {
            let mut decoder = Decoder::keeping_trailer();
            let is_read = [head, tail].into_iter().all(|mut piece| {
                loop {
                    match decoder.decode(piece) {
                        Ok(Step::Data { consumed, .. }) => piece = &piece[consumed..],
                        end => return end.is_ok(),
                    }
                }
            });
            assert_eq!(is_read, whole, "{body:?}");
        });
        assert!(Decoder::new().decode(body.as_bytes()).is_err(), "a request's {body:?}");
    }
}
