//! For tests: a spawner made of a thread that runs real scripts, logs that remember, and a runtime to use them in.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CString;
use std::future::Future;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::Notify;

use crate::log::script_log::ScriptLog;
use crate::process::channel::{Channel, Heard, Wait};
use crate::process::child::{ChildSpec, Program, Session, SpawnError, spawn};
use crate::process::message::{Failed, FirstNews, ScriptNews, ScriptOrder, Start};
use crate::process::pidfd::{Pidfd, Reap, signal_group};
use crate::scripts::Scripts;
use crate::scripts::client::{Spawner, connect};
use crate::scripts::notes::{About, Logs, Weight};
use crate::scripts::queue::Slots;

/// Longer than anything in a test may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a test on a runtime as a worker thread has one.
pub(crate) fn on_thread<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        tokio::time::timeout(PATIENCE, test).await.expect("it does not hang")
    })
}

/// Scripts in a directory of their own, and all that runs them.
pub(crate) struct Bench {
    pub(crate) directory: PathBuf,
    pub(crate) scripts: Rc<Scripts>,
    pub(crate) logs: Rc<Remembered>,
    spawner: Spawner,
    driver: tokio::task::JoinHandle<std::io::Result<()>>,
    thread: JoinHandle<()>,
}

impl Bench {
    /// A bench with these files, all executable, and so many slots.
    pub(crate) fn new(files: &[(&str, &str)], slots: usize) -> Bench {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("lychgate-scripts-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory of our own");
        for (name, text) in files {
            let file = directory.join(name);
            std::fs::write(&file, text).expect("ours");
            std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).expect("ours");
        }
        let (mine, other) = Channel::pair().expect("sockets");
        let (spawner, driver) = connect(mine, Box::new(signal_group)).expect("a runtime");
        let logs = Rc::new(Remembered::default());
        let slots = Arc::new(Slots::new(slots, 1, Duration::from_secs(20)));
        let at = directory.clone();
        Bench {
            scripts: Rc::new(Scripts::new(spawner.clone(), slots, Rc::clone(&logs) as Rc<dyn Logs>)),
            directory,
            logs,
            spawner,
            driver: tokio::spawn(driver.run()),
            thread: std::thread::spawn(move || play(other, &at)),
        }
    }

    /// The text of a file beside the scripts, once it is there and has a whole line.
    pub(crate) async fn file(&self, name: &str) -> String {
        loop {
            match std::fs::read_to_string(self.directory.join(name)) {
                Ok(text) if text.ends_with('\n') => return text,
                _ => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        }
    }

    /// Waits until no script is left, not even as a zombie, and takes everything down.
    pub(crate) async fn finish(self) {
        self.scripts.idle().await;
        self.driver.abort();
        let _cancelled = self.driver.await;
        drop((self.scripts, self.spawner));
        self.thread.join().expect("every script was reaped");
        std::fs::remove_dir_all(self.directory).expect("ours");
    }
}

/// Logs that keep what they are told.
#[derive(Default)]
pub(crate) struct Remembered {
    notes: RefCell<Vec<String>>,
    came: Notify,
    pub(crate) script_log: RefCell<Option<Rc<ScriptLog>>>,
}

impl Remembered {
    /// All notes so far: the weight's first letter and the text; process ids become PID.
    pub(crate) fn all(&self) -> Vec<String> {
        self.notes.borrow().clone()
    }

    /// The first note that has `part` in it, once it has come.
    pub(crate) async fn with(&self, part: &str) -> String {
        loop {
            let came = self.came.notified();
            if let Some(note) = self.notes.borrow().iter().find(|note| note.contains(part)) {
                return note.clone();
            }
            came.await;
        }
    }
}

impl Logs for Remembered {
    fn note(&self, _about: &About, weight: Weight, text: &str) {
        let weight = match weight {
            Weight::Error => 'E',
            Weight::Warning => 'W',
            Weight::Info => 'I',
        };
        self.notes.borrow_mut().push(format!("{weight} {text}"));
        self.came.notify_waiters();
    }

    fn script_log(&self, _site: usize) -> Option<Rc<ScriptLog>> {
        self.script_log.borrow().clone()
    }
}

