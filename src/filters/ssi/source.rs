//! A body piece by piece.

use std::future::poll_fn;

use bytes::Bytes;

use crate::exchange::response::{Body, BodyStream, Broken, FileBody};

/// So much of a file is read at a time.
const PIECE: u64 = 32 * 1024;

/// What is left of a body.
pub(super) enum Source {
    /// Bytes.
    Bytes(Bytes),
    /// A file, the number of its part and how much of that is read.
    File(Box<FileBody>, usize, u64),
    /// What comes.
    Stream(Box<dyn BodyStream>),
}

impl Source {
    /// All of a body.
    pub(super) fn new(body: Body) -> Source {
        match body {
            Body::Empty | Body::BuiltIn => Source::Bytes(Bytes::new()),
            Body::Bytes(bytes) => Source::Bytes(bytes),
            Body::File(file) => Source::File(Box::new(file), 0, 0),
            Body::Stream(stream, _) | Body::Raw(stream) => Source::Stream(stream),
        }
    }

    /// The next piece, never an empty one; nothing at the end.
    pub(super) async fn next(&mut self) -> Option<Result<Bytes, Broken>> {
        loop {
            match self {
                Source::Bytes(bytes) => {
                    let bytes = std::mem::take(bytes);
                    return (!bytes.is_empty()).then_some(Ok(bytes));
                }
                Source::Stream(stream) => return poll_fn(|cx| stream.poll_chunk(cx)).await,
                Source::File(file, number, done) => {
                    let Some(part) = file.parts.get(*number) else {
                        *self = Source::Bytes(std::mem::take(&mut file.trailer));
                        continue;
                    };
                    let left = part.length.saturating_sub(*done);
                    if left == 0 {
                        (*number, *done) = (*number + 1, 0);
                        continue;
                    }
                    let read = read(file, part.offset + *done, left.min(PIECE)).await;
                    *done += read.as_ref().map_or(0, |bytes| bytes.len() as u64);
                    return Some(read);
                }
            }
        }
    }
}

/// At the end of a file that has shrunk there is nothing to be read, and the body is broken.
async fn read(file: &FileBody, offset: u64, length: u64) -> Result<Bytes, Broken> {
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    if file.file.fill_at_once(&mut bytes, offset) {
        return Ok(bytes.into());
    }
    match file.file.read_by_another(bytes.len(), offset).await {
        Ok(bytes) if !bytes.is_empty() => Ok(bytes.into()),
        _ => Err(Broken),
    }
}
