//! `lychgate ctl`: each verb while requests come in, and what it tells.

mod door;
mod service;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};
use regex::Regex;
use rustix::process::Signal;

use crate::support::processes;
use crate::support::server::{self, Server, bench};
use crate::support::site::{ask, done, end, role, said};
use crate::support::traffic::{self, Traffic};
use crate::support::wire::{Judge, Wire};

const PATIENCE: Duration = Duration::from_secs(30);

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    let ctl = |name: &str, test: fn() -> Result<(), String>| {
        Trial::test(format!("ctl::{name}"), move || test().map_err(Failed::from))
    };
    let mut all = vec![
        ctl("no_verb_loses_a_request_under_load", no_verb_loses_a_request_under_load),
        ctl(
            "drain_under_load_finishes_what_was_begun",
            drain_under_load_finishes_what_was_begun,
        ),
        ctl("drain_cuts_when_its_time_is_over", drain_cuts_when_its_time_is_over),
        ctl("a_second_drain_may_be_shorter", a_second_drain_may_be_shorter),
        ctl("status_tells_what_is_there", status_tells_what_is_there),
        ctl(
            "reopen_returns_when_nobody_writes_to_the_old_files",
            reopen_returns_when_nobody_writes_to_the_old_files,
        ),
        ctl("a_reload_moves_the_socket", a_reload_moves_the_socket),
        ctl("a_reload_may_start_another_program", a_reload_may_start_another_program),
        ctl("many_may_ask_for_a_reload_at_once", many_may_ask_for_a_reload_at_once),
    ];
    all.extend(door::trials());
    all.extend(service::trials());
    all
}

/// Traffic of all kinds, and every verb that does not end the server, several times. No request fails, each has its line in one of
/// the access logs, and no line is there twice.
fn no_verb_loses_a_request_under_load() -> Result<(), String> {
    let (root, server) = boot("ctl-load", &[])?;
    let traffic = Traffic::start(&server.listeners[0]);
    let mut finished = Vec::new();
    for number in 1..=8 {
        traffic::version(&root, number)?;
        done(&ctl(&root, &["check"])?)?;
        done(&ctl(&root, &["status"])?)?;
        done(&ctl(&root, &["reload"])?)?;
        traffic.expect(number);
        done(&ctl(&root, &["status", "--json"])?)?;
        let (log, moved) = (root.join("access.log"), root.join(format!("access.log.{number}")));
        fs::rename(&log, &moved).map_err(|e| e.to_string())?;
        done(&ctl(&root, &["reopen"])?)?;
        finished.push((length(&moved)?, moved));
    }
    let answered = traffic.end()?;
    roles_are_two(&server)?;
    for (before, moved) in finished {
        if length(&moved)? != before {
            return Err(format!("{} was written after the reopening", moved.display()));
        }
    }
    end_and_count(&root, server, "access.log", answered)
}

fn length(path: &Path) -> Result<u64, String> {
    fs::metadata(path).map(|file| file.len()).map_err(|e| e.to_string())
}

