//! Tests: expressions parsed and evaluated.

use super::{Expr, NoValue, StringExpr, Trust};
use crate::lang::vars::testing::Table;

/// The request that Apache 2.4.71 was asked.
fn vars() -> Table {
    Table {
        request: vec![("Host", b"Host.Example"), ("User-Agent", b"ua/12"), ("X-A", b"va")],
        response: vec![("X-Out", b"out")],
        env: vec![("EV", b"x")],
        os_env: vec![("OSV", b"y")],
        variables: vec![
            ("REMOTE_ADDR", b"127.0.0.1"),
            ("CONN_REMOTE_ADDR", b"127.0.0.1"),
            ("REQUEST_METHOD", b"GET"),
            ("REQUEST_URI", b"/index.html"),
            ("QUERY_STRING", b"q=1"),
            ("THE_REQUEST", b"GET /?q=1 HTTP/1.0"),
            ("SERVER_PORT", b"18313"),
        ],
        files: vec![("/docs/index.html", b"hello\n"), ("/docs/", b""), ("/docs/link@", b"")],
        ..Table::default()
    }
}

const TRUE: &[&str] = &[
    "true",
    "not false",
    "true && false || true",
    "true || false && false",
    "!true || true",
    "! ( true && false )",
    "true and true or false",
    "-n 'x'",
    "-z ''",
    "-T 'x'",
    "-n %{HTTP_HOST}",
    "'a' == 'a'",
    "'a' != 'b'",
    "'a' < 'b'",
    "'B' < 'a'",
    "'10' < '9'",
    "10 -gt 9",
    "10 gt 9",
    "'12abc' -eq 12",
    "' 12' -eq 12",
    "'+12' -eq 12",
    "'-3' -lt 2",
    "-3 -lt 2",
    "'abc' -eq 0",
    "5 -le 5 && 5 -ge 5 && 5 -ne 6 && 5 -eq 5",
    "'a' in { 'a', 'b' }",
    "'1' in {1, 2}",
    "%{http:x-a} == 'va'",
    "%{HTTP_USER_AGENT} =~ m#^ua/[0-9]+$#",
    "%{HTTP_USER_AGENT} =~ m#^UA/#i",
    "%{HTTP_USER_AGENT} !~ m#^UA/#",
    "%{HTTP_USER_AGENT} =~ m,^ua,",
    "%{HTTP_USER_AGENT} =~ m#^(u)(a)# && $1 == 'u' && '$2$0' == 'aua'",
    "%{HTTP_USER_AGENT} =~ m#^(u)(a)# && 'x' =~ /y/ && true || $1 == 'u'",
    "%{HTTP_USER_AGENT} =~ m#^(u)(a)# && !('x' =~ /(y)/) && $1 == ''",
    "%{HTTP_USER_AGENT} =~ m#^(u)(a)# && $5 == ''",
    "'$1' == ''",
    "'a$' == 'a' . '$'",
    "'100%' == '100' . '%'",
    r#""it's" == 'it' . "'" . 's'"#,
    r#"'a\'b' == "a'b""#,
    r"'a\x41' == 'ax41'",
    r"'\101\n' =~ /^A\n$/",
    r"'\q' == 'q'",
    r"'tab\t' =~ /\t$/",
    "'a' . 'b' == 'ab'",
    "1.2 == '12'",
    "-R '127.0.0.0/8'",
    "%{REMOTE_ADDR} -ipmatch '127.0.0.1'",
    "'10.1.2.3' -ipmatch '10.1.0.0/255.255.0.0'",
    "'::1' -ipmatch '::/64'",
    "'abc' -strmatch 'a*c'",
    "'a/c' -strmatch 'a*c'",
    "'aBc' -strcmatch 'ABC'",
    "'abc' -fnmatch 'a*c'",
    "'abc' -STRMATCH 'a*'",
    "md5('foo') == 'acbd18db4cc2f85cedef654fccc4a4d8'",
    "tolower('ABC') == 'abc'",
    "sha1('foo') == '0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33'",
    "toupper(tolower('Ab') . 'c') == 'ABC'",
    "reqenv('EV') == 'x'",
    "%{reqenv:EV} == 'x'",
    "env('EV') == 'x'",
    "osenv('OSV') == 'y'",
    "env('OSV') == 'y'",
    "note('none') == ''",
    "%{ENV:EV} == 'x'",
    "%{request_method} == 'GET'",
    "%{tolower:%{HTTP_HOST}} == 'host.example'",
    "'%{HTTP_HOST}x' == 'Host.Examplex'",
    "%{IS_SUBREQ} == 'false'",
    "%{HTTPS} == 'off'",
    "%{IPV6} == 'off'",
    "%{REQUEST_URI} == '/index.html'",
    "%{QUERY_STRING} == 'q=1'",
    "%{THE_REQUEST} == 'GET /?q=1 HTTP/1.0'",
    "%{SERVER_PORT} == 18313",
    "filesize('/docs/index.html') -eq 6",
    "filesize('/nonexist') == '0'",
    r"file('/docs/index.html') == 'hello' . '\n'",
    "unbase64('aGVsbG8=') == 'hello'",
    "%{HTTP_FORWARDED} == ''",
    "%{CONN_REMOTE_ADDR} == '127.0.0.1'",
    "%{HTTP2} == 'off'",
    "%{md5:foo} == 'acbd18db4cc2f85cedef654fccc4a4d8'",
    "'x' =~ m|x|",
    r#"'x' =~ m"x""#,
    "true&&true",
    "!true||true",
    "'a'=='a'",
    "-n'x'",
    "%{REQUEST_URI}=~/^./",
    r"'\\' == '\134'",
    r"'\}' == '}'",
    r"%{tolower:A\}B} == 'a}b'",
    "%{tolower:A$B%C} == 'a$b%c'",
    "%{tolower: A } == ' a '",
    "%{HTTP_HOST} in {'host.example', 'Host.Example'}",
    "-1 -eq '-1'",
    "unescape('a%2fb%41') == 'a%2fbA'",
    "unescape('a%00') == ''",
    "unescape('a%zz') == ''",
    "'a' < 'ab'",
    "'a' >= 'a'",
    "'é' == 'é'",
    "'' == ''",
    "(('a' == 'a'))",
];

