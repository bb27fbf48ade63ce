//! A connection that is given to a service (lychgate-handoff(7)), and one that comes back: it is the same connection as before,
//! with the bytes that the service has not used.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;
use tokio::time::Instant;

use super::{Conn, Then};
use crate::backend::handoff::{Errand, Fate, NotGiven};
use crate::config::site::Site;
use crate::exchange::Exchange;
use crate::exchange::fail::{Blame, Fail};
use crate::exchange::response::{HandOff, Response};
use crate::gateway::handoff;
use crate::http::status::Status;
use crate::lang::log_level::Level;
use crate::net::stream::Stream;
use crate::worker::accept::Counted;
use crate::worker::record::Sent;
use crate::worker::serve;
use crate::worker::thread::Thread;

/// The module in whose name the log speaks.
const MODULE: &str = "proxy";

/// What a connection has in hand, should a service take it.
pub(super) struct Hand {
    /// The last request's head as it was read.
    head: Vec<u8>,
    /// The way to the service that has the connection.
    errand: Option<Errand>,
}

impl Hand {
    /// A request's head.
    pub(super) fn with(head: &[u8]) -> Box<Hand> {
        Box::new(Hand {
            head: head.to_vec(),
            errand: None,
        })
    }
}

/// What stays here of a connection that a service has.
pub(super) struct Away {
    errand: Errand,
    thread: Rc<Thread>,
    counted: Counted,
    last_site: &'static Site,
    peer: SocketAddr,
    proxied: Option<Box<SocketAddr>>,
    requests: u32,
    opened: u64,
}

impl Conn {
    /// Gives the connection to the service that is ready for it. What the client gets from now on is unknown here, so that the
    /// request is logged at once.
    pub(super) async fn hand_off(&mut self, ex: &mut Exchange, response: &Response, hand_off: HandOff) -> Then {
        if self.writer.flush().await.is_err() {
            return Then::Close;
        }
        self.writer.rest();
        let HandOff {
            mut errand,
            about,
            patience,
        } = hand_off;
        let sent = Sent {
            aborted: false,
            ..Sent::nothing()
        };
        match self.give(&mut errand, &about, Instant::now() + patience).await {
            Ok(()) => {
                self.thread.log_request(ex, Some(response), &sent);
                if let Some(hand) = &mut self.hand {
                    hand.errand = Some(errand);
                }
                Then::Away
            }
            Err(NotGiven::AtAll(error)) => {
                let fail = failed(ex, &format!("the connection could not be given: {error}"));
                drop(errand);
                match serve::refuse(ex, &self.thread, fail).await {
                    Some(mut response) => Box::pin(self.send(ex, &mut response)).await,
                    None => Then::Close,
                }
            }
            Err(NotGiven::Whole(error)) => {
                let why = format!("the connection was given, but not all that was read of it: {error}");
                if let Fail::Reply(reply) = failed(ex, &why) {
                    self.thread.record(ex, &reply);
                }
                self.thread.log_request(ex, Some(response), &Sent::nothing());
                Then::Reset
            }
        }
    }

    async fn give(&mut self, errand: &mut Errand, about: &handoff::About, until: Instant) -> Result<(), NotGiven> {
        let head = self.hand.as_ref().map_or(&b""[..], |hand| &hand.head);
        let message = Bytes::from(handoff::message(about, head, &self.reader.borrow().buffer));
        let connection = self.stream.plain().map_err(NotGiven::AtAll)?;
        let blocks = |value: bool| rustix::io::ioctl_fionbio(connection, !value);
        // The service gets what accept(2) would give it.
        blocks(true).map_err(|errno| NotGiven::AtAll(errno.into()))?;
        let given = errand.give(message, connection, until).await;
        if let Err(NotGiven::AtAll(_)) = given {
            blocks(false).map_err(|errno| NotGiven::AtAll(errno.into()))?;
        }
        given
    }

    /// Lets go of the connection, where a service has it.
    pub(super) fn away(mut self) -> Option<Away> {
        Some(Away {
            errand: self.hand.take()?.errand?,
            thread: Rc::clone(&self.thread),
            counted: self.counted.take()?,
            last_site: self.last_site,
            peer: self.peer,
            proxied: self.proxied.take(),
            requests: self.requests,
            opened: self.opened,
        })
    }
}

fn failed(ex: &Exchange, why: &str) -> Fail {
    let handler = String::from_utf8_lossy(&ex.handler);
    Fail::new(Status::BAD_GATEWAY, Blame::Server, format!("`{handler}`: {why}")).of_module(MODULE)
}

impl Away {
    /// Waits until the connection comes back. Where it does not, nothing more is to be done.
    pub(super) async fn until_back(mut self) -> Option<Conn> {
        let mut is_told = false;
        let fate = {
            let thread = Rc::clone(&self.thread);
            let mut stop = std::pin::pin!(thread.drain.asked());
            poll_fn(|cx| {
                if !is_told && stop.as_mut().poll(cx).is_ready() {
                    is_told = true;
                    self.errand.wants_none_back();
                }
                self.errand.poll_fate(cx)
            })
            .await
        };
        match fate {
            Fate::Kept => None,
            Fate::Back(connection, unused) => {
                let stream = rustix::io::ioctl_fionbio(&connection, true)
                    .map_err(std::io::Error::from)
                    .map(|()| Stream::new(connection));
                match stream {
                    Ok(stream) => self.back(stream, &unused),
                    Err(error) => {
                        self.note(&format!("a connection came back that cannot be served: {error}"));
                        None
                    }
                }
            }
            Fate::Wrong(why) => {
                self.note(&format!("the service that has the connection {why}; it keeps it"));
                None
            }
        }
    }

    fn note(&self, why: &str) {
        let message = format_args!("hand-off of {}: {why}", self.peer);
        self.thread.note(Level::Error, message);
    }

    /// The connection as it was, with what is read of it and not used.
    fn back(self, stream: Stream, unused: &[u8]) -> Option<Conn> {
        let mut connection = Conn::new(self.thread, self.counted, stream, self.peer, None)?;
        if let Some(client) = self.proxied {
            connection.thread.roster.is_of(connection.seat, *client);
            connection.proxied = Some(client);
        }
        connection.requests = self.requests;
        connection.opened = self.opened;
        connection.last_site = self.last_site;
        connection.reader.borrow_mut().begin_with(unused);
        Some(connection)
    }
}
