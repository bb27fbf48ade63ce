//! Services: what becomes of their requests when a process dies, is replaced, is stuck, or goes with a reload.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use libtest_mimic::{Completion, Failed, Trial};
use rustix::process::Signal;

use crate::programs::absent;
use crate::support::processes;
use crate::support::server::{self, Server, bench, kill, poll};
use crate::support::services::{
    PATIENCE, apps, asked, body, boot, boot_in, end, expect, pass, pid, reload, running, said, section, service,
};
use crate::support::wire::{Judge, Wire, show};

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    let services = |name: &str, test: fn() -> Result<(), String>| {
        Trial::test(format!("services::{name}"), move || test().map_err(Failed::from))
    };
    vec![
        services("a_kill_with_a_thousand_requests", a_kill_with_a_thousand_requests),
        services(
            "what_was_begun_is_cut_and_what_was_sent_is_not_repeated",
            what_was_begun_is_cut_and_what_was_sent_is_not_repeated,
        ),
        services("a_crash_loop_is_a_failure", a_crash_loop_is_a_failure),
        services("replaced_processes_lose_nothing", replaced_processes_lose_nothing),
        services("time_and_memory_replace_a_process", time_and_memory_replace_a_process),
        services("five_services_are_five_processes", five_services_are_five_processes),
        services("processes_come_and_go_on_demand", processes_come_and_go_on_demand),
        services("a_full_queue_is_a_503", a_full_queue_is_a_503),
        services("a_reload_keeps_what_is_the_same", a_reload_keeps_what_is_the_same),
        services(
            "a_reload_that_fails_changes_nothing",
            a_reload_that_fails_changes_nothing,
        ),
        services(
            "a_successor_is_what_the_settings_in_force_say",
            a_successor_is_what_the_settings_in_force_say,
        ),
        services(
            "a_killed_launcher_leaves_no_service",
            a_killed_launcher_leaves_no_service,
        ),
        services(
            "programs_on_demand_are_shared_and_replaced",
            programs_on_demand_are_shared_and_replaced,
        ),
        Trial::ignorable_test("services::a_root_of_its_own", a_root_of_its_own),
        Trial::ignorable_test(
            "services::the_development_kits_responder",
            the_development_kits_responder,
        ),
        Trial::ignorable_test("services::perls_responder", perls_responder),
    ]
}

/// OK-2 of the plan: all are answered, GETs by the successor; the others of the house do not notice.
fn a_kill_with_a_thousand_requests() -> Result<(), String> {
    let (root, server) = boot(
        "kill-1000",
        &[
            service("app", "--service", "Queue 2000"),
            service("other", "--service", ""),
        ]
        .concat(),
    )?;
    let (old, other) = (pid(&server, "app")?, pid(&server, "other")?);
    let begun = Instant::now();
    let mut wires = (0..1000)
        .map(|_| asked(&server, "/app/x?sleep/3000"))
        .collect::<Result<Vec<_>, _>>()?;
    // Those that are taken sleep, longer than a busy machine asks; those that are not wait in the socket.
    std::thread::sleep(Duration::from_millis(200));
    println!("{:?} for asking", begun.elapsed());
    let killed = Instant::now();
    kill(old, Signal::KILL);
    let new = pid(&server, "app")?;
    let back = killed.elapsed();
    if new == old {
        return Err("the dead one answers".into());
    }
    if pid(&server, "other")? != other {
        return Err("the other service has another process".into());
    }
    let mut seen = [0; 2];
    for wire in &mut wires {
        let reply = wire.reply(Judge::Strict)?;
        match show(&reply.status_line).split(' ').nth(1) {
            Some("200") if !reply.cut => seen[0] += 1,
            Some("502") => seen[1] += 1,
            _ => return Err(format!("{}: {}", show(&reply.status_line), show(&reply.body))),
        }
    }
    let took = killed.elapsed();
    println!(
        "{} answered, {} not; the successor serves after {back:?}, the last after {took:?}",
        seen[0], seen[1]
    );
    if took > PATIENCE || seen[1] > 0 {
        return Err(format!("{took:?} and {} times 502", seen[1]));
    }
    end(
        &root,
        server,
        &[&format!(
            "app: process {old} ended \\(signal 9 \\(SIGKILL\\)\\): it is started again$"
        )],
    )
}

