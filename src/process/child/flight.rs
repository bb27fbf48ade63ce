//! Children that nobody waits for: many on their way at once, what tells of each, and what they need until then.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::Signal;

use super::tests::{null, words};
use super::{Bounding, ChildSpec, Flight, Landing, Program, Session, Step, launch};
use crate::process::pidfd::{Exit, signal_group};
use crate::process::seccomp::Filter;
use crate::process::supervise::{Arrival, Calls, Entrance, Supervision};

const LONG: Duration = Duration::from_secs(60);

fn is_readable_within(fd: impl AsFd, limit: Duration) -> bool {
    let limit = Timespec::try_from(limit).expect("it is short");
    let mut polled = [PollFd::new(&fd, PollFlags::IN)];
    rustix::event::poll(&mut polled, Some(&limit)).expect("it can be polled") > 0
}

/// A child is held where it executes its program: it is on its way until its calls are let pass.
fn held() -> (super::Child, Flight, Calls) {
    let null = null();
    let filter = Filter::asking(&[libc::SYS_execve]);
    let (entrance, exit) = Entrance::new().expect("there is room");
    let mut spec = ChildSpec::new(Program::Path(c"/bin/true"), words(&["true"]), vec![null.as_fd(); 3]);
    spec.new_privileges = super::NewPrivileges::Never;
    spec.session = Session::Group;
    spec.supervision = Some(Supervision {
        filter: &filter,
        exit: exit.as_fd(),
    });
    let (child, flight) = launch(spec, Landing::Watched).expect("there is room");
    drop((filter, exit, null));
    assert!(is_readable_within(&entrance, LONG));
    match entrance.calls().expect("they come") {
        Arrival::Calls(calls) => (child, flight, calls),
        other => panic!("{other:?}"),
    }
}

#[test]
fn nobody_waits_for_one_that_is_held_up() {
    let (child, flight, calls) = held();
    for _ in 0..20 {
        let null = null();
        let spec = ChildSpec::new(Program::Path(c"/bin/true"), words(&["true"]), vec![null.as_fd(); 3]);
        let (other, way) = launch(spec, Landing::Unseen).expect("there is room");
        assert_eq!(other.pidfd.wait().expect("ours").exit, Exit::Code(0));
        assert!(way.has_landed() && way.failure().is_none());
    }
    assert!(!flight.has_landed());
    let landing = flight.landing().expect("it is watched");
    assert!(!is_readable_within(landing, Duration::ZERO));
    assert!(is_readable_within(&calls, LONG));
    let call = calls.next().expect("it waits").expect("it lives");
    calls.pass(call.id);
    assert!(is_readable_within(landing, LONG));
    assert!(flight.has_landed() && flight.failure().is_none());
    assert_eq!(child.pidfd.wait().expect("ours").exit, Exit::Code(0));
}

#[test]
fn one_on_its_way_can_be_signalled_with_its_group() {
    let (child, flight, calls) = held();
    child.leads_its_group();
    signal_group(child.pid, Signal::KILL).expect("the group is there");
    assert_eq!(child.pidfd.wait().expect("ours").exit, Exit::Signal(9));
    assert!(flight.has_landed() && flight.failure().is_none());
    drop(calls);
    // And at whatever moment.
    for _ in 0..200 {
        let null = null();
        let argv = words(&["sleep", "1000"]);
        let mut spec = ChildSpec::new(Program::Path(c"/bin/sleep"), argv, vec![null.as_fd(); 3]);
        spec.session = Session::Group;
        let (child, _flight) = launch(spec, Landing::Unseen).expect("there is room");
        child.leads_its_group();
        signal_group(child.pid, Signal::TERM).expect("the group is there");
        assert_eq!(child.pidfd.wait().expect("ours").exit, Exit::Signal(15));
    }
}

