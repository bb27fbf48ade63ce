//! Well-known programs behind the server: git over HTTP, gitweb and CGI.pm. What they need is in `tests/run`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use libtest_mimic::{Completion, Failed, Trial};

use crate::support::server::{self, Server};
use crate::support::wire::{Judge, Wire, show};

const PATIENCE: Duration = Duration::from_secs(60);
const GITWEB: &str = "/usr/share/gitweb";

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    vec![
        Trial::ignorable_test("programs::git_clones_and_pushes", || git_clones_and_pushes(&[])),
        Trial::ignorable_test("programs::git_confined_clones_and_pushes", || {
            git_clones_and_pushes(&["ScriptSandbox basic require", "ScriptSandboxWrite repositories"])
        }),
        Trial::ignorable_test("programs::gitweb_shows_a_repository", || gitweb_shows_a_repository(&[])),
        Trial::ignorable_test("programs::gitweb_confined_shows_a_repository", || {
            gitweb_shows_a_repository(&[
                "ScriptSandbox basic require",
                "ScriptSandboxRead repositories gitweb.conf",
            ])
        }),
        Trial::ignorable_test("programs::cgi_pm_reads_a_form", cgi_pm_reads_a_form),
    ]
}

/// git-http-backend by its manual page: a clone, a push in one piece and a push in chunks, a fetch of both.
fn git_clones_and_pushes(confinement: &[&str]) -> Result<Completion, Failed> {
    let Some(backend) = git_http_backend() else {
        return absent("git-http-backend");
    };
    let root = server::fresh_root("git");
    let url = repository(&root)?;
    let mut lines = git_lines(&root, &backend).to_vec();
    lines.extend(confinement.iter().map(ToString::to_string));
    let server = boot(&root, &lines)?;
    let url = format!("http://{}/git/{url}", server.listeners[0]);
    git(&root, &["clone", "-q", &url, "one"])?;
    let one = root.join("one");
    server::write(&one.join("small"), b"a line\n")?;
    commit(&one, "small")?;
    git(&one, &["push", "-q", "origin", "main"])?;
    // More than the buffer: git sends it in chunks, which the program could not read (it wants a length).
    let mut noise = Vec::new();
    let mut state = 1_u32;
    while noise.len() < 400_000 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.extend_from_slice(&state.to_be_bytes());
    }
    server::write(&one.join("large"), &noise)?;
    commit(&one, "large")?;
    git(&one, &["-c", "http.postBuffer=1024", "push", "-q", "origin", "main"])?;
    git(&root, &["clone", "-q", &url, "two"])?;
    let there = fs::read(root.join("two/large")).map_err(|e| format!("two/large: {e}"))?;
    if there != noise || !root.join("two/small").exists() {
        return Err("the second clone is not the first".into());
    }
    let chunked = fs::read_to_string(root.join("access.log")).unwrap_or_default();
    if !chunked
        .lines()
        .any(|l| l.contains("git-receive-pack") && l.ends_with(" chunked"))
    {
        return Err(format!("no push came in chunks: {chunked}").into());
    }
    // What is no repository, and a way out of the root.
    for target in ["/git/none.git/info/refs", "/git/..%2f..%2fetc/passwd", "/git/"] {
        let reply = fetch(&server, target)?;
        if !reply.0.contains(" 404 ") && !reply.0.contains(" 400 ") {
            return Err(format!("{target}: {reply:?}").into());
        }
    }
    end(
        &root,
        server,
        &[
            "none.git",
            "encoded slash",
            "Not a git repository",
            "Request not supported",
            "git-http-backend",
        ],
    )
}

