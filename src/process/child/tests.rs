//! Real children: what they inherit, how they end, and what is told when they cannot start.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::process::Signal;

use super::{
    Bounding, Child, ChildSpec, Directory, Landing, NewPrivileges, Program, Session, SpawnError, Step, launch, spawn,
};
use crate::process::identity::Identity;
use crate::process::limits::{Limit, Resource};
use crate::process::pidfd::{Exit, Reap, signal_group};

pub(super) fn words(words: &[&str]) -> Vec<CString> {
    words
        .iter()
        .map(|word| CString::new(*word).expect("no NUL in a test"))
        .collect()
}

pub(super) fn null() -> OwnedFd {
    rustix::fs::open(
        "/dev/null",
        rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )
    .expect("it is there")
}

/// Runs a shell script with its stdout read, once waited for and once not; `change` changes what it is started with.
fn shell(script: &str, change: impl Fn(&mut ChildSpec<'_>)) -> (String, Exit) {
    let run = |start: &dyn Fn(ChildSpec<'_>) -> Child| {
        let null = null();
        let (mut reader, writer) = io::pipe().expect("pipes work");
        let argv = words(&["sh", "-c", script]);
        let descriptors = vec![null.as_fd(), writer.as_fd(), null.as_fd()];
        let mut spec = ChildSpec::new(Program::Path(c"/bin/sh"), argv, descriptors);
        spec.env.push(b"PATH", b"/usr/bin:/bin");
        change(&mut spec);
        let child = start(spec);
        drop(writer);
        let mut output = String::new();
        reader.read_to_string(&mut output).expect("text");
        (output, child.pidfd.wait().expect("it is our child").exit)
    };
    let launched = run(&|spec| launch(spec, Landing::Unseen).expect("there is room").0);
    let waited_for = run(&|spec| spawn(&spec).expect("the shell is there"));
    assert_eq!(waited_for, launched);
    waited_for
}

fn fails(program: &CStr, change: impl Fn(&mut ChildSpec<'_>)) -> SpawnError {
    let null = null();
    let spec = || {
        let descriptors = vec![null.as_fd(), null.as_fd(), null.as_fd()];
        let mut spec = ChildSpec::new(Program::Path(program), words(&["x"]), descriptors);
        change(&mut spec);
        spec
    };
    let waited_for = spawn(&spec())
        .map(|child: Child| child.pid)
        .expect_err("it cannot start");
    let (child, flight) = launch(spec(), Landing::Unseen).expect("there is room");
    assert_eq!(child.pidfd.wait().expect("it is our child").exit, Exit::Code(127));
    assert!(flight.has_landed());
    assert_eq!(flight.failure(), Some(waited_for));
    waited_for
}

#[test]
fn output_and_status_come_back() {
    assert_eq!(
        shell("echo hello; exit 7", |_| {}),
        ("hello\n".to_owned(), Exit::Code(7))
    );
    assert_eq!(shell("kill -TERM $$", |_| {}), (String::new(), Exit::Signal(15)));
}

#[test]
fn environment_and_arguments_are_exactly_those_given() {
    let (output, _) = shell("/usr/bin/env", |spec| {
        spec.env = [("A", "1"), ("B", "x y")].into_iter().collect();
    });
    let lines: Vec<&str> = output
        .lines()
        .filter(|line| !line.starts_with("PWD=") && !line.starts_with("_="))
        .collect();
    assert_eq!(lines, ["A=1", "B=x y"]);
}

#[test]
fn the_bounding_set_may_be_emptied_by_root() {
    let bounding = |change: fn(&mut ChildSpec<'_>)| {
        let (output, _) = shell("grep CapBnd /proc/self/status", change);
        output.split_whitespace().nth(1).map(str::to_owned)
    };
    let ours = bounding(|_| {});
    let emptied = bounding(|spec| spec.bounding = Bounding::Empty);
    if rustix::process::geteuid().is_root() {
        assert_eq!(emptied.as_deref(), Some("0000000000000000"));
    } else {
        assert_eq!(emptied, ours);
    }
}

#[test]
fn no_descriptor_leaks() {
    let _open_without_cloexec = rustix::io::dup(null()).expect("descriptors are free");
    let (output, _) = shell("ls /proc/self/fd", |_| {});
    assert_eq!(output, "0\n1\n2\n3\n"); // 3 is the directory that `ls` reads
}

#[test]
fn descriptors_are_put_in_order_whatever_their_numbers() {
    let files: Vec<OwnedFd> = (0..4)
        .map(|number: u8| {
            let (reader, mut writer) = io::pipe().expect("pipes work");
            let line = [b'a' + number, b'\n'];
            writer.write_all(&line.repeat(2)).expect("there is room"); // for two runs
            reader.into()
        })
        .collect();
    let script = "for n in 3 4 5 6; do read x <&$n; printf $x; done; ls /proc/self/fd | wc -l";
    let files: &'static [OwnedFd] = files.leak();
    let borrowed = |order: [usize; 4]| order.map(|n| files[n].as_fd());
    let (output, _) = shell(script, |spec| spec.descriptors.extend(borrowed([3, 1, 0, 2])));
    assert_eq!(output, "dbac8\n");
}

/// Numbers below the highest target are the hard case: each must be moved away before it is overwritten.
#[test]
fn descriptors_may_change_places() {
    let script = "echo out; echo err >&2; ls -l /proc/self/fd | grep -c pipe";
    let (mut reader, writer) = io::pipe().expect("pipes work");
    let null = null();
    // 40 targets; whatever low numbers these have, most lie within the range that is overwritten.
    let mut descriptors = vec![null.as_fd(), writer.as_fd(), null.as_fd()];
    descriptors.extend(std::iter::repeat_n(writer.as_fd(), 37));
    let spec = ChildSpec::new(Program::Path(c"/bin/sh"), words(&["sh", "-c", script]), descriptors);
    let child = spawn(&spec).expect("the shell is there");
    drop(spec);
    drop(writer);
    let mut output = String::new();
    reader.read_to_string(&mut output).expect("text");
    assert_eq!(output, "out\n38\n"); // `ls` writes into a pipe of its own, in place of descriptor 1
    assert_eq!(child.pidfd.wait().expect("ours").exit, Exit::Code(0));
}

#[test]
fn standard_descriptors_may_be_our_own_swapped() {
    // SAFETY: the test process keeps its standard descriptors open to its end.
    let [zero, one] = [0, 1].map(|number| unsafe { BorrowedFd::borrow_raw(number) });
    let null = null();
    let descriptors = vec![one, null.as_fd(), zero];
    let spec = ChildSpec::new(Program::Path(c"/bin/sh"), words(&["sh", "-c", "exit 0"]), descriptors);
    assert_eq!(
        spawn(&spec).expect("it starts").pidfd.wait().expect("ours").exit,
        Exit::Code(0)
    );
}

#[test]
fn signals_are_default_and_unblocked_in_the_child() {
    let (output, _) = shell("cat /proc/self/status | grep -E '^Sig(Blk|Ign|Cgt)'", |_| {});
    assert_eq!(output.lines().count(), 3);
    for line in output.lines() {
        assert!(line.ends_with("\t0000000000000000"), "{line}"); // the Rust runtime ignores SIGPIPE in this process
    }
}

#[test]
fn the_mask_of_the_parent_is_as_it_was() {
    let before = nix::sys::signal::SigSet::thread_get_mask().expect("it can be read");
    shell("true", |_| {});
    assert_eq!(
        nix::sys::signal::SigSet::thread_get_mask().expect("it can be read"),
        before
    );
}

#[test]
fn what_leads_a_group_can_be_killed_with_it() {
    for session in [Session::Group, Session::Own] {
        killed_with_its_group(session);
    }
}

fn killed_with_its_group(session: Session) {
    let null = null();
    let (mut reader, writer) = io::pipe().expect("pipes work");
    let argv = words(&["sh", "-c", "sleep 1000 & sleep 1000"]);
    let mut spec = ChildSpec::new(
        Program::Path(c"/bin/sh"),
        argv,
        vec![null.as_fd(), writer.as_fd(), null.as_fd()],
    );
    spec.session = session;
    let child = spawn(&spec).expect("the shell is there");
    // Not rustix's: a leader outside our PID namespace has the number 0 here, which its type cannot hold.
    let pid = nix::unistd::Pid::from_raw(child.pid);
    let (leads_group, leads_session) = (
        nix::unistd::getpgid(Some(pid)).expect("it runs") == pid,
        nix::unistd::getsid(Some(pid)).expect("it runs") == pid,
    );
    assert_eq!((leads_group, leads_session), (true, session == Session::Own));
    drop(spec);
    drop(writer);
    signal_group(child.pid, Signal::KILL).expect("the group is there");
    assert_eq!(child.pidfd.wait().expect("ours").exit, Exit::Signal(9));
    reader
        .read_to_end(&mut Vec::new())
        .expect("it ends once the background process is dead too");
}

#[test]
fn directory_umask_limits_and_nice_are_set() {
    let (output, _) = shell("pwd; umask; ulimit -t; ulimit -Hn; nice", |spec| {
        spec.directory = Directory::Path(c"/usr");
        spec.umask = Some(0o027);
        spec.nice = Some(5);
        spec.limits = vec![
            Limit {
                resource: Resource::Cpu,
                soft: Some(99),
                hard: Some(100),
            },
            Limit {
                resource: Resource::Files,
                soft: Some(60),
                hard: Some(61),
            },
        ];
    });
    assert_eq!(output, "/usr\n0027\n99\n61\n5\n");
    let root: &'static File = Box::leak(Box::new(File::open("/").expect("it is there")));
    let (output, _) = shell("pwd", |spec| spec.directory = Directory::Descriptor(root.as_fd()));
    assert_eq!(output, "/\n");
}

#[test]
fn new_privileges_can_be_renounced() {
    let script = "grep NoNewPrivs /proc/self/status | cut -f2";
    assert_eq!(
        shell(script, |spec| spec.new_privileges = NewPrivileges::Never).0,
        "1\n"
    );
}

#[test]
fn failures_name_step_and_errno() {
    assert_eq!(
        fails(c"/no/such/program", |_| {}),
        SpawnError {
            step: Step::Execute,
            errno: libc::ENOENT
        }
    );
    assert_eq!(
        fails(c"/etc/passwd", |_| {}),
        SpawnError {
            step: Step::Execute,
            errno: libc::EACCES
        }
    );
    assert_eq!(
        fails(c"/etc", |_| {}),
        SpawnError {
            step: Step::Execute,
            errno: libc::EACCES
        }
    );
    let error = fails(c"/bin/true", |spec| spec.directory = Directory::Path(c"/no/such"));
    assert_eq!(
        error,
        SpawnError {
            step: Step::Directory,
            errno: libc::ENOENT
        }
    );
    assert_eq!(
        error.to_string(),
        "cannot enter its directory: No such file or directory (os error 2)"
    );
    let limit = Limit {
        resource: Resource::Cpu,
        soft: Some(2),
        hard: Some(1),
    };
    assert_eq!(fails(c"/bin/true", |spec| spec.limits = vec![limit]).step, Step::Limits);
    let long = CString::new(vec![b'x'; 200_000]).expect("no NUL");
    assert_eq!(
        fails(c"/bin/true", |spec| spec.argv = vec![long.clone()]).errno,
        libc::E2BIG
    );
}

#[test]
fn a_program_can_be_a_descriptor() {
    let program = File::open("/bin/sh").expect("it is there");
    let null = null();
    let (mut reader, writer) = io::pipe().expect("pipes work");
    let argv = words(&["named", "-c", "echo $0; ls /proc/self/fd | wc -l"]);
    let mut descriptors = vec![null.as_fd(), writer.as_fd(), null.as_fd()];
    descriptors.extend(std::iter::repeat_n(null.as_fd(), 60)); // beyond the number of `program`
    let spec = ChildSpec::new(Program::Descriptor(program.as_fd()), argv, descriptors);
    let child = spawn(&spec).expect("the shell is there");
    drop(spec);
    drop(writer);
    let mut output = String::new();
    reader.read_to_string(&mut output).expect("text");
    assert_eq!(output, "named\n64\n");
    child.pidfd.wait().expect("ours");
}

#[test]
fn identity_is_changed_whole() {
    if !Identity::process_is_root() {
        let other = Identity {
            uid: 0,
            gid: 0,
            groups: vec![0],
        };
        let null = null();
        let mut spec = ChildSpec::new(Program::Path(c"/bin/true"), words(&["true"]), vec![null.as_fd(); 3]);
        spec.identity = Some(&other);
        assert_eq!(spawn(&spec).expect_err("not root").step, Step::Groups);
        return;
    }
    let identity = Identity {
        uid: 54321,
        gid: 54322,
        groups: vec![54322, 54323],
    };
    let null = null();
    let (mut reader, writer) = io::pipe().expect("pipes work");
    let argv = words(&[
        "sh",
        "-c",
        "grep -E '^(Uid|Gid|Groups|CapPrm|CapEff)' /proc/self/status",
    ]);
    let mut spec = ChildSpec::new(
        Program::Path(c"/bin/sh"),
        argv,
        vec![null.as_fd(), writer.as_fd(), null.as_fd()],
    );
    spec.identity = Some(&identity);
    let child = spawn(&spec).expect("the shell is there");
    drop(spec);
    drop(writer);
    let mut output = String::new();
    reader.read_to_string(&mut output).expect("text");
    child.pidfd.wait().expect("ours");
    let expected = "Uid:\t54321\t54321\t54321\t54321\nGid:\t54322\t54322\t54322\t54322\nGroups:\t54322 54323 \n\
                    CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n";
    assert_eq!(output, expected);
}

#[test]
fn ends_are_seen_before_they_are_reaped() {
    let null = null();
    let spec = ChildSpec::new(
        Program::Path(c"/bin/sh"),
        words(&["sh", "-c", "exit 3"]),
        vec![null.as_fd(); 3],
    );
    let child = spawn(&spec).expect("the shell is there");
    assert!(
        child
            .pidfd
            .ends_within(Duration::from_secs(60))
            .expect("it can be polled")
    );
    let seen = child.pidfd.try_wait(Reap::No).expect("ours").expect("it has ended");
    assert_eq!(seen.exit, Exit::Code(3));
    assert_eq!(child.pidfd.exit_told_by_kernel(), None);
    assert_eq!(
        child
            .pidfd
            .try_wait(Reap::Yes)
            .expect("ours")
            .expect("still there")
            .exit,
        Exit::Code(3)
    );
    assert!(child.pidfd.try_wait(Reap::Yes).is_err(), "it was reaped");
    child.pidfd.signal(Signal::TERM).expect("an ended process is no error");
    if let Some(exit) = child.pidfd.exit_told_by_kernel() {
        assert_eq!(exit, Exit::Code(3)); // Linux 6.15 and newer
    }
}

#[test]
fn a_thousand_children_leave_nothing() {
    let null = null();
    let spec = ChildSpec::new(Program::Path(c"/bin/true"), words(&["true"]), vec![null.as_fd(); 3]);
    let mut highest = 0;
    for _ in 0..1000 {
        let child = spawn(&spec).expect("it is there");
        highest = highest.max(child.pidfd.as_raw_fd());
        assert_eq!(child.pidfd.wait().expect("ours").exit, Exit::Code(0));
    }
    assert!(highest < 900, "descriptors leak: {highest}");
}

#[test]
fn failed_children_leave_nothing_either() {
    for _ in 0..300 {
        assert_eq!(fails(c"/no/such/program", |_| {}).errno, libc::ENOENT);
    }
    let children = std::fs::read_to_string(format!(
        "/proc/self/task/{}/children",
        rustix::thread::gettid().as_raw_nonzero()
    ));
    if let Ok(children) = children {
        assert_eq!(children, ""); // those of this thread alone
    }
}
