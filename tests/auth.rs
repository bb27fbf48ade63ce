//! Passwords that take long to try: whoever else asks is served meanwhile. The Digest scheme, with a client of others and over
//! the ends of processes.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use libtest_mimic::{Completion, Failed, Trial};
use md5::{Digest, Md5};
use rustix::process::Signal;

use crate::programs::absent;
use crate::support::server::{self, Server};
use crate::support::site;
use crate::support::wire::{Judge, Wire, show};

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    let auth = |name: &str, test: fn() -> Result<(), String>| {
        Trial::test(format!("auth::{name}"), move || test().map_err(Failed::from))
    };
    vec![
        auth(
            "a_password_being_tried_holds_nobody_up",
            a_password_being_tried_holds_nobody_up,
        ),
        auth(
            "a_nonce_outlives_workers_and_reloads",
            a_nonce_outlives_workers_and_reloads,
        ),
        auth("why_tells_of_the_digest_scheme", why_tells_of_the_digest_scheme),
        Trial::ignorable_test("auth::curl_speaks_digest", curl),
    ]
}

/// Seconds of work, so that others are done before it is.
const COSTLY: &str = "dear:$2y$15$xp7QiUz2HZu7AyQO0JxBUu.Lf0kJ/7E5GmFOVNcZJK5Q.XPYJUBzG\n";

fn a_password_being_tried_holds_nobody_up() -> Result<(), String> {
    let told = |error: std::io::Error| error.to_string();
    let users = server::fresh_root("auth-users").join("users");
    fs::write(&users, COSTLY).map_err(told)?;
    let user_file = format!("AuthUserFile {}", users.display());
    let lines = [
        "<Location /closed>",
        "AuthType Basic",
        "AuthName x",
        &user_file,
        "Require valid-user",
        "</Location>",
    ];
    let (root, server) = site::boot_script("auth-holds-nobody-up", "#!/bin/sh\n", &lines)?;
    server::write(&root.join("htdocs/f.txt"), b"hello")?;
    let mut dear = TcpStream::connect(&server.listeners[0]).map_err(told)?;
    dear.write_all(b"GET /closed HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic ZGVhcjpwdw==\r\n\r\n")
        .map_err(told)?;
    // As many as meet every thread.
    for _ in 0..16 {
        let mut other = TcpStream::connect(&server.listeners[0]).map_err(told)?;
        other
            .write_all(b"GET /f.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .map_err(told)?;
        let mut reply = String::new();
        other.read_to_string(&mut reply).map_err(told)?;
        if !reply.starts_with("HTTP/1.1 200") {
            return Err(reply);
        }
    }
    let mut reply = [0; 12];
    dear.set_nonblocking(true).map_err(told)?;
    match dear.read(&mut reply) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        other => return Err(format!("the password was tried before others were served: {other:?}")),
    }
    dear.set_nonblocking(false).map_err(told)?;
    dear.read_exact(&mut reply).map_err(told)?;
    if &reply != b"HTTP/1.1 401" {
        return Err(format!("the password got {}", reply.escape_ascii()));
    }
    drop(dear);
    site::end(&root, server)
}

const PATIENCE: Duration = Duration::from_secs(60);

/// A site whose `/closed` is for ann, whose password is `secret`.
fn digest_site(name: &str) -> Result<(PathBuf, Server), String> {
    let users = server::fresh_root(&format!("{name}-users")).join("users");
    server::write(&users, b"ann:A place:462b0c13be21a79fea707a9f21750ec5\n")?;
    let user_file = format!("AuthUserFile {}", users.display());
    let lines = [
        "<Location /closed>",
        "AuthType Digest",
        "AuthName \"A place\"",
        &user_file,
        "Require valid-user",
        "</Location>",
    ];
    let (root, server) = site::boot_script(name, "#!/bin/sh\n", &lines)?;
    server::write(&root.join("htdocs/closed/f.txt"), b"hello")?;
    Ok((root, server))
}

/// What is answered to a request with these fields.
fn answered(server: &Server, fields: &str) -> Result<String, String> {
    let mut wire = Wire::connect(&server.listeners[0], PATIENCE)?;
    let request = format!("GET /closed/f.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n");
    wire.send(request.as_bytes())?;
    let reply = wire.reply(Judge::Strict)?;
    let lines: Vec<String> = reply.lines().map(show).collect();
    Ok(lines.join("\n"))
}

