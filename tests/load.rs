//! What only a number can show: many scripts, large bodies, flat memory, and logs that log readers read.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use libtest_mimic::{Completion, Failed, Trial};

use crate::support::processes;
use crate::support::server::{self, Server, bench, poll};
use crate::support::wire::{Judge, Wire};

const PATIENCE: Duration = Duration::from_secs(60);
/// How much the server's memory may grow while a body of any size passes.
const FLAT_KIB: u64 = 16 * 1024;

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    vec![
        load(
            "load::a_thousand_scripts_one_after_the_other",
            a_thousand_scripts_one_after_the_other,
        ),
        load("load::fifty_scripts_at_once", fifty_scripts_at_once),
        load(
            "load::an_upload_of_100_mib_keeps_memory_flat",
            an_upload_of_100_mib_keeps_memory_flat,
        ),
        load(
            "load::an_upload_in_chunks_keeps_memory_flat",
            an_upload_in_chunks_keeps_memory_flat,
        ),
        load(
            "load::a_reply_of_1_gib_keeps_memory_flat",
            a_reply_of_1_gib_keeps_memory_flat,
        ),
        load("load::idle_connections_keep_little", idle_connections_keep_little),
        Trial::ignorable_test("load::goaccess_reads_every_line", goaccess_reads_every_line),
    ]
}

fn load(name: &str, test: fn() -> Result<(), String>) -> Trial {
    Trial::test(name, move || test().map_err(Failed::from))
}

