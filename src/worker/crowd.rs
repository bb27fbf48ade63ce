//! The connections of the process: how many there may be (MaxConnections), which of them are idle, and which of those
//! makes room when one more waits: the one that has been idle longest, whichever thread has it.
//!
//! A connection is idle between two requests, when nothing of the next one has come. One that has not said a word yet
//! counts as idle from its second second on. Each thread keeps its own idle connections in order and shows in a table
//! how old the oldest of them is; nobody waits for a lock.

use std::cell::RefCell;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::net::stream::{Still, Stream};

/// After so long a connection without a word counts as idle.
const FIRST_WORD: Duration = Duration::from_secs(1);
/// In a table: none is idle.
const NONE: u64 = u64::MAX;
/// In a list: no entry.
const NOBODY: u32 = u32::MAX;

/// The connections of all threads.
pub struct Crowd {
    began: Instant,
    most: usize,
    open: AtomicUsize,
    /// How many acceptors wait for room.
    waiting: AtomicUsize,
    /// A connection ended or became idle while somebody waited.
    changed: Notify,
    /// When the last complaint was written, in microseconds, and one more so that 0 is never.
    complained: AtomicU64,
    desks: Box<[Desk]>,
}

/// What a thread shows the others, on a cache line of its own.
#[derive(Default)]
#[repr(align(64))]
struct Desk {
    /// Since when its oldest idle connection is idle, in microseconds since the beginning.
    oldest: AtomicU64,
    /// How many of its idle connections it is asked to close.
    asked: AtomicUsize,
    called: Notify,
}

/// The right to have one connection; given back when dropped.
pub struct Place(Arc<Crowd>);

impl Crowd {
    /// At most `most` connections in so many threads.
    pub fn new(most: usize, threads: usize) -> Crowd {
        let desk = || Desk {
            oldest: AtomicU64::new(NONE),
            ..Desk::default()
        };
        Crowd {
            began: Instant::now(),
            most,
            open: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            changed: Notify::new(),
            complained: AtomicU64::new(0),
            desks: (0..threads).map(|_| desk()).collect(),
        }
    }

    /// How many connections there may be.
    pub fn most(&self) -> usize {
        self.most
    }

    /// How many there are.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// A place for one more, if there is one.
    pub fn place(self: &Arc<Crowd>) -> Option<Place> {
        let one_more = |open| (open < self.most).then_some(open + 1);
        self.open
            .fetch_update(Ordering::SeqCst, Ordering::Relaxed, one_more)
            .ok()?;
        Some(Place(Arc::clone(self)))
    }

    /// Has the connection closed that has been idle longest, if there is one, and waits until something has changed, but
    /// not longer than `limit`. Whether there was one.
    pub async fn make_room(&self, limit: Duration) -> bool {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let _until_then = Waits(&self.waiting);
        let changed = self.changed.notified();
        let asked = self.ask();
        let _at_the_latest = tokio::time::timeout(limit, changed).await;
        asked
    }

    /// Asks the thread with the longest idle connection to close it.
    fn ask(&self) -> bool {
        let oldest = self.desks.iter().min_by_key(|desk| desk.oldest.load(Ordering::Relaxed));
        let now = self.stamp(Instant::now());
        match oldest.filter(|desk| desk.oldest.load(Ordering::Relaxed) <= now) {
            Some(desk) => {
                desk.asked.fetch_add(1, Ordering::Relaxed);
                desk.called.notify_one();
                true
            }
            None => false,
        }
    }

    /// Whether there has been no complaint for so long; the caller makes one then.
    pub fn may_complain(&self, every: Duration) -> bool {
        let now = self.stamp(Instant::now()) + 1;
        let last = self.complained.load(Ordering::Relaxed);
        let due = last == 0 || now >= last.saturating_add(micros(every));
        due && self
            .complained
            .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    fn stamp(&self, at: Instant) -> u64 {
        micros(at.saturating_duration_since(self.began))
    }

    fn tell_who_waits(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.changed.notify_waiters();
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(NONE - 1)
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
        self.0.tell_who_waits();
    }
}

/// Counts a waiting acceptor until it is dropped.
struct Waits<'a>(&'a AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The idle connections of one thread.
pub struct Idlers {
    crowd: Arc<Crowd>,
    number: usize,
    lists: RefCell<Lists>,
}

/// What an idle connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaits {
    /// The next request.
    Next,
    /// The first.
    First,
}

/// Two lists in the order of their beginning, within one vector: entries are found by their place there.
#[derive(Default)]
struct Lists {
    entries: Vec<Entry>,
    free: Vec<u32>,
    kept: Ends,
    fresh: Ends,
}

