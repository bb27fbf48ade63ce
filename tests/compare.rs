//! `lychgate compare`: Apache and lychgate with the same site do not differ, each kind of planted difference is found and no other,
//! and what is sent is what was said.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, SystemTime};

use libtest_mimic::{Completion, Failed, Trial};
use rustix::process::Signal;

use crate::beside::{self, Booted};
use crate::programs::absent;
use crate::support::server::{self, Server};

const PATIENCE: Duration = Duration::from_secs(60);

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    let compare = |name: &str, test: fn() -> Result<(), String>| {
        Trial::test(format!("compare::{name}"), move || test().map_err(Failed::from))
    };
    vec![
        Trial::ignorable_test("compare::apache_and_lychgate_do_not_differ", apache_and_lychgate),
        compare("each_planted_difference_is_found_and_no_other", planted),
        compare("what_changes_by_itself_is_no_difference", what_changes),
        compare("an_interrupt_leaves_what_there_is", interrupted),
    ]
}

/// Compares with these words, as the user that servers run as.
fn ask(root: &Path, words: &[&str]) -> Result<Output, String> {
    let mut command = server::program(root, false, &[])?;
    command.arg("compare").args(words);
    server::run(root, command, PATIENCE)
}

/// A log of these requests, with the virtual host before each line.
fn log(root: &Path, requests: &[(&str, &str)]) -> Result<String, String> {
    let lines: Vec<String> = requests
        .iter()
        .map(|(host, request)| format!("{host}:80 192.0.2.1 - - [t] \"{request} HTTP/1.1\" 200 1 \"-\" \"-\"\n"))
        .collect();
    let file = root.join("old.log");
    server::write(&file, lines.concat().as_bytes())?;
    server::hand_over(root, false)?;
    Ok(file.display().to_string())
}

fn write_all(root: &Path, files: &[(&str, &str)]) -> Result<(), String> {
    for (file, text) in files {
        server::write(&root.join(file), text.as_bytes())?;
        if text.starts_with("#!") {
            server::set_mode(&root.join(file), 0o755)?;
        }
    }
    Ok(())
}

fn apache_and_lychgate() -> Result<Completion, Failed> {
    if !Path::new("/usr/sbin/apache2").exists() {
        return absent("apache2");
    }
    let root = server::fresh_root("compare-apache");
    write_all(
        &root,
        &[
            ("htdocs/index.html", "<html>index</html>\n"),
            ("htdocs/file.txt", "0123456789\n"),
            ("htdocs/listed/x.html", "<p>x\n"),
            ("htdocs/two/index.html", "<p>two\n"),
            ("htdocs/users", "a:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n"),
            (
                "cgi-bin/cookie",
                "#!/bin/sh\nprintf 'Content-Type: text/plain\\nSet-Cookie: id=1; Path=/\\n\\n%s %s\\n' \"$HTTP_HOST\" \"$QUERY_STRING\"\n",
            ),
        ],
    )?;
    let lines = format!(
        "ScriptAlias /cgi-bin/ \"{at}/cgi-bin/\"\nRedirect /moved http://localhost/elsewhere\nServerSignature On\nUseCanonicalName Off\n\
         <Directory />\nOptions Indexes\nIndexOptions FancyIndexing\nRequire all granted\n</Directory>\nExpiresActive On\nExpiresByType text/plain A3600\n\
         <Location /closed>\nAuthType Basic\nAuthName who\nAuthUserFile \"{at}/htdocs/users\"\nRequire valid-user\n</Location>\n\
         <VirtualHost *>\nServerName one.example\n</VirtualHost>\n<VirtualHost *>\nServerName two.example\nDocumentRoot \"{at}/htdocs/two\"\n</VirtualHost>",
        at = root.display()
    );
    let lines: Vec<String> = lines.lines().map(str::to_owned).collect();
    server::write_config(&root, &lines, "127.0.0.1:0")?;
    server::hand_over(&root, false)?;
    beside::age(&root, SystemTime::now() - Duration::from_secs(100_000)).map_err(|error| error.to_string())?;
    let (apache, ours) = (Booted::new(&root, "apache")?, Booted::new(&root, "lychgate")?);
    let requests = [
        ("one.example", "GET /"),
        ("two.example", "GET /"),
        ("two.example", "GET /"),
        ("one.example", "HEAD /file.txt"),
        ("one.example", "GET /file.txt"),
        ("one.example", "GET /listed"),
        ("one.example", "GET /listed/"),
        ("one.example", "GET /missing"),
        ("one.example", "GET /closed"),
        ("one.example", "GET /moved"),
        ("one.example", "GET /cgi-bin/cookie?a=b"),
        ("one.example", "GET /%2e%2e/x"),
    ];
    let log = log(&root, &requests)?;
    let (old, new) = (
        format!("http://{}", apache.address),
        format!("http://{}/", ours.address),
    );
    let output = ask(&root, &[&old, &new, "--access-log", &log, "--jobs", "4"])?;
    ours.server.stop()?;
    apache.server.stop()?;
    let said = shown(&output.stdout);
    if output.status.code() != Some(0) || said != "11 of 11 requests compared: 0 differ\n" {
        return Err(format!("{}: {said}{}", output.status, shown(&output.stderr)).into());
    }
    let plan = format!("lychgate: 11 requests, GET and HEAD, to {old} and to {new}, 4 at a time; 12 lines read\n");
    if shown(&output.stderr) != plan {
        return Err(shown(&output.stderr).into());
    }
    Ok(Completion::Completed)
}

