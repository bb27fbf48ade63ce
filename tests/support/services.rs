//! Servers with services: how they are described, booted, asked and ended.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::processes;
use crate::support::server::{self, Server, bench, poll};
use crate::support::wire::{Judge, Wire, show};

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Where the test programs are.
pub fn apps() -> String {
    bench().directory.join("apps").display().to_string()
}

/// A `<Service>` section.
pub fn section(name: &str, lines: &str) -> Vec<String> {
    let inside = lines.lines().map(String::from);
    let mut section = vec![format!("<Service {name}>")];
    section.extend(inside);
    section.push("</Service>".into());
    section
}

/// The line that gives requests to a service.
pub fn pass(name: &str) -> Vec<String> {
    vec![format!("ProxyPass /{name}/ \"service:{name}|fcgi://localhost/\"")]
}

/// The test program as a service, asked below its name.
pub fn service(name: &str, flag: &str, lines: &str) -> Vec<String> {
    let command = format!("Command {}/testapp {flag}\n{lines}", apps());
    [section(name, &command), pass(name)].concat()
}

/// A server in a directory of its own.
pub fn boot(name: &str, lines: &[String]) -> Result<(PathBuf, Server), String> {
    let root = server::fresh_root(&format!("service-{name}"));
    let server = boot_in(&root, lines)?;
    Ok((root, server))
}

/// A server in this directory.
pub fn boot_in(root: &Path, lines: &[String]) -> Result<Server, String> {
    server::write_config(root, lines, "127.0.0.1:0")?;
    server::hand_over(root, false)?;
    let command = server::program(root, false, &[])?;
    Server::boot(root, command, &[], "")
}

/// Has the server take these lines, and waits until it has.
pub fn reload(root: &Path, server: &Server, lines: &[String]) -> Result<(), String> {
    server::write_config(root, lines, &server.listeners[0])?;
    let before = count(root, "serving by the new settings");
    server.signal("USR1")?;
    poll(PATIENCE, || {
        (count(root, "serving by the new settings") > before)
            .then_some(())
            .ok_or_else(|| "no reload".to_owned())
    })
}

fn log(root: &Path) -> String {
    fs::read_to_string(root.join("error.log")).unwrap_or_default()
}

fn count(root: &Path, words: &str) -> usize {
    log(root).matches(words).count()
}

/// Waits until the error log says it.
pub fn said(root: &Path, pattern: &str) -> Result<(), String> {
    let regex = regex::Regex::new(pattern).expect("well-formed");
    poll(PATIENCE, || {
        let log = log(root);
        regex
            .is_match(&log)
            .then_some(())
            .ok_or(format!("`{pattern}` is not said:\n{log}"))
    })
}

/// The processes of services, by the name of the program.
pub fn running(server: &Server) -> Vec<u32> {
    let all = processes::descendants(server.pid());
    let services = all.iter().filter(|process| process.name == "testapp");
    services.map(|process| process.pid).collect()
}

/// A request on a connection of its own.
pub fn asked(server: &Server, target: &str) -> Result<Wire, String> {
    let mut wire = Wire::connect(&server.listeners[0], PATIENCE)?;
    wire.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())?;
    Ok(wire)
}

/// The body of the answer, which must have this status.
pub fn expect(wire: &mut Wire, status: &str) -> Result<Vec<u8>, String> {
    let reply = wire.reply(Judge::Strict)?;
    if show(&reply.status_line).contains(&format!(" {status} ")) && !reply.cut {
        Ok(reply.body)
    } else {
        Err(format!(
            "{} where {status} was expected: {}",
            show(&reply.status_line),
            show(&reply.body)
        ))
    }
}

/// The body of an answer that is 200.
pub fn body(server: &Server, target: &str) -> Result<String, String> {
    expect(&mut asked(server, target)?, "200").map(|body| String::from_utf8_lossy(&body).into_owned())
}

/// Which process answers.
pub fn pid(server: &Server, name: &str) -> Result<u32, String> {
    let body = body(server, &format!("/{name}/x?pid"))?;
    body.trim().parse().map_err(|_| format!("`{body}` is no number"))
}

/// Everything ends with the server; the error log says nothing but what matches one of `expected`.
pub fn end(root: &Path, server: Server, expected: &[&str]) -> Result<(), String> {
    server.stop()?;
    if fs::read_dir(root.join("httpd.services")).is_ok_and(|mut left| left.next().is_some()) {
        return Err("sockets are left behind".into());
    }
    let expected: Vec<_> = expected
        .iter()
        .map(|part| regex::Regex::new(part).expect("well-formed"))
        .collect();
    let log = log(root);
    let complaint = |line: &&str| line.contains(":error]") || line.contains(":warn]");
    let is_expected = |line: &&str| expected.iter().any(|part| part.is_match(line));
    if let Some(line) = log.lines().filter(complaint).find(|line| !is_expected(line)) {
        return Err(format!("unexpected in the error log: {line}"));
    }
    let _left_for_the_end_of_the_run = fs::remove_dir_all(root);
    Ok(())
}
