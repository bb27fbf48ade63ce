//! The connections to one server: made when a request needs one, kept behind it where that was asked for. One
//! connection carries one request at a time.
//!
//! An application that serves one connection at a time serves nobody while a connection to it is kept. So when a request of
//! ours has waited on a new connection for a moment without a byte, all kept ones are closed, and none is kept while it
//! waits: the process that they hold may be the one it waits for. See `waiting.rs` for what becomes of it where that was so.

pub mod queued;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};

use crate::backend::patience::Patience;
use crate::backend::service::{Owed, Process};
use crate::backend::socket::{Parked, Socket};
use crate::backend::waiting::{Live, Unanswered, Waiting};
use crate::config::backends::{Address, Scheme};
use crate::config::directives::proxy::Terms;
use crate::net::tls::{Partner, disagreement};

/// How long a kept connection may be idle, where no `ttl` says it.
const IDLE: Duration = Duration::from_secs(60);

/// So many connections of one application are kept at most; more are closed behind their request. `max` moves it down.
const MOST_IDLE: usize = 256;

/// How long a server of HTTP that could not be reached is left alone, as by Apache, where no `retry` says it.
const RETRY: Duration = Duration::from_secs(60);

/// The addresses of a host's name are asked for again after so long.
const ADDRESSES: Duration = Duration::from_secs(60);

/// A Unix socket whose queue is full refuses at once; it is tried again after so long.
pub(super) const FULL_QUEUE: Duration = Duration::from_millis(10);

/// On which terms a request is given to an application.
#[derive(Clone, Debug)]
pub struct Agreed {
    /// Whether the connection is kept behind it.
    pub keep: Keep,
    /// How long connecting may take.
    pub connect: Duration,
    /// How long it may wait for its turn.
    pub acquire: Duration,
    /// How long an application that could not be reached is left alone.
    pub retry: Duration,
    /// How many requests the application has at one time; 0 is no bound.
    pub most: u64,
    /// How long a kept connection may be idle.
    pub idle: Duration,
    /// Whom TLS is spoken with, where it is.
    pub tls: Option<Partner>,
    /// How long coming to an agreement with them may take.
    pub handshake: Duration,
}

/// Whether connections are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// They are (`enablereuse=on`).
    Yes,
    /// Each is closed behind its request.
    No,
}

impl Agreed {
    /// What the terms say, with `patience` where they leave times open. A server of HTTP has room for connections on which
    /// nobody asks for anything, so that those are kept unless the terms say otherwise.
    pub fn of(scheme: Scheme, terms: &Terms, patience: Duration) -> Agreed {
        let connect = terms.connect.or(terms.timeout).unwrap_or(patience);
        let keeps = terms.reuse.unwrap_or(scheme.is_http());
        let retry = if scheme.is_http() { RETRY } else { Duration::ZERO };
        Agreed {
            keep: if keeps { Keep::Yes } else { Keep::No },
            connect,
            acquire: terms.acquire.unwrap_or(connect),
            retry: terms.retry.unwrap_or(retry),
            most: terms.max.unwrap_or(0),
            idle: terms.ttl.unwrap_or(IDLE),
            tls: None,
            handshake: terms.timeout.unwrap_or(patience),
        }
    }
}

/// Which connection a request may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// A kept one, if there is any.
    Any,
    /// The same for a request that may be told again: that nothing has come on it need be no newer than the event loop's last
    /// turn.
    Likely,
    /// A new one.
    New,
}

/// Why there is no connection.
#[derive(Debug)]
pub enum NoLease {
    /// As many requests as may are there, and none ended in time.
    Busy(u64),
    /// It could not be reached.
    Unreachable(io::Error),
    /// It did not take the connection within this time.
    TimedOut(Duration),
    /// It could not be reached a short while ago (`retry`).
    Resting,
    /// As many connections wait for it as may (`Queue`).
    QueueFull,
    /// There is no agreement on TLS, and why.
    Disagreed(String),
    /// There was none within this time.
    SlowHandshake(Duration),
}

impl fmt::Display for NoLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoLease::Busy(most) => write!(
                f,
                "it has {most} requests already (max), and none ended in time (acquire)"
            ),
            NoLease::Unreachable(error) => write!(f, "cannot connect: {error}"),
            NoLease::TimedOut(limit) => {
                write!(f, "it did not take the connection within {limit:?} (connectiontimeout)")
            }
            NoLease::QueueFull => f.write_str("its queue is full (Queue)"),
            NoLease::Disagreed(why) => write!(f, "TLS: {why}"),
            NoLease::SlowHandshake(limit) => write!(f, "TLS: no agreement within {limit:?} (ProxyTimeout)"),
            NoLease::Resting => f.write_str("it could not be reached a short while ago, and is left alone (retry)"),
        }
    }
}

