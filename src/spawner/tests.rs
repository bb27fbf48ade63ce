//! A spawner in a thread, spoken to as a worker speaks; also as one that has been taken over.

use std::fs;
use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Rules, Spawner};
use crate::config::directives::DirConf;
use crate::config::directives::fcgid::{Asks, Wrapper};
use crate::config::directives::rlimit::{Bound, Bounds};
use crate::config::directives::suexec::Target;
use crate::config::load::load_text;
use crate::config::site::{ScriptLinks, ScriptPlace};
use crate::process::channel::{Channel, Heard, Wait};
use crate::process::child::Step;
use crate::process::limits::{Limit, Resource};
use crate::process::message::{Failed, FirstNews, Order, Runs, ScriptNews, ScriptOrder, Start, ToSpawner};
use crate::process::pidfd::{Exit, Pidfd};

mod end;
mod on_its_way;
mod twice;
mod warden;

/// A spawner, the channel of its launcher and that of one worker thread.
struct Setup {
    launcher: Channel,
    worker: Channel,
    thread: JoinHandle<io::Result<()>>,
    root: PathBuf,
}

impl Setup {
    fn new(name: &str, scripts: &[(&str, &str)]) -> Setup {
        Setup::with(name, "", scripts, |_| {})
    }

    /// With these settings of the site that the place belongs to.
    fn saying(name: &str, scripts: &[(&str, &str)], say: impl FnOnce(&mut DirConf)) -> Setup {
        Setup::made(name, "", scripts, say, |_| {})
    }

    /// One whose settings are these lines, and whose spawner is changed so before it serves.
    fn with(name: &str, settings: &str, scripts: &[(&str, &str)], change: impl FnOnce(&mut Spawner)) -> Setup {
        Setup::made(name, settings, scripts, |_| {}, change)
    }

    fn made(
        name: &str,
        settings: &str,
        scripts: &[(&str, &str)],
        say: impl FnOnce(&mut DirConf),
        change: impl FnOnce(&mut Spawner),
    ) -> Setup {
        let root = std::env::temp_dir().join(format!("lychgate-spawner-{name}-{}", std::process::id()));
        fs::create_dir_all(&root).expect("there is room");
        for (name, text) in scripts {
            install(&root.join(name), text);
        }
        let place = ScriptPlace {
            site: 0,
            root: root.as_os_str().as_bytes().to_vec(),
            links: ScriptLinks::Beneath,
        };
        let mut config = load_text("a.conf", settings.as_bytes(), Path::new("/")).config;
        config.script_places = vec![place];
        if let Some(site) = config.sites.first_mut() {
            let mut base = DirConf::clone(&site.base);
            say(&mut base);
            site.base = Arc::new(base);
        }
        let rules = Rules {
            config,
            admitted_variables: vec![b"LD_LIBRARY_PATH".to_vec()],
        };
        let (launcher, to_launcher) = Channel::pair().expect("sockets work");
        let (worker, to_worker) = Channel::pair().expect("sockets work");
        let mut spawner = Spawner::new(to_launcher, vec![to_worker], rules).expect("/dev/null is there");
        change(&mut spawner);
        Setup {
            launcher,
            worker,
            thread: std::thread::spawn(move || spawner.serve()),
            root,
        }
    }

    fn order(&self, order: &ScriptOrder) {
        self.worker.tell(order, Wait::Yes).expect("there is room");
    }

    fn start(&self, id: u64, path: &str) -> PipeReader {
        self.start_told(id, path, FirstNews::AtOnce)
    }

    fn start_told(&self, id: u64, path: &str, first_news: FirstNews) -> PipeReader {
        let (reader, writer) = io::pipe().expect("pipes work");
        let mut start = start(id, path, writer.into());
        start.order.first_news = first_news;
        self.order(&ScriptOrder::Start(start));
        reader
    }

    fn news(&self) -> ScriptNews {
        match self.worker.hear(Wait::Yes).expect("it works") {
            Heard::Message(news) => news,
            other => panic!("{other:?}"),
        }
    }

    fn started(&self) -> (u64, i32, Pidfd) {
        match self.news() {
            ScriptNews::Started { id, pid, pidfd } => (id, pid, Pidfd::from(pidfd.expect("there is room"))),
            other => panic!("{other:?}"),
        }
    }

    fn failed(&self) -> Failed {
        match self.news() {
            ScriptNews::Failed { failed, .. } => failed,
            other => panic!("{other:?}"),
        }
    }

    fn ended(&self) -> (u64, Exit) {
        match self.news() {
            ScriptNews::Ended { id, ended } => (id, ended.exit),
            other => panic!("{other:?}"),
        }
    }

