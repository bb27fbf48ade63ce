//! How long answers may be kept: `mod_expires`.

use crate::config::setting::{Mapped, Merge, Setting};
use crate::config::table::{ANYWHERE, Directive, Override, Set, Words};
use crate::config::words::{Args, Said, shown};

/// Lifetimes of answers.
#[derive(Clone, Debug, Default)]
pub struct Expires {
    /// `ExpiresActive`.
    pub active: Setting<bool>,
    /// `ExpiresByType`: by media type in lower case; `type/*` stands for those of its kind that have none.
    pub by_type: Mapped<Vec<u8>, Lifetime>,
    /// Whether the innermost scope that says anything here names a kind; those of outer ones count only then.
    pub has_kinds: bool,
    /// `ExpiresDefault`.
    pub default: Setting<Lifetime>,
}

impl Merge for Expires {
    fn merge(&mut self, inner: &Self) {
        let says_something =
            inner.active.value().is_some() || inner.default.value().is_some() || !inner.by_type.is_empty();
        if says_something {
            self.has_kinds = inner.has_kinds;
        }
        self.active.merge(&inner.active);
        self.by_type.merge(&inner.by_type);
        self.default.merge(&inner.default);
    }
}

/// Until when an answer is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// From when on.
    pub base: Base,
    /// How many seconds; may be negative.
    pub seconds: i64,
}

/// From when on a lifetime counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// The request.
    Access,
    /// The file's last change.
    Modification,
}

const SYNTAX: &str = "Ann|Mnn|\"base [plus] number unit ...\"";

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "ExpiresActive",
        module: "mod_expires",
        syntax: "On|Off",
        words: Words::Flag,
        allowed: ANYWHERE,
        overrides: Override::Indexes,
        default: "Off",
        summary: "Send Expires and Cache-Control: max-age with answers.",
        manual: "Answers that have an Expires field already keep it, and errors get none.",
        set: Set::Dir(|conf, args| {
            conf.expires.active.set(args.flag(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "ExpiresByType",
        module: "mod_expires",
        syntax: "media-type Ann|Mnn|\"base [plus] number unit ...\"",
        words: Words::exactly(2),
        allowed: ANYWHERE,
        overrides: Override::Indexes,
        default: "",
        summary: "Say how long answers of a media type may be kept.",
        manual: "The base is access (or now) or modification, the units are years, months, weeks, days, hours, minutes and seconds; \
A or M and a number of seconds say the same. A type like image/* stands for those of its kind that have no line of their own. As in Apache, a section or an access file that has \
any of these directives, but no such type, does without those of outer ones.",
        set: Set::Dir(|conf, args| {
            let lifetime = lifetime(args, 1)?;
            let media_type = args.bytes(0).to_ascii_lowercase();
            conf.expires.has_kinds |= media_type.ends_with(b"/*");
            conf.expires.by_type.insert(media_type, lifetime);
            Ok(())
        }),
    },
    Directive {
        name: "ExpiresDefault",
        module: "mod_expires",
        syntax: SYNTAX,
        words: Words::exactly(1),
        allowed: ANYWHERE,
        overrides: Override::Indexes,
        default: "",
        summary: "Say how long answers may be kept whose type has no line of its own.",
        manual: "",
        set: Set::Dir(|conf, args| {
            conf.expires.default.set(lifetime(args, 0)?);
            Ok(())
        }),
    },
];

fn lifetime(args: &Args, n: usize) -> Said<Lifetime> {
    let code = args.bytes(n);
    match code.split_first() {
        Some((b'A', number)) => Ok(short(args, Base::Access, number)),
        Some((b'M', number)) => Ok(short(args, Base::Modification, number)),
        _ => long(code),
    }
}

/// `A3600`. Apache reads what stands behind the letter as far as it is a number.
fn short(args: &Args, base: Base, number: &[u8]) -> Lifetime {
    let (sign, digits) = match number.split_first() {
        Some((b'-', digits)) => (-1, digits),
        Some((b'+', digits)) => (1, digits),
        _ => (1, number),
    };
    let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = digits.split_at(count);
    if digits.is_empty() || !rest.is_empty() {
        args.remark(
            "with a capital A or M at its beginning it is taken as a letter and a number of seconds, as in Apache, and this is \
             no number; write the word in lower case",
        );
    }
    Lifetime {
        base,
        seconds: sign * number_of(digits),
    }
}

/// A number, at most what Apache's `int` holds.
fn number_of(digits: &[u8]) -> i64 {
    let text = std::str::from_utf8(digits).unwrap_or_default();
    let most = i64::from(i32::MAX);
    if text.is_empty() {
        return 0;
    }
    text.parse::<i64>().unwrap_or(most).min(most)
}

fn long(code: &[u8]) -> Said<Lifetime> {
    let mut words = code
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
        .peekable();
    let first = |word: &[u8]| word.first().map(u8::to_ascii_lowercase);
    let base = words.next().unwrap_or_default();
    let base = match first(base) {
        Some(b'n' | b'a') => Base::Access,
        Some(b'm') => Base::Modification,
        _ => return Err(format!("{} is no base; write `access` or `modification`", shown(base))),
    };
    words.next_if(|word| first(word) == Some(b'p'));
    let mut seconds: i64 = 0;
    while let Some(number) = words.next() {
        let digits = number.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let Some(digits) = number.get(..digits).filter(|digits| !digits.is_empty()) else {
            return Err(format!("{} is no number; write `access plus 1 month`", shown(number)));
        };
        let unit = words.next().ok_or("a unit is missing; write `access plus 1 month`")?;
        let unit = seconds_of(unit).ok_or_else(|| {
            format!(
                "{} is no unit; there are years, months, weeks, days, hours, minutes and seconds",
                shown(unit)
            )
        })?;
        seconds = seconds.saturating_add(number_of(digits).saturating_mul(unit));
    }
    Ok(Lifetime { base, seconds })
}

/// A unit by the letters that tell it from the others.
fn seconds_of(unit: &[u8]) -> Option<i64> {
    let lower = unit.to_ascii_lowercase();
    let day = 24 * 60 * 60;
    Some(match lower.as_slice() {
        [b'y', ..] => 365 * day,
        [b'm', b'o', ..] => 30 * day,
        [b'w', ..] => 7 * day,
        [b'd', ..] => day,
        [b'h', ..] => 60 * 60,
        [b'm', b'i', ..] => 60,
        [b's', ..] => 1,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{Base, Lifetime, long};

    #[test]
    fn lifetimes_are_read_as_apache_reads_them() {
        let access = |seconds| {
            Ok(Lifetime {
                base: Base::Access,
                seconds,
            })
        };
        for (text, want) in [
            ("access plus 1 month", access(2_592_000)),
            ("now plus 2 hours 3 minutes", access(7380)),
            ("access 1 year", access(31_536_000)),
            ("access", access(0)),
            ("access plus 4 Weeks", access(2_419_200)),
            (
                "modification plus 1 day",
                Ok(Lifetime {
                    base: Base::Modification,
                    seconds: 86_400,
                }),
            ),
        ] {
            assert_eq!(long(text.as_bytes()), want, "{text}");
        }
        for text in [
            "",
            "later plus 1 day",
            "access plus x day",
            "access plus 1",
            "access plus 1 m",
            "access plus 1 eon",
        ] {
            assert!(long(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn any_beginning_of_a_lifetime_is_one_or_is_refused() {
        let whole = b"access plus 99999999999999999999 years 1 second";
        for end in 0..=whole.len() {
            let _one_or_the_other = long(&whole[..end]);
        }
    }
}
