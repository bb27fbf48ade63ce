//! Programs asked for and watched: queue, caps, deadlines, stderr, diagnosis.
//!
//! [`Scripts`] starts one and gives a [`Script`], through which its request reads the output. Beside it a
//! task of its own, the keeper, reads standard error, waits for the end, and goes on when the request has lost interest:
//! it drains, asks the process group to end, kills it. Each keeper ends when its script has.

pub mod client;
pub mod diagnosis;
mod keeper;
mod life;
pub mod notes;
mod pipe;
pub mod queue;
pub mod script;
pub mod stderr;

#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStringExt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use crate::base::placed::placed;
use crate::config::directives::cgi::ClientGone;
use crate::process::child::Step;
use crate::process::message::{Failed, Order};
use crate::scripts::client::{Spawner, StartError, StartRequest};
use crate::scripts::keeper::Keeper;
use crate::scripts::life::Life;
use crate::scripts::notes::{About, Asked, Logs, Notes};
use crate::scripts::pipe::Pipe;
use crate::scripts::queue::{Slot, Slots};
use crate::scripts::script::Script;

/// What one worker thread needs to run scripts.
pub struct Scripts {
    spawner: Spawner,
    slots: Arc<Slots>,
    logs: Rc<dyn Logs>,
    inherited: Inherited,
    keepers: Rc<Keepers>,
    /// What was said once and need not be said again.
    said: RefCell<HashSet<(usize, Vec<u8>)>>,
}

/// What scripts inherit of the server's own environment.
#[derive(Clone, Debug, Default)]
pub struct Inherited {
    /// PATH.
    pub path: Option<Vec<u8>>,
    /// TZ.
    pub time_zone: Option<Vec<u8>>,
}

impl Inherited {
    /// What this process has to pass on.
    pub fn here() -> Inherited {
        let variable = |name| std::env::var_os(name).map(OsStringExt::into_vec);
        Inherited {
            path: variable("PATH"),
            time_zone: variable("TZ"),
        }
    }
}

/// The scripts that keepers look after, by a number that each has for itself.
#[derive(Default)]
struct Keepers {
    lives: RefCell<BTreeMap<u64, Rc<Life>>>,
    started: Cell<u64>,
    changed: Notify,
}

/// One of them, until it is dropped.
struct Counted(Rc<Keepers>, u64);

impl Counted {
    fn new(keepers: &Rc<Keepers>, life: &Rc<Life>) -> Counted {
        let number = keepers.started.get();
        keepers.started.set(number + 1);
        keepers.lives.borrow_mut().insert(number, Rc::clone(life));
        Counted(Rc::clone(keepers), number)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let life = self.0.lives.borrow_mut().remove(&self.1);
        drop(life);
        self.0.changed.notify_waiters();
    }
}

/// A script that is looked after.
#[derive(Clone, Debug)]
pub struct AtWork {
    /// Its number in the system; none until it has started.
    pub pid: Option<i32>,
    /// The method and the target of its request; empty where it serves several.
    pub request: Vec<u8>,
    /// Its file.
    pub file: Vec<u8>,
    /// Who asked.
    pub client: SocketAddr,
    /// How long ago it was asked for.
    pub age: Duration,
}

/// How a script is to be treated.
#[derive(Clone, Copy, Debug)]
pub struct Care {
    /// It may be silent for so long (CGIScriptTimeout, Timeout).
    pub silence: Duration,
    /// Between SIGTERM and SIGKILL (CGIKillGrace).
    pub grace: Duration,
    /// What it left behind may be silent for so long before the response ends (CGIQuietTime).
    pub quiet: Duration,
    /// So much of its error output is logged (CGIStderrLimit), in bytes.
    pub stderr_limit: u64,
    /// What happens when its client leaves (CGIClientGone).
    pub client_gone: ClientGone,
}

impl Scripts {
    /// Scripts started through `spawner`, at most as many at once as there are `slots` for all threads.
    pub fn new(spawner: Spawner, slots: Arc<Slots>, logs: Rc<dyn Logs>) -> Scripts {
        Scripts {
            spawner,
            slots,
            logs,
            inherited: Inherited::here(),
            keepers: Rc::default(),
            said: RefCell::default(),
        }
    }

