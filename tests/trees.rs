//! Scripts of CGIProcessTree kill, by the dozen and when roles come and go.

use std::path::{Path, PathBuf};
use std::time::Duration;

use libtest_mimic::{Failed, Trial};
use rustix::process::{Pid, Signal, kill_process};

use crate::roles::kill;
use crate::support::processes;
use crate::support::server::{self, Server};
use crate::support::site::{boot_script, end, said};
use crate::support::wire::{Judge, Wire};

const PATIENCE: Duration = Duration::from_secs(30);

/// A script that leaves `sleep` in a session of its own, deaf to SIGTERM, tells of it, and ends when it may.
const WAITING: &str = "#!/bin/sh\n\
    n=$(setsid sh -c 'trap \"\" TERM; echo $$; exec sleep 1000 >/dev/null' </dev/null 2>/dev/null &)\n\
    printf 'Content-Type: text/plain\\n\\nleft %s\\n' \"$n\"\nuntil [ -e go ]; do sleep 0.02; done\necho done\n";

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    let trees = |name: &str, test: fn() -> Result<(), String>| {
        Trial::test(format!("trees::{name}"), move || test().map_err(Failed::from))
    };
    vec![
        trees("fifty_with_daemons_leave_nothing", fifty_with_daemons_leave_nothing),
        trees("a_bomb_of_200_processes_is_cleared", a_bomb_of_200_processes_is_cleared),
        trees(
            "a_reload_lets_scripts_finish_under_their_wardens",
            a_reload_lets_scripts_finish,
        ),
        trees("wardens_outlive_a_killed_spawner", wardens_outlive_a_killed_spawner),
        trees("a_killed_worker_leaves_no_tree", a_killed_worker_leaves_no_tree),
        trees("a_killed_warden_is_told", a_killed_warden_is_told),
    ]
}

fn fifty_with_daemons_leave_nothing() -> Result<(), String> {
    let (root, server) = boot_tree("fifty-trees", WAITING)?;
    let mut wires = Vec::new();
    for _ in 0..50 {
        wires.push(ask(&server)?);
    }
    for wire in &mut wires {
        wire.wait_for(b"left ")?;
    }
    go(&root)?;
    for mut wire in wires {
        let reply = wire.reply(Judge::Strict)?;
        if !reply.body.ends_with(b"\ndone\n") {
            return Err(format!("{reply:?}"));
        }
    }
    server.settle(PATIENCE)?;
    end(&root, server)
}

/// Each process starts two others, in sessions of their own, until there are 200; none minds SIGTERM.
fn a_bomb_of_200_processes_is_cleared() -> Result<(), String> {
    let bomb = "#!/usr/bin/perl\nuse POSIX 'setsid';\n$SIG{TERM} = 'IGNORE';\n\
        sub bomb { my ($n) = @_; for my $half (int(($n - 1) / 2), $n - 1 - int(($n - 1) / 2)) {\n\
        next if $half < 1; fork and next; setsid; close STDOUT; close STDERR; bomb($half); sleep 1000; exit } }\n\
        $| = 1; print \"Content-Type: text/plain\\n\\nlit\\n\"; bomb(200);\n";
    let (root, server) = boot_tree("bomb", bomb)?;
    let reply = ask(&server)?.reply(Judge::Strict)?;
    if reply.body != b"lit\n" {
        return Err(format!("{reply:?}"));
    }
    server.settle(PATIENCE)?;
    end(&root, server)
}

fn a_reload_lets_scripts_finish() -> Result<(), String> {
    let (root, server) = boot_tree("tree-reload", WAITING)?;
    let mut wire = ask(&server)?;
    wire.wait_for(b"left ")?;
    server.signal("USR1")?;
    said(&root, "serving by the new settings")?;
    let daemons = named(&server, "sleep");
    go(&root)?;
    let reply = wire.reply(Judge::Strict)?;
    if !reply.body.ends_with(b"\ndone\n") || daemons == 0 {
        return Err(format!("{daemons} {reply:?}"));
    }
    // The old worker and spawner go too: five processes, then three.
    server::poll(PATIENCE, || match processes::descendants(server.pid()).as_slice() {
        [_, _] => Ok(()),
        others => Err(format!("{others:?}")),
    })?;
    end(&root, server)
}

fn wardens_outlive_a_killed_spawner() -> Result<(), String> {
    let (root, server) = boot_tree("tree-spawner", WAITING)?;
    let mut wire = ask(&server)?;
    wire.wait_for(b"left ")?;
    kill(&server, "spawner")?;
    said(&root, "the spawner died (signal 9 (SIGKILL)): it is started again")?;
    go(&root)?;
    let reply = wire.reply(Judge::Strict)?;
    if !reply.body.ends_with(b"\ndone\n") {
        return Err(format!("{reply:?}"));
    }
    is_cleared(&server)?;
    end(&root, server)
}

fn a_killed_worker_leaves_no_tree() -> Result<(), String> {
    let (root, server) = boot_tree("tree-worker", WAITING)?;
    let mut wire = ask(&server)?;
    wire.wait_for(b"left ")?;
    kill(&server, "worker")?;
    said(&root, "the worker died (signal 9 (SIGKILL)): it is started again")?;
    is_cleared(&server)?;
    end(&root, server)
}

/// The script goes with its warden, and the log says what that means; what it had left is out of reach.
fn a_killed_warden_is_told() -> Result<(), String> {
    let (root, server) = boot_tree("tree-warden", WAITING)?;
    let mut wire = ask(&server)?;
    wire.wait_for(b"left ")?;
    kill(&server, "warden")?;
    wire.rest()?;
    said(
        &root,
        "died (signal 9 (SIGKILL)): what the script has started may be left",
    )?;
    let left = processes::descendants(server.pid());
    for process in left.iter().filter(|process| process.name == "sleep") {
        let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
        let _it_may_have_ended = pid.map(|pid| kill_process(pid, Signal::KILL));
    }
    is_cleared(&server)?;
    end(&root, server)
}

/// Waits until there is no script, no warden, and nothing of theirs.
fn is_cleared(server: &Server) -> Result<(), String> {
    server::poll(PATIENCE, || {
        let left: usize = ["sleep", "sh", "s", "warden"]
            .iter()
            .map(|name| named(server, name))
            .sum();
        if left == 0 {
            Ok(())
        } else {
            Err(format!("{left} left: {:?}", processes::descendants(server.pid())))
        }
    })
}

fn named(server: &Server, name: &str) -> usize {
    let all = processes::descendants(server.pid());
    all.iter().filter(|process| process.name == name).count()
}

fn boot_tree(name: &str, script: &str) -> Result<(PathBuf, Server), String> {
    boot_script(name, script, &["CGIProcessTree kill", "CGIKillGrace 200ms"])
}

fn ask(server: &Server) -> Result<Wire, String> {
    let mut wire = Wire::connect(&server.listeners[0], PATIENCE)?;
    wire.send(b"GET /cgi-bin/s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    Ok(wire)
}

/// Lets the scripts end.
fn go(root: &Path) -> Result<(), String> {
    server::write(&root.join("cgi-bin/go"), b"now")
}