/// Clients until nobody takes them any more: whoever was let in is answered, a slow script too.
fn drain_under_load_finishes_what_was_begun() -> Result<(), String> {
    let (root, server) = boot("ctl-drain", &[])?;
    let mut slow = ask(&server, "/cgi-bin/slow")?;
    slow.wait_for(b"begun")?;
    let in_all = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = ["/file.vers", "/cgi-bin/version"].iter().cycle().take(6).collect();
    let clients = clients.into_iter().map(|path| {
        let (address, in_all) = (server.listeners[0].clone(), Arc::clone(&in_all));
        std::thread::spawn(move || until_refused(&address, path, &in_all))
    });
    let clients: Vec<_> = clients.collect();
    server::poll(PATIENCE, || match in_all.load(Ordering::Relaxed) {
        0..100 => Err("the clients are slow".to_owned()),
        _ => Ok(()),
    })?;
    let draining = {
        let root = root.clone();
        std::thread::spawn(move || ctl(&root, &["drain"]))
    };
    let mut answered = 1;
    for client in clients {
        answered += client.join().map_err(|_| "a client panicked")??;
    }
    // Nobody is let in, and the script goes on.
    said(&root, "stopping when the last connection has ended")?;
    let status = stdout(&ctl(&root, &["status"])?);
    if !status.contains(", draining, up ") {
        return Err(status);
    }
    server::write(&root.join("cgi-bin/go"), b"now")?;
    if slow.reply(Judge::Strict)?.body != b"begun\n0\n" {
        return Err("the script under way was not finished".into());
    }
    drop(slow);
    let output = draining.join().map_err(|_| "it panicked")??;
    done(&output)?;
    let told = stdout(&output);
    let shown = Regex::new(r"(?m)^finishing: connections \d+, requests \d+, scripts \d+$").expect("well-formed");
    if !shown.is_match(&told) || !told.ends_with("the server has ended\n") {
        return Err(told);
    }
    if root.join("httpd.ctl").exists() || root.join("httpd.pid").exists() {
        return Err("something is left of it".into());
    }
    end_and_count(&root, server, "access.log", answered)
}

/// Asks on a new connection each until the server takes none: how many were answered.
fn until_refused(address: &str, path: &str, in_all: &AtomicU64) -> Result<u64, String> {
    let mut answered = 0;
    while let Ok(mut wire) = Wire::connect(address, PATIENCE) {
        wire.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
            .and_then(|()| wire.reply(Judge::Strict))
            .map_err(|e| format!("request {answered}: {e}"))
            .and_then(|reply| {
                let is_good = reply.status_line == b"HTTP/1.1 200 OK" && !reply.cut;
                is_good.then_some(()).ok_or(format!("request {answered}: {reply:?}"))
            })?;
        answered += 1;
        in_all.fetch_add(1, Ordering::Relaxed);
    }
    Ok(answered)
}

fn drain_cuts_when_its_time_is_over() -> Result<(), String> {
    let (root, server) = boot("ctl-drain-cut", &[])?;
    let mut slow = ask(&server, "/cgi-bin/slow")?;
    slow.wait_for(b"begun")?;
    let began = Instant::now();
    let output = ctl(&root, &["drain", "--timeout", "1500ms"])?;
    cut_in_time(&output, began)?;
    end(&root, server)
}

fn a_second_drain_may_be_shorter() -> Result<(), String> {
    let (root, server) = boot("ctl-drain-twice", &[])?;
    let mut slow = ask(&server, "/cgi-bin/slow")?;
    slow.wait_for(b"begun")?;
    let first = {
        let root = root.clone();
        std::thread::spawn(move || ctl(&root, &["drain"]))
    };
    said(&root, "stopping when the last connection has ended")?;
    let refused = ctl(&root, &["reload"])?;
    if refused.status.code() != Some(1) || stderr(&refused) != "lychgate: the server is stopping\n" {
        return Err(format!("{refused:?}"));
    }
    let began = Instant::now();
    let output = ctl(&root, &["drain", "--timeout", "1"])?;
    cut_in_time(&output, began)?;
    cut_in_time(&first.join().map_err(|_| "it panicked")??, began)?;
    end(&root, server)
}

fn cut_in_time(output: &Output, began: Instant) -> Result<(), String> {
    let told = "lychgate: the server has ended; what took too long was cut\n";
    if output.status.code() != Some(1) || stderr(output) != told {
        return Err(format!("{output:?}"));
    }
    let time = began.elapsed();
    if time < Duration::from_secs(1) || time > Duration::from_secs(10) {
        return Err(format!("it took {time:.1?}"));
    }
    Ok(())
}

