//! The environment of section 4.1 against what Apache 2.4.71 gave a script for the same requests.

use std::net::SocketAddr;

use super::{Ignored, MetaVars, WhyIgnored, is_refused};
use crate::gateway::request::{
    Client, Configured, Credentials, Names, Origin, Redirect, Request, Scheme, Script, Server, Transport,
};

fn address(text: &str) -> SocketAddr {
    text.parse().expect("the test's address")
}

/// `GET /cgi-bin/env` without fields, on 127.0.0.1.
pub(in crate::gateway) fn plain() -> Request<'static> {
    Request {
        method: b"GET",
        request_target: b"/cgi-bin/env",
        protocol: b"HTTP/1.1",
        scheme: Scheme::Http,
        transport: Transport::Bare,
        query: b"",
        authority: None,
        fields: Vec::new(),
        credentials: Credentials::Withheld,
        content_type: None,
        content_length: None,
        place: Script {
            script_name: b"/cgi-bin/env",
            path_info: b"",
            path_translated: None,
            script_filename: b"/srv/cgi/env",
            document_root: b"/srv/docs",
            context_prefix: b"/cgi-bin/",
            context_document_root: b"/srv/cgi/",
        },
        server: Server {
            name: b"h.example",
            port: 99,
            admin: None,
            signature: b"",
            software: b"Apache/2.4.71 (Debian)",
            path: Some(b"/usr/bin:/bin"),
            time_zone: None,
        },
        local: address("127.0.0.1:18931"),
        peer: address("127.0.0.1:56094"),
        client: Client::default(),
        unique_id: Some(b"awAggspVxYFcMwYVfR_i-AAAAAA"),
        configured: Vec::new(),
        names: Names::Plain,
        redirect: None,
    }
}

fn by_server<'a>(name: &'a str, value: &'a str) -> Configured<'a> {
    Configured {
        name: name.as_bytes(),
        value: value.as_bytes(),
        origin: Origin::Server,
    }
}

fn block(request: &Request<'_>) -> String {
    let lines: Vec<_> = MetaVars::of(request)
        .iter()
        .map(|(name, value)| String::from_utf8_lossy(&[name, b"=", value].concat()).into_owned())
        .collect();
    lines.join("\n")
}

fn value_of(request: &Request<'_>, name: &str) -> Option<String> {
    MetaVars::of(request)
        .find(name.as_bytes())
        .map(|value| String::from_utf8_lossy(value).into_owned())
}

/// The request was
/// `GET /cgi-bin/env/a%20b//c%3f?x=1&y=%20z` with these fields. Apache joins Cookie with `, `, which breaks it; we do not.
#[test]
fn a_get_with_path_info_and_odd_fields() {
    let mut request = plain();
    request.request_target = b"/cgi-bin/env/a%20b//c%3f?x=1&y=%20z";
    request.query = b"x=1&y=%20z";
    request.place.path_info = b"/a b/c?";
    request.place.path_translated = Some(b"/srv/docs/a b/c?");
    request.content_type = Some(b"t/x");
    request.content_length = Some(0);
    request.fields = vec![
        (b"Host", b"h.example:99"),
        (b"Connection", b"close"),
        (b"X-A", b"1"),
        (b"X-a", b"2"),
        (b"Cookie", b"a"),
        (b"Cookie", b"b"),
        (b"X_B", b"no"),
        (b"X.C", b"no"),
        (b"Proxy", b"http://evil.example"),
        (b"Authorization", b"Basic eDp5"),
        (b"Proxy-Authorization", b"zz"),
        (b"Content-Type", b"t/x"),
        (b"Content-Length", b"0"),
        (b"TE", b"trailers"),
        (b"If-Modified-Since", b"x"),
        (b"X-Empty", b""),
        (b"1-2", b"3"),
    ];
    request.configured = vec![
        by_server("MY_SET", "a value"),
        by_server("odd-name", "v"),
        by_server("1x", "cfg"),
    ];
    let want = "CONTENT_LENGTH=0
CONTENT_TYPE=t/x
CONTEXT_DOCUMENT_ROOT=/srv/cgi/
CONTEXT_PREFIX=/cgi-bin/
DOCUMENT_ROOT=/srv/docs
GATEWAY_INTERFACE=CGI/1.1
HTTP_1_2=3
HTTP_CONNECTION=close
HTTP_COOKIE=a; b
HTTP_HOST=h.example:99
HTTP_IF_MODIFIED_SINCE=x
HTTP_TE=trailers
HTTP_X_A=1, 2
HTTP_X_EMPTY=
MY_SET=a value
PATH=/usr/bin:/bin
PATH_INFO=/a b/c?
PATH_TRANSLATED=/srv/docs/a b/c?
QUERY_STRING=x=1&y=%20z
REMOTE_ADDR=127.0.0.1
REMOTE_PORT=56094
REQUEST_METHOD=GET
REQUEST_SCHEME=http
REQUEST_URI=/cgi-bin/env/a%20b//c%3f?x=1&y=%20z
SCRIPT_FILENAME=/srv/cgi/env
SCRIPT_NAME=/cgi-bin/env
SERVER_ADDR=127.0.0.1
SERVER_ADMIN=[no address given]
SERVER_NAME=h.example
SERVER_PORT=99
SERVER_PROTOCOL=HTTP/1.1
SERVER_SIGNATURE=
SERVER_SOFTWARE=Apache/2.4.71 (Debian)
UNIQUE_ID=awAggspVxYFcMwYVfR_i-AAAAAA
_x=cfg
odd_name=v";
    assert_eq!(block(&request), want);
}

