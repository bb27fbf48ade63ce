//! Stacks for children that share our memory: each is one child's until that has executed its program.

use std::ffi::c_void;
use std::io;
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Stacks that nobody uses at the moment.
static FREE: Mutex<Vec<Stack>> = Mutex::new(Vec::new());

/// So many are kept for later; there are more only while more children than that are on their way.
const KEPT: usize = 16;

/// Keeps others from taking a stack meanwhile.
pub(in crate::process) fn lock_stacks() -> MutexGuard<'static, Vec<Stack>> {
    FREE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A mapping of our own.
pub(in crate::process) struct Stack(ptr::NonNull<c_void>);

// SAFETY: plain memory, which belongs to whoever has the value.
unsafe impl Send for Stack {}

impl Stack {
    const SIZE: usize = 128 * 1024;
    const GUARD: usize = 64 * 1024; // a page of the largest kind, so that an overflow faults

    /// One that nobody else uses.
    pub(super) fn take() -> io::Result<Stack> {
        let free = lock_stacks().pop();
        free.map_or_else(Stack::map, Ok)
    }

    /// Back to those that nobody uses.
    pub(super) fn give_back(self) {
        let mut free = lock_stacks();
        if free.len() < KEPT {
            free.push(self);
        }
    }

    fn map() -> io::Result<Stack> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new anonymous mapping where the kernel likes.
        let base = unsafe { libc::mmap(ptr::null_mut(), Stack::SIZE, access, flags, -1, 0) };
        let stack = match ptr::NonNull::new(base) {
            Some(base) if base.as_ptr() != libc::MAP_FAILED => Stack(base),
            _ => return Err(io::Error::last_os_error()),
        };
        // SAFETY: the lowest part of the mapping just made; stacks grow down towards it.
        if unsafe { libc::mprotect(base, Stack::GUARD, libc::PROT_NONE) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(stack)
    }

    /// One past the highest byte, as `clone` wants it; a multiple of 16.
    pub(super) fn top(&self) -> *mut c_void {
        // SAFETY: one past the end of the mapping.
        unsafe { self.0.as_ptr().cast::<u8>().add(Stack::SIZE).cast::<c_void>() }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the whole of our mapping, which nobody uses: who has the value is who uses it.
        unsafe { libc::munmap(self.0.as_ptr(), Stack::SIZE) };
    }
}
