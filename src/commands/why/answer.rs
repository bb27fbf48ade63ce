//! The end of the page: what the client would get.

use crate::commands::why::outside::StandIn;
use crate::commands::why::page::Page;
use crate::commands::why::script;
use crate::commands::why::steps::Rights;
use crate::exchange::Exchange;
use crate::exchange::response::{Body, Response};
use crate::http::status::Status;

/// Tells the answer, or where the story ends.
pub(super) fn tell(page: &mut Page, ex: &Exchange, response: Option<&Response>, stand_in: &StandIn, rights: Rights) {
    if let Some(why) = &*stand_in.stopped.0.borrow() {
        return page.line("unknown", 0, why, None);
    }
    let Some(response) = response else {
        return page.line("unknown", 0, "nobody is answered", None);
    };
    let script = stand_in.script.borrow();
    if let Some(script) = &*script {
        script::tell(page, script);
        page.gap();
    }
    let status = response.head.status;
    let shown = format!("{} {}", status.code(), String::from_utf8_lossy(response.head.reason()));
    match (&*script, status) {
        (None, _) if rights == Rights::Wanting => {
            let line = format!("{shown}, to you: the server may have the rights that you lack");
            page.line("answer", 0, &line, None);
        }
        (None, _) => page.line("answer", 0, &shown, None),
        (Some(_), Status::OK) => page.line("answer", 0, "what the script says; it was not run", None),
        (Some(_), _) => {
            let line = format!("{shown} with what the script says, unless it says another status; it was not run");
            page.line("answer", 0, &line, None);
        }
    }
    for (name, value) in response.head.fields.iter() {
        let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
        page.line("answer", 1, &format!("{name}: {value}"), None);
    }
    if script.is_none() {
        page.line("answer", 1, &body(ex, response), None);
    }
}

fn body(ex: &Exchange, response: &Response) -> String {
    let file = String::from_utf8_lossy(&ex.file);
    match &response.body {
        Body::Empty => "without a body".to_owned(),
        Body::File(parts) => format!("{} bytes of {file}", parts.length()),
        body => match body.length() {
            Some(length) => format!("{length} bytes that the server makes itself"),
            None => "bytes that the server makes itself".to_owned(),
        },
    }
}
