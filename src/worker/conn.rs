//! The connection loop: heads in, responses out, in order, until either side has had enough.

mod ask;
mod exchange;
mod handoff;
pub mod limits;
mod persistence;
mod proxied;
pub mod rest;
mod secured;
mod short;
mod shown;
mod tunnel;
mod waits;

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use bytes::Buf;
use tokio::time::Instant;

use crate::base::placed::placed;
use crate::config::site::Site;
use crate::exchange::body::RequestBody;
use crate::exchange::fail::Fail;
use crate::exchange::response::{AfterResponse, Body, Response};
use crate::exchange::{Began, Exchange};
use crate::http::depends::Depends;
use crate::http::framing::{Expectation, Framing, Persistence, ResponseFraming};
use crate::http::head::{ParseError, Progress, RequestHead};
use crate::http::status::Status;
use crate::net::stream::Stream;
use crate::net::tls::Secured;
use crate::phases::choose::Handler;
use crate::worker::accept::Counted;
use crate::worker::conn::handoff::Hand;
use crate::worker::conn::limits::{broken, limits_of, options_of};
use crate::worker::conn::persistence::{behind, interim};
use crate::worker::conn::short::Shortcut;
use crate::worker::conn::waits::Waited;
use crate::worker::crowd::Stays;
use crate::worker::destination::{Leads, recorded};
use crate::worker::heads::Borrowed;
use crate::worker::patience::Patience;
use crate::worker::reader::{BodyHandle, Filler, Reader};
use crate::worker::record::Sent;
use crate::worker::roster::Seat;
use crate::worker::serve;
use crate::worker::shortcut;
use crate::worker::thread::Thread;
use crate::worker::writer::{Cut, Writer};

/// How long a closed connection may still be sent to, so that the client reads the last response before it sees the end.
const LINGER: Duration = Duration::from_secs(30);
/// How long it may be silent meanwhile.
const LINGER_SILENCE: Duration = Duration::from_secs(2);

/// Apache's defaults for Timeout and KeepAliveTimeout.
const TIMEOUT: Duration = Duration::from_secs(60);
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// Serves a connection, of which nothing may be left to be done when its first request is answered.
pub fn begin(mut connection: Conn) {
    if !connection.is_over_at_once() {
        tokio::task::spawn_local(run(connection));
    }
}

/// Serves a connection until it closes.
fn run(connection: Conn) -> impl Future<Output = ()> {
    // A block, because the arguments of an async function are kept twice.
    let mut connection = connection;
    async move {
        loop {
            connection.serve_all().await;
            if connection.to_rest.is_some() {
                return rest::begin(connection);
            }
            let Some(away) = connection.away() else { return };
            // A connection that a service has comes back, or does not.
            match Box::pin(away.until_back()).await {
                Some(back) => connection = back,
                None => return,
            }
        }
    }
}

/// A connection at work.
pub struct Conn {
    thread: Rc<Thread>,
    stream: Rc<Stream>,
    reader: Rc<RefCell<Reader>>,
    writer: Writer,
    /// The site that a request without a host is for; its limits hold until the host is known.
    site: &'static Site,
    /// The site of the last request; it says how long the connection is kept.
    last_site: &'static Site,
    local: SocketAddr,
    peer: SocketAddr,
    /// The client behind a load balancer that speaks for it.
    proxied: Option<Box<SocketAddr>>,
    /// What was agreed upon, where the connection is within TLS.
    tls: Option<Rc<Secured>>,
    /// The client speaks plain HTTP where TLS is spoken.
    speaks_plainly: bool,
    requests: u32,
    /// It was answered for the last time.
    is_to_close: bool,
    /// How long the client is waited for.
    patience: Patience,
    /// When, in microseconds since 1970.
    opened: u64,
    /// Its place among those that are shown.
    seat: Seat,
    /// Until a service has it, or it rests.
    counted: Option<Counted>,
    /// It is to rest, and to stay among the idle ones.
    to_rest: Option<Stays>,
    /// Where services may take connections: what is needed for that.
    hand: Option<Box<Hand>>,
}

/// What came instead of nothing.
enum Next {
    Head(Borrowed, Began, Option<Box<Leads>>),
    Broken(Borrowed, Began, Box<Fail>),
    /// The beginning of TLS, where that is left to the client.
    Tls,
    /// It was answered already, and the connection is not to go on.
    Answered(Then),
    /// Nothing for a while, which is no reason to close.
    Silence,
    Closed,
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    GoOn,
    Close,
    /// So its client wants it, which sends nothing more.
    Leave,
    /// The response was cut; the client must see it.
    Reset,
    /// A service has it.
    Away,
    /// It is idle, and needs nobody before its client says something.
    Rest,
}

