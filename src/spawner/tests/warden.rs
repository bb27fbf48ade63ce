//! Scripts of CGIProcessTree kill: what they leave behind, and what becomes of it.

use std::fs;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Setup, all, own_session, start};
use crate::process::channel::{Channel, Wait};
use crate::process::child::Step;
use crate::process::message::{Failed, ScriptOrder, ToSpawner};
use crate::process::pidfd::{Exit, Pidfd};

/// Longer than anything may take, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

const KILL: &str = "CGIProcessTree kill\n";
const KILL_SOON: &str = "CGIProcessTree kill\nCGIKillGrace 50ms\n";
const KILL_LATE: &str = "CGIProcessTree kill\nCGIKillGrace 100\n";

/// Says the number of a daemon that is in a session of its own, holds nothing of the script's and does not mind SIGTERM.
const DAEMON: &str = "#!/bin/sh\n\
    number=$(setsid sh -c 'trap \"\" TERM; echo $$; exec sleep 1000 >/dev/null' </dev/null 2>/dev/null &)\n\
    echo $number\n";

/// The same, and then it waits for a line.
fn waiting() -> String {
    format!("{DAEMON}read line\n")
}

/// A process by the number that a script has written.
fn told(reader: &mut PipeReader) -> Pidfd {
    let mut word = Vec::new();
    let mut byte = [0];
    while reader.read(&mut byte).expect("it can be read") == 1 && byte != *b"\n" {
        word.extend(byte);
    }
    let word = String::from_utf8(word).expect("text");
    Pidfd::open(word.trim().parse().expect("a number")).expect("it runs")
}

fn is_over(pidfd: &Pidfd) -> bool {
    pidfd.ends_within(Duration::ZERO).expect("it can be polled")
}

#[track_caller]
fn ends(pidfd: &Pidfd) {
    let until = Instant::now() + PATIENCE;
    while !pidfd.ends_within(PATIENCE).expect("it can be polled") {
        assert!(Instant::now() < until, "it goes on");
    }
}

/// Starts a script with a standard input.
fn start_fed(setup: &Setup, id: u64, path: &str) -> (io::PipeWriter, PipeReader) {
    let (stdin, feed) = io::pipe().expect("pipes work");
    let (reader, writer) = io::pipe().expect("pipes work");
    let mut order = start(id, path, writer.into());
    order.order.stdin = Some(stdin.into());
    setup.order(&ScriptOrder::Start(order));
    (feed, reader)
}

#[test]
fn a_daemon_is_gone_after_the_grace_and_delays_nothing() {
    let setup = Setup::with("daemon", KILL, &[("daemon", DAEMON)], |_| {});
    let mut reader = setup.start(1, "daemon");
    let (_, _, script) = setup.started();
    let daemon = told(&mut reader);
    assert_eq!(all(reader), "", "the daemon has closed its output");
    assert_eq!(setup.ended(), (1, Exit::Code(0)));
    ends(&script);
    assert!(!is_over(&daemon), "it has the grace of three seconds");
    ends(&daemon);
    setup.finish();
}

#[test]
fn without_a_warden_a_daemon_stays() {
    let setup = Setup::with("stays", "CGIKillGrace 0\n", &[("daemon", DAEMON)], |_| {});
    let mut reader = setup.start(1, "daemon");
    setup.started();
    let daemon = told(&mut reader);
    assert_eq!(setup.ended(), (1, Exit::Code(0)));
    setup.order(&ScriptOrder::Signal { id: 1, signal: 9 });
    setup.finish();
    assert!(!is_over(&daemon));
    daemon.signal(Signal::KILL).expect("ours");
    ends(&daemon);
}

#[test]
fn what_minds_sigterm_is_gone_at_once() {
    let obedient = DAEMON.replace("trap \"\" TERM", "trap \"exit 0\" TERM").replace(
        "exec sleep 1000 >/dev/null",
        "sleep 1000 >/dev/null & exec >/dev/null; wait",
    );
    let setup = Setup::with("obedient", KILL_LATE, &[("daemon", &obedient)], |_| {});
    let begun = Instant::now();
    let reader = setup.start(1, "daemon");
    setup.started();
    assert_eq!(setup.ended(), (1, Exit::Code(0)));
    assert!(all(reader).trim().parse::<i32>().is_ok(), "it was there");
    setup.finish(); // the warden has nothing left
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
}

