//! Logs under load: rotated, behind programs that die, on full disks; no line goes astray, and no request waits.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Completion, Failed, Trial};
use regex::Regex;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::processes;
use crate::support::server::{self, Server, bench};
use crate::support::wire::{Judge, Wire};

const PATIENCE: Duration = Duration::from_secs(30);
/// No answer may take longer, whatever becomes of its line; far above what a busy machine needs.
const AT_ONCE: Duration = Duration::from_secs(5);
/// A log program that writes down line by line what it reads. The shell reads byte by byte, so that it never has more
/// than one line in its hands.
const KEEP: &str = "#!/bin/sh\nwhile read -r line; do echo \"$line\" >>\"$1\"; done\n";
/// The same, once it is allowed to read.
const WAIT: &str = "#!/bin/sh\nuntil [ -e \"$1.go\" ]; do sleep 0.02; done\nexec cat >>\"$1\"\n";

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    let logs = |name: &str, test: fn() -> Result<(), String>| {
        Trial::test(format!("logs::{name}"), move || test().map_err(Failed::from))
    };
    vec![
        logs("rotation_under_load_loses_no_line", rotation_under_load_loses_no_line),
        logs(
            "a_program_that_dies_under_load_gets_every_line_once",
            a_program_that_dies_under_load_gets_every_line_once,
        ),
        logs(
            "a_program_killed_while_it_reads_loses_only_what_it_had_read",
            a_program_killed_while_it_reads_loses_only_what_it_had_read,
        ),
        logs(
            "lines_beyond_the_bound_are_counted_to_the_last",
            lines_beyond_the_bound_are_counted_to_the_last,
        ),
        logs("a_reload_loses_no_line_that_waits", a_reload_loses_no_line_that_waits),
        logs("a_program_of_refused_settings_ends", a_program_of_refused_settings_ends),
        logs(
            "a_program_that_takes_the_error_log_is_started_again_though_its_pipe_is_full",
            a_program_that_takes_the_error_log_is_started_again_though_its_pipe_is_full,
        ),
        logs(
            "standard_error_as_a_full_socket_is_not_waited_for",
            standard_error_as_a_full_socket_is_not_waited_for,
        ),
        logs(
            "lines_for_a_full_device_are_counted_to_the_last",
            lines_for_a_full_device_are_counted_to_the_last,
        ),
        logs(
            "a_file_of_several_lines_is_opened_once",
            a_file_of_several_lines_is_opened_once,
        ),
        Trial::ignorable_test("logs::logrotate_rotates_by_what_ships", logrotate_rotates_by_what_ships),
        Trial::ignorable_test("logs::a_full_disk_delays_no_request", a_full_disk_delays_no_request),
    ]
}

fn rotation_under_load_loses_no_line() -> Result<(), String> {
    let (root, server) = boot("rotation", &["CustomLog access.log <%U>"], None)?;
    let log = root.join("access.log");
    let mut load = Load::new(&server)?;
    for n in 1..=3 {
        let old = root.join(format!("access.{n}"));
        fs::rename(&log, &old).map_err(|e| e.to_string())?;
        if n == 2 {
            // As logrotate's `create`; else the server makes it.
            server::write(&root.join("new"), b"")?;
            server::set_mode(&root.join("new"), 0o666)?;
            fs::rename(root.join("new"), &log).map_err(|e| e.to_string())?;
        }
        server::poll(PATIENCE, || {
            load.ask(50, "")?;
            match fs::metadata(&log) {
                Ok(there) if there.len() > 0 => Ok(()),
                _ => Err("the new file is not written".into()),
            }
        })?;
    }
    server.stop()?;
    let names = ["access.1", "access.2", "access.3", "access.log"];
    let lines: Vec<String> = names.iter().flat_map(|name| lines(&root.join(name))).collect();
    load.is_all(&lines, 0)?;
    end(&root)
}

