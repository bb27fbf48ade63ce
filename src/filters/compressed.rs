//! A body that is compressed while it is sent: in pieces, so that no answer holds the thread for long, and with all that there
//! is when its maker pauses.

use std::task::{Context, Poll};

use bytes::Bytes;

use crate::config::directives::compress::{Compress, Notes};
use crate::exchange::response::{BodyStream, Broken, Note};
use crate::filters::coder::{Coder, Finished, NoMemory};
use crate::http::coding::Coding;
use crate::http::fields::Fields;

/// What is compressed at one time.
const PIECE: usize = 16 * 1024;
/// What is compressed before others have their turn.
const TURN: usize = 8 * PIECE;

/// Takes bytes of another body and gives compressed ones.
pub struct Compressed {
    /// What is compressed, until its end.
    source: Option<Box<dyn BodyStream>>,
    /// The compressor, until its end.
    coder: Option<Coder>,
    /// Read from the source and not yet compressed.
    waiting: Bytes,
    /// Whether something was compressed since the last flush.
    unflushed: bool,
    /// What was compressed in this turn.
    turn: usize,
    broken: bool,
    /// So much is collected before it is sent.
    collect: usize,
    notes: Notes,
    trailer: Fields,
    /// What came in and went out, at the end.
    totals: Option<(u64, u64)>,
}

impl Compressed {
    /// Compresses `source`.
    pub fn new(source: Box<dyn BodyStream>, coding: Coding, settings: &Compress) -> Result<Compressed, NoMemory> {
        Ok(Compressed {
            source: Some(source),
            coder: Some(Coder::new(coding, settings)?),
            waiting: Bytes::new(),
            unflushed: false,
            turn: 0,
            broken: false,
            collect: settings.deflate.piece.or(8096),
            notes: notes_of(coding, settings).clone(),
            trailer: Fields::new(),
            totals: None,
        })
    }

    /// Compresses what waits; `None` when there is nothing to be sent yet, because the turn is over.
    fn compress(&mut self) -> Result<Option<Bytes>, NoMemory> {
        let Some(coder) = &mut self.coder else {
            return Ok(None);
        };
        while !self.waiting.is_empty() && self.turn < TURN {
            let piece = self.waiting.split_to(self.waiting.len().min(PIECE));
            coder.push(&piece)?;
            self.unflushed = true;
            self.turn += piece.len();
            if coder.ready() >= self.collect {
                return Ok(Some(coder.take().into()));
            }
        }
        Ok(None)
    }

    /// What there is when nothing more comes for the moment.
    fn flush(&mut self) -> Result<Option<Bytes>, NoMemory> {
        let Some(coder) = &mut self.coder else {
            return Ok(None);
        };
        if self.unflushed {
            self.unflushed = false;
            coder.flush()?;
        }
        let bytes = coder.take();
        Ok((!bytes.is_empty()).then(|| bytes.into()))
    }

    fn finish(&mut self) -> Result<Option<Bytes>, NoMemory> {
        if let Some(mut source) = self.source.take() {
            self.trailer = source.take_trailer();
        }
        let Some(coder) = self.coder.take() else {
            return Ok(None);
        };
        let Finished {
            last,
            total_in,
            total_out,
        } = coder.finish()?;
        self.totals = Some((total_in, total_out));
        Ok(Some(last.into()))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Result<Poll<Option<Bytes>>, NoMemory> {
        loop {
            if let Some(bytes) = self.compress()? {
                return Ok(Poll::Ready(Some(bytes)));
            }
            if self.turn >= TURN {
                // The others have theirs.
                self.turn = 0;
                cx.waker().wake_by_ref();
                return Ok(Poll::Pending);
            }
            let Some(source) = &mut self.source else {
                return Ok(Poll::Ready(None));
            };
            match source.poll_chunk(cx) {
                Poll::Ready(Some(Ok(bytes))) => self.waiting = bytes,
                Poll::Ready(Some(Err(Broken))) => {
                    self.broken = true;
                    self.source = None;
                    return Ok(Poll::Ready(self.flush()?));
                }
                Poll::Ready(None) => return Ok(Poll::Ready(self.finish()?)),
                Poll::Pending => {
                    return Ok(match self.flush()? {
                        Some(bytes) => Poll::Ready(Some(bytes)),
                        None => Poll::Pending,
                    });
                }
            }
        }
    }
}

impl BodyStream for Compressed {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        let polled = self.poll(cx).unwrap_or_else(|NoMemory| {
            (self.source, self.coder, self.broken) = (None, None, true);
            Poll::Ready(None)
        });
        match polled {
            // It is told once, and then the stream is at its end.
            Poll::Ready(None) if std::mem::take(&mut self.broken) => Poll::Ready(Some(Err(Broken))),
            Poll::Ready(bytes) => Poll::Ready(bytes.map(Ok)),
            Poll::Pending => Poll::Pending,
        }
    }

