//! What all threads of the worker are doing, gathered when somebody asks: each is asked for a copy of its own, so that none
//! has to write for others to read. The launcher is asked for what the worker may not see.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::exchange::state::{ScriptState, State, Work};
use crate::fs::cache::FileCache;
use crate::process::channel::{Channel, Wait};
use crate::process::message::FromWorker;
use crate::process::report::ServerReport;
use crate::scripts::AtWork;
use crate::worker::thread::Thread;

/// Nobody is waited for any longer.
const PATIENCE: Duration = Duration::from_secs(1);

/// So many connections are shown in full, and so many scripts.
const MOST: usize = 1000;

/// The launcher is asked about so many scripts.
const MOST_ASKED: usize = 200;

/// A question to a thread, with the way for its answer.
pub type Question = oneshot::Sender<Work>;

/// The ways to all threads, and to the launcher.
pub struct Survey {
    since: SystemTime,
    ways: OnceLock<Ways>,
    /// Questions to the launcher that it has not answered, by their numbers.
    open: Mutex<HashMap<u64, oneshot::Sender<ServerReport>>>,
    next: AtomicU64,
}

struct Ways {
    threads: Vec<mpsc::UnboundedSender<Question>>,
    launcher: Arc<Channel>,
    /// The text of the settings.
    settings: Vec<u8>,
}

impl Survey {
    /// Before there are threads.
    pub fn new() -> Survey {
        Survey {
            since: SystemTime::now(),
            ways: OnceLock::new(),
            open: Mutex::default(),
            next: AtomicU64::new(0),
        }
    }

    /// These are the threads, this is the launcher, and this the text of its settings.
    pub fn begin(&self, threads: Vec<mpsc::UnboundedSender<Question>>, launcher: Arc<Channel>, settings: Vec<u8>) {
        // It is said once, where the threads are started.
        let _first = self.ways.set(Ways {
            threads,
            launcher,
            settings,
        });
    }

    /// The text of the settings, as the launcher has handed it over.
    pub fn settings(&self) -> &[u8] {
        self.ways.get().map_or(&[], |ways| &ways.settings)
    }

    /// The launcher has answered a question.
    pub fn answered(&self, number: u64, report: ServerReport) {
        if let Some(asker) = self.open().remove(&number) {
            // Who has asked may have left.
            let _unheard = asker.send(report);
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<ServerReport>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the threads tell, and how many there are and how many did not tell in time.
    async fn ask_threads(&self) -> (Work, usize, usize) {
        let threads = self.ways.get().map_or(&[][..], |ways| &ways.threads);
        let mut answers = Vec::new();
        for thread in threads {
            let (question, answer) = oneshot::channel();
            // One that has ended drops the question, and that is its answer.
            let _ended = thread.send(question);
            answers.push(answer);
        }
        let (mut all, mut silent) = (Work::default(), 0);
        let limit = Instant::now() + PATIENCE;
        for answer in answers {
            match timeout_at(limit, answer).await {
                Ok(Ok(work)) => all.join(work, MOST),
                Ok(Err(_)) | Err(_) => silent += 1,
            }
        }
        (all, threads.len(), silent)
    }

    /// What the launcher tells of the server, and of these processes.
    async fn ask_launcher(&self, pids: Vec<i32>) -> Option<ServerReport> {
        let ways = self.ways.get()?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (asker, answer) = oneshot::channel();
        self.open().insert(number, asker);
        let until_answered = Forgotten { survey: self, number };
        ways.launcher
            .tell(&FromWorker::AskServer { number, pids }, Wait::No)
            .ok()?;
        let answer = timeout_at(Instant::now() + PATIENCE, answer).await;
        drop(until_answered);
        answer.ok()?.ok()
    }
}

/// Forgets a question to the launcher when nobody waits for its answer any more.
struct Forgotten<'a> {
    survey: &'a Survey,
    number: u64,
}

impl Drop for Forgotten<'_> {
    fn drop(&mut self) {
        self.survey.open().remove(&self.number);
    }
}

/// Answers the questions to a thread, as long as it runs.
pub async fn answer(thread: Rc<Thread>, mut questions: mpsc::UnboundedReceiver<Question>) {
    while let Some(question) = questions.recv().await {
        // Who has asked may have left.
        let _unheard = question.send(work(&thread));
    }
}

fn work(thread: &Thread) -> Work {
    let (phases, connections) = thread.roster.shown(MOST);
    Work {
        tally: thread.tally.borrow().clone(),
        accepted: thread.roster.accepted(),
        scripts_started: thread.scripts.started(),
        cache: thread.cache.as_ref().map(FileCache::counts),
        phases,
        connections,
        scripts: thread.scripts.running(MOST).into_iter().map(script).collect(),
    }
}

fn script(one: AtWork) -> ScriptState {
    ScriptState {
        pid: one.pid,
        request: one.request,
        file: one.file,
        client: one.client,
        age: one.age,
    }
}

/// The state of the worker that a thread is of.
pub async fn state(thread: &Thread) -> State {
    let board = Arc::clone(&thread.board);
    let (work, threads, silent) = board.survey.ask_threads().await;
    let pids = work.scripts.iter().filter_map(|script| script.pid);
    let server = board.survey.ask_launcher(pids.take(MOST_ASKED).collect()).await;
    let slots = thread.scripts.slots();
    let crowd = thread.idlers.crowd();
    let backends = thread.applications.backends();
    State {
        taken: SystemTime::now(),
        since: board.survey.since,
        threads,
        silent,
        work,
        most_connections: crowd.most(),
        open_connections: crowd.open(),
        most_scripts: slots.most(),
        busy_scripts: slots.taken(),
        waiting_for_scripts: slots.waiting(),
        backends: backends.states(),
        balancers: backends.balancer_states(thread.config),
        server,
    }
}
