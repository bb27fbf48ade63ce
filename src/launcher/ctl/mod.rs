//! The launcher's side of the control socket: who has come, what they ask, what they are told.
//!
//! Nobody is waited for. A visitor that says nothing, or takes nothing, is sent away after a while, or sooner when others
//! want its place; one that floods is read a little at a time.

mod reports;
mod service;
mod status;
mod verbs;

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::orphans::parent;
use super::plan::ControlSocket;
use crate::process::answer::Answer;
use crate::process::ctl::words::{LONGEST_REQUEST, Line, lines, words};
use crate::process::ctl::{CtlSocket, Peer, peer};
use crate::process::handover::{Pack, Unpack, Unreadable};
use crate::process::say::{Complaints, Weight, say};

pub(super) use reports::Reports;
pub(super) use status::ProcessStatus;

use reports::Inquiry;
use verbs::Then;

/// The control socket and everybody who has come there.
#[derive(Default)]
pub(super) struct Desk {
    socket: Option<CtlSocket>,
    /// In the order of their coming.
    visitors: VecDeque<Visitor>,
    next: u64,
    inquiry: Inquiry,
    /// When those who wait for the end are shown how far it is next.
    show_at: Option<Instant>,
    /// When it is looked next whether a stopped service has ended.
    look_at: Option<Instant>,
    /// Until then nobody is let in: there was no descriptor for it.
    shut_until: Option<Instant>,
    complaints: Complaints,
    /// Why the last reload was refused, if it was.
    refused: Option<String>,
}

/// One who has come.
struct Visitor {
    number: u64,
    stream: UnixStream,
    heard: Vec<u8>,
    to_say: Vec<u8>,
    stage: Stage,
    /// It is sent away then.
    until: Option<Instant>,
}

/// Where a visitor is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// It has not said all it wants.
    Speaks,
    /// It waits for what the roles report: to this question, once it is put.
    Reports(Then, Option<u64>),
    /// It waits for the settings it has asked for.
    Reload,
    /// It waits until the processes of a service that was stopped have ended; not longer than until then.
    Stop(String, Instant),
    /// It waits for the end of the server, and was shown this of the way there.
    End(String),
    /// It hears the rest of its answer.
    Leaves,
}

/// One who comes when there are so many takes the place of another.
const MOST_VISITORS: usize = 32;

/// How long it may take to say what one wants, and to take an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long nobody is let in when there is no descriptor left.
const PAUSE: Duration = Duration::from_secs(1);

/// So many are let in before others have their turn.
const ADMITTED_A_TURN: usize = 64;

impl Desk {
    /// The socket for these settings, unless it is there already; what was is still in place until [`Desk::open`].
    pub(super) fn socket_for(&self, wanted: &ControlSocket) -> Result<Option<CtlSocket>, String> {
        let (ControlSocket::Named(path) | ControlSocket::Usual(path)) = wanted else {
            return Ok(None);
        };
        if self.is_at(path) {
            return Ok(None);
        }
        match CtlSocket::bind(path) {
            Ok(socket) => Ok(Some(socket)),
            Err(error) => {
                let told = format!("ControlSocket: {}: {error}", path.display());
                if matches!(wanted, ControlSocket::Named(_)) {
                    return Err(told);
                }
                let told = format!("{told}: `lychgate ctl` does not work");
                say("launcher", Weight::Warning, &told);
                Ok(None)
            }
        }
    }

    /// The settings came into force, and with them this socket, if it is another one than before.
    pub(super) fn open(&mut self, wanted: &ControlSocket, socket: Option<CtlSocket>) {
        self.refused = None;
        let stays = wanted.path().is_some_and(|path| self.is_at(path));
        if socket.is_some() || !stays {
            self.socket = socket;
        }
    }

    fn is_at(&self, path: &Path) -> bool {
        let is_it = |socket: &CtlSocket| socket.path() == path && socket.is_there();
        self.socket.as_ref().is_some_and(is_it)
    }

    /// A reload was refused for this reason.
    pub(super) fn note_refusal(&mut self, error: &str) {
        self.refused = Some(error.to_owned());
    }

