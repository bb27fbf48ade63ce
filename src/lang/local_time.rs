//! Moments as logs write them, in the system's time zone, worked out once a second and thread.

use std::cell::{Cell, RefCell};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::{Timestamp, Zoned};

use crate::base::date::Second;
use crate::base::zone;

/// `[10/Oct/2000:13:55:36 -0700]`.
pub const CLF_LEN: usize = 28;
/// `Wed Oct 11 14:32:52` and ` 2000`, between which the fraction stands.
pub const ERROR_LEN: usize = 24;

/// The time since 1970; an earlier one is 1970.
pub fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The moment in the system's time zone; the end of the calendar is year 9999.
pub fn zoned(since_epoch: Duration) -> Zoned {
    let seconds = i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX);
    let nanos = i32::try_from(since_epoch.subsec_nanos()).unwrap_or(0);
    let timestamp = Timestamp::new(seconds, nanos).unwrap_or(Timestamp::MAX);
    timestamp.to_zoned(zone::local())
}

/// Appends the common log format's date, with its brackets.
pub fn append_clf(time: SystemTime, out: &mut Vec<u8>) {
    thread_local! {
        static LAST: RefCell<(Second, [u8; CLF_LEN])> = const { RefCell::new((Second::NONE, [0; CLF_LEN])) };
    }
    LAST.with_borrow_mut(|(known, text)| {
        if !known.contains(time) {
            *known = Second::of(time);
            *text = clf(since_epoch(time).as_secs());
        }
        out.extend_from_slice(text);
    });
}

/// The common log format's date of that second since 1970.
pub fn clf(second: u64) -> [u8; CLF_LEN] {
    thread_local! {
        static LAST: Cell<(u64, [u8; CLF_LEN])> = const { Cell::new((u64::MAX, [0; CLF_LEN])) };
    }
    cached(&LAST, second, "[%d/%b/%Y:%H:%M:%S %z]")
}

/// The error log's date without its fraction: `Wed Oct 11 14:32:52 2000`.
pub fn error(second: u64) -> [u8; ERROR_LEN] {
    thread_local! {
        static LAST: Cell<(u64, [u8; ERROR_LEN])> = const { Cell::new((u64::MAX, [0; ERROR_LEN])) };
    }
    cached(&LAST, second, "%a %b %d %H:%M:%S %Y")
}

type LastSecond<const N: usize> = std::thread::LocalKey<Cell<(u64, [u8; N])>>;

fn cached<const N: usize>(last: &'static LastSecond<N>, second: u64, format: &str) -> [u8; N] {
    let (known, text) = last.get();
    if known == second {
        return text;
    }
    let text = fixed(&zoned(Duration::from_secs(second)), format);
    last.set((second, text));
    text
}

/// The formatted time, which has a fixed length as long as years have four digits.
fn fixed<const N: usize>(time: &Zoned, format: &str) -> [u8; N] {
    let mut text = [b' '; N];
    let formatted = time.strftime(format).to_string();
    for (to, from) in text.iter_mut().zip(formatted.bytes()) {
        *to = from;
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::{append_clf, clf, error, zoned};

    #[test]
    fn dates_have_the_logs_shape_for_every_second() {
        for second in [0, 951_782_400, 1_795_170_787, 1_795_170_788, u64::MAX] {
            let zoned = zoned(Duration::from_secs(second));
            let want = zoned.strftime("[%d/%b/%Y:%H:%M:%S %z]").to_string();
            assert_eq!(clf(second), *want.as_bytes());
            assert_eq!(clf(second), *want.as_bytes(), "from the cache");
            let begin = UNIX_EPOCH.checked_add(Duration::from_secs(second));
            for nanos in begin.map_or([].as_slice(), |_| &[0, 1, 999_999_999]) {
                let mut out = Vec::new();
                append_clf(UNIX_EPOCH + Duration::new(second, *nanos), &mut out);
                assert_eq!(out, want.as_bytes());
            }
            let want = zoned.strftime("%a %b %d %H:%M:%S %Y").to_string();
            assert_eq!(error(second), *want.as_bytes());
        }
    }
}
