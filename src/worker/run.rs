//! The worker's life: threads that accept and serve, and the launcher's orders.

#[cfg(test)]
mod allocations;
mod ground;
mod orders;

use std::convert::Infallible;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::Signal;
use tokio::runtime::LocalOptions;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::auth::nonce::SECRET;
use crate::backend::Backends;
use crate::backend::on_demand::OnDemand;
use crate::backend::service::News;
use crate::base::secret::Secret;
use crate::config::directives::log::LogTarget;
use crate::config::load;
use crate::config::logs::{system_log, targets};
use crate::config::site::Config;
use crate::fs::cache;
use crate::handlers::application::Applications;
use crate::lang::log_level::Level;
use crate::log::sink::Sink;
use crate::net::accept::Listener;
use crate::net::tls::Engines;
use crate::phases;
use crate::process::channel::{Channel, Wait};
use crate::process::inherit::Inherited;
use crate::process::message::FromWorker;
use crate::process::say::say_to;
use crate::scripts::client::{self, Spawner};
use crate::scripts::queue::Slots;
use crate::scripts::{Scripts, notes};
use crate::worker::accept::{Connections, acceptor};
use crate::worker::board::Board;
use crate::worker::confine::{self, Debuggers};
use crate::worker::conn::rest::{self, Resting};
use crate::worker::crowd::{Crowd, Idlers, fitting};
use crate::worker::logs::Logs;
use crate::worker::maps::MapPrograms;
use crate::worker::pulse::Pulse;
use crate::worker::run::orders::{All, First, Order};
use crate::worker::stapling;
use crate::worker::survey::{self, Question};
use crate::worker::thread::{Protocol, Thread};

/// How often a thread without work looks after lines that wait for a slow log.
const LOG_TICK: Duration = Duration::from_secs(1);

/// Serves until the launcher says otherwise. The error says why it could not, for the log.
pub fn run(inherited: Inherited, protocol: &Protocol, debuggers: Debuggers) -> Result<(), String> {
    let config: &'static Config = Box::leak(Box::new(load::from_text(&inherited.settings)?));
    say_to(system_log(config));
    let sinks = sinks(config, inherited.logs)?;
    let secret = Secret::from(inherited.secret);
    if let Ok(secret) = <[u8; SECRET]>::try_from(&*secret) {
        phases::digest::sign_with(secret);
    }
    ground::take_ground(config)?;
    // Formats were checked when the settings were; this says so before any thread relies on it.
    let logs = Logs::new(config, &sinks)?;
    let started = Arc::new(ground::started(config)?);
    let (engines, clients) = ground::tls(config, inherited.keys, &secret)?;
    let engines = Arc::new(engines);
    let responders = engines.subjects().iter().map(|subject| subject.responder().port);
    confine::enter(config, responders, debuggers)?.say();
    let count = inherited.scripts.len().max(1);
    let listening: usize = inherited.listeners.iter().map(Vec::len).sum();
    let room = room_for(config, count * OWN_OF_A_THREAD + listening + sinks.len());
    let mut shares =
        shared_out(inherited.listeners, count).map_err(|e| format!("cannot share out the listeners: {e}"))?;
    let pulse = Arc::new(Pulse::new(count));
    let accepting = Arc::new(AtomicUsize::new(count));
    let slots = Arc::new(Slots::of(&config.server.scripts));
    let backends = Arc::new(Backends::new(config, clients));
    let crowd = Arc::new(Crowd::new(said_most(config).unwrap_or(room), count));
    let board = Arc::new(Board::new(Arc::clone(&crowd), Arc::clone(&slots), count));
    let launcher = Arc::new(inherited.launcher);
    let maps = Arc::new(MapPrograms::new(config, Arc::clone(&launcher)));
    let stopping = Arc::new(AtomicBool::new(false));
    let mut orders = Vec::new();
    let mut askers = Vec::new();
    let mut parts = Vec::new();
    for (number, scripts) in inherited.scripts.into_iter().enumerate() {
        let (give, take) = mpsc::unbounded_channel();
        orders.push(give);
        let (ask, questions) = mpsc::unbounded_channel();
        askers.push(ask);
        parts.push(Part {
            config,
            protocol: protocol.clone(),
            number,
            sinks: sinks.clone(),
            listeners: std::mem::take(&mut shares[number]),
            scripts,
            slots: Arc::clone(&slots),
            backends: Arc::clone(&backends),
            started: Arc::clone(&started),
            crowd: Arc::clone(&crowd),
            room,
            orders: take,
            accepting: Arc::clone(&accepting),
            pulse: Arc::clone(&pulse),
            launcher: Arc::clone(&launcher),
            maps: Arc::clone(&maps),
            board: Arc::clone(&board),
            engines: Arc::clone(&engines),
            questions,
        });
    }
    let (at_work, others) = mpsc::channel(1);
    let mut parts = parts.into_iter();
    let own = parts.next().ok_or("there is no way to the spawner")?;
    let threads = parts.map(|part| start_another(part, at_work.clone()));
    let threads: Vec<_> = threads.collect::<Result<_, _>>()?;
    drop(at_work);
    board.survey.begin(askers, Arc::clone(&launcher), inherited.settings);
    let first = First {
        launcher,
        all: All {
            orders,
            sinks: sinks.clone(),
            maps,
            backends,
            board,
        },
        stopping: Arc::clone(&stopping),
        others,
    };
    // Should it fail, that is before anything is served.
    serve(own, Some(first))?;
    let mut result = Ok(());
    for thread in threads {
        let ended = thread.join().unwrap_or_else(|_| Err("a thread panicked".into()));
        result = result.and(ended);
    }
    finish_logs(&sinks, &logs, &stopping);
    result
}

