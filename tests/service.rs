//! Under a service manager, played by the test, and as process 1 of a container.

use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use libtest_mimic::{Failed, Trial};
use rustix::process::Signal;

use crate::support::processes::{self, Process};
use crate::support::server::{self, Server, bench};
use crate::support::site::end;
use crate::support::traffic::{self, Traffic};
use crate::support::wire::{Judge, Wire};

const PATIENCE: Duration = Duration::from_secs(30);

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    let service = |name: &str, test: fn() -> Result<(), String>| {
        Trial::test(format!("service::{name}"), move || test().map_err(Failed::from))
    };
    vec![
        service(
            "a_given_socket_is_served_by_all_threads",
            a_given_socket_is_served_by_all_threads,
        ),
        service("how_it_is_is_told", how_it_is_is_told),
        service(
            "what_is_for_us_alone_is_not_passed_on",
            what_is_for_us_alone_is_not_passed_on,
        ),
        service(
            "as_process_1_it_reaps_and_hears_signals",
            as_process_1_it_reaps_and_hears_signals,
        ),
        service(
            "the_units_are_what_the_program_takes",
            the_units_are_what_the_program_takes,
        ),
    ]
}

/// Two sockets are given, one of which no Listen line names; a third address has no socket. Reloads and an upgrade later
/// all is as before.
fn a_given_socket_is_served_by_all_threads() -> Result<(), String> {
    let (given, unnamed) = (listener()?, listener()?);
    let port = server::free_port();
    let root = site("given", |lines| {
        lines.push(format!("Listen {}", given.1));
        lines.push(format!("Listen 127.0.0.1:{port}"));
        lines.push("ServerThreads 3".into());
    })?;
    let program = root.join("lychgate");
    let install = || {
        let new = root.join("new");
        fs::copy(&bench().program, &new)
            .and_then(|_| fs::rename(&new, &program))
            .map_err(|e| e.to_string())
    };
    install()?;
    // The first socket comes as 0, the second as 1; the shell moves them to where systemd puts them.
    let shell = "exec 3<&0 4<&1 </dev/null >\"$1\"; shift; LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=a:b exec \"$@\"";
    let mut command = server::program_at(Path::new("/bin/sh"), &root, false, &[])?;
    command.args(["-c", shell, "sh"]).arg(root.join("stdout")).arg(&program);
    command.arg("-f").arg(root.join("httpd.conf"));
    let errors = fs::File::create(root.join("stderr")).map_err(|e| e.to_string())?;
    let mut child = command
        .stdin(Stdio::from(OwnedFd::from(given.0)))
        .stdout(Stdio::from(OwnedFd::from(
            unnamed.0.try_clone().map_err(|e| e.to_string())?,
        )))
        .stderr(errors)
        .spawn()
        .map_err(|e| e.to_string())?;
    let result = serves_given(&root, child.id(), &given.1, &format!("127.0.0.1:{port}"), &install);
    server::kill(child.id(), Signal::TERM);
    let status = child.wait().map_err(|e| e.to_string())?;
    result?;
    if !status.success() {
        return Err(format!("it ended with {status}"));
    }
    let said = fs::read_to_string(root.join("stderr")).unwrap_or_default();
    let warning = format!(
        "a socket of the service manager's for {} is not used: there is no `Listen` line for it",
        unnamed.1
    );
    if said.matches(&warning).count() != 1 {
        return Err(format!("not warned once of {}: {said}", unnamed.1));
    }
    remove(&root);
    Ok(())
}

