//! The processes of services: each has a socket and connections of its own, and a request goes to the one that has fewest.
//! How they do is told to the launcher, which owns them.

use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::backend::pool::{FULL_QUEUE, Pool};
use crate::backend::socket::Socket;
use crate::config::backends::Address;
use crate::config::directives::service::Service;
use crate::config::services;

/// The queue of a service that stays full for so long is too long.
const QUEUE_STAYS_FULL: Duration = Duration::from_millis(200);

/// The connections to all processes of a service.
#[derive(Debug)]
pub(super) struct Processes {
    name: String,
    pools: Vec<Arc<Pool>>,
}

/// What the launcher should know of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It was given so many requests since.
    Served {
        /// The service.
        name: String,
        /// The number of the process.
        number: u16,
        /// How many.
        requests: u64,
    },
    /// It is stuck.
    Silent {
        /// The service.
        name: String,
        /// The number of the process.
        number: u16,
    },
}

impl Processes {
    /// Those that a service may have, with their sockets in `directory`.
    pub(super) fn of(service: &Service, directory: &[u8], news: &Arc<Notify>) -> Arc<Processes> {
        let address = Address::Service(service.name.clone().into_bytes());
        let ended: Arc<Notify> = Arc::default();
        let pool = |number, all: &Weak<Processes>| {
            let process = Process {
                all: Weak::clone(all),
                path: services::socket(directory, &service.name, number),
                watchdog: service.watchdog,
                portion: (service.max_requests / 10).max(1),
                is_counted: service.max_requests > 0,
                news: Arc::clone(news),
                served: AtomicU64::new(0),
                unanswered: AtomicUsize::new(0),
                heard: Mutex::new(Instant::now()),
                edition: AtomicU64::new(0),
                freed: None,
            };
            Arc::new(Pool::of_process(address.clone(), process, Arc::clone(&ended)))
        };
        Arc::new_cyclic(|all| Processes {
            name: service.name.clone(),
            pools: (0..service.processes.most).map(|number| pool(number, all)).collect(),
        })
    }

    /// Whether they are the service's of this name.
    pub(super) fn are_of(&self, name: &[u8]) -> bool {
        self.name.as_bytes() == name
    }

    /// The one that has fewest requests, and how many; of several the first, so that the last ones come to rest.
    pub(super) fn least_busy(&self) -> Option<(&Arc<Pool>, usize)> {
        let all = self.pools.iter().map(|pool| (pool, pool.active()));
        all.min_by_key(|(_, active)| *active)
    }

    /// The first of them: a request that comes to it goes to the least busy one.
    pub(super) fn door(&self) -> Option<&Arc<Pool>> {
        self.pools.first()
    }

    /// All of them.
    pub(super) fn pools(&self) -> impl Iterator<Item = &Arc<Pool>> {
        self.pools.iter()
    }

    /// Another process has taken the place of this one.
    pub(super) fn renewed(&self, number: u16) {
        if let Some(pool) = self.pools.get(usize::from(number)) {
            pool.renew();
        }
    }

    /// What is new since the last time.
    pub(super) fn news(&self) -> Vec<News> {
        let mut news = Vec::new();
        for (number, pool) in (0..).zip(&self.pools) {
            let Some(process) = pool.process() else { continue };
            let name = || self.name.clone();
            let requests = process.served.swap(0, Ordering::AcqRel);
            if requests > 0 {
                let name = name();
                news.push(News::Served { name, number, requests });
            }
            if process.is_stuck(pool.active()) {
                let name = name();
                news.push(News::Silent { name, number });
            }
        }
        news
    }
}

/// What is known here of one process.
#[derive(Debug)]
pub(super) struct Process {
    /// The service's processes, of which it is one; nothing where a worker has started it itself.
    all: Weak<Processes>,
    /// Its socket.
    pub(super) path: Vec<u8>,
    watchdog: Duration,
    /// The launcher is told at once when it was given so many requests more.
    portion: u64,
    is_counted: bool,
    news: Arc<Notify>,
    served: AtomicU64,
    /// Requests of which it owes the first byte of an answer.
    unanswered: AtomicUsize,
    /// When it last said something, or last had no reason to.
    heard: Mutex<Instant>,
    edition: AtomicU64,
    /// Whom to tell that it has a request less.
    freed: Option<Arc<Notify>>,
}

impl Process {
    /// A connection to it. The launcher holds its socket whether it runs or not.
    pub(super) async fn connect(&self) -> io::Result<Socket> {
        let until = Instant::now() + QUEUE_STAYS_FULL;
        loop {
            match Socket::to_path(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < until => {
                    sleep(FULL_QUEUE).await;
                }
                made => return made,
            }
        }
    }