/// The snippet of conf/extra, but for the names of the logs.
fn logrotate_rotates_by_what_ships() -> Result<Completion, Failed> {
    if Command::new("logrotate").arg("--version").output().is_err() {
        return Ok(Completion::ignored_with("`logrotate` is missing"));
    }
    let (root, server) = boot("logrotate", &["CustomLog access_log <%U>"], None)?;
    let snippet = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/conf/extra/logrotate"))?;
    let snippet = snippet.replace("/usr/local/lychgate/logs/", &format!("{}/", root.display()));
    // The directory of the tests is for all to write, which logrotate does not like of its own.
    let user = processes::owner(&root)?;
    let snippet = snippet.replace("    weekly\n", &format!("    weekly\n    su {user}\n"));
    server::write(&root.join("logrotate.conf"), snippet.as_bytes())?;
    server::set_mode(&root.join("logrotate.conf"), 0o644)?;
    let mut load = Load::new(&server)?;
    for n in 1..=2 {
        load.ask(50, "")?;
        let output = Command::new("logrotate")
            .arg("-f")
            .arg("-s")
            .arg(root.join("logrotate.state"))
            .arg(root.join("logrotate.conf"))
            .output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        server::poll(PATIENCE, || {
            load.ask(10, "")?;
            match fs::metadata(root.join("access_log")) {
                Ok(there) if there.len() > 0 => Ok(()),
                _ => Err(format!("after rotation {n} the new file is not written")),
            }
        })?;
    }
    server.stop()?;
    let oldest = Command::new("gunzip")
        .arg("-k")
        .arg(root.join("access_log.2.gz"))
        .status()?;
    if !oldest.success() {
        return Err("the oldest is not compressed".into());
    }
    let names = ["access_log.2", "access_log.1", "access_log"];
    let lines: Vec<String> = names.iter().flat_map(|name| lines(&root.join(name))).collect();
    load.is_all(&lines, 0)?;
    Ok(end(&root).map(|()| Completion::Completed)?)
}

/// It dies by SIGKILL, with nothing in its hands, again and again: everything arrives, once, in order.
fn a_program_that_dies_under_load_gets_every_line_once() -> Result<(), String> {
    let program = "#!/bin/sh\nn=0\nwhile read -r line; do\n  echo \"$line\" >>\"$1\"\n  n=$((n + 1))\n  \
                   [ $n = 450 ] && kill -9 $$\ndone\n";
    let (root, server) = boot("dies", &["CustomLog \"|$ROOT/bin/log $ROOT/out\" <%U>"], Some(program))?;
    let mut load = Load::new(&server)?;
    load.ask(2000, "")?;
    server.stop()?;
    let lines = lines(&root.join("out"));
    load.is_all(&lines, 0)?;
    let errors = text(&root.join("error.log"));
    let deaths = errors
        .matches("ended (signal 9 (SIGKILL)): it is started again")
        .count();
    if deaths != 4 {
        return Err(format!("it died {deaths} times: {errors}"));
    }
    end(&root)
}

/// Each kill may cost the one line that the program had begun to read.
fn a_program_killed_while_it_reads_loses_only_what_it_had_read() -> Result<(), String> {
    let (root, server) = boot("killed", &["CustomLog \"|$ROOT/bin/log $ROOT/out\" <%U>"], Some(KEEP))?;
    let mut load = Load::new(&server)?;
    let kills = 4;
    for _ in 0..kills {
        load.ask(300, "")?;
        kill_program(&server, "log")?;
        load.ask(300, "")?;
    }
    server.stop()?;
    load.is_all(&lines(&root.join("out")), kills)?;
    end(&root)
}

