//! Content codings: two servers compress in their own ways, and say the same.

use std::io::{Read, Write};

use super::value_of;
use crate::support::wire::Reply;

/// The body without the last coding that its fields name; as it is where it cannot be decoded.
pub fn plain(reply: &Reply) -> Vec<u8> {
    let codings = reply
        .fields
        .iter()
        .filter_map(|line| value_of(line, "content-encoding"));
    let last = codings.into_iter().next_back().unwrap_or_default();
    let last = last.rsplit(|byte| *byte == b',').next().unwrap_or_default();
    let (body, mut out) = (reply.body.as_slice(), Vec::new());
    let read = match last.trim_ascii() {
        b"gzip" => flate2::read::MultiGzDecoder::new(body).read_to_end(&mut out),
        b"br" => brotli::Decompressor::new(body, 4096).read_to_end(&mut out),
        _ => return body.to_vec(),
    };
    match read {
        Ok(_) if !body.is_empty() => out,
        _ => body.to_vec(),
    }
}

/// Text as a gzip member.
pub fn zipped(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).expect("there is memory");
    encoder.finish().expect("there is memory")
}
