//! Standard input of an application: the request's body as it comes, or, where its length is told at its end only, as it
//! was kept.

use std::fs::File;
use std::io::Read;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::config::directives::core::BODY_LIMIT;
use crate::exchange::Exchange;
use crate::exchange::body::{BodyError, BodyLength, RequestBody};
use crate::exchange::fail::Fail;
use crate::exchange::place::Place;
use crate::fs::spool::Spool;
use crate::handlers::cgi::broken_body;

/// So much of a kept body is read at one time.
const PIECE: usize = 64 * 1024;

/// Standard input.
pub(in crate::handlers) struct Input {
    source: Source,
    length: Option<u64>,
}

enum Source {
    /// There is none, or it has ended.
    Nothing,
    /// The client's, as it comes.
    Body(RequestBody),
    /// Kept.
    Kept(File),
}

impl Input {
    /// Prepares it: a body of known length streams, another is kept until its length is known. What streams has a limit only
    /// where LimitRequestBody says it; Apache minds none at all.
    pub(in crate::handlers) async fn of(ex: &Exchange, place: &Place, module: &'static str) -> Result<Input, Fail> {
        let said = &place.conf.core.limit_request_body;
        let limit = match ex.body.length() {
            BodyLength::Unknown => Some(said.or(BODY_LIMIT)),
            BodyLength::None | BodyLength::Known(_) => said.value().copied(),
        };
        let limit = limit.filter(|limit| *limit > 0);
        ex.body.limit(limit);
        let input = |source, length| Ok(Input { source, length });
        match ex.body.length() {
            BodyLength::None => input(Source::Nothing, None),
            BodyLength::Known(length) if limit.is_some_and(|limit| length > limit) => {
                Err(broken_body(BodyError::TooLarge).of_module(module))
            }
            BodyLength::Known(0) => input(Source::Nothing, Some(0)),
            BodyLength::Known(length) => input(Source::Body(ex.body.clone()), Some(length)),
            BodyLength::Unknown => kept(ex, module).await,
        }
    }

    /// CONTENT_LENGTH.
    pub(in crate::handlers) fn length(&self) -> Option<u64> {
        self.length
    }

    /// Whether there is nothing more of it, for sure.
    pub(in crate::handlers) fn is_empty(&self) -> bool {
        matches!(self.source, Source::Nothing)
    }

    /// The next bytes; `None` at the end.
    pub(in crate::handlers) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        let next = match &mut self.source {
            Source::Nothing => return Poll::Ready(Ok(None)),
            Source::Body(body) => std::task::ready!(body.poll_data(cx)),
            Source::Kept(file) => {
                let mut piece = vec![0; PIECE];
                match file.read(&mut piece) {
                    Ok(0) => Ok(None),
                    Ok(count) => {
                        piece.truncate(count);
                        Ok(Some(Bytes::from(piece)))
                    }
                    // It is ours, so it can be read; were it not, the application sees less than it was told.
                    Err(_) => Err(BodyError::Gone),
                }
            }
        };
        if matches!(next, Ok(None)) {
            self.source = Source::Nothing;
        }
        Poll::Ready(next)
    }
}

/// Keeps a chunked body, so that the application can be told its length.
async fn kept(ex: &Exchange, module: &'static str) -> Result<Input, Fail> {
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
    Ok(Input {
        source: Source::Kept(file),
        length: Some(length),
    })
}
