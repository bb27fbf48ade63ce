//! Private keys: which processes have them, and how others take their place while requests come in.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use libtest_mimic::{Failed, Trial};
use rustix::process::Signal;

use crate::support::processes;
use crate::support::server::{self, Server, bench, privileged};
use crate::support::site::{done, end, role, said};
use crate::support::tls::{self, Over};
use crate::support::traffic::{self, Traffic};
use crate::support::wire::{Judge, Wire};

const PATIENCE: Duration = Duration::from_secs(60);

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    let keys = |name: &str, test: fn() -> Result<(), String>| {
        Trial::test(format!("keys::{name}"), move || test().map_err(Failed::from))
    };
    let mut trials = vec![
        keys("no_process_but_the_launcher_and_the_worker_has_them", || {
            who_has_them("keys-held")
        }),
        keys(
            "a_script_of_the_same_user_cannot_look_into_the_launcher",
            a_script_cannot_look,
        ),
        keys(
            "reloads_take_new_certificates_and_cut_nobody",
            reloads_take_new_certificates_and_cut_nobody,
        ),
        keys(
            "a_bad_certificate_leaves_the_old_one_in_force",
            a_bad_certificate_leaves_the_old_one_in_force,
        ),
        keys(
            "another_program_takes_over_with_the_keys",
            another_program_takes_over_with_the_keys,
        ),
    ];
    if privileged() {
        trials.push(keys(
            "who_may_not_read_them_checks_the_rest",
            who_may_not_read_them_checks_the_rest,
        ));
        trials.push(keys("their_text_is_wiped", their_text_is_wiped));
    }
    trials
}

const SSL: &str = "SSLEngine on\nSSLCertificateFile site.pem\nSSLCertificateKeyFile site.key";

/// Puts the certificate and the key of this name where the site has its own.
fn certify(root: &Path, name: &str) -> Result<(), String> {
    for kind in ["key", "pem"] {
        let text = fs::read(tls::directory().join(format!("{name}.{kind}"))).map_err(|e| e.to_string())?;
        let new = root.join("new");
        server::write(&new, &text)?;
        server::set_mode(&new, 0o600)?;
        if privileged() {
            server::hand_over(&new, false).or_else(|_| own(&new))?;
        }
        fs::rename(&new, root.join(format!("site.{kind}"))).map_err(|e| e.to_string())?;
    }
    Ok(())
}

fn own(path: &Path) -> Result<(), String> {
    let uid = Some(server::server_uid(false));
    std::os::unix::fs::lchown(path, uid, uid).map_err(|e| e.to_string())
}

fn boot(name: &str, more: &[String], program: Option<&Path>) -> Result<(PathBuf, Server), String> {
    let root = server::fresh_root(name);
    let mut lines: Vec<String> = SSL.lines().map(String::from).collect();
    lines.extend(traffic::config(&root)?);
    lines.extend(more.iter().cloned());
    certify(&root, "server")?;
    server::write_config(&root, &lines, &format!("127.0.0.1:{}", server::free_port()))?;
    let program = match program {
        Some(_) => install(&root)?,
        None => bench().program.clone(),
    };
    server::hand_over(&root, false)?;
    let command = server::program_at(&program, &root, false, &[])?;
    let server = Server::boot(&root, command, &[], "")?;
    Ok((root, server))
}

/// A copy of the program in the server's directory.
fn install(root: &Path) -> Result<PathBuf, String> {
    let (new, program) = (root.join("lychgate.new"), root.join("lychgate"));
    fs::copy(&bench().program, &new).map_err(|e| format!("{}: {e}", new.display()))?;
    // Another thread's child may hold it open for writing for a moment more, and then nobody can execute it.
    server::poll(PATIENCE, || {
        Command::new(&new).arg("-v").output().map_err(|e| e.to_string())
    })?;
    fs::rename(&new, &program).map_err(|e| e.to_string())?;
    Ok(program)
}

fn control(root: &Path, arguments: &[&str]) -> Result<Output, String> {
    let mut command = server::program(root, false, &[])?;
    command.arg("-f").arg(root.join("httpd.conf")).args(arguments);
    server::run(root, command, PATIENCE)
}

