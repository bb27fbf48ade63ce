//! Another version of the program by the same path: a reload starts it, and nobody notices.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use libtest_mimic::{Failed, Trial};

use crate::support::processes;
use crate::support::server::{self, Server, bench};
use crate::support::site::{self, ask, done, end};
use crate::support::traffic::{self, Traffic};
use crate::support::wire::{Judge, Wire};

const PATIENCE: Duration = Duration::from_secs(30);

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    let upgrade = |name: &str, test: fn() -> Result<(), String>| {
        Trial::test(format!("upgrade::{name}"), move || test().map_err(Failed::from))
    };
    vec![
        upgrade(
            "another_program_takes_over_under_load",
            another_program_takes_over_under_load,
        ),
        upgrade("a_bad_program_does_not_take_over", a_bad_program_does_not_take_over),
        upgrade(
            "settings_that_fail_then_leave_the_old_ones",
            settings_that_fail_then_leave_the_old_ones,
        ),
        upgrade(
            "a_restart_is_one_while_a_program_is_tried_too",
            a_restart_is_one_while_a_program_is_tried_too,
        ),
        upgrade("services_stay", services_stay),
        upgrade(
            "log_programs_and_the_background_stay",
            log_programs_and_the_background_stay,
        ),
    ]
}

/// Three upgrades with requests coming in: the same process, another file, and what was under way is finished.
fn another_program_takes_over_under_load() -> Result<(), String> {
    let (root, server) = boot("upgrade-load", &[])?;
    let pid_file = fs::read(root.join("httpd.pid")).map_err(|e| e.to_string())?;
    let mut slow = ask(&server, "/cgi-bin/slow")?;
    slow.wait_for(b"begun")?;
    let traffic = Traffic::start(&server.listeners[0]);
    for number in 1..=3 {
        let before = executed(server.pid())?;
        let installed = install(&root)?;
        traffic::version(&root, number)?;
        done(&control(&root, "graceful")?)?;
        traffic.expect(number);
        let after = executed(server.pid())?;
        if after != installed || after == before {
            return Err(format!(
                "{after:?} is executed: {before:?} was, {installed:?} is installed"
            ));
        }
    }
    let answered = traffic.end()?;
    server::write(&root.join("cgi-bin/go"), b"now")?;
    if slow.reply(Judge::Strict)?.body != b"begun\n0\n" {
        return Err("the script under way was not finished".into());
    }
    println!("3 upgrades, {answered} requests answered, none failed");
    let now = fs::read(root.join("httpd.pid")).map_err(|e| e.to_string())?;
    if now != pid_file {
        return Err("the pid file has changed".into());
    }
    let installed = executed(server.pid())?;
    server::poll(PATIENCE, || {
        let left = roles(&server);
        // Nobody but root may look into a worker.
        let of_old = left
            .iter()
            .find(|one| executed(one.pid).is_ok_and(|file| file != installed));
        match (left.len(), of_old) {
            (2, None) => Ok(()),
            _ => Err(format!("{left:?}")),
        }
    })?;
    kill_worker(&root, &server)?;
    end(&root, server)
}

/// What is no program, does not check its settings well, or does not say that it can.
fn a_bad_program_does_not_take_over() -> Result<(), String> {
    let (root, server) = boot("upgrade-bad", &[])?;
    let (program, kept) = (root.join("lychgate"), root.join("kept"));
    fs::hard_link(&program, &kept).map_err(|e| e.to_string())?;
    let before = executed(server.pid())?;
    let true_program = fs::read("/bin/true").map_err(|e| e.to_string())?;
    let false_program = fs::read("/bin/false").map_err(|e| e.to_string())?;
    let bad: [(&[u8], &str); 4] = [
        (b"#!/bin/sh\nexit 1\n", "a script cannot take our place"),
        (b"nothing that runs", "cannot execute"),
        (&true_program, "it does not say that it can"),
        (&false_program, "it ended with exit status 1"),
    ];
    for (text, told) in bad {
        server::write(&root.join("new"), text)?;
        server::set_mode(&root.join("new"), 0o755)?;
        fs::rename(root.join("new"), &program).map_err(|e| e.to_string())?;
        let output = control_by(&kept, &root, "graceful")?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.code() != Some(1) || !said.contains(told) {
            return Err(format!("{told}: {}: {said}", output.status));
        }
        if executed(server.pid())? != before {
            return Err("it is executed all the same".into());
        }
        let reply = ask(&server, "/file.vers")?.reply(Judge::Strict)?;
        if reply.body != b"content\n" {
            return Err(format!("{reply:?}"));
        }
    }
    // A file that is gone keeps nobody from a reload.
    fs::remove_file(&program).map_err(|e| e.to_string())?;
    done(&control_by(&kept, &root, "graceful")?)?;
    fs::rename(&kept, &program).map_err(|e| e.to_string())?;
    done(&control(&root, "graceful")?)?;
    end(&root, server)
}