/// A reply that was begun is cut so that the client can see it; a body that was handed over is not told to another.
fn what_was_begun_is_cut_and_what_was_sent_is_not_repeated() -> Result<(), String> {
    let (root, server) = boot("begun", &service("app", "--service", ""))?;
    let old = pid(&server, "app")?;
    let mut begun = asked(&server, "/app/x?wait/never")?;
    begun.wait_for(b"before")?;
    let mut sent = Wire::connect(&server.listeners[0], PATIENCE)?;
    sent.send(b"POST /app/x?sleep/5000 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello")?;
    let mut again = asked(&server, "/app/x?sleep/300")?;
    std::thread::sleep(Duration::from_millis(200));
    kill(old, Signal::KILL);
    if !begun.reply(Judge::Strict)?.cut {
        return Err("what was begun is not cut".into());
    }
    expect(&mut sent, "502")?;
    expect(&mut again, "200")?;
    end(
        &root,
        server,
        &[
            "app: process \\d+ ended \\(signal 9",
            "service:app` (gave no reply|ended its reply early|broke off)",
            "connection",
        ],
    )
}

/// Who dies again and again is given up, at once for its clients; the others go on, and a reload begins anew.
fn a_crash_loop_is_a_failure() -> Result<(), String> {
    let crashing = "Command /bin/false\nCrashLimit 4 50";
    let lines = [section("app", crashing), pass("app"), service("other", "--service", "")].concat();
    let (root, server) = boot("crash-loop", &lines)?;
    said(
        &root,
        "app: process [0-9]+ ended \\(exit status 1\\): it has failed, with 4 deaths within 50s \\(CrashLimit\\): it is not started again before a reload or `lychgate ctl start app`",
    )?;
    let mut wire = asked(&server, "/app/x?pid")?;
    let reply = wire.reply(Judge::Strict)?;
    if !show(&reply.status_line).contains(" 503 ") || reply.value("Retry-After").is_none() {
        return Err(show(&reply.status_line));
    }
    let other = pid(&server, "other")?;
    let lines = [
        section("app", &format!("Command {}/testapp --service", apps())),
        pass("app"),
        service("other", "--service", ""),
    ]
    .concat();
    reload(&root, &server, &lines)?;
    pid(&server, "app")?;
    if pid(&server, "other")? != other {
        return Err("the other was not kept".into());
    }
    end(
        &root,
        server,
        &["app: process \\d+ ended", "service:app`: cannot connect"],
    )
}

/// OK-3 of the plan, scaled down: nothing is lost by planned deaths, however they come.
fn replaced_processes_lose_nothing() -> Result<(), String> {
    let (root, server) = boot(
        "max-requests",
        &service("app", "--service-one", "MaxRequests 50\nQueue 500"),
    )?;
    let seen = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..4)
            .map(|_| {
                let server = &server;
                scope.spawn(move || (0..500).map(|_| pid(server, "app")).collect::<Result<BTreeSet<_>, _>>())
            })
            .collect();
        let seen: Result<Vec<_>, String> = asking
            .into_iter()
            .map(|thread| thread.join().expect("it does not panic"))
            .collect();
        seen
    })?;
    let pids: BTreeSet<u32> = seen.into_iter().flatten().collect();
    println!("2000 requests, {} processes", pids.len());
    if !(10..=45).contains(&pids.len()) {
        return Err(format!("{} processes", pids.len()));
    }
    end(&root, server, &[])
}

fn time_and_memory_replace_a_process() -> Result<(), String> {
    let lines = [
        service("time", "--service", "MaxLifetime 1"),
        service("memory", "--service", "MaxMemory 100M"),
    ]
    .concat();
    let (root, server) = boot("max-life", &lines)?;
    let (time, memory) = (pid(&server, "time")?, pid(&server, "memory")?);
    body(&server, "/memory/x?memory/200000000")?;
    for (name, old) in [("time", time), ("memory", memory)] {
        poll(PATIENCE, || match pid(&server, name)? {
            pid if pid == old => Err(format!("{name}: still the same process")),
            _ => Ok(()),
        })?;
    }
    said(&root, "time: process [0-9]+ is replaced after [1-9]s \\(MaxLifetime\\)")?;
    said(
        &root,
        "memory: process [0-9]+ is replaced: it has [0-9]+ KiB of memory \\(MaxMemory\\)",
    )?;
    end(&root, server, &[])
}

