//! gzip taken off: the filter INFLATE for answers, and the input filter DEFLATE for the bodies of requests.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;

use crate::config::directives::compress::{self, AlterETag};
use crate::config::directives::site::StageTimeout;
use crate::config::filters::Filter;
use crate::exchange::Exchange;
use crate::exchange::body::{BodyError, BodyLength, Gone, Incoming, Probed, RequestBody};
use crate::exchange::place::Place;
use crate::exchange::response::{Body, BodyStream, Broken, Response};
use crate::exchange::stream::Untold;
use crate::filters::chain::{Verdict, patience};
use crate::filters::compress::alter_etag;
use crate::filters::gunzip::{Garbage, Gunzip};
use crate::http::fields::{Fields, list_members};
use crate::http::method::Method;
use crate::http::status::Status;

/// What goes in and comes out of one body before others have their turn.
const TURN: usize = 128 * 1024;

/// Takes gzip off an answer.
pub fn answer(ex: &mut Exchange, response: &mut Response) -> Verdict {
    let fields = &response.head.fields;
    if ex.previous.is_some() {
        return Verdict::new("it is for what was asked for first, not for what was answered instead");
    }
    if matches!(response.head.status, Status::NO_CONTENT | Status::NOT_MODIFIED) {
        return Verdict::new("there is no content");
    }
    if fields.contains("Content-Range") {
        return Verdict::new("it is a part");
    }
    let Some(rest) = without_gzip(fields) else {
        return Verdict::new("it is not compressed with gzip");
    };
    let fields = &mut response.head.fields;
    if rest.is_empty() {
        fields.remove("Content-Encoding");
    } else {
        fields.set("Content-Encoding", rest);
    }
    fields.remove("Content-Length");
    fields.remove("Content-MD5");
    let alter = ex.site.settings.compress.deflate.etag.or(AlterETag::AddSuffix);
    alter_etag(response, "gunzip", alter);
    if ex.is_explained() {
        return Verdict::new("decompressed");
    }
    if ex.method == Method::Head && !matches!(response.body, Body::Stream(..)) {
        response.body = Body::Stream(Box::new(Untold), None);
        return Verdict::new("decompressed");
    }
    let body = std::mem::replace(&mut response.body, Body::Empty);
    let inflated = Inflated {
        source: body.into_stream(patience(ex)),
        gunzip: Gunzip::default(),
        waiting: Bytes::new(),
        turn: 0,
        broken: false,
    };
    response.body = Body::Stream(Box::new(inflated), None);
    Verdict::new("decompressed")
}

/// The codings of a message without the last one, if that is gzip.
fn without_gzip(fields: &Fields) -> Option<Vec<u8>> {
    let said = fields.joined(b"Content-Encoding")?;
    let mut codings: Vec<&[u8]> = list_members(&said).collect();
    let last = codings.pop()?;
    let is_gzip = last.eq_ignore_ascii_case(b"gzip") || last.eq_ignore_ascii_case(b"x-gzip");
    is_gzip.then(|| codings.join(&b", "[..]))
}

/// An answer whose gzip is taken off while it is sent.
struct Inflated {
    source: Box<dyn BodyStream>,
    gunzip: Gunzip,
    waiting: Bytes,
    /// What came out in this turn.
    turn: usize,
    broken: bool,
}

impl BodyStream for Inflated {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        while !self.broken {
            if self.turn > TURN {
                self.turn = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.waiting.is_empty() {
                match ready!(self.source.poll_chunk(cx)) {
                    Some(Ok(bytes)) => self.waiting = bytes,
                    None if self.gunzip.is_over() => return Poll::Ready(None),
                    Some(Err(Broken)) | None => break,
                }
            }
            let Ok((taken, out)) = self.gunzip.next(&self.waiting) else {
                break;
            };
            self.turn += taken + out.len();
            let _taken = self.waiting.split_to(taken.min(self.waiting.len()));
            if self.gunzip.is_over() {
                // What stands behind the end is left out, as in Apache.
                self.waiting.clear();
            }
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(out.into())));
            }
        }
        let is_news = !std::mem::replace(&mut self.broken, true);
        Poll::Ready(is_news.then_some(Err(Broken)))
    }

    fn take_trailer(&mut self) -> Fields {
        self.source.take_trailer()
    }
}

