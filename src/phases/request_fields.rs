//! `RequestHeader`: what the settings do to the fields of the request. The site is chosen and the body is measured before,
//! and neither is asked again.

use std::sync::Arc;

use crate::config::directives::headers::{Action, Rule};
use crate::exchange::Exchange;
use crate::exchange::field_rules::{Live, Turn, act, due};
use crate::exchange::trace::Step;
use crate::exchange::view::View;
use crate::http::fields::Fields;

/// Applies the rules of the site that come before everything else.
pub fn early(ex: &mut Exchange) {
    let base = Arc::clone(&ex.site.base);
    run(ex, &base.headers.request, Turn::Early);
}

/// Applies the rules of the place.
pub fn late(ex: &mut Exchange) {
    let conf = Arc::clone(ex.conf());
    run(ex, &conf.headers.request, Turn::Late);
}

fn run(ex: &mut Exchange, rules: &[Rule], turn: Turn) {
    let none = Fields::new();
    for rule in rules {
        let live = Live {
            view: View { ex, response: None },
            fields: [&none, &none],
        };
        let Some(value) = due(rule, turn, &live) else { continue };
        if !matches!(rule.action, Action::Add(_)) {
            join(ex.head.fields_mut(), &rule.name);
        }
        act(rule, value, ex.head.fields_mut(), &mut ex.rewriting.notes);
        ex.trace(|| Step::Field {
            name: rule.name.clone(),
            value: ex.head.joined(&rule.name).map(std::borrow::Cow::into_owned),
        });
    }
}

/// Lines of one name are one value, however the client parted them.
fn join(fields: &mut Fields, name: &[u8]) {
    if fields.values(name).nth(1).is_some() {
        let whole = fields.joined(name).unwrap_or_default().into_owned();
        fields.set(name, whole);
    }
}