    /// What is to be waited for.
    pub(super) fn polled(&self) -> impl Iterator<Item = PollFd<'_>> {
        let socket = self.socket.iter().filter(|_| self.shut_until.is_none());
        let socket = socket.map(|socket| PollFd::new(socket, PollFlags::IN));
        socket.chain(self.visitors.iter().map(|one| PollFd::new(&one.stream, one.interest())))
    }

    /// When there is something to do at the latest.
    pub(super) fn next_time(&self) -> Option<Instant> {
        let visitors = self.visitors.iter().filter_map(|one| one.until);
        let visitors = visitors.chain(self.shut_until).chain(self.look_at);
        visitors.chain(self.inquiry.next_time().or(self.show_at)).min()
    }

    /// Lets in who has come, and returns what was asked for, by whom.
    fn hear(&mut self, now: Instant) -> Vec<(u64, Vec<Vec<u8>>)> {
        self.admit(now);
        let mut asked = Vec::new();
        self.visitors.retain_mut(|one| match one.hear() {
            Ok(None) => one.until.is_none_or(|until| until > now),
            Ok(Some(request)) => {
                asked.push((one.number, request));
                true
            }
            Err(_) => false,
        });
        asked
    }

    fn admit(&mut self, now: Instant) {
        self.shut_until = self.shut_until.filter(|until| *until > now);
        let Some(socket) = self.socket.as_ref().filter(|_| self.shut_until.is_none()) else {
            return;
        };
        for _ in 0..ADMITTED_A_TURN {
            make_room(&mut self.visitors);
            match socket.next() {
                Ok(Some(stream)) => {
                    let number = self.next;
                    self.next += 1;
                    let mut visitor = Visitor {
                        number,
                        heard: Vec::new(),
                        to_say: Vec::new(),
                        stage: Stage::Speaks,
                        until: Some(now + PATIENCE),
                        stream,
                    };
                    if let Err(why) = peer(&visitor.stream).map_err(|error| error.to_string()).and_then(may) {
                        visitor.end(&why, NOT_PERMITTED);
                    }
                    self.visitors.push_back(visitor);
                }
                Ok(None) => break,
                Err(error) => {
                    // Who waits goes on waiting, and the loop must not turn for nothing meanwhile.
                    self.shut_until = Some(now + PAUSE);
                    self.complaints.say("launcher", &format!("ControlSocket: {error}"));
                    break;
                }
            }
        }
    }

    /// Says what there is to be said, as far as it is taken, and forgets who has heard all or is gone.
    fn speak(&mut self) {
        self.visitors
            .retain_mut(|one| one.speak().is_ok_and(|()| !one.is_done()));
    }

    fn visitor(&mut self, number: u64) -> Option<&mut Visitor> {
        self.visitors.iter_mut().find(|one| one.number == number)
    }

    /// What came of a reload, for one who asked for it.
    pub(super) fn tell_outcome(&mut self, number: u64, answer: &Answer) {
        let Some(visitor) = self.visitor(number) else { return };
        match answer {
            Ok(()) => visitor.succeed("serving by the new settings"),
            Err(error) => visitor.end(error, FAILED),
        }
    }

    /// The server is about to end, `whole` or after it cut something: who waited for that is told. What is not taken at once is not
    /// heard any more.
    pub(super) fn close(mut self, whole: bool) {
        self.socket = None; // whoever hears that we have ended may start another one
        for visitor in &mut self.visitors {
            match (&visitor.stage, whole) {
                (Stage::Leaves, _) => {}
                (Stage::End(_), true) => visitor.succeed("the server has ended"),
                (Stage::End(_), false) => visitor.end("the server has ended; what took too long was cut", FAILED),
                _ => visitor.end("the server has ended", FAILED),
            }
        }
        self.speak();
    }

    /// Packs the socket, and who waits for a reload, for another version of the launcher.
    pub(super) fn pack<'a>(&'a self, pack: &mut Pack<'a>) {
        use std::os::unix::ffi::OsStrExt;
        pack.option(self.socket.as_ref(), |pack, socket| {
            pack.bytes(socket.path().as_os_str().as_bytes())
                .descriptor(socket.as_fd());
        });
        let waiting: Vec<&Visitor> = self.visitors.iter().filter(|one| one.stage == Stage::Reload).collect();
        pack.list(waiting.into_iter(), |pack, one| {
            pack.descriptor(one.stream.as_fd());
        });
    }

    /// Reads what was packed. The numbers of those who wait are returned.
    pub(super) fn unpack(&mut self, unpack: &mut Unpack<'_>) -> Result<Vec<u64>, Unreadable> {
        let socket = unpack.option(|unpack| Ok((super::handover::unpack_path(unpack)?, unpack.owned()?)))?;
        // Without its name it is of no use, and made again with the settings.
        self.socket = socket.and_then(|(path, socket)| CtlSocket::of_ours(path, socket).ok());
        for stream in unpack.list(Unpack::owned)? {
            self.visitors.push_back(Visitor {
                number: self.next,
                stream: UnixStream::from(stream),
                heard: Vec::new(),
                to_say: Vec::new(),
                stage: Stage::Reload,
                until: None,
            });
            self.next += 1;
        }
        Ok(self.visitors.iter().map(|one| one.number).collect())
    }
}

