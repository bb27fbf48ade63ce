//! The format string, compiled to items.

use super::literal::Literal;
use super::record::Which;
use super::{Item, Listed, Moment, Statuses, TimeForm, Value, strftime};

/// Compiles `format` to items and the text behind the last, or says what is wrong with it.
pub(super) fn items(format: &str) -> Result<(Vec<Item>, Literal), String> {
    let mut items = Vec::new();
    let mut rest = format;
    let mut literal = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("%%") {
            literal.push(b'%');
            rest = after;
        } else if rest.starts_with('%') {
            let (item, after) = directive(rest)?;
            match item.value {
                Value::Nothing => literal.push(b'-'),
                _ => items.push(Item {
                    before: Literal::take(&mut literal),
                    ..item
                }),
            }
            rest = after;
        } else {
            rest = plain(rest, &mut literal);
        }
    }
    literal.push(b'\n');
    Ok((items, Literal::take(&mut literal)))
}

/// One character of plain text, or an escape: `\n`, `\t`, `\r` and `\\` are known, other backslashes stand for
/// themselves. (So does the one in `\"`; the configuration's own quoting has usually taken it away before.)
fn plain<'f>(rest: &'f str, literal: &mut Vec<u8>) -> &'f str {
    for (escape, byte) in [(r"\n", b'\n'), (r"\t", b'\t'), (r"\r", b'\r'), (r"\\", b'\\')] {
        if let Some(after) = rest.strip_prefix(escape) {
            literal.push(byte);
            return after;
        }
    }
    let len = rest.chars().next().map_or(rest.len(), char::len_utf8);
    let (head, after) = rest.split_at(len);
    literal.extend_from_slice(head.as_bytes());
    after
}

/// What stands between `%` and the letter.
#[derive(Default)]
struct Prefix<'f> {
    word: &'f str,
    pass: Option<Which>,
    codes: Vec<u16>,
    negated: bool,
}

/// One `%…` directive at the beginning of `rest`, and what follows it.
fn directive(rest: &str) -> Result<(Item, &str), String> {
    let whole = rest;
    let mut prefix = Prefix::default();
    let mut rest = &rest[1..];
    loop {
        let Some(c) = rest.chars().next() else {
            return Err(format!("`{whole}` ends before the letter of the directive"));
        };
        rest = match c {
            '!' => {
                prefix.negated = !prefix.negated;
                &rest[1..]
            }
            '<' | '>' => {
                prefix.pass = Some(if c == '<' { Which::First } else { Which::Last });
                &rest[1..]
            }
            ',' => &rest[1..],
            '{' => {
                let Some(end) = rest.find('}') else {
                    return Err(format!("`{whole}` has `{{` without `}}`"));
                };
                prefix.word = &rest[1..end];
                &rest[end + 1..]
            }
            '0'..='9' => {
                let len = rest.bytes().take_while(u8::is_ascii_digit).count();
                let code = &rest[..len];
                prefix.codes.push(
                    code.parse()
                        .map_err(|_| format!("`{code}` in `{whole}` is not a status code"))?,
                );
                &rest[len..]
            }
            '^' => {
                let len = rest.char_indices().nth(3).map_or(rest.len(), |(at, _)| at);
                return item(&rest[..len], &prefix).map(|item| (item, &rest[len..]));
            }
            _ => {
                let len = c.len_utf8();
                return item(&rest[..len], &prefix).map(|item| (item, &rest[len..]));
            }
        };
    }
}

fn item(letter: &str, prefix: &Prefix<'_>) -> Result<Item, String> {
    let value = value(letter, prefix.word)?;
    let pass = prefix.pass.unwrap_or(match letter {
        "s" | "U" | "T" | "D" | "r" | "R" => Which::First,
        _ => Which::Last,
    });
    let only = (!prefix.codes.is_empty()).then(|| {
        Box::new(Statuses {
            codes: prefix.codes.clone(),
            listed: if prefix.negated {
                Listed::Omitted
            } else {
                Listed::Written
            },
        })
    });
    Ok(Item {
        before: Literal::take(&mut Vec::new()),
        value,
        pass,
        only,
    })
}

