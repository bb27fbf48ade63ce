//! The example of RFC 7616, and what clients may write.

use super::{Credentials, Queries, Server, Unusable, is_same_target};

/// RFC 7616 section 3.9.1.
const MUFASA: &[u8] = b"Digest username=\"Mufasa\",\n realm=\"http-auth@example.org\",\n uri=\"/dir/index.html\",\n \
algorithm=MD5,\n nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\",\n nc=00000001,\n \
cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\",\n qop=auth,\n response=\"8ca523f5e9506fed4657c9700eebdbec\",\n \
opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"";

#[test]
fn the_example_of_the_text_is_right_and_every_cut_is_harmless() {
    let credentials = Credentials::parse(MUFASA).expect("it is whole");
    let stored = b"3d78807defe7de2157e2b0b6573a855f";
    assert!(credentials.is_of(stored, b"GET"));
    assert!(!credentials.is_of(stored, b"HEAD"));
    assert!(!credentials.is_of(b"3d78807defe7de2157e2b0b6573a855e", b"GET"));
    assert_ne!(credentials.counterpart(stored), credentials.response);
    for end in 0..MUFASA.len() {
        if let Ok(cut) = Credentials::parse(&MUFASA[..end]) {
            assert!(cut.opaque != credentials.opaque || end == MUFASA.len() - 1, "{end}");
        }
    }
}

#[test]
fn fields_are_read_as_in_apache() {
    let whole = |more: &str| format!("Digest username=a, realm=r, nonce=n, uri=/, response=x{more}");
    let parse = |text: &str| Credentials::parse(text.as_bytes());
    let old = parse(&whole("")).expect("qop is judged later");
    assert_eq!((old.qop, old.cnonce, old.count), (None, Vec::new(), Vec::new()));
    for (more, want) in [
        (", qop=auth", false),
        (", qop=auth, cnonce=c", false),
        (", qop=auth, cnonce=c, nc=1", true),
        (",,qop=\"auth\" junk,cnonce=\"\",nc=", true),
        (", username=", true),
    ] {
        assert_eq!(parse(&whole(more)).is_ok(), want, "{more}");
    }
    let quoted = parse(&whole(", username=\"a \\\"b\\\\\", UserName = \"c\\d\" , =, x")).expect("it is whole");
    assert_eq!(quoted.username, b"cd");
    let open = parse(&whole(", username=\"open, realm=x")).expect("it is whole");
    assert_eq!(open.username, b"open, realm=x");
    assert_eq!(parse("Digest"), Err(Unusable::Incomplete));
    assert_eq!(
        parse("Digest username=a, realm=r, nonce=n, uri=/"),
        Err(Unusable::Incomplete)
    );
    assert_eq!(parse("Basic YTpi"), Err(Unusable::Scheme(b"Basic".to_vec())));
    assert_eq!(parse("Digestive x=y"), Err(Unusable::Scheme(b"Digestive".to_vec())));
    assert_eq!(parse(""), Err(Unusable::Scheme(Vec::new())));
}

#[test]
fn targets_are_the_same_however_they_are_written() {
    let server = Server {
        name: b"a.example",
        port: 8080,
    };
    let same = |claimed: &str, asked: &str, queries| {
        is_same_target(claimed.as_bytes(), asked.as_bytes(), None, server, queries)
    };
    for (claimed, asked, want) in [
        ("/a", "/a", true),
        ("/a", "/b", false),
        ("/A", "/a", false),
        ("/%61", "/a", true),
        ("/a%20b?c%20d", "/a%20b?c d", true),
        ("/a?b", "/a", false),
        ("/a", "/a?b", false),
        ("/a?", "/a", false),
        ("/a?b", "/a?c", false),
        ("/a#x", "/a", true),
        ("http://a.example:8080/a", "/a", true),
        ("http://A.Example:8080/a", "/a", true),
        ("http://a.example/a", "/a", false),
        ("http://b.example:8080/a", "/a", false),
        ("http://user@a.example:8080/a", "/a", true),
        ("/a", "http://b.example/a", true),
        ("http://b.example/a", "http://b.example:80/a", true),
        ("http://b.example:81/a", "http://b.example:80/a", false),
        ("http://a.example:99999/a", "/a", false),
        ("*", "http://a.example", true),
        ("*", "*", true),
        ("*", "/", false),
        ("", "/", false),
        ("a", "/a", false),
    ] {
        assert_eq!(same(claimed, asked, Queries::Count), want, "{claimed} {asked}");
    }
    assert!(is_same_target(b"/a", b"/b/../a", Some(b"/a"), server, Queries::Count));
    assert!(same("/a", "/a?b", Queries::MayLack));
    assert!(!same("/a?c", "/a?b", Queries::MayLack));
    assert!(!same("/b", "/a?b", Queries::MayLack));
}
