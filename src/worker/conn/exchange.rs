//! What the connection gives to an exchange.

use std::rc::Rc;

use crate::exchange::authorizers::{Authorizers, Gate};
use crate::exchange::body::RequestBody;
use crate::exchange::{Began, Connection, Exchange};
use crate::http::head::RequestHead;
use crate::worker::conn::Conn;
use crate::worker::destination::Destination;

impl Conn {
    /// The connection as its next request sees it.
    pub(super) fn connection(&self) -> Connection {
        Connection {
            local: self.local,
            peer: self.peer,
            client: self.proxied.as_deref().copied().unwrap_or(self.peer),
            earlier_requests: self.requests,
            opened: self.opened,
            tls: self.tls.clone(),
        }
    }

    /// A request on it; where that leads, if it is known.
    pub(super) fn exchange(
        &self,
        head: Box<RequestHead>,
        (began, unique_id): (Began, [u8; 24]),
        body: RequestBody,
        destination: Option<&Destination>,
    ) -> Exchange {
        let connection = self.connection();
        let mut ex = match destination {
            Some(destination) => destination.exchange(head, connection, body, (began, unique_id)),
            None => Exchange::new(self.thread.config, connection, head, body, began),
        };
        ex.unique_id = unique_id;
        if self.thread.has_authorizers {
            ex.client.gate = Some(Gate(Rc::clone(&self.thread.applications) as Rc<dyn Authorizers>));
        }
        ex
    }
}
