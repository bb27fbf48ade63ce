//! The client against a spawner made of a few lines: what it asks, when it asks again, what it lets go of.

use std::collections::HashMap;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::Signal;

use super::{Spawner, StartError, StartRequest, connect};
use crate::process::channel::{Channel, Heard, Wait};
use crate::process::child::{Child, ChildSpec, Program, Session, Step, spawn};
use crate::process::environment::Environment;
use crate::process::mark::Mark;
use crate::process::message::{Failed, FirstNews, Order, Runs, ScriptNews, ScriptOrder, Start};
use crate::process::pidfd::{Exit, Reap, signal_group};

/// Serves the channel until it is closed, or `orders` orders have come; tells each order.
fn play(channel: Channel, orders: usize, told: mpsc::Sender<String>) -> JoinHandle<Channel> {
    std::thread::spawn(move || {
        let mut children = HashMap::new();
        for _ in 0..orders {
            let Ok(Heard::Message(order)) = channel.hear(Wait::Yes) else {
                break;
            };
            let word = match &order {
                ScriptOrder::Start(start) if start.released.is_empty() => format!("start {}", start.id),
                ScriptOrder::Start(start) => format!("start {}, release {:?}", start.id, start.released),
                ScriptOrder::Signal { id, signal } => format!("signal {id} {signal}"),
                ScriptOrder::Release { ids } => format!("release {ids:?}"),
            };
            if let ScriptOrder::Start(start) = &order {
                release(&mut children, &start.released);
            }
            match order {
                ScriptOrder::Start(start) if start.order.path == b"silent" => {}
                ScriptOrder::Start(start) if start.order.path == b"taken" => {
                    Mark::of(FIRST).leave_on(&start.stdout).expect("a pipe");
                    write!(File::from(start.stdout), "once").expect("there is room");
                }
                ScriptOrder::Start(start) if start.order.path == b"none" => {
                    let failed = Failed {
                        step: Step::Open,
                        errno: libc::ENOENT,
                        first_line: Vec::new(),
                        told: Vec::new(),
                    };
                    channel
                        .tell(&ScriptNews::Failed { id: start.id, failed }, Wait::Yes)
                        .expect("there is room");
                }
                ScriptOrder::Start(start) => drop(children.insert(start.id, run(&channel, &start))),
                ScriptOrder::Signal { id, signal } => {
                    if let (Some(child), Some(signal)) = (children.get(&id), Signal::from_named_raw(signal)) {
                        signal_group(child.pid, signal).expect("ours");
                    }
                    tell_end(&channel, &children, id);
                }
                ScriptOrder::Release { ids } => release(&mut children, &ids),
            }
            let _test_is_over = told.send(word);
        }
        channel
    })
}

fn release(children: &mut HashMap<u64, Child>, ids: &[u64]) {
    for child in ids.iter().filter_map(|id| children.remove(id)) {
        child.pidfd.wait().expect("ours");
    }
}

/// Runs the path as a shell script.
fn run(channel: &Channel, start: &Start) -> Child {
    let null: OwnedFd = std::fs::File::open("/dev/null").expect("it is there").into();
    let argv = ["sh", "-c", std::str::from_utf8(&start.order.path).expect("text")]
        .map(|word| CString::new(word).expect("no NUL"));
    let descriptors = vec![null.as_fd(), start.stdout.as_fd(), start.stderr.as_fd()];
    let mut spec = ChildSpec::new(Program::Path(c"/bin/sh"), argv.to_vec(), descriptors);
    spec.session = Session::Own;
    let child = spawn(&spec).expect("the shell is there");
    let pidfd = child.pidfd.as_fd().try_clone_to_owned().expect("descriptors are free");
    // A worker without room for it hears the rest.
    let pidfd = (!start.order.path.starts_with(b"exit 4")).then_some(pidfd);
    channel
        .tell(
            &ScriptNews::Started {
                id: start.id,
                pid: child.pid,
                pidfd,
            },
            Wait::Yes,
        )
        .expect("there is room");
    if start.order.path.starts_with(b"exit") {
        tell_end(channel, &HashMap::from([(start.id, &child)]), start.id);
    }
    child
}

fn tell_end(channel: &Channel, children: &HashMap<u64, impl std::borrow::Borrow<Child>>, id: u64) {
    if let Some(child) = children.get(&id).map(std::borrow::Borrow::borrow) {
        child
            .pidfd
            .ends_within(Duration::from_secs(60))
            .expect("it can be polled");
        let ended = child.pidfd.try_wait(Reap::No).expect("ours").expect("it has ended");
        channel
            .tell(&ScriptNews::Ended { id, ended }, Wait::Yes)
            .expect("there is room");
    }
}

fn request(path: &str) -> (StartRequest, PipeReader) {
    let (reader, writer) = io::pipe().expect("pipes work");
    let stderr = writer.try_clone().expect("descriptors are free").into();
    let (path, stdout) = (path.as_bytes().to_vec(), writer.into());
    (
        StartRequest {
            order: Order {
                place: 0,
                path,
                runs: Runs::Itself,
                arguments: Vec::new(),
                env: Environment::default(),
                limits: Vec::new(),
                first_news: FirstNews::AtOnce,
                stdin: None,
            },
            stdout,
            stderr,
        },
        reader,
    )
}

