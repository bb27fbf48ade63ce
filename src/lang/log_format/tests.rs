//! Tests: formats compiled and written.

mod finished;

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use finished::{Finished, Pass};

use super::record::ConnectionState;
use super::{LogFormat, LogFormatError, NICKNAMES, escape};
use crate::lang::local_time;
use crate::lang::vars::testing::Table;

const SECOND: u64 = 1_795_170_787;

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// The request that Apache 2.4.71 was asked: a query, odd fields, two cookies.
fn vars() -> Table {
    Table {
        request: vec![
            ("Host", b"xx.example:99"),
            ("Referer", b"\"a\\b\x09\xc3\xa9\xff~"),
            ("User-Agent", b"ua"),
            ("X-Empty", b""),
            ("Cookie", b"z=1; a = hello ; B=\"q w\"; a=second"),
        ],
        response: vec![("X-Out", b"o\"ut"), ("Content-Type", b"text/html; charset=iso-8859-1")],
        env: vec![("EV", b"ev\"\\\x80")],
        ..Table::default()
    }
}

fn record(vars: &Table) -> Finished<'_> {
    let first = Pass {
        method: Some(b"GET"),
        path: Some(b"/index.html"),
        query: Some(b"a=b%22"),
        status: 200,
        user: None,
        filename: Some(b"/srv/docs/index.html"),
        handler: None,
    };
    Finished {
        vars,
        request_line: Some(b"GET /?a=b%22 HTTP/1.1"),
        protocol: b"HTTP/1.1",
        first,
        last: first,
        body_bytes: 6,
        bytes_in: 168,
        bytes_out: 238,
        started: SystemTime::UNIX_EPOCH + Duration::new(SECOND, 7_618_999),
        duration: Duration::from_micros(1_500_483),
        first_byte: Some(Duration::from_micros(204)),
        client: address("192.0.2.7:4444"),
        peer: address("127.0.0.1:5555"),
        local: address("[::1]:18312"),
        remote_host: None,
        keepalive_number: 0,
        connection: ConnectionState::Closed,
        log_id: None,
        server_name: b"s.example",
        canonical_name: b"xx.example",
        server_port: 18311,
        pid: 10894,
        tid: 0x1f,
    }
}

fn line(format: &str, record: &Finished<'_>) -> String {
    let mut out = Vec::new();
    LogFormat::parse(format).expect(format).append(record, &mut out);
    assert_eq!(out.pop(), Some(b'\n'), "{format}");
    String::from_utf8(out).expect("escaped text is ASCII")
}

/// What a line says does not depend on what stands before and behind it, nor does it change what stands there.
#[test]
fn a_line_is_its_parts_one_after_the_other() {
    let vars = vars();
    let record = record(&vars);
    let mut parts: Vec<String> = "aAbBDfhHIkLlmOpPqrRsSTuUvVX"
        .chars()
        .flat_map(|letter| {
            [
                format!("%{letter}"),
                format!("%>{letter}"),
                format!("%!200,304{letter}"),
            ]
        })
        .collect();
    for (name, letters) in [
        ("Referer", "ione"),
        ("User-Agent", "i"),
        ("EV", "e"),
        ("a", "C"),
        ("SSL_PROTOCOL", "x"),
        ("errstr", "c"),
        ("c", "ahL"),
        ("local", "p"),
        ("tid", "P"),
        ("hextid", "P"),
        ("ms", "T"),
        ("zzz", "T"),
        ("end:usec", "t"),
        ("%F %T", "t"),
        ("Content-Type", "o"),
    ] {
        parts.extend(letters.chars().map(|letter| format!("%{{{name}}}{letter}")));
    }
    for literal in [
        "",
        " ",
        "\" \"",
        "1234567",
        "12345678",
        "123456789",
        "%%",
        &"longer ".repeat(9),
    ] {
        parts.push(literal.to_owned());
    }
    let alone: Vec<String> = parts.iter().map(|part| line(part, &record)).collect();
    for step in 1..parts.len() {
        let order = || (0..parts.len()).map(|n| n * step % parts.len());
        let whole: String = order().map(|n| parts[n].as_str()).collect();
        let want: String = order().map(|n| alone[n].as_str()).collect();
        assert_eq!(line(&whole, &record), want, "{whole}");
    }
}