fn lines_beyond_the_bound_are_counted_to_the_last() -> Result<(), String> {
    let (root, server) = boot("bound", &["CustomLog \"|$ROOT/bin/log $ROOT/out\" <%U>%q"], Some(WAIT))?;
    let mut load = Load::new(&server)?;
    load.ask(600, &"x".repeat(990))?;
    server::write(&root.join("out.go"), b"")?;
    server::poll(PATIENCE, || match lines(&root.join("out")).len() {
        0 => Err("the program does not read".into()),
        _ => Ok(()),
    })?;
    load.ask(10, "")?;
    server.stop()?;
    let arrived = lines(&root.join("out"));
    let lost = lost(&text(&root.join("error.log")), "the reader is too slow")?;
    if lost == 0 || arrived.len() < 300 || arrived.len() + lost != load.asked {
        let asked = load.asked;
        return Err(format!("{asked} asked, {} arrived, {lost} told as lost", arrived.len()));
    }
    load.is_all(&arrived, lost)?;
    end(&root)
}

/// The old worker ends with what its log program has not read yet.
fn a_reload_loses_no_line_that_waits() -> Result<(), String> {
    let (root, server) = boot("reload", &["CustomLog \"|$ROOT/bin/log $ROOT/out\" <%U>%q"], Some(WAIT))?;
    let mut load = Load::new(&server)?;
    load.ask(200, &"x".repeat(990))?;
    server.signal("USR1")?;
    says(&root.join("error.log"), "serving by the new settings")?;
    for _ in 0..5 {
        // The worker that is about to end may take a connection yet, and closes it behind its first request.
        load.reconnect(&server)?;
        load.ask(1, "")?;
    }
    server::write(&root.join("out.go"), b"")?;
    server::poll(PATIENCE, || match lines(&root.join("out")).len() {
        205 => Ok(()),
        n => Err(format!("{n} lines have arrived")),
    })?;
    server.stop()?;
    // Two workers wrote, each in its order.
    let mut lines = lines(&root.join("out"));
    lines.sort();
    load.is_all(&lines, 0)?;
    end(&root)
}

