//! The server tells what it is doing (`SetHandler server-status`, mod_status): a page for people, `?auto` in Apache's words
//! for programs, `?json` for others. `?refresh=N` has either asked for again every N seconds.

mod auto;
mod html;
mod json;
pub(in crate::handlers) mod words;

use bytes::Bytes;

use crate::exchange::Exchange;
use crate::exchange::response::{Body, Outcome, Response};
use crate::exchange::state::State;
use crate::http::status::Status;

/// How a state is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Html,
    Auto,
    Json,
}

/// So often the page is loaded again, in seconds.
const REFRESH: u64 = 10;

/// The answer.
pub fn run(ex: &Exchange, state: &State) -> Outcome {
    let query = ex.target.query.as_deref().unwrap_or_default();
    let form = form(query);
    let refresh = refresh(query)
        .or((form == Form::Html).then_some(REFRESH))
        .filter(|seconds| *seconds > 0);
    let (media_type, body) = match form {
        Form::Html => ("text/html; charset=utf-8", html::page(ex, state, refresh)),
        Form::Auto => ("text/plain; charset=ISO-8859-1", auto::lines(ex, state).into_bytes()),
        Form::Json => ("application/json", json::object(ex, state).into_bytes()),
    };
    let mut response = answer(media_type, body);
    if let Some(seconds) = refresh {
        response.head.fields.append("Refresh", seconds.to_string());
    }
    Outcome::Reply(response)
}

/// An answer that is true at this moment alone.
pub(in crate::handlers) fn answer(media_type: &str, body: Vec<u8>) -> Response {
    let mut response = Response::new(Status::OK, Body::Bytes(Bytes::from(body)));
    response.head.fields.append("Content-Type", media_type);
    response.head.fields.append("Cache-Control", "no-store");
    response
}

fn words(query: &[u8]) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    query.split(|byte| *byte == b'&').map(|word| {
        let at = word.iter().position(|byte| *byte == b'=');
        at.and_then(|at| Some((word.get(..at)?, word.get(at + 1..))))
            .unwrap_or((word, None))
    })
}

fn form(query: &[u8]) -> Form {
    let forms = words(query).filter_map(|(name, _)| match name {
        b"auto" => Some(Form::Auto),
        b"json" => Some(Form::Json),
        _ => None,
    });
    forms.last().unwrap_or(Form::Html)
}

/// After how many seconds it is asked for again; 0 is never. Without a number it is Apache's 10.
fn refresh(query: &[u8]) -> Option<u64> {
    let (_, value) = words(query).find(|(name, _)| *name == b"refresh")?;
    let number = value.and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
    Some(number.unwrap_or(REFRESH))
}

#[cfg(test)]
mod tests {
    use super::{Form, form, refresh};

    #[test]
    fn the_query_says_how() {
        for (query, expected, seconds) in [
            ("", Form::Html, None),
            ("auto", Form::Auto, None),
            ("refresh=5&auto", Form::Auto, Some(5)),
            ("json", Form::Json, None),
            ("automatic", Form::Html, None),
            ("refresh", Form::Html, Some(10)),
            ("refresh=x", Form::Html, Some(10)),
            ("refresh=0", Form::Html, Some(0)),
            ("refresh=99999999999999999999", Form::Html, Some(10)),
            ("&=&refresh=&", Form::Html, Some(10)),
        ] {
            assert_eq!(
                (form(query.as_bytes()), refresh(query.as_bytes())),
                (expected, seconds),
                "{query}"
            );
        }
    }
}
