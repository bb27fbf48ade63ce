//! From the first byte of an application's output to an answer: the head of its reply, which is that of a CGI script
//! (section 6.2 of the specification), and what it asks for.

use std::future::poll_fn;

use bytes::Bytes;

use crate::backend::wire::Trouble;
use crate::config::backends::Address;
use crate::exchange::fail::{Blame, Fail};
use crate::exchange::place::Place;
use crate::exchange::response::{Body, Outcome, Response};
use crate::exchange::{Again, Exchange};
use crate::gateway::fastcgi::answers::Fault;
use crate::gateway::script_reply::{Kind, ReplyReader, ScriptReply};
use crate::handlers::cgi::broken_body;
use crate::handlers::cgi::reply::{add_what_the_name_says, client_redirect, head, tell_dropped};
use crate::handlers::fastcgi::MODULE;
use crate::handlers::fastcgi::stream::{Length, ReplyStream, UNWANTED};
use crate::handlers::fastcgi::talk::{Event, Talk};
use crate::http::method::Method;
use crate::http::status::Status;

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

/// Waits for the head of the reply and makes an answer of it.
pub(super) async fn wait(
    ex: &Exchange,
    place: &Place,
    mut talk: Talk,
    address: &Address,
) -> Result<Outcome, Unanswered> {
    let mut reader = ReplyReader::new();
    loop {
        match poll_fn(|cx| talk.poll(cx)).await {
            Event::Gone => {
                talk.abort();
                return Err(Fail::ClientGone.into());
            }
            Event::Body(error) => {
                talk.abort();
                return Err(broken_body(error).of_module(MODULE).into());
            }
            Event::Output(bytes) => match reader.push(&bytes) {
                Ok(None) => {}
                Ok(Some(reply)) => return begin(ex, place, talk, address, reply).await.map_err(Unanswered::from),
                Err(error) => {
                    talk.abort();
                    return Err(no_reply(address, &error.to_string()).into());
                }
            },
            Event::End => {
                talk.end();
                return Err(no_reply(address, &reader.end().to_string()).into());
            }
            Event::Trouble(trouble) => {
                talk.tell_rest();
                return Err(Unanswered {
                    fail: troubled(address, &trouble),
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
    Fail::new(status, Blame::Script, note)
        .telling("The program behind this page failed.")
        .of_module(MODULE)
}

async fn begin(
    ex: &Exchange,
    place: &Place,
    talk: Talk,
    address: &Address,
    mut reply: ScriptReply,
) -> Result<Outcome, Fail> {
    tell_dropped(talk.notes(), &reply.dropped);
    match std::mem::replace(&mut reply.kind, Kind::Document) {
        Kind::Document => {
            let mut response = document(ex, talk, address, reply);
            add_what_the_name_says(&mut response, &place.types);
            Ok(Outcome::Reply(response))
        }
        Kind::LocalRedirect(target) => {
            finish(talk).await?;
            Ok(Outcome::Again(Again::local_redirect(target)))
        }
        Kind::ClientRedirect(location) => {
            let response = client_redirect(talk.notes(), &reply, location);
            finish(talk).await?;
            Ok(Outcome::Reply(response))
        }
    }
}

/// Lets an application whose document nobody wants come to its end: what it does is done before the client goes on.
async fn finish(mut talk: Talk) -> Result<(), Fail> {
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

fn document(ex: &Exchange, talk: Talk, address: &Address, mut reply: ScriptReply) -> Response {
    let first = Bytes::from(std::mem::take(&mut reply.body_start));
    let mut response = head(talk.notes(), &reply, Body::Empty);
    let unwanted = ex.method == Method::Head || !response.head.status.allows_body();
    let length = if unwanted {
        Length::Unwanted
    } else {
        reply.content_length.map_or(Length::Open, Length::Promised)
    };
    let stream = ReplyStream::new(talk, address.to_string(), first, length);
    response.body = Body::Stream(Box::new(stream), reply.content_length);
    response
}