/// OK-5 of the plan, scaled down: clients are no processes.
fn five_services_are_five_processes() -> Result<(), String> {
    let names = ["a", "b", "c", "d", "e"];
    let lines: Vec<String> = names
        .iter()
        .flat_map(|name| service(name, "--service", "Queue 500"))
        .collect();
    let (root, server) = boot("five", &lines)?;
    let mut wires = Vec::new();
    for _ in 0..60 {
        for name in names {
            wires.push(asked(&server, &format!("/{name}/x?sleep/300"))?);
        }
    }
    let count = running(&server).len();
    for wire in &mut wires {
        expect(wire, "200")?;
    }
    if count != 5 {
        return Err(format!("{count} processes for {} clients", wires.len()));
    }
    end(&root, server, &[])
}

/// `0 3`: none at first, more while all have work, none again.
fn processes_come_and_go_on_demand() -> Result<(), String> {
    let (root, server) = boot("demand", &service("app", "--service-one", "Processes 0 3\nMaxIdle 1"))?;
    if !running(&server).is_empty() {
        return Err("one runs before it is wanted".into());
    }
    // Longer than a busy machine takes to ask thrice.
    let mut wires = (0..3)
        .map(|_| asked(&server, "/app/x?sleep/1500"))
        .collect::<Result<Vec<_>, _>>()?;
    let mut pids = BTreeSet::new();
    for wire in &mut wires {
        pids.insert(show(&expect(wire, "200")?));
    }
    if pids.len() != 3 {
        return Err(format!("{pids:?}"));
    }
    poll(PATIENCE, || match running(&server).len() {
        0 => Ok(()),
        n => Err(format!("{n} are left")),
    })?;
    pid(&server, "app")?;
    if running(&server).len() != 1 {
        return Err("one is enough".into());
    }
    end(&root, server, &[])
}

/// Whoever comes to a full queue hears it soon, and when to come again.
fn a_full_queue_is_a_503() -> Result<(), String> {
    let (root, server) = boot("queue", &service("app", "--service-one", "Queue 1"))?;
    let mut wires = (0..6)
        .map(|_| asked(&server, "/app/x?sleep/1000"))
        .collect::<Result<Vec<_>, _>>()?;
    let mut refused = 0;
    for wire in &mut wires {
        let reply = wire.reply(Judge::Strict)?;
        if show(&reply.status_line).contains(" 503 ") && reply.value("Retry-After").is_some() {
            refused += 1;
        } else if !show(&reply.status_line).contains(" 200 ") {
            return Err(show(&reply.status_line));
        }
    }
    // One is served, two are in the queue (the kernel counts so).
    if refused != 3 {
        return Err(format!("{refused} are refused"));
    }
    end(&root, server, &["service:app`: its queue is full \\(Queue\\)"])
}

fn a_reload_keeps_what_is_the_same() -> Result<(), String> {
    let lines = [
        service("same", "--service", ""),
        service("changed", "--service", ""),
        service("gone", "--service", ""),
    ]
    .concat();
    let (root, server) = boot("reload", &lines)?;
    let (same, changed, gone) = (pid(&server, "same")?, pid(&server, "changed")?, pid(&server, "gone")?);
    let mut slow = asked(&server, "/changed/x?sleep/700")?;
    let mut last = asked(&server, "/gone/x?sleep/700")?;
    std::thread::sleep(Duration::from_millis(200));
    let lines = [
        service("added", "--service", ""),
        service("same", "--service", ""),
        service("changed", "--service", "SetEnv COLOUR red"),
    ]
    .concat();
    reload(&root, &server, &lines)?;
    if pid(&server, "same")? != same {
        return Err("what is the same was not kept".into());
    }
    pid(&server, "added")?;
    if !body(&server, "/changed/x?self")?.contains("COLOUR=red") || pid(&server, "changed")? == changed {
        return Err("what is described otherwise was not replaced".into());
    }
    for (wire, old) in [(&mut slow, changed), (&mut last, gone)] {
        let body = String::from_utf8_lossy(&expect(wire, "200")?).into_owned();
        if body != format!("{old}\n") {
            return Err(format!("{body} has answered, not {old}"));
        }
        poll(PATIENCE, || match processes::process(old) {
            Some(_) => Err(format!("{old} is left")),
            None => Ok(()),
        })?;
    }
    expect(&mut asked(&server, "/gone/x?pid")?, "404")?;
    end(&root, server, &[])
}

