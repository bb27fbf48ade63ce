//! Connections at rest: idle for a while, and until their clients say something without a task, a timer, a buffer or a place in the
//! event loop. What is left of one is what cannot be made again, some hundred bytes.
//!
//! Measured with 10,000 idle connections: see `tests/bench/results`.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::{Conn, run};
use crate::base::numbered::Numbered;
use crate::config::site::Site;
use crate::net::stream::Stream;
use crate::net::tls::Secured;
use crate::net::vigil::Vigil;
use crate::process::footprint;
use crate::worker::accept::Counted;
use crate::worker::crowd::{Idlers, Stays};
use crate::worker::roster::Seat;
use crate::worker::thread::Thread;

/// After so long without a word a connection rests. Not sooner, for the first request behind a rest costs more: measured with one
/// client and a file of 8 KiB, 27 to 38 microseconds of CPU time; 18 to 19 without the rest, 43 to 57 on a new connection. Not later,
/// for until then it has all that a connection at work has.
pub(super) const AFTER: Duration = Duration::from_millis(250);

/// Whether a connection that is idle since `now` is to rest before its deadline.
pub(super) fn is_worth_it(deadline: Instant, now: Instant) -> bool {
    deadline > now + 2 * AFTER
}

/// How often those at rest are looked through for some that are over, where there are any.
const LOOK: Duration = Duration::from_millis(100);
/// So many have to have gone to rest, or from it, before the memory that they had is given back to the system.
const WORTH_GIVING_BACK: usize = 256;

/// The connections of a thread that rest.
pub struct Resting {
    vigil: Vigil,
    connections: RefCell<Numbered<Rested>>,
    /// When they are to be looked through.
    look_at: Cell<Option<Instant>>,
    look_at_changed: Notify,
    memory: Memory,
}

/// What those have left behind that have gone to rest, or have rested.
#[derive(Default)]
struct Memory {
    /// How many since all was given back.
    left_by: Cell<usize>,
    /// How many there were of them when the heap was given back.
    given_back: Cell<usize>,
    /// How many there were of them at the last look.
    were: Cell<usize>,
}

/// What is left of a connection, beside its stream, which the idle ones keep.
struct Rested {
    counted: Counted,
    idle: Stays,
    seat: Seat,
    site: &'static Site,
    last_site: &'static Site,
    proxied: Option<Box<SocketAddr>>,
    tls: Option<Rc<Secured>>,
    requests: u32,
    opened: u64,
    /// When its client has had its time.
    until: Instant,
}

/// What is to be given back to the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GiveBack {
    Nothing,
    /// What the connections had.
    Heap,
    /// And what only those need that do not rest.
    All,
}

impl Memory {
    /// What is to be given back now, beside so many connections that rest: all when nobody comes or goes, else what many have left.
    fn due(&self, resting: usize) -> GiveBack {
        let left_by = self.left_by.get();
        let is_quiet = left_by == self.were.replace(left_by);
        if left_by < WORTH_GIVING_BACK {
            GiveBack::Nothing
        } else if is_quiet {
            for count in [&self.left_by, &self.given_back, &self.were] {
                count.set(0);
            }
            GiveBack::All
        } else if left_by - self.given_back.get() >= WORTH_GIVING_BACK.max(resting / 8) {
            self.given_back.set(left_by);
            GiveBack::Heap
        } else {
            GiveBack::Nothing
        }
    }

    /// Whether something is to be given back when nobody comes or goes.
    fn is_left(&self) -> bool {
        self.left_by.get() >= WORTH_GIVING_BACK
    }

    /// The same with one more that has come or gone.
    fn is_left_by_one_more(&self) -> bool {
        self.left_by.set(self.left_by.get() + 1);
        self.is_left()
    }
}

impl Resting {
    /// None rests yet. Must be called within the runtime of the thread.
    pub fn new() -> io::Result<Resting> {
        Ok(Resting {
            vigil: Vigil::new()?,
            connections: RefCell::default(),
            look_at: Cell::new(None),
            look_at_changed: Notify::new(),
            memory: Memory::default(),
        })
    }

    /// How many rest.
    fn count(&self) -> usize {
        self.connections.borrow().count()
    }

    /// Keeps one. Where it cannot be watched, it is given back.
    fn take(&self, rested: Rested, idlers: &Idlers) -> Option<Rested> {
        let until = rested.until;
        let mut connections = self.connections.borrow_mut();
        let number = connections.insert(rested);
        let watch = |rested: &mut Rested| idlers.kept(&rested.idle, |still| self.vigil.add(still, number).is_ok());
        if connections.of_mut(number).and_then(watch) != Some(true) {
            return connections.take(number);
        }
        drop(connections);
        self.look_by(until);
        self.one_more_has_left();
        None
    }

    /// Those that rest are to be looked through at this time, if not before.
    fn look_by(&self, time: Instant) {
        if self.look_at.get().is_none_or(|at| at > time) {
            self.look_at.set(Some(time));
            self.look_at_changed.notify_one();
        }
    }

    fn one_more_has_left(&self) {
        if self.memory.is_left_by_one_more() {
            self.look_by(Instant::now() + LOOK);
        }
    }

    /// Gives up one.
    fn give(&self, number: u32) -> Option<Rested> {
        let rested = self.connections.borrow_mut().take(number)?;
        self.one_more_has_left();
        Some(rested)
    }

