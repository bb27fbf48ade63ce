//! Sizes of files, as `fsize` shows them.

use crate::base::size;

/// How sizes are shown (`config sizefmt`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeFormat {
    /// `bytes`: all digits, with commas between the thousands.
    Bytes,
    /// `abbrev`: four characters, such as `1.2K`.
    Abbreviated,
}

impl SizeFormat {
    /// The size as text.
    pub fn show(self, bytes: u64) -> String {
        match self {
            SizeFormat::Bytes => with_commas(bytes),
            SizeFormat::Abbreviated => size::abbreviated(bytes),
        }
    }
}

fn with_commas(bytes: u64) -> String {
    let digits = bytes.to_string();
    let mut out = String::with_capacity(digits.len() * 2);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::SizeFormat;

    #[test]
    fn sizes_are_short_or_whole() {
        for (bytes, short, whole) in [
            (0, "  0 ", "0"),
            (972, "972 ", "972"),
            (973, "1.0K", "973"),
            (1023, "1.0K", "1,023"),
            (1536, "1.5K", "1,536"),
            (10_240, " 10K", "10,240"),
            (1_048_576, "1.0M", "1,048,576"),
            (123_456_789, "118M", "123,456,789"),
        ] {
            assert_eq!(SizeFormat::Abbreviated.show(bytes), short, "{bytes}");
            assert_eq!(SizeFormat::Bytes.show(bytes), whole, "{bytes}");
        }
    }
}