/// Starts one more thread, which lets go of `at_work` when it ends.
fn start_another(part: Part, at_work: mpsc::Sender<Infallible>) -> Result<JoinHandle<Result<(), String>>, String> {
    let thread = std::thread::Builder::new().name(format!("serve {}", part.number));
    let work = move || {
        let _at_work = at_work;
        serve(part, None)
    };
    thread.spawn(work).map_err(|e| format!("cannot start a thread: {e}"))
}

/// How long lines that wait for a slow log may keep a worker that drains from ending.
const LINES_AFTER_DRAIN: Duration = Duration::from_secs(10);

/// The same where the server stops; shorter than the launcher waits before it kills.
const LINES_AFTER_STOP: Duration = Duration::from_millis(500);

/// Writes the lines that wait, and tells of those that cannot be written any more.
fn finish_logs(sinks: &[Arc<Sink>], logs: &Logs, stopping: &AtomicBool) {
    let start = std::time::Instant::now();
    let until = || {
        let limit = if stopping.load(Ordering::Relaxed) {
            LINES_AFTER_STOP
        } else {
            LINES_AFTER_DRAIN
        };
        start + limit
    };
    for sink in sinks {
        sink.finish(&until);
    }
    logs.tell_last_losses();
    // Reports may have to wait for room too.
    for sink in sinks {
        sink.finish(&until);
    }
}

/// How many connections the limit of open descriptors has room for beside the `used`.
fn room_for(config: &Config, used: usize) -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    fitting(limit, used, config.server.scripts.max_scripts.or(64))
}

/// What MaxConnections says.
fn said_most(config: &Config) -> Option<usize> {
    let said = config.server.core.max_connections.or(0);
    (said > 0).then(|| usize::try_from(said).unwrap_or(usize::MAX))
}

/// Descriptors that a thread has for itself: its event loops, its channels, and what it opens now and then.
const OWN_OF_A_THREAD: usize = 9;

fn sinks(config: &Config, logs: Vec<OwnedFd>) -> Result<Vec<Arc<Sink>>, String> {
    let names = targets(config);
    if names.len() != logs.len() {
        return Err(format!(
            "{} logs were handed over, and the settings have {}",
            logs.len(),
            names.len()
        ));
    }
    let open = |(target, fd): (&LogTarget, _)| {
        let name = target.to_string();
        Sink::inherited(&name, fd)
            .map(Arc::new)
            .map_err(|e| format!("{name}: {e}"))
    };
    names.iter().zip(logs).map(open).collect()
}