const FALSE: &[&str] = &[
    "false",
    "!true",
    "-T 'off'",
    "-T 'No'",
    "-T ''",
    "-T '0'",
    "'a' = 'b'",
    "'10' -lt '9'",
    "'c' -in {'a','b'}",
    "-R '10.0.0.0/8'",
    "'zz' -ipmatch '10.0.0.0/8'",
    "'aBc' -strmatch 'abc'",
    "'a/c' -fnmatch 'a*c'",
    "-e '/nonexist'",
    "ldap('a,b') == ''",
    r#"escape("a b/c?d#é;:@&=+$,'()~!*") == ''"#,
    "'a' lt 'b'",
];

const REFUSED: &[&str] = &[
    r"%{HTTP_USER_AGENT} =~ /^ua\/[0-9]+$/",
    "%{HTTP_USER_AGENT} =~ m#^ua#x",
    "'a' == 'a' &&",
    "'a'",
    "== 'a'",
    "'a' == ",
    "true true",
    "(true",
    "'a' in 'a'",
    "'a' in {}",
    "'unterminated",
    "%{FOO} == ''",
    "%{FOO:x} == ''",
    "foo('x') == ''",
    "-b 'x'",
    "'x' -foo 'y'",
    "'x' =~ 'y'",
    "'x' =~ /(/",
    "-R %{REMOTE_ADDR}",
    "-R 'zz'",
    "%{HTTP_HOST",
    "%{HTTP HOST} == ''",
    r"'\400' == ''",
    r"'\9' == ''",
    "x",
    "!",
    "'x' & 'y'",
    "replace('abc', 'b', 'x') == 'axc'",
    "'a' in split(/,/, 'a,b')",
    "%{SERVER_ADDR} == ''",
    "%{SERVER_PROTOCOL_VERSION} == '1000'",
    "%{SERVER_PROTOCOL_VERSION_MAJOR} == '1'",
    "%{HTTP_FOO} == ''",
    "v('EV') == 'x'",
    "'a' == 'a' || 'b' =~ m/(/",
    "m == 1",
    "'%{HTTP_HOST' == 'x'",
    "tolower('A', 'B') == 'a'",
    "'x' =~ m x ",
    r"'a/b' =~ /a\/b/",
    "10-eq10",
    "%{tolower:} == ''",
    r#"tolower "A" == 'a'"#,
    "'a' not 'b'",
    "TRUE",
    "True",
    "AND",
    "true AND true",
    "'a' IN {'a'}",
    "'x' -EQ 'x'",
    "-N 'x'",
];

