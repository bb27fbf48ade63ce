//! What roles say to one another: one small enum per direction, in a compact form of our own.
//!
//! Both ends are the same version of the same program, so there is no negotiation; still an unknown message is told
//! as an error and ignored, never trusted. Layout: one byte for the kind, then its fields in order; descriptors travel
//! beside the bytes in the order of the fields.

mod error;
mod parts;
mod start;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::child::Step;
use super::counts::Counts;
use super::pidfd::Ended;
use super::report::ServerReport;
use super::wire::{Reader, Writer};
pub use error::MessageError;
use parts::{Beside, finish, millis, plain, read_ended, write_ended};
pub use start::{FirstNews, Order, Runs, Start};

/// Something that can be sent over a channel.
pub trait Message: Sized {
    /// Its bytes and the descriptors that go with them.
    fn encode(&self) -> (Vec<u8>, Vec<BorrowedFd<'_>>);

    /// Reads it back; descriptors that turn out not to belong are closed.
    fn decode(payload: &[u8], descriptors: Vec<OwnedFd>) -> Result<Self, MessageError>;
}

/// Launcher to worker.
#[derive(Debug)]
pub enum ToWorker {
    /// Accept what waits on the listeners, close them, say [`FromWorker::AcceptingEnded`], finish what is under way,
    /// end. `limit` is how long that may take, unlimited when zero (GracefulShutdownTimeout).
    Drain {
        /// The longest time.
        limit: Duration,
        /// How long a connection without a request is kept for one more: its client may have sent it already.
        idle: Duration,
    },
    /// End now: within a second or so.
    Stop,
    /// Log `first` and those after it are written to these descriptors from now on.
    ReopenLogs {
        /// The number of the first log.
        first: u32,
        /// The descriptors.
        logs: Vec<OwnedFd>,
    },
    /// The spawner died and another took over: requests that it had not taken must be sent again.
    SpawnerRestarted {
        /// The process id of the other.
        pid: i32,
    },
    /// A program that is a map was started: the worker writes keys and reads values here from now on.
    MapProgram {
        /// Its number.
        number: u32,
        /// Where keys are written.
        keys: OwnedFd,
        /// Where values are read.
        values: OwnedFd,
    },
    /// Say [`FromWorker::Report`], once all that was said before is done.
    Report {
        /// The number that it bears.
        number: u64,
    },
    /// Another process of a service has taken the place of this one.
    ServiceRenewed {
        /// The service.
        name: Vec<u8>,
        /// The number of the process.
        process: u32,
    },
    /// What it has asked.
    Server {
        /// The number of the question.
        number: u64,
        /// What there is to tell.
        report: Box<ServerReport>,
    },
}

/// Worker to launcher.
#[derive(Debug, PartialEq, Eq)]
pub enum FromWorker {
    /// It serves.
    Ready,
    /// Draining, it has taken the last connection.
    AcceptingEnded,
    /// Each of its threads has turned since it last said so.
    Alive,
    /// A script whose spawner has died shall have this signal, with its whole process group. The worker may signal nobody
    /// itself; the launcher is the parent of such scripts now.
    SignalOrphan {
        /// The script, leader of its group.
        pid: i32,
        /// The signal's number.
        signal: i32,
    },
    /// A program that is a map does not answer: it is to be ended and started again.
    MapProgramSilent {
        /// Its number.
        number: u32,
    },
    /// What it was asked for.
    Report {
        /// The number of the question.
        number: u64,
        /// What there is to tell.
        counts: Counts,
    },
    /// A process of a service was given requests.
    ServiceServed {
        /// The service.
        name: Vec<u8>,
        /// The number of the process.
        process: u32,
        /// How many since this was last said.
        requests: u64,
    },
    /// A process of a service is stuck: it owes answers and says nothing.
    ServiceSilent {
        /// The service.
        name: Vec<u8>,
        /// The number of the process.
        process: u32,
    },
    /// An answer of OCSP that goes with a certificate: the next worker begins with it.
    Stapled {
        /// What it is called.
        name: Vec<u8>,
        /// Its bytes.
        answer: Vec<u8>,
    },
    /// Say [`ToWorker::Server`]: a client wants to know.
    AskServer {
        /// The number that it bears.
        number: u64,
        /// The scripts that are to be told of too.
        pids: Vec<i32>,
    },
}

/// Launcher to spawner.
#[derive(Debug)]
pub enum ToSpawner {
    /// Serve one more channel of a worker.
    Serve {
        /// The spawner's end.
        channel: OwnedFd,
    },
    /// End once all channels are closed and the last script has ended.
    Retire,
    /// End now: SIGTERM to all scripts, SIGKILL after the grace.
    Stop {
        /// The grace.
        grace: Duration,
    },
    /// Write log lines here from now on.
    ReopenLog {
        /// The main error log.
        log: OwnedFd,
    },
    /// Say [`FromSpawner::Report`], once all that was said before is done.
    Report {
        /// The number that it bears.
        number: u64,
    },
}

/// Spawner to launcher.
#[derive(Debug, PartialEq, Eq)]
pub enum FromSpawner {
    /// It serves.
    Ready,
    /// What it was asked for.
    Report {
        /// The number of the question.
        number: u64,
        /// How many of its scripts run.
        scripts: u64,
    },
}

/// Worker to spawner.
#[derive(Debug)]
pub enum ScriptOrder {
    /// Start a script.
    Start(Start),
    /// Send a signal to the process group of a script.
    Signal {
        /// Which script.
        id: u64,
        /// The signal's number.
        signal: i32,
    },
    /// Nobody cares for these scripts and their groups any more; they may be reaped once they have ended. Until then the
    /// spawner keeps even an ended script as a zombie, so that its group's number stays its own.
    Release {
        /// Which scripts.
        ids: Vec<u64>,
    },
}

/// Spawner to worker.
#[derive(Debug)]
pub enum ScriptNews {
    /// A script runs.
    Started {
        /// Which.
        id: u64,
        /// Its process id, which is its group's too.
        pid: i32,
        /// Its descriptor; readable once it has ended. None where whoever hears this had no room for it.
        pidfd: Option<OwnedFd>,
    },
    /// A script could not be started.
    Failed {
        /// Which.
        id: u64,
        /// What did not work.
        failed: Failed,
    },
    /// A script has ended.
    Ended {
        /// Which.
        id: u64,
        /// How.
        ended: Ended,
    },
    /// A script was started and has ended: [`FirstNews::WithEnd`].
    Ran {
        /// Which.
        id: u64,
        /// Its process id, which is its group's too.
        pid: i32,
        /// How it ended.
        ended: Ended,
    },
}

/// Why a script was not started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// What did not work.
    pub step: Step,
    /// The system's error number.
    pub errno: i32,
    /// After a failed `exec`: the script's first line with its end, cut at 256 bytes, where it could be read. It
    /// tells a missing interpreter, or a carriage return after it.
    pub first_line: Vec<u8>,
    /// At [`Step::Suexec`]: what is in the way and what mends it, for the log.
    pub told: Vec<u8>,
}

