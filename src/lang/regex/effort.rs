//! How much one request may search with patterns that step back: a pattern costs what its author makes it cost, and authors
//! of access files are many. A request whose effort is spent finds nothing more, and whoever watches it learns why.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::pin;
use std::time::{Duration, Instant};

use super::GaveUp;

/// How long all searches of a request that step back may take. No directive moves it.
const LIMIT: Duration = Duration::from_secs(1);

/// What a request has searched.
#[derive(Clone, Debug, Default)]
pub struct Effort {
    /// The pattern at which a search was given up, the first one.
    pub gave_up: Option<Box<str>>,
    spent: Duration,
}

thread_local! {
    static WATCHED: RefCell<Option<Effort>> = const { RefCell::new(None) };
}

/// Runs a future, which is one request's, and tells its effort.
pub async fn watched<T>(future: impl Future<Output = T>) -> (T, Effort) {
    let mut future = pin!(future);
    let mut effort = Effort::default();
    let result = poll_fn(|cx| {
        let (polled, now) = within(std::mem::take(&mut effort), || future.as_mut().poll(cx));
        effort = now;
        polled
    });
    (result.await, effort)
}

/// The same of what waits for nothing.
pub fn watched_at_once<T>(run: impl FnOnce() -> T) -> (T, Effort) {
    within(Effort::default(), run)
}

fn within<T>(effort: Effort, run: impl FnOnce() -> T) -> (T, Effort) {
    let outer = WATCHED.replace(Some(effort));
    let result = run();
    let effort = WATCHED.replace(outer);
    (result, effort.unwrap_or_default())
}

/// A search on behalf of whoever is watched, if anyone is.
pub(super) fn search<T, E>(pattern: &str, search: impl FnOnce() -> Result<T, E>) -> Result<T, GaveUp> {
    let is_spent = WATCHED.with_borrow(|watched| watched.as_ref().is_some_and(Effort::is_spent));
    if is_spent {
        return Err(gave_up(pattern));
    }
    let began = Instant::now();
    let found = search().map_err(|_| gave_up(pattern));
    WATCHED.with_borrow_mut(|watched| {
        if let Some(effort) = watched {
            effort.spent += began.elapsed();
        }
    });
    found
}

#[cold]
fn gave_up(pattern: &str) -> GaveUp {
    WATCHED.with_borrow_mut(|watched| {
        if let Some(effort) = watched {
            effort.gave_up.get_or_insert_with(|| pattern.into());
        }
    });
    GaveUp
}

impl Effort {
    fn is_spent(&self) -> bool {
        self.gave_up.is_some() || self.spent > LIMIT
    }
}

#[cfg(test)]
mod tests {
    use super::watched_at_once;
    use crate::lang::regex::Regex;

    #[test]
    fn one_search_given_up_ends_all_others_of_the_request() {
        let hard = Regex::new(r"^((a|aa)(?!x))+$", false).expect("valid");
        let easy = Regex::new(r"b(?!c)", false).expect("valid");
        let linear = Regex::new("b", false).expect("valid");
        let text = [vec![b'a'; 60], b"!b".to_vec()].concat();
        let (found, effort) = watched_at_once(|| (hard.is_match(&text), easy.is_match(&text), linear.is_match(&text)));
        assert_eq!(found, (false, false, true));
        assert_eq!(effort.gave_up.as_deref(), Some(hard.pattern()));
        let (found, effort) = watched_at_once(|| easy.is_match(&text));
        assert!(found && effort.gave_up.is_none());
        assert!(easy.is_match(&text), "nobody is watched here");
    }
}
