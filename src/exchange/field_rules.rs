//! What `Header` and `RequestHeader` do to fields, whichever side they are of.

use std::borrow::Cow;

use crate::base::ascii;
use crate::config::directives::headers::{Action, Matches, Rule, Value, When};
use crate::exchange::view::View;
use crate::exchange::{Exchange, Variables};
use crate::http::fields::Fields;
use crate::lang::field_format::Facts;
use crate::lang::regex::{Regex, expand};
use crate::lang::vars::{Variable, Vars};

/// Which rules have their turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Those that are `early`.
    Early,
    /// All others.
    Late,
}

/// The request as rules see it: with the answer's fields as they are by now.
pub struct Live<'a> {
    /// The request, and the answer's status.
    pub view: View<'a>,
    /// The answer's fields.
    pub fields: [&'a Fields; 2],
}

/// What the rule's value is for this request; `None` where it does not act. An expression without a value is nothing.
pub fn due(rule: &Rule, turn: Turn, live: &Live<'_>) -> Option<Vec<u8>> {
    let acts = match &rule.when {
        When::Early => turn == Turn::Early,
        _ if turn == Turn::Early => false,
        When::Late => true,
        When::Set(name) => is_set(name, live),
        When::Unset(name) => !is_set(name, live),
        When::Holds(expr) => expr.eval(live).unwrap_or(false),
    };
    acts.then(|| match &rule.action {
        Action::Add(value)
        | Action::Append(value)
        | Action::Merge(value)
        | Action::Set(value)
        | Action::SetIfEmpty(value)
        | Action::Edit(_, value, _)
        | Action::Note(value) => filled(value, live),
        Action::Unset | Action::Echo(_) => Vec::new(),
    })
}

fn is_set(name: &[u8], live: &Live<'_>) -> bool {
    let ex = live.view.ex;
    ex.told(name).is_some() || ex.environment(name).is_some()
}

fn filled(value: &Value, live: &Live<'_>) -> Vec<u8> {
    match value {
        Value::Format(format) => format.value(live, &facts(live.view.ex)),
        Value::Expr(expr) => expr.eval(live).unwrap_or_default(),
    }
}

/// Changes the fields as the rule says. `Echo` is the caller's, who has the other side's fields.
pub fn act(rule: &Rule, value: Vec<u8>, fields: &mut Fields, notes: &mut Variables) {
    let name = rule.name.as_slice();
    match &rule.action {
        Action::Add(_) => fields.append(name, value),
        Action::Append(_) => fields.merge(name, &value),
        Action::Merge(_) => {
            let has = fields.value(name).is_some_and(|list| lists(list, &value));
            if !has {
                fields.merge(name, &value);
            }
        }
        Action::SetIfEmpty(_) if fields.contains(name) => {}
        Action::Set(_) | Action::SetIfEmpty(_) => fields.set(name, value),
        Action::Unset => {
            fields.remove(name);
        }
        Action::Edit(regex, _, matches) => {
            let edited: Vec<Vec<u8>> = fields
                .values(name)
                .map(|old| edited(old, regex, &value, *matches))
                .collect();
            fields.remove(name);
            for new in edited {
                fields.append(name, new);
            }
        }
        Action::Note(_) => {
            let kept = fields.value(name).map(<[u8]>::to_vec);
            notes.insert(value, kept.unwrap_or_default());
        }
        Action::Echo(_) => {}
    }
}

/// Whether a comma list has the member, to the letter.
fn lists(list: &[u8], member: &[u8]) -> bool {
    let mut members = crate::http::fields::list_members(list);
    members.any(|one| one == ascii::trim_ows(member))
}

/// The value with the first match, or all, replaced. Behind each match the search begins anew, as Apache's does.
pub fn edited(value: &[u8], regex: &Regex, template: &[u8], matches: Matches) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::with_capacity(value.len()), value);
    while let Some(groups) = regex.captures(rest) {
        let Some(whole) = groups.first().cloned().flatten() else {
            break;
        };
        out.extend_from_slice(rest.get(..whole.start).unwrap_or_default());
        out.extend_from_slice(&expand(template, rest, &groups));
        let behind = rest.get(whole.end..).unwrap_or_default();
        let is_empty = whole.is_empty();
        rest = behind;
        if matches == Matches::First || rest.is_empty() {
            break;
        }
        if let (true, Some((byte, after))) = (is_empty, rest.split_first()) {
            out.push(*byte);
            rest = after;
        }
    }
    out.extend_from_slice(rest);
    out
}

fn facts(ex: &Exchange) -> Facts {
    let scale = f64::from(1 << 16);
    let loads = rustix::system::sysinfo().loads;
    let load = loads.map(|load| f64::from(u32::try_from(load).unwrap_or(u32::MAX)) / scale);
    let processors = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let busy = (loads[0].saturating_mul(100) >> 16) / processors.max(1);
    Facts {
        began: ex.began.wall,
        elapsed: ex.began.instant.elapsed(),
        busy: u8::try_from(busy.min(100)).unwrap_or(100),
        load,
    }
}

impl Vars for Live<'_> {
    fn beneath(&self) -> Option<&dyn Vars> {
        Some(&self.view)
    }

    /// The first of several, as in Apache.
    fn response_field(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let mut tables = self.fields.iter();
        tables.find_map(|fields| fields.value(name)).map(Cow::Borrowed)
    }

    fn variable(&self, variable: Variable) -> Option<Cow<'_, [u8]>> {
        let value = self.view.variable(variable);
        // A part of a file is cut out behind the rules, which see the whole.
        match value.as_deref() {
            Some(b"206") if variable == Variable::RequestStatus => Some(Cow::Borrowed(b"200")),
            _ => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{edited, lists};
    use crate::config::directives::headers::Matches;
    use crate::lang::regex::Regex;

    #[test]
    fn values_are_edited_at_one_match_or_at_all() {
        for (pattern, template, value, first, all) in [
            ("a", "b", "banana", "bbnana", "bbnbnb"),
            ("^a", "b", "aaa", "baa", "bbb"),
            ("(n)(a)", "$2$1", "banana", "baanna", "baanan"),
            ("x*", "-", "ab", "-ab", "-a-b-"),
            ("x*", "-", "", "-", "-"),
            ("z", "y", "banana", "banana", "banana"),
        ] {
            let regex = Regex::new(pattern, false).expect("a pattern");
            for (matches, want) in [(Matches::First, first), (Matches::All, all)] {
                let got = edited(value.as_bytes(), &regex, template.as_bytes(), matches);
                assert_eq!(String::from_utf8_lossy(&got), want, "{pattern} {value} {matches:?}");
            }
        }
    }

    #[test]
    fn members_of_lists_are_compared_whole() {
        for (list, member, want) in [
            ("a, b", "b", true),
            ("a,b", "a", true),
            ("ab", "a", false),
            ("a", "A", false),
            ("\"x,b\",c", "b", false),
            ("", "b", false),
        ] {
            assert_eq!(lists(list.as_bytes(), member.as_bytes()), want, "{list} {member}");
        }
    }
}
