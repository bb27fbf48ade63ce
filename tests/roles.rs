//! Roles that die at work: what their requests and scripts come to.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use libtest_mimic::{Failed, Trial};
use rustix::process::{Signal, kill_process};

use crate::support::processes;
use crate::support::server::{self, Server, privileged};
use crate::support::site::{ask, boot_script, end, role, said, without_landlock};
use crate::support::wire::{Judge, Wire};

const PATIENCE: Duration = Duration::from_secs(20);

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    let roles = |name: &str, test: fn() -> Result<(), String>| {
        Trial::test(format!("roles::{name}"), move || test().map_err(Failed::from))
    };
    vec![
        roles("a_stuck_worker_is_replaced", a_stuck_worker_is_replaced),
        roles("requests_outlive_a_killed_spawner", requests_outlive_a_killed_spawner),
        roles(
            "a_script_runs_once_although_its_spawner_dies",
            a_script_runs_once_although_its_spawner_dies,
        ),
        roles(
            "last_words_reach_their_client_through_a_busy_worker",
            last_words_reach_their_client_through_a_busy_worker,
        ),
        roles(
            "scripts_do_not_outlive_a_killed_worker",
            scripts_do_not_outlive_a_killed_worker,
        ),
        roles(
            "scripts_without_their_spawner_are_ended_by_the_launcher",
            scripts_without_their_spawner_are_ended_by_the_launcher,
        ),
        roles(
            "a_stop_ends_scripts_without_their_spawner",
            a_stop_ends_scripts_without_their_spawner,
        ),
        roles(
            "scripts_do_not_outlive_a_killed_launcher",
            scripts_do_not_outlive_a_killed_launcher,
        ),
        roles("the_worker_confines_itself", || the_worker_confines_itself(None)),
        roles("the_worker_of_root_confines_itself", || {
            the_worker_confines_itself(privileged().then_some("nobody"))
        }),
        roles(
            "a_debugger_of_the_same_user_may_look_into_the_worker_of_x",
            a_debugger_of_the_same_user_may_look_into_the_worker_of_x,
        ),
        roles(
            "the_terminal_is_the_launchers_alone",
            the_terminal_is_the_launchers_alone,
        ),
        roles(
            "a_worker_without_landlock_serves_and_says_so",
            a_worker_without_landlock_serves_and_says_so,
        ),
    ]
}

