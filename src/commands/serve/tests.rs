//! Tests: the configuration of a directory that is served as it is.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{ListenAddress, Scheme, Serve};
use crate::config::directives::alias::AliasKind;
use crate::config::load::load_text;
use crate::config::site::document_root;

fn top(name: &str) -> PathBuf {
    let top = std::env::temp_dir().join(format!("lychgate-serve-{name}-{}", std::process::id()));
    fs::create_dir_all(&top).expect("there is room");
    top.canonicalize().expect("it is there")
}

#[test]
fn every_name_of_a_directory_is_read_back_as_it_is() {
    let top = top("names");
    for name in [
        &b"plain"[..],
        b"with blank",
        b"a\"quote",
        b"back\\slash",
        b"ends in \\",
        b"'single'",
        b"${HOME}",
        b"%{REQUEST_URI}",
        b"# comment",
        b"glob[a]*?",
        b"caf\xe9",
        b"tab\there",
    ] {
        let directory = top.join(OsStr::from_bytes(name));
        fs::create_dir_all(directory.join("cgi-bin")).expect("there is room");
        let serve = Serve {
            directory: directory.clone(),
            listen: ListenAddress::default(),
            scripts: None,
            scheme: Scheme::Http,
        };
        let text = serve.configuration().expect("it is there");
        let loaded = load_text("serve", &text, Path::new("/"));
        let shown = String::from_utf8_lossy(name);
        assert!(!loaded.is_fatal(), "{shown}: {:?}", loaded.complaints);
        let main = loaded.config.sites.first().expect("there is always one");
        let root = directory.as_os_str().as_bytes();
        assert_eq!(document_root(&loaded.config, main), root, "{shown}");
        let scripts: Vec<&[u8]> = main
            .settings
            .aliases
            .list
            .iter()
            .filter(|alias| alias.kind == AliasKind::Scripts)
            .map(|alias| alias.literal_target())
            .collect();
        assert_eq!(scripts, [[root, b"/cgi-bin/"].concat()], "{shown}");
    }
    fs::remove_dir_all(top).expect("ours");
}

#[test]
fn what_cannot_be_served_is_named() {
    let top = top("faults");
    fs::create_dir_all(top.join("line\nfeed")).expect("there is room");
    fs::write(top.join("file"), "").expect("there is room");
    let asked = |directory: &str, scripts: Option<&str>| Serve {
        directory: top.join(directory),
        listen: ListenAddress::default(),
        scripts: scripts.map(|scripts| top.join(scripts)),
        scheme: Scheme::Http,
    };
    for (serve, why) in [
        (asked("gone", None), "gone: No such file or directory"),
        (asked("file", None), "file: not a directory"),
        (asked("", Some("gone")), "gone: No such file or directory"),
        (asked("line\nfeed", None), "rename it"),
    ] {
        let error = serve.configuration().expect_err("it cannot");
        assert!(error.contains(why), "{error}");
    }
    let plain = asked("", None).configuration().expect("it is there");
    assert!(!plain.windows(11).any(|part| part == b"ScriptAlias"));
    fs::remove_dir_all(top).expect("ours");
}

#[test]
fn addresses_are_ports_or_addresses_with_ports() {
    for (word, want) in [
        ("9000", "127.0.0.1:9000"),
        ("0", "127.0.0.1:0"),
        ("localhost:80", "127.0.0.1:80"),
        ("192.0.2.1:80", "192.0.2.1:80"),
        ("[::1]:80", "[::1]:80"),
        ("*:80", "80"),
    ] {
        assert_eq!(
            ListenAddress::read(word).map(ListenAddress::directive),
            Ok(want.to_owned())
        );
    }
    for word in ["", "x", "70000", "1.2.3.4", "::1", "*", ":80"] {
        assert!(ListenAddress::read(word).is_err(), "{word}");
    }
    assert!(!ListenAddress::default().is_public());
    assert!(ListenAddress::read("*:80").is_ok_and(ListenAddress::is_public));
}
