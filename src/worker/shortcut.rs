//! The short way of a request whose answer is kept: what is kept of an answer, and which answers are.
//!
//! Of an answer that is a file the content is not part: it is kept beside the answers where it is small and asked for again, and
//! otherwise opened for each of them.
//!
//! Where the access log says more than a request and its status do, an answer is kept with the exchange that led to it. The next
//! request's head takes the place of its own when the log is written, so that it says what it would say behind the long way. Without this file and `conn/short.rs`
//! everything is answered as it is with them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::SystemTime;

use bytes::Bytes;

use crate::config::directives::file_cache::{Check, SHARE, SIZE};
use crate::config::site::{Config, Site};
use crate::exchange::Began;
use crate::exchange::body::RequestBody;
use crate::exchange::response::{AfterResponse, Body, Copied, FileBody, FilePart, Origin, Response};
use crate::exchange::{Connection, Exchange, Variables};
use crate::fs::cache::{self, Agreed, Door, FileCache};
use crate::fs::{contents, open};
use crate::http::depends::{self, Asked, Depends, Links};
use crate::http::fields::{Fields, Names, append_line};
use crate::http::framing::ResponseFraming;
use crate::http::head::{RequestHead, Version};
use crate::http::method::Method;
use crate::http::response::append_status_line;
use crate::http::status::Status;
use crate::worker::destination::Destination;
use crate::worker::logs::Logs;
use crate::worker::thread::Thread;

/// Bodies that are no files are kept up to this size; no directive moves it.
const LARGEST: u64 = 32 * 1024;

/// Files up to this size are part of their answers: they are hardly larger than what it takes to find them elsewhere.
const INLINE: u64 = 1024;

/// Of so many readings of a file one is kept: where there is no room for all that is asked for, little is gained by the rest.
const READINGS: u32 = 8;

/// About what an exchange has besides its own size and its request's: names of files, the fields of its response.
const AROUND: usize = 512;

/// So often what a request line says is there in an exchange: as path and query, before and behind decoding, in names of files.
const TOLD: usize = 4;

/// What is kept of a request for the next one like it.
pub enum Kept {
    /// The answer.
    Answer(Ready),
    /// Where it leads.
    Destination(Rc<Destination>),
}

/// What is kept, with what it depends on.
pub type Entry = cache::Kept<Kept>;

/// An answer as it is sent again.
pub struct Ready {
    head: Box<[u8]>,
    /// Where the date stands in the head, which ends before what is said of the connection.
    date: usize,
    body: Content,
    /// How the body is delimited.
    pub framing: ResponseFraming,
    scene: Scenery,
}

enum Content {
    Bytes(Bytes),
    File(Part),
}

/// What is sent of a file.
struct Part {
    offset: u64,
    length: u64,
    copied: Copied,
    readings: Cell<u32>,
}

/// Where a body comes from.
pub enum Source {
    /// These bytes.
    Bytes(Bytes),
    /// The content of a file, or so much of it.
    Content(Rc<contents::Content>),
    /// A file that was opened.
    File(Box<FileBody>),
}

/// What the access log is written by.
enum Scenery {
    /// This is all it asks for: what stands in for the rest is the same for all answers.
    Bare {
        config: &'static Config,
        site: &'static Site,
        status: Status,
    },
    Own(Box<RefCell<Scene>>),
}

/// The exchange that led to an answer, without its head, and the answer without its body.
struct Scene {
    ex: Exchange,
    response: Response,
}

thread_local! {
    static BARE: RefCell<Option<Box<Scene>>> = const { RefCell::new(None) };
}

/// What is another with each request.
pub struct Occasion<'a> {
    /// The connection it came on.
    pub connection: &'a Connection,
    /// When it began.
    pub began: Began,
    /// Its name.
    pub unique_id: [u8; 24],
}

impl Ready {
    /// What of the head stands before the date, and behind it.
    pub fn head(&self) -> (&[u8], &[u8]) {
        self.head.split_at_checked(self.date).unwrap_or_default()
    }

    /// A name for a request that is answered by it; nobody's where nobody asks for one.
    pub fn unique_id(&self, thread: &Thread, now: SystemTime) -> [u8; 24] {
        match self.scene {
            Scenery::Bare { .. } => [0; 24],
            Scenery::Own(_) => thread.unique_id(now),
        }
    }

