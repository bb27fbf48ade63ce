//! A head is the same whatever head was read before it.

use crate::base::testing::Dice;
use crate::http::head::tests::{FAULTS, STRICT, TYPICAL, UNSAFE};
use crate::http::head::whole::tests::{all_of, corpus};
use crate::http::head::{HeadLimits, Methods, Progress, ProtocolOptions, RequestHead};
use crate::http::method::Method;

const LINES: &str = "Host: a\r\nUser-Agent: b\r\nAccept: */*\r\n\r\n";

fn head(line: &str, lines: &str) -> Vec<u8> {
    format!("{line}\r\n{lines}").into_bytes()
}

fn read(into: &mut RequestHead, input: &[u8]) {
    let result = into.parse(input, &HeadLimits::default(), STRICT);
    assert!(
        matches!(result, Ok(Progress::Complete { .. })),
        "{}",
        input.escape_ascii()
    );
}

/// One that has read this, and is empty again.
fn behind(input: &[u8]) -> RequestHead {
    let mut before = RequestHead::new();
    read(&mut before, input);
    before.clear();
    before
}

fn is_read_again(before: &RequestHead, input: &[u8], limits: &HeadLimits, options: ProtocolOptions) -> bool {
    let (mut again, mut fresh) = (behind_of(before), RequestHead::new());
    let was_read = again.read_again(input, limits, options).is_some();
    let (mut whole, result) = (behind_of(before), fresh.parse(input, limits, options));
    let what = input.escape_ascii();
    assert_eq!(whole.parse(input, limits, options), result, "{what}");
    assert_eq!(all_of(&whole), all_of(&fresh), "{what}");
    for head in [&whole, &again, &fresh] {
        let hosts: Vec<_> = head.values(b"host").collect();
        assert!(head.only_host().is_none_or(|host| hosts == [host]), "{what}");
    }
    if was_read {
        assert_eq!(all_of(&again), all_of(&fresh), "{what}");
    } else {
        assert!(again.line.is_empty() && again.fields.is_empty(), "{what}");
    }
    was_read
}

/// A copy with what the next head is compared with.
fn behind_of(before: &RequestHead) -> RequestHead {
    let mut copy = before.clone();
    copy.earlier.fields = before.earlier.fields.clone();
    copy.earlier.lines = before.earlier.lines.clone();
    copy
}

#[test]
fn the_same_lines_behind_any_request_line_are_not_read_again() {
    let (before, usual) = (behind(&head("GET / HTTP/1.1", LINES)), HeadLimits::default());
    for (line, want) in [
        ("GET / HTTP/1.1", true),
        ("HEAD /a?b=%20 HTTP/1.0", true),
        ("POST * HTTP/1.1", true),
        ("GET http://a/ HTTP/1.1", true),
        ("GET /caf\u{e9} HTTP/1.1", true),
        ("PUT / HTTP/1.1", false),
        ("get / HTTP/1.1", false),
        ("GET /#a HTTP/1.1", false),
        ("GET /\u{7f} HTTP/1.1", false),
        ("GET  / HTTP/1.1", false),
        ("GET / HTTP/1.1 ", false),
        ("GET / HTTP/1.2", false),
        ("GET  HTTP/1.1", false),
        ("GET /", false),
        ("", false),
    ] {
        for rest in ["", "GET / HTTP/1.1\r\n\r\n", "x"] {
            let input = [head(line, LINES), rest.into()].concat();
            assert_eq!(is_read_again(&before, &input, &usual, STRICT), want, "{line}");
            let registered = ProtocolOptions {
                methods: Methods::Registered,
                ..UNSAFE
            };
            assert_eq!(is_read_again(&before, &input, &usual, registered), want, "{line}");
        }
    }
    let mut next = behind(&head("GET / HTTP/1.1", LINES));
    let input = head("HEAD /a HTTP/1.0", LINES);
    assert_eq!(next.read_again(&input, &usual, STRICT), Some(input.len()));
    assert_eq!((next.method(), next.method_bytes()), (Method::Head, &b"HEAD"[..]));
    assert_eq!((next.target_bytes(), next.only_host()), (&b"/a"[..], Some(&b"a"[..])));
}

