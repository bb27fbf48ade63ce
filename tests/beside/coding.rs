//! Content codings: two servers compress in their own ways, and say the same.

use std::io::{Read, Write};

use super::value_of;
use crate::support::wire::Reply;

/// The body without the coding that its field names; as it is where it cannot be decoded.
pub fn plain(reply: &Reply) -> Vec<u8> {
    let coding = reply
        .fields
        .iter()
        .find_map(|line| value_of(line, "content-encoding"))
        .unwrap_or_default();
    let (body, mut out) = (reply.body.as_slice(), Vec::new());
    let read = match coding {
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
