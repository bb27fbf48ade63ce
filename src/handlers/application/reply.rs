//! From the first byte of an application's output to an answer: the head of its reply, which is that of a CGI script
//! (section 6.2 of the specification), and what it asks for.

use std::future::poll_fn;

use bytes::Bytes;

use crate::backend::wire::Trouble;
use crate::config::backends::{Address, Scheme, Target};
use crate::config::directives::scgi::Redirects;
use crate::exchange::Exchange;
use crate::exchange::fail::{Blame, Fail};
use crate::exchange::place::Place;
use crate::exchange::response::{Body, Outcome, Response};
use crate::gateway::fastcgi::answers::Fault;
use crate::gateway::script_reply::{Kind, ReplyReader, ScriptReply};
use crate::handlers::application::stream::{Length, ReplyStream, UNWANTED};
use crate::handlers::application::talk::{Event, Talk};
use crate::handlers::cgi::broken_body;
use crate::handlers::cgi::reply::{
    add_what_the_name_says, client_redirect, condition, head, local_redirect, precondition_failed, tell_dropped,
};
use crate::handlers::proxy::reply::overridden;
use crate::http::conditional::Condition;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::scripts::notes::Weight;

/// A request without an answer.
pub(super) struct Unanswered {
    /// What the client gets.
    pub(super) fail: Fail,
    /// The conversation, where it may be repeated.
    pub(super) talk: Option<Box<Talk>>,
}

impl From<Fail> for Unanswered {
    fn from(fail: Fail) -> Unanswered {
        Unanswered { fail, talk: None }
    }
}

/// Waits for the head of the reply and makes an answer of it.
pub(super) async fn wait(
    ex: &Exchange,
    place: &Place,
    mut talk: Box<Talk>,
    target: &Target,
) -> Result<Outcome, Unanswered> {
    let (module, address) = (talk.notes().about().module, &target.address);
    let mut reader = ReplyReader::new();
    loop {
        match poll_fn(|cx| talk.poll(cx)).await {
            Event::Gone => {
                talk.abort();
                return Err(Fail::ClientGone.into());
            }
            Event::Body(error) => {
                talk.abort();
                return Err(broken_body(error).of_module(module).into());
            }
            Event::Output(bytes) => match reader.push(&bytes) {
                Ok(None) => {}
                Ok(Some(reply)) => return begin(ex, place, talk, target, reply).await.map_err(Unanswered::from),
                Err(error) => {
                    talk.abort();
                    return Err(no_reply(address, &error.to_string()).of_module(module).into());
                }
            },
            Event::End => {
                talk.end();
                return Err(no_reply(address, &reader.end().to_string()).of_module(module).into());
            }
            Event::Trouble(trouble) => {
                talk.tell_rest();
                return Err(Unanswered {
                    fail: troubled(address, &trouble).of_module(module),
                    talk: Some(talk),
                });
            }
        }
    }
}

fn no_reply(address: &Address, why: &str) -> Fail {
    failed(
        Status::BAD_GATEWAY,
        format!("application `{address}` gave no reply: {why}"),
    )
}

fn troubled(address: &Address, trouble: &Trouble) -> Fail {
    let status = match trouble {
        Trouble::Silent(_) => Status::GATEWAY_TIMEOUT,
        Trouble::Fault(Fault::Overloaded) => Status::SERVICE_UNAVAILABLE,
        Trouble::Fault(_) | Trouble::Io(_) => Status::BAD_GATEWAY,
    };
    failed(status, format!("application `{address}` gave no reply: {trouble}"))
}

fn failed(status: Status, note: String) -> Fail {
    Fail::new(status, Blame::Script, note).telling("The program behind this page failed.")
}

