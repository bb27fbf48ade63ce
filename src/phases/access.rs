//! Whether the place may be seen at all.

use std::sync::Arc;

use crate::config::directives::authz::Require;
use crate::exchange::Exchange;
use crate::exchange::fail::Fail;
use crate::exchange::place::Place;
use crate::http::status::Status;

/// Refuses what `Require` closes to this client.
pub fn run(ex: &Exchange, place: &Place) -> Result<(), Fail> {
    // A redirect inside the server that stays under the same settings is not judged again: the error document of a closed
    // place may lie in it, as in Apache.
    if ex
        .previous
        .as_ref()
        .is_some_and(|previous| Arc::ptr_eq(&previous.conf, &place.conf))
    {
        return Ok(());
    }
    let authz = &place.conf.authz;
    let limited = authz.limited.value().into_iter().flatten();
    let limited = limited
        .filter(|(methods, _)| methods.cover(ex.method))
        .map(|(_, require)| *require);
    let open = match limited
        .chain(authz.require.value().copied())
        .max()
        .unwrap_or(Require::Granted)
    {
        Require::Granted => true,
        Require::Local => is_local(ex),
        Require::Denied => false,
    };
    if open {
        return Ok(());
    }
    let file = String::from_utf8_lossy(&ex.file);
    let note = format!("client denied by server configuration: {file}");
    Err(Fail::site(Status::FORBIDDEN, note).of_module("authz_core"))
}

/// Whether the client is on this machine: a loopback address, or the same address at both ends.
fn is_local(ex: &Exchange) -> bool {
    let (peer, local) = (
        ex.connection.peer.ip().to_canonical(),
        ex.connection.local.ip().to_canonical(),
    );
    peer.is_loopback() || peer == local
}
