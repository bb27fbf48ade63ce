//! Server-side includes (`mod_include`): the filter INCLUDES, which carries out the elements in a page while the page is sent.
//!
//! A page is a future that writes into a sink; its stream takes from the sink what is there, so that what stands before a
//! slow script is sent while the script works, and a page is never kept whole.

mod condition;
mod elements;
mod include;
mod page;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;

use crate::base::date::HttpDate;
use crate::exchange::Exchange;
use crate::exchange::place::Place;
use crate::exchange::response::{Body, BodyStream, Broken, Parsable, Response};
use crate::exchange::stream::Untold;
use crate::exchange::subrequest::{Local, Main, Shared, Subrequests};
use crate::filters::chain::{self, Verdict};
use crate::filters::ssi::page::Page;
use crate::fs::open::{Found, Meta};
use crate::http::depends;
use crate::lang::log_level::Level;
use crate::lang::ssi::codec;
use crate::lang::ssi::variables::{Later, Value, Variables};

/// So much of a page may wait to be taken; its elements wait, too, then. No directive moves it.
const FULL: usize = 16 * 1024;

/// A page that is made at once and is no longer is sent with its length.
const AT_ONCE: usize = 64 * 1024;

/// Has the body parsed.
pub(in crate::filters) async fn apply(ex: &mut Exchange, response: &mut Response) -> Verdict {
    depends::on_more();
    let Some(parsable) = response.parsable.take() else {
        return Verdict::new("it is done already");
    };
    let Parsable { place, requests } = *parsable;
    if !place.has_includes() {
        let text = format!(
            "page `{}`: Options Includes is off, it is not parsed",
            page::shown(&place.path)
        );
        ex.rewriting.lines.push(Level::Warn, "include", text);
        return Verdict::new("Options Includes is off");
    }
    ex.target.landed.is_told = true;
    say_its_age(response, &place);
    if matches!(
        response.body,
        Body::Empty | Body::BuiltIn | Body::Raw(_) | Body::Tunnel(_) | Body::HandOff(_)
    ) {
        return Verdict::new("there is no body");
    }
    if ex.is_explained() {
        response.body = Body::Stream(Box::new(Untold), None);
    } else {
        let body = std::mem::replace(&mut response.body, Body::Empty);
        let sink = Sink::default();
        let main = main_of(ex, &place, meta(&place), &*requests);
        let source = body.into_stream(chain::patience(ex));
        let page = Page::new(ex.for_page(), place, Rc::clone(&main), requests, sink.clone());
        let made = Made {
            work: Some(Box::pin(page.make(source))),
            main,
            sink,
            ending: Ok(()),
        };
        response.body = begun(made).await;
    }
    Verdict::new("its elements are carried out")
}

/// A page is as old as its file only where the settings say so; it has changed with whatever it includes.
fn say_its_age(response: &mut Response, place: &Place) {
    let (fields, conf) = (&mut response.head.fields, &place.conf.ssi);
    if !conf.etag.or(false) {
        fields.remove("ETag");
    }
    let is_said = fields.value("Last-Modified").is_some();
    let by_file = if conf.last_modified.or(false) {
        !is_said
    } else {
        fields.remove("Last-Modified");
        place.is_kept_by_its_mode()
    };
    if let Some(meta) = meta(place).filter(|_| by_file) {
        let mut date = Vec::new();
        HttpDate::from(meta.modified()).append_to(&mut date);
        fields.append("Last-Modified", date);
    }
}

/// The page with what there is of it at once.
async fn begun(mut made: Made) -> Body {
    let mut first = Vec::new();
    while first.len() < AT_ONCE {
        match poll_fn(|cx| Poll::Ready(made.poll_chunk(cx))).await {
            Poll::Ready(Some(Ok(bytes))) => first.extend_from_slice(&bytes),
            Poll::Ready(Some(Err(Broken))) => {
                made.ending = Err(Broken);
                break;
            }
            Poll::Ready(None) => return Body::Bytes(first.into()),
            Poll::Pending => break,
        }
    }
    // It goes before what the page has written since.
    let mut sink = made.sink.0.borrow_mut();
    first.append(&mut sink);
    *sink = first;
    drop(sink);
    Body::Stream(Box::new(made), None)
}

fn meta(place: &Place) -> Option<&Meta> {
    match &place.found {
        Found::File(seen) | Found::Directory(seen) => Some(&seen.meta),
        Found::Missing => None,
    }
}

