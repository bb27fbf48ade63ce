//! What the lines of the error log tell of a request by `ErrorLogFormat`: gathered when there is a line to write, or a script to
//! start whose complaints come later.

use std::sync::Arc;

use crate::exchange::view::View;
use crate::exchange::{Connection, Exchange};
use crate::lang::error_format::{ErrorFormats, Question, RequestFacts};
use crate::lang::vars::Vars;

/// What the formats of the request's site want to know of it; nothing where there are none.
pub fn of(ex: &Exchange) -> Option<Arc<RequestFacts>> {
    let formats = ex.site.settings.logs.error_formats();
    (!formats.is_empty()).then(|| Arc::new(gathered(ex, &formats)))
}

fn gathered(ex: &Exchange, formats: &ErrorFormats) -> RequestFacts {
    let view = View { ex, response: None };
    let answer = |question: &Question| {
        let answer = match question {
            Question::Env(name) => view.env(name),
            Question::Field(name) => view.request_field(name),
            Question::Note(name) => view.note(name),
        };
        Some((question.clone(), answer?.into_owned()))
    };
    RequestFacts {
        peer: ex.connection.peer,
        local: ex.connection.local,
        keepalives: ex.connection.earlier_requests,
        id: ex.unique_id.to_vec(),
        connection_id: ex.connection.id().to_vec(),
        name: ex.server_name().to_vec(),
        answers: formats.questions().filter_map(answer).collect(),
    }
}

impl Connection {
    /// A name for the connection that no other has, for the logs.
    pub fn id(&self) -> [u8; 11] {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut rest = self.opened ^ (u64::from(self.peer.port()) << 48);
        let mut id = [b'A'; 11];
        for letter in &mut id {
            *letter = DIGITS.get((rest & 63) as usize).copied().unwrap_or(b'-');
            rest >>= 6;
        }
        id
    }
}
