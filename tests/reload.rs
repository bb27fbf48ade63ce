//! Other settings and other addresses while requests come in, and the ends of a server.

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};

use crate::support::processes;
use crate::support::server::{self, Server};
use crate::support::site::{ask, done, end, role};
use crate::support::traffic::{self, Traffic};
use crate::support::wire::{Judge, Wire};

const PATIENCE: Duration = Duration::from_secs(30);

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    let reload = |name: &str, test: fn() -> Result<(), String>| {
        Trial::test(format!("reload::{name}"), move || test().map_err(Failed::from))
    };
    vec![
        reload("under_load_no_request_fails", under_load_no_request_fails),
        reload(
            "what_was_begun_ends_by_its_settings",
            what_was_begun_ends_by_its_settings,
        ),
        reload(
            "a_request_on_a_kept_connection_is_answered",
            a_request_on_a_kept_connection_is_answered,
        ),
        reload("errors_change_nothing_and_are_told", errors_change_nothing_and_are_told),
        reload("an_address_changes_under_load", an_address_changes_under_load),
        reload("an_address_that_goes_cuts_nobody", an_address_that_goes_cuts_nobody),
        reload("a_restart_cuts_and_serves_on", a_restart_cuts_and_serves_on),
        reload("a_graceful_stop_keeps_to_its_limit", a_graceful_stop_keeps_to_its_limit),
        reload("a_stop_ends_everything_in_seconds", a_stop_ends_everything_in_seconds),
        reload("orders_reach_every_thread", orders_reach_every_thread),
        reload(
            "programs_of_maps_go_with_their_worker",
            programs_of_maps_go_with_their_worker,
        ),
    ]
}

/// How many reloads; `tests/soak/run` asks for more.
fn rounds() -> u64 {
    let asked = std::env::var("LYCHGATE_RELOADS").ok().and_then(|n| n.parse().ok());
    asked.unwrap_or(20)
}

fn under_load_no_request_fails() -> Result<(), String> {
    let (root, server) = boot("reload-load", traffic::config)?;
    let traffic = Traffic::start(&server.listeners[0]);
    let began = Instant::now();
    for number in 1..=rounds() {
        traffic::version(&root, number)?;
        done(&control(&root, "graceful")?)?;
        traffic.expect(number);
    }
    let (answered, time) = (traffic.end()?, began.elapsed());
    println!(
        "{} reloads in {time:.1?}, {answered} requests answered, none failed",
        rounds()
    );
    roles_are_two(&server)?;
    end(&root, server)
}

/// A script under way, an upload under way and a kept connection: each is finished by the settings it began with.
fn what_was_begun_ends_by_its_settings() -> Result<(), String> {
    let (root, server) = boot("reload-begun", |root| {
        let lines = traffic::config(root)?;
        script(
            root,
            "slow",
            "printf 'Content-Type: text/plain\\n\\nbegun\\n'\nuntil [ -e go ]; do sleep 0.02; done\necho $ONE\n",
        )?;
        script(
            root,
            "late",
            "printf 'Content-Type: text/plain\\n\\n'\ncat\necho $ONE\n",
        )?;
        Ok(lines)
    })?;
    let mut slow = ask(&server, "/cgi-bin/slow")?;
    slow.wait_for(b"begun")?;
    let mut upload = Wire::connect(&server.listeners[0], PATIENCE)?;
    upload.send(b"POST /cgi-bin/late HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nab")?;
    let half = String::from("GET /file.vers HTTP/1.1\r\nHo");
    let mut head = Wire::connect(&server.listeners[0], PATIENCE)?;
    head.send(half.as_bytes())?;
    // Whoever came before is accepted when a later one is answered: there is a queue for each listener, so some are asked.
    for _ in 0..20 {
        ask(&server, "/file.vers")?.reply(Judge::Strict)?;
    }
    traffic::version(&root, 1)?;
    done(&control(&root, "graceful")?)?;
    let new = ask(&server, "/cgi-bin/version")?.reply(Judge::Strict)?;
    server::write(&root.join("cgi-bin/go"), b"now")?;
    upload.send(b"cd")?;
    head.send(b"st: localhost\r\n\r\n")?;
    let bodies = [
        slow.reply(Judge::Strict)?.body,
        upload.reply(Judge::Strict)?.body,
        head.reply(Judge::Strict)?.body,
        new.body,
    ];
    let expected: [&[u8]; 4] = [b"begun\n0\n", b"abcd0\n", b"content\n", b"1 1\n"];
    if bodies != expected {
        return Err(format!(
            "{:?}",
            bodies.map(|body| String::from_utf8_lossy(&body).into_owned())
        ));
    }
    end(&root, server)
}

