//! Escaping as Apache does it: log items, the error log, HTML text, URL paths (`server/util.c`).

use std::borrow::Cow;

use crate::base::ascii;

/// Appends `text` as Apache's `ap_escape_logitem` writes it into an access log: quote, backslash, control bytes
/// and bytes above 126 are escaped, so that a line stays one line and a quoted item stays one item.
pub fn escape_log(out: &mut Vec<u8>, text: &[u8]) {
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            _ => escape_one(out, *byte),
        }
    }
}

/// Appends `text` for the error log: as [`escape_log`], but quotes stay as they are (`ap_escape_errorlog_item`).
pub fn escape_error_log(out: &mut Vec<u8>, text: &[u8]) {
    for byte in text {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            _ => escape_one(out, *byte),
        }
    }
}

fn escape_one(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b' '..=b'~' => out.push(byte),
        b'\x08' => out.extend_from_slice(b"\\b"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        b'\x0b' => out.extend_from_slice(b"\\v"),
        _ => {
            out.extend_from_slice(b"\\x");
            ascii::append_hex_byte(out, byte);
        }
    }
}

/// Appends `text` for HTML, in an element or between double quotes: `<`, `>`, `&` and `"` become entities.
pub fn escape_html(out: &mut Vec<u8>, text: &[u8]) {
    for byte in text {
        match byte {
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'"' => out.extend_from_slice(b"&quot;"),
            _ => out.push(*byte),
        }
    }
}

/// `text` for HTML, see [`escape_html`].
pub fn html(text: &[u8]) -> Cow<'_, [u8]> {
    escaped(text, |byte| matches!(byte, b'<' | b'>' | b'&' | b'"'), escape_html)
}

/// Appends a decoded path as a URL path, as Apache's `ap_escape_uri` does: bytes that are not letters, digits or of
/// `$-_.+!*'(),:;@&=/~` become `%xx` in lower case.
pub fn escape_path(out: &mut Vec<u8>, path: &[u8]) {
    for byte in path {
        if stays_in_path(*byte) {
            out.push(*byte);
        } else {
            out.push(b'%');
            ascii::append_hex_byte(out, *byte);
        }
    }
}

/// Appends one segment of a path, as Apache's `ap_escape_path_segment` does: as [`escape_path`], but slash and semicolon
/// are escaped.
pub fn escape_segment(out: &mut Vec<u8>, segment: &[u8]) {
    for byte in segment {
        if stays_in_path(*byte) && !matches!(byte, b'/' | b';') {
            out.push(*byte);
        } else {
            out.push(b'%');
            ascii::append_hex_byte(out, *byte);
        }
    }
}

/// What becomes of `%2F` in a path that is escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodedSlash {
    /// Its `%` is escaped as any other.
    Escaped,
    /// It was never decoded, and stays as it is.
    Kept,
}

/// Appends a decoded path as Apache escapes it for other servers (`ap_proxy_canonenc`).
pub fn escape_path_for_server(out: &mut Vec<u8>, path: &[u8], slash: EncodedSlash) {
    out.reserve(path.len());
    for (at, byte) in path.iter().enumerate() {
        let is_slash = || {
            path.get(at..at + 3)
                .is_some_and(|word| word.eq_ignore_ascii_case(b"%2f"))
        };
        let stays = byte.is_ascii_alphanumeric() || b"~$-_.+!*'(),;:@&=/".contains(byte);
        if stays || slash == EncodedSlash::Kept && is_slash() {
            out.push(*byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
}

/// A decoded path as a URL path, see [`escape_path`].
pub fn url_path(path: &[u8]) -> Cow<'_, [u8]> {
    escaped(path, |byte| !stays_in_path(byte), escape_path)
}

/// A file name as a relative reference (`ap_os_escape_path`): as [`url_path`], with `./` before it when a colon in its
/// first segment would read as a scheme (RFC 3986 §4.2).
pub fn url_relative(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len() + 2);
    let first = name.split(|byte| *byte == b'/').next().unwrap_or_default();
    if first.contains(&b':') {
        out.extend_from_slice(b"./");
    }
    escape_path(&mut out, name);
    out
}

fn stays_in_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'$' | b'-'
                | b'_'
                | b'.'
                | b'+'
                | b'!'
                | b'*'
                | b'\''
                | b'('
                | b')'
                | b','
                | b':'
                | b';'
                | b'@'
                | b'&'
                | b'='
                | b'/'
                | b'~'
        )
}

fn escaped(text: &[u8], odd: impl Fn(u8) -> bool, append: impl Fn(&mut Vec<u8>, &[u8])) -> Cow<'_, [u8]> {
    if !text.iter().any(|byte| odd(*byte)) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len() + 16);
    append(&mut out, text);
    Cow::Owned(out)
}

/// A word for people and for pasting into a shell: escaped as in the error log, quoted when a shell would need it.
pub fn shell_word(word: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+,:@%=".contains(byte);
    if !word.is_empty() && word.iter().all(plain) {
        return String::from_utf8_lossy(word).into_owned();
    }
    let mut escaped = Vec::new();
    escape_error_log(&mut escaped, word);
    format!("'{}'", String::from_utf8_lossy(&escaped).replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::{EncodedSlash, escape_error_log, escape_log, escape_path_for_server, html, url_path, url_relative};

    #[test]
    fn log_items_stay_on_one_line_and_in_their_quotes() {
        for (text, access, error) in [
            (&b"GET / HTTP/1.1"[..], "GET / HTTP/1.1", "GET / HTTP/1.1"),
            (b"a\"b\\c", "a\\\"b\\\\c", "a\"b\\\\c"),
            (b"\x08\n\r\t\x0b", "\\b\\n\\r\\t\\v", "\\b\\n\\r\\t\\v"),
            (
                b"\x1b[31m\x00\x7f\xe9",
                "\\x1b[31m\\x00\\x7f\\xe9",
                "\\x1b[31m\\x00\\x7f\\xe9",
            ),
        ] {
            let (mut line, mut record) = (Vec::new(), Vec::new());
            escape_log(&mut line, text);
            escape_error_log(&mut record, text);
            assert_eq!(line, access.as_bytes());
            assert_eq!(record, error.as_bytes());
        }
    }

    #[test]
    fn html_and_urls() {
        assert_eq!(&html(b"<a href=\"x\">&'")[..], b"&lt;a href=&quot;x&quot;&gt;&amp;'");
        assert_eq!(
            &url_path(b"/a b/\xc3\xa9?#%\"<>")[..],
            b"/a%20b/%c3%a9%3f%23%25%22%3c%3e"
        );
        assert_eq!(&url_path(b"/$-_.+!*'(),:;@&=/~")[..], b"/$-_.+!*'(),:;@&=/~");
        assert_eq!(url_relative(b"a:b"), b"./a:b");
        assert_eq!(url_relative(b"a/b:c"), b"a/b:c");
    }

    #[test]
    fn paths_are_escaped_for_servers_as_apache_does() {
        for (path, slash, want) in [
            (
                &b"/a b/\xe9%;x=1~?"[..],
                EncodedSlash::Escaped,
                &b"/a%20b/%E9%25;x=1~%3F"[..],
            ),
            (b"/a%2fb%2", EncodedSlash::Escaped, b"/a%252fb%252"),
            (b"/a%2fb%2", EncodedSlash::Kept, b"/a%2fb%252"),
        ] {
            let mut out = Vec::new();
            escape_path_for_server(&mut out, path, slash);
            assert_eq!(out, want);
        }
    }
}
