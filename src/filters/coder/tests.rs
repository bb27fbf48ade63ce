//! What goes in comes out again, at every flush and at the end.

use std::io::Read;

use super::Coder;
use crate::config::directives::compress::Compress;
use crate::http::coding::Coding;

/// What a decoder makes of the bytes, as far as they go.
fn decoded(coding: Coding, bytes: &[u8]) -> Vec<u8> {
    let mut reader: Box<dyn Read + '_> = match coding {
        Coding::Gzip => Box::new(flate2::read::GzDecoder::new(bytes)),
        Coding::Brotli => Box::new(brotli::Decompressor::new(bytes, 4096)),
        Coding::Zstd => Box::new(zstd::stream::read::Decoder::new(bytes).expect("memory")),
    };
    let (mut out, mut piece) = (Vec::new(), [0; 512]);
    // A stream that was not finished ends with an error; what came before it counts.
    while let Ok(n) = reader.read(&mut piece) {
        if n == 0 {
            break;
        }
        out.extend_from_slice(&piece[..n]);
    }
    out
}

const CODINGS: [Coding; 3] = [Coding::Gzip, Coding::Brotli, Coding::Zstd];

fn text(length: usize) -> Vec<u8> {
    (0..length)
        .flat_map(|n| format!("line {n} of {}\n", n * 7919 % 1000).into_bytes())
        .take(length)
        .collect()
}

#[test]
fn what_went_in_comes_out() {
    let settings = Compress::default();
    for coding in CODINGS {
        for length in [0, 1, 100, 9000, 40_000] {
            let text = text(length);
            let mut coder = Coder::new(coding, &settings).expect("memory");
            let mut out = Vec::new();
            for piece in text.chunks(1000) {
                coder.push(piece).expect("memory");
                out.extend(coder.take());
            }
            let finished = coder.finish().expect("memory");
            out.extend(&finished.last);
            assert_eq!(decoded(coding, &out), text, "{coding:?} {length}");
            assert_eq!(finished.total_in, length as u64);
            let frame = if coding == Coding::Gzip { 18 } else { 0 };
            assert_eq!(finished.total_out + frame, out.len() as u64, "{coding:?} {length}");
        }
    }
}

#[test]
fn a_flush_lets_all_be_read_that_went_in() {
    let settings = Compress::default();
    for coding in CODINGS {
        let mut coder = Coder::new(coding, &settings).expect("memory");
        let (mut sent, mut out) = (Vec::new(), Vec::new());
        for n in 0..5 {
            let line = format!("event {n}\n");
            sent.extend(line.as_bytes());
            coder.push(line.as_bytes()).expect("memory");
            coder.flush().expect("memory");
            out.extend(coder.take());
            assert_eq!(decoded(coding, &out), sent, "{coding:?}");
        }
    }
}
