//! What an expression is worth for a request.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::functions;
use super::{Comparison, Condition, Function, GlobKind, NoValue, Word};
use crate::base::glob::{Glob, Slash};
use crate::lang::local_time;
use crate::lang::regex::{self, Groups, Regex};
use crate::lang::vars::{Variable, Vars};

/// If `condition` is true of the request: the text and the groups of the last match.
pub(super) fn condition(condition: &Condition, vars: &dyn Vars) -> Result<Option<(Vec<u8>, Groups)>, NoValue> {
    let mut state = State::new(vars, Fields::Told);
    let holds = state.holds(condition)?;
    Ok(holds.then_some((state.subject, state.groups)))
}

/// The string that `word` makes, where `groups` are of the last match, in `subject`. As in Apache, that a string depends on
/// fields of the request is not told.
pub(super) fn string(word: &Word, vars: &dyn Vars, subject: Vec<u8>, groups: Groups) -> Result<Vec<u8>, NoValue> {
    let state = State {
        subject,
        groups,
        ..State::new(vars, Fields::Silent)
    };
    state.word(word).map(Cow::into_owned)
}

/// The request, and the last successful match: `$1` refers to it.
struct State<'v> {
    vars: &'v dyn Vars,
    fields: Fields,
    subject: Vec<u8>,
    groups: Groups,
}

/// Whether it is told what fields a value depends on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fields {
    Told,
    Silent,
}

impl<'v> State<'v> {
    fn new(vars: &'v dyn Vars, fields: Fields) -> State<'v> {
        State {
            vars,
            fields,
            subject: Vec::new(),
            groups: Vec::new(),
        }
    }

    fn holds(&mut self, condition: &Condition) -> Result<bool, NoValue> {
        Ok(match condition {
            Condition::Always(value) => *value,
            Condition::Not(inner) => !self.holds(inner)?,
            Condition::All(all) => {
                for one in all {
                    if !self.holds(one)? {
                        return Ok(false);
                    }
                }
                true
            }
            Condition::Any(any) => {
                for one in any {
                    if self.holds(one)? {
                        return Ok(true);
                    }
                }
                false
            }
            Condition::Strings(left, how, right) => {
                let order = self.word(left)?.as_ref().cmp(self.word(right)?.as_ref());
                how.allows(order)
            }
            Condition::Integers(left, how, right) => {
                let order = integer(&self.word(left)?).cmp(&integer(&self.word(right)?));
                how.allows(order)
            }
            Condition::Lengths(left, how, right) => {
                let (left, right) = (self.word(left)?, self.word(right)?);
                how.allows(left.len().cmp(&right.len()).then_with(|| left.cmp(&right)))
            }
            Condition::In(needle, list) => {
                let needle = self.word(needle)?;
                for word in list {
                    if self.word(word)? == needle {
                        return Ok(true);
                    }
                }
                false
            }
            Condition::Matches(word, pattern) => {
                let subject = self.word(word)?.into_owned();
                self.matches(pattern, subject)
            }
            Condition::Globs(text, kind, pattern) => globs(&self.word(text)?, *kind, &self.word(pattern)?),
            Condition::ClientIn(subnet) => self.vars.client_ip().is_some_and(|ip| subnet.contains(ip)),
            Condition::AddressIn(word, subnet) => {
                let address = self.word(word)?;
                let address = str::from_utf8(&address).ok().and_then(|text| text.parse().ok());
                address.is_some_and(|ip| subnet.contains(ip))
            }
            Condition::File(test, path) => self.vars.file_is(*test, &self.word(path)?),
            Condition::Accessible(what, name) => self.vars.is_accessible(*what, &self.word(name)?),
            Condition::NotEmpty(word) => !self.word(word)?.is_empty(),
            Condition::Empty(word) => self.word(word)?.is_empty(),
            Condition::Truth(word) => is_true(&self.word(word)?),
        })
    }

    /// Groups of earlier matches are kept when the pattern has none of its own, and lost when it does not match.
    fn matches(&mut self, pattern: &Regex, subject: Vec<u8>) -> bool {
        if pattern.group_count() == 1 {
            return pattern.is_match(&subject);
        }
        let groups = pattern.captures(&subject);
        let found = groups.is_some();
        self.groups = groups.unwrap_or_default();
        self.subject = subject;
        found
    }

    fn word<'w>(&self, word: &'w Word) -> Result<Cow<'w, [u8]>, NoValue>
    where
        'v: 'w,
    {
        Ok(match word {
            Word::Literal(text) => Cow::Borrowed(text.as_slice()),
            Word::Joined(words) => {
                let mut text = Vec::new();
                for word in words {
                    text.extend_from_slice(&self.word(word)?);
                }
                Cow::Owned(text)
            }
            Word::Variable(variable) => self.vars.variable(*variable).unwrap_or_else(|| otherwise(*variable)),
            Word::Tls(name) => self.vars.tls(name).unwrap_or_default(),
            Word::Field(name) => {
                self.depends_on(name);
                self.vars.request_field(name).unwrap_or_default()
            }
            Word::Time(format) => {
                let now = local_time::zoned(local_time::since_epoch(self.vars.now()));
                Cow::Owned(now.strftime(format).to_string().into_bytes())
            }
            Word::Group(number) => {
                let group = regex::group(usize::from(*number), &self.subject, &self.groups);
                Cow::Owned(group.to_vec())
            }
            Word::Call(function, argument) => {
                let argument = self.word(argument)?;
                if *function == Function::RequestField {
                    self.depends_on(str::from_utf8(&argument).unwrap_or_default());
                }
                functions::call(*function, argument, self.vars)?
            }
        })
    }

    fn depends_on(&self, name: &str) {
        if self.fields == Fields::Told {
            self.vars.depends_on(name);
        }
    }
}

impl Comparison {
    fn allows(self, order: Ordering) -> bool {
        match self {
            Comparison::Equal => order.is_eq(),
            Comparison::NotEqual => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        }
    }
}

/// What a variable says that always says something.
fn otherwise(variable: Variable) -> Cow<'static, [u8]> {
    Cow::Borrowed(match variable {
        Variable::Https | Variable::Http2 | Variable::Ipv6 => b"off",
        Variable::IsSubreq => b"false",
        _ => b"",
    })
}

/// The number that `text` begins with, as strtoll(3) has it: no digits are zero, too many the largest number.
fn integer(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text.split_first() {
        Some((b'-', digits)) => (true, digits),
        Some((b'+', digits)) => (false, digits),
        _ => (false, text),
    };
    let digits = digits.iter().take_while(|b| b.is_ascii_digit());
    digits.fold(0i64, |value, digit| {
        let digit = i64::from(digit - b'0');
        let value = value.saturating_mul(10);
        if negative {
            value.saturating_sub(digit)
        } else {
            value.saturating_add(digit)
        }
    })
}

fn globs(text: &[u8], kind: GlobKind, pattern: &[u8]) -> bool {
    match kind {
        GlobKind::Strmatch => Glob::new(pattern).matches(text, Slash::Ordinary),
        GlobKind::Fnmatch => Glob::new(pattern).matches(text, Slash::Stops),
        GlobKind::Strcmatch => {
            let pattern = pattern.to_ascii_lowercase();
            Glob::new(&pattern).matches(&text.to_ascii_lowercase(), Slash::Ordinary)
        }
    }
}

fn is_true(text: &[u8]) -> bool {
    let falsehoods: [&[u8]; 5] = [b"", b"0", b"off", b"false", b"no"];
    !falsehoods.iter().any(|word| text.eq_ignore_ascii_case(word))
}
