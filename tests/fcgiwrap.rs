//! `lychgate fcgiwrap` behind nginx, Apache and lychgate itself, and asked by clients of our own, good and bad. What they
//! need is in `tests/run`.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use libtest_mimic::{Completion, Failed, Trial};
use lychgate::gateway::fastcgi::record::{self, Connection, Message, ProtocolStatus, Role, Stream};

use crate::programs::{absent, commit, git, git_http_backend, repository};
use crate::support::fastcgi::{Client, begin, request};
use crate::support::processes;
use crate::support::server::{self, Server, bench, poll};
use crate::support::wire::{Judge, Reply, Wire, show};

const PATIENCE: Duration = Duration::from_secs(60);

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    let test =
        |name: &str, test: fn() -> Result<Completion, Failed>| Trial::ignorable_test(format!("fcgiwrap::{name}"), test);
    vec![
        test("nginx_runs_scripts", nginx_runs_scripts),
        test(
            "nginx_passes_large_bodies_both_ways",
            nginx_passes_large_bodies_both_ways,
        ),
        test(
            "git_clones_and_pushes_through_nginx",
            git_clones_and_pushes_through_nginx,
        ),
        test(
            "a_client_of_nginx_that_leaves_ends_its_script",
            a_client_of_nginx_that_leaves_ends_its_script,
        ),
        test("apache_runs_scripts", apache_runs_scripts),
        test("lychgate_runs_scripts", lychgate_runs_scripts),
        test(
            "one_connection_carries_many_requests",
            one_connection_carries_many_requests,
        ),
        test(
            "the_protocol_s_questions_are_answered",
            the_protocols_questions_are_answered,
        ),
        test(
            "an_aborted_request_ends_its_script_and_nothing_else",
            an_aborted_request_ends_its_script,
        ),
        test(
            "every_cut_of_a_session_costs_one_connection",
            every_cut_of_a_session_costs_one_connection,
        ),
        test("garbage_costs_one_connection", garbage_costs_one_connection),
        test(
            "a_thousand_idle_clients_hinder_nobody",
            a_thousand_idle_clients_hinder_nobody,
        ),
        test("scripts_elsewhere_are_not_run", scripts_elsewhere_are_not_run),
        test("errors_go_to_the_client_with_f", errors_go_to_the_client_with_f),
        test("settings_confine_scripts", settings_confine_scripts),
        test("sockets_that_are_given_are_used", sockets_that_are_given_are_used),
        test("a_reload_loses_no_request", a_reload_loses_no_request),
        test(
            "the_socket_comes_with_its_mode_and_goes_at_the_end",
            the_socket_comes_and_goes,
        ),
        test("root_says_who_scripts_run_as", root_says_who_scripts_run_as),
    ]
}

/// A `lychgate fcgiwrap` at work, and the directory that it has.
struct Wrap {
    root: PathBuf,
    socket: PathBuf,
    server: Server,
}

impl Wrap {
    /// With its socket at `fcgi.sock`, and the scripts in `cgi-bin`: `testapp`, and those that are made here.
    fn boot(name: &str, options: &[&str]) -> Result<Wrap, String> {
        let root = server::fresh_root(name);
        scripts(&root)?;
        server::hand_over(&root, false)?;
        let socket = root.join("fcgi.sock");
        let mut command = program(&root, options)?;
        command.arg("-s").arg(format!("unix:{}", socket.display()));
        let server = Server::boot_fcgiwrap(&root, command)?;
        Ok(Wrap { root, socket, server })
    }

    fn script(&self, name: &str) -> String {
        self.root.join("cgi-bin").join(name).display().to_string()
    }

    fn connect(&self) -> Result<Client, String> {
        Client::connect(&self.socket, PATIENCE)
    }

    /// The document of a script's answer to a request of its own connection.
    fn ask(&self, script: &str, variables: &[(&str, &str)]) -> Result<String, String> {
        let mut client = self.connect()?;
        let name = self.script(script);
        let mut all = vec![("SCRIPT_FILENAME", name.as_str()), ("REQUEST_METHOD", "GET")];
        all.extend_from_slice(variables);
        client.send(&request(1, Connection::Close, &all, b""))?;
        let reply = client.reply(1)?;
        if reply.end.is_none() {
            return Err(format!("{script}: no end: {}", show(&reply.stdout)));
        }
        Ok(String::from_utf8_lossy(&reply.stdout).into_owned())
    }

    /// It still serves.
    fn is_well(&self) -> Result<(), String> {
        let answer = self.ask("hello.sh", &[])?;
        answer.contains("\r\n\r\nhello").then_some(()).ok_or(answer)
    }

    /// Nothing is left behind, and the log has no complaint but what holds one of `expected`.
    fn end(self, expected: &[&str]) -> Result<Completion, Failed> {
        self.server.settle(PATIENCE)?;
        self.server.stop()?;
        let text = fs::read_to_string(self.root.join("error.log")).unwrap_or_default();
        let complaint = |line: &&str| line.contains(":error]") || line.contains(":warn]");
        let unexpected = text
            .lines()
            .filter(complaint)
            .find(|line| !expected.iter().any(|part| line.contains(part)));
        if let Some(line) = unexpected {
            return Err(format!("unexpected in the error log: {line}").into());
        }
        for part in expected.iter().filter(|part| !text.contains(**part)) {
            return Err(format!("not in the error log: {part}").into());
        }
        let _left_for_the_end_of_the_run = fs::remove_dir_all(&self.root);
        Ok(Completion::Completed)
    }
}