/// A client that sends its next request when the old worker has had its order already: it is answered, and told to close.
fn a_request_on_a_kept_connection_is_answered() -> Result<(), String> {
    let (root, server) = boot("reload-kept", traffic::config)?;
    let mut kept = ask(&server, "/file.vers")?;
    kept.reply(Judge::Strict)?;
    done(&control(&root, "graceful")?)?;
    kept.send(b"GET /file.vers HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let reply = kept.reply(Judge::Strict)?;
    if reply.body != b"content\n" || !reply.fields.contains(&b"Connection: close".to_vec()) {
        return Err(format!("{reply:?}"));
    }
    roles_are_two(&server)?;
    end(&root, server)
}

/// Errors of the file are found by the command, which asks nobody then; those of the start by the server, which tells the
/// command.
fn errors_change_nothing_and_are_told() -> Result<(), String> {
    let (root, server) = boot("reload-errors", traffic::config)?;
    let good = fs::read(root.join("httpd.conf")).map_err(|e| e.to_string())?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    let taken = taken
        .local_addr()
        .map_err(|e| e.to_string())
        .map(|address| (address, taken))?;
    let in_use = format!("Listen {}", taken.0);
    let cases = [
        ("Nonsense", ": Nonsense: ", ""),
        (
            &in_use,
            ": Address already in use",
            "the settings in force stay as they are",
        ),
        (
            "ErrorLog /dev",
            "cannot open the log `/dev`",
            "cannot open the log `/dev`",
        ),
        (
            "ErrorLog /nowhere/log",
            ": ErrorLog: `/nowhere` is not a directory; make it, or name another",
            "",
        ),
    ];
    for (line, told, logged) in cases {
        let text = [&good, line.as_bytes(), b"\n"].concat();
        server::write(&root.join("httpd.conf"), &text)?;
        for verb in ["graceful", "restart"] {
            let before = error_log(&root).len();
            let output = control(&root, verb)?;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            if output.status.code() != Some(1) || !said.contains(told) {
                return Err(format!("{verb} with `{line}`: {}: {said}", output.status));
            }
            let log = error_log(&root)[before..].to_owned();
            if !log.contains(logged) || (logged.is_empty() && log.contains("reading the settings")) {
                return Err(format!("{verb} with `{line}`: the error log: {log}"));
            }
            let reply = ask(&server, "/file.vers")?.reply(Judge::Strict)?;
            if reply.body != b"content\n" {
                return Err(format!("{verb} with `{line}`: {reply:?}"));
            }
        }
    }
    server::write(&root.join("httpd.conf"), &good)?;
    done(&control(&root, "graceful")?)?;
    end(&root, server)
}

/// From one address to all and back, and with another backlog, with connections coming in all the time.
fn an_address_changes_under_load() -> Result<(), String> {
    let port = server::free_port();
    let (root, server) = boot_at("reload-address", &format!("127.0.0.1:{port}"), traffic::config)?;
    let good = fs::read_to_string(root.join("httpd.conf")).map_err(|e| e.to_string())?;
    let traffic = Traffic::start(&server.listeners[0]);
    let forms = [
        format!("Listen {port}"),
        format!("Listen 127.0.0.1:{port}"),
        format!("Listen 0.0.0.0:{port}"),
        format!("Listen 127.0.0.1:{port}\nListenBacklog 100"),
        format!("Listen 0.0.0.0:{port}\nListen [::]:{port}"),
        format!("Listen 127.0.0.1:{port}\nListen [::1]:{port}"),
    ];
    let line = format!("Listen 127.0.0.1:{port}\n");
    for (number, form) in (1..).zip(&forms) {
        traffic::version(&root, number)?;
        server::write(
            &root.join("httpd.conf"),
            good.replace(&line, &format!("{form}\n")).as_bytes(),
        )?;
        done(&control(&root, "graceful")?).map_err(|e| format!("{form}: {e}"))?;
        traffic.expect(number);
    }
    traffic.end()?;
    end(&root, server)
}

/// Whoever was connected to an address that a reload removes is answered; then it is refused.
fn an_address_that_goes_cuts_nobody() -> Result<(), String> {
    let (stays, goes) = (server::free_port(), server::free_port());
    let (root, server) = boot_at("reload-removed", &format!("127.0.0.1:{stays}"), |root| {
        let mut lines = traffic::config(root)?;
        lines.push(format!("Listen 127.0.0.1:{stays}"));
        lines.push(format!("Listen 127.0.0.1:{goes}"));
        Ok(lines)
    })?;
    let address = format!("127.0.0.1:{goes}");
    let client = std::thread::spawn(move || -> Result<u32, String> {
        let mut answered = 0;
        while let Ok(mut stream) = TcpStream::connect(&address) {
            use std::io::Write;
            stream.set_read_timeout(Some(PATIENCE)).map_err(|e| e.to_string())?;
            let mut reply = String::new();
            stream
                .write_all(b"GET /file.vers HTTP/1.0\r\n\r\n")
                .and_then(|()| stream.read_to_string(&mut reply))
                .map_err(|e| format!("request {answered} was cut: {e}"))?;
            if !reply.ends_with("\r\n\r\ncontent\n") {
                return Err(format!("request {answered}: {reply:?}"));
            }
            answered += 1;
        }
        Ok(answered)
    });
    let text = fs::read_to_string(root.join("httpd.conf")).map_err(|e| e.to_string())?;
    let text = text.replace(&format!("Listen 127.0.0.1:{goes}\n"), "");
    server::write(&root.join("httpd.conf"), text.as_bytes())?;
    done(&control(&root, "graceful")?)?;
    let answered = client.join().map_err(|_| "the client panicked")??;
    if answered == 0 {
        return Err("nobody was answered".into());
    }
    end(&root, server)
}

fn a_restart_cuts_and_serves_on() -> Result<(), String> {
    let (root, server) = boot("restart", |root| {
        let lines = traffic::config(root)?;
        script(
            root,
            "slow",
            "echo $$ >pid\nprintf 'Content-Type: text/plain\\n\\nbegun\\n'\nsleep 600\n",
        )?;
        Ok(lines)
    })?;
    let mut slow = ask(&server, "/cgi-bin/slow")?;
    slow.wait_for(b"begun")?;
    traffic::version(&root, 1)?;
    let began = Instant::now();
    done(&control(&root, "restart")?)?;
    let reply = ask(&server, "/cgi-bin/version")?.reply(Judge::Strict)?;
    if reply.body != b"1 1\n" {
        return Err(format!("{reply:?}"));
    }
    if slow.reply(Judge::Strict)?.body != b"begun\n" {
        return Err("the script was waited for".into());
    }
    roles_are_two(&server)?;
    in_time(began, Duration::from_secs(8))?;
    end(&root, server)
}

fn a_graceful_stop_keeps_to_its_limit() -> Result<(), String> {
    let (root, server) = boot("graceful-stop", |root| {
        let mut lines = traffic::config(root)?;
        lines.push("GracefulShutdownTimeout 2".into());
        script(
            root,
            "slow",
            "printf 'Content-Type: text/plain\\n\\nbegun\\n'\nsleep 600\n",
        )?;
        script(
            root,
            "quick",
            "printf 'Content-Type: text/plain\\n\\nbegun\\n'\nsleep 1\necho done\n",
        )?;
        Ok(lines)
    })?;
    let mut slow = ask(&server, "/cgi-bin/slow")?;
    let mut quick = ask(&server, "/cgi-bin/quick")?;
    slow.wait_for(b"begun")?;
    quick.wait_for(b"begun")?;
    let began = Instant::now();
    done(&control(&root, "graceful-stop")?)?;
    if quick.reply(Judge::Strict)?.body != b"begun\ndone\n" {
        return Err("a script that would have ended in time was cut".into());
    }
    slow.rest()?;
    if began.elapsed() < Duration::from_millis(1900) {
        return Err("it did not wait".into());
    }
    in_time(began, Duration::from_secs(10))?;
    end(&root, server)
}

/// Scripts that take no notice, a client that reads nothing: all ends.
fn a_stop_ends_everything_in_seconds() -> Result<(), String> {
    let (root, server) = boot("stop", |root| {
        let lines = traffic::config(root)?;
        script(
            root,
            "stubborn",
            "trap '' TERM\nprintf 'Content-Type: text/plain\\n\\nbegun\\n'\nwhile :; do sleep 600; done\n",
        )?;
        script(
            root,
            "large",
            "printf 'Content-Type: text/plain\\n\\nbegun\\n'\nexec cat /dev/zero\n",
        )?;
        Ok(lines)
    })?;
    let mut stubborn = ask(&server, "/cgi-bin/stubborn")?;
    let mut large = ask(&server, "/cgi-bin/large")?;
    stubborn.wait_for(b"begun")?;
    large.wait_for(b"begun")?;
    let began = Instant::now();
    done(&control(&root, "stop")?)?;
    server.stop()?;
    in_time(began, Duration::from_secs(7))?;
    let _left_for_the_end_of_the_run = fs::remove_dir_all(root);
    Ok(())
}

/// The first of the threads takes the launcher's orders, for the others too: it does so when it has nothing left to serve and they
/// have. Where it is the only one, it is the whole process.
fn orders_reach_every_thread() -> Result<(), String> {
    for threads in [1, 3] {
        let (root, server) = boot(&format!("orders-{threads}"), |root| {
            let mut lines = traffic::config(root)?;
            lines.push(format!("ServerThreads {threads}"));
            let large = fs::File::create(root.join("htdocs/large.txt")).map_err(|e| e.to_string())?;
            large.set_len(64 << 20).map_err(|e| e.to_string())?;
            Ok(lines)
        })?;
        let worker = role(&server, "worker")?.as_raw_nonzero().get();
        server::poll(PATIENCE, || {
            let tasks = fs::read_dir(format!("/proc/{worker}/task")).map_err(|e| e.to_string())?;
            let count = tasks.count();
            (count == threads)
                .then_some(())
                .ok_or(format!("{count} threads of {threads}"))
        })?;
        // Each of those workers is left with one request, and so with one of its threads. Its client does not read on.
        let mut begun = Vec::new();
        for _ in 0..4 {
            let mut one = ask(&server, "/large.txt")?;
            one.wait_for(b"\r\n\r\n")?;
            begun.push(one);
            done(&control(&root, "graceful")?)?;
        }
        let left = processes::descendants(server.pid());
        let roles = left.iter().filter(|process| process.name == "lychgate").count();
        if roles != 10 {
            return Err(format!("{roles} roles: {left:?}"));
        }
        // Threads that had nothing left to serve have ended by now, and nobody was cut for that.
        std::thread::sleep(Duration::from_millis(600));
        for mut one in begun.drain(..2) {
            let length = one.reply(Judge::Strict)?.body.len();
            if length != 64 << 20 {
                return Err(format!("only {length} bytes came"));
            }
        }
        let stopped = Instant::now();
        done(&control(&root, "stop")?)?;
        server::poll(PATIENCE, || {
            let left = processes::descendants(server.pid());
            left.is_empty().then_some(()).ok_or(format!("{left:?}"))
        })?;
        // Who does not hear the order is killed after three seconds.
        in_time(stopped, Duration::from_millis(2800))?;
        server.stop()?;
        let _left_for_the_end_of_the_run = fs::remove_dir_all(root);
    }
    Ok(())
}

/// They see its end before the launcher does, and that is nothing to write about.
fn programs_of_maps_go_with_their_worker() -> Result<(), String> {
    let (root, server) = boot("reload-maps", |root| {
        let mut lines = traffic::config(root)?;
        lines.push("RewriteEngine On".to_owned());
        lines.push("RewriteMap same prg:/bin/cat".to_owned());
        lines.push("RewriteRule ^/same/(.*) /${same:$1}".to_owned());
        Ok(lines)
    })?;
    for _ in 0..10 {
        let reply = ask(&server, "/same/file.vers")?.reply(Judge::Strict)?;
        if reply.body != b"content\n" {
            return Err(format!("{reply:?}"));
        }
        done(&control(&root, "graceful")?)?;
    }
    server::poll(PATIENCE, || {
        let left = processes::descendants(server.pid());
        (left.len() == 3).then_some(()).ok_or(format!("{left:?}"))
    })?;
    let told = error_log(&root);
    if told.contains("RewriteMap") {
        return Err(told);
    }
    end(&root, server)
}

fn boot(name: &str, lines: impl Fn(&Path) -> Result<Vec<String>, String>) -> Result<(PathBuf, Server), String> {
    // Commands read the same file, so the port must be one.
    boot_at(name, &format!("127.0.0.1:{}", server::free_port()), lines)
}

fn boot_at(
    name: &str,
    listen: &str,
    lines: impl Fn(&Path) -> Result<Vec<String>, String>,
) -> Result<(PathBuf, Server), String> {
    let root = server::fresh_root(name);
    server::write_config(&root, &lines(&root)?, listen)?;
    server::hand_over(&root, false)?;
    let command = server::program(&root, false, &[])?;
    let server = Server::boot(&root, command, &[], "")?;
    Ok((root, server))
}

fn script(root: &Path, name: &str, text: &str) -> Result<(), String> {
    let path = root.join("cgi-bin").join(name);
    server::write(&path, format!("#!/bin/sh\n{text}").as_bytes())?;
    server::set_mode(&path, 0o755)
}

/// `lychgate -k VERB`.
fn control(root: &Path, verb: &str) -> Result<Output, String> {
    let mut command = server::program(root, false, &[])?;
    command.arg("-f").arg(root.join("httpd.conf")).args(["-k", verb]);
    server::run(root, command, Duration::from_secs(60))
}

fn error_log(root: &Path) -> String {
    fs::read_to_string(root.join("error.log")).unwrap_or_default()
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

fn in_time(began: Instant, limit: Duration) -> Result<(), String> {
    let time = began.elapsed();
    if time < limit {
        Ok(())
    } else {
        Err(format!("it took {time:.1?}"))
    }
}
