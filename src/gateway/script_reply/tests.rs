//! Replies as scripts write them, whole and in pieces. What Apache does was seen with 2.4.71.

use super::{Kind, MAX_HEAD, ReplyError, ReplyReader, ScriptReply};
use crate::base::testing::every_cut;

fn read(input: &[u8]) -> Result<ScriptReply, ReplyError> {
    let mut reader = ReplyReader::new();
    reader.push(input)?.ok_or_else(|| reader.end())
}

/// One line that says everything: `status reason kind [length] | fields | body | dropped` or the error.
fn told(input: &[u8]) -> String {
    let reply = match read(input) {
        Ok(reply) => reply,
        Err(error) => return format!("{error:?}"),
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let kind = match &reply.kind {
        Kind::Document => "document".to_owned(),
        Kind::LocalRedirect(path) => format!("local {}", text(path)),
        Kind::ClientRedirect(uri) => format!("client {}", text(uri)),
        Kind::Nowhere => "nowhere".to_owned(),
    };
    let reason = reply
        .reason
        .as_deref()
        .map_or(String::new(), |reason| format!(" {}", text(reason)));
    let length = reply
        .content_length
        .map_or(String::new(), |length| format!(" {length}"));
    let fields: Vec<_> = reply
        .fields
        .iter()
        .map(|(name, value)| format!("{}: {}", text(name), text(value)))
        .collect();
    let dropped: Vec<_> = reply
        .dropped
        .iter()
        .map(|dropped| format!("{:?} {}", dropped.why, dropped.line))
        .collect();
    let body = text(&reply.body_start);
    format!(
        "{}{reason} {kind}{length} | {} | {body} | {}",
        reply.status,
        fields.join("; "),
        dropped.join("; ")
    )
}

const GOOD: &[(&str, &str, &str)] = &[
    (
        "document",
        "Content-Type: text/plain\n\nbody",
        "200 document | Content-Type: text/plain | body | ",
    ),
    (
        "CRLF",
        "Content-Type: a/b\r\nX: 1\r\n\r\nbody\r\n",
        "200 document | Content-Type: a/b; X: 1 | body\r\n | ",
    ),
    (
        "mixed ends",
        "A: 1\r\nB: 2\nC: 3\r\n\nbody",
        "200 document | A: 1; B: 2; C: 3 | body | ",
    ),
    (
        "any field is enough, as in Apache",
        "X-A: 1\n\nbody",
        "200 document | X-A: 1 | body | ",
    ),
    (
        "status",
        "Status: 404 Gone Away\nX: y\n\n",
        "404 Gone Away document | X: y |  | ",
    ),
    (
        "a tab before the words of Status",
        "Status: 404\tGone\n\nx",
        "404 Gone document |  | x | ",
    ),
    ("status alone", "Status: 404\n\nx", "404 document |  | x | "),
    (
        "names in any case",
        "STATUS: 403\ncontent-TYPE: a/b\n\n",
        "403 document | content-TYPE: a/b |  | ",
    ),
    (
        "the last status counts",
        "Status: 200\nStatus: 404 No\n\n",
        "404 No document |  |  | ",
    ),
    (
        "words glued to the number, as in Apache",
        "Status: 404Foo\n\n",
        "404 Foo document |  |  | ",
    ),
    (
        "the last Content-Type counts",
        "Content-Type: a/b\nContent-Type: c/d\n\n",
        "200 document | Content-Type: c/d |  | ",
    ),
    (
        "the last ETag and Content-Range count",
        "ETag: \"a\"\nX: 1\netag: \"b\"\nContent-Range: a\nContent-Range: b\n\n",
        "200 document | X: 1; etag: \"b\"; Content-Range: b |  | ",
    ),
    (
        "an empty Content-Type",
        "Content-Type:\n\nx",
        "200 document |  | x | Empty Content-Type: ",
    ),
    (
        "other fields repeat",
        "Set-Cookie: a\nset-cookie: b\n\n",
        "200 document | Set-Cookie: a; set-cookie: b |  | ",
    ),
    (
        "colon without space",
        "X:1\nY:a:b\n\n",
        "200 document | X: 1; Y: a:b |  | ",
    ),
    ("spaces around a value", "X: \t y \t \n\n", "200 document | X: y |  | "),
    (
        "length",
        "X: 1\nContent-Length: 4\n\nbody",
        "200 document 4 | X: 1 | body | ",
    ),
    (
        "the same length twice",
        "Content-Length: 4\nContent-Length: 4\n\n",
        "200 document 4 |  |  | ",
    ),
    (
        "an HTTP status line first",
        "HTTP/1.0 201 Made\nX: 1\n\n",
        "201 Made document | X: 1 |  | ",
    ),
    (
        "an HTTP/2 status line with a colon",
        "HTTP/2 404 Not: here\n\n",
        "404 Not: here document |  |  | ",
    ),
    (
        "Status after the status line",
        "HTTP/1.1 200 OK\nStatus: 500\n\n",
        "500 document |  |  | ",
    ),
    (
        "blank lines first",
        "\n\r\nContent-Type: a/b\n\nbody",
        "200 document | Content-Type: a/b | body | ",
    ),
    (
        "a folded field",
        "X: a\n  b\n\tc\nY: 1\n\n",
        "200 document | X: a b c; Y: 1 |  | ",
    ),
    (
        "a folded Status",
        "Status: 404\n Not Here\n\n",
        "404 Not Here document |  |  | ",
    ),
    (
        "304 with a body, for the server to discard",
        "Status: 304\n\nx",
        "304 document |  | x | ",
    ),
];

const REDIRECTS: &[(&str, &str, &str)] = &[
    ("6.2.2 local", "Location: /a/b?c=1\n\n", "200 local /a/b?c=1 |  |  | "),
    (
        "local keeps cookies",
        "Location: /a\nSet-Cookie: x\n\nbody",
        "200 local /a | Set-Cookie: x | body | ",
    ),
    (
        "local with Status: 200",
        "Location: /a\nStatus: 200 OK\n\n",
        "200 OK local /a |  |  | ",
    ),
    (
        "two slashes are a path too, as in Apache",
        "Location: //host/a\n\n",
        "200 local //host/a |  |  | ",
    ),
    (
        "the server has no use for a fragment",
        "Location: /a?b#c\n\n",
        "200 local /a?b |  |  | ",
    ),
    (
        "6.2.3 client",
        "Location: http://a.example/\n\n",
        "302 client http://a.example/ |  |  | ",
    ),
    (
        "client with Status: 200",
        "Status: 200 OK\nLocation: x:y\n\n",
        "302 client x:y |  |  | ",
    ),
    (
        "a relative one goes to the client",
        "Location: rel/path\n\n",
        "302 client rel/path |  |  | ",
    ),
    (
        "the last Location counts",
        "Location: http://a/\nLocation: http://b/\n\n",
        "302 client http://b/ |  |  | ",
    ),
    (
        "6.2.4 with a document",
        "Status: 302 Found\nLocation: http://a/\nContent-Type: text/html\n\ndoc",
        "302 Found document | Content-Type: text/html; Location: http://a/ | doc | ",
    ),
    (
        "with a document and no status",
        "Location: http://a/\nContent-Type: text/html\n\ndoc",
        "302 client http://a/ | Content-Type: text/html | doc | ",
    ),
    (
        "any other status makes it a document",
        "Status: 201\nLocation: /new\n\nx",
        "201 document | Location: /new | x | ",
    ),
    (
        "303 to a path",
        "Status: 303 See\nLocation: /a\n\n",
        "303 See document | Location: /a |  | ",
    ),
    (
        "302 without Location",
        "Status: 302\nX: y\n\n",
        "302 document | X: y |  | ",
    ),
];

const DROPPED: &[(&str, &str, &str)] = &[
    (
        "cgitb's first line",
        "<!--: spam\nContent-Type: text/html\n\n<body>",
        "200 document | Content-Type: text/html | <body> | BadName <!--: spam",
    ),
    (
        "space before the colon",
        "A : 1\nB: 2\n\n",
        "200 document | B: 2 |  | BadName A : 1",
    ),
    (
        "space before the name",
        " A: 1\nB: 2\n\n",
        "200 document | B: 2 |  | BadName  A: 1",
    ),
    ("no name", ": 1\nB: 2\n\n", "200 document | B: 2 |  | BadName : 1"),
    (
        "bare CR",
        "X: a\rInjected: 1\nB: 2\n\n",
        r"200 document | B: 2 |  | BadValue X: a\rInjected: 1",
    ),
    (
        "NUL",
        "X: a\0b\nB: 2\n\n",
        r"200 document | B: 2 |  | BadValue X: a\x00b",
    ),
    (
        "DEL",
        "X: a\x7fb\nB: 2\n\n",
        r"200 document | B: 2 |  | BadValue X: a\x7fb",
    ),
    (
        "CR in a fold",
        "X: a\n b\rc\nB: 2\n\n",
        r"200 document | B: 2 |  | BadValue X: a b\rc",
    ),
    (
        "CR in Location",
        "Location: /a\rX: 1\nB: 2\n\n",
        r"200 document | B: 2 |  | BadValue Location: /a\rX: 1",
    ),
    (
        "an empty Location",
        "Location: \nX: 1\n\nbody",
        "200 nowhere | X: 1 | body | Empty Location: ",
    ),
    (
        "an empty Location alone",
        "Location:\n\n",
        "200 nowhere |  |  | Empty Location: ",
    ),
    (
        "an empty Location beside a status",
        "Status: 301\nLocation:\n\n",
        "301 document |  |  | Empty Location: ",
    ),
    (
        "framing and connection",
        "Transfer-Encoding: chunked\nConnection: x\nKeep-Alive: 1\nupgrade: h2c\nX: 1\n\nbody",
        "200 document | X: 1 | body | ServersOwn Transfer-Encoding: chunked; ServersOwn Connection: x; \
         ServersOwn Keep-Alive: 1; ServersOwn upgrade: h2c",
    ),
    (
        "more of them, alone",
        "TE: a\nTrailer: b\nProxy-Connection: c\nDate: d\nServer: e\n\n",
        "200 document |  |  | ServersOwn TE: a; ServersOwn Trailer: b; ServersOwn Proxy-Connection: c; \
         ServersOwn Date: d; ServersOwn Server: e",
    ),
    (
        "length of letters",
        "X: 1\nContent-Length: abc\n\n",
        "200 document | X: 1 |  | BadLength Content-Length: abc",
    ),
    (
        "length with a sign",
        "X: 1\nContent-Length: +5\n\n",
        "200 document | X: 1 |  | BadLength Content-Length: +5",
    ),
    (
        "lengths that differ",
        "Content-Length: 4\nContent-Length: 5\n\n",
        "200 document |  |  | BadLength Content-Length: 5",
    ),
    (
        "length of thirty digits",
        "Content-Length: 999999999999999999999999999999\nX: 1\n\n",
        "200 document | X: 1 |  | BadLength Content-Length: 999999999999999999999999999999",
    ),
];

const BAD: &[(&str, &str, &str)] = &[
    ("nothing", "", "Empty"),
    ("blank lines only", "\n\r\n\n", "Empty"),
    ("text", "Hello\n", "TextFirst(\"Hello\")"),
    ("text without a line end", "Hello", "TextFirst(\"Hello\")"),
    ("a page without a header", "<html>\n<body>\n", "TextFirst(\"<html>\")"),
    ("text after blank lines", "\n\nbody\n", "TextFirst(\"body\")"),
    (
        "text with a colon, then text",
        "Use of x: y\nz\n",
        "TextFirst(\"Use of x: y\")",
    ),
    (
        "text with a colon, then the end",
        "Use of x: y\n",
        "TextFirst(\"Use of x: y\")",
    ),
    (
        "text before the header",
        "oops\nContent-Type: a/b\n\nx",
        "TextFirst(\"oops\")",
    ),
    (
        "the empty line forgotten",
        "Content-Type: a/b\n<html>\n\n",
        "TextInHead(\"<html>\")",
    ),
    ("only bad lines", "a b: 1\nX: \0\n\nbody", "NoField(\"a b: 1\")"),
    ("ends in its head", "X: 1\n", "Unfinished(\"X: 1\")"),
    ("ends in a line", "X: 1\nY", "Unfinished(\"Y\")"),
    (
        "ends in its first line",
        "Content-Type: text/html",
        "Unfinished(\"Content-Type: text/html\")",
    ),
    ("099", "Status: 099\n\nx", "BadStatus(\"Status: 099\")"),
    ("99999", "Status: 99999\n\nx", "BadStatus(\"Status: 99999\")"),
    ("600", "Status: 600 x\n\n", "BadStatus(\"Status: 600 x\")"),
    ("letters", "Status: abc\n\n", "BadStatus(\"Status: abc\")"),
    ("two digits", "Status: 20\n\n", "BadStatus(\"Status: 20\")"),
    ("no status", "Status:\n\n", "BadStatus(\"Status: \")"),
    ("100", "Status: 100\n\n", "BadStatus(\"Status: 100\")"),
    (
        "101",
        "Status: 101 Switching\n\n",
        "BadStatus(\"Status: 101 Switching\")",
    ),
    (
        "101 in a status line",
        "HTTP/1.1 101 x\n\n",
        "BadStatus(\"HTTP/1.1 101 x\")",
    ),
    (
        "CR in the reason",
        "Status: 200 OK\rX: 1\n\n",
        "BadStatus(\"Status: 200 OK\\\\rX: 1\")",
    ),
    ("an HTTP request", "GET / HTTP/1.0\n\n", "TextFirst(\"GET / HTTP/1.0\")"),
];

#[test]
fn replies_are_read_as_scripts_mean_them() {
    for (name, input, want) in [GOOD, REDIRECTS, DROPPED, BAD].concat() {
        assert_eq!(told(input.as_bytes()), want, "{name}");
    }
}

#[test]
fn bytes_above_127_pass_in_values_and_are_escaped_in_messages() {
    let reply = read(b"X: \xe9\nZ\xe9: 1\n\n").expect("has a field");
    assert_eq!(reply.fields, [(b"X".to_vec(), b"\xe9".to_vec())]);
    assert_eq!(reply.dropped[0].line, r"Z\xe9: 1");
}

#[test]
fn every_reply_reads_the_same_in_two_pieces() {
    for (name, input, _) in [GOOD, REDIRECTS, DROPPED, BAD].concat() {
        let whole = read(input.as_bytes());
        every_cut(input.as_bytes(), |head, tail| {
            let mut reader = ReplyReader::new();
            let cut = reader.push(head).and_then(|first| match first {
                Some(mut reply) => {
                    reply.body_start.extend_from_slice(tail);
                    Ok(reply)
                }
                None => reader.push(tail)?.ok_or_else(|| reader.end()),
            });
            assert_eq!(cut, whole, "{name} cut after {} bytes", head.len());
        });
    }
}

#[test]
fn every_reply_reads_the_same_byte_by_byte() {
    for (name, input, _) in [GOOD, REDIRECTS, DROPPED, BAD].concat() {
        let mut reader = ReplyReader::new();
        let mut bytes = input.bytes();
        let mut answer = Ok(None);
        while matches!(answer, Ok(None)) {
            let Some(byte) = bytes.next() else { break };
            answer = reader.push(&[byte]);
        }
        let one_by_one = answer.and_then(|reply| reply.ok_or_else(|| reader.end()));
        let rest: Vec<u8> = bytes.collect();
        let with_rest = one_by_one.map(|mut reply| {
            reply.body_start.extend_from_slice(&rest);
            reply
        });
        assert_eq!(with_rest, read(input.as_bytes()), "{name}");
    }
}

#[test]
fn a_head_of_256_kib_is_read_and_one_byte_more_is_refused() {
    let line_of = |length: usize| [b"X: ".to_vec(), vec![b'a'; length - 4], b"\n".to_vec()].concat();
    let fits = [line_of(MAX_HEAD - 1), b"\n".to_vec()].concat();
    assert_eq!(read(&fits).expect("fits").fields.len(), 1);
    let too_long = [line_of(MAX_HEAD), b"\n".to_vec()].concat();
    assert_eq!(read(&too_long), Err(ReplyError::TooLong));
    assert_eq!(
        read(&vec![b'a'; MAX_HEAD + 1]),
        Err(ReplyError::TooLong),
        "without a line end"
    );
}

#[test]
fn a_large_body_behind_the_head_is_no_part_of_it() {
    let body = vec![b'b'; 2 * MAX_HEAD];
    let reply = read(&[b"X: 1\n\n".to_vec(), body.clone()].concat()).expect("is a reply");
    assert_eq!(reply.body_start, body);
}

#[test]
fn long_lines_are_quoted_in_part() {
    let line = "a".repeat(100);
    assert_eq!(
        read(line.as_bytes()),
        Err(ReplyError::TextFirst(format!("{}...", "a".repeat(80))))
    );
}

#[test]
fn messages_name_the_cause() {
    let table = [
        (ReplyError::Empty, "the script wrote nothing"),
        (
            ReplyError::TextFirst("Hello".into()),
            "the script wrote text before its header: `Hello`",
        ),
        (
            ReplyError::TextInHead("<html>".into()),
            "the script's header has a line that is no field: `<html>`; is the empty line before it missing?",
        ),
        (
            ReplyError::NoField("a b: 1".into()),
            "the script's header has no valid field; it begins `a b: 1`",
        ),
        (
            ReplyError::BadStatus("Status: 099".into()),
            "the script's Status is none: `Status: 099`; a good one is `404 Not Found`",
        ),
        (
            ReplyError::Unfinished("X: 1".into()),
            "the script ended before the empty line that ends its header, after `X: 1`",
        ),
        (ReplyError::TooLong, "the script's header is longer than 256 KiB"),
    ];
    for (error, want) in table {
        assert_eq!(error.to_string(), want);
    }
    let reply = read(b"A : 1\nX: a\rb\nContent-Length: x\nLocation:\nTE: a\n\n").expect("TE is a field");
    let dropped: Vec<_> = reply.dropped.iter().map(ToString::to_string).collect();
    assert_eq!(
        dropped,
        [
            "dropped from the reply: `A : 1` is not a field name",
            "dropped from the reply: `X: a\\rb` has a control character in its value",
            "dropped from the reply: `Content-Length: x` is not one length",
            "dropped from the reply: `Location: ` has no value",
            "dropped from the reply: `TE: a` is the server's to say",
        ]
    );
    let mistakes = reply.dropped.iter().filter(|dropped| dropped.why.is_mistake()).count();
    assert_eq!(mistakes, 4);
}