#[test]
fn many_on_their_way_do_not_disturb_one_another_or_us() {
    let start = |number: usize| {
        let (reader, writer) = io::pipe().expect("pipes work");
        let null = null();
        let argv = words(&["sh", "-c", &format!("echo {number} $N")]);
        let descriptors = vec![null.as_fd(), writer.as_fd(), null.as_fd()];
        let mut spec = ChildSpec::new(Program::Path(c"/bin/sh"), argv, descriptors);
        spec.env.push(b"N", format!("{number}").repeat(300).as_bytes());
        spec.bounding = Bounding::Empty; // a child of ours makes many calls that fail
        let landing = if number.is_multiple_of(3) {
            Landing::Watched
        } else {
            Landing::Unseen
        };
        let (child, flight) = launch(spec, landing).expect("there is room");
        (child, flight, reader)
    };
    let mut were_flying = 0;
    for round in 0..4 {
        let children: Vec<_> = (0..50).map(|number| start(round * 50 + number)).collect();
        were_flying += children.iter().filter(|(_, flight, _)| !flight.has_landed()).count();
        for _ in 0..1000 {
            let error = File::open("/no/such/file").expect_err("it is not there");
            assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
        }
        for (number, (child, flight, mut reader)) in (round * 50..).zip(children) {
            let mut output = String::new();
            reader.read_to_string(&mut output).expect("text");
            assert_eq!(output, format!("{number} {}\n", format!("{number}").repeat(300)));
            assert_eq!(child.pidfd.wait().expect("ours").exit, Exit::Code(0));
            assert!(flight.has_landed() && flight.failure().is_none());
        }
    }
    assert!(were_flying > 0);
}

#[test]
fn what_a_child_needs_outlives_who_forgets_it() {
    for _ in 0..100 {
        let (mut reader, writer) = io::pipe().expect("pipes work");
        let null = null();
        let argv = words(&["sh", "-c", "echo here"]);
        let descriptors = vec![null.as_fd(), writer.as_fd(), null.as_fd()];
        let spec = ChildSpec::new(Program::Path(c"/bin/sh"), argv, descriptors);
        let (child, flight) = launch(spec, Landing::Watched).expect("there is room");
        drop((flight, writer));
        let mut output = String::new();
        reader.read_to_string(&mut output).expect("text");
        assert_eq!(output, "here\n");
        assert_eq!(child.pidfd.wait().expect("ours").exit, Exit::Code(0));
    }
}

#[test]
fn what_tells_of_the_landing_is_no_descriptor_of_the_program() {
    let (mut reader, writer) = io::pipe().expect("pipes work");
    let null = null();
    // More targets than there may be numbers in use, so that it lies among them.
    for count in [3, 64] {
        let argv = words(&["ls", "/proc/self/fd"]);
        let mut descriptors = vec![null.as_fd(), writer.as_fd(), null.as_fd()];
        descriptors.resize(count, null.as_fd());
        let spec = ChildSpec::new(Program::Path(c"/bin/ls"), argv, descriptors);
        let (child, flight) = launch(spec, Landing::Watched).expect("there is room");
        assert!(is_readable_within(flight.landing().expect("it is watched"), LONG));
        assert!(flight.has_landed());
        assert_eq!(child.pidfd.wait().expect("ours").exit, Exit::Code(0));
        let mut output = [0; 4096];
        let length = reader.read(&mut output).expect("text");
        let lines = output.get(..length).unwrap_or_default().split(|byte| *byte == b'\n');
        assert_eq!(lines.count(), count + 2); // the directory that is read, and the end of the last line
    }
}

#[test]
fn the_landing_of_one_that_fails_is_told_too() {
    let null: OwnedFd = null();
    let mut spec = ChildSpec::new(Program::Path(c"/no/such"), words(&["x"]), vec![null.as_fd(); 3]);
    spec.session = Session::Group;
    let (child, flight) = launch(spec, Landing::Watched).expect("there is room");
    assert!(is_readable_within(flight.landing().expect("it is watched"), LONG));
    let failure = flight.failure().expect("there is none of this name");
    assert_eq!((failure.step, failure.errno), (Step::Execute, libc::ENOENT));
    assert_eq!(child.pidfd.wait().expect("ours").exit, Exit::Code(127));
}

#[test]
fn nobody_waits_for_ever() {
    let null = null();
    let filter = Filter::asking(&[libc::SYS_execve]);
    let (entrance, exit) = Entrance::new().expect("there is room");
    let mut spec = ChildSpec::new(Program::Path(c"/bin/true"), words(&["true"]), vec![null.as_fd(); 3]);
    spec.new_privileges = super::NewPrivileges::Never;
    spec.supervision = Some(Supervision {
        filter: &filter,
        exit: exit.as_fd(),
    });
    let error = super::spawn_within(Duration::from_millis(50), &spec).expect_err("nobody lets it pass");
    assert_eq!((error.step, error.errno), (Step::Execute, libc::ETIME));
    drop(entrance);
}
