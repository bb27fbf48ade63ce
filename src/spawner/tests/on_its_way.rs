//! Scripts that have a process and may not have been executed yet.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use super::{Setup, all};
use crate::config::directives::cgi::ClientGone;
use crate::config::site::{ScriptLinks, ScriptPlace};
use crate::process::channel::{Channel, Wait};
use crate::process::child::{ChildSpec, Landing, NewPrivileges, Program, Session, launch};
use crate::process::message::{FirstNews, ScriptNews, ToSpawner};
use crate::process::null;
use crate::process::pidfd::Exit;
use crate::process::seccomp::Filter;
use crate::process::supervise::{Entrance, Supervision};
use crate::spawner::place;
use crate::spawner::prepare::{Begun, Starting};
use crate::spawner::script::{By, Script};
use crate::spawner::terms::Care;

/// Those that run and those that cannot, told of at once or with their end: each has its own news, and nothing of another's.
#[test]
fn many_are_told_apart() {
    let scripts = [
        ("ok", "#!/bin/sh\necho ok; exit 3\n"),
        ("none", "#!/no/such/interpreter\n"),
    ];
    let setup = Setup::new("told-apart", &scripts);
    for round in 0..3 {
        let ids = round * 40..round * 40 + 40;
        let start = |id: u64| {
            let path = if id % 4 < 2 { "ok" } else { "none" };
            let first_news = [FirstNews::AtOnce, FirstNews::WithEnd][usize::from(id.is_multiple_of(2))];
            setup.start_told(id, path, first_news)
        };
        let outputs: Vec<_> = ids.clone().map(|id| (id, start(id))).collect();
        let (mut ended, mut failed) = (Vec::new(), Vec::new());
        while ended.len() + failed.len() < 40 {
            match setup.news() {
                ScriptNews::Started { pidfd, .. } => assert!(pidfd.is_some()),
                ScriptNews::Ended { id, ended: end } | ScriptNews::Ran { id, ended: end, .. } => {
                    assert_eq!(end.exit, Exit::Code(3));
                    ended.push(id);
                }
                ScriptNews::Failed { id, failed: why } => {
                    assert_eq!(why.first_line, b"#!/no/such/interpreter\n");
                    failed.push(id);
                }
            }
        }
        ended.sort_unstable();
        failed.sort_unstable();
        assert_eq!(ended, ids.clone().filter(|id| id % 4 < 2).collect::<Vec<_>>());
        assert_eq!(failed, ids.filter(|id| id % 4 >= 2).collect::<Vec<_>>());
        for (id, output) in outputs {
            assert_eq!(all(output), if id % 4 < 2 { "ok\n" } else { "" });
        }
    }
    setup.finish();
}

/// Its worker dies at once: it is ended, how ever far it has come.
#[test]
fn those_whose_worker_dies_are_ended() {
    let mut setup = Setup::new("early-death", &[("waits", "#!/bin/sh\nsleep 1000 & sleep 1000\n")]);
    for round in 0..5 {
        let start = |id: u64| {
            let first_news = [FirstNews::AtOnce, FirstNews::WithEnd][usize::from(id.is_multiple_of(2))];
            setup.start_told(id, "waits", first_news)
        };
        let outputs: Vec<_> = (0..20).map(start).collect();
        let (mine, other) = Channel::pair().expect("sockets work");
        let channel = OwnedFd::from(other);
        let serve = ToSpawner::Serve { channel };
        setup.launcher.tell(&serve, Wait::Yes).expect("there is room");
        std::thread::sleep(Duration::from_millis(round));
        setup.worker = mine; // the one before is closed
        for output in outputs {
            assert_eq!(all(output), "", "the end comes when nobody holds its output any more");
        }
    }
    setup.finish();
}

/// Whoever it runs as may stop it before it is executed. Here its last call waits for a decision that nobody makes.
#[test]
fn one_that_never_comes_to_run_is_given_up() {
    let null = null::open().expect("it is there");
    let filter = Filter::asking(&[libc::SYS_execve]);
    let (entrance, exit) = Entrance::new().expect("there is room");
    let mut spec = ChildSpec::new(
        Program::Path(c"/bin/true"),
        vec![c"true".to_owned()],
        vec![null.as_fd(); 3],
    );
    spec.session = Session::Group;
    spec.new_privileges = NewPrivileges::Never;
    spec.supervision = Some(Supervision {
        filter: &filter,
        exit: exit.as_fd(),
    });
    let (child, flight) = launch(spec, Landing::Unseen).expect("there is room");
    drop(exit);
    let place = ScriptPlace {
        site: 0,
        root: b"/bin".to_vec(),
        links: ScriptLinks::Follow,
    };
    let found = place::find(&place, b"true").expect("it is there");
    let until = Instant::now() + Duration::from_millis(50);
    let begun = Begun {
        by: By::Us(child),
        care: Care {
            client_gone: ClientGone::Terminate,
            grace: Duration::ZERO,
        },
        start: Some(Starting::new(flight, found, until)),
    };
    let mut script = Script::new((0, 7), begun);
    assert_eq!(script.due_at(), Some(until));
    script.let_land();
    assert!(script.news().is_none(), "its time has not come");
    std::thread::sleep(until.saturating_duration_since(Instant::now()));
    script.let_land();
    assert_eq!(script.due_at(), None, "once is enough");
    let news = (0..6000).find_map(|_| {
        std::thread::sleep(Duration::from_millis(10));
        script.news()
    });
    match news {
        Some(ScriptNews::Ended { id: 7, ended }) => assert_eq!(ended.exit, Exit::Signal(libc::SIGKILL)),
        other => panic!("{other:?}"),
    }
    drop(entrance);
}
