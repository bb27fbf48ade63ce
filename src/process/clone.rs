//! The few lines between `clone` and `exec`: a child on a stack of its own that shares our memory until it executes.
//!
//! `clone(CLONE_VM | CLONE_VFORK | CLONE_PIDFD)` (clone(2)): nothing is copied and the parent's thread waits, so the
//! child may touch nothing but what was prepared for it, allocates nothing and makes raw system calls only. What it
//! cannot do it writes into the shared [`Orders`].

use std::ffi::{c_char, c_int, c_long, c_ulong, c_void};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::capabilities::LAST_POSSIBLE;
use super::child::{Session, Step};
use super::seccomp::FILTER_FLAGS;

/// Everything the child does, as plain values whose memory outlives the call of [`run`].
pub(super) struct Orders<'a> {
    pub(super) program: RawProgram,
    pub(super) argv: &'a [*const c_char],
    pub(super) env: &'a [*const c_char],
    pub(super) directory: RawDirectory,
    /// Descriptor `i` of the child is the parent's `descriptors[i]`; the child moves them about in place.
    pub(super) descriptors: &'a mut [RawFd],
    pub(super) session: Session,
    pub(super) umask: Option<u32>,
    pub(super) nice: Option<i32>,
    /// Resource and the kernel's `struct rlimit64`.
    pub(super) limits: &'a [(u32, [u64; 2])],
    pub(super) identity: Option<RawIdentity<'a>>,
    pub(super) empty_bounding: bool,
    pub(super) no_new_privs: bool,
    /// A Landlock ruleset.
    pub(super) ruleset: Option<RawFd>,
    pub(super) filter: Option<libc::sock_fprog>,
    pub(super) supervision: Option<RawSupervision>,
    /// The signal, and the parent that must still be there when it has been asked for.
    pub(super) parent_death: Option<(i32, i32)>,
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

pub(super) struct RawIdentity<'a> {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) groups: &'a [u32],
}

