//! What a script that was taken over can do: `apps/probe.c` runs as a script under each setting and tries line by line what
//! the privileges chapter speaks of; its table must equal the one in `probe/NAME.txt` (`BLESS=1` writes it).
//!
//! A setting is one entry of `settings.rs`. With `ORACLE=apache2`, the installed Apache is asked, and its tables are compared with
//! those of the manual. What depends on the machine and not on the server is compared where the machine allows it.

mod attempts;
mod settings;
mod side_by_side;
mod table;
mod world;

use std::fs;
use std::time::Duration;

use libtest_mimic::{Completion, Failed, Trial};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::processes;
use crate::support::server::{self, Server, bench, privileged};
use crate::support::wire::{Judge, Wire};

use settings::{Given, SETTINGS, Setting};
use table::{Outside, compare, table};
use world::{SECRET, World};

const PATIENCE: Duration = Duration::from_secs(30);
/// A line that the script wants to see in the log as if the server had written it.
const FORGED: &str = "[Fri Nov 20 00:00:00.000000 2026] [core:emerg] [pid 1] AH00000: forged";
/// How long what a script left behind may take to be gone: longer than the grace of `CGIProcessTree kill`.
const GRACE: Duration = Duration::from_secs(8);

/// All tests of this directory.
pub fn trials() -> Vec<Trial> {
    let wanted = |setting: &&Setting| {
        let can = privileged() || setting.given == Given::Ordinary;
        can && setting.apache.is_some() == bench().oracle
    };
    let trial = |setting: &'static Setting| {
        Trial::ignorable_test(format!("probe::{}", setting.name), move || match setting.missing() {
            Some(reason) => Ok(Completion::ignored_with(reason)),
            None => play(setting).map(|()| Completion::Completed).map_err(Failed::from),
        })
    };
    let mut trials: Vec<Trial> = SETTINGS.iter().filter(wanted).map(trial).collect();
    trials.extend(side_by_side::trials());
    trials
}

/// Runs the probe under one setting and compares its table.
fn play(setting: &Setting) -> Result<(), String> {
    let mut world = World::prepare(setting)?;
    let command = setting.command(&world.root)?;
    let server = Server::boot(&world.root, command, &[], &format!("127.0.0.1:{}", world.port))?;
    world.meet(&server)?;
    world.set_task(setting)?;
    let said = ask(&server.listeners[0], "a.example", "/cgi-bin/probe?a+b")?;
    let said = String::from_utf8_lossy(&said).into_owned();
    let is_patient = blessing() || setting.expected.contains(&format!("{}: gone", attempts::LEFT_BEHIND));
    let outside = Outside {
        left_behind: left_behind(&world, is_patient),
        source: source_by_url(&server.listeners[0])?,
        launcher: fs::read_to_string(format!("/proc/{}/status", world.launcher)).unwrap_or_default(),
    };
    let root = world.root.clone();
    world.end();
    server.stop()?;
    let log = fs::read_to_string(root.join("error.log")).unwrap_or_default();
    let table = table(setting, &said, &outside, &log);
    if blessing() {
        fs::write(setting.golden(), &table).map_err(|e| format!("{}: {e}", setting.golden().display()))?;
    } else {
        compare(setting.expected, &table)?;
    }
    let _left_for_the_end_of_the_run = fs::remove_dir_all(root);
    Ok(())
}

pub fn blessing() -> bool {
    std::env::var_os("BLESS").is_some_and(|v| v == "1")
}

/// Whether the process that the script left behind is gone, in time where that is expected; it is ended in any case.
fn left_behind(world: &World, is_patient: bool) -> &'static str {
    let name = attempts::daemon_name(world);
    let patience = if is_patient { GRACE } else { Duration::ZERO };
    let gone = server::poll(patience, || match processes::named(&name) {
        Some(process) => Err(process.name),
        None => Ok(()),
    });
    if let Some(process) = processes::named(&name) {
        end(process.pid);
    }
    if gone.is_ok() { "gone" } else { "lives on" }
}

fn end(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _already_gone = kill_process(pid, Signal::KILL);
    }
}

/// Asks for a script that is not executable in every spelling that has shown a source somewhere.
fn source_by_url(address: &str) -> Result<String, String> {
    for spelling in [
        "/cgi-bin/other.cgi",
        "/cgi-bin/other.cgi/",
        "/cgi-bin/other.cgi/x",
        "/cgi-bin/other.cgi%00",
        "/cgi-bin/other.cgi%00.html",
        "/cgi-bin/other.cgi%20",
        "/cgi-bin/other.cgi.",
        "/cgi-bin/other.cgi~",
        "/cgi-bin/OTHER.CGI",
        "/CGI-BIN/other.cgi",
        "/cgi-bin//other.cgi",
        "//cgi-bin/other.cgi",
        "/cgi-bin/./other.cgi",
        "/cgi-bin/%2e/other.cgi",
        "/./cgi-bin/other.cgi",
        "/cgi-bin%2fother.cgi",
        "/cgi-bin\\other.cgi",
        "/cgi-bin/x/../other.cgi",
        "/../cgi-bin/other.cgi",
        "/%2e%2e/cgi-bin/other.cgi",
        "/..%2fcgi-bin/other.cgi",
        "/%252e%252e/cgi-bin/other.cgi",
        "/%c0%ae%c0%ae/cgi-bin/other.cgi",
        "/cgi-bin/../../b/cgi-bin/secrets.cgi",
        "/cgi-bin/..%2f..%2fb/cgi-bin/secrets.cgi",
        "/cgi-bin/other.cgi?-s",
        "/cgi-bin/other.cgi::$DATA",
        "/cgi-bin/other%2ecgi",
    ] {
        let head = format!("GET {spelling} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n");
        let mut wire = Wire::connect(address, PATIENCE)?;
        wire.send(head.as_bytes())?;
        let reply = wire.rest()?;
        if memchr::memmem::find(&reply.body, SECRET.as_bytes()).is_some() {
            return Ok(format!("as {spelling}"));
        }
    }
    Ok("in no spelling".into())
}

/// One request with fields that must not become variables of the server's own; the body of the reply.
fn ask(address: &str, host: &str, target: &str) -> Result<Vec<u8>, String> {
    let mut wire = Wire::connect(address, PATIENCE)?;
    let head = format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nProxy: http://evil.example\r\nLd-Preload: /tmp/evil.so\r\n\
         Connection: close\r\n\r\n"
    );
    wire.send(head.as_bytes())?;
    let reply = wire.reply(Judge::Loose)?;
    if reply.status_line.starts_with(b"HTTP/1.1 200 ") {
        Ok(reply.body)
    } else {
        Err(format!("{host}{target}: {reply:?}"))
    }
}

/// Starts the other site's script, which waits; its connection.
fn start_sibling(address: &str) -> Result<Wire, String> {
    let mut wire = Wire::connect(address, PATIENCE)?;
    wire.send(b"GET /cgi-bin/sibling HTTP/1.0\r\nHost: b.example\r\n\r\n")?;
    wire.wait_for(b"sibling runs")?;
    Ok(wire)
}
