//! One item of a format onto a line.

use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

use super::escape;
use super::record::{AccessRecord, ConnectionState, Which};
use super::{Item, Listed, Moment, Statuses, TimeForm, Value};
use crate::base::ascii::{append_decimal, append_ipv4};
use crate::lang::local_time;
use crate::lang::tls_variable;

/// Appends what `item` writes for the request, without the text before it.
#[inline]
pub(super) fn item(item: &Item, record: &impl AccessRecord, out: &mut Vec<u8>) {
    if let Some(only) = &item.only
        && !only.allow(record.status(Which::Last))
    {
        return out.push(b'-');
    }
    value(&item.value, record, item.pass, out);
}

impl Statuses {
    fn allow(&self, status: u16) -> bool {
        self.codes.contains(&status) == (self.listed == Listed::Written)
    }
}

#[inline]
fn value(value: &Value, record: &impl AccessRecord, pass: Which, out: &mut Vec<u8>) {
    let vars = record.vars();
    match value {
        Value::ClientAddress => address(record.client().ip(), out),
        Value::RemoteHost => match record.remote_host() {
            Some(name) => escape::access(name, out),
            None => address(record.client().ip(), out),
        },
        Value::BodyBytesOrDash => match record.body_bytes() {
            0 => out.push(b'-'),
            bytes => number(bytes, out),
        },
        Value::RequestField(name) => text(record.request_field(name).as_deref(), out),
        Value::RequestLine => request_line(record.request_line(), out),
        Value::Status => match record.status(pass) {
            0 => out.push(b'-'),
            status => number(status.into(), out),
        },
        Value::User => match record.user(pass) {
            Some(b"") => out.extend_from_slice(b"\"\""),
            user => text(user, out),
        },
        Value::BytesIn => number(record.bytes_in(), out),
        Value::BytesOut => number(record.bytes_out(), out),
        Value::Time(Moment::Begin, TimeForm::Clf) => local_time::append_clf(record.started(), out),
        Value::PeerAddress | Value::PeerHost => address(record.peer().ip(), out),
        Value::LocalAddress => address(record.local().ip(), out),
        Value::BodyBytes => number(record.body_bytes(), out),
        Value::Cookie(name) => text(vars.cookie(name).as_deref(), out),
        Value::Env(name) => text(vars.env(name).as_deref(), out),
        Value::Tls(name) => text(tls_variable::lookup(name, vars).as_deref(), out),
        Value::TlsFault => {
            let verdict = vars.tls("SSL_CLIENT_VERIFY");
            text(
                verdict.as_deref().and_then(|verdict| verdict.strip_prefix(b"FAILED:")),
                out,
            );
        }
        Value::Note(name) => text(vars.note(name).as_deref(), out),
        Value::ResponseField(name) => text(vars.response_field(name).as_deref(), out),
        Value::ResponseType => text(
            vars.response_field("Content-Type").as_deref().map(without_parameters),
            out,
        ),
        Value::RequestTrailer(name) => text(vars.request_trailer(name).as_deref(), out),
        Value::ResponseTrailer(name) => text(vars.response_trailer(name).as_deref(), out),
        Value::Filename => text(record.filename(pass), out),
        Value::Protocol => escape::access(record.protocol(), out),
        Value::KeepaliveNumber => number(record.keepalive_number().into(), out),
        Value::LogId => text(record.log_id(), out),
        Value::Method => text(record.method(pass), out),
        Value::Query => query(record.query(pass), out),
        Value::Handler => text(record.handler(pass), out),
        Value::Path => text(record.path(pass), out),
        Value::ServerName => escape::access(record.server_name(), out),
        Value::CanonicalName => escape::access(record.canonical_name(), out),
        Value::ConnectionState => out.push(match record.connection() {
            ConnectionState::Aborted => b'X',
            ConnectionState::KeptAlive => b'+',
            ConnectionState::Closed => b'-',
        }),
        Value::ServerPort => number(record.server_port().into(), out),
        Value::LocalPort => number(record.local().port().into(), out),
        Value::RemotePort => number(record.client().port().into(), out),
        Value::Pid => number(record.pid().into(), out),
        Value::Tid => number(record.tid(), out),
        Value::HexTid => formatted(format_args!("{:x}", record.tid()), out),
        Value::BytesTotal => number(record.bytes_in().saturating_add(record.bytes_out()), out),
        Value::FirstByte => match record.first_byte() {
            Some(delay) => formatted(format_args!("{}", delay.as_micros()), out),
            None => out.push(b'-'),
        },
        Value::Seconds => number(record.duration().as_secs(), out),
        Value::Milliseconds => formatted(format_args!("{}", record.duration().as_millis()), out),
        Value::Microseconds => formatted(format_args!("{}", record.duration().as_micros()), out),
        Value::Time(moment, form) => time(*moment, form, record, out),
        Value::Word(word) => escape::access(word.as_bytes(), out),
        Value::Nothing => out.push(b'-'),
    }
}

