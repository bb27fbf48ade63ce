//! Real scripts, from their start to their end.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::config::directives::cgi::ClientGone;
use crate::process::child::Step;
use crate::process::message::{FirstNews, Order, Runs};
use crate::process::pidfd::Exit;
use crate::scripts::Care;
use crate::scripts::client::StartError;
use crate::scripts::notes::{About, Notes};
use crate::scripts::script::{Output, OutputEnd, Script, State};
use crate::scripts::testing::{Bench, PATIENCE, on_thread};

const CARE: Care = Care {
    silence: PATIENCE,
    grace: PATIENCE,
    quiet: Duration::from_millis(50),
    stderr_limit: 65536,
    client_gone: ClientGone::Terminate,
};

fn notes(bench: &Bench) -> Rc<Notes> {
    let about = About {
        module: "cgi",
        site: 0,
        client: SocketAddr::from(([127, 0, 0, 1], 1234)),
        conf: std::sync::Arc::default(),
        unique_id: *b"abcdefghijklmnopqrstuvwx",
        script: b"/cgi-bin/x".to_vec(),
        facts: None,
    };
    bench.scripts.notes(about, || unreachable!("there is no script log"))
}

async fn try_start(bench: &Bench, name: &str, care: Care) -> Result<Script, StartError> {
    try_start_told(bench, name, care, FirstNews::AtOnce).await
}

async fn try_start_told(bench: &Bench, name: &str, care: Care, first_news: FirstNews) -> Result<Script, StartError> {
    let slot = bench.scripts.slots().take().await.expect("a slot is free");
    let order = Order {
        place: 0,
        path: name.into(),
        runs: Runs::Itself,
        arguments: Vec::new(),
        env: [("PATH", "/usr/bin:/bin")].into_iter().collect(),
        limits: Vec::new(),
        stdin: None,
        first_news,
    };
    bench
        .scripts
        .start(order, (b"GET", b"/x"), care, (slot, notes(bench)))
        .await
}

async fn start(bench: &Bench, name: &str, care: Care) -> Script {
    try_start(bench, name, care).await.expect("it starts")
}

/// All output, and how it ended.
async fn read(script: &mut Script) -> (Vec<u8>, Output) {
    let mut all = Vec::new();
    loop {
        match script.output().await {
            Output::Bytes(bytes) => all.extend_from_slice(&bytes),
            end => return (all, end),
        }
    }
}

/// Output until `text` is in it.
async fn read_until(script: &mut Script, text: &str) {
    let mut all = Vec::new();
    while !String::from_utf8_lossy(&all).contains(text) {
        match script.output().await {
            Output::Bytes(bytes) => all.extend_from_slice(&bytes),
            end => panic!("{end:?} before `{text}`"),
        }
    }
}

const CLOSED: Output = Output::End(OutputEnd::Closed);

#[test]
fn output_stderr_and_exit_status_are_all_seen() {
    for first_news in [FirstNews::AtOnce, FirstNews::WithEnd] {
        on_thread(output_stderr_and_exit_status_of_one(first_news));
    }
}

async fn output_stderr_and_exit_status_of_one(first_news: FirstNews) {
    let bench = Bench::new(
        &[(
            "x",
            "#!/bin/sh\necho out\necho 'odd \x1b[1m' >&2\nprintf last >&2\nexit 3\n",
        )],
        1,
    );
    let script = try_start_told(&bench, "x", CARE, first_news).await;
    let mut script = script.expect("it starts");
    let pid = script.pid().expect("it has started");
    assert_eq!(read(&mut script).await, (b"out\n".to_vec(), CLOSED));
    assert_eq!(script.settle(PATIENCE).await, State::Ended(Some(Exit::Code(3))));
    assert_eq!(&*script.stderr_tail(), b"odd \x1b[1m\nlast");
    assert_eq!(script.bytes(), 4);
    let about = format!("E /cgi-bin/x (pid {pid}, request abcdefghijklmnopqrstuvwx): stderr: ");
    assert_eq!(
        bench.logs.all(),
        [format!("{about}odd \\x1b[1m"), format!("{about}last")]
    );
    drop(script);
    bench.finish().await;
}

