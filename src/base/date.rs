//! Dates as HTTP writes them (RFC 9110 §5.6.7): one format written, three read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::base::ascii;

/// A point in time in whole seconds since 1970-01-01 00:00:00 UTC; before it, negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HttpDate(i64);

/// The width of a date as HTTP writes it, in bytes.
pub const WIDTH: usize = 29;

const DAY: i64 = 86_400;
const DAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
const LONG_DAYS: [&[u8]; 7] = [
    b"Thursday",
    b"Friday",
    b"Saturday",
    b"Sunday",
    b"Monday",
    b"Tuesday",
    b"Wednesday",
];
const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];
/// The last second of the year 9999, the last that the format can hold.
const LAST: i64 = 253_402_300_799;
/// The first second of the year 0.
const FIRST: i64 = -62_167_219_200;

impl HttpDate {
    /// From seconds since the epoch; a time that four digits of year cannot write is moved to the nearest that they can.
    pub const fn from_seconds(seconds: i64) -> HttpDate {
        if seconds < FIRST {
            HttpDate(FIRST)
        } else if seconds > LAST {
            HttpDate(LAST)
        } else {
            HttpDate(seconds)
        }
    }

    /// Seconds since the epoch.
    pub const fn seconds(self) -> i64 {
        self.0
    }

    /// Reads any of the three formats. `now` decides the century of a two-digit year: a date that would lie
    /// more than 50 years ahead is of the century before (RFC 9110 §5.6.7). The day of the week is not checked
    /// against the date.
    pub fn parse(text: &[u8], now: HttpDate) -> Option<HttpDate> {
        let text = ascii::trim_ows(text);
        let comma = text.iter().position(|byte| *byte == b',');
        match comma {
            Some(3) => imf_fixdate(text),
            Some(_) => rfc850_date(text, now),
            None => asctime_date(text),
        }
    }

    /// Reads what others take for such a date (RFC 9110 section 5.6.7 would have us be robust), as far as it can mean one time
    /// only: a day of one digit, a day's name in whatever language or none, UTC or an offset from it (`+0200`) for GMT, and what
    /// Netscape wrote behind it, `; length=6`.
    pub fn parse_loosely(text: &[u8], now: HttpDate) -> Option<HttpDate> {
        let end = text.iter().position(|byte| *byte == b';').unwrap_or(text.len());
        let text = text.get(..end)?;
        HttpDate::parse(text, now).or_else(|| loose_date(text))
    }

    /// Writes the date as an IMF-fixdate, `Sun, 06 Nov 1994 08:49:37 GMT`.
    pub fn to_bytes(self) -> [u8; WIDTH] {
        let days = self.0.div_euclid(DAY);
        let second = self.0.rem_euclid(DAY);
        let (year, month, day) = civil(days);
        let mut out = *b"Thu, 01 Jan 1970 00:00:00 GMT";
        out[0..3].copy_from_slice(DAYS[index(days.rem_euclid(7))]);
        out[5..7].copy_from_slice(&two_digits(day));
        out[8..11].copy_from_slice(MONTHS[index(month - 1)]);
        out[12..14].copy_from_slice(&two_digits(year / 100));
        out[14..16].copy_from_slice(&two_digits(year % 100));
        out[17..19].copy_from_slice(&two_digits(second / 3600));
        out[20..22].copy_from_slice(&two_digits(second / 60 % 60));
        out[23..25].copy_from_slice(&two_digits(second % 60));
        out
    }

    /// Appends the date as an IMF-fixdate.
    pub fn append_to(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_bytes());
    }
}

impl From<SystemTime> for HttpDate {
    fn from(time: SystemTime) -> HttpDate {
        let seconds = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_secs()).unwrap_or(LAST),
            Err(before) => {
                let before = before.duration();
                let whole = i64::try_from(before.as_secs()).unwrap_or(LAST);
                -whole - i64::from(before > Duration::from_secs(before.as_secs()))
            }
        };
        HttpDate::from_seconds(seconds)
    }
}

/// A second of the system's clock. Whether a moment is in it is known without working out which second that is, so that what is
/// worked out once a second costs a moment of the same second next to nothing.
#[derive(Clone, Copy, Debug)]
pub struct Second {
    begin: SystemTime,
    end: SystemTime,
}

impl Second {
    /// One that no moment is in.
    pub const NONE: Second = Second {
        begin: UNIX_EPOCH,
        end: UNIX_EPOCH,
    };

    /// The second of that moment, if that is one since 1970.
    pub fn of(moment: SystemTime) -> Second {
        let since = moment.duration_since(UNIX_EPOCH);
        let begin = since.map_or(UNIX_EPOCH, |since| UNIX_EPOCH + Duration::from_secs(since.as_secs()));
        match begin.checked_add(Duration::from_secs(1)) {
            Some(end) => Second { begin, end },
            None => Second::NONE,
        }
    }

