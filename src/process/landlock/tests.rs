//! Rules entered by real children and, for calls a shell does not make, by threads of their own: both are for good.

use std::fs;
use std::io::{self, Read};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use super::{Access, Force, Made, Matter, NoRuleset, Others, Ports, Reach, Reading, abi};
use crate::process::child::{ChildSpec, NewPrivileges, Program, spawn};
use crate::process::seccomp::{Filter, Refused, When};

/// A directory of our own with `read/file`, `run/true`, `write/` and `other/file`.
struct Tree(PathBuf);

impl Tree {
    fn new(name: &str) -> Tree {
        let root = std::env::temp_dir().join(format!("lychgate-landlock-{name}-{}", std::process::id()));
        let _left_by_a_run_before = fs::remove_dir_all(&root);
        for directory in ["read", "run", "write", "other"] {
            fs::create_dir_all(root.join(directory)).expect("ours");
        }
        for file in ["read/file", "write/file", "other/file"] {
            fs::write(root.join(file), "text\n").expect("ours");
        }
        fs::copy("/bin/true", root.join("run/true")).expect("ours");
        Tree(root)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// What a shell and its tools need, and the tree as its directories are named.
    fn reach(&self) -> Reach {
        let mut reach = Reach::nothing();
        for directory in ["/bin", "/usr", "/lib", "/lib64", "/etc"] {
            reach.paths.push((directory.into(), Access::Execute));
        }
        reach.paths.extend([
            (self.path("read"), Access::Read),
            (self.path("run"), Access::Execute),
            (self.path("write"), Access::Write),
            ("/dev/null".into(), Access::Write),
        ]);
        reach
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _not_there = fs::remove_dir_all(&self.0);
    }
}

fn made(reach: &Reach) -> Made {
    reach.ruleset().expect("the tests' kernel has Landlock")
}

/// Does a shell, confined so, in the tree, end well?
fn shell(tree: &Tree, reach: &Reach, script: &str) -> bool {
    let null = fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .expect("it is there");
    let made = made(reach);
    let argv = [c"sh", c"-c"].map(Into::into).into_iter();
    let script = format!("cd {} || exit 9\n{script}", tree.0.display());
    let argv = argv.chain([std::ffi::CString::new(script).expect("no NUL in a test")]);
    let descriptors = vec![null.as_fd(); 3];
    let mut spec = ChildSpec::new(Program::Path(c"/bin/sh"), argv.collect(), descriptors);
    spec.env.push(b"PATH", b"/usr/bin:/bin");
    spec.new_privileges = NewPrivileges::Never;
    spec.ruleset = Some(&made.ruleset);
    let child = spawn(&spec).expect("the shell may be executed");
    child.pidfd.wait().expect("ours").exit.is_success()
}

/// What a thread confined so does; the confinement ends with it.
fn confined<T: Send + 'static>(reach: &Reach, act: impl FnOnce() -> T + Send + 'static) -> T {
    let ruleset = made(reach).ruleset;
    let thread = std::thread::spawn(move || {
        rustix::thread::set_no_new_privs(true).expect("always possible");
        ruleset.enter().expect("new privileges are renounced");
        act()
    });
    thread.join().expect("it does not panic")
}

#[test]
fn what_the_paths_do_not_allow_is_denied() {
    let tree = Tree::new("paths");
    let reach = tree.reach();
    for (script, allowed) in [
        ("cat read/file", true),
        ("ls read", true),
        ("cat write/file", true),
        ("cat other/file", false),
        ("ls other", false),
        ("run/true", true),
        ("echo x >>read/file", false),
        ("echo x >read/new", false),
        ("echo x >write/file", true),
        ("truncate -s 0 other/file", false),
        ("truncate -s 0 read/file", false),
        ("truncate -s 0 write/file", true),
        (
            "mkdir write/d && echo x >write/d/f && mv write/d/f write/g && rm write/g && rmdir write/d",
            true,
        ),
        ("mkdir read/d", false),
        ("ln -s x read/l", false),
        ("mkfifo read/p", false),
        ("rm read/file", false),
        ("mv read/file write/stolen", false),
        ("mv read/file read/renamed", false),
        ("ln write/file read/linked", false),
        ("cp run/true write/true && chmod 755 write/true && write/true", false),
    ] {
        assert_eq!(shell(&tree, &reach, script), allowed, "{script}");
    }
}

#[test]
fn reading_may_be_left_alone() {
    let tree = Tree::new("reading");
    let reach = Reach {
        reading: Reading::Anything,
        ..tree.reach()
    };
    for (script, allowed) in [
        ("cat other/file && ls other", true),
        ("echo x >>other/file", false),
        ("echo x >>write/file", true),
    ] {
        assert_eq!(shell(&tree, &reach, script), allowed, "{script}");
    }
}

#[test]
fn a_path_may_be_a_file_and_one_that_is_not_there_is_told() {
    let tree = Tree::new("file");
    let mut reach = tree.reach();
    reach.paths.push((tree.path("other/file"), Access::Write));
    reach.paths.push((tree.path("nowhere"), Access::Write));
    assert!(shell(&tree, &reach, "echo x >>other/file && cat other/file"));
    assert!(!shell(&tree, &reach, "rm other/file"));
    let skipped = made(&reach).skipped;
    // Some systems have no /lib64.
    let ours: Vec<&Path> = skipped
        .iter()
        .map(|(path, _)| path.as_path())
        .filter(|path| path.starts_with(&tree.0))
        .collect();
    assert_eq!(ours, [tree.path("nowhere")]);
    assert!(skipped.iter().all(|(_, error)| error.kind() == io::ErrorKind::NotFound));
}

