//! Worker threads that were taken over: the spawner lives on whatever they say, and starts nothing that no place covers.

use std::fs;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

use super::{Rules, Spawner};
use crate::base::testing::{Dice, alone};
use crate::config::site::{Config, ScriptLinks, ScriptPlace};
use crate::process::channel::{Channel, Heard, Wait};
use crate::process::message::{FirstNews, Message, Order, Runs, ScriptNews, ScriptOrder, Start, ToSpawner};

const PACKETS: usize = 200_000;

/// One in so many packets begins as a start that would be obeyed: each of those costs a process.
const STARTS: usize = 300;

/// Orders of every kind, whole and damaged, with the descriptors that belong to them and without.
#[test]
fn nonsense_of_a_worker_starts_nothing_but_scripts_of_a_place() {
    if !alone("spawner::hostile::nonsense_of_a_worker_starts_nothing_but_scripts_of_a_place") {
        return;
    }
    let root = tree();
    let mut bystander = Command::new("sleep").arg("600").spawn().expect("coreutils are there");
    let (launcher, to_launcher) = Channel::pair().expect("sockets work");
    let mut spawner = Spawner::new(to_launcher, Vec::new(), rules(&root)).expect("/dev/null is there");
    let serving = std::thread::spawn(move || spawner.serve());
    let mut dice = Dice::new(20);
    let mut line = Line::new(&launcher);
    for number in 0..PACKETS {
        let null = null();
        let (payload, rights) = packet(&mut dice, number as u64, &null);
        if !line.send(&mut dice, &payload, &rights) {
            line = Line::new(&launcher); // what breaks the channel costs the worker its own scripts
        }
    }
    line = Line::new(&launcher);
    let null = null();
    let (payload, _) = start(1, b"inside.sh", &null).encode();
    assert!(line.send_whole(&payload, &[null.as_fd(), null.as_fd()]));
    line.wait_for_end();
    assert!(root.join("ran-inside").exists(), "an honest order is still obeyed");
    assert!(!root.join("ran-outside").exists(), "what no place covers has run");
    assert!(matches!(bystander.try_wait(), Ok(None)), "somebody else was signalled");
    launcher
        .tell(&ToSpawner::Stop { grace: Duration::ZERO }, Wait::Yes)
        .expect("it listens");
    serving.join().expect("no panic").expect("no error");
    bystander.kill().expect("ours");
    bystander.wait().expect("ours");
    fs::remove_dir_all(root).expect("ours");
}

/// An output of its own: by that an order is known that comes twice.
fn null() -> OwnedFd {
    let file = fs::File::options().read(true).write(true).open("/dev/null");
    OwnedFd::from(file.expect("it is there"))
}

/// A place with one script, a way out of it, and a script beside it; both scripts leave a trace.
fn tree() -> PathBuf {
    let root = std::env::temp_dir().join(format!("lychgate-hostile-{}", std::process::id()));
    fs::create_dir_all(root.join("place/sub")).expect("there is room");
    for (file, trace) in [("place/inside.sh", "ran-inside"), ("outside.sh", "ran-outside")] {
        let text = format!("#!/bin/sh\n: > {}\n", root.join(trace).display());
        fs::write(root.join(file), text).expect("there is room");
        fs::set_permissions(root.join(file), fs::Permissions::from_mode(0o755)).expect("ours");
    }
    symlink("../outside.sh", root.join("place/out")).expect("there is room");
    symlink(&root, root.join("place/sub/up")).expect("there is room");
    root
}

fn rules(root: &std::path::Path) -> Rules {
    let place = ScriptPlace {
        site: 0,
        root: root.join("place").as_os_str().as_bytes().to_vec(),
        links: ScriptLinks::Beneath,
    };
    Rules {
        config: Config {
            script_places: vec![place],
            ..Config::default()
        },
        admitted_variables: Vec::new(),
    }
}

