//! Variables that depend on the request, set before anything asks for them: SetEnvIf, BrowserMatch.

use std::borrow::Cow;
use std::sync::Arc;

use crate::config::directives::setenvif::{Attribute, Condition, Rule, Values};
use crate::exchange::Exchange;
use crate::exchange::trace::Step;
use crate::lang::regex::{Groups, Regex, expand};
use crate::phases::rewrite::Asked;

/// Sets the variables of the site's own rules, before its paths are rewritten.
pub fn of_site(ex: &mut Exchange) {
    for rule in ex.site.base.set_env_if.rules.iter() {
        apply(ex, rule);
    }
}

/// Sets those of the rules that the place has besides the site's, with which its list begins.
pub fn of_place(ex: &mut Exchange) {
    let conf = Arc::clone(ex.conf());
    let before = ex.site.base.set_env_if.rules.iter().count();
    for rule in conf.set_env_if.rules.iter().skip(before) {
        apply(ex, rule);
    }
}

fn apply(ex: &mut Exchange, rule: &Rule) {
    let found = match &rule.condition {
        Condition::Matches(attribute, pattern) => matched(ex, attribute, pattern),
        // Without a value (a file that cannot be read) it is not true, as in Apache.
        Condition::Holds(expr) => expr.matched(&Asked::new(ex)).unwrap_or_default(),
    };
    let Some((subject, groups)) = found else {
        return;
    };
    for (name, value) in &rule.variables {
        match value {
            Some(value) => {
                let value = match rule.values {
                    Values::Filled => expand(value, &subject, &groups),
                    Values::Literal => value.clone(),
                };
                ex.set_variable(name.clone(), value);
            }
            None => {
                ex.unset_variable(name);
            }
        }
        ex.trace(|| Step::Variable {
            by: "SetEnvIf",
            name: name.clone(),
            value: ex.variables.get(name).cloned(),
            at: Some(rule.span.clone()),
        });
    }
}

fn matched(ex: &Exchange, attribute: &Attribute, pattern: &Regex) -> Option<(Vec<u8>, Groups)> {
    let test = |subject: &[u8]| Some((subject.to_vec(), pattern.captures(subject)?));
    match attribute {
        Attribute::Fields(names) => {
            let mut found = ex.head.fields().map(|(name, _)| name).collect::<Vec<_>>();
            found.retain(|name| names.is_match(name));
            if found.is_empty() {
                return test(b"");
            }
            // The last one first: Apache's manual has it that any will do, its program looks at that alone.
            found.into_iter().rev().find_map(|name| test(&ex.head.joined(name)?))
        }
        // What is not there is compared as nothing, so that `^$` finds its absence.
        attribute => test(&subject(ex, attribute)),
    }
}

fn subject<'a>(ex: &'a Exchange, attribute: &'a Attribute) -> Cow<'a, [u8]> {
    match attribute {
        Attribute::RemoteHost => match &ex.client.host {
            Some(name) => Cow::Borrowed(name.as_slice()),
            None => Cow::Owned(ex.client_ip().into_bytes()),
        },
        Attribute::RemoteAddr => Cow::Owned(ex.client_ip().into_bytes()),
        Attribute::ServerAddr => Cow::Owned(ex.connection.local.ip().to_canonical().to_string().into_bytes()),
        Attribute::RequestMethod => Cow::Borrowed(ex.method_name()),
        Attribute::RequestProtocol => Cow::Borrowed(ex.head.version().as_str().as_bytes()),
        Attribute::RequestUri => Cow::Borrowed(ex.target.path.as_bytes()),
        Attribute::Named(name) => match ex.head.joined(name) {
            Some(value) => value,
            None => ex.environment(name).unwrap_or_default(),
        },
        Attribute::Fields(_) => Cow::Borrowed(&[]),
    }
}
