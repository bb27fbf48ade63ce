//! Answers that files give, kept as long as the files stay as they are: what is asked for often earns its place, what was
//! asked for once competes for one (`quick_cache`, of the S3-FIFO family, with ghosts of what had to go). Time alone drives
//! nothing out.
//!
//! Each thread has a cache of its own, so that a hit locks nothing. An answer is compared with the disk before it is given,
//! once for all requests of one turn of the thread's event loop, or as `FileCacheCheck` says.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant, SystemTime};

use quick_cache::unsync::{Cache, DefaultLifecycle};
use quick_cache::{Equivalent, OptionsBuilder, Weighter};

use crate::config::directives::file_cache::Check;
use crate::fs::contents::{Content, Contents, Slot};
use crate::fs::open;
use crate::http::depends::{Asked, Links, Probe};

/// So many answers to one request line are kept, which differ by what else of the requests they depend on. No directive moves
/// the bound.
const VARIANTS: usize = 4;

/// A turn of the event loop counts as over after this time: a thread that is never idle has no other end of it.
const TURN: Duration = Duration::from_millis(1);

/// A file that changed within this time before it was read may change again without a new time of change.
const SETTLED: Duration = Duration::from_millis(100);
/// The same on file systems that count whole seconds, or two of them.
const COARSE: Duration = Duration::from_millis(2100);

/// Of so many bytes an answer takes part in the estimate of how many answers there will be.
const USUAL: u64 = 2048;

/// So many requests are remembered as ones that were made: see [`FileCache::is_asked_again`].
const ONCE: usize = 1024;

/// Where a request comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Door {
    /// The address it was sent to.
    pub local: SocketAddr,
    /// Within TLS, for which site.
    pub agreed: Option<Agreed>,
}

/// What the client and the server agreed upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// The number of the site.
    pub site: usize,
    /// Whether the client named a server.
    pub by_name: bool,
}

thread_local! {
    static TURNS: Cell<u64> = const { Cell::new(0) };
}

/// A turn of this thread's event loop is over.
pub fn end_turn() {
    TURNS.set(TURNS.get().wrapping_add(1));
}

/// What a request is kept under: our address, its request line, and the host that it names. It is hashed once.
#[derive(Clone, Copy)]
pub struct Name<'a> {
    hash: u64,
    door: Door,
    line: &'a [u8],
    host: &'a [u8],
}

struct Key {
    hash: u64,
    door: Door,
    line: usize,
    text: Box<[u8]>,
}

impl Key {
    fn new(name: &Name<'_>) -> Key {
        Key {
            hash: name.hash,
            door: name.door,
            line: name.line.len(),
            text: [name.line, name.host].concat().into_boxed_slice(),
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        (self.line, self.door) == (other.line, other.door) && self.text == other.text
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Hash for Name<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Equivalent<Key> for Name<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        key.text.split_at_checked(key.line) == Some((self.line, self.host)) && key.door == self.door
    }
}

/// Hands the hash on that a name has already.
#[derive(Default)]
struct Made(u64);

impl Hasher for Made {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// A look that many answers depend on: at the `.htaccess` files on the way, most of all. One check serves them all.
struct Shared {
    probe: Probe,
    checked: Cell<(u64, Instant)>,
    is_stale: Cell<bool>,
}

/// An answer with what it depends on.
pub struct Kept<V> {
    /// Of files there is only the one that the answer is made of.
    asked: Asked,
    shared: Box<[Rc<Shared>]>,
    weight: usize,
    checked: Cell<(u64, Instant)>,
    is_stale: Cell<bool>,
    content: Slot,
    /// The answer.
    pub value: V,
}

impl<V> Kept<V> {
    /// The file that it is made of, if it is.
    pub fn file(&self) -> Option<&Probe> {
        self.asked.files.first()
    }

