//! A site behind the server, for tests that are code: one script, questions to it, what the log says, and the end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use lychgate::process::seccomp::{Filter, Refused, When};
use rustix::process::Pid;

use crate::support::processes;
use crate::support::server::{self, Server};
use crate::support::wire::{Wire, show};

const PATIENCE: Duration = Duration::from_secs(30);

/// Boots a server whose only script is `/cgi-bin/s`, with these lines beside.
pub fn boot_script(name: &str, script: &str, lines: &[&str]) -> Result<(PathBuf, Server), String> {
    let root = server::fresh_root(name);
    server::write(&root.join("cgi-bin/s"), script.as_bytes())?;
    server::set_mode(&root.join("cgi-bin/s"), 0o755)?;
    let place = format!("ScriptAlias /cgi-bin/ \"{}/cgi-bin/\"", root.display());
    let lines = lines.iter().map(ToString::to_string);
    let lines: Vec<String> = std::iter::once(place).chain(lines).collect();
    server::write_config(&root, &lines, "127.0.0.1:0")?;
    server::hand_over(&root, false)?;
    let command = server::program(&root, false, &[])?;
    let server = Server::boot(&root, command, &[], "")?;
    Ok((root, server))
}

/// A question on a connection of its own, which is kept.
pub fn ask(server: &Server, path: &str) -> Result<Wire, String> {
    let mut wire = Wire::connect(&server.listeners[0], PATIENCE)?;
    wire.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())?;
    Ok(wire)
}

/// The process of the server that calls itself `lychgate: ROLE`: behind a reload the one that was started last.
pub fn role(server: &Server, role: &str) -> Result<Pid, String> {
    let title = format!("lychgate: {role}");
    let is_it = |process: &processes::Process| {
        fs::read(format!("/proc/{}/cmdline", process.pid)).is_ok_and(|line| line.starts_with(title.as_bytes()))
    };
    let found = processes::descendants(server.pid()).into_iter().filter(is_it);
    let last = found.max_by_key(|process| (process.start, process.pid));
    let pid = last.and_then(|process| Pid::from_raw(i32::try_from(process.pid).ok()?));
    pid.ok_or(format!("there is no {role}"))
}

/// Waits until the error log says so.
pub fn said(root: &Path, words: &str) -> Result<(), String> {
    server::poll(PATIENCE, || {
        let text = fs::read(root.join("error.log")).unwrap_or_default();
        match memchr::memmem::find(&text, words.as_bytes()) {
            Some(_) => Ok(()),
            None => Err(format!("the error log does not say `{words}`: {}", show(&text))),
        }
    })
}

/// A program that has done what it should.
pub fn done(output: &Output) -> Result<(), String> {
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    ))
}

/// The end, in which nobody panicked.
pub fn end(root: &Path, server: Server) -> Result<(), String> {
    server.stop()?;
    let text = fs::read_to_string(root.join("error.log")).unwrap_or_default();
    let text = text + &fs::read_to_string(root.join("stderr")).unwrap_or_default();
    if text.contains("panicked") {
        return Err(text);
    }
    let _left_for_the_end_of_the_run = fs::remove_dir_all(root);
    Ok(())
}

/// Does it in a thread that finds no Landlock in the kernel, and nor do the programs it starts.
pub fn without_landlock<T: Send + 'static>(
    deed: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let confined = move || {
        rustix::thread::set_no_new_privs(true).map_err(|error| error.to_string())?;
        let absent = |call| Refused {
            call,
            when: When::Always,
            errno: libc::ENOSYS,
        };
        let calls = [
            libc::SYS_landlock_create_ruleset,
            libc::SYS_landlock_add_rule,
            libc::SYS_landlock_restrict_self,
        ];
        let filter = Filter::refusing(&calls.map(absent));
        filter.enter().map_err(|error| error.to_string())?;
        deed()
    };
    std::thread::spawn(confined)
        .join()
        .map_err(|_| "it panicked".to_owned())?
}
