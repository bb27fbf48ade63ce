//! `AddDefaultCharset` for whatever answered: a file, a listing, a script.

use crate::exchange::Exchange;
use crate::exchange::charset::completed;
use crate::exchange::response::Response;

/// Adds the place's default character set to a Content-Type of text that names none.
pub fn apply(ex: &Exchange, response: &mut Response) {
    let content_type = response.head.fields.value("Content-Type");
    if let Some(value) = content_type.and_then(|value| completed(ex.conf(), value)) {
        response.head.fields.set("Content-Type", value);
    }
}