/// The program with its words, but for the socket.
fn program(root: &Path, options: &[&str]) -> Result<Command, String> {
    let mut command = server::program(root, false, &[])?;
    command
        .arg("fcgiwrap")
        .arg("-p")
        .arg(root.join("cgi-bin"))
        .arg("-C")
        .arg(format!("ErrorLog \"{}/error.log\"", root.display()))
        .args(options);
    Ok(command)
}

const HELLO_SH: &str =
    "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nhello %s %s\\n' \"$QUERY_STRING\" \"$PATH_INFO\"\n";
const HELLO_PERL: &str =
    "#!/usr/bin/perl\nprint \"Content-Type: text/plain\\n\\nhello $ENV{QUERY_STRING} $ENV{PATH_INFO}\\n\";\n";
const NPH: &str = "#!/bin/sh\nprintf 'HTTP/1.0 201 Made\\r\\nContent-Type: text/plain\\r\\n\\r\\nnph\\n'\n";
const HEAD: &str = "#!/bin/sh\ncat\n";

fn scripts(root: &Path) -> Result<(), String> {
    for (name, text) in [
        ("hello.sh", HELLO_SH),
        ("hello.pl", HELLO_PERL),
        ("nph-made", NPH),
        ("head", HEAD),
        ("outside/hello.sh", HELLO_SH),
        ("plain.txt", "no script\n"),
    ] {
        let path = match name.strip_prefix("outside/") {
            Some(name) => root.join("other").join(name),
            None => root.join("cgi-bin").join(name),
        };
        server::write(&path, text.as_bytes())?;
        server::set_mode(&path, if name == "plain.txt" { 0o644 } else { 0o755 })?;
    }
    let testapp = root.join("cgi-bin/testapp");
    fs::copy(bench().directory.join("apps/testapp"), &testapp).map_err(|e| format!("testapp: {e}"))?;
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/hello.c");
    let compiled = Command::new("cc")
        .arg("-o")
        .arg(root.join("cgi-bin/hello"))
        .arg(source)
        .status();
    if !compiled.is_ok_and(|status| status.success()) {
        return Err("hello.c does not compile".into());
    }
    Ok(())
}

/// nginx as it ships with the example of `conf/extra`, in front of a wrap.
struct Nginx {
    address: String,
    server: Server,
}

impl Nginx {
    /// `None` where nginx is not there. `more` is for the example's location.
    fn boot(wrap: &Wrap, more: &str) -> Result<Option<Nginx>, String> {
        if !Path::new("/usr/sbin/nginx").exists() {
            return Ok(None);
        }
        let (root, port) = (wrap.root.join("nginx"), server::free_port());
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/extra/nginx-fcgiwrap.conf");
        let example = fs::read_to_string(&example).map_err(|e| format!("{}: {e}", example.display()))?;
        let here = wrap.root.display();
        let location = replaced(&example, "root /usr/lib;", &format!("root {here};"))?;
        let location = replaced(
            &location,
            "include fastcgi_params;",
            "include /etc/nginx/fastcgi_params;",
        )?;
        let location = replaced(
            &location,
            "unix:/run/lychgate-fcgiwrap.sock;",
            &format!("unix:{here}/fcgi.sock;\n{more}"),
        )?;
        let at = root.display();
        let temporary: Vec<String> = ["client_body", "fastcgi", "proxy", "uwsgi", "scgi"]
            .iter()
            .map(|name| format!("{name}_temp_path {at}/{name};"))
            .collect();
        let text = format!(
            "daemon off;\nworker_processes 1;\npid {at}/nginx.pid;\nerror_log {at}/error.log info;\nevents {{ }}\nhttp {{\n\
             access_log off;\nclient_max_body_size 0;\n{}\nserver {{\nlisten 127.0.0.1:{port};\n{location}\n}}\n}}\n",
            temporary.join("\n")
        );
        server::write(&root.join("nginx.conf"), text.as_bytes())?;
        server::hand_over(&wrap.root.join("nginx"), false)?;
        let mut command = server::program_at(Path::new("/usr/sbin/nginx"), &root, false, &[])?;
        command
            .arg("-p")
            .arg(&root)
            .arg("-c")
            .arg(root.join("nginx.conf"))
            .arg("-e")
            .arg(root.join("error.log"));
        let address = format!("127.0.0.1:{port}");
        let server = Server::boot_silent(&root, command, &address)?;
        Ok(Some(Nginx { address, server }))
    }

    fn said(&self, wrap: &Wrap, part: &str) -> Result<(), String> {
        poll(PATIENCE, || {
            // It writes what it gets as it is.
            let log = fs::read(wrap.root.join("nginx/error.log")).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            log.contains(part)
                .then_some(())
                .ok_or(format!("nginx did not log {part}: {log}"))
        })
    }
}

fn replaced(text: &str, from: &str, to: &str) -> Result<String, String> {
    if text.contains(from) {
        Ok(text.replace(from, to))
    } else {
        Err(format!("the example has no `{from}`"))
    }
}

fn get(address: &str, target: &str, fields: &str) -> Result<Reply, String> {
    let mut wire = Wire::connect(address, PATIENCE)?;
    wire.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{fields}Connection: close\r\n\r\n").as_bytes())?;
    wire.reply(Judge::Loose)
}

fn post(address: &str, target: &str, body: &[u8]) -> Result<Reply, String> {
    let mut wire = Wire::connect(address, PATIENCE)?;
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    wire.send(&[head.as_bytes(), body].concat())?;
    wire.reply(Judge::Loose)
}

