//! Applications that others wrote, behind the server: the library of the FastCGI Development Kit, Perl's FCGI, Python's flup,
//! and php-fpm with programs that Debian ships. What they need is in `tests/run` and `tests/packages`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::{Completion, Failed, Trial};
use lychgate::backend::fastcgi::values;
use lychgate::backend::pool::{Agreed, Pool, Which};
use lychgate::config::backends::{Address, Scheme};
use lychgate::config::directives::proxy::Terms;

use crate::programs::absent;
use crate::support::applications::{self, Application, php_fpm_program};
use crate::support::debian::unpacked;
use crate::support::server::{self, Server, poll};
use crate::support::wire::{Judge, Wire, show};

const PATIENCE: Duration = Duration::from_secs(60);

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    vec![
        Trial::ignorable_test(
            "fastcgi::the_development_kits_responder",
            the_development_kits_responder,
        ),
        Trial::ignorable_test(
            "fastcgi::the_development_kit_authorizes",
            the_development_kit_authorizes,
        ),
        Trial::ignorable_test("fastcgi::perls_responder", perls_responder),
        Trial::ignorable_test("fastcgi::pythons_responder", pythons_responder),
        Trial::ignorable_test("fastcgi::adminer_by_php_fpm", adminer_by_php_fpm),
        Trial::ignorable_test("fastcgi::dokuwiki_by_php_fpm", dokuwiki_by_php_fpm),
        Trial::ignorable_test(
            "fastcgi::one_child_of_php_fpm_serves_many",
            one_child_of_php_fpm_serves_many,
        ),
        Trial::test(
            "fastcgi::more_connections_than_processes",
            more_connections_than_processes,
        ),
        Trial::ignorable_test("fastcgi::php_fpm_is_started_again", php_fpm_is_started_again),
        Trial::ignorable_test(
            "fastcgi::applications_say_what_they_are_asked_about_themselves",
            applications_say_what_they_are_asked_about_themselves,
        ),
    ]
}

/// libfcgi: one request at a time, its connection kept while nobody waits.
fn the_development_kits_responder() -> Result<Completion, Failed> {
    if !Path::new("/usr/include/fcgi_stdio.h").exists() {
        return absent("libfcgi-dev");
    }
    let root = server::fresh_root("libfcgi");
    let command = Command::new(compiled(&root)?);
    responder(&root, command, "complaint [1-9]")
}

/// The responder in C.
fn compiled(root: &Path) -> Result<PathBuf, String> {
    let program = root.join("responder");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/apps/responder.c");
    let compiled = Command::new("cc")
        .arg("-o")
        .arg(&program)
        .arg(source)
        .arg("-lfcgi")
        .status();
    if compiled.is_ok_and(|status| status.success()) {
        Ok(program)
    } else {
        Err("the responder does not compile".into())
    }
}

/// The same program as an authorizer: that it answers with 200 lets the client in, and what it says is not shown.
fn the_development_kit_authorizes() -> Result<Completion, Failed> {
    if !Path::new("/usr/include/fcgi_stdio.h").exists() {
        return absent("libfcgi-dev");
    }
    let root = server::fresh_root("libfcgi-authorizer");
    let command = Command::new(compiled(&root)?);
    server::write(&root.join("htdocs/x"), b"shown\n")?;
    let socket = root.join("app.sock");
    let lines = [
        format!(
            "AuthnzFcgiDefineProvider authn kit \"unix:{}|fcgi://localhost\"",
            socket.display()
        ),
        "<Location />".to_owned(),
        "AuthnzFcgiCheckAuthnProvider kit UserExpr \"%{reqenv:NONE}\" DefaultUser somebody".into(),
        "Require user somebody".into(),
        "</Location>".into(),
    ];
    let server = boot(&root, &lines)?;
    let _application = Application::with_socket(command, &root, &socket)?;
    for _ in 0..3 {
        let body = ask(&server, &get("/x"))?;
        assert_eq!(body, "shown\n");
    }
    end(&root, server, &["complaint [1-9]"])
}