/// Thread i of n takes copies i, i+n, … of every address, so that none is without a thread. Where an address has fewer
/// copies than there are threads, those that are left over take part in them from the first on.
fn shared_out(listeners: Vec<Vec<OwnedFd>>, threads: usize) -> io::Result<Vec<Vec<OwnedFd>>> {
    let mut shares: Vec<Vec<OwnedFd>> = (0..threads).map(|_| Vec::new()).collect();
    for copies in listeners {
        let more: io::Result<Vec<OwnedFd>> = copies
            .iter()
            .cycle()
            .skip(copies.len())
            .zip(copies.len()..threads)
            .map(|(listener, _)| listener.try_clone())
            .collect();
        for (n, listener) in copies.into_iter().chain(more?).enumerate() {
            shares[n % threads].push(listener);
        }
    }
    Ok(shares)
}

/// Tells the launcher how the processes of services do.
async fn tell_of_services(backends: Arc<Backends>, launcher: Arc<Channel>) {
    let mut tick = tokio::time::interval(SERVICE_TICK);
    loop {
        tokio::select! {
            () = backends.news_come() => {}
            _ = tick.tick() => {}
        }
        for news in backends.news() {
            let message = match news {
                News::Served { name, number, requests } => FromWorker::ServiceServed {
                    name: name.into_bytes(),
                    process: number.into(),
                    requests,
                },
                News::Silent { name, number } => FromWorker::ServiceSilent {
                    name: name.into_bytes(),
                    process: number.into(),
                },
            };
            // A launcher that does not listen at the moment misses some; it has no need of all.
            let _ = launcher.tell(&message, Wait::No);
        }
    }
}

/// How often services are looked after.
const SERVICE_TICK: Duration = Duration::from_millis(250);

/// What one thread is given.
struct Part {
    config: &'static Config,
    protocol: Protocol,
    number: usize,
    sinks: Vec<Arc<Sink>>,
    listeners: Vec<OwnedFd>,
    scripts: Channel,
    slots: Arc<Slots>,
    backends: Arc<Backends>,
    started: Arc<OnDemand>,
    crowd: Arc<Crowd>,
    /// For so many connections there are descriptors.
    room: usize,
    orders: mpsc::UnboundedReceiver<Order>,
    accepting: Arc<AtomicUsize>,
    pulse: Arc<Pulse>,
    launcher: Arc<Channel>,
    maps: Arc<MapPrograms>,
    board: Arc<Board>,
    engines: Arc<Engines>,
    questions: mpsc::UnboundedReceiver<Question>,
}

/// So many threads beside each serving thread may wait for disks and name servers; what comes then waits for one of them.
const WAITING_THREADS: usize = 128;

