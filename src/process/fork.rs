//! A copy of this process that goes on by itself (fork(2)): for work beside ours that needs our memory and our
//! privileges, and no other program.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use rustix::process::Signal;

use super::child::Child;
use super::clone;
use super::pidfd::Pidfd;

/// Proof of being the copy.
#[derive(Debug)]
pub struct Forked(());

/// Runs `work` in a copy of this process, which ends with the number that `work` returns as its exit status, or with
/// 101 should it panic. Nothing of the original's is dropped or flushed in the copy.
///
/// It is for a process of one thread: of several the copy has but the calling one, and what another held locked at this
/// moment stays so.
pub fn fork(work: impl FnOnce(Forked) -> u8) -> io::Result<Child> {
    let pid = {
        let _no_child_is_being_made = clone::lock_stacks();
        // SAFETY: the copy runs `work` and ends by `_exit`: it returns into no frame that the original owns. What it finds
        // in memory is whole: there is one thread, which is here; the C library prepares its allocator for the copies of
        // processes that have more, and the one lock of our own that is taken on the way to a child is held by us.
        unsafe { libc::fork() }
    };
    match pid {
        0 => {
            let code = catch_unwind(AssertUnwindSafe(|| work(Forked(())))).unwrap_or(101);
            // SAFETY: ends the copy at once; nothing else may run in it.
            unsafe { libc::_exit(code.into()) }
        }
        pid if pid < 0 => Err(io::Error::last_os_error()),
        pid => match Pidfd::open(pid) {
            Ok(pidfd) => Ok(Child { pid, pidfd }),
            Err(error) => {
                // Nobody could watch it: it must not run.
                if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                    let _it_is_our_child = rustix::process::kill_process(pid, Signal::KILL);
                    let _reaped = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
                }
                Err(error)
            }
        },
    }
}

impl Forked {
    /// Closes every descriptor but these. What the copy's memory still knows of the others must not be used any more.
    pub fn keep_only(&self, kept: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut numbers: Vec<RawFd> = kept.iter().map(AsRawFd::as_raw_fd).collect();
        numbers.sort_unstable();
        let mut first = 0;
        for number in numbers {
            close_between(first, number - 1)?;
            first = number + 1;
        }
        close_between(first, RawFd::MAX)
    }
}

fn close_between(first: RawFd, last: RawFd) -> io::Result<()> {
    if first > last {
        return Ok(());
    }
    // SAFETY: the owners of these descriptors are those of the original, in frames and memory that the copy never comes
    // back to: it ends by `_exit`, without a destructor.
    if unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read, Write};
    use std::os::fd::AsFd;

    use super::fork;
    use crate::process::pidfd::Exit;

    #[test]
    fn a_copy_works_on_what_we_have_and_ends_alone() {
        let word = String::from("hello");
        let (mut reader, mut writer) = io::pipe().expect("pipes work");
        let child = fork(|_| writer.write_all(word.as_bytes()).map_or(1, |()| 7)).expect("there is room");
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("text");
        assert_eq!(text, "hello");
        assert_eq!(child.pidfd.wait().expect("ours").exit, Exit::Code(7));
    }

    #[test]
    fn a_copy_keeps_the_descriptors_it_names() {
        let (reader, writer) = io::pipe().expect("pipes work");
        let (mut other, held) = io::pipe().expect("pipes work");
        let child = fork(|copy| {
            let kept = copy.keep_only(&[reader.as_fd()]);
            let _until_the_original_closes = (&reader).read(&mut [0]);
            u8::from(kept.is_err())
        });
        let child = child.expect("there is room");
        drop(held);
        let mut nothing = [0];
        assert_eq!(other.read(&mut nothing).expect("nobody writes any more"), 0);
        drop(writer);
        assert_eq!(child.pidfd.wait().expect("ours").exit, Exit::Code(0));
    }

    #[test]
    fn a_panic_is_an_exit_status() {
        let child = fork(|_| std::panic::resume_unwind(Box::new(()))).expect("there is room");
        assert_eq!(child.pidfd.wait().expect("ours").exit, Exit::Code(101));
    }
}
