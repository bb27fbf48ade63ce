//! The fields of negotiation: Vary, Alternates, TCN and Content-Location, which all answers have, errors too.

use crate::base::date::HttpDate;
use crate::exchange::Exchange;
use crate::exchange::response::Response;
use crate::http::depends;
use crate::http::fields::Fields;

/// Puts the fields before the others.
pub fn apply(ex: &Exchange, response: &mut Response) {
    let negotiated = &ex.rewriting.negotiated;
    let mut fields = Fields::new();
    for (name, value) in negotiated.fields() {
        // What cannot be sent is left out: names of files may hold anything.
        let _unsendable = fields.try_append(name.as_bytes(), value);
    }
    if fields.is_empty() {
        return;
    }
    for (name, value) in response.head.fields.iter() {
        fields.append(name, value);
    }
    response.head.fields = fields;
}

/// Says that the answer is old already, to a client of HTTP/1.0 that would keep it for others.
pub fn expire(ex: &Exchange, response: &mut Response) {
    if ex.rewriting.negotiated.is_old && !response.head.fields.contains("Expires") {
        depends::on_second(ex.began.wall);
        let now = HttpDate::from(ex.began.wall);
        response.head.fields.append("Expires", now.to_bytes());
    }
}
