//! The beginning of a connection whose address speaks TLS.

use std::future::Future;
use std::io;
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::waits::Waited;
use super::{Conn, Then, timeout_of};
use crate::config::directives::site::StageTimeout;
use crate::config::directives::tls;
use crate::exchange::fail::Fail;
use crate::http::status::Status;
use crate::lang::log_level::Level;
use crate::net::stream::{More, Unsecured};
use crate::net::tls::{Engine, Secured, Session, begin};
use crate::worker::reader::allowance;

/// The first bytes of records (RFC 8446 section 5.1); that of a handshake comes first.
const RECORDS: RangeInclusive<u8> = 20..=24;
const HANDSHAKE: u8 = 22;

/// The alert `protocol_version` (RFC 8446 section 6.2): what a client is told that begins as in SSL 2.0.
const TOO_OLD: &[u8] = &[21, 3, 3, 0, 2, 2, 70];

/// What a client's first byte is the beginning of.
enum Greeting {
    /// A record of TLS.
    Record,
    /// A request, or an empty line before one.
    Request,
    /// A hello of SSL 2.0.
    Old,
    /// Neither.
    Other,
}

impl Greeting {
    fn of(first: u8) -> Greeting {
        match first {
            _ if RECORDS.contains(&first) => Greeting::Record,
            b'\r' | b'\n' => Greeting::Request,
            _ if first.is_ascii_graphic() => Greeting::Request,
            0x80.. => Greeting::Old,
            _ => Greeting::Other,
        }
    }
}

impl Conn {
    /// Whether it is a hello of TLS that came where a request should. Its client would wait for a server's hello, and the parser
    /// for the end of a line.
    pub(super) fn begins_as_tls(&self) -> bool {
        self.reader.borrow().buffer.first() == Some(&HANDSHAKE)
    }

    /// Whether the address speaks TLS from the first byte on.
    pub(super) fn begins_with_tls(&self) -> bool {
        self.speaks(tls::Engine::On)
    }

    /// Whether TLS begins now: the address leaves it to its clients, and the first byte of this one's connection says so.
    pub(super) fn chooses_tls(&self) -> bool {
        self.requests == 0 && self.tls.is_none() && self.begins_as_tls() && self.speaks(tls::Engine::Optional)
    }

    fn speaks(&self, engine: tls::Engine) -> bool {
        self.site.settings.tls.spoken() == engine && self.thread.engines.of(self.site).is_some()
    }

    /// Begins TLS where the client has chosen it: what becomes of the connection.
    pub(super) async fn upgrade(&mut self) -> Then {
        if self.secure().await { Then::GoOn } else { Then::Close }
    }

    /// Comes to an agreement with the client; whether the connection goes on. A client that does not speak TLS is answered
    /// so that it can read it.
    pub(super) async fn secure(&mut self) -> bool {
        let until = self.handshake_deadline();
        let first = loop {
            let first = self.reader.borrow().buffer.first().copied();
            match first {
                Some(first) => break first,
                None => match self.wait_for_bytes(until, Instant::now()).await {
                    Waited::Bytes => {}
                    Waited::TooLate | Waited::Ended => return false,
                },
            }
        };
        match Greeting::of(first) {
            Greeting::Record => {}
            Greeting::Request => {
                self.speaks_plainly = true;
                return true;
            }
            Greeting::Old => {
                // Who does not take it closes anyway.
                let _unsent = self.stream.try_write(TOO_OLD, More::Nothing);
                return self.disagreed(&"it begins as in SSL 2.0, or as nothing that is known");
            }
            Greeting::Other => return self.disagreed(&"it speaks neither TLS nor HTTP"),
        }
        self.thread.roster.reads(self.seat);
        let thread = Rc::clone(&self.thread);
        let Some(engine) = thread.engines.of(self.site) else {
            return false;
        };
        let agreed = timeout_at(until, self.agreement(engine)).await;
        match agreed {
            Ok(Ok((session, secured))) => {
                if let Some(site) = self.thread.config.sites.get(secured.site) {
                    self.site = site;
                    self.last_site = site;
                }
                self.stream.secure(session);
                self.tls = Some(Rc::new(secured));
                true
            }
            Ok(Err(error)) => self.disagreed(&error),
            Err(_) => self.disagreed(&"it took too long (RequestReadTimeout handshake, Timeout)"),
        }
    }

    /// The handshake itself. What was read of it already comes first.
    fn agreement<'t>(&mut self, own: &'t Engine) -> impl Future<Output = io::Result<(Session, Secured)>> + use<'t> {
        let first = self.reader.borrow_mut().buffer.split().freeze();
        let unsecured = Unsecured::new(Rc::clone(&self.stream), first);
        let (thread, local) = (Rc::clone(&self.thread), self.local);
        async move {
            let hello = begin(unsecured).await?;
            let named = hello.server_name();
            let named = thread.config.site_for(local, named.as_deref(), b"");
            // A site without TLS is reached over that of its address, as in Apache.
            hello.agree(thread.engines.of(named).unwrap_or(own), named.number).await
        }
    }

    /// What is to be said to a client that begins with TLS where it is not spoken, or not any more.
    pub(super) fn unexpected_tls(&self) -> Fail {
        let note = match self.site.settings.tls.spoken() {
            tls::Engine::Off => "TLS was spoken to an address without it (SSLEngine is off)",
            tls::Engine::On | tls::Engine::Optional => "TLS was begun where a request should be",
        };
        Fail::client(Status::BAD_REQUEST, note).of_module("ssl").closing()
    }

    fn disagreed(&self, why: &dyn std::fmt::Display) -> bool {
        let message = format_args!("TLS: no agreement with {}: {why}", self.peer.ip());
        self.thread.note(Level::Info, message);
        false
    }

    /// RequestReadTimeout's stage, and Timeout in any case.
    fn handshake_deadline(&self) -> Instant {
        let stage = self.site.settings.core.read_timeout.handshake.or(StageTimeout {
            first: Duration::ZERO,
            most: None,
            min_rate: 0,
        });
        let (now, patience) = (Instant::now(), timeout_of(self.site));
        now + allowance(&stage, 0).map_or(patience, |allowed| allowed.min(patience))
    }

    /// What is said without TLS to an address that speaks nothing else.
    pub(super) fn plainness(&self) -> Option<Fail> {
        self.speaks_plainly
            .then(|| Fail::plain_http("plain HTTP was spoken to an address of TLS (SSLEngine)").closing())
    }
}
