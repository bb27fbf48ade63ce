//! Descriptions: the titles of HTML pages (`ScanHTMLTitles`), and where a description is cut.

use crate::exchange::place::Types;
use crate::fs::open::Seen;

/// So many bytes of a page are searched for its title.
const SEARCHED: usize = 8191;

/// The title of an HTML page as HTML text; nothing where the file is none, is kept encoded, or has no title at its beginning.
pub fn of(file: &Seen, types: &Types) -> Option<Vec<u8>> {
    let media_type = types.media_type.as_deref()?;
    let media_type = media_type.split(|byte| *byte == b';').next()?.trim_ascii();
    let is_page = [
        &b"text/html"[..],
        b"application/xhtml+xml",
        b"text/x-server-parsed-html",
    ]
    .iter()
    .any(|known| media_type.eq_ignore_ascii_case(known));
    if !is_page || !types.encodings.is_empty() {
        return None;
    }
    let mut page = vec![0; SEARCHED];
    // A page that cannot be read has no title to show.
    let length = file.open().ok()?.read_at(&mut page, 0).ok()?;
    found_in(page.get(..length)?)
}

fn found_in(page: &[u8]) -> Option<Vec<u8>> {
    let page = page.split(|byte| *byte == 0).next()?;
    let mut matched = 0;
    for (at, byte) in page.iter().enumerate() {
        if TITLE.get(matched) != Some(&byte.to_ascii_lowercase()) {
            matched = 0;
            continue;
        }
        matched += 1;
        if matched == TITLE.len() {
            let title = page.get(at + 1..)?;
            let end = title.iter().position(|byte| *byte == b'<').unwrap_or(title.len());
            let title = title.get(..end)?;
            let begin = title.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            let line = |byte: &u8| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte };
            return Some(title.get(begin..)?.iter().map(line).collect());
        }
    }
    None
}

const TITLE: &[u8] = b"<title>";

/// A description in `width` characters: tags do not count, and an entity is one. What is cut ends in `>`, as Apache has it.
pub fn cut(description: &[u8], width: usize) -> Vec<u8> {
    let mut left = width;
    let mut at = 0;
    loop {
        let Some(byte) = description.get(at) else {
            return description.to_vec();
        };
        if left == 0 && *byte != b'<' {
            break;
        }
        let ends_at = match byte {
            b'<' => b'>',
            b'&' => b';',
            _ => *byte,
        };
        if *byte != b'<' {
            left -= 1;
        }
        match description
            .get(at..)
            .and_then(|rest| rest.iter().position(|byte| *byte == ends_at))
        {
            Some(end) => at += end + 1,
            None => return description.to_vec(),
        }
    }
    let mut cut = description.get(..at).unwrap_or(description).to_vec();
    if let Some(last) = cut.last_mut() {
        *last = b'>';
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::{cut, found_in};

    #[test]
    fn titles_are_found() {
        for (page, want) in [
            ("<title>A b</title>", Some("A b")),
            ("<html><TITLE>\r\nA\nb <i>", Some("A b ")),
            ("<<title>x", None),
            ("<title>no end", Some("no end")),
            ("no title", None),
            ("<title></title>", Some("")),
            ("<tit\0le>", None),
        ] {
            let found = found_in(page.as_bytes());
            assert_eq!(found.as_deref(), want.map(str::as_bytes), "{page}");
        }
    }

    #[test]
    fn descriptions_are_cut_behind_what_is_seen() {
        for (text, width, want) in [
            ("plain", 5, "plain"),
            ("plainer", 5, "plai>"),
            ("<b>bold</b>", 4, "<b>bold</b>"),
            ("<b>bolder</b>", 4, "<b>bol>"),
            ("a&auml;b", 3, "a&auml;b"),
            ("a&auml;bc", 2, "a&auml>"),
            ("a&auml", 2, "a&auml"),
            ("a<b", 1, "a<b"),
        ] {
            assert_eq!(cut(text.as_bytes(), width), want.as_bytes(), "{text}");
        }
    }
}
