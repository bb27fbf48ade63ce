//! Roles that die at work: what their requests and scripts come to.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use libtest_mimic::{Failed, Trial};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::processes;
use crate::support::server::{self, Server};
use crate::support::wire::{Judge, Wire, show};

const PATIENCE: Duration = Duration::from_secs(20);

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    let roles = |name: &str, test: fn() -> Result<(), String>| {
        Trial::test(format!("roles::{name}"), move || test().map_err(Failed::from))
    };
    vec![
        roles("a_stuck_worker_is_replaced", a_stuck_worker_is_replaced),
        roles("requests_outlive_a_killed_spawner", requests_outlive_a_killed_spawner),
        roles(
            "scripts_do_not_outlive_a_killed_worker",
            scripts_do_not_outlive_a_killed_worker,
        ),
    ]
}

/// A worker that does nothing any more is killed after ten seconds, and the next one answers who waited.
fn a_stuck_worker_is_replaced() -> Result<(), String> {
    let (root, server) = boot("stuck", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nhello\\n'\n")?;
    signal(&server, "worker", Signal::STOP)?;
    server::poll(PATIENCE, || {
        let stopped = processes::descendants(server.pid())
            .into_iter()
            .any(|process| process.state == 'T');
        stopped.then_some(()).ok_or("the worker does not stop".into())
    })?;
    let mut wire = ask(&server)?;
    said(&root, "the worker gives no sign of life: it is killed")?;
    said(&root, "the worker died (signal 9 (SIGKILL)): it is started again")?;
    if wire.reply(Judge::Strict)?.body != b"hello\n" {
        return Err("who waited was not answered".into());
    }
    end(&root, server)
}

/// Two scripts run and four requests wait for a turn; the spawner dies, and all six are answered.
fn requests_outlive_a_killed_spawner() -> Result<(), String> {
    let (root, server) = boot(
        "killed-spawner",
        "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nbegun\\n'\nuntil [ -e go ]; do sleep 0.02; done\necho done\n",
    )?;
    let mut wires = vec![ask(&server)?, ask(&server)?];
    for wire in &mut wires {
        wire.wait_for(b"begun")?;
    }
    for _ in 0..4 {
        wires.push(ask(&server)?);
    }
    kill(&server, "spawner")?;
    said(&root, "the spawner died (signal 9 (SIGKILL)): it is started again")?;
    server::write(&root.join("cgi-bin/go"), b"now")?;
    for mut wire in wires {
        let reply = wire.reply(Judge::Strict)?;
        if reply.body != b"begun\ndone\n" {
            return Err(format!("{reply:?}"));
        }
    }
    end(&root, server)
}

/// The script of a worker that dies goes, with what it started; the next worker serves.
fn scripts_do_not_outlive_a_killed_worker() -> Result<(), String> {
    let (root, server) = boot(
        "killed-worker",
        "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nbegun\\n'\n[ -e go ] && exit\n\
         (trap '' TERM; while :; do sleep 1000; done) &\nsleep 1000\n",
    )?;
    let mut wire = ask(&server)?;
    wire.wait_for(b"begun")?;
    server::write(&root.join("cgi-bin/go"), b"now")?;
    kill(&server, "worker")?;
    wire.rest()?;
    said(&root, "the worker died (signal 9 (SIGKILL)): it is started again")?;
    let reply = ask(&server)?.reply(Judge::Strict)?;
    if reply.body != b"begun\n" {
        return Err(format!("{reply:?}"));
    }
    server::poll(PATIENCE, || {
        let left = processes::descendants(server.pid());
        match left
            .iter()
            .find(|process| process.name == "sleep" || process.name == "sh")
        {
            Some(process) => Err(format!("left behind: {} ({})", process.pid, process.name)),
            None => Ok(()),
        }
    })?;
    end(&root, server)
}

fn boot(name: &str, script: &str) -> Result<(PathBuf, Server), String> {
    let root = server::fresh_root(name);
    server::write(&root.join("cgi-bin/s"), script.as_bytes())?;
    server::set_mode(&root.join("cgi-bin/s"), 0o755)?;
    let lines = [
        format!("ScriptAlias /cgi-bin/ \"{}/cgi-bin/\"", root.display()),
        "CGIMaxScripts 2".into(),
        "CGIQueueTime 20".into(),
    ];
    server::write_config(&root, &lines, "127.0.0.1:0")?;
    server::hand_over(&root, false)?;
    let command = server::program(&root, false, &[])?;
    let server = Server::boot(&root, command, &[], "")?;
    Ok((root, server))
}

fn ask(server: &Server) -> Result<Wire, String> {
    let mut wire = Wire::connect(&server.listeners[0], PATIENCE)?;
    wire.send(b"GET /cgi-bin/s HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    Ok(wire)
}

fn kill(server: &Server, role: &str) -> Result<(), String> {
    signal(server, role, Signal::KILL)
}

/// Sends a signal to the process that calls itself `lychgate: ROLE`.
fn signal(server: &Server, role: &str, signal: Signal) -> Result<(), String> {
    let title = format!("lychgate: {role}");
    let is_it =
        |pid: &u32| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(title.as_bytes()));
    let pid = processes::descendants(server.pid())
        .into_iter()
        .map(|p| p.pid)
        .find(is_it);
    let pid = pid.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    kill_process(pid.ok_or(format!("there is no {role}"))?, signal).map_err(|e| format!("{role}: {e}"))
}

/// Waits until the error log says so.
fn said(root: &std::path::Path, words: &str) -> Result<(), String> {
    server::poll(PATIENCE, || {
        let text = fs::read(root.join("error.log")).unwrap_or_default();
        match memchr::memmem::find(&text, words.as_bytes()) {
            Some(_) => Ok(()),
            None => Err(format!("the error log does not say `{words}`: {}", show(&text))),
        }
    })
}

/// The end, in which nobody panicked.
fn end(root: &std::path::Path, server: Server) -> Result<(), String> {
    server.stop()?;
    let text = fs::read_to_string(root.join("error.log")).unwrap_or_default();
    let text = text + &fs::read_to_string(root.join("stderr")).unwrap_or_default();
    if text.contains("panicked") {
        return Err(text);
    }
    let _left_for_the_end_of_the_run = fs::remove_dir_all(root);
    Ok(())
}