/// `GET /nope/x%20y?q=1` with `ErrorDocument 404 /err/env` and `SetEnv MY_SET "a value"`.
#[test]
fn a_script_as_error_document() {
    let mut request = plain();
    request.request_target = b"/nope/x%20y?q=1";
    request.place = Script {
        script_name: b"/err/env",
        script_filename: b"/srv/err/env",
        context_prefix: b"/err/",
        context_document_root: b"/srv/err/",
        ..request.place
    };
    request.fields = vec![(b"Host", b"h.example:99"), (b"Connection", b"close")];
    request.configured = vec![by_server("MY_SET", "a value")];
    request.redirect = Some(Redirect {
        status: 404,
        url: b"/nope/x y",
        query: Some(b"q=1"),
        method: Some(b"GET"),
        before: vec![(b"MY_SET", b"a value"), (b"UNIQUE_ID", b"awAggspVxYFcMwYVfR_i-AAAAAA")],
        ..Redirect::default()
    });
    let want = "CONTEXT_DOCUMENT_ROOT=/srv/err/
CONTEXT_PREFIX=/err/
DOCUMENT_ROOT=/srv/docs
GATEWAY_INTERFACE=CGI/1.1
HTTP_CONNECTION=close
HTTP_HOST=h.example:99
MY_SET=a value
PATH=/usr/bin:/bin
QUERY_STRING=
REDIRECT_MY_SET=a value
REDIRECT_QUERY_STRING=q=1
REDIRECT_REQUEST_METHOD=GET
REDIRECT_STATUS=404
REDIRECT_UNIQUE_ID=awAggspVxYFcMwYVfR_i-AAAAAA
REDIRECT_URL=/nope/x y
REMOTE_ADDR=127.0.0.1
REMOTE_PORT=56094
REQUEST_METHOD=GET
REQUEST_SCHEME=http
REQUEST_URI=/nope/x%20y?q=1
SCRIPT_FILENAME=/srv/err/env
SCRIPT_NAME=/err/env
SERVER_ADDR=127.0.0.1
SERVER_ADMIN=[no address given]
SERVER_NAME=h.example
SERVER_PORT=99
SERVER_PROTOCOL=HTTP/1.1
SERVER_SIGNATURE=
SERVER_SOFTWARE=Apache/2.4.71 (Debian)
UNIQUE_ID=awAggspVxYFcMwYVfR_i-AAAAAA";
    assert_eq!(block(&request), want);
}

#[test]
fn variables_that_are_there_only_sometimes() {
    let mut request = plain();
    for name in [
        "HTTPS",
        "CONTENT_LENGTH",
        "PATH_INFO",
        "REMOTE_USER",
        "AUTH_TYPE",
        "REMOTE_HOST",
        "TZ",
    ] {
        assert_eq!(value_of(&request, name), None, "{name}");
    }
    request.scheme = Scheme::Https;
    request.transport = Transport::Tls;
    request.content_length = Some(u64::MAX);
    request.server.time_zone = Some(b"UTC");
    request.server.admin = Some(b"web@h.example");
    request.server.path = None;
    request.client = Client {
        host: Some(b"c.example"),
        ident: Some(b"me"),
        user: Some(b"bob"),
        auth_type: Some(b"Basic"),
    };
    request.peer = address("[::ffff:192.0.2.7]:5");
    request.local = address("[2001:db8::1]:80");
    let table = [
        ("HTTPS", "on"),
        ("REQUEST_SCHEME", "https"),
        ("CONTENT_LENGTH", "18446744073709551615"),
        ("TZ", "UTC"),
        ("SERVER_ADMIN", "web@h.example"),
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("REMOTE_HOST", "c.example"),
        ("REMOTE_IDENT", "me"),
        ("REMOTE_USER", "bob"),
        ("AUTH_TYPE", "Basic"),
        ("REMOTE_ADDR", "192.0.2.7"),
        ("SERVER_ADDR", "2001:db8::1"),
    ];
    for (name, want) in table {
        assert_eq!(value_of(&request, name).as_deref(), Some(want), "{name}");
    }
}

