//! A client, an exchange and its place, as the connection would make them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;

use crate::config::directives::DirConf;
use crate::config::directives::site::StageTimeout;
use crate::config::site::{Config, ScriptLinks, ScriptPlace, Site};
use crate::exchange::body::{BodyError, BodyLength, Gone, Incoming, Probed, RequestBody};
use crate::exchange::fail::Fail;
use crate::exchange::place::{Alias, Place, Types};
use crate::exchange::response::{Body, BodyStream, Broken, Outcome, Response};
use crate::exchange::{Began, Connection, Exchange};
use crate::fs::open::Found;
use crate::handlers::cgi::known::Known;
use crate::http::head::{HeadLimits, ProtocolOptions, RequestHead};
use crate::http::target::{CleanPath, EncodedSlashes, Slashes};
use crate::scripts::testing::Bench;

/// A client's side.
pub(super) struct Client {
    pub(super) chunks: VecDeque<Bytes>,
    pub(super) end: Option<BodyError>,
    pub(super) length: BodyLength,
    pub(super) gone: Option<Gone>,
    pub(super) probed: Option<Probed>,
    waker: Option<Waker>,
}

impl Incoming for Client {
    fn length(&self) -> BodyLength {
        self.length
    }

    fn limit(&mut self, _bytes: Option<u64>) {}

    fn poll_data(&mut self, _cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        match (self.chunks.pop_front(), self.end) {
            (Some(chunk), _) => Poll::Ready(Ok(Some(chunk))),
            (None, None) => Poll::Ready(Ok(None)),
            (None, Some(error)) => Poll::Ready(Err(error)),
        }
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Gone> {
        self.waker = Some(cx.waker().clone());
        self.gone.map_or(Poll::Pending, Poll::Ready)
    }

    fn pace(&mut self, _stage: StageTimeout, _each: Duration) {}

    fn interim(&mut self, _head: &[u8]) {}

    fn probe(&mut self) -> Probed {
        self.probed.unwrap_or(Probed::Impossible)
    }
}

pub(super) fn client(chunks: &[&[u8]], length: BodyLength) -> Rc<RefCell<Client>> {
    Rc::new(RefCell::new(Client {
        chunks: chunks.iter().map(|chunk| Bytes::copy_from_slice(chunk)).collect(),
        end: None,
        length,
        gone: None,
        probed: None,
        waker: None,
    }))
}

pub(super) fn no_body() -> Rc<RefCell<Client>> {
    client(&[], BodyLength::None)
}

pub(super) fn body(bytes: &[u8]) -> Rc<RefCell<Client>> {
    let chunks: Vec<&[u8]> = bytes.chunks(16 * 1024).collect();
    client(&chunks, BodyLength::Known(bytes.len() as u64))
}

pub(super) fn leave(client: &Rc<RefCell<Client>>, gone: Gone) {
    let mut client = client.borrow_mut();
    client.gone = Some(gone);
    if let Some(waker) = client.waker.take() {
        waker.wake();
    }
}

/// An exchange for `/SCRIPT...`, and the place it has.
pub(super) fn exchange(bench: &Bench, request: &str, client: &Rc<RefCell<Client>>, conf: DirConf) -> (Exchange, Place) {
    let config: &'static Config = Box::leak(Box::new(Config {
        sites: vec![Site::default()],
        script_places: vec![ScriptPlace {
            site: 0,
            root: bench.directory.to_str().expect("text").into(),
            links: ScriptLinks::Follow,
        }],
        ..Config::default()
    }));
    let mut head = RequestHead::new();
    let text = format!("{request}\r\nHost: a.example\r\n\r\n")
        .replace('\n', "\r\n")
        .replace("\r\r", "\r");
    head.parse(text.as_bytes(), &HeadLimits::default(), ProtocolOptions::default())
        .expect("a good head");
    let connection = Connection {
        local: SocketAddr::from(([127, 0, 0, 1], 80)),
        peer: SocketAddr::from(([127, 0, 0, 1], 4321)),
        client: SocketAddr::from(([127, 0, 0, 1], 4321)),
        earlier_requests: 0,
        opened: 0,
        tls: None,
    };
    let began = Began::now();
    let incoming: Rc<RefCell<dyn Incoming>> = Rc::clone(client) as Rc<_>;
    let mut ex = Exchange::new(config, connection, head, RequestBody::new(incoming), began);
    let target = ex.head.target().expect("a good target");
    let (path, query) = (target.path().to_vec(), target.query().map(<[u8]>::to_vec));
    ex.target.path = CleanPath::decode(&path, EncodedSlashes::Off, Slashes::Merge).expect("a good path");
    ex.target.query = query;
    let name = path.split(|b| *b == b'/').nth(1).expect("a script").to_vec();
    let place = Place {
        conf: Arc::new(conf),
        path: [bench.directory.to_str().expect("text").as_bytes(), b"/", &name].concat(),
        path_info: path.get(name.len() + 1..).expect("behind it").to_vec(),
        path_translated: Vec::new(),
        found: Found::Missing,
        alias: Alias::Scripts,
        context_prefix: Vec::new(),
        context_root: Vec::new(),
        types: Types::default(),
    };
    (ex, place)
}

pub(super) async fn ask(
    bench: &Bench,
    request: &str,
    client: &Rc<RefCell<Client>>,
    conf: DirConf,
) -> Result<Outcome, Fail> {
    let (mut ex, place) = exchange(bench, request, client, conf);
    crate::handlers::cgi::run(&mut ex, &place, &Known::default(), &bench.scripts).await
}

pub(super) async fn reply(bench: &Bench, request: &str, client: &Rc<RefCell<Client>>) -> Response {
    match ask(bench, request, client, DirConf::default()).await {
        Ok(Outcome::Reply(response)) => response,
        Ok(Outcome::Again(again)) => panic!("{again:?}"),
        Err(fail) => panic!("{fail}: {:?}", bench.logs.all()),
    }
}

pub(super) async fn failure(bench: &Bench, request: &str, client: &Rc<RefCell<Client>>) -> String {
    match ask(bench, request, client, DirConf::default()).await {
        Ok(_) => panic!("there is an answer"),
        Err(fail) => fail.to_string(),
    }
}

pub(super) fn stream(body: &mut Body) -> &mut dyn BodyStream {
    match body {
        Body::Stream(stream, _) | Body::Raw(stream) => stream.as_mut(),
        _ => panic!("the body is no stream"),
    }
}

pub(super) async fn chunk(body: &mut Body) -> Option<Result<Bytes, Broken>> {
    poll_fn(|cx| stream(body).poll_chunk(cx)).await
}

/// The rest of a body; whether it came to its end.
pub(super) async fn read(body: &mut Body) -> (Vec<u8>, bool) {
    let mut all = Vec::new();
    loop {
        match chunk(body).await {
            Some(Ok(bytes)) => all.extend_from_slice(&bytes),
            Some(Err(Broken)) => return (all, false),
            None => return (all, true),
        }
    }
}

pub(super) async fn text(response: &mut Response) -> String {
    let (bytes, whole) = read(&mut response.body).await;
    assert!(whole, "it broke off behind {}", String::from_utf8_lossy(&bytes));
    String::from_utf8(bytes).expect("text")
}

pub(super) const PLAIN: &str = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\n";

pub(super) fn plain(rest: &str) -> String {
    format!("{PLAIN}{rest}")
}