fn a_thousand_scripts_one_after_the_other() -> Result<(), String> {
    let (root, server) = boot("a-thousand-scripts", &[])?;
    let mut wire = Wire::connect(&server.listeners[0], PATIENCE)?;
    for n in 0..1000 {
        wire.send(b"GET /cgi-bin/testapp/lines/1 HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let reply = wire.reply(Judge::Strict)?;
        if reply.body != b"line 1\n" {
            return Err(format!("reply {n} is {reply:?}"));
        }
    }
    drop(wire);
    end(&root, server)
}

fn fifty_scripts_at_once() -> Result<(), String> {
    let (root, server) = boot("fifty-scripts", &[])?;
    for _ in 0..4 {
        let mut wires = Vec::new();
        for _ in 0..50 {
            let mut wire = Wire::connect(&server.listeners[0], PATIENCE)?;
            wire.send(b"POST /cgi-bin/testapp/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhel")?;
            wires.push(wire);
        }
        // All fifty are in the middle of their body now.
        for (n, wire) in wires.iter_mut().enumerate() {
            wire.send(b"lo")?;
            let reply = wire.reply(Judge::Strict)?;
            if reply.body != b"hello" {
                return Err(format!("reply {n} is {reply:?}"));
            }
        }
    }
    end(&root, server)
}

fn an_upload_of_100_mib_keeps_memory_flat() -> Result<(), String> {
    let (root, server) = boot("upload", &["LimitRequestBody 0"])?;
    let mut wire = Wire::connect(&server.listeners[0], PATIENCE)?;
    let before = resident(&server);
    let block = vec![b'x'; 1024 * 1024];
    let head = format!(
        "POST /cgi-bin/testapp/count HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
        100 * block.len()
    );
    wire.send(head.as_bytes())?;
    let mut most = 0;
    for _ in 0..100 {
        wire.send(&block)?;
        most = most.max(resident(&server));
    }
    let reply = wire.reply(Judge::Strict)?;
    if reply.body != b"read 104857600 of 104857600\n" {
        return Err(format!("reply is {reply:?}"));
    }
    drop(wire);
    flat(before, most)?;
    end(&root, server)
}

/// What is kept until its length is known is kept in a file.
fn an_upload_in_chunks_keeps_memory_flat() -> Result<(), String> {
    let (root, server) = boot("upload-in-chunks", &[])?;
    let mut wire = Wire::connect(&server.listeners[0], PATIENCE)?;
    let before = resident(&server);
    wire.send(b"POST /cgi-bin/testapp/count HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    let block = [b"100000\r\n", vec![b'x'; 1 << 20].as_slice(), b"\r\n"].concat();
    let mut most = 0;
    for _ in 0..100 {
        wire.send(&block)?;
        most = most.max(resident(&server));
    }
    wire.send(b"0\r\n\r\n")?;
    let reply = wire.reply(Judge::Strict)?;
    if reply.body != b"read 104857600 of 104857600\n" {
        return Err(format!("reply is {reply:?}"));
    }
    drop(wire);
    flat(before, most)?;
    end(&root, server)
}

fn a_reply_of_1_gib_keeps_memory_flat() -> Result<(), String> {
    let (root, server) = boot("download", &[])?;
    let mut stream = TcpStream::connect(&server.listeners[0]).map_err(|e| e.to_string())?;
    let before = resident(&server);
    stream
        .write_all(b"GET /cgi-bin/testapp/bytes/1073741824 HTTP/1.0\r\n\r\n")
        .map_err(|e| e.to_string())?;
    let mut buffer = vec![0; 1024 * 1024];
    let (mut total, mut most, mut looked) = (0_u64, 0, 0_u64);
    loop {
        let n = stream
            .read(&mut buffer)
            .map_err(|e| format!("after {total} bytes: {e}"))?;
        if n == 0 {
            break;
        }
        total += u64::try_from(n).expect("a buffer's length fits");
        if total / (16 << 20) > looked {
            looked = total / (16 << 20);
            most = most.max(resident(&server));
        }
    }
    if !(1 << 30..(1 << 30) + 1000).contains(&total) {
        return Err(format!("{total} bytes came"));
    }
    flat(before, most)?;
    end(&root, server)
}

/// goaccess takes the common and the combined format, odd requests included, without a rejected line.
fn goaccess_reads_every_line() -> Result<Completion, Failed> {
    if Command::new("goaccess")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_err()
    {
        if std::env::var_os("CI").is_some() {
            return Err("`goaccess` is missing".into());
        }
        return Ok(Completion::ignored_with("`goaccess` is missing"));
    }
    let formats = [
        "LogFormat \"%h %l %u %t \\\"%r\\\" %>s %b\" common",
        "LogFormat \"%h %l %u %t \\\"%r\\\" %>s %b \\\"%{Referer}i\\\" \\\"%{User-Agent}i\\\"\" combined",
        "CustomLog common.log common",
        "CustomLog combined.log combined",
    ];
    let (root, server) = boot("goaccess", &formats)?;
    let requests: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /a%0a%22b?c=\"d\" HTTP/1.1\r\nHost: localhost\r\nUser-Agent: q\"u\\o\xffte\r\nReferer: http://x/?\"\r\n\r\n",
        b"HEAD /cgi-bin/testapp/env HTTP/1.0\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n\r\n",
        b"POST /cgi-bin/testapp/echo?x=[1] HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nab",
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ];
    for request in requests {
        let mut wire = Wire::connect(&server.listeners[0], PATIENCE)?;
        wire.send(request)?;
        wire.reply(Judge::Strict)?;
    }
    server.stop()?;
    for (name, format) in [("common.log", "COMMON"), ("combined.log", "COMBINED")] {
        all_lines_valid(&root.join(name), format, requests.len())?;
    }
    remove(&root);
    Ok(Completion::Completed)
}

fn all_lines_valid(log: &Path, format: &str, lines: usize) -> Result<(), String> {
    let (report, invalid) = (log.with_extension("json"), log.with_extension("invalid"));
    let status = Command::new("goaccess")
        .arg(log)
        .arg(format!("--log-format={format}"))
        .args(["--no-global-config", "--no-progress", "-o"])
        .arg(&report)
        .arg("--invalid-requests")
        .arg(&invalid)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(|e| format!("goaccess: {e}"))?;
    let rejected = std::fs::read_to_string(&invalid).unwrap_or_default();
    let report = std::fs::read_to_string(&report).unwrap_or_default();
    let counted = report
        .split_whitespace()
        .collect::<String>()
        .contains(&format!("\"total_requests\":{lines},"));
    if status.success() && rejected.is_empty() && counted {
        return Ok(());
    }
    let text = std::fs::read_to_string(log).unwrap_or_default();
    Err(format!(
        "goaccess does not take every line of {format}; rejected:\n{rejected}\nthe log:\n{text}"
    ))
}

/// So many connections are idle.
const IDLE: u64 = 2000;

/// What a connection had while it was asked goes back to the system when it is idle, and the rest when it is closed. While it is
/// asked it is some KiB.
fn idle_connections_keep_little() -> Result<(), String> {
    let (root, server) = boot("idle", &["KeepAliveTimeout 60"])?;
    let ask = |wire: &mut Wire| {
        wire.send(b"GET /absent HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let reply = wire.reply(Judge::Strict)?;
        let is_expected = reply.status_line.ends_with(b" 404 Not Found");
        is_expected.then_some(()).ok_or(format!("{reply:?}"))
    };
    let opened = |count: u64| {
        (0..count)
            .map(|_| {
                let mut wire = Wire::connect(&server.listeners[0], PATIENCE)?;
                ask(&mut wire).map(|()| wire)
            })
            .collect::<Result<Vec<Wire>, String>>()
    };
    // What the first requests need is there from then on.
    drop(opened(64)?);
    let before = resident(&server);
    let mut wires = opened(IDLE)?;
    let most = resident(&server);
    let at_most = |kib: u64, when: &str| {
        poll(PATIENCE, || {
            let now = resident(&server);
            let grown = now.saturating_sub(before);
            (grown <= kib)
                .then_some(grown)
                .ok_or_else(|| format!("{grown} KiB more {when}"))
        })
    };
    let idle = at_most(IDLE * 3 / 4, "while they are idle")?;
    for wire in &mut wires {
        ask(wire)?;
    }
    at_most(IDLE * 3 / 4, "while they are idle again")?;
    drop(wires);
    let left = at_most(1024, "when they are gone")?;
    println!(
        "{IDLE} idle connections: {idle} KiB more, {} at first, {left} left",
        most.saturating_sub(before)
    );
    end(&root, server)
}

fn boot(name: &str, more: &[&str]) -> Result<(PathBuf, Server), String> {
    let root = server::fresh_root(name);
    let apps = bench().directory.join("apps");
    let mut lines = vec![
        format!("ScriptAlias /cgi-bin/ \"{}/\"", apps.display()),
        "MaxKeepAliveRequests 0".into(),
    ];
    lines.extend(more.iter().map(ToString::to_string));
    server::write_config(&root, &lines, "127.0.0.1:0")?;
    server::hand_over(&root, false)?;
    let command = server::program(&root, false, &[])?;
    let server = Server::boot(&root, command, &[], "")?;
    Ok((root, server))
}

/// At rest there is nothing left of it all; then the end.
fn end(root: &Path, server: Server) -> Result<(), String> {
    server.settle(PATIENCE)?;
    server.stop()?;
    let text = std::fs::read_to_string(root.join("error.log")).unwrap_or_default();
    if let Some(line) = text.lines().find(|l| l.contains(":error]") || l.contains(":warn]")) {
        return Err(format!("unexpected in the error log: {line}"));
    }
    remove(root);
    Ok(())
}

fn remove(root: &Path) {
    let _left_for_the_end_of_the_run = std::fs::remove_dir_all(root);
}

/// Resident memory of the server's own processes, without scripts.
fn resident(server: &Server) -> u64 {
    let own = processes::descendants(server.pid())
        .into_iter()
        .filter(|p| p.name != "testapp")
        .map(|p| p.pid);
    own.chain([server.pid()]).filter_map(processes::resident_kib).sum()
}

fn flat(before: u64, most: u64) -> Result<(), String> {
    if most <= before + FLAT_KIB {
        Ok(())
    } else {
        Err(format!("memory grew from {before} KiB to {most} KiB"))
    }
}
