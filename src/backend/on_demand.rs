//! Processes that are started when a request wants one (`mod_fcgid`): which there are, who may have one, and when one has to
//! go. All threads of a worker share them; who starts one watches over it.
//!
//! A worker that has confined itself listens nowhere. So it makes a socket for each process there may be before, and hands
//! it to one after the other.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::backend::pool::Pool;
use crate::backend::service::Process;
use crate::config::backends::Address;
use crate::config::directives::fcgid::{ServerFcgid, Treatment};

/// All processes.
#[derive(Debug)]
pub struct OnDemand {
    places: Vec<Place>,
    state: Mutex<State>,
    /// A process has nothing to do any more, or is gone.
    freed: Arc<Notify>,
}

/// A place for a process.
#[derive(Debug)]
struct Place {
    listener: OwnedFd,
    pool: Arc<Pool>,
}

#[derive(Debug, Default)]
struct State {
    /// By place.
    taken: Vec<Option<Taken>>,
    /// None is kept for another request.
    closing: bool,
}

/// A process, as its place knows it.
#[derive(Debug)]
struct Taken {
    class: Class,
    stage: Stage,
    /// A request is about to have it.
    reserved: bool,
    started: Instant,
    /// When it was last given a request.
    given: Instant,
    /// When it was last seen to have one.
    touched: Instant,
    requests: u64,
    wanted: Wanted,
    end: Arc<Notify>,
}

/// How far a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It was not started yet.
    Starting,
    /// It takes requests.
    Ready,
    /// It takes none any more.
    Ending,
}

/// Which processes are alike: the same program on the same terms, from the same file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// Program and terms.
    pub family: Vec<u8>,
    /// The file: its file system, its number, and when it last changed. Another file makes processes of the old one go.
    pub file: (u64, u64, (i64, u32)),
}

/// What a request wants of its process.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// How long it waits for one, and when and how many of them end.
    pub treatment: Treatment,
    /// How long one may take for a request; zero is for ever.
    pub busy: Duration,
}

/// What a request has got.
#[derive(Debug)]
pub enum Got {
    /// A process.
    Ready(Ticket),
    /// A place, in which one is to be started.
    Place(Ticket),
}

/// The right to a process; dropped, it is free for another, or was not started after all.
#[derive(Debug)]
pub struct Ticket {
    all: Arc<OnDemand>,
    number: usize,
}

/// What is to become of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Stays,
    /// It is to end: it had its time, or its requests, or nothing to do.
    Goes,
    /// It is to end: it has had one request for too long (FcgidBusyTimeout).
    Overdue,
}

impl OnDemand {
    /// So many places as the settings say, with sockets in `directory`. Where no program may be wanted, there is none.
    pub fn new(settings: &ServerFcgid, directory: Option<&[u8]>) -> io::Result<OnDemand> {
        let freed = Arc::new(Notify::new());
        let mut places = Vec::new();
        if let Some(directory) = directory {
            for place in 0..settings.most.or(100) {
                places.push(Place::new(directory, place, &freed)?);
            }
        }
        let taken = places.iter().map(|_| None).collect();
        Ok(OnDemand {
            places,
            state: Mutex::new(State { taken, closing: false }),
            freed,
        })
    }

    /// Whether there are places.
    pub fn are_possible(&self) -> bool {
        !self.places.is_empty()
    }

