//! Sessions that the server keeps itself, for clients without tickets: they are named by a number (RFC 5246 section 7.3), or by a
//! ticket that says nothing else (RFC 8446 section 4.6.1).

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_rustls::rustls::server::StoresServerSessions;
use zeroize::Zeroizing;

/// So many sessions of a site are kept; the oldest make room. They take a few hundred bytes each, and more with the certificate
/// of a client.
const MOST: usize = 10_000;

/// The sessions of one site, in memory. They end with the worker, and with the settings they were made by.
pub(super) struct Sessions {
    kept: Mutex<Kept>,
    lifetime: Duration,
}

#[derive(Default)]
struct Kept {
    sessions: HashMap<Vec<u8>, Session>,
    /// When each was made, and its name: the oldest first, and with them some that are there no more.
    order: VecDeque<(Instant, Vec<u8>)>,
}

struct Session {
    made: Instant,
    secrets: Zeroizing<Vec<u8>>,
}

impl Sessions {
    /// None yet. Each can be taken up again for `lifetime`.
    pub(super) fn new(lifetime: Duration) -> Sessions {
        Sessions {
            kept: Mutex::default(),
            lifetime,
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put_at(&self, now: Instant, name: Vec<u8>, secrets: Vec<u8>) {
        let secrets = Zeroizing::new(secrets);
        let mut kept = self.kept();
        while let Some((made, name)) = kept.order.front()
            && (kept.order.len() >= MOST || self.is_over(now, *made))
        {
            let (made, name) = (*made, name.clone());
            kept.order.pop_front();
            if kept.sessions.get(&name).is_some_and(|session| session.made == made) {
                kept.sessions.remove(&name);
            }
        }
        kept.order.push_back((now, name.clone()));
        kept.sessions.insert(name, Session { made: now, secrets });
    }

    fn find_at(&self, now: Instant, name: &[u8]) -> Option<Vec<u8>> {
        let kept = self.kept();
        let session = kept.sessions.get(name)?;
        (!self.is_over(now, session.made)).then(|| session.secrets.to_vec())
    }

    fn take_at(&self, now: Instant, name: &[u8]) -> Option<Vec<u8>> {
        let session = self.kept().sessions.remove(name)?;
        (!self.is_over(now, session.made)).then(|| session.secrets.to_vec())
    }

    fn is_over(&self, now: Instant, made: Instant) -> bool {
        now.saturating_duration_since(made) >= self.lifetime
    }
}

impl StoresServerSessions for Sessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.put_at(Instant::now(), key, value);
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.find_at(Instant::now(), key)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.take_at(Instant::now(), key)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST, Sessions};
    use std::time::{Duration, Instant};

    const LIFETIME: Duration = Duration::from_secs(300);

    #[test]
    fn a_session_is_there_until_its_time_is_over() {
        let (sessions, start) = (Sessions::new(LIFETIME), Instant::now());
        sessions.put_at(start, b"one".to_vec(), b"secrets".to_vec());
        let late = start + LIFETIME;
        assert_eq!(sessions.find_at(start, b"one").as_deref(), Some(&b"secrets"[..]));
        assert_eq!(
            sessions.find_at(start + Duration::from_secs(299), b"one").as_deref(),
            Some(&b"secrets"[..])
        );
        assert_eq!(sessions.find_at(late, b"one"), None);
        assert_eq!(sessions.find_at(start, b"two"), None);
        sessions.put_at(late, b"two".to_vec(), b"more".to_vec());
        assert_eq!(sessions.kept().sessions.len(), 1, "what is over is forgotten");
        assert_eq!(sessions.kept().order.len(), 1);
    }

    #[test]
    fn a_session_that_was_taken_is_there_no_more() {
        let (sessions, now) = (Sessions::new(LIFETIME), Instant::now());
        sessions.put_at(now, b"one".to_vec(), b"secrets".to_vec());
        assert_eq!(sessions.take_at(now, b"one").as_deref(), Some(&b"secrets"[..]));
        assert_eq!(sessions.take_at(now, b"one"), None);
    }

    #[test]
    fn only_so_many_are_kept_and_the_youngest_of_them() {
        let (sessions, now) = (Sessions::new(LIFETIME), Instant::now());
        for n in 0..=MOST {
            sessions.put_at(now, n.to_string().into_bytes(), Vec::new());
        }
        assert_eq!(sessions.kept().sessions.len(), MOST);
        assert_eq!(sessions.kept().order.len(), MOST);
        assert_eq!(sessions.find_at(now, b"0"), None);
        assert!(sessions.find_at(now, b"1").is_some());
        assert!(sessions.find_at(now, MOST.to_string().as_bytes()).is_some());
    }

    #[test]
    fn taking_sessions_leaves_nothing_behind_for_ever() {
        let (sessions, now) = (Sessions::new(LIFETIME), Instant::now());
        for _ in 0..3 * MOST {
            sessions.put_at(now, b"one".to_vec(), Vec::new());
            assert!(sessions.take_at(now, b"one").is_some());
        }
        assert!(sessions.kept().order.len() <= MOST);
    }
}
