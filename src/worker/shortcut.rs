//! The short way of a request whose answer is kept: what is kept of an answer, and which answers are.
//!
//! An answer is kept with the exchange that led to it. The next request's head takes the place of its own when the access log
//! is written, so that the log says of it what it would say behind the long way. Without this file and `conn/short.rs`
//! everything is answered as it is with them.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;

use crate::config::directives::file_cache::{Check, SIZE};
use crate::config::site::Config;
use crate::exchange::Began;
use crate::exchange::body::RequestBody;
use crate::exchange::response::{Body, FileBody, Origin, Response};
use crate::exchange::{Connection, Exchange};
use crate::fs::cache::{Agreed, Door, FileCache};
use crate::http::depends::Depends;
use crate::http::fields::{Fields, append_line};
use crate::http::framing::ResponseFraming;
use crate::http::head::{RequestHead, Version};
use crate::http::method::Method;
use crate::http::response::append_status_line;
use crate::worker::destination::Destination;
use crate::worker::logs::Logs;
use crate::worker::thread::Thread;

/// Bodies up to this size are kept; no directive moves it. It is what one read fetches, see `writer.rs`.
const LARGEST: u64 = 32 * 1024;

/// About what an exchange has besides its own size: names of files, variables, the fields of its response.
const AROUND: usize = 512;

/// What is kept of a request for the next one like it.
#[expect(
    clippy::large_enum_variant,
    reason = "it is read where it lies; a box would be one look more for each answer"
)]
pub enum Kept {
    /// The answer.
    Answer(Ready),
    /// Where it leads.
    Destination(Rc<Destination>),
}

/// An answer as it is sent again.
pub struct Ready {
    /// The status line, and what stands before the date.
    pub front: Box<[u8]>,
    /// What stands behind it, but for what is said of the connection and the end of the head.
    pub back: Box<[u8]>,
    /// The body.
    pub body: Bytes,
    /// How the body is delimited.
    pub framing: ResponseFraming,
    scene: RefCell<Scene>,
}

/// The exchange that led to an answer, without its head, and the answer without its body.
struct Scene {
    ex: Exchange,
    response: Response,
}

/// What is another with each request.
pub struct Occasion {
    /// The connection it came on.
    pub connection: Connection,
    /// When it began.
    pub began: Began,
    /// Its name.
    pub unique_id: [u8; 24],
}

impl Ready {
    /// Does something with the exchange as if it were that of this request.
    pub fn stage<T>(
        &self,
        head: &mut RequestHead,
        occasion: &Occasion,
        act: impl FnOnce(&Exchange, &Response) -> T,
    ) -> T {
        let mut scene = self.scene.borrow_mut();
        let Scene { ex, response } = &mut *scene;
        std::mem::swap(&mut ex.head, head);
        ex.connection = occasion.connection.clone();
        ex.began = occasion.began;
        ex.unique_id = occasion.unique_id;
        let done = act(ex, response);
        std::mem::swap(&mut ex.head, head);
        ex.connection.tls = None;
        done
    }
}

/// The cache of one of so many threads, if there is to be one.
pub fn cache(config: &Config, threads: usize) -> Option<FileCache<Kept>> {
    let settings = &config.server.file_cache;
    let bytes = settings.size.or(SIZE) / threads.max(1) as u64;
    (bytes > 0)
        .then(|| FileCache::new(bytes, settings.check.or(Check::Turn)))
        .flatten()
}

/// Where a connection's requests come in.
pub fn door(connection: &Connection) -> Door {
    Door {
        local: connection.local,
        agreed: connection.tls.as_ref().map(|tls| Agreed {
            site: tls.site,
            by_name: tls.server_name.is_some(),
        }),
    }
}

/// The host that a request names whose answer may be kept or given again, as far as its head tells: it asks to see something, and
/// brings nothing.
pub fn host_of(head: &RequestHead) -> Option<&[u8]> {
    if !matches!(head.method(), Method::Get | Method::Head) || head.version() == Version::V09 {
        return None;
    }
    let mut host = None;
    for (name, value) in head.fields() {
        let is_it = |known: &[u8]| name.eq_ignore_ascii_case(known);
        match name.len() {
            4 if is_it(b"host") && host.is_some() => return None,
            4 if is_it(b"host") => host = Some(value),
            6 if is_it(b"expect") => return None,
            14 if is_it(b"content-length") => return None,
            17 if is_it(b"transfer-encoding") => return None,
            _ => {}
        }
    }
    match host {
        None if head.version() == Version::V10 => Some(b""),
        Some(b"") => None,
        host => host,
    }
}