    /// Does something with the exchange as if it were that of this request.
    pub fn stage<T>(
        &self,
        head: &mut Box<RequestHead>,
        occasion: &Occasion<'_>,
        act: impl FnOnce(&Exchange, &Response) -> T,
    ) -> T {
        match &self.scene {
            Scenery::Own(scene) => scene.borrow_mut().play(head, occasion, act),
            Scenery::Bare { config, site, status } => BARE.with_borrow_mut(|bare| {
                let scene = bare.get_or_insert_with(|| {
                    let (connection, body) = (occasion.connection.clone(), RequestBody::none());
                    let ex = Exchange::new(config, connection, RequestHead::new(), body, occasion.began);
                    let response = Response::new(*status, Body::Empty);
                    Box::new(Scene { ex, response })
                });
                (scene.ex.config, scene.ex.site) = (config, site);
                scene.response.head.status = *status;
                scene.play(head, occasion, act)
            }),
        }
    }
}

impl Scene {
    fn play<T>(
        &mut self,
        head: &mut Box<RequestHead>,
        occasion: &Occasion<'_>,
        act: impl FnOnce(&Exchange, &Response) -> T,
    ) -> T {
        let Scene { ex, response } = self;
        std::mem::swap(&mut ex.head, head);
        ex.connection.clone_from(occasion.connection);
        ex.began = occasion.began;
        ex.unique_id = occasion.unique_id;
        let done = act(ex, response);
        std::mem::swap(&mut ex.head, head);
        ex.connection.tls = None;
        done
    }
}

/// Where the body of an answer comes from; none if its file is another by now, and so is its answer.
pub fn source(kept: &Entry, ready: &Ready) -> Option<Source> {
    source_at_hand(kept, ready).or_else(|| opened(kept, ready))
}

/// The same, of a body that is kept.
pub fn source_at_hand(kept: &Entry, ready: &Ready) -> Option<Source> {
    match &ready.body {
        Content::Bytes(bytes) => Some(Source::Bytes(bytes.clone())),
        Content::File(_) => kept.content().map(Source::Content),
    }
}

fn opened(kept: &Entry, ready: &Ready) -> Option<Source> {
    let Content::File(part) = &ready.body else { return None };
    let probe = kept.file()?;
    Some(Source::File(Box::new(FileBody {
        file: open::again(&probe.name, probe.found.as_ref()?)?,
        parts: vec![FilePart {
            preface: Bytes::new(),
            offset: part.offset,
            length: part.length,
        }],
        trailer: Bytes::new(),
        copied: part.copied,
    })))
}

/// Keeps, now and then, what was read of an answer's file.
pub fn keep_content(thread: &Thread, (kept, ready): (&Rc<Entry>, &Ready), body: &FileBody, bytes: &[u8]) {
    let Content::File(part) = &ready.body else { return };
    let readings = part.readings.get();
    part.readings.set(readings.wrapping_add(1));
    if let Some(cache) = &thread.cache
        && readings.is_multiple_of(READINGS)
        && body.file.is_unchanged()
    {
        cache.keep_content(kept, ready.head(), bytes);
    }
}

/// The cache of one of so many threads, if there is to be one.
pub fn cache(config: &Config, threads: usize) -> Option<FileCache<Kept>> {
    let settings = &config.server.file_cache;
    let all = settings.size.value().copied().unwrap_or_else(usual_room);
    let bytes = all / threads.max(1) as u64;
    (bytes > 0)
        .then(|| FileCache::new(bytes, settings.check.or(Check::Turn)))
        .flatten()
}

