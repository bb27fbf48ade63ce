//! Gives answers that are kept: see `worker/shortcut.rs`.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use crate::base::ascii::append_decimal;
use crate::base::date::{HttpDate, Second};
use crate::config::directives::keep_alive::KeptRequests;
use crate::exchange::response::{Body, FileBody, Response};
use crate::exchange::{Began, Connection, Exchange};
use crate::http::framing::Persistence;
use crate::http::head::{Progress, RequestHead, Version};
use crate::net::stream::More;
use crate::worker::conn::{Conn, KEEP_ALIVE, Next, Then, behind, timeout_of};
use crate::worker::destination::Destination;
use crate::worker::heads::Borrowed;
use crate::worker::reader::Filler;
use crate::worker::record::Sent;
use crate::worker::shortcut::{self, Entry, Kept, Occasion, Ready, Source};

/// What is kept for a request.
pub(super) enum Shortcut {
    /// Nothing.
    None,
    /// Its answer, which is collected.
    Answered(Then),
    /// Its answer, of which the head is collected. The body takes its time.
    Begun(Box<Ahead>),
    /// Where it leads.
    Leads(Rc<Destination>),
}

/// An answer whose head is collected.
pub(super) struct Ahead {
    kept: Rc<Entry>,
    connection: Connection,
    began: Began,
    unique_id: [u8; 24],
    body: Box<FileBody>,
    stays: Persistence,
    /// What the writer had sent or collected before it, of all and of bodies.
    before: (u64, u64),
}

/// How much of a body was sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// All of it.
    Whole,
    /// Not all.
    Cut,
}

impl Conn {
    /// Answers a request by what is kept, if that can be.
    pub(super) fn short_way(&mut self, head: &mut Borrowed, began: &Began) -> Shortcut {
        let connection = self.connection();
        let found = self.find_kept(&connection, head, began);
        self.count(found.as_ref());
        let Some(kept) = found else { return Shortcut::None };
        match &kept.value {
            Kept::Answer(ready) => match shortcut::source(&kept, ready) {
                Some(source) => self.give_kept((&kept, ready, source), &connection, head, began),
                None => Shortcut::None,
            },
            Kept::Destination(destination) => Shortcut::Leads(Rc::clone(destination)),
        }
    }

    fn find_kept(&self, connection: &Connection, head: &RequestHead, began: &Began) -> Option<Rc<Entry>> {
        if self.speaks_plainly {
            return None;
        }
        let (cache, host) = (self.thread.cache.as_ref()?, shortcut::host_of(head)?);
        let name = cache.name(shortcut::door(connection), head.request_line(), host);
        let client = connection.client.ip();
        cache.find(&name, began.instant, |asked| asked.hold(head, client, began.wall))
    }

    /// Counts an answer that is given, or that there is none. Where a request leads is neither.
    fn count(&self, found: Option<&Rc<Entry>>) {
        let is_way = found.is_some_and(|kept| matches!(kept.value, Kept::Destination(_)));
        if let Some(cache) = self.thread.cache.as_ref().filter(|_| !is_way) {
            cache.count(found);
        }
    }

    /// Answers the first request of a connection before there is a task for it, if it is there and its answer is all in memory;
    /// whether nothing is left to be done then. Of anything else nothing is changed, but that bytes may be read.
    pub(super) fn is_over_at_once(&mut self) -> bool {
        if self.thread.cache.is_none() || self.begins_with_header() || self.begins_with_tls() {
            return false;
        }
        // An end or an error is seen again.
        let has_read = matches!(self.reader.borrow_mut().fill(), Ok(1..));
        let mut head = None;
        let parsed = has_read.then(|| self.parse(&mut head));
        let (Some(Ok(Progress::Complete { consumed })), Some(mut head)) = (parsed, head) else {
            return false;
        };
        let (connection, began) = (self.connection(), Began::now());
        let Some(kept) = self.find_kept(&connection, &head, &began) else {
            return false;
        };
        let Kept::Answer(ready) = &kept.value else { return false };
        let Some(source) = shortcut::source_at_hand(&kept, ready) else {
            return false;
        };
        self.count(Some(&kept));
        self.take_head(consumed);
        let Shortcut::Answered(then) = self.give_kept((&kept, ready, source), &connection, &mut head, &began) else {
            return false;
        };
        self.is_to_close = then != Then::GoOn;
        if then != Then::Leave || self.writer.try_flush_with(More::Follows).is_pending() {
            return false;
        }
        // Nobody else has the stream yet: dropped, it ends.
        self.writer.rest();
        true
    }

