//! The request's body as a handler reads it, with backpressure: nothing is read from the client before it is asked for.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;

use crate::config::directives::site::StageTimeout;

/// How much body a request has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// None at all.
    None,
    /// So many bytes (Content-Length).
    Known(u64),
    /// Told at its end (chunked).
    Unknown,
}

/// Why no more of a body can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// It is larger than LimitRequestBody: 413.
    TooLarge,
    /// Its framing is broken: 400, and the connection is lost.
    Malformed,
    /// It came too slowly: 408.
    TimedOut,
    /// The client left before its end.
    Gone,
}

/// The connection's side of a body.
pub trait Incoming {
    /// How much there is.
    fn length(&self) -> BodyLength;

    /// Bounds the body to so many bytes from here on (LimitRequestBody); `None` is no bound.
    fn limit(&mut self, bytes: Option<u64>);

    /// Sets how long the client may take: in all (RequestReadTimeout), and for each wait (Timeout).
    fn pace(&mut self, stage: StageTimeout, each: Duration);

    /// The next bytes, at least one; `None` at the end. `100 Continue` goes out before the first read that has to wait.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>>;

    /// Ready when the client has closed its sending side or the connection is broken. Bytes of a next request do not
    /// count; they are kept for it.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Gone>;

    /// Sends the head of an interim response (RFC 9110 section 15.2) to a client that knows them, as long as the final one has
    /// not begun. Not to be called before the serving of the request has waited for something: what earlier requests were
    /// answered goes out by then.
    fn interim(&mut self, head: &[u8]);

    /// Sends a few bytes that mean nothing, to find out whether a client that sends no more still reads. To be called only
    /// while the response waits for its maker.
    fn probe(&mut self) -> Probed;
}

/// What came of asking whether a client still reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probed {
    /// It does not.
    Gone,
    /// It may; the answer to this probe is not known before the next.
    Perhaps,
    /// There are no bytes at this point that mean nothing.
    Impossible,
}

/// How a client left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// It sends no more; whether it still reads cannot be told.
    SendingClosed,
    /// The connection is broken.
    Reset,
}

/// A handle to the body; clones share it.
#[derive(Clone)]
pub struct RequestBody {
    incoming: Option<Rc<RefCell<dyn Incoming>>>,
    /// Whether the body is there to be read, or only the connection to be watched.
    given: bool,
}

impl RequestBody {
    /// No body, and no connection to ask.
    pub fn none() -> RequestBody {
        RequestBody {
            incoming: None,
            given: false,
        }
    }

    /// The body that `incoming` reads.
    pub fn new(incoming: Rc<RefCell<dyn Incoming>>) -> RequestBody {
        RequestBody {
            incoming: Some(incoming),
            given: true,
        }
    }

    /// The same connection for a request that has no body, as one behind a redirect inside the server.
    #[must_use]
    pub fn without_data(&self) -> RequestBody {
        RequestBody {
            incoming: self.incoming.clone(),
            given: false,
        }
    }

    /// Whether nobody has changed it: a redirect inside the server takes it away.
    pub fn is_the_clients_own(&self) -> bool {
        self.given
    }

    fn given(&self) -> Option<&Rc<RefCell<dyn Incoming>>> {
        self.incoming.as_ref().filter(|_| self.given)
    }

    /// How much there is.
    pub fn length(&self) -> BodyLength {
        self.given()
            .map_or(BodyLength::None, |incoming| incoming.borrow().length())
    }

    /// Bounds it, see [`Incoming::limit`].
    pub fn limit(&self, bytes: Option<u64>) {
        if let Some(incoming) = self.given() {
            incoming.borrow_mut().limit(bytes);
        }
    }

    /// Sets its pace, see [`Incoming::pace`].
    pub fn pace(&self, stage: StageTimeout, each: Duration) {
        if let Some(incoming) = self.given() {
            incoming.borrow_mut().pace(stage, each);
        }
    }

    /// See [`Incoming::poll_data`].
    pub fn poll_data(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        match self.given() {
            Some(incoming) => incoming.borrow_mut().poll_data(cx),
            None => Poll::Ready(Ok(None)),
        }
    }

    /// See [`Incoming::poll_gone`].
    pub fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<Gone> {
        match &self.incoming {
            Some(incoming) => incoming.borrow_mut().poll_gone(cx),
            None => Poll::Pending,
        }
    }

    /// See [`Incoming::interim`].
    pub fn interim(&self, head: &[u8]) {
        if let Some(incoming) = &self.incoming {
            incoming.borrow_mut().interim(head);
        }
    }

    /// See [`Incoming::probe`].
    pub fn probe(&self) -> Probed {
        self.incoming
            .as_ref()
            .map_or(Probed::Impossible, |incoming| incoming.borrow_mut().probe())
    }

    /// The next bytes; `None` at the end.
    pub async fn data(&self) -> Result<Option<Bytes>, BodyError> {
        poll_fn(|cx| self.poll_data(cx)).await
    }
}
