//! A system call that must not hold up a single-threaded process: interrupted when it takes too long.

use std::io;
use std::ptr;
use std::sync::OnceLock;
use std::time::Duration;

/// Does `deed`, whose blocking system calls fail with EINTR once `limit` has passed: again and again, lest the first signal come
/// when none of them had begun.
pub fn bounded<T>(limit: Duration, deed: impl FnOnce() -> T) -> io::Result<T> {
    let alarm = Alarm::set(limit)?;
    let done = deed();
    drop(alarm);
    Ok(done)
}

/// A timer that sends SIGALRM to this thread, and to no other.
struct Alarm(libc::timer_t);

impl Alarm {
    fn set(limit: Duration) -> io::Result<Alarm> {
        heard_and_no_more()?;
        let every = libc::timespec {
            tv_sec: limit.as_secs().try_into().unwrap_or(1),
            tv_nsec: limit.subsec_nanos().into(),
        };
        // SAFETY: all zeros is a value of this plain structure.
        let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = libc::SIGALRM;
        event.sigev_notify_thread_id = rustix::thread::gettid().as_raw_nonzero().get();
        let mut timer: libc::timer_t = ptr::null_mut();
        // SAFETY: both structures live through the call.
        if unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let alarm = Alarm(timer);
        let schedule = libc::itimerspec {
            it_interval: every,
            it_value: every,
        };
        // SAFETY: the timer was just made; the structure lives through the call.
        if unsafe { libc::timer_settime(alarm.0, 0, &raw const schedule, ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(alarm)
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        // SAFETY: made by `set` and not deleted before.
        unsafe { libc::timer_delete(self.0) };
    }
}

/// SIGALRM interrupts and does nothing else, from the first use on.
fn heard_and_no_more() -> io::Result<()> {
    extern "C" fn nothing(_signal: libc::c_int) {}
    static SET: OnceLock<Result<(), i32>> = OnceLock::new();
    let set = SET.get_or_init(|| {
        // SAFETY: all zeros is a value of this plain structure: no flags (none restarts calls), no signal blocked.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
        // SAFETY: the handler does nothing, which is safe at any moment.
        match unsafe { libc::sigaction(libc::SIGALRM, &raw const action, ptr::null_mut()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL)),
        }
    });
    set.map_err(io::Error::from_raw_os_error)
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read};
    use std::time::Duration;

    use super::bounded;

    #[test]
    fn a_call_that_waits_for_ever_is_interrupted() {
        let (mut reader, writer) = io::pipe().expect("pipes work");
        let read = |reader: &mut io::PipeReader| reader.read(&mut [0]).map_err(|error| error.kind());
        let interrupted = bounded(Duration::from_millis(5), || read(&mut reader));
        assert_eq!(interrupted.expect("timers work"), Err(io::ErrorKind::Interrupted));
        drop(writer);
        let ended = bounded(Duration::from_secs(100), || read(&mut reader));
        assert_eq!(ended.expect("timers work"), Ok(0));
    }
}
