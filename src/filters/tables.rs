//! The fields of an answer as `Header` and Expires see them: Apache keeps those for good answers apart from those for all
//! answers, and some of them out of reach.

use crate::config::handlers;
use crate::exchange::Exchange;
use crate::exchange::response::{AfterResponse, Origin, Response};
use crate::filters::chain::Coded;
use crate::http::fields::{Fields, list_has_token, list_members};
use crate::http::status::Status;

/// Who has made an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// A handler.
    ByHandler,
    /// The server itself: an error, a redirect.
    ByServer,
}

/// The fields of an answer.
#[derive(Debug)]
pub struct Tables {
    /// Those of good answers: what a file is sent with.
    pub success: Fields,
    /// Those of all answers: what a script said is among them.
    pub always: Fields,
    /// Content-Type, which is there whatever becomes of the field.
    pub media_type: Option<Vec<u8>>,
    languages: Option<Vec<u8>>,
    encoding: Option<Vec<u8>>,
}

/// What a script says that Apache keeps with the fields of good answers.
const OF_SUCCESS: [&[u8]; 4] = [b"location", b"content-range", b"etag", b"last-modified"];

/// What says where a message ends, or is the connection's to say.
const FRAMING: [&str; 8] = [
    "Connection",
    "Content-Length",
    "Date",
    "Keep-Alive",
    "Server",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
];

/// What of that another server says itself.
const OF_ORIGIN: [&str; 2] = ["Date", "Server"];

impl Tables {
    /// Takes the fields out of an answer.
    pub fn split(ex: &Exchange, response: &Response, made: Made) -> Tables {
        // What another server says is kept as what a file is sent with.
        let is_behind = response.origin == Origin::Behind;
        let is_program =
            ex.handler == b"cgi-script" || handlers::is_on_demand(&ex.handler) || ex.handler.starts_with(b"proxy");
        let by_script = made == Made::ByHandler && is_program && !is_behind;
        let mut tables = Tables {
            success: Fields::new(),
            always: ex.rewriting.said.clone(),
            media_type: None,
            languages: None,
            encoding: None,
        };
        let negotiated = &ex.rewriting.negotiated;
        let is_negotiated = |name: &[u8], value: &[u8]| {
            negotiated
                .fields()
                .any(|(known, said)| name.eq_ignore_ascii_case(known.as_bytes()) && said == value)
        };
        for (name, value) in response.head.fields.iter() {
            let lower = name.to_ascii_lowercase();
            match lower.as_slice() {
                b"content-type" => tables.media_type = Some(value.to_vec()),
                b"content-language" if !by_script => tables.languages = Some(value.to_vec()),
                b"content-encoding" if !by_script => tables.encoding = Some(value.to_vec()),
                name if by_script && !OF_SUCCESS.contains(&name) => {
                    tables.always.append(name_of(response, name), value);
                }
                _ if made == Made::ByHandler && is_negotiated(name, value) => tables.always.append(name, value),
                b"set-cookie" if made == Made::ByHandler && !is_behind => tables.always.append(name, value),
                _ => tables.success.append(name, value),
            }
        }
        tables
    }

    /// Says what filters have left to be said, among the fields of good answers as Apache does.
    pub fn say(&mut self, coded: Coded) {
        if coded == Coded::No {
            return;
        }
        self.success.merge("Vary", b"Accept-Encoding");
        if coded == Coded::Yes {
            let of_script = self
                .always
                .joined(b"Content-Encoding")
                .map(|coding| coding.into_owned());
            self.always.remove("Content-Encoding");
            if let Some(coding) = self.encoding.take().or(of_script) {
                self.success.set("Content-Encoding", coding);
            }
        }
    }

    /// Puts the fields into the answer.
    pub fn join(self, response: &mut Response) {
        let mut fields = self.always;
        for (name, value) in self.success.iter() {
            fields.append(name, value);
        }
        if fields
            .values(b"Connection")
            .any(|value| list_has_token(value, b"close"))
        {
            response.connection = AfterResponse::Close;
        }
        let is_behind = response.origin == Origin::Behind;
        for name in FRAMING {
            if !(is_behind && OF_ORIGIN.contains(&name)) {
                fields.remove(name);
            }
        }
        for (name, value) in [("Content-Type", self.media_type), ("Content-Encoding", self.encoding)] {
            if let Some(value) = value {
                fields.set(name, value);
            }
        }
        if let Some(mut languages) = self.languages {
            let said = fields.joined(b"Content-Language").unwrap_or_default().into_owned();
            for language in list_members(&said) {
                if !list_has_token(&languages, language) {
                    languages = [languages.as_slice(), b",", language].concat();
                }
            }
            fields.set("Content-Language", languages);
        }
        response.head.fields = fields;
    }
}

/// The name as it stands in the answer.
fn name_of<'r>(response: &'r Response, lower: &[u8]) -> &'r [u8] {
    let mut names = response.head.fields.iter().map(|(name, _)| name);
    names.find(|name| name.eq_ignore_ascii_case(lower)).unwrap_or_default()
}

/// Takes out of an answer that has no body what is said of one: of a 304 (RFC 9110 section 15.4.5) and, as in Apache, a 204 that
/// is no other server's.
pub fn strip_what_is_of_a_body(response: &mut Response) {
    let is_empty = match response.head.status {
        Status::NOT_MODIFIED => true,
        Status::NO_CONTENT => response.origin != Origin::Behind,
        _ => false,
    };
    if is_empty {
        for name in ["Content-Type", "Content-Encoding", "Content-Language"] {
            response.head.fields.remove(name);
        }
    }
}

/// Vary as one list without doubles, as Apache sends it.
pub fn tidy_vary(response: &mut Response) {
    let fields = &mut response.head.fields;
    let mut members: Vec<&[u8]> = Vec::new();
    for value in fields.values(b"Vary") {
        for member in value.split(|byte| *byte == b',' || byte.is_ascii_whitespace()) {
            if !member.is_empty() && !members.iter().any(|known| known.eq_ignore_ascii_case(member)) {
                members.push(member);
            }
        }
    }
    if !members.is_empty() {
        let list = members.join(&b',');
        fields.set("Vary", list);
    }
}