    /// One that a worker has started itself.
    pub(super) fn on_demand(path: Vec<u8>, freed: Arc<Notify>) -> Process {
        Process {
            all: Weak::new(),
            path,
            watchdog: Duration::ZERO,
            portion: 1,
            is_counted: false,
            news: Arc::default(),
            served: AtomicU64::new(0),
            unanswered: AtomicUsize::new(0),
            heard: Mutex::new(Instant::now()),
            edition: AtomicU64::new(0),
            freed: Some(freed),
        }
    }

    /// All processes of its service.
    pub(super) fn all(&self) -> Option<Arc<Processes>> {
        self.all.upgrade()
    }

    /// It has a request less.
    pub(super) fn is_freed(&self) {
        if let Some(freed) = &self.freed {
            freed.notify_waiters();
        }
    }

    /// It is given a request.
    pub(super) fn is_given(&self) {
        let served = self.served.fetch_add(1, Ordering::AcqRel) + 1;
        if self.is_counted && served == self.portion {
            self.news.notify_one();
        }
    }

    /// It said something, or has no reason to.
    pub(super) fn is_heard(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Which process this was: another has another number.
    pub(super) fn edition(&self) -> u64 {
        self.edition.load(Ordering::Acquire)
    }

    pub(super) fn is_another(&self) {
        self.edition.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether it owes all its requests an answer, and has said nothing for its time. It is so once a time.
    fn is_stuck(&self, active: usize) -> bool {
        let unanswered = self.unanswered.load(Ordering::Acquire);
        if self.watchdog.is_zero() || unanswered == 0 || unanswered < active {
            return false;
        }
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let stuck = heard.elapsed() >= self.watchdog;
        if stuck {
            *heard = Instant::now();
        }
        stuck
    }
}

/// A request of which a process owes the first byte of an answer.
#[derive(Debug)]
pub(super) struct Owed(Arc<Pool>);

impl Owed {
    /// One more, where the connections are those of a process.
    pub(super) fn by(pool: &Arc<Pool>) -> Option<Owed> {
        let process = pool.process()?;
        if process.unanswered.fetch_add(1, Ordering::AcqRel) == 0 {
            process.is_heard();
        }
        Some(Owed(Arc::clone(pool)))
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        if let Some(process) = self.0.process() {
            process.unanswered.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;
    use std::sync::{Arc, Barrier};
    use std::time::Duration;

    use super::Processes;
    use crate::backend::pool::{Agreed, Keep, Lease, Pool, Which};
    use crate::config::directives::service::Service;
    use crate::config::services;

    const AGREED: Agreed = Agreed {
        keep: Keep::No,
        connect: Duration::from_secs(20),
        acquire: Duration::from_secs(20),
        retry: Duration::ZERO,
        most: 0,
        idle: Duration::ZERO,
        tls: None,
        handshake: Duration::ZERO,
    };

    /// Three processes, and the directory of their sockets.
    fn three() -> (Arc<Processes>, PathBuf, Vec<UnixListener>) {
        let directory = std::env::temp_dir().join(format!("lychgate-service-{}", std::process::id()));
        std::fs::create_dir(&directory).expect("nobody else has it");
        let name = directory.to_str().expect("text").as_bytes();
        let mut service = Service::new("three");
        service.processes.most = 3;
        let listeners = (0..3).map(|number| {
            let path = services::socket(name, "three", number);
            UnixListener::bind(str::from_utf8(&path).expect("text")).expect("it listens")
        });
        let listeners = listeners.collect();
        (Processes::of(&service, name, &Arc::default()), directory, listeners)
    }

    fn run<T>(test: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("it starts").block_on(test)
    }

    /// A connection, where each process may have so many requests.
    async fn lease(pool: &Arc<Pool>, most: u64) -> Lease {
        let agreed = Agreed { most, ..AGREED };
        pool.lease(&agreed, Which::New).await.expect("it listens")
    }

    #[test]
    fn requests_that_come_at_the_same_time_go_to_different_processes() {
        let (processes, directory, _listeners) = three();
        let active = || processes.pools().map(|pool| pool.active()).collect::<Vec<_>>();
        let door = processes.door().expect("there are three");
        // Six threads that have all found the way before one of them goes it.
        let (here, there) = (Barrier::new(7), Barrier::new(7));
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    run(async {
                        here.wait();
                        let lease = lease(door, 0).await;
                        there.wait();
                        here.wait();
                        drop(lease);
                    });
                });
            }
            here.wait();
            there.wait();
            let at_once = active();
            here.wait();
            assert_eq!(at_once, [2, 2, 2]);
        });
        assert_eq!(active(), [0, 0, 0]);
        // Who waits for one process waits for any.
        run(async {
            let mut leases = Vec::new();
            for _ in 0..6 {
                leases.push(lease(door, 2).await);
            }
            let last = leases.pop();
            let (_one_more, ()) = tokio::join!(lease(door, 2), async { drop(last) });
            assert_eq!(active(), [2, 2, 2]);
        });
        std::fs::remove_dir_all(directory).expect("it is there");
    }
}