/// FCGI_GET_VALUES: how php-fpm and the development kit's library answer.
fn applications_say_what_they_are_asked_about_themselves() -> Result<Completion, Failed> {
    if php_fpm_program().is_none() || !Path::new("/usr/include/fcgi_stdio.h").exists() {
        return absent("php-fpm and libfcgi-dev");
    }
    let root = server::fresh_root("values");
    server::hand_over(&root, false)?;
    let _php = applications::start("php-fpm 2", &root, false, 0)?;
    let command = Command::new(compiled(&root)?);
    let _kit = Application::with_socket(command, &root, &root.join("app.sock"))?;
    for (socket, expected) in [
        ("php.sock", "FCGI_MPXS_CONNS=0"),
        ("app.sock", "FCGI_MAX_CONNS=1 FCGI_MAX_REQS=1 FCGI_MPXS_CONNS=0"),
    ] {
        let mut said = values_of(&root.join(socket))?;
        said.sort();
        if said.join(" ") != expected {
            return Err(format!("{socket}: {said:?} is not {expected}").into());
        }
    }
    let _left_for_the_end_of_the_run = fs::remove_dir_all(&root);
    Ok(Completion::Completed)
}

fn values_of(socket: &Path) -> Result<Vec<String>, String> {
    let address = Address::Unix(socket.as_os_str().as_encoded_bytes().to_vec());
    let agreed = Agreed::of(Scheme::FastCgi, &Terms::default(), PATIENCE);
    let names = ["FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS"];
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    let said = runtime.block_on(async {
        let pool = Arc::new(Pool::new(address));
        let lease = pool.lease(&agreed, Which::New).await.map_err(|e| e.to_string())?;
        values(lease, &names, PATIENCE).await.map_err(|e| e.to_string())
    })?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(said
        .iter()
        .map(|(name, value)| format!("{}={}", text(name), text(value)))
        .collect())
}