/// Whether an answer, before it is said how it is sent, may be one that is kept.
pub fn may_be_kept(ex: &Exchange, response: &Response, logs: &Logs) -> bool {
    let fields = &response.head.fields;
    let is_known = matches!(
        response.head.status.code(),
        200 | 301 | 302 | 303 | 304 | 307 | 308 | 404 | 410
    );
    is_known
        && response.origin == Origin::Here
        && ex.client.user.is_none()
        && !["Connection", "Keep-Alive", "Upgrade"]
            .iter()
            .any(|name| fields.contains(name))
        && logs.are_content_with_kept_answers(ex.site)
}

/// Keeps the answer to a request, if it can be given again.
pub fn keep(thread: &Rc<Thread>, mut ex: Exchange, mut response: Response, depends: Depends) {
    let Some(cache) = &thread.cache else { return };
    let Some(asked) = depends.asked(&ex.head, ex.connection.client.ip()) else {
        return;
    };
    let framing = ResponseFraming::decide(
        ex.head.version(),
        ex.head.method(),
        response.head.status,
        response.body.length(),
    );
    let Some(body) = body(&response.body, framing) else {
        return;
    };
    let head = std::mem::take(&mut ex.head);
    let Some(host) = host_of(&head) else { return };
    let name = cache.name(door(&ex.connection), head.request_line(), host);
    // These are of one request; and a body's handle would keep its connection.
    ex.body = RequestBody::none();
    ex.client.gate = None;
    ex.connection.tls = None;
    response.parsable = None;
    response.body = Body::Empty;
    for name in ["Connection", "Keep-Alive"] {
        response.head.fields.remove(name);
    }
    let (front, back) = head_around_date(&response, &thread.server_field);
    let weight = front.len() + back.len() + body.len() + size_of::<Ready>() + AROUND;
    let made = (ex.began.wall, ex.began.instant);
    let ready = Ready {
        front,
        back,
        body,
        framing,
        scene: RefCell::new(Scene { ex, response }),
    };
    cache.keep(&name, asked, weight, made, Kept::Answer(ready));
}

/// The body's bytes, if it is a small one; none of a body that is not sent.
fn body(body: &Body, framing: ResponseFraming) -> Option<Bytes> {
    match (framing, body) {
        (ResponseFraming::NoBody { .. }, Body::Empty | Body::Bytes(_) | Body::File(_) | Body::BuiltIn) => {
            Some(Bytes::new())
        }
        (ResponseFraming::Length(0), Body::Empty) => Some(Bytes::new()),
        (ResponseFraming::Length(length), _) if length > LARGEST => None,
        (ResponseFraming::Length(_), Body::Bytes(bytes)) => Some(Bytes::copy_from_slice(bytes)),
        (ResponseFraming::Length(_), Body::File(file)) => content(file),
        _ => None,
    }
}

/// The content of a file that is sent whole, if it is in memory and still what was promised.
fn content(body: &FileBody) -> Option<Bytes> {
    let [part] = body.parts.as_slice() else { return None };
    let size = body.file.meta.size;
    if (part.offset, part.length) != (0, size) || !part.preface.is_empty() || !body.trailer.is_empty() {
        return None;
    }
    let mut bytes = vec![0; usize::try_from(size).ok()?];
    let is_whole = body.file.fill_at_once(&mut bytes, 0);
    (is_whole && body.file.is_unchanged()).then(|| Bytes::from(bytes))
}

fn head_around_date(response: &Response, server: &[u8]) -> (Box<[u8]>, Box<[u8]>) {
    let (mut front, mut back) = (Vec::with_capacity(64), Vec::with_capacity(256));
    append_status_line(&mut front, response.head.status, response.head.reason());
    front.extend_from_slice(b"Date: ");
    back.extend_from_slice(b"\r\n");
    append_line(&mut back, b"Server", server);
    Fields::append_to(&response.head.fields, &mut back);
    (front.into_boxed_slice(), back.into_boxed_slice())
}
