//! The tree as text, and back: what `-t -D DUMP_CONFIG` prints, and how the roles get their settings.
//!
//! The form is mod_info's: `# In file: NAME` and `#   LINE:` before the directive they place, sections indented. Two
//! things are added so that nothing is lost: a directive whose text has line feeds says `#   LINE: N lines`, and
//! [`to_text`] begins with what is defined. Nothing in the text is replaced or continued when it is read back.

use std::collections::BTreeMap;
use std::sync::Arc;

use memchr::memchr_iter;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode, percent_encode};

use crate::config::error::{ConfigError, Span};
use crate::config::node::{Node, Settings};

const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'%');
const FILE: &[u8] = b"# In file: ";
const DEFINED: &[u8] = b"# Defined: ";
const VALUE: &[u8] = b"# Value: ";
const ROOT: &[u8] = b"# ServerRoot: ";

/// Everything, so that [`from_text`] gives the same again.
pub fn to_text(settings: &Settings) -> Vec<u8> {
    let mut out = Vec::new();
    let mut put = |mark: &[u8], words: &[&[u8]]| {
        out.extend_from_slice(mark);
        for (at, word) in words.iter().enumerate() {
            out.extend_from_slice(if at > 0 { b" " } else { b"" });
            out.extend(percent_encode(word, ESCAPED).flat_map(str::bytes));
        }
        out.push(b'\n');
    };
    put(ROOT, &[&settings.server_root]);
    settings.defines.names().for_each(|name| put(DEFINED, &[name]));
    settings
        .defines
        .values()
        .for_each(|(name, value)| put(VALUE, &[name, value]));
    out.extend(dump(&settings.nodes));
    out
}

/// The tree alone, as `-t -D DUMP_CONFIG` prints it.
pub fn dump(nodes: &[Node]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut file: Option<Arc<str>> = None;
    write_nodes(nodes, 0, &mut file, &mut out);
    out
}

fn write_nodes(nodes: &[Node], depth: usize, file: &mut Option<Arc<str>>, out: &mut Vec<u8>) {
    let indent = "  ".repeat(depth);
    for node in nodes {
        let span = node.span();
        write_file(span, file, out);
        let feeds = memchr_iter(b'\n', node.args_raw()).count();
        let more = if feeds > 0 {
            format!(" {} lines", feeds + 1)
        } else {
            String::new()
        };
        out.extend_from_slice(format!("{indent}#{:4}:{more}\n{indent}", span.line).as_bytes());
        let is_section = matches!(node, Node::Section { .. });
        out.extend_from_slice(if is_section { b"<" } else { b"" });
        out.extend_from_slice(node.name().as_bytes());
        if !node.args_raw().is_empty() {
            out.push(b' ');
            out.extend_from_slice(node.args_raw());
        }
        if is_section {
            out.extend_from_slice(b">\n");
            write_nodes(node.children(), depth + 1, file, out);
            write_file(span, file, out);
            out.extend_from_slice(format!("{indent}</{}>", node.name()).as_bytes());
        }
        out.push(b'\n');
    }
}

fn write_file(span: &Span, file: &mut Option<Arc<str>>, out: &mut Vec<u8>) {
    if file.as_ref() != Some(&span.file) {
        *file = Some(Arc::clone(&span.file));
        out.extend_from_slice(format!("# In file: {}\n", span.file).as_bytes());
    }
}

/// A section that waits for its end: name, arguments, place, and the nodes before it.
struct Open<'a> {
    name: &'a str,
    args: Vec<u8>,
    span: Span,
    before: Vec<Node>,
}