fn text(text: Option<&[u8]>, out: &mut Vec<u8>) {
    match text {
        Some(text) => escape::access(text, out),
        None => out.push(b'-'),
    }
}

pub(super) fn address(address: IpAddr, out: &mut Vec<u8>) {
    let IpAddr::V4(address) = address else {
        return formatted(format_args!("{address}"), out);
    };
    // Most lines begin with one.
    append_ipv4(out, address);
}

pub(super) fn number(value: u64, out: &mut Vec<u8>) {
    append_decimal(out, value);
}

pub(super) fn formatted(arguments: std::fmt::Arguments<'_>, out: &mut Vec<u8>) {
    // Writing to a Vec cannot fail.
    let _ = out.write_fmt(arguments);
}

fn query(query: Option<&[u8]>, out: &mut Vec<u8>) {
    if let Some(query) = query {
        out.push(b'?');
        escape::access(query, out);
    }
}

/// The media type alone: `%{Content-Type}o` leaves parameters out (seen with 2.4.71: `text/html` for
/// `text/html; charset=iso-8859-1`).
fn without_parameters(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|b| *b == b';').unwrap_or(field.len());
    field[..end].trim_ascii_end()
}

/// The request line; a password in an absolute target is crossed out, as in Apache.
fn request_line(line: Option<&[u8]>, out: &mut Vec<u8>) {
    let Some(line) = line else {
        return out.push(b'-');
    };
    match password(line) {
        Some((before, after)) => {
            escape::access(before, out);
            out.extend_from_slice(b"XXXXXXXX");
            escape::access(after, out);
        }
        None => escape::access(line, out),
    }
}

/// What stands before and after the password of `GET http://user:password@host/ HTTP/1.1`.
pub(super) fn password(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let target = line.iter().position(|b| *b == b' ')? + 1;
    if matches!(line.get(target), None | Some(b'/')) {
        return None;
    }
    let scheme = line[target..].windows(3).position(|w| w == b"://")? + target + 3;
    let authority = line[scheme..]
        .iter()
        .position(|b| matches!(b, b'/' | b'?' | b'#' | b' '))
        .map_or(line.len(), |len| scheme + len);
    let at = line[scheme..authority].iter().rposition(|b| *b == b'@')? + scheme;
    let colon = line[scheme..at].iter().position(|b| *b == b':')? + scheme;
    Some((&line[..=colon], &line[at..]))
}

fn time(moment: Moment, form: &TimeForm, record: &impl AccessRecord, out: &mut Vec<u8>) {
    let begin = local_time::since_epoch(record.started());
    let time = match moment {
        Moment::Begin => begin,
        Moment::End => begin.saturating_add(record.duration()),
    };
    match form {
        TimeForm::Clf => out.extend_from_slice(&local_time::clf(time.as_secs())),
        TimeForm::Sec => number(time.as_secs(), out),
        TimeForm::Msec => formatted(format_args!("{}", time.as_millis()), out),
        TimeForm::Usec => formatted(format_args!("{}", time.as_micros()), out),
        TimeForm::MsecFrac => formatted(format_args!("{:03}", time.subsec_millis()), out),
        TimeForm::UsecFrac => formatted(format_args!("{:06}", time.subsec_micros()), out),
        TimeForm::Strftime(format) => strftime(format, time, out),
    }
}

#[cold]
fn strftime(format: &super::strftime::Format, time: Duration, out: &mut Vec<u8>) {
    format.append(time, out);
}
