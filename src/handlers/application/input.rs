//! The request's body for those behind this server: as it comes, or, where they must be told a length that is told at its end
//! only, as it was kept.

use std::cell::RefCell;
use std::fs::File;
use std::io::Read;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;

use crate::config::directives::core::BODY_LIMIT;
use crate::config::directives::site::StageTimeout;
use crate::exchange::Exchange;
use crate::exchange::body::{BodyError, BodyLength, Gone, Incoming, Probed, RequestBody};
use crate::exchange::fail::Fail;
use crate::exchange::place::Place;
use crate::fs::spool::Spool;
use crate::handlers::cgi::broken_body;
use crate::http::framing::Framing;

/// So much of a kept body is read at one time.
const PIECE: usize = 64 * 1024;

/// The body; of an application, its standard input.
pub(in crate::handlers) struct Input {
    /// What comes; nothing where there is none, or it has ended.
    body: Option<RequestBody>,
    framing: Framing,
}

impl Input {
    /// Prepares it: a body of known length streams, another is kept until its length is known, and is the request's from then on.
    /// What streams has a limit only where LimitRequestBody says it; Apache minds none at all.
    pub(in crate::handlers) async fn of(ex: &mut Exchange, place: &Place, module: &'static str) -> Result<Input, Fail> {
        let said = &place.conf.core.limit_request_body;
        let limit = match ex.body.length() {
            BodyLength::Unknown => Some(said.or(BODY_LIMIT)),
            BodyLength::None | BodyLength::Known(_) => said.value().copied(),
        };
        let limit = limit.filter(|limit| *limit > 0);
        ex.body.limit(limit);
        if ex.body.length() == BodyLength::Unknown {
            ex.body = kept(ex, module).await?;
        }
        let input = |body, framing| Ok(Input { body, framing });
        match ex.body.length() {
            BodyLength::None | BodyLength::Unknown => input(None, Framing::None),
            BodyLength::Known(length) if limit.is_some_and(|limit| length > limit) => {
                Err(broken_body(BodyError::TooLarge).of_module(module))
            }
            BodyLength::Known(0) => input(None, Framing::Length(0)),
            BodyLength::Known(length) => input(Some(ex.body.clone()), Framing::Length(length)),
        }
    }

    /// What streams whatever its length, in chunks; it has a limit only where LimitRequestBody says it.
    pub(in crate::handlers) fn in_chunks(ex: &Exchange, place: &Place, module: &'static str) -> Result<Input, Fail> {
        let limit = place.conf.core.limit_request_body.value().copied();
        let limit = limit.filter(|limit| *limit > 0);
        if let (BodyLength::Known(length), Some(limit)) = (ex.body.length(), limit)
            && length > limit
        {
            return Err(broken_body(BodyError::TooLarge).of_module(module));
        }
        ex.body.limit(limit);
        Ok(Input {
            body: Some(ex.body.clone()),
            framing: Framing::Chunked,
        })
    }

    /// CONTENT_LENGTH.
    pub(in crate::handlers) fn length(&self) -> Option<u64> {
        match self.framing {
            Framing::Length(length) => Some(length),
            Framing::None | Framing::Chunked => None,
        }
    }

    /// How it is sent, where that must be told.
    pub(in crate::handlers) fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether there is nothing more of it, for sure.
    pub(in crate::handlers) fn is_empty(&self) -> bool {
        self.body.is_none()
    }

    /// The next bytes; `None` at the end.
    pub(in crate::handlers) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        let Some(body) = &self.body else {
            return Poll::Ready(Ok(None));
        };
        let next = std::task::ready!(body.poll_data(cx));
        if matches!(next, Ok(None)) {
            self.body = None;
        }
        Poll::Ready(next)
    }
}

/// Keeps a chunked body, so that the application can be told its length.
async fn kept(ex: &Exchange, module: &'static str) -> Result<RequestBody, Fail> {
    let no_room = |error: std::io::Error| {
        Fail::internal(format!(
            "the request's body cannot be kept for the application: {error}"
        ))
        .of_module(module)
    };
    let mut spool = Spool::new().map_err(no_room)?;
    let broken = |error| broken_body(error).of_module(module);
    while let Some(bytes) = ex.body.data().await.map_err(broken)? {
        spool.add(&bytes).map_err(no_room)?;
    }
    let length = spool.length();
    let file = File::from(spool.into_reader().map_err(no_room)?);
    Ok(RequestBody::new(Rc::new(RefCell::new(Kept {
        file,
        length,
        client: ex.body.clone(),
    }))))
}

/// A body that was kept.
struct Kept {
    file: File,
    length: u64,
    /// Whose it was.
    client: RequestBody,
}

impl Incoming for Kept {
    fn length(&self) -> BodyLength {
        BodyLength::Known(self.length)
    }

    fn limit(&mut self, _bytes: Option<u64>) {}

    fn pace(&mut self, _stage: StageTimeout, _each: Duration) {}

    fn poll_data(&mut self, _cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        let mut piece = vec![0; PIECE];
        Poll::Ready(match self.file.read(&mut piece) {
            Ok(0) => Ok(None),
            Ok(count) => {
                piece.truncate(count);
                Ok(Some(Bytes::from(piece)))
            }
            // It is ours, so it can be read; were it not, the application sees less than it was told.
            Err(_) => Err(BodyError::Gone),
        })
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Gone> {
        self.client.poll_gone(cx)
    }

    fn interim(&mut self, head: &[u8]) {
        self.client.interim(head);
    }

    fn probe(&mut self) -> Probed {
        self.client.probe()
    }
}
