//! The body of another server's response, as it comes: cut when that server falls silent or fails, so that the client can see
//! it. And the far end of a connection on which another protocol is spoken.

use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;

use crate::backend::http::Line;
use crate::config::backends::Address;
use crate::exchange::response::{BodyStream, Broken, Tunnel};
use crate::handlers::proxy::talk::{Event, Talk};
use crate::http::fields::Fields;
use crate::scripts::notes::Weight;

/// Fields that a trailer cannot say (RFC 9110 section 6.5.1): framing, routing, authentication, and how the body is read.
const NOT_IN_TRAILERS: &[&[u8]] = &[
    b"authorization",
    b"cache-control",
    b"connection",
    b"content-encoding",
    b"content-length",
    b"content-range",
    b"content-type",
    b"date",
    b"expires",
    b"host",
    b"keep-alive",
    b"location",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"set-cookie",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
    b"vary",
    b"www-authenticate",
];

/// What is behind the head of a response.
pub(super) struct ResponseStream {
    /// The conversation; `None` when it is over.
    talk: Option<Talk>,
    address: Address,
    trailer: Fields,
}

impl ResponseStream {
    pub(super) fn new(talk: Talk, address: Address) -> ResponseStream {
        ResponseStream {
            talk: Some(talk),
            address,
            trailer: Fields::new(),
        }
    }

    fn end(&mut self) {
        let Some(talk) = self.talk.take() else { return };
        for (name, value) in talk.end().iter() {
            if !NOT_IN_TRAILERS.iter().any(|not| name.eq_ignore_ascii_case(not)) {
                self.trailer.append(name, value);
            }
        }
    }

    /// The response breaks off; the connection to its server is closed.
    fn fail(&mut self, why: &str) -> Result<Bytes, Broken> {
        if let Some(talk) = self.talk.take() {
            let told = format!("server `{}`: {why}: the response is cut", self.address);
            talk.notes().note(Weight::Error, None, &told);
        }
        Err(Broken)
    }
}

impl BodyStream for ResponseStream {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        let Some(talk) = &mut self.talk else {
            return Poll::Ready(None);
        };
        Poll::Ready(match std::task::ready!(talk.poll(cx)) {
            Event::Data(bytes) => Some(Ok(bytes)),
            Event::End => {
                self.end();
                None
            }
            Event::Trouble(trouble) => Some(self.fail(&trouble.to_string())),
            Event::Body(_) => Some(self.fail("the request's body broke off while it was answering")),
            Event::Gone => {
                self.talk = None;
                Some(Err(Broken))
            }
            Event::Interim(_) | Event::Head(..) | Event::Switched(_) => Some(self.fail("a second head")),
        })
    }

    fn take_trailer(&mut self) -> Fields {
        std::mem::take(&mut self.trailer)
    }
}

/// The far end of another protocol.
pub(super) struct FarEnd {
    line: Line,
    protocol: Vec<u8>,
}

impl FarEnd {
    pub(super) fn new(line: Line, protocol: Vec<u8>) -> FarEnd {
        FarEnd { line, protocol }
    }
}

impl Tunnel for FarEnd {
    fn protocol(&self) -> &[u8] {
        &self.protocol
    }

    fn silence(&self) -> Duration {
        self.line.silence()
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        self.line.poll_read(cx)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &mut Bytes) -> Poll<io::Result<()>> {
        self.line.poll_write(cx, bytes)
    }

    fn end(&mut self) {
        self.line.end();
    }
}