/// Numbers of processes, of connections, requests and scripts in progress, of requests answered; restarts after a death.
fn status_tells_what_is_there() -> Result<(), String> {
    let (root, server) = boot("ctl-status", &["CGIMaxScripts 2", "CustomLog \"|/bin/cat\" %r"])?;
    for _ in 0..7 {
        ask(&server, "/file.vers")?.reply(Judge::Strict)?;
    }
    let mut kept = ask(&server, "/file.vers")?;
    kept.reply(Judge::Strict)?;
    let mut slow: Vec<Wire> = (0..2)
        .map(|_| ask(&server, "/cgi-bin/slow"))
        .collect::<Result<_, _>>()?;
    for wire in &mut slow {
        wire.wait_for(b"begun")?;
    }
    let waits = ask(&server, "/cgi-bin/version")?;
    let work = |connections, requests, scripts, waiting, answered| {
        [
            ("connections", connections),
            ("requests", requests),
            ("scripts", scripts),
            ("waiting", waiting),
            ("answered", answered),
        ]
    };
    server::poll(PATIENCE, || {
        let told = Told::by(&root)?;
        told.expect("[\"pid\"]", &server.pid())?;
        told.expect("[\"state\"]", &"serving")?;
        let generation = "[\"generations\"][0]";
        for name in ["worker", "spawner"] {
            let pid = role(&server, name)?.as_raw_nonzero().get();
            told.expect(&format!("{generation}[\"{name}\"][\"pid\"]"), &pid)?;
        }
        for (name, number) in work(4, 3, 2, 1, 8) {
            told.expect(&format!("{generation}[\"work\"][\"{name}\"]"), &number)?;
        }
        told.expect(&format!("{generation}[\"scripts\"]"), &2)?;
        let program = told.value("[\"log_programs\"][0][\"pid\"]")?;
        let family = processes::descendants(server.pid());
        let found = family.iter().find(|one| one.pid.to_string() == program);
        found.map(|_| ()).ok_or(format!("log program {program} of {family:?}"))
    })?;
    server::write(&root.join("cgi-bin/go"), b"now")?;
    for mut wire in slow.into_iter().chain([waits]) {
        wire.reply(Judge::Strict)?;
    }
    drop(kept);
    server::poll(PATIENCE, || {
        let told = Told::by(&root)?;
        for (name, number) in work(0, 0, 0, 0, 11) {
            told.expect(&format!("[\"generations\"][0][\"work\"][\"{name}\"]"), &number)?;
        }
        Ok(())
    })?;
    let worker = role(&server, "worker")?;
    server::kill(worker.as_raw_nonzero().get().unsigned_abs(), Signal::KILL);
    server::poll(PATIENCE, || {
        let told = Told::by(&root)?;
        told.expect("[\"generations\"][0][\"worker\"][\"restarts\"]", &1)?;
        told.expect("[\"generations\"][0][\"work\"][\"answered\"]", &0)
    })?;
    end(&root, server)
}

/// What `status --json` has told, read by Python.
struct Told(String);

impl Told {
    fn by(root: &Path) -> Result<Told, String> {
        let output = ctl(root, &["status", "--json"])?;
        done(&output)?;
        Ok(Told(stdout(&output)))
    }

    fn value(&self, member: &str) -> Result<String, String> {
        let program = format!("import json,sys; print(json.loads(sys.argv[1]){member})");
        let output = Command::new("python3").args(["-c", &program, &self.0]).output();
        let output = output.map_err(|e| format!("python3: {e}"))?;
        done(&output).map_err(|e| format!("{e}: {}", self.0))?;
        Ok(stdout(&output).trim_end().to_owned())
    }

    fn expect(&self, member: &str, value: &dyn ToString) -> Result<(), String> {
        let found = self.value(member)?;
        if found == value.to_string() {
            Ok(())
        } else {
            Err(format!("{member} is {found}, not {}: {}", value.to_string(), self.0))
        }
    }
}

