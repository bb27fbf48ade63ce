//! Bodies that are larger than they look, cut short, or no gzip at all.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;

use super::{Bounds, Unzipped};
use crate::config::directives::compress;
use crate::config::directives::site::StageTimeout;
use crate::exchange::body::{BodyError, BodyLength, Gone, Incoming, Probed, RequestBody};
use crate::filters::gunzip::Gunzip;
use crate::filters::gunzip::tests::zipped;

/// A body that came in these pieces.
struct Came(VecDeque<Bytes>);

impl Incoming for Came {
    fn length(&self) -> BodyLength {
        BodyLength::Unknown
    }
    fn limit(&mut self, _: Option<u64>) {}
    fn pace(&mut self, _: StageTimeout, _: Duration) {}
    fn poll_data(&mut self, _: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        Poll::Ready(Ok(self.0.pop_front()))
    }
    fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<Gone> {
        Poll::Pending
    }
    fn probe(&mut self) -> Probed {
        Probed::Impossible
    }
    fn interim(&mut self, _: &[u8]) {}
}

/// How many bytes came out of the body, and how it ended.
fn read(body: &[u8], settings: &compress::Inflate, limit: Option<u64>) -> (u64, Result<(), BodyError>) {
    let pieces = body.chunks(4096).map(Bytes::copy_from_slice).collect();
    let mut unzipped = Unzipped {
        source: RequestBody::new(Rc::new(RefCell::new(Came(pieces)))),
        gunzip: Gunzip::default(),
        waiting: Bytes::new(),
        bounds: Bounds::new(settings),
        limit: None,
        total_in: 0,
        total_out: 0,
        turn: 0,
    };
    unzipped.limit(limit);
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        match unzipped.poll_data(&mut cx) {
            Poll::Ready(Ok(Some(bytes))) => assert!(!bytes.is_empty()),
            Poll::Ready(Ok(None)) => return (unzipped.total_out, Ok(())),
            Poll::Ready(Err(error)) => return (unzipped.total_out, Err(error)),
            Poll::Pending => {}
        }
    }
}

#[test]
fn a_bomb_goes_off_at_its_bounds() {
    let bomb = zipped(&vec![0; 8 << 20]);
    let (read_of_it, end) = read(&bomb, &compress::Inflate::default(), None);
    assert_eq!(end, Err(BodyError::Malformed));
    assert!(read_of_it < 2 << 20, "{read_of_it} bytes came out");
    let mut settings = compress::Inflate::default();
    settings.ratio.set(u64::MAX);
    assert_eq!(read(&bomb, &settings, None), (8 << 20, Ok(())));
    let (read_of_it, end) = read(&bomb, &settings, Some(1 << 20));
    assert_eq!(end, Err(BodyError::TooLarge));
    assert!(read_of_it < (1 << 20) + 10_000, "{read_of_it} bytes came out");
    settings.limit.set(5000);
    let (read_of_it, end) = read(&bomb, &settings, None);
    assert_eq!(end, Err(BodyError::TooLarge));
    assert!(read_of_it < 20_000, "{read_of_it} bytes came out");
}

#[test]
fn a_body_that_is_cut_short_or_no_gzip_is_malformed() {
    let good = zipped(&b"some text".repeat(100));
    let settings = compress::Inflate::default();
    assert_eq!(read(&good, &settings, None), (900, Ok(())));
    for at in 0..good.len() {
        let (_, end) = read(&good[..at], &settings, None);
        assert_eq!(end, Err(BodyError::Malformed), "cut at {at}");
    }
    let more = [good.as_slice(), b"more"].concat();
    assert_eq!(read(&more, &settings, None).1, Err(BodyError::Malformed));
    assert_eq!(read(b"plain text", &settings, None).1, Err(BodyError::Malformed));
}
