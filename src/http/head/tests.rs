//! Heads as they arrive: whole, in pieces, odd and hostile (RFC 9112 §2, §3, §5).

use super::{HeadLimits, Http09, Methods, ParseError, Progress, ProtocolOptions, RequestHead, Syntax, Version};
use crate::base::ascii::is_token;
use crate::base::testing::every_cut;
use crate::http::fields::is_field_value;
use crate::http::method::Method;
use crate::http::status::Status;

pub(super) const STRICT: ProtocolOptions = ProtocolOptions {
    syntax: Syntax::Strict,
    http09: Http09::Allow,
    methods: Methods::Lenient,
    more_methods: &[],
};
pub(super) const UNSAFE: ProtocolOptions = ProtocolOptions {
    syntax: Syntax::Unsafe,
    ..STRICT
};

fn parse(input: &[u8], options: ProtocolOptions) -> (RequestHead, Result<Progress, ParseError>) {
    let mut head = RequestHead::new();
    let result = head.parse(input, &HeadLimits::default(), options);
    (head, result)
}

fn whole(input: &[u8], options: ProtocolOptions) -> RequestHead {
    let (head, result) = parse(input, options);
    assert_eq!(
        result,
        Ok(Progress::Complete { consumed: input.len() }),
        "{}",
        input.escape_ascii()
    );
    head
}

pub(super) const TYPICAL: &[u8] = b"POST /cgi-bin/form.pl?a=1&b=%20 HTTP/1.1\r\n\
    Host: www.example.org:8080\r\n\
    User-Agent:curl/8.14.1\r\n\
    Accept: text/html\r\n\
    X-Empty:\r\n\
    accept: \t text/plain \t\r\n\
    Cookie: a=1\r\n\
    Cookie: b=2\r\n\
    X-Latin: caf\xe9\r\n\
    \r\n";

#[test]
fn a_typical_head_is_read() {
    let head = whole(TYPICAL, STRICT);
    assert_eq!(head.method(), Method::Post);
    assert_eq!(head.method_bytes(), b"POST");
    assert_eq!(head.target_bytes(), b"/cgi-bin/form.pl?a=1&b=%20");
    assert_eq!(head.version(), Version::V11);
    assert_eq!(head.request_line(), b"POST /cgi-bin/form.pl?a=1&b=%20 HTTP/1.1");
    assert_eq!(head.field_count(), 8);
    assert_eq!(head.field(b"HOST"), Some(&b"www.example.org:8080"[..]));
    assert_eq!(head.field(b"user-agent"), Some(&b"curl/8.14.1"[..]));
    assert_eq!(head.field(b"x-empty"), Some(&b""[..]));
    assert_eq!(head.field(b"x-latin"), Some(&b"caf\xe9"[..]));
    assert_eq!(head.field(b"absent"), None);
    assert_eq!(head.joined(b"Accept").as_deref(), Some(&b"text/html, text/plain"[..]));
    assert_eq!(head.joined(b"cookie").as_deref(), Some(&b"a=1; b=2"[..]));
    assert_eq!(head.joined(b"absent"), None);
    assert_eq!(head.values(b"cookie").count(), 2);
    let names: Vec<&[u8]> = head.fields().map(|(name, _)| name).collect();
    assert_eq!(names[..2], [&b"Host"[..], b"User-Agent"]);
}

#[test]
fn a_head_cut_anywhere_is_the_same_head() {
    let want: Vec<_> = whole(TYPICAL, STRICT)
        .fields()
        .map(|(n, v)| (n.to_vec(), v.to_vec()))
        .collect();
    let mut head = RequestHead::new();
    every_cut(TYPICAL, |begin, tail| {
        if tail.is_empty() {
            return;
        }
        let first = head.parse(begin, &HeadLimits::default(), STRICT);
        assert_eq!(first, Ok(Progress::Partial));
        let second = head.parse(TYPICAL, &HeadLimits::default(), STRICT);
        assert_eq!(
            second,
            Ok(Progress::Complete {
                consumed: TYPICAL.len()
            })
        );
        let found: Vec<_> = head.fields().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
        assert_eq!(found, want);
    });
}

#[test]
fn every_fault_is_found_wherever_the_input_is_cut() {
    for (input, _, want) in FAULTS {
        every_cut(input, |begin, _| {
            let mut head = RequestHead::new();
            let first = head.parse(begin, &HeadLimits::default(), STRICT);
            if first == Ok(Progress::Partial) {
                let whole = head.parse(input, &HeadLimits::default(), STRICT);
                assert_eq!(whole, Err(*want), "{}", input.escape_ascii());
            } else {
                assert_eq!(first, Err(*want), "{}", begin.escape_ascii());
            }
        });
    }
}