#[test]
fn other_lines_and_other_limits_are_read() {
    let before = behind(&head("GET / HTTP/1.1", LINES));
    let usual = HeadLimits::default();
    for lines in [
        "\r\n",
        "Host: a\r\nUser-Agent: b\r\n\r\n",
        "Host: a\r\nUser-Agent: b\r\nAccept: */*\r\nX: y\r\n\r\n",
        "Host: A\r\nUser-Agent: b\r\nAccept: */*\r\n\r\n",
        "Host: a\nUser-Agent: b\r\nAccept: */*\r\n\r\n",
        "Host: a\r\nUser-Agent: b\r\nAccept: */*\r\n",
    ] {
        let input = head("GET / HTTP/1.1", lines);
        assert!(!is_read_again(&before, &input, &usual, UNSAFE), "{lines}");
    }
    let input = head("GET / HTTP/1.1", LINES);
    for limits in [
        HeadLimits { field_size: 6, ..usual },
        HeadLimits { fields: 2, ..usual },
        HeadLimits { line: 13, ..usual },
    ] {
        assert!(!is_read_again(&before, &input, &limits, STRICT), "{limits:?}");
    }
}

#[test]
fn lines_that_were_changed_or_that_name_a_user_are_forgotten() {
    let input = head("GET / HTTP/1.1", LINES);
    let changes: [fn(&mut RequestHead); 4] = [
        |head| head.set_field(b"Host", b"c"),
        |head| head.append_field(b"Via", b"c"),
        |head| _ = head.remove_field(b"Host"),
        |head| head.fields_mut().clear(),
    ];
    for change in changes {
        let mut before = RequestHead::new();
        read(&mut before, &input);
        change(&mut before);
        assert_eq!(before.only_host(), None);
        before.clear();
        assert!(!is_read_again(&before, &input, &HeadLimits::default(), STRICT));
    }
    for secret in ["Authorization: Basic YTpi", "cookie: a=b", "Proxy-Authorization: x"] {
        let input = head("GET / HTTP/1.1", &format!("{secret}\r\n{LINES}"));
        assert!(
            !is_read_again(&behind(&input), &input, &HeadLimits::default(), STRICT),
            "{secret}"
        );
    }
    let two = head("GET / HTTP/1.1", &format!("host: b\r\n{LINES}"));
    let before = behind(&two);
    assert!(is_read_again(&before, &two, &HeadLimits::default(), STRICT));
    let mut again = behind_of(&before);
    read(&mut again, &two);
    assert_eq!((again.only_host(), again.field(b"host")), (None, Some(&b"b"[..])));
}

#[test]
fn whatever_was_read_before_a_head_is_the_same() {
    let mut inputs = corpus();
    inputs.extend(FAULTS.iter().map(|(input, _, _)| input.to_vec()));
    inputs.extend([
        TYPICAL.to_vec(),
        head("GET / HTTP/1.1", LINES),
        head("GET / HTTP/1.0", "\r\n"),
    ]);
    let (mut dice, mut again) = (Dice::new(23), 0);
    for before in &inputs {
        let mut used = RequestHead::new();
        let limits = HeadLimits::default();
        let _ = used.parse(before, &limits, STRICT);
        used.clear();
        for input in inputs.iter().filter(|input| input.len() <= 512) {
            is_read_again(&used, input, &limits, STRICT);
        }
        for _ in 0..200 {
            let mut damaged = before.clone();
            dice.damage(&mut damaged);
            again += usize::from(is_read_again(&used, &damaged, &limits, UNSAFE));
        }
    }
    // Where the damage is in the request line, and that is one still.
    assert!(again > 50, "{again}");
}