/// The connections to one address.
#[derive(Debug)]
pub struct Pool {
    address: Address,
    /// Where it is a process of a service.
    process: Option<Process>,
    idle: Mutex<Vec<Idle>>,
    /// Requests that have a connection or are getting one.
    active: AtomicUsize,
    /// There is a request less: here, or with any process of the service.
    ended: Arc<Notify>,
    /// Requests that wait for processes.
    pub(super) waiting: Waiting,
    /// No connection is kept any more.
    closing: AtomicBool,
    failed: Mutex<Option<Instant>>,
    found: Mutex<Option<(Instant, Vec<SocketAddr>)>>,
}

/// A connection that waits for a request.
#[derive(Debug)]
pub(super) struct Idle {
    parked: Parked,
    until: Instant,
    live: Live,
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    /// Without a connection.
    pub fn new(address: Address) -> Pool {
        Pool {
            address,
            process: None,
            idle: Mutex::default(),
            active: AtomicUsize::new(0),
            ended: Arc::default(),
            waiting: Waiting::default(),
            closing: AtomicBool::new(false),
            failed: Mutex::default(),
            found: Mutex::default(),
        }
    }

    /// Those to a process of a service, whose processes all tell of it when a request has `ended`.
    pub(super) fn of_process(address: Address, process: Process, ended: Arc<Notify>) -> Pool {
        Pool {
            process: Some(process),
            ended,
            ..Pool::new(address)
        }
    }

    pub(super) fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    /// How many requests have a connection or are getting one.
    pub(super) fn active(&self) -> usize {
        self.active.load(Ordering::Acquire)
    }

    /// Another process is there from now on.
    pub(super) fn renew(&self) {
        if let Some(process) = &self.process {
            process.is_another();
        }
        self.forget();
    }

    /// Whether it leads to the same program for all requests: it is none of a service's processes.
    pub fn is_of_one(&self) -> bool {
        self.process.is_none()
    }

    /// Where it leads.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// When it could not be reached, if the last attempt failed.
    pub(super) fn failed_at(&self) -> Option<Instant> {
        *locked(&self.failed)
    }

    /// How many connections are kept.
    pub fn kept(&self) -> usize {
        locked(&self.idle).len()
    }

    /// A kept connection for one request, if one is there and as many as may are not at work. Where this is a process of a
    /// service, it is one to the process that has fewest requests.
    pub fn lease_kept(self: &Arc<Pool>, agreed: &Agreed, which: Which) -> Option<Lease> {
        if which == Which::New || self.is_of_one() && self.kept() == 0 {
            return None;
        }
        let turn = Pool::turn_at_once(self, agreed)?;
        let pool = &turn.pool;
        let owed = Owed::by(pool);
        let (socket, live) = pool.kept_one(agreed.tls.as_ref(), which)?;
        pool.waiting.is_reused();
        if let Some(process) = &pool.process {
            process.is_given();
        }
        Some(Lease::new(turn, socket, agreed, Origin::Kept(live)).owing(owed))
    }

    /// A connection for one request. Where this is a process of a service, it is one to the process that has fewest requests.
    pub async fn lease(self: &Arc<Pool>, agreed: &Agreed, which: Which) -> Result<Lease, NoLease> {
        let turn = Pool::turn(self, agreed).await?;
        let pool = Arc::clone(&turn.pool);
        let owed = Owed::by(&pool);
        if let Some(process) = &pool.process {
            process.is_given();
        }
        if which != Which::New
            && let Some((socket, live)) = pool.kept_one(agreed.tls.as_ref(), which)
        {
            pool.waiting.is_reused();
            return Ok(Lease::new(turn, socket, agreed, Origin::Kept(live)).owing(owed));
        }
        pool.is_rested(agreed)?;
        if which != Which::New
            && let Some(idle) = pool.waiting.for_another().await
            && let Ok(socket) = idle.parked.unpark()
        {
            pool.waiting.is_reused();
            return Ok(Lease::new(turn, socket, agreed, Origin::Kept(idle.live)).owing(owed));
        }
        let waiting = Unanswered::new(&pool);
        match timeout_at(Instant::now() + agreed.connect, pool.connected()).await {
            Ok(Ok(mut socket)) => {
                *locked(&pool.failed) = None;
                if let Some(partner) = &agreed.tls {
                    secured(&mut socket, partner, agreed.handshake).await?;
                }
                Ok(Lease::new(turn, socket, agreed, Origin::New(waiting)).owing(owed))
            }
            Ok(Err(error)) if pool.process.is_some() && error.kind() == io::ErrorKind::WouldBlock => {
                Err(NoLease::QueueFull)
            }
            Ok(Err(error)) => {
                *locked(&pool.failed) = Some(Instant::now());
                Err(NoLease::Unreachable(error))
            }
            Err(_) => {
                *locked(&pool.failed) = Some(Instant::now());
                Err(NoLease::TimedOut(agreed.connect))
            }
        }
    }