#[test]
fn a_dripped_head_is_scanned_once() {
    let mut input = b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec();
    for n in 0..90 {
        input.extend_from_slice(format!("X-{n}: {}\r\n", "v".repeat(8000)).as_bytes());
    }
    input.extend_from_slice(b"\r\n");
    let mut head = RequestHead::new();
    for end in 0..input.len() {
        let progress = head.parse(&input[..end], &HeadLimits::default(), STRICT);
        assert_eq!(progress, Ok(Progress::Partial));
        assert_eq!(head.scan.from, end);
    }
    assert_eq!(
        head.parse(&input, &HeadLimits::default(), STRICT),
        Ok(Progress::Complete { consumed: input.len() })
    );
}

#[test]
fn pipelined_requests_are_taken_one_by_one() {
    let two = b"\r\nGET /1 HTTP/1.1\r\nHost: a\r\n\r\n\r\n\r\nHEAD /2 HTTP/1.0\r\n\r\nrest";
    let mut head = RequestHead::new();
    let Ok(Progress::Complete { consumed }) = head.parse(two, &HeadLimits::default(), STRICT) else {
        panic!("first is whole")
    };
    assert_eq!(head.target_bytes(), b"/1");
    let rest = &two[consumed..];
    let Ok(Progress::Complete { consumed }) = head.parse(rest, &HeadLimits::default(), STRICT) else {
        panic!("second is whole")
    };
    assert_eq!((head.target_bytes(), head.version()), (&b"/2"[..], Version::V10));
    assert_eq!((head.method(), head.field_count()), (Method::Head, 0));
    assert_eq!(&rest[consumed..], b"rest");
}

