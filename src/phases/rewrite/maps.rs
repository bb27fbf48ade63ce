//! RewriteMap: files of keys and values, read again when they have changed, and functions.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt::Arguments;
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;
use std::time::SystemTime;

use crate::base::ascii::hex_value;
use crate::base::quote;
use crate::config::directives::rewrite::{Function, Map};
use crate::config::maps;
use crate::exchange::Exchange;
use crate::exchange::rewriting::Question;
use crate::http::depends;
use crate::lang::log_level::Level;
use crate::lang::rewrite::Pending;

/// A file as it was read.
struct Known {
    /// File system, number, size, time of change.
    identity: (u64, u64, i64, i64, u64),
    values: Rc<HashMap<Vec<u8>, Vec<u8>>>,
}

thread_local! {
    static FILES: RefCell<HashMap<Vec<u8>, Known>> = RefCell::new(HashMap::new());
}

/// What a map of the site has for a key; nothing for a map that there is not. `tell` is told as Apache tells it.
pub(super) fn look_up(
    ex: &Exchange,
    map: &[u8],
    key: &[u8],
    tell: &dyn Fn(Arguments<'_>),
) -> Result<Option<Vec<u8>>, Pending> {
    let Some(source) = ex.site.settings.rewrite.maps.find(map) else {
        return Ok(None);
    };
    let (found, kind) = match source {
        Map::Text(file) | Map::Random(file) => {
            let Some(values) = values(ex, file) else {
                return Ok(None);
            };
            (values.get(key).cloned(), "[txt]")
        }
        Map::Internal(function) => (Some(call(*function, key)), ""),
        Map::Program { command, identity } => (ask(ex, command, identity.as_deref(), key)?, ""),
    };
    let shown = |bytes: &'_ [u8]| String::from_utf8_lossy(bytes).into_owned();
    let map = shown(map);
    let Some(found) = found else {
        tell(format_args!("map lookup FAILED: map={map}{kind} key={}", shown(key)));
        return Ok(None);
    };
    // Apache's functions but for one change the key itself.
    let key = match source {
        Map::Internal(Function::ToUpper | Function::ToLower | Function::Unescape) => &found,
        _ => key,
    };
    tell(format_args!(
        "map lookup OK: map={map}{kind} key={} -> val={}",
        shown(key),
        shown(&found)
    ));
    if !matches!(source, Map::Random(_)) {
        return Ok(Some(found));
    }
    let chosen = any_of(&found);
    tell(format_args!("randomly chosen the subvalue `{}'", shown(&chosen)));
    Ok(Some(chosen))
}

/// What a program has for a key, if that is known already. A key with a line end is two keys to it, and has no value.
fn ask(ex: &Exchange, command: &[u8], identity: Option<&[u8]>, key: &[u8]) -> Result<Option<Vec<u8>>, Pending> {
    if key.contains(&b'\n') {
        return Ok(None);
    }
    let Some(program) = maps::number(ex.config, command, identity) else {
        return Ok(None);
    };
    depends::on_more();
    let question = Question {
        program,
        key: key.to_vec(),
    };
    ex.rewriting.asked.answer(question).ok_or(Pending)
}

/// The keys and values of a file. One that cannot be read has none, and the log says so.
fn values(ex: &Exchange, file: &[u8]) -> Option<Rc<HashMap<Vec<u8>, Vec<u8>>>> {
    depends::on_more();
    let status = match rustix::fs::stat(file) {
        Ok(status) => status,
        Err(error) => {
            let file = String::from_utf8_lossy(file);
            let text = format!("RewriteMap: `{file}` cannot be read: {error}");
            ex.rewriting.lines.push(Level::Error, "rewrite", text);
            return None;
        }
    };
    let identity = (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime,
        status.st_mtime_nsec,
    );
    FILES.with_borrow_mut(|files| {
        if let Some(known) = files.get(file).filter(|known| known.identity == identity) {
            return Some(Rc::clone(&known.values));
        }
        let text = std::fs::read(OsStr::from_bytes(file)).ok()?;
        let values = Rc::new(parse(&text));
        let known = Known {
            identity,
            values: Rc::clone(&values),
        };
        files.insert(file.to_vec(), known);
        Some(values)
    })
}

/// A line is a key, white space and a value; comments begin with `#`, or with white space. The first line of a key counts.
fn parse(text: &[u8]) -> HashMap<Vec<u8>, Vec<u8>> {
    let mut values = HashMap::new();
    for line in text.split(|byte| *byte == b'\n') {
        if line
            .first()
            .is_none_or(|byte| *byte == b'#' || byte.is_ascii_whitespace())
        {
            continue;
        }
        let line = line.trim_ascii_end();
        let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
        let (key, rest) = line.split_at(end);
        let rest = rest.trim_ascii_start();
        let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
        if let Some(value) = rest.get(..end).filter(|value| !value.is_empty()) {
            values.entry(key.to_vec()).or_insert_with(|| value.to_vec());
        }
    }
    values
}

/// One of the alternatives between the bars.
fn any_of(value: &[u8]) -> Vec<u8> {
    depends::on_more();
    let alternatives: Vec<&[u8]> = value.split(|byte| *byte == b'|').collect();
    let nanos = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .subsec_nanos();
    // Requests that arrive together must not all choose the same.
    thread_local! {
        static TURN: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
    }
    let turn = TURN.replace(TURN.get().wrapping_mul(1_664_525).wrapping_add(1_013_904_223) ^ nanos);
    let number = usize::try_from(turn >> 8).unwrap_or(0) % alternatives.len().max(1);
    alternatives.get(number).map(|value| value.to_vec()).unwrap_or_default()
}

fn call(function: Function, key: &[u8]) -> Vec<u8> {
    match function {
        Function::ToUpper => key.to_ascii_uppercase(),
        Function::ToLower => key.to_ascii_lowercase(),
        Function::Escape => {
            let mut escaped = Vec::new();
            quote::escape_path(&mut escaped, key);
            escaped
        }
        Function::Unescape => unescaped(key),
    }
}

/// `%xx` decoded once; what is no escape stays. A NUL ends the text, as in Apache.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let pair = (byte == b'%').then(|| Some((hex_value(*after.first()?)?, hex_value(*after.get(1)?)?)));
        match pair.flatten() {
            Some((0, 0)) => break,
            Some((high, low)) => {
                out.push(high * 16 + low);
                rest = &after[2..];
            }
            None => out.push(byte),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{any_of, parse, unescaped};

    #[test]
    fn lines_are_a_key_and_a_value() {
        let values = parse(b"# comment\na  1 rest\nb\t2\r\na 3\nlone\n c 4\n");
        assert_eq!(values.get(&b"a"[..]).map(Vec::as_slice), Some(&b"1"[..]));
        assert_eq!(values.get(&b"b"[..]).map(Vec::as_slice), Some(&b"2"[..]));
        assert_eq!(values.len(), 2);
    }

    #[test]
    fn every_alternative_has_its_turn() {
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..1000 {
            seen.insert(any_of(b"a|b|c"));
        }
        assert_eq!(seen.len(), 3);
    }

    #[test]
    fn escapes_are_decoded_once() {
        assert_eq!(unescaped(b"%41%2541%zz%4"), b"A%41%zz%4");
        assert_eq!(unescaped(b"a%00b"), b"a");
    }
}