/// A connection over TLS, and the name of the certificate that was shown.
fn connect(server: &Server, words: &str) -> Result<(Wire, String), String> {
    let mut wire = Wire::connect(&server.listeners[0], PATIENCE)?;
    wire.secure(&Over::parse(words)?)?;
    if let Some(fault) = wire.fault() {
        return Err(fault.to_owned());
    }
    let facts = wire.facts();
    let shown = facts.iter().find_map(|fact| fact.strip_prefix("certificate "));
    let shown = shown.unwrap_or_default().to_owned();
    Ok((wire, shown))
}

fn get(wire: &mut Wire, path: &str) -> Result<Vec<u8>, String> {
    wire.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())?;
    Ok(wire.reply(Judge::Strict)?.body)
}

/// What a process has open, as far as we may see it.
fn open_files(pid: u32) -> Vec<String> {
    let files = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    let names = files.filter_map(|file| fs::read_link(file.path()).ok());
    names.map(|name| name.to_string_lossy().into_owned()).collect()
}

const KEYS: &str = "/memfd:lychgate keys";

/// Every process below the server, while a script, a service and a log program run: one has the keys open, and that is the
/// launcher, which has them for workers to come.
fn who_has_them(name: &str) -> Result<(), String> {
    let service = [
        "<Service app>".to_owned(),
        format!("Command {}/apps/testapp --service", bench().directory.display()),
        "</Service>".to_owned(),
        "CustomLog \"|$exec cat\" \"%s\"".to_owned(),
    ];
    let (root, server) = boot(name, &service, None)?;
    let slow = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nbegun\\n'\nuntil [ -e go ]; do sleep 0.02; done\n";
    server::write(&root.join("cgi-bin/slow"), slow.as_bytes())?;
    server::set_mode(&root.join("cgi-bin/slow"), 0o755)?;
    let (mut wire, _) = connect(&server, "")?;
    wire.send(b"GET /cgi-bin/slow HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    wire.wait_for(b"begun")?;
    let has = |pid: u32| open_files(pid).iter().any(|file| file.starts_with(KEYS));
    // One that is about to execute its program has still all that the launcher has.
    server::poll(PATIENCE, || {
        let below = processes::descendants(server.pid());
        let holders: Vec<_> = below.iter().filter(|process| has(process.pid)).collect();
        let names: Vec<&str> = below.iter().map(|process| process.name.as_str()).collect();
        if holders.is_empty() && ["slow", "testapp", "cat"].iter().all(|name| names.contains(name)) {
            return Ok(());
        }
        Err(format!("{holders:?} of {below:?}"))
    })?;
    if privileged() && !has(server.pid()) {
        return Err("the launcher has none to give to the next worker".into());
    }
    // Whoever has or had them leaves no core file, and is not looked into: what /proc has of it is root's.
    for pid in [
        server.pid(),
        role(&server, "worker")?.as_raw_nonzero().get().unsigned_abs(),
    ] {
        let owner = fs::metadata(format!("/proc/{pid}/environ"))
            .map_err(|e| e.to_string())?
            .uid();
        if owner != 0 {
            return Err(format!("{pid} can be looked into by {owner}"));
        }
    }
    let dumped = control(
        &root,
        &["-t", "-D", "DUMP_CONFIG", "-D", "DUMP_VHOSTS", "-D", "DUMP_RUN_CFG"],
    )?;
    if [dumped.stdout, dumped.stderr]
        .concat()
        .windows(11)
        .any(|text| text == b"PRIVATE KEY")
    {
        return Err("it is dumped".into());
    }
    server::write(&root.join("cgi-bin/go"), b"now")?;
    wire.reply(Judge::Strict)?;
    end(&root, server)
}

/// Who starts the server as an ordinary user has scripts of the same user.
fn a_script_cannot_look() -> Result<(), String> {
    let (root, server) = boot("keys-looked-at", &[], None)?;
    let look = format!(
        "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\ncd /proc/{} || exit\nfor f in environ maps mem fd/*; do\n         head -c 1 $f >/dev/null 2>&1 && echo $f; done\necho end\n",
        server.pid()
    );
    server::write(&root.join("cgi-bin/look"), look.as_bytes())?;
    server::set_mode(&root.join("cgi-bin/look"), 0o755)?;
    let (mut wire, _) = connect(&server, "")?;
    let body = get(&mut wire, "/cgi-bin/look")?;
    if body != b"end\n" {
        return Err(String::from_utf8_lossy(&body).into_owned());
    }
    drop(wire);
    end(&root, server)
}

/// How many reloads; `tests/soak/run` asks for more.
fn rounds() -> u64 {
    let asked = std::env::var("LYCHGATE_RELOADS").ok().and_then(|n| n.parse().ok());
    asked.unwrap_or(50)
}

fn reloads_take_new_certificates_and_cut_nobody() -> Result<(), String> {
    let (root, server) = boot("keys-reloaded", &[], None)?;
    let traffic = Traffic::secured(&server.listeners[0], Over::parse("resume")?);
    for number in 1..=rounds() {
        let (mut before, _) = connect(&server, "")?;
        before.send(b"GET /file.vers HTTP/1.1\r\nHo")?;
        let name = if number % 2 == 1 { "ecdsa" } else { "server" };
        certify(&root, name)?;
        traffic::version(&root, number)?;
        done(&control(&root, &["-k", "graceful"])?)?;
        traffic.expect(number);
        let (mut wire, shown) = connect(&server, "")?;
        let body = get(&mut wire, "/cgi-bin/version")?;
        if shown != name || body != format!("{number} {number}\n").into_bytes() {
            return Err(format!(
                "round {number}: {shown} is shown: {}",
                String::from_utf8_lossy(&body)
            ));
        }
        before.send(b"st: localhost\r\n\r\n")?;
        if before.reply(Judge::Strict)?.body != b"content\n" {
            return Err(format!("round {number}: what was begun is not finished"));
        }
    }
    println!(
        "{} reloads, {} requests answered, none failed",
        rounds(),
        traffic.end()?
    );
    end(&root, server)
}

fn a_bad_certificate_leaves_the_old_one_in_force() -> Result<(), String> {
    let (root, server) = boot("keys-bad", &[], None)?;
    let key = fs::read(tls::directory().join("ecdsa.key")).map_err(|e| e.to_string())?;
    let bad: [(&str, &[u8], &str); 3] = [
        ("site.key", &key, "it is not the certificate of its key"),
        (
            "site.pem",
            b"-----BEGIN CERTIFICATE-----\nMII",
            "without its `-----END CERTIFICATE-----`",
        ),
        ("site.pem", b"", "there is no certificate in it"),
    ];
    for (file, text, told) in bad {
        certify(&root, "server")?;
        server::write(&root.join(file), text)?;
        let output = control(&root, &["-k", "graceful"])?;
        let told_to_asker = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.code() != Some(1) || !told_to_asker.contains(told) {
            return Err(format!("{told}: {}: {told_to_asker}", output.status));
        }
        // Who sends a signal reads the log.
        server.signal("USR1")?;
        said(&root, told)?;
        let (mut wire, shown) = connect(&server, "")?;
        if shown != "server" || get(&mut wire, "/file.vers")? != b"content\n" {
            return Err(format!("{told}: {shown} is shown"));
        }
    }
    certify(&root, "ecdsa")?;
    done(&control(&root, &["-k", "graceful"])?)?;
    if connect(&server, "")?.1 != "ecdsa" {
        return Err("the good one is not shown".into());
    }
    end(&root, server)
}

fn another_program_takes_over_with_the_keys() -> Result<(), String> {
    let (root, server) = boot("keys-upgrade", &[], Some(&bench().program))?;
    let over = Over::parse("resume")?;
    let traffic = Traffic::secured(&server.listeners[0], over);
    for number in 1..=3 {
        install(&root)?;
        let name = if number % 2 == 1 { "ecdsa" } else { "server" };
        certify(&root, name)?;
        traffic::version(&root, number)?;
        done(&control(&root, &["-k", "graceful"])?)?;
        traffic.expect(number);
        if connect(&server, "")?.1 != name {
            return Err(format!("upgrade {number}: the old certificate is shown"));
        }
    }
    traffic.end()?;
    // The next worker is given what the last one was, whatever has become of the files.
    fs::remove_file(root.join("site.key")).map_err(|e| e.to_string())?;
    let worker = role(&server, "worker")?.as_raw_nonzero().get().unsigned_abs();
    server::kill(worker, Signal::KILL);
    said(&root, "the worker died (signal 9 (SIGKILL)): it is started again")?;
    let (mut wire, shown) = connect(&server, "")?;
    if shown != "ecdsa" || get(&mut wire, "/file.vers")? != b"content\n" {
        return Err(format!("{shown} is shown"));
    }
    drop(wire);
    end(&root, server)
}

/// An ordinary user checks the settings of a server that root starts.
fn who_may_not_read_them_checks_the_rest() -> Result<(), String> {
    let root = server::fresh_root("keys-unreadable");
    certify(&root, "server")?;
    let lines: Vec<String> = SSL.lines().map(String::from).collect();
    server::write_config(&root, &lines, "127.0.0.1:0")?;
    server::hand_over(&root, false)?;
    std::os::unix::fs::lchown(root.join("site.key"), Some(0), Some(0)).map_err(|e| e.to_string())?;
    let file = format!("{}/httpd.conf:3: ", root.display());
    let key = format!("{}/site.key: Permission denied (os error 13)", root.display());
    let checked = control(&root, &["-t"])?;
    let expected = format!(
        "{file}warning: SSLCertificateKeyFile: {key}: it is not checked; a server that root starts can read it\nSyntax OK\n"
    );
    let told = String::from_utf8_lossy(&checked.stderr).into_owned();
    if checked.status.code() != Some(0) || told != expected {
        return Err(format!("{}: {told}", checked.status));
    }
    let started = control(&root, &["-D", "FOREGROUND"])?;
    let told = String::from_utf8_lossy(&started.stderr).into_owned();
    if started.status.code() != Some(1) || told != format!("{file}SSLCertificateKeyFile: {key}\n") {
        return Err(format!("{}: {told}", started.status));
    }
    let _left_for_the_end_of_the_run = fs::remove_dir_all(root);
    Ok(())
}

/// In no writable memory of launcher, spawner or worker is a line of the key's file, or its DER.
fn their_text_is_wiped() -> Result<(), String> {
    let (root, server) = boot("keys-wiped", &[], None)?;
    let (mut wire, _) = connect(&server, "")?;
    get(&mut wire, "/file.vers")?;
    let text = fs::read_to_string(root.join("site.key")).map_err(|e| e.to_string())?;
    let line = text.lines().nth(9).ok_or("the key is short")?;
    // In the middle of a line of base64 that begins with a whole triple of bytes.
    let der = base64_decoded(line)?;
    let number = |pid: rustix::process::Pid| pid.as_raw_nonzero().get().unsigned_abs();
    for pid in [
        server.pid(),
        number(role(&server, "worker")?),
        number(role(&server, "spawner")?),
    ] {
        let memory = writable_memory(pid)?;
        for (what, text) in [("text", line.as_bytes()), ("DER", der.as_slice())] {
            if memory.iter().any(|piece| memchr::memmem::find(piece, text).is_some()) {
                return Err(format!("process {pid} has {what} of the key"));
            }
        }
        // This would be found.
        if pid == server.pid()
            && !memory
                .iter()
                .any(|piece| memchr::memmem::find(piece, b"SSLCertificateKeyFile").is_some())
        {
            return Err("the memory of the launcher cannot be read".into());
        }
    }
    drop(wire);
    end(&root, server)
}

fn base64_decoded(line: &str) -> Result<Vec<u8>, String> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD
        .decode(line)
        .map_err(|e| e.to_string())
}

fn writable_memory(pid: u32) -> Result<Vec<Vec<u8>>, String> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).map_err(|e| format!("maps of {pid}: {e}"))?;
    let memory = File::open(format!("/proc/{pid}/mem")).map_err(|e| format!("memory of {pid}: {e}"))?;
    let mut pieces = Vec::new();
    for map in maps
        .lines()
        .filter(|map| map.split(' ').nth(1).is_some_and(|rights| rights.starts_with("rw")))
    {
        let bounds = map
            .split_once(' ')
            .and_then(|(bounds, _)| bounds.split_once('-'))
            .ok_or(map)?;
        let [from, to] = [bounds.0, bounds.1].map(|text| u64::from_str_radix(text, 16).unwrap_or(0));
        let mut piece = vec![0; usize::try_from(to - from).map_err(|e| e.to_string())?];
        // Some of it may be gone in the meantime.
        let count = memory.read_at(&mut piece, from).unwrap_or(0);
        piece.truncate(count);
        pieces.push(piece);
    }
    Ok(pieces)
}