#[test]
fn path_translated_needs_a_path_info() {
    let mut request = plain();
    request.place.path_translated = Some(b"/srv/docs");
    assert_eq!(value_of(&request, "PATH_TRANSLATED"), None);
}

#[test]
fn the_authority_replaces_every_host_field() {
    let mut request = plain();
    request.fields = vec![(b"Host", b"h.example:99"), (b"HOST", b"evil.example")];
    request.authority = Some(b"other.example:81");
    assert_eq!(value_of(&request, "HTTP_HOST").as_deref(), Some("other.example:81"));
}

#[test]
fn credentials_pass_only_when_asked() {
    let mut request = plain();
    request.fields = vec![
        (b"authorization", b"Basic eDp5"),
        (b"proxy-authorization", b"zz"),
        (b"proxy", b"p"),
    ];
    assert_eq!(value_of(&request, "HTTP_AUTHORIZATION"), None);
    assert_eq!(value_of(&request, "HTTP_PROXY_AUTHORIZATION"), None);
    request.credentials = Credentials::Passed;
    assert_eq!(value_of(&request, "HTTP_AUTHORIZATION").as_deref(), Some("Basic eDp5"));
    assert_eq!(value_of(&request, "HTTP_PROXY_AUTHORIZATION").as_deref(), Some("zz"));
    assert_eq!(value_of(&request, "HTTP_PROXY"), None);
}

#[test]
fn the_rewrite_idiom_for_authorization_works() {
    let mut request = plain();
    request.fields = vec![(b"Authorization", b"Basic eDp5")];
    request.configured = vec![Configured {
        name: b"HTTP_AUTHORIZATION",
        value: b"Basic eDp5",
        origin: Origin::Request,
    }];
    assert_eq!(value_of(&request, "HTTP_AUTHORIZATION").as_deref(), Some("Basic eDp5"));
}

#[test]
fn transfer_encoding_is_told_only_without_a_length() {
    let mut request = plain();
    request.fields = vec![(b"Transfer-Encoding", b"chunked")];
    assert_eq!(value_of(&request, "HTTP_TRANSFER_ENCODING").as_deref(), Some("chunked"));
    request.content_length = Some(3);
    assert_eq!(value_of(&request, "HTTP_TRANSFER_ENCODING"), None);
}

/// httpoxy and its kin: rows 26 and 27 of the traps.
#[test]
fn field_names_that_could_collide_are_dropped() {
    let names: [&[u8]; 12] = [
        b"X_Auth",
        b"X.Auth",
        b"Content_Length",
        b"X Auth",
        b"X-\xc4",
        b"",
        b"X-A=",
        b"X'",
        b"X\0",
        b"Proxy",
        b"PROXY",
        b"pRoXy",
    ];
    for name in names {
        let mut request = plain();
        request.fields = vec![(name, b"evil")];
        assert_eq!(
            MetaVars::of(&request)
                .iter()
                .find(|(name, _)| name.starts_with(b"HTTP_")),
            None,
            "{name:?}"
        );
    }
}

/// CVE-2025-65082.
#[test]
fn computed_variables_win_over_configured_ones() {
    let mut request = plain();
    let names = [
        "SCRIPT_FILENAME",
        "REMOTE_ADDR",
        "REQUEST_URI",
        "QUERY_STRING",
        "UNIQUE_ID",
        "SERVER_ADMIN",
        "SCRIPT-NAME",
        "CONTENT_LENGTH",
        "CONTENT_TYPE",
        "PATH_INFO",
        "PATH_TRANSLATED",
        "HTTP_FOO",
    ];
    let before = {
        request.fields = vec![(b"Foo", b"x")];
        block(&request)
    };
    request.configured = names.iter().map(|name| by_server(name, "cfg")).collect();
    assert_eq!(block(&request), before);
    let ignored = MetaVars::of(&request).ignored().to_vec();
    assert_eq!(ignored.len(), names.len());
    assert_eq!(
        ignored[0],
        Ignored {
            name: b"SCRIPT_FILENAME".to_vec(),
            why: WhyIgnored::Computed
        }
    );
    assert!(ignored.iter().all(|one| one.why == WhyIgnored::Computed));
}

