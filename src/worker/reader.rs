//! The reading side of a connection: bytes waiting to be parsed, and the body of the request in progress.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, Sleep};

use crate::config::directives::site::StageTimeout;
use crate::exchange::body::{BodyError, BodyLength, Gone, Incoming, Probed};
use crate::http::chunked::{ChunkError, Decoder, Step};
use crate::http::framing::Framing;
use crate::http::response::CONTINUE;
use crate::net::stream::{More, Stream};

/// What one read asks for.
const READ: usize = 64 * 1024;
thread_local! {
    /// Where bytes arrive before it is known how many there are; a connection keeps no more than what came.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into_boxed_slice());
}

/// What a kept buffer has room for: more than most heads.
const SPARE_ROOM: usize = 1024;
/// So many empty buffers are kept for the connections of a thread that have something to read.
const SPARES: usize = 64;

thread_local! {
    static SPARE: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// More than this of later requests is not taken in while one is being answered.
const AHEAD: usize = 64 * 1024;

/// Interim responses are dropped where more than this waits for room; no client misses them.
const INTERIM: usize = 64 * 1024;

/// What there was no room for of interim responses; it goes out before anything else.
#[derive(Default)]
struct Interim {
    unsent: Vec<u8>,
}

/// The reading side of a connection.
pub struct Reader {
    stream: Rc<Stream>,
    /// Bytes that are read and not yet used.
    pub buffer: BytesMut,
    body: BodyState,
    /// A body was announced and is empty (`Content-Length: 0`).
    empty: bool,
    /// Counts requests, so that a body's handle that outlives its request reads nothing of the next.
    request: u64,
    left_of_limit: Option<u64>,
    waits_for_continue: bool,
    ended: Option<Gone>,
    /// What means nothing to the client at this point of the response.
    pub filler: Filler,
    /// Interim responses, if there were any.
    interim: Option<Box<Interim>>,
    /// Of the request's body, if there is one.
    timing: Option<Box<Timing>>,
    /// Bytes read from the client since the connection began.
    bytes_in: u64,
    /// How many of them earlier requests took.
    counted: u64,
}

/// Bytes that may be sent to a client at any time of a response's wait without a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filler {
    /// There are none.
    None,
    /// An interim response, before the final one (RFC 9110 section 15.2).
    Interim,
    /// A leading zero of the next chunk's size (RFC 9112 section 7.1).
    ChunkSize,
}

impl Filler {
    fn bytes(self) -> Option<&'static [u8]> {
        match self {
            Filler::None => None,
            Filler::Interim => Some(b"HTTP/1.1 102 Processing\r\n\r\n"),
            Filler::ChunkSize => Some(b"0"),
        }
    }
}

enum BodyState {
    Done,
    Length { left: u64, whole: u64 },
    Chunked(Box<Decoder>),
    Failed(BodyError),
}

