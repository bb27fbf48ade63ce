//! `restart`, `start`, `stop` and `status` of services, with requests coming in.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use libtest_mimic::{Failed, Trial};

use super::{PATIENCE, Told, ctl, stderr, stdout};
use crate::support::server::{self, Server, bench, privileged};
use crate::support::site::{ask, done, end};
use crate::support::wire::{Judge, Wire, show};

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    let service = |name: &str, test: fn() -> Result<(), String>| {
        Trial::test(format!("ctl::service::{name}"), move || test().map_err(Failed::from))
    };
    vec![
        service("a_restart_loses_no_request", a_restart_loses_no_request),
        service(
            "a_stopped_one_finishes_and_answers_503_until_it_is_started",
            a_stopped_one_finishes_and_answers_503_until_it_is_started,
        ),
        service("a_failed_one_is_revived", a_failed_one_is_revived),
        service("its_program_is_denied_the_socket", its_program_is_denied_the_socket),
        service("its_status_is_what_is_there", its_status_is_what_is_there),
    ]
}

/// Ten restarts of a service with clients that ask it without end: each is answered, by another process in the end; the other
/// service does not notice.
fn a_restart_loses_no_request() -> Result<(), String> {
    let (root, server) = boot("ctl-service-restart", &["app", "other"])?;
    let (mut old, other) = (pid(&server, "app")?, pid(&server, "other")?);
    let mut slow = ask(&server, "/app/x?sleep/2000")?;
    let ended = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (address, ended) = (server.listeners[0].clone(), Arc::clone(&ended));
            std::thread::spawn(move || {
                let mut answered = 0;
                while !ended.load(Ordering::SeqCst) {
                    pid_at(&address, "app").map_err(|e| format!("request {answered}: {e}"))?;
                    answered += 1;
                }
                Ok::<u64, String>(answered)
            })
        })
        .collect();
    for _ in 0..10 {
        let output = ctl(&root, &["restart", "app"])?;
        done(&output)?;
        if !stdout(&output).starts_with("app: running; processes 1 (of 1 to 1), requests ") {
            return Err(stdout(&output));
        }
        let new = pid(&server, "app")?;
        if new == old {
            return Err("the same process answers".into());
        }
        old = new;
    }
    ended.store(true, Ordering::SeqCst);
    let mut answered = 0;
    for client in clients {
        answered += client.join().map_err(|_| "a client panicked")??;
    }
    let reply = slow.reply(Judge::Strict)?;
    if reply.status_line != b"HTTP/1.1 200 OK" || reply.cut {
        return Err(format!("{reply:?}"));
    }
    if pid(&server, "other")? != other {
        return Err("the other service has another process".into());
    }
    println!("10 restarts of a service, {answered} requests answered, none failed");
    end(&root, server)
}

fn a_stopped_one_finishes_and_answers_503_until_it_is_started() -> Result<(), String> {
    let (root, server) = boot("ctl-service-stop", &["app", "other"])?;
    let old = pid(&server, "app")?;
    let mut slow = ask(&server, "/app/x?sleep/1500")?;
    begun(&root)?;
    let output = ctl(&root, &["stop", "app"])?;
    done(&output)?;
    if !stdout(&output).starts_with("app: stopped; processes 0 (of 1 to 1), requests ") {
        return Err(stdout(&output));
    }
    if crate::support::processes::process(old).is_some_and(|process| process.state != 'Z') {
        return Err("its process runs on".into());
    }
    let reply = slow.reply(Judge::Strict)?;
    if reply.status_line != b"HTTP/1.1 200 OK" || reply.cut {
        return Err(format!("what was begun was not finished: {reply:?}"));
    }
    for _ in 0..3 {
        let reply = ask(&server, "/app/x?pid")?.reply(Judge::Strict)?;
        if !reply.status_line.starts_with(b"HTTP/1.1 503 ") || reply.value("Retry-After").is_none() {
            return Err(format!("{reply:?}"));
        }
    }
    pid(&server, "other")?;
    done(&ctl(&root, &["stop", "app"])?)?;
    for verb in ["start", "start", "restart"] {
        done(&ctl(&root, &[verb, "app"])?)?;
        pid(&server, "app")?;
    }
    for verb in ["start", "stop", "restart", "status"] {
        let output = ctl(&root, &[verb, "nobody"])?;
        if output.status.code() != Some(1) || stderr(&output) != "lychgate: there is no service `nobody`\n" {
            return Err(format!("{output:?}"));
        }
    }
    let output = ctl(&root, &["stop"])?;
    if output.status.code() != Some(2) {
        return Err(format!("{output:?}"));
    }
    end(&root, server)
}

fn a_failed_one_is_revived() -> Result<(), String> {
    let root = server::fresh_root("ctl-service-failed");
    let program = root.join("program");
    let text = format!(
        "#!/bin/sh\n[ -e {}/good ] || exit 1\nexec {}/testapp --service\n",
        root.display(),
        bench().directory.join("apps").display()
    );
    server::write(&program, text.as_bytes())?;
    server::set_mode(&program, 0o755)?;
    let lines = section("app", &format!("{}\nCrashLimit 3 50", program.display()));
    let server = boot_in(&root, &lines)?;
    let state = || stdout(&ctl(&root, &["status", "app"]).unwrap_or_else(|e| panic!("{e}")));
    server::poll(PATIENCE, || match state() {
        state if state.starts_with("app: failed; processes 0 ") => Ok(()),
        state => Err(state),
    })?;
    server::write(&root.join("good"), b"now")?;
    done(&ctl(&root, &["start", "app"])?)?;
    pid(&server, "app")?;
    if !state().starts_with("app: running; processes 1 ") {
        return Err(state());
    }
    end(&root, server)
}