#[test]
fn configured_variables_fill_what_is_not_computed() {
    let mut request = plain();
    request.configured = vec![
        by_server("REMOTE_USER", "first"),
        by_server("REMOTE_USER", "cfg"),
        by_server("PATH", "/only"),
        by_server("LD_LIBRARY_PATH", "/opt/oracle/lib"),
        by_server("HTTP_PROXY", "http://proxy.example:3128"),
        by_server("TZ", "CET"),
    ];
    for (name, want) in [
        ("REMOTE_USER", "cfg"),
        ("PATH", "/only"),
        ("LD_LIBRARY_PATH", "/opt/oracle/lib"),
        ("HTTP_PROXY", "http://proxy.example:3128"),
        ("TZ", "CET"),
    ] {
        assert_eq!(value_of(&request, name).as_deref(), Some(want), "{name}");
    }
}

#[test]
fn dangerous_variables_come_only_from_the_server() {
    let table = [
        ("LD_PRELOAD", true, true),
        ("BASH_FUNC_ls%%", true, true),
        ("IFS", true, true),
        ("PATH", true, true),
        ("HTTP_PROXY", true, true),
        ("PERL5LIB", false, true),
        ("PYTHONPATH", false, true),
        ("GITWEB_CONFIG", false, false),
        ("LDAP", false, false),
    ];
    for (name, from_htaccess, from_request) in table {
        assert!(!is_refused(name.as_bytes(), Origin::Server), "{name}");
        assert_eq!(is_refused(name.as_bytes(), Origin::Htaccess), from_htaccess, "{name}");
        assert_eq!(is_refused(name.as_bytes(), Origin::Request), from_request, "{name}");
    }
    let mut request = plain();
    request.configured = vec![Configured {
        name: b"LD_PRELOAD",
        value: b"/x",
        origin: Origin::Htaccess,
    }];
    let meta_vars = MetaVars::of(&request);
    assert_eq!(meta_vars.find(b"LD_PRELOAD"), None);
    assert_eq!(
        meta_vars.ignored(),
        [Ignored {
            name: b"LD_PRELOAD".to_vec(),
            why: WhyIgnored::Refused
        }]
    );
}

#[test]
fn impossible_variables_never_reach_the_block() {
    let mut request = plain();
    request.configured = vec![by_server("", "x"), by_server("A", "x\0y"), by_server("B=C", "1")];
    request.fields = vec![(b"X", b"a\0b")];
    let meta_vars = MetaVars::of(&request);
    assert_eq!(meta_vars.find(b"A"), None);
    assert_eq!(meta_vars.find(b"B_C"), Some(b"1".as_slice()));
    assert!(
        meta_vars
            .iter()
            .all(|(name, value)| !name.contains(&0) && !value.contains(&0))
    );
    assert!(meta_vars.ignored().iter().all(|one| one.why == WhyIgnored::Impossible));
}

#[test]
fn the_user_of_the_request_before_is_told_when_this_one_has_none() {
    let mut request = plain();
    request.redirect = Some(Redirect {
        status: 200,
        url: b"/a",
        user: Some(b"bob"),
        ..Redirect::default()
    });
    assert_eq!(value_of(&request, "REDIRECT_REMOTE_USER").as_deref(), Some("bob"));
    assert_eq!(value_of(&request, "REDIRECT_QUERY_STRING"), None);
    request.client.user = Some(b"bob");
    assert_eq!(value_of(&request, "REDIRECT_REMOTE_USER"), None);
}

#[test]
fn names_stay_as_written_where_no_process_gets_them() {
    let mut request = plain();
    request.configured = ["app.name", "1st-", "PLAIN", "nul\0"]
        .map(|name| by_server(name, "x"))
        .to_vec();
    let told = |request: &Request<'_>| {
        ["app.name", "1st-", "app_name", "_st_", "PLAIN"].map(|name| value_of(request, name).is_some())
    };
    assert_eq!(told(&request), [false, false, true, true, true]);
    request.names = Names::AsWritten;
    assert_eq!(told(&request), [true, true, false, false, true]);
    let meta_vars = MetaVars::of(&request);
    assert!(meta_vars.iter().all(|(name, _)| !name.contains(&0)));
}
