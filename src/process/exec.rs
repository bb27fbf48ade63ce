//! A process that becomes another program (execve(2)), once it has made itself what that program shall be.

use std::ffi::{CStr, CString, c_char};
use std::{io, ptr};

use rustix::process::Signal;

use super::environment::Environment;

/// Executes `program` in this process, with no signal ignored or blocked. It returns only when that fails.
pub fn exec(program: &CStr, argv: &[CString], env: &Environment) -> io::Error {
    // SIGPIPE is ignored in every program of Rust's.
    // SAFETY: the default disposition runs no code of ours.
    unsafe { libc::signal(Signal::PIPE.as_raw(), libc::SIG_DFL) };
    if let Err(errno) = nix::sys::signal::SigSet::empty().thread_set_mask() {
        return errno.into();
    }
    let (argv, env) = (pointers(argv), env.pointers());
    // SAFETY: both lists end with a null and live, with their strings, until the call has failed.
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

/// What execve(2) takes for an argument list: a pointer to each word, and a null pointer.
pub(super) fn pointers(words: &[CString]) -> Vec<*const c_char> {
    words.iter().map(|word| word.as_ptr()).chain([ptr::null()]).collect()
}