/// Expressions and their values in Apache 2.4.71.
#[test]
fn conditions_are_what_they_are_in_apache() {
    let vars = vars();
    for (rows, want) in [(TRUE, true), (FALSE, false)] {
        for text in rows {
            let expr = Expr::parse(text, Trust::Full).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(expr.eval(&vars), Ok(want), "{text}");
        }
    }
}

/// Apache 2.4.71 refuses each of them.
#[test]
fn what_apache_refuses_is_refused_with_a_sentence() {
    for text in REFUSED {
        let error = Expr::parse(text, Trust::Full).expect_err(text);
        assert!(!error.0.is_empty() && error.0.len() < 160, "{text}: {error}");
    }
    let table = [
        ("%{FOO} == ''", "`FOO` is not a variable"),
        (
            "%{HTTP_X_Y} == ''",
            "`HTTP_X_Y` is not a variable; a field is written `%{req:X-Y}`",
        ),
        ("foo('x') == ''", "`foo` is not a function"),
        ("'x' -foo 'y'", "`-foo` is not an operator"),
        ("'a' == 'a' &&", "the expression ends too early"),
        ("'x' & 'y'", "`& 'y'` is not expected there"),
        ("(true", "the expression ends too early; `)` is missing"),
        ("'a'", "a word alone is no condition; `-n` asks whether it is not empty"),
        ("'x' =~ 'y'", "`=~` and `!~` need a pattern such as `/…/` or `m#…#`"),
        (
            "-R %{REMOTE_ADDR}",
            "`-R` needs a network in quotes, not `%{REMOTE_ADDR}`",
        ),
        (
            "-R 'zz'",
            "`zz` is not a network such as `10.0.0.0/8` or `2001:db8::/32`",
        ),
        (
            r"'a\000' == ''",
            r"`\000` would end the string in Apache, and is refused here",
        ),
        ("'unterminated", "a string has no closing `'`"),
    ];
    for (text, want) in table {
        let error = Expr::parse(text, Trust::Full).expect_err(text);
        assert_eq!(error.0, want);
    }
}

