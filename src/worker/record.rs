//! A finished request as the access log sees it.

use std::time::Duration;

use crate::exchange::response::Response;
use crate::exchange::view::View;
use crate::exchange::{Exchange, Previous};
use crate::lang::log_format::{AccessRecord, ConnectionState, Pass};
use crate::worker::logs::Logs;

/// What was sent.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Bytes of the body, without framing.
    pub body_bytes: u64,
    /// Bytes on the wire.
    pub bytes_out: u64,
    /// Bytes read for this request.
    pub bytes_in: u64,
    /// Whether the connection goes on.
    pub stays: bool,
    /// Whether the response was cut.
    pub aborted: bool,
}

impl Sent {
    /// Nothing, for the client has left.
    pub fn nothing() -> Sent {
        Sent {
            body_bytes: 0,
            bytes_out: 0,
            bytes_in: 0,
            stays: false,
            aborted: true,
        }
    }
}

/// Writes a request into its site's access logs.
pub fn write(logs: &Logs, ex: &Exchange, response: Option<&Response>, sent: &Sent, duration: Duration) {
    let access = logs.access_of(ex.site);
    if access.is_empty() {
        return;
    }
    let view = View { ex, response };
    let (status, first_status) = statuses(ex, response);
    let (path, raw_query) = crate::http::target::split_query(ex.head.target_bytes());
    let (pid, tid) = own_ids();
    let record = AccessRecord {
        vars: &view,
        request_line: Some(ex.head.request_line()).filter(|line| !line.is_empty()),
        protocol: ex.head.version().as_str().as_bytes(),
        first: Pass {
            method: Some(ex.head.method_bytes()).filter(|method| !method.is_empty()),
            path: Some(first_path(ex, path)).filter(|path| !path.is_empty()),
            query: first_query(ex, raw_query),
            status: first_status,
            user: first_user(ex),
            filename: Some(first_file(ex)).filter(|file| !file.is_empty()),
            handler: Some(first_handler(ex)).filter(|handler| !handler.is_empty()),
        },
        last: Pass {
            method: Some(ex.head.method_bytes()).filter(|method| !method.is_empty()),
            path: Some(ex.target.path.as_bytes()),
            query: ex.target.query.as_deref(),
            status,
            user: ex.client.user.as_deref(),
            filename: Some(ex.file.as_slice()).filter(|file| !file.is_empty()),
            handler: Some(ex.handler.as_slice()).filter(|handler| !handler.is_empty()),
        },
        body_bytes: sent.body_bytes,
        bytes_in: sent.bytes_in,
        bytes_out: sent.bytes_out,
        started: ex.began.wall,
        duration,
        first_byte: ex.began.first_byte,
        client: ex.connection.client,
        peer: ex.connection.peer,
        local: ex.connection.local,
        remote_host: ex.client.host.as_deref(),
        remote_logname: None,
        // Apache counts a request when it keeps the connection, so the last one has the number of the one before it.
        keepalive_number: ex.connection.earlier_requests.saturating_sub(u32::from(!sent.stays)),
        connection: match (sent.aborted, sent.stays) {
            (true, _) => ConnectionState::Aborted,
            (false, true) => ConnectionState::KeptAlive,
            (false, false) => ConnectionState::Closed,
        },
        log_id: Some(&ex.unique_id),
        connection_log_id: None,
        server_name: ex.site_name(),
        canonical_name: ex.server_name(),
        server_port: ex.canonical_port(),
        pid,
        tid,
    };
    for log in access {
        if log.condition.as_ref().is_none_or(|condition| condition.holds(&view)) {
            logs.push(log.target, |line| log.format.append(&record, line));
        }
    }
}

/// The numbers of this process and thread, asked of the system once.
fn own_ids() -> (u32, u64) {
    thread_local! {
        static IDS: (u32, u64) =
            (std::process::id(), u64::try_from(rustix::thread::gettid().as_raw_nonzero().get()).unwrap_or(0));
    }
    IDS.with(|ids| *ids)
}

fn first(ex: &Exchange) -> Option<&Previous> {
    let mut pass = ex.previous.as_deref()?;
    while let Some(before) = &pass.before {
        pass = before;
    }
    Some(pass)
}

fn first_path<'a>(ex: &'a Exchange, raw: &'a [u8]) -> &'a [u8] {
    match first(ex) {
        Some(pass) => &pass.url,
        None if ex.target.raw_path.is_empty() => raw,
        None => ex.target.path.as_bytes(),
    }
}

fn first_query<'a>(ex: &'a Exchange, raw: Option<&'a [u8]>) -> Option<&'a [u8]> {
    match first(ex) {
        Some(pass) => pass.query.as_deref(),
        None => raw,
    }
}

fn first_file(ex: &Exchange) -> &[u8] {
    first(ex).map_or(&ex.file, |pass| &pass.file)
}

fn first_handler(ex: &Exchange) -> &[u8] {
    first(ex).map_or(&ex.handler, |pass| &pass.handler)
}

fn first_user(ex: &Exchange) -> Option<&[u8]> {
    first(ex).map_or(ex.client.user.as_deref(), |pass| pass.user.as_deref())
}

/// The status that is logged.
pub fn last_status(response: Option<&Response>) -> u16 {
    // Nginx's 499 for a client that left is no status of HTTP; Apache logs what it would have answered.
    response.map_or(200, |response| response.head.status.code())
}

/// The last status, and the first: what the first pass came to.
fn statuses(ex: &Exchange, response: Option<&Response>) -> (u16, u16) {
    let last = last_status(response);
    (last, first(ex).map_or(last, |pass| pass.status.code()))
}