/// gitweb from Debian's package, by its own DirectoryIndex and by PATH_INFO.
fn gitweb_shows_a_repository(confinement: &[&str]) -> Result<Completion, Failed> {
    if !Path::new(GITWEB).join("gitweb.cgi").exists() {
        return absent("gitweb");
    }
    let root = server::fresh_root("gitweb");
    repository(&root)?;
    let config = format!(
        "$projectroot = \"{0}\";\n$projects_list = $projectroot;\n$feature{{'pathinfo'}}{{'default'}} = [1];\n",
        root.join("repositories").display()
    );
    server::write(&root.join("gitweb.conf"), config.as_bytes())?;
    let mut lines = vec![
        format!("Alias \"/gitweb\" \"{GITWEB}\""),
        format!("<Directory \"{GITWEB}\">"),
        "Options FollowSymLinks ExecCGI".into(),
        "AddHandler cgi-script .cgi".into(),
        "DirectoryIndex gitweb.cgi".into(),
        format!("SetEnv GITWEB_CONFIG \"{}\"", root.join("gitweb.conf").display()),
        "</Directory>".into(),
    ];
    lines.extend(confinement.iter().map(ToString::to_string));
    let server = boot(&root, &lines)?;
    for (target, part) in [
        ("/gitweb/", "first.git"),
        ("/gitweb/gitweb.cgi?p=first.git;a=summary", "the first commit"),
        ("/gitweb/gitweb.cgi/first.git/blob/HEAD:/README", "read&nbsp;me"),
        ("/gitweb/static/gitweb.css", "body {"),
    ] {
        let (status, body) = fetch(&server, target)?;
        if !status.contains(" 200 ") || !body.contains(part) {
            return Err(format!("{target}: {status}: {body}").into());
        }
    }
    end(&root, server, &[])
}

/// The module that most Perl scripts read their forms with: fields, an upload, a redirect and its own nph mode.
fn cgi_pm_reads_a_form() -> Result<Completion, Failed> {
    let there = Command::new("perl")
        .args(["-MCGI", "-e", "1"])
        .stderr(Stdio::null())
        .status();
    if !there.is_ok_and(|status| status.success()) {
        return absent("CGI.pm");
    }
    let root = server::fresh_root("cgi-pm");
    let script = r#"#!/usr/bin/perl
use CGI;
my $q = CGI->new;
if ($q->param('go')) { print $q->redirect('/cgi-bin/form?word=there'); exit }
print $q->header(-type => 'text/plain', -cookie => $q->cookie(-name => 'c', -value => 'v w'), -charset => 'utf-8');
my $file = $q->upload('file');
my $bytes = 0;
if ($file) { $bytes += length $_ while <$file> }
printf "word=%s file=%s bytes=%d self=%s path=%s\n",
    scalar $q->param('word'), scalar $q->param('file') // '-', $bytes, $q->url(-path => 1), $q->path_info;
"#;
    server::write(&root.join("cgi-bin/form"), script.as_bytes())?;
    server::set_mode(&root.join("cgi-bin/form"), 0o755)?;
    let lines = [
        format!("ScriptAlias /cgi-bin/ \"{}/cgi-bin/\"", root.display()),
        format!("SetEnv TMPDIR \"{}\"", root.display()),
    ];
    let server = boot(&root, &lines)?;
    let (status, body) = fetch(&server, "/cgi-bin/form/a/b?word=x%20y")?;
    if !status.contains(" 200 ")
        || !body.contains("word=x y file=- bytes=0 self=http://localhost/cgi-bin/form/a/b path=/a/b")
    {
        return Err(format!("GET: {status}: {body}").into());
    }
    let content = vec![b'\n'; 100_000];
    let mut form = b"--b\r\nContent-Disposition: form-data; name=\"word\"\r\n\r\nw\r\n".to_vec();
    form.extend_from_slice(b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f.bin\"\r\n\r\n");
    form.extend_from_slice(&content);
    form.extend_from_slice(b"\r\n--b--\r\n");
    let head = format!(
        "POST /cgi-bin/form HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n\
         Content-Length: {}\r\n\r\n",
        form.len()
    );
    let mut wire = Wire::connect(&server.listeners[0], PATIENCE)?;
    wire.send(&[head.as_bytes(), &form].concat())?;
    let reply = wire.reply(Judge::Strict)?;
    if !show(&reply.body).contains("word=w file=f.bin bytes=100000") {
        return Err(format!("POST: {reply:?}").into());
    }
    drop(wire);
    let (status, _) = fetch(&server, "/cgi-bin/form?go=1")?;
    if !status.contains(" 302 ") {
        return Err(format!("redirect: {status}").into());
    }
    end(&root, server, &[])
}

