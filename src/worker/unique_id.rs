//! Names for requests that no other request has: UNIQUE_ID (`mod_unique_id`), and the id in the logs.

use std::cell::Cell;
use std::time::SystemTime;

use crate::base::date::Second;

/// The names that one thread gives.
pub struct UniqueIds {
    thread: u8,
    /// Random for each thread, so that names of two processes differ.
    seed: u64,
    count: Cell<u64>,
    /// What the names of a second begin with.
    beginning: Cell<(Second, [u8; 16])>,
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
            beginning: Cell::new((Second::NONE, [0; 16])),
        }
    }

    /// The next: 24 characters that can stand in a URL and in a log, made of the time, the seed, the thread and a count.
    pub fn next(&self, now: SystemTime) -> [u8; 24] {
        let count = self.count.get().wrapping_add(1);
        self.count.set(count);
        let (second, mut beginning) = self.beginning.get();
        if !second.contains(now) {
            beginning = self.begin(now);
            self.beginning.set((Second::of(now), beginning));
        }
        let mut id = [0; 24];
        let (front, back) = id.split_at_mut(16);
        front.copy_from_slice(&beginning);
        back.copy_from_slice(&eight(u64::from(self.thread) << 40 | count & 0xff_ffff_ffff));
        id
    }

    #[cold]
    fn begin(&self, now: SystemTime) -> [u8; 16] {
        let since = now.duration_since(SystemTime::UNIX_EPOCH);
        let seconds = since.map_or(0, |since| since.as_secs()) & 0xffff_ffff;
        let mut both = [0; 16];
        let (front, back) = both.split_at_mut(8);
        front.copy_from_slice(&eight(seconds << 16 | self.seed >> 48));
        back.copy_from_slice(&eight(self.seed & 0xffff_ffff_ffff));
        both
    }
}

/// The digits of 48 bits.
fn eight(bits: u64) -> [u8; 8] {
    let mut digits = [0; 8];
    for (n, digit) in digits.iter_mut().enumerate() {
        *digit = DIGITS[(bits >> (42 - 6 * n) & 63) as usize];
    }
    digits
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::{Duration, SystemTime};

    use super::UniqueIds;

    #[test]
    fn no_two_requests_have_the_same_name() {
        let (one, other) = (UniqueIds::new(0), UniqueIds::new(1));
        let ids: HashSet<_> = (0..10_000)
            .flat_map(|_| [one.next(SystemTime::UNIX_EPOCH), other.next(SystemTime::UNIX_EPOCH)])
            .collect();
        assert_eq!(ids.len(), 20_000);
    }

    #[test]
    fn a_name_begins_with_its_second() {
        let (ids, at) = (UniqueIds::new(3), |millis| {
            SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
        });
        let seconds = |millis| ids.next(at(millis))[..5].to_vec();
        // Six bits a character: these are the upper 30 of 32.
        assert_eq!(seconds(64_000), b"AAAAQ");
        assert_eq!(seconds(67_999), b"AAAAQ");
        assert_eq!(seconds(127_999), b"AAAAf");
        assert_eq!(seconds(128_000), b"AAAAg");
        assert_eq!(seconds(64_000), b"AAAAQ");
        let (one, other) = (ids.next(at(64_000)), ids.next(at(64_000)));
        assert_eq!(
            (one[..16].to_vec(), &one[16..]),
            (other[..16].to_vec(), &b"AwAAAAAG"[..])
        );
    }
}
