//! Children by descriptor: signalling, waiting, and how they ended (pidfd_open(2), waitid(2)).

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, Signal};

/// A descriptor that stands for one process and never for another of the same number.
#[derive(Debug)]
pub struct Pidfd(OwnedFd);

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this status (0 to 255).
    Code(i32),
    /// By this signal; the flag of the core dump is not kept.
    Signal(i32),
}

/// How a child ended and what it had used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How.
    pub exit: Exit,
    /// Processor time in its own code, with that of the children it waited for.
    pub user: Duration,
    /// Processor time in the kernel, likewise.
    pub system: Duration,
}

/// Whether a child that has ended is reaped by the one who looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reap {
    /// Yes; its number may then be given to another.
    Yes,
    /// No: it stays a zombie, and its number, as process and as group, stays its own.
    No,
}

impl Pidfd {
    /// The process of this number, which must be one that cannot be reaped meanwhile (a child, a parent, ourselves), or be
    /// asked afterwards who it is.
    pub fn open(pid: i32) -> io::Result<Pidfd> {
        let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Pidfd(rustix::process::pidfd_open(
            pid,
            rustix::process::PidfdFlags::empty(),
        )?))
    }

    /// Sends a signal. An ended process is no error.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        match rustix::process::pidfd_send_signal(&self.0, signal) {
            Err(rustix::io::Errno::SRCH) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for the end of a child and reaps it.
    pub fn wait(&self) -> io::Result<Ended> {
        loop {
            if let Some(ended) = self.wait_with(libc::WEXITED)? {
                return Ok(ended);
            }
        }
    }

    /// How the child ended, if it has.
    pub fn try_wait(&self, reap: Reap) -> io::Result<Option<Ended>> {
        self.wait_with(libc::WEXITED | libc::WNOHANG | if reap == Reap::No { libc::WNOWAIT } else { 0 })
    }

    /// Waits, at most so long, until the process has ended, without reaping it; any process, not only a child.
    pub fn ends_within(&self, limit: Duration) -> io::Result<bool> {
        let limit = Timespec {
            tv_sec: limit.as_secs().cast_signed(),
            tv_nsec: limit.subsec_nanos().into(),
        };
        let mut polled = [PollFd::new(&self.0, PollFlags::IN)];
        match rustix::event::poll(&mut polled, Some(&limit)) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// How a process ended that somebody else has reaped (PIDFD_GET_INFO, Linux 6.15). `None` when it has not been
    /// reaped yet or the kernel does not tell.
    pub fn exit_told_by_kernel(&self) -> Option<Exit> {
        // SAFETY: all zero is a valid `pidfd_info`: it holds numbers only.
        let mut told: libc::pidfd_info = unsafe { MaybeUninit::zeroed().assume_init() };
        told.mask = libc::PIDFD_INFO_EXIT.into();
        // SAFETY: the kernel writes no more than the size that is part of the request's number.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), libc::PIDFD_GET_INFO, &raw mut told) };
        if result < 0 || told.mask & u64::from(libc::PIDFD_INFO_EXIT) == 0 {
            return None;
        }
        Some(Exit::from_wait_status(told.exit_code))
    }

    fn wait_with(&self, options: i32) -> io::Result<Option<Ended>> {
        wait_id(libc::P_PIDFD, self.0.as_raw_fd(), options).map(|ended| ended.map(|(_, ended)| ended))
    }
}

/// Reaps any one child of this process that has ended: its number and its end. `None` when none has, or there is none.
pub fn reap_any() -> io::Result<Option<(i32, Ended)>> {
    match wait_id(libc::P_ALL, 0, libc::WEXITED | libc::WNOHANG) {
        Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Ok(None),
        other => other,
    }
}

/// Whether a process has children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Children {
    /// It has none.
    None,
    /// It has some, none of which has ended.
    Running,
}

/// Reaps every child of this process that has ended, and says whether others are left.
pub fn reap_ended() -> io::Result<Children> {
    loop {
        match wait_id(libc::P_ALL, 0, libc::WEXITED | libc::WNOHANG) {
            Err(error) if error.raw_os_error() == Some(libc::ECHILD) => return Ok(Children::None),
            Err(error) => return Err(error),
            Ok(None) => return Ok(Children::Running),
            Ok(Some(_)) => {}
        }
    }
}

/// Sends a signal to every process of a group.
pub fn signal_group(group: i32, signal: Signal) -> io::Result<()> {
    let Some(group) = Pid::from_raw(group).filter(|group| group.as_raw_nonzero().get() > 1) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    match rustix::process::kill_process_group(group, signal) {
        Err(rustix::io::Errno::SRCH) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl Exit {
    /// Reads a status as wait(2) returns it.
    fn from_wait_status(status: i32) -> Exit {
        match status & 0x7f {
            0 => Exit::Code((status >> 8) & 0xff),
            signal => Exit::Signal(signal),
        }
    }

    /// Did it end well?
    pub fn is_success(self) -> bool {
        self == Exit::Code(0)
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "exit status {code}"),
            Exit::Signal(signal) => write!(f, "signal {signal}{}", signal_name(*signal)),
        }
    }
}

fn signal_name(signal: i32) -> String {
    match nix::sys::signal::Signal::try_from(signal) {
        Ok(signal) => format!(" ({})", signal.as_str()),
        Err(_) => String::new(),
    }
}

/// waitid(2) as the kernel has it: with the resources used, which the C library's leaves out.
fn wait_id(kind: libc::idtype_t, id: i32, options: i32) -> io::Result<Option<(i32, Ended)>> {
    // SAFETY: plain numbers, for which all zero is a value.
    let mut end: libc::siginfo_t = unsafe { MaybeUninit::zeroed().assume_init() };
    // SAFETY: likewise.
    let mut used: libc::rusage = unsafe { MaybeUninit::zeroed().assume_init() };
    loop {
        // SAFETY: both outlive the call, which writes them whole or not at all.
        let result = unsafe { libc::syscall(libc::SYS_waitid, kind, id, &raw mut end, options, &raw mut used) };
        if result == 0 {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    // SAFETY: after waitid these fields are set, or zero when no child has ended.
    let (pid, status) = unsafe { (end.si_pid(), end.si_status()) };
    if pid == 0 {
        return Ok(None);
    }
    let exit = if end.si_code == libc::CLD_EXITED {
        Exit::Code(status & 0xff)
    } else {
        Exit::Signal(status)
    };
    Ok(Some((
        pid,
        Ended {
            exit,
            user: duration(used.ru_utime),
            system: duration(used.ru_stime),
        },
    )))
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0))
}

impl From<OwnedFd> for Pidfd {
    fn from(fd: OwnedFd) -> Pidfd {
        Pidfd(fd)
    }
}

impl From<Pidfd> for OwnedFd {
    fn from(pidfd: Pidfd) -> OwnedFd {
        pidfd.0
    }
}

impl AsFd for Pidfd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Pidfd {
    fn as_raw_fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}