/// Settings that are refused start no service and end none.
fn a_reload_that_fails_changes_nothing() -> Result<(), String> {
    let lines = service("app", "--service", "");
    let (root, server) = boot("reload-bad", &lines)?;
    let app = pid(&server, "app")?;
    let more = [
        lines,
        service("new", "--service", ""),
        vec!["Listen 192.0.2.1:80".into()],
    ]
    .concat();
    server::write_config(&root, &more, &server.listeners[0])?;
    server.signal("USR1")?;
    said(&root, "the settings in force stay as they are")?;
    if pid(&server, "app")? != app {
        return Err("it was not kept".into());
    }
    poll(PATIENCE, || match running(&server).len() {
        1 => Ok(()),
        n => Err(format!("{n} run")),
    })?;
    end(&root, server, &["192.0.2.1", "settings in force stay"])
}

/// A reload that has one service no more and another too many, which has no place for its socket: it is refused, and when the first
/// dies then, it has a successor.
fn a_successor_is_what_the_settings_in_force_say() -> Result<(), String> {
    let root = server::fresh_root("service-successor");
    let sockets = root.join("sockets");
    let common = vec![format!("ServiceDir {}", sockets.display())];
    let server = boot_in(&root, &[&*common, &service("app", "--service", "")].concat())?;
    let app = pid(&server, "app")?;
    fs::create_dir_all(sockets.join("new.0/in-the-way")).map_err(|e| e.to_string())?;
    let other = [&*common, &service("new", "--service", "")].concat();
    server::write_config(&root, &other, &server.listeners[0])?;
    server.signal("USR1")?;
    said(&root, "the settings in force stay as they are")?;
    kill(app, Signal::KILL);
    if pid(&server, "app")? == app {
        return Err("the dead one answers".into());
    }
    end(
        &root,
        server,
        &["<Service new>", "settings in force stay", "it is started again"],
    )
}

fn a_killed_launcher_leaves_no_service() -> Result<(), String> {
    let (root, server) = boot("orphans", &service("app", "--service", ""))?;
    let app = pid(&server, "app")?;
    kill(server.pid(), Signal::KILL);
    poll(PATIENCE, || match processes::process(app) {
        Some(process) if process.state != 'Z' => Err(format!("{app} goes on")),
        _ => Ok(()),
    })?;
    drop(server);
    let _left_for_the_end_of_the_run = fs::remove_dir_all(root);
    Ok(())
}

/// fcgid-script: one process serves whoever comes one after the other, ends after its requests, and goes when its file is
/// another; a reload ends what the old worker has started, and cuts nothing.
fn programs_on_demand_are_shared_and_replaced() -> Result<(), String> {
    let root = server::fresh_root("service-on-demand");
    let program = root.join("htdocs/app.fcgi");
    let script = format!("#!/bin/sh\nexec {}/testapp --service-one\n", apps());
    let install = || {
        let new = root.join("htdocs/new");
        server::write(&new, script.as_bytes())?;
        server::set_mode(&new, 0o755)?;
        fs::rename(&new, &program).map_err(|e| e.to_string())
    };
    install()?;
    let lines = |more: &str| -> Vec<String> {
        let directory = format!("<Directory {}/htdocs>", root.display());
        let all = [
            &directory,
            "Options +ExecCGI",
            "AddHandler fcgid-script .fcgi",
            "</Directory>",
            more,
        ];
        all.map(String::from).to_vec()
    };
    let server = boot_in(&root, &lines("FcgidMinProcessesPerClass 0"))?;
    let ask = || body(&server, "/app.fcgi?pid");
    let first = ask()?;
    for _ in 0..10 {
        if ask()? != first {
            return Err("another process".into());
        }
    }
    install()?;
    let second = ask()?;
    if second == first {
        return Err("the old file serves on".into());
    }
    let mut slow = asked(&server, "/app.fcgi?sleep/1500")?;
    std::thread::sleep(Duration::from_millis(300));
    reload(&root, &server, &lines("FcgidMaxRequestsPerProcess 5"))?;
    if String::from_utf8_lossy(&expect(&mut slow, "200")?) != second {
        return Err("what was begun before the reload was not finished".into());
    }
    let pids = (0..20).map(|_| ask()).collect::<Result<BTreeSet<_>, _>>()?;
    if pids.len() != 4 || pids.contains(&second) {
        return Err(format!("{pids:?}"));
    }
    poll(PATIENCE, || match running(&server).len() {
        0 | 1 => Ok(()),
        n => Err(format!("{n} run")),
    })?;
    end(&root, server, &[])
}