impl Message for ToWorker {
    fn encode(&self) -> (Vec<u8>, Vec<BorrowedFd<'_>>) {
        match self {
            ToWorker::Drain { limit, idle } => plain(Writer::with_tag(1).u64(millis(*limit)).u64(millis(*idle))),
            ToWorker::Stop => plain(Writer::with_tag(2)),
            ToWorker::ReopenLogs { first, logs } => (
                Writer::with_tag(3).u32(*first).done(),
                logs.iter().map(AsFd::as_fd).collect(),
            ),
            ToWorker::SpawnerRestarted { pid } => plain(Writer::with_tag(4).i32(*pid)),
            ToWorker::MapProgram { number, keys, values } => (
                Writer::with_tag(5).u32(*number).done(),
                vec![keys.as_fd(), values.as_fd()],
            ),
            ToWorker::Report { number } => plain(Writer::with_tag(7).u64(*number)),
            ToWorker::ServiceRenewed { name, process } => plain(Writer::with_tag(6).bytes(name).u32(*process)),
            ToWorker::Server { number, report } => plain(report.write(Writer::with_tag(8).u64(*number))),
        }
    }

    fn decode(payload: &[u8], descriptors: Vec<OwnedFd>) -> Result<ToWorker, MessageError> {
        let (mut reader, mut beside) = (Reader::new(payload), Beside::new(descriptors));
        let message = match reader.u8()? {
            1 => ToWorker::Drain {
                limit: Duration::from_millis(reader.u64()?),
                idle: Duration::from_millis(reader.u64()?),
            },
            2 => ToWorker::Stop,
            3 => ToWorker::ReopenLogs {
                first: reader.u32()?,
                logs: beside.all(),
            },
            4 => ToWorker::SpawnerRestarted { pid: reader.i32()? },
            5 => ToWorker::MapProgram {
                number: reader.u32()?,
                keys: beside.next()?,
                values: beside.next()?,
            },
            7 => ToWorker::Report { number: reader.u64()? },
            6 => ToWorker::ServiceRenewed {
                name: reader.bytes()?,
                process: reader.u32()?,
            },
            8 => ToWorker::Server {
                number: reader.u64()?,
                report: Box::new(ServerReport::read(&mut reader)?),
            },
            tag => return Err(MessageError::UnknownKind(tag)),
        };
        finish(message, reader, beside)
    }
}