impl Conn {
    /// A connection that was just accepted, with our end's address if that is known. One that is broken before it began has
    /// nobody to be told.
    pub fn new(
        thread: Rc<Thread>,
        counted: Counted,
        stream: Stream,
        peer: SocketAddr,
        local: Option<SocketAddr>,
    ) -> Option<Conn> {
        let local = match local {
            Some(local) => local,
            None => stream.local_addr().ok()??,
        };
        let site = thread.config.site_for(local, None, b"");
        let stream = Rc::new(stream);
        let seat = thread.roster.enter(&stream, peer);
        Some(Conn::on(stream, (thread, counted), (peer, local), site, seat))
    }

    /// A connection of which nothing was read that is not used.
    fn on(
        stream: Rc<Stream>,
        (thread, counted): (Rc<Thread>, Counted),
        (peer, local): (SocketAddr, SocketAddr),
        site: &'static Site,
        seat: Seat,
    ) -> Conn {
        Conn {
            reader: Rc::new(RefCell::new(Reader::new(Rc::clone(&stream)))),
            writer: Writer::new(Rc::clone(&stream)),
            stream,
            thread,
            site,
            last_site: site,
            local,
            peer,
            proxied: None,
            tls: None,
            speaks_plainly: false,
            requests: 0,
            is_to_close: false,
            patience: Patience::default(),
            opened: SystemTime::UNIX_EPOCH
                .elapsed()
                .map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(0)),
            seat,
            counted: Some(counted),
            to_rest: None,
            hand: None,
        }
    }

    async fn serve_all(&mut self) {
        if self.is_to_close {
            return Box::pin(self.close()).await;
        }
        // One that a service has given back, or that has rested, has had its requests.
        if self.requests == 0 {
            if self.begins_with_header() && !Box::pin(self.proxy_header()).await {
                return;
            }
            if self.begins_with_tls() && !Box::pin(self.secure()).await {
                return Box::pin(self.close()).await;
            }
        }
        loop {
            // A client that always has the next request ready must not keep the thread from the others.
            tokio::task::consume_budget().await;
            let next = self.next_head().await;
            let then = match self.serving(next) {
                Ok(serving) => serving.await,
                Err(then) => then,
            };
            match then {
                Then::GoOn => {}
                Then::Leave if self.leave() => return,
                Then::Close | Then::Leave => return Box::pin(self.close()).await,
                Then::Reset => return self.stream.reset_on_close(),
                Then::Away | Then::Rest => return,
            }
        }
    }

    /// What is to be done now; boxed, so that a connection without a request has no room for one.
    fn serving(&mut self, next: Next) -> Result<Pin<Box<dyn Future<Output = Then> + '_>>, Then> {
        let next = match (next, self.plainness()) {
            (Next::Head(head, began, _), Some(fail)) => Next::Broken(head, began, Box::new(fail)),
            (next, _) => next,
        };
        match next {
            Next::Head(head, began, leads) => Ok(placed(|| self.request(head.into_head(), began, leads))),
            Next::Broken(head, began, fail) => Ok(Box::pin(self.refused(head.into_head(), began, *fail))),
            Next::Tls => Ok(Box::pin(self.upgrade())),
            Next::Answered(then) => Err(then),
            Next::Silence => Err(Then::Rest),
            Next::Closed => Err(Then::Close),
        }
    }

    /// Answers a request by the short way, if it goes, at once or in its time; apart from the waiting for the next, so that a
    /// connection without a request has no room for one.
    fn take(&mut self, mut head: Borrowed, began: Began) -> Result<Pin<Box<dyn Future<Output = Next> + '_>>, Next> {
        match self.short_way(&mut head, &began) {
            Shortcut::None => Err(Next::Head(head, began, None)),
            Shortcut::Answered(then) => Err(Next::Answered(then)),
            Shortcut::Begun(ahead) => Ok(placed(|| self.finish(head, *ahead))),
            // A script answers in its time: no future is made to find that out.
            Shortcut::Leads(destination) if destination.handler == Handler::Cgi => {
                let leads = Leads {
                    destination,
                    begun: None,
                };
                Err(Next::Head(head, began, Some(Box::new(leads))))
            }
            Shortcut::Leads(destination) => Ok(placed(|| self.carry(head, began, destination))),
        }
    }

    /// Reads until a head is whole, broken, or too late. What was collected for the client goes out before any wait.
    async fn next_head(&mut self) -> Next {
        let mut head = None;
        // What came together with the last request has come now.
        let mut began = (!self.reader.borrow().buffer.is_empty()).then(Began::now);
        // An answer was given, and nothing was waited for since: the clock is not asked again.
        let mut has_just_answered = false;
        loop {
            match self.parse(&mut head) {
                Ok(Progress::Complete { consumed }) => {
                    self.take_head(consumed);
                    let whole = head.take().unwrap_or_else(Borrowed::new);
                    let came = began.take().unwrap_or_else(Began::now);
                    has_just_answered = false;
                    // A block, so that nothing of this is kept while the next head is waited for.
                    {
                        let taking = match self.take(whole, came) {
                            Err(Next::Answered(Then::GoOn)) => None,
                            Err(next) => return next,
                            Ok(taking) => Some(taking),
                        };
                        match taking {
                            None => has_just_answered = true,
                            Some(taking) => match taking.await {
                                Next::Answered(Then::GoOn) => {}
                                next => return next,
                            },
                        }
                    }
                    // What was collected must not grow without bounds, nor one client have the thread to itself.
                    if self.writer.is_full() {
                        has_just_answered = false;
                        if Box::pin(self.writer.flush()).await.is_err() {
                            return Next::Closed;
                        }
                    }
                    tokio::task::consume_budget().await;
                    began = (!self.reader.borrow().buffer.is_empty()).then(Began::now);
                    continue;
                }
                Ok(Progress::Partial) | Err(_) if self.chooses_tls() => return Next::Tls,
                Ok(Progress::Partial) if !self.begins_as_tls() => {}
                Err(error) if !self.begins_as_tls() => return self.broken(head, began, broken(error)),
                Ok(Progress::Partial) | Err(_) => return self.broken(head, began, self.unexpected_tls()),
            }
            match self.writer.try_flush() {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Next::Closed,
                Poll::Pending => {
                    has_just_answered = false;
                    if Box::pin(self.writer.flush()).await.is_err() {
                        return Next::Closed;
                    }
                }
            }
            let now = if has_just_answered {
                self.thread.lately.get()
            } else {
                Instant::now()
            };
            has_just_answered = false;
            let deadline = self.head_deadline(began.map(|began| began.instant), now);
            match (self.wait_for_bytes(deadline, now).await, began) {
                (Waited::Bytes, None) => began = Some(Began::now()),
                (Waited::Bytes, Some(_)) => {}
                (Waited::TooLate, Some(began)) => {
                    let fail = Fail::client(Status::REQUEST_TIMEOUT, "the request's head took too long").closing();
                    return self.broken(head, Some(began), fail);
                }
                (Waited::TooLate, None) if self.to_rest.is_some() => return Next::Silence,
                (Waited::TooLate, None) | (Waited::Ended, _) => return Next::Closed,
            }
        }
    }

    fn take_head(&mut self, length: usize) {
        let buffer = &mut self.reader.borrow_mut().buffer;
        if self.thread.config.gives_away {
            self.hand = Some(Hand::with(buffer.get(..length).unwrap_or_default()));
        }
        buffer.advance(length);
    }

    /// A head that ends here, and the connection with it: all that was read belongs to it.
    fn broken(&self, head: Option<Borrowed>, began: Option<Began>, fail: Fail) -> Next {
        self.reader.borrow_mut().buffer.clear();
        let began = began.unwrap_or_else(Began::now);
        Next::Broken(head.unwrap_or_else(Borrowed::new), began, Box::new(fail))
    }

    /// Reads on in a head, which is borrowed as soon as there is something to read.
    fn parse(&self, head: &mut Option<Borrowed>) -> Result<Progress, ParseError> {
        if head.is_none() && self.reader.borrow().buffer.is_empty() {
            return Ok(Progress::Partial);
        }
        let head = head.get_or_insert_with(Borrowed::new);
        let (limits, options) = (limits_of(self.site), options_of(self.site, self.thread.config));
        head.parse(&self.reader.borrow().buffer, &limits, options)
    }

    /// Serves one request.
    async fn request(&mut self, head: Box<RequestHead>, began: Began, leads: Option<Box<Leads>>) -> Then {
        let thread = Rc::clone(&self.thread);
        let _until_sent = thread.take_in_hand();
        self.show(&head, &began);
        let framing = match Framing::of(&head) {
            Ok(framing) => framing,
            Err(error) => {
                let fail = Fail::client(error.status(), error.to_string()).closing();
                return Box::pin(self.refused(head, began, fail)).await;
            }
        };
        let expectation = Expectation::of(&head);
        let may_be_kept = thread.cache.is_some() && shortcut::host_of(&head).is_some();
        let mark = self
            .reader
            .borrow_mut()
            .begin_body(framing, expectation == Expectation::Continue);
        let body = BodyHandle::new(Rc::clone(&self.reader), mark);
        let body = RequestBody::new(Rc::new(RefCell::new(body)));
        let told = leads.as_ref().and_then(|leads| leads.begun.as_ref());
        let unique_id = told.map_or_else(|| thread.unique_id(began.wall), |told| told.unique_id());
        let destination = leads.as_ref().map(|leads| &*leads.destination);
        let mut ex = self.exchange(head, (began, unique_id), body, destination);
        if expectation == Expectation::Continue && self.writer.flush().await.is_err() {
            return Then::Close;
        }
        let mut depends = None;
        let response = if expectation == Expectation::Unknown {
            let fail = Fail::client(
                Status::EXPECTATION_FAILED,
                "the Expect field asks for something unknown",
            );
            Box::pin(serve::refuse(&mut ex, &self.thread, fail)).await
        } else {
            self.reader.borrow_mut().filler = interim(&ex);
            let Ok((response, noted)) = self.answer(&mut ex, leads).await else {
                return Then::Close;
            };
            depends = noted.filter(|_| may_be_kept);
            match response {
                None if self.reader.borrow().body_broke_off() => Box::pin(self.incomplete(&mut ex)).await,
                response => response,
            }
        };
        let then = if let Some(mut response) = response {
            depends = depends.filter(|_| shortcut::may_be_kept(&ex, &response, &thread.logs));
            let then = self.send(&mut ex, &mut response).await;
            if let (Then::GoOn | Then::Close | Then::Leave, Some(depends)) = (then, depends) {
                shortcut::keep(&thread, ex, response, depends);
            }
            then
        } else {
            self.thread.log_request(&ex, None, &Sent::nothing());
            Then::Reset
        };
        if then == Then::GoOn && !self.drain().await {
            return Then::Close;
        }
        self.requests = self.requests.saturating_add(1);
        self.thread.roster.answered(self.seat);
        if then == Then::GoOn {
            self.reader.borrow_mut().end_request();
        }
        then
    }

    /// Reads the rest of a request's body away; whether its end was reached. Should that take its time, the response goes
    /// out first: its client may wait for it before it sends any more.
    async fn drain(&mut self) -> bool {
        let mut drained = 0;
        let at_once = poll_fn(|cx| Poll::Ready(self.reader.borrow_mut().poll_drain(cx, &mut drained))).await;
        if let Poll::Ready(ended) = at_once {
            return ended;
        }
        if self.writer.flush().await.is_err() {
            return false;
        }
        self.writer.rest();
        poll_fn(|cx| self.reader.borrow_mut().poll_drain(cx, &mut drained)).await
    }

    /// Serves a request. Should that take its time, earlier responses that were collected go out first: their clients wait,
    /// and nothing else may be sent before them.
    ///
    /// Of an answer that is there at once it is told what it depends on.
    async fn answer(
        &mut self,
        ex: &mut Exchange,
        leads: Option<Box<Leads>>,
    ) -> Result<(Option<Response>, Option<Depends>), Cut> {
        let thread = Rc::clone(&self.thread);
        let is_known = leads.is_some();
        let mut serving = std::pin::pin!(serve::serve(ex, &thread, leads.map(|leads| *leads)));
        let (at_once, depends) = poll_fn(|cx| Poll::Ready(recorded(is_known, || serving.as_mut().poll(cx)))).await;
        if let Poll::Ready(response) = at_once {
            return Ok((response, depends));
        }
        self.writer.flush().await?;
        Ok((serving.await, None))
    }

    /// What a client gets that stops within a request's body and may still listen (RFC 9112 section 8): 400, as from Apache.
    async fn incomplete(&self, ex: &mut Exchange) -> Option<Response> {
        let fail = Fail::client(Status::BAD_REQUEST, "the client stopped within the request's body").closing();
        serve::fail(ex, &self.thread, fail).await
    }

    /// Answers what could not be read as a request, and closes.
    async fn refused(&mut self, head: Box<RequestHead>, began: Began, fail: Fail) -> Then {
        self.show(&head, &began);
        let unique_id = self.thread.unique_id(began.wall);
        let mut ex = self.exchange(head, (began, unique_id), RequestBody::none(), None);
        if let Some(mut response) = serve::refuse(&mut ex, &self.thread, fail).await {
            response.connection = AfterResponse::Close;
            self.send(&mut ex, &mut response).await;
        }
        Then::Close
    }

    /// Sends a response: head, then body, and logs it.
    async fn send(&mut self, ex: &mut Exchange, response: &mut Response) -> Then {
        self.last_site = ex.site;
        if matches!(response.body, Body::HandOff(_))
            && let Body::HandOff(hand_off) = std::mem::replace(&mut response.body, Body::Empty)
        {
            return Box::pin(self.hand_off(ex, response, *hand_off)).await;
        }
        self.writer.timeout = timeout_of(ex.site);
        let before = self.writer.taken_over();
        let body_before = self.writer.body_bytes;
        let version = ex.head.version();
        let raw = matches!(response.body, Body::Raw(_));
        let ends = raw || matches!(response.body, Body::Tunnel(_));
        let framing = if raw {
            ResponseFraming::UntilClose
        } else {
            ResponseFraming::decide(version, ex.head.method(), response.head.status, response.body.length())
        };
        let stays = if ends {
            Persistence::Close
        } else {
            self.persistence(ex, response, framing)
        };
        ex.began.first_byte = Some(ex.began.instant.elapsed());
        let filler = match framing {
            ResponseFraming::Chunked => Filler::ChunkSize,
            _ => Filler::None,
        };
        let interim = self.reader.borrow_mut().begin_response(filler);
        self.writer.head().extend_from_slice(&interim);
        if !raw {
            self.put_head(ex, response, framing, stays);
        }
        let sent = match &mut response.body {
            Body::Tunnel(tunnel) => Box::pin(self.tunnel(tunnel.as_mut())).await,
            body => self.writer.body(body, framing).await,
        };
        if let Body::Stream(stream, _) = &response.body {
            ex.rewriting.notes.extend(stream.notes());
        }
        let aborted = sent.is_err();
        let then = match behind(sent, framing, stays) {
            Then::Close if self.has_heard_the_last(ex) => Then::Leave,
            then => then,
        };
        let bytes_out = self.writer.taken_over() - before;
        let sent = Sent {
            body_bytes: self.writer.body_bytes - body_before,
            bytes_out,
            bytes_in: self.reader.borrow_mut().taken(),
            stays: then == Then::GoOn,
            aborted,
        };
        if then == Then::GoOn && self.reader.borrow().buffer.is_empty() {
            // The client has its answer while we write about it. Whatever goes wrong is seen at the next wait.
            let _sent = self.writer.try_flush();
        }
        self.thread.log_request(ex, Some(response), &sent);
        then
    }

    /// Closes so that the client can read the last response: first our sending side, then, when it has stopped sending,
    /// the rest. A close with bytes unread would reset the connection and lose the response (RFC 9112 section 9.6).
    async fn close(&mut self) {
        if self.writer.flush().await.is_err() {
            return;
        }
        self.writer.rest();
        self.thread.roster.closes(self.seat, Instant::now());
        self.stream.shut_down_sending();
        // A server that is to end waits for nobody's leisure.
        let longest = if self.thread.drain.is_asked() {
            LINGER_SILENCE
        } else {
            LINGER
        };
        let over = Instant::now() + longest;
        while !self.reader.borrow().has_ended() && Instant::now() < over {
            self.reader.borrow_mut().buffer.clear();
            let filled = self.reader.borrow_mut().fill();
            match filled {
                Ok(0) => return,
                Ok(_) => tokio::task::consume_budget().await,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    let silence = (Instant::now() + LINGER_SILENCE).min(over);
                    match self.stream.readable_by(silence).await {
                        Some(Ok(())) => {}
                        Some(Err(_)) | None => return,
                    }
                }
                Err(_) => return,
            }
        }
    }
}

fn timeout_of(site: &Site) -> Duration {
    site.settings.core.timeout.or(TIMEOUT)
}

#[cfg(test)]
mod tests;
