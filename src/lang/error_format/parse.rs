//! The format string, compiled to items.

use super::{Fraction, Item, Place, Question, TimeForm, Use, Value, Without, Zone};
use crate::lang::log_format::strftime;

/// Compiles `format`, or says what is wrong with it.
pub(super) fn items(format: &str, used: Use) -> Result<Vec<Item>, String> {
    let mut items = Vec::new();
    let mut rest = format;
    while !rest.is_empty() {
        let (item, after) = item(rest)?;
        items.push(item);
        rest = after;
    }
    let has_message = items.iter().any(|item| item.value == Value::Message);
    match used {
        Use::Line if !has_message => Err("the message is missing; write `%M` where it is to stand".to_owned()),
        Use::Line if items.iter().any(|item| item.without == Without::NoLine) => Err(
            "`+` is for lines before the first one: no line may be left out for what it lacks; write `-`, or nothing"
                .to_owned(),
        ),
        Use::Once if has_message => {
            Err("`%M` is for the lines themselves; those before them have no message".to_owned())
        }
        Use::Line | Use::Once => Ok(items),
    }
}

/// The item that `rest` begins with, and what follows it.
fn item(rest: &str) -> Result<(Item, &str), String> {
    let mut rest = rest;
    let mut place = Place::Later;
    while let Some(after) = rest.strip_prefix("% ") {
        place = Place::First;
        rest = after;
    }
    if let Some(after) = rest.strip_prefix("%%") {
        return Ok((plain(Value::Text(Box::from(&b"%"[..])), place), after));
    }
    if rest.starts_with('%') {
        return directive(rest, place);
    }
    if rest.starts_with(' ') {
        place = Place::First;
    }
    let (text, after) = text(rest);
    Ok((plain(Value::Text(text), place), after))
}

fn plain(value: Value, place: Place) -> Item {
    Item {
        value,
        place,
        without: Without::NoField,
        from: None,
    }
}

/// Text up to the next item or field. Spaces that begin it belong to it.
fn text(rest: &str) -> (Box<[u8]>, &str) {
    let mut text = Vec::new();
    let mut is_at_start = true;
    let mut chars = rest.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '%' => return (text.into(), rest.get(at..).unwrap_or_default()),
            ' ' if !is_at_start => return (text.into(), rest.get(at..).unwrap_or_default()),
            '\\' => {
                is_at_start = false;
                let escaped = match chars.next() {
                    Some((_, 'n')) => '\n',
                    Some((_, 'r')) => '\r',
                    Some((_, 't')) => '\t',
                    Some((_, other)) => other,
                    None => break,
                };
                push(&mut text, escaped);
            }
            _ => {
                is_at_start &= c == ' ';
                push(&mut text, c);
            }
        }
    }
    (text.into(), "")
}

fn push(text: &mut Vec<u8>, c: char) {
    let mut buffer = [0; 4];
    text.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
}

/// One `%…` at the beginning of `rest`, and what follows it.
fn directive(rest: &str, place: Place) -> Result<(Item, &str), String> {
    let whole = rest;
    let mut word = "";
    let (mut without, mut from) = (Without::NoField, None);
    let mut rest = rest.get(1..).unwrap_or_default();
    loop {
        let Some(c) = rest.chars().next() else {
            return Err(format!("`{whole}` ends before the letter of the item"));
        };
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        rest = match c {
            '{' => {
                let (inside, after) = after
                    .split_once('}')
                    .ok_or_else(|| format!("`{whole}` has `{{` without `}}`"))?;
                word = inside;
                after
            }
            '+' => {
                without = Without::NoLine;
                after
            }
            '-' => {
                without = Without::Hyphen;
                after
            }
            '0'..='9' => {
                let len = rest.bytes().take_while(u8::is_ascii_digit).count();
                let (digits, after) = rest.split_at(len);
                from = Some(digits.parse().unwrap_or(u32::MAX));
                after
            }
            _ => {
                let item = Item {
                    value: value(c, word)?,
                    place,
                    without,
                    from,
                };
                return Ok((item, after));
            }
        };
    }
}

fn value(letter: char, word: &str) -> Result<Value, String> {
    let asked = |question: fn(Box<str>) -> Question| match word {
        "" => Err(format!(
            "`%{letter}` needs a name; write for example `%{{name}}{letter}`"
        )),
        _ => Ok(Value::Asked(question(word.into()))),
    };
    Ok(match letter {
        'a' if word.starts_with('c') => Value::Peer,
        'a' => Value::Client,
        'A' => Value::Local,
        'e' => return asked(Question::Env),
        'E' => Value::OsError,
        'F' => Value::Source,
        'i' => return asked(Question::Field),
        'k' => Value::Keepalives,
        'l' => Value::Level,
        'L' if word.starts_with('c') => Value::ConnectionId,
        'L' if word.starts_with('C') => Value::LoneConnectionId,
        'L' => Value::RequestId,
        'm' => Value::Module,
        'M' => Value::Message,
        'n' => return asked(Question::Note),
        'P' => Value::Pid,
        't' => Value::Time(time(word)),
        'T' => Value::Tid,
        'v' => Value::ServerName,
        'V' => Value::Name,
        _ => {
            return Err(format!(
                "`%{letter}` is not an item; the items are %a %A %e %E %F %i %k %l %L %m %M %n %P %t %T %v %V"
            ));
        }
    })
}

fn time(word: &str) -> TimeForm {
    if word.starts_with('%') {
        return TimeForm::Strftime(strftime::Format::new(word));
    }
    let fraction = match word {
        _ if word.contains('u') => Fraction::Micros,
        _ if word.contains('m') => Fraction::Millis,
        _ => Fraction::None,
    };
    let zone = if word.contains('z') { Zone::Shown } else { Zone::Hidden };
    if word.contains('c') {
        TimeForm::Compact(fraction, zone)
    } else {
        TimeForm::Usual(fraction, zone)
    }
}
