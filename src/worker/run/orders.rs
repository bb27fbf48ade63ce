//! The launcher's orders, and their way to the threads.

use std::convert::Infallible;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::Interest;
use tokio::sync::mpsc;

use crate::backend::Backends;
use crate::log::sink::Sink;
use crate::process::channel::{Channel, Heard, Wait};
use crate::process::footprint;
use crate::process::message::{FromWorker, ToWorker};
use crate::process::watched::Watched;
use crate::worker::board::Board;
use crate::worker::maps::MapPrograms;

/// An order for one thread.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    /// Accept what waits, close the listeners, end with the last connection or at the limit.
    Drain { limit: Duration, idle: Duration },
    /// The spawner was replaced by this process.
    SpawnerRestarted { pid: i32 },
    /// End now.
    Stop,
}

/// What the first thread has besides the others: the launcher's orders, which it passes on.
///
/// A thread of its own for them would make every call of the system dearer on one core: where a process has one thread, the kernel
/// knows that nobody else closes a descriptor meanwhile. Measured: 2 in a hundred of a hit's CPU time.
pub(super) struct First {
    pub(super) launcher: Arc<Channel>,
    pub(super) all: All,
    pub(super) stopping: Arc<AtomicBool>,
    /// Ends when the last of the other threads does: each has the other side.
    pub(super) others: mpsc::Receiver<Infallible>,
}

/// So long after it is ready a worker has mostly answered who waited for it: they do not wait for what it gives back, and what they
/// took besides goes with it.
const STARTED: Duration = Duration::from_millis(100);

impl First {
    /// Tells that all is ready, takes orders while this thread serves, and then until the last of the others has ended.
    pub(super) async fn beside(mut self, serving: impl Future<Output = Result<(), String>>) -> Result<(), String> {
        let own = self.launcher.as_fd().try_clone_to_owned();
        let channel = own
            .and_then(|fd| Watched::new(Channel::from(fd), Interest::READABLE))
            .map_err(|e| format!("cannot listen to the launcher: {e}"))?;
        tokio::task::spawn_local(async move {
            // This runs when the thread waits for the first time: it has what it needs to begin. Should the launcher be gone, that
            // is what is heard first.
            let _ = self.launcher.tell(&FromWorker::Ready, Wait::Yes);
            tokio::task::spawn_local(async {
                tokio::time::sleep(STARTED).await;
                footprint::give_back();
            });
            take_orders(&channel, &self.all, &self.stopping).await;
        });
        // An error is one of the beginning, and with it the process ends.
        serving.await?;
        let _ended = self.others.recv().await;
        Ok(())
    }
}

/// What the launcher's orders are for.
pub(super) struct All {
    pub(super) orders: Vec<mpsc::UnboundedSender<Order>>,
    pub(super) sinks: Vec<Arc<Sink>>,
    pub(super) maps: Arc<MapPrograms>,
    pub(super) backends: Arc<Backends>,
    pub(super) board: Arc<Board>,
}

/// Passes the launcher's orders on. Without a launcher there is nobody to end us later, so the worker drains and ends.
async fn take_orders(launcher: &Watched<Channel>, all: &All, stopping: &AtomicBool) {
    let All {
        orders,
        sinks,
        maps,
        backends,
        board,
    } = all;
    let tell = |order: Order| {
        for thread in orders {
            // A thread that has ended needs no orders.
            let _ = thread.send(order);
        }
    };
    loop {
        match launcher.read(|channel| channel.hear::<ToWorker>(Wait::No)).await {
            Ok(Heard::Message(ToWorker::Drain { limit, idle })) => tell(Order::Drain { limit, idle }),
            Ok(Heard::Message(ToWorker::SpawnerRestarted { pid })) => tell(Order::SpawnerRestarted { pid }),
            Ok(Heard::Message(ToWorker::ReopenLogs { first, logs })) => {
                for (sink, fd) in sinks.iter().skip(first as usize).zip(&logs) {
                    // On an error the old file goes on; the launcher, which opened the new one, has said what it had to.
                    let _ = sink.reopen(fd.as_fd());
                }
                // The first is the main error log, where a panic is told too.
                if let Some(main) = logs.first().filter(|_| first == 0) {
                    let _ = rustix::stdio::dup2_stderr(main);
                }
            }
            Ok(Heard::Message(ToWorker::MapProgram { number, keys, values })) => maps.started(number, keys, values),
            Ok(Heard::Message(ToWorker::Report { number })) => {
                let counts = board.counts();
                // A launcher without room for it goes without.
                let _unheard = launcher.inner().tell(&FromWorker::Report { number, counts }, Wait::No);
            }
            Ok(Heard::Message(ToWorker::ServiceRenewed { name, process })) => {
                backends.renewed(&name, u16::try_from(process).unwrap_or(u16::MAX));
            }
            Ok(Heard::Message(ToWorker::Server { number, report })) => board.survey.answered(number, *report),
            // An order of another version is none of ours.
            Ok(Heard::Unknown(_)) => {}
            Ok(Heard::Message(ToWorker::Stop) | Heard::Closed) | Err(_) => {
                stopping.store(true, Ordering::Relaxed);
                return tell(Order::Stop);
            }
        }
    }
}