/// What the page has in common with the pages around it.
fn main_of(ex: &Exchange, place: &Place, meta: Option<&Meta>, requests: &dyn Subrequests) -> Rc<Main> {
    if let Some(main) = &ex.rewriting.main {
        let query = ex.target.query.as_deref();
        set_query(&mut main.shared.variables.borrow_mut(), query);
        return Rc::clone(main);
    }
    let environment = requests.environment(ex, place);
    let is_computed = |name: &[u8]| !ex.variables.contains_key(name);
    let computed = environment.iter().filter(|(name, _)| is_computed(name));
    let computed = computed.map(|(name, _)| name.to_ascii_uppercase()).collect();
    let mut variables = Variables::default();
    for (name, value) in environment {
        put(&mut variables, &name, Value::Text(value));
    }
    for (name, later) in [
        ("DATE_LOCAL", Later::DateLocal),
        ("DATE_GMT", Later::DateGmt),
        ("LAST_MODIFIED", Later::LastModified),
        ("USER_NAME", Later::UserName),
    ] {
        put(&mut variables, name.as_bytes(), Value::Later(later));
    }
    put(&mut variables, b"DOCUMENT_URI", text(ex.target.path.as_bytes()));
    if !place.path_info.is_empty() {
        put(&mut variables, b"DOCUMENT_PATH_INFO", text(&place.path_info));
    }
    let query = ex.target.query.as_deref();
    put(&mut variables, b"DOCUMENT_ARGS", text(query.unwrap_or_default()));
    let name = place.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    put(&mut variables, b"DOCUMENT_NAME", text(name));
    set_query(&mut variables, query);
    Rc::new(Main {
        depth: 0,
        shared: Rc::new(Shared {
            variables: RefCell::new(variables),
            computed,
            modified: meta.map_or(Duration::ZERO, |meta| {
                Duration::from_secs(u64::try_from(meta.mtime.0).unwrap_or(0))
            }),
            owner: meta.map(|meta| meta.owner),
            made: Cell::new(0),
            others_turn: Cell::new(false),
        }),
    })
}

/// What is said of the query of the page that is at work.
fn set_query(variables: &mut Variables, query: Option<&[u8]>) {
    if let Some(query) = query {
        put(variables, b"QUERY_STRING", text(query));
        put(
            variables,
            b"QUERY_STRING_UNESCAPED",
            Value::Text(for_shell(&codec::percent(query))),
        );
    }
}

/// What a head has room for has room here, too.
fn put(variables: &mut Variables, name: &[u8], value: Value) {
    let _there_is_room = variables.set(name, value);
}

fn text(bytes: &[u8]) -> Value {
    Value::Text(bytes.to_vec())
}

/// With a backslash before what means something to a shell.
fn for_shell(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        if b"&;`'\"|*?~<>^()[]{}$\\\n\r!%".contains(byte) && !matches!(byte, b'!' | b'%' | b'\r') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out
}

/// What a page has come to, and nobody has taken yet.
#[derive(Clone, Default)]
struct Sink(Rc<RefCell<Vec<u8>>>);

impl Sink {
    /// Adds to it, and waits until there is room again.
    async fn put(&self, bytes: &[u8]) {
        self.0.borrow_mut().extend_from_slice(bytes);
        let mut first = true;
        // Who takes from the sink polls the page again afterwards; there is nobody to be woken.
        poll_fn(|_| {
            if std::mem::take(&mut first) && self.0.borrow().len() >= FULL {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
    }
}

/// A page as a body.
struct Made {
    work: Option<Local<'static, Result<(), Broken>>>,
    main: Rc<Main>,
    sink: Sink,
    ending: Result<(), Broken>,
}

impl BodyStream for Made {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        if self.sink.0.borrow().len() < FULL
            && let Some(work) = &mut self.work
        {
            if let Poll::Ready(ending) = work.as_mut().poll(cx) {
                self.work = None;
                self.ending = ending;
            } else if self.main.shared.others_turn.get() {
                // Who took a part of the page now would ask for more before anybody else had a turn.
                if self.main.depth == 0 {
                    self.main.shared.others_turn.set(false);
                }
                return Poll::Pending;
            }
        }
        let bytes = self.sink.0.take();
        if !bytes.is_empty() {
            return Poll::Ready(Some(Ok(bytes.into())));
        }
        if self.work.is_some() {
            return Poll::Pending;
        }
        match std::mem::replace(&mut self.ending, Ok(())) {
            Ok(()) => Poll::Ready(None),
            Err(broken) => Poll::Ready(Some(Err(broken))),
        }
    }
}