/// Status, and a part of the answer.
fn shows(reply: &Reply, status: &str, part: &str) -> Result<(), String> {
    let (line, body) = (show(&reply.status_line), String::from_utf8_lossy(&reply.body));
    if line.contains(&format!(" {status} ")) && body.contains(part) {
        Ok(())
    } else {
        Err(format!("not {status} with `{part}`: {line}: {body}"))
    }
}

/// What every web server in front must get of them.
fn scripts_answer(address: &str) -> Result<(), String> {
    for (target, status, part) in [
        ("/cgi-bin/hello.sh?a=b", "200", "hello a=b \n"),
        ("/cgi-bin/hello.pl?c", "200", "hello c \n"),
        ("/cgi-bin/hello", "200", "hello, world"),
        ("/cgi-bin/hello.sh/more/info?q", "200", "hello q /more/info\n"),
        ("/cgi-bin/nph-made", "201", "nph\n"),
        ("/cgi-bin/none", "404", ""),
        ("/cgi-bin/", "404", ""),
        ("/cgi-bin/testapp/exit/3", "502", ""),
        ("/cgi-bin/testapp/bytes/1000000", "200", "xxxxxxxxxx"),
    ] {
        let reply = get(address, target, "")?;
        shows(&reply, status, part).map_err(|e| format!("{target}: {e}"))?;
    }
    let reply = get(
        address,
        "/cgi-bin/testapp/env?x=1",
        "Proxy: http://evil.example\r\nX-Own: yes\r\n",
    )?;
    let body = String::from_utf8_lossy(&reply.body).into_owned();
    for line in [
        "GATEWAY_INTERFACE=CGI/1.1",
        "HTTP_X_OWN=yes",
        "PATH_INFO=/env",
        "QUERY_STRING=x=1",
        "REMOTE_ADDR=127.0.0.1",
        "REQUEST_METHOD=GET",
        "SCRIPT_NAME=/cgi-bin/testapp",
    ] {
        body.lines()
            .find(|found| *found == line)
            .ok_or(format!("no {line} in {body}"))?;
    }
    if body.contains("HTTP_PROXY") || !body.contains("SCRIPT_FILENAME=/") {
        return Err(body);
    }
    shows(&post(address, "/cgi-bin/testapp/echo", b"a body")?, "200", "a body")?;
    let own = b"Status: 418 Short\nX-Own: 1\r\r\nSet-Cookie: a=b\nContent-Type: text/plain\n\nbody".as_slice();
    let reply = post(address, "/cgi-bin/head", own)?;
    shows(&reply, "418", "body")?;
    if reply.value("Set-Cookie").map(<[u8]>::to_vec) != Some(b"a=b".to_vec()) {
        return Err(format!("a field is missing: {reply:?}"));
    }
    // What a server in front would take for a second field.
    let split = b"Content-Type: text/plain\nX-Own: a\rInjected: 1\n\nbody".as_slice();
    let reply = post(address, "/cgi-bin/head", split)?;
    shows(&reply, "200", "body")?;
    if reply.value("Injected").is_some() {
        return Err("a carriage return makes a field".into());
    }
    Ok(())
}

/// What [`scripts_answer`] leaves in the log.
const TOLD: &[&str] = &[
    "cgi-bin/none: the script is not there",
    "no script: `",
    "the script ended with exit status 3",
    "X-Own",
];