/// A script of the thread's.
struct Played {
    pid: i32,
    pidfd: Arc<Pidfd>,
    watcher: JoinHandle<()>,
}

/// The spawner's part until the channel is closed; then every script must have been released.
fn play(channel: Channel, directory: &Path) {
    let channel = Arc::new(channel);
    let mut scripts: HashMap<u64, Played> = HashMap::new();
    while let Ok(Heard::Message(order)) = channel.hear(Wait::Yes) {
        match order {
            ScriptOrder::Start(start) => {
                let id = start.id;
                release(&mut scripts, &start.released);
                if let Some(played) = begin(&channel, directory, &start) {
                    scripts.insert(id, played);
                }
            }
            ScriptOrder::Signal { id, signal } => {
                if let (Some(script), Some(signal)) = (scripts.get(&id), Signal::from_named_raw(signal)) {
                    signal_group(script.pid, signal).expect("ours");
                }
            }
            ScriptOrder::Release { ids } => release(&mut scripts, &ids),
        }
    }
    assert!(scripts.is_empty(), "a script was forgotten");
}

fn release(scripts: &mut HashMap<u64, Played>, ids: &[u64]) {
    for script in ids.iter().filter_map(|id| scripts.remove(id)) {
        script.watcher.join().expect("no panic");
        script.pidfd.wait().expect("it has ended");
    }
}

fn begin(channel: &Arc<Channel>, directory: &Path, start: &Start) -> Option<Played> {
    let id = start.id;
    match execute(directory, start) {
        Err(error) => {
            let first_line = std::fs::read(directory.join(text(&start.order.path))).unwrap_or_default();
            let failed = Failed {
                step: error.step,
                errno: error.errno,
                first_line,
                told: Vec::new(),
            };
            let _worker_is_gone = channel.tell(&ScriptNews::Failed { id, failed }, Wait::Yes);
            None
        }
        Ok((pid, pidfd)) => {
            let pidfd = Arc::new(pidfd);
            let (its_pidfd, channel) = (Arc::clone(&pidfd), Arc::clone(channel));
            let patience = match start.order.first_news {
                FirstNews::AtOnce => Duration::ZERO,
                FirstNews::WithEnd => Duration::from_millis(50),
            };
            let watcher = std::thread::spawn(move || {
                let quick = !patience.is_zero() && its_pidfd.ends_within(patience).expect("it can be polled");
                if !quick {
                    let pidfd = Some(its_pidfd.as_fd().try_clone_to_owned().expect("descriptors"));
                    let _worker_is_gone = channel.tell(&ScriptNews::Started { id, pid, pidfd }, Wait::Yes);
                }
                while !its_pidfd.ends_within(PATIENCE).expect("it can be polled") {}
                let ended = its_pidfd.try_wait(Reap::No).expect("ours").expect("it has ended");
                let news = if quick {
                    ScriptNews::Ran { id, pid, ended }
                } else {
                    ScriptNews::Ended { id, ended }
                };
                let _worker_is_gone = channel.tell(&news, Wait::Yes);
            });
            Some(Played { pid, pidfd, watcher })
        }
    }
}

fn execute(directory: &Path, start: &Start) -> Result<(i32, Pidfd), SpawnError> {
    let word = |bytes: &[u8]| CString::new(bytes).expect("no NUL");
    let path = word(
        directory
            .join(text(&start.order.path))
            .to_str()
            .expect("text")
            .as_bytes(),
    );
    let at = word(directory.to_str().expect("text").as_bytes());
    let null = std::fs::File::open("/dev/null").expect("it is there");
    let stdin = start.order.stdin.as_ref().map_or(null.as_fd(), |fd| fd.as_fd());
    let mut argv = vec![path.clone()];
    argv.extend(start.order.arguments.iter().map(|argument| word(argument)));
    let mut spec = ChildSpec::new(
        Program::Path(&path),
        argv,
        vec![stdin, start.stdout.as_fd(), start.stderr.as_fd()],
    );
    spec.env.clone_from(&start.order.env);
    spec.directory = crate::process::child::Directory::Path(&at);
    spec.session = Session::Own;
    spawn(&spec).map(|child| (child.pid, child.pidfd))
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}