    /// Closes kept connections whose time is over or on which something has come: mostly their end.
    pub fn sweep(&self) {
        let now = Instant::now();
        locked(&self.idle).retain(|idle| now < idle.until && idle.parked.is_quiet());
    }

    /// Keeps no connection from now on.
    pub fn keep_none(&self) {
        self.closing.store(true, Ordering::Release);
        self.forget();
    }

    /// Closes what is kept; how much that was.
    pub fn forget(&self) -> usize {
        let kept = std::mem::take(&mut *locked(&self.idle));
        kept.len()
    }

    /// The kept connection to the same partner that was used last, by this thread if it can be, if any is still good.
    fn kept_one(&self, partner: Option<&Partner>, which: Which) -> Option<(Socket, Live)> {
        loop {
            let idle = {
                let mut list = locked(&self.idle);
                let is_it = |idle: &Idle| idle.parked.partner() == partner;
                let own = list.iter().rposition(|idle| idle.parked.is_at_home() && is_it(idle));
                let at = own.or_else(|| list.iter().rposition(is_it))?;
                list.remove(at)
            };
            let Idle { parked, live, .. } = idle;
            let seems_quiet = which == Which::Likely && parked.seems_quiet();
            if (seems_quiet || parked.is_quiet())
                && let Ok(socket) = parked.unpark()
            {
                return Some((socket, live));
            }
        }
    }

    fn is_rested(&self, agreed: &Agreed) -> Result<(), NoLease> {
        match *locked(&self.failed) {
            // The launcher has started it again, or will not.
            _ if self.process.is_some() => Ok(()),
            Some(when) if when.elapsed() < agreed.retry => Err(NoLease::Resting),
            _ => Ok(()),
        }
    }

    /// Waits until one request more may be there.
    async fn turn(pool: &Arc<Pool>, agreed: &Agreed) -> Result<Turn, NoLease> {
        let until = Instant::now() + agreed.acquire;
        loop {
            let mut ended = pin!(pool.ended.notified());
            // Another thread's request may end between the look and the wait.
            ended.as_mut().enable();
            if let Some(turn) = Pool::turn_at_once(pool, agreed) {
                return Ok(turn);
            }
            if timeout_at(until, ended).await.is_err() {
                return Err(NoLease::Busy(agreed.most));
            }
        }
    }

    /// One request more, where that may be.
    fn turn_at_once(pool: &Arc<Pool>, agreed: &Agreed) -> Option<Turn> {
        let most = match agreed.most {
            0 => usize::MAX,
            most => usize::try_from(most).unwrap_or(usize::MAX),
        };
        let all = pool.process.as_ref().and_then(Process::all);
        loop {
            let least = all.as_ref().and_then(|all| all.least_busy());
            let (pool, active) = least.unwrap_or_else(|| (pool, pool.active()));
            if active >= most {
                return None;
            }
            // Another thread may have chosen the same one meanwhile: then it may be no more the one that has fewest.
            let taken = (pool.active).compare_exchange_weak(active, active + 1, Ordering::AcqRel, Ordering::Acquire);
            if taken.is_ok() {
                return Some(Turn {
                    pool: Arc::clone(pool),
                    is_answered: false,
                });
            }
        }
    }

    async fn connected(&self) -> io::Result<Socket> {
        if let Some(process) = &self.process {
            return process.connect().await;
        }
        match &self.address {
            Address::Service(_) => Err(io::ErrorKind::NotFound.into()),
            Address::Unix(path) => loop {
                match Socket::to_path(path) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(FULL_QUEUE).await,
                    made => return made,
                }
            },
            Address::Tcp { host, port } => {
                let mut last = io::Error::other("the host has no address");
                for address in self.addresses(host, *port).await? {
                    match Socket::to_address(address).await {
                        Ok(socket) => return Ok(socket),
                        Err(error) => last = error,
                    }
                }
                *locked(&self.found) = None;
                Err(last)
            }
        }
    }

    /// The addresses of the host, asked for anew now and then.
    async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(ip) = host.parse() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        if let Some((when, known)) = &*locked(&self.found)
            && when.elapsed() < ADDRESSES
        {
            return Ok(known.clone());
        }
        let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
        *locked(&self.found) = Some((Instant::now(), found.clone()));
        Ok(found)
    }
}

