//! The `httpd.conf` that Apache's authors ship, with its `extra/`, as Debian's apache2-doc has them: read with each line that
//! includes one switched on, and served beside Apache.

use std::fs;
use std::process::Command;

use libtest_mimic::{Failed, Trial};

use crate::snippets::{Booted, servers_agree};
use crate::support::debian::{Tree, check, run, unpacked};
use crate::support::server;

const REQUESTS: &str = include_str!("beside/upstream.requests");
/// With error pages in many languages: type maps, whose bodies include others.
const ERROR_PAGES: &str = "
GET /missing
GET /missing | Accept-Language: de, en;q=0.5
GET /missing | Accept-Language: pl
GET /missing | Accept-Language: xx
GET /missing | Accept: image/png
GET /.htaccess
GET /.htaccess | Accept-Language: fr
GET /error/HTTP_NOT_FOUND.html.var
GET /error/HTTP_NOT_FOUND.html.var | Accept-Language: ja
GET /error/include/top.html
";
/// The modules besides those that are switched on which the requests need.
const MODULES: [&str; 8] = [
    "auth_digest",
    "cgid",
    "dav",
    "dav_fs",
    "include",
    "info",
    "negotiation",
    "userdir",
];
/// The files of `extra/`.
pub const EXTRAS: [&str; 11] = [
    "httpd-autoindex.conf",
    "httpd-dav.conf",
    "httpd-default.conf",
    "httpd-info.conf",
    "httpd-languages.conf",
    "httpd-manual.conf",
    "httpd-mpm.conf",
    "httpd-multilang-errordoc.conf",
    "httpd-userdir.conf",
    "httpd-vhosts.conf",
    "httpd-ssl.conf",
];
/// The one that needs TLS, and what keeps the server from starting with it.
pub const TLS: (&str, [&str; 2]) = (
    "httpd-ssl.conf",
    [
        "/server.crt: No such file or directory (os error 2)",
        "/server.key: No such file or directory (os error 2)",
    ],
);

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    let upstream = |name: &str, test: fn() -> Result<(), String>| {
        Trial::test(format!("upstream::{name}"), move || test().map_err(Failed::from))
    };
    vec![
        upstream("httpd_conf_and_each_extra_are_read", each_extra_is_read),
        upstream("all_together_are_read_with_every_module", all_together),
        upstream("httpd_ssl_conf_wants_its_certificate", tls_wants_a_certificate),
        upstream("answers_are_apaches", answers_are_apaches),
    ]
}

/// The examples in the place of Debian's own configuration.
pub fn settled(tree: Tree) -> Result<Tree, String> {
    let examples = unpacked()?.join("usr/share/doc/apache2/examples/apache2");
    run(Command::new("cp").arg("-a").arg(examples.join(".")).arg(tree.apache()))?;
    let documents = "usr/share/apache2/default-site/htdocs";
    server::write(&tree.root.join(documents).join("index.html"), b"<p>It works!\n")?;
    fs::create_dir_all(tree.root.join("var/log/apache2")).map_err(|error| error.to_string())?;
    tree.settle_here()?;
    Ok(tree)
}

/// Takes the mark of a comment from the line that includes a file.
pub fn include(tree: &Tree, extra: &str) -> Result<(), String> {
    let line = format!("Include {}/extra/{extra}\n", tree.apache().display());
    let path = tree.file();
    let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
    let changed = text.replace(&format!("#{line}"), &line);
    if changed == text {
        return Err(format!("no line `#{line}`"));
    }
    server::write(&path, changed.as_bytes())
}

/// The errors in what `-t` says, behind their place.
fn errors(tree: &Tree) -> Result<Vec<String>, String> {
    let (said, is_well) = check(&tree.file(), &[])?;
    let told = |line: &&String| !line.contains(": note: ") && !line.contains(": warning: ") && *line != "Syntax OK";
    let odd: Vec<String> = said.iter().filter(told).cloned().collect();
    if is_well == odd.is_empty() {
        Ok(odd)
    } else {
        Err(format!("{said:#?}"))
    }
}

