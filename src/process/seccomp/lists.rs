//! The calls that are refused: to scripts that are confined, and to the worker. What is on both lists serves only those who
//! administer the machine, debug or break out; nobody who serves a request or writes a page has use for it.

use std::ffi::c_long;

use libc::{EAFNOSUPPORT, ENOSYS, EOPNOTSUPP, EPERM, EPROTONOSUPPORT, ESOCKTNOSUPPORT};

use super::{Refused, When};

/// For scripts: `ScriptSandbox basic`, but for what it says of the network.
pub fn script() -> Vec<Refused> {
    let judged = [
        FAMILIES,
        RAW,
        PACKET,
        PROTOCOLS,
        NAMESPACES,
        // Limits and priorities of others, who die of them as well as of signals. Landlock does not see them.
        at(libc::SYS_prlimit64, When::IsNot(0, !0, 0), EPERM),
        at(libc::SYS_setpriority, When::IsNot(0, !0, libc::PRIO_PROCESS), EPERM),
        at(libc::SYS_setpriority, When::IsNot(1, !0, 0), EPERM),
    ];
    joined(&[&judged, COMMON, OLD, TERMINAL])
}

/// For the worker, whose process this must be: it serves, so it executes nothing, starts no process, listens nowhere else,
/// signals nobody, and changes no name, mode, owner or time of a file. (Which files it may write is Landlock's matter:
/// openat2(2) has its flags behind a pointer.)
///
/// `unlinking` says whether it may remove files, which a spool needs on file systems that have no files without a name.
pub fn worker(unlinking: Unlinking) -> Vec<Refused> {
    let own = rustix::process::getpid().as_raw_nonzero().get().unsigned_abs();
    let judged = [
        // What is called with every answer stands first.
        at(libc::SYS_sendto, When::AnyBit(3, FASTOPEN), EOPNOTSUPP),
        at(libc::SYS_sendmsg, When::AnyBit(2, FASTOPEN), EOPNOTSUPP),
        at(libc::SYS_sendmmsg, When::AnyBit(3, FASTOPEN), EOPNOTSUPP),
        FAMILIES,
        RAW,
        PACKET,
        at(libc::SYS_socket, When::NotAmong(2, &[0, TCP, UDP]), EPROTONOSUPPORT),
        NAMESPACES,
        at(libc::SYS_clone, When::NoBit(0, flag(libc::CLONE_THREAD)), EPERM),
        // Ending itself is all that is left (abort(3)).
        at(libc::SYS_kill, When::IsNot(0, !0, own), EPERM),
        at(libc::SYS_tgkill, When::IsNot(0, !0, own), EPERM),
        at(libc::SYS_prlimit64, When::IsNot(0, !0, 0), EPERM),
    ];
    let unlink: &[Refused] = match unlinking {
        Unlinking::Allowed => &[at(libc::SYS_unlinkat, When::AnyBit(2, REMOVEDIR), EPERM)],
        Unlinking::Refused => UNLINKING,
    };
    joined(&[&judged, unlink, COMMON, OLD, WORKER, OLD_WORKER])
}

/// Whether files may be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlinking {
    /// As the system's rules allow.
    Allowed,
    /// Never.
    Refused,
}

/// How many system calls a list is about.
pub fn calls(list: &[Refused]) -> usize {
    let mut numbers: Vec<c_long> = list.iter().map(|refused| refused.call).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers.len()
}

fn joined(parts: &[&[Refused]]) -> Vec<Refused> {
    parts.concat()
}

const fn at(call: c_long, when: When, errno: i32) -> Refused {
    Refused { call, when, errno }
}

const fn never(call: c_long) -> Refused {
    at(call, When::Always, EPERM)
}

const fn absent(call: c_long) -> Refused {
    at(call, When::Always, ENOSYS)
}

const fn flag(flag: i32) -> u32 {
    flag.cast_unsigned()
}

/// `MSG_FASTOPEN`: it connects, and Landlock does not see it on every kernel.
pub const FASTOPEN: u32 = 0x2000_0000;

const REMOVEDIR: u32 = flag(libc::AT_REMOVEDIR);
const TCP: u32 = 6;
const UDP: u32 = 17;

/// Sockets are of the internet or of Unix. (netlink(7) too is refused: the C library asks it for addresses of interfaces and
/// does without where it cannot.)
const FAMILIES: Refused = at(
    libc::SYS_socket,
    When::NotAmong(0, &[flag(libc::AF_UNIX), flag(libc::AF_INET), flag(libc::AF_INET6)]),
    EAFNOSUPPORT,
);

