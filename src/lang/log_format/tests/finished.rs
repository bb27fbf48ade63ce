//! A finished request of which everything is said.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use crate::lang::log_format::record::{AccessRecord, ConnectionState, Which};
use crate::lang::vars::Vars;

/// What [`AccessRecord`] asks for.
#[derive(Clone, Copy)]
pub struct Finished<'r> {
    pub vars: &'r dyn Vars,
    pub request_line: Option<&'r [u8]>,
    pub protocol: &'r [u8],
    pub first: Pass<'r>,
    pub last: Pass<'r>,
    pub body_bytes: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub started: SystemTime,
    pub duration: Duration,
    pub first_byte: Option<Duration>,
    pub client: SocketAddr,
    pub peer: SocketAddr,
    pub local: SocketAddr,
    pub remote_host: Option<&'r [u8]>,
    pub keepalive_number: u32,
    pub connection: ConnectionState,
    pub log_id: Option<&'r [u8]>,
    pub server_name: &'r [u8],
    pub canonical_name: &'r [u8],
    pub server_port: u16,
    pub pid: u32,
    pub tid: u64,
}

/// What an internal redirect may change.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pass<'r> {
    pub method: Option<&'r [u8]>,
    pub path: Option<&'r [u8]>,
    pub query: Option<&'r [u8]>,
    pub status: u16,
    pub user: Option<&'r [u8]>,
    pub filename: Option<&'r [u8]>,
    pub handler: Option<&'r [u8]>,
}

impl<'r> Finished<'r> {
    fn pass(&self, which: Which) -> &Pass<'r> {
        match which {
            Which::First => &self.first,
            Which::Last => &self.last,
        }
    }
}

impl AccessRecord for Finished<'_> {
    fn vars(&self) -> &dyn Vars {
        self.vars
    }

    fn request_field(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.vars.request_field(name)
    }

    fn request_line(&self) -> Option<&[u8]> {
        self.request_line
    }

    fn protocol(&self) -> &[u8] {
        self.protocol
    }

    fn method(&self, pass: Which) -> Option<&[u8]> {
        self.pass(pass).method
    }

    fn path(&self, pass: Which) -> Option<&[u8]> {
        self.pass(pass).path
    }

    fn query(&self, pass: Which) -> Option<&[u8]> {
        self.pass(pass).query
    }

    fn status(&self, pass: Which) -> u16 {
        self.pass(pass).status
    }

    fn user(&self, pass: Which) -> Option<&[u8]> {
        self.pass(pass).user
    }

    fn filename(&self, pass: Which) -> Option<&[u8]> {
        self.pass(pass).filename
    }

    fn handler(&self, pass: Which) -> Option<&[u8]> {
        self.pass(pass).handler
    }

    fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    fn bytes_in(&self) -> u64 {
        self.bytes_in
    }

    fn bytes_out(&self) -> u64 {
        self.bytes_out
    }

    fn started(&self) -> SystemTime {
        self.started
    }

    fn duration(&self) -> Duration {
        self.duration
    }

    fn first_byte(&self) -> Option<Duration> {
        self.first_byte
    }

    fn client(&self) -> SocketAddr {
        self.client
    }

    fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn local(&self) -> SocketAddr {
        self.local
    }

    fn remote_host(&self) -> Option<&[u8]> {
        self.remote_host
    }

    fn keepalive_number(&self) -> u32 {
        self.keepalive_number
    }

    fn connection(&self) -> ConnectionState {
        self.connection
    }

    fn log_id(&self) -> Option<&[u8]> {
        self.log_id
    }

    fn server_name(&self) -> &[u8] {
        self.server_name
    }

    fn canonical_name(&self) -> &[u8] {
        self.canonical_name
    }

    fn server_port(&self) -> u16 {
        self.server_port
    }

    fn pid(&self) -> u32 {
        self.pid
    }

    fn tid(&self) -> u64 {
        self.tid
    }
}
