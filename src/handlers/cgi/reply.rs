//! From the first byte of a script's output to an answer: the head of its reply, and what it asks for (RFC 3875 section 6).

use std::future::poll_fn;
use std::time::SystemTime;

use bytes::Bytes;

use crate::base::ascii;
use crate::base::date::HttpDate;
use crate::exchange::fail::Fail;
use crate::exchange::place::Place;
use crate::exchange::response::{AfterResponse, Body, Outcome, Response, StatusBy};
use crate::exchange::{Again, Exchange};
use crate::gateway::script_reply::{Dropped, Kind, ReplyReader, ScriptReply};
use crate::handlers::cgi::failure::Case;
use crate::handlers::cgi::stream::{Length, ScriptStream, UNWANTED};
use crate::handlers::cgi::talk::{Event, Talk};
use crate::handlers::cgi::{broken_body, is_nph};
use crate::handlers::static_file;
use crate::http::conditional::{self, Condition, ETag, Validators};
use crate::http::fields::list_members;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::scripts::notes::{Notes, Weight};
use crate::scripts::script::Output;

/// So many lines that were left out of a reply get a record each.
const DROPPED_TOLD: usize = 8;

/// Waits for the head of the reply and makes an answer of it.
pub(super) async fn wait(ex: &Exchange, place: &Place, mut talk: Talk, mut case: Case) -> Result<Outcome, Fail> {
    let nph = is_nph(&place.path);
    let mut reader = ReplyReader::new();
    loop {
        match poll_fn(|cx| talk.poll(cx)).await {
            Event::Gone => return Err(Fail::ClientGone),
            Event::Body(error) => {
                // The rest of the body will never come.
                talk.script.must_end();
                return Err(broken_body(error));
            }
            Event::Output(Output::Silence) => return Err(case.silent(talk)),
            Event::Output(Output::End(_)) => return Err(case.no_reply(talk, &reader.end()).await),
            Event::Output(Output::Bytes(bytes)) if nph => return Ok(Outcome::Reply(raw(talk, &case, bytes))),
            Event::Output(Output::Bytes(bytes)) => {
                case.keep_output(&bytes);
                match reader.push(&bytes) {
                    Ok(None) => {}
                    Ok(Some(reply)) => return begin(ex, place, talk, &case, reply).await,
                    Err(error) => return Err(case.no_reply(talk, &error).await),
                }
            }
        }
    }
}

/// The whole response is the script's own: nothing of it is read but the status, for the access log.
fn raw(talk: Talk, case: &Case, first: Bytes) -> Response {
    let digits = first.split(|b| matches!(b, b' ' | b'\r' | b'\n')).nth(1);
    let status = digits.and_then(Status::from_bytes).unwrap_or(Status::OK);
    let stream = ScriptStream::new(talk, case, first, Length::Open);
    Response {
        connection: AfterResponse::Close,
        ..Response::new(status, Body::Raw(Box::new(stream)))
    }
}

async fn begin(
    ex: &Exchange,
    place: &Place,
    mut talk: Talk,
    case: &Case,
    mut reply: ScriptReply,
) -> Result<Outcome, Fail> {
    tell_dropped(case.notes(), &reply.dropped);
    match std::mem::replace(&mut reply.kind, Kind::Document) {
        Kind::Document => {
            let mut response = head(case.notes(), &reply, Body::Empty);
            match condition(ex, &reply, &response) {
                Condition::Proceed => {}
                Condition::NotModified => response.head.status = Status::NOT_MODIFIED,
                Condition::PreconditionFailed => {
                    finish(&mut talk).await?;
                    return Err(precondition_failed(&reply, "cgi"));
                }
            }
            let mut response = document(ex, talk, case, reply, response);
            add_what_the_name_says(&mut response, place);
            Ok(Outcome::Reply(response))
        }
        Kind::LocalRedirect(target) => {
            finish(&mut talk).await?;
            let tell = |text: &str| case.notes().note(Weight::Warning, None, text);
            Ok(Outcome::Again(local_redirect(&reply, target, tell)))
        }
        Kind::ClientRedirect(location) => {
            finish(&mut talk).await?;
            Ok(Outcome::Reply(client_redirect(case.notes(), &reply, Some(location))))
        }
        Kind::Nowhere => {
            finish(&mut talk).await?;
            Ok(Outcome::Reply(nowhere(case.notes(), reply)))
        }
    }
}