/// Input, what it shows, the error under `Strict`.
pub(super) const FAULTS: &[(&[u8], &str, ParseError)] = &[
    (b"GET / HTTP/1.1\nHost: a\n\n", "row 24: bare LF", ParseError::BareLf),
    (
        b"GET / HTTP/1.1\r\nHost: a\n\r\n",
        "row 24: bare LF after a field",
        ParseError::BareLf,
    ),
    (
        b"GET / HTTP/1.1\r\nHost: a\r\n\n",
        "row 24: bare LF at the end",
        ParseError::BareLf,
    ),
    (
        b"\nGET / HTTP/1.1\r\n\r\n",
        "bare LF before the request line",
        ParseError::BareLf,
    ),
    (
        b"GET / HTTP/1.1\r\nX: a\rb\r\n\r\n",
        "row 23: bare CR",
        ParseError::FieldValue,
    ),
    (
        b"GET / HTTP/1.1\r\nX: a\r\r\n\r\n",
        "row 23: CR CR LF",
        ParseError::FieldValue,
    ),
    (
        b"GET / HTTP/1.1\r\nX: a\0b\r\n\r\n",
        "row 23: NUL",
        ParseError::FieldValue,
    ),
    (
        b"GET / HTTP/1.1\r\nX: \x1b[0m\r\n\r\n",
        "ESC in a value",
        ParseError::FieldValue,
    ),
    (
        b"GET / HTTP/1.1\r\nX: \x7f\r\n\r\n",
        "DEL in a value",
        ParseError::FieldValue,
    ),
    (
        b"GET / HTTP/1.1\r\nX : a\r\n\r\n",
        "row 23: space before colon",
        ParseError::FieldName,
    ),
    (
        b"GET / HTTP/1.1\r\nX\0: a\r\n\r\n",
        "NUL in a name",
        ParseError::FieldName,
    ),
    (b"GET / HTTP/1.1\r\n: a\r\n\r\n", "no name", ParseError::FieldName),
    (b"GET / HTTP/1.1\r\nnonsense\r\n\r\n", "no colon", ParseError::FieldName),
    (
        b"GET / HTTP/1.1\r\nX Y: a\r\n\r\n",
        "space in a name",
        ParseError::FieldName,
    ),
    (
        b"GET / HTTP/1.1\r\nX\xe9: a\r\n\r\n",
        "byte above ASCII in a name",
        ParseError::FieldName,
    ),
    (
        b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        "row 23: space on the first field",
        ParseError::Folded,
    ),
    (
        b"GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n",
        "row 25: folded field",
        ParseError::Folded,
    ),
    (
        b"GET / HTTP/1.1\r\nX: a\r\n\tb\r\n\r\n",
        "row 25: folded by a tab",
        ParseError::Folded,
    ),
    (
        b"GET / HTTP/1.1\r\nX: a\r\n \r\n\r\n",
        "row 25: folded, empty",
        ParseError::Folded,
    ),
    (b"GET  / HTTP/1.1\r\n\r\n", "two spaces", ParseError::RequestLine),
    (b"GET /  HTTP/1.1\r\n\r\n", "two spaces", ParseError::RequestLine),
    (b"GET / HTTP/1.1 \r\n\r\n", "space at the end", ParseError::RequestLine),
    (
        b" GET / HTTP/1.1\r\n\r\n",
        "space at the start",
        ParseError::RequestLine,
    ),
    (
        b"GET /a b HTTP/1.1\r\n\r\n",
        "space in the target",
        ParseError::RequestLine,
    ),
    (b"GET\r\n\r\n", "one word", ParseError::RequestLine),
    (b"GET\t/ HTTP/1.1\r\n\r\n", "tab for a space", ParseError::Method),
    (b"G(T / HTTP/1.1\r\n\r\n", "method is no token", ParseError::Method),
    (
        b"\x16\x03\x01\x02 / HTTP/1.1\r\n\r\n",
        "TLS to a plain port",
        ParseError::Method,
    ),
    (b"GET /f.txt#x HTTP/1.1\r\n\r\n", "row 39: fragment", ParseError::Target),
    (
        b"GET /a\x01 HTTP/1.1\r\n\r\n",
        "control byte in the target",
        ParseError::Target,
    ),
    (b"GET /a\x7f HTTP/1.1\r\n\r\n", "DEL in the target", ParseError::Target),
    (b"GET /a\rb HTTP/1.1\r\n\r\n", "CR in the target", ParseError::Target),
    (b"GET /\0 HTTP/1.1\r\n\r\n", "NUL in the target", ParseError::Target),
    (b"GET / HTTP/2.0\r\n\r\n", "row 38", ParseError::VersionNotSupported),
    (b"GET / HTTP/9.9\r\n\r\n", "row 38", ParseError::VersionNotSupported),
    (
        b"PRI * HTTP/2.0\r\n\r\n",
        "HTTP/2 preface",
        ParseError::VersionNotSupported,
    ),
    (b"GET / HTTP/1.10\r\n\r\n", "row 38", ParseError::Version),
    (b"GET / HTTP/01.1\r\n\r\n", "leading zero", ParseError::Version),
    (b"GET / http/1.1\r\n\r\n", "lower case", ParseError::Version),
    (b"GET / HTTP/1,1\r\n\r\n", "comma", ParseError::Version),
    (b"GET / HTTP/0.9\r\n\r\n", "0.9 has no version", ParseError::Version),
    (b"GET / HTTP/1.\r\n\r\n", "half a version", ParseError::Version),
    (b"GET / ICAP/1.0\r\n\r\n", "another protocol", ParseError::Version),
    (b"POST /\r\n", "0.9 with POST", ParseError::Simple),
    (b"GET HTTP/1.1\r\n", "no target", ParseError::Simple),
    (
        b"\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "eleven empty lines",
        ParseError::RequestLine,
    ),
];

#[test]
fn what_could_be_read_two_ways_is_refused() {
    for (input, why, want) in FAULTS {
        let (_, result) = parse(input, STRICT);
        assert_eq!(result, Err(*want), "{why}");
    }
}

#[test]
fn errors_have_their_status_and_a_sentence() {
    for (error, status) in [
        (ParseError::LineTooLong, Status::URI_TOO_LONG),
        (ParseError::FieldTooLarge, Status::FIELDS_TOO_LARGE),
        (ParseError::TooManyFields, Status::FIELDS_TOO_LARGE),
        (ParseError::HeadTooLarge, Status::FIELDS_TOO_LARGE),
        (ParseError::MethodNotRegistered, Status::NOT_IMPLEMENTED),
        (ParseError::VersionNotSupported, Status::VERSION_NOT_SUPPORTED),
        (ParseError::Folded, Status::BAD_REQUEST),
        (ParseError::BareLf, Status::BAD_REQUEST),
    ] {
        assert_eq!(error.status(), status);
        assert!(!error.to_string().ends_with('.'));
    }
}