fn serves_given(
    root: &Path,
    pid: u32,
    given: &str,
    bound: &str,
    install: &dyn Fn() -> Result<(), String>,
) -> Result<(), String> {
    server::poll(PATIENCE, || {
        let said = || fs::read_to_string(root.join("stderr")).unwrap_or_default();
        root.join("httpd.pid").exists().then_some(()).ok_or_else(said)
    })?;
    for address in [given, bound] {
        let traffic = Traffic::start(address);
        for number in 1..=3 {
            if number == 2 {
                install()?;
            }
            traffic::version(root, number)?;
            control(root, "graceful")?;
            traffic.expect(number);
        }
        traffic.end()?;
        traffic::version(root, 0)?;
    }
    // Each of the three threads has the one socket in its own event loop.
    let worker = server::poll(PATIENCE, || match worker_alone(pid) {
        Some(worker) => Ok(worker),
        None => Err("more than one worker is left".to_owned()),
    })?;
    let inode = socket_inode(pid, given).ok_or("the launcher does not hold the socket")?;
    let held = descriptors(worker);
    let copies = held.iter().filter(|target| **target == inode).count();
    // Nobody but root may look into a worker.
    if copies == 3 || (held.is_empty() && !server::privileged()) {
        Ok(())
    } else {
        Err(format!("the worker has the socket {copies} times"))
    }
}

/// READY, RELOADING and STOPPING in their order, what failed, and the watchdog.
fn how_it_is_is_told() -> Result<(), String> {
    let root = site("notify", |_| {})?;
    let path = root.join("notify");
    let manager = UnixDatagram::bind(&path).map_err(|e| e.to_string())?;
    manager.set_read_timeout(Some(PATIENCE)).map_err(|e| e.to_string())?;
    server::set_mode(&path, 0o777)?;
    let environment = [
        ("NOTIFY_SOCKET".to_owned(), path.display().to_string()),
        ("WATCHDOG_USEC".to_owned(), "200000".to_owned()),
    ];
    let command = server::program(&root, false, &environment)?;
    let server = Server::boot(&root, command, &[], "")?;
    let next = |wanted: &[&str]| -> Result<String, String> {
        let mut buffer = [0; 4096];
        loop {
            let length = manager.recv(&mut buffer).map_err(|e| format!("{wanted:?}: {e}"))?;
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text == "WATCHDOG=1\n" && wanted != ["WATCHDOG=1"] {
                continue;
            }
            return match wanted.iter().find(|part| !text.contains(*part)) {
                None => Ok(text),
                Some(part) => Err(format!("not `{part}` but {text:?}")),
            };
        }
    };
    let pid = format!("MAINPID={}\n", server.pid());
    let serving = format!("STATUS=serving on {}\n", server.listeners[0]);
    next(&["READY=1\n", &pid, &serving])?;
    for _ in 0..3 {
        next(&["WATCHDOG=1"])?;
    }
    control(&root, "graceful")?;
    let reloading = next(&["RELOADING=1\n", "MONOTONIC_USEC="])?;
    let micros = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
    if micros
        .and_then(|micros| micros.parse::<u64>().ok())
        .is_none_or(|micros| micros == 0)
    {
        return Err(reloading);
    }
    next(&["READY=1\n", &pid, &serving])?;
    let good = fs::read(root.join("httpd.conf")).map_err(|e| e.to_string())?;
    server::write(&root.join("httpd.conf"), b"Nonsense\n")?;
    server.signal("HUP")?;
    next(&["RELOADING=1\n"])?;
    next(&[
        "READY=1\n",
        "STATUS=serving by the settings in force; the last reload failed: ",
        "Nonsense",
    ])?;
    server::write(&root.join("httpd.conf"), &good)?;
    control(&root, "graceful-stop")?;
    next(&["STOPPING=1\n"])?;
    end(&root, server)
}

/// What the manager said to the launcher alone is not passed on: not to roles, not to scripts.
fn what_is_for_us_alone_is_not_passed_on() -> Result<(), String> {
    let root = site("manager", |_| {})?;
    script(
        &root,
        "environment",
        "printf 'Content-Type: text/plain\\n\\n'\ntr '\\0' '\\n' </proc/$$/environ\n",
    )?;
    let names = [
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "LISTEN_PID",
        "LISTEN_FDS",
        "LISTEN_FDNAMES",
    ];
    let environment = names.map(|name| (name.to_owned(), "@nobody-listens".to_owned()));
    let server = Server::boot(&root, server::program(&root, false, &environment)?, &[], "")?;
    let said = ask(&server.listeners[0], "/cgi-bin/environment")?;
    let mut environments = vec![said.into_bytes()];
    for role in processes::descendants(server.pid()) {
        environments.extend(fs::read(format!("/proc/{}/environ", role.pid)));
    }
    for text in environments {
        let text = String::from_utf8_lossy(&text).into_owned();
        if let Some(name) = names.iter().find(|name| text.contains(*name)) {
            return Err(format!("{name} is passed on: {text}"));
        }
    }
    end(&root, server)
}

