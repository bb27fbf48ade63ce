//! Every message goes round; every cut, every tail and every odd descriptor is refused.

use std::fmt::Debug;
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::{
    Failed, FirstNews, FromSpawner, FromWorker, Message, MessageError, Order, Runs, ScriptNews, ScriptOrder, Start,
    ToSpawner, ToWorker,
};
use crate::process::child::Step;
use crate::process::limits::{Limit, Resource};
use crate::process::pidfd::{Ended, Exit};
use crate::process::report::{ProcessReport, ServerReport, ServiceReport};
use crate::process::usage::Usage;

fn fd() -> OwnedFd {
    std::fs::File::open("/dev/null").expect("it is there").into()
}

fn start(stdin: Option<OwnedFd>) -> ScriptOrder {
    ScriptOrder::Start(Start {
        id: u64::MAX - 1,
        order: Order {
            place: 7,
            path: b"sub/env.cgi".to_vec(),
            runs: Runs::Wrapper,
            arguments: vec![b"a".to_vec(), Vec::new()],
            env: [("QUERY_STRING", &b"x=\xff"[..]), ("EMPTY", b"")].into_iter().collect(),
            limits: vec![Limit {
                resource: Resource::Memory,
                soft: Some(1 << 40),
                hard: None,
            }],
            first_news: FirstNews::WithEnd,
            stdin,
        },
        released: vec![1, 5],
        stdout: fd(),
        stderr: fd(),
    })
}

fn server() -> ServerReport {
    let process = ProcessReport {
        role: "worker 1".to_owned(),
        pid: 4711,
        age: Duration::from_secs(9),
        usage: Usage {
            user: Duration::from_millis(1),
            system: Duration::from_millis(2),
            children_user: Duration::from_millis(3),
            children_system: Duration::from_millis(4),
            memory: 5,
        },
        restarts: 6,
        requests: 7,
        connections: 8,
    };
    let service = ServiceReport {
        name: "wiki".to_owned(),
        state: "running".to_owned(),
        least: 1,
        most: 2,
        leaving: 3,
        requests: 4,
        restarts: 5,
        processes: vec![process.clone()],
    };
    ServerReport {
        up: Duration::from_secs(1),
        generation: 2,
        processes: vec![process.clone(), process.clone()],
        services: vec![service],
        asked: vec![process],
    }
}

fn clones(message: &impl Message) -> Vec<OwnedFd> {
    message
        .encode()
        .1
        .iter()
        .map(|fd| fd.try_clone_to_owned().expect("descriptors are free"))
        .collect()
}

/// The debugging form without descriptor numbers, which differ.
fn shown(message: &impl Debug) -> String {
    let mut shown = format!("{message:?}");
    while let Some(at) = shown.find("OwnedFd") {
        let end = shown[at..].find('}').map_or(shown.len(), |end| at + end + 1);
        shown.replace_range(at..end, "_");
    }
    shown
}

fn check<M: Message + Debug>(message: &M) {
    let payload = message.encode().0;
    let decoded = M::decode(&payload, clones(message)).unwrap_or_else(|error| panic!("{message:?}: {error}"));
    assert_eq!(shown(&decoded), shown(message));
    for cut in 0..payload.len() {
        let error = M::decode(&payload[..cut], clones(message)).expect_err("cut short");
        assert_eq!(error, MessageError::Malformed, "{message:?} at {cut}");
    }
    let mut longer = payload.clone();
    longer.push(0);
    assert_eq!(
        M::decode(&longer, clones(message)).expect_err("one byte more"),
        MessageError::Malformed
    );
    let mut odd = payload.clone();
    odd[0] = 200;
    assert_eq!(
        M::decode(&odd, clones(message)).expect_err("odd kind"),
        MessageError::UnknownKind(200)
    );
    for position in 1..payload.len() {
        for value in [0, 1, 2, 0x7f, 0x80, 0xff] {
            let mut garbled = payload.clone();
            garbled[position] = value;
            let _any_answer_but_panic = M::decode(&garbled, clones(message));
        }
    }
}

fn check_descriptors<M: Message + Debug>(message: &M) {
    let payload = message.encode().0;
    let mut one_more = clones(message);
    one_more.push(fd());
    assert_eq!(
        M::decode(&payload, one_more).expect_err("one more"),
        MessageError::Descriptors,
        "{message:?}"
    );
    let mut one_less = clones(message);
    if one_less.pop().is_some() {
        assert_eq!(
            M::decode(&payload, one_less).expect_err("one less"),
            MessageError::Descriptors,
            "{message:?}"
        );
    }
}