    /// Closes the worker's channel, retires the spawner and waits for it.
    fn finish(self) {
        self.launcher
            .tell(&ToSpawner::Retire, Wait::Yes)
            .expect("there is room");
        drop(self.worker);
        self.thread.join().expect("no panic").expect("no error");
        fs::remove_dir_all(self.root).expect("ours");
    }
}

/// Writes a script by a process of its own: a child that another test starts meanwhile would inherit our descriptor for
/// a moment, and a file open for writing cannot be executed (ETXTBSY).
fn install(path: &Path, text: &str) {
    let mut child = Command::new("install")
        .args(["-m", "755", "/dev/stdin"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn();
    let child = child.as_mut().expect("coreutils are there");
    io::Write::write_all(&mut child.stdin.take().expect("piped"), text.as_bytes()).expect("it reads");
    assert!(child.wait().expect("ours").success());
}

fn start(id: u64, path: &str, stdout: OwnedFd) -> Start {
    let stderr = stdout.try_clone().expect("descriptors are free");
    let env = [("PATH", "/usr/bin:/bin"), ("A", "b c"), ("LD_LIBRARY_PATH", "/opt/lib")];
    Start {
        id,
        order: Order {
            place: 0,
            path: path.as_bytes().to_vec(),
            runs: Runs::Itself,
            arguments: vec![b"x y".to_vec()],
            env: env.into_iter().collect(),
            limits: Vec::new(),
            first_news: FirstNews::AtOnce,
            stdin: None,
        },
        released: Vec::new(),
        stdout,
        stderr,
    }
}

fn own_session() -> String {
    // Not rustix's: a leader outside our PID namespace has the number 0 here, which its type cannot hold.
    nix::unistd::getsid(None).expect("it is ours").to_string()
}

fn all(mut reader: PipeReader) -> String {
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("text");
    text
}

#[test]
fn a_script_runs_as_it_does_under_apache() {
    let script = "#!/bin/sh\necho \"$0 $@\"; pwd; cat; echo $A $LD_LIBRARY_PATH; ls /proc/self/fd | wc -l; ps -o pid=,pgid=,sid= $$; exit 3\n";
    let setup = Setup::new("apache", &[("env.cgi", script)]);
    let reader = setup.start(1, "env.cgi");
    let (id, pid, pidfd) = setup.started();
    assert_eq!(id, 1);
    let root = setup.root.display();
    let output = all(reader);
    let (told, ids) = output.split_at(output.trim_end().rfind('\n').expect("lines") + 1);
    assert_eq!(told, format!("{root}/env.cgi x y\n{root}\nb c /opt/lib\n4\n")); // 0 to 2, and that of `ls`
    assert_eq!(
        ids.split_whitespace().collect::<Vec<_>>(),
        [pid.to_string(), pid.to_string(), own_session()]
    );
    assert_eq!(setup.ended(), (1, Exit::Code(3)));
    assert!(pidfd.ends_within(Duration::ZERO).expect("it can be polled"));
    setup.finish();
}

#[test]
fn failures_are_told_with_step_errno_and_first_line() {
    let scripts = [
        ("crlf", "#!/bin/sh\r\necho\r\n"),
        ("none", "#!/no/such/interpreter -w\n"),
        ("text", "hello\n"),
    ];
    let setup = Setup::new("failures", &scripts);
    let exec = |errno, line: &[u8]| Failed {
        step: Step::Execute,
        errno,
        first_line: line.to_vec(),
        told: Vec::new(),
    };
    let early = |step, errno| Failed {
        step,
        errno,
        first_line: Vec::new(),
        told: Vec::new(),
    };
    fs::write(setup.root.join("plain"), "").expect("there is room");
    fs::create_dir(setup.root.join("directory")).expect("there is room");
    for (path, expected) in [
        ("crlf", exec(libc::ENOENT, b"#!/bin/sh\r\n")),
        ("none", exec(libc::ENOENT, b"#!/no/such/interpreter -w\n")),
        ("text", exec(libc::ENOEXEC, b"hello\n")),
        ("gone", early(Step::Open, libc::ENOENT)),
        ("plain", early(Step::Executable, libc::EACCES)),
        ("directory", early(Step::Kind, libc::EACCES)),
        ("../x", early(Step::Place, libc::EACCES)),
    ] {
        for first_news in [FirstNews::AtOnce, FirstNews::WithEnd] {
            setup.start_told(1, path, first_news);
            assert_eq!(setup.failed(), expected, "{path}");
        }
    }
    setup.finish();
}

#[test]
fn a_worker_that_has_been_taken_over_gets_nothing() {
    let setup = Setup::new("taken", &[("ok", "#!/bin/sh\necho $LD_PRELOAD$IFS$BASH_ENV\n")]);
    let (_reader, writer) = io::pipe().expect("pipes work");
    let mut order = start(1, "ok", writer.into());
    order.order.place = 1;
    setup.order(&ScriptOrder::Start(order));
    assert_eq!(setup.failed().step, Step::Place);
    for path in ["/bin/sh", "../../bin/sh", "ok/../../x", "", "ok\0"] {
        setup.start(2, path);
        assert!(matches!(setup.failed().step, Step::Place | Step::Kind), "{path}");
    }
    let (reader, writer) = io::pipe().expect("pipes work");
    let mut order = start(3, "ok", writer.into());
    order.order.arguments = vec![b"a\0b".to_vec()];
    setup.order(&ScriptOrder::Start(order));
    assert_eq!(setup.failed().step, Step::Words);
    drop(reader);
    let (reader, writer) = io::pipe().expect("pipes work");
    let mut order = start(4, "ok", writer.into());
    let refused = [
        b"LD_PRELOAD".to_vec(),
        b"BASH_ENV".to_vec(),
        b"IFS".to_vec(),
        Vec::new(),
        b"a=b".to_vec(),
    ];
    order.order.env.extend(refused.map(|name| (name, b"evil".to_vec())));
    setup.order(&ScriptOrder::Start(order));
    assert_eq!(setup.started().0, 4);
    assert_eq!(all(reader), "\n");
    // Signals go to the groups of its own scripts only.
    setup.order(&ScriptOrder::Signal { id: 99, signal: 9 });
    setup.order(&ScriptOrder::Signal { id: 4, signal: -1 });
    setup.order(&ScriptOrder::Release { ids: vec![99] });
    assert_eq!(setup.ended(), (4, Exit::Code(0)));
    setup.finish();
}

#[test]
fn garbage_is_ignored_and_orders_after_it_are_obeyed() {
    let setup = Setup::new("garbage", &[("ok", "#!/bin/sh\n")]);
    let null: OwnedFd = fs::File::open("/dev/null").expect("it is there").into();
    let mut start_bytes = start(1, "ok", null.try_clone().expect("free")).encode().0;
    setup.worker.send(&[], &[], Wait::Yes).expect("there is room");
    setup
        .worker
        .send(&[77, 1, 2], &[null.as_fd()], Wait::Yes)
        .expect("there is room");
    for cut in (0..start_bytes.len()).step_by(7) {
        setup
            .worker
            .send(&start_bytes[..cut], &[null.as_fd(), null.as_fd()], Wait::Yes)
            .expect("there is room");
    }
    setup
        .worker
        .send(&start_bytes, &[null.as_fd()], Wait::Yes)
        .expect("there is room");
    start_bytes.push(0);
    setup
        .worker
        .send(&start_bytes, &[null.as_fd(), null.as_fd()], Wait::Yes)
        .expect("there is room");
    setup.start(2, "ok");
    assert_eq!(setup.started().0, 2);
    assert_eq!(setup.ended(), (2, Exit::Code(0)));
    setup.finish();
}

#[test]
fn a_script_stays_until_it_is_released() {
    let setup = Setup::new(
        "release",
        &[("ok", "#!/bin/sh\n"), ("sleep", "#!/bin/sh\nsleep 1000 & sleep 1000\n")],
    );
    setup.start(1, "ok");
    let (_, pid, pidfd) = setup.started();
    assert_eq!(setup.ended(), (1, Exit::Code(0)));
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a zombie is listed");
    assert!(stat.contains(") Z "), "{stat}");
    setup.order(&ScriptOrder::Release { ids: vec![1] });
    let reader = setup.start(2, "sleep"); // its answer comes after the release was obeyed
    let (_, _, _sleeping) = setup.started();
    assert!(!PathBuf::from(format!("/proc/{pid}")).exists());
    if let Some(exit) = pidfd.exit_told_by_kernel() {
        assert_eq!(exit, Exit::Code(0));
    }
    setup.order(&ScriptOrder::Signal {
        id: 2,
        signal: libc::SIGTERM,
    });
    assert_eq!(setup.ended(), (2, Exit::Signal(libc::SIGTERM)));
    assert_eq!(
        all(reader),
        "",
        "the background process held stdout until the group was signalled"
    );
    setup.finish();
}

#[test]
fn stopping_ends_the_stubborn_too() {
    let script = "#!/bin/sh\ntrap '' TERM\necho ready\nwhile :; do sleep 1000; done\n";
    let setup = Setup::new(
        "stop",
        &[("stubborn", script), ("sleep", "#!/bin/sh\nexec sleep 1000\n")],
    );
    let mut stubborn = setup.start(1, "stubborn");
    let (_, pid, pidfd) = setup.started();
    setup.start(2, "sleep");
    setup.started();
    stubborn.read_exact(&mut [0; 6]).expect("its trap is set");
    setup
        .launcher
        .tell(
            &ToSpawner::Stop {
                grace: Duration::from_millis(100),
            },
            Wait::Yes,
        )
        .expect("there is room");
    setup.thread.join().expect("no panic").expect("no error");
    assert!(pidfd.ends_within(Duration::ZERO).expect("it can be polled"), "{pid}");
    fs::remove_dir_all(setup.root).expect("ours");
}

#[test]
fn scripts_of_a_worker_that_died_are_ended_with_their_groups() {
    let script = "#!/bin/sh\n(trap '' TERM; echo deaf; while :; do sleep 1000; done) &\nwait\n";
    let mut setup = Setup::new("abandoned", &[("waits", script)]);
    let mut output = setup.start(1, "waits");
    let _running = setup.started();
    let mut word = [0; 5];
    output.read_exact(&mut word).expect("it says so");
    let (mine, other) = Channel::pair().expect("sockets work");
    let other = OwnedFd::from(other);
    setup
        .launcher
        .tell(&ToSpawner::Serve { channel: other }, Wait::Yes)
        .expect("there is room");
    setup.worker = mine; // the first one is closed
    assert_eq!(all(output), "", "the end comes when nobody holds its output any more");
    setup.finish();
}

#[test]
fn another_channel_can_be_added() {
    let mut setup = Setup::new("serve", &[("ok", "#!/bin/sh\necho hi\n")]);
    let (mine, other) = Channel::pair().expect("sockets work");
    setup
        .launcher
        .tell(&ToSpawner::Serve { channel: other.into() }, Wait::Yes)
        .expect("there is room");
    setup.worker = mine; // the first one is closed
    let reader = setup.start(1, "ok");
    assert_eq!(setup.started().0, 1);
    assert_eq!(all(reader), "hi\n");
    assert_eq!(setup.ended(), (1, Exit::Code(0)));
    setup.finish();
}

#[test]
fn a_thousand_scripts_leave_no_zombie_and_no_descriptor() {
    let setup = Setup::new("thousand", &[("ok", "#!/bin/true\n")]);
    let mut pids = Vec::new();
    for id in 0..1000 {
        setup.start(id, "ok");
        let (started, pid, pidfd) = setup.started();
        assert_eq!(started, id);
        assert_eq!(setup.ended(), (id, Exit::Code(0)));
        setup.order(&ScriptOrder::Release { ids: vec![id] });
        assert!(std::os::fd::AsRawFd::as_raw_fd(&pidfd) < 900, "descriptors leak");
        pids.push(pid);
    }
    setup.finish();
    for pid in pids {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(!stat.contains(") Z "), "{stat}");
    }
}

#[test]
fn fifty_at_once_are_all_answered() {
    let setup = Setup::new("fifty", &[("read", "#!/bin/sh\nread x\necho $x\n")]);
    let mut inputs = Vec::new();
    for id in 0..50 {
        let (stdin, feed) = io::pipe().expect("pipes work");
        let (reader, writer) = io::pipe().expect("pipes work");
        let mut order = start(id, "read", writer.into());
        order.order.stdin = Some(stdin.into());
        setup.order(&ScriptOrder::Start(order));
        inputs.push((id, feed, reader));
    }
    for _ in 0..50 {
        setup.started();
    }
    for (id, mut feed, reader) in inputs {
        io::Write::write_all(&mut feed, format!("{id}\n").as_bytes()).expect("there is room");
        assert_eq!(all(reader), format!("{id}\n"));
    }
    let mut ended: Vec<u64> = (0..50).map(|_| setup.ended().0).collect();
    ended.sort_unstable();
    assert_eq!(ended, (0..50).collect::<Vec<u64>>());
    setup.finish();
}

/// Soft and hard limit of processor time, and what a script finds.
const LIMITS: &str = "#!/bin/sh\nulimit -S -t; ulimit -H -t; ulimit -S -f; umask; nice\n";

#[test]
fn a_worker_can_lower_limits_and_never_raise_them() {
    let cpu = |soft, hard| Limit {
        resource: Resource::Cpu,
        soft,
        hard,
    };
    let setup = Setup::saying("limits", &[("limits", LIMITS)], |conf| {
        conf.process.cpu.set(Bounds {
            soft: Bound::At(20),
            hard: Some(Bound::At(30)),
        });
        conf.process.umask.set(0o27);
        conf.process.nice.set(7);
    });
    for (id, (asked, expected)) in (1..).zip([
        (vec![], "20\n30\nunlimited\n0027\n7\n"),
        (vec![cpu(None, None)], "20\n30\nunlimited\n0027\n7\n"),
        (vec![cpu(Some(4000), Some(5000))], "20\n30\nunlimited\n0027\n7\n"),
        (vec![cpu(Some(10), Some(5000))], "10\n30\nunlimited\n0027\n7\n"),
        (vec![cpu(Some(4000), Some(10))], "10\n10\nunlimited\n0027\n7\n"),
        (
            vec![
                Limit {
                    resource: Resource::FileSize,
                    soft: Some(512 * 8),
                    hard: None,
                },
                cpu(Some(9), None),
                cpu(None, None),
            ],
            "9\n30\n8\n0027\n7\n",
        ),
    ]) {
        let (reader, writer) = io::pipe().expect("pipes work");
        let mut start = start(id, "limits", writer.into());
        start.order.limits.clone_from(&asked);
        setup.order(&ScriptOrder::Start(start));
        setup.started();
        assert_eq!(all(reader), expected, "{asked:?}");
        setup.ended();
        setup.order(&ScriptOrder::Release { ids: vec![id] });
    }
    setup.finish();
}

#[test]
fn a_limit_that_cannot_be_given_starts_nothing() {
    let setup = Setup::saying("impossible", &[("limits", LIMITS)], |conf| {
        conf.process.cpu.set(Bounds {
            soft: Bound::At(20),
            hard: Some(Bound::At(10)), // no configuration says so: the setter refuses it
        });
    });
    setup.start(1, "limits");
    assert_eq!(setup.failed().step, Step::Limits);
    setup.finish();
}

#[test]
fn a_wrapper_is_what_the_settings_name_and_nothing_else() {
    for (names_one, expected) in [(false, None), (true, Some("x y\n"))] {
        let setup = Setup::saying("wrapper", &[("plain.php", "not a program")], |conf| {
            if names_one {
                conf.fcgid.wrappers.push(Wrapper {
                    command: vec![b"/bin/echo".to_vec()],
                    suffix: Some(b".php".to_vec()),
                    asks: Asks::Files,
                });
            }
        });
        let (reader, writer) = io::pipe().expect("pipes work");
        let mut start = start(1, "plain.php", writer.into());
        start.order.runs = Runs::Wrapper;
        setup.order(&ScriptOrder::Start(start));
        match expected {
            None => assert_eq!(setup.failed().step, Step::Place),
            Some(said) => {
                setup.started();
                assert_eq!(all(reader), said, "the arguments are the order's");
                setup.ended();
                setup.order(&ScriptOrder::Release { ids: vec![1] });
            }
        }
        setup.finish();
    }
}

#[test]
fn a_program_runs_as_the_settings_have_it_and_by_its_own_number() {
    let settings = "<Directory /srv>\nFcgidWrapper \"/bin/echo its own\" .php\n</Directory>\n";
    for (runs, place, expected) in [
        (Runs::Program, 1, Some("its own\n")),
        (Runs::Program, 0, None),
        (Runs::Program, 2, None),
        (Runs::Itself, 1, None),
        (Runs::Wrapper, 1, None),
    ] {
        let setup = Setup::with("program", settings, &[], |_| {});
        let (reader, writer) = io::pipe().expect("pipes work");
        let mut start = start(1, "", writer.into());
        (start.order.place, start.order.runs) = (place, runs);
        setup.order(&ScriptOrder::Start(start));
        match expected {
            None => assert_eq!(setup.failed().step, Step::Place, "{runs:?} {place}"),
            Some(said) => {
                setup.started();
                assert_eq!(all(reader), said, "the order's arguments are not taken");
                setup.ended();
                setup.order(&ScriptOrder::Release { ids: vec![1] });
            }
        }
        setup.finish();
    }
}

#[test]
fn a_script_of_an_unknown_user_does_not_start() {
    let setup = Setup::saying("unknown", &[("limits", LIMITS)], |conf| {
        conf.suexec.target.set(Target::Named {
            user: b"no-such-user".to_vec(),
            group: b"#100".to_vec(),
        });
    });
    setup.start(1, "limits");
    let failed = setup.failed();
    assert_eq!(failed.step, Step::Suexec);
    assert_eq!(
        String::from_utf8_lossy(&failed.told),
        "SuexecUserGroup: there is no user `no-such-user`; add it, or name another"
    );
    setup.finish();
}