    /// A process of this class, or a place for one; `None` where there was neither in time.
    pub async fn take(self: &Arc<OnDemand>, class: &Class, wanted: &Wanted) -> Option<Got> {
        let until = Instant::now() + wanted.treatment.connect;
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if let Some(got) = self.take_now(class, wanted) {
                return Some(got);
            }
            timeout_at(until, freed).await.ok()?;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_idle(&self, number: usize, taken: &Taken) -> bool {
        let active = self.places.get(number).map_or(0, |place| place.pool.active());
        taken.stage == Stage::Ready && !taken.reserved && active == 0
    }

    fn take_now(self: &Arc<OnDemand>, class: &Class, wanted: &Wanted) -> Option<Got> {
        let mut state = self.state();
        let ticket = |number| Ticket {
            all: Arc::clone(self),
            number,
        };
        let all = || state.taken.iter().enumerate();
        let own = |taken: &&Taken| taken.class == *class;
        let ready = all().find(|(number, taken)| {
            let fits = taken.as_ref().filter(own).filter(|taken| !taken.is_used_up());
            fits.is_some_and(|taken| self.is_idle(*number, taken))
        });
        if let Some((number, _)) = ready {
            if let Some(Some(taken)) = state.taken.get_mut(number) {
                taken.reserved = true;
                taken.requests += 1;
                taken.given = Instant::now();
                taken.touched = taken.given;
                taken.wanted = *wanted;
            }
            return Some(Got::Ready(ticket(number)));
        }
        let of_old_file = |taken: &&Taken| taken.class.family == class.family && taken.class.file != class.file;
        for taken in state.taken.iter().flatten().filter(of_old_file) {
            taken.end.notify_one();
        }
        let of_class = state.taken.iter().flatten().filter(own).count();
        if of_class >= counted(wanted.treatment.most) {
            return None;
        }
        let free = all().position(|(_, taken)| taken.is_none());
        let Some(number) = free else {
            // One of another class that has nothing to do makes place.
            let idle = all().find(|(number, taken)| taken.as_ref().is_some_and(|taken| self.is_idle(*number, taken)));
            if let Some((_, Some(taken))) = idle {
                taken.end.notify_one();
            }
            return None;
        };
        let now = Instant::now();
        *state.taken.get_mut(number)? = Some(Taken {
            class: class.clone(),
            stage: Stage::Starting,
            reserved: true,
            started: now,
            given: now,
            touched: now,
            requests: 1,
            wanted: *wanted,
            end: Arc::default(),
        });
        Some(Got::Place(ticket(number)))
    }

    /// None is kept for another request from now on.
    pub fn keep_none(&self) {
        self.state().closing = true;
    }

    /// What is to become of the process in this place. One that goes takes no more requests.
    fn judge(&self, number: usize) -> Verdict {
        let mut state = self.state();
        let closing = state.closing;
        let of_class = |class: &Class| {
            let same = state.taken.iter().flatten().filter(|taken| taken.class == *class);
            same.filter(|taken| taken.stage == Stage::Ready).count()
        };
        let Some(Some(taken)) = state.taken.get(number) else {
            return Verdict::Goes;
        };
        let is_over = |limit: Duration, since: Instant| !limit.is_zero() && since.elapsed() >= limit;
        let idles = self.is_idle(number, taken);
        let treatment = taken.wanted.treatment;
        let had_its_time = closing || taken.is_used_up() || is_over(treatment.lifetime, taken.started);
        let is_surplus = || is_over(treatment.idle, taken.touched) && of_class(&taken.class) > counted(treatment.least);
        let verdict = match (idles, taken.stage) {
            (true, _) if had_its_time || is_surplus() => Verdict::Goes,
            (false, Stage::Ready) if is_over(taken.wanted.busy, taken.given) => Verdict::Overdue,
            _ => Verdict::Stays,
        };
        if let Some(Some(taken)) = state.taken.get_mut(number).filter(|_| !idles) {
            taken.touched = Instant::now();
        }
        if verdict != Verdict::Stays
            && let Some(Some(taken)) = state.taken.get_mut(number)
        {
            taken.stage = Stage::Ending;
        }
        verdict
    }
}

impl Taken {
    fn is_used_up(&self) -> bool {
        let most = self.wanted.treatment.most_requests;
        most > 0 && self.requests >= most
    }
}

fn counted(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl Place {
    fn new(directory: &[u8], number: u64, freed: &Arc<Notify>) -> io::Result<Place> {
        use std::os::unix::ffi::OsStrExt;
        let name = format!("/fcgid.{}.{number}", std::process::id());
        let path = [directory, name.as_bytes()].concat();
        let listener = UnixListener::bind(std::ffi::OsStr::from_bytes(&path))?;
        let process = Process::on_demand(path, Arc::clone(freed));
        Ok(Place {
            listener: listener.into(),
            pool: Arc::new(Pool::of_process(
                Address::Service(b"fcgid".to_vec()),
                process,
                Arc::default(),
            )),
        })
    }

    /// Turns away who waits at the socket of a process that has ended.
    fn turn_away(&self) {
        let listener = self.listener.as_fd();
        let patience =
            |time| rustix::net::sockopt::set_socket_timeout(listener, rustix::net::sockopt::Timeout::Recv, time);
        // Nobody else takes connections here now, but for what the process has left behind.
        if patience(Some(Duration::from_millis(1))).is_ok() {
            while rustix::net::accept_with(listener, rustix::net::SocketFlags::CLOEXEC).is_ok() {}
        }
        let _it_took_the_other = patience(None);
    }
}

impl Ticket {
    /// The connections to the process.
    pub fn pool(&self) -> Option<&Arc<Pool>> {
        Some(&self.all.places.get(self.number)?.pool)
    }

    /// The socket that a process is to have as descriptor 0.
    pub fn listener(&self) -> Option<BorrowedFd<'_>> {
        Some(self.all.places.get(self.number)?.listener.as_fd())
    }

    /// The process was started: whoever is given this watches over it.
    pub fn started(&self) -> Watched {
        let mut state = self.all.state();
        let mut end = Arc::default();
        if let Some(Some(taken)) = state.taken.get_mut(self.number) {
            taken.stage = Stage::Ready;
            end = Arc::clone(&taken.end);
        }
        Watched {
            all: Arc::clone(&self.all),
            number: self.number,
            end,
        }
    }

    /// The process did not do as it should: it ends.
    pub fn give_up(&self) {
        let mut state = self.all.state();
        if let Some(Some(taken)) = state.taken.get_mut(self.number) {
            taken.stage = Stage::Ending;
            taken.end.notify_one();
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.all.state();
        if let Some(place) = state.taken.get_mut(self.number)
            && let Some(taken) = place
        {
            taken.reserved = false;
            if taken.stage == Stage::Starting {
                *place = None;
            }
        }
        drop(state);
        self.all.freed.notify_waiters();
    }
}

/// A process that somebody watches over. Dropped, when it has ended, its place is free.
#[derive(Debug)]
pub struct Watched {
    all: Arc<OnDemand>,
    number: usize,
    end: Arc<Notify>,
}

impl Watched {
    /// What is to become of it now.
    pub fn verdict(&self) -> Verdict {
        self.all.judge(self.number)
    }

    /// Waits until somebody wants it to end, or to be asked about.
    pub async fn called(&self) {
        self.end.notified().await;
    }

    /// It takes no more requests.
    pub fn is_ending(&self) {
        if let Some(Some(taken)) = self.all.state().taken.get_mut(self.number) {
            taken.stage = Stage::Ending;
        }
    }

    /// Whether it has been told to take no more requests.
    pub fn has_to_end(&self) -> bool {
        let state = self.all.state();
        let taken = state.taken.get(self.number).and_then(Option::as_ref);
        taken.is_none_or(|taken| taken.stage == Stage::Ending)
    }

    /// It may end to make place for another, if it still has nothing to do.
    pub fn may_make_place(&self) -> bool {
        let mut state = self.all.state();
        let Some(Some(taken)) = state.taken.get_mut(self.number) else {
            return true;
        };
        if taken.stage == Stage::Ending {
            return true;
        }
        let idle = self.all.is_idle(self.number, taken);
        if idle {
            taken.stage = Stage::Ending;
        }
        idle
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(place) = self.all.places.get(self.number) {
            place.turn_away();
            place.pool.renew();
        }
        if let Some(taken) = self.all.state().taken.get_mut(self.number) {
            *taken = None;
        }
        self.all.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::sync::Arc;
    use std::time::Duration;

    use super::{Class, Got, OnDemand, Ticket, Verdict, Wanted};
    use crate::config::directives::fcgid::{ServerFcgid, Treatment};

    fn class(family: &str, inode: u64) -> Class {
        Class {
            family: family.into(),
            file: (0, inode, (0, 0)),
        }
    }

    fn wanted(most_requests: u64) -> Wanted {
        Wanted {
            treatment: Treatment {
                connect: Duration::from_millis(1),
                idle: Duration::from_millis(1),
                most: 1,
                least: 0,
                most_requests,
                ..Treatment::default()
            },
            busy: Duration::ZERO,
        }
    }

    fn new(name: &str, most: u64) -> Arc<OnDemand> {
        let directory = std::env::temp_dir().join(format!("lychgate-fcgid-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("there is room");
        let mut settings = ServerFcgid::default();
        settings.most.set(most);
        let made = OnDemand::new(&settings, Some(directory.as_os_str().as_bytes())).expect("there is room");
        std::fs::remove_dir_all(directory).expect("ours");
        Arc::new(made)
    }

    async fn place(all: &Arc<OnDemand>, class: &Class) -> Ticket {
        match all.take(class, &wanted(0)).await {
            Some(Got::Place(ticket)) => ticket,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_process_is_one_requests_at_a_time() {
        let (all, a) = (new("one", 2), class("a", 1));
        let ticket = place(&all, &a).await;
        let watched = ticket.started();
        assert!(
            all.take(&a, &wanted(0)).await.is_none(),
            "it is taken, and one is the most"
        );
        drop(ticket);
        assert!(matches!(all.take(&a, &wanted(0)).await, Some(Got::Ready(_))));
        drop(watched);
        assert!(
            matches!(all.take(&a, &wanted(0)).await, Some(Got::Place(_))),
            "it has ended"
        );
    }

    #[tokio::test]
    async fn one_that_was_not_started_leaves_its_place() {
        let (all, a) = (new("unstarted", 1), class("a", 1));
        drop(place(&all, &a).await);
        drop(place(&all, &a).await);
    }

    #[tokio::test]
    async fn whoever_is_idle_makes_place_for_others_and_for_another_file() {
        let (all, a) = (new("place", 1), class("a", 1));
        for other in [class("b", 1), class("a", 2)] {
            let ticket = place(&all, &a).await;
            let watched = ticket.started();
            assert!(!watched.may_make_place(), "it has a request");
            drop(ticket);
            assert!(all.take(&other, &wanted(0)).await.is_none());
            watched.called().await;
            assert!(watched.may_make_place() && watched.has_to_end());
            assert!(all.take(&a, &wanted(0)).await.is_none(), "it takes no more");
            drop(watched);
            drop(place(&all, &other).await);
        }
    }

    #[tokio::test]
    async fn one_goes_when_it_is_used_up_idle_or_not_needed() {
        let (all, a) = (new("goes", 1), class("a", 1));
        let Some(Got::Place(ticket)) = all.take(&a, &wanted(1)).await else {
            panic!("nobody has it")
        };
        let watched = ticket.started();
        assert_eq!(watched.verdict(), Verdict::Stays);
        drop(ticket);
        assert!(all.take(&a, &wanted(1)).await.is_none(), "it had the one it may have");
        assert_eq!(watched.verdict(), Verdict::Goes);
        drop(watched);
        let ticket = place(&all, &a).await;
        let watched = ticket.started();
        all.keep_none();
        assert_eq!(watched.verdict(), Verdict::Stays, "it has a request");
        drop(ticket);
        assert_eq!(watched.verdict(), Verdict::Goes);
    }
}
