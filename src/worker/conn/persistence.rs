//! What a response says of the connection, and whether that goes on; the head that goes out.

use std::task::Poll;
use std::time::SystemTime;

use crate::config::directives::keep_alive::KeptRequests;
use crate::exchange::Exchange;
use crate::exchange::response::{AfterResponse, Body, Origin, Response};
use crate::http::fields::append_line;
use crate::http::framing::{Persistence, ResponseFraming};
use crate::http::head::Version;
use crate::http::response::append_status_line;
use crate::http::status::Status;
use crate::net::stream::More;
use crate::worker::conn::short::date;
use crate::worker::conn::{Conn, KEEP_ALIVE, Then};
use crate::worker::reader::Filler;
use crate::worker::writer::Cut;

impl Conn {
    /// Whether the connection goes on behind this response.
    pub(super) fn persistence(&self, ex: &Exchange, response: &Response, framing: ResponseFraming) -> Persistence {
        let core = &ex.site.settings.core;
        let left = core
            .max_keep_alive_requests
            .or(KeptRequests::USUAL)
            .left_behind(self.requests);
        let willing = core.keep_alive.or(true)
            && !core.keep_alive_timeout.or(KEEP_ALIVE).is_zero()
            && ex.variable(b"nokeepalive").is_none()
            && left != Some(0)
            && response.connection == AfterResponse::Keep
            && !drops_connection(response.head.status)
            && !self.thread.drain.is_asked()
            && self.reader.borrow().worth_draining();
        let ours = if willing {
            Persistence::KeepAlive
        } else {
            Persistence::Close
        };
        Persistence::asked_by(&ex.head).and(framing.persistence()).and(ours)
    }

    /// Whether its client has asked for the end of the connection behind this response, and has said all it may say
    /// (RFC 9112 section 9.6): then a close loses nothing. Bodies are left out, for there are clients that add a line end to them.
    pub(super) fn has_heard_the_last(&self, ex: &Exchange) -> bool {
        let has_body = [&b"content-length"[..], b"transfer-encoding"]
            .iter()
            .any(|name| ex.head.field(name).is_some());
        Persistence::asked_by(&ex.head) == Persistence::Close
            && !has_body
            && self.tls.is_none()
            && self.reader.borrow().buffer.is_empty()
    }

    /// Sends what was collected, with the end of the connection in the same packet if it fits; whether that could be done at
    /// once.
    pub(super) fn leave(&mut self) -> bool {
        match self.writer.try_flush_with(More::Follows) {
            Poll::Ready(Ok(())) => self.stream.shut_down_sending(),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => return false,
        }
        self.writer.rest();
        true
    }

    pub(super) fn put_head(
        &mut self,
        ex: &Exchange,
        response: &mut Response,
        framing: ResponseFraming,
        stays: Persistence,
    ) {
        let version = ex.head.version();
        if version == Version::V09 {
            return;
        }
        let fields = &mut response.head.fields;
        // These two are the server's own to say, whatever a script has said, but for another server's.
        let [has_date, has_server] = ["Date", "Server"].map(|name| {
            let is_theirs = response.origin == Origin::Behind && fields.contains(name);
            if !is_theirs {
                fields.remove(name);
            }
            is_theirs
        });
        framing.set_fields(fields);
        if let Body::Tunnel(tunnel) = &response.body {
            fields.set("Upgrade", tunnel.protocol());
            fields.set("Connection", "Upgrade");
        } else if stays == Persistence::KeepAlive && Persistence::is_asked_for(&ex.head) {
            let core = &ex.site.settings.core;
            let timeout = core.keep_alive_timeout.or(KEEP_ALIVE).as_secs();
            let kept = core.max_keep_alive_requests.or(KeptRequests::USUAL);
            let value = match kept.left_behind(self.requests) {
                None => format!("timeout={timeout}"),
                Some(left) => format!("timeout={timeout}, max={left}"),
            };
            fields.append("Keep-Alive", value);
            fields.append("Connection", "Keep-Alive");
        } else {
            stays.append_field(version, fields);
        }
        let out = self.writer.head();
        append_status_line(out, response.head.status, response.head.reason());
        if !has_date {
            out.extend_from_slice(b"Date: ");
            let began = &ex.began;
            let now = began
                .first_byte
                .map_or_else(SystemTime::now, |passed| began.wall + passed);
            out.extend_from_slice(&date(now));
            out.extend_from_slice(b"\r\n");
        }
        if !has_server {
            append_line(out, b"Server", &self.thread.server_field);
        }
        response.head.fields.append_to(out);
        out.extend_from_slice(b"\r\n");
    }
}

/// What becomes of the connection behind a body that was sent, or was not.
pub(super) fn behind(sent: Result<(), Cut>, framing: ResponseFraming, stays: Persistence) -> Then {
    match (sent, framing) {
        (Ok(()), _) if stays == Persistence::KeepAlive => Then::GoOn,
        // A body that breaks off before its announced end shows that itself; one that ends with the connection does not.
        (Err(Cut::Body), ResponseFraming::UntilClose) | (Err(Cut::Client), _) => Then::Reset,
        (Ok(()) | Err(Cut::Body), _) => Then::Close,
    }
}

/// The statuses behind which Apache closes: the request, or our state, cannot be trusted any further.
fn drops_connection(status: Status) -> bool {
    matches!(status.code(), 400 | 408 | 411 | 413 | 414 | 431 | 500 | 501 | 503)
}

/// Interim responses are for clients of HTTP/1.1 (RFC 9110 section 15.2).
pub(super) fn interim(ex: &Exchange) -> Filler {
    if ex.head.version() == Version::V11 {
        Filler::Interim
    } else {
        Filler::None
    }
}