#[test]
fn the_request_line_is_known_after_an_error() {
    for (input, line, target) in [
        (
            &b"GET /f.txt#x HTTP/1.1\r\n\r\n"[..],
            &b"GET /f.txt#x HTTP/1.1"[..],
            &b"/f.txt#x"[..],
        ),
        (b"GET /x HTTP/2.0\r\n", b"GET /x HTTP/2.0", b"/x"),
        (b"GET /x HTTP/1.1\nHost: a\n\n", b"GET /x HTTP/1.1", b""),
        (b"GET /x HTTP/1.1\r\nHost : a\r\n\r\n", b"GET /x HTTP/1.1", b"/x"),
        (
            b"total nonsense here and there\r\n",
            b"total nonsense here and there",
            b"",
        ),
    ] {
        let (head, result) = parse(input, STRICT);
        assert!(result.is_err());
        assert_eq!(head.request_line(), line);
        assert_eq!(head.target_bytes(), target);
    }
}

#[test]
fn versions_above_one_point_one_count_as_it() {
    assert_eq!(whole(b"GET / HTTP/1.2\r\n\r\n", STRICT).version(), Version::V11);
    assert_eq!(whole(b"GET / HTTP/1.9\r\n\r\n", STRICT).version(), Version::V11);
    assert_eq!(whole(b"GET / HTTP/1.0\r\n\r\n", STRICT).version(), Version::V10);
}

#[test]
fn simple_requests_end_with_their_line() {
    let (head, result) = parse(b"GET /old\r\nHost: ignored", STRICT);
    assert_eq!(result, Ok(Progress::Complete { consumed: 10 }));
    assert_eq!((head.version(), head.target_bytes()), (Version::V09, &b"/old"[..]));
    assert_eq!(head.field_count(), 0);
    let refusing = ProtocolOptions {
        http09: Http09::Refuse,
        ..STRICT
    };
    assert_eq!(parse(b"GET /old\r\n", refusing).1, Err(ParseError::Simple));
}

#[test]
fn methods_are_tokens_and_may_have_to_be_registered() {
    let registered = ProtocolOptions {
        methods: Methods::Registered,
        ..STRICT
    };
    for name in ["BREW", "get", "M-SEARCH"] {
        let input = format!("{name} / HTTP/1.1\r\n\r\n");
        assert_eq!(whole(input.as_bytes(), STRICT).method(), Method::Other);
        assert_eq!(
            parse(input.as_bytes(), registered).1,
            Err(ParseError::MethodNotRegistered)
        );
    }
    assert_eq!(
        whole(b"PROPFIND / HTTP/1.1\r\n\r\n", registered).method(),
        Method::PropFind
    );
}

#[test]
fn unsafe_accepts_what_old_clients_send() {
    let head = whole(
        b"\nGET \t /x   HTTP/1.1\nHost: a\r\nX-Long: one\r\n  two \r\n\tthree\n \nY: 1\n\n",
        UNSAFE,
    );
    assert_eq!((head.target_bytes(), head.version()), (&b"/x"[..], Version::V11));
    assert_eq!(head.field(b"x-long"), Some(&b"one two three"[..]));
    assert_eq!(head.field(b"y"), Some(&b"1"[..]));
    assert_eq!(head.field_count(), 3);
}

#[test]
fn unsafe_is_not_reckless() {
    for (input, want) in [
        (&b"GET / HTTP/1.1\n X: a\n\n"[..], ParseError::Folded),
        (b"GET / HTTP/1.1\nX : a\n\n", ParseError::FieldName),
        (b"GET / HTTP/1.1\nX: a\rb\n\n", ParseError::FieldValue),
        (b"GET / HTTP/1.1\nX: a\0\n\n", ParseError::FieldValue),
        (b"GET /#x HTTP/1.1\n\n", ParseError::Target),
        (b"GET / http/1.1\n\n", ParseError::Version),
        (b"GET /a b HTTP/1.1\n\n", ParseError::RequestLine),
        (b"GET\x0b/ HTTP/1.1\n\n", ParseError::Method),
    ] {
        assert_eq!(parse(input, UNSAFE).1, Err(want), "{}", input.escape_ascii());
    }
}

