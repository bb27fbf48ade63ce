//! Real children whose calls wait until the test has decided.

use std::ffi::CString;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::{Arrival, Call, Calls, Entrance, Supervision};
use crate::process::child::{Child, ChildSpec, NewPrivileges, Program, SpawnError, spawn};
use crate::process::pidfd::Exit;
use crate::process::seccomp::Filter;

#[cfg(target_arch = "x86_64")]
const MAKING: &[libc::c_long] = &[libc::SYS_mkdir, libc::SYS_mkdirat];
#[cfg(not(target_arch = "x86_64"))]
const MAKING: &[libc::c_long] = &[libc::SYS_mkdirat];

/// Starts a program whose attempts to make directories wait.
fn start(words: &[&str]) -> (Result<Child, SpawnError>, Entrance) {
    let null = rustix::fs::open("/dev/null", rustix::fs::OFlags::RDWR, rustix::fs::Mode::empty());
    let null = null.expect("it is there");
    let filter = Filter::asking(MAKING);
    let (entrance, exit) = Entrance::new().expect("sockets work");
    let argv: Vec<CString> = words.iter().map(|word| CString::new(*word).expect("no NUL")).collect();
    let mut spec = ChildSpec::new(Program::Path(&argv[0]), argv.clone(), vec![null.as_fd(); 3]);
    spec.env.push(b"PATH", b"/usr/bin:/bin");
    spec.new_privileges = NewPrivileges::Never;
    spec.supervision = Some(Supervision {
        filter: &filter,
        exit: exit.as_fd(),
    });
    let child = spawn(&spec);
    drop(spec);
    (child, entrance)
}

fn calls(entrance: &Entrance) -> Calls {
    match entrance.calls().expect("sockets work") {
        Arrival::Calls(calls) => calls,
        other => panic!("{other:?}"),
    }
}

/// What is told of within the patience of a test.
fn ready(calls: &Calls) -> PollFlags {
    let mut polled = [PollFd::new(calls, PollFlags::IN)];
    let patience = Timespec { tv_sec: 20, tv_nsec: 0 };
    poll(&mut polled, Some(&patience)).expect("it works");
    polled[0].revents()
}

fn next(calls: &Calls) -> Call {
    assert!(ready(calls).contains(PollFlags::IN));
    calls.next().expect("it works").expect("it waits")
}

/// The text an argument leads to.
fn text(call: &Call, argument: usize, length: usize) -> Vec<u8> {
    call.memory(argument, length).expect("a child may be looked at")
}

#[test]
fn a_call_fails_as_decided_or_is_passed_on() {
    let place = std::env::temp_dir().join(format!("lychgate-supervise-{}", std::process::id()));
    let name = place.to_string_lossy();
    let (child, entrance) = start(&["/bin/sh", "-c", &format!("mkdir {name} || mkdir {name}; mkdir {name}")]);
    let calls = calls(&entrance);
    let call = next(&calls);
    let path = usize::from(call.number == libc::SYS_mkdirat);
    assert_eq!(text(&call, path, name.len()), name.as_bytes());
    assert!(calls.waits(call.id));
    calls.answer(call.id, Err(Errno::DQUOT));
    assert!(!calls.waits(call.id));
    calls.answer(call.id, Ok(())); // nobody waits for it
    calls.pass(next(&calls).id);
    let call = next(&calls);
    assert!(place.is_dir(), "the second was passed on");
    calls.answer(call.id, Ok(()));
    let ended = child.expect("the shell is there").pidfd.wait().expect("ours");
    assert_eq!(ended.exit, Exit::Code(0));
    let flags = ready(&calls);
    assert!(
        flags.contains(PollFlags::HUP) && !flags.contains(PollFlags::IN),
        "{flags:?}"
    );
    std::fs::remove_dir(&place).expect("ours");
}

#[test]
fn a_caller_that_dies_waits_no_more() {
    let (child, entrance) = start(&["/bin/mkdir", "/no/such/place"]);
    let calls = calls(&entrance);
    let call = next(&calls);
    let child = child.expect("mkdir is there");
    child.pidfd.signal(rustix::process::Signal::KILL).expect("ours");
    child.pidfd.wait().expect("ours");
    assert!(!calls.waits(call.id));
    assert!(call.memory(1, 1).is_err() && call.file(0).is_err());
    assert!(ready(&calls).contains(PollFlags::HUP));
}

#[test]
fn nothing_comes_of_a_program_that_cannot_start() {
    let (child, entrance) = start(&["/no/such/program"]);
    assert!(child.is_err());
    // The child had handed its calls over before.
    let calls = calls(&entrance);
    assert!(ready(&calls).contains(PollFlags::HUP));
    never(&entrance);
    let (entrance, exit) = Entrance::new().expect("sockets work");
    assert!(matches!(entrance.calls(), Ok(Arrival::Waiting)));
    drop(exit);
    never(&entrance);
}

/// A child that another test starts at this moment has our end too, until it executes.
fn never(entrance: &Entrance) {
    let until = Instant::now() + Duration::from_secs(20);
    while matches!(entrance.calls(), Ok(Arrival::Waiting)) {
        assert!(Instant::now() < until, "somebody holds the other end");
        std::thread::yield_now();
    }
    assert!(matches!(entrance.calls(), Ok(Arrival::Never)));
}
