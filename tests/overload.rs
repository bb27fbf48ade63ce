//! More clients than there is room for: descriptors that run out, and many clients that send their heads slowly.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};

use crate::support::processes;
use crate::support::server::{self, Server, bench};
use crate::support::site::said;

const PATIENCE: Duration = Duration::from_secs(60);
const REQUEST: &[u8] = b"GET /a.txt HTTP/1.1\r\nHost: localhost\r\n\r\n";
const HALF: &[u8] = b"GET /a.txt HTTP/1.1\r\nX";

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    let overload = |name: &str, test: fn() -> Result<(), String>| {
        Trial::test(format!("overload::{name}"), move || test().map_err(Failed::from))
    };
    vec![
        overload(
            "without_descriptors_accepting_pauses",
            without_descriptors_accepting_pauses,
        ),
        overload(
            "the_limit_of_files_bounds_connections",
            the_limit_of_files_bounds_connections,
        ),
        overload("a_client_without_a_word_makes_room", a_client_without_a_word_makes_room),
        overload("slow_heads_end_and_hurt_nobody", slow_heads_end_and_hurt_nobody),
    ]
}

/// EMFILE: idle connections make room, then new ones wait; nothing spins, one line is logged, and it passes by itself.
fn without_descriptors_accepting_pauses() -> Result<(), String> {
    let lines = [
        "MaxConnections 1000",
        "RequestReadTimeout header=2",
        "KeepAliveTimeout 100",
    ];
    let (root, server) = boot("no-descriptors", &lines, Some(64))?;
    said(&root, "MaxConnections 1000: the limit of open files has room for")?;
    let mut idle = connect(&server, 10)?;
    for client in &mut idle {
        answered(client)?;
    }
    let mut slow = connect(&server, 60)?;
    for client in &mut slow {
        client.write_all(HALF).map_err(|e| format!("a slow client: {e}"))?;
    }
    said(&root, "new connections wait, beside ")?;
    for client in &mut idle {
        ends(client, "an idle client")?;
    }
    let (before, began) = (processor_time(&server), Instant::now());
    for client in &mut slow {
        // Those who were taken in get their 408; the others wait, are taken in, and get theirs.
        ends(client, "a slow client")?;
    }
    let (used, passed) = (processor_time(&server).saturating_sub(before), began.elapsed());
    println!("without descriptors for {passed:?}: {used:?} of processor time");
    if used * 3 > passed {
        return Err(format!("{used:?} of processor time in {passed:?}"));
    }
    for client in &mut connect(&server, 10)? {
        answered(client)?;
    }
    let log = std::fs::read_to_string(root.join("error.log")).unwrap_or_default();
    match log.matches("new connections wait").count() {
        1 => end(&root, server),
        lines => Err(format!("{lines} lines say that new connections wait")),
    }
}

/// Without MaxConnections the bound is met before descriptors run out: everybody is served, and nothing is logged.
fn the_limit_of_files_bounds_connections() -> Result<(), String> {
    let (root, server) = boot("limit-of-files", &["KeepAliveTimeout 100"], Some(64))?;
    let mut clients = Vec::new();
    for _ in 0..100 {
        let mut new = connect(&server, 1)?;
        answered(&mut new[0])?;
        clients.append(&mut new);
    }
    let mut alive = 0;
    for client in &mut clients {
        client.set_nonblocking(true).map_err(|e| e.to_string())?;
        alive += usize::from(client.read(&mut [0]).is_err());
    }
    if !(4..64).contains(&alive) {
        return Err(format!("{alive} of 100 idle connections are open"));
    }
    let log = std::fs::read_to_string(root.join("error.log")).unwrap_or_default();
    if log.contains("new connections wait") || log.contains("Too many open files") {
        return Err(log);
    }
    drop(clients);
    end(&root, server)
}

/// A connection that has not said a word for a second makes room, and one that has just begun does not.
fn a_client_without_a_word_makes_room() -> Result<(), String> {
    let (root, server) = boot(
        "without-a-word",
        &["MaxConnections 1", "ServerThreads 1", "AcceptFilter http none"],
        None,
    )?;
    let began = Instant::now();
    let mut silent = connect(&server, 1)?;
    answered(&mut connect(&server, 1)?[0])?;
    if began.elapsed() < Duration::from_millis(900) {
        return Err(format!("it made room after {:?}", began.elapsed()));
    }
    ends(&mut silent[0], "the silent client")?;
    drop(silent);
    end(&root, server)
}