/// The settings are good to read and cannot be started: the new launcher goes on with the old worker, and restarts it.
fn settings_that_fail_then_leave_the_old_ones() -> Result<(), String> {
    let (root, server) = boot("upgrade-fails", &[])?;
    let good = fs::read(root.join("httpd.conf")).map_err(|e| e.to_string())?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    let address = taken.local_addr().map_err(|e| e.to_string())?;
    server::write(
        &root.join("httpd.conf"),
        &[&good[..], format!("Listen {address}\n").as_bytes()].concat(),
    )?;
    let installed = install(&root)?;
    let output = control(&root, "graceful")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.code() != Some(1) || !said.contains(&format!(": Listen {address}: Address already in use")) {
        return Err(format!("{}: {said}", output.status));
    }
    if executed(server.pid())? != installed {
        return Err("the new program is not executed".into());
    }
    kill_worker(&root, &server)?;
    let reply = ask(&server, "/file.vers")?.reply(Judge::Strict)?;
    if reply.body != b"content\n" {
        return Err(format!("{reply:?}"));
    }
    server::write(&root.join("httpd.conf"), &good)?;
    traffic::version(&root, 7)?;
    done(&control(&root, "graceful")?)?;
    let reply = ask(&server, "/cgi-bin/version")?.reply(Judge::Strict)?;
    if reply.body != b"7 7\n" {
        return Err(format!("{reply:?}"));
    }
    end(&root, server)
}

/// The reload comes first, and the restart while that is under way: what was begun is cut short.
fn a_restart_is_one_while_a_program_is_tried_too() -> Result<(), String> {
    let (root, server) = boot("upgrade-restart", &[])?;
    let mut slow = ask(&server, "/cgi-bin/slow")?;
    slow.wait_for(b"begun")?;
    install(&root)?;
    server.signal("USR1")?;
    server::poll(PATIENCE, || {
        let log = fs::read_to_string(root.join("error.log")).unwrap_or_default();
        log.contains("it is tried").then_some(()).ok_or(log)
    })?;
    server::kill(server.pid(), rustix::process::Signal::USR2);
    if slow.reply(Judge::Strict)?.body != b"begun\n" {
        return Err("the script under way was waited for".into());
    }
    end(&root, server)
}

/// The process of a service is the same, and what it has begun is finished; when it dies, it has a successor.
fn services_stay() -> Result<(), String> {
    let apps = bench().directory.join("apps");
    let service = [
        "<Service app>".to_owned(),
        format!("Command {}/testapp --service", apps.display()),
        "</Service>".to_owned(),
        "ProxyPass /app/ \"service:app|fcgi://localhost/\"".to_owned(),
    ];
    let lines: Vec<&str> = service.iter().map(String::as_str).collect();
    let (root, server) = boot("upgrade-services", &lines)?;
    let pid = || {
        let reply = ask(&server, "/app/x?pid")?.reply(Judge::Strict)?;
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        text.trim().parse::<u32>().map_err(|_| format!("{reply:?}"))
    };
    let before = pid()?;
    let mut slow = ask(&server, "/app/x?sleep/500")?;
    let installed = install(&root)?;
    done(&control(&root, "graceful")?)?;
    if executed(server.pid())? != installed {
        return Err("the new program is not executed".into());
    }
    if pid()? != before || slow.reply(Judge::Strict)?.body != format!("{before}\n").into_bytes() {
        return Err("another has answered".into());
    }
    server::kill(before, rustix::process::Signal::KILL);
    server::poll(PATIENCE, || match pid() {
        Ok(after) if after != before => Ok(()),
        other => Err(format!("{other:?}")),
    })?;
    end(&root, server)
}

