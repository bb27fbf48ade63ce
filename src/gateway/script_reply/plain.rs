//! The head of a reply that is all there and has nothing unusual in it: read where it lies. For anything else there is
//! [`ReplyReader`](crate::gateway::script_reply::ReplyReader), which would read this one the same.

use crate::base::ascii;
use crate::gateway::script_reply::{MAX_HEAD, SERVERS_OWN, without_line_end};
use crate::http::fields::Fields;

/// What a head says besides its fields.
#[derive(Debug, PartialEq, Eq)]
pub struct PlainHead<'r> {
    /// 200 to 599, and the script's own words for it; nothing where it named none.
    pub status: Option<(u16, &'r [u8])>,
    /// The length that was promised.
    pub content_length: Option<u64>,
    /// Where the body begins.
    pub body: usize,
}

impl<'r> PlainHead<'r> {
    /// The head that this begins with, if it is a plain one: of a document, with fields that are sent as they are and need not be
    /// judged, which are appended. Without one, what was appended is of no use.
    pub fn of(reply: &'r [u8], fields: &mut Fields) -> Option<PlainHead<'r>> {
        let (mut status, mut content_length, mut body) = (None, None, 0);
        let mut has_type = false;
        loop {
            let rest = reply.get(body..)?;
            let length = memchr::memchr(b'\n', rest)? + 1;
            let line = without_line_end(rest.get(..length)?);
            body += length;
            if line.is_empty() {
                let has_field = !fields.is_empty() || status.is_some() || content_length.is_some();
                return (has_field && body <= MAX_HEAD).then_some(PlainHead {
                    status,
                    content_length,
                    body,
                });
            }
            let (name, value) = line.split_at_checked(memchr::memchr(b':', line)?)?;
            let value = ascii::trim_ows(value.get(1..)?);
            let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
            match name.len() {
                2 | 4 | 6 | 7 | 10 | 16 | 17 if SERVERS_OWN.iter().any(|own| is(own)) => return None,
                4 if is("ETag") => return None,
                8 if is("Location") => return None,
                13 if is("Last-Modified") => return None,
                6 if is("Status") => status = Some(status_of(value)?),
                12 if is("Content-Type")
                    && (std::mem::replace(&mut has_type, true) || value.is_empty() || has_capitals(value)) =>
                {
                    return None;
                }
                14 if is("Content-Length") => {
                    if content_length.replace(ascii::parse_decimal(value)?).is_some() {
                        return None;
                    }
                }
                // What is no name or no value is refused.
                _ => fields.try_append(name, value).ok()?,
            }
        }
    }
}

/// Whether a media type is not in lower case; its parameters may have what they like.
fn has_capitals(value: &[u8]) -> bool {
    let mut parts = value.split(|byte| *byte == b';');
    parts.next().is_some_and(|name| name.iter().any(u8::is_ascii_uppercase))
}

/// What a Status says.
fn status_of(value: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, words) = value.split_at_checked(3)?;
    let status = ascii::parse_decimal(digits).and_then(|status| u16::try_from(status).ok())?;
    let is_status = (200..=599).contains(&status) && !words.first().is_some_and(u8::is_ascii_digit);
    (is_status && !words.iter().any(u8::is_ascii_control)).then(|| (status, ascii::trim_ows(words)))
}

#[cfg(test)]
mod tests {
    use super::PlainHead;
    use crate::gateway::script_reply::{Kind, ReplyReader, SERVERS_OWN};
    use crate::http::fields::Fields;

    /// The other reader must make the same of it.
    fn is_plain(reply: &[u8]) -> bool {
        let mut own = Fields::new();
        let Some(head) = PlainHead::of(reply, &mut own) else {
            return false;
        };
        let shown = String::from_utf8_lossy(reply);
        let read = ReplyReader::new().push(reply).expect("a reply").expect("a whole head");
        assert_eq!(read.kind, Kind::Document, "{shown}");
        assert!(read.dropped.is_empty(), "{shown}");
        assert_eq!(read.says_status, head.status.is_some(), "{shown}");
        let (status, reason) = head.status.unwrap_or((200, b""));
        assert_eq!(
            (read.status, read.reason.unwrap_or_default()),
            (status, reason.to_vec()),
            "{shown}"
        );
        let fields: Vec<_> = own
            .iter()
            .map(|(name, value)| (name.to_vec(), value.to_vec()))
            .collect();
        assert_eq!(read.fields, fields, "{shown}");
        assert_eq!(read.content_length, head.content_length, "{shown}");
        assert_eq!(read.body_start, reply[head.body..], "{shown}");
        true
    }

    #[test]
    fn a_plain_head_reads_as_it_does_elsewhere() {
        for (reply, plain) in [
            (&b"Content-Type: text/plain\r\n\r\nhello"[..], true),
            (b"X-A:\t1 \nX-A: 2\nContent-type: a/b\n\n", true),
            (b"Status: 404 Not Found\r\nContent-Length: 3\r\n\r\nabc", true),
            (b"Status: 404\nX-Empty:\n\nabc", true),
            (b"\nContent-Type: a/b\n\n", false),
            (b"HTTP/1.1 200 OK\nContent-Type: a/b\n\n", false),
            (b"Content-Type: a/b\n folded\n\n", false),
            (b"Content-Type: a/b\nContent-Type: c/d\n\n", false),
            (b"Content-Type:\n\n", false),
            (b"Content-Type: Text/plain\n\n", false),
            (b"Content-Type: text/plain; Charset=X\n\n", true),
            (b"Location: /x\n\n", false),
            (b"X: y\nEtag: \"1\"\n\n", false),
            (b"X: y\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\n\n", false),
            (b"Status: 99\n\n", false),
            (b"Status: 2000\n\n", false),
            (b"Status: 200 a\tb\n\n", false),
            (b"Content-Length: 1\nContent-Length: 1\n\n", false),
            (b"Content-Length: x\nX: y\n\n", false),
            (b"bad name: 1\n\n", false),
            (b"X: a\x01b\n\n", false),
            (b"no field\n\n", false),
        ] {
            assert_eq!(is_plain(reply), plain, "{}", String::from_utf8_lossy(reply));
            for cut in 0..reply.len() {
                is_plain(&reply[..cut]);
            }
        }
    }

    #[test]
    fn what_is_the_servers_to_say_is_not_plain() {
        for own in SERVERS_OWN {
            assert!(!is_plain(format!("X: y\n{own}: x\n\n").as_bytes()), "{own}");
        }
    }
}
