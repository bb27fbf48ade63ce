//! A worker and a spawner that were taken over and talk nonsense, or lies, to the launcher.

use std::fs::File;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

use super::Reports;
use super::{Generation, MESSAGES_A_TURN, OpenLogs, Phase, RoleProcess, START_LIMIT};
use crate::base::testing::{Dice, alone};
use crate::config::keyring::Keyring;
use crate::launcher::Listen;
use crate::launcher::bind::{Ground, bind_all};
use crate::launcher::programs::Programs;
use crate::launcher::roles::Stock;
use crate::process::channel::{Channel, Wait};
use crate::process::child::Child;
use crate::process::environment::Environment;
use crate::process::inherit::Role;
use crate::process::memfd;
use crate::process::message::FromWorker;
use crate::process::pidfd::Pidfd;

const PACKETS: usize = 200_000;

fn generation(phase: Phase) -> (Generation, Channel, Channel) {
    let (worker_end, to_worker) = Channel::pair().expect("sockets work");
    let (spawner_end, to_spawner) = Channel::pair().expect("sockets work");
    let null = Rc::new(OwnedFd::from(File::open("/dev/null").expect("every system has it")));
    let loopback = Listen::own(([127, 0, 0, 1], 0).into());
    let ground = Ground {
        bound: Vec::new(),
        copies: 1,
        backlog: 1,
        lines: &[],
        at_once: &[],
        silence: 0,
    };
    let mut generation = Generation {
        number: 1,
        read: std::time::SystemTime::UNIX_EPOCH,
        reports: Reports::default(),
        maps: crate::launcher::maps::Maps::default(),
        worker: RoleProcess::new(Role::Worker),
        spawner: RoleProcess::new(Role::Spawner),
        listeners: bind_all(&[loopback], &ground).expect("the loopback is there"),
        logs: OpenLogs::open(
            &[],
            None,
            &mut Programs::new(Rc::clone(&null), Rc::clone(&null), Environment::default()),
        )
        .expect("nothing to open"),
        phase,
        worker_begun: true,
        drain_at: None,
        drain_limit: Duration::ZERO,
        shows_draining: true,
        program: Rc::clone(&null),
        settings: memfd::sealed("settings", b"").expect("memory files work"),
        keys: memfd::sealed("keys", b"").expect("memory files work"),
        orphans: Vec::new(),
        questions: Vec::new(),
        news: Vec::new(),
        answers: Keyring::default(),
        worker_as: None,
        spawner_as: None,
        lines: Vec::new(),
    };
    generation.worker.channel = Some(to_worker);
    generation.spawner.channel = Some(to_spawner);
    (generation, worker_end, spawner_end)
}

#[test]
fn a_worker_that_was_not_asked_to_drain_keeps_its_listeners_for_its_successor() {
    let soon = Instant::now() + Duration::from_secs(60);
    for (phase, left) in [
        (Phase::Serving, 1),
        (Phase::Starting(soon), 1),
        (Phase::Draining, 0),
        (Phase::Stopping(soon), 0),
    ] {
        let (mut generation, worker, _spawner) = generation(phase);
        worker
            .tell(&FromWorker::AcceptingEnded, Wait::Yes)
            .expect("there is room");
        generation.hear_worker();
        assert_eq!(generation.listeners.len(), left, "{phase:?}");
    }
}

/// What was to drain a moment later, for the sake of those who connect, is told to stop or is killed before.
#[test]
fn a_drain_that_was_put_off_takes_no_stop_back() {
    let stock = stock();
    let soon = Instant::now() + Duration::from_millis(1);
    let later = soon + Duration::from_millis(1);
    for (order, expected) in [
        (Generation::stop as fn(&mut Generation), "Stopping"),
        (Generation::hurry, "Stopping"),
        (Generation::kill, "Killed"),
    ] {
        let (mut generation, _worker, _spawner) = generation(Phase::Draining);
        generation.drain_at = Some(soon);
        order(&mut generation);
        generation.pass_time(&stock, later);
        let phase = format!("{:?}", generation.phase);
        assert!(phase.starts_with(expected), "{phase}");
    }
}