/// A server of lychgate's with these lines besides what both have.
fn boot(name: &str, lines: &str, page: &str) -> Result<(PathBuf, Server), String> {
    let root = server::fresh_root(name);
    write_all(
        &root,
        &[
            ("htdocs/status.txt", "status\n"),
            ("htdocs/type.x", "type\n"),
            ("htdocs/vary.txt", "vary\n"),
            ("htdocs/etag.txt", "etag\n"),
            ("htdocs/cache.txt", "cache\n"),
            ("htdocs/cookie.txt", "cookie\n"),
            ("htdocs/frame.txt", "frame\n"),
            ("htdocs/same.txt", "same\n"),
            ("htdocs/page.html", page),
        ],
    )?;
    let both = "<Directory />\nRequire all granted\n</Directory>\n<VirtualHost *>\nServerName one.example\n</VirtualHost>\n\
                <VirtualHost *>\nServerName two.example\nRedirect /same.txt http://two.example/there\n</VirtualHost>";
    let lines: Vec<String> = lines.lines().chain(both.lines()).map(str::to_owned).collect();
    server::write_config(&root, &lines, "127.0.0.1:0")?;
    server::hand_over(&root, false)?;
    beside::age(&root, SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000))
        .map_err(|error| error.to_string())?;
    let server = Server::boot(&root, server::program(&root, false, &[])?, &[], "")?;
    Ok((root, server))
}

const OLD: &str = "Redirect /moved http://one.example/old\nAddType text/x-old .x\nHeader set X-Frame-Options DENY\n\
    <Files vary.txt>\nHeader append Vary Cookie\n</Files>\n<Files cookie.txt>\nHeader add Set-Cookie \"id=1; HttpOnly\"\n</Files>\n\
    <Files cache.txt>\nHeader set Cache-Control max-age=60\n</Files>";
const NEW: &str = "Redirect /moved http://one.example/new\nRedirect gone /status.txt\nAddType text/x-new .x\n\
    <Files etag.txt>\nFileETag None\n</Files>\n<Files cookie.txt>\nHeader add Set-Cookie \"id=2\"\n</Files>\n\
    <Files cache.txt>\nHeader set Cache-Control max-age=61\n</Files>\n\
    <FilesMatch \"^(?!frame)\">\nHeader set X-Frame-Options DENY\n</FilesMatch>";

/// What is told of the two servers: to people, to programs, and with fields that do not count.
struct Told {
    page: Output,
    json: Output,
    ignoring: Output,
}

/// The files of the first virtual host, each with a difference, and one that is the same.
const FILES: [&str; 9] = [
    "status.txt",
    "type.x",
    "vary.txt",
    "etag.txt",
    "cache.txt",
    "cookie.txt",
    "frame.txt",
    "same.txt",
    "page.html",
];

fn told() -> Result<Told, String> {
    let (root, old) = boot("compare-old", OLD, "<p>one\n<p>two\n")?;
    let (_, new) = boot("compare-new", NEW, "<p>one\n<p>2\n")?;
    let mut requests: Vec<(&str, String)> = FILES
        .iter()
        .map(|name| ("one.example", format!("GET /{name}")))
        .collect();
    requests.push(("one.example", "GET /moved".to_owned()));
    requests.push(("one.example", "HEAD /page.html".to_owned()));
    requests.push(("two.example", "GET /same.txt".to_owned()));
    for unsent in ["POST /status.txt", "GET /logout", "GET /page.html\\r\\nX: y"] {
        requests.push(("one.example", unsent.to_owned()));
    }
    let requests: Vec<(&str, &str)> = requests
        .iter()
        .map(|(host, request)| (*host, request.as_str()))
        .collect();
    let log = log(&root, &requests)?;
    let urls = [&old, &new].map(|server| format!("http://{}", server.listeners[0]));
    let words = [urls[0].as_str(), &urls[1], "--access-log", &log];
    let told = Told {
        page: ask(&root, &words)?,
        json: ask(&root, &[&words[..], &["--json"]].concat())?,
        ignoring: ask(
            &root,
            &[&words[..], &["--ignore", "X-Frame-Options", "--ignore", "etag"]].concat(),
        )?,
    };
    old.stop()?;
    new.stop()?;
    Ok(told)
}