impl Message for FromWorker {
    fn encode(&self) -> (Vec<u8>, Vec<BorrowedFd<'_>>) {
        plain(match self {
            FromWorker::Ready => Writer::with_tag(1),
            FromWorker::AcceptingEnded => Writer::with_tag(2),
            FromWorker::Alive => Writer::with_tag(3),
            FromWorker::SignalOrphan { pid, signal } => Writer::with_tag(4).i32(*pid).i32(*signal),
            FromWorker::MapProgramSilent { number } => Writer::with_tag(5).u32(*number),
            FromWorker::Report { number, counts } => Writer::with_tag(8).u64(*number).numbers(&counts.numbers()),
            FromWorker::ServiceServed {
                name,
                process,
                requests,
            } => Writer::with_tag(6).bytes(name).u32(*process).u64(*requests),
            FromWorker::ServiceSilent { name, process } => Writer::with_tag(7).bytes(name).u32(*process),
            FromWorker::Stapled { name, answer } => Writer::with_tag(10).bytes(name).bytes(answer),
            FromWorker::AskServer { number, pids } => pids
                .iter()
                .fold(Writer::with_tag(9).u64(*number).count(pids.len()), |writer, pid| {
                    writer.i32(*pid)
                }),
        })
    }

    fn decode(payload: &[u8], descriptors: Vec<OwnedFd>) -> Result<FromWorker, MessageError> {
        let mut reader = Reader::new(payload);
        let message = match reader.u8()? {
            1 => FromWorker::Ready,
            2 => FromWorker::AcceptingEnded,
            3 => FromWorker::Alive,
            4 => FromWorker::SignalOrphan {
                pid: reader.i32()?,
                signal: reader.i32()?,
            },
            5 => FromWorker::MapProgramSilent { number: reader.u32()? },
            8 => FromWorker::Report {
                number: reader.u64()?,
                counts: Counts::from_numbers(&reader.list(|reader| reader.u64())?).ok_or(MessageError::Malformed)?,
            },
            6 => FromWorker::ServiceServed {
                name: reader.bytes()?,
                process: reader.u32()?,
                requests: reader.u64()?,
            },
            7 => FromWorker::ServiceSilent {
                name: reader.bytes()?,
                process: reader.u32()?,
            },
            10 => parts::stapled(&mut reader)?,
            9 => FromWorker::AskServer {
                number: reader.u64()?,
                pids: reader.list(Reader::i32)?,
            },
            tag => return Err(MessageError::UnknownKind(tag)),
        };
        finish(message, reader, Beside::new(descriptors))
    }
}

impl Message for ToSpawner {
    fn encode(&self) -> (Vec<u8>, Vec<BorrowedFd<'_>>) {
        match self {
            ToSpawner::Serve { channel } => (Writer::with_tag(1).done(), vec![channel.as_fd()]),
            ToSpawner::Retire => plain(Writer::with_tag(2)),
            ToSpawner::Stop { grace } => plain(Writer::with_tag(3).u64(millis(*grace))),
            ToSpawner::ReopenLog { log } => (Writer::with_tag(4).done(), vec![log.as_fd()]),
            ToSpawner::Report { number } => plain(Writer::with_tag(5).u64(*number)),
        }
    }

    fn decode(payload: &[u8], descriptors: Vec<OwnedFd>) -> Result<ToSpawner, MessageError> {
        let (mut reader, mut beside) = (Reader::new(payload), Beside::new(descriptors));
        let message = match reader.u8()? {
            1 => ToSpawner::Serve {
                channel: beside.next()?,
            },
            2 => ToSpawner::Retire,
            3 => ToSpawner::Stop {
                grace: Duration::from_millis(reader.u64()?),
            },
            4 => ToSpawner::ReopenLog { log: beside.next()? },
            5 => ToSpawner::Report { number: reader.u64()? },
            tag => return Err(MessageError::UnknownKind(tag)),
        };
        finish(message, reader, beside)
    }
}

