//! Gives answers that are kept: see `worker/shortcut.rs`.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use crate::base::ascii::append_decimal;
use crate::base::date::HttpDate;
use crate::exchange::{Began, Connection, Exchange};
use crate::http::fields::list_has_token;
use crate::http::framing::Persistence;
use crate::http::head::{RequestHead, Version};
use crate::worker::conn::{Conn, KEEP_ALIVE, Then, timeout_of};
use crate::worker::destination::Destination;
use crate::worker::reader::Filler;
use crate::worker::record::Sent;
use crate::worker::shortcut::{self, Kept, Occasion, Ready};

/// What is kept for a request.
pub(super) enum Shortcut {
    /// Nothing.
    None,
    /// Its answer, which is collected.
    Answered(Then),
    /// Where it leads.
    Leads(Rc<Destination>),
}

impl Conn {
    /// Answers a request by what is kept, if that can be: the answer is collected, and the request logged.
    pub(super) fn short_way(&mut self, head: &mut RequestHead, began: &Began) -> Shortcut {
        if self.speaks_plainly {
            return Shortcut::None;
        }
        let thread = Rc::clone(&self.thread);
        let (Some(cache), Some(host)) = (&thread.cache, shortcut::host_of(head)) else {
            return Shortcut::None;
        };
        let connection = self.connection();
        let name = cache.name(shortcut::door(&connection), head.request_line(), host);
        let client = connection.client.ip();
        let Some(kept) = cache.find(&name, began.instant, |asked| asked.hold(head, client, began.wall)) else {
            return Shortcut::None;
        };
        match &kept.value {
            Kept::Answer(ready) => Shortcut::Answered(self.give_kept(ready, connection, head, began)),
            Kept::Destination(destination) => Shortcut::Leads(Rc::clone(destination)),
        }
    }

    /// Gives an answer that is kept.
    fn give_kept(&mut self, ready: &Ready, connection: Connection, head: &mut RequestHead, began: &Began) -> Then {
        let thread = Rc::clone(&self.thread);
        let _until_sent = thread.take_in_hand();
        self.show(head, began);
        let mut occasion = Occasion {
            connection,
            began: *began,
            unique_id: thread.unique_id(began.wall),
        };
        let passed = began.instant.elapsed();
        occasion.began.first_byte = Some(passed);
        let before = self.writer.head().len();
        let interim = self.reader.borrow_mut().begin_response(Filler::None);
        self.writer.head().extend_from_slice(&interim);
        let date = date(began.wall + passed);
        let then = ready.stage(head, &occasion, |ex, response| {
            self.last_site = ex.site;
            self.writer.timeout = timeout_of(ex.site);
            let stays = self.persistence(ex, response, ready.framing);
            let requests = self.requests;
            let out = self.writer.head();
            for part in [&ready.front[..], &date, &ready.back] {
                out.extend_from_slice(part);
            }
            put_connection(out, ex, stays, requests);
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(&ready.body);
            let bytes_out = (out.len() - before) as u64;
            self.writer.body_bytes += ready.body.len() as u64;
            let sent = Sent {
                body_bytes: ready.body.len() as u64,
                bytes_out,
                bytes_in: self.reader.borrow_mut().taken(),
                stays: stays == Persistence::KeepAlive,
                aborted: false,
            };
            thread.log_request(ex, Some(response), &sent);
            match stays {
                Persistence::KeepAlive => Then::GoOn,
                Persistence::Close if self.has_heard_the_last(ex) => Then::Leave,
                Persistence::Close => Then::Close,
            }
        });
        self.requests = self.requests.saturating_add(1);
        thread.roster.answered(self.seat);
        then
    }
}

/// Appends what a head says of the connection, as `put_head` has it.
fn put_connection(out: &mut Vec<u8>, ex: &Exchange, stays: Persistence, requests: u32) {
    let mut values = ex.head.values(b"connection");
    let asked_to_stay = values.any(|value| list_has_token(value, b"keep-alive"));
    match (stays, ex.head.version()) {
        (Persistence::KeepAlive, _) if asked_to_stay => {
            let core = &ex.site.settings.core;
            out.extend_from_slice(b"Keep-Alive: timeout=");
            append_decimal(out, core.keep_alive_timeout.or(KEEP_ALIVE).as_secs());
            let most = core.max_keep_alive_requests.or(100);
            if most > 0 {
                out.extend_from_slice(b", max=");
                append_decimal(out, most.saturating_sub(u64::from(requests)));
            }
            out.extend_from_slice(b"\r\nConnection: Keep-Alive\r\n");
        }
        (Persistence::KeepAlive, Version::V10) => out.extend_from_slice(b"Connection: Keep-Alive\r\n"),
        (Persistence::Close, Version::V11 | Version::V10) => out.extend_from_slice(b"Connection: close\r\n"),
        (Persistence::KeepAlive, Version::V11) | (_, Version::V09) => {}
    }
}

/// The date as fields have it, worked out once a second and thread.
fn date(now: SystemTime) -> [u8; 29] {
    thread_local! {
        static LAST: Cell<(u64, [u8; 29])> = const { Cell::new((u64::MAX, [0; 29])) };
    }
    let second = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .as_ref()
        .map_or(0, Duration::as_secs);
    let (known, text) = LAST.get();
    if known == second {
        return text;
    }
    let text = HttpDate::from(now).to_bytes();
    LAST.set((second, text));
    text
}