/// In a PID namespace of its own: orphans are reaped, signals without a handler's help are heard, and a signal from
/// outside, whose sender has no number inside, is not taken for a terminal's.
fn as_process_1_it_reaps_and_hears_signals() -> Result<(), String> {
    for (name, stop) in [
        ("process-1-term", Signal::TERM),
        ("process-1-int", Signal::INT),
        ("process-1-winch", Signal::WINCH),
    ] {
        let root = site(name, |_| {})?;
        script(
            &root,
            "orphans",
            "printf 'Content-Type: text/plain\\n\\n'\n(sleep 0.2 & sleep 0.1 &) >/dev/null 2>&1 </dev/null\necho left\n",
        )?;
        // Root makes the namespace, and what is in it is root too, on loopback; others need a user namespace for it.
        let mut command = server::program_at(Path::new("unshare"), &root, true, &[])?;
        if !server::privileged() {
            command.args(["--user", "--map-current-user"]);
        }
        command
            .args(["--pid", "--fork", "--mount-proc", "--kill-child"])
            .arg(&bench().program);
        let server = Server::boot(&root, command, &[], "")?;
        let first = first_inside(server.pid()).ok_or("there is no process 1")?;
        for _ in 0..5 {
            ask(&server.listeners[0], "/cgi-bin/orphans")?;
        }
        server::poll(PATIENCE, || {
            let left = processes::descendants(first);
            if left.len() == 2 {
                Ok(())
            } else {
                Err(format!("{left:?}"))
            }
        })?;
        traffic::version(&root, 1)?;
        server::kill(first, Signal::HUP);
        server::poll(PATIENCE, || {
            match ask(&server.listeners[0], "/cgi-bin/version")?.as_str() {
                "1 1\n" => Ok(()),
                other => Err(format!("SIGHUP is not heard: {other}")),
            }
        })?;
        server::kill(first, stop);
        server::poll(PATIENCE, || match processes::process(first) {
            Some(one) if one.state != 'Z' => Err(format!("{stop:?} is not heard")),
            _ => Ok(()),
        })?;
        end(&root, server)?;
    }
    Ok(())
}

/// The command lines of the shipped units are ours, their variables known; systemd itself judges the rest where it is.
fn the_units_are_what_the_program_takes() -> Result<(), String> {
    let unit = include_str!("../conf/systemd/lychgate.service");
    let socket = include_str!("../conf/systemd/lychgate.socket");
    let root = site("units", |_| {})?;
    fs::create_dir_all(root.join("conf")).map_err(|e| e.to_string())?;
    fs::rename(root.join("httpd.conf"), root.join("conf/httpd.conf")).map_err(|e| e.to_string())?;
    let value = |name: &str| unit.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    server::hand_over(&root, false)?;
    let command = |name: &str| {
        let line = value(name).ok_or(format!("no {name}"))?;
        let program = "/usr/local/lychgate/bin/lychgate ";
        let words = line.strip_prefix(program).ok_or(format!("{name}: {line}"))?;
        let words = words.replace("/usr/local/lychgate", &root.display().to_string());
        let mut command = server::program(&root, false, &[])?;
        command.args(words.split(' '));
        Ok::<_, String>(command)
    };
    let reload = || server::run(&root, command("ExecReload")?, PATIENCE);
    if reload()?.status.code() != Some(3) {
        return Err("a reload of nobody is a failed one".into());
    }
    let server = Server::boot_as(&root, command("ExecStart")?, "")?;
    let output = reload()?;
    if !output.status.success() || value("Type") != Some("notify") {
        return Err(format!("{output:?}"));
    }
    server.stop()?;
    let installed = unit.replace(
        "/usr/local/lychgate/bin/lychgate",
        &bench().program.display().to_string(),
    );
    server::write(&root.join("lychgate.service"), installed.as_bytes())?;
    server::write(&root.join("lychgate.socket"), socket.as_bytes())?;
    let mut verify = Command::new("systemd-analyze");
    verify
        .args(["verify", "--man=no"])
        .args(["lychgate.service", "lychgate.socket"].map(|name| root.join(name)));
    match verify.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() && output.stderr.is_empty() => {}
        Ok(output) => return Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => println!("systemd-analyze does not look at the units: {error}"),
    }
    remove(&root);
    Ok(())
}

