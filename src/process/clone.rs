//! The few lines between `clone` and `exec`: a child on a stack of its own that shares our memory until it executes.
//!
//! `clone(CLONE_VM | CLONE_PIDFD)` (clone(2)): nothing is copied. The child may touch nothing but what was prepared for it,
//! allocates nothing and makes bare system calls only. What it cannot do it writes into the shared [`Orders`].
//!
//! The parent goes on meanwhile: what the child needs is a [`Flight`], and the kernel says when that is needed no longer
//! (CLONE_CHILD_CLEARTID). A parent that waited (CLONE_VFORK) would wait for all others that have the processor too, for each
//! child anew (measured, one core and 8 programs that take 0.6 ms each: 0.8 ms for each start instead of 0.08; on two cores 1.35
//! times the programs of one core, and 2.0 times without), and for as long as somebody likes who may stop the child.

mod life;
mod stack;
mod syscall;

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use super::child::{Session, Step};

pub use life::keep_dispositions;
pub(super) use stack::lock_stacks;

use stack::Stack;

/// Everything the child does, as plain values. What the pointers lead to must live until it has executed or ended.
pub(super) struct Orders {
    pub(super) program: RawProgram,
    pub(super) argv: Vec<*const c_char>,
    pub(super) env: Vec<*const c_char>,
    pub(super) directory: RawDirectory,
    /// Descriptor `i` of the child is the parent's `descriptors[i]`; the child moves them about in place. They may be closed
    /// as soon as there is a child: it has its own.
    pub(super) descriptors: Vec<Cell<RawFd>>,
    pub(super) session: Session,
    pub(super) umask: Option<u32>,
    pub(super) nice: Option<i32>,
    /// Resource and the kernel's `struct rlimit64`.
    pub(super) limits: Vec<(u32, [u64; 2])>,
    pub(super) identity: Option<RawIdentity>,
    pub(super) empty_bounding: bool,
    pub(super) no_new_privs: bool,
    /// A Landlock ruleset.
    pub(super) ruleset: Option<RawFd>,
    pub(super) filter: Option<libc::sock_fprog>,
    pub(super) supervision: Option<RawSupervision>,
    /// The signal, and the parent that must still be there when it has been asked for.
    pub(super) parent_death: Option<(i32, i32)>,
    /// Closed once the program is executed, or the child has ended.
    pub(super) landing: Option<RawFd>,
    pub(super) failure: Failure,
}

/// What the child could not do; written by the child, read by the parent after the child has ended.
#[derive(Default)]
pub(super) struct Failure {
    step: AtomicU32,
    errno: AtomicI32,
}

#[derive(Clone, Copy)]
pub(super) enum RawProgram {
    Path(*const c_char),
    Descriptor(RawFd),
}

pub(super) enum RawDirectory {
    Inherited,
    Path(*const c_char),
    Descriptor(RawFd),
}

/// A second filter, whose calls somebody else decides on, and the message that hands them over.
pub(super) struct RawSupervision {
    pub(super) filter: libc::sock_fprog,
    pub(super) exit: RawFd,
    pub(super) message: *const libc::msghdr,
    /// Where in the message the descriptor belongs.
    pub(super) number: *mut c_int,
}

pub(super) struct RawIdentity {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) groups: *const [u32],
}

/// A child on its way to its program, and what it needs until then. When it is dropped before, all of that stays where it is
/// for good.
pub(super) struct Flight<T>(NonNull<Cargo<T>>);

struct Cargo<T> {
    orders: Orders,
    stack: Stack,
    /// The kernel's: 0 once the child has left our memory.
    is_flying: AtomicI32,
    /// What the orders lead to.
    _held: T,
}

// SAFETY: it is reached through the methods below alone, which read atomics until nobody else has it any more.
unsafe impl<T: Send> Send for Flight<T> {}

