//! What a child does between `clone` and `exec`, each step a system call on values prepared before.
//!
//! It shares its parent's memory, and the parent may be running: nothing here allocates, takes a lock, or calls into the C
//! library.

use std::ffi::{c_int, c_ulong, c_void};
use std::os::fd::RawFd;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use super::syscall::{Word, system_call};
use super::{Failure, Orders, RawDirectory, RawProgram};
use crate::process::capabilities::LAST_POSSIBLE;
use crate::process::child::{Session, Step};
use crate::process::seccomp::FILTER_FLAGS;

/// One system call with up to six arguments: its result or its error number. Unsafe as the call is.
macro_rules! raw {
    ($number:expr $(, $argument:expr)*) => {{
        let mut arguments = [0_usize; 6];
        let given = [$(Word::word($argument)),*];
        for (argument, given) in arguments.iter_mut().zip(given) {
            *argument = given;
        }
        system_call($number, arguments)
    }};
}

/// The same; stops the child, with the step's name left behind, when it fails.
macro_rules! call {
    ($failure:expr, $step:expr, $number:expr $(, $argument:expr)*) => {{
        // SAFETY: a raw system call on values that were prepared before the clone and are valid for it.
        match unsafe { raw!($number $(, $argument)*) } {
            Ok(result) => result,
            Err(errno) => $failure.report($step, errno),
        }
    }};
}

/// The child's whole life before `exec`.
pub(super) extern "C" fn live(orders: *mut c_void) -> c_int {
    // SAFETY: `make` passes an `Orders` that stays where it is until we execute or end.
    let orders = unsafe { &*orders.cast::<Orders>() };
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

impl Failure {
    /// Notes the failure of a step and ends the child.
    fn report(&self, step: Step, errno: c_int) -> ! {
        self.errno.store(errno, Ordering::Release);
        self.step.store(step.number(), Ordering::Release);
        loop {
            // SAFETY: ends this child at once; no destructor of the shared memory may run here.
            let _never = unsafe { raw!(libc::SYS_exit_group, 127) };
        }
    }
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
        let _refused = unsafe {
            raw!(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                ptr::null::<u64>(),
                size_of::<u64>()
            )
        };
    }
}

/// Gives up the terminal (tty_ioctl(4): TIOCNOTTY), as a process that leads no session may for itself; it cannot get it back.
/// False where it may still have one.
fn leave_terminal() -> bool {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: raw system calls on constants and on the descriptor that the first of them made.
    unsafe {
        match raw!(libc::SYS_openat, libc::AT_FDCWD, c"/dev/tty".as_ptr(), flags, 0) {
            Err(errno) => errno == libc::ENXIO,
            Ok(terminal) => {
                let left = raw!(libc::SYS_ioctl, terminal, libc::TIOCNOTTY, 0);
                let _closed = raw!(libc::SYS_close, terminal);
                left.is_ok()
            }
        }
    }
}

/// Session, umask, nice and limits: what needs the parent's privileges or none.
fn settle(orders: &Orders) {
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
    for (resource, limit) in &orders.limits {
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
fn privileges(orders: &Orders) {
    let failure = &orders.failure;
    if orders.empty_bounding {
        for capability in 0..=c_ulong::from(LAST_POSSIBLE) {
            // SAFETY: a raw system call on numbers. It fails past the last capability there is, and without the right.
            let _best_effort = unsafe { raw!(libc::SYS_prctl, libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
        }
    }
    if let Some(identity) = &orders.identity {
        let (uid, gid) = (identity.uid, identity.gid);
        call!(
            failure,
            Step::Groups,
            libc::SYS_setgroups,
            identity.groups.len(),
            identity.groups.cast::<u32>()
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
        if call!(failure, Step::ParentDeath, libc::SYS_getppid) != usize::try_from(parent).unwrap_or(0) {
            failure.report(Step::ParentDeath, libc::ESRCH);
        }
    }
}

/// After the directory was entered, which the script itself may have no business in.
fn confine_reach(orders: &Orders) {
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
fn hand_over_calls(orders: &Orders) {
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
    unsafe { supervision.number.write(number(listener)) };
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
fn refuse_calls(orders: &Orders) {
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

fn enter_directory(orders: &Orders) {
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

/// Puts descriptor `i` at number `i` and closes all others, but for that of the program, whose new number is returned, and
/// the one whose closing tells that the program was executed.
fn arrange_descriptors(orders: &Orders) -> RawProgram {
    let (failure, descriptors) = (&orders.failure, &orders.descriptors);
    let count = c_int::try_from(descriptors.len()).unwrap_or(c_int::MAX);
    let moved_beyond = |fd: RawFd, least: c_int| {
        let moved = call!(
            failure,
            Step::Descriptors,
            libc::SYS_fcntl,
            fd,
            libc::F_DUPFD_CLOEXEC,
            least
        );
        number(moved)
    };
    // First out of the way of one another: no number below `count` may be overwritten while it is still wanted.
    let mut program = match orders.program {
        path @ RawProgram::Path(_) => path,
        RawProgram::Descriptor(fd) => RawProgram::Descriptor(moved_beyond(fd, count + 1)),
    };
    let landing = orders.landing.map(|fd| match fd {
        far if far > count => far,
        near => moved_beyond(near, count + 1),
    });
    for (number, fd) in (0_i32..).zip(descriptors) {
        if fd.get() < count && fd.get() != number {
            fd.set(moved_beyond(fd.get(), count));
        }
    }
    for (number, fd) in (0_i32..).zip(descriptors) {
        if fd.get() == number {
            call!(failure, Step::Descriptors, libc::SYS_fcntl, number, libc::F_SETFD, 0);
        } else {
            call!(failure, Step::Descriptors, libc::SYS_dup3, fd.get(), number, 0);
        }
    }
    let mut first_closed = count;
    if let RawProgram::Descriptor(fd) = &mut program {
        // It was moved to `count + 1` or above, so it is never `count` itself.
        call!(failure, Step::Descriptors, libc::SYS_dup3, *fd, count, libc::O_CLOEXEC);
        *fd = count;
        first_closed = count + 1;
    }
    let close = |first: c_int, last: c_int| {
        if first <= last {
            call!(failure, Step::Descriptors, libc::SYS_close_range, first, last, 0);
        }
    };
    match landing {
        None => close(first_closed, c_int::MAX),
        Some(landing) => {
            close(first_closed, landing - 1);
            close(landing + 1, c_int::MAX);
        }
    }
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

fn execute(orders: &Orders, program: RawProgram) -> ! {
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
    orders.failure.report(Step::Execute, libc::EIO) // not reached: execve returns only to fail
}

/// A descriptor number as the kernel returned it.
fn number(result: usize) -> RawFd {
    RawFd::try_from(result).unwrap_or(-1)
}

/// Signals are numbered 1 to 64 on the machines we know.
const SIGNALS: c_int = 64;