fn site(name: &str, more: impl Fn(&mut Vec<String>)) -> Result<PathBuf, String> {
    let root = server::fresh_root(name);
    let mut lines = traffic::config(&root)?;
    more(&mut lines);
    server::write_config(&root, &lines, &format!("127.0.0.1:{}", server::free_port()))?;
    server::hand_over(&root, false)?;
    Ok(root)
}

fn script(root: &Path, name: &str, text: &str) -> Result<(), String> {
    let path = root.join("cgi-bin").join(name);
    server::write(&path, format!("#!/bin/sh\n{text}").as_bytes())?;
    server::set_mode(&path, 0o755)
}

fn listener() -> Result<(TcpListener, String), String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    let address = listener.local_addr().map_err(|e| e.to_string())?.to_string();
    Ok((listener, address))
}

fn ask(address: &str, path: &str) -> Result<String, String> {
    let mut wire = Wire::connect(address, PATIENCE)?;
    wire.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())?;
    Ok(String::from_utf8_lossy(&wire.reply(Judge::Strict)?.body).into_owned())
}

fn control(root: &Path, verb: &str) -> Result<(), String> {
    let mut command = server::program(root, false, &[])?;
    command.arg("-f").arg(root.join("httpd.conf")).args(["-k", verb]);
    let output = server::run(root, command, Duration::from_secs(60))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("-k {verb}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// The worker, once there is but one.
fn worker_alone(launcher: u32) -> Option<u32> {
    let is_worker = |one: &Process| {
        fs::read(format!("/proc/{}/cmdline", one.pid)).is_ok_and(|line| line.starts_with(b"lychgate: worker"))
    };
    let workers: Vec<Process> = processes::descendants(launcher).into_iter().filter(is_worker).collect();
    match workers.as_slice() {
        [only] => Some(only.pid),
        _ => None,
    }
}

/// Where the descriptors of a process lead.
fn descriptors(pid: u32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
    let target = |entry: std::io::Result<fs::DirEntry>| fs::read_link(entry.ok()?.path()).ok();
    entries
        .filter_map(target)
        .map(|target| target.display().to_string())
        .collect()
}

/// The socket that listens at an address, as descriptors name it.
fn socket_inode(pid: u32, address: &str) -> Option<String> {
    let (_, port) = address.rsplit_once(':')?;
    let local = format!("0100007F:{:04X}", port.parse::<u16>().ok()?);
    let table = fs::read_to_string(format!("/proc/{pid}/net/tcp")).ok()?;
    let listens = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.get(1) == Some(&local.as_str()) && fields.get(3) == Some(&"0A")
    };
    let inode = table.lines().find(listens)?.split_whitespace().nth(9)?;
    Some(format!("socket:[{inode}]"))
}

/// The process below `outside` that is number 1 in its namespace.
fn first_inside(outside: u32) -> Option<u32> {
    let is_first = |one: &Process| {
        let status = fs::read_to_string(format!("/proc/{}/status", one.pid)).unwrap_or_default();
        status
            .lines()
            .any(|line| line.starts_with("NSpid:") && line.split_whitespace().next_back() == Some("1"))
    };
    processes::descendants(outside)
        .into_iter()
        .find(is_first)
        .map(|one| one.pid)
}

fn remove(root: &Path) {
    let _left_for_the_end_of_the_run = fs::remove_dir_all(root);
}