/// Numbers and addresses, of which the most frequent are not written by the standard library.
#[test]
fn numbers_and_addresses_are_written_as_usual() {
    let vars = Table::default();
    let mut record = record(&vars);
    for number in (0..70_000).chain((0..64).flat_map(|bit| [(1 << bit) - 1, 1 << bit, u64::MAX - (1 << bit)])) {
        record.bytes_out = number;
        assert_eq!(line("%O", &record), number.to_string());
    }
    for octet in 0..=255_u8 {
        for other in [0, 9, 10, 99, 100, 255] {
            record.client.set_ip([octet, other, 255 - octet, other].into());
            assert_eq!(line("%h|%a", &record), format!("{0}|{0}", record.client.ip()));
        }
    }
    for text in ["::", "::1", "2001:db8::7", "::ffff:192.0.2.1", "fe80::1:2:3:4"] {
        record.client.set_ip(text.parse().expect("an address"));
        assert_eq!(line("%h", &record), text);
    }
}

/// Formats and the lines that Apache 2.4.71 wrote for the same request (numbers of time and port adapted).
#[test]
fn every_directive_writes_what_apache_writes() {
    let vars = vars();
    let record = record(&vars);
    let table = [
        (
            "h=%h l=%l u=%u r=\"%r\" s=%s >s=%>s b=%b B=%B",
            "h=192.0.2.7 l=- u=- r=\"GET /?a=b%22 HTTP/1.1\" s=200 >s=200 b=6 B=6",
        ),
        (
            "ref=%{Referer}i ua=%{user-agent}i",
            r#"ref=\"a\\b\t\xc3\xa9\xff~ ua=ua"#,
        ),
        (
            "m=%m U=%U q=%q H=%H f=%f R=%R",
            "m=GET U=/index.html q=?a=b%22 H=HTTP/1.1 f=/srv/docs/index.html R=-",
        ),
        (
            "a=%a ca=%{c}a A=%A hc=%{c}h hx=%{foo}h",
            "a=192.0.2.7 ca=127.0.0.1 A=::1 hc=127.0.0.1 hx=192.0.2.7",
        ),
        (
            "p=%p %{canonical}p %{local}p %{remote}p %{zzz}p",
            "p=18311 18311 18312 4444 zzz",
        ),
        (
            "k=%k L=%L cL=%{c}L v=%v V=%V X=%X",
            "k=0 L=- cL=- v=s.example V=xx.example X=-",
        ),
        (
            "e=%{EV}e miss=%{NO}e emp=%{X-Empty}i no=%{}i",
            r#"e=ev\"\\\x80 miss=- emp= no=-"#,
        ),
        ("ck=%{a}C ckB=%{B}C n=%{nn}n", r#"ck=hello ckB=\"q w\" n=-"#),
        (
            "o=%{X-Out}o ct=%{Content-Type}o ti=%{X}^ti to=%{X}^to",
            r#"o=o\"ut ct=text/html ti=- to=-"#,
        ),
        (
            "%400,501{Referer}i %!200,304{Referer}i %!400{X}<s %<!404{X}>s %404>s",
            "- - 200 200 -",
        ),
        (
            "s=%{sec}t ms=%{msec}t us=%{usec}t",
            "s=1795170787 ms=1795170787007 us=1795170787007618",
        ),
        ("mf=%{msec_frac}t uf=%{usec_frac}t", "mf=007 uf=007618"),
        (
            "es=%{end:sec}t %{endsec}t BS=%{BEGIN:sec}t foo=%{foo}t",
            "es=1795170788 1795170788 BS=BEGIN:sec foo=foo",
        ),
        (
            "T=%T %{s}T %{ms}T %{us}T %{foo}T D=%D",
            "T=1 1 1500 1500483 foo D=1500483",
        ),
        ("P=%P %{pid}P %{tid}P %{hextid}P %{foo}P", "P=10894 10894 31 1f foo"),
        ("I=%I O=%O S=%S FB=%^FB", "I=168 O=238 S=406 FB=204"),
        (
            "back\\slash -\\t-\\n-\\r-\\q-\\x41 \\\\ \\\"%% %h\"",
            "back\\slash -\t-\n-\r-\\q-\\x41 \\ \\\"% 192.0.2.7\"",
        ),
        ("%{a\\}b}i", "6}i"),
    ];
    for (format, want) in table {
        assert_eq!(line(format, &record), want, "{format}");
    }
}

#[test]
fn redirected_requests_write_the_right_pass() {
    let vars = vars();
    let mut record = record(&vars);
    record.request_line = Some(b"GET /missing%22x\xe9?q=\xe9\"\\ HTTP/1.1");
    record.first.path = Some(b"/missing\"x\xe9");
    record.first.status = 401;
    record.last.path = Some(b"/err.html");
    record.last.query = None;
    record.last.status = 404;
    record.last.user = Some(b"u \"x");
    let table = [
        (
            "U=%U <U=%<U >U=%>U",
            r#"U=/missing\"x\xe9 <U=/missing\"x\xe9 >U=/err.html"#,
        ),
        ("q=%q <q=%<q", "q= <q=?a=b%22"),
        ("s=%s >s=%>s %401{x}s %404{x}s", "s=401 >s=404 - 401"),
        ("u=%u <u=%<u", "u=u \\\"x <u=-"),
        ("%r", r#"GET /missing%22x\xe9?q=\xe9\"\\ HTTP/1.1"#),
    ];
    for (format, want) in table {
        assert_eq!(line(format, &record), want, "{format}");
    }
}

#[test]
fn what_is_missing_is_a_dash_and_an_empty_user_two_quotes() {
    let vars = Table::default();
    let mut record = record(&vars);
    record.request_line = None;
    record.first = Pass::default();
    record.last = Pass {
        user: Some(b""),
        ..Pass::default()
    };
    record.body_bytes = 0;
    record.first_byte = None;
    let got = line("%r %m %U %f %R %s %b %B %u %<u %q|%^FB %{a}C %{X}i", &record);
    assert_eq!(got, r#"- - - - - - - 0 "" - |- - -"#);
}

#[test]
fn dates_are_the_common_log_format() {
    let vars = vars();
    let record = record(&vars);
    let begin = String::from_utf8(local_time::clf(SECOND).to_vec()).expect("ASCII");
    let end = String::from_utf8(local_time::clf(SECOND + 1).to_vec()).expect("ASCII");
    for format in ["%t", "%{}t", "%{begin}t", "%{begin:}t"] {
        assert_eq!(line(format, &record), begin);
    }
    for format in ["%{end}t", "%{end:}t"] {
        assert_eq!(line(format, &record), end);
    }
}

#[test]
fn passwords_in_the_request_line_are_crossed_out() {
    let vars = vars();
    let mut record = record(&vars);
    let table: [(&[u8], &str); 5] = [
        (
            b"GET http://us:pw@h/abs?x HTTP/1.1",
            "GET http://us:XXXXXXXX@h/abs?x HTTP/1.1",
        ),
        (b"GET http://us@h/a:b@c HTTP/1.1", "GET http://us@h/a:b@c HTTP/1.1"),
        (b"GET /http://us:pw@h/ HTTP/1.1", "GET /http://us:pw@h/ HTTP/1.1"),
        (b"GET http://us:p@w@h", "GET http://us:XXXXXXXX@h"),
        (b"GET", "GET"),
    ];
    for (text, want) in table {
        record.request_line = Some(text);
        assert_eq!(line("%r", &record), want);
    }
}

/// The golden text is `%U` of Apache 2.4.71 for a path of all bytes.
#[test]
fn all_bytes_are_escaped_as_in_apache() {
    let all: Vec<u8> = (1..=255).filter(|b| *b != b'/').collect();
    let mut want =
        String::from(r"\x01\x02\x03\x04\x05\x06\x07\b\t\n\v\x0c\r\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19");
    want.push_str(r##"\x1a\x1b\x1c\x1d\x1e\x1f !\"#$%&'()*+,-.0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`"##);
    want.push_str(r"abcdefghijklmnopqrstuvwxyz{|}~\x7f");
    want.extend((0x80..=0xff).map(|b| format!(r"\x{b:02x}")));
    let mut out = Vec::new();
    escape::access(&all, &mut out);
    assert_eq!(String::from_utf8(out).expect("ASCII"), want);
    let mut out = Vec::new();
    escape::error(b"a \"b\" \\ \n", &mut out);
    assert_eq!(out, br#"a "b" \\ \n"#);
}

/// Each is refused by Apache 2.4.71 too.
#[test]
fn wrong_formats_are_refused_with_a_sentence() {
    let table = [
        ("%{x", "`%{x` has `{` without `}`"),
        ("%", "`%` ends before the letter of the directive"),
        ("%{}", "`%{}` ends before the letter of the directive"),
        ("%400", "`%400` ends before the letter of the directive"),
        ("%99999s", "`99999` in `%99999s` is not a status code"),
        (
            "%^ZZ",
            "`%^ZZ` is not a directive of a log format; write `%%` for a percent sign",
        ),
        (
            "%{x}^t",
            "`%^t` is not a directive of a log format; write `%%` for a percent sign",
        ),
        (
            "%é",
            "`%é` is not a directive of a log format; write `%%` for a percent sign",
        ),
        (
            "%>%",
            "`%%` is not a directive of a log format; write `%%` for a percent sign",
        ),
        (
            "%y",
            "`%y` is not a directive of a log format; write `%%` for a percent sign",
        ),
    ];
    for (format, want) in table {
        assert_eq!(
            LogFormat::parse(format),
            Err(LogFormatError(want.to_owned())),
            "{format}"
        );
    }
}

#[test]
fn every_cut_of_a_format_is_compiled_or_refused() {
    let format = r"%h é%{c}a \n\%!200,304{Referer}i %^FB %{end:%d/%b}t %%%{X}^ti";
    for end in (0..=format.len()).filter(|end| format.is_char_boundary(*end)) {
        let _ = LogFormat::parse(&format[..end]);
    }
}

#[test]
fn nicknames_are_ready_made() {
    let vars = vars();
    let record = record(&vars);
    for (name, format) in NICKNAMES {
        assert_eq!(LogFormat::named(name), LogFormat::parse(format).ok(), "{name}");
    }
    assert_eq!(LogFormat::named("combine"), None);
    let mut out = Vec::new();
    LogFormat::named("vhost_combined")
        .expect("known")
        .append(&record, &mut out);
    let date = local_time::clf(SECOND);
    let want = format!(
        "s.example:18311 192.0.2.7 - - {} \"GET /?a=b%22 HTTP/1.1\" 200 238 \"{}\" \"ua\"\n",
        str::from_utf8(&date).expect("ASCII"),
        r#"\"a\\b\t\xc3\xa9\xff~"#
    );
    assert_eq!(String::from_utf8(out).expect("ASCII"), want);
}

#[test]
fn json_is_one_object_a_line() {
    let vars = vars();
    let mut record = record(&vars);
    record.last.user = Some("j\u{f6}rg\u{1}".as_bytes());
    record.request_line = Some(b"GET http://us:pw@h/?a=b%22 HTTP/1.1");
    let mut out = Vec::new();
    LogFormat::named("json").expect("known").append(&record, &mut out);
    let want = concat!(
        r#"{"time":"2026-11-20T10:33:07.007618Z","client":"192.0.2.7","user":"jörg\u0001","method":"GET","#,
        r#""target":"http://us:XXXXXXXX@h/?a=b%22","protocol":"HTTP/1.1","status":200,"site":"s.example","#,
        r#""host":"xx.example:99","path":"/index.html","query":"a=b%22","handler":null,"body_bytes":6,"bytes_in":168,"#,
        r#""bytes_out":238,"duration_us":1500483,"referer":"\"a\\b\t\u00c3\u00a9\u00ff~","user_agent":"ua"}"#,
        "\n"
    );
    assert_eq!(String::from_utf8(out).expect("UTF-8"), want);
}

#[test]
fn the_first_bytes_time_is_asked_for_when_it_is_written() {
    assert!(LogFormat::parse("%h %^FB").expect("valid").wants_first_byte());
    assert!(!LogFormat::parse("%h").expect("valid").wants_first_byte());
}