/// Perl's FCGI.pm.
fn perls_responder() -> Result<Completion, Failed> {
    let there = Command::new("perl")
        .args(["-MFCGI", "-e", "1"])
        .stderr(Stdio::null())
        .status();
    if !there.is_ok_and(|status| status.success()) {
        return absent("FCGI.pm");
    }
    let root = server::fresh_root("perl-fcgi");
    let script = r#"use FCGI;
my $count = 0;
my $request = FCGI::Request();
while ($request->Accept() >= 0) {
    my ($sum, $length) = (0, $ENV{CONTENT_LENGTH} // 'none');
    if ($length ne 'none') { my $body; read(STDIN, $body, $length); $sum += ord for split //, $body; }
    $count++;
    print "Content-Type: text/plain\r\n\r\n";
    print "request $count script=$ENV{SCRIPT_NAME} query=$ENV{QUERY_STRING} length=$length sum=$sum\n";
    print STDERR "complaint $count\n";
}
"#;
    server::write(&root.join("responder.pl"), script.as_bytes())?;
    let mut command = Command::new("perl");
    command.arg(root.join("responder.pl"));
    responder(&root, command, "complaint [1-9]")
}

/// Python's flup, which serves WSGI over FastCGI; from the package index, for Debian does not have it.
fn pythons_responder() -> Result<Completion, Failed> {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python");
    if !library.join("flup").exists() {
        return absent("flup in target/python");
    }
    let root = server::fresh_root("python-flup");
    let copied = Command::new("cp")
        .arg("-r")
        .arg(&library)
        .arg(root.join("python"))
        .status()?;
    assert!(copied.success(), "cp: {copied}");
    let script = r"import sys
sys.path.insert(0, 'python')
from flup.server.fcgi import WSGIServer
count = 0
def app(environ, start_response):
    global count
    count += 1
    length = environ.get('CONTENT_LENGTH') or 'none'
    body = environ['wsgi.input'].read(int(length)) if length != 'none' else b''
    start_response('200 OK', [('Content-Type', 'text/plain')])
    environ['wsgi.errors'].write('complaint %d\n' % count)
    line = 'request %d script=%s query=%s length=%s sum=%d\n'
    return [(line % (count, environ['SCRIPT_NAME'], environ['QUERY_STRING'], length, sum(body))).encode()]
WSGIServer(app, multithreaded=False).run()
";
    server::write(&root.join("responder.py"), script.as_bytes())?;
    let mut command = Command::new("python3");
    command.arg("responder.py");
    responder(&root, command, "complaint [1-9]")
}

/// Each of them answers GET, HEAD, a long POST and a chunked one, over kept connections and others.
fn responder(root: &Path, command: Command, complaint: &str) -> Result<Completion, Failed> {
    let socket = root.join("app.sock");
    let lines = [
        format!("ProxyPass /once/ \"unix:{}|fcgi://once/\"", socket.display()),
        format!(
            "ProxyPass /kept/ \"unix:{}|fcgi://kept/\" enablereuse=on ttl=1",
            socket.display()
        ),
    ];
    let server = boot(root, &lines)?;
    let _application = Application::with_socket(command, root, &socket)?;
    let mut count = 0;
    for place in ["kept", "once", "kept", "kept"] {
        for (request, length, sum) in [
            (get(&format!("/{place}/x?q=1")), "none", 0),
            (
                post(&format!("/{place}/x?q=1"), &vec![b'\x01'; 300_000]),
                "300000",
                300_000,
            ),
            (chunked(&format!("/{place}/x?q=1"), &[b"ab", b"c"]), "3", 97 + 98 + 99),
        ] {
            count += 1;
            let body = match ask(&server, &request) {
                // A kept connection may be closed by its application at any time. Then what is not idempotent is not told
                // again (RFC 9110 section 9.2.2), unless the application cannot have taken it; the client decides.
                Err(failed) if place == "kept" && failed.contains(" 502 ") => ask(&server, &request)?,
                answer => answer?,
            };
            let expected = format!("request {count} script=/{place}/x query=q=1 length={length} sum={sum}\n");
            if body != expected {
                return Err(format!("`{body}` is not `{expected}`").into());
            }
        }
    }
    end(root, server, &[complaint, "gave no reply: it closed the connection"])
}

/// Debian's adminer, as its package says, by php-fpm: its page, its style sheet, its script.
fn adminer_by_php_fpm() -> Result<Completion, Failed> {
    if php_fpm_program().is_none() || !Path::new("/etc/adminer/conf.php").exists() {
        return absent("php-fpm and adminer");
    }
    let root = server::fresh_root("adminer");
    let lines = [
        "Alias /adminer /etc/adminer".to_owned(),
        "<Directory /etc/adminer>".into(),
        "Require all granted".into(),
        "DirectoryIndex conf.php".into(),
        "</Directory>".into(),
        "<FilesMatch \".+\\.ph(?:ar|p|tml)$\">".into(),
        "<If \"-f %{REQUEST_FILENAME}\">".into(),
        format!("SetHandler \"proxy:unix:{}/php.sock|fcgi://localhost\"", root.display()),
        "</If>".into(),
        "</FilesMatch>".into(),
    ];
    let server = boot(&root, &lines)?;
    let _application = applications::start("php-fpm 2", &root, false, 0)?;
    for (target, part) in [
        ("/adminer/", "<title>Login - Adminer</title>"),
        ("/adminer/?file=default.css", "body"),
        ("/adminer/conf.php?file=functions.js", "qsl(selector,context)"),
    ] {
        let body = ask(&server, &get(target))?;
        if !body.contains(part) {
            return Err(format!("{target}: {body}").into());
        }
    }
    end(&root, server, &["PHP "])
}

/// Debian's DokuWiki, unpacked, by php-fpm: a page is written, moved to, and shown; what it generates comes whole, PATH_INFO is
/// read.
fn dokuwiki_by_php_fpm() -> Result<Completion, Failed> {
    if php_fpm_program().is_none() {
        return absent("php-fpm");
    }
    let root = server::fresh_root("dokuwiki");
    lay_out_dokuwiki(&unpacked()?, &root)?;
    let at = root.display();
    let lines = [
        format!("Alias /wiki \"{at}/wiki\""),
        format!("<Directory \"{at}/wiki\">"),
        "Require all granted".into(),
        "DirectoryIndex doku.php".into(),
        "</Directory>".into(),
        "<FilesMatch \"\\.php$\">".into(),
        format!("SetHandler \"proxy:unix:{at}/php.sock|fcgi://localhost\""),
        "</FilesMatch>".into(),
    ];
    let server = boot(&root, &lines)?;
    let _application = applications::start("php-fpm 2", &root, false, 0)?;
    let mut wire = Wire::connect(&server.listeners[0], PATIENCE)?;
    let text = b"id=playground:page&do[save]=1&wikitext=it+is+**written**";
    wire.send(&post("/wiki/doku.php", text))?;
    let moved = wire.reply(Judge::Strict)?;
    if !show(&moved.status_line).contains(" 302 ") || moved.value("Location").is_none() {
        return Err(format!("{}: {}", show(&moved.status_line), show(&moved.body)).into());
    }
    for (target, part) in [
        ("/wiki/", "<meta name=\"generator\" content=\"DokuWiki\"/>"),
        ("/wiki/doku.php?id=playground:page", "it is <strong>written</strong>"),
        ("/wiki/doku.php/playground:page", "it is <strong>written</strong>"),
        ("/wiki/doku.php?id=playground:page&do=export_raw", "it is **written**"),
        ("/wiki/lib/exe/css.php?t=dokuwiki", ".dokuwiki"),
        ("/wiki/lib/exe/fetch.php?media=wiki:dokuwiki-128.png", "PNG"),
        ("/wiki/lib/images/page.png", "PNG"),
        ("/wiki/feed.php", "<rdf:RDF"),
    ] {
        let body = ask(&server, &get(target))?;
        if !body.contains(part) {
            return Err(format!("{target}: {body:.2000}").into());
        }
    }
    end(&root, server, &["PHP "])
}

/// Copies what the packages have, with the paths that it has here.
fn lay_out_dokuwiki(tree: &Path, root: &Path) -> Result<(), String> {
    let copy = |from: &str, to: &str| {
        let mut command = Command::new("cp");
        command.arg("-a").arg(tree.join(from)).arg(root.join(to));
        server::run(root, command, PATIENCE).and_then(|output| {
            let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
            output.status.success().then_some(()).ok_or(complaint)
        })
    };
    copy("usr/share/dokuwiki", "wiki")?;
    copy("etc/dokuwiki", "conf")?;
    copy("var/lib/dokuwiki/data", "data")?;
    for name in ["tpl", "plugins"] {
        let link = root.join("wiki/lib").join(name);
        fs::remove_file(&link).map_err(|e| format!("{}: {e}", link.display()))?;
        copy(&format!("var/lib/dokuwiki/lib/{name}"), &format!("wiki/lib/{name}"))?;
    }
    for name in ["conf/acl.auth.php", "conf/users.auth.php", "wiki/.htaccess"] {
        let _not_in_every_package = fs::remove_file(root.join(name));
    }
    let loads = root.join("wiki/vendor/composer");
    for name in ["files", "classmap", "psr4", "namespaces", "static"] {
        let path = loads.join(format!("autoload_{name}.php"));
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let here = format!("'{}/usr/share/php", tree.display());
        let text = text.replace("$vendorDir . '/usr/share/php", &here);
        let text = text.replace("__DIR__ . '/..' . '/usr/share/php", &here);
        server::write(&path, text.replace("'/usr/share/php", &here).as_bytes())?;
    }
    let at = root.display();
    server::write(
        &root.join("wiki/inc/preload.php"),
        format!("<?php define('DOKU_CONF', '{at}/conf/');\n").as_bytes(),
    )?;
    server::write(
        &root.join("conf/local.php"),
        format!("<?php $conf['savedir'] = '{at}/data'; $conf['useacl'] = 0; $conf['userewrite'] = 2;\n").as_bytes(),
    )
}

const SLOW: &str = "<?php usleep(20000); echo 'served';";

/// With one process, a kept connection would hold it: whoever waits for it must come to his turn all the same.
fn one_child_of_php_fpm_serves_many() -> Result<Completion, Failed> {
    if php_fpm_program().is_none() {
        return absent("php-fpm");
    }
    let root = server::fresh_root("php-one");
    server::write(&root.join("htdocs/slow.php"), SLOW.as_bytes())?;
    let server = boot(&root, &php_lines(&root, "enablereuse=on ttl=1"))?;
    let _application = applications::start("php-fpm 1", &root, false, 0)?;
    let answers: Vec<Result<String, String>> = std::thread::scope(|scope| {
        let asking = (0..8).map(|_| {
            let server = &server;
            scope.spawn(move || {
                for _ in 0..5 {
                    let body = ask(server, &get("/slow.php"))?;
                    if body != "served" {
                        return Err(body);
                    }
                }
                Ok(String::new())
            })
        });
        let asking: Vec<_> = asking.collect();
        asking
            .into_iter()
            .map(|thread| thread.join().expect("it does not panic"))
            .collect()
    });
    for answer in answers {
        answer?;
    }
    end(&root, server, &[])
}

/// Many ask an application that serves one connection at a time: all are answered, whoever has its connection.
fn more_connections_than_processes() -> Result<(), Failed> {
    let root = server::fresh_root("one-process");
    let socket = root.join("app.sock");
    let line = format!(
        "ProxyPass /app/ \"unix:{}|fcgi://localhost/\" enablereuse=on ttl=1",
        socket.display()
    );
    let server = boot(&root, &[line])?;
    let _application = applications::start("testapp --one", &root, false, 0)?;
    let ask_on = || {
        for _ in 0..40 {
            let body = ask(&server, &get("/app/x?connection"))?;
            if !body.starts_with("request ") {
                return Err(body);
            }
        }
        Ok(())
    };
    let answers: Vec<Result<(), String>> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..16).map(|_| scope.spawn(ask_on)).collect();
        let ended = asking
            .into_iter()
            .map(|thread| thread.join().expect("it does not panic"));
        ended.collect()
    });
    for answer in answers {
        answer?;
    }
    end(&root, server, &[]).map(drop)
}