/// The process ids of spawners.
const FIRST: i32 = 1000;
const SECOND: i32 = 1001;

const LIMIT: Duration = Duration::from_secs(60);

fn pair() -> (Spawner, tokio::task::JoinHandle<io::Result<()>>, Channel) {
    let (mine, other) = Channel::pair().expect("sockets work");
    let (spawner, driver) = connect(mine, Box::new(signal_group)).expect("a runtime is there");
    (spawner, tokio::spawn(driver.run()), other)
}

async fn started(spawner: &Spawner, path: &str) -> (super::Running, PipeReader) {
    let (request, reader) = request(path);
    (spawner.start(request, LIMIT).await.expect("it starts"), reader)
}

async fn joined(thread: JoinHandle<Channel>) -> Channel {
    tokio::task::spawn_blocking(|| thread.join().expect("no panic"))
        .await
        .expect("no panic")
}

fn all(mut reader: PipeReader) -> String {
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("text");
    text
}

/// There was no descriptor left for it in the worker.
#[tokio::test]
async fn a_script_without_a_descriptor_runs_and_ends() {
    let (spawner, driver, other) = pair();
    let (told, tells) = mpsc::channel();
    let thread = play(other, 2, told);
    let (mut running, reader) = started(&spawner, "exit 4").await;
    assert_eq!(all(reader), "");
    let ended = running.ended().await.expect("it works").expect("it is told");
    assert_eq!(ended.exit, Exit::Code(4));
    drop(running);
    joined(thread).await;
    assert_eq!(tells.iter().collect::<Vec<_>>(), ["start 0", "release [0]"]);
    driver.await.expect("no panic").expect("closed, which is no error");
}

#[tokio::test]
async fn a_script_runs_ends_and_is_released() {
    let (spawner, driver, other) = pair();
    let (told, tells) = mpsc::channel();
    let thread = play(other, 2, told);
    let (mut running, reader) = started(&spawner, "exit 3").await;
    assert_eq!(all(reader), "", "our copies of its output are closed");
    assert_eq!(
        running.ended().await.expect("it works").expect("it is told").exit,
        Exit::Code(3)
    );
    assert_eq!(
        running.ended().await.expect("it works").expect("it is kept").exit,
        Exit::Code(3)
    );
    drop(running);
    assert_eq!(spawner.count(), 0);
    joined(thread).await;
    assert_eq!(tells.iter().collect::<Vec<_>>(), ["start 0", "release [0]"]);
    driver.await.expect("no panic").expect("closed, which is no error");
    assert_eq!(
        spawner.start(request("x").0, LIMIT).await.map(drop),
        Err(StartError::Gone)
    );
}

#[tokio::test]
async fn an_ended_script_is_let_go_of_with_the_next_one() {
    let (spawner, _driver, other) = pair();
    let (told, tells) = mpsc::channel();
    let thread = play(other, 4, told);
    for expected in ["start 0", "start 1, release [0]"] {
        let (mut running, reader) = started(&spawner, "exit 0").await;
        running.ended().await.expect("it works");
        drop((running, reader));
        let told = tells.recv_timeout(LIMIT);
        assert_eq!(told.as_deref(), Ok(expected));
    }
    // One that still runs is let go of at once; it keeps nothing else waiting.
    let (running, _reader) = started(&spawner, "exec sleep 0.2").await;
    drop(running);
    joined(thread).await;
    assert_eq!(
        tells.iter().collect::<Vec<_>>(),
        ["start 2, release [1]", "release [2]"]
    );
}

#[tokio::test]
async fn failures_are_passed_on() {
    let (spawner, _driver, other) = pair();
    let _thread = play(other, 1, mpsc::channel().0);
    let error = spawner
        .start(request("none").0, LIMIT)
        .await
        .expect_err("it is not there");
    assert_eq!(error.to_string(), "cannot open: No such file or directory (os error 2)");
    assert_eq!(spawner.count(), 0);
}

#[tokio::test]
async fn the_group_is_signalled_by_the_spawner() {
    let (spawner, _driver, other) = pair();
    let (told, tells) = mpsc::channel();
    let thread = play(other, 3, told);
    let (mut running, reader) = started(&spawner, "sleep 1000 & sleep 1000").await;
    running.signal_group(Signal::TERM);
    assert_eq!(
        running.ended().await.expect("it works").expect("it is told").exit,
        Exit::Signal(15)
    );
    assert_eq!(all(reader), "");
    drop(running);
    joined(thread).await;
    assert_eq!(
        tells.iter().collect::<Vec<_>>(),
        ["start 0", "signal 0 15", "release [0]"]
    );
}