    /// The content of the file that it is made of, if that is kept.
    pub fn content(&self) -> Option<Rc<Content>> {
        self.content.content()
    }
}

impl<V> AsRef<Slot> for Kept<V> {
    fn as_ref(&self) -> &Slot {
        &self.content
    }
}

type Variants<V> = Vec<Rc<Kept<V>>>;

#[derive(Clone, Copy)]
struct Bytes;

impl<V> Weighter<Key, Variants<V>> for Bytes {
    fn weight(&self, key: &Key, variants: &Variants<V>) -> u64 {
        let values: usize = variants.iter().map(|kept| kept.weight).sum();
        (values + key.text.len() + size_of::<Key>()) as u64
    }
}

type Entries<V> = Cache<Key, Variants<V>, Bytes, BuildHasherDefault<Made>, DefaultLifecycle<Key, Variants<V>>>;

/// The answers of one thread, and contents of files that they are made of.
pub struct FileCache<V> {
    entries: RefCell<Entries<V>>,
    contents: Contents<Kept<V>>,
    shared: RefCell<HashMap<Vec<u8>, Weak<Shared>>>,
    size: u64,
    seed: RandomState,
    once: Box<[Cell<u64>]>,
    check: Check,
    hits: Cell<u64>,
    misses: Cell<u64>,
}

/// What a cache has done and has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests for which it had the answer, or the way to who answers.
    pub hits: u64,
    /// Requests that it was asked for in vain.
    pub misses: u64,
    /// Request lines with their answers.
    pub entries: u64,
    /// Bytes that they take, without contents of files.
    pub bytes: u64,
    /// Contents of files.
    pub contents: u64,
    /// Bytes that those take.
    pub content_bytes: u64,
    /// Bytes that all may take.
    pub room: u64,
}

impl Counts {
    /// Those of two caches.
    #[must_use]
    pub fn and(self, other: Counts) -> Counts {
        Counts {
            hits: self.hits + other.hits,
            misses: self.misses + other.misses,
            entries: self.entries + other.entries,
            bytes: self.bytes + other.bytes,
            contents: self.contents + other.contents,
            content_bytes: self.content_bytes + other.content_bytes,
            room: self.room + other.room,
        }
    }
}

impl<V> FileCache<V> {
    /// One of so many bytes. Answers have up to three quarters of them, contents what answers leave.
    pub fn new(bytes: u64, check: Check) -> Option<FileCache<V>> {
        let room = bytes - bytes / 4;
        let options = OptionsBuilder::new()
            .estimated_items_capacity(usize::try_from(room / USUAL).unwrap_or(usize::MAX).max(16))
            .weight_capacity(room)
            // What comes new has a tenth of the room to compete in.
            .hot_allocation(0.9)
            .build()
            .ok()?;
        let entries = Cache::with_options(
            options,
            Bytes,
            BuildHasherDefault::default(),
            DefaultLifecycle::default(),
        );
        Some(FileCache {
            entries: RefCell::new(entries),
            contents: Contents::default(),
            shared: RefCell::default(),
            size: bytes,
            seed: RandomState::new(),
            once: vec![Cell::new(0); ONCE].into_boxed_slice(),
            check,
            hits: Cell::new(0),
            misses: Cell::new(0),
        })
    }

    /// What a request is kept under.
    pub fn name<'a>(&self, door: Door, line: &'a [u8], host: &'a [u8]) -> Name<'a> {
        let mut hasher = self.seed.build_hasher();
        hasher.write(line);
        hasher.write(host);
        Name {
            hash: hasher.finish(),
            door,
            line,
            host,
        }
    }

    /// Whether this was asked before, as far as is remembered; it is from now on. What costs as much memory as it saves work is
    /// kept for what is asked more than once: many a script has another query each time.
    pub fn is_asked_again(&self, name: &Name<'_>) -> bool {
        let place = usize::try_from(name.hash % ONCE as u64).unwrap_or(0);
        let known = self.once.get(place).map(|place| place.replace(name.hash));
        known == Some(name.hash)
    }

    /// Counts what came of looking for the answer to a request.
    pub fn count<T>(&self, found: Option<&T>) {
        let count = if found.is_some() { &self.hits } else { &self.misses };
        count.set(count.get() + 1);
    }

    /// The answer to a request whose answers `hold`, if there is one and its files are as they were.
    pub fn find(&self, name: &Name<'_>, now: Instant, hold: impl Fn(&Asked) -> bool) -> Option<Rc<Kept<V>>> {
        let entries = self.entries.borrow();
        let variants = entries.get(name)?;
        let kept = variants.iter().find(|kept| !kept.is_stale.get() && hold(&kept.asked))?;
        if self.is_fresh(kept, now) {
            return Some(Rc::clone(kept));
        }
        kept.is_stale.set(true);
        if variants.iter().all(|kept| kept.is_stale.get()) {
            drop(entries);
            self.entries.borrow_mut().remove(name);
        }
        None
    }

    fn is_fresh(&self, kept: &Kept<V>, now: Instant) -> bool {
        if self.is_checked(&kept.checked, now) {
            return true;
        }
        let is_stale = |shared: &Shared| {
            if !self.is_checked(&shared.checked, now) && !is_unchanged(&shared.probe) {
                shared.is_stale.set(true);
            }
            shared.is_stale.get()
        };
        !kept.shared.iter().any(|shared| is_stale(shared)) && kept.asked.files.iter().all(is_unchanged)
    }