#[test]
fn ports_are_denied_listed_or_free() {
    let there = TcpListener::bind("127.0.0.1:0").expect("loopback works");
    let port = there.local_addr().expect("bound").port();
    for (bind, connect, may_bind, may_connect) in [
        (Ports::Only(vec![]), Ports::Only(vec![]), false, false),
        (Ports::Only(vec![]), Ports::Only(vec![port]), false, true),
        (Ports::Only(vec![]), Ports::Only(vec![port ^ 1]), false, false),
        (Ports::Only(vec![0]), Ports::Only(vec![]), true, false),
        (Ports::Any, Ports::Any, true, true),
    ] {
        let name = format!("{bind:?} {connect:?}");
        let reach = Reach {
            bind,
            connect,
            ..Reach::nothing()
        };
        let did = confined(&reach, move || {
            let bound = TcpListener::bind("127.0.0.1:0").map(drop);
            let connected = TcpStream::connect(("127.0.0.1", port)).map(drop);
            (bound, connected)
        });
        for (result, may) in [(did.0, may_bind), (did.1, may_connect)] {
            match result {
                Ok(()) => assert!(may, "{name}"),
                Err(error) => {
                    assert!(!may, "{name}: {error}");
                    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{name}");
                }
            }
        }
    }
}

#[test]
fn signals_and_abstract_sockets_stay_among_the_confined() {
    let name = format!("lychgate-landlock-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("short");
    let _there = UnixListener::bind_addr(&address).expect("nobody else has it");
    let null = fs::File::open("/dev/null").expect("it is there");
    let argv = vec![c"sleep".into(), c"60".into()];
    let spec = ChildSpec::new(Program::Path(c"/bin/sleep"), argv, vec![null.as_fd(); 3]);
    let other = spawn(&spec).expect("it starts");
    let pid = rustix::process::Pid::from_raw(other.pid).expect("not zero");
    for (others, may) in [(Others::Anyone, true), (Others::Confined, false)] {
        let reach = Reach {
            signals: others,
            abstract_sockets: others,
            ..Reach::nothing()
        };
        let address = address.clone();
        let (signalled, connected) = confined(&reach, move || {
            let signalled = rustix::process::test_kill_process(pid).is_ok();
            (signalled, UnixStream::connect_addr(&address).is_ok())
        });
        assert_eq!((signalled, connected), (may, may), "{others:?}");
    }
    other.pidfd.signal(rustix::process::Signal::KILL).expect("ours");
    other.pidfd.wait().expect("ours");
}

#[test]
fn what_an_older_kernel_lacks_is_told() {
    use Matter::{AbstractSockets, Devices, Files, Signals, Tcp, Truncation};
    let newest = [Files, Truncation, Tcp, Devices, Signals, AbstractSockets];
    for (abi, holds) in [(1, 1), (2, 1), (3, 2), (4, 3), (5, 4), (6, 6), (7, 6), (99, 6)] {
        let mut reach = Tree::new("older").reach();
        reach.connect = Ports::Only(vec![53]);
        if abi > super::abi() {
            // What the running kernel has not cannot be made, only told.
            assert_eq!(reach.force(abi).holds, newest[..holds]);
            continue;
        }
        let made = reach.ruleset_of(abi).expect("a newer kernel holds older rules");
        let (holds, lacks) = newest.split_at(holds);
        let force = Force {
            abi,
            holds: holds.to_vec(),
            lacks: lacks.to_vec(),
        };
        assert_eq!(made.force, force);
    }
}

#[test]
fn what_is_in_force_is_told_in_words() {
    for (abi, words) in [
        (
            7,
            "Landlock 7: files, truncation, TCP ports, devices, signals, abstract sockets",
        ),
        (
            3,
            "Landlock 3: files, truncation; not TCP ports, devices, signals, abstract sockets",
        ),
    ] {
        assert_eq!(Reach::nothing().force(abi).to_string(), words);
    }
}

#[test]
fn a_kernel_without_landlock_is_told_and_nothing_breaks() {
    let calls = [
        libc::SYS_landlock_create_ruleset,
        libc::SYS_landlock_add_rule,
        libc::SYS_landlock_restrict_self,
    ];
    for errno in [libc::ENOSYS, libc::EOPNOTSUPP] {
        let list = calls.map(|call| Refused {
            call,
            when: When::Always,
            errno,
        });
        let filter = Filter::refusing(&list);
        let thread = std::thread::spawn(move || {
            rustix::thread::set_no_new_privs(true).expect("always possible");
            filter.enter().expect("new privileges are renounced");
            let made = Reach::nothing().ruleset();
            (abi(), matches!(made, Err(NoRuleset::Unsupported)))
        });
        assert_eq!(thread.join().expect("it does not panic"), (0, true));
    }
}

#[test]
fn rules_can_be_entered_again_and_only_narrow() {
    let tree = Tree::new("again");
    let wide = made(&tree.reach()).ruleset;
    let narrow = made(&Reach {
        paths: vec![(tree.path("read"), Access::Read)],
        ..Reach::nothing()
    })
    .ruleset;
    let (read, write) = (tree.path("read/file"), tree.path("write/file"));
    let thread = std::thread::spawn(move || {
        rustix::thread::set_no_new_privs(true).expect("always possible");
        let readable = |path: &Path| {
            let mut text = String::new();
            fs::File::open(path)
                .and_then(|mut file| file.read_to_string(&mut text))
                .is_ok()
        };
        [&narrow, &wide].map(|rules| {
            rules.enter().expect("new privileges are renounced");
            (readable(&read), readable(&write))
        })
    });
    assert_eq!(thread.join().expect("no panic"), [(true, false), (true, false)]);
}