    async fn time_to_look(&self) {
        match self.look_at.get() {
            Some(at) => sleep_until(at).await,
            None => pending().await,
        }
    }

    /// Those that are over; the next look is when there may be more.
    fn look(&self, now: Instant) -> Vec<u32> {
        let mut next = None;
        let mut over = Vec::new();
        for (number, rested) in self.connections.borrow().iter() {
            if rested.until <= now {
                over.push(number);
            } else {
                next = Some(next.map_or(rested.until, |next: Instant| next.min(rested.until)));
            }
        }
        match self.memory.due(self.count()) {
            GiveBack::Nothing => {}
            GiveBack::Heap => footprint::give_back_heap(),
            GiveBack::All => footprint::give_back(),
        }
        if self.memory.is_left() {
            next = Some(now);
        }
        self.look_at.set(next.map(|next| next.max(now + LOOK)));
        over
    }
}

/// Has a connection rest.
pub(super) fn begin(mut connection: Conn) {
    let (Some(idle), Some(counted)) = (connection.to_rest.take(), connection.counted.take()) else {
        return;
    };
    let until = connection.head_deadline(None, Instant::now() - AFTER);
    let stream = Rc::clone(&connection.stream);
    let rested = Rested {
        counted,
        idle,
        seat: std::mem::replace(&mut connection.seat, Seat::NONE),
        site: connection.site,
        last_site: connection.last_site,
        proxied: connection.proxied.take(),
        tls: connection.tls.take(),
        requests: connection.requests,
        opened: connection.opened,
        until,
    };
    let thread = Rc::clone(&connection.thread);
    drop(connection);
    thread.roster.rests(rested.seat);
    match thread.idlers.keep(&rested.idle, stream) {
        Ok(()) => {
            if let Some(rested) = thread.resting.take(rested, &thread.idlers) {
                go_on(&thread, rested, false);
            }
        }
        // Whoever has it besides will not have it for long.
        Err(stream) => {
            thread.idlers.leave(&rested.idle);
            serve(&thread, stream, rested, false);
        }
    }
}

/// Has those go on that rest and have something to read, and ends those that are over; for ever.
pub async fn wake(thread: Rc<Thread>) {
    let resting = &thread.resting;
    let mut numbers = Vec::new();
    loop {
        let are_over = tokio::select! {
            biased;
            watched = resting.vigil.awake(&mut numbers) => {
                if watched.is_err() {
                    return; // it is about a descriptor of ours, which cannot fail
                }
                false
            }
            () = resting.time_to_look() => {
                numbers = resting.look(Instant::now());
                true
            }
            () = resting.look_at_changed.notified() => false,
        };
        for rested in numbers.drain(..).filter_map(|number| resting.give(number)) {
            go_on(&thread, rested, are_over);
        }
        tokio::task::consume_budget().await;
    }
}

/// Has a connection that rests go on, or closes it.
fn go_on(thread: &Rc<Thread>, rested: Rested, is_over: bool) {
    match thread.idlers.leave(&rested.idle) {
        Some(stream) => {
            thread.resting.vigil.remove(&stream);
            serve(thread, Rc::new(stream), rested, is_over);
        }
        None => thread.roster.leave(rested.seat),
    }
}

/// Serves a connection that has rested. One whose ends the system does not know any more has nobody to be told.
fn serve(thread: &Rc<Thread>, stream: Rc<Stream>, rested: Rested, is_over: bool) {
    let (peer, local) = (stream.peer_addr(), stream.local_addr());
    let (Ok(Some(peer)), Ok(Some(local))) = (peer, local) else {
        return thread.roster.leave(rested.seat);
    };
    thread.roster.goes_on(rested.seat, &stream);
    let shared = (Rc::clone(thread), rested.counted);
    let mut connection = Conn::on(stream, shared, (peer, local), rested.site, rested.seat);
    connection.last_site = rested.last_site;
    connection.proxied = rested.proxied;
    connection.tls = rested.tls;
    connection.requests = rested.requests;
    connection.opened = rested.opened;
    connection.is_to_close = is_over;
    tokio::task::spawn_local(run(connection));
}

#[cfg(test)]
mod tests {
    use super::{GiveBack, Memory};

    #[test]
    fn memory_is_given_back_when_many_have_left_it_and_when_no_more_do() {
        let memory = Memory::default();
        for (more, resting, expected) in [
            (100, 100, GiveBack::Nothing),
            (0, 100, GiveBack::Nothing),
            (200, 300, GiveBack::Heap),
            (0, 300, GiveBack::All),
            (0, 10_000, GiveBack::Nothing),
            (300, 10_000, GiveBack::Nothing),
            (300, 10_000, GiveBack::Nothing),
            (700, 10_000, GiveBack::Heap),
            (700, 10_000, GiveBack::Nothing),
            (700, 10_000, GiveBack::Heap),
            (0, 10_000, GiveBack::All),
            (0, 10_000, GiveBack::Nothing),
            (1, 10_000, GiveBack::Nothing),
        ] {
            memory.left_by.set(memory.left_by.get() + more);
            assert_eq!(memory.due(resting), expected, "{more} more, {resting} resting");
        }
    }

    #[test]
    fn what_is_left_of_a_connection_is_small() {
        let size = size_of::<Option<super::Rested>>();
        println!("a connection at rest: {size} bytes");
        assert!(size <= 88, "{size} bytes");
    }
}