/// Runs the orders, which lead to what is `held`, in a child and does not wait: its process id, its pidfd, and its way to its
/// program. The error is of the `clone` itself; a child that failed later has ended and left its reason.
pub(super) fn fly<T>(orders: Orders, held: T) -> io::Result<(i32, OwnedFd, Flight<T>)> {
    let stack = Stack::take()?;
    let cargo = Box::new(Cargo {
        orders,
        stack,
        is_flying: AtomicI32::new(1),
        _held: held,
    });
    let flight = Flight(NonNull::from(Box::leak(cargo)));
    let made = make(flight.cargo());
    if made.is_err() || !syscall::IS_BARE {
        flight.cargo().is_flying.store(0, Ordering::Release);
    }
    let (pid, pidfd) = made?;
    Ok((pid, pidfd, flight))
}

fn make<T>(cargo: &Cargo<T>) -> io::Result<(i32, OwnedFd)> {
    let mut flags = libc::CLONE_VM | libc::CLONE_PIDFD | libc::CLONE_CHILD_CLEARTID | libc::SIGCHLD;
    if !syscall::IS_BARE {
        flags |= libc::CLONE_VFORK;
    }
    let mut pidfd: c_int = -1;
    let blocked = block_all_signals()?;
    // SAFETY: the stack is mapped, is the child's alone, and is big enough for `live`. The orders and what they lead to stay
    // where they are while the child runs: they are a flight's, which frees nothing before the kernel has made `is_flying` 0.
    // `pidfd` is written before this returns.
    let pid = unsafe {
        libc::clone(
            life::live,
            cargo.stack.top(),
            flags,
            ptr::from_ref(&cargo.orders).cast_mut().cast::<c_void>(),
            ptr::from_mut(&mut pidfd),
            ptr::null_mut::<c_void>(),
            cargo.is_flying.as_ptr(),
        )
    };
    let error = io::Error::last_os_error();
    restore_signals(blocked);
    if pid < 0 {
        return Err(error);
    }
    // SAFETY: CLONE_PIDFD stored a new descriptor that nobody else knows.
    Ok((pid, unsafe { OwnedFd::from_raw_fd(pidfd) }))
}

impl<T> Flight<T> {
    fn cargo(&self) -> &Cargo<T> {
        // SAFETY: it was leaked for us and is freed by our destructor alone. The child changes atomics and cells, and of those we
        // read the atomics.
        unsafe { self.0.as_ref() }
    }

    /// Whether the child has executed its program, or ended: it has left our memory.
    pub(super) fn has_landed(&self) -> bool {
        self.cargo().is_flying.load(Ordering::Acquire) == 0
    }

    /// The step that failed and its errno, if one did. To be asked of a child that has landed.
    pub(super) fn failure(&self) -> Option<(Step, i32)> {
        self.cargo().orders.failure.taken()
    }
}

impl<T> Drop for Flight<T> {
    fn drop(&mut self) {
        if !self.has_landed() {
            return;
        }
        // SAFETY: it was leaked for us, and the child, the only other one that knew it, is in another memory now.
        let cargo = unsafe { Box::from_raw(self.0.as_ptr()) };
        cargo.stack.give_back();
    }
}

impl Failure {
    /// The step that failed and its errno, if one did.
    pub(super) fn taken(&self) -> Option<(Step, i32)> {
        let step = Step::from_number(self.step.load(Ordering::Acquire))?;
        Some((step, self.errno.load(Ordering::Acquire)))
    }
}

/// Blocks every signal of this thread, those of the C library too (its wrappers would leave two open), and returns
/// the mask that was in force.
fn block_all_signals() -> io::Result<u64> {
    let (all, mut old) = (u64::MAX, 0_u64);
    // SAFETY: both point to a kernel signal set of eight bytes.
    let result = unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            ptr::from_ref(&all),
            ptr::from_mut(&mut old),
            size_of::<u64>(),
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(old)
    }
}

fn restore_signals(mask: u64) {
    let no_old: *const u64 = ptr::null();
    // SAFETY: as above; the kernel gave this mask a moment ago, so it cannot refuse it.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            ptr::from_ref(&mask),
            no_old,
            size_of::<u64>(),
        );
    }
}