impl Message for FromSpawner {
    fn encode(&self) -> (Vec<u8>, Vec<BorrowedFd<'_>>) {
        match self {
            FromSpawner::Ready => plain(Writer::with_tag(1)),
            FromSpawner::Report { number, scripts } => plain(Writer::with_tag(2).u64(*number).u64(*scripts)),
        }
    }

    fn decode(payload: &[u8], descriptors: Vec<OwnedFd>) -> Result<FromSpawner, MessageError> {
        let mut reader = Reader::new(payload);
        let message = match reader.u8()? {
            1 => FromSpawner::Ready,
            2 => FromSpawner::Report {
                number: reader.u64()?,
                scripts: reader.u64()?,
            },
            tag => return Err(MessageError::UnknownKind(tag)),
        };
        finish(message, reader, Beside::new(descriptors))
    }
}

impl Message for ScriptOrder {
    fn encode(&self) -> (Vec<u8>, Vec<BorrowedFd<'_>>) {
        match self {
            ScriptOrder::Start(start) => start.encode(),
            ScriptOrder::Signal { id, signal } => plain(Writer::with_tag(2).u64(*id).i32(*signal)),
            ScriptOrder::Release { ids } => plain(Writer::with_tag(3).numbers(ids)),
        }
    }

    fn decode(payload: &[u8], descriptors: Vec<OwnedFd>) -> Result<ScriptOrder, MessageError> {
        let (mut reader, mut beside) = (Reader::new(payload), Beside::new(descriptors));
        let message = match reader.u8()? {
            1 => ScriptOrder::Start(Start::decode(&mut reader, &mut beside)?),
            2 => ScriptOrder::Signal {
                id: reader.u64()?,
                signal: reader.i32()?,
            },
            3 => ScriptOrder::Release {
                ids: reader.list(|reader| reader.u64())?,
            },
            tag => return Err(MessageError::UnknownKind(tag)),
        };
        finish(message, reader, beside)
    }
}

impl Message for ScriptNews {
    fn encode(&self) -> (Vec<u8>, Vec<BorrowedFd<'_>>) {
        match self {
            ScriptNews::Started { id, pid, pidfd } => {
                let beside = pidfd.iter().map(AsFd::as_fd).collect();
                (Writer::with_tag(1).u64(*id).i32(*pid).done(), beside)
            }
            ScriptNews::Failed { id, failed } => {
                let writer = Writer::with_tag(2).u64(*id).u32(failed.step.number()).i32(failed.errno);
                plain(writer.bytes(&failed.first_line).bytes(&failed.told))
            }
            ScriptNews::Ended { id, ended } => plain(write_ended(Writer::with_tag(3).u64(*id), ended)),
            ScriptNews::Ran { id, pid, ended } => plain(write_ended(Writer::with_tag(4).u64(*id).i32(*pid), ended)),
        }
    }

    fn decode(payload: &[u8], descriptors: Vec<OwnedFd>) -> Result<ScriptNews, MessageError> {
        let (mut reader, mut beside) = (Reader::new(payload), Beside::new(descriptors));
        let message = match reader.u8()? {
            1 => ScriptNews::Started {
                id: reader.u64()?,
                pid: reader.i32()?,
                pidfd: beside.next().ok(),
            },
            2 => {
                let id = reader.u64()?;
                let step = Step::from_number(reader.u32()?).ok_or(MessageError::Malformed)?;
                let failed = Failed {
                    step,
                    errno: reader.i32()?,
                    first_line: reader.bytes()?,
                    told: reader.bytes()?,
                };
                ScriptNews::Failed { id, failed }
            }
            3 => ScriptNews::Ended {
                id: reader.u64()?,
                ended: read_ended(&mut reader)?,
            },
            4 => ScriptNews::Ran {
                id: reader.u64()?,
                pid: reader.i32()?,
                ended: read_ended(&mut reader)?,
            },
            tag => return Err(MessageError::UnknownKind(tag)),
        };
        finish(message, reader, beside)
    }
}

#[cfg(test)]
mod tests;