/// Connections that were kept are of no use behind a restart of php-fpm, and nobody notices.
fn php_fpm_is_started_again() -> Result<Completion, Failed> {
    if php_fpm_program().is_none() {
        return absent("php-fpm");
    }
    let root = server::fresh_root("php-again");
    server::write(&root.join("htdocs/slow.php"), SLOW.as_bytes())?;
    let server = boot(&root, &php_lines(&root, "enablereuse=on ttl=600"))?;
    for _ in 0..3 {
        let application = applications::start("php-fpm 2", &root, false, 0)?;
        for _ in 0..2 {
            let body = ask(&server, &post("/slow.php", b"a=b"))?;
            assert_eq!(body, "served");
        }
        drop(application);
        let socket = root.join("php.sock");
        let _gone_with_it = fs::remove_file(&socket);
        // Kept connections that were closed are dropped by and by.
        poll(PATIENCE, || server.settle(Duration::from_millis(1)))?;
    }
    end(&root, server, &[])
}

fn php_lines(root: &Path, terms: &str) -> Vec<String> {
    vec![
        format!("<Proxy \"unix:{}/php.sock|fcgi://localhost\" {terms}>", root.display()),
        "</Proxy>".to_owned(),
        "<Files *.php>".into(),
        format!("SetHandler \"proxy:unix:{}/php.sock|fcgi://localhost\"", root.display()),
        "</Files>".into(),
    ]
}