/// Runs the orders in a child and returns once it has executed its program: its process id and its pidfd. The error
/// is of the `clone` itself; a child that failed later has ended and left its reason in `orders.failure`.
pub(super) fn run(orders: &mut Orders<'_>) -> io::Result<(i32, OwnedFd)> {
    let mut stack = lock_stack();
    let top = match stack.as_ref() {
        Some(stack) => stack.top(),
        None => stack.insert(Stack::map()?).top(),
    };
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
    let mut pidfd: c_int = -1;
    let blocked = block_all_signals()?;
    // SAFETY: the stack is mapped, is ours while we hold its lock, and is big enough for `child`, which the kernel
    // runs while this thread waits (CLONE_VFORK); `orders` and `pidfd` outlive that wait.
    let pid = unsafe {
        libc::clone(
            child,
            top,
            flags,
            ptr::from_mut(orders).cast::<c_void>(),
            ptr::from_mut(&mut pidfd),
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

impl Failure {
    /// The step that failed and its errno, if one did.
    pub(super) fn taken(&self) -> Option<(Step, i32)> {
        let step = Step::from_number(self.step.load(Ordering::Acquire))?;
        Some((step, self.errno.load(Ordering::Acquire)))
    }

    /// Notes the failure of a step and ends the child.
    fn report(&self, step: Step) -> ! {
        let errno = io::Error::last_os_error().raw_os_error().unwrap_or(0);
        self.errno.store(errno, Ordering::Release);
        self.step.store(step.number(), Ordering::Release);
        loop {
            // SAFETY: ends this child at once; no destructor of the shared memory may run here.
            unsafe { libc::syscall(libc::SYS_exit_group, 127) };
        }
    }
}

/// The child's whole life before `exec`.
extern "C" fn child(orders: *mut c_void) -> c_int {
    // SAFETY: `run` passes a live, exclusive `Orders`; its thread waits until we execute or end.
    let orders = unsafe { &mut *orders.cast::<Orders<'_>>() };
    default_dispositions();
    settle(orders);
    privileges(orders);
    enter_directory(orders);
    confine_reach(orders);
    hand_over_calls(orders);
    let program = arrange_descriptors(orders);
    empty_signal_mask(&orders.failure);
    refuse_calls(orders);
    execute(orders, program)
}

/// One raw system call; stops the child, with the step's name left behind, when it fails.
macro_rules! call {
    ($failure:expr, $step:expr, $number:expr $(, $argument:expr)*) => {{
        // SAFETY: a raw system call on values that were prepared before the clone and are valid for it.
        let result: c_long = unsafe { libc::syscall($number $(, $argument)*) };
        if result < 0 {
            $failure.report($step);
        }
        result
    }};
}

/// The signals that may not be at their default here: bit `n` is number `n + 1`.
static CHANGED: AtomicU64 = AtomicU64::new(u64::MAX);

/// Notes which signals are ignored or handled, so that a child sets these back and not all 64 (measured: 10 µs a child).
/// For a process that changes none from now on.
pub fn keep_dispositions() {
    let mut changed = 0;
    for signal in 1..=SIGNALS {
        let mut action = [0_u64; 4];
        // SAFETY: the kernel writes a `struct sigaction`, whose first word is the handler: 0 is SIG_DFL. Signals that do not
        // exist leave it so.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                ptr::null::<u64>(),
                action.as_mut_ptr(),
                size_of::<u64>(),
            );
        }
        if action[0] != 0 {
            changed |= 1 << (signal - 1);
        }
    }
    CHANGED.store(changed, Ordering::Relaxed);
}

/// Sets every signal back to its default: `exec` would keep what is ignored, and a handler of ours must not run here.
fn default_dispositions() {
    let default = [0_u64; 4];
    let changed = CHANGED.load(Ordering::Relaxed);
    for signal in (1..=SIGNALS).filter(|signal| changed & (1 << (signal - 1)) != 0) {
        // SAFETY: an all-zero `struct sigaction` (32 bytes on x86_64 and aarch64) is SIG_DFL with no flags. SIGKILL and
        // SIGSTOP refuse, which is as it should be.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                ptr::null::<u64>(),
                size_of::<u64>(),
            );
        }
    }
}

/// Gives up the terminal (tty_ioctl(4): TIOCNOTTY), as a process that leads no session may for itself; it cannot get it back.
/// False where it may still have one.
fn leave_terminal() -> bool {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: raw system calls on constants and on the descriptor that the first of them made.
    unsafe {
        let terminal = libc::syscall(libc::SYS_openat, libc::AT_FDCWD, c"/dev/tty".as_ptr(), flags);
        if terminal < 0 {
            return *libc::__errno_location() == libc::ENXIO;
        }
        let left = libc::syscall(libc::SYS_ioctl, terminal, libc::TIOCNOTTY);
        libc::syscall(libc::SYS_close, terminal);
        left == 0
    }
}

/// Session, umask, nice and limits: what needs the parent's privileges or none.
fn settle(orders: &Orders<'_>) {
    let failure = &orders.failure;
    match orders.session {
        Session::Same => {}
        Session::Group => {
            call!(failure, Step::Session, libc::SYS_setpgid, 0, 0);
        }
        Session::NoTerminal if leave_terminal() => {
            call!(failure, Step::Session, libc::SYS_setpgid, 0, 0);
        }
        Session::NoTerminal | Session::Own => {
            call!(failure, Step::Session, libc::SYS_setsid);
        }
    }
    if let Some(mask) = orders.umask {
        call!(failure, Step::Umask, libc::SYS_umask, mask);
    }
    if let Some(nice) = orders.nice {
        call!(failure, Step::Nice, libc::SYS_setpriority, 0, 0, nice);
    }
    for (resource, limit) in orders.limits {
        let no_old: *const u64 = ptr::null();
        call!(
            failure,
            Step::Limits,
            libc::SYS_prlimit64,
            0,
            *resource,
            limit.as_ptr(),
            no_old
        );
    }
}