/// What a script says of its own document: of the one that it redirects to, and of a page of ours, it would not be true.
/// Apache sends the last two.
const OF_ITS_DOCUMENT: [&str; 6] = [
    "Content-Type",
    "Content-Range",
    "ETag",
    "Last-Modified",
    "Content-Encoding",
    "Content-MD5",
];

/// A redirect inside the server. Cookies and other fields that the script prints beside its Location are the answer's, as in
/// Apache.
pub(in crate::handlers) fn local_redirect(reply: &ScriptReply, target: Vec<u8>, tell: impl Fn(&str)) -> Again {
    let mut fields = head_telling(reply, Body::Empty, tell).head.fields;
    fields.remove_all(&OF_ITS_DOCUMENT);
    fields.remove("Location");
    Again::local_redirect(target, fields)
}

/// A redirect without a document, which the client follows (RFC 3875 section 6.2.3).
pub(in crate::handlers) fn client_redirect(notes: &Notes, reply: &ScriptReply, location: Option<Vec<u8>>) -> Response {
    let mut response = head(notes, reply, Body::BuiltIn);
    response.head.fields.remove_all(&OF_ITS_DOCUMENT);
    if let Some(location) = location {
        response.head.fields.append("Location", location);
    }
    response
}

/// A redirect that leads nowhere, such as back to a page that the client did not name: as from Apache 302, without Location,
/// and a page of ours.
pub(in crate::handlers) fn nowhere(notes: &Notes, mut reply: ScriptReply) -> Response {
    (reply.status, reply.reason) = (Status::FOUND.code(), None);
    client_redirect(notes, &reply, None)
}

/// Lets a script whose document nobody wants come to its end: what it does is done before the client goes on. One that
/// writes on and on is ended, as one that is silent is.
async fn finish(talk: &mut Talk) -> Result<(), Fail> {
    talk.script.answered();
    let before = talk.script.bytes();
    loop {
        match poll_fn(|cx| talk.poll(cx)).await {
            Event::Gone => return Err(Fail::ClientGone),
            Event::Output(Output::Bytes(_)) if talk.script.bytes() - before > UNWANTED => {
                talk.script.must_end();
                return Ok(());
            }
            Event::Output(Output::Bytes(_)) => {}
            Event::Output(Output::End(_)) => return Ok(()),
            Event::Output(Output::Silence) | Event::Body(_) => {
                talk.script.must_end();
                return Ok(());
            }
        }
    }
}

fn document(ex: &Exchange, mut talk: Talk, case: &Case, mut reply: ScriptReply, mut response: Response) -> Response {
    let first = Bytes::from(std::mem::take(&mut reply.body_start));
    let unwanted = ex.method == Method::Head || !response.head.status.allows_body();
    let length = if unwanted {
        // A client that leaves misses nothing.
        talk.script.may_finish();
        Length::Unwanted
    } else {
        reply.content_length.map_or(Length::Open, Length::Promised)
    };
    let stream = ScriptStream::new(talk, case, first, length);
    response.body = Body::Stream(Box::new(stream), reply.content_length);
    response
}

