//! The end of a spawner, and of the scripts that it has then.

use std::fs;
use std::io::Read;
use std::time::Duration;

use super::{Setup, all};
use crate::process::channel::Wait;
use crate::process::message::{ScriptOrder, ToSpawner};

/// It goes at its SIGTERM; what it has started does not.
const LEAVES_SOMETHING: &str = "#!/bin/sh\n(trap '' TERM; echo deaf; while :; do sleep 1000; done) &\nwait\n";

#[test]
fn it_ends_with_its_launcher() {
    let setup = Setup::new("alone", &[]);
    drop(setup.launcher);
    setup.thread.join().expect("no panic").expect("no error");
    fs::remove_dir_all(setup.root).expect("ours");
}

/// Nobody else would end them.
#[test]
fn its_scripts_end_with_its_launcher() {
    let setup = Setup::new("left", &[("waits", LEAVES_SOMETHING)]);
    let mut output = setup.start(1, "waits");
    let _running = setup.started();
    output.read_exact(&mut [0; 5]).expect("it says so");
    drop(setup.launcher);
    setup.thread.join().expect("no panic").expect("no error");
    assert_eq!(all(output), "", "the end comes when nobody holds its output any more");
    fs::remove_dir_all(setup.root).expect("ours");
}

/// Its worker waits for it no more, as one whose time to drain is over.
#[test]
fn a_stop_ends_a_script_that_was_let_go_of_with_its_group() {
    let setup = Setup::new("let-go", &[("waits", LEAVES_SOMETHING)]);
    let mut output = setup.start(1, "waits");
    let _running = setup.started();
    output.read_exact(&mut [0; 5]).expect("it says so");
    setup.order(&ScriptOrder::Release { ids: vec![1] });
    let grace = Duration::from_millis(1500);
    setup
        .launcher
        .tell(&ToSpawner::Stop { grace }, Wait::Yes)
        .expect("there is room");
    setup.thread.join().expect("no panic").expect("no error");
    assert_eq!(all(output), "", "the end comes when nobody holds its output any more");
    fs::remove_dir_all(setup.root).expect("ours");
}