/// Request, what differs, and both sides of it.
const PLANTED: [(&str, &str, &str, &str); 10] = [
    ("GET http://one.example/status.txt", "status", "200", "410"),
    (
        "GET http://one.example/type.x",
        "content-type",
        "text/x-old",
        "text/x-new",
    ),
    ("GET http://one.example/vary.txt", "vary", "cookie", "none"),
    ("GET http://one.example/etag.txt", "etag", "a strong one", "none"),
    (
        "GET http://one.example/cache.txt",
        "cache-control",
        "max-age=60",
        "max-age=61",
    ),
    ("GET http://one.example/cookie.txt", "set-cookie", "id; httponly", "id"),
    ("GET http://one.example/frame.txt", "x-frame-options", "DENY", "none"),
    (
        "GET http://one.example/page.html",
        "body",
        "14 bytes, line 2: <p>two",
        "12 bytes, line 2: <p>2",
    ),
    (
        "GET http://one.example/moved",
        "location",
        "http://HOST/old",
        "http://HOST/new",
    ),
    ("HEAD http://one.example/page.html", "content-length", "14", "12"),
];

fn planted() -> Result<(), String> {
    let Told { page, json, ignoring } = told()?;
    let said = shown(&page.stdout);
    let blocks = PLANTED
        .iter()
        .map(|(target, what, one, other)| format!("{target}\n  {what}\n    - {one}\n    + {other}\n"));
    // In the order of the log.
    let want = blocks.collect::<String>()
        + "\n12 of 12 requests compared: 10 differ (body 1, cache-control 1, content-length 1, content-type 1, etag 1, location 1, \
           set-cookie 1, status 1, vary 1, x-frame-options 1)\n";
    if said != want || page.status.code() != Some(1) {
        return Err(format!("{}: {said}", page.status));
    }
    let plan = shown(&page.stderr);
    if !plan.ends_with(
        "15 lines read; left out: 1 without a request that could be sent, 1 neither GET nor HEAD, 1 with a word like `logout` or \
         `delete` in the URL (`--all` sends them)\n",
    ) {
        return Err(plan);
    }
    let json = shown(&json.stdout);
    let object = "{\"method\":\"GET\",\"host\":\"one.example\",\"target\":\"/type.x\",\"count\":1,\
                  \"found\":[{\"what\":\"content-type\",\"old\":\"text/x-old\",\"new\":\"text/x-new\"}]}";
    if json.lines().count() != 1 || !json.contains(object) || !json.contains("\"compared\":12,\"differ\":10") {
        return Err(json);
    }
    let ignoring = shown(&ignoring.stdout);
    if ignoring.contains("frame.txt") || ignoring.contains("etag") || !ignoring.contains(" 8 differ ") {
        return Err(ignoring);
    }
    Ok(())
}

fn what_changes() -> Result<(), String> {
    let root = server::fresh_root("compare-changing");
    let script = "#!/bin/sh\nprintf 'Content-Type: text/plain\\nX-Pid: %s\\n\\n%s\\n' $$ $$\n";
    write_all(&root, &[("cgi-bin/s", script)])?;
    let lines = [format!("ScriptAlias /cgi-bin/ \"{}/cgi-bin/\"", root.display())];
    server::write_config(&root, &lines, "127.0.0.1:0")?;
    server::hand_over(&root, false)?;
    let server = Server::boot(&root, server::program(&root, false, &[])?, &[], "")?;
    let log = log(&root, &[("x.example", "GET /cgi-bin/s")])?;
    let url = format!("http://{}", server.listeners[0]);
    let output = ask(&root, &[&url, &url, "--access-log", &log])?;
    server.stop()?;
    let want = "1 of 1 requests compared: 0 differ\n1 differ in what the old server does not answer twice the same; that was left out\n";
    match (output.status.code(), shown(&output.stdout)) {
        (Some(0), said) if said == want => Ok(()),
        (code, said) => Err(format!("{code:?}: {said}{}", shown(&output.stderr))),
    }
}

fn interrupted() -> Result<(), String> {
    let root = server::fresh_root("compare-interrupted");
    let silent = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let url = format!("http://{}", silent.local_addr().map_err(|error| error.to_string())?);
    let log = log(&root, &[("x.example", "GET /")])?;
    let mut command = server::program(&root, false, &[])?;
    command.args(["compare", &url, &url, "--access-log", &log, "--timeout", "3600"]);
    let out = fs::File::create(root.join("out")).map_err(|error| error.to_string())?;
    let mut child = command
        .stdout(out)
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    // It looks whether both are there before it asks; who asks has begun.
    let asked = (0..3).try_for_each(|_| {
        let (mut stream, _) = silent.accept()?;
        let mut byte = [0];
        stream.read(&mut byte).map(drop)
    });
    asked.map_err(|error| error.to_string())?;
    server::kill(child.id(), Signal::INT);
    let ended = server::poll(PATIENCE, || match child.try_wait() {
        Ok(Some(status)) => Ok(status),
        _ => Err("it goes on".to_owned()),
    });
    if ended.is_err() {
        let _already_gone = child.kill();
        let _reaped = child.wait();
    }
    let said = fs::read_to_string(root.join("out")).map_err(|error| error.to_string())?;
    let want = "0 of 1 requests compared: 0 differ\nStopped before its end; this is what there is.\n";
    match ended?.code() {
        Some(1) if said == want => Ok(()),
        code => Err(format!("{code:?}: {said}")),
    }
}