fn start(id: u64, path: &[u8], out: &OwnedFd) -> ScriptOrder {
    let copy = || out.try_clone().expect("descriptors are free");
    ScriptOrder::Start(Start {
        id,
        order: Order {
            place: 0,
            path: path.to_vec(),
            runs: Runs::Itself,
            arguments: vec![b"word".to_vec()],
            env: [("A", "b"), ("LD_PRELOAD", "/tmp/x.so")].into_iter().collect(),
            limits: Vec::new(),
            first_news: FirstNews::AtOnce,
            stdin: None,
        },
        released: Vec::new(),
        stdout: copy(),
        stderr: copy(),
    })
}

/// The bytes of one packet and what goes beside them.
fn packet<'a>(dice: &mut Dice, number: u64, null: &'a OwnedFd) -> (Vec<u8>, Vec<BorrowedFd<'a>>) {
    const PATHS: [&[u8]; 7] = [
        b"../outside.sh",
        b"out",
        b"sub/up/outside.sh",
        b"/bin/sh",
        b"",
        b"nothing",
        b"sub/../inside.sh",
    ];
    let any = dice.below(usize::MAX >> 34) as u64;
    let (mut payload, mut count) = match dice.below(8) {
        0 => (dice.bytes(64), dice.below(4)),
        1 | 2 => (
            ScriptOrder::Release {
                ids: (0..dice.below(4) as u64)
                    .map(|more| (any + more) % (number + 1))
                    .collect(),
            }
            .encode()
            .0,
            0,
        ),
        3 => {
            let signal = i32::try_from(dice.below(70)).unwrap_or(0) - 3;
            let id = if dice.below(2) == 0 {
                any % (number + 1)
            } else {
                any << 40
            };
            (ScriptOrder::Signal { id, signal }.encode().0, 0)
        }
        _ if dice.below(STARTS) == 0 => (start(number, b"inside.sh", null).encode().0, 2),
        _ => (start(number, PATHS[dice.below(PATHS.len())], null).encode().0, 2),
    };
    if dice.below(3) != 0 {
        dice.damage(&mut payload);
    }
    if dice.below(10) == 0 {
        count = dice.below(4);
    }
    (payload, vec![null.as_fd(); count])
}

/// A worker's end, and a thread that takes the news so that the spawner never waits for us.
struct Line {
    channel: Channel,
    news: std::sync::mpsc::Receiver<ScriptNews>,
}

impl Line {
    fn new(launcher: &Channel) -> Line {
        let (ours, theirs) = Channel::pair().expect("sockets work");
        let channel = theirs.into();
        launcher
            .tell(&ToSpawner::Serve { channel }, Wait::Yes)
            .expect("it listens");
        let reading = Channel::from(ours.as_fd().try_clone_to_owned().expect("descriptors are free"));
        let (give, news) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            while let Ok(Heard::Message(message)) = reading.hear(Wait::Yes) {
                let _nobody_may_ask = give.send(message);
            }
        });
        Line { channel: ours, news }
    }

    /// Sends a packet, of the wrong form now and then; false when the spawner has closed the channel.
    fn send(&self, dice: &mut Dice, payload: &[u8], rights: &[BorrowedFd<'_>]) -> bool {
        let form = match dice.below(2000) {
            0 => 1,
            1 => 77,
            _ => 0,
        };
        self.send_as(form, payload, rights)
    }

    fn send_whole(&self, payload: &[u8], rights: &[BorrowedFd<'_>]) -> bool {
        self.send_as(0, payload, rights)
    }

    fn send_as(&self, form: u8, payload: &[u8], rights: &[BorrowedFd<'_>]) -> bool {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !rights.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(rights));
        }
        let form = [form];
        let parts = [IoSlice::new(&form), IoSlice::new(payload)];
        match rustix::net::sendmsg(&self.channel, &parts, &mut control, SendFlags::NOSIGNAL) {
            Ok(_) => true,
            Err(Errno::PIPE | Errno::CONNRESET) => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// Waits until a script has ended.
    fn wait_for_end(&self) {
        loop {
            match self.news.recv_timeout(Duration::from_secs(60)).expect("it answers") {
                ScriptNews::Ended { .. } | ScriptNews::Ran { .. } => return,
                ScriptNews::Started { .. } => {}
                ScriptNews::Failed { failed, .. } => panic!("{failed:?}"),
            }
        }
    }
}
