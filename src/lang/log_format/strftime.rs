//! `%{format}t`: strftime(3) in the C locale, on the system's time zone.

use std::fmt::Write;
use std::time::Duration;

use jiff::Zoned;

use crate::lang::local_time;

/// A strftime format, respelled once so that formatting cannot fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::lang) struct Format(Box<str>);

impl Format {
    /// Takes any format: a conversion that strftime does not know stands for itself, as in glibc.
    pub(in crate::lang) fn new(format: &str) -> Format {
        let mut out = String::with_capacity(format.len());
        let mut rest = format;
        while let Some(percent) = rest.find('%') {
            out.push_str(&rest[..percent]);
            rest = &rest[percent..];
            let len = conversion(rest, &mut out);
            rest = &rest[len..];
        }
        out.push_str(rest);
        Format(out.into())
    }

    /// Appends the moment, given as the time since 1970.
    pub(super) fn append(&self, since_epoch: Duration, out: &mut Vec<u8>) {
        let text = self.text(&local_time::zoned(since_epoch));
        super::escape::access(text.as_bytes(), out);
    }

    /// The moment as text.
    pub(in crate::lang) fn text(&self, time: &Zoned) -> String {
        let mut text = String::with_capacity(64);
        // Every conversion left in the format is one that jiff knows; see `conversion`.
        let _ = write!(text, "{}", time.strftime(&*self.0));
        text
    }
}

/// Respells the conversion that `rest` begins with; its length.
fn conversion(rest: &str, out: &mut String) -> usize {
    let modifiers = rest[1..].bytes().take_while(|b| b"_-0^#".contains(b)).count();
    let flag = &rest[1..=modifiers];
    let mut len = 1 + modifiers;
    // The C locale has no other eras and digits: `%Ey` is `%y`.
    if matches!(rest.as_bytes().get(len), Some(b'E' | b'O')) {
        len += 1;
    }
    let Some(letter) = rest[len..].chars().next() else {
        out.push_str("%%");
        out.push_str(&rest[1..]);
        return rest.len();
    };
    len += letter.len_utf8();
    match letter {
        'c' => out.push_str("%a %b %e %H:%M:%S %Y"),
        'x' => out.push_str("%m/%d/%y"),
        'X' => out.push_str("%H:%M:%S"),
        'r' => out.push_str("%I:%M:%S %p"),
        'a' | 'A' | 'b' | 'B' | 'C' | 'd' | 'D' | 'e' | 'F' | 'g' | 'G' | 'h' | 'H' | 'I' | 'j' | 'k' | 'l' | 'm'
        | 'M' | 'n' | 'p' | 'P' | 'R' | 's' | 'S' | 't' | 'T' | 'u' | 'U' | 'V' | 'w' | 'W' | 'y' | 'Y' | 'z' | 'Z'
        | '%' => {
            out.push('%');
            // One flag is what jiff takes; glibc heeds the last of several.
            out.extend(flag.chars().last());
            out.push(letter);
        }
        _ => {
            out.push('%');
            out.push_str(&rest[..len]);
        }
    }
    len
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    use super::Format;

    /// The golden results come from Apache 2.4.71 with TZ=America/New_York.
    #[test]
    fn conversions_are_those_of_the_c_locale() {
        let zone = TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").expect("a POSIX zone");
        let time = Timestamp::from_second(1_795_170_787).expect("in range").to_zoned(zone);
        let table = [
            ("%c", "Fri Nov 20 05:33:07 2026"),
            ("%x", "11/20/26"),
            ("%X", "05:33:07"),
            ("%r", "05:33:07 AM"),
            (
                "%D %e %h %j %k %l %n %s %t %u %U %V %w %W %y %Z %z %G %g %C %I %p %P %R %F %T %Ey %Od %Q %% %",
                "11/20/26 20 Nov 324  5  5 \n 1795170787 \t 5 46 47 5 46 26 EST -0500 2026 26 20 05 AM am 05:33 \
                 2026-11-20 05:33:07 26 20 %Q % %",
            ),
            ("%-d %_H %^a %é", "20  5 FRI %é"),
            ("plain", "plain"),
            ("%E", "%E"),
        ];
        for (format, want) in table {
            assert_eq!(Format::new(format).text(&time), want, "{format}");
        }
    }

    #[test]
    fn every_format_of_two_characters_can_be_written() {
        let mut out = Vec::new();
        for first in 0..128u8 {
            for second in 0..128u8 {
                let format = format!("%{}{}", char::from(first), char::from(second));
                Format::new(&format).append(Duration::from_secs(951_782_400), &mut out);
            }
        }
    }
}
