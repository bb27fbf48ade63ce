//! `ErrorLog syslog`: what reaches a socket in the place of the system's log, which is started again, or does not read.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};
use regex::Regex;

use crate::support::server::{self, Server, poll};
use crate::support::wire::{Judge, Wire};

const PATIENCE: Duration = Duration::from_secs(30);

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    let logs = |name: &str, test: fn() -> Result<(), String>| {
        Trial::test(format!("system_log::{name}"), move || test().map_err(Failed::from))
    };
    vec![
        logs(
            "lines_look_as_the_c_library_writes_them",
            lines_look_as_the_c_library_writes_them,
        ),
        logs("virtual_hosts_have_their_own", virtual_hosts_have_their_own),
        logs("lines_wait_until_it_is_there_again", lines_wait_until_it_is_there_again),
        logs(
            "one_that_does_not_read_holds_up_nobody",
            one_that_does_not_read_holds_up_nobody,
        ),
        logs("a_server_starts_without_it", a_server_starts_without_it),
    ]
}

fn lines_look_as_the_c_library_writes_them() -> Result<(), String> {
    let root = laid_out("syslog-shape", &["ErrorLog syslog:local1:web.srv1"])?;
    let log = Log::open(&root)?;
    let server = boot(&root)?;
    ask(&server, "/closed/1")?;
    let date = "[A-Z][a-z]{2} [ 1-3][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2}";
    for want in [
        format!(r"^<141>{date} web\.srv1\[[0-9]+\]: \[launcher:notice\] \[pid [0-9]+\] serving$"),
        format!(
            r"^<139>{date} web\.srv1\[[0-9]+\]: \[authz_core:error\] \[pid [0-9]+:tid [0-9]+\] \[client 127\.0\.0\.1:[0-9]+\] .*/closed, referer: /closed/1$"
        ),
    ] {
        log.until(&want)?;
    }
    end(&root, server)
}

fn virtual_hosts_have_their_own() -> Result<(), String> {
    let lines = [
        "ErrorLog syslog",
        "ErrorLogFormat \"%l %M\"",
        "<VirtualHost *>",
        "ServerName localhost",
        "ErrorLog syslog:user:host",
        "</VirtualHost>",
    ];
    let root = laid_out("syslog-hosts", &lines)?;
    let log = Log::open(&root)?;
    let server = boot(&root)?;
    ask(&server, "/closed/1")?;
    log.until(r"^<189>.* lychgate\[[0-9]+\]: \[launcher:notice\] \[pid [0-9]+\] serving$")?;
    log.until(r"^<11>.* host\[[0-9]+\]: error client denied .*/closed$")?;
    end(&root, server)
}

fn lines_wait_until_it_is_there_again() -> Result<(), String> {
    let root = laid_out("syslog-again", &["ErrorLog syslog"])?;
    let log = Log::open(&root)?;
    let server = boot(&root)?;
    ask(&server, "/closed/before")?;
    log.until("referer: /closed/before$")?;
    drop(log);
    // A child of another test has it, too, until it is its own program.
    poll(PATIENCE, || {
        let probe = UnixDatagram::unbound().and_then(|probe| probe.connect(socket(&root)));
        probe.map_or(Ok(()), |()| Err("somebody holds the log".into()))
    })?;
    fs::remove_file(socket(&root)).map_err(|error| error.to_string())?;
    for n in 0..20 {
        ask(&server, &format!("/closed/{n}"))?;
    }
    let log = Log::open(&root)?;
    for n in 0..20 {
        log.until(&format!("authz_core.*referer: /closed/{n}$"))?;
    }
    ask(&server, "/closed/after")?;
    log.until("referer: /closed/after$")?;
    end(&root, server)
}

/// Lines beyond the bound are counted, and the count is told when there is room.
fn one_that_does_not_read_holds_up_nobody() -> Result<(), String> {
    let root = laid_out("syslog-full", &["ErrorLog syslog", "MaxKeepAliveRequests 0"])?;
    let log = Log::open(&root)?;
    let server = boot(&root)?;
    let mut wire = Wire::connect(&server.listeners[0], PATIENCE)?;
    let asked = 1500;
    let filling = "x".repeat(900);
    for n in 0..asked {
        // Each is answered within the patience of the wire, whoever does not read.
        ask_on(&mut wire, &format!("/closed/{n}/{filling}"))?;
    }
    let reading = Reading::start(log)?;
    server.stop()?;
    let lines = reading.end()?;
    let arrived = lines.iter().filter(|line| line.contains("authz_core:error")).count();
    let told =
        Regex::new(r"log `syslog:local7:lychgate`: ([0-9]+) lines? lost: ").map_err(|error| error.to_string())?;
    let lost: usize = lines
        .iter()
        .filter_map(|line| told.captures(line)?[1].parse::<usize>().ok())
        .sum();
    let _left_for_the_end = fs::remove_dir_all(&root);
    if lost == 0 || arrived + lost != asked {
        return Err(format!("{asked} asked, {arrived} arrived, {lost} told as lost"));
    }
    Ok(())
}