#[test]
fn what_a_quick_one_leaves_behind_is_read_on() {
    on_thread(async {
        let text = "#!/bin/sh\necho out\n(while [ ! -e go ]; do sleep 0.01; done; echo late) &\n";
        let bench = Bench::new(&[("x", text)], 1);
        let care = Care {
            quiet: PATIENCE,
            ..CARE
        };
        let script = try_start_told(&bench, "x", care, FirstNews::WithEnd).await;
        let mut script = script.expect("it starts");
        read_until(&mut script, "out\n").await;
        std::fs::write(bench.directory.join("go"), "").expect("ours");
        assert_eq!(read(&mut script).await, (b"late\n".to_vec(), CLOSED));
        drop(script);
        bench.finish().await;
    });
}

#[test]
fn much_on_stderr_before_any_output_is_no_deadlock() {
    on_thread(async {
        let bench = Bench::new(
            &[("x", "#!/bin/sh\nhead -c 300000 /dev/zero | tr '\\0' e >&2\necho out\n")],
            1,
        );
        let care = Care {
            stderr_limit: 100,
            ..CARE
        };
        let mut script = start(&bench, "x", care).await;
        assert_eq!(read(&mut script).await, (b"out\n".to_vec(), CLOSED));
        drop(script);
        bench
            .logs
            .with("... 299900 bytes of its error output dropped (CGIStderrLimit)")
            .await;
        assert_eq!(bench.logs.all().len(), 2);
        bench.finish().await;
    });
}

#[test]
fn what_a_script_left_behind_does_not_hold_the_response() {
    on_thread(async {
        let bench = Bench::new(&[("x", "#!/bin/sh\necho out\nsleep 1000 &\necho $! >left\n")], 1);
        let mut script = start(&bench, "x", CARE).await;
        assert_eq!(
            read(&mut script).await,
            (b"out\n".to_vec(), Output::End(OutputEnd::Quiet))
        );
        drop(script);
        let left = bench.file("left").await;
        let pid: i32 = left.trim().parse().expect("a number");
        let pidfd = crate::process::pidfd::Pidfd::open(pid).expect("it was left alone");
        bench.finish().await;
        assert!(!pidfd.ends_within(Duration::ZERO).expect("it can be polled"));
        pidfd.signal(rustix::process::Signal::KILL).expect("ours");
    });
}

#[test]
fn a_script_whose_client_leaves_is_asked_to_end() {
    on_thread(async {
        let bench = Bench::new(
            &[(
                "x",
                "#!/bin/sh\ntrap 'echo asked >end; exit' TERM\necho ready\nwhile :; do sleep 0.05; done\n",
            )],
            1,
        );
        let mut script = start(&bench, "x", CARE).await;
        read_until(&mut script, "ready").await;
        drop(script);
        assert_eq!(bench.file("end").await, "asked\n");
        bench.finish().await;
    });
}

#[test]
fn a_script_that_does_not_end_is_killed_with_its_group() {
    on_thread(async {
        let deaf = "#!/bin/sh\ntrap '' TERM\nsleep 1000 &\necho ready\nwhile :; do sleep 1000; done\n";
        let bench = Bench::new(&[("x", deaf)], 1);
        let care = Care {
            grace: Duration::from_millis(50),
            ..CARE
        };
        let mut script = start(&bench, "x", care).await;
        read_until(&mut script, "ready").await;
        drop(script);
        bench.finish().await;
    });
}

#[test]
fn with_finish_a_script_runs_to_its_end_unread() {
    on_thread(async {
        let text = "#!/bin/sh\necho ready\nhead -c 300000 /dev/zero\necho done >end\n";
        let bench = Bench::new(&[("x", text)], 1);
        let care = Care {
            client_gone: ClientGone::Finish,
            ..CARE
        };
        let mut script = start(&bench, "x", care).await;
        read_until(&mut script, "ready").await;
        drop(script);
        assert_eq!(bench.file("end").await, "done\n");
        bench.finish().await;
    });
}

