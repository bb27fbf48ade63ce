//! From the first byte of another server's response to an answer: interim responses are passed on, the head is freed of what
//! concerns the connection behind, and led back here.

use std::future::poll_fn;
use std::time::Duration;

use crate::backend::http::Trouble;
use crate::backend::wire;
use crate::config::backends::Address;
use crate::config::directives::proxy_http::{ErrorOverride, Via};
use crate::exchange::Exchange;
use crate::exchange::fail::{Blame, Fail};
use crate::exchange::place::Place;
use crate::exchange::response::{AfterResponse, Body, Origin, Outcome, Response, StatusBy};
use crate::handlers::cgi::broken_body;
use crate::handlers::proxy::request::{add, via_member};
use crate::handlers::proxy::stream::{FarEnd, ResponseStream};
use crate::handlers::proxy::talk::{Event, Talk};
use crate::handlers::proxy::{MODULE, reverse};
use crate::http::fields::{Fields, list_members};
use crate::http::head::Version;
use crate::http::received::{BodyEnd, Received};
use crate::http::response::{ResponseHead, append_status_line};
use crate::http::status::Status;

/// Fields that concern the connection to the server behind alone (RFC 9110 section 7.6.1), or are said anew.
const OF_CONNECTION: [&str; 9] = [
    "Connection",
    "Proxy-Connection",
    "Keep-Alive",
    "Proxy-Authenticate",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "Content-Length",
];

/// The fields whose URLs are led back here.
const WITH_URLS: [&[u8]; 4] = [b"location", b"content-location", b"uri", b"destination"];

/// What was asked for besides an answer.
pub(super) struct Asked<'a> {
    /// The protocol to change to.
    pub(super) upgrade: Option<&'a [u8]>,
    /// How long it may be silent then.
    pub(super) silence: Duration,
}

/// A request without an answer.
pub(super) struct Unanswered {
    /// What the client gets.
    pub(super) fail: Fail,
    /// The conversation, where it may be repeated.
    pub(super) talk: Option<Talk>,
}

impl From<Fail> for Unanswered {
    fn from(fail: Fail) -> Unanswered {
        Unanswered { fail, talk: None }
    }
}

/// Waits for the head of the response and makes an answer of it.
pub(super) async fn wait(
    ex: &Exchange,
    place: &Place,
    mut talk: Talk,
    address: &Address,
    asked: &Asked<'_>,
) -> Result<Outcome, Unanswered> {
    loop {
        match poll_fn(|cx| talk.poll(cx)).await {
            Event::Gone => return Err(Fail::ClientGone.into()),
            Event::Body(error) => return Err(broken_body(error).of_module(MODULE).into()),
            Event::Interim(received) => interim(ex, received).await,
            Event::Head(received, end) => return Ok(Outcome::Reply(answer(ex, place, talk, address, received, end)?)),
            Event::Switched(received) => {
                return Ok(Outcome::Reply(switched(ex, place, talk, address, received, asked)?));
            }
            Event::Trouble(trouble) => {
                return Err(Unanswered {
                    fail: troubled(address, &trouble),
                    talk: Some(talk),
                });
            }
            Event::Data(_) | Event::End => return Err(failed(address, "it answered without a head").into()),
        }
    }
}

fn troubled(address: &Address, trouble: &Trouble) -> Fail {
    let status = match trouble {
        Trouble::Wire(wire::Trouble::Silent(_)) => Status::GATEWAY_TIMEOUT,
        _ => Status::BAD_GATEWAY,
    };
    fail(status, address, &trouble.to_string())
}

fn failed(address: &Address, why: &str) -> Fail {
    fail(Status::BAD_GATEWAY, address, why)
}

fn fail(status: Status, address: &Address, why: &str) -> Fail {
    Fail::new(
        status,
        Blame::Script,
        format!("server `{address}` gave no response: {why}"),
    )
    .telling("The server behind this one failed.")
    .of_module(MODULE)
}

/// Passes an interim response on to a client that knows them. 100 is this connection's own: the client gets it when its body
/// is read.
async fn interim(ex: &Exchange, mut received: Received) {
    let is_kept = ex
        .variable(b"proxy-interim-response")
        .is_some_and(|said| said.eq_ignore_ascii_case(b"suppress"));
    if is_kept || received.head.status == Status::CONTINUE {
        return;
    }
    free_of_connection(&mut received.head.fields);
    let mut head = Vec::new();
    append_status_line(&mut head, received.head.status, received.head.reason());
    received.head.fields.append_to(&mut head);
    head.extend_from_slice(b"\r\n");
    // What earlier requests were answered goes out while this one waits.
    tokio::task::yield_now().await;
    ex.body.interim(&head);
}

