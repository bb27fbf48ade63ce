//! Tests: words, the configuration, and sockets in a directory of their own.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::socket::{self, Owner, SocketUrl};
use super::{Errors, Fcgiwrap, out_of_place, web_servers};
use crate::config::load::load_text;

fn asked(places: &[&str]) -> Fcgiwrap {
    Fcgiwrap {
        socket: None,
        places: places.iter().map(PathBuf::from).collect(),
        count: None,
        errors: Errors::Log,
        user: None,
        owner: None,
        mode: 0o660,
        lines: Vec::new(),
        file: None,
    }
}

#[test]
fn sockets_have_urls() {
    let tcp = |text: &str| Some(SocketUrl::Tcp(text.parse().expect("an address")));
    for (word, url) in [
        ("unix:/run/x.sock", Some(SocketUrl::Unix("/run/x.sock".into()))),
        ("unix:run/x.sock", None),
        ("unix:", None),
        ("/run/x.sock", Some(SocketUrl::Unix("/run/x.sock".into()))),
        ("run/x.sock", None),
        ("tcp:127.0.0.1:9000", tcp("127.0.0.1:9000")),
        ("tcp6:[::1]:9000", tcp("[::1]:9000")),
        ("tcp6:127.0.0.1:9000", None),
        ("tcp:9000", None),
        ("tcp:localhost:9000", None),
        ("http:127.0.0.1:80", None),
    ] {
        assert_eq!(SocketUrl::read(word).ok(), url, "{word}");
    }
}

#[test]
fn owners_have_a_user_and_perhaps_a_group() {
    let owner = |user: &str, group: Option<&str>| {
        Some(Owner {
            user: user.to_owned(),
            group: group.map(str::to_owned),
        })
    };
    for (word, read) in [
        ("www-data", owner("www-data", None)),
        ("www-data:adm", owner("www-data", Some("adm"))),
        ("", None),
        (":adm", None),
        ("www-data:", None),
    ] {
        assert_eq!(Owner::read(word).ok(), read, "{word}");
    }
}

#[test]
fn places_become_script_places() {
    let mut wrap = asked(&["/usr/", "/bin/sh", "/"]);
    wrap.count = Some(3);
    wrap.user = Owner::read("nobody:nogroup").ok();
    wrap.lines = vec!["RLimitCPU 10".to_owned()];
    let text = wrap.configuration().expect("they are there");
    let loaded = load_text("lychgate fcgiwrap", &text, Path::new("/"));
    assert!(!loaded.is_fatal(), "{:?}", loaded.complaints);
    let config = &loaded.config;
    assert_eq!(config.server.scripts.max_scripts.value(), Some(&3));
    for (script, root, below) in [
        ("/usr/lib/x.cgi", "/usr", "lib/x.cgi"),
        ("/bin/sh", "/bin/sh", ""),
        ("/bin/shell", "/", "bin/shell"),
        ("/srv/x.cgi", "/", "srv/x.cgi"),
    ] {
        let (number, path) = config.script_place(0, script.as_bytes()).expect("a place");
        let place = config.script_places.get(number).expect("its number");
        assert_eq!(
            (place.root.as_slice(), path),
            (root.as_bytes(), below.as_bytes()),
            "{script}"
        );
    }
}

#[test]
fn places_must_be_named_wholly_and_be_there() {
    for (places, error) in [
        (
            vec![],
            "say with `-p` which script may be run, or which directory's scripts; `-p /` is all there are",
        ),
        (vec!["bin"], "-p bin: write its whole name, beginning with a slash"),
        (vec!["/usr/../bin"], "-p /usr/../bin: write its name without `..`"),
        (vec!["/no/such"], "-p /no/such: No such file or directory (os error 2)"),
    ] {
        assert_eq!(asked(&places).configuration(), Err(error.to_owned()));
    }
}

#[test]
fn settings_that_do_nothing_are_told() {
    let text = b"Listen 80\nRLimitCPU 3\n<Directory /srv>\nRLimitCPU 3\nDirectoryIndex x\n</Directory>\n<Location /x>\nNice 3\n</Location>\n";
    let loaded = load_text("a.conf", text, Path::new("/"));
    assert_eq!(
        out_of_place(&loaded.settings.nodes),
        [
            "a.conf:1: Listen does nothing for `lychgate fcgiwrap`; take it out",
            "a.conf:5: DirectoryIndex does nothing for `lychgate fcgiwrap`; take it out",
            "a.conf:7: Location does nothing for `lychgate fcgiwrap`; take it out",
        ]
    );
}

#[test]
fn web_servers_are_addresses_with_commas() {
    let addresses = web_servers("127.0.0.1, ::1,::ffff:192.0.2.1").expect("addresses");
    let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["127.0.0.1", "::1", "192.0.2.1"]);
    assert!(web_servers("localhost").is_err());
    assert!(web_servers("").is_err());
}

#[test]
fn a_socket_that_nobody_listens_at_is_replaced_and_others_are_not() {
    let directory = std::env::temp_dir().join(format!("lychgate-socket-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a place for tests");
    let path = directory.join("x.sock");
    let url = SocketUrl::Unix(path.clone());
    drop(std::os::unix::net::UnixListener::bind(&path).expect("it is free"));
    let listening = socket::make(&url, None, 0o620).expect("nobody listens");
    UnixStream::connect(&path).expect("we listen");
    assert_eq!(
        path.metadata().expect("it is there").permissions().mode() & 0o777,
        0o620
    );
    assert!(!listening.is_public());
    let used = socket::make(&url, None, 0o620).expect_err("we listen");
    assert!(used.ends_with("Address already in use (os error 98)"), "{used}");
    let (socket, name) = listening.into_parts();
    drop(socket);
    drop(name);
    assert!(!path.exists());
    std::fs::write(&path, "no socket").expect("it is free");
    socket::make(&url, None, 0o620).expect_err("it is a file");
    assert!(path.exists());
    std::fs::remove_dir_all(&directory).expect("ours");
}
