//! The launcher as it is: a process with roles. The test binary is executed again as launcher, and by that as worker
//! and spawner, both made of a few lines; `env --block-signal` stands in for a process with a single thread.

mod fixture;

use std::fs;
use std::io::{BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;

use super::{Launch, Listen, Outcome, StandardError, run};
use crate::process::inherit::{Inherited, Role};
use crate::process::title;
use fixture::{PLACE, Server, finish, is_alive, launch, place, plan, role_argv, send, until};

/// The launcher of the other tests; on its own it does nothing.
#[test]
fn as_launcher() {
    let Some(place) = std::env::var_os(PLACE).map(PathBuf::from) else {
        return;
    };
    let is_impatient = fs::read(place.join("settings")).is_ok_and(|settings| settings.starts_with(b"impatient"));
    let silence = Duration::from_secs(if is_impatient { 3 } else { 10 });
    let result = run(Launch {
        load: &mut || plan(&place),
        check: &|| (Vec::new(), true),
        role_argv,
        ready: &mut |addresses: &[SocketAddr]| println!("\nready {}", addresses.first().expect("there is one")),
        stderr: StandardError::Log,
        silence: Some(silence),
        command: None,
        socket: None,
        handed_over: None,
    });
    if let Err(error) = &result {
        eprintln!("{error}");
    }
    std::process::exit(i32::from(result.is_err()));
}

/// A role of the other tests; on its own it does nothing.
#[test]
fn as_role() {
    if std::env::var_os(PLACE).is_none() {
        return;
    }
    let inherited = Inherited::take().expect("started by a launcher");
    title::keep_first_argument(c"lychgate").expect("/proc is there");
    match inherited.role {
        Role::Worker => fixture::worker(inherited),
        Role::Spawner => fixture::spawner(&inherited),
    }
    std::process::exit(0);
}

#[test]
fn it_serves_by_roles_with_names_and_stops() {
    let server = Server::start("serves", "one");
    let (worker, spawner) = (server.role("worker"), server.role("spawner"));
    assert_eq!(server.ask("who"), format!("{worker} one"));
    assert_eq!(
        fs::read_to_string(server.place.join("pid")).expect("made"),
        format!("{}\n", server.launcher.id())
    );
    assert_eq!(server.roles().len(), 2);
    server.stop();
    assert!(!is_alive(worker) && !is_alive(spawner));
}

#[test]
fn what_dies_is_started_again() {
    let server = Server::start("dies", "one");
    let (worker, spawner) = (server.role("worker"), server.role("spawner"));
    assert_eq!(server.ask("die"), "");
    assert_ne!(server.worker_pid(), worker); // the connection waited for the new one
    server.wait_for_log("the worker died (exit status 3): it is started again");
    server.wait_for_log("another channel");
    let process = rustix::process::Pid::from_raw(i32::try_from(spawner).expect("small")).expect("not 0");
    rustix::process::kill_process(process, Signal::KILL).expect("it runs");
    server.wait_for_log("the spawner died (signal 9 (SIGKILL)): it is started again");
    server.wait_for_log("heard of a new spawner");
    assert_ne!(server.role("spawner"), spawner);
    server.stop();
}

#[test]
fn a_reload_serves_the_new_and_finishes_the_old() {
    let server = Server::start("reload", "one");
    let (old, old_spawner) = (server.worker_pid(), server.role("spawner"));
    let held = server.connect();
    assert_eq!(server.ask("who"), format!("{old} one")); // so the one before is accepted
    fs::write(server.place.join("settings"), "two").expect("there is room");
    server.signal(Signal::HUP);
    server.wait_for_log("serving by the new settings");
    // Listeners have a queue each, so one connection may still meet the old worker while it drains.
    let new = until("the new settings", || {
        Some(server.ask("who")).filter(|answer| answer.ends_with(" two"))
    });
    assert!(!new.starts_with(&old.to_string()));
    assert_eq!(finish(held, "who"), format!("{old} one"));
    until("the old roles to end", || {
        (!is_alive(old) && !is_alive(old_spawner)).then_some(())
    });
    server.stop();
}

#[test]
fn a_reload_with_errors_changes_nothing_but_opens_the_logs() {
    let server = Server::start("bad-reload", "one");
    let worker = server.worker_pid();
    fs::write(server.place.join("settings"), "bad").expect("there is room");
    fs::rename(server.place.join("error"), server.place.join("error.1")).expect("it is there");
    server.signal(Signal::USR1);
    server.wait_for_log("the settings in force stay as they are");
    let old = fs::read_to_string(server.place.join("error")).expect("it was opened anew");
    for line in [
        "settings:1: Bad: is no word\n",
        "settings:2: nor this\n",
        "the settings in force stay as they are\n",
    ] {
        assert!(old.contains(line), "{old}");
    }
    assert_eq!(server.ask("who"), format!("{worker} one"));
    server.stop();
}

#[test]
fn connections_are_never_refused_while_reloading() {
    let server = Server::start("reloads", "one");
    for round in 0..5 {
        fs::write(server.place.join("settings"), format!("{round}")).expect("there is room");
        server.signal(Signal::HUP);
        until("the new settings", || {
            let answer = server.ask("who");
            let (_, settings) = answer.split_once(' ').expect("always an answer");
            (settings == round.to_string()).then_some(())
        });
    }
    server.stop();
}

#[test]
fn a_start_with_errors_fails_and_says_why() {
    let place = place("bad-start");
    let output = launch(&place, "bad").wait_with_output().expect("ours");
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).expect("text");
    assert!(
        error.contains("settings:1: Bad: is no word\nsettings:2: nor this\n"),
        "{error}"
    );
    fs::remove_dir_all(place).expect("ours");
}