    /// Whether the moment is in it.
    #[inline]
    pub fn contains(&self, moment: SystemTime) -> bool {
        self.begin <= moment && moment < self.end
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(text: &[u8]) -> Option<HttpDate> {
    let text: &[u8; WIDTH] = text.try_into().ok()?;
    let shape =
        text[3..5] == *b", " && text[7] == b' ' && text[11] == b' ' && text[16] == b' ' && text[25..] == *b" GMT";
    if !shape || !DAYS.iter().any(|day| day.eq_ignore_ascii_case(&text[..3])) {
        return None;
    }
    let year = number(&text[12..16])?;
    at(year, month(&text[8..11])?, number(&text[5..7])?, clock(&text[17..25])?)
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
fn rfc850_date(text: &[u8], now: HttpDate) -> Option<HttpDate> {
    let comma = text.iter().position(|byte| *byte == b',')?;
    let (day_name, rest) = text.split_at(comma);
    let rest: &[u8; 24] = rest.try_into().ok()?;
    let shape = rest[..2] == *b", " && rest[4] == b'-' && rest[8] == b'-' && rest[11] == b' ' && rest[20..] == *b" GMT";
    if !shape || !LONG_DAYS.iter().any(|day| day.eq_ignore_ascii_case(day_name)) {
        return None;
    }
    let (month, day, time) = (month(&rest[5..8])?, number(&rest[2..4])?, clock(&rest[12..20])?);
    let (this_year, this_month, this_day) = civil(now.0.div_euclid(DAY));
    let year = this_year - this_year % 100 + 100 + number(&rest[9..11])?;
    let horizon = (this_year + 50, this_month, this_day);
    // The latest year of that ending that is not more than 50 years ahead.
    let year = if (year, month, day) > horizon { year - 100 } else { year };
    let year = if (year, month, day) > horizon { year - 100 } else { year };
    at(year, month, day, time)
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime_date(text: &[u8]) -> Option<HttpDate> {
    let text: &[u8; 24] = text.try_into().ok()?;
    let shape = text[3] == b' ' && text[7] == b' ' && text[10] == b' ' && text[19] == b' ';
    if !shape || !DAYS.iter().any(|day| day.eq_ignore_ascii_case(&text[..3])) {
        return None;
    }
    let day = if text[8] == b' ' { &text[9..10] } else { &text[8..10] };
    at(
        number(&text[20..])?,
        month(&text[4..7])?,
        number(day)?,
        clock(&text[11..19])?,
    )
}

/// `Son, 6 Nov 1994 08:49:37 +0200`
fn loose_date(text: &[u8]) -> Option<HttpDate> {
    let behind_name = text.iter().position(|byte| *byte == b',').map_or(0, |comma| comma + 1);
    let (name, date) = text.split_at(behind_name);
    if name.iter().any(u8::is_ascii_digit) {
        return None;
    }
    let mut words = date.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let mut next = || words.next();
    let (day, month_name, year, time, zone) = (next()?, next()?, next()?, next()?, next()?);
    if next().is_some() || day.len() > 2 || year.len() != 4 {
        return None;
    }
    let local = at(number(year)?, month(month_name)?, number(day)?, clock(time)?)?;
    Some(HttpDate::from_seconds(local.0 - offset(zone)?))
}

/// How many seconds a zone is ahead of UTC. Of names only those that mean no offset: EST is several.
fn offset(zone: &[u8]) -> Option<i64> {
    let (sign, digits) = match zone {
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        b"GMT" | b"UTC" | b"UT" | b"Z" => return Some(0),
        _ => return None,
    };
    let (hours, minutes) = match digits {
        [h1, h2, m1, m2] | [h1, h2, b':', m1, m2] => (number(&[*h1, *h2])?, number(&[*m1, *m2])?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

fn at(year: i64, month: i64, day: i64, second_of_day: i64) -> Option<HttpDate> {
    let days = days_from_civil(year, month, day);
    (civil(days) == (year, month, day)).then(|| HttpDate::from_seconds(days * DAY + second_of_day))
}

fn month(name: &[u8]) -> Option<i64> {
    let place = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(name))?;
    i64::try_from(place + 1).ok()
}

fn number(digits: &[u8]) -> Option<i64> {
    i64::try_from(ascii::parse_decimal(digits)?).ok()
}

/// The second of the day that `08:49:37` names; second 60, a leap second, is the next minute's first.
fn clock(text: &[u8]) -> Option<i64> {
    let [h1, h2, b':', m1, m2, b':', s1, s2] = text else {
        return None;
    };
    let (hour, minute, second) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?, number(&[*s1, *s2])?);
    (hour < 24 && minute < 60 && second <= 60).then_some(hour * 3600 + minute * 60 + second)
}

/// Year, month (1 to 12) and day (1 to 31) of a day counted from the epoch, in the Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    // Years that begin in March put the leap day last: Howard Hinnant, "chrono-compatible low-level date algorithms".
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let march_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * march_month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn two_digits(number: i64) -> [u8; 2] {
    let digit = |n: i64| b'0' + u8::try_from(n.rem_euclid(10)).unwrap_or(0);
    [digit(number / 10), digit(number)]
}

fn index(number: i64) -> usize {
    usize::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::{HttpDate, Second};

    const NOW: HttpDate = HttpDate(1_700_000_000);

    #[test]
    fn three_formats_are_read() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            " Sun, 06 Nov 1994 08:49:37 GMT ",
            "sun, 06 nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(
                HttpDate::parse(text.as_bytes(), NOW),
                Some(HttpDate(784_111_777)),
                "{text}"
            );
        }
    }

    #[test]
    fn odd_dates_are_refused() {
        for text in [
            "",
            "0",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:60:00 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT",
            "Xyz, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Xxx 1994 08:49:37 GMT",
            "Sunday, 06-Nov-1994 08:49:37 GMT",
            "Sun Nov 06 08:49:37 94",
            "Sun, 06 Nov 1994 08:49:37 GMT; length=5",
        ] {
            assert_eq!(HttpDate::parse(text.as_bytes(), NOW), None, "{text}");
        }
    }

    #[test]
    fn what_can_mean_one_time_only_is_read_loosely() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 +0000",
            "Sun, 06 Nov 1994 08:49:37 -0000",
            "Sun, 06 Nov 1994 10:49:37 +0200",
            "Sat, 05 Nov 1994 23:19:37 -09:30",
            "So., 06 Nov 1994 08:49:37 GMT",
            "06 Nov 1994 08:49:37 Z",
            "Sun, 06 Nov 1994 08:49:37 GMT; length=5",
            "Sunday, 06-Nov-94 08:49:37 GMT; length=5",
            "Sun Nov  6 08:49:37 1994",
        ] {
            let date = HttpDate::parse_loosely(text.as_bytes(), NOW);
            assert_eq!(date, Some(HttpDate(784_111_777)), "{text}");
        }
        for text in [
            "",
            ",",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 EST",
            "Sun, 06 Nov 1994 08:49:37 +2",
            "Sun, 06 Nov 1994 08:49:37 +2400",
            "Sun, 06 Nov 1994 08:49:37 +0060",
            "Sun, 06 Nov 1994 08:49:37 ++100",
            "Sun, 06 Nov 1994 08:49:37 GMT GMT",
            "Sun, 006 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Sun, 31 Feb 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 +",
            "6, 06 Nov 1994 08:49:37 UTC",
        ] {
            assert_eq!(HttpDate::parse_loosely(text.as_bytes(), NOW), None, "{text}");
        }
    }

