//! What the server tells of itself: numbers that equal a count of the access log, what is under way, and programs that read
//! it.

mod counted;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use libtest_mimic::{Completion, Failed, Trial};
use regex::Regex;

use crate::programs::absent;
use crate::support::server::{self, Server};
use crate::support::wire::{Judge, Reply, Wire};

const PATIENCE: Duration = Duration::from_secs(30);

/// All tests of this file and of those in `status/`.
pub fn trials() -> Vec<Trial> {
    let status = |name: &str, test: fn() -> Result<(), String>| {
        Trial::test(format!("status::{name}"), move || test().map_err(Failed::from))
    };
    vec![
        status("numbers_equal_the_access_log", counted::numbers_equal_the_access_log),
        status("what_is_under_way_is_shown", what_is_under_way_is_shown),
        status("a_crowd_is_shown_in_part", a_crowd_is_shown_in_part),
        status("the_names_are_apaches", the_names_are_apaches),
        Trial::ignorable_test("status::munin_reads_it", munin_reads_it),
    ]
}

const PLACES: &str = "<Location /status>\nSetHandler server-status\n</Location>\n\
<Location /metrics>\nSetHandler metrics\n</Location>";

/// A server with these settings and scripts.
fn boot(name: &str, lines: &[&str], scripts: &[(&str, &str)]) -> Result<(PathBuf, Server), String> {
    let root = server::fresh_root(&format!("status-{name}"));
    for (script, text) in scripts {
        let path = root.join("cgi-bin").join(script);
        server::write(&path, text.as_bytes())?;
        server::set_mode(&path, 0o755)?;
    }
    let fill = |line: &str| line.replace("$ROOT", &root.display().to_string());
    let scripts = "ScriptAlias /cgi-bin/ \"$ROOT/cgi-bin/\"";
    let lines: Vec<String> = [PLACES, scripts].iter().chain(lines).map(|line| fill(line)).collect();
    server::write_config(&root, &lines, "127.0.0.1:0")?;
    server::hand_over(&root, false)?;
    let command = server::program(&root, false, &[])?;
    let server = Server::boot(&root, command, &[], "")?;
    Ok((root, server))
}

fn connect(server: &Server) -> Result<Wire, String> {
    Wire::connect(&server.listeners[0], PATIENCE)
}

/// What a new connection is answered.
fn fetch(server: &Server, path: &str) -> Result<Reply, String> {
    let mut wire = connect(server)?;
    wire.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())?;
    let reply = wire.reply(Judge::Strict)?;
    if reply.status_line != b"HTTP/1.1 200 OK" {
        return Err(format!("{path}: {}", String::from_utf8_lossy(&reply.status_line)));
    }
    Ok(reply)
}

fn text(server: &Server, path: &str) -> Result<String, String> {
    Ok(String::from_utf8_lossy(&fetch(server, path)?.body).into_owned())
}

/// Asks until the answer has a match for each of these.
fn shown(server: &Server, path: &str, patterns: &[&str]) -> Result<String, String> {
    let patterns: Vec<Regex> = patterns.iter().map(|p| Regex::new(p).expect("well-formed")).collect();
    server::poll(PATIENCE, || {
        let text = text(server, path)?;
        match patterns.iter().find(|pattern| !pattern.is_match(&text)) {
            Some(pattern) => Err(format!("{path} has no `{pattern}`: {text}")),
            None => Ok(text),
        }
    })
}