/// How many bytes are kept where nothing is said of it.
fn usual_room() -> u64 {
    let system = rustix::system::sysinfo();
    let memory = system.totalram.saturating_mul(system.mem_unit.into());
    SIZE.min(memory / SHARE)
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

/// What a request has that brings something.
const BRINGS: Names = Names::new(&[b"expect", b"content-length", b"transfer-encoding"]);

/// The host that a request names whose answer may be kept or given again, as far as its head tells: it asks to see something, and
/// brings nothing.
pub fn host_of(head: &RequestHead) -> Option<&[u8]> {
    // What it depends on is told in another way: see `Depends`.
    depends::on_more();
    if !matches!(head.method(), Method::Get | Method::Head) || head.version() == Version::V09 {
        return None;
    }
    if head.has_any(&BRINGS) {
        return None;
    }
    if let Some(host) = head.only_host() {
        return Some(host).filter(|host| !host.is_empty());
    }
    let mut hosts = head.values(b"host");
    let host = hosts.next();
    if hosts.next().is_some() {
        return None;
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
        200 | 206 | 301 | 302 | 303 | 304 | 307 | 308 | 404 | 410
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
    let Some((body, made_of)) = content(&response.body, framing, &asked) else {
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
    let (sent_head, date) = head_around_date(&response, &thread.server_field);
    let inside = match &body {
        Content::Bytes(bytes) => bytes.len(),
        Content::File(_) => 0,
    };
    let made = (ex.began.wall, ex.began.instant);
    let is_bare = thread.logs.ask_only_of_the_wire(ex.site)
        && ex.previous.is_none()
        && ex.client.host.is_none()
        && ex.variable(b"nokeepalive").is_none()
        && response.connection == AfterResponse::Keep;
    let around = if is_bare {
        0
    } else {
        size_of::<Scene>() + AROUND + around(&ex, &head)
    };
    let weight = sent_head.len() + inside + size_of::<Ready>() + around;
    let scene = if is_bare {
        Scenery::Bare {
            config: ex.config,
            site: ex.site,
            status: response.head.status,
        }
    } else {
        Scenery::Own(Box::new(RefCell::new(Scene { ex, response })))
    };
    let ready = Ready {
        head: sent_head,
        date,
        body,
        framing,
        scene,
    };
    cache.keep(&name, (asked, made_of), weight, made, Kept::Answer(ready));
}

/// About how many bytes of memory an exchange has by what its request says.
pub fn around(ex: &Exchange, head: &RequestHead) -> usize {
    let of_pass = |variables: &Variables| -> usize {
        let variables = variables.iter().map(|(name, value)| 64 + name.len() + value.len());
        TOLD * head.request_line().len() + variables.sum::<usize>()
    };
    let before = std::iter::successors(ex.previous.as_deref(), |pass| pass.before.as_deref());
    of_pass(&ex.variables) + before.map(|pass| of_pass(&pass.variables)).sum::<usize>()
}

/// What is kept of a body, nothing of one that is not sent; with the number of its file among those that were looked at.
fn content(body: &Body, framing: ResponseFraming, asked: &Asked) -> Option<(Content, Option<usize>)> {
    match (framing, body) {
        (ResponseFraming::NoBody { .. }, Body::Empty | Body::Bytes(_) | Body::BuiltIn)
        | (ResponseFraming::Length(0), Body::Empty) => Some((Content::Bytes(Bytes::new()), None)),
        (ResponseFraming::NoBody { .. }, Body::File(body)) => Some((Content::Bytes(Bytes::new()), number(body, asked))),
        (ResponseFraming::Length(length), Body::Bytes(bytes)) if length <= LARGEST => {
            Some((Content::Bytes(Bytes::copy_from_slice(bytes)), None))
        }
        (ResponseFraming::Length(_), Body::File(body)) => {
            let number = number(body, asked)?;
            Some((part(body)?, Some(number)))
        }
        _ => None,
    }
}

/// The number of a body's file among those that were looked at.
fn number(body: &FileBody, asked: &Asked) -> Option<usize> {
    let stamp = Some(body.file.meta.stamp());
    let mut files = asked.files.iter();
    files.position(|probe| probe.links == Links::Followed && probe.found == stamp)
}

/// One part of a file; or its bytes, where they are few and in memory, and it is still what was promised.
fn part(body: &FileBody) -> Option<Content> {
    let [part] = body.parts.as_slice() else { return None };
    if !part.preface.is_empty() || !body.trailer.is_empty() {
        return None;
    }
    if part.length <= INLINE {
        let mut bytes = vec![0; usize::try_from(part.length).ok()?];
        let is_whole = body.file.fill_at_once(&mut bytes, part.offset);
        return (is_whole && body.file.is_unchanged()).then(|| Content::Bytes(Bytes::from(bytes)));
    }
    Some(Content::File(Part {
        offset: part.offset,
        length: part.length,
        copied: body.copied,
        readings: Cell::new(0),
    }))
}

/// The head without its date, where that belongs, and without what is said of the connection.
fn head_around_date(response: &Response, server: &[u8]) -> (Box<[u8]>, usize) {
    let mut head = Vec::with_capacity(320);
    append_status_line(&mut head, response.head.status, response.head.reason());
    head.extend_from_slice(b"Date: ");
    let date = head.len();
    head.extend_from_slice(b"\r\n");
    append_line(&mut head, b"Server", server);
    Fields::append_to(&response.head.fields, &mut head);
    (head.into_boxed_slice(), date)
}
