//! The connections of one thread, and what each is about, for those who ask (server-status). Only the thread itself writes
//! and reads here, so nothing is locked; others ask it for a copy.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;

use smallvec::SmallVec;
use tokio::time::Instant;

use crate::base::numbered::Numbered;
use crate::exchange::state::{ConnectionState, Phase, Phases};
use crate::net::stream::Stream;

/// So much of a request line is kept.
const LINE: usize = 256;
/// So much of a Host field.
const HOST: usize = 64;

/// So much of both together is kept in place: what is kept of a connection at rest is not to lie between that which others leave
/// behind, whose memory could not be given back then.
const TEXT: usize = 64;

/// What is kept of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Their lines (`ExtendedStatus On`).
    Lines,
    /// The ends of their lines, where those are long (`SeeRequestTail On`).
    Tails,
    /// That they are there.
    Count,
}

/// The connections of one thread.
pub struct Roster {
    detail: Detail,
    entries: RefCell<Numbered<Entry>>,
    accepted: Cell<u64>,
}

struct Entry {
    sends: Sends,
    client: SocketAddr,
    phase: Phase,
    /// When it came.
    came: Instant,
    /// When it came into its phase.
    since: Instant,
    requests: u32,
    /// What had been sent before its request.
    sent_before: u64,
    /// The request line, and behind it the host.
    text: SmallVec<[u8; TEXT]>,
    line: u16,
}

/// What was sent.
enum Sends {
    /// So much as this knows.
    By(Rc<Stream>),
    /// So many bytes, and no more before it has rested.
    Rests(u64),
}

impl Sends {
    fn count(&self) -> u64 {
        match self {
            Sends::By(stream) => stream.sent(),
            Sends::Rests(sent) => *sent,
        }
    }
}

/// The place of a connection, which it gives back by [`Roster::leave`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat(u32);

impl Seat {
    /// That of nobody.
    pub const NONE: Seat = Seat(u32::MAX);
}

impl Roster {
    /// Nobody is there yet.
    pub fn new(detail: Detail) -> Roster {
        Roster {
            detail,
            entries: RefCell::default(),
            accepted: Cell::new(0),
        }
    }

    /// One more.
    pub fn enter(&self, stream: &Rc<Stream>, client: SocketAddr) -> Seat {
        let now = Instant::now();
        let entry = Entry {
            sends: Sends::By(Rc::clone(stream)),
            client,
            phase: Phase::Reading,
            came: now,
            since: now,
            requests: 0,
            sent_before: 0,
            text: SmallVec::new(),
            line: 0,
        };
        self.accepted.set(self.accepted.get() + 1);
        Seat(self.entries.borrow_mut().insert(entry))
    }

    /// How many have come.
    pub fn accepted(&self) -> u64 {
        self.accepted.get()
    }

    /// All of them by phase, and at most `most` of them in full, those with a request first.
    pub fn shown(&self, most: usize) -> (Phases, Vec<ConnectionState>) {
        let now = Instant::now();
        let entries = self.entries.borrow();
        let mut phases = Phases::default();
        entries.iter().for_each(|(_, entry)| phases.add(entry.phase));
        let by_phase = Phase::ALL.into_iter().flat_map(|phase| {
            let all = entries.iter().map(|(_, entry)| entry);
            all.filter(move |entry| entry.phase == phase)
        });
        (phases, by_phase.take(most).map(|entry| entry.shown(now)).collect())
    }
}

impl Roster {
    /// A request has come.
    pub fn answers(&self, seat: Seat, line: &[u8], host: Option<&[u8]>, now: Instant) {
        let line = match self.detail {
            Detail::Lines => line.get(..LINE).unwrap_or(line),
            Detail::Tails => line.get(line.len().saturating_sub(LINE)..).unwrap_or(line),
            Detail::Count => b"",
        };
        let host = host.filter(|_| self.detail != Detail::Count).unwrap_or_default();
        self.change(seat, |entry| {
            entry.phase = Phase::Answering;
            entry.since = now;
            entry.sent_before = entry.sends.count();
            entry.text = text(line, host.get(..HOST).unwrap_or(host));
            entry.line = u16::try_from(line.len()).unwrap_or(0);
        });
    }

    /// The request was answered.
    pub fn answered(&self, seat: Seat) {
        self.change(seat, |entry| {
            entry.requests = entry.requests.saturating_add(1);
            entry.phase = Phase::Reading;
        });
    }

    /// Nothing of the next request has come.
    pub fn waits(&self, seat: Seat, now: Instant) {
        self.change(seat, |entry| {
            entry.phase = if entry.requests > 0 {
                Phase::Idle
            } else {
                Phase::Reading
            };
            entry.since = now;
        });
    }

    /// It rests, and its stream is not to be kept here.
    pub fn rests(&self, seat: Seat) {
        self.change(seat, |entry| entry.sends = Sends::Rests(entry.sends.count()));
    }

    /// It has rested.
    pub fn goes_on(&self, seat: Seat, stream: &Rc<Stream>) {
        self.change(seat, |entry| entry.sends = Sends::By(Rc::clone(stream)));
    }

    /// Something of the next request has come.
    pub fn reads(&self, seat: Seat) {
        self.change(seat, |entry| entry.phase = Phase::Reading);
    }

    /// It is being closed.
    pub fn closes(&self, seat: Seat, now: Instant) {
        self.change(seat, |entry| {
            entry.phase = Phase::Closing;
            entry.since = now;
        });
    }

    /// A load balancer has said who its client is.
    pub fn is_of(&self, seat: Seat, client: SocketAddr) {
        self.change(seat, |entry| entry.client = client);
    }

    /// It has ended.
    pub fn leave(&self, seat: Seat) {
        // Nobody sits there twice.
        let _left = self.entries.borrow_mut().take(seat.0);
    }

    fn change(&self, seat: Seat, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.entries.borrow_mut().of_mut(seat.0) {
            change(entry);
        }
    }
}

/// Both, one behind the other.
fn text(line: &[u8], host: &[u8]) -> SmallVec<[u8; TEXT]> {
    let mut text = [0; TEXT];
    let length = line.len() + host.len();
    match text.get_mut(..length) {
        Some(room) => {
            let (front, back) = room.split_at_mut(line.len());
            front.copy_from_slice(line);
            back.copy_from_slice(host);
            SmallVec::from_buf_and_len(text, length)
        }
        None => SmallVec::from_vec([line, host].concat()),
    }
}

impl Entry {
    fn shown(&self, now: Instant) -> ConnectionState {
        let (line, host) = self.text.split_at(usize::from(self.line).min(self.text.len()));
        let sent = self.sends.count();
        ConnectionState {
            phase: self.phase,
            client: self.client,
            age: now.saturating_duration_since(self.came),
            since: now.saturating_duration_since(self.since),
            requests: self.requests,
            line: line.to_vec(),
            host: host.to_vec(),
            sent: match self.phase {
                Phase::Answering => sent.saturating_sub(self.sent_before),
                Phase::Reading | Phase::Closing | Phase::Idle => sent,
            },
        }
    }
}