/// Strings and what Apache 2.4.71 makes of them.
#[test]
fn strings_are_what_they_are_in_apache() {
    let vars = vars();
    let table: [(&str, &str); 26] = [
        ("plain", "plain"),
        ("", ""),
        ("%", "%"),
        ("$", "$"),
        ("%{HTTP_HOST}/x%{REQUEST_URI}", "Host.Example/x/index.html"),
        ("a'b\"c", "a'b\"c"),
        ("100% $ $1 }", "100% $  }"),
        ("%{md5:%{HTTP_HOST}}", "dd8256ab0a392eabc078310be0f65db9"),
        ("%{sha1:foo}", "0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33"),
        (r"%{base64:hello\n}", "aGVsbG8K"),
        ("%{unbase64:aGVsbG8gd29ybGQ=}", "hello world"),
        (r"%{unbase64:aGVs\bG8=}", "hel"),
        ("%{unbase64:aABi}", "h"),
        ("%{unbase64:a-_b!}", ""),
        ("%{unbase64:YWI}", "ab"),
        ("%{unescape:a%2Fb%41+%c3%a9}", "a%2FbA+é"),
        ("%{unescape:a%00b}", ""),
        ("%{unescape:a%zzb}", ""),
        ("%{unescape:a%4}", ""),
        ("%{toupper:aé}", "Aé"),
        (r"%{ldap:a*b(c)\\d,e+f}", r"a\2ab\28c\29\5cd\2ce\2bf"),
        ("%{env:EV}-%{reqenv:EV}-%{osenv:OSV}-%{env:OSV}-%{note:x}", "x-x-y-y-"),
        ("%{req:x-a}%{http:X-A}%{req_novary:X-A}%{resp:X-Out}", "vavavaout"),
        (r"\101\x\\ \%{HTTP_HOST} \$1", r"Ax\ %{HTTP_HOST} $1"),
        ("%{filesize:/docs/index.html}|%{filesize:/none}", "6|0"),
        ("%{tolower:%{toupper:%{HTTP_HOST}}}", "host.example"),
    ];
    for (text, want) in table {
        let expr = StringExpr::parse(text, Trust::Full).unwrap_or_else(|e| panic!("{text}: {e}"));
        let got = expr.eval(&vars).expect(text);
        assert_eq!(String::from_utf8_lossy(&got), want, "{text}");
    }
}

/// The golden text is `%{escape:…}` and `%{ldap:…}` of Apache 2.4.71 for all bytes.
#[test]
fn all_bytes_are_escaped_as_in_apache() {
    let all: Vec<u8> = (1..=255).collect();
    let escape = |function: &str, sign: &str, kept: &[u8]| {
        use base64::Engine;
        let base64 = base64::engine::general_purpose::STANDARD.encode(&all);
        let text = format!("%{{{function}:%{{unbase64:{base64}}}}}");
        let expr = StringExpr::parse(&text, Trust::Full).expect("valid");
        let want: String = all
            .iter()
            .map(|b| {
                if kept.contains(b) {
                    char::from(*b).to_string()
                } else {
                    format!("{sign}{b:02x}")
                }
            })
            .collect();
        assert_eq!(String::from_utf8(expr.eval(&vars()).expect("a value")), Ok(want));
    };
    let letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    escape("escape", "%", format!("{letters}!$&'()*+,-./:;=@_~").as_bytes());
    escape("ldap", "\\", format!("{letters} !#$%&'-./:=?@[]^_`{{|}}~").as_bytes());
}

#[test]
fn the_time_is_told_in_parts() {
    let want = crate::lang::local_time::zoned(std::time::Duration::from_secs(1_795_170_787));
    let text = "%{TIME}|%{TIME_YEAR}|%{TIME_MON}|%{TIME_DAY}|%{TIME_HOUR}|%{TIME_MIN}|%{TIME_SEC}|%{TIME_WDAY}";
    let got = StringExpr::parse(text, Trust::Full)
        .expect("valid")
        .eval(&vars())
        .expect("a value");
    assert_eq!(
        String::from_utf8_lossy(&got),
        want.strftime("%Y%m%d%H%M%S|%Y|%m|%d|%H|%M|%S|%w").to_string()
    );
}

#[test]
fn files_are_asked_about_through_the_request() {
    let table = [
        ("-f '/docs/index.html' && -s '/docs/index.html'", true),
        ("-d '/docs/' && ! -s '/docs/'", true),
        ("-L '/docs/link@' && -h '/docs/link@'", true),
        ("-e '/none' || -x '/none'", false),
        ("-F '/docs/index.html' || -U '/' || -A '/'", false),
    ];
    for (text, want) in table {
        assert_eq!(
            Expr::parse(text, Trust::Full).expect(text).eval(&vars()),
            Ok(want),
            "{text}"
        );
    }
    let missing = Expr::parse("file('/none') == ''", Trust::Full).expect("valid");
    assert_eq!(
        missing.eval(&vars()),
        Err(NoValue {
            path: b"/none".to_vec()
        })
    );
}