/// A worker that does nothing any more is killed after ten seconds, and the next one answers who waited.
fn a_stuck_worker_is_replaced() -> Result<(), String> {
    let (root, server) = boot_queue("stuck", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nhello\\n'\n")?;
    freeze_worker(&server)?;
    let mut wire = ask(&server, "/cgi-bin/s")?;
    said(&root, "the worker gives no sign of life: it is killed")?;
    said(&root, "the worker died (signal 9 (SIGKILL)): it is started again")?;
    if wire.reply(Judge::Strict)?.body != b"hello\n" {
        return Err("who waited was not answered".into());
    }
    end(&root, server)
}

/// Two scripts run and four requests wait for a turn; the spawner dies, and all six are answered.
fn requests_outlive_a_killed_spawner() -> Result<(), String> {
    let (root, server) = boot_queue(
        "killed-spawner",
        "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nbegun\\n'\nuntil [ -e go ]; do sleep 0.02; done\necho done\n",
    )?;
    let mut wires = vec![ask(&server, "/cgi-bin/s")?, ask(&server, "/cgi-bin/s")?];
    for wire in &mut wires {
        wire.wait_for(b"begun")?;
    }
    for _ in 0..4 {
        wires.push(ask(&server, "/cgi-bin/s")?);
    }
    kill(&server, "spawner")?;
    said(&root, "the spawner died (signal 9 (SIGKILL)): it is started again")?;
    server::write(&root.join("cgi-bin/go"), b"now")?;
    for mut wire in wires {
        let reply = wire.reply(Judge::Strict)?;
        if reply.body != b"begun\ndone\n" {
            return Err(format!("{reply:?}"));
        }
    }
    end(&root, server)
}

/// It kills the spawner before that has told of it, which is as if the system had done so.
fn a_script_runs_once_although_its_spawner_dies() -> Result<(), String> {
    let (root, server) = boot_queue(
        "once",
        "#!/bin/sh\necho run >>runs\n[ -e killed ] || { : >killed; kill -9 $PPID; }\n\
         printf 'Content-Type: text/plain\\n\\nonce\\n'\n",
    )?;
    for _ in 0..2 {
        let reply = ask(&server, "/cgi-bin/s")?.reply(Judge::Strict)?;
        if reply.body != b"once\n" {
            return Err(format!("{reply:?}"));
        }
    }
    said(&root, "the spawner died (signal 9 (SIGKILL)): it is started again")?;
    let runs = fs::read_to_string(root.join("cgi-bin/runs")).map_err(|error| error.to_string())?;
    end(&root, server)?;
    if runs != "run\nrun\n" {
        return Err(format!("two requests, and it ran {} times", runs.lines().count()));
    }
    Ok(())
}

/// What a script says to its SIGTERM is passed on by a worker that comes to it only when it is told to stop itself.
fn last_words_reach_their_client_through_a_busy_worker() -> Result<(), String> {
    let (root, server) = boot_queue(
        "last-words",
        "#!/bin/sh\ntrap 'echo goodbye; exit' TERM\nprintf 'Content-Type: text/plain\\n\\nbegun\\n'\n\
         while :; do sleep 0.02; done\n",
    )?;
    let mut wire = ask(&server, "/cgi-bin/s")?;
    wire.wait_for(b"begun")?;
    freeze_worker(&server)?;
    server.signal("TERM")?;
    server::poll(PATIENCE, || match processes::descendants(server.pid()).len() {
        1 => Ok(()),
        some => Err(format!("{some} processes are left, the worker among them")),
    })?;
    // The launcher has seen the last of the others, and tells the worker now, which has two seconds yet.
    std::thread::sleep(Duration::from_millis(100));
    signal(&server, "worker", Signal::CONT)?;
    let reply = wire.reply(Judge::Strict)?;
    end(&root, server)?;
    if reply.body != b"begun\ngoodbye\n" {
        return Err(format!("{reply:?}"));
    }
    Ok(())
}

/// The script of a worker that dies goes, with what it started; the next worker serves.
fn scripts_do_not_outlive_a_killed_worker() -> Result<(), String> {
    let (root, server) = boot_queue(
        "killed-worker",
        "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nbegun\\n'\n[ -e go ] && exit\n\
         (trap '' TERM; while :; do sleep 1000; done) &\nsleep 1000\n",
    )?;
    let mut wire = ask(&server, "/cgi-bin/s")?;
    wire.wait_for(b"begun")?;
    server::write(&root.join("cgi-bin/go"), b"now")?;
    kill(&server, "worker")?;
    wire.rest()?;
    said(&root, "the worker died (signal 9 (SIGKILL)): it is started again")?;
    let reply = ask(&server, "/cgi-bin/s")?.reply(Judge::Strict)?;
    if reply.body != b"begun\n" {
        return Err(format!("{reply:?}"));
    }
    server::poll(PATIENCE, || {
        let left = processes::descendants(server.pid());
        match left
            .iter()
            .find(|process| process.name == "sleep" || process.name == "sh")
        {
            Some(process) => Err(format!("left behind: {} ({})", process.pid, process.name)),
            None => Ok(()),
        }
    })?;
    end(&root, server)
}

/// Its spawner is dead, the worker may signal nobody; still the script ends when its client leaves.
fn scripts_without_their_spawner_are_ended_by_the_launcher() -> Result<(), String> {
    let (root, server) = boot_queue(
        "orphan",
        "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nbegun\\n'\nsleep 1000\n",
    )?;
    let mut wire = ask(&server, "/cgi-bin/s")?;
    wire.wait_for(b"begun")?;
    kill(&server, "spawner")?;
    said(&root, "the spawner died (signal 9 (SIGKILL)): it is started again")?;
    drop(wire);
    server::poll(PATIENCE, || {
        let left = processes::descendants(server.pid());
        match left.iter().find(|process| process.name == "sleep") {
            Some(process) => Err(format!("left behind: {}", process.pid)),
            None => Ok(()),
        }
    })?;
    end(&root, server)
}

/// One goes at its SIGTERM and one does not.
fn a_stop_ends_scripts_without_their_spawner() -> Result<(), String> {
    let (root, server) = boot_queue(
        "orphans-stop",
        "#!/bin/sh\n[ -e deaf ] && trap '' TERM\n: >deaf\nprintf 'Content-Type: text/plain\\n\\nbegun\\n'\n\
         while :; do sleep 0.1; done\n",
    )?;
    let mut wires = Vec::new();
    for _ in 0..2 {
        let mut wire = ask(&server, "/cgi-bin/s")?;
        wire.wait_for(b"begun")?;
        wires.push(wire);
    }
    kill(&server, "spawner")?;
    said(&root, "the spawner died (signal 9 (SIGKILL)): it is started again")?;
    // Nothing may be left then.
    end(&root, server)
}

/// Nor does what they have started, nor a spawner.
fn scripts_do_not_outlive_a_killed_launcher() -> Result<(), String> {
    let (root, server) = boot_queue(
        "killed-launcher",
        "#!/bin/sh\ntrap '' TERM\nprintf 'Content-Type: text/plain\\n\\nbegun\\n'\nwhile :; do sleep 0.1; done\n",
    )?;
    let mut wire = ask(&server, "/cgi-bin/s")?;
    wire.wait_for(b"begun")?;
    let all = processes::descendants(server.pid());
    server::kill(server.pid(), Signal::KILL);
    server::poll(PATIENCE, || {
        let runs = |one: &&processes::Process| {
            processes::process(one.pid).is_some_and(|now| now.start == one.start && now.state != 'Z')
        };
        match all.iter().find(runs) {
            Some(left) => Err(format!("left behind: {left:?}")),
            None => Ok(()),
        }
    })?;
    drop(server);
    let _left_for_the_end_of_the_run = fs::remove_dir_all(root);
    Ok(())
}

/// What /proc says of the worker; started by root with a User line, or as who we are.
fn the_worker_confines_itself(user: Option<&str>) -> Result<(), String> {
    let root = server::fresh_root("confined");
    let lines: Vec<String> = user.iter().map(|user| format!("User {user}")).collect();
    server::write_config(&root, &lines, "127.0.0.1:0")?;
    server::hand_over(&root, false)?;
    let command = server::program(&root, user.is_some(), &[])?;
    let server = Server::boot(&root, command, &[], "")?;
    let pid = role(&server, "worker")?.as_raw_nonzero();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).map_err(|e| e.to_string())?;
    let uid = server::server_uid(false);
    let own = format!("{uid}\t{uid}\t{uid}\t{uid}");
    let nothing = "0000000000000000";
    let mut expected = vec![
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
        ("Seccomp_filters", "1"),
        ("Uid", &own),
        ("CapInh", nothing),
        ("CapPrm", nothing),
        ("CapEff", nothing),
        ("CapAmb", nothing),
    ];
    if user.is_some() {
        // Nobody else may empty it.
        expected.push(("CapBnd", nothing));
    }
    for (name, value) in expected {
        let line = format!("{name}:\t{value}");
        if !status.lines().any(|l| l == line) {
            return Err(format!("no `{line}`: {status}"));
        }
    }
    if user.is_some() {
        let groups =
            nix::unistd::getgrouplist(c"nobody", nix::unistd::Gid::from_raw(uid)).map_err(|e| e.to_string())?;
        let mut groups: Vec<u32> = groups.into_iter().map(nix::unistd::Gid::as_raw).collect();
        let line = status.lines().find_map(|l| l.strip_prefix("Groups:")).unwrap_or("");
        let mut there: Vec<u32> = line.split_whitespace().filter_map(|group| group.parse().ok()).collect();
        groups.sort_unstable();
        there.sort_unstable();
        if there != groups {
            return Err(format!("groups {there:?}, not {groups:?}"));
        }
    }
    // Dumpable processes have their entries to themselves.
    let owner = fs::metadata(format!("/proc/{pid}/environ"))
        .map_err(|e| e.to_string())?
        .uid();
    if owner != 0 {
        return Err(format!("its entries in /proc belong to {owner}: it is dumpable"));
    }
    said(&root, "confined by Landlock")?;
    said(&root, " system calls refused")?;
    end(&root, server)
}

