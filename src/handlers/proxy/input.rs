//! The body that a server behind this one gets: the client's as it comes, with its length or in chunks; or, where that server
//! must be told the length, as it was kept.

use std::task::{Context, Poll};

use bytes::Bytes;

use crate::exchange::Exchange;
use crate::exchange::body::{BodyError, BodyLength, RequestBody};
use crate::exchange::fail::Fail;
use crate::exchange::place::Place;
use crate::handlers::application::input as whole;
use crate::handlers::cgi::broken_body;
use crate::handlers::proxy::MODULE;
use crate::http::framing::Framing;
use crate::http::head::Version;

/// The body.
pub(super) struct Input {
    source: Source,
    framing: Framing,
}

enum Source {
    /// There is none, or it has ended.
    Nothing,
    /// The client's, as it comes.
    Body(RequestBody),
    /// Of a known length, or kept.
    Whole(Box<whole::Input>),
}

impl Input {
    /// Prepares it for a server that is spoken to in `version`. As in Apache, `proxy-sendcl` asks for a length and
    /// `proxy-sendchunked` for chunks. The body has a limit only where LimitRequestBody says it.
    pub(super) async fn of(ex: &mut Exchange, place: &Place, version: Version) -> Result<Input, Fail> {
        let wants_length = version == Version::V10 || ex.variable(b"proxy-sendcl").is_some();
        let wants_chunks = ["proxy-sendchunked", "proxy-sendchunks"]
            .iter()
            .any(|name| ex.variable(name.as_bytes()).is_some());
        let streams = match ex.body.length() {
            BodyLength::None | BodyLength::Known(0) => false,
            BodyLength::Known(_) => wants_chunks && !wants_length,
            BodyLength::Unknown => !wants_length,
        };
        if !streams {
            let whole = whole::Input::of(ex, place, MODULE).await?;
            let framing = whole.length().map_or(Framing::None, Framing::Length);
            return Ok(Input {
                source: Source::Whole(Box::new(whole)),
                framing,
            });
        }
        let limit = place.conf.core.limit_request_body.value().copied();
        let limit = limit.filter(|limit| *limit > 0);
        if let (BodyLength::Known(length), Some(limit)) = (ex.body.length(), limit)
            && length > limit
        {
            return Err(broken_body(BodyError::TooLarge).of_module(MODULE));
        }
        ex.body.limit(limit);
        Ok(Input {
            source: Source::Body(ex.body.clone()),
            framing: Framing::Chunked,
        })
    }

    /// How the server is told of it.
    pub(super) fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether there is nothing more of it, for sure.
    pub(super) fn is_empty(&self) -> bool {
        match &self.source {
            Source::Nothing => true,
            Source::Body(_) => false,
            Source::Whole(whole) => whole.is_empty(),
        }
    }

    /// The next bytes; `None` at the end.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        let next = match &mut self.source {
            Source::Nothing => return Poll::Ready(Ok(None)),
            Source::Body(body) => std::task::ready!(body.poll_data(cx)),
            Source::Whole(whole) => std::task::ready!(whole.poll(cx)),
        };
        if matches!(next, Ok(None)) {
            self.source = Source::Nothing;
        }
        Poll::Ready(next)
    }
}
