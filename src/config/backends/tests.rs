//! Tests: URLs of application servers.

use super::{Address, Target, Usual};

fn tcp(host: &str, port: u16) -> Address {
    Address::Tcp {
        host: host.to_owned(),
        port,
    }
}

#[test]
fn urls_of_applications_are_read_as_apache_reads_them() {
    let socket = || Address::Unix(b"/run/PHP.sock".to_vec());
    for (url, address, base, path) in [
        ("fcgi://localhost", tcp("localhost", 8000), "fcgi://localhost", ""),
        (
            "FCGI://LocalHost:9000/a/b",
            tcp("localhost", 9000),
            "fcgi://localhost:9000",
            "/a/b",
        ),
        (
            "fcgi://127.0.0.1:8000//x",
            tcp("127.0.0.1", 8000),
            "fcgi://127.0.0.1",
            "//x",
        ),
        ("fcgi://[::1]:9000/", tcp("::1", 9000), "fcgi://[::1]:9000", "/"),
        ("unix:/run/PHP.sock|fcgi://localhost", socket(), "fcgi://localhost", ""),
        (
            "unix:/run/PHP.sock|fcgi://x:1/srv/a.php",
            socket(),
            "fcgi://x:1",
            "/srv/a.php",
        ),
        ("HTTP://Web:80/a?b", tcp("web", 80), "http://web", "/a?b"),
        ("ws://web:8080", tcp("web", 8080), "ws://web:8080", ""),
        ("unix:/run/PHP.sock|http://x/y", socket(), "http://x", "/y"),
        ("HTTPS://Web:443/a", tcp("web", 443), "https://web", "/a"),
        ("wss://web/a", tcp("web", 443), "wss://web", "/a"),
        ("unix:/run/PHP.sock|https://x:8/y", socket(), "https://x:8", "/y"),
        ("unix:/run/PHP.sock|fcgi:", socket(), "fcgi://localhost", ""),
        ("unix:/run/PHP.sock|fcgi://", socket(), "fcgi://localhost", ""),
        (
            "unix:/run/PHP.sock|fcgi:///srv/a",
            socket(),
            "fcgi://localhost",
            "/srv/a",
        ),
        ("unix:/run/PHP.sock|fcgi:/srv/a", socket(), "fcgi://localhost", "/srv/a"),
        ("unix:/run/PHP.sock|handoff:", socket(), "handoff://localhost", ""),
    ] {
        let target = Target::parse(url.as_bytes()).expect(url);
        assert_eq!(target.address, address, "{url}");
        assert_eq!(String::from_utf8_lossy(&target.base), base, "{url}");
        assert_eq!(String::from_utf8_lossy(&target.path), path, "{url}");
    }
}

#[test]
fn what_is_no_url_of_an_application_is_refused_with_a_sentence() {
    let ajp = "`ajp:` is not supported by this version, which speaks `fcgi:`, `scgi:`, `http:`, `https:`, `ws:`, `wss:`, \
               `handoff:`; keep the server that does it in front";
    let by_port = "`handoff://localhost:1/` has no socket; descriptors travel over those of the file system alone: write \
                   `unix:/run/app.sock|handoff:`";
    for (url, said) in [
        ("ajp://localhost:8080/", ajp),
        ("handoff://localhost:1/", by_port),
        ("fcgi:/x", "`fcgi:/x` has no host; write `fcgi://host:port`"),
        ("fcgi://a:0/", "`fcgi://a:0/` has no host that could be"),
        ("fcgi://a:70000/", "`fcgi://a:70000/` has no host that could be"),
        ("fcgi://u:p@a/", "`fcgi://u:p@a/` has no host that could be"),
        ("fcgi://[::1/", "`fcgi://[::1/` has no host that could be"),
        ("fcgi://a b/", "`fcgi://a b/` has no host that could be"),
        ("localhost", "`localhost` is not a URL; write `fcgi://host:port`"),
        (
            "unix:/run/app.sock",
            "`unix:/run/app.sock` has no URL; write `unix:/path|fcgi://localhost`",
        ),
        (
            "unix:app.sock|fcgi://localhost",
            "`app.sock` is not the name of a socket; write an absolute one, as \
             `unix:/run/php/php-fpm.sock|fcgi://localhost`",
        ),
    ] {
        assert_eq!(Target::parse(url.as_bytes()), Err(said.to_owned()), "{url}");
    }
}

#[test]
fn local_is_what_sees_the_same_files() {
    for (address, local) in [
        (Address::Unix(b"/run/x".to_vec()), true),
        (tcp("localhost", 1), true),
        (tcp("127.0.0.2", 1), true),
        (tcp("::1", 1), true),
        (tcp("192.0.2.1", 1), false),
        (tcp("php", 9000), false),
    ] {
        assert_eq!(address.is_local(), local, "{address}");
    }
}

#[test]
fn what_is_written_as_it_would_be_here_is_read_without_a_second_look() {
    for (url, server) in [
        ("http://inside", Some("http://inside")),
        ("http://10.0.0.1:8080/a/b?c", Some("http://10.0.0.1:8080")),
        ("fcgi://in-side.example:9000/", Some("fcgi://in-side.example:9000")),
        ("http://inside:80/", None),
        ("http://inside:080/", None),
        ("http://inside:0/", None),
        ("http://inside:70000/", None),
        ("http://inside:/", None),
        ("http://inside:8a/", None),
        ("http://Inside/", None),
        ("HTTP://inside/", None),
        ("http://[::1]:8080/", None),
        ("http://a@b/", None),
        ("http:///", None),
        ("http:/inside", None),
        ("https://inside/", None),
        ("unix:/run/a|http://inside/", None),
        ("balancer://inside/", None),
        ("", None),
    ] {
        let usual = Usual::of(url.as_bytes());
        let seen = usual.as_ref().map(|usual| String::from_utf8_lossy(usual.server));
        assert_eq!(seen.as_deref(), server, "{url}");
        if let Some(usual) = usual {
            // A name in capitals is read at length.
            let at_length = Target::parse(&url.as_bytes().to_ascii_uppercase()).expect(url);
            let at_once = usual.target();
            assert_eq!(
                (at_length.scheme, &at_length.base),
                (at_once.scheme, &at_once.base),
                "{url}"
            );
            assert_eq!(at_length.address, at_once.address, "{url}");
            assert_eq!(at_once.url(), url.as_bytes());
        }
    }
}
