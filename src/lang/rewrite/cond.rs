//! RewriteCond: a test string and what is asked of it.

use crate::lang::expr::{Expr, Trust};
use crate::lang::regex::Regex;
use crate::lang::vars::{Accessible, FileTest};

use super::flags::CondFlags;
use super::template::Template;

/// One condition of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Cond {
    pub(super) input: Template,
    pub(super) test: Test,
    pub(super) negated: bool,
    pub(super) flags: CondFlags,
    /// The pattern as it was written.
    pub(super) pattern: String,
}

/// What is asked of the test string.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Test {
    /// Does it match?
    Matches(Regex),
    /// How does it compare with a text?
    Text(Order, Vec<u8>),
    /// How does it compare with a number?
    Number(Order, i64),
    /// What is the file of this name?
    File(FileTest),
    /// Would a subrequest for it succeed?
    Accessible(Accessible),
    /// Is this true of the request? There is no test string.
    Holds(Expr),
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// `<`, `-lt`
    Less,
    /// `<=`, `-le`
    LessOrEqual,
    /// `=`, `-eq`
    Equal,
    /// `>=`, `-ge`
    GreaterOrEqual,
    /// `>`, `-gt`
    Greater,
}

impl Order {
    pub(super) fn allows(self, ordering: std::cmp::Ordering) -> bool {
        match self {
            Order::Less => ordering.is_lt(),
            Order::LessOrEqual => ordering.is_le(),
            Order::Equal => ordering.is_eq(),
            Order::GreaterOrEqual => ordering.is_ge(),
            Order::Greater => ordering.is_gt(),
        }
    }
}

impl Cond {
    /// Reads the words of a RewriteCond. `trust` says what an expression may ask. The error is a sentence.
    pub fn parse(input: &[u8], pattern: &[u8], flags: Option<&[u8]>, trust: Trust) -> Result<Cond, String> {
        let flags = flags.map(CondFlags::parse).transpose()?.unwrap_or_default();
        let pattern = str::from_utf8(pattern).map_err(|_| "the pattern is not UTF-8 text".to_owned())?;
        let (mut negated, bare) = match pattern.strip_prefix('!') {
            Some(bare) => (true, bare),
            None => (false, pattern),
        };
        if input.eq_ignore_ascii_case(b"expr") {
            return Ok(Cond {
                input: Template::default(),
                test: Test::Holds(Expr::parse(bare, trust).map_err(|error| error.0)?),
                negated,
                flags,
                pattern: pattern.to_owned(),
            });
        }
        let test = if let Some(number) = bare.strip_prefix("-ne").filter(|number| !number.is_empty()) {
            negated = !negated;
            Test::Number(Order::Equal, integer(number.as_bytes()))
        } else {
            match special(bare) {
                Some(test) => test,
                None => Test::Matches(Regex::new(bare, flags.no_case).map_err(|error| error.0)?),
            }
        };
        Ok(Cond {
            input: Template::parse(input),
            test,
            negated,
            flags,
            pattern: pattern.to_owned(),
        })
    }

    /// The maps it asks.
    pub fn maps(&self) -> Vec<&[u8]> {
        self.input.maps()
    }
}

/// Patterns that are no regular expressions: tests of one letter, comparisons.
fn special(pattern: &str) -> Option<Test> {
    if pattern.len() < 2 {
        return None;
    }
    if let Some(word) = pattern.strip_prefix('-') {
        return match word {
            "d" => Some(Test::File(FileTest::Directory)),
            "f" => Some(Test::File(FileTest::Regular)),
            "h" | "l" | "L" => Some(Test::File(FileTest::Symlink)),
            "s" => Some(Test::File(FileTest::NotEmpty)),
            "x" => Some(Test::File(FileTest::Executable)),
            "F" => Some(Test::Accessible(Accessible::File)),
            "U" => Some(Test::Accessible(Accessible::Url)),
            _ => number(word),
        };
    }
    let (order, text) = if let Some(text) = pattern.strip_prefix(">=") {
        (Order::GreaterOrEqual, text)
    } else if let Some(text) = pattern.strip_prefix('>') {
        (Order::Greater, text)
    } else if let Some(text) = pattern.strip_prefix("<=") {
        (Order::LessOrEqual, text)
    } else if let Some(text) = pattern.strip_prefix('<') {
        (Order::Less, text)
    } else {
        let text = pattern.strip_prefix('=')?;
        (Order::Equal, if text == "\"\"" { "" } else { text })
    };
    Some(Test::Text(order, text.as_bytes().to_vec()))
}

/// `-lt5` and its like, the number right behind the letters.
fn number(word: &str) -> Option<Test> {
    let (letters, number) = (word.get(..2)?, word.get(2..).filter(|number| !number.is_empty())?);
    let order = match letters {
        "lt" => Order::Less,
        "le" => Order::LessOrEqual,
        "eq" => Order::Equal,
        "ge" => Order::GreaterOrEqual,
        "gt" => Order::Greater,
        _ => return None,
    };
    Some(Test::Number(order, integer(number.as_bytes())))
}

/// As C's `atoi`: white space, a sign, digits, whatever follows; 0 where there are none.
pub(super) fn integer(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    let mut number = 0_i64;
    for digit in digits.iter().take_while(|byte| byte.is_ascii_digit()) {
        number = number.saturating_mul(10).saturating_add(i64::from(digit - b'0'));
    }
    if negative { -number } else { number }
}

#[cfg(test)]
mod tests {
    use super::{Cond, Order, Test, integer};
    use crate::lang::expr::Trust;
    use crate::lang::vars::{Accessible, FileTest};

    fn test_of(pattern: &str) -> (Test, bool) {
        let cond = Cond::parse(b"x", pattern.as_bytes(), None, Trust::Full).expect(pattern);
        (cond.test, cond.negated)
    }

    #[test]
    fn patterns_are_told_apart() {
        for (pattern, test, negated) in [
            ("-f", Test::File(FileTest::Regular), false),
            ("!-d", Test::File(FileTest::Directory), true),
            ("-L", Test::File(FileTest::Symlink), false),
            ("-U", Test::Accessible(Accessible::Url), false),
            ("=on", Test::Text(Order::Equal, b"on".to_vec()), false),
            ("!=\"\"", Test::Text(Order::Equal, Vec::new()), true),
            (">=b", Test::Text(Order::GreaterOrEqual, b"b".to_vec()), false),
            ("-lt5", Test::Number(Order::Less, 5), false),
            ("!-ne7", Test::Number(Order::Equal, 7), false),
            ("-ne7", Test::Number(Order::Equal, 7), true),
        ] {
            assert_eq!(test_of(pattern), (test, negated), "{pattern}");
        }
        for pattern in ["-", "=", "<", "-lt", "-fx", "", "^/a"] {
            assert!(matches!(test_of(pattern).0, Test::Matches(_)), "{pattern}");
        }
    }

    #[test]
    fn integers_are_read_as_atoi_reads_them() {
        for (text, number) in [
            (" 12x", 12),
            ("-3", -3),
            ("x", 0),
            ("+4", 4),
            ("99999999999999999999", i64::MAX),
        ] {
            assert_eq!(integer(text.as_bytes()), number, "{text}");
        }
    }
}