/// Takes gzip off the request's body, where the place's filters say so and the body has it. Who reads it then has neither its
/// old length nor its old coding.
pub fn request(ex: &mut Exchange, place: &Place) {
    let set = place.conf.filters.input.value();
    let mut filters = place.types.input_filters.iter().chain(set.into_iter().flatten());
    let is_asked = filters.any(|filter| *filter == Filter::Inflate);
    let is_whole = ex.previous.is_none() && ex.head.field(b"content-range").is_none();
    let is_empty = matches!(ex.body.length(), BodyLength::None | BodyLength::Known(0));
    if !is_asked || !is_whole || is_empty || ex.is_explained() {
        return;
    }
    let Some(rest) = without_gzip(ex.head.fields_mut()) else {
        return;
    };
    if rest.is_empty() {
        ex.head.remove_field(b"content-encoding");
    } else {
        ex.head.set_field(b"Content-Encoding", &rest);
    }
    ex.head.remove_field(b"content-length");
    ex.head.remove_field(b"content-md5");
    let body = Unzipped {
        source: ex.body.clone(),
        gunzip: Gunzip::default(),
        waiting: Bytes::new(),
        bounds: Bounds::new(&place.conf.inflate),
        limit: None,
        total_in: 0,
        total_out: 0,
        turn: 0,
    };
    ex.body = RequestBody::new(Rc::new(RefCell::new(body)));
}

/// How large a body may become.
struct Bounds {
    limit: u64,
    ratio: u64,
    burst: u64,
    /// How often in a row it was too large for its size.
    hits: u64,
}

impl Bounds {
    fn new(settings: &compress::Inflate) -> Bounds {
        Bounds {
            limit: settings.limit.or(0),
            ratio: settings.ratio.or(200),
            burst: settings.burst.or(3),
            hits: 0,
        }
    }

    /// Judges what has come out of what has come in.
    fn judge(&mut self, total_in: u64, total_out: u64) -> Result<(), BodyError> {
        if self.limit > 0 && total_out > self.limit {
            return Err(BodyError::TooLarge);
        }
        if total_out.checked_div(total_in).unwrap_or(0) < self.ratio {
            self.hits = 0;
            return Ok(());
        }
        self.hits += 1;
        if self.hits > self.burst {
            return Err(BodyError::Malformed);
        }
        Ok(())
    }
}

/// The body of a request without its gzip.
struct Unzipped {
    source: RequestBody,
    gunzip: Gunzip,
    waiting: Bytes,
    bounds: Bounds,
    /// LimitRequestBody.
    limit: Option<u64>,
    total_in: u64,
    total_out: u64,
    /// What came in and out in this turn.
    turn: usize,
}

impl Incoming for Unzipped {
    fn length(&self) -> BodyLength {
        BodyLength::Unknown
    }

    fn limit(&mut self, bytes: Option<u64>) {
        self.source.limit(bytes);
        self.limit = bytes.map(|bytes| bytes.saturating_add(self.total_out));
    }

    fn pace(&mut self, stage: StageTimeout, each: Duration) {
        self.source.pace(stage, each);
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        loop {
            if self.turn > TURN {
                self.turn = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.waiting.is_empty() {
                match ready!(self.source.poll_data(cx)) {
                    Ok(Some(bytes)) => self.waiting = bytes,
                    Ok(None) if self.gunzip.is_over() => return Poll::Ready(Ok(None)),
                    Ok(None) => return Poll::Ready(Err(BodyError::Malformed)),
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            // Nothing may stand behind the end.
            let next = if self.gunzip.is_over() {
                Err(Garbage)
            } else {
                self.gunzip.next(&self.waiting)
            };
            let (taken, out) = match next {
                Ok(next) => next,
                Err(Garbage) => return Poll::Ready(Err(BodyError::Malformed)),
            };
            let _taken = self.waiting.split_to(taken.min(self.waiting.len()));
            self.total_in += taken as u64;
            self.total_out += out.len() as u64;
            self.turn += taken + out.len();
            if !out.is_empty() {
                self.bounds.judge(self.total_in, self.total_out)?;
                if self.limit.is_some_and(|limit| self.total_out > limit) {
                    return Poll::Ready(Err(BodyError::TooLarge));
                }
                return Poll::Ready(Ok(Some(out.into())));
            }
        }
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Gone> {
        self.source.poll_gone(cx)
    }

    fn probe(&mut self) -> Probed {
        self.source.probe()
    }

    fn interim(&mut self, head: &[u8]) {
        self.source.interim(head);
    }
}

#[cfg(test)]
mod tests;