/// A log can be compressed as soon as the command has returned: that of a generation that still finishes requests too.
fn reopen_returns_when_nobody_writes_to_the_old_files() -> Result<(), String> {
    let (root, server) = boot("ctl-reopen", &[])?;
    let mut slow = ask(&server, "/cgi-bin/slow")?;
    slow.wait_for(b"begun")?;
    done(&ctl(&root, &["reload"])?)?;
    let (log, moved) = (root.join("access.log"), root.join("access.log.1"));
    fs::rename(&log, &moved).map_err(|e| e.to_string())?;
    done(&ctl(&root, &["reopen"])?)?;
    let before = fs::read(&moved).map_err(|e| e.to_string())?;
    server::write(&root.join("cgi-bin/go"), b"now")?;
    slow.reply(Judge::Strict)?;
    ask(&server, "/file.vers")?.reply(Judge::Strict)?;
    drop(slow);
    roles_are_two(&server)?;
    server::poll(PATIENCE, || {
        let text = fs::read_to_string(&log).unwrap_or_default();
        let lines = ["GET /cgi-bin/slow ", "GET /file.vers "];
        lines.iter().all(|line| text.contains(line)).then_some(()).ok_or(text)
    })?;
    if fs::read(&moved).map_err(|e| e.to_string())? != before {
        return Err("the old file was written".into());
    }
    // What cannot be opened is told, and goes on where it is.
    fs::rename(&log, root.join("access.log.2")).map_err(|e| e.to_string())?;
    fs::create_dir(&log).map_err(|e| e.to_string())?;
    let output = ctl(&root, &["reopen"])?;
    let told = format!("lychgate: cannot open the log `{}`: Is a directory", log.display());
    if output.status.code() != Some(1) || !stderr(&output).starts_with(&told) {
        return Err(format!("{output:?}"));
    }
    fs::remove_dir(&log).map_err(|e| e.to_string())?;
    end(&root, server)
}

/// The configuration names a new socket; the command finds the old one all the same.
fn a_reload_moves_the_socket() -> Result<(), String> {
    let (root, server) = boot("ctl-moves", &[])?;
    let text = fs::read_to_string(root.join("httpd.conf")).map_err(|e| e.to_string())?;
    let (old, new) = (root.join("httpd.ctl"), root.join("new.ctl"));
    let named = format!("{text}ControlSocket \"{}\"\n", new.display());
    server::write(&root.join("httpd.conf"), named.as_bytes())?;
    for (there, gone) in [(&new, &old), (&new, &old)] {
        done(&ctl(&root, &["reload"])?)?;
        if !there.exists() || gone.exists() {
            return Err(format!("{} is there: {}", there.display(), there.exists()));
        }
    }
    // One that cannot be: all stays as it is.
    fs::write(&old, "precious").map_err(|e| e.to_string())?;
    let wrong = format!("{text}ControlSocket \"{}\"\n", old.display());
    server::write(&root.join("httpd.conf"), wrong.as_bytes())?;
    let output = ctl(&root, &["--socket", &new.display().to_string(), "reload"])?;
    let told = format!(
        "lychgate: ControlSocket: {}: it is there, and no socket\n",
        old.display()
    );
    if output.status.code() != Some(1) || stderr(&output) != told {
        return Err(format!("{output:?}"));
    }
    // The name was taken away: the next reload makes it again.
    server::write(&root.join("httpd.conf"), named.as_bytes())?;
    fs::remove_file(&new).map_err(|e| e.to_string())?;
    done(&graceful(&root)?)?;
    done(&ctl(&root, &["status"])?)?;
    end(&root, server)
}