/// Serves until it is told to end; the `first` thread takes the launcher's orders meanwhile.
fn serve(part: Part, first: Option<First>) -> Result<(), String> {
    let logs = Rc::new(Logs::new(part.config, &part.sinks)?);
    thread_local! {
        static LOGS: std::cell::OnceCell<Rc<Logs>> = const { std::cell::OnceCell::new() };
    }
    LOGS.with(|cell| {
        // The thread begins here, so the cell is empty.
        let _ = cell.set(Rc::clone(&logs));
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(WAITING_THREADS)
        .on_thread_park(|| {
            LOGS.with(|cell| {
                if let Some(logs) = cell.get() {
                    logs.end_turn();
                }
            });
            cache::end_turn();
        })
        .build_local(LocalOptions::default())
        .map_err(|e| format!("cannot start the event loop: {e}"))?;
    let serving = accept_and_serve(part, Rc::clone(&logs));
    let result = runtime.block_on(async {
        match first {
            Some(first) => first.beside(serving).await,
            None => serving.await,
        }
    });
    // Tasks that are still there are ended with the runtime, and with them what they own. A disk or a name server that does not
    // answer keeps no worker from ending.
    runtime.shutdown_background();
    logs.flush();
    result
}

async fn accept_and_serve(part: Part, logs: Rc<Logs>) -> Result<(), String> {
    let Part {
        config,
        protocol,
        number,
        listeners,
        scripts,
        slots,
        backends,
        started,
        crowd,
        room,
        mut orders,
        accepting,
        pulse,
        launcher,
        maps,
        board,
        engines,
        questions,
        ..
    } = part;
    let told = Arc::clone(&launcher);
    let orphans = move |pid, signal: Signal| {
        let signal = signal.as_raw();
        told.tell(&FromWorker::SignalOrphan { pid, signal }, Wait::No)
    };
    let (spawner, driver) =
        client::connect(scripts, Box::new(orphans)).map_err(|e| format!("cannot reach the spawner: {e}"))?;
    tokio::task::spawn_local(async move {
        // When the spawner's channel ends, so do we: the launcher sees to both.
        let _ = driver.run().await;
    });
    let scripts = Rc::new(Scripts::new(
        spawner.clone(),
        slots,
        Rc::clone(&logs) as Rc<dyn notes::Logs>,
    ));
    let applications = Rc::new(Applications::new(
        Arc::clone(&backends),
        started,
        Rc::clone(&logs) as Rc<dyn notes::Logs>,
        Rc::clone(&scripts),
    ));
    let resting = Resting::new().map_err(|e| format!("cannot watch idle connections: {e}"))?;
    let idlers = Idlers::new(crowd, number);
    let thread = Rc::new(Thread::new(
        (config, protocol, engines),
        logs,
        scripts,
        applications,
        maps,
        (idlers, resting),
        board,
    ));
    let most = thread.idlers.crowd().most();
    if number == 0 && most > room {
        thread.note(
            Level::Warn,
            format_args!("MaxConnections {most}: the limit of open files has room for {room} only"),
        );
    }
    attend(&thread, questions, &launcher);
    tokio::task::spawn_local(give_signs(number, Arc::clone(&pulse), Arc::clone(&launcher)));
    if number == 0 && backends.have_services() {
        tokio::task::spawn_local(tell_of_services(Arc::clone(&backends), Arc::clone(&launcher)));
    }
    let connections = Rc::new(Connections::default());
    let mut acceptors = Vec::new();
    for listener in listeners {
        let listener = Listener::new(listener).map_err(|e| format!("cannot take a listener: {e}"))?;
        let (thread, connections) = (Rc::clone(&thread), Rc::clone(&connections));
        acceptors.push(tokio::task::spawn_local(acceptor(listener, thread, connections)));
    }
    let mut tick = tokio::time::interval(LOG_TICK);
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Drain { limit, idle }) => {
                    stop_accepting(&thread, acceptors).await;
                    if accepting.fetch_sub(1, Ordering::AcqRel) == 1 {
                        // Should the launcher be gone, nobody waits for the word.
                        let _ = launcher.tell(&FromWorker::AcceptingEnded, Wait::Yes);
                    }
                    drain(&mut orders, &thread, &connections, &spawner, Ending::after(limit, idle)).await;
                    pulse.end(number);
                    return Ok(());
                }
                Some(Order::SpawnerRestarted { pid }) => spawner.restarted(pid),
                Some(Order::Stop) | None => {
                    stop_accepting(&thread, acceptors).await;
                    drain(&mut orders, &thread, &connections, &spawner, Ending::now()).await;
                    return Ok(());
                }
            },
            _ = tick.tick() => thread.applications.backends().sweep(),
        }
    }
}

/// Shows that this thread turns, until the end of its event loop.
async fn give_signs(number: usize, pulse: Arc<Pulse>, launcher: Arc<Channel>) {
    let mut tick = tokio::time::interval(SIGN);
    loop {
        tick.tick().await;
        if pulse.beat(number) {
            // A launcher that does not listen at the moment is told at the next turn.
            let _ = launcher.tell(&FromWorker::Alive, Wait::No);
        }
    }
}

/// How often a thread shows that it turns.
const SIGN: Duration = Duration::from_secs(1);

/// Does what other threads ask for: closes idle connections, tells what there is to tell.
fn attend(thread: &Rc<Thread>, questions: mpsc::UnboundedReceiver<Question>, launcher: &Arc<Channel>) {
    if thread.idlers.number() == 0 {
        tokio::task::spawn_local(stapling::keep(Rc::clone(thread), Arc::clone(launcher)));
    }
    let logs = Rc::clone(&thread.logs);
    tokio::task::spawn_local(async move {
        // Without it no line waits, which only costs time.
        let _ = logs.write_late_lines().await;
    });
    tokio::task::spawn_local(survey::answer(Rc::clone(thread), questions));
    let evicting = Rc::clone(thread);
    tokio::task::spawn_local(async move { evicting.idlers.obey().await });
    tokio::task::spawn_local(rest::wake(Rc::clone(thread)));
}