#[test]
fn with_pipe_only_a_script_finds_its_output_closed() {
    on_thread(async {
        let text = "#!/bin/sh\ntrap '' PIPE\necho ready\nread go <go\nwhile echo more; do sleep 0.02; done 2>&-\necho closed >end\n";
        let bench = Bench::new(&[("x", text)], 1);
        let go = bench.directory.join("go");
        nix::unistd::mkfifo(&go, nix::sys::stat::Mode::S_IRWXU).expect("ours");
        let care = Care {
            client_gone: ClientGone::PipeOnly,
            ..CARE
        };
        let mut script = start(&bench, "x", care).await;
        read_until(&mut script, "ready").await;
        drop(script);
        std::fs::write(go, "go\n").expect("the script reads it");
        assert_eq!(bench.file("end").await, "closed\n");
        bench.finish().await;
    });
}

#[test]
fn a_script_that_closed_its_output_may_live_until_the_timeout() {
    on_thread(async {
        let text = "#!/bin/sh\ntrap 'echo ended >end; exit' TERM\necho out\nexec >&-\nwhile :; do sleep 0.05; done\n";
        let bench = Bench::new(&[("x", text)], 1);
        let care = Care {
            silence: Duration::from_millis(300),
            ..CARE
        };
        let mut script = start(&bench, "x", care).await;
        assert_eq!(read(&mut script).await, (b"out\n".to_vec(), CLOSED));
        assert_eq!(script.state(), State::Running);
        drop(script);
        assert_eq!(bench.file("end").await, "ended\n");
        bench.logs.with("it was silent for 0 s (CGIScriptTimeout)").await;
        bench.finish().await;
    });
}

#[test]
fn silence_is_told_and_the_script_can_be_ended() {
    on_thread(async {
        let bench = Bench::new(&[("x", "#!/bin/sh\necho out\nexec sleep 1000\n")], 1);
        let care = Care {
            silence: Duration::from_millis(300),
            client_gone: ClientGone::Finish,
            ..CARE
        };
        let mut script = start(&bench, "x", care).await;
        assert_eq!(read(&mut script).await, (b"out\n".to_vec(), Output::Silence));
        script.must_end();
        drop(script);
        bench.finish().await;
    });
}

#[test]
fn a_slot_is_free_again_when_its_script_has_ended() {
    on_thread(async {
        let bench = Bench::new(&[("x", "#!/bin/sh\nread go <go\n")], 1);
        let go = bench.directory.join("go");
        nix::unistd::mkfifo(&go, nix::sys::stat::Mode::S_IRWXU).expect("ours");
        let first = start(&bench, "x", CARE).await;
        let (second, ()) = tokio::join!(start(&bench, "x", CARE), async {
            while bench.scripts.slots().waiting() == 0 {
                tokio::task::yield_now().await;
            }
            std::fs::write(&go, "go\n").expect("the first reads it");
        });
        assert!(matches!(first.state(), State::Ended(_)));
        drop(first);
        drop(second);
        bench.finish().await;
    });
}

#[test]
fn a_script_that_cannot_start_gives_its_slot_back() {
    on_thread(async {
        let bench = Bench::new(&[("x", "#!/no/such/interpreter\n")], 1);
        for _ in 0..3 {
            match try_start(&bench, "x", CARE).await {
                Err(StartError::Failed(failed)) => {
                    assert_eq!((failed.step, failed.errno), (Step::Execute, libc::ENOENT));
                }
                other => panic!("{:?}", other.err()),
            }
        }
        bench.finish().await;
    });
}

#[test]
fn a_crash_behind_a_good_beginning_is_told() {
    on_thread(async {
        let bench = Bench::new(&[("x", "#!/bin/sh\necho out\nkill -SEGV $$\n")], 1);
        let mut script = start(&bench, "x", CARE).await;
        read_until(&mut script, "out").await;
        script.answered();
        bench
            .logs
            .with("it ended after its reply had begun: signal 11 (SIGSEGV)")
            .await;
        drop(script);
        bench.finish().await;
    });
}

#[test]
fn large_output_arrives_whole_and_in_order() {
    on_thread(async {
        let bench = Bench::new(&[("x", "#!/bin/sh\nseq 1 200000\n")], 1);
        let mut script = start(&bench, "x", CARE).await;
        let (all, end) = read(&mut script).await;
        let lines = std::str::from_utf8(&all).expect("digits").lines();
        assert!(lines.eq((1..=200_000).map(|n| n.to_string())));
        assert_eq!(end, CLOSED);
        drop(script);
        bench.finish().await;
    });
}