#[test]
fn status_and_times_are_the_scripts_own() {
    let script = "#!/bin/sh\n(i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done)\nexit 3\n";
    let setup = Setup::with("status", KILL, &[("busy", script)], |_| {});
    let reader = setup.start(7, "busy");
    setup.started();
    let super::ScriptNews::Ended { id, ended } = setup.news() else {
        panic!("it has ended");
    };
    assert_eq!((id, ended.exit), (7, Exit::Code(3)));
    assert!(ended.user + ended.system > Duration::from_millis(5), "{ended:?}");
    assert_eq!(all(reader), "");
    setup.finish();
}

#[test]
fn failures_are_told_as_without_a_warden() {
    let scripts = [("none", "#!/no/such/interpreter\n"), ("ok", "#!/bin/sh\necho $A\n")];
    let setup = Setup::with("ward-failures", KILL, &scripts, |_| {});
    for id in 0..3 {
        setup.start(id, "none");
        let failed = Failed {
            step: Step::Execute,
            errno: libc::ENOENT,
            first_line: b"#!/no/such/interpreter\n".to_vec(),
            told: Vec::new(),
        };
        assert_eq!(setup.failed(), failed);
    }
    setup.start(4, "../x");
    assert_eq!(setup.failed().step, Step::Place);
    let reader = setup.start(5, "ok");
    assert_eq!(setup.started().0, 5);
    assert_eq!(all(reader), "b c\n");
    setup.finish();
}

#[test]
fn a_script_has_what_it_has_without_a_warden() {
    let script = "#!/bin/sh\nls /proc/self/fd | wc -l; ps -o pgid=,sid= $$; ps -o args= $PPID | cut -c 1-40 >&2; cat\n";
    let setup = Setup::with("ward-descriptors", KILL, &[("look", script)], |_| {});
    let reader = setup.start(1, "look");
    let (_, pid, _) = setup.started();
    let output = all(reader);
    let words: Vec<&str> = output.split_whitespace().collect();
    let (pid, session) = (pid.to_string(), own_session());
    assert_eq!(words.get(..3), Some(["4", &pid, &session].as_slice()), "{output}"); // 0 to 2, and that of `ls`
    assert_eq!(setup.ended(), (1, Exit::Code(0)));
    setup.finish();
}

#[test]
fn sigkill_reaches_what_has_left_the_group() {
    let setup = Setup::with("ward-kill", KILL_LATE, &[("waits", &waiting())], |_| {});
    let (_feed, mut reader) = start_fed(&setup, 1, "waits");
    setup.started();
    let daemon = told(&mut reader);
    let order = |signal| ScriptOrder::Signal { id: 1, signal };
    setup.order(&order(libc::SIGCONT));
    setup.order(&order(libc::SIGKILL));
    assert_eq!(setup.ended(), (1, Exit::Signal(libc::SIGKILL)));
    ends(&daemon);
    setup.finish();
}

#[test]
fn sigkill_reaches_what_an_ended_script_has_left() {
    let setup = Setup::with("ward-late-kill", KILL_LATE, &[("daemon", DAEMON)], |_| {});
    let mut reader = setup.start(1, "daemon");
    setup.started();
    let daemon = told(&mut reader);
    assert_eq!(setup.ended(), (1, Exit::Code(0)));
    setup.order(&ScriptOrder::Signal { id: 1, signal: 9 });
    ends(&daemon);
    setup.finish();
}

#[test]
fn fifty_with_daemons_leave_no_process_and_no_descriptor() {
    let setup = Setup::with("ward-fifty", KILL_SOON, &[("daemon", DAEMON)], |_| {});
    let mut readers: Vec<_> = (0..50).map(|id| setup.start(id, "daemon")).collect();
    let mut ended = 0;
    while ended < 50 {
        match setup.news() {
            super::ScriptNews::Started { .. } => {}
            super::ScriptNews::Ended { ended: how, .. } | super::ScriptNews::Ran { ended: how, .. } => {
                assert_eq!(how.exit, Exit::Code(0));
                ended += 1;
            }
            news @ super::ScriptNews::Failed { .. } => panic!("{news:?}"),
        }
    }
    let numbers = readers.iter_mut().map(|reader| {
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("text");
        text.trim().to_owned()
    });
    let numbers: Vec<String> = numbers.filter(|text| !text.is_empty()).collect();
    setup.finish(); // every warden has been reaped
    for number in numbers {
        let name = fs::read_to_string(format!("/proc/{number}/comm")).unwrap_or_default();
        assert!(!name.starts_with("sleep"), "{number} is left");
    }
    let (pipe, _) = io::pipe().expect("pipes work");
    assert!(std::os::fd::AsRawFd::as_raw_fd(&pipe) < 900, "descriptors leak");
}

