//! A finished request, as a log line sees it: each part is worked out when a line asks for it.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use crate::lang::vars::Vars;

/// A finished request. What an internal redirect may change is asked for by the pass.
pub trait AccessRecord {
    /// Fields, environment, notes and cookies.
    fn vars(&self) -> &dyn Vars;
    /// The request's field of that name, as [`Vars::request_field`] has it.
    fn request_field(&self, name: &str) -> Option<Cow<'_, [u8]>>;
    /// The request line as received; none when the client sent nothing usable.
    fn request_line(&self) -> Option<&[u8]>;
    /// `HTTP/1.1`
    fn protocol(&self) -> &[u8];
    /// The method; none when there was no readable request line.
    fn method(&self, pass: Which) -> Option<&[u8]>;
    /// The target's path, decoded.
    fn path(&self, pass: Which) -> Option<&[u8]>;
    /// The target's query, without `?`.
    fn query(&self, pass: Which) -> Option<&[u8]>;
    /// The response's status.
    fn status(&self, pass: Which) -> u16;
    /// The authenticated user.
    fn user(&self, pass: Which) -> Option<&[u8]>;
    /// The file or script the target was mapped to.
    fn filename(&self, pass: Which) -> Option<&[u8]>;
    /// The handler's Apache name.
    fn handler(&self, pass: Which) -> Option<&[u8]>;
    /// Bytes of the response's body that were sent, framing not counted.
    fn body_bytes(&self) -> u64;
    /// Bytes received for this request, on the wire.
    fn bytes_in(&self) -> u64;
    /// Bytes sent for it, on the wire.
    fn bytes_out(&self) -> u64;
    /// When the request began.
    fn started(&self) -> SystemTime;
    /// From then to now.
    fn duration(&self) -> Duration;
    /// From the request's head being read to the first byte of the response; none when that was not measured.
    fn first_byte(&self) -> Option<Duration>;
    /// The client's address, after mod_remoteip's rules.
    fn client(&self) -> SocketAddr;
    /// The connection's other end.
    fn peer(&self) -> SocketAddr;
    /// The connection's end here.
    fn local(&self) -> SocketAddr;
    /// The client's name, when HostnameLookups found one.
    fn remote_host(&self) -> Option<&[u8]>;
    /// How many requests the connection had served before this one.
    fn keepalive_number(&self) -> u32;
    /// What became of the connection.
    fn connection(&self) -> ConnectionState;
    /// The request's id in the error log, when it was written there.
    fn log_id(&self) -> Option<&[u8]>;
    /// The site's ServerName.
    fn server_name(&self) -> &[u8];
    /// The name by UseCanonicalName: usually the request's Host.
    fn canonical_name(&self) -> &[u8];
    /// The port by the site's ServerName, or the default one.
    fn server_port(&self) -> u16;
    /// The process that served it.
    fn pid(&self) -> u32;
    /// The thread that served it.
    fn tid(&self) -> u64;
}

/// Of an internally redirected request, the original (`<`) or the final one (`>`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The request as it came in.
    First,
    /// The request as it was answered, after internal redirects.
    Last,
}

/// What became of the connection after the response: `%X`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// It was gone before the response was complete.
    Aborted,
    /// It may serve another request.
    KeptAlive,
    /// It is closed after the response.
    Closed,
}
