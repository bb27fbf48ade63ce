//! Answers that take time: passwords are tried, and names asked for, on threads of their own; good passwords are remembered
//! for a while.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::unistd::{Gid, Group, Uid, User};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::auth::hash::Hash;
use crate::exchange::Exchange;
use crate::exchange::authorizers::{Authorizing, Gate, Standing};
use crate::exchange::client::{Answer, Question};
use crate::exchange::fail::{Blame, Fail};
use crate::exchange::place::Place;
use crate::exchange::trace::Step;
use crate::http::depends;
use crate::http::status::Status;
use crate::lang::log_level::Level;
use crate::process::names;

/// A resolver that answers later is not waited for. No directive moves it.
const PATIENCE: Duration = Duration::from_secs(5);

/// So many passwords may wait to be tried; beyond that a request gets 503. No directive moves it.
const QUEUE: usize = 256;

/// A password that waits longer is not tried: 503. No directive moves it.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How long a good password is remembered, and how many are.
const REMEMBERED_FOR: Duration = Duration::from_secs(300);
const REMEMBERED: usize = 4096;

/// Finds the answer to a question and records it.
pub(super) async fn find(ex: &mut Exchange, question: Question) -> Result<(), Fail> {
    depends::on_more();
    let answer = match &question {
        Question::HostName | Question::LeadsHere(_) if ex.is_explained() => not_looked_up(ex, &question),
        Question::Password { hash, password } => tried(hash.clone(), password.clone()).await?,
        Question::HostName => {
            let address = ex.connection.client.ip().to_canonical();
            let name = asked(move || {
                let name = names::of_address(address)?;
                names::leads_to(&name, address).then_some(name)
            });
            let name = name.await.map(String::into_bytes);
            if let Some(name) = &name {
                ex.client.host = Some(name.clone());
            }
            named(name)
        }
        Question::LeadsHere(name) => {
            let address = ex.connection.client.ip().to_canonical();
            let name = String::from_utf8(name.clone()).unwrap_or_default();
            match asked(move || names::leads_to(&name, address).then_some(())).await {
                Some(()) => Answer::Yes,
                None => Answer::No,
            }
        }
        Question::Owner(path) => {
            let path = path.clone();
            let owner = asked(move || {
                let meta = std::fs::metadata(OsStr::from_bytes(&path)).ok()?;
                Some(User::from_uid(Uid::from_raw(meta.uid())).ok()??.name.into_bytes())
            });
            named(owner.await)
        }
        Question::Group(path) => {
            let path = path.clone();
            let group = asked(move || {
                let meta = std::fs::metadata(OsStr::from_bytes(&path)).ok()?;
                Some(Group::from_gid(Gid::from_raw(meta.gid())).ok()??.name.into_bytes())
            });
            named(group.await)
        }
        Question::Authorizer(_) => Answer::No,
    };
    ex.client.learn(question, answer);
    Ok(())
}

/// Asks an authorizer and records its answer.
pub(super) async fn of_authorizer(ex: &mut Exchange, place: &Place, asked: Authorizing) -> Result<(), Fail> {
    let answer = if let Some(Gate(authorizers)) = ex.client.gate.clone() {
        match authorizers.ask(ex, place, &asked).await {
            // Others are asked, and the log knows why.
            Err(Fail::Reply(why)) if asked.standing == Standing::Passing => {
                ex.rewriting.lines.push(Level::Error, "fcgid", why.note.clone());
                Answer::No
            }
            answer => answer?,
        }
    } else {
        let name = asked.whom.to_string();
        ex.trace(|| {
            Step::Access(format!(
                "authorizer `{name}` is not asked here, so that nobody knows what it would say"
            ))
        });
        Answer::No
    };
    ex.client.learn(Question::Authorizer(asked), answer);
    Ok(())
}

/// What is only explained bothers no name server.
#[cold]
fn not_looked_up(ex: &Exchange, question: &Question) -> Answer {
    ex.trace(|| {
        Step::NotLookedUp(match question {
            Question::LeadsHere(name) => format!("whether {} leads to the client", String::from_utf8_lossy(name)),
            _ => "the client's name".to_owned(),
        })
    });
    Answer::No
}

fn named(name: Option<Vec<u8>>) -> Answer {
    name.map_or(Answer::No, Answer::Name)
}

/// The answer of something that may wait for the system.
async fn asked<T: Send + 'static>(ask: impl FnOnce() -> Option<T> + Send + 'static) -> Option<T> {
    let asked = tokio::task::spawn_blocking(ask);
    tokio::time::timeout(PATIENCE, asked).await.ok()?.ok()?
}