/// 255 processes in as many sessions as there are leaders, none of which minds SIGTERM.
#[test]
fn a_crowd_is_ended_whole() {
    let script = "#!/bin/sh\ntrap '' TERM\n\
        crowd() { if [ $1 -gt 0 ]; then crowd $(($1 - 1)) & crowd $(($1 - 1)) & fi; exec sleep 1000; }\n\
        (crowd 7) &\necho begun\n";
    let setup = Setup::with("ward-crowd", KILL_SOON, &[("crowd", script)], |_| {});
    let reader = setup.start(1, "crowd");
    setup.started();
    assert_eq!(setup.ended(), (1, Exit::Code(0)));
    assert_eq!(all(reader), "begun\n", "nobody holds its output any more");
    setup.finish();
}

/// A process that is always another one: it starts its successor and ends.
#[test]
fn one_that_runs_away_is_caught() {
    let script = "#!/usr/bin/perl\n$| = 1; $SIG{TERM} = 'IGNORE'; print \"begun\\n\"; exit if fork;\n\
        for (1 .. 1_000_000) { exit if fork; setpgrp }\n";
    let setup = Setup::with("ward-hare", KILL_SOON, &[("hare", script)], |_| {});
    let reader = setup.start(1, "hare");
    setup.started();
    assert_eq!(setup.ended(), (1, Exit::Code(0)));
    assert_eq!(all(reader), "begun\n", "nobody holds its output any more");
    setup.finish();
}

#[test]
fn a_stop_takes_what_has_left_the_group() {
    let setup = Setup::with("ward-stop", KILL_LATE, &[("waits", &waiting())], |_| {});
    let (_feed, mut reader) = start_fed(&setup, 1, "waits");
    setup.started();
    let daemon = told(&mut reader);
    let grace = Duration::from_millis(100);
    setup
        .launcher
        .tell(&ToSpawner::Stop { grace }, Wait::Yes)
        .expect("there is room");
    setup.thread.join().expect("no panic").expect("no error");
    assert!(is_over(&daemon));
    fs::remove_dir_all(setup.root).expect("ours");
}

#[test]
fn a_spawner_that_retires_waits_for_its_wardens() {
    let setup = Setup::with("ward-retire", KILL_SOON, &[("daemon", DAEMON)], |_| {});
    let mut reader = setup.start(1, "daemon");
    setup.started();
    let daemon = told(&mut reader);
    assert_eq!(setup.ended(), (1, Exit::Code(0)));
    setup.order(&ScriptOrder::Release { ids: vec![1] });
    setup.finish();
    assert!(is_over(&daemon));
}

#[test]
fn without_its_spawner_a_script_runs_on_and_its_warden_clears_up() {
    let (ear, mut mouth) = io::pipe().expect("pipes work");
    let setup = Setup::with("ward-orphan", KILL_SOON, &[("waits", &waiting())], |spawner| {
        spawner.launcher = Channel::from(OwnedFd::from(ear));
    });
    let (mut feed, mut reader) = start_fed(&setup, 1, "waits");
    let (_, _, script) = setup.started();
    let daemon = told(&mut reader);
    // It finds that this is no socket, and dies of it.
    mouth.write_all(b"!").expect("it hears");
    setup.thread.join().expect("no panic").expect_err("it died");
    assert!(!is_over(&script) && !is_over(&daemon));
    feed.write_all(b"line\n").expect("it reads");
    ends(&script);
    ends(&daemon);
    fs::remove_dir_all(setup.root).expect("ours");
}