/// It was started for settings that did not come into force; that of those in force goes on.
fn a_program_of_refused_settings_ends() -> Result<(), String> {
    let (root, server) = boot(
        "refused",
        &["CustomLog \"|$ROOT/bin/log $ROOT/out\" <%U>%q"],
        Some(KEEP),
    )?;
    let programs = || {
        let mut all = processes::descendants(server.pid());
        all.retain(|one| one.name == "log" || one.name == "cat");
        all
    };
    let first = programs().first().map(|one| one.pid).ok_or("it does not run")?;
    let good = text(&root.join("httpd.conf"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    let address = taken.local_addr().map_err(|e| e.to_string())?;
    let bad = format!("{good}\nCustomLog \"|/bin/cat\" %U\nListen {address}\n");
    server::write(&root.join("httpd.conf"), bad.as_bytes())?;
    server.signal("USR1")?;
    says(&root.join("error.log"), "the settings in force stay as they are")?;
    server::poll(PATIENCE, || match &*programs() {
        [one] if one.pid == first => Ok(()),
        others => Err(format!("{others:?}")),
    })?;
    let mut load = Load::new(&server)?;
    load.ask(10, "")?;
    server.stop()?;
    load.is_all(&lines(&root.join("out")), 0)?;
    end(&root)
}

/// The launcher has to say that the program ended, into the very pipe that nobody reads.
fn a_program_that_takes_the_error_log_is_started_again_though_its_pipe_is_full() -> Result<(), String> {
    let lines_of_log = ["ErrorLog \"|$ROOT/bin/log $ROOT/out\"", "LogLevel info"];
    let (root, server) = boot("error-program", &lines_of_log, Some(WAIT))?;
    let mut load = Load::new(&server)?;
    load.ask(200, &"x".repeat(990))?;
    kill_program(&server, "log")?;
    kill_program(&server, "log")?;
    load.ask(10, "")?;
    server::write(&root.join("out.go"), b"")?;
    says(&root.join("out"), "ended (signal 9 (SIGKILL)): it is started again")?;
    server.stop()?;
    let told = lines(&root.join("out"))
        .iter()
        .filter(|line| line.contains("referer: /r/"))
        .count();
    if told != load.asked {
        return Err(format!("{told} of {} entries arrived", load.asked));
    }
    end(&root)
}

/// As under a journal that is stopped: the socket takes a little, then nothing.
fn standard_error_as_a_full_socket_is_not_waited_for() -> Result<(), String> {
    let root = server::fresh_root("socket");
    let lines_of_log = [
        "CustomLog /dev/stderr <%U>%q".to_string(),
        "MaxKeepAliveRequests 0".into(),
    ];
    server::write_config(&root, &lines_of_log, "127.0.0.1:0")?;
    server::hand_over(&root, false)?;
    let (mut journal, socket) = UnixStream::pair().map_err(|e| e.to_string())?;
    // The socket comes as standard input and is moved: the harness takes standard error for itself.
    let mut command = shell(&root, "exec \"$0\" \"$@\" 2>&0 </dev/null");
    command.stdin(Stdio::from(OwnedFd::from(socket)));
    let server = Server::boot(&root, command, &[], "")?;
    let mut load = Load::new(&server)?;
    load.ask(900, &"x".repeat(990))?;
    let reader = std::thread::spawn(move || {
        let mut all = String::new();
        journal.read_to_string(&mut all).map(|_| all)
    });
    server.stop()?;
    let all = reader.join().map_err(|_| "no panic")?.map_err(|e| e.to_string())?;
    let arrived: Vec<String> = all
        .lines()
        .filter(|line| line.contains("</n/"))
        .map(str::to_owned)
        .collect();
    let lost = lost(&text(&root.join("error.log")), "the reader is too slow")?;
    if lost == 0 || arrived.len() + lost != load.asked {
        let asked = load.asked;
        return Err(format!("{asked} asked, {} arrived, {lost} told as lost", arrived.len()));
    }
    load.is_all(&arrived, lost)?;
    end(&root)
}

fn lines_for_a_full_device_are_counted_to_the_last() -> Result<(), String> {
    let (root, server) = boot("full-device", &["CustomLog /dev/full <%U>"], None)?;
    let mut load = Load::new(&server)?;
    load.ask(500, "")?;
    server.stop()?;
    let errors = text(&root.join("error.log"));
    let reports = errors.matches(" lost: ").count();
    let lost = lost(&errors, "No space left on device")?;
    // One when it begins, and one at the end; the next would come after a minute.
    if lost != 500 || reports > 2 {
        return Err(format!("{lost} lines lost in {reports} reports: {errors}"));
    }
    end(&root)
}

/// A file system of 64 KiB for the access log, in a mount namespace of its own.
fn a_full_disk_delays_no_request() -> Result<Completion, Failed> {
    if !server::privileged() {
        return Ok(Completion::ignored_with("only root can mount a file system"));
    }
    let root = server::fresh_root("full-disk");
    fs::create_dir(root.join("disk")).map_err(|e| e.to_string())?;
    let lines_of_log = [
        "User nobody".to_string(),
        "CustomLog disk/access.log <%U>%q".into(),
        "MaxKeepAliveRequests 0".into(),
    ];
    server::write_config(&root, &lines_of_log, "127.0.0.1:0")?;
    let mount = "mount -t tmpfs -o size=64k,mode=755 tmpfs disk && exec \"$0\" \"$@\"";
    let plain = shell(&root, mount);
    let mut command = Command::new("/usr/bin/unshare");
    command
        .args(["--mount", "/bin/sh"])
        .args(plain.get_args())
        .current_dir(&root);
    let server = Server::boot(&root, command, &[], "")?;
    let mut load = Load::new(&server)?;
    load.ask(300, &"x".repeat(490))?;
    // As the server sees it; gone with the server.
    let log = PathBuf::from(format!("/proc/{}/root{}/disk/access.log", server.pid(), root.display()));
    says(&root.join("error.log"), "lost: No space left on device")?;
    let full = fs::metadata(&log).map_err(|e| format!("{}: {e}", log.display()))?.len();
    // Somebody makes room: the log goes on, on a line of its own.
    fs::File::options()
        .write(true)
        .open(&log)
        .and_then(|file| file.set_len(1000))
        .map_err(|e| e.to_string())?;
    load.ask(5, "")?;
    let mut arrived = Vec::new();
    server::poll(PATIENCE, || {
        arrived = lines(&log);
        match arrived.iter().filter(|line| line.ends_with(">?")).count() {
            5 => Ok(()),
            n => Err(format!("{n} of the last lines have arrived")),
        }
    })?;
    server.stop()?;
    let lost = lost(&text(&root.join("error.log")), "No space left on device")?;
    let line = "</n/00000>?\n".len() + 490;
    let kept = usize::try_from(full).unwrap_or(0) / line;
    if lost + kept != 300 || kept < 100 {
        return Err(format!("{kept} lines fit, {lost} are told as lost").into());
    }
    end(&root)?;
    Ok(Completion::Completed)
}

fn a_file_of_several_lines_is_opened_once() -> Result<(), String> {
    let lines_of_log = [
        "CustomLog access.log <%U>",
        "CustomLog access.log two<%U>",
        "<VirtualHost *:*>",
        "ServerName two",
        "CustomLog $ROOT/access.log <%U>",
        "</VirtualHost>",
    ];
    let (root, server) = boot("once", &lines_of_log, None)?;
    let log = fs::canonicalize(root.join("access.log")).map_err(|e| e.to_string())?;
    for process in processes::descendants(server.pid())
        .iter()
        .map(|p| p.pid)
        .chain([server.pid()])
    {
        let open = match fs::read_dir(format!("/proc/{process}/fd")) {
            Ok(open) => open,
            // Nobody but root looks into a worker.
            Err(_) if !server::privileged() && process != server.pid() => continue,
            Err(error) => return Err(format!("process {process}: {error}")),
        };
        let same = open
            .filter_map(|fd| fs::read_link(fd.ok()?.path()).ok())
            .filter(|file| *file == log);
        let count = same.count();
        if count > 1 {
            return Err(format!("process {process} has the log open {count} times"));
        }
    }
    server.stop()?;
    end(&root)
}

/// Requests whose targets are numbers.
struct Load {
    wire: Wire,
    asked: usize,
}

impl Load {
    fn new(server: &Server) -> Result<Load, String> {
        let wire = Wire::connect(&server.listeners[0], PATIENCE)?;
        Ok(Load { wire, asked: 0 })
    }

    fn reconnect(&mut self, server: &Server) -> Result<(), String> {
        self.wire = Wire::connect(&server.listeners[0], PATIENCE)?;
        Ok(())
    }

    /// Asks so many times, up to 50 at once, and takes the answers, none of which may be long in coming.
    fn ask(&mut self, count: usize, query: &str) -> Result<(), String> {
        let mut left = count;
        while left > 0 {
            let some = left.min(50);
            left -= some;
            let request =
                |n| format!("GET /n/{n:05}?{query} HTTP/1.1\r\nHost: localhost\r\nReferer: /r/{n:05}{query}\r\n\r\n");
            let requests: String = (self.asked..self.asked + some).map(request).collect();
            let start = Instant::now();
            self.wire.send(requests.as_bytes())?;
            for _ in 0..some {
                self.wire.reply(Judge::Strict)?;
            }
            self.asked += some;
            if start.elapsed() > AT_ONCE {
                return Err(format!("{some} answers took {:?}", start.elapsed()));
            }
        }
        Ok(())
    }

    /// Each request has one line, in order; so many may be missing or damaged.
    fn is_all(&self, lines: &[String], spared: usize) -> Result<(), String> {
        let pattern = Regex::new(r"^</n/(\d{5})>(\?x*)?$").map_err(|e| e.to_string())?;
        let numbers: Vec<usize> = lines
            .iter()
            .filter_map(|line| pattern.captures(line)?.get(1)?.as_str().parse().ok())
            .collect();
        let distinct: BTreeSet<usize> = numbers.iter().copied().collect();
        let damaged = lines.len() - numbers.len();
        if distinct.len() != numbers.len() || !numbers.is_sorted() {
            return Err("a line came twice, or out of order".into());
        }
        if damaged > spared || distinct.len() + spared < self.asked {
            let (asked, whole) = (self.asked, distinct.len());
            return Err(format!("{asked} asked, {whole} whole lines, {damaged} damaged"));
        }
        Ok(())
    }
}

/// A server with these lines; `$ROOT` in them is its directory, and `bin/log` the program.
fn boot(name: &str, lines: &[&str], program: Option<&str>) -> Result<(PathBuf, Server), String> {
    let root = server::fresh_root(&format!("logs-{name}"));
    if let Some(program) = program {
        server::write(&root.join("bin/log"), program.as_bytes())?;
        server::set_mode(&root.join("bin/log"), 0o755)?;
    }
    let fill = |line: &&str| line.replace("$ROOT", &root.display().to_string());
    let mut lines: Vec<String> = lines.iter().map(fill).collect();
    lines.push("MaxKeepAliveRequests 0".into());
    server::write_config(&root, &lines, "127.0.0.1:0")?;
    server::hand_over(&root, false)?;
    let command = server::program(&root, false, &[])?;
    let server = Server::boot(&root, command, &[], "")?;
    Ok((root, server))
}

/// The program, executed by a shell whose words say how; as whoever runs the tests.
fn shell(root: &Path, words: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", words]).arg(&bench().program).current_dir(root);
    command
}

/// Kills the log program once it runs, and waits until it is gone.
fn kill_program(server: &Server, name: &str) -> Result<(), String> {
    let find = || {
        processes::descendants(server.pid())
            .into_iter()
            .find(|p| p.name == name && p.state != 'Z')
    };
    let process = server::poll(PATIENCE, || find().ok_or("the program does not run".to_string()))?;
    let pid = i32::try_from(process.pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or("no pid")?;
    kill_process(pid, Signal::KILL).map_err(|e| e.to_string())?;
    server::poll(PATIENCE, || match processes::process(process.pid) {
        Some(still) if still.start == process.start => Err("it is not gone".into()),
        _ => Ok(()),
    })
}

/// How many lines the reports in an error log tell of, all for this reason.
fn lost(errors: &str, why: &str) -> Result<usize, String> {
    let pattern = Regex::new(r"(\d+) lines? lost: (.*)").map_err(|e| e.to_string())?;
    let mut sum = 0;
    for report in pattern.captures_iter(errors) {
        if report.get(2).map(|m| m.as_str()) != Some(why) {
            return Err(format!("another reason: {errors}"));
        }
        sum += report
            .get(1)
            .and_then(|m| m.as_str().parse::<usize>().ok())
            .unwrap_or(0);
    }
    Ok(sum)
}

fn says(file: &Path, words: &str) -> Result<(), String> {
    server::poll(PATIENCE, || {
        let text = text(file);
        if text.contains(words) {
            Ok(())
        } else {
            Err(format!("{} does not say `{words}`: {text}", file.display()))
        }
    })
}

fn text(file: &Path) -> String {
    String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned()
}

fn lines(file: &Path) -> Vec<String> {
    text(file).lines().map(str::to_owned).collect()
}

/// The end, in which nobody panicked.
fn end(root: &Path) -> Result<(), String> {
    let text = text(&root.join("error.log")) + &text(&root.join("stderr"));
    if text.contains("panicked") {
        return Err(text);
    }
    let _left_for_the_end_of_the_run = fs::remove_dir_all(root);
    Ok(())
}