/// Under `-X` alone; the rest holds there too.
fn a_debugger_of_the_same_user_may_look_into_the_worker_of_x() -> Result<(), String> {
    let root = server::fresh_root("debugged");
    server::write_config(&root, &[], "127.0.0.1:0")?;
    server::hand_over(&root, false)?;
    let command = server::program(&root, false, &[])?;
    let server = Server::boot(&root, command, &["-X".to_owned()], "")?;
    let pid = role(&server, "worker")?.as_raw_nonzero();
    let owner = fs::metadata(format!("/proc/{pid}/environ"))
        .map_err(|e| e.to_string())?
        .uid();
    if owner != server::server_uid(false) {
        return Err(format!("its entries in /proc belong to {owner}"));
    }
    said(&root, " system calls refused")?;
    end(&root, server)
}

/// On a kernel without Landlock, which a filter plays.
fn a_worker_without_landlock_serves_and_says_so() -> Result<(), String> {
    let root = server::fresh_root("no-landlock");
    let lines = ["ConfineReading On".to_owned()];
    server::write_config(&root, &lines, "127.0.0.1:0")?;
    server::write(&root.join("htdocs/a.txt"), b"served\n")?;
    server::hand_over(&root, false)?;
    let command = server::program(&root, false, &[])?;
    let (root, server) = without_landlock(move || {
        let server = Server::boot(&root, command, &[], "")?;
        Ok((root, server))
    })?;
    let mut wire = Wire::connect(&server.listeners[0], PATIENCE)?;
    wire.send(b"GET /a.txt HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let reply = wire.reply(Judge::Strict)?;
    if reply.body != b"served\n" {
        return Err(format!("{reply:?}"));
    }
    said(&root, "[worker:warn]")?;
    said(
        &root,
        "not confined in files, ports and signals (this kernel has no Landlock); ",
    )?;
    end(&root, server)
}

/// A site whose scripts wait for one another.
fn boot_queue(name: &str, script: &str) -> Result<(PathBuf, Server), String> {
    boot_script(name, script, &["CGIMaxScripts 2", "CGIQueueTime 20"])
}

/// Kills the process that calls itself `lychgate: ROLE`.
pub fn kill(server: &Server, name: &str) -> Result<(), String> {
    signal(server, name, Signal::KILL)
}

/// Takes its time away from the worker.
fn freeze_worker(server: &Server) -> Result<(), String> {
    signal(server, "worker", Signal::STOP)?;
    server::poll(PATIENCE, || {
        let stopped = processes::descendants(server.pid())
            .into_iter()
            .any(|process| process.state == 'T');
        stopped.then_some(()).ok_or("the worker does not stop".into())
    })
}

/// Sends it a signal.
fn signal(server: &Server, name: &str, signal: Signal) -> Result<(), String> {
    kill_process(role(server, name)?, signal).map_err(|e| format!("{name}: {e}"))
}

/// Started at a terminal, the other roles and the scripts are in the launcher's session and have given the terminal up.
fn the_terminal_is_the_launchers_alone() -> Result<(), String> {
    let root = server::fresh_root("terminal");
    let script =
        "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\n(: </dev/tty) 2>/dev/null && echo opened || echo none\n";
    server::write(&root.join("cgi-bin/s"), script.as_bytes())?;
    server::set_mode(&root.join("cgi-bin/s"), 0o755)?;
    let lines = [format!("ScriptAlias /cgi-bin/ {}/cgi-bin/", root.display())];
    server::write_config(&root, &lines, "127.0.0.1:0")?;
    server::hand_over(&root, false)?;
    let mut typed = server::program_at(Path::new("/usr/bin/script"), &root, false, &[])?;
    let program = server::bench().program.display();
    let line = format!("exec {program} -f {}/httpd.conf -D FOREGROUND", root.display());
    typed.arg("-qec").arg(line).arg("/dev/null").env("SHELL", "/bin/sh");
    let server = Server::boot_as(&root, typed, "")?;
    let launcher = processes::descendants(server.pid())
        .into_iter()
        .find(|process| process.name == "lychgate")
        .ok_or("there is no launcher")?;
    let (session, terminal) = session(launcher.pid)?;
    if terminal == 0 {
        return Err("the launcher has no terminal: nothing is shown".into());
    }
    for name in ["worker", "spawner"] {
        let pid = role(&server, name)?.as_raw_nonzero().get().unsigned_abs();
        let found = self::session(pid)?;
        if found != (session, 0) {
            return Err(format!(
                "{name}: session and terminal {found:?}, the launcher's {session} {terminal}"
            ));
        }
    }
    let reply = ask(&server, "/cgi-bin/s")?.reply(Judge::Strict)?;
    if reply.body != b"none\n" {
        return Err(format!("a script and the terminal: {reply:?}"));
    }
    server::kill(launcher.pid, Signal::TERM);
    server::poll(PATIENCE, || match processes::process(server.pid()) {
        Some(process) if process.state == 'Z' => Ok(()),
        _ => Err("the terminal is still open".into()),
    })?;
    server.stop()?;
    fs::remove_dir_all(&root).map_err(|e| e.to_string())
}

/// The session of a process, and its terminal's number: zero for none (proc_pid_stat(5)).
fn session(pid: u32) -> Result<(u32, u32), String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).map_err(|e| format!("{pid}: {e}"))?;
    let (_, fields) = stat.rsplit_once(')').ok_or("no name")?;
    let mut fields = fields
        .split_ascii_whitespace()
        .skip(3)
        .map_while(|field| field.parse().ok());
    fields.next().zip(fields.next()).ok_or(stat)
}