pub fn git_http_backend() -> Option<PathBuf> {
    let output = Command::new("git").arg("--exec-path").output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    let backend = Path::new(path.trim()).join("git-http-backend");
    backend.exists().then_some(backend)
}

/// As git-http-backend(1) has it.
fn git_lines(root: &Path, backend: &Path) -> [String; 4] {
    [
        format!("SetEnv GIT_PROJECT_ROOT \"{}/repositories\"", root.display()),
        "SetEnv GIT_HTTP_EXPORT_ALL".into(),
        format!("ScriptAlias /git/ \"{}/\"", backend.display()),
        format!(
            "CustomLog \"{}/access.log\" \"%r %>s %{{Transfer-Encoding}}i\"",
            root.display()
        ),
    ]
}

/// A bare repository with one commit, which takes pushes; its name.
pub fn repository(root: &Path) -> Result<&'static str, String> {
    let work = root.join("work");
    fs::create_dir_all(&work).map_err(|e| format!("work: {e}"))?;
    git(&work, &["init", "-q", "-b", "main"])?;
    server::write(&work.join("README"), b"read me\n")?;
    commit(&work, "the first commit")?;
    git(root, &["clone", "-q", "--bare", "work", "repositories/first.git"])?;
    git(
        &root.join("repositories/first.git"),
        &["config", "http.receivepack", "true"],
    )?;
    Ok("first.git")
}

pub fn commit(work: &Path, subject: &str) -> Result<(), String> {
    git(work, &["add", "."])?;
    git(work, &["commit", "-q", "-m", subject])
}

/// Runs git apart from everybody's settings.
pub fn git(directory: &Path, words: &[&str]) -> Result<(), String> {
    let output: Output = Command::new("git")
        .current_dir(directory)
        .args([
            "-c",
            "user.name=Tester",
            "-c",
            "user.email=tester@localhost",
            "-c",
            "safe.directory=*",
        ])
        .args(words)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("no_proxy", "*")
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("git: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("git {words:?}: {}", String::from_utf8_lossy(&output.stderr)))
}

fn boot(root: &Path, lines: &[String]) -> Result<Server, String> {
    server::write_config(root, lines, "127.0.0.1:0")?;
    server::hand_over(root, false)?;
    let command = server::program(root, false, &[])?;
    Server::boot(root, command, &[], "")
}

/// Status line and body of a GET.
fn fetch(server: &Server, target: &str) -> Result<(String, String), String> {
    let mut wire = Wire::connect(&server.listeners[0], PATIENCE)?;
    wire.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())?;
    let reply = wire.reply(Judge::Strict)?;
    Ok((
        show(&reply.status_line),
        String::from_utf8_lossy(&reply.body).into_owned(),
    ))
}

/// Nothing is left behind; the error log says nothing but what holds one of `expected`.
fn end(root: &Path, server: Server, expected: &[&str]) -> Result<Completion, Failed> {
    server.settle(PATIENCE)?;
    server.stop()?;
    let text = fs::read_to_string(root.join("error.log")).unwrap_or_default();
    let complaint = |line: &&str| line.contains(":error]") || line.contains(":warn]");
    let unexpected = text
        .lines()
        .filter(complaint)
        .find(|line| !expected.iter().any(|part| line.contains(part)));
    if let Some(line) = unexpected {
        return Err(format!("unexpected in the error log: {line}").into());
    }
    let _left_for_the_end_of_the_run = fs::remove_dir_all(root);
    Ok(Completion::Completed)
}

/// Under CI what is missing is a failure, elsewhere it is told.
pub fn absent(what: &str) -> Result<Completion, Failed> {
    if std::env::var_os("CI").is_some() {
        return Err(format!("`{what}` is missing").into());
    }
    Ok(Completion::ignored_with(format!("`{what}` is missing")))
}