/// A script with its URL, client, process and memory; connections in each of their states.
fn what_is_under_way_is_shown() -> Result<(), String> {
    let wait = "#!/bin/sh\nuntil [ -e \"$QUERY_STRING\" ]; do sleep 0.05; done\nprintf 'Content-Type: text/plain\\n\\nended\\n'\n";
    let (root, server) = boot("live", &["KeepAliveTimeout 600"], &[("wait", wait)])?;
    let go = root.join("go");
    let mut script = connect(&server)?;
    let request = format!(
        "GET /cgi-bin/wait?{} HTTP/1.1\r\nHost: one.example\r\n\r\n",
        go.display()
    );
    script.send(request.as_bytes())?;
    let mut idle = connect(&server)?;
    idle.send(b"GET /status?auto&<x> HTTP/1.1\r\nHost: two.example\r\n\r\n")?;
    idle.reply(Judge::Strict)?;
    let mut reading = connect(&server)?;
    reading.send(b"GET /never")?;
    let state = shown(
        &server,
        "/status?json",
        &[
            r#""state":"answering","client":"127\.0\.0\.1:\d+","age":\d+,"in_state":\d+,"requests":0,"line":"GET /cgi-bin/wait\?[^"]*/go HTTP/1\.1","host":"one\.example","sent":0"#,
            r#""state":"idle","client":"127\.0\.0\.1:\d+","age":\d+,"in_state":\d+,"requests":1,"line":"GET /status\?auto&<x> HTTP/1\.1","host":"two\.example""#,
            r#""state":"reading""#,
            r#""live_scripts":\[\{"pid":\d+,"request":"GET /cgi-bin/wait\?[^"]*/go","file":"[^"]*/cgi-bin/wait","client":"127\.0\.0\.1:\d+","age":\d+,"cpu":\d+,"memory":\d{5,}\}\]"#,
            r#""scripts":\{"running":1,"most":64,"waiting":0,"started":1\}"#,
            r#""role":"launcher""#,
            r#""role":"worker 1""#,
            r#""role":"spawner 1""#,
        ],
    )?;
    shown(
        &server,
        "/status",
        &[
            "GET /cgi-bin/wait",
            "GET /status\\?auto&amp;&lt;x&gt; HTTP",
            "two\\.example",
        ],
    )?;
    shown(
        &server,
        "/metrics",
        &[
            "(?m)^lychgate_scripts_running 1$",
            "(?m)^lychgate_connections\\{state=\"idle\"\\} 1$",
        ],
    )?;
    shown(
        &server,
        "/status?auto",
        &["(?m)^Scoreboard: W{2}R+K_+$", "(?m)^ConnsAsyncKeepAlive: 1$"],
    )?;
    drop((idle, reading));
    server::write(&go, b"")?;
    let reply = script.reply(Judge::Strict)?;
    if reply.body != b"ended\n" {
        return Err(format!("the script was answered with {reply:?}; shown was {state}"));
    }
    shown(&server, "/status?json", &[r#""live_scripts":\[\]"#, r#""running":0"#])?;
    drop(script);
    server.settle(PATIENCE)?;
    server.stop()
}

/// Of many connections the page shows some, and says how many there are.
fn a_crowd_is_shown_in_part() -> Result<(), String> {
    let (_root, server) = boot("crowd", &["KeepAliveTimeout 600"], &[])?;
    let mut crowd = Vec::new();
    for _ in 0..230 {
        let mut wire = connect(&server)?;
        wire.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        wire.reply(Judge::Strict)?;
        crowd.push(wire);
    }
    let page = shown(&server, "/status", &["<h2>Connections <small>200 of 231</small></h2>"])?;
    let rows = page.matches("GET / HTTP/1.1").count();
    if rows != 199 {
        return Err(format!("{rows} idle connections are shown beside the one that asks"));
    }
    shown(&server, "/status?json", &[r#""open":231,"#, r#""idle":230"#])?;
    drop(crowd);
    server.settle(PATIENCE)?;
    server.stop()
}

/// What is told in lines has Apache's names in Apache's order, but for the day on which it was built.
fn the_names_are_apaches() -> Result<(), String> {
    let names = |address: &str| {
        // Some are told once there is something to divide.
        let later = ["ReqPerSec: ", "BytesPerReq: ", "DurationPerReq: "];
        let told = server::poll(PATIENCE, || {
            let mut wire = Wire::connect(address, PATIENCE)?;
            wire.send(b"GET /status?auto HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
            let told = String::from_utf8_lossy(&wire.reply(Judge::Loose)?.body).into_owned();
            let is_whole = later.iter().all(|name| told.contains(name)) && !told.contains("ServerUptime: \n");
            if is_whole { Ok(told) } else { Err(told) }
        })?;
        let names = told
            .lines()
            .skip(1)
            .filter_map(|line| Some(line.split_once(": ")?.0.to_owned()));
        // It is told once a processor was busy for a hundredth of a second. Those of the file cache are our own.
        let names: Vec<String> = names
            .filter(|name| name != "CPULoad" && !name.starts_with("FileCache"))
            .collect();
        Ok::<_, String>(names)
    };
    let (_root, server) = boot("names", &[], &[])?;
    let ours = names(&server.listeners[0])?;
    server.settle(PATIENCE)?;
    server.stop()?;
    let root = server::fresh_root("status-names-apache");
    let address = format!("127.0.0.1:{}", server::free_port());
    server::write_config(&root, &[PLACES.to_owned()], &address)?;
    server::hand_over(&root, false)?;
    let mut command = server::apache(&root)?;
    command
        .arg("-f")
        .arg(root.join("httpd.conf"))
        .args(["-D", "FOREGROUND"]);
    let server = Server::boot_silent(&root, command, &address)?;
    let theirs = names(&address)?;
    server.stop()?;
    let theirs: Vec<String> = theirs.into_iter().filter(|name| name != "Server Built").collect();
    if ours == theirs {
        Ok(())
    } else {
        Err(format!("ours: {ours:?}\nApache's: {theirs:?}"))
    }
}

/// Debian's plugins of munin, as they stand.
fn munin_reads_it() -> Result<Completion, Failed> {
    let plugins = PathBuf::from("/usr/share/munin/plugins");
    if !plugins.join("apache_accesses").exists() {
        return absent("munin-plugins-core");
    }
    let (root, server) = boot("munin", &[], &[])?;
    for _ in 0..7 {
        text(&server, "/status?auto")?;
    }
    let (_, port) = server.listeners[0].rsplit_once(':').ok_or("an address has a port")?;
    for (plugin, values) in [
        ("apache_accesses", vec![format!(r"(?m)^accesses{port}\.value \d+$")]),
        ("apache_volume", vec![format!(r"(?m)^volume{port}\.value \d+$")]),
        (
            "apache_processes",
            vec![
                format!(r"(?m)^busy{port}\.value 1$"),
                format!(r"(?m)^idle{port}\.value \d+$"),
            ],
        ),
    ] {
        for words in [&["autoconf"][..], &[]] {
            let mut command = Command::new("perl");
            command.arg(plugins.join(plugin)).args(words).env("ports", port);
            command
                .env("url", "http://127.0.0.1:%d/status?auto")
                .env_remove("http_proxy");
            let output = server::run(&root, command, PATIENCE)?;
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let expected = if words.is_empty() {
                values.clone()
            } else {
                vec!["^yes".to_owned()]
            };
            if let Some(missing) = expected
                .iter()
                .find(|p| !Regex::new(p).expect("well-formed").is_match(&said))
            {
                let error = String::from_utf8_lossy(&output.stderr);
                return Err(format!("{plugin} {words:?} has no `{missing}`: {said}{error}").into());
            }
        }
    }
    server.settle(PATIENCE)?;
    server.stop()?;
    Ok(Completion::Completed)
}