/// 500 clients that send their heads a byte at a time: others are served beside them, and they are ended in time.
fn slow_heads_end_and_hurt_nobody() -> Result<(), String> {
    let (root, server) = boot("slow-heads", &["RequestReadTimeout header=2,MinRate=500"], None)?;
    let mut slow = connect(&server, 500)?;
    for byte in HALF {
        for client in &mut slow {
            // One that was ended already is seen below.
            let _ended_already = client.write_all(&[*byte]);
        }
        answered(&mut connect(&server, 1)?[0])?;
    }
    for client in &mut slow {
        ends(client, "a slow client")?;
    }
    end(&root, server)
}

fn boot(name: &str, lines: &[&str], files: Option<u32>) -> Result<(PathBuf, Server), String> {
    let root = server::fresh_root(name);
    server::write(&root.join("htdocs/a.txt"), b"hello")?;
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    server::write_config(&root, &lines, "127.0.0.1:0")?;
    server::hand_over(&root, false)?;
    let server = match files {
        None => Server::boot(&root, server::program(&root, false, &[])?, &[], "")?,
        Some(files) => Server::boot_as(&root, limited(&root, files), "")?,
    };
    Ok((root, server))
}

/// The program with so many descriptors.
fn limited(root: &Path, files: u32) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", &format!("ulimit -n {files} && exec \"$@\""), "sh"])
        .arg(&bench().program)
        .arg("-f")
        .arg(root.join("httpd.conf"))
        .args(["-D", "FOREGROUND"])
        .env_clear()
        .current_dir(root)
        .stdin(Stdio::null());
    if server::privileged() {
        command.uid(server::server_uid(false)).gid(server::server_uid(false));
    }
    command
}

fn connect(server: &Server, count: usize) -> Result<Vec<TcpStream>, String> {
    let connect = |_| {
        let client = TcpStream::connect(&server.listeners[0])?;
        client.set_read_timeout(Some(PATIENCE))?;
        Ok(client)
    };
    let clients: std::io::Result<Vec<TcpStream>> = (0..count).map(connect).collect();
    clients.map_err(|e| format!("connect: {e}"))
}

/// One request on this connection gets its answer.
fn answered(client: &mut TcpStream) -> Result<(), String> {
    client.write_all(REQUEST).map_err(|e| format!("a request: {e}"))?;
    let mut reply = Vec::new();
    while !reply.ends_with(b"\r\n\r\nhello") {
        let mut part = [0; 1024];
        match client.read(&mut part) {
            Ok(0) => return Err(format!("the reply ends: {}", reply.escape_ascii())),
            Ok(length) => reply.extend_from_slice(&part[..length]),
            Err(e) => return Err(format!("a reply: {e}")),
        }
    }
    Ok(())
}

/// The server ends this connection, with a 408 or without a word.
fn ends(client: &mut TcpStream, who: &str) -> Result<(), String> {
    let mut reply = Vec::new();
    match client.read_to_end(&mut reply) {
        Ok(_) if reply.is_empty() || reply.starts_with(b"HTTP/1.1 408 ") => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => Ok(()),
        Ok(_) => Err(format!("{who} got {}", reply.escape_ascii())),
        Err(e) => Err(format!("{who} is still served: {e}")),
    }
}

/// What all processes of the server have used so far.
fn processor_time(server: &Server) -> Duration {
    let ticks = 100; // USER_HZ, the same everywhere on Linux
    let of = |pid: u32| -> Option<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
    };
    let own = processes::descendants(server.pid()).into_iter().map(|p| p.pid);
    let used: u64 = own.chain([server.pid()]).filter_map(of).sum();
    Duration::from_millis(used * 1000 / ticks)
}

fn end(root: &Path, server: Server) -> Result<(), String> {
    server.settle(PATIENCE)?;
    server.stop()?;
    let _left_for_the_end_of_the_run = std::fs::remove_dir_all(root);
    Ok(())
}