async fn stop_accepting(thread: &Thread, acceptors: Vec<tokio::task::JoinHandle<()>>) {
    thread.drain.ask();
    thread.applications.backends().keep_none();
    for acceptor in acceptors {
        // It ends by itself once the order is given and nothing waits to be accepted.
        let _ = acceptor.await;
    }
}

/// How long what scripts and files still have to say may take to reach their clients when the server stops.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// How often a draining thread looks whether its last script has ended.
const SCRIPT_TICK: Duration = Duration::from_millis(100);

/// How a thread ends whose last connections and scripts are still at work.
struct Ending {
    /// When it does not wait for them any longer.
    over: Option<Instant>,
    /// When connections that are kept for a further request are closed. Until then one is answered with a close: its client
    /// may be sending it at this moment.
    last_request: Instant,
    /// Whether it ends as soon as may be, so that no order is left that could change that.
    is_stop: bool,
}

impl Ending {
    /// With the last of them, or after `limit` (none: zero).
    fn after(limit: Duration, idle: Duration) -> Ending {
        let now = Instant::now();
        Ending {
            over: (!limit.is_zero()).then(|| now + limit),
            last_request: now + idle,
            is_stop: false,
        }
    }

    /// Once what has been said already has reached its clients.
    fn now() -> Ending {
        Ending {
            is_stop: true,
            ..Ending::after(LAST_WORDS, Duration::ZERO)
        }
    }
}

/// Waits for the last connection and script, as `ending` says; the order to stop cuts that short.
async fn drain(
    orders: &mut mpsc::UnboundedReceiver<Order>,
    thread: &Thread,
    connections: &Connections,
    spawner: &Spawner,
    mut ending: Ending,
) {
    while !(connections.none() && thread.scripts.at_work() == 0) {
        if connections.none() {
            // Who waits for no request any more keeps no process that would serve it.
            thread.applications.started().keep_none();
        }
        if ending.over.is_some_and(|over| Instant::now() >= over) {
            return;
        }
        if Instant::now() >= ending.last_request {
            thread.idlers.close_kept();
        }
        tokio::select! {
            () = connections.changed() => {}
            () = tokio::time::sleep(SCRIPT_TICK) => {}
            // Who gives orders is gone once the last one is given: that is no further one.
            order = orders.recv(), if !ending.is_stop => match order {
                Some(Order::SpawnerRestarted { pid }) => spawner.restarted(pid),
                Some(Order::Drain { .. }) => {}
                Some(Order::Stop) | None => ending = Ending::now(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::MetadataExt;

    use super::shared_out;

    #[test]
    fn no_listener_is_without_a_thread_and_no_thread_without_a_listener() {
        for (copies, threads, expected) in [
            (3, 3, vec![vec![0], vec![1], vec![2]]),
            (5, 2, vec![vec![0, 2, 4], vec![1, 3]]),
            (1, 3, vec![vec![0], vec![0], vec![0]]),
            (2, 5, vec![vec![0], vec![1], vec![0], vec![1], vec![0]]),
        ] {
            let pipes: Vec<_> = (0..copies)
                .map(|_| std::io::pipe().expect("descriptors are free"))
                .collect();
            let file = |fd: OwnedFd| File::from(fd).metadata().expect("it is open").ino();
            let copy = |pipe: &std::io::PipeReader| OwnedFd::from(pipe.try_clone().expect("descriptors are free"));
            let files: Vec<u64> = pipes.iter().map(|(reader, _)| file(copy(reader))).collect();
            let listeners = vec![pipes.iter().map(|(reader, _)| copy(reader)).collect()];
            let shares = shared_out(listeners, threads).expect("descriptors are free");
            let place = |fd: OwnedFd| {
                let this = file(fd);
                files.iter().position(|one| *one == this).expect("one of them")
            };
            let shares: Vec<Vec<usize>> = shares
                .into_iter()
                .map(|share| share.into_iter().map(place).collect())
                .collect();
            assert_eq!(shares, expected, "{copies} for {threads}");
        }
    }
}