struct Entry {
    before: u32,
    behind: u32,
    since: u64,
    awaits: Awaits,
    /// It is not, once it has made room.
    is_listed: bool,
    whose: Whose,
}

/// Who has the stream of an idle connection.
enum Whose {
    /// The connection.
    Its(Rc<Stream>),
    /// We, as long as it rests.
    Ours(Still),
    Nobodys,
}

struct Ends {
    first: u32,
    last: u32,
}

impl Default for Ends {
    fn default() -> Ends {
        Ends {
            first: NOBODY,
            last: NOBODY,
        }
    }
}

/// A connection that is idle until it is said that it is not: one more than the number of its entry.
#[derive(Debug)]
pub struct Stays(NonZeroU32);

/// A connection is idle until this is dropped.
pub struct Idle<'a> {
    idlers: &'a Idlers,
    entry: u32,
}

impl Idlers {
    /// Those of thread `number`.
    pub fn new(crowd: Arc<Crowd>, number: usize) -> Idlers {
        Idlers {
            crowd,
            number,
            lists: RefCell::default(),
        }
    }

    /// The number of their thread.
    pub fn number(&self) -> usize {
        self.number
    }

    /// The connections of all threads.
    pub fn crowd(&self) -> &Arc<Crowd> {
        &self.crowd
    }

    /// A connection is idle from now on: should it have to make room, its reading side is closed, as if its client had.
    pub fn enter(&self, stream: &Rc<Stream>, awaits: Awaits, now: Instant) -> Idle<'_> {
        let since = self.crowd.stamp(match awaits {
            Awaits::Next => now,
            Awaits::First => now + FIRST_WORD,
        });
        let entry = self.lists.borrow_mut().push(Entry {
            before: NOBODY,
            behind: NOBODY,
            since,
            awaits,
            is_listed: true,
            whose: Whose::Its(Rc::clone(stream)),
        });
        self.show();
        self.crowd.tell_who_waits();
        Idle { idlers: self, entry }
    }

    /// Takes the stream of a connection that stays idle and rests. It is given back where somebody else has it, too.
    pub fn keep(&self, idle: &Stays, stream: Rc<Stream>) -> Result<(), Rc<Stream>> {
        self.lists.borrow_mut().keep(idle.number(), stream)
    }

    /// What was kept of a connection.
    pub fn kept<T>(&self, idle: &Stays, look: impl FnOnce(&Still) -> T) -> Option<T> {
        match &self.lists.borrow().entry(idle.number())?.whose {
            Whose::Ours(still) => Some(look(still)),
            Whose::Its(_) | Whose::Nobodys => None,
        }
    }

    /// A connection is not idle any more; its stream, if that was kept.
    pub fn leave(&self, idle: &Stays) -> Option<Stream> {
        match self.end(idle.number()) {
            Whose::Ours(still) => Some(still.stream()),
            Whose::Its(_) | Whose::Nobodys => None,
        }
    }

    fn end(&self, entry: u32) -> Whose {
        let whose = self.lists.borrow_mut().leave(entry);
        self.show();
        whose
    }

    /// Closes idle connections as the other threads ask; for ever.
    pub async fn obey(&self) {
        let Some(desk) = self.crowd.desks.get(self.number) else {
            return;
        };
        loop {
            desk.called.notified().await;
            for _ in 0..desk.asked.swap(0, Ordering::Relaxed) {
                self.close_oldest();
            }
        }
    }

    /// Closes the connection that has been idle longest, unless there is none. One whose next request has come meanwhile
    /// is not idle.
    fn close_oldest(&self) {
        let now = self.crowd.stamp(Instant::now());
        let mut was_silent = Some(false);
        while was_silent == Some(false) {
            was_silent = self.lists.borrow_mut().end_oldest(now);
            self.show();
        }
    }

    /// Closes every connection that waits for a further request.
    pub fn close_kept(&self) {
        let mut lists = self.lists.borrow_mut();
        while lists.end_kept().is_some() {}
        drop(lists);
        self.show();
    }

    /// Shows the other threads how old the oldest is.
    fn show(&self) {
        if let Some(desk) = self.crowd.desks.get(self.number) {
            let oldest = self.lists.borrow().oldest();
            // Only this thread writes here; most of the time nothing has changed.
            if desk.oldest.load(Ordering::Relaxed) != oldest {
                desk.oldest.store(oldest, Ordering::Relaxed);
            }
        }
    }
}

impl Stays {
    fn number(&self) -> u32 {
        self.0.get() - 1
    }
}

impl Idle<'_> {
    /// It stays idle until [`Idlers::leave`].
    pub fn stays(self) -> Option<Stays> {
        let stays = NonZeroU32::new(self.entry.wrapping_add(1))?;
        std::mem::forget(self);
        Some(Stays(stays))
    }
}

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        self.idlers.end(self.entry);
    }
}