/// Raw sockets, and those of the old packet interface, whose number is 10; the flags beside the type (SOCK_CLOEXEC …) are
/// above its four bits. They need CAP_NET_RAW, which a user namespace would give.
const RAW: Refused = at(
    libc::SYS_socket,
    When::Is(1, TYPE, flag(libc::SOCK_RAW)),
    ESOCKTNOSUPPORT,
);
const PACKET: Refused = at(libc::SYS_socket, When::Is(1, TYPE, 10), ESOCKTNOSUPPORT);

const TYPE: u32 = 0xf;

/// TCP and UDP, and the echo that `ping` sends without privileges (also Unix's own number, 1). Others that connect, such as
/// MPTCP and SCTP, would pass Landlock by.
const PROTOCOLS: Refused = at(
    libc::SYS_socket,
    When::NotAmong(2, &[0, 1, TCP, UDP, 58]),
    EPROTONOSUPPORT,
);

/// A process in a namespace of its own. `clone3` has its flags behind a pointer; the C library does without it.
const NAMESPACES: Refused = at(libc::SYS_clone, When::AnyBit(0, NEW), EPERM);

const NEW: u32 = flag(
    libc::CLONE_NEWNS
        | libc::CLONE_NEWCGROUP
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET,
);

/// `CLONE_NEWTIME`, which among the flags of clone(2) would be part of a signal's number.
const NEW_TIME: u32 = 0x80;

/// Refused to scripts and worker.
const COMMON: &[Refused] = &[
    absent(libc::SYS_clone3),
    at(libc::SYS_unshare, When::AnyBit(0, NEW | NEW_TIME), EPERM),
    never(libc::SYS_setns),
    at(libc::SYS_personality, When::NotAmong(0, &[0, !0]), EPERM),
    // Into other processes.
    never(libc::SYS_ptrace),
    never(libc::SYS_process_vm_readv),
    never(libc::SYS_process_vm_writev),
    never(libc::SYS_process_madvise),
    never(libc::SYS_kcmp),
    never(libc::SYS_pidfd_getfd),
    // What is mounted where.
    never(libc::SYS_mount),
    never(libc::SYS_umount2),
    never(libc::SYS_move_mount),
    never(libc::SYS_open_tree),
    never(OPEN_TREE_ATTR),
    never(libc::SYS_fsopen),
    never(libc::SYS_fsmount),
    never(libc::SYS_fsconfig),
    never(libc::SYS_fspick),
    never(libc::SYS_mount_setattr),
    never(libc::SYS_pivot_root),
    never(libc::SYS_chroot),
    never(libc::SYS_swapon),
    never(libc::SYS_swapoff),
    never(libc::SYS_quotactl),
    never(libc::SYS_quotactl_fd),
    // Files without their directories' leave, and watching what others open.
    never(libc::SYS_name_to_handle_at),
    never(libc::SYS_open_by_handle_at),
    never(libc::SYS_fanotify_init),
    // Parts of the kernel that many a break-out began with.
    never(libc::SYS_bpf),
    never(libc::SYS_perf_event_open),
    never(libc::SYS_userfaultfd),
    absent(libc::SYS_io_uring_setup),
    absent(libc::SYS_io_uring_enter),
    absent(libc::SYS_io_uring_register),
    never(libc::SYS_add_key),
    never(libc::SYS_request_key),
    never(libc::SYS_keyctl),
    absent(libc::SYS_lookup_dcookie),
    absent(libc::SYS_nfsservctl),
    // The machine.
    never(libc::SYS_init_module),
    never(libc::SYS_finit_module),
    never(libc::SYS_delete_module),
    never(libc::SYS_kexec_load),
    never(libc::SYS_reboot),
    never(libc::SYS_acct),
    never(libc::SYS_syslog),
    never(libc::SYS_vhangup),
    never(libc::SYS_sethostname),
    never(libc::SYS_setdomainname),
    never(libc::SYS_settimeofday),
    never(libc::SYS_clock_settime),
    at(libc::SYS_adjtimex, When::Always, EPERM),
    at(libc::SYS_clock_adjtime, When::Always, EPERM),
];

/// `open_tree_attr` (6.15) and others have no name in the `libc` crate yet; numbers from 424 on are those of all machines.
const OPEN_TREE_ATTR: c_long = 467;
const FCHMODAT2: c_long = 452;
const SETXATTRAT: c_long = 463;
const REMOVEXATTRAT: c_long = 466;
const FILE_SETATTR: c_long = 469;