/// `ChrootDir` of a section: the program sees what was put there.
fn a_root_of_its_own() -> Result<Completion, Failed> {
    if !server::privileged() {
        return Ok(Completion::ignored_with("only root can do that"));
    }
    let root = server::fresh_root("service-chroot");
    let program = bench().directory.join("apps/testapp");
    let linked = Command::new("ldd").arg(&program).output()?;
    let text = String::from_utf8_lossy(&linked.stdout).into_owned();
    let libraries = text.split_whitespace().filter(|word| word.starts_with('/'));
    for file in libraries.chain(std::iter::once("/app")) {
        let from = if file == "/app" {
            program.as_path()
        } else {
            Path::new(file)
        };
        let to = root.join("jail").join(file.trim_start_matches('/'));
        fs::create_dir_all(to.parent().expect("it has one"))?;
        fs::copy(from, &to).map_err(|e| format!("{}: {e}", to.display()))?;
    }
    let jail = root.join("jail");
    let inside = format!("ChrootDir {}\nCommand /app --service\nUser daemon", jail.display());
    let lines = [vec!["User nobody".to_owned()], section("app", &inside), pass("app")].concat();
    server::write_config(&root, &lines, "127.0.0.1:0")?;
    let command = server::program(&root, true, &[])?;
    let server = Server::boot(&root, command, &[], "")?;
    let facts = body(&server, "/app/x?self")?;
    if !facts.contains("uid=1 ") || !facts.contains("cwd=/ ") {
        return Err(facts.into());
    }
    if body(&server, "/app/x?read/etc/passwd")? != "entity not found\n" {
        return Err("it sees what is outside".into());
    }
    end(&root, server, &[])?;
    Ok(Completion::Completed)
}

/// libfcgi's own, compiled here.
fn the_development_kits_responder() -> Result<Completion, Failed> {
    if !Path::new("/usr/include/fcgi_stdio.h").exists() {
        return absent("libfcgi-dev");
    }
    let root = server::fresh_root("service-libfcgi");
    let program = root.join("responder");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/apps/responder.c");
    let compiled = Command::new("cc")
        .arg("-o")
        .arg(&program)
        .arg(source)
        .arg("-lfcgi")
        .status();
    if !compiled.is_ok_and(|status| status.success()) {
        return Err("the responder does not compile".into());
    }
    responder(&root, &format!("Command {}", program.display()))
}

/// Perl's FCGI.pm.
fn perls_responder() -> Result<Completion, Failed> {
    let there = Command::new("perl").args(["-MFCGI", "-e", "1"]).output();
    if !there.is_ok_and(|output| output.status.success()) {
        return absent("FCGI.pm");
    }
    let root = server::fresh_root("service-perl");
    let script = r#"use FCGI;
my $count = 0;
my $request = FCGI::Request();
while ($request->Accept() >= 0) {
    $count++;
    print "Content-Type: text/plain\r\n\r\nrequest $count\n";
}
"#;
    server::write(&root.join("responder.pl"), script.as_bytes())?;
    responder(
        &root,
        &format!("Command /usr/bin/perl {}", root.join("responder.pl").display()),
    )
}

/// It counts its requests, and is replaced without a loss.
fn responder(root: &Path, command: &str) -> Result<Completion, Failed> {
    let lines = [section("app", &format!("{command}\nMaxRequests 20")), pass("app")].concat();
    let server = boot_in(root, &lines)?;
    let until = Instant::now() + PATIENCE;
    let (mut asked, mut first) = (0, 0);
    while asked < 100 || first < 2 && Instant::now() < until {
        let body = body(&server, "/app/x")?;
        let count = body.split_whitespace().nth(1).and_then(|word| word.parse::<u32>().ok());
        first += u32::from(count.ok_or_else(|| format!("no count in `{body}`"))? == 1);
        asked += 1;
    }
    if first < 2 {
        return Err(format!("it was never replaced, in {asked} requests").into());
    }
    end(root, server, &["complaint"])?;
    Ok(Completion::Completed)
}
