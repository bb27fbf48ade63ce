//! What a worker has answered, in numbers: one tally for each thread, which adds to it without asking anybody, and their sum
//! when somebody wants to know. A request counts when its line of the access log is written, with the numbers of that line.

use std::time::Duration;

use crate::http::method::Method;

/// The numbers of one thread, or of several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests.
    pub requests: u64,
    /// By method, then by status.
    answers: Vec<Vec<u64>>,
    /// Bytes read for requests, with heads and framing (`%I`).
    pub bytes_in: u64,
    /// Bytes sent, with heads and framing (`%O`).
    pub bytes_out: u64,
    /// Bytes of bodies that were sent (`%B`).
    pub body_bytes: u64,
    /// Microseconds from the first byte of a request to the last of its answer (`%D`).
    pub micros: u64,
    /// Of these, microseconds until the first byte of the answer (`%^FB`).
    pub micros_before: u64,
    /// By duration: how many were no longer than each of [`LIMITS`], and longer than the one before.
    buckets: [u64; LIMITS.len()],
    /// Requests whose connection broke before the answer was sent (`%X` is `X`).
    pub aborted: u64,
    /// Requests on a connection that had carried another one.
    pub kept: u64,
    /// By the number of the site.
    pub sites: Vec<OfSite>,
}

/// The numbers of a site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OfSite {
    /// Requests.
    pub requests: u64,
    /// Bytes sent.
    pub bytes_out: u64,
}

/// A request that was answered, or whose client has left.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    /// Its method.
    pub method: Method,
    /// Its status as it is logged.
    pub status: u16,
    /// The number of its site.
    pub site: usize,
    /// Bytes read for it.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Bytes of the body sent.
    pub body_bytes: u64,
    /// How long it took.
    pub duration: Duration,
    /// Until the first byte of the answer; none if there was no answer.
    pub first_byte: Option<Duration>,
    /// Whether the connection broke.
    pub aborted: bool,
    /// Whether the connection had carried another request.
    pub kept: bool,
}

/// The upper limits of durations by which requests are sorted, in microseconds; what is longer is in none.
pub const LIMITS: [u64; 12] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 2_500_000, 10_000_000, 60_000_000,
];

/// The lowest status.
const FIRST: u16 = 100;
/// How many there are.
const STATUSES: usize = 900;

impl Tally {
    /// Adds a request.
    pub fn add(&mut self, one: &Answered) {
        let micros = micros(one.duration);
        self.requests += 1;
        self.bytes_in += one.bytes_in;
        self.bytes_out += one.bytes_out;
        self.body_bytes += one.body_bytes;
        self.micros += micros;
        self.micros_before += one.first_byte.map_or(0, self::micros);
        self.aborted += u64::from(one.aborted);
        self.kept += u64::from(one.kept);
        if let Some(bucket) = LIMITS.iter().position(|limit| micros <= *limit) {
            self.buckets[bucket] += 1;
        }
        if let Some(count) = self.answers_mut(one.method as usize, usize::from(one.status.saturating_sub(FIRST))) {
            *count += 1;
        }
        if let Some(site) = self.site_mut(one.site) {
            site.requests += 1;
            site.bytes_out += one.bytes_out;
        }
    }

    #[inline]
    fn site_mut(&mut self, site: usize) -> Option<&mut OfSite> {
        if self.sites.len() <= site {
            enlarge(&mut self.sites, site + 1);
        }
        self.sites.get_mut(site)
    }

    #[inline]
    fn answers_mut(&mut self, method: usize, status: usize) -> Option<&mut u64> {
        if self.answers.len() <= method {
            enlarge(&mut self.answers, method + 1);
        }
        let by_status = self.answers.get_mut(method)?;
        if by_status.is_empty() {
            enlarge(by_status, STATUSES);
        }
        by_status.get_mut(status)
    }

