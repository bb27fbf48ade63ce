//! What a client sees of an error: what ErrorDocument says, or the built-in page.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::quote;
use crate::config::directives::core::{ErrorDocument, ErrorForm};
use crate::exchange::fail::{AfterFail, Reply};
use crate::exchange::page;
use crate::exchange::response::{AfterResponse, Body, Response};
use crate::exchange::view::View;
use crate::exchange::{Again, AgainMethod, Exchange};
use crate::http::fields::Fields;
use crate::http::status::Status;

/// What stands for an error.
pub enum Replacement {
    /// This answer.
    Response(Response),
    /// The answer of another path of the site.
    Again(Again),
}

/// Chooses what the client sees of a failure. An error within an error document gets the built-in page.
pub fn choose(ex: &Exchange, fail: &Reply) -> Replacement {
    let conf = Arc::clone(ex.conf());
    let document = conf.core.error_documents.find(&fail.status.code());
    let document = document.map(|document| written_out(ex, fail, document));
    let mut response = match document.as_deref() {
        Some(ErrorDocument::Path(path)) if ex.error_status().is_none() => {
            return Replacement::Again(Again {
                target: path.clone(),
                status: fail.status,
                notes: fail.told.clone(),
                method: AgainMethod::Get,
                fields: Fields::new(),
            });
        }
        Some(ErrorDocument::Url(url)) if ex.error_status().is_none() => {
            let mut response = Response::new(Status::FOUND, Body::BuiltIn);
            response.head.fields.append("Location", url);
            response
        }
        Some(ErrorDocument::Text(text)) => {
            let mut response = Response::new(fail.status, Body::Bytes(Bytes::copy_from_slice(text)));
            response
                .head
                .fields
                .append("Content-Type", "text/html; charset=iso-8859-1");
            response
        }
        _ => Response::new(fail.status, Body::BuiltIn),
    };
    finish(ex, fail, &mut response);
    Replacement::Response(response)
}

/// The document with its variables filled in; the built-in page where they have no value.
fn written_out<'d>(ex: &Exchange, fail: &Reply, document: &'d ErrorDocument) -> Cow<'d, ErrorDocument> {
    let ErrorDocument::Computed(expr, form) = document else {
        return Cow::Borrowed(document);
    };
    let response = Response::new(fail.status, Body::Empty);
    let view = View {
        ex,
        response: Some(&response),
    };
    Cow::Owned(match (expr.eval(&view), form) {
        (Err(_), _) => ErrorDocument::BuiltIn,
        (Ok(text), ErrorForm::Text) => ErrorDocument::Text(text),
        (Ok(path), ErrorForm::Path) => ErrorDocument::Path(path),
        (Ok(url), ErrorForm::Url) => ErrorDocument::Url(url),
    })
}

/// The built-in answer for a failure of an error document: the first error's status, and a word on the second.
pub fn last_resort(ex: &Exchange, first: &Reply, second: Status) -> Response {
    let mut page = built_in(ex, first.status, first.told.as_deref(), None, Some(second));
    let mut response = Response::new(first.status, Body::Bytes(Bytes::from(std::mem::take(&mut page))));
    response.head.fields.append("Content-Type", "text/html; charset=utf-8");
    finish(ex, first, &mut response);
    response
}

fn finish(ex: &Exchange, fail: &Reply, response: &mut Response) {
    if matches!(response.body, Body::BuiltIn) {
        let location = response.head.fields.value("Location").map(<[u8]>::to_vec);
        let page = built_in(
            ex,
            response.head.status,
            fail.told.as_deref(),
            location.as_deref(),
            None,
        );
        response.body = Body::Bytes(Bytes::from(page));
        response.head.fields.append("Content-Type", "text/html; charset=utf-8");
    }
    fail.say_fields(&mut response.head.fields);
    if fail.connection == AfterFail::Close {
        response.connection = AfterResponse::Close;
    }
}

/// Puts the built-in page into a response that asks for it (redirects, 416).
pub fn fill_in(ex: &Exchange, response: &mut Response) {
    if matches!(response.body, Body::BuiltIn) {
        let location = response.head.fields.value("Location").map(<[u8]>::to_vec);
        let page = built_in(ex, response.head.status, None, location.as_deref(), None);
        response.body = Body::Bytes(Bytes::from(page));
        response.head.fields.set("Content-Type", "text/html; charset=utf-8");
    }
}

fn built_in(
    ex: &Exchange,
    status: Status,
    told: Option<&str>,
    location: Option<&[u8]>,
    second: Option<Status>,
) -> Vec<u8> {
    let mut title = Vec::new();
    if !status.is_redirect() {
        title.extend_from_slice(format!("{} ", status.code()).as_bytes());
    }
    title.extend_from_slice(status.reason().as_bytes());
    let mut page = page::begin(&title);
    if let Some(location) = location {
        page.extend_from_slice(b"<p>The document is <a href=\"");
        quote::escape_html(&mut page, location);
        page.extend_from_slice(b"\">here</a>.</p>\n");
    } else {
        page.extend_from_slice(format!("<p>{}</p>\n", explanation(status)).as_bytes());
    }
    if let (Some(list), Status::MULTIPLE_CHOICES | Status::NOT_ACCEPTABLE) = (&ex.rewriting.negotiated.list, status) {
        page.extend_from_slice(list);
    }
    if let Some(told) = told {
        page.extend_from_slice(b"<p>");
        quote::escape_html(&mut page, told.as_bytes());
        page.extend_from_slice(b"</p>\n");
    }
    if let Some(second) = second {
        let (code, reason) = (second.code(), second.reason());
        page.extend_from_slice(
            format!("<p>Additionally, a {code} {reason} error was encountered while trying to use an ErrorDocument to handle the request.</p>\n")
                .as_bytes(),
        );
    }
    page::end(&mut page, ex.signature().as_deref());
    page
}

fn explanation(status: Status) -> &'static str {
    match status.code() {
        400 => "Your browser sent a request that this server could not understand.",
        401 => {
            "This server could not verify that you are authorized to access the document. Either the credentials are wrong, or your browser does not know how to supply them."
        }
        403 => "You do not have permission to access this resource.",
        404 => "The requested URL was not found on this server.",
        405 => "The requested method is not allowed for this URL.",
        406 => "No representation of the resource suits what your browser accepts.",
        408 => "The server timed out waiting for the request from the client.",
        410 => "The requested resource is no longer here, and there is no forwarding address.",
        412 => "The precondition on the request evaluated to false.",
        413 => "The request is larger than this resource allows.",
        414 => "The requested URL is longer than this server allows.",
        416 => "None of the ranges that were asked for lies within the resource.",
        417 => "The expectation given in the request could not be met.",
        431 => "A field of the request, or all of them together, is larger than this server allows.",
        500 => {
            "The server met a fault while it worked on your request. Its administrator finds the cause in the error log."
        }
        501 => "The server does not know this method.",
        502 => "The server got an invalid answer from the program behind it.",
        503 => "The server cannot answer right now. Please try again in a moment.",
        504 => "The program behind this page did not answer in time.",
        505 => "The server does not speak the version of HTTP that the request was made in.",
        506 => "What should be a form of this resource has several forms itself.",
        300 => "More than one document may be meant.",
        200..=299 => "The request has succeeded.",
        301..=399 => "The document has moved.",
        _ => "The server could not answer the request.",
    }
}