/// As many passwords are tried at a time as there are cores; the rest wait.
static TRYING: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Arc::new(Semaphore::new(cores))
});
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// One that waits; it counts as long as it lives.
struct Waiting;

impl Waiting {
    fn new() -> Option<Waiting> {
        let before = WAITING.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting;
        (before < QUEUE).then_some(waiting)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn tried(hash: Hash, password: Vec<u8>) -> Result<Answer, Fail> {
    let waiting = Waiting::new().ok_or_else(busy)?;
    let permit = tokio::time::timeout(LONGEST_WAIT, Arc::clone(&TRYING).acquire_owned()).await;
    let Ok(Ok(permit)) = permit else {
        return Err(busy());
    };
    drop(waiting);
    let key = key(&hash, &password);
    let tried = tokio::task::spawn_blocking(move || {
        let is_good = hash.is_of(&password);
        drop(permit);
        is_good
    });
    match tried.await {
        Ok(true) => {
            MEMORY.lock().unwrap_or_else(PoisonError::into_inner).add(key);
            Ok(Answer::Yes)
        }
        Ok(false) => Ok(Answer::No),
        Err(error) => Err(Fail::internal(format!("a password could not be tried: {error}")).of_module("auth_basic")),
    }
}

#[cold]
fn busy() -> Fail {
    let note = format!("more than {QUEUE} passwords wait to be tried, or one has waited for {LONGEST_WAIT:?}");
    Fail::new(Status::SERVICE_UNAVAILABLE, Blame::Server, note)
        .of_module("auth_basic")
        .with_field("Retry-After", "5")
}

/// Whether the password was found to be the one a while ago. Another hash in the file makes that void.
pub(super) fn is_remembered(hash: &Hash, password: &[u8]) -> bool {
    let key = key(hash, password);
    MEMORY.lock().unwrap_or_else(PoisonError::into_inner).has(&key)
}

type Key = [u8; 32];

/// Something that names hash and password and tells neither, nor can be made by others.
fn key(hash: &Hash, password: &[u8]) -> Key {
    static SECRET: LazyLock<[u8; 32]> = LazyLock::new(|| {
        let mut secret = [0; 32];
        let filled = rustix::rand::getrandom(&mut secret, rustix::rand::GetRandomFlags::empty());
        assert_eq!(filled, Ok(secret.len()), "the system gives random numbers");
        secret
    });
    Sha256::new()
        .chain_update(*SECRET)
        .chain_update(hash.text().len().to_le_bytes())
        .chain_update(hash.text())
        .chain_update(password)
        .chain_update(*SECRET)
        .finalize()
        .into()
}

/// The good passwords of the last minutes.
#[derive(Default)]
struct Memory(HashMap<Key, Instant>);

static MEMORY: LazyLock<Mutex<Memory>> = LazyLock::new(Mutex::default);

impl Memory {
    fn has(&self, key: &Key) -> bool {
        self.0.get(key).is_some_and(|since| since.elapsed() < REMEMBERED_FOR)
    }

    fn add(&mut self, key: Key) {
        if self.0.len() >= REMEMBERED {
            self.0.retain(|_, since| since.elapsed() < REMEMBERED_FOR);
        }
        if self.0.len() >= REMEMBERED {
            self.0.clear();
        }
        self.0.insert(key, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::{Memory, QUEUE, REMEMBERED, REMEMBERED_FOR, Waiting, key};
    use crate::auth::hash::{Hash, Method};

    #[test]
    fn memory_is_bounded_and_ends() {
        let mut memory = Memory::default();
        for number in 0..2 * REMEMBERED {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&number.to_le_bytes());
            memory.add(key);
            assert!(memory.has(&key));
        }
        assert!(memory.0.len() <= REMEMBERED);
        if let Some(long_ago) = Instant::now().checked_sub(REMEMBERED_FOR) {
            memory.0.insert([1; 32], long_ago);
            assert!(!memory.has(&[1; 32]));
        }
    }

    #[test]
    fn another_hash_or_password_is_another_key() {
        let hash = |salt| Hash::parse(&Hash::make(Method::Apr1, b"pw", salt).expect("made")).expect("known");
        let (one, other) = (hash([1; 16]), hash([2; 16]));
        assert_eq!(key(&one, b"pw"), key(&one, b"pw"));
        assert_ne!(key(&one, b"pw"), key(&other, b"pw"));
        assert_ne!(key(&one, b"pw"), key(&one, b"pw2"));
    }

    #[test]
    fn the_queue_has_an_end() {
        let all: Vec<_> = (0..QUEUE).map(|_| Waiting::new().expect("there is room")).collect();
        assert!(Waiting::new().is_none());
        drop(all);
        assert!(Waiting::new().is_some());
    }
}
