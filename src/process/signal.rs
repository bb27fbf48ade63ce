//! Signals as something to poll: for the single-threaded launcher (signalfd(2)).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};

pub use nix::sys::signal::Signal;

/// Signals taken from their usual effect; readable when one has come.
#[derive(Debug)]
pub struct Signals(SignalFd);

/// A signal that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Which.
    pub signal: Signal,
    /// Who sent it: 0 for a process of which we see no number, outside of our container; `None` when it was the kernel (a
    /// resized terminal's SIGWINCH, say).
    pub sender: Option<u32>,
}

impl Signals {
    /// Blocks these signals for the calling thread and collects them. Call it while there is but one thread.
    pub fn take(signals: &[Signal]) -> io::Result<Signals> {
        let mut set = SigSet::empty();
        for signal in signals {
            set.add(*signal);
        }
        set.thread_block()?;
        Ok(Signals(SignalFd::with_flags(
            &set,
            SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC,
        )?))
    }

    /// The next signal that has come, if one has.
    pub fn next(&self) -> io::Result<Option<Arrived>> {
        loop {
            let Some(told) = self.0.read_signal()? else {
                return Ok(None);
            };
            let number = i32::try_from(told.ssi_signo).unwrap_or(0);
            if let Ok(signal) = Signal::try_from(number) {
                let from_process = told.ssi_code <= 0; // SI_USER is 0, SI_QUEUE and SI_TKILL below; SI_KERNEL is above
                return Ok(Some(Arrived {
                    signal,
                    sender: from_process.then_some(told.ssi_pid),
                }));
            }
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::{Arrived, Signal, Signals};

    #[test]
    fn a_signal_is_read_with_its_sender() {
        // In a thread of its own: the mask is the thread's, and the signal is sent to the thread alone.
        std::thread::spawn(|| {
            let signals = Signals::take(&[Signal::SIGUSR2]).expect("signalfd works");
            assert_eq!(signals.next().expect("nothing yet"), None);
            let (process, thread) = (std::process::id(), rustix::thread::gettid().as_raw_nonzero().get());
            // SAFETY: a raw system call on numbers.
            unsafe { libc::syscall(libc::SYS_tgkill, process, thread, libc::SIGUSR2) };
            let sender = Some(std::process::id());
            assert_eq!(
                signals.next().expect("one came"),
                Some(Arrived {
                    signal: Signal::SIGUSR2,
                    sender
                })
            );
        })
        .join()
        .expect("the thread ended well");
    }
}