fn each_extra_is_read() -> Result<(), String> {
    let tree = settled(Tree::configuration("upstream")?)?;
    let as_it_is = fs::read(tree.file()).map_err(|error| error.to_string())?;
    let mut faults = errors(&tree)?;
    for extra in EXTRAS.iter().filter(|extra| **extra != TLS.0) {
        include(&tree, extra)?;
        faults.extend(errors(&tree)?);
        server::write(&tree.file(), &as_it_is)?;
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(format!("{faults:#?}"))
    }
}

fn all_together() -> Result<(), String> {
    let tree = settled(Tree::configuration("upstream-all")?)?;
    tree.edit("etc/apache2/apache2.conf", |text| {
        text.replace("#LoadModule", "LoadModule")
    })?;
    for extra in EXTRAS.iter().filter(|extra| **extra != TLS.0) {
        include(&tree, extra)?;
    }
    let faults = errors(&tree)?;
    if faults.is_empty() {
        Ok(())
    } else {
        Err(format!("{faults:#?}"))
    }
}

fn tls_wants_a_certificate() -> Result<(), String> {
    let tree = settled(Tree::configuration("upstream-tls")?)?;
    include(&tree, TLS.0)?;
    let found = errors(&tree)?;
    let meant = |(line, end): (&String, &&str)| line.contains("/extra/httpd-ssl.conf:") && line.ends_with(end);
    if found.len() == TLS.1.len() && found.iter().zip(&TLS.1).all(meant) {
        Ok(())
    } else {
        Err(format!("{found:#?}"))
    }
}

fn answers_are_apaches() -> Result<(), String> {
    // Each server needs a PidFile of its own; hosts whose documents are nowhere hide all others.
    let left_out = [
        TLS.0,
        "httpd-mpm.conf",
        "httpd-vhosts.conf",
        "httpd-multilang-errordoc.conf",
    ];
    let extras: Vec<&str> = EXTRAS.into_iter().filter(|extra| !left_out.contains(extra)).collect();
    let count = asked("beside-upstream", &extras, |_| Ok(REQUESTS.to_owned()))?;
    let more = asked("beside-upstream-errors", &["httpd-multilang-errordoc.conf"], |_| {
        Ok(ERROR_PAGES.to_owned())
    })?;
    println!("{} requests of upstream's tree", count + more);
    Ok(())
}

/// Asks both servers with these files included; `requests` may lay out more in the tree.
pub fn asked(name: &str, extras: &[&str], requests: impl Fn(&Tree) -> Result<String, String>) -> Result<usize, String> {
    let tree = settled(Tree::new(name)?)?;
    let requests = requests(&tree)?;
    for extra in extras {
        include(&tree, extra)?;
    }
    tree.edit("etc/apache2/apache2.conf", |text| {
        let pid = format!("PidFile {}/var/run/apache2/httpd.pid\n", tree.root.display());
        // Debian leaves the name out, with which Apache does not start.
        let text = text.replace("ServerRoot \"\"", &format!("ServerRoot \"{}\"", tree.root.display()));
        let sock = format!("ScriptSock {}/var/run/apache2/cgisock\n", tree.root.display());
        MODULES.iter().fold(text + &pid + &sock, |text, module| {
            text.replace(
                &format!("#LoadModule {module}_module"),
                &format!("LoadModule {module}_module"),
            )
        })
    })?;
    let documents = "usr/share/apache2/default-site/htdocs";
    for (file, text) in [
        ("a.html.fr", "<p>fran\u{e7}ais\n"),
        ("a.txt.utf8", "plain\n"),
        (".htaccess", "Deny from all\n"),
        ("listed/b.txt", "b\n"),
        ("x.tgz", "packed\n"),
    ] {
        server::write(&tree.root.join(documents).join(file), text.as_bytes())?;
    }
    // It reads what it is sent: from a script that does not, Apache's mod_cgid gets nothing, now and then.
    server::write(
        &tree.root.join("usr/lib/cgi-bin/hello"),
        b"#!/bin/sh\ncat >/dev/null\nprintf 'X: %s\\n\\nhello\\n' \"$HTTP_PROXY\"\n",
    )?;
    server::set_mode(&tree.root.join("usr/lib/cgi-bin/hello"), 0o755)?;
    let servers = (Booted::new(&tree, "lychgate")?, Booted::new(&tree, "theirs")?);
    servers_agree(servers, &tree, &requests)
}