impl Lists {
    fn ends(&mut self, awaits: Awaits) -> &mut Ends {
        match awaits {
            Awaits::Next => &mut self.kept,
            Awaits::First => &mut self.fresh,
        }
    }

    fn entry(&self, number: u32) -> Option<&Entry> {
        self.entries.get(number as usize)
    }

    fn entry_mut(&mut self, number: u32) -> Option<&mut Entry> {
        self.entries.get_mut(number as usize)
    }

    fn push(&mut self, mut entry: Entry) -> u32 {
        let awaits = entry.awaits;
        let last = self.ends(awaits).last;
        entry.before = last;
        let number = match self.free.pop() {
            Some(number) => number,
            None => u32::try_from(self.entries.len()).unwrap_or(NOBODY),
        };
        match self.entry_mut(number) {
            Some(place) => *place = entry,
            None => self.entries.push(entry),
        }
        if let Some(before) = self.entry_mut(last) {
            before.behind = number;
        }
        let ends = self.ends(awaits);
        ends.last = number;
        if ends.first == NOBODY {
            ends.first = number;
        }
        number
    }

    /// Takes an entry out of its list, if it is there; its number stays its own.
    fn unlink(&mut self, number: u32) -> Option<()> {
        let entry = self.entry_mut(number)?;
        std::mem::take(&mut entry.is_listed).then_some(())?;
        let (before, behind, awaits) = (entry.before, entry.behind, entry.awaits);
        match self.entry_mut(before) {
            Some(before) => before.behind = behind,
            None => self.ends(awaits).first = behind,
        }
        match self.entry_mut(behind) {
            Some(behind) => behind.before = before,
            None => self.ends(awaits).last = before,
        }
        Some(())
    }

    fn keep(&mut self, number: u32, stream: Rc<Stream>) -> Result<(), Rc<Stream>> {
        let Some(entry) = self.entry_mut(number) else {
            return Err(stream);
        };
        entry.whose = Whose::Nobodys;
        match Rc::try_unwrap(stream) {
            Ok(stream) => {
                entry.whose = Whose::Ours(stream.still());
                Ok(())
            }
            Err(stream) => {
                entry.whose = Whose::Its(Rc::clone(&stream));
                Err(stream)
            }
        }
    }

    fn leave(&mut self, number: u32) -> Whose {
        self.unlink(number);
        let whose = self.entry_mut(number).map(|entry| &mut entry.whose);
        let whose = whose.map_or(Whose::Nobodys, |whose| std::mem::replace(whose, Whose::Nobodys));
        self.free.push(number);
        whose
    }

    fn since(&self, number: u32) -> u64 {
        self.entry(number).map_or(NONE, |entry| entry.since)
    }

    fn oldest(&self) -> u64 {
        self.since(self.kept.first).min(self.since(self.fresh.first))
    }

    /// Takes the first of both lists out of its list, and ends it; whether it was silent.
    fn end_oldest(&mut self, now: u64) -> Option<bool> {
        let (kept, fresh) = (self.kept.first, self.fresh.first);
        let first = if self.since(kept) <= self.since(fresh) {
            kept
        } else {
            fresh
        };
        if self.since(first) > now {
            return None;
        }
        self.end(first)
    }

    /// The same with the first that waits for a further request.
    fn end_kept(&mut self) -> Option<bool> {
        self.end(self.kept.first)
    }

    fn end(&mut self, number: u32) -> Option<bool> {
        self.unlink(number)?;
        Some(match &self.entry(number)?.whose {
            Whose::Its(stream) => stream.end_if_silent(),
            Whose::Ours(still) => still.end_if_silent(),
            Whose::Nobodys => false,
        })
    }
}

/// How many connections fit below a limit of open descriptors, when `used` are the server's own and so many scripts may
/// run: a quarter at most is kept for these, and a connection may have a file open besides.
pub fn fitting(limit: Option<u64>, used: usize, scripts: u64) -> usize {
    let Some(limit) = limit else { return UNLIMITED };
    let for_scripts = scripts.saturating_mul(SCRIPT).min(limit / 4);
    let left = limit.saturating_sub(used as u64).saturating_sub(for_scripts);
    usize::try_from(left / 4 * 3)
        .unwrap_or(UNLIMITED)
        .clamp(LEAST, UNLIMITED)
}

/// Descriptors for one script: three pipes, the process, and the other ends while it is started.
const SCRIPT: u64 = 6;
/// Where the system sets no limit.
const UNLIMITED: usize = 1 << 20;
/// However few descriptors there are, so many connections are taken.
const LEAST: usize = 4;

#[cfg(test)]
mod tests;