/// The deadline of a body, and what moves it.
struct Timing {
    stage: StageTimeout,
    each: Duration,
    /// How long the client was waited for so far, and since when it is.
    waited: Duration,
    waiting_since: Option<Instant>,
    bytes: u64,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Reader {
    /// Reads from `stream`.
    pub fn new(stream: Rc<Stream>) -> Reader {
        Reader {
            stream,
            buffer: BytesMut::new(),
            body: BodyState::Done,
            empty: false,
            request: 0,
            left_of_limit: None,
            waits_for_continue: false,
            ended: None,
            filler: Filler::None,
            interim: None,
            timing: None,
            bytes_in: 0,
            counted: 0,
        }
    }

    /// Bytes that were read of the connection before.
    pub fn begin_with(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        self.bytes_in += bytes.len() as u64;
    }

    /// Sets out on the body of a request that was just parsed; returns its handle's mark.
    pub fn begin_body(&mut self, framing: Framing, expects_continue: bool) -> u64 {
        self.body = match framing {
            Framing::None | Framing::Length(0) => BodyState::Done,
            Framing::Length(length) => BodyState::Length {
                left: length,
                whole: length,
            },
            Framing::Chunked => BodyState::Chunked(Box::default()),
        };
        self.empty = framing == Framing::Length(0);
        self.request += 1;
        self.left_of_limit = None;
        self.waits_for_continue = expects_continue && !matches!(self.body, BodyState::Done);
        self.timing = None;
        self.request
    }

    /// Whether the request's body has been read to its end.
    pub fn body_is_done(&self) -> bool {
        matches!(self.body, BodyState::Done)
    }

    /// Whether the client has closed its sending side within the body; it may still read.
    pub fn body_broke_off(&self) -> bool {
        matches!(self.body, BodyState::Failed(BodyError::Gone)) && self.ended == Some(Gone::SendingClosed)
    }

    /// Whether what is left of the body is little enough to be read away so that the connection can go on.
    pub fn worth_draining(&self) -> bool {
        match &self.body {
            BodyState::Done => true,
            BodyState::Length { left, .. } => !self.waits_for_continue && *left <= AHEAD as u64,
            BodyState::Chunked(_) => !self.waits_for_continue,
            BodyState::Failed(_) => false,
        }
    }

    /// The final response begins: no interim one may follow (RFC 9110 section 15.2). What is unsent of earlier ones goes out
    /// before it.
    pub fn begin_response(&mut self, filler: Filler) -> Vec<u8> {
        self.waits_for_continue = false;
        self.filler = filler;
        self.interim.take().map_or(Vec::new(), |interim| interim.unsent)
    }

    /// Sends an interim response, behind those that are unsent.
    fn send_interim(&mut self, head: &[u8]) {
        let interim = self.interim.get_or_insert_default();
        interim.unsent.extend_from_slice(head);
        // Whether the client is there is seen by those who read from it.
        let sent = self.stream.try_write(&interim.unsent, More::Nothing).unwrap_or(0);
        interim.unsent.drain(..sent);
    }

    /// How much of interim responses waits for room.
    fn unsent_interim(&self) -> usize {
        self.interim.as_ref().map_or(0, |interim| interim.unsent.len())
    }

    /// Reads the rest of the body away, at most so many bytes of it; whether its end was reached.
    pub fn poll_drain(&mut self, cx: &mut Context<'_>, drained: &mut usize) -> Poll<bool> {
        while *drained <= AHEAD {
            match self.poll_body(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(Some(bytes))) => *drained += bytes.len(),
                Poll::Ready(Ok(None)) => return Poll::Ready(true),
                Poll::Ready(Err(_)) => return Poll::Ready(false),
            }
        }
        Poll::Ready(false)
    }

    /// Ends the request: handles to its body read nothing more.
    pub fn end_request(&mut self) {
        self.request += 1;
        self.body = BodyState::Done;
        self.timing = None;
        self.rest();
    }

    /// Keeps no more room than what has come needs: its client takes its time.
    pub fn tighten(&mut self) {
        if self.buffer.capacity() >= self.buffer.len() * 2 {
            let bytes = BytesMut::from(self.buffer.as_ref());
            self.buffer.clear();
            self.rest();
            self.buffer = bytes;
        }
    }

    /// Gives an empty buffer back: an idle connection keeps none.
    fn rest(&mut self) {
        if self.buffer.is_empty() && self.buffer.capacity() > 0 {
            let mut buffer = std::mem::take(&mut self.buffer);
            // What stands in it may belong to others still; then it begins anew, or is let go.
            if buffer.try_reclaim(SPARE_ROOM) && buffer.capacity() <= READ {
                SPARE.with_borrow_mut(|spare| {
                    if spare.len() < SPARES {
                        spare.push(buffer);
                    }
                });
            }
        }
    }

    /// Reads what is there into the buffer without waiting; `Ok(0)` is the end.
    pub fn fill(&mut self) -> io::Result<usize> {
        let n = SCRATCH.with_borrow_mut(|scratch| {
            let n = self.stream.try_read(scratch)?;
            if self.buffer.capacity() == 0 && n > 0 {
                let spare = SPARE.with_borrow_mut(Vec::pop);
                self.buffer = spare.unwrap_or_else(|| BytesMut::with_capacity(n.max(SPARE_ROOM)));
            }
            self.buffer.extend_from_slice(scratch.get(..n).unwrap_or_default());
            io::Result::Ok(n)
        })?;
        self.bytes_in += n as u64;
        if n == 0 {
            self.ended = Some(Gone::SendingClosed);
        }
        Ok(n)
    }

