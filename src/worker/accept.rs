//! Taking connections in: one acceptor for each listening socket of a thread. Where there is no place or no descriptor,
//! the connection that has been idle longest makes room, or the new one waits in the backlog.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::lang::log_level::Level;
use crate::net::accept::{Accepted, Listener};
use crate::net::stream::Stream;
use crate::worker::conn::{self, Conn};
use crate::worker::crowd::Place;
use crate::worker::fcgi_conn;
use crate::worker::thread::{Protocol, Thread};

/// How long accepting pauses at most before it is tried again: a descriptor may have become free without our knowing.
const PAUSE: Duration = Duration::from_millis(250);
/// So often it is logged that new connections wait.
const COMPLAINT: Duration = Duration::from_secs(60);

/// So many connections that came together are taken in before the first of them is looked at: meanwhile their first requests come.
const MOST_TOGETHER: usize = 32;

/// More than any backlog the system allows by itself.
const MOST_WAITING: usize = 65_536;

/// How many connections a thread has.
#[derive(Default)]
pub struct Connections {
    count: std::cell::Cell<usize>,
    changed: Notify,
}

impl Connections {
    /// Whether it has none.
    pub fn none(&self) -> bool {
        self.count.get() == 0
    }

    /// Waits until one has ended.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// One connection's part of the count of its thread and of its process, however it ends.
pub struct Counted {
    connections: Rc<Connections>,
    _place: Place,
}

impl Counted {
    fn new(connections: &Rc<Connections>, place: Place) -> Counted {
        connections.count.set(connections.count.get() + 1);
        Counted {
            connections: Rc::clone(connections),
            _place: place,
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let connections = &self.connections;
        connections.count.set(connections.count.get().saturating_sub(1));
        connections.changed.notify_one();
    }
}

/// Accepts until the order to stop, then what still waits.
pub async fn acceptor(listener: Listener, thread: Rc<Thread>, connections: Rc<Connections>) {
    let crowd = thread.idlers.crowd();
    let mut together = Vec::new();
    while !thread.drain.is_asked() {
        let accepted = tokio::select! {
            biased;
            accepted = listener.next(|| crowd.place()) => accepted,
            () = thread.drain.asked() => break,
        };
        match accepted {
            Ok(Accepted::Connection(stream, peer, place)) => {
                let mut next = Some((stream, peer, place));
                while let Some((stream, peer, place)) = next.take() {
                    let counted = Counted::new(&connections, place);
                    together.extend(begin(&thread, counted, stream, (peer, listener.local())));
                    if together.len() < MOST_TOGETHER
                        && let Some(Accepted::Connection(stream, peer, place)) = listener.one_more(|| crowd.place())
                    {
                        next = Some((stream, peer, place));
                    }
                }
                together.drain(..).for_each(conn::begin);
            }
            Ok(Accepted::Full) => {
                let one_is_idle = crowd.make_room(PAUSE).await;
                if !one_is_idle && crowd.may_complain(COMPLAINT) {
                    thread.note(
                        Level::Warn,
                        format_args!(
                            "new connections wait: all of {} are at work, as many as there may be (MaxConnections)",
                            crowd.most()
                        ),
                    );
                }
            }
            Ok(Accepted::Exhausted(error)) => {
                if crowd.may_complain(COMPLAINT) {
                    thread.note(
                        Level::Error,
                        format_args!(
                            "new connections wait, beside {} that are open: {error}: raise the limit of open files, or \
                             lower MaxConnections",
                            crowd.open()
                        ),
                    );
                }
                crowd.make_room(PAUSE).await;
            }
            Err(error) => {
                thread.note(Level::Crit, format_args!("a listener failed: {error}"));
                return;
            }
        }
    }
    // Others may accept there as well: under load this one must come to an end all the same.
    for _ in 0..MOST_WAITING {
        match listener.waiting(|| crowd.place()) {
            Ok(Some(Accepted::Connection(stream, peer, place))) => {
                let counted = Counted::new(&connections, place);
                let connection = begin(&thread, counted, stream, (peer, listener.local()));
                connection.into_iter().for_each(conn::begin);
            }
            Ok(Some(Accepted::Full)) if crowd.make_room(PAUSE).await => {}
            // Those who wait are left to who takes over, or to nobody.
            Ok(None | Some(Accepted::Full | Accepted::Exhausted(_))) | Err(_) => return,
        }
    }
}

/// A connection of HTTP to be served; another is served from here on. One that is broken already has nobody to be told, and who may
/// not connect is told nothing.
fn begin(
    thread: &Rc<Thread>,
    counted: Counted,
    stream: Stream,
    (peer, local): (Option<SocketAddr>, Option<SocketAddr>),
) -> Option<Conn> {
    match &thread.protocol {
        Protocol::Http => Conn::new(Rc::clone(thread), counted, stream, peer?, local),
        Protocol::FastCgi { errors, clients } => {
            let is_client = |peer: SocketAddr| {
                clients
                    .as_ref()
                    .is_none_or(|known| known.contains(&peer.ip().to_canonical()))
            };
            if peer.is_none_or(is_client) {
                let connection = fcgi_conn::FcgiConn::new(Rc::clone(thread), counted, stream, *errors);
                tokio::task::spawn_local(fcgi_conn::run(connection));
            }
            None
        }
    }
}