/// The coding and the languages that the script's name has, which Apache tells of its output as of any file's; and the type,
/// where the script says none.
pub(in crate::handlers) fn add_what_the_name_says(response: &mut Response, place: &Place) {
    let has_body = response.head.status.allows_body();
    let (fields, types) = (&mut response.head.fields, &place.types);
    if has_body
        && !fields.contains("Content-Type")
        && let Some(content_type) = static_file::content_type(place)
    {
        fields.append("Content-Type", content_type);
    }
    if !types.encodings.is_empty() {
        fields.set("Content-Encoding", types.encodings.join(&b", "[..]));
    }
    if !types.languages.is_empty() {
        let said = fields.joined(b"Content-Language").unwrap_or_default().into_owned();
        let mut languages = types.languages.clone();
        for language in list_members(&said) {
            if !languages.iter().any(|known| known.eq_ignore_ascii_case(language)) {
                languages.push(language.to_vec());
            }
        }
        fields.set("Content-Language", languages.join(&b','));
    }
}

pub(in crate::handlers) fn head(notes: &Notes, reply: &ScriptReply, body: Body) -> Response {
    head_telling(reply, body, |text| notes.note(Weight::Warning, None, text))
}

/// The same; what cannot be sent is told of.
pub(in crate::handlers) fn head_telling(reply: &ScriptReply, body: Body, tell: impl Fn(&str)) -> Response {
    let status = Status::new(reply.status).unwrap_or(Status::OK);
    let mut response = Response::new(status, body);
    response.head.reason.clone_from(&reply.reason);
    if reply.says_status {
        response.status_by = StatusBy::Script;
    }
    let mut changed = None;
    for (name, value) in &reply.fields {
        if ascii::eq_ignore_case(name, b"Last-Modified") {
            changed = changed.max(modified(value)); // the latest, as in Apache
        } else if response.head.fields.try_append(name, value).is_err() {
            let name = crate::scripts::notes::escaped(name);
            tell(&format!("field `{name}` of its reply cannot be sent"));
        }
    }
    if let Some(changed) = changed {
        response.head.fields.append("Last-Modified", changed.to_bytes());
    }
    response
}

/// What the conditions of a request come to. As in Apache, they are about the document that a script answers GET with, naming
/// no status; what is done by other methods is done.
pub(in crate::handlers) fn condition(ex: &Exchange, reply: &ScriptReply, response: &Response) -> Condition {
    let reads = matches!(ex.method, Method::Get | Method::Head);
    if !reads || reply.says_status || response.head.status != Status::OK || ex.error_status().is_some() {
        return Condition::Proceed;
    }
    let fields = &response.head.fields;
    let now = HttpDate::from(SystemTime::now());
    let known = Validators {
        etag: fields.value("ETag").and_then(ETag::parse),
        last_modified: fields
            .value("Last-Modified")
            .and_then(|value| HttpDate::parse(value, now)),
    };
    conditional::evaluate(ex.method, &ex.head, &known, now)
}

/// What stands for a document that is not the one which the client has in mind. What the script says beside it is said, as by
/// Apache.
pub(in crate::handlers) fn precondition_failed(reply: &ScriptReply, module: &'static str) -> Fail {
    let note = "the document is not the one that If-Match or If-Unmodified-Since is about";
    Fail::client(Status::PRECONDITION_FAILED, note)
        .with_fields_of(&reply.fields)
        .of_module(module)
}

/// When a script says that its document was changed last: never in the future, and nothing where it is no date, as in Apache
/// (which takes any zone for GMT; here an offset is minded).
fn modified(value: &[u8]) -> Option<HttpDate> {
    let now = HttpDate::from(SystemTime::now());
    HttpDate::parse_loosely(value, now).map(|date| date.min(now))
}

pub(in crate::handlers) fn tell_dropped(notes: &Notes, dropped: &[Dropped]) {
    let mistakes = || dropped.iter().filter(|dropped| dropped.why.is_mistake());
    for mistake in mistakes().take(DROPPED_TOLD) {
        notes.note(Weight::Warning, None, &mistake.to_string());
    }
    let more = mistakes().count().saturating_sub(DROPPED_TOLD);
    if more > 0 {
        notes.note(
            Weight::Warning,
            None,
            &format!("and {more} more lines dropped from its reply"),
        );
    }
}