#[test]
fn messages_of_the_launcher_go_round() {
    let to_worker = [
        ToWorker::Drain {
            limit: Duration::from_secs(5),
            idle: Duration::from_secs(5),
        },
        ToWorker::Stop,
        ToWorker::SpawnerRestarted { pid: 4711 },
        ToWorker::Report { number: 1 << 40 },
        ToWorker::MapProgram {
            number: 3,
            keys: fd(),
            values: fd(),
        },
        ToWorker::ServiceRenewed {
            name: b"wiki".to_vec(),
            process: 2,
        },
        ToWorker::Server {
            number: 5,
            report: Box::new(server()),
        },
    ];
    for message in &to_worker {
        check(message);
        check_descriptors(message);
    }
    for logs in [Vec::new(), vec![fd()], vec![fd(), fd()]] {
        check(&ToWorker::ReopenLogs { first: 3, logs });
    }
    let stop = ToSpawner::Stop {
        grace: Duration::from_millis(1500),
    };
    for message in [
        ToSpawner::Serve { channel: fd() },
        ToSpawner::Retire,
        stop,
        ToSpawner::ReopenLog { log: fd() },
    ] {
        check(&message);
        check_descriptors(&message);
    }
    let orphan = FromWorker::SignalOrphan { pid: 4711, signal: 9 };
    let silent = FromWorker::MapProgramSilent { number: 7 };
    let served = FromWorker::ServiceServed {
        name: b"wiki".to_vec(),
        process: 1,
        requests: 1000,
    };
    let stuck = FromWorker::ServiceSilent {
        name: b"wiki".to_vec(),
        process: 1,
    };
    let stapled = FromWorker::Stapled {
        name: b"answer of OCSP".to_vec(),
        answer: vec![0x30; 70_000],
    };
    for message in [
        served,
        stapled,
        stuck,
        FromWorker::Ready,
        FromWorker::AcceptingEnded,
        FromWorker::Alive,
        orphan,
        silent,
        FromWorker::AskServer {
            number: 5,
            pids: vec![1, -1, i32::MAX],
        },
    ] {
        check(&message);
        check_descriptors(&message);
    }
    check(&FromSpawner::Ready);
}

#[test]
fn script_messages_go_round() {
    let orders = [
        start(None),
        start(Some(fd())),
        ScriptOrder::Signal { id: 1, signal: 15 },
        ScriptOrder::Release { ids: Vec::new() },
        ScriptOrder::Release { ids: vec![2, u64::MAX] },
    ];
    for message in &orders {
        check(message);
        check_descriptors(message);
    }
    let failed = Failed {
        step: Step::Execute,
        errno: 2,
        first_line: b"#!/bin/nope\r\n".to_vec(),
        told: b"it is a link".to_vec(),
    };
    let (user, system) = (Duration::from_micros(1234), Duration::from_micros(7));
    let news = [
        ScriptNews::Started {
            id: 3,
            pid: 4711,
            pidfd: Some(fd()),
        },
        ScriptNews::Failed { id: 4, failed },
        ScriptNews::Ended {
            id: 5,
            ended: Ended {
                exit: Exit::Code(3),
                user,
                system,
            },
        },
        ScriptNews::Ended {
            id: 6,
            ended: Ended {
                exit: Exit::Signal(9),
                user,
                system,
            },
        },
        ScriptNews::Ran {
            id: 7,
            pid: 4712,
            ended: Ended {
                exit: Exit::Code(0),
                user,
                system,
            },
        },
    ];
    for message in &news {
        check(message);
        if !matches!(message, ScriptNews::Started { .. }) {
            check_descriptors(message);
        }
    }
    let (payload, _no_room_for_it) = news[0].encode();
    let heard = ScriptNews::decode(&payload, Vec::new()).expect("the rest is heard");
    let ScriptNews::Started {
        id: 3,
        pid: 4711,
        pidfd,
    } = heard
    else {
        panic!("{heard:?}");
    };
    assert!(pidfd.is_none());
    assert_eq!(
        ScriptNews::decode(&payload, vec![fd(), fd()]).expect_err("one more"),
        MessageError::Descriptors
    );
}

#[test]
fn a_list_that_claims_more_than_there_is_takes_no_memory() {
    let (mut payload, _) = start(None).encode();
    let at = payload
        .windows(4)
        .position(|window| window == 2_u32.to_le_bytes())
        .expect("the number of arguments");
    payload[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(
        ScriptOrder::decode(&payload, vec![fd(), fd()]).expect_err("a lie"),
        MessageError::Malformed
    );
}

#[test]
fn steps_have_numbers_of_their_own() {
    for step in Step::ALL {
        assert_eq!(Step::from_number(step.number()), Some(*step));
    }
    assert_eq!(Step::from_number(0), None);
}