fn value(letter: &str, word: &str) -> Result<Value, String> {
    let name = || word.into();
    Ok(match letter {
        "a" if word == "c" => Value::PeerAddress,
        "a" => Value::ClientAddress,
        "A" => Value::LocalAddress,
        "B" => Value::BodyBytes,
        "b" => Value::BodyBytesOrDash,
        "C" => Value::Cookie(name()),
        "D" => Value::Microseconds,
        "e" => Value::Env(name()),
        "f" => Value::Filename,
        "h" if word == "c" => Value::PeerHost,
        "h" => Value::RemoteHost,
        "H" => Value::Protocol,
        "i" => Value::RequestField(name()),
        "I" => Value::BytesIn,
        "k" => Value::KeepaliveNumber,
        "l" => Value::Nothing,
        "L" if word == "c" => Value::Nothing,
        "L" => Value::LogId,
        "m" => Value::Method,
        "n" => Value::Note(name()),
        "o" if word.eq_ignore_ascii_case("Content-Type") => Value::ResponseType,
        "o" => Value::ResponseField(name()),
        "O" => Value::BytesOut,
        "p" => port(word),
        "P" => process(word),
        "q" => Value::Query,
        "r" => Value::RequestLine,
        "R" => Value::Handler,
        "s" => Value::Status,
        "S" => Value::BytesTotal,
        "t" => time(word),
        "T" => duration(word),
        "u" => Value::User,
        "U" => Value::Path,
        "v" => Value::ServerName,
        "V" => Value::CanonicalName,
        "x" => Value::Tls(name()),
        "c" => old_tls(word),
        "X" => Value::ConnectionState,
        "^FB" => Value::FirstByte,
        "^ti" => Value::RequestTrailer(name()),
        "^to" => Value::ResponseTrailer(name()),
        _ => return Err(unknown(letter)),
    })
}

/// `%{…}c`, as mod_ssl took it over from Apache-SSL. What it does not know has no value.
fn old_tls(word: &str) -> Value {
    Value::Tls(match word {
        "version" => "SSL_PROTOCOL".into(),
        "cipher" => "SSL_CIPHER".into(),
        "subjectdn" | "clientcert" => "SSL_CLIENT_S_DN".into(),
        "issuerdn" | "cacert" => "SSL_CLIENT_I_DN".into(),
        "errstr" => return Value::TlsFault,
        _ => "".into(),
    })
}

fn port(word: &str) -> Value {
    match word {
        "" | "canonical" => Value::ServerPort,
        "local" => Value::LocalPort,
        "remote" => Value::RemotePort,
        _ => Value::Word(word.into()),
    }
}

fn process(word: &str) -> Value {
    match word {
        "" | "pid" => Value::Pid,
        "tid" => Value::Tid,
        "hextid" => Value::HexTid,
        _ => Value::Word(word.into()),
    }
}

fn duration(word: &str) -> Value {
    match word {
        "" | "s" => Value::Seconds,
        "ms" => Value::Milliseconds,
        "us" => Value::Microseconds,
        _ => Value::Word(word.into()),
    }
}

/// `%{begin:…}t`, `%{end:…}t`; Apache lets the colon be missing (seen with 2.4.71: `%{endsec}t` is the second).
fn time(word: &str) -> Value {
    let (moment, form) = if let Some(form) = word.strip_prefix("begin") {
        (Moment::Begin, form)
    } else if let Some(form) = word.strip_prefix("end") {
        (Moment::End, form)
    } else {
        (Moment::Begin, word)
    };
    let form = match form.strip_prefix(':').unwrap_or(form) {
        "" => TimeForm::Clf,
        "sec" => TimeForm::Sec,
        "msec" => TimeForm::Msec,
        "usec" => TimeForm::Usec,
        "msec_frac" => TimeForm::MsecFrac,
        "usec_frac" => TimeForm::UsecFrac,
        form => TimeForm::Strftime(strftime::Format::new(form)),
    };
    Value::Time(moment, form)
}

fn unknown(letter: &str) -> String {
    match letter {
        "E" => "`%E` is for ErrorLogFormat; the status is `%s`".to_owned(),
        _ => format!("`%{letter}` is not a directive of a log format; write `%%` for a percent sign"),
    }
}