    /// Whether a check that was made then still counts; otherwise one is made now.
    fn is_checked(&self, checked: &Cell<(u64, Instant)>, now: Instant) -> bool {
        let turn = TURNS.get();
        let (checked_in, checked_at) = checked.get();
        let is_within = |time| checked_at.checked_add(time).is_none_or(|until| now < until);
        let counts = match self.check {
            Check::Request => false,
            Check::Turn => checked_in == turn && is_within(TURN),
            Check::Every(time) => is_within(time),
        };
        if !counts {
            checked.set((turn, now));
        }
        counts
    }

    /// The look that others share, or that this is the first to make.
    fn share(&self, probe: Probe, checked: (u64, Instant)) -> Rc<Shared> {
        let mut shared = self.shared.borrow_mut();
        if shared.len() == shared.capacity() {
            shared.retain(|_, one| one.strong_count() > 0);
        }
        let mut name = probe.name.as_bytes().to_vec();
        name.push(u8::from(probe.links == Links::Seen));
        let known = shared.get(&name).and_then(Weak::upgrade);
        if let Some(known) = known.filter(|known| known.probe == probe && !known.is_stale.get()) {
            return known;
        }
        let one = Rc::new(Shared {
            probe,
            checked: Cell::new(checked),
            is_stale: Cell::new(false),
        });
        shared.insert(name, Rc::downgrade(&one));
        one
    }

    /// Keeps an answer that takes so many bytes of memory and was made at `made`, perhaps of one of the files that were looked at.
    pub fn keep(
        &self,
        name: &Name<'_>,
        (mut asked, made_of): (Asked, Option<usize>),
        weight: usize,
        made: (SystemTime, Instant),
        value: V,
    ) {
        if !asked.files.iter().all(|probe| has_settled(probe, made.0)) {
            return;
        }
        let checked = (TURNS.get(), made.1);
        let mut files: Vec<_> = std::mem::take(&mut asked.files).into_iter().map(Some).collect();
        let own = made_of.and_then(|number| files.get_mut(number)?.take());
        asked.files.extend(own);
        let shared: Box<[_]> = files
            .into_iter()
            .flatten()
            .map(|probe| self.share(probe, checked))
            .collect();
        // Of what others share already, the first of them has the weight.
        let own = shared.iter().filter(|one| Rc::strong_count(one) == 1);
        let looks: usize = own.map(|one| size_of::<Shared>() + 2 * one.probe.weight()).sum();
        let weight = weight + asked.weight() + size_of_val(&*shared) + looks + size_of::<Kept<V>>();
        let kept = Kept {
            asked,
            shared,
            weight,
            checked: Cell::new(checked),
            is_stale: Cell::new(false),
            content: Slot::default(),
            value,
        };
        let mut entries = self.entries.borrow_mut();
        let others = entries.peek(name).into_iter().flatten();
        let others = others.filter(|other| !other.is_stale.get() && !other.asked.is_alike(&kept.asked));
        let mut variants: Variants<V> = others.take(VARIANTS - 1).map(Rc::clone).collect();
        variants.insert(0, Rc::new(kept));
        entries.insert(Key::new(name), variants);
        drop(entries);
        self.contents.make_room(0, self.room_of_contents());
    }

    /// Keeps the content of the file that an answer is made of, behind what its head says before its date and behind it.
    pub fn keep_content(&self, answer: &Rc<Kept<V>>, head: (&[u8], &[u8]), content: &[u8]) {
        self.contents.keep(answer, head, content, self.room_of_contents());
    }

    /// How many bytes answers leave to contents.
    fn room_of_contents(&self) -> u64 {
        self.size.saturating_sub(self.entries.borrow().weight())
    }

    /// What it has done and has.
    pub fn counts(&self) -> Counts {
        let entries = self.entries.borrow();
        let (contents, content_bytes) = self.contents.counts();
        Counts {
            hits: self.hits.get(),
            misses: self.misses.get(),
            entries: entries.len() as u64,
            bytes: entries.weight(),
            contents,
            content_bytes,
            room: self.size,
        }
    }
}

/// Whether what was looked at is as it was.
fn is_unchanged(probe: &Probe) -> bool {
    let found = match probe.links {
        Links::Followed => open::stamp(&probe.name),
        Links::Seen => open::stamp_of_link(&probe.name),
    };
    found == Ok(probe.found)
}

/// Whether the file's time of change lies far enough back to tell it from the next.
fn has_settled(probe: &Probe, now: SystemTime) -> bool {
    let Some(stamp) = &probe.found else { return true };
    let (seconds, nanos) = stamp.changed;
    let Ok(seconds) = u64::try_from(seconds) else {
        return true;
    };
    let changed = Duration::from_secs(seconds) + Duration::from_nanos(nanos.into());
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(changed) > if nanos == 0 { COARSE } else { SETTLED }
}

#[cfg(test)]
mod tests;