    /// Adds the numbers of another one.
    pub fn join(&mut self, other: &Tally) {
        let sums = [
            (&mut self.requests, other.requests),
            (&mut self.bytes_in, other.bytes_in),
            (&mut self.bytes_out, other.bytes_out),
            (&mut self.body_bytes, other.body_bytes),
            (&mut self.micros, other.micros),
            (&mut self.micros_before, other.micros_before),
            (&mut self.aborted, other.aborted),
            (&mut self.kept, other.kept),
        ];
        for (sum, more) in sums {
            *sum += more;
        }
        for (sum, more) in self.buckets.iter_mut().zip(other.buckets) {
            *sum += more;
        }
        for (method, statuses) in other.answers.iter().enumerate() {
            for (status, more) in statuses.iter().enumerate().filter(|(_, more)| **more > 0) {
                if let Some(sum) = self.answers_mut(method, status) {
                    *sum += more;
                }
            }
        }
        if self.sites.len() < other.sites.len() {
            self.sites.resize(other.sites.len(), OfSite::default());
        }
        for (sum, more) in self.sites.iter_mut().zip(&other.sites) {
            sum.requests += more.requests;
            sum.bytes_out += more.bytes_out;
        }
    }

    /// How many requests had a method and a status, where there were any: the method's name, `other` for one that is not
    /// known.
    pub fn answers(&self) -> impl Iterator<Item = (&'static str, u16, u64)> {
        let name = |method: usize| {
            let method = Method::all().find(|known| *known as usize == method);
            method.map_or("other", Method::as_str)
        };
        self.answers.iter().enumerate().flat_map(move |(method, statuses)| {
            let counted = (FIRST..).zip(statuses).filter(|(_, count)| **count > 0);
            counted.map(move |(status, count)| (name(method), status, *count))
        })
    }

    /// How many requests had a status of each class, from 1xx on.
    pub fn classes(&self) -> [u64; 5] {
        let mut classes = [0; 5];
        for (_, status, count) in self.answers() {
            if let Some(class) = classes.get_mut(usize::from(status / 100).saturating_sub(1)) {
                *class += count;
            }
        }
        classes
    }

    /// How many requests took no longer than each of [`LIMITS`].
    pub fn within(&self) -> [u64; LIMITS.len()] {
        let mut sum = 0;
        self.buckets.map(|count| {
            sum += count;
            sum
        })
    }
}

#[cold]
fn enlarge<T: Clone + Default>(numbers: &mut Vec<T>, length: usize) {
    numbers.resize(length, T::default());
}

fn micros(time: Duration) -> u64 {
    let whole = time.as_secs().saturating_mul(1_000_000);
    whole.saturating_add(time.subsec_micros().into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Answered, LIMITS, Tally};
    use crate::http::method::Method;

    fn answered(method: Method, status: u16, micros: u64) -> Answered {
        Answered {
            method,
            status,
            site: 1,
            bytes_in: 1,
            bytes_out: 30,
            body_bytes: 20,
            duration: Duration::from_micros(micros),
            first_byte: Some(Duration::from_micros(micros / 2)),
            aborted: status == 200,
            kept: status == 404,
        }
    }

    #[test]
    fn two_threads_make_one_sum() {
        let (mut one, mut other) = (Tally::default(), Tally::default());
        one.add(&answered(Method::Get, 200, 900));
        one.add(&answered(Method::Get, 404, 1000));
        other.add(&answered(Method::Get, 200, 1001));
        other.add(&answered(Method::Other, 501, 100_000_000));
        one.join(&other);
        assert_eq!(
            (one.requests, one.bytes_in, one.bytes_out, one.body_bytes),
            (4, 4, 120, 80)
        );
        assert_eq!((one.aborted, one.kept, one.micros), (2, 1, 100_002_901));
        assert_eq!(one.micros_before, 50_001_450);
        let answers: Vec<_> = one.answers().collect();
        assert_eq!(answers, [("GET", 200, 2), ("GET", 404, 1), ("other", 501, 1)]);
        assert_eq!(one.classes(), [0, 2, 0, 1, 1]);
        assert_eq!(one.within()[..3], [2, 3, 3]);
        assert_eq!(one.within()[LIMITS.len() - 1], 3, "what is longer than all is in none");
        assert_eq!((one.sites[0].requests, one.sites[1].requests), (0, 4));
    }

    #[test]
    fn a_status_beyond_all_is_counted_as_a_request_alone() {
        let mut tally = Tally::default();
        tally.add(&answered(Method::Get, u16::MAX, 1));
        tally.add(&answered(Method::Get, 999, 1));
        assert_eq!(tally.requests, 2);
        assert_eq!(tally.answers().collect::<Vec<_>>(), [("GET", 999, 1)]);
    }
}