/// Started by `-k start` and with a relative name: the log program keeps its pid and its lines, and `-k stop` finds it all.
fn log_programs_and_the_background_stay() -> Result<(), String> {
    let root = server::fresh_root("upgrade-background");
    let mut lines = traffic::config(&root)?;
    lines.push(format!("CustomLog \"|$exec cat >>{}/piped\" \"%s\"", root.display()));
    server::write_config(&root, &lines, &format!("127.0.0.1:{}", server::free_port()))?;
    install(&root)?;
    server::hand_over(&root, false)?;
    let relative = |verb: &str| {
        let mut command = server::program_at(Path::new("./lychgate"), &root, false, &[])?;
        command.args(["-d", ".", "-f", "httpd.conf", "-k", verb]);
        server::run(&root, command, PATIENCE)
    };
    done(&relative("start")?)?;
    let pid = fs::read_to_string(root.join("httpd.pid")).map_err(|e| e.to_string())?;
    let launcher = pid.trim().parse().map_err(|_| format!("pid {pid:?}"))?;
    let logs = || {
        processes::descendants(launcher)
            .into_iter()
            .find(|one| one.name == "cat")
            .map(|one| one.pid)
    };
    let before = logs().ok_or("the log program does not run")?;
    let installed = install(&root)?;
    let result = done(&relative("graceful")?).and_then(|()| {
        if executed(launcher)? != installed {
            return Err("the new program is not executed".to_owned());
        }
        if logs() != Some(before) {
            return Err("the log program is another".to_owned());
        }
        let text = fs::read_to_string(root.join("httpd.conf")).map_err(|e| e.to_string())?;
        let address = text
            .lines()
            .find_map(|line| line.strip_prefix("Listen "))
            .ok_or("no Listen")?;
        let mut wire = Wire::connect(address, PATIENCE)?;
        wire.send(b"GET /file.vers HTTP/1.0\r\n\r\n")?;
        wire.reply(Judge::Strict)?;
        Ok(())
    });
    let stopped = done(&relative("stop")?);
    server::poll(PATIENCE, || match processes::process(launcher) {
        Some(process) if process.state != 'Z' => Err("it does not stop".to_owned()),
        _ => Ok(()),
    })?;
    result.and(stopped)?;
    let piped = fs::read_to_string(root.join("piped")).unwrap_or_default();
    if piped != "200\n" {
        return Err(format!("the log program wrote {piped:?}"));
    }
    let _left_for_the_end_of_the_run = fs::remove_dir_all(root);
    Ok(())
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
    install(&root)?;
    server::hand_over(&root, false)?;
    let command = server::program_at(&root.join("lychgate"), &root, false, &[])?;
    let server = Server::boot(&root, command, &[], "")?;
    Ok((root, server))
}

/// Puts a new copy of the program where the server's is, as an installation does: its device and inode.
fn install(root: &Path) -> Result<(u64, u64), String> {
    let (new, program) = (root.join("lychgate.new"), root.join("lychgate"));
    fs::copy(&bench().program, &new).map_err(|e| format!("{}: {e}", new.display()))?;
    // Another thread's child may hold it open for writing for a moment more, and then nobody can execute it.
    let runs = || Command::new(&new).arg("-v").output().map_err(|e| e.to_string());
    server::poll(PATIENCE, runs)?;
    fs::rename(&new, &program)
        .and_then(|()| fs::metadata(&program))
        .map(|file| (file.dev(), file.ino()))
        .map_err(|e| format!("{}: {e}", program.display()))
}

/// The file that a process executes.
fn executed(pid: u32) -> Result<(u64, u64), String> {
    let file = fs::metadata(format!("/proc/{pid}/exe")).map_err(|e| format!("pid {pid}: {e}"))?;
    Ok((file.dev(), file.ino()))
}

/// The worker of the settings in force dies, and another takes its place.
fn kill_worker(root: &Path, server: &Server) -> Result<(), String> {
    let worker = site::role(server, "worker")?.as_raw_nonzero().get().unsigned_abs();
    server::kill(worker, rustix::process::Signal::KILL);
    server::poll(PATIENCE, || {
        let log = fs::read_to_string(root.join("error.log")).unwrap_or_default();
        if log.contains("the worker died (signal 9 (SIGKILL)): it is started again") {
            Ok(())
        } else {
            Err(log)
        }
    })
}

fn roles(server: &Server) -> Vec<processes::Process> {
    let mut all = processes::descendants(server.pid());
    all.retain(|one| one.name == "lychgate");
    all
}

fn control(root: &Path, verb: &str) -> Result<Output, String> {
    control_by(&root.join("lychgate"), root, verb)
}

fn control_by(program: &Path, root: &Path, verb: &str) -> Result<Output, String> {
    let mut command = server::program_at(program, root, false, &[])?;
    command.arg("-f").arg(root.join("httpd.conf")).args(["-k", verb]);
    server::run(root, command, Duration::from_secs(60))
}