/// Socket denied to service uids, OK-11 of the plan: by the mode where the user is another, and by descent where it is not.
fn its_program_is_denied_the_socket() -> Result<(), String> {
    let mut users = vec![(false, "", "the server has started this process itself")];
    if privileged() {
        users.push((
            true,
            "\nUser daemon",
            "only root and the user who has started the server may",
        ));
        users.push((
            true,
            "\nUser nobody",
            "only root and the user who has started the server may",
        ));
    }
    for (as_root, user, told) in users {
        let root = server::fresh_root("ctl-service-denied");
        let (program, out) = (root.join("program"), root.join("out/told"));
        let text = format!(
            "#!/bin/sh\n{} ctl --socket {}/httpd.ctl drain >{out} 2>&1\necho $? >>{out}\nexec {}/testapp --service\n",
            bench().program.display(),
            root.display(),
            bench().directory.join("apps").display(),
            out = out.display()
        );
        server::write(&program, text.as_bytes())?;
        server::write(&out, b"")?;
        server::set_mode(&program, 0o755)?;
        server::set_mode(&out, 0o666)?;
        let mut lines = section("app", &format!("{}{user}", program.display()));
        if as_root {
            lines.push("User nobody".into());
        }
        server::write_config(&root, &lines, "127.0.0.1:0")?;
        server::hand_over(&root, as_root)?;
        let server = Server::boot(&root, server::program(&root, as_root, &[])?, &[], "")?;
        pid(&server, "app")?;
        let said = std::fs::read_to_string(&out).map_err(|e| e.to_string())?;
        if !said.ends_with(&format!("not permitted: {told}\n4\n")) {
            return Err(format!("{user}: {said}"));
        }
        end(&root, server)?;
    }
    Ok(())
}

fn its_status_is_what_is_there() -> Result<(), String> {
    let (root, server) = boot("ctl-service-status", &["app", "other"])?;
    let (app, other) = (pid(&server, "app")?, pid(&server, "other")?);
    for _ in 0..4 {
        pid(&server, "app")?;
    }
    server::poll(PATIENCE, || {
        let told = Told::by(&root)?;
        for (at, name, pid, requests) in [(0, "app", app, 5), (1, "other", other, 1)] {
            let service = format!("[\"services\"][{at}]");
            told.expect(&format!("{service}[\"name\"]"), &name)?;
            told.expect(&format!("{service}[\"state\"]"), &"running")?;
            told.expect(&format!("{service}[\"requests\"]"), &requests)?;
            told.expect(&format!("{service}[\"processes\"][0][\"pid\"]"), &pid)?;
            told.expect(&format!("{service}[\"processes\"][0][\"requests\"]"), &requests)?;
        }
        told.expect("[\"services\"][1:2][0][\"restarts\"]", &0)
    })?;
    server::kill(other, rustix::process::Signal::KILL);
    server::poll(PATIENCE, || {
        let output = ctl(&root, &["status", "other", "--json"])?;
        done(&output)?;
        let told = Told(stdout(&output));
        told.expect("[\"restarts\"]", &1)?;
        told.expect("[\"processes\"][0][\"pid\"]", &pid(&server, "other")?)
    })?;
    let status = stdout(&ctl(&root, &["status"])?);
    let line = format!("\n  process       pid {app}, up ");
    if !status.contains("\nservice         app: running; processes 1 (of 1 to 1), requests 5\n")
        || !status.contains(&line)
    {
        return Err(status);
    }
    end(&root, server)
}

/// A request for the service is in progress.
fn begun(root: &Path) -> Result<(), String> {
    server::poll(PATIENCE, || {
        Told::by(root)?.expect("[\"generations\"][0][\"work\"][\"requests\"]", &1)
    })
}

fn section(name: &str, command: &str) -> Vec<String> {
    let text = format!(
        "<Service {name}>\nCommand {command}\n</Service>\nProxyPass /{name}/ \"service:{name}|fcgi://localhost/\""
    );
    text.lines().map(str::to_owned).collect()
}

fn boot(name: &str, services: &[&str]) -> Result<(PathBuf, Server), String> {
    let root = server::fresh_root(name);
    let command = format!("{}/testapp --service", bench().directory.join("apps").display());
    let lines: Vec<String> = services.iter().flat_map(|name| section(name, &command)).collect();
    let server = boot_in(&root, &lines)?;
    Ok((root, server))
}

fn boot_in(root: &Path, lines: &[String]) -> Result<Server, String> {
    server::write_config(root, lines, &format!("127.0.0.1:{}", server::free_port()))?;
    server::hand_over(root, false)?;
    Server::boot(root, server::program(root, false, &[])?, &[], "")
}

/// Which process answers.
fn pid(server: &Server, name: &str) -> Result<u32, String> {
    pid_at(&server.listeners[0], name)
}

fn pid_at(address: &str, name: &str) -> Result<u32, String> {
    let mut wire = Wire::connect(address, PATIENCE)?;
    wire.send(format!("GET /{name}/x?pid HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())?;
    let reply = wire.reply(Judge::Strict)?;
    let body = String::from_utf8_lossy(&reply.body).into_owned();
    let number = body.trim().parse();
    number.map_err(|_| format!("{}: {body}", show(&reply.status_line)))
}