/// A server with these lines.
pub fn boot(root: &Path, lines: &[String]) -> Result<Server, String> {
    server::write_config(root, lines, "127.0.0.1:0")?;
    server::hand_over(root, false)?;
    let command = server::program(root, false, &[])?;
    Server::boot(root, command, &[], "")
}

/// A request.
pub fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").into_bytes()
}

/// One with a body.
pub fn post(target: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// One whose body comes in chunks.
pub fn chunked(target: &str, pieces: &[&[u8]]) -> Vec<u8> {
    let head = "HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut request = format!("POST {target} {head}").into_bytes();
    for piece in pieces {
        request.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        request.extend_from_slice(piece);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    request
}

/// The body of the answer, which must be 200.
pub fn ask(server: &Server, request: &[u8]) -> Result<String, String> {
    let mut wire = Wire::connect(&server.listeners[0], PATIENCE)?;
    wire.send(request)?;
    let reply = wire.reply(Judge::Strict)?;
    let body = String::from_utf8_lossy(&reply.body).into_owned();
    if show(&reply.status_line).contains(" 200 ") && !reply.cut {
        Ok(body)
    } else {
        Err(format!("{}: {body}", show(&reply.status_line)))
    }
}

/// Nothing is left behind; the error log says nothing but what matches one of `expected`.
pub fn end(root: &Path, server: Server, expected: &[&str]) -> Result<Completion, Failed> {
    server.settle(PATIENCE)?;
    server.stop()?;
    let text = fs::read_to_string(root.join("error.log")).unwrap_or_default();
    let expected = expected
        .iter()
        .map(|part| regex::Regex::new(part).expect("well-formed"));
    let expected: Vec<_> = expected.collect();
    let complaint = |line: &&str| line.contains(":error]") || line.contains(":warn]");
    let mut unexpected = text
        .lines()
        .filter(complaint)
        .filter(|line| !expected.iter().any(|part| part.is_match(line)));
    if let Some(line) = unexpected.next() {
        return Err(format!("unexpected in the error log: {line}").into());
    }
    let _left_for_the_end_of_the_run = fs::remove_dir_all(root);
    Ok(Completion::Completed)
}