/// Comes to an agreement with the server at the other end.
async fn secured(socket: &mut Socket, partner: &Partner, patience: Duration) -> Result<(), NoLease> {
    match timeout_at(Instant::now() + patience, socket.secure(partner)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(NoLease::Disagreed(disagreement(&error))),
        Err(_) => Err(NoLease::SlowHandshake(patience)),
    }
}

/// The right to have a request there.
#[derive(Debug)]
struct Turn {
    pool: Arc<Pool>,
    /// Whether an answer to it has begun.
    is_answered: bool,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let pool = &self.pool;
        pool.active.fetch_sub(1, Ordering::AcqRel);
        if let Some(process) = &pool.process {
            // A client that leaves, or is turned away, is no word of the process.
            if self.is_answered {
                process.is_heard();
            }
            process.is_freed();
        }
        pool.ended.notify_one();
    }
}

/// Where a connection comes from.
#[derive(Debug)]
enum Origin {
    New(Unanswered),
    /// It was kept, or has been heard of since it was made.
    Kept(Live),
}

/// A connection that one request has. Dropped, it is closed.
#[derive(Debug)]
pub struct Lease {
    socket: Socket,
    turn: Turn,
    origin: Origin,
    /// The first byte of an answer, where the process of a service owes it.
    owed: Option<Owed>,
    /// Which process of the service it is.
    edition: u64,
    was_kept: bool,
    keep: Keep,
    idle: Duration,
}

impl Lease {
    fn new(turn: Turn, socket: Socket, agreed: &Agreed, origin: Origin) -> Lease {
        Lease {
            was_kept: matches!(origin, Origin::Kept(_)),
            owed: None,
            edition: turn.pool.process.as_ref().map_or(0, Process::edition),
            socket,
            turn,
            origin,
            keep: agreed.keep,
            idle: agreed.idle,
        }
    }

    fn owing(mut self, owed: Option<Owed>) -> Lease {
        self.owed = owed;
        self
    }

    /// Whether it carried a request before: then the application may have closed it meanwhile.
    pub fn was_kept(&self) -> bool {
        self.was_kept
    }

    /// Whether a request on it may be lost through nobody's fault: on one that carried a request before, and on that of a
    /// service, whose process may have ended and has a successor.
    pub fn may_be_lost(&self) -> bool {
        self.was_kept || self.turn.pool.process.is_some()
    }

    /// The application waits for the client: what it does not say is not its fault.
    pub(super) fn waits_for_client(&mut self) {
        if self.owed.take().is_some()
            && let Some(process) = &self.turn.pool.process
        {
            process.is_heard();
        }
    }

    /// It is the application's turn, which has not begun to answer.
    pub(super) fn waits_for_application(&mut self) {
        if self.owed.is_none() {
            self.owed = Owed::by(&self.turn.pool);
        }
    }

    /// Whether it is to be kept.
    pub fn keep(&self) -> Keep {
        self.keep
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    pub(super) fn patience(&mut self) -> &mut Patience {
        self.socket.patience()
    }

    /// The first byte of an answer is there.
    pub(super) fn is_answered(&mut self) {
        if matches!(self.origin, Origin::New(_)) {
            self.turn.pool.waiting.is_begun();
            self.origin = Origin::Kept(Live::new(&self.turn.pool));
        }
        self.owed = None;
        self.turn.is_answered = true;
        if let Some(process) = &self.turn.pool.process {
            process.is_heard();
        }
    }

    /// No byte of an answer has come for [`STARVING`].
    pub(super) fn starves(&mut self) {
        if let Origin::New(waiting) = &mut self.origin {
            waiting.starves();
        }
    }

    /// Keeps the connection, which has nothing more on it, for another request, where that was agreed and holds up nobody.
    pub(super) fn keep_for_another(self) {
        let Lease {
            socket,
            turn,
            origin,
            keep,
            idle,
            edition,
            ..
        } = self;
        let Origin::Kept(live) = origin else { return };
        let pool = &turn.pool;
        if pool
            .process
            .as_ref()
            .is_some_and(|process| process.edition() != edition)
        {
            return;
        }
        if keep == Keep::No || pool.closing.load(Ordering::Acquire) {
            return;
        }
        if !pool.waiting.may_keep() {
            return;
        }
        let (until, parked) = (Instant::now() + idle, socket.park());
        let unwanted = pool.waiting.give(Idle { parked, until, live });
        let mut list = locked(&pool.idle);
        if list.len() < MOST_IDLE {
            list.extend(unwanted);
        }
    }
}