/// The field that answers a challenge.
fn answer_to(challenge: &str) -> Result<String, String> {
    let behind = challenge
        .split_once("nonce=\"")
        .ok_or(format!("no challenge: {challenge}"))?
        .1;
    let nonce = behind.split('"').next().unwrap_or_default();
    let hex = |text: String| -> String {
        let hash = Md5::digest(text.as_bytes());
        let digits = hash.iter().flat_map(|byte| format!("{byte:02x}").into_bytes());
        digits.map(char::from).collect()
    };
    let request = hex("GET:/closed/f.txt".into());
    let response = hex(format!(
        "462b0c13be21a79fea707a9f21750ec5:{nonce}:00000001:c:auth:{request}"
    ));
    Ok(format!(
        "Authorization: Digest username=\"ann\", realm=\"A place\", nonce=\"{nonce}\", uri=\"/closed/f.txt\", nc=00000001, \
         cnonce=\"c\", qop=auth, response=\"{response}\"\r\n"
    ))
}

fn a_nonce_outlives_workers_and_reloads() -> Result<(), String> {
    let (root, server) = digest_site("digest-outlives")?;
    let field = answer_to(&answered(&server, "")?)?;
    let is_let_in = |when: &str| {
        let reply = answered(&server, &field)?;
        if reply.contains(" 200 ") {
            Ok(())
        } else {
            Err(format!("{when}: {reply}"))
        }
    };
    is_let_in("at once")?;
    server.signal("USR1")?;
    site::said(&root, "serving by the new settings")?;
    is_let_in("after a reload")?;
    let worker = site::role(&server, "worker")?;
    rustix::process::kill_process(worker, Signal::KILL).map_err(|error| error.to_string())?;
    server::poll(PATIENCE, || match is_let_in("after the death of the worker") {
        Ok(()) if site::role(&server, "worker")? != worker => Ok(()),
        Ok(()) => Err("the worker does not die".to_owned()),
        Err(error) => Err(error),
    })?;
    site::end(&root, server)
}

fn why_tells_of_the_digest_scheme() -> Result<(), String> {
    let (root, server) = digest_site("digest-why")?;
    let answer = answer_to(&answered(&server, "")?)?;
    let answer = answer.trim_end();
    for (fields, told) in [
        (&[][..], ["the request has no answer for AuthType Digest", "401"]),
        (&["--header", answer][..], ["ann: the answer is right", "200"]),
        (
            &["--header", &answer.replace("c\"", "d\"")][..],
            ["the answer is not that of who knows the password", "401"],
        ),
    ] {
        let mut command = server::program(&root, false, &[])?;
        command.args(["why", "-f", "httpd.conf", "-d"]).arg(&root).args(fields);
        command.args(["GET", "http://localhost/closed/f.txt"]);
        let output = server::run(&root, command, PATIENCE)?;
        let page = String::from_utf8_lossy(&output.stdout).into_owned();
        if let Some(words) = told.iter().find(|words| !page.contains(*words)) {
            return Err(format!(
                "no `{words}` in\n{page}{}",
                String::from_utf8_lossy(&output.stderr)
            ));
        }
    }
    site::end(&root, server)
}

fn curl() -> Result<Completion, Failed> {
    if !Path::new("/usr/bin/curl").exists() {
        return absent("curl");
    }
    let (root, server) = digest_site("digest-curl")?;
    let url = format!("http://{}/closed/f.txt?a=b", server.listeners[0]);
    let ask = |user: &str, more: &[&str]| {
        let mut command = Command::new("/usr/bin/curl");
        command
            .args(["-s", "--digest", "-u", user, "-w", " %{http_code}"])
            .args(more)
            .args([&url, &url]);
        command
            .output()
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    // The second time it answers the challenge of the first, and counts.
    for (user, more, want) in [
        ("ann:secret", &[][..], "hello 200hello 200"),
        ("ann:secret", &["--anyauth"][..], "hello 200hello 200"),
        ("ann:secret", &["-d", "x"][..], "hello 200hello 200"),
        (
            "ann:secret",
            &["-o", "/dev/null", "-o", "/dev/null", "-I"][..],
            " 200 200",
        ),
        ("ann:wrong", &["-o", "/dev/null", "-o", "/dev/null"][..], " 401 401"),
        ("bob:secret", &["-o", "/dev/null", "-o", "/dev/null"][..], " 401 401"),
    ] {
        let said = ask(user, more)?;
        if said != want {
            return Err(format!("{user} {more:?}: {said}").into());
        }
    }
    site::end(&root, server)?;
    Ok(Completion::Completed)
}