    /// Whether the client has closed its sending side.
    pub fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// How many bytes of the connection were taken since this was last asked: those of one request.
    pub fn taken(&mut self) -> u64 {
        let all = self.bytes_in - self.buffer.len() as u64;
        let taken = all.saturating_sub(self.counted);
        self.counted = self.counted.max(all);
        taken
    }

    /// Reads what is there into the buffer, or waits for it; `Ok(0)` is the end.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match self.fill() {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.poll_more(cx),
            other => Poll::Ready(other),
        }
    }

    /// The same behind a read that found nothing.
    pub fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_readable(cx))?;
            match self.fill() {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                other => return Poll::Ready(other),
            }
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        loop {
            match self.take_body() {
                Taken::Bytes(bytes) => return Poll::Ready(self.count(bytes).map(Some)),
                Taken::End => return Poll::Ready(Ok(None)),
                Taken::Failed(error) => return Poll::Ready(Err(self.fail(error))),
                Taken::Nothing => {}
            }
            if std::mem::take(&mut self.waits_for_continue) {
                self.send_interim(CONTINUE);
            }
            match self.poll_fill(cx) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(self.fail(BodyError::Gone))),
                Poll::Ready(Ok(n)) => self.timing().read(n),
                Poll::Pending => {
                    if self.timing().poll_over(cx).is_ready() {
                        return Poll::Ready(Err(self.fail(BodyError::TimedOut)));
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    fn timing(&mut self) -> &mut Timing {
        self.timing
            .get_or_insert_with(|| Box::new(Timing::new(StageTimeout::BODY, Duration::from_secs(60))))
    }

    fn fail(&mut self, error: BodyError) -> BodyError {
        self.body = BodyState::Failed(error);
        error
    }

    /// Takes body bytes out of the buffer.
    fn take_body(&mut self) -> Taken {
        match &mut self.body {
            BodyState::Done => Taken::End,
            BodyState::Failed(error) => Taken::Failed(*error),
            BodyState::Length { left: 0, .. } => {
                self.body = BodyState::Done;
                Taken::End
            }
            BodyState::Length { left, .. } => {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(self.buffer.len());
                if take == 0 {
                    return Taken::Nothing;
                }
                *left -= take as u64;
                Taken::Bytes(self.buffer.split_to(take).freeze())
            }
            BodyState::Chunked(decoder) => {
                if self.buffer.is_empty() {
                    return Taken::Nothing;
                }
                let step = decoder.decode(&self.buffer);
                self.take_step(step)
            }
        }
    }

    fn take_step(&mut self, step: Result<Step, ChunkError>) -> Taken {
        match step {
            Ok(Step::Data { consumed, data }) => {
                let mut piece = self.buffer.split_to(consumed);
                piece.truncate(data.end);
                Taken::Bytes(piece.split_off(data.start).freeze())
            }
            Ok(Step::NeedMore) => {
                self.buffer.clear();
                Taken::Nothing
            }
            Ok(Step::End { consumed }) => {
                let _ = self.buffer.split_to(consumed);
                self.body = BodyState::Done;
                Taken::End
            }
            Err(ChunkError::ExtensionsTooLarge | ChunkError::TrailersTooLarge) => Taken::Failed(BodyError::TooLarge),
            Err(_) => Taken::Failed(BodyError::Malformed),
        }
    }

    fn count(&mut self, bytes: Bytes) -> Result<Bytes, BodyError> {
        if let Some(left) = &mut self.left_of_limit {
            match left.checked_sub(bytes.len() as u64) {
                Some(rest) => *left = rest,
                None => return Err(self.fail(BodyError::TooLarge)),
            }
        }
        Ok(bytes)
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Gone> {
        loop {
            if let Some(gone) = self.ended {
                return Poll::Ready(gone);
            }
            if self.buffer.len() >= AHEAD {
                return Poll::Pending;
            }
            match self.poll_fill(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => self.ended = Some(Gone::Reset),
            }
        }
    }
}

enum Taken {
    Bytes(Bytes),
    End,
    Nothing,
    Failed(BodyError),
}

impl Timing {
    fn new(stage: StageTimeout, each: Duration) -> Timing {
        Timing {
            stage,
            each,
            waited: Duration::ZERO,
            waiting_since: None,
            bytes: 0,
            sleep: None,
        }
    }

    fn read(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        self.sleep = None;
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
    }

    /// Ready when the client has taken too long: in all (RequestReadTimeout), or since its last bytes (Timeout). Time in which
    /// nothing was wanted of it, because a script read slowly, does not count.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        self.waiting_since.get_or_insert(now);
        let (stage, each, waited, bytes) = (self.stage, self.each, self.waited, self.bytes);
        let sleep = self.sleep.get_or_insert_with(|| {
            let idle = now + each;
            let left = allowance(&stage, bytes).map(|allowed| now + allowed.saturating_sub(waited));
            Box::pin(tokio::time::sleep_until(left.map_or(idle, |left| left.min(idle))))
        });
        sleep.as_mut().poll(cx)
    }
}

/// How long a stage may take in all after so many bytes; `None` is for ever.
pub fn allowance(stage: &StageTimeout, bytes: u64) -> Option<Duration> {
    if stage.first.is_zero() {
        return None;
    }
    let earned = bytes
        .checked_div(stage.min_rate)
        .map_or(Duration::ZERO, Duration::from_secs);
    let allowed = stage.first.saturating_add(earned);
    Some(stage.most.map_or(allowed, |most| allowed.min(most)))
}

/// A request's handle to its body.
pub struct BodyHandle {
    reader: Rc<RefCell<Reader>>,
    request: u64,
}

impl BodyHandle {
    /// The body of the request that [`Reader::begin_body`] marked.
    pub fn new(reader: Rc<RefCell<Reader>>, request: u64) -> BodyHandle {
        BodyHandle { reader, request }
    }
}

impl Incoming for BodyHandle {
    fn length(&self) -> BodyLength {
        let reader = self.reader.borrow();
        match &reader.body {
            BodyState::Done if reader.empty => BodyLength::Known(0),
            BodyState::Done | BodyState::Failed(_) => BodyLength::None,
            BodyState::Length { whole, .. } => BodyLength::Known(*whole),
            BodyState::Chunked(_) => BodyLength::Unknown,
        }
    }

    fn limit(&mut self, bytes: Option<u64>) {
        self.reader.borrow_mut().left_of_limit = bytes;
    }

    fn pace(&mut self, stage: StageTimeout, each: Duration) {
        let mut reader = self.reader.borrow_mut();
        if !reader.body_is_done() {
            reader.timing = Some(Box::new(Timing::new(stage, each)));
        }
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        let mut reader = self.reader.borrow_mut();
        if reader.request == self.request {
            reader.poll_body(cx)
        } else {
            Poll::Ready(Err(BodyError::Gone))
        }
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Gone> {
        let mut reader = self.reader.borrow_mut();
        if reader.request == self.request {
            reader.poll_gone(cx)
        } else {
            Poll::Pending
        }
    }

    fn interim(&mut self, head: &[u8]) {
        let mut reader = self.reader.borrow_mut();
        if reader.request == self.request && reader.filler == Filler::Interim && reader.unsent_interim() <= INTERIM {
            reader.send_interim(head);
        }
    }

    fn probe(&mut self) -> Probed {
        let mut reader = self.reader.borrow_mut();
        let Some(filler) = reader.filler.bytes().filter(|_| reader.request == self.request) else {
            return Probed::Impossible;
        };
        if reader.unsent_interim() > 0 {
            reader.send_interim(b"");
            return Probed::Perhaps;
        }
        match reader.stream.try_write(filler, More::Nothing) {
            Ok(n) if n == filler.len() => Probed::Perhaps,
            // A client that takes nothing is dealt with by the write that waits for room.
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Probed::Perhaps,
            Ok(_) | Err(_) => Probed::Gone,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::allowance;
    use crate::config::directives::site::StageTimeout;

    #[test]
    fn bytes_earn_time_up_to_the_most() {
        for (bytes, want) in [(0, 20), (499, 20), (500, 21), (5000, 30), (1_000_000, 40)] {
            assert_eq!(
                allowance(&StageTimeout::HEADER, bytes),
                Some(Duration::from_secs(want)),
                "{bytes}"
            );
        }
        let none = StageTimeout {
            first: Duration::ZERO,
            most: None,
            min_rate: 0,
        };
        assert_eq!(allowance(&none, 5), None);
    }
}
