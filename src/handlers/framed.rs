//! Which requests are told in a frame: those whose variables, but for the frame's gaps, are those of the next one too.

use crate::exchange::Exchange;
use crate::exchange::place::Place;
use crate::gateway::frame::{Frame, Write};
use crate::gateway::meta_vars::MetaVars;
use crate::gateway::request::Credentials;

/// The frame of what one request was told, unless something else of it may be another for the next one.
pub(in crate::handlers) fn frame(ex: &Exchange, place: &Place, variables: &MetaVars, write: Write) -> Option<Frame> {
    let fixed = |name: &Vec<u8>| name.get(..4).is_none_or(|start| !start.eq_ignore_ascii_case(b"HTTP"));
    let is_steady = variables.ignored().is_empty()
        && ex.previous.is_none()
        && ex.connection.tls.is_none()
        && ex.client.host.is_none()
        && ex.client.user.is_none()
        && ex.head.target_bytes().starts_with(b"/")
        && ex.variables.keys().all(fixed);
    is_steady.then(|| Frame::of(variables, credentials(place), write))
}

/// Whether who answers is told of the client's credentials.
pub(in crate::handlers) fn credentials(place: &Place) -> Credentials {
    if place.conf.cgi.pass_auth.or(false) {
        Credentials::Passed
    } else {
        Credentials::Withheld
    }
}