/// What only some machines' tables have.
#[cfg(target_arch = "x86_64")]
const OLD: &[Refused] = &[
    never(libc::SYS_kexec_file_load),
    never(libc::SYS_iopl),
    never(libc::SYS_ioperm),
    never(libc::SYS_uselib),
    never(libc::SYS_modify_ldt),
];
#[cfg(target_arch = "aarch64")]
const OLD: &[Refused] = &[never(libc::SYS_kexec_file_load)];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const OLD: &[Refused] = &[];

/// Putting letters into the queue of a terminal that somebody else reads from.
const TERMINAL: &[Refused] = &[
    at(libc::SYS_ioctl, When::Is(1, !0, TIOCSTI), EPERM),
    at(libc::SYS_ioctl, When::Is(1, !0, TIOCLINUX), EPERM),
];

const TIOCSTI: u32 = 0x5412;
const TIOCLINUX: u32 = 0x541C;

/// Refused to the worker besides.
const WORKER: &[Refused] = &[
    never(libc::SYS_execve),
    never(libc::SYS_execveat),
    // It inherits what it listens on.
    never(libc::SYS_bind),
    never(libc::SYS_listen),
    // Signals to others go through spawner and launcher.
    never(libc::SYS_tkill),
    never(libc::SYS_rt_sigqueueinfo),
    never(libc::SYS_rt_tgsigqueueinfo),
    never(libc::SYS_pidfd_send_signal),
    // Others' share of the processor.
    never(libc::SYS_setpriority),
    never(libc::SYS_ioprio_set),
    never(libc::SYS_sched_setparam),
    never(libc::SYS_sched_setscheduler),
    never(libc::SYS_sched_setattr),
    // Names, modes, owners, times, attributes of files.
    never(libc::SYS_mkdirat),
    never(libc::SYS_mknodat),
    never(libc::SYS_linkat),
    never(libc::SYS_symlinkat),
    never(libc::SYS_renameat2),
    never(libc::SYS_truncate),
    // What is in a log stays there: its descriptor only appends, and goes on to.
    never(libc::SYS_ftruncate),
    never(libc::SYS_fallocate),
    at(libc::SYS_fcntl, When::Is(1, !0, flag(libc::F_SETFL)), EPERM),
    never(libc::SYS_fchmod),
    never(libc::SYS_fchmodat),
    never(FCHMODAT2),
    never(libc::SYS_fchown),
    never(libc::SYS_fchownat),
    never(libc::SYS_utimensat),
    never(libc::SYS_setxattr),
    never(libc::SYS_lsetxattr),
    never(libc::SYS_fsetxattr),
    never(SETXATTRAT),
    never(libc::SYS_removexattr),
    never(libc::SYS_lremovexattr),
    never(libc::SYS_fremovexattr),
    never(REMOVEXATTRAT),
    never(FILE_SETATTR),
    // Memory and queues that outlive it.
    never(libc::SYS_shmget),
    never(libc::SYS_shmat),
    never(libc::SYS_msgget),
    never(libc::SYS_semget),
    never(libc::SYS_mq_open),
    never(libc::SYS_mq_unlink),
];

#[cfg(target_arch = "x86_64")]
const OLD_WORKER: &[Refused] = &[
    never(libc::SYS_fork),
    never(libc::SYS_vfork),
    never(libc::SYS_mkdir),
    never(libc::SYS_rmdir),
    never(libc::SYS_mknod),
    never(libc::SYS_link),
    never(libc::SYS_symlink),
    never(libc::SYS_rename),
    never(libc::SYS_renameat),
    never(libc::SYS_creat),
    never(libc::SYS_chmod),
    never(libc::SYS_chown),
    never(libc::SYS_lchown),
    never(libc::SYS_utime),
    never(libc::SYS_utimes),
    never(libc::SYS_futimesat),
];
#[cfg(target_arch = "aarch64")]
const OLD_WORKER: &[Refused] = &[never(libc::SYS_renameat)];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const OLD_WORKER: &[Refused] = &[];

#[cfg(target_arch = "x86_64")]
const UNLINKING: &[Refused] = &[never(libc::SYS_unlink), never(libc::SYS_unlinkat)];
#[cfg(not(target_arch = "x86_64"))]
const UNLINKING: &[Refused] = &[never(libc::SYS_unlinkat)];