/// The program was exchanged: who asked hears from the new one, in the same process, by the same connection.
fn a_reload_may_start_another_program() -> Result<(), String> {
    let root = server::fresh_root("ctl-upgrade");
    let lines = traffic::config(&root)?;
    server::write_config(&root, &lines, &format!("127.0.0.1:{}", server::free_port()))?;
    let program = root.join("lychgate");
    let install = || {
        let new = root.join("lychgate.new");
        let copied = fs::copy(&bench().program, &new).and_then(|_| fs::rename(&new, &program));
        copied.map_err(|e| e.to_string())?;
        // Another thread's child may hold it open for writing for a moment more.
        let runs = || Command::new(&program).arg("-v").output().map_err(|e| e.to_string());
        server::poll(PATIENCE, runs).map(drop)
    };
    install()?;
    server::hand_over(&root, false)?;
    let server = Server::boot(&root, server::program_at(&program, &root, false, &[])?, &[], "")?;
    let traffic = Traffic::start(&server.listeners[0]);
    for number in 1..=3 {
        install()?;
        traffic::version(&root, number)?;
        let output = ctl(&root, &["reload"])?;
        done(&output)?;
        if stdout(&output) != "serving by the new settings\n" {
            return Err(format!("{output:?}"));
        }
        traffic.expect(number);
        said(&root, "another version of the program takes over")?;
        let told = Told::by(&root)?;
        told.expect("[\"pid\"]", &server.pid())?;
        told.expect("[\"generations\"][0][\"number\"]", &(number + 1))?;
    }
    let answered = traffic.end()?;
    roles_are_two(&server)?;
    end_and_count(&root, server, "access.log", answered)
}

fn many_may_ask_for_a_reload_at_once() -> Result<(), String> {
    let (root, server) = boot("ctl-many", &[])?;
    let ask = |n: usize| {
        let root = root.clone();
        let verb = ["reload", "reload", "reopen", "status", "check"][n % 5];
        std::thread::spawn(move || ctl(&root, &[verb]))
    };
    let all: Vec<_> = (0..15).map(ask).collect();
    for one in all {
        done(&one.join().map_err(|_| "it panicked")??)?;
    }
    roles_are_two(&server)?;
    end(&root, server)
}

fn boot(name: &str, more: &[&str]) -> Result<(PathBuf, Server), String> {
    let root = server::fresh_root(name);
    let mut lines = traffic::config(&root)?;
    lines.extend(more.iter().map(ToString::to_string));
    let slow =
        "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nbegun\\n'\nuntil [ -e go ]; do sleep 0.02; done\necho $ONE\n";
    server::write(&root.join("cgi-bin/slow"), slow.as_bytes())?;
    server::set_mode(&root.join("cgi-bin/slow"), 0o755)?;
    server::write_config(&root, &lines, &format!("127.0.0.1:{}", server::free_port()))?;
    server::hand_over(&root, false)?;
    let server = Server::boot(&root, server::program(&root, false, &[])?, &[], "")?;
    Ok((root, server))
}

/// `lychgate ctl WORDS`, by the configuration.
fn ctl(root: &Path, words: &[&str]) -> Result<Output, String> {
    let mut command = server::program(root, false, &[])?;
    command.arg("ctl").arg("-f").arg(root.join("httpd.conf")).args(words);
    command.output().map_err(|e| format!("ctl: {e}"))
}

fn graceful(root: &Path) -> Result<Output, String> {
    let mut command = server::program(root, false, &[])?;
    command.arg("-f").arg(root.join("httpd.conf")).args(["-k", "graceful"]);
    command.output().map_err(|e| format!("-k graceful: {e}"))
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The old roles end; those that serve are a worker and a spawner.
fn roles_are_two(server: &Server) -> Result<(), String> {
    server::poll(PATIENCE, || {
        let left = processes::descendants(server.pid());
        if left.len() == 2 {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        }
    })
}

/// The end; then all files whose names begin so have a line for each request, and no more.
fn end_and_count(root: &Path, server: Server, log: &str, answered: u64) -> Result<(), String> {
    server.stop()?;
    let mut lines = 0;
    for entry in fs::read_dir(root).map_err(|e| e.to_string())? {
        let path = entry.map_err(|e| e.to_string())?.path();
        if path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(log))
        {
            let text = fs::read(&path).map_err(|e| e.to_string())?;
            lines += memchr::memchr_iter(b'\n', &text).count() as u64;
        }
    }
    if lines != answered {
        return Err(format!(
            "{answered} requests were answered, the logs have {lines} lines"
        ));
    }
    println!("{answered} requests answered, none failed, none unlogged");
    let _left_for_the_end_of_the_run = fs::remove_dir_all(root);
    Ok(())
}
