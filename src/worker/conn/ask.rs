//! The short way through who is behind this server: a request whose way is known, to one that has a connection for it and answers at
//! once. See `at_once.rs` of their handlers; what does not go like that goes on by the long way.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use crate::config::backends;
use crate::exchange::body::RequestBody;
use crate::exchange::response::Response;
use crate::exchange::{Began, Exchange};
use crate::handlers::application::at_once::{Connected, Worded};
use crate::handlers::proxy;
use crate::http::framing::ResponseFraming;
use crate::http::method::Method;
use crate::phases::choose::Handler;
use crate::worker::conn::short::End;
use crate::worker::conn::{Conn, Next, Then, timeout_of};
use crate::worker::destination::{Begun, Destination, Leads};
use crate::worker::heads::Borrowed;
use crate::worker::reader::Filler;
use crate::worker::serve;

/// What came of it.
enum Asked {
    /// It is answered; the answer is collected.
    Answered(Then),
    /// It goes the long way, with what was begun.
    LongWay(Option<Begun>),
}

impl Conn {
    /// Takes a request where it leads, by the short way if it goes; else it is still to be answered.
    pub(super) async fn carry(&mut self, mut head: Borrowed, began: Began, destination: Rc<Destination>) -> Next {
        match self.ask(&mut head, began, &destination).await {
            Asked::Answered(Then::GoOn) if self.writer.is_full() && self.writer.flush().await.is_err() => Next::Closed,
            Asked::Answered(then) => Next::Answered(then),
            Asked::LongWay(told) => {
                let leads = Leads {
                    destination,
                    begun: told,
                };
                Next::Head(head, began, Some(Box::new(leads)))
            }
        }
    }

    /// Asks the one that a request leads to.
    async fn ask(&mut self, head: &mut Borrowed, began: Began, destination: &Destination) -> Asked {
        // Earlier answers do not wait for this one.
        let is_plain = head.method() == Method::Get
            && destination.has_no_filters()
            && !self.thread.has_authorizers
            && !self.writer.has_unsent()
            && !self.reader.borrow().has_ended();
        if !is_plain {
            return Asked::LongWay(None);
        }
        let thread = Rc::clone(&self.thread);
        let _until_sent = thread.take_in_hand();
        match destination.handler {
            Handler::Application => self.ask_application(head, began, destination).await,
            Handler::Proxy => self.ask_server(head, began, destination).await,
            _ => Asked::LongWay(None),
        }
    }

    async fn ask_application(&mut self, head: &mut Borrowed, began: Began, destination: &Destination) -> Asked {
        let (unique_id, client) = (self.thread.unique_id(began.wall), self.connection().client);
        let Some(mut worded) = Worded::of(&destination.known.application, head, client, unique_id) else {
            return Asked::LongWay(None);
        };
        self.show(head, &began);
        let told = match worded.connect() {
            Connected::Now(told) => Some(told),
            Connected::Soon(mut queued) => {
                let (stream, patience) = (&self.stream, &mut self.patience);
                poll_fn(|cx| {
                    if let Poll::Ready(told) = worded.poll_connected(&mut queued, cx) {
                        return Poll::Ready(told);
                    }
                    if stream.poll_readable(cx).is_ready() {
                        return Poll::Ready(None);
                    }
                    while patience.poll_over(cx, queued.until()).is_ready() {
                        if queued.is_over() {
                            return Poll::Ready(None);
                        }
                    }
                    Poll::Pending
                })
                .await
            }
            Connected::No => None,
        };
        let Some(mut told) = told else {
            return Asked::LongWay(None);
        };
        let stream = &self.stream;
        poll_fn(|cx| match told.poll(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            // A client that says something, or leaves, is seen to by the long way.
            Poll::Pending => stream.poll_readable(cx).map(|_| ()),
        })
        .await;
        let Some((mut response, body)) = told.answer(&destination.place) else {
            return Asked::LongWay(Some(Begun::Application(told)));
        };
        told.end();
        let (connection, occasion) = (self.connection(), (began, unique_id));
        Asked::Answered(destination.lent(head.place(), connection, occasion, |ex| {
            ex.target.landed.is_told = true;
            self.give_at_once(ex, &mut response, body.pieces(), destination)
        }))
    }

    async fn ask_server(&mut self, head: &mut Borrowed, began: Began, destination: &Destination) -> Asked {
        self.show(head, &began);
        let (own, unique_id) = (head.lend(), self.thread.unique_id(began.wall));
        let ex = self.exchange(own, (began, unique_id), RequestBody::none(), Some(destination));
        // In a box, so that the future of what is asked is small.
        let mut ex = Box::new(ex);
        let (place, known) = (&destination.place, &destination.known.server);
        let told = proxy::at_once::Begun::new(&ex, place, known, &self.thread.applications);
        let Some(mut told) = told else {
            head.take_back(ex.head);
            return Asked::LongWay(None);
        };
        let stream = &self.stream;
        let answer = poll_fn(|cx| match told.poll(cx, &ex, place) {
            Poll::Ready(answer) => Poll::Ready(answer),
            Poll::Pending => stream.poll_readable(cx).map(|_| None),
        })
        .await;
        let asked = match answer {
            Some((mut response, body)) => {
                told.end();
                let pieces = std::iter::once(&body[..]);
                Asked::Answered(self.give_at_once(&mut ex, &mut response, pieces, destination))
            }
            None => Asked::LongWay(Some(Begun::Server(told))),
        };
        head.take_back(ex.head);
        asked
    }

    /// Collects an answer that is there, and logs it.
    fn give_at_once<'p>(
        &mut self,
        ex: &mut Exchange,
        response: &mut Response,
        pieces: impl Iterator<Item = &'p [u8]> + Clone,
        destination: &Destination,
    ) -> Then {
        ex.handler.clear();
        let handler = destination.place.types.handler.as_deref();
        ex.handler.extend_from_slice(handler.unwrap_or(backends::SERVER));
        let thread = Rc::clone(&self.thread);
        serve::finish_at_once(ex, &*thread, response);
        self.last_site = ex.site;
        self.writer.timeout = timeout_of(ex.site);
        let before = (self.writer.taken_over(), self.writer.body_bytes);
        let length = response.body.length();
        let framing = ResponseFraming::decide(ex.head.version(), ex.head.method(), response.head.status, length);
        let stays = self.persistence(ex, response, framing);
        let took = ex.began.instant.elapsed();
        ex.began.first_byte = Some(took);
        let interim = self.reader.borrow_mut().begin_response(Filler::None);
        self.writer.head().extend_from_slice(&interim);
        self.put_head(ex, response, framing, stays);
        self.writer.pieces(pieces, framing);
        self.log(ex, response, before, (stays, End::Whole), took);
        self.is_answered();
        self.behind_whole(ex, stays)
    }
}