#[test]
fn a_killed_warden_takes_its_script_along_and_the_worker_hears_of_it() {
    let script = "#!/bin/sh\necho $PPID\nread line\n";
    let setup = Setup::with("ward-killed", KILL, &[("waits", script)], |_| {});
    let (_feed, mut reader) = start_fed(&setup, 1, "waits");
    let (_, _, script) = setup.started();
    told(&mut reader).signal(Signal::KILL).expect("ours");
    assert_eq!(setup.ended(), (1, Exit::Signal(libc::SIGKILL)));
    ends(&script);
    setup.finish();
}

/// The worker has died.
fn abandon(setup: &mut Setup) {
    let (mine, other) = Channel::pair().expect("sockets work");
    let channel = OwnedFd::from(other);
    setup
        .launcher
        .tell(&ToSpawner::Serve { channel }, Wait::Yes)
        .expect("there is room");
    setup.worker = mine; // the first one is closed
}

#[test]
fn a_dead_workers_scripts_are_treated_as_their_place_says() {
    for (name, settings, goes_on) in [
        ("terminate", "", false),
        ("terminate-tree", KILL_SOON, false),
        ("finish", "CGIClientGone finish\n", true),
        ("pipe-only", "CGIClientGone pipe-only\n", true),
        ("finish-tree", "CGIClientGone finish\nCGIProcessTree kill\n", true),
    ] {
        let script = "#!/bin/sh\necho $$\nread line\necho ended >>done\n";
        let mut setup = Setup::with(name, settings, &[("waits", script)], |_| {});
        let (mut feed, mut reader) = start_fed(&setup, 1, "waits");
        setup.started();
        let script = told(&mut reader);
        abandon(&mut setup);
        // An answer on the new channel: the old one's end has been seen.
        setup.start(1, "none");
        assert_eq!(setup.failed().step, Step::Open, "{name}");
        if !goes_on {
            ends(&script);
        }
        let _it_may_have_ended = feed.write_all(b"line\n");
        ends(&script);
        assert_eq!(setup.root.join("done").exists(), goes_on, "{name}");
        setup.finish();
    }
}

#[test]
fn the_grace_of_a_dead_workers_script_is_its_places() {
    let script = "#!/bin/sh\ntrap 'echo told' TERM\necho $$\nread line\nread line\n";
    let mut setup = Setup::with("abandoned-grace", "CGIKillGrace 50ms\n", &[("deaf", script)], |_| {});
    let (_feed, mut reader) = start_fed(&setup, 1, "deaf");
    setup.started();
    let script = told(&mut reader);
    let begun = Instant::now();
    abandon(&mut setup);
    ends(&script);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    setup.finish();
}

#[test]
fn a_kernel_that_lists_no_children_is_asked_another_way() {
    let without_lists = |spawner: &mut super::Spawner| {
        let table = spawner.starter.table.take().expect("/proc is there");
        spawner.starter.table = Some(table.without_lists());
    };
    let setup = Setup::with("ward-asks", KILL_SOON, &[("daemon", DAEMON)], without_lists);
    let mut reader = setup.start(1, "daemon");
    setup.started();
    let daemon = told(&mut reader);
    assert_eq!(setup.ended(), (1, Exit::Code(0)));
    ends(&daemon);
    setup.finish();
}

#[test]
fn without_proc_the_group_is_ended_and_the_rest_is_left() {
    let script = format!("{DAEMON}(trap '' TERM; echo deaf; while :; do sleep 1000; done) &\nread line\n");
    let setup = Setup::with("ward-blind", KILL_LATE, &[("both", &script)], |spawner| {
        spawner.starter.table = None;
    });
    let (mut feed, mut reader) = start_fed(&setup, 1, "both");
    setup.started();
    let mut text = Vec::new();
    let mut block = [0; 64];
    while !text.ends_with(b"deaf\n") {
        let count = reader.read(&mut block).expect("it can be read");
        text.extend(&block[..count]);
    }
    let text = String::from_utf8(text).expect("text");
    let daemon = text.lines().find_map(|line| line.parse().ok()).expect("its number");
    let daemon = Pidfd::open(daemon).expect("it runs");
    feed.write_all(b"line\n").expect("it reads");
    assert_eq!(setup.ended(), (1, Exit::Code(0)));
    assert_eq!(all(reader), "", "the one in the group is gone");
    assert!(!is_over(&daemon));
    setup.finish(); // the warden gives up
    assert!(!is_over(&daemon));
    daemon.signal(Signal::KILL).expect("ours");
    ends(&daemon);
}
