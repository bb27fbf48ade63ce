//! Services with a process that is stuck: Watchdog ends it, whoever waits for it and whoever does not any more.

use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};
use rustix::process::Signal;

use crate::support::server::kill;
use crate::support::services::{asked, boot, end, pid, running, service};
use crate::support::wire::{Judge, show};

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    let watchdog = |name: &str, test: fn() -> Result<(), String>| {
        Trial::test(format!("watchdog::{name}"), move || test().map_err(Failed::from))
    };
    vec![
        watchdog("one_of_five_is_stopped", one_of_five_is_stopped),
        watchdog(
            "impatient_clients_do_not_hide_a_stuck_process",
            impatient_clients_do_not_hide_a_stuck_process,
        ),
    ]
}

/// OK-6 of the plan: one of five is stopped. The others go on, and it is replaced within its time and a second.
fn one_of_five_is_stopped() -> Result<(), String> {
    let names = ["a", "b", "c", "d", "e"];
    let lines: Vec<String> = names
        .iter()
        .flat_map(|name| service(name, "--service", "Watchdog 1\nQueue 4"))
        .collect();
    let (root, server) = boot("stopped", &lines)?;
    let old = pid(&server, "c")?;
    // Whoever is too young cannot have been silent for its time.
    std::thread::sleep(Duration::from_millis(1100));
    kill(old, Signal::STOP);
    let stopped = Instant::now();
    let mut wires = (0..20)
        .map(|_| asked(&server, "/c/x?pid"))
        .collect::<Result<Vec<_>, _>>()?;
    let mut slowest = Duration::ZERO;
    while stopped.elapsed() < Duration::from_millis(900) {
        for name in ["a", "b", "d", "e"] {
            let asked = Instant::now();
            pid(&server, name)?;
            slowest = slowest.max(asked.elapsed());
        }
    }
    let mut seen = std::collections::BTreeMap::new();
    for wire in &mut wires {
        let reply = wire.reply(Judge::Strict)?;
        let status = show(&reply.status_line)
            .split(' ')
            .nth(1)
            .unwrap_or_default()
            .to_owned();
        if status == "200" && show(&reply.body).trim() == old.to_string() {
            return Err("the stopped one has answered".into());
        }
        *seen.entry(status).or_insert(0) += 1;
    }
    let took = stopped.elapsed();
    println!("{seen:?}; the last after {took:?}; the slowest of the others {slowest:?}");
    if took > Duration::from_secs(10) || slowest > Duration::from_secs(5) {
        return Err(format!("{took:?}, {slowest:?}"));
    }
    if !seen.contains_key("200") || !seen.contains_key("503") || seen.len() > 2 {
        return Err(format!("{seen:?}"));
    }
    let told = format!("c: process {old} is stuck: .*\\(Watchdog\\)");
    end(&root, server, &[&told, "service:c`: its queue is full"])
}

/// Clients that leave, or are turned away, are no words of the process that they waited for.
fn impatient_clients_do_not_hide_a_stuck_process() -> Result<(), String> {
    let (root, server) = boot("impatient", &service("app", "--service", "Watchdog 1\nQueue 4"))?;
    let old = pid(&server, "app")?;
    std::thread::sleep(Duration::from_millis(1100));
    kill(old, Signal::STOP);
    let stopped = Instant::now();
    let mut waiting = std::collections::VecDeque::new();
    let mut left = 0;
    let new = loop {
        waiting.push_back(asked(&server, "/app/x?pid")?);
        // There is always somebody who waits, and never for long.
        if waiting.len() > 3 {
            drop(waiting.pop_front());
            left += 1;
        }
        std::thread::sleep(Duration::from_millis(50));
        let now = running(&server);
        if let Some(new) = now.iter().find(|pid| **pid != old) {
            break *new;
        }
        if stopped.elapsed() > Duration::from_secs(10) {
            return Err(format!("{left} clients have left, and it is still there"));
        }
    };
    println!(
        "{new} in its place after {:?}, {left} clients had left",
        stopped.elapsed()
    );
    drop(waiting);
    end(
        &root,
        server,
        &[
            &format!("app: process {old} is stuck: .*\\(Watchdog\\)"),
            "queue is full",
        ],
    )
}