#[test]
fn a_second_server_is_refused_by_pid_file_and_by_address() {
    let server = Server::start("first", "one");
    let output = launch(&server.place, "one").wait_with_output().expect("ours");
    let error = String::from_utf8(output.stderr).expect("text");
    assert!(
        error.contains(&format!("already running as pid {}", server.launcher.id())),
        "{error}"
    );
    let other = place("second");
    let output = launch(&other, &format!("port {}", server.address.port()))
        .wait_with_output()
        .expect("ours");
    let error = String::from_utf8(output.stderr).expect("text");
    assert!(
        error.contains(&format!("Listen {}: Address already in use", server.address)),
        "{error}"
    );
    fs::remove_dir_all(other).expect("ours");
    server.stop();
}

#[test]
fn log_programs_are_started_again_and_lose_nothing() {
    let server = Server::start("piped", "one");
    let lines = |count| {
        let text = fs::read_to_string(server.place.join("piped")).unwrap_or_default();
        (text == "logged\n".repeat(count)).then_some(())
    };
    assert_eq!(server.ask("log"), "Ok(7)");
    until("the first line", || lines(1));
    let shell = until("the program", || program_of(&server));
    let process = rustix::process::Pid::from_raw(shell).expect("not 0");
    rustix::process::kill_process_group(process, Signal::KILL).expect("it runs");
    server.wait_for_log("ended (signal 9 (SIGKILL)): it is started again");
    assert_eq!(server.ask("log"), "Ok(7)");
    until("the second line", || lines(2));
    assert_eq!(server.ask("log"), "Ok(7)");
    let piped = server.place.join("kept");
    fs::hard_link(server.place.join("piped"), &piped).expect("there is room");
    let elsewhere = place("piped-kept");
    fs::rename(&piped, &elsewhere).expect("there is room");
    server.stop();
    assert_eq!(
        fs::read_to_string(&elsewhere).expect("it is there"),
        "logged\n".repeat(3)
    );
    fs::remove_file(elsewhere).expect("ours");
}

/// The log program's process: the only child of the launcher that is no role.
fn program_of(server: &Server) -> Option<i32> {
    let pid = server.launcher.id();
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let lists = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok());
    let children: Vec<u32> = lists
        .flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|pid| pid.parse().ok())
        .collect();
    let roles: Vec<u32> = server.roles().into_iter().map(|(pid, _)| pid).collect();
    children
        .into_iter()
        .find(|pid| !roles.contains(pid))
        .and_then(|pid| i32::try_from(pid).ok())
}

#[test]
fn a_graceful_stop_waits_for_what_is_under_way() {
    let mut server = Server::start("graceful", "one");
    let held = server.connect();
    let worker = server.worker_pid();
    server.signal(Signal::WINCH);
    server.wait_for_log("stopping when the last connection has ended");
    assert_eq!(finish(held, "who"), format!("{worker} one"));
    server.ends_well();
}

#[test]
fn roles_do_not_outlive_a_killed_launcher() {
    let mut server = Server::start("killed", "one");
    let roles = server.roles();
    server.launcher.kill().expect("ours");
    server.launcher.wait().expect("ours");
    until("the roles to end", || {
        roles.iter().all(|(pid, _)| !is_alive(*pid)).then_some(())
    });
}

#[test]
fn as_root_the_roles_are_somebody_else() {
    if !crate::process::identity::Identity::process_is_root() {
        println!("not run: needs root");
        return;
    }
    let server = Server::start("nobody", "nobody");
    let status = server.ask("status");
    let nobody = crate::process::identity::Identity::look_up(b"nobody", None)
        .expect("it is known")
        .uid;
    assert_eq!(
        status,
        format!("{nobody}\t{nobody}\t{nobody}\t{nobody} nnp 1 caps 0000000000000000")
    );
    assert_eq!(server.role("worker"), server.worker_pid());
    server.stop();
}