/// Identity, then what a change of identity would undo.
fn privileges(orders: &Orders<'_>) {
    let failure = &orders.failure;
    if orders.empty_bounding {
        for capability in 0..=c_ulong::from(LAST_POSSIBLE) {
            // SAFETY: a raw system call on numbers. It fails past the last capability there is, and without the right.
            unsafe { libc::syscall(libc::SYS_prctl, libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
        }
    }
    if let Some(identity) = &orders.identity {
        let (uid, gid) = (identity.uid, identity.gid);
        call!(
            failure,
            Step::Groups,
            libc::SYS_setgroups,
            identity.groups.len(),
            identity.groups.as_ptr()
        );
        call!(failure, Step::Group, libc::SYS_setresgid, gid, gid, gid);
        call!(failure, Step::User, libc::SYS_setresuid, uid, uid, uid);
    }
    if orders.no_new_privs {
        call!(
            failure,
            Step::NoNewPrivs,
            libc::SYS_prctl,
            libc::PR_SET_NO_NEW_PRIVS,
            1,
            0,
            0,
            0
        );
    }
    if let Some((signal, parent)) = orders.parent_death {
        call!(
            failure,
            Step::ParentDeath,
            libc::SYS_prctl,
            libc::PR_SET_PDEATHSIG,
            signal,
            0,
            0,
            0
        );
        // A parent that died before the line above sends nothing any more.
        if call!(failure, Step::ParentDeath, libc::SYS_getppid) != c_long::from(parent) {
            failure.report(Step::ParentDeath);
        }
    }
}

/// After the directory was entered, which the script itself may have no business in.
fn confine_reach(orders: &Orders<'_>) {
    if let Some(ruleset) = orders.ruleset {
        call!(
            orders.failure,
            Step::Ruleset,
            libc::SYS_landlock_restrict_self,
            ruleset,
            0
        );
    }
}

/// While the descriptor it goes through still has the parent's number. Nothing the child does from here on is one of the calls.
fn hand_over_calls(orders: &Orders<'_>) {
    let Some(supervision) = &orders.supervision else {
        return;
    };
    let listener = call!(
        orders.failure,
        Step::Filter,
        libc::SYS_seccomp,
        libc::SECCOMP_SET_MODE_FILTER,
        libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | FILTER_FLAGS,
        ptr::from_ref(&supervision.filter)
    );
    // SAFETY: it points into the message, which was prepared for this and which nobody else uses now.
    unsafe { supervision.number.write(raw(listener)) };
    call!(
        orders.failure,
        Step::Filter,
        libc::SYS_sendmsg,
        supervision.exit,
        supervision.message,
        libc::MSG_NOSIGNAL
    );
}

/// Last of all: from here on only what the script may do itself is left to do.
fn refuse_calls(orders: &Orders<'_>) {
    if let Some(filter) = &orders.filter {
        call!(
            orders.failure,
            Step::Filter,
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            FILTER_FLAGS,
            ptr::from_ref(filter)
        );
    }
}

fn enter_directory(orders: &Orders<'_>) {
    match orders.directory {
        RawDirectory::Inherited => {}
        RawDirectory::Path(path) => {
            call!(orders.failure, Step::Directory, libc::SYS_chdir, path);
        }
        RawDirectory::Descriptor(fd) => {
            call!(orders.failure, Step::Directory, libc::SYS_fchdir, fd);
        }
    }
}

/// Puts descriptor `i` at number `i` and closes all others, but for that of the program, whose new number is returned.
fn arrange_descriptors(orders: &mut Orders<'_>) -> RawProgram {
    let Orders {
        descriptors,
        failure,
        program,
        ..
    } = orders;
    let count = c_int::try_from(descriptors.len()).unwrap_or(c_int::MAX);
    // First out of the way of one another: no number below `count` may be overwritten while it is still wanted.
    let mut program = match *program {
        path @ RawProgram::Path(_) => path,
        RawProgram::Descriptor(fd) => {
            let moved = call!(
                failure,
                Step::Descriptors,
                libc::SYS_fcntl,
                fd,
                libc::F_DUPFD_CLOEXEC,
                count + 1
            );
            RawProgram::Descriptor(raw(moved))
        }
    };
    for (number, fd) in (0_i32..).zip(descriptors.iter_mut()) {
        if *fd < count && *fd != number {
            *fd = raw(call!(
                failure,
                Step::Descriptors,
                libc::SYS_fcntl,
                *fd,
                libc::F_DUPFD_CLOEXEC,
                count
            ));
        }
    }
    for (number, fd) in (0_i32..).zip(descriptors.iter()) {
        if *fd == number {
            call!(failure, Step::Descriptors, libc::SYS_fcntl, number, libc::F_SETFD, 0);
        } else {
            call!(failure, Step::Descriptors, libc::SYS_dup3, *fd, number, 0);
        }
    }
    let mut first_closed = count;
    if let RawProgram::Descriptor(fd) = &mut program {
        // It was moved to `count + 1` or above, so it is never `count` itself.
        call!(failure, Step::Descriptors, libc::SYS_dup3, *fd, count, libc::O_CLOEXEC);
        *fd = count;
        first_closed = count + 1;
    }
    call!(
        failure,
        Step::Descriptors,
        libc::SYS_close_range,
        first_closed,
        c_int::MAX,
        0
    );
    program
}

fn empty_signal_mask(failure: &Failure) {
    let (none, no_old): (u64, *const u64) = (0, ptr::null());
    let size = size_of::<u64>();
    call!(
        failure,
        Step::Signals,
        libc::SYS_rt_sigprocmask,
        libc::SIG_SETMASK,
        ptr::from_ref(&none),
        no_old,
        size
    );
}

fn execute(orders: &Orders<'_>, program: RawProgram) -> ! {
    let (argv, env) = (orders.argv.as_ptr(), orders.env.as_ptr());
    match program {
        RawProgram::Path(path) => call!(orders.failure, Step::Execute, libc::SYS_execve, path, argv, env),
        RawProgram::Descriptor(fd) => {
            let flags = libc::AT_EMPTY_PATH;
            call!(
                orders.failure,
                Step::Execute,
                libc::SYS_execveat,
                fd,
                c"".as_ptr(),
                argv,
                env,
                flags
            )
        }
    };
    orders.failure.report(Step::Execute) // not reached: execve returns only to fail
}

/// A descriptor number as the kernel returned it.
fn raw(result: c_long) -> RawFd {
    RawFd::try_from(result).unwrap_or(-1)
}

/// Signals are numbered 1 to 64 on the machines we know.
const SIGNALS: c_int = 64;

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

/// The child's stack, mapped once and used by one child at a time.
static STACK: Mutex<Option<Stack>> = Mutex::new(None);

/// Keeps others from making a child meanwhile.
pub(super) fn lock_stack() -> MutexGuard<'static, Option<Stack>> {
    STACK.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) struct Stack(ptr::NonNull<c_void>);

// SAFETY: plain memory, reached only under the lock of `STACK`.
unsafe impl Send for Stack {}

impl Stack {
    const SIZE: usize = 128 * 1024;
    const GUARD: usize = 64 * 1024; // a page of the largest kind, so that an overflow faults

    fn map() -> io::Result<Stack> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new anonymous mapping where the kernel likes.
        let base = unsafe { libc::mmap(ptr::null_mut(), Stack::SIZE, access, flags, -1, 0) };
        let base = match ptr::NonNull::new(base) {
            Some(base) if base.as_ptr() != libc::MAP_FAILED => base,
            _ => return Err(io::Error::last_os_error()),
        };
        // SAFETY: the lowest part of the mapping just made; stacks grow down towards it.
        if unsafe { libc::mprotect(base.as_ptr(), Stack::GUARD, libc::PROT_NONE) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Stack(base))
    }

    /// One past the highest byte, as `clone` wants it; a multiple of 16.
    fn top(&self) -> *mut c_void {
        // SAFETY: one past the end of the mapping.
        unsafe { self.0.as_ptr().cast::<u8>().add(Stack::SIZE).cast::<c_void>() }
    }
}