#[test]
fn restricted_expressions_may_not_look_at_files() {
    for text in ["file('/x') == ''", "-n %{FILESIZE:/x}", "true || file('/x') == ''"] {
        assert!(Expr::parse(text, Trust::Restricted).is_err(), "{text}");
        assert!(Expr::parse(text, Trust::Document).is_err(), "{text}");
        assert!(Expr::parse(text, Trust::Full).is_ok(), "{text}");
    }
    for text in ["-f '/x'", "true || -x '/x'", "! -s '/x'"] {
        assert!(Expr::parse(text, Trust::Document).is_err(), "{text}");
        assert!(Expr::parse(text, Trust::Restricted).is_ok(), "{text}");
    }
}

#[test]
fn nesting_is_bounded() {
    for (open, inner, close) in [("(", "true", ")"), ("! ", "true", ""), ("-n %{md5:", "x", "}")] {
        let text = format!("{}{inner}{}", open.repeat(39), close.repeat(39));
        let deep = format!("{}{inner}{}", open.repeat(100_000), close.repeat(100_000));
        if open.len() < 3 {
            assert!(Expr::parse(&text, Trust::Full).is_ok());
        }
        assert!(Expr::parse(&deep, Trust::Full).is_err());
    }
    let deep = format!("{}x{}", "%{md5:".repeat(100_000), "}".repeat(100_000));
    assert!(StringExpr::parse(&deep, Trust::Full).is_err());
    let long = "true && ".repeat(10_000) + "true";
    assert_eq!(Expr::parse(&long, Trust::Full).expect("valid").eval(&vars()), Ok(true));
}

#[test]
fn every_cut_is_read_or_refused() {
    let text = r#"! ( %{HTTP_HOST} =~ m#^(a|b)#i && "é\101%{md5:$1}" -in { 1, tolower("x") . 2 } ) || -R '10.0.0.0/8' and 'a' -strmatch "*""#;
    assert!(Expr::parse(text, Trust::Full).is_ok());
    for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
        let _ = Expr::parse(&text[..end], Trust::Full).map(|expr| expr.eval(&vars()));
        let _ = StringExpr::parse(&text[..end], Trust::Full).map(|expr| expr.eval(&vars()));
        let _ = Expr::parse(&text[end..], Trust::Full);
    }
}

#[test]
fn ssl_require_compares_lengths_before_letters() {
    let vars = Table {
        tls: vec![("SSL_CIPHER_USEKEYSIZE", b"256")],
        ..Table::default()
    };
    for (text, want) in [
        ("%{SSL_CIPHER_USEKEYSIZE} >= 128", true),
        ("%{SSL_CIPHER_USEKEYSIZE} > 56", true),
        ("%{SSL_CIPHER_USEKEYSIZE} lt 1024", true),
        ("%{SSL_CIPHER_USEKEYSIZE} -ge 300", false),
        ("\"b\" < \"aa\"", true),
        ("\"b\" eq \"b\" and \"01\" ne \"1\"", true),
        ("%{SSL_CIPHER} == \"\"", true),
        ("%{SSL_CIPHER_USEKEYSIZE} in { \"128\", \"256\" }", true),
    ] {
        let expr = Expr::parse_of_ssl_require(text, Trust::Full).expect(text);
        assert_eq!(expr.eval(&vars), Ok(want), "{text}");
    }
    assert!(Expr::parse("%{SSL_CIPHER_USEKEYSIZE} > 56", Trust::Full).is_ok_and(|expr| expr.eval(&vars) == Ok(false)));
    for end in 0..40 {
        let _either_way =
            Expr::parse_of_ssl_require(&"%{SSL_CIPHER_USEKEYSIZE} in { \"128\", \"x\" }"[..end], Trust::Full);
    }
}