    fn notes(&self) -> Vec<Note> {
        let Some((total_in, total_out)) = self.totals else {
            return Vec::new();
        };
        told(&self.notes, total_in, total_out)
    }

    fn take_trailer(&mut self) -> Fields {
        std::mem::take(&mut self.trailer)
    }
}

/// The notes of a coding's filter.
pub fn notes_of(coding: Coding, settings: &Compress) -> &Notes {
    match coding {
        Coding::Gzip => &settings.deflate.notes,
        Coding::Brotli => &settings.brotli.notes,
        Coding::Zstd => &settings.zstd.notes,
    }
}

/// What the access log is told: names and values.
pub fn told(notes: &Notes, total_in: u64, total_out: u64) -> Vec<Note> {
    let number = |number: Option<u64>| match number {
        Some(number) if total_in > 0 => number.to_string().into_bytes(),
        _ => b"-".to_vec(),
    };
    let ratio = total_out.saturating_mul(100).checked_div(total_in);
    [
        (&notes.input, Some(total_in)),
        (&notes.output, Some(total_out)),
        (&notes.ratio, ratio),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.value()?.clone(), number(value))))
    .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io::Read;
    use std::task::{Context, Poll, Waker};

    use bytes::Bytes;

    use super::Compressed;
    use crate::config::directives::compress::Compress;
    use crate::exchange::response::{BodyStream, Broken};
    use crate::http::coding::Coding;

    /// Says these things one after the other, then ends.
    struct Script(VecDeque<Poll<Result<Bytes, Broken>>>);

    impl BodyStream for Script {
        fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
            match self.0.pop_front() {
                Some(Poll::Pending) => Poll::Pending,
                Some(Poll::Ready(said)) => Poll::Ready(Some(said)),
                None => Poll::Ready(None),
            }
        }
    }

    fn compressed(said: impl IntoIterator<Item = Poll<Result<Bytes, Broken>>>, settings: &Compress) -> Compressed {
        let script = Box::new(Script(said.into_iter().collect()));
        Compressed::new(script, Coding::Gzip, settings).expect("memory")
    }

    fn readable(bytes: &[u8]) -> Vec<u8> {
        let (mut reader, mut out, mut piece) = (flate2::read::GzDecoder::new(bytes), Vec::new(), [0; 64]);
        while let Ok(n) = reader.read(&mut piece) {
            if n == 0 {
                break;
            }
            out.extend_from_slice(&piece[..n]);
        }
        out
    }

    #[test]
    fn a_pause_sends_what_there_is() {
        let mut settings = Compress::default();
        settings.deflate.notes.ratio.set(b"ratio".to_vec());
        settings.deflate.notes.input.set(b"in".to_vec());
        let said = |text: &'static str| Poll::Ready(Ok(Bytes::from(text)));
        let mut stream = compressed([said("one "), said("two "), Poll::Pending, said("three")], &settings);
        let mut cx = Context::from_waker(Waker::noop());
        let mut out = Vec::new();
        let Poll::Ready(Some(Ok(first))) = stream.poll_chunk(&mut cx) else {
            panic!("nothing at the pause")
        };
        out.extend(first);
        assert_eq!(readable(&out), b"one two ");
        assert!(stream.notes().is_empty());
        while let Poll::Ready(Some(Ok(more))) = stream.poll_chunk(&mut cx) {
            out.extend(more);
        }
        assert_eq!(readable(&out), b"one two three");
        assert_eq!(stream.notes()[0], (b"in".to_vec(), b"13".to_vec()));
        assert_eq!(stream.notes()[1].0, b"ratio");
    }

    #[test]
    fn what_breaks_off_is_sent_so_far_and_has_no_end() {
        let said = [Poll::Ready(Ok(Bytes::from("half"))), Poll::Ready(Err(Broken))];
        let mut stream = compressed(said, &Compress::default());
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(Some(Ok(sent))) = stream.poll_chunk(&mut cx) else {
            panic!("what there was is not sent")
        };
        assert_eq!(readable(&sent), b"half");
        assert!(matches!(stream.poll_chunk(&mut cx), Poll::Ready(Some(Err(Broken)))));
        assert!(matches!(stream.poll_chunk(&mut cx), Poll::Ready(None)));
    }

    #[test]
    fn a_large_piece_is_compressed_in_turns() {
        let zeros = Bytes::from(vec![0; 2 << 20]);
        let mut stream = compressed([Poll::Ready(Ok(zeros))], &Compress::default());
        let mut cx = Context::from_waker(Waker::noop());
        let (mut turns, mut out) = (0, Vec::new());
        loop {
            match stream.poll_chunk(&mut cx) {
                Poll::Pending => turns += 1,
                Poll::Ready(Some(Ok(bytes))) => out.extend(bytes),
                Poll::Ready(_) => break,
            }
        }
        assert!(turns > 10, "{turns} turns");
        assert_eq!(readable(&out).len(), 2 << 20);
    }
}
