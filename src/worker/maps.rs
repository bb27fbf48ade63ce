//! Conversations with the programs that are maps: a line with the key, a line with the value. A program has one conversation
//! at a time, of whatever thread.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::sync::Notify;

use crate::config::maps::programs;
use crate::config::site::Config;
use crate::process::channel::{Channel, Wait};
use crate::process::message::FromWorker;

/// A value longer than this is none, and its program is started again. No directive moves it.
const LONGEST_VALUE: u64 = 64 * 1024;

/// All programs of this process, by their numbers.
pub struct MapPrograms {
    list: Vec<MapProgram>,
    launcher: Arc<Channel>,
}

/// One of them.
struct MapProgram {
    name: String,
    /// Who holds it may talk to the program.
    turn: tokio::sync::Mutex<()>,
    /// Our ends of its pipes; none while it is being started.
    pipes: Mutex<Option<Pipes>>,
    arrived: Notify,
}

/// Our ends.
struct Pipes {
    keys: OwnedFd,
    values: OwnedFd,
}

/// Why there was no value.
enum Silence {
    /// The program ended before it said anything.
    Ended,
    /// It said something that is no line, or our end failed.
    Broken(io::Error),
}

impl MapPrograms {
    /// Those of the settings.
    pub fn new(config: &Config, launcher: Arc<Channel>) -> MapPrograms {
        let program = |program: &crate::config::maps::Program<'_>| MapProgram {
            name: String::from_utf8_lossy(program.name).into_owned(),
            turn: tokio::sync::Mutex::new(()),
            pipes: Mutex::new(None),
            arrived: Notify::new(),
        };
        MapPrograms {
            list: programs(config).iter().map(program).collect(),
            launcher,
        }
    }

    /// Whether there are any.
    pub fn are_there(&self) -> bool {
        !self.list.is_empty()
    }

    /// A program was started: these are our ends of its pipes.
    pub fn started(&self, number: u32, keys: OwnedFd, values: OwnedFd) {
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        if let Some(program) = self.list.get(number) {
            program.put(Some(Pipes { keys, values }));
            program.arrived.notify_one();
        }
    }

    /// What a program says to a key, within `limit`. The error is a sentence.
    ///
    /// It goes on when the caller does not wait any more: what was asked must be answered before the next may ask.
    pub async fn ask(
        self: &Arc<MapPrograms>,
        number: usize,
        key: Vec<u8>,
        limit: Duration,
    ) -> Result<Option<Vec<u8>>, String> {
        let all = Arc::clone(self);
        let conversation = tokio::task::spawn_local(async move { all.converse(number, &key, limit).await });
        let answer = conversation
            .await
            .map_err(|_| "its conversation was cut".to_owned())
            .and_then(|answer| answer);
        let name = self.list.get(number).map_or("", |program| program.name.as_str());
        answer.map_err(|error| format!("RewriteMap {name}: the program gave no answer: {error}"))
    }

    async fn converse(&self, number: usize, key: &[u8], limit: Duration) -> Result<Option<Vec<u8>>, String> {
        let program = self.list.get(number).ok_or("it is not known")?;
        let until = tokio::time::Instant::now() + limit;
        let late = || format!("nothing within {limit:?} (Timeout)");
        let _turn = tokio::time::timeout_at(until, program.turn.lock())
            .await
            .map_err(|_| late())?;
        // One that has just ended has a successor, which may be asked too.
        for _ in 0..2 {
            let pipes = tokio::time::timeout_at(until, program.pipes())
                .await
                .map_err(|_| late())?;
            match tokio::time::timeout_at(until, line_for(&pipes, key)).await {
                Ok(Ok(value)) => {
                    program.put_back(pipes);
                    let is_null = value.eq_ignore_ascii_case(b"NULL");
                    return Ok((!is_null).then_some(value));
                }
                Ok(Err(Silence::Ended)) => {}
                Ok(Err(Silence::Broken(error))) => {
                    self.tell(number);
                    return Err(error.to_string());
                }
                Err(_) => {
                    self.tell(number);
                    return Err(late());
                }
            }
        }
        Err("it ended".to_owned())
    }

    /// The launcher starts it again.
    fn tell(&self, number: usize) {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        // A launcher that does not hear us is about to end us too.
        let _ = self.launcher.tell(&FromWorker::MapProgramSilent { number }, Wait::No);
    }
}

impl MapProgram {
    fn put(&self, pipes: Option<Pipes>) -> Option<Pipes> {
        std::mem::replace(&mut *self.pipes.lock().unwrap_or_else(PoisonError::into_inner), pipes)
    }

    /// After a conversation, unless those of a successor are there already.
    fn put_back(&self, own: Pipes) {
        self.pipes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(own);
    }

    async fn pipes(&self) -> Pipes {
        loop {
            if let Some(pipes) = self.put(None) {
                return pipes;
            }
            self.arrived.notified().await;
        }
    }
}

/// Asks, and reads one line, without its end.
async fn line_for(pipes: &Pipes, key: &[u8]) -> Result<Vec<u8>, Silence> {
    // Registered with the event loop of the thread that asks, so each conversation has copies. The launcher made them
    // non-blocking, which a confined process may not.
    let copy = |fd: &OwnedFd| fd.try_clone().map_err(Silence::Broken);
    let mut keys = Sender::from_owned_fd_unchecked(copy(&pipes.keys)?).map_err(Silence::Broken)?;
    let values = Receiver::from_owned_fd_unchecked(copy(&pipes.values)?).map_err(Silence::Broken)?;
    let mut line = key.to_vec();
    line.push(b'\n');
    match keys.write_all(&line).await {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Err(Silence::Ended),
        sent => sent.map_err(Silence::Broken)?,
    }
    let mut value = Vec::new();
    let mut values = BufReader::new(values).take(LONGEST_VALUE);
    values.read_until(b'\n', &mut value).await.map_err(Silence::Broken)?;
    match value.pop() {
        Some(b'\n') => Ok(value),
        None => Err(Silence::Ended),
        Some(_) => Err(Silence::Broken(io::Error::other("what it said is no line"))),
    }
}
