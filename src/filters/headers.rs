//! `Header`: what the settings do to the fields of an answer.

use std::sync::Arc;

use crate::config::directives::headers::{Action, Rule, When};
use crate::exchange::Exchange;
use crate::exchange::field_rules::{Live, Turn, act, due, edited};
use crate::exchange::response::Response;
use crate::exchange::view::View;
use crate::filters::tables::{Made, Tables};
use crate::http::fields::Fields;

/// Whether there is anything to do.
pub fn concern(ex: &Exchange) -> bool {
    let (headers, early) = (&ex.conf().headers, &ex.site.base.headers);
    [&headers.always, &headers.success, &early.always, &early.success]
        .iter()
        .any(|rules| !rules.is_empty())
}

/// Which table a rule acts upon.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Always,
    Success,
}

/// Applies the place's rules.
pub fn apply(ex: &mut Exchange, response: &Response, made: Made, tables: &mut Tables) {
    let (conf, base) = (Arc::clone(ex.conf()), Arc::clone(&ex.site.base));
    let mut run = |rules: &[Rule], which, turn, tables: &mut Tables| {
        for rule in rules {
            one(ex, response, rule, which, turn, tables);
        }
    };
    early(&base.headers.always, Which::Always, tables, &mut run);
    if made == Made::ByHandler {
        early(&base.headers.success, Which::Success, tables, &mut run);
    }
    run(&conf.headers.always, Which::Always, Turn::Late, tables);
    if made == Made::ByHandler {
        run(&conf.headers.success, Which::Success, Turn::Late, tables);
    }
}

/// Early rules act before there is any field; what comes then by itself replaces theirs.
fn early(rules: &[Rule], which: Which, tables: &mut Tables, run: &mut impl FnMut(&[Rule], Which, Turn, &mut Tables)) {
    if rules.is_empty() {
        return;
    }
    let table = |tables: &mut Tables| match which {
        Which::Always => std::mem::take(&mut tables.always),
        Which::Success => std::mem::take(&mut tables.success),
    };
    let media_type = tables.media_type.clone();
    let own = table(tables);
    run(rules, which, Turn::Early, tables);
    let mut fields = table(tables);
    for (name, _) in own.iter() {
        fields.remove(name);
    }
    for (name, value) in own.iter() {
        fields.append(name, value);
    }
    match which {
        Which::Always => tables.always = fields,
        Which::Success => tables.success = fields,
    }
    tables.media_type = media_type.or(tables.media_type.take());
}

fn one(ex: &mut Exchange, response: &Response, rule: &Rule, which: Which, turn: Turn, tables: &mut Tables) {
    let view = View {
        ex,
        response: Some(response),
    };
    let live = Live {
        view,
        fields: [&tables.success, &tables.always],
    };
    let value = if let When::Holds(_) = rule.when {
        // What was depended upon before is in the answer's Vary already.
        let before = ex.rewriting.vary.names().len();
        let value = due(rule, turn, &live);
        for name in ex.rewriting.vary.names().iter().skip(before) {
            tables.success.merge(b"Vary", name.as_bytes());
        }
        value
    } else {
        due(rule, turn, &live)
    };
    let Some(value) = value else { return };
    if let Action::Echo(names) = &rule.action {
        for (name, value) in ex.head.fields().filter(|(name, _)| names.is_match(name)) {
            tables.success.append(name, value);
        }
        return;
    }
    let fields = match which {
        Which::Always => &mut tables.always,
        Which::Success => &mut tables.success,
    };
    if rule.name.eq_ignore_ascii_case(b"Content-Type") {
        media_type(rule, &value, fields, &mut tables.media_type);
    }
    act(rule, value, fields, &mut ex.rewriting.notes);
}

/// The type of the body is no field of the tables until the end.
fn media_type(rule: &Rule, value: &[u8], fields: &Fields, media_type: &mut Option<Vec<u8>>) {
    match &rule.action {
        Action::Unset => *media_type = None,
        Action::Set(_) => *media_type = Some(value.to_vec()),
        Action::SetIfEmpty(_) if !fields.contains("Content-Type") => *media_type = Some(value.to_vec()),
        Action::Edit(regex, _, matches) => {
            if let Some(old) = media_type {
                *old = edited(old, regex, value, *matches);
            }
        }
        _ => {}
    }
}
