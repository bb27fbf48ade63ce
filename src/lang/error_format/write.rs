//! A line by its format.

use std::io::Write;
use std::net::SocketAddr;

use super::{Facts, Fraction, Item, Place, RequestFacts, Scope, TimeForm, Value, Without, Zone};
use crate::lang::local_time;
use crate::lang::log_format::escape;

/// Appends what the items say.
pub(super) fn line(items: &[Item], facts: &Facts<'_>, message: impl Fn(&mut Vec<u8>), out: &mut Vec<u8>) {
    let start = out.len();
    let mut field = start;
    let mut is_left_out = false;
    for item in items {
        if item.place == Place::First {
            // The first item of a field that follows one that was left out begins where that one began.
            field = out.len();
            is_left_out = false;
        }
        if item.value == Value::Message {
            message(out);
            continue;
        }
        if is_left_out {
            continue;
        }
        let level = facts.said.map(|(level, _)| level as u32);
        if item.from.zip(level).is_some_and(|(from, level)| level < from) {
            out.truncate(field);
            is_left_out = true;
            continue;
        }
        let before = out.len();
        value(&item.value, facts, out);
        if out.len() > before {
            continue;
        }
        match item.without {
            Without::Hyphen => out.push(b'-'),
            Without::NoLine => return out.truncate(start),
            Without::NoField => {
                out.truncate(field);
                is_left_out = true;
            }
        }
    }
}

/// Appends a value, if there is one.
fn value(value: &Value, facts: &Facts<'_>, out: &mut Vec<u8>) {
    let connection = facts.request;
    let request = connection.filter(|_| facts.scope == Scope::Request);
    match value {
        Value::Text(text) => out.extend_from_slice(text),
        Value::Message | Value::Source => {}
        Value::Client => address(facts.client, out),
        Value::Peer => address(connection.map(|request| request.peer).or(facts.client), out),
        Value::Local => address(connection.map(|request| request.local), out),
        Value::Asked(question) => {
            let answers = request.map_or(&[][..], |request| &request.answers);
            if let Some((_, answer)) = answers.iter().find(|(known, _)| known == question) {
                escape::error(answer, out);
            }
        }
        Value::OsError => {
            if let Some((number, words)) = facts.os_error {
                formatted(format_args!("({number})"), out);
                escape::error(words.as_bytes(), out);
            }
        }
        Value::Keepalives => number(connection.map(|request| request.keepalives), out),
        Value::Level => text(facts.said.map(|(level, _)| level.name()), out),
        Value::RequestId => id(request, |request| &request.id, out),
        Value::ConnectionId => id(connection, |request| &request.connection_id, out),
        Value::LoneConnectionId => {
            let alone = connection.filter(|_| facts.scope == Scope::Connection);
            id(alone, |request| &request.connection_id, out);
        }
        Value::Module => text(facts.said.map(|(_, module)| module), out),
        Value::Pid => formatted(format_args!("{}", facts.pid), out),
        Value::Tid => formatted(format_args!("{}", facts.tid), out),
        Value::Time(form) => time(form, facts, out),
        Value::ServerName => escape::error(facts.server_name, out),
        Value::Name => escape::error(request.map_or(facts.server_name, |request| &request.name), out),
    }
}

fn text(text: Option<&str>, out: &mut Vec<u8>) {
    out.extend_from_slice(text.unwrap_or_default().as_bytes());
}

fn address(address: Option<SocketAddr>, out: &mut Vec<u8>) {
    if let Some(address) = address {
        formatted(format_args!("{}:{}", address.ip(), address.port()), out);
    }
}

fn number(number: Option<u32>, out: &mut Vec<u8>) {
    if let Some(number) = number {
        formatted(format_args!("{number}"), out);
    }
}

fn id(request: Option<&RequestFacts>, id: fn(&RequestFacts) -> &[u8], out: &mut Vec<u8>) {
    if let Some(request) = request {
        escape::error(id(request), out);
    }
}

fn formatted(arguments: std::fmt::Arguments<'_>, out: &mut Vec<u8>) {
    // Writing to a Vec cannot fail.
    let _ = out.write_fmt(arguments);
}

fn time(form: &TimeForm, facts: &Facts<'_>, out: &mut Vec<u8>) {
    let now = local_time::since_epoch(facts.now);
    let fraction = |fraction: Fraction, out: &mut Vec<u8>| match fraction {
        Fraction::None => {}
        Fraction::Millis => formatted(format_args!(".{:03}", now.subsec_millis()), out),
        Fraction::Micros => formatted(format_args!(".{:06}", now.subsec_micros()), out),
    };
    let offset = |zone: Zone, out: &mut Vec<u8>| {
        if zone == Zone::Shown {
            formatted(format_args!("{}", local_time::zoned(now).strftime(" %z")), out);
        }
    };
    match form {
        TimeForm::Usual(part, zone) => {
            let date = local_time::error(now.as_secs());
            let (day_and_time, year) = date.split_at(date.len() - 5);
            out.extend_from_slice(day_and_time);
            fraction(*part, out);
            out.extend_from_slice(year);
            offset(*zone, out);
        }
        TimeForm::Compact(part, zone) => {
            formatted(
                format_args!("{}", local_time::zoned(now).strftime("%Y-%m-%d %H:%M:%S")),
                out,
            );
            fraction(*part, out);
            offset(*zone, out);
        }
        TimeForm::Strftime(format) => escape::error(format.text(&local_time::zoned(now)).as_bytes(), out),
    }
}