    #[test]
    fn two_digit_years_are_at_most_fifty_years_ahead() {
        // NOW is 2023-11-14.
        for (text, want) in [
            ("Sunday, 06-Nov-73 08:49:37 GMT", "Mon, 06 Nov 2073 08:49:37 GMT"),
            ("Sunday, 15-Nov-73 08:49:37 GMT", "Thu, 15 Nov 1973 08:49:37 GMT"),
            ("Sunday, 06-Nov-74 08:49:37 GMT", "Wed, 06 Nov 1974 08:49:37 GMT"),
            ("Sunday, 06-Nov-00 08:49:37 GMT", "Mon, 06 Nov 2000 08:49:37 GMT"),
            ("Sunday, 06-Nov-99 08:49:37 GMT", "Sat, 06 Nov 1999 08:49:37 GMT"),
        ] {
            let date = HttpDate::parse(text.as_bytes(), NOW).map(HttpDate::to_bytes);
            assert_eq!(date.as_ref().map(|d| &d[..]), Some(want.as_bytes()), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for seconds in (-62_167_219_200..253_402_300_799).step_by(39_999_983) {
            let date = HttpDate(seconds);
            assert_eq!(HttpDate::parse(&date.to_bytes(), NOW), Some(date));
        }
        let ours = HttpDate(784_111_777).to_bytes();
        assert_eq!(&ours, b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(
            httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(784_111_777)).as_bytes(),
            ours
        );
    }

    #[test]
    fn system_time_is_cut_to_whole_seconds_towards_the_past() {
        assert_eq!(HttpDate::from(UNIX_EPOCH + Duration::from_millis(1999)), HttpDate(1));
        assert_eq!(HttpDate::from(UNIX_EPOCH - Duration::from_millis(500)), HttpDate(-1));
        assert_eq!(HttpDate::from(UNIX_EPOCH - Duration::from_secs(2)), HttpDate(-2));
        assert_eq!(
            HttpDate::from_seconds(i64::MAX).to_bytes(),
            *b"Fri, 31 Dec 9999 23:59:59 GMT"
        );
    }

    #[test]
    fn a_second_has_its_moments_and_no_others() {
        let at = |seconds, nanos| UNIX_EPOCH + Duration::new(seconds, nanos);
        for second in [0, 1, 1_795_170_787] {
            for nanos in [0, 1, 500_000_000, 999_999_999] {
                let known = Second::of(at(second, nanos));
                assert!(known.contains(at(second, 0)) && known.contains(at(second, 999_999_999)));
                assert!(!known.contains(at(second + 1, 0)) && !known.contains(at(second, 0) - Duration::from_nanos(1)));
            }
        }
        assert!(!Second::NONE.contains(UNIX_EPOCH));
        let before = UNIX_EPOCH - Duration::from_millis(1);
        assert!(!Second::of(before).contains(before));
    }
}
