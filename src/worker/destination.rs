//! The short way of a request for a script, an application or another server: what its phases found is kept, and the next request
//! of the same name, whose answers to their questions are the same, goes there at once. Only the way is kept; every request is
//! answered by the script, application or server itself. Without this file every such request goes through the phases.

use std::cell::Cell;
use std::mem::swap;
use std::rc::Rc;

use crate::exchange::body::RequestBody;
use crate::exchange::place::Place;
use crate::exchange::{Began, Connection, Exchange};
use crate::filters::chain;
use crate::handlers::known::Known;
use crate::handlers::{application, proxy};
use crate::http::depends::{self, Asked, Depends};
use crate::http::head::RequestHead;
use crate::phases::choose::Handler;
use crate::worker::shortcut::{Kept, around, door, host_of};
use crate::worker::thread::Thread;

/// About what an exchange and a place have besides their own size and the request's: names of files, what the application is told.
const AROUND: usize = 4096;

/// Where requests of one name lead.
pub struct Destination {
    ex: Exchange,
    /// Who asks.
    pub handler: Handler,
    /// The place that the phases found.
    pub place: Place,
    /// What is known of who answers there.
    pub known: Known,
}

impl Destination {
    /// Whether what its application answers is sent as it is.
    pub fn has_no_filters(&self) -> bool {
        !chain::are_there(&self.ex)
    }

    /// Another request's exchange, as the phases would leave it.
    pub fn exchange(
        &self,
        head: Box<RequestHead>,
        connection: Connection,
        body: RequestBody,
        occasion: (Began, [u8; 24]),
    ) -> Exchange {
        self.ex.repeated(head, connection, body, occasion)
    }

    /// The same for a moment, and for a request without a body: what comes back is given to the next one.
    pub fn lent<T>(
        &self,
        head: &mut Box<RequestHead>,
        connection: Connection,
        occasion: (Began, [u8; 24]),
        act: impl FnOnce(&mut Exchange) -> T,
    ) -> T {
        thread_local! {
            static SPARE: Cell<Option<Box<Exchange>>> = const { Cell::new(None) };
        }
        let mut ex = if let Some(mut spare) = SPARE.take() {
            self.ex.repeat_in(&mut spare, connection, occasion);
            spare
        } else {
            let (head, body) = (RequestHead::new(), RequestBody::none());
            Box::new(self.ex.repeated(head, connection, body, occasion))
        };
        swap(&mut ex.head, head);
        let done = act(&mut ex);
        swap(&mut ex.head, head);
        // It is of one connection.
        ex.connection.tls = None;
        SPARE.set(Some(ex));
        done
    }
}

/// Where a request leads, and what was begun of it.
pub struct Leads {
    /// The way that is kept.
    pub destination: Rc<Destination>,
    /// What the one behind this server has been told.
    pub begun: Option<Begun>,
}

/// A request that was begun.
pub enum Begun {
    /// An application was told of it.
    Application(Box<application::at_once::Begun>),
    /// A server that speaks HTTP was.
    Server(Box<proxy::at_once::Begun>),
}

impl Begun {
    /// Its UNIQUE_ID.
    pub fn unique_id(&self) -> [u8; 24] {
        match self {
            Begun::Application(begun) => begun.unique_id,
            Begun::Server(begun) => begun.unique_id,
        }
    }
}

/// Does something for a request, and tells what that depends on, unless it is on a short way already: its way is known.
pub fn recorded<T>(is_known: bool, make: impl FnOnce() -> T) -> (T, Option<Depends>) {
    if is_known {
        return (make(), None);
    }
    let (done, depends) = depends::record(make);
    (done, Some(depends))
}

/// A request on its way to an application, before anything of it was told.
pub struct Scene {
    ex: Exchange,
    asked: Asked,
}

impl Scene {
    /// That of a request whose phases depend on this, if another may go the same way: one that only asks, and whose phases left
    /// nothing behind but what they found. An error document is none, for its status is that of the error before it. There is none
    /// of what was not asked before.
    pub fn of(thread: &Thread, ex: &Exchange, depends: Depends) -> Option<Scene> {
        let cache = thread.cache.as_ref()?;
        let client = &ex.client;
        let is_plain = ex.trail.is_none()
            && client.user.is_none()
            && client.host.is_none()
            && ex.rewriting.main.is_none()
            && ex.error_status().is_none()
            && ex.rewriting.lines.is_empty()
            && ex.head.target_bytes().starts_with(b"/");
        let host = host_of(&ex.head).filter(|_| is_plain)?;
        if !cache.is_asked_again(&cache.name(door(&ex.connection), ex.head.request_line(), host)) {
            return None;
        }
        let asked = depends.asked(&ex.head, ex.connection.client.ip())?;
        let connection = ex.connection.clone();
        let occasion = (ex.began, ex.unique_id);
        let mut ex = ex.repeated(RequestHead::new(), connection, RequestBody::none(), occasion);
        // It is of one connection.
        ex.client.gate = None;
        Some(Scene { ex, asked })
    }

    /// Keeps where the request with this head has led.
    pub fn keep(self, thread: &Thread, head: &RequestHead, (handler, place, known): (Handler, Place, Known)) {
        let (Some(cache), Some(host)) = (&thread.cache, host_of(head)) else {
            return;
        };
        let Scene { mut ex, asked } = self;
        let name = cache.name(door(&ex.connection), head.request_line(), host);
        ex.connection.tls = None;
        let made = (ex.began.wall, ex.began.instant);
        // The application is told of the request what the exchange has of it.
        let weight = size_of::<Destination>() + AROUND + 2 * around(&ex, head);
        let destination = Destination {
            ex,
            handler,
            place,
            known,
        };
        cache.keep(
            &name,
            (asked, None),
            weight,
            made,
            Kept::Destination(Rc::new(destination)),
        );
    }
}
