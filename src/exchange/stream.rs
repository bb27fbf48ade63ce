//! Bodies as streams, for filters: whatever a body is, it can be asked for its next bytes.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;

use crate::exchange::response::{Body, BodyStream, Broken, FileBody, FilePart};

/// What is read of a file at one time.
const PIECE: usize = 64 * 1024;

impl Body {
    /// The body as a stream; of a file that is not in memory each read may last for `patience`. The built-in page, which is not
    /// made yet, and a tunnel are no bytes.
    pub fn into_stream(self, patience: Duration) -> Box<dyn BodyStream> {
        match self {
            Body::Empty | Body::BuiltIn | Body::Tunnel(_) | Body::HandOff(_) => Box::new(Whole(Bytes::new())),
            Body::Bytes(bytes) => Box::new(Whole(bytes)),
            Body::File(file) => Box::new(FileStream {
                file,
                next: 0,
                begun: None,
                done: 0,
                trailed: false,
                reading: None,
                patience,
            }),
            Body::Stream(stream, _) | Body::Raw(stream) => stream,
        }
    }
}

/// Bytes that are there.
struct Whole(Bytes);

impl BodyStream for Whole {
    fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        let bytes = std::mem::take(&mut self.0);
        Poll::Ready((!bytes.is_empty()).then_some(Ok(bytes)))
    }
}

/// No bytes, of a length that is not told: what HEAD gets of a body that would be made while it is sent.
pub struct Untold;

impl BodyStream for Untold {
    fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        Poll::Ready(None)
    }
}

/// What a thread that may wait for a disk reads.
type Reading = Pin<Box<dyn Future<Output = Result<io::Result<Vec<u8>>, tokio::time::error::Elapsed>>>>;

/// Parts of a file, with the text between them.
struct FileStream {
    file: FileBody,
    /// The next part.
    next: usize,
    /// Where the part that is being read begins, and how long it is.
    begun: Option<(u64, u64)>,
    /// How much of it is read.
    done: u64,
    trailed: bool,
    reading: Option<Reading>,
    patience: Duration,
}

impl FileStream {
    fn took(&mut self, bytes: Vec<u8>) -> Poll<Option<Result<Bytes, Broken>>> {
        self.done += bytes.len() as u64;
        Poll::Ready(Some(Ok(bytes.into())))
    }

    /// The next part's text; nothing behind the last.
    fn begin(&mut self) -> Option<Bytes> {
        let FilePart {
            preface,
            offset,
            length,
        } = self.file.parts.get(self.next)?;
        self.next += 1;
        self.begun = Some((*offset, *length));
        self.done = 0;
        Some(preface.clone())
    }
}

impl BodyStream for FileStream {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        loop {
            if let Some(reading) = &mut self.reading {
                let read = std::task::ready!(reading.as_mut().poll(cx));
                self.reading = None;
                return match read {
                    Ok(Ok(bytes)) if !bytes.is_empty() => self.took(bytes),
                    // It shrank, or cannot be read.
                    _ => Poll::Ready(Some(Err(Broken))),
                };
            }
            match self.begun {
                Some((offset, length)) if self.done < length => {
                    let left = usize::try_from(length - self.done).unwrap_or(usize::MAX);
                    let mut bytes = vec![0; left.min(PIECE)];
                    let at = offset + self.done;
                    if self.file.file.fill_at_once(&mut bytes, at) {
                        return self.took(bytes);
                    }
                    let reading = self.file.file.read_by_another(bytes.len(), at);
                    self.reading = Some(Box::pin(tokio::time::timeout(self.patience, reading)));
                }
                _ => match self.begin() {
                    Some(text) if text.is_empty() => {}
                    Some(text) => return Poll::Ready(Some(Ok(text))),
                    None if self.trailed || self.file.trailer.is_empty() => return Poll::Ready(None),
                    None => {
                        self.trailed = true;
                        return Poll::Ready(Some(Ok(self.file.trailer.clone())));
                    }
                },
            }
        }
    }
}
