//! A finished request as the access log sees it.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use crate::exchange::response::Response;
use crate::exchange::view::View;
use crate::exchange::{Exchange, Previous};
use crate::http::target::split_query;
use crate::lang::log_format::condition::LogCondition;
use crate::lang::log_format::record::{AccessRecord, ConnectionState, Which};
use crate::lang::vars::{Variable, Vars};
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
    let record = Finished {
        view: View { ex, response },
        sent,
        duration,
    };
    for log in logs.access_of(ex.site) {
        let holds = |condition: &LogCondition| match first(ex) {
            None => condition.holds(&record.view),
            Some(pass) => condition.holds(&FirstPass {
                last: &record.view,
                pass,
            }),
        };
        if log.condition.as_ref().is_none_or(holds) {
            logs.push(log.target, |line| log.format.append(&record, line));
        }
    }
}

/// A request that was redirected inside the server, as its first pass left it: conditions of logs ask this one, as in Apache. The
/// status is that of the answer.
struct FirstPass<'a> {
    last: &'a View<'a>,
    pass: &'a Previous,
}

impl Vars for FirstPass<'_> {
    fn beneath(&self) -> Option<&dyn Vars> {
        Some(self.last)
    }

    fn env(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let own = self.pass.variables.get(name.as_bytes()).map(Vec::as_slice);
        own.or_else(|| self.last.ex.tls_environment(name)).map(Cow::Borrowed)
    }

    fn variable(&self, variable: Variable) -> Option<Cow<'_, [u8]>> {
        let pass = self.pass;
        let value = match variable {
            Variable::RequestMethod => self.last.ex.name_of(pass.method),
            Variable::RequestUri | Variable::DocumentUri => &pass.url,
            Variable::QueryString => pass.query.as_deref().unwrap_or_default(),
            Variable::RequestFilename | Variable::ScriptFilename => &pass.file,
            Variable::Handler => Some(pass.handler.as_slice()).filter(|handler| !handler.is_empty())?,
            Variable::RemoteUser => pass.user.as_deref()?,
            Variable::AuthType => pass.auth_type?.as_bytes(),
            _ => return self.last.variable(variable),
        };
        Some(Cow::Borrowed(value))
    }
}

struct Finished<'a> {
    view: View<'a>,
    sent: &'a Sent,
    duration: Duration,
}

impl Finished<'_> {
    /// The pass that is asked for, if it is not the last one.
    fn before(&self, pass: Which) -> Option<&Previous> {
        match pass {
            Which::First => first(self.view.ex),
            Which::Last => None,
        }
    }

    /// Path and query as they came.
    fn raw_target(&self) -> (&[u8], Option<&[u8]>) {
        split_query(self.view.ex.head.target_bytes())
    }
}

impl AccessRecord for Finished<'_> {
    fn vars(&self) -> &dyn Vars {
        &self.view
    }

    fn request_field(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.view.request_field(name)
    }

    fn request_line(&self) -> Option<&[u8]> {
        Some(self.view.ex.head.request_line()).filter(|line| !line.is_empty())
    }

    fn protocol(&self) -> &[u8] {
        self.view.ex.head.version().as_str().as_bytes()
    }

    fn method(&self, pass: Which) -> Option<&[u8]> {
        let ex = self.view.ex;
        let method = self.before(pass).map_or(ex.method, |before| before.method);
        Some(ex.name_of(method)).filter(|method| !method.is_empty())
    }

    fn path(&self, pass: Which) -> Option<&[u8]> {
        let target = &self.view.ex.target;
        let path = match (pass, self.before(pass)) {
            (Which::Last, _) => return Some(target.path.as_bytes()),
            (Which::First, Some(before)) => &before.url,
            (Which::First, None) if target.raw_path.is_empty() => self.raw_target().0,
            (Which::First, None) => target.path.as_bytes(),
        };
        Some(path).filter(|path| !path.is_empty())
    }

    fn query(&self, pass: Which) -> Option<&[u8]> {
        match (pass, self.before(pass)) {
            (Which::Last, _) => self.view.ex.target.query.as_deref(),
            (Which::First, Some(before)) => before.query.as_deref(),
            (Which::First, None) => self.raw_target().1,
        }
    }

    fn status(&self, pass: Which) -> u16 {
        // The first: what the first pass came to.
        self.before(pass)
            .map_or(last_status(self.view.response), |before| before.status.code())
    }

    fn user(&self, pass: Which) -> Option<&[u8]> {
        let last = &self.view.ex.client.user;
        self.before(pass).map_or(last, |before| &before.user).as_deref()
    }

    fn filename(&self, pass: Which) -> Option<&[u8]> {
        let file = self.before(pass).map_or(&self.view.ex.file, |before| &before.file);
        Some(file.as_slice()).filter(|file| !file.is_empty())
    }

    fn handler(&self, pass: Which) -> Option<&[u8]> {
        let handler = self
            .before(pass)
            .map_or(&self.view.ex.handler, |before| &before.handler);
        Some(handler.as_slice()).filter(|handler| !handler.is_empty())
    }

    fn body_bytes(&self) -> u64 {
        self.sent.body_bytes
    }

    fn bytes_in(&self) -> u64 {
        self.sent.bytes_in
    }

    fn bytes_out(&self) -> u64 {
        self.sent.bytes_out
    }

    fn started(&self) -> SystemTime {
        self.view.ex.began.wall
    }

    fn duration(&self) -> Duration {
        self.duration
    }

    fn first_byte(&self) -> Option<Duration> {
        self.view.ex.began.first_byte
    }

    fn client(&self) -> SocketAddr {
        self.view.ex.connection.client
    }

    fn peer(&self) -> SocketAddr {
        self.view.ex.connection.peer
    }

    fn local(&self) -> SocketAddr {
        self.view.ex.connection.local
    }

    fn remote_host(&self) -> Option<&[u8]> {
        self.view.ex.client.host.as_deref()
    }

    fn keepalive_number(&self) -> u32 {
        // Apache counts a request when it keeps the connection, so the last one has the number of the one before it.
        let earlier = self.view.ex.connection.earlier_requests;
        earlier.saturating_sub(u32::from(!self.sent.stays))
    }

    fn connection(&self) -> ConnectionState {
        match (self.sent.aborted, self.sent.stays) {
            (true, _) => ConnectionState::Aborted,
            (false, true) => ConnectionState::KeptAlive,
            (false, false) => ConnectionState::Closed,
        }
    }

    fn log_id(&self) -> Option<&[u8]> {
        Some(&self.view.ex.unique_id)
    }

    fn server_name(&self) -> &[u8] {
        self.view.ex.site_name()
    }

    fn canonical_name(&self) -> &[u8] {
        let name = self.view.ex.server_name();
        // Brackets are of URLs; as in Apache, an address stands in the log without.
        name.strip_prefix(b"[")
            .and_then(|name| name.strip_suffix(b"]"))
            .unwrap_or(name)
    }

    fn server_port(&self) -> u16 {
        self.view.ex.canonical_port()
    }

    fn pid(&self) -> u32 {
        own_ids().0
    }

    fn tid(&self) -> u64 {
        own_ids().1
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

/// The status that is logged.
pub fn last_status(response: Option<&Response>) -> u16 {
    // Nginx's 499 for a client that left is no status of HTTP; Apache logs what it would have answered.
    response.map_or(200, |response| response.head.status.code())
}