#[test]
fn as_root_without_a_user_only_loopback_is_served() {
    use super::{Notes, who::identity};
    let place = place("root");
    fs::create_dir_all(&place).expect("there is room");
    fs::write(place.join("settings"), "x").expect("there is room");
    let mut plan = plan(&place).expect("it is good");
    fs::remove_dir_all(place).expect("ours");
    assert_eq!(identity(&plan, Notes::Kept), Ok(None));
    plan.listeners.push(Listen::port(80));
    let result = identity(&plan, Notes::Kept);
    if crate::process::identity::Identity::process_is_root() {
        assert_eq!(
            result,
            Err("started as root: a `User` line is needed, which says who serves requests".to_owned())
        );
    } else {
        assert_eq!(result, Ok(None));
    }
}

#[test]
fn a_worker_without_a_sign_of_life_is_replaced() {
    let server = Server::start("silent", "impatient");
    let worker = server.role("worker");
    send(worker, Signal::STOP);
    server.wait_for_log("the worker gives no sign of life: it is killed");
    server.wait_for_log("the worker died (signal 9 (SIGKILL)): it is started again");
    assert_ne!(server.worker_pid(), worker);
    server.stop();
}

#[test]
fn a_launcher_that_was_held_up_blames_nobody() {
    let server = Server::start("held-up", "impatient");
    let worker = server.worker_pid();
    let everybody: Vec<u32> = server.roles().into_iter().map(|(pid, _)| pid).collect();
    for pid in &everybody {
        send(*pid, Signal::STOP);
    }
    send(server.launcher.id(), Signal::STOP);
    std::thread::sleep(Duration::from_secs(4)); // as a container that is paused
    send(server.launcher.id(), Signal::CONT);
    for pid in &everybody {
        send(*pid, Signal::CONT);
    }
    assert_eq!(server.worker_pid(), worker);
    server.stop();
}

#[test]
fn a_restart_cuts_what_is_under_way_and_keeps_the_address() {
    let server = Server::start("restart", "one");
    let (old, old_spawner) = (server.worker_pid(), server.role("spawner"));
    let held = server.connect();
    assert_eq!(server.ask("who"), format!("{old} one")); // so the one before is accepted
    fs::write(server.place.join("settings"), "two").expect("there is room");
    server.signal(Signal::USR2);
    server.wait_for_log("serving by the new settings");
    let mut nothing = String::new();
    let _cut = BufReader::new(&held).read_to_string(&mut nothing);
    assert_eq!(nothing, "");
    until("the new settings", || {
        Some(server.ask("who")).filter(|answer| answer.ends_with(" two"))
    });
    until("the old roles to end", || {
        (!is_alive(old) && !is_alive(old_spawner)).then_some(())
    });
    server.stop();
}

#[test]
fn who_asks_for_a_reload_hears_what_came_of_it() {
    let server = Server::start("asked", "one");
    for (settings, signal, expected) in [
        ("two", Signal::USR1, Ok(())),
        (
            "bad",
            Signal::USR1,
            Err("settings:1: Bad: is no word\nsettings:2: nor this".to_owned()),
        ),
        (
            "bad",
            Signal::USR2,
            Err("settings:1: Bad: is no word\nsettings:2: nor this".to_owned()),
        ),
        ("three", Signal::USR2, Ok(())),
    ] {
        fs::write(server.place.join("settings"), settings).expect("there is room");
        let outcome = server.reload(signal);
        assert_eq!(outcome, Outcome::Told(expected.clone()));
        if expected.is_ok() {
            let answer = server.ask("who");
            assert!(answer.ends_with(settings), "{answer}");
        }
    }
    server.stop();
}

#[test]
fn a_hundred_reloads_leave_no_descriptor_behind() {
    let server = Server::start("leaks", "0");
    let open = || {
        fs::read_dir(format!("/proc/{}/fd", server.launcher.id()))
            .expect("it runs")
            .count()
    };
    let before = open();
    for round in 1..=100 {
        fs::write(server.place.join("settings"), round.to_string()).expect("there is room");
        assert_eq!(server.reload(Signal::USR1), Outcome::Told(Ok(())));
    }
    assert!(server.ask("who").ends_with(" 100"));
    until("the old ones to be let go", || {
        (server.roles().len() == 2 && open() <= before).then_some(())
    });
    server.stop();
}

#[test]
fn one_that_keeps_dying_is_started_ever_later() {
    let server = Server::start("keeps-dying", "one");
    for _ in 0..3 {
        assert_eq!(server.ask("die"), "");
        server.worker_pid(); // waits for the next one
    }
    server.wait_for_log("the worker died (exit status 3): it is started again\n");
    server.wait_for_log("the worker died (exit status 3): it is started again in 100ms\n");
    server.wait_for_log("the worker died (exit status 3): it is started again in 200ms\n");
    server.stop();
}