/// Makes room for one more: sends away who has been silent longest, or else, of those who wait for something, the last.
fn make_room(visitors: &mut VecDeque<Visitor>) {
    while visitors.len() >= MOST_VISITORS {
        let idle = |one: &Visitor| matches!(one.stage, Stage::Speaks | Stage::Leaves);
        let gone = visitors.iter().position(idle).unwrap_or(MOST_VISITORS - 1);
        visitors.remove(gone);
    }
}

/// Exit statuses of who asked.
const DONE: u8 = 0;
const FAILED: u8 = 1;
const USAGE: u8 = 2;
const NOT_PERMITTED: u8 = 4;

/// Root may, and who we are; but nothing that we ourselves have started: scripts and services may run as the same user.
fn may(peer: Peer) -> Result<(), String> {
    let own = rustix::process::geteuid().as_raw();
    if peer.uid != 0 && peer.uid != own {
        return Err("not permitted: only root and the user who has started the server may".to_owned());
    }
    if is_ours(peer.pid) {
        return Err("not permitted: the server has started this process itself".to_owned());
    }
    Ok(())
}

/// Whether a process comes from us. One that has ended meanwhile may have.
fn is_ours(pid: i32) -> bool {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let mut at = pid;
    while at != own {
        if at <= 1 {
            return false; // 0: it, or who started it, is in a PID namespace around ours
        }
        let Some(above) = parent(at) else { return true };
        at = above;
    }
    true
}

impl Visitor {
    /// What to wait for. Whoever waits is not read: should it leave, that is told all the same.
    fn interest(&self) -> PollFlags {
        match self.stage {
            _ if !self.to_say.is_empty() => PollFlags::OUT,
            Stage::Speaks => PollFlags::IN,
            _ => PollFlags::empty(),
        }
    }

    /// The words it has said, once that is all; an error when it has left.
    fn hear(&mut self) -> io::Result<Option<Vec<Vec<u8>>>> {
        if self.stage != Stage::Speaks {
            return if self.has_left() {
                Err(ErrorKind::BrokenPipe.into())
            } else {
                Ok(None)
            };
        }
        let mut bytes = [0; LONGEST_REQUEST];
        let n = match self.stream.read(&mut bytes) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => n,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return Ok(None),
            Err(error) => return Err(error),
        };
        self.heard.extend_from_slice(bytes.get(..n).unwrap_or_default());
        let request = self.heard.split(|byte| *byte == b'\n').next().unwrap_or_default();
        if request.len() >= LONGEST_REQUEST {
            self.end("this is no request of `lychgate ctl`", USAGE);
            return Ok(None);
        }
        if request.len() == self.heard.len() {
            return Ok(None);
        }
        let request = words(request);
        self.heard = Vec::new();
        Ok(Some(request))
    }

    fn has_left(&self) -> bool {
        let mut polled = [PollFd::new(&self.stream, PollFlags::empty())];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        let looked = rustix::event::poll(&mut polled, Some(&now));
        let gone = PollFlags::HUP | PollFlags::ERR;
        looked.is_ok() && polled.iter().any(|one| one.revents().intersects(gone))
    }

    fn say(&mut self, line: &Line) {
        self.to_say.extend(line.to_bytes());
    }

    /// It waits for something that takes its time.
    fn wait(&mut self, stage: Stage) {
        self.stage = stage;
        self.until = None;
    }

    /// The last of its answer.
    fn leave(&mut self, status: u8) {
        self.say(&Line::End(status));
        self.stage = Stage::Leaves;
        self.until = Some(Instant::now() + PATIENCE);
    }

    fn succeed(&mut self, text: &str) {
        lines(text, Line::Out).for_each(|line| self.say(&line));
        self.leave(DONE);
    }

    fn end(&mut self, error: &str, status: u8) {
        lines(error, Line::Err).for_each(|line| self.say(&line));
        self.leave(status);
    }

    fn speak(&mut self) -> io::Result<()> {
        while !self.to_say.is_empty() {
            match self.stream.write(&self.to_say) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => {
                    self.to_say.drain(..n);
                    self.until = self.until.map(|_| Instant::now() + PATIENCE);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    // One that waits and does not listen gathers nothing here without end.
                    let too_much = self.to_say.len() > MOST_UNHEARD;
                    return if too_much { Err(error) } else { Ok(()) };
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.stage == Stage::Leaves && self.to_say.is_empty()
    }
}

/// So much may wait for one who does not take it.
const MOST_UNHEARD: usize = 1 << 20;
