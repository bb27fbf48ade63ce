//! Whether the place may be seen at all.

use crate::config::directives::authz::Require;
use crate::exchange::Exchange;
use crate::exchange::fail::Fail;
use crate::exchange::place::Place;
use crate::http::status::Status;

/// Refuses what `Require all denied` closes.
pub fn run(ex: &Exchange, place: &Place) -> Result<(), Fail> {
    match place.conf.authz.require.or(Require::Granted) {
        Require::Granted => Ok(()),
        Require::Denied => {
            let file = String::from_utf8_lossy(&ex.file);
            let note = format!("client denied by server configuration: {file}");
            Err(Fail::site(Status::FORBIDDEN, note).of_module("authz_core"))
        }
    }
}