/// Reads what [`to_text`] or [`dump`] wrote; anything else is an error.
pub fn from_text(text: &[u8]) -> Result<Settings, ConfigError> {
    let mut settings = Settings::default();
    let mut files: BTreeMap<String, Arc<str>> = BTreeMap::new();
    let mut file: Arc<str> = Arc::from("settings text");
    let mut open: Vec<Open> = Vec::new();
    let mut place: Option<(u32, usize)> = None;
    let mut lines = text.strip_suffix(b"\n").unwrap_or(text).split(|b| *b == b'\n');
    let mut number = 0_u32;
    while let Some(line) = lines.next() {
        number = number.saturating_add(1);
        let wrong = |what: &str| ConfigError::error(&Span::new(&Arc::from("settings text"), number), "", what);
        let line = line.trim_ascii_start();
        if let Some(name) = line.strip_prefix(FILE) {
            let name = String::from_utf8_lossy(name).into_owned();
            file = Arc::clone(files.entry(name).or_insert_with_key(|name| Arc::from(name.as_str())));
        } else if line.starts_with(b"#") {
            match mark(line) {
                Some(found) => place = Some(found),
                None if definition(line, &mut settings) => {}
                None => return Err(wrong("the mark is unknown")),
            }
        } else if line.starts_with(b"</") {
            let closed = open.pop().ok_or_else(|| wrong("no section is open"))?;
            let children = std::mem::replace(&mut settings.nodes, closed.before);
            settings
                .nodes
                .push(Node::section(closed.name, &closed.args, children, closed.span));
        } else if !line.is_empty() {
            let (at, count) = place.take().ok_or_else(|| wrong("the line has no place"))?;
            let (name, first) = split_name(line).ok_or_else(|| wrong("the name is not a directive's"))?;
            let mut args = first.to_vec();
            for _ in 1..count {
                args.push(b'\n');
                args.extend_from_slice(lines.next().ok_or_else(|| wrong("the text ends early"))?);
            }
            let span = Span::new(&file, at);
            if line.starts_with(b"<") {
                args.pop()
                    .filter(|last| *last == b'>')
                    .ok_or_else(|| wrong("the section has no `>`"))?;
                let before = std::mem::take(&mut settings.nodes);
                open.push(Open {
                    name,
                    args,
                    span,
                    before,
                });
            } else {
                settings.nodes.push(Node::directive(name, &args, span));
            }
        }
    }
    match open.last() {
        Some(open) => Err(ConfigError::error(
            &open.span,
            open.name,
            "the text ends inside the section",
        )),
        None => Ok(settings),
    }
}

/// `#  12:` or `#  12: 3 lines`: the line and how many text lines the entry has.
fn mark(line: &[u8]) -> Option<(u32, usize)> {
    let text = std::str::from_utf8(line.strip_prefix(b"#")?).ok()?;
    let (number, more) = text.split_once(':')?;
    let count = match more.trim() {
        "" => 1,
        more => more.strip_suffix(" lines")?.parse().ok()?,
    };
    Some((number.trim().parse().ok()?, count))
}

/// Takes in a line of what is defined; says whether it was one.
fn definition(line: &[u8], settings: &mut Settings) -> bool {
    let decode = |word: &[u8]| percent_decode(word).collect::<Vec<u8>>();
    if let Some(root) = line.strip_prefix(ROOT) {
        settings.server_root = decode(root);
    } else if let Some(name) = line.strip_prefix(DEFINED) {
        settings.defines.define(&decode(name), None);
    } else if let Some(both) = line.strip_prefix(VALUE) {
        let mut words = both.splitn(2, |b| *b == b' ').map(decode);
        let (name, value) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        settings.defines.restore_value(&name, &value);
    } else {
        return false;
    }
    true
}

/// The name that a line begins with (after `<`) and what follows it.
fn split_name(line: &[u8]) -> Option<(&str, &[u8])> {
    let line = line.strip_prefix(b"<").unwrap_or(line);
    let is_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    let end = line.iter().position(|b| !is_name(b)).unwrap_or(line.len());
    let (name, rest) = line.split_at_checked(end)?;
    let name = std::str::from_utf8(name).ok().filter(|name| !name.is_empty())?;
    Some((name, rest.strip_prefix(b" ").unwrap_or(rest)))
}

#[cfg(test)]
mod tests;