#[tokio::test]
async fn who_gives_up_waiting_has_the_script_ended() {
    let (spawner, _driver, other) = pair();
    let (told, tells) = mpsc::channel();
    let thread = play(other, 3, told);
    let (request, reader) = request("silent");
    assert_eq!(
        spawner.start(request, Duration::from_millis(20)).await.map(drop),
        Err(StartError::NoAnswer)
    );
    joined(thread).await;
    assert_eq!(
        tells.iter().collect::<Vec<_>>(),
        ["start 0", "signal 0 9", "release [0]"]
    );
    assert_eq!(all(reader), "");
    assert_eq!(spawner.count(), 0);
}

#[tokio::test]
async fn a_new_spawner_is_asked_again_and_scripts_of_the_old_go_on() {
    let (spawner, _driver, other) = pair();
    let (told, tells) = mpsc::channel();
    let first = play(other, 2, told.clone());
    let (mut old, old_output) = started(&spawner, "sleep 1000").await;
    let (asked, _reader) = request("silent");
    let again = tokio::spawn({
        let spawner = spawner.clone();
        async move { spawner.start(asked, LIMIT).await.map(drop) }
    });
    let other = joined(first).await;
    // The first spawner is dead; the second one takes over the same channel and leaves after two orders.
    let second = play(other, 2, told);
    spawner.restarted(SECOND);
    let (mut new, _output) = started(&spawner, "exit 5").await;
    assert_eq!(
        new.ended().await.expect("it works").expect("it is told").exit,
        Exit::Code(5)
    );
    again.abort();
    drop(joined(second).await);
    assert_eq!(
        tells.iter().collect::<Vec<_>>(),
        ["start 0", "start 1", "start 1", "start 2"]
    );
    // Given up and asked again, as a select does.
    for _ in 0..2 {
        let given_up = tokio::time::timeout(Duration::from_millis(5), old.ended()).await;
        assert!(given_up.is_err(), "it runs");
    }
    old.signal_group(Signal::KILL); // by ourselves: nobody else knows of it
    let pid = old.pid().expect("it was told");
    let reaped = tokio::task::spawn_blocking(move || super::Pidfd::open(pid).expect("a zombie").wait().expect("ours"));
    let ended = old.ended().await.expect("it works");
    assert_eq!(reaped.await.expect("no panic").exit, Exit::Signal(9));
    assert!(ended.is_none_or(|ended| ended.exit == Exit::Signal(9))); // the kernel tells from 6.15 on
    assert_eq!(all(old_output), "");
}

/// It may have started it; whoever takes over is not asked again, and what it writes is read all the same.
#[tokio::test]
async fn what_a_dead_spawner_had_taken_is_not_asked_for_again() {
    let (spawner, _driver, other) = pair();
    let (told, tells) = mpsc::channel();
    let first = play(other, 1, told.clone());
    let (asked, output) = request("taken");
    let start = tokio::spawn({
        let spawner = spawner.clone();
        async move { spawner.start(asked, LIMIT).await }
    });
    let other = joined(first).await;
    spawner.restarted(SECOND);
    let mut taken = start.await.expect("no panic").expect("it counts as started");
    assert_eq!(all(output), "once", "our copies of its output are closed");
    assert_eq!(taken.pid(), None);
    assert_eq!(taken.ended().await.expect("it works"), None, "nobody knows");
    taken.signal_group(Signal::TERM); // to nobody
    drop(taken);
    let second = play(other, 2, told);
    drop(joined(second).await);
    assert_eq!(
        tells.iter().collect::<Vec<_>>(),
        ["start 0", "signal 0 15", "release [0]"]
    );
}

/// The one that took over found it in the channel before we heard of it.
#[tokio::test]
async fn what_the_next_spawner_has_taken_is_not_asked_for_again() {
    let (spawner, _driver, other) = pair();
    let (told, tells) = mpsc::channel();
    let (asked, output) = request("taken");
    let start = tokio::spawn({
        let spawner = spawner.clone();
        async move { spawner.start(asked, LIMIT).await.map(drop) }
    });
    let other = joined(play(other, 1, told.clone())).await;
    spawner.restarted(FIRST);
    let second = play(other, 1, told);
    let (mut next, _) = started(&spawner, "exit 0").await;
    let _open = joined(second).await;
    assert!(next.ended().await.expect("it works").is_some());
    assert!(!start.is_finished(), "it is still waited for");
    start.abort();
    assert_eq!(tells.iter().collect::<Vec<_>>(), ["start 0", "start 1"]);
    drop(output);
}

#[tokio::test]
async fn requests_wait_while_the_channel_is_full() {
    let (spawner, _driver, other) = pair();
    let mut asked = Vec::new();
    for _ in 0..40 {
        let (mut request, reader) = request("exit 0");
        request.order.env.push(b"LONG", &b"x".repeat(20_000));
        let spawner = spawner.clone();
        asked.push((tokio::spawn(async move { spawner.start(request, LIMIT).await }), reader));
    }
    tokio::task::yield_now().await;
    assert_eq!(spawner.count(), 40);
    let _thread = play(other, usize::MAX, mpsc::channel().0);
    for (start, reader) in asked {
        let mut running = start.await.expect("no panic").expect("it starts");
        assert_eq!(
            running.ended().await.expect("it works").expect("it is told").exit,
            Exit::Code(0)
        );
        drop(reader);
    }
}