async fn begin(
    ex: &Exchange,
    place: &Place,
    talk: Box<Talk>,
    target: &Target,
    mut reply: ScriptReply,
) -> Result<Outcome, Fail> {
    tell_dropped(talk.notes(), &reply.dropped);
    if target.scheme == Scheme::Scgi {
        redirect_as_said(place, &mut reply);
    }
    match std::mem::replace(&mut reply.kind, Kind::Document) {
        // From Apache, what such an application says beside an empty Location is its document.
        Kind::Document | Kind::Nowhere if is_overridden(ex, place, target, &reply) => {
            finish(talk).await?;
            Err(replaced(target, &reply))
        }
        Kind::Document | Kind::Nowhere => {
            let mut response = head(talk.notes(), &reply, Body::Empty);
            match condition(ex, &reply, &response) {
                Condition::Proceed => {}
                Condition::NotModified => response.head.status = Status::NOT_MODIFIED,
                Condition::PreconditionFailed => {
                    finish(talk).await?;
                    return Err(precondition_failed(&reply, target.scheme.module()));
                }
            }
            let mut response = document(ex, talk, &target.address, reply, response);
            add_what_the_name_says(&mut response, place);
            Ok(Outcome::Reply(response))
        }
        Kind::LocalRedirect(target) => {
            let tell = |text: &str| talk.notes().note(Weight::Warning, None, text);
            let again = local_redirect(&reply, target, tell);
            finish(talk).await?;
            Ok(Outcome::Again(again))
        }
        Kind::ClientRedirect(location) => {
            let response = client_redirect(talk.notes(), &reply, Some(location));
            finish(talk).await?;
            Ok(Outcome::Reply(response))
        }
    }
}

/// Whether the server's own page takes the place of the application's (ProxyErrorOverride); as in Apache, of an SCGI
/// application's it never does, and no page about an error is itself replaced.
fn is_overridden(ex: &Exchange, place: &Place, target: &Target, reply: &ScriptReply) -> bool {
    let status = Status::new(reply.status).unwrap_or(Status::OK);
    target.scheme == Scheme::FastCgi && ex.error_status().is_none() && overridden(place, status)
}

/// The failure that stands for an application's answer; cookies and the challenge of a 401 are the application's.
fn replaced(target: &Target, reply: &ScriptReply) -> Fail {
    let status = Status::new(reply.status).unwrap_or(Status::OK);
    let mut fail = Fail::client(status, "").of_module(target.scheme.module());
    for (name, value) in &reply.fields {
        if name.eq_ignore_ascii_case(b"Set-Cookie") {
            fail = fail.with_field("Set-Cookie", value.clone());
        } else if status == Status::UNAUTHORIZED && name.eq_ignore_ascii_case(b"WWW-Authenticate") {
            fail = fail.with_field("WWW-Authenticate", value.clone());
        }
    }
    fail
}

/// `ProxySCGIInternalRedirect`: another field than Location, or none, redirects inside the server.
fn redirect_as_said(place: &Place, reply: &mut ScriptReply) {
    let field = match place.conf.scgi.redirect.value() {
        None | Some(Redirects::ByLocation) => return,
        Some(Redirects::Never) => None,
        Some(Redirects::ByField(name)) => Some(name),
    };
    if let Kind::LocalRedirect(location) = &mut reply.kind {
        reply.kind = Kind::ClientRedirect(std::mem::take(location));
        reply.status = Status::FOUND.code();
    }
    let is_it = |(name, value): &(Vec<u8>, Vec<u8>)| {
        value.starts_with(b"/") && field.is_some_and(|field| name.eq_ignore_ascii_case(field))
    };
    if reply.status == Status::OK.code()
        && let Some(at) = reply.fields.iter().position(is_it)
    {
        let (_, target) = reply.fields.swap_remove(at);
        reply.kind = Kind::LocalRedirect(target);
    }
}

/// Lets an application whose document nobody wants come to its end: what it does is done before the client goes on.
async fn finish(mut talk: Box<Talk>) -> Result<(), Fail> {
    let mut unwanted = 0;
    loop {
        match poll_fn(|cx| talk.poll(cx)).await {
            Event::Gone => {
                talk.abort();
                return Err(Fail::ClientGone);
            }
            Event::Output(bytes) => {
                unwanted += bytes.len() as u64;
                if unwanted > UNWANTED {
                    talk.abort();
                    return Ok(());
                }
            }
            Event::End => {
                talk.end();
                return Ok(());
            }
            Event::Trouble(_) | Event::Body(_) => {
                talk.abort();
                return Ok(());
            }
        }
    }
}

fn document(
    ex: &Exchange,
    talk: Box<Talk>,
    address: &Address,
    mut reply: ScriptReply,
    mut response: Response,
) -> Response {
    let first = Bytes::from(std::mem::take(&mut reply.body_start));
    let unwanted = ex.method == Method::Head || !response.head.status.allows_body();
    let length = if unwanted {
        Length::Unwanted
    } else {
        reply.content_length.map_or(Length::Open, Length::Promised)
    };
    let stream = ReplyStream::new(talk, address.clone(), first, length);
    response.body = Body::Stream(Box::new(stream), reply.content_length);
    response
}