    /// Gives an answer that is kept, and is logged unless its body takes its time.
    fn give_kept(
        &mut self,
        (kept, ready, source): (&Rc<Entry>, &Ready, Source),
        connection: &Connection,
        head: &mut Borrowed,
        began: &Began,
    ) -> Shortcut {
        let thread = Rc::clone(&self.thread);
        let _until_sent = thread.take_in_hand();
        self.show(head, began);
        let mut occasion = Occasion {
            connection,
            began: *began,
            unique_id: ready.unique_id(&thread, began.wall),
        };
        let passed = began.instant.elapsed();
        occasion.began.first_byte = Some(passed);
        let before = (self.writer.taken_over(), self.writer.body_bytes);
        let interim = self.reader.borrow_mut().begin_response(Filler::None);
        if !interim.is_empty() {
            self.writer.head().extend_from_slice(&interim);
        }
        let date = date(began.wall + passed);
        let (stays, then, body) = ready.stage(head.place(), &occasion, |ex, response| {
            self.last_site = ex.site;
            self.writer.timeout = timeout_of(ex.site);
            let stays = self.persistence(ex, response, ready.framing);
            let told = Told::of(ex, stays);
            match source {
                Source::Content(content) if told == Told::Nothing && !self.writer.has_unsent() => {
                    content.set_date(&date);
                    self.writer.put_answer(content);
                }
                source => {
                    let out = self.writer.head();
                    let (front, back) = ready.head();
                    for part in [front, &date, back] {
                        out.extend_from_slice(part);
                    }
                    told.put(out, ex, self.requests);
                    out.extend_from_slice(b"\r\n");
                    match source {
                        Source::Bytes(bytes) => self.writer.put(&bytes),
                        Source::Content(content) => self.writer.put_content(content),
                        Source::File(body) => match self.writer.file_at_once(&body) {
                            Some(bytes) => shortcut::keep_content(&thread, (kept, ready), &body, bytes),
                            None => return (stays, Then::Close, Some(body)),
                        },
                    }
                }
            }
            self.log(ex, response, before, (stays, End::Whole), passed);
            (stays, self.behind_whole(ex, stays), None)
        });
        let Some(body) = body else {
            self.is_answered();
            thread.lately.set((began.instant + passed).into());
            return Shortcut::Answered(then);
        };
        Shortcut::Begun(Box::new(Ahead {
            kept: Rc::clone(kept),
            connection: connection.clone(),
            began: occasion.began,
            unique_id: occasion.unique_id,
            body,
            stays,
            before,
        }))
    }

    /// Sends the body of an answer whose head is collected.
    pub(super) async fn finish(&mut self, mut head: Borrowed, ahead: Ahead) -> Next {
        let thread = Rc::clone(&self.thread);
        let _until_sent = thread.take_in_hand();
        let Kept::Answer(ready) = &ahead.kept.value else {
            return Next::Answered(Then::Reset);
        };
        let framing = ready.framing;
        let sent = self.writer.body(&mut Body::File(*ahead.body), framing).await;
        let end = if sent.is_ok() { End::Whole } else { End::Cut };
        let then = behind(sent, framing, ahead.stays);
        let stays = if then == Then::GoOn {
            Persistence::KeepAlive
        } else {
            Persistence::Close
        };
        let occasion = Occasion {
            connection: &ahead.connection,
            began: ahead.began,
            unique_id: ahead.unique_id,
        };
        ready.stage(head.place(), &occasion, |ex, response| {
            let took = ex.began.instant.elapsed();
            self.log(ex, response, ahead.before, (stays, end), took);
        });
        self.is_answered();
        Next::Answered(then)
    }

    /// What becomes of the connection behind an answer that is collected whole.
    pub(super) fn behind_whole(&self, ex: &Exchange, stays: Persistence) -> Then {
        match stays {
            Persistence::KeepAlive => Then::GoOn,
            Persistence::Close if self.has_heard_the_last(ex) => Then::Leave,
            Persistence::Close => Then::Close,
        }
    }

    /// Logs an answer that took so long. `before` is what the writer had sent or collected before it, of all and of bodies.
    pub(super) fn log(
        &self,
        ex: &Exchange,
        response: &Response,
        before: (u64, u64),
        (stays, end): (Persistence, End),
        took: Duration,
    ) {
        let sent = Sent {
            body_bytes: self.writer.body_bytes - before.1,
            bytes_out: self.writer.taken_over() - before.0,
            bytes_in: self.reader.borrow_mut().taken(),
            stays: stays == Persistence::KeepAlive,
            aborted: end == End::Cut,
        };
        self.thread.log_answer(ex, Some(response), &sent, took);
    }

    /// One more request is answered.
    pub(super) fn is_answered(&mut self) {
        self.requests = self.requests.saturating_add(1);
        self.thread.roster.answered(self.seat);
    }
}

/// What a head says of the connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Close,
    /// That it goes on.
    Stays,
    /// And for how long.
    StaysFor,
}

impl Told {
    /// As `put_head` has it.
    fn of(ex: &Exchange, stays: Persistence) -> Told {
        match (stays, ex.head.version()) {
            (Persistence::KeepAlive, _) if Persistence::is_asked_for(&ex.head) => Told::StaysFor,
            (Persistence::KeepAlive, Version::V10) => Told::Stays,
            (Persistence::Close, Version::V11 | Version::V10) => Told::Close,
            (Persistence::KeepAlive, Version::V11) | (_, Version::V09) => Told::Nothing,
        }
    }

    fn put(self, out: &mut Vec<u8>, ex: &Exchange, requests: u32) {
        match self {
            Told::Nothing => {}
            Told::Close => out.extend_from_slice(b"Connection: close\r\n"),
            Told::Stays => out.extend_from_slice(b"Connection: Keep-Alive\r\n"),
            Told::StaysFor => {
                let core = &ex.site.settings.core;
                out.extend_from_slice(b"Keep-Alive: timeout=");
                append_decimal(out, core.keep_alive_timeout.or(KEEP_ALIVE).as_secs());
                let kept = core.max_keep_alive_requests.or(KeptRequests::USUAL);
                if let Some(left) = kept.left_behind(requests) {
                    out.extend_from_slice(b", max=");
                    append_decimal(out, left);
                }
                out.extend_from_slice(b"\r\nConnection: Keep-Alive\r\n");
            }
        }
    }
}

/// The date as fields have it, worked out once a second and thread.
pub(super) fn date(now: SystemTime) -> [u8; 29] {
    thread_local! {
        static LAST: Cell<(Second, [u8; 29])> = const { Cell::new((Second::NONE, [0; 29])) };
    }
    let (known, text) = LAST.get();
    if known.contains(now) {
        return text;
    }
    let text = HttpDate::from(now).to_bytes();
    LAST.set((Second::of(now), text));
    text
}
