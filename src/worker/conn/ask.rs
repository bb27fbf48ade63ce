//! The short way through an application: a request whose way is known, to one that has a connection for it and answers at once. See
//! `handlers/application/at_once.rs`; what does not go like that goes on by the long way.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use crate::exchange::body::RequestBody;
use crate::exchange::response::Response;
use crate::exchange::{Began, Exchange};
use crate::handlers::application::at_once::{AtOnce, Begun, Connected, Worded};
use crate::http::framing::{Persistence, ResponseFraming};
use crate::http::head::RequestHead;
use crate::http::method::Method;
use crate::phases::choose::Handler;
use crate::worker::conn::{Conn, Then, timeout_of};
use crate::worker::destination::Destination;
use crate::worker::reader::Filler;
use crate::worker::record::Sent;
use crate::worker::serve;

/// What came of it.
pub(super) enum Asked {
    /// It is answered; the answer is collected.
    Answered(Then),
    /// It goes the long way, with what was begun.
    LongWay(Option<Box<Begun>>),
}

impl Conn {
    /// Asks the application that a request leads to.
    pub(super) async fn ask(&mut self, head: &mut RequestHead, began: Began, destination: &Destination) -> Asked {
        // Earlier answers do not wait for this one.
        let is_plain = destination.handler == Handler::Application
            && head.method() == Method::Get
            && destination.has_no_filters()
            && !self.thread.has_authorizers
            && !self.writer.has_unsent()
            && !self.reader.borrow().has_ended();
        if !is_plain {
            return Asked::LongWay(None);
        }
        let thread = Rc::clone(&self.thread);
        let (unique_id, client) = (thread.unique_id(began.wall), self.connection().client);
        let Some(mut worded) = Worded::of(&destination.known, head, client, unique_id) else {
            return Asked::LongWay(None);
        };
        let _until_sent = thread.take_in_hand();
        self.show(head, &began);
        let told = match worded.connect() {
            Connected::Now(told) => Some(told),
            Connected::Soon(mut queued) => {
                let until = Worded::until(&queued);
                let (stream, patience) = (&self.stream, &mut self.patience);
                poll_fn(|cx| {
                    if let Poll::Ready(told) = worded.poll_connected(&mut queued, cx) {
                        return Poll::Ready(told);
                    }
                    let is_over = stream.poll_readable(cx).is_ready() || patience.poll_over(cx, until).is_ready();
                    if is_over { Poll::Ready(None) } else { Poll::Pending }
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
        let Some(answer) = told.answer(&destination.place) else {
            return Asked::LongWay(Some(told));
        };
        told.end();
        let own = std::mem::take(head);
        let mut ex = self.exchange(own, (began, unique_id), RequestBody::none(), Some(destination));
        let then = self.give_at_once(&mut ex, answer, destination);
        *head = std::mem::take(&mut ex.head);
        Asked::Answered(then)
    }

    /// Collects an answer that is there, and logs it.
    fn give_at_once(&mut self, ex: &mut Exchange, mut answer: AtOnce, destination: &Destination) -> Then {
        let handler = &destination.place.types.handler;
        ex.handler = handler.clone().unwrap_or_else(|| b"proxy-server".to_vec());
        let thread = Rc::clone(&self.thread);
        serve::finish_at_once(ex, &*thread, &mut answer.response);
        self.last_site = ex.site;
        self.writer.timeout = timeout_of(ex.site);
        let before = (self.writer.taken_over(), self.writer.body_bytes);
        let response = &mut answer.response;
        let length = response.body.length();
        let framing = ResponseFraming::decide(ex.head.version(), ex.head.method(), response.head.status, length);
        let stays = self.persistence(ex, response, framing);
        ex.began.first_byte = Some(ex.began.instant.elapsed());
        let interim = self.reader.borrow_mut().begin_response(Filler::None);
        self.writer.head().extend_from_slice(&interim);
        self.put_head(ex, response, framing, stays);
        self.writer.pieces(answer.pieces(), framing);
        self.log_at_once(ex, &answer.response, before, stays);
        self.requests = self.requests.saturating_add(1);
        self.thread.roster.answered(self.seat);
        match stays {
            Persistence::KeepAlive => Then::GoOn,
            Persistence::Close if self.has_heard_the_last(ex) => Then::Leave,
            Persistence::Close => Then::Close,
        }
    }

    fn log_at_once(&self, ex: &Exchange, response: &Response, before: (u64, u64), stays: Persistence) {
        let sent = Sent {
            body_bytes: self.writer.body_bytes - before.1,
            bytes_out: self.writer.taken_over() - before.0,
            bytes_in: self.reader.borrow_mut().taken(),
            stays: stays == Persistence::KeepAlive,
            aborted: false,
        };
        self.thread.log_request(ex, Some(response), &sent);
    }
}