fn a_server_starts_without_it() -> Result<(), String> {
    let root = laid_out("syslog-missing", &["ErrorLog syslog"])?;
    let server = boot(&root)?;
    ask(&server, "/closed/early")?;
    let stderr = fs::read_to_string(root.join("stderr")).unwrap_or_default();
    if !stderr.contains("cannot reach the system's log at `") {
        return Err(format!("the start does not say what is missing: {stderr}"));
    }
    let log = Log::open(&root)?;
    log.until("referer: /closed/early$")?;
    end(&root, server)
}

fn socket(root: &Path) -> PathBuf {
    root.join("log.sock")
}

/// A site with these lines, whose system's log is a socket in its directory.
fn laid_out(name: &str, lines: &[&str]) -> Result<PathBuf, String> {
    let root = server::fresh_root(name);
    let own = [
        format!("SyslogSocket {}", socket(&root).display()),
        "<Location /closed>".to_owned(),
        "Require all denied".to_owned(),
        "</Location>".to_owned(),
    ];
    let lines: Vec<String> = own.into_iter().chain(lines.iter().map(ToString::to_string)).collect();
    server::write_config(&root, &lines, "127.0.0.1:0")?;
    server::hand_over(&root, false)?;
    Ok(root)
}

fn boot(root: &Path) -> Result<Server, String> {
    Server::boot(root, server::program(root, false, &[])?, &[], "")
}

fn end(root: &Path, server: Server) -> Result<(), String> {
    server.stop()?;
    let _left_for_the_end = fs::remove_dir_all(root);
    Ok(())
}

fn ask(server: &Server, path: &str) -> Result<(), String> {
    ask_on(&mut Wire::connect(&server.listeners[0], PATIENCE)?, path)
}

fn ask_on(wire: &mut Wire, path: &str) -> Result<(), String> {
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nReferer: {path}\r\n\r\n");
    wire.send(head.as_bytes())?;
    wire.reply(Judge::Strict).map(|_reply| ())
}

/// The socket, in the place of the system's log, and what was read while something else was looked for.
struct Log(UnixDatagram, RefCell<Vec<String>>);

impl Log {
    fn open(root: &Path) -> Result<Log, String> {
        let path = socket(root);
        let socket = UnixDatagram::bind(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        server::set_mode(&path, 0o777)?;
        socket
            .set_read_timeout(Some(Duration::from_millis(200)))
            .map_err(|error| error.to_string())?;
        Ok(Log(socket, RefCell::default()))
    }

    /// The next message, if one comes soon.
    fn next(&self) -> Result<Option<String>, String> {
        let mut buffer = vec![0; 64 * 1024];
        match self.0.recv(&mut buffer) {
            Ok(n) => Ok(Some(String::from_utf8_lossy(&buffer[..n]).into_owned())),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Reads until a message looks so, unless one did before: which process is heard first is nobody's to say.
    fn until(&self, want: &str) -> Result<(), String> {
        let want = Regex::new(want).map_err(|error| error.to_string())?;
        let until = Instant::now() + PATIENCE;
        let mut seen = self.1.borrow_mut();
        if let Some(at) = seen.iter().position(|message| want.is_match(message)) {
            seen.remove(at);
            return Ok(());
        }
        while Instant::now() < until {
            let Some(message) = self.next()? else { continue };
            if want.is_match(&message) {
                return Ok(());
            }
            seen.push(message);
        }
        Err(format!("no message is `{want}`, but {seen:#?}"))
    }
}

/// Messages that are read while something else is done.
struct Reading {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<String>, String>>,
}

impl Reading {
    fn start(log: Log) -> Result<Reading, String> {
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        let read = move || {
            let mut lines = Vec::new();
            loop {
                match log.next()? {
                    Some(line) => lines.push(line),
                    None if ends.load(Ordering::Relaxed) => return Ok(lines),
                    None => {}
                }
            }
        };
        let thread = std::thread::Builder::new()
            .spawn(read)
            .map_err(|error| error.to_string())?;
        Ok(Reading { is_over, thread })
    }

    /// All that has come, once nothing comes any more.
    fn end(self) -> Result<Vec<String>, String> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| "the reader panicked".to_owned())?
    }
}
