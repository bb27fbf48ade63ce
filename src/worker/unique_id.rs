//! Names for requests that no other request has: UNIQUE_ID (`mod_unique_id`), and the id in the logs.

use std::cell::Cell;
use std::time::SystemTime;

/// The names that one thread gives.
pub struct UniqueIds {
    thread: u8,
    /// Random for each thread, so that names of two processes differ.
    seed: u64,
    count: Cell<u64>,
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl UniqueIds {
    /// For thread `number` of this process.
    pub fn new(number: usize) -> UniqueIds {
        let mut seed = [0; 8];
        // Without randomness the process number tells processes apart.
        if rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty()).is_err() {
            seed = u64::from(std::process::id()).to_ne_bytes();
        }
        UniqueIds {
            thread: u8::try_from(number).unwrap_or(u8::MAX),
            seed: u64::from_ne_bytes(seed),
            count: Cell::new(0),
        }
    }

    /// The next: 24 characters that can stand in a URL and in a log, made of the time, the seed, the thread and a count.
    pub fn next(&self, now: SystemTime) -> [u8; 24] {
        let count = self.count.get().wrapping_add(1);
        self.count.set(count);
        let since = now.duration_since(SystemTime::UNIX_EPOCH);
        let seconds = since.map_or(0, |since| since.as_secs()) & 0xffff_ffff;
        // Three times 48 bits.
        let parts = [
            seconds << 16 | self.seed >> 48,
            self.seed & 0xffff_ffff_ffff,
            u64::from(self.thread) << 40 | count & 0xff_ffff_ffff,
        ];
        let mut id = [0; 24];
        for (eight, part) in id.chunks_exact_mut(8).zip(parts) {
            for (n, digit) in eight.iter_mut().enumerate() {
                *digit = DIGITS[(part >> (42 - 6 * n) & 63) as usize];
            }
        }
        id
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::SystemTime;

    use super::UniqueIds;

    #[test]
    fn no_two_requests_have_the_same_name() {
        let (one, other) = (UniqueIds::new(0), UniqueIds::new(1));
        let ids: HashSet<_> = (0..10_000)
            .flat_map(|_| [one.next(SystemTime::UNIX_EPOCH), other.next(SystemTime::UNIX_EPOCH)])
            .collect();
        assert_eq!(ids.len(), 20_000);
    }
}
