//! Numbers as people read them.

use std::time::Duration;

/// A time span in its two largest units, or in milliseconds.
pub fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if seconds < 10 => format!("{}.{} s", seconds, time.subsec_millis() / 100),
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        (_, _, _) => format!("{days} d {hours} h"),
    }
}

/// A number of bytes in its largest unit.
pub fn bytes(count: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let (mut tenths, mut unit) = (u128::from(count) * 10 / 1024, 0);
    while tenths >= 10_240 && unit + 1 < units.len() {
        tenths /= 1024;
        unit += 1;
    }
    let unit = units.get(unit).copied().unwrap_or_default();
    if tenths >= 100 {
        format!("{} {unit}", tenths / 10)
    } else {
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    }
}

/// A number with its thousands set apart.
pub fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// One number by another, with so many digits behind the point; 0 by 0 is 0.
pub fn ratio(of: u64, by: u64, digits: u32) -> String {
    let scale = 10_u128.pow(digits);
    let value = (u128::from(of) * scale).checked_div(u128::from(by)).unwrap_or(0);
    let (whole, rest) = (value / scale, value % scale);
    match digits {
        0 => whole.to_string(),
        digits => format!("{whole}.{rest:0width$}", width = digits as usize),
    }
}

/// Seconds with three digits behind the point, or with six.
pub fn micros(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{bytes, micros, number, ratio, span};

    #[test]
    fn numbers_are_told_in_their_units() {
        for (millis, told) in [
            (0, "0.0 s"),
            (1_999, "1.9 s"),
            (59_999, "59 s"),
            (60_000, "1 min 0 s"),
            (3_660_000, "1 h 1 min"),
            (90_000_000, "1 d 1 h"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), told);
        }
        for (count, told) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (10_239, "9.9 KiB"),
            (10_240, "10 KiB"),
            (1 << 20, "1.0 MiB"),
            ((1 << 20) - 1, "1023 KiB"),
            (u64::MAX, "15 EiB"),
        ] {
            assert_eq!(bytes(count), told);
        }
        assert_eq!(number(999), "999");
        assert_eq!(number(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(ratio(1, 3, 3), "0.333");
        assert_eq!(ratio(7, 0, 2), "0.00");
        assert_eq!(ratio(9, 2, 0), "4");
        assert_eq!(micros(1_000_002), "1.000002");
    }
}