    /// Whether this is the first time that `what` is to be said of a site; for what the settings decide, and so would be
    /// said with every request.
    pub fn is_news(&self, site: usize, what: &[u8]) -> bool {
        self.said.borrow_mut().insert((site, what.to_vec()))
    }

    /// How many of this thread's scripts are still looked after, whether or not a request is interested.
    pub fn at_work(&self) -> usize {
        self.keepers.lives.borrow().len()
    }

    /// How many this thread has had started, or has tried to.
    pub fn started(&self) -> u64 {
        self.keepers.started.get()
    }

    /// At most `most` of this thread's scripts that have not ended, oldest first.
    pub fn running(&self, most: usize) -> Vec<AtWork> {
        let lives = self.keepers.lives.borrow();
        let lives = lives.values().filter(|life| !life.has_ended()).take(most);
        let at_work = |life: &Rc<Life>| {
            let about = life.notes.about();
            AtWork {
                pid: life.pid(),
                request: life.request().to_vec(),
                file: about.script.clone(),
                client: about.client,
                age: life.since().elapsed(),
            }
        };
        lives.map(at_work).collect()
    }

    /// Waits until no script is looked after.
    pub async fn idle(&self) {
        loop {
            let changed = self.keepers.changed.notified();
            if self.at_work() == 0 {
                return;
            }
            changed.await;
        }
    }

    /// The turns of all threads' scripts.
    pub fn slots(&self) -> &Slots {
        &self.slots
    }

    /// Notes about one request, for the logs of its site; `asked` tells a script log what was asked.
    pub fn notes(&self, about: About, asked: impl FnOnce() -> Asked) -> Rc<Notes> {
        Rc::new(Notes::new(Rc::clone(&self.logs), about, asked))
    }

    /// What they inherit of the server's own environment.
    pub fn inherited(&self) -> &Inherited {
        &self.inherited
    }

    /// Starts a script for a request with this method and target, on a thread with local tasks. It keeps its slot until its process
    /// has ended, and it is ended by the keeper should this future be dropped before its end.
    pub async fn start(
        &self,
        order: Order,
        (method, target): (&[u8], &[u8]),
        care: Care,
        (slot, notes): (Slot, Rc<Notes>),
    ) -> Result<Script, StartError> {
        let (stdout, script_stdout) = Pipe::new().map_err(|error| no_pipe(&error))?;
        let (stderr, script_stderr) = Pipe::new().map_err(|error| no_pipe(&error))?;
        let asked = asked(method, target);
        let request = StartRequest {
            order,
            stdout: script_stdout,
            stderr: script_stderr,
        };
        let life = Rc::new(Life::new(care.stderr_limit, notes, asked));
        let script = Script::new(Rc::clone(&life), stdout, care);
        let (tell, started) = oneshot::channel();
        let (spawner, counted) = (self.spawner.clone(), Counted::new(&self.keepers, &life));
        let keeping = || async move {
            let _until_its_end = counted;
            match spawner.start(request, care.silence).await {
                Ok(running) => {
                    if let Some(pid) = running.pid() {
                        life.started(pid);
                    }
                    let keeper = Keeper::new(life, running, stderr, care, slot);
                    let _the_request_is_gone = tell.send(Ok(()));
                    keeper.run().await;
                }
                Err(error) => drop(tell.send(Err(error))),
            }
        };
        tokio::task::spawn_local(placed(keeping));
        match started.await {
            Ok(Ok(())) => Ok(script),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(StartError::Gone),
        }
    }
}

/// The method and the target of a request, cut; nothing where there is no request.
fn asked(method: &[u8], target: &[u8]) -> Vec<u8> {
    if method.is_empty() {
        return Vec::new();
    }
    let mut asked = [method, b" ", target].concat();
    asked.truncate(MOST_ASKED);
    asked
}

/// So much of them is kept.
const MOST_ASKED: usize = 256;

fn no_pipe(error: &io::Error) -> StartError {
    StartError::Failed(Failed {
        step: Step::Ask,
        errno: error.raw_os_error().unwrap_or(libc::EIO),
        first_line: Vec::new(),
        told: Vec::new(),
    })
}