/// A worker that is stuck keeps no reload from its end: it is killed while it drains too, only later.
#[test]
fn a_worker_that_drains_and_is_stuck_is_not_waited_for_without_end() {
    let limit = Some(Duration::from_secs(3));
    let own = i32::try_from(std::process::id()).expect("small");
    let silence = |phase, is_of_ours| {
        let (mut generation, _worker, _spawner) = generation(phase);
        generation.worker.child = Some(Child {
            pid: own,
            pidfd: Pidfd::open(own).expect("it is us"),
        });
        generation.worker.is_ready = true;
        generation.shows_draining = is_of_ours;
        let at = generation.next_time(limit);
        at.map(|at| at.saturating_duration_since(generation.worker.heard))
    };
    assert_eq!(silence(Phase::Serving, true), limit);
    assert_eq!(silence(Phase::Draining, true), Some(START_LIMIT));
    assert_eq!(silence(Phase::Draining, false), None, "of an older version");
    assert_eq!(silence(Phase::Killed, true), None);
}

fn stock() -> Stock {
    let null = Rc::new(OwnedFd::from(File::open("/dev/null").expect("every system has it")));
    Stock {
        program: Rc::clone(&null),
        argv: |_| Vec::new(),
        env: Environment::default(),
        null: Rc::clone(&null),
        stderr: null,
        secret: Vec::new(),
        silence: None,
    }
}

#[test]
fn a_role_that_talks_on_and_on_has_its_turn_only() {
    let (mut generation, worker, _spawner) = generation(Phase::Serving);
    for _ in 0..MESSAGES_A_TURN + 3 {
        worker.tell(&FromWorker::Ready, Wait::Yes).expect("there is room");
    }
    generation.hear_worker();
    let channel = generation.worker.channel.as_ref().expect("it is open");
    for _ in 0..3 {
        channel.receive(Wait::No).expect("something is left");
    }
    assert!(channel.receive(Wait::No).is_err(), "nothing more is");
}

/// Whatever they say, a role is taken for ready at most, or heard no more.
#[test]
fn nonsense_of_a_role_has_no_effect() {
    if !alone("launcher::generation::tests::nonsense_of_a_role_has_no_effect") {
        return;
    }
    let null = OwnedFd::from(File::open("/dev/null").expect("every system has it"));
    let mut dice = Dice::new(19);
    let mut sent = 0;
    while sent < PACKETS {
        let (mut generation, worker, spawner) = generation(Phase::Serving);
        while generation.worker.channel.is_some() && generation.spawner.channel.is_some() && sent < PACKETS {
            for end in [&worker, &spawner] {
                send_nonsense(end, &mut dice, null.as_fd());
                sent += 1;
            }
            generation.hear_worker();
            generation.hear_spawner();
            assert_eq!(generation.phase, Phase::Serving);
            assert_eq!(generation.listeners.len(), 1);
            for role in [&generation.worker, &generation.spawner] {
                assert!(role.child.is_none() && role.restart_at.is_none());
            }
        }
    }
}

/// One packet: nearly always of a form and a beginning that are known, so that what is behind them is read.
fn send_nonsense(end: &Channel, dice: &mut Dice, null: BorrowedFd<'_>) {
    let form = u8::from(dice.below(500) == 0);
    let mut payload = dice.bytes(20);
    if let Some(first) = payload.first_mut() {
        *first %= 4;
    }
    let rights = vec![null; [0, 0, 0, 1, 3][dice.below(5)]];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !rights.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&rights));
    }
    let form = [form];
    let parts = [IoSlice::new(&form), IoSlice::new(&payload)];
    rustix::net::sendmsg(end, &parts, &mut control, SendFlags::NOSIGNAL).expect("there is room");
}