#[test]
fn a_line_at_the_limit_passes_and_one_byte_more_does_not() {
    let limits = HeadLimits {
        line: 32,
        field_size: 20,
        fields: 3,
    };
    let line = |length: usize| format!("GET /{} HTTP/1.1", "x".repeat(length - 14));
    for (input, want) in [
        (format!("{}\r\n\r\n", line(32)), None),
        (format!("{}\r\n\r\n", line(33)), Some(ParseError::LineTooLong)),
        (format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(17)), None),
        (
            format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(18)),
            Some(ParseError::FieldTooLarge),
        ),
        ("GET / HTTP/1.1\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n".to_owned(), None),
        (
            "GET / HTTP/1.1\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n\r\n".to_owned(),
            Some(ParseError::TooManyFields),
        ),
    ] {
        every_cut(input.as_bytes(), |begin, tail| {
            let mut head = RequestHead::new();
            let first = head.parse(begin, &limits, STRICT);
            match want {
                None if !tail.is_empty() => assert_eq!(first, Ok(Progress::Partial), "{input}"),
                Some(error) if first != Ok(Progress::Partial) => assert_eq!(first, Err(error), "{input}"),
                _ => {}
            }
        });
        let result = RequestHead::new().parse(input.as_bytes(), &limits, STRICT);
        assert_eq!(result.err(), want, "{input}");
    }
}

#[test]
fn a_line_without_end_is_refused_at_the_limit() {
    let mut head = RequestHead::new();
    let endless = [b"GET /".to_vec(), vec![b'x'; 9000]].concat();
    assert_eq!(
        head.parse(&endless, &HeadLimits::default(), STRICT),
        Err(ParseError::LineTooLong)
    );
    assert_eq!(head.request_line().len(), 8190);
    let endless = [b"GET / HTTP/1.1\r\nX: ".to_vec(), vec![b'x'; 9000]].concat();
    assert_eq!(
        head.parse(&endless, &HeadLimits::default(), STRICT),
        Err(ParseError::FieldTooLarge)
    );
    assert_eq!(head.request_line(), b"GET / HTTP/1.1");
    let mut folded = b"GET / HTTP/1.1\nX: ".to_vec();
    folded.extend_from_slice(&b"y\n ".repeat(9000));
    assert_eq!(
        head.parse(&folded, &HeadLimits::default(), UNSAFE),
        Err(ParseError::FieldTooLarge)
    );
}

#[test]
fn ten_thousand_fields_pass_where_they_are_allowed() {
    let mut input = b"GET / HTTP/1.1\r\n".to_vec();
    input.extend_from_slice(&b"Aa: 1\r\n".repeat(10_000));
    input.extend_from_slice(b"\r\n");
    assert_eq!(parse(&input, STRICT).1, Err(ParseError::TooManyFields));
    let mut head = RequestHead::new();
    let limits = HeadLimits {
        fields: 0,
        ..HeadLimits::default()
    };
    assert_eq!(
        head.parse(&input, &limits, STRICT),
        Ok(Progress::Complete { consumed: input.len() })
    );
    assert_eq!(head.field_count(), 10_000);
    assert_eq!(head.joined(b"aa").map(|all| all.len()), Some(29_998));
    let mut huge = b"GET / HTTP/1.1\r\n".to_vec();
    huge.extend_from_slice(
        &[b"X: ".to_vec(), vec![b'x'; 8000], b"\r\n".to_vec()]
            .concat()
            .repeat(2200),
    );
    assert_eq!(head.parse(&huge, &limits, STRICT), Err(ParseError::HeadTooLarge));
}

#[test]
fn fields_can_be_changed_after_parsing() {
    let mut head = whole(TYPICAL, STRICT);
    head.set_field(b"Host", b"other.example");
    head.append_field(b"X-New", b"1\r\nX-Evil: 1");
    assert!(head.remove_field(b"cookie"));
    assert!(!head.remove_field(b"cookie"));
    assert_eq!(head.field(b"host"), Some(&b"other.example"[..]));
    assert_eq!(head.field(b"x-new"), Some(&b"1  X-Evil: 1"[..]));
    assert_eq!(head.field(b"x-evil"), None);
    assert_eq!(head.field_count(), 7);
    head.clear();
    assert_eq!((head.field_count(), head.request_line()), (0, &b""[..]));
}

#[test]
fn whatever_is_accepted_is_well_formed() {
    for at in 0..TYPICAL.len() {
        for odd in *b"\0\t\n\x0b\r \"#%,:;=?\x7f\x80\xff" {
            let mut input = TYPICAL.to_vec();
            input[at] = odd;
            for options in [STRICT, UNSAFE] {
                let (head, result) = parse(&input, options);
                if matches!(result, Ok(Progress::Complete { .. })) {
                    assert!(is_token(head.method_bytes()));
                    assert!(head.target_bytes().iter().all(|byte| *byte > b' ' && *byte != 0x7f));
                    assert!(
                        head.fields()
                            .all(|(name, value)| is_token(name) && is_field_value(value))
                    );
                }
            }
        }
    }
}