/// Takes out what concerns one connection alone.
fn free_of_connection(fields: &mut Fields) {
    let named: Vec<Vec<u8>> = fields
        .values(b"connection")
        .flat_map(list_members)
        .map(<[u8]>::to_vec)
        .collect();
    for name in named {
        fields.remove(name);
    }
    fields.remove_all(&OF_CONNECTION);
}

fn answer(
    ex: &Exchange,
    place: &Place,
    talk: Talk,
    address: &Address,
    received: Received,
    end: BodyEnd,
) -> Result<Response, Fail> {
    let length = match end {
        BodyEnd::Length(length) => Some(length),
        // What a response to HEAD says of a length it would have.
        BodyEnd::NoBody => received.stated_length().ok().flatten(),
        BodyEnd::Chunked | BodyEnd::Close => None,
    };
    if overridden(place, received.head.status) {
        return Err(replaced(&received));
    }
    let head = led_back(ex, place, received);
    let stream = ResponseStream::new(talk, address.clone());
    Ok(Response {
        head,
        body: Body::Stream(Box::new(stream), length),
        connection: AfterResponse::Keep,
        origin: Origin::Behind,
        status_by: StatusBy::Server,
        parsable: None,
    })
}

/// Whether the error pages of this server take the place of the response.
pub(in crate::handlers) fn overridden(place: &Place, status: Status) -> bool {
    match place.conf.proxy_http.error_override.value() {
        None | Some(ErrorOverride::Off) => false,
        Some(ErrorOverride::Errors) => (400..600).contains(&status.code()),
        Some(ErrorOverride::Codes(codes)) => codes.contains(&status.code()),
    }
}

/// The failure that stands for a response.
fn replaced(received: &Received) -> Fail {
    let fail = Fail::client(received.head.status, "").of_module(MODULE);
    // What such an answer must say (RFC 9110 sections 15.5.2 and 15.5.6).
    let (name, known): (_, &[u8]) = match received.head.status {
        Status::UNAUTHORIZED => ("WWW-Authenticate", b"www-authenticate"),
        Status::METHOD_NOT_ALLOWED => ("Allow", b"allow"),
        _ => return fail,
    };
    match received.head.fields.joined(known) {
        Some(said) => fail.with_field(name, said.into_owned()),
        None => fail,
    }
}

/// The head as it goes out here.
pub(super) fn led_back(ex: &Exchange, place: &Place, received: Received) -> ResponseHead {
    let (version, mut head) = (received.version, received.head);
    free_of_connection(&mut head.fields);
    let conf = &place.conf.proxy_http;
    let has_types = head.fields.values(b"content-type").nth(1).is_some();
    let is_led = !conf.reverse.is_empty() || !conf.cookie_paths.is_empty() || !conf.cookie_domains.is_empty();
    if !has_types && !is_led {
        via(ex, version, &mut head.fields);
        return head;
    }
    let mut fields = Fields::new();
    for (name, value) in head.fields.iter() {
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        if is(b"content-type") && fields.contains(name) {
            // One type is sent, the first, as in Apache: two are read in different ways.
        } else if is(b"set-cookie") {
            fields.append(name, reverse::cookie(conf, value));
        } else if WITH_URLS.iter().any(|known| is(known))
            && let Some(url) = reverse::url(&conf.reverse, &ex.site.balancers, value)
        {
            let whole = if reverse::is_url(&url) { url } else { ex.own_url(&url) };
            fields.append(name, whole);
        } else {
            fields.append(name, value);
        }
    }
    via(ex, version, &mut fields);
    head.fields = fields;
    head
}

fn via(ex: &Exchange, version: Version, fields: &mut Fields) {
    match ex.site.settings.proxy_http.via.or(Via::Off) {
        Via::Off => {}
        Via::Block => {
            fields.remove("Via");
        }
        kind => add(fields, "Via", &via_member(ex, version, kind)),
    }
}

/// The answer to a client that has asked for another protocol; to any other it is none.
fn switched(
    ex: &Exchange,
    place: &Place,
    talk: Talk,
    address: &Address,
    received: Received,
    asked: &Asked<'_>,
) -> Result<Response, Fail> {
    let said = received.head.fields.joined(b"upgrade").unwrap_or_default().into_owned();
    if !asked.upgrade.is_some_and(|asked| asked.eq_ignore_ascii_case(&said)) {
        let said = said.escape_ascii();
        return Err(failed(
            address,
            &format!("it switches to `{said}`, for which it was not asked"),
        ));
    }
    let head = led_back(ex, place, received);
    Ok(Response {
        head,
        body: Body::Tunnel(Box::new(FarEnd::new(talk.into_line(asked.silence), said))),
        connection: AfterResponse::Close,
        origin: Origin::Behind,
        status_by: StatusBy::Server,
        parsable: None,
    })
}