fn nginx_runs_scripts() -> Result<Completion, Failed> {
    let wrap = Wrap::boot("fcgiwrap-nginx", &[])?;
    let Some(nginx) = Nginx::boot(&wrap, "")? else {
        return absent("nginx");
    };
    scripts_answer(&nginx.address)?;
    let mut wire = Wire::connect(&nginx.address, PATIENCE)?;
    wire.send(b"HEAD /cgi-bin/testapp/bytes/100 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let head = wire.rest()?;
    let head_is_all = head.body.starts_with(b"HTTP/1.1 200 OK\r\n") && head.body.ends_with(b"\r\n\r\n");
    if !head_is_all {
        return Err(format!("HEAD: {head:?}").into());
    }
    drop(wire);
    nginx.server.stop()?;
    wrap.end(TOLD)
}

/// 8 MiB up and 32 MiB down, by a kept connection, and without nginx' buffers.
fn nginx_passes_large_bodies_both_ways() -> Result<Completion, Failed> {
    let wrap = Wrap::boot("fcgiwrap-large", &[])?;
    let more = "fastcgi_buffering off;\nfastcgi_request_buffering off;\nfastcgi_keep_conn on;\n";
    for more in [more, ""] {
        let Some(nginx) = Nginx::boot(&wrap, more)? else {
            return absent("nginx");
        };
        let body: Vec<u8> = (0..8_u32 << 20).map(|n| (n % 251).to_le_bytes()[0]).collect();
        let up = post(&nginx.address, "/cgi-bin/testapp/echo", &body)?;
        if up.body != body {
            return Err(format!("{} bytes of {} came back", up.body.len(), body.len()).into());
        }
        let down = get(&nginx.address, &format!("/cgi-bin/testapp/bytes/{}", 32 << 20), "")?;
        if down.body.len() != 32 << 20 {
            return Err(format!("{} bytes came", down.body.len()).into());
        }
        shows(
            &post(&nginx.address, "/cgi-bin/testapp/count", &body)?,
            "200",
            "read 8388608 of 8388608",
        )?;
        shows(
            &post(&nginx.address, "/cgi-bin/testapp/noread", &body)?,
            "200",
            "not read",
        )?;
        nginx.server.stop()?;
    }
    wrap.end(&[])
}

/// git-http-backend by its manual page, with nginx' variables.
fn git_clones_and_pushes_through_nginx() -> Result<Completion, Failed> {
    let Some(backend) = git_http_backend() else {
        return absent("git-http-backend");
    };
    let root = server::fresh_root("fcgiwrap-git");
    let name = repository(&root)?;
    scripts(&root)?;
    server::hand_over(&root, false)?;
    let socket = root.join("fcgi.sock");
    let project_root = format!("SetEnv GIT_PROJECT_ROOT \"{}/repositories\"", root.display());
    let mut command = program(&root, &["-C", &project_root, "-C", "SetEnv GIT_HTTP_EXPORT_ALL"])?;
    command
        .arg("-p")
        .arg(&backend)
        .arg("-s")
        .arg(format!("unix:{}", socket.display()));
    let server = Server::boot_fcgiwrap(&root, command)?;
    let wrap = Wrap { root, socket, server };
    let location = format!(
        "}}\nlocation ~ ^/git(/.*)$ {{\ninclude /etc/nginx/fastcgi_params;\nfastcgi_param SCRIPT_FILENAME {};\n\
         fastcgi_param PATH_INFO $1;\nfastcgi_pass unix:{};\n",
        backend.display(),
        wrap.socket.display()
    );
    let Some(nginx) = Nginx::boot(&wrap, &location)? else {
        return absent("nginx");
    };
    let url = format!("http://{}/git/{name}", nginx.address);
    git(&wrap.root, &["clone", "-q", &url, "one"])?;
    let one = wrap.root.join("one");
    let noise: Vec<u8> = (0..400_000_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    server::write(&one.join("large"), &noise)?;
    commit(&one, "large")?;
    // git sends it in chunks; nginx tells the length.
    git(&one, &["-c", "http.postBuffer=1024", "push", "-q", "origin", "main"])?;
    git(&wrap.root, &["clone", "-q", &url, "two"])?;
    if fs::read(wrap.root.join("two/large"))? != noise {
        return Err("the second clone is not the first".into());
    }
    nginx.server.stop()?;
    wrap.end(&[])
}

fn a_client_of_nginx_that_leaves_ends_its_script() -> Result<Completion, Failed> {
    let wrap = Wrap::boot("fcgiwrap-leaves", &["-C", "CGIKillGrace 1"])?;
    let Some(nginx) = Nginx::boot(&wrap, "")? else {
        return absent("nginx");
    };
    for behaviour in ["silent/100", "stubborn/100"] {
        let mut wire = Wire::connect(&nginx.address, PATIENCE)?;
        let ask = format!("GET /cgi-bin/testapp/{behaviour} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        wire.send(ask.as_bytes())?;
        poll(PATIENCE, || runs(&wrap, "testapp"))?;
        wire.reset();
        wrap.server.settle(PATIENCE)?;
    }
    wrap.is_well()?;
    nginx.server.stop()?;
    wrap.end(&[])
}

/// Whether a script of this name is at work.
fn runs(wrap: &Wrap, name: &str) -> Result<(), String> {
    let family = processes::descendants(wrap.server.pid());
    let found = family.iter().any(|process| process.name.starts_with(name));
    found.then_some(()).ok_or(format!("no {name} runs"))
}

fn apache_runs_scripts() -> Result<Completion, Failed> {
    if !Path::new("/usr/sbin/apache2").exists() {
        return absent("apache2");
    }
    let wrap = Wrap::boot("fcgiwrap-apache", &[])?;
    let (root, port) = (wrap.root.join("apache"), server::free_port());
    let (here, socket) = (wrap.root.display(), wrap.socket.display());
    for (number, lines) in [
        // By a handler: Apache finds the script, and what is behind it.
        vec![
            format!("Alias /cgi-bin/ \"{here}/cgi-bin/\""),
            format!("<Directory \"{here}/cgi-bin\">"),
            "Require all granted".to_owned(),
            format!("SetHandler \"proxy:unix:{socket}|fcgi://localhost\""),
            "</Directory>".to_owned(),
        ],
        // By URL: the script is found here.
        vec![format!(
            "ProxyPass \"/cgi-bin/\" \"unix:{socket}|fcgi://localhost{here}/cgi-bin/\""
        )],
    ]
    .into_iter()
    .enumerate()
    {
        fs::create_dir_all(root.join("htdocs"))?;
        server::write_config(&root, &lines, &format!("127.0.0.1:{port}"))?;
        server::hand_over(&root, false)?;
        let mut command = server::apache(&root)?;
        command
            .arg("-f")
            .arg(root.join("httpd.conf"))
            .args(["-D", "FOREGROUND"]);
        let address = format!("127.0.0.1:{port}");
        let apache = Server::boot_silent(&root, command, &address)?;
        scripts_answer(&address).map_err(|e| format!("configuration {number}: {e}"))?;
        apache.stop()?;
    }
    wrap.end(TOLD)
}

fn lychgate_runs_scripts() -> Result<Completion, Failed> {
    let wrap = Wrap::boot("fcgiwrap-lychgate", &[])?;
    let root = wrap.root.join("front");
    let (here, socket) = (wrap.root.display(), wrap.socket.display());
    let lines = [
        format!("Alias /cgi-bin/ \"{here}/cgi-bin/\""),
        format!("<Directory \"{here}/cgi-bin\">"),
        "Require all granted".to_owned(),
        format!("SetHandler \"proxy:unix:{socket}|fcgi://localhost\""),
        "</Directory>".to_owned(),
        "<Proxy \"fcgi://localhost\" enablereuse=on>".to_owned(),
        "</Proxy>".to_owned(),
    ];
    fs::create_dir_all(root.join("htdocs"))?;
    server::write_config(&root, &lines, "127.0.0.1:0")?;
    server::hand_over(&root, false)?;
    let command = server::program(&root, false, &[])?;
    let front = Server::boot(&root, command, &[], "")?;
    let address = front.listeners[0].clone();
    // Its handler finds out itself that a file is not there.
    for (target, status, part) in [
        ("/cgi-bin/hello.sh?a=b", "200", "hello a=b \n"),
        ("/cgi-bin/hello.sh/more/info?q", "200", "hello q /more/info\n"),
        ("/cgi-bin/nph-made", "201", "nph\n"),
        ("/cgi-bin/none", "404", ""),
        ("/cgi-bin/testapp/exit/3", "502", ""),
        ("/cgi-bin/testapp/bytes/1000000", "200", "xxxxxxxxxx"),
    ] {
        shows(&get(&address, target, "")?, status, part).map_err(|e| format!("{target}: {e}"))?;
    }
    shows(
        &post(&address, "/cgi-bin/testapp/echo", &vec![b'b'; 1 << 20])?,
        "200",
        "bbbb",
    )?;
    front.stop()?;
    wrap.end(&["the script ended with exit status 3"])
}

fn one_connection_carries_many_requests() -> Result<Completion, Failed> {
    let wrap = Wrap::boot("fcgiwrap-kept", &[])?;
    let mut client = wrap.connect()?;
    let script = wrap.script("testapp");
    for id in 1..=20 {
        let behaviour = if id % 2 == 0 { "/replyexit/7" } else { "/noread" };
        let variables = [
            ("SCRIPT_FILENAME", script.as_str()),
            ("PATH_INFO", behaviour),
            ("REQUEST_METHOD", "POST"),
        ];
        client.send(&request(id, Connection::Keep, &variables, &vec![b'x'; 100_000]))?;
        let reply = client.reply(id)?;
        let expected = if id % 2 == 0 { Some((7, 0)) } else { Some((0, 0)) };
        if reply.end != expected || !reply.stdout.starts_with(b"Status: 200 OK\r\n") {
            return Err(format!("request {id}: {:?}: {}", reply.end, show(&reply.stdout)).into());
        }
    }
    let variables = [("SCRIPT_FILENAME", script.as_str()), ("PATH_INFO", "/signal/KILL")];
    client.send(&request(21, Connection::Close, &variables, b""))?;
    let reply = client.reply(21)?;
    if !reply.stdout.starts_with(b"Status: 502 Bad Gateway\r\n") || client.message()?.is_some() {
        return Err(format!("the last one: {}", show(&reply.stdout)).into());
    }
    wrap.end(&["the script was ended by signal 9"])
}

fn the_protocols_questions_are_answered() -> Result<Completion, Failed> {
    let wrap = Wrap::boot("fcgiwrap-questions", &["-c", "5"])?;
    let mut client = wrap.connect()?;
    let mut asked = Vec::new();
    record::ask_values(&mut asked, &["FCGI_MAX_REQS", "FCGI_MPXS_CONNS"]);
    // Management record 77, and a request of a role that we do not have.
    asked.extend_from_slice(b"\x01\x4d\x00\x00\x00\x00\x00\x00");
    record::begin(&mut asked, 9, Role::Authorizer, Connection::Keep);
    record::stream_header(&mut asked, 9, Stream::Params, 0);
    client.send(&asked)?;
    let pair = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    let ended = |id, protocol| Message::End {
        id,
        application: 0,
        protocol,
    };
    for expected in [
        Message::Values(vec![pair("FCGI_MAX_REQS", "5"), pair("FCGI_MPXS_CONNS", "0")]),
        Message::UnknownType(77),
        ended(9, ProtocolStatus::UnknownRole),
    ] {
        let found = client.message()?;
        if found.as_ref() != Some(&expected) {
            return Err(format!("{expected:?} was expected, {found:?} came").into());
        }
    }
    // A second request while the first goes on, and its records after it was refused.
    let script = wrap.script("testapp");
    let variables = [("SCRIPT_FILENAME", script.as_str()), ("PATH_INFO", "/echo")];
    client.send(&begin(1, Connection::Keep, &variables))?;
    client.send(&request(2, Connection::Keep, &variables, b"of the second"))?;
    let mut rest = Vec::new();
    record::stream(&mut rest, 1, Stream::Stdin, b"of the first");
    record::stream_header(&mut rest, 1, Stream::Stdin, 0);
    client.send(&rest)?;
    let found = client.message()?;
    if found != Some(ended(2, ProtocolStatus::NoMultiplexing)) {
        return Err(format!("a second request: {found:?}").into());
    }
    let reply = client.reply(1)?;
    if !reply.stdout.ends_with(b"\r\n\r\nof the first") {
        return Err(format!("the first request: {}", show(&reply.stdout)).into());
    }
    // Without FCGI_KEEP_CONN a refusal is the end of the connection.
    let mut refused = Vec::new();
    record::begin(&mut refused, 4, Role::Filter, Connection::Close);
    client.send(&refused)?;
    if client.message()? != Some(ended(4, ProtocolStatus::UnknownRole)) || client.message()?.is_some() {
        return Err("a refusal without FCGI_KEEP_CONN".into());
    }
    wrap.end(&[])
}

fn an_aborted_request_ends_its_script() -> Result<Completion, Failed> {
    let wrap = Wrap::boot("fcgiwrap-abort", &["-C", "CGIKillGrace 1"])?;
    let mut client = wrap.connect()?;
    let script = wrap.script("testapp");
    for behaviour in ["/silent/100", "/deaf/100", "/stubborn/100"] {
        let variables = [("SCRIPT_FILENAME", script.as_str()), ("PATH_INFO", behaviour)];
        client.send(&request(3, Connection::Keep, &variables, b"some"))?;
        poll(PATIENCE, || runs(&wrap, "testapp"))?;
        let mut abort = Vec::new();
        record::abort(&mut abort, 3);
        client.send(&abort)?;
        let reply = client.reply(3)?;
        if reply.end != Some((0, 0)) {
            return Err(format!("{behaviour}: {reply:?}").into());
        }
        poll(PATIENCE, || match runs(&wrap, "testapp") {
            Ok(()) => Err("it runs on".to_owned()),
            Err(_) => Ok(()),
        })?;
    }
    // The connection goes on.
    let variables = [("SCRIPT_FILENAME", script.as_str()), ("PATH_INFO", "/noread")];
    client.send(&request(4, Connection::Keep, &variables, b""))?;
    client.reply(4)?.end.ok_or("no end")?;
    // A client that closes its connection is one that has left.
    let variables = [("SCRIPT_FILENAME", script.as_str()), ("PATH_INFO", "/silent/100")];
    client.send(&request(5, Connection::Keep, &variables, b""))?;
    poll(PATIENCE, || runs(&wrap, "testapp"))?;
    drop(client);
    wrap.server.settle(PATIENCE)?;
    wrap.is_well()?;
    wrap.end(&[])
}

fn every_cut_of_a_session_costs_one_connection() -> Result<Completion, Failed> {
    let wrap = Wrap::boot("fcgiwrap-cut", &["-C", "LogLevel crit"])?;
    let script = wrap.script("hello.sh");
    let mut session = Vec::new();
    record::ask_values(&mut session, &["FCGI_MAX_CONNS"]);
    let variables = [
        ("SCRIPT_FILENAME", script.as_str()),
        ("REQUEST_METHOD", "POST"),
        ("CONTENT_LENGTH", "4"),
    ];
    session.extend(request(1, Connection::Keep, &variables, b"body"));
    for cut in 0..session.len() {
        let mut client = wrap.connect()?;
        client.send(&session[..cut])?;
        if cut % 2 == 0 {
            client.half_close();
            while client.message()?.is_some() {}
        }
    }
    let mut client = wrap.connect()?;
    for byte in &session {
        client.send(&[*byte])?;
    }
    client.message()?;
    if !client.reply(1)?.stdout.ends_with(b"hello  \n") {
        return Err("byte by byte it is another request".into());
    }
    drop(client);
    wrap.is_well()?;
    wrap.end(&[])
}

fn garbage_costs_one_connection() -> Result<Completion, Failed> {
    let wrap = Wrap::boot("fcgiwrap-garbage", &[])?;
    let endless = begin(1, Connection::Keep, &[("SCRIPT_FILENAME", "/x")]);
    let mut too_much = endless[..16].to_vec();
    for _ in 0..1100 {
        let mut pair = Vec::new();
        assert!(lychgate::gateway::fastcgi::params::append(
            &mut pair,
            b"NAME",
            &[b'x'; 1000]
        ));
        record::stream(&mut too_much, 1, Stream::Params, &pair);
    }
    for bytes in [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        vec![0xff; 100_000],
        b"\x01\x06\x00\x01\x00\x01\x00\x00x".to_vec(),
        [endless.as_slice(), &endless].concat(),
        too_much,
    ] {
        let mut client = wrap.connect()?;
        client.send_if_wanted(&bytes);
        while client.message().is_ok_and(|message| message.is_some()) {}
    }
    wrap.is_well()?;
    wrap.end(&[
        "a client is no FastCGI client: it sent ",
        "longer than 1024 KiB",
        "`/x` may not be run",
    ])
}

/// They cost memory, and nothing else.
fn a_thousand_idle_clients_hinder_nobody() -> Result<Completion, Failed> {
    let wrap = Wrap::boot("fcgiwrap-idle", &[])?;
    let half = request(1, Connection::Keep, &[("SCRIPT_FILENAME", "/x")], b"");
    let mut idle = Vec::new();
    for number in 0..1000 {
        let mut client = wrap.connect()?;
        if number % 10 == 0 {
            // These have begun to say something.
            client.send_if_wanted(&half[..9]);
        }
        idle.push(client);
    }
    for _ in 0..20 {
        wrap.is_well()?;
    }
    drop(idle);
    wrap.end(&[])
}

fn scripts_elsewhere_are_not_run() -> Result<Completion, Failed> {
    let wrap = Wrap::boot("fcgiwrap-elsewhere", &[])?;
    let other = wrap.root.join("other/hello.sh").display().to_string();
    std::os::unix::fs::symlink(&other, wrap.root.join("cgi-bin/link.sh"))?;
    let inside = wrap.root.join("cgi-bin").display().to_string();
    let here = wrap.root.display().to_string();
    for (variables, status) in [
        (vec![("SCRIPT_FILENAME", other.clone())], "403"),
        (vec![("SCRIPT_FILENAME", format!("{inside}/../other/hello.sh"))], "403"),
        (vec![("SCRIPT_FILENAME", format!("{inside}-more/hello.sh"))], "403"),
        (vec![("SCRIPT_FILENAME", "hello.sh".to_owned())], "403"),
        (
            vec![
                ("DOCUMENT_ROOT", here.clone()),
                ("SCRIPT_NAME", "/other/hello.sh".to_owned()),
            ],
            "403",
        ),
        (vec![("QUERY_STRING", "nothing".to_owned())], "403"),
        (vec![("SCRIPT_FILENAME", format!("{inside}/none.sh"))], "404"),
        (vec![("SCRIPT_FILENAME", format!("{inside}/plain.txt"))], "502"),
        (vec![("SCRIPT_FILENAME", format!("{inside}/hello.sh\0x"))], "400"),
        (vec![("SCRIPT_FILENAME", format!("{inside}/hello.sh"))], "200"),
        (vec![("SCRIPT_FILENAME", format!("{inside}//./hello.sh"))], "200"),
        (
            vec![
                ("DOCUMENT_ROOT", here.clone()),
                ("SCRIPT_NAME", "/cgi-bin/hello.sh/x".to_owned()),
            ],
            "200",
        ),
        // A link within the directory is its owner's decision, as under Apache with FollowSymLinks.
        (vec![("SCRIPT_FILENAME", format!("{inside}/link.sh"))], "200"),
    ] {
        let mut client = wrap.connect()?;
        let list: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        client.send(&request(1, Connection::Close, &list, b""))?;
        let reply = client.reply(1)?;
        if !show(&reply.stdout).starts_with(&format!("Status: {status} ")) {
            return Err(format!("{variables:?}: {}", show(&reply.stdout)).into());
        }
    }
    wrap.end(&[
        "may not be run: it is in no place that `-p` names",
        "`..`",
        "slash",
        "the client does not say",
        "none.sh",
        "plain.txt",
    ])
}

fn errors_go_to_the_client_with_f() -> Result<Completion, Failed> {
    let wrap = Wrap::boot("fcgiwrap-errors", &["-f"])?;
    let mut client = wrap.connect()?;
    let script = wrap.script("testapp");
    let variables = [("SCRIPT_FILENAME", script.as_str()), ("PATH_INFO", "/complain")];
    client.send(&request(1, Connection::Keep, &variables, b""))?;
    let reply = client.reply(1)?;
    if reply.stderr != b"plain complaint\nodd \x1b[31m \x07 \"quoted\" \xff end\nno line end\n" {
        return Err(format!("stderr: {}", show(&reply.stderr)).into());
    }
    drop(client);
    if let Some(nginx) = Nginx::boot(&wrap, "")? {
        get(&nginx.address, "/cgi-bin/testapp/complain", "")?;
        nginx.said(&wrap, "FastCGI sent in stderr: \"plain complaint")?;
        nginx.server.stop()?;
    }
    wrap.end(&[])
}

fn settings_confine_scripts() -> Result<Completion, Failed> {
    let options = [
        "-C",
        "ScriptSandbox basic",
        "-C",
        "RLimitNOFILE 33",
        "-C",
        "Umask 027",
        "-C",
        "SetEnv OWN yes",
    ];
    let wrap = Wrap::boot("fcgiwrap-settings", &options)?;
    let script = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\nulimit -n; umask; echo \"own=$OWN\"; cat \"$OTHER\" 2>&1\n";
    server::write(&wrap.root.join("cgi-bin/look"), script.as_bytes())?;
    server::set_mode(&wrap.root.join("cgi-bin/look"), 0o755)?;
    let other = wrap.root.join("other/hello.sh").display().to_string();
    let said = wrap.ask("look", &[("OTHER", other.as_str()), ("LD_PRELOAD", "/x.so")])?;
    for part in ["33\n", "0027\n", "own=yes\n", "Permission denied"] {
        if !said.contains(part) {
            return Err(format!("no `{part}`: {said}").into());
        }
    }
    // What does nothing here is refused, and so is what is wrong.
    for (line, told) in [
        ("Listen 80", "Listen does nothing for `lychgate fcgiwrap`"),
        ("RLimitCPU soon", "RLimitCPU"),
    ] {
        let mut command = program(&wrap.root, &["-C", line])?;
        command.args(["-s", "tcp:127.0.0.1:0"]);
        let output = server::run(&wrap.root, command, PATIENCE)?;
        if output.status.success() || !show(&output.stderr).contains(told) {
            return Err(format!("{line}: {output:?}").into());
        }
    }
    wrap.end(&[])
}

/// At standard input, as by spawn-fcgi, and as a service manager does.
fn sockets_that_are_given_are_used() -> Result<Completion, Failed> {
    let root = server::fresh_root("fcgiwrap-given");
    scripts(&root)?;
    server::hand_over(&root, false)?;
    let socket = root.join("given.sock");
    for by in ["standard input", "the service manager"] {
        let listener = UnixListener::bind(&socket)?;
        server::set_mode(&socket, 0o666)?;
        let mut command = program(&root, &[])?;
        if by == "the service manager" {
            // The shell knows the number of the process that it becomes.
            let mut shell = server::program_at(Path::new("/bin/sh"), &root, false, &[])?;
            shell.args(["-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\" 3<&0 0</dev/null"]);
            shell.arg(command.get_program()).args(command.get_args());
            command = shell;
        }
        command.stdin(Stdio::from(OwnedFd::from(listener)));
        let server = Server::boot_fcgiwrap(&root, command)?;
        let wrap = Wrap {
            root: root.clone(),
            socket: socket.clone(),
            server,
        };
        wrap.is_well().map_err(|e| format!("{by}: {e}"))?;
        wrap.server.settle(PATIENCE)?;
        wrap.server.stop()?;
        // It is whose it was.
        fs::remove_file(&socket)?;
    }
    let output = server::run(&root, program(&root, &[])?, PATIENCE)?;
    if output.status.code() != Some(2)
        || !show(&output.stderr).contains("no socket was given; say with -s where to listen")
    {
        return Err(format!("without a socket: {output:?}").into());
    }
    // Whoever can connect can run scripts with any variables.
    let mut command = program(&root, &[])?;
    command.args(["-s", "tcp:0.0.0.0:0"]);
    let output = server::run(&root, command, PATIENCE)?;
    if output.status.success() || !show(&output.stderr).contains("FCGI_WEB_SERVER_ADDRS") {
        return Err(format!("for all the world: {output:?}").into());
    }
    let _left_for_the_end_of_the_run = fs::remove_dir_all(&root);
    Ok(Completion::Completed)
}

/// SIGHUP: a request that is being served is served to its end, and so is the next on its connection.
fn a_reload_loses_no_request() -> Result<Completion, Failed> {
    let wrap = Wrap::boot("fcgiwrap-reload", &[])?;
    let script = wrap.script("testapp");
    let root = wrap.root.display().to_string();
    let mut client = wrap.connect()?;
    let variables = [
        ("SCRIPT_FILENAME", script.as_str()),
        ("PATH_INFO", "/wait/go"),
        ("DOCUMENT_ROOT", root.as_str()),
    ];
    client.send(&request(1, Connection::Keep, &variables, b""))?;
    poll(PATIENCE, || runs(&wrap, "testapp"))?;
    wrap.server.signal("HUP")?;
    poll(PATIENCE, || {
        let log = fs::read_to_string(wrap.root.join("error.log")).unwrap_or_default();
        log.contains("serving by the new settings")
            .then_some(())
            .ok_or(format!("no reload: {log}"))
    })?;
    wrap.is_well()?;
    server::write(&wrap.root.join("go"), b"")?;
    let reply = client.reply(1)?;
    if !reply.stdout.ends_with(b"before\nafter\n") || reply.end != Some((0, 0)) {
        return Err(format!("{reply:?}").into());
    }
    drop(client);
    wrap.server.stop()?;
    let _left_for_the_end_of_the_run = fs::remove_dir_all(&wrap.root);
    Ok(Completion::Completed)
}

fn the_socket_comes_and_goes() -> Result<Completion, Failed> {
    let wrap = Wrap::boot("fcgiwrap-socket", &["-M", "0602"])?;
    let found = fs::symlink_metadata(&wrap.socket)?;
    if !found.file_type().is_socket() || found.permissions().mode() & 0o777 != 0o602 {
        return Err(format!("{found:?}").into());
    }
    // Another one finds it in use, and leaves it.
    let mut command = program(&wrap.root, &[])?;
    command.arg("-s").arg(format!("unix:{}", wrap.socket.display()));
    let output = server::run(&wrap.root, command, PATIENCE)?;
    if output.status.success() || !show(&output.stderr).contains("Address already in use") {
        return Err(format!("a second one: {output:?}").into());
    }
    wrap.is_well()?;
    let socket = wrap.socket.clone();
    let completion = wrap.end(&[])?;
    if socket.exists() {
        return Err("the socket is left".into());
    }
    Ok(completion)
}

/// `-u` and `-U`, and the roles' users.
fn root_says_who_scripts_run_as() -> Result<Completion, Failed> {
    if !server::privileged() {
        return Ok(Completion::ignored_with("only root can say"));
    }
    let root = server::fresh_root("fcgiwrap-root");
    scripts(&root)?;
    server::hand_over(&root, false)?;
    let socket = root.join("fcgi.sock");
    let words = |options: &[&str]| -> Result<Command, String> {
        let mut command = program(&root, options)?;
        command
            .uid(0)
            .gid(0)
            .arg("-s")
            .arg(format!("unix:{}", socket.display()));
        Ok(command)
    };
    let output = server::run(&root, words(&[])?, PATIENCE)?;
    if output.status.success() || !show(&output.stderr).contains("say with -u who the scripts run as") {
        return Err(format!("without -u: {output:?}").into());
    }
    let server = Server::boot_fcgiwrap(&root, words(&["-u", "nobody:nogroup", "-U", "daemon:games"])?)?;
    let found = fs::symlink_metadata(&socket)?;
    if (found.uid(), found.gid()) != (1, 60) {
        return Err(format!("the socket is of {}:{}", found.uid(), found.gid()).into());
    }
    UnixStream::connect(&socket)?;
    let wrap = Wrap {
        root: root.clone(),
        socket,
        server,
    };
    let script = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\nid -u; id -g; id -G\n";
    server::write(&wrap.root.join("cgi-bin/who"), script.as_bytes())?;
    server::set_mode(&wrap.root.join("cgi-bin/who"), 0o755)?;
    let said = wrap.ask("who", &[])?;
    if !said.ends_with("\r\n\r\n65534\n65534\n65534\n") {
        return Err(said.into());
    }
    wrap.end(&[])
}
