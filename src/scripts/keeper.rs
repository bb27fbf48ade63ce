//! The task beside each script, from its start to its end: reads standard error, waits for the end, gives the slot back,
//! and when the request has left, drains what is still written, ends what must be ended, closes what was left behind.

use std::io;
use std::rc::Rc;

use rustix::process::Signal;
use tokio::time::{Instant, sleep_until};

use crate::process::pidfd::Ended;
use crate::scripts::Care;
use crate::scripts::client::Running;
use crate::scripts::life::{Life, Will, Wish};
use crate::scripts::notes::Weight;
use crate::scripts::pipe::Pipe;
use crate::scripts::queue::Slot;

/// So often it is read before others have their turn.
const READS: usize = 16;
/// A script that may run on is ended when it writes more than this, which nobody reads; no directive moves it.
const UNREAD: u64 = 256 << 20;

/// Who watches over one script.
pub(super) struct Keeper {
    life: Rc<Life>,
    running: Running,
    stderr: Option<Pipe>,
    /// Output that nobody wants.
    stdout: Option<Pipe>,
    care: Care,
    slot: Option<Slot>,
    stage: Stage,
    last_output: Instant,
    last_word: Instant,
    /// Bytes of output that nobody wanted.
    unread: u64,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Its request reads it.
    Attended,
    /// It may run on, but not in silence for ever.
    Finishing,
    /// It may do as it likes.
    Alone,
    /// Its group has had SIGTERM, and will have SIGKILL at this time.
    Terminating(Instant),
    /// Its group has had SIGKILL.
    Killed,
}

impl Keeper {
    pub(super) fn new(life: Rc<Life>, running: Running, stderr: Pipe, care: Care, slot: Slot) -> Keeper {
        let now = Instant::now();
        let mut keeper = Keeper {
            life,
            running,
            stderr: Some(stderr),
            stdout: None,
            care,
            slot: Some(slot),
            stage: Stage::Attended,
            last_output: now,
            last_word: now,
            unread: 0,
        };
        if let Some(ended) = keeper.running.known_end() {
            keeper.note_end(Ok(Some(ended)));
        }
        keeper
    }

    /// Runs until the script has ended and its request has left.
    pub(super) async fn run(mut self) {
        if self.life.has_ended() {
            // All is there already, and whoever waits for the answer goes first.
            tokio::task::yield_now().await;
            self.read_stderr();
            self.read_will();
        }
        while !self.is_done() {
            let deadline = self.deadline();
            tokio::select! {
                () = readable(self.stderr.as_mut()), if self.stderr.is_some() => self.read_stderr(),
                () = readable(self.stdout.as_mut()), if self.stdout.is_some() => self.read_stdout(),
                ended = self.running.ended(), if !self.life.has_ended() => self.note_end(ended),
                () = self.life.called.notified() => self.read_will(),
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => self.ring(),
            }
        }
        self.close_stderr();
    }

    /// Once it has ended, what it left behind keeps us only as long as it writes, or until it has had its SIGKILL.
    fn is_done(&self) -> bool {
        let closed = self.stdout.is_none() && self.stderr.is_none();
        self.life.has_ended()
            && match self.stage {
                Stage::Attended => false,
                Stage::Finishing | Stage::Alone | Stage::Terminating(_) => closed,
                Stage::Killed => true,
            }
    }

    fn deadline(&self) -> Option<Instant> {
        let ended = self.life.end();
        match (self.stage, ended) {
            (Stage::Attended | Stage::Killed, _) | (Stage::Alone, None) => None,
            (Stage::Finishing, None) => Some(self.last_output + self.care.silence),
            (Stage::Finishing | Stage::Alone, Some(end)) => {
                Some(end.at.max(self.last_output).max(self.last_word) + self.care.quiet)
            }
            (Stage::Terminating(kill_at), _) => Some(kill_at),
        }
    }

    /// The deadline has passed.
    fn ring(&mut self) {
        if self.deadline().is_none_or(|deadline| deadline > Instant::now()) {
            return;
        }
        match self.stage {
            Stage::Finishing if !self.life.has_ended() => {
                let silence = self.care.silence.as_secs();
                self.note(
                    Weight::Error,
                    &format!(
                        "nobody reads it any more, and it was silent for {silence} s (CGIScriptTimeout): it is ended"
                    ),
                );
                self.terminate();
            }
            Stage::Finishing | Stage::Alone => self.let_go(),
            Stage::Terminating(_) => {
                self.running.signal_group(Signal::KILL);
                self.stage = Stage::Killed;
            }
            Stage::Attended | Stage::Killed => {}
        }
    }

    fn terminate(&mut self) {
        self.life.note_told_to_end();
        self.running.signal_group(Signal::TERM);
        self.stage = Stage::Terminating(Instant::now() + self.care.grace);
    }

    fn read_will(&mut self) {
        let Some(Will { wish, stdout }) = self.life.take_will() else {
            return;
        };
        self.stdout = stdout;
        self.last_output = Instant::now();
        match wish {
            Wish::Finish => self.stage = Stage::Finishing,
            Wish::Alone => self.stage = Stage::Alone,
            Wish::Terminate => self.terminate(),
        }
    }

    fn note_end(&mut self, ended: io::Result<Option<Ended>>) {
        let exit = match ended {
            Ok(ended) => ended.map(|ended| ended.exit),
            Err(error) => {
                self.note(Weight::Error, &format!("its end cannot be watched: {error}"));
                None
            }
        };
        self.life.note_end(exit);
        self.slot = None;
    }

    fn read_stderr(&mut self) {
        let Some(stderr) = &self.stderr else { return };
        let (notes, pid) = (&self.life.notes, self.life.pid());
        let mut taken = self.life.stderr.borrow_mut();
        let open = read(stderr, |bytes| {
            taken.push(bytes, |line| notes.complaint(pid, line));
        });
        drop(taken);
        self.last_word = Instant::now();
        if !open {
            self.close_stderr();
        }
    }

    fn read_stdout(&mut self) {
        let Some(stdout) = &self.stdout else { return };
        if !read(stdout, |bytes| self.unread += bytes.len() as u64) {
            self.stdout = None;
        }
        self.last_output = Instant::now();
        if self.stage == Stage::Finishing && self.unread > UNREAD {
            self.note(
                Weight::Error,
                "nobody reads it any more, and it goes on writing: it is ended",
            );
            self.terminate();
        }
    }

    /// What still holds the pipes is left alone.
    fn let_go(&mut self) {
        self.stdout = None;
        self.close_stderr();
    }

    fn close_stderr(&mut self) {
        if self.stderr.take().is_none() {
            return;
        }
        let (notes, pid) = (&self.life.notes, self.life.pid());
        let say = |line: &[u8]| notes.complaint(pid, line);
        let dropped = self.life.stderr.borrow_mut().end(say);
        if dropped > 0 {
            self.note(
                Weight::Error,
                &format!("... {dropped} bytes of its error output dropped (CGIStderrLimit)"),
            );
        }
        self.life.note_stderr_closed();
    }

    fn note(&self, weight: Weight, text: &str) {
        self.life.notes.note(weight, self.life.pid(), text);
    }
}

/// Ready when there is something to read, or the end.
async fn readable(pipe: Option<&mut Pipe>) {
    if let Some(pipe) = pipe {
        pipe.readable().await;
    }
}

/// Reads what is there; false at the end.
fn read(pipe: &Pipe, mut take: impl FnMut(&[u8])) -> bool {
    for _ in 0..READS {
        match pipe.read(&mut take) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
    }
    true
}
