//! A listing on its way: texts, files above and below it, and rows that are written as they are sent.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::base::quote;
use crate::exchange::response::{Body, BodyStream, Broken};
use crate::fs::open::OpenFile;

/// A listing of up to so many bytes is made at once and sent with its length; a longer one is made as it is sent.
const AT_ONCE: usize = 64 * 1024;
/// About so many bytes are made in one step.
const STEP: usize = 16 * 1024;

/// The parts of a page that are still to be sent.
pub struct Page(VecDeque<Part>);

enum Part {
    Text(Bytes),
    File { file: OpenFile, sent: u64, shown: Shown },
    Stream(Box<dyn BodyStream>),
    Rows { rows: Box<dyn Rows>, next: usize },
}

/// How the content of a file is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// As it is: it is HTML.
    AsItIs,
    /// As text in HTML.
    AsText,
}

/// Rows that are written one by one.
pub trait Rows {
    /// Writes row `number`; nothing where there are no more.
    fn write(&self, number: usize, out: &mut Vec<u8>) -> Option<()>;
}

impl Page {
    /// An empty one.
    pub fn new() -> Page {
        Page(VecDeque::new())
    }

    /// Adds text.
    pub fn text(&mut self, text: Vec<u8>) {
        self.0.push_back(Part::Text(text.into()));
    }

    /// Adds the content of a file.
    pub fn file(&mut self, file: OpenFile, shown: Shown) {
        self.0.push_back(Part::File { file, sent: 0, shown });
    }

    /// Adds a body that a handler has made.
    pub fn body(&mut self, body: Body) {
        match body {
            // What brings its own head, or is no body, is nothing for a page.
            Body::Empty | Body::BuiltIn | Body::Raw(_) | Body::Tunnel(_) | Body::HandOff(_) => {}
            Body::Bytes(bytes) => self.0.push_back(Part::Text(bytes)),
            Body::File(file) => self.file(file.file, Shown::AsItIs),
            Body::Stream(stream, _) => self.0.push_back(Part::Stream(stream)),
        }
    }

    /// Adds rows.
    pub fn rows(&mut self, rows: Box<dyn Rows>) {
        self.0.push_back(Part::Rows { rows, next: 0 });
    }

    /// The page as a response's body.
    pub fn into_body(mut self) -> Body {
        if self.0.iter().any(|part| matches!(part, Part::Stream(_))) {
            return Body::Stream(Box::new(self), None);
        }
        let mut made = Vec::new();
        let mut context = Context::from_waker(Waker::noop());
        while made.len() < AT_ONCE {
            match self.poll_chunk(&mut context) {
                Poll::Ready(Some(Ok(chunk))) => made.extend_from_slice(&chunk),
                Poll::Ready(None) => return Body::Bytes(made.into()),
                Poll::Ready(Some(Err(Broken))) | Poll::Pending => break,
            }
        }
        self.0.push_front(Part::Text(made.into()));
        Body::Stream(Box::new(self), None)
    }
}

impl BodyStream for Page {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        loop {
            let Some(part) = self.0.front_mut() else {
                return Poll::Ready(None);
            };
            let chunk = match part.poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(Broken)) => return Poll::Ready(Some(Err(Broken))),
                Poll::Ready(Ok(chunk)) => chunk,
            };
            if chunk.is_empty() {
                self.0.pop_front();
            } else {
                return Poll::Ready(Some(Ok(chunk)));
            }
        }
    }
}

impl Part {
    /// The next bytes; empty at the end.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Broken>> {
        Poll::Ready(Ok(match self {
            Part::Text(text) => std::mem::take(text),
            Part::File { file, sent, shown } => {
                let mut buffer = vec![0; STEP];
                let length = file.read_at(&mut buffer, *sent).map_err(|_| Broken)?;
                buffer.truncate(length);
                *sent += length as u64;
                match shown {
                    Shown::AsItIs => buffer.into(),
                    Shown::AsText => as_text(&buffer).into(),
                }
            }
            Part::Stream(stream) => match stream.poll_chunk(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => Bytes::new(),
                Poll::Ready(Some(chunk)) => chunk?,
            },
            Part::Rows { rows, next } => {
                let mut out = Vec::with_capacity(STEP + 1024);
                while out.len() < STEP && rows.write(*next, &mut out).is_some() {
                    *next += 1;
                }
                out.into()
            }
        }))
    }
}

/// Text in HTML; quotes stay as they are.
fn as_text(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 64);
    for part in text.split_inclusive(|byte| *byte == b'"') {
        let (plain, quote): (&[u8], &[u8]) = match part.split_last() {
            Some((b'"', plain)) => (plain, b"\""),
            _ => (part, b""),
        };
        quote::escape_html(&mut out, plain);
        out.extend_from_slice(quote);
    }
    out
}
