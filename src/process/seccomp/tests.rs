//! The programs, judged by a small machine of our own for every argument, and by the kernel in threads that end with them.

use std::ffi::c_long;
use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::lists::{self, Unlinking};
use super::{AUDIT_ARCHITECTURE, Filter, Refused, When, X32_BIT};
use crate::process::child::{ChildSpec, NewPrivileges, Program, spawn};

/// What the kernel would do with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Allowed,
    Fails(i32),
}

impl Filter {
    /// Runs the program as the kernel does (Documentation/networking/filter.rst).
    fn judges(&self, architecture: u32, number: u32, arguments: [u64; 6]) -> Verdict {
        let word = |offset: u32| match offset {
            0 => number,
            4 => architecture,
            _ => {
                let argument = arguments[(offset as usize - 16) / 8];
                u32::try_from(if offset.is_multiple_of(8) {
                    argument & 0xffff_ffff
                } else {
                    argument >> 32
                })
                .expect("a half")
            }
        };
        let (mut at, mut accumulator) = (0, 0_u32);
        loop {
            let statement = self.program[at];
            let k = statement.k;
            at += 1;
            let mut go = |yes: bool| at += usize::from(if yes { statement.jt } else { statement.jf });
            match u32::from(statement.code) {
                0x20 => accumulator = word(k),
                0x54 => accumulator &= k,
                0x05 => at += k as usize,
                0x15 => go(accumulator == k),
                0x35 => go(accumulator >= k),
                0x45 => go(accumulator & k != 0),
                0x06 if k == libc::SECCOMP_RET_ALLOW => return Verdict::Allowed,
                0x06 => return Verdict::Fails((k & 0xffff).cast_signed()),
                code => panic!("instruction {code:#x}"),
            }
        }
    }

    fn of(&self, call: c_long, arguments: &[u64]) -> Verdict {
        let mut all = [0; 6];
        all[..arguments.len()].copy_from_slice(arguments);
        self.judges(AUDIT_ARCHITECTURE, u32::try_from(call).expect("a number"), all)
    }
}

const fn refused(call: c_long, when: When, errno: i32) -> Refused {
    Refused { call, when, errno }
}

#[test]
fn every_condition_looks_at_the_lower_half_of_its_argument() {
    use Verdict::{Allowed, Fails};
    let above = 7 << 32;
    for (when, fits, fits_not) in [
        (When::Always, vec![0, 1, u64::MAX], vec![]),
        (
            When::AnyBit(1, 0b110),
            vec![2, 4, 6, 7, above | 2],
            vec![0, 1, 8, above],
        ),
        (When::NoBit(1, 0b110), vec![0, 1, 8, above], vec![2, 4, 6, above | 6]),
        (When::Is(1, 0xf, 3), vec![3, 0x13, above | 3], vec![0, 2, 0x14, 7]),
        (When::IsNot(1, !0, 3), vec![0, 2, 0x13, above], vec![3, above | 3]),
        (When::NotAmong(1, &[]), vec![0, 1], vec![]),
        (
            When::NotAmong(1, &[3, 5, 0]),
            vec![1, 2, 4, 6, above | 4],
            vec![3, 5, 0, above | 5],
        ),
    ] {
        let list = [refused(100, when, 1), refused(101, When::Always, 2)];
        let filter = Filter::refusing(&list);
        for (values, verdict) in [(fits, Fails(1)), (fits_not, Allowed)] {
            for value in values {
                assert_eq!(filter.of(100, &[9, value]), verdict, "{when:?} of {value:#x}");
            }
        }
        assert_eq!(filter.of(101, &[]), Fails(2), "{when:?}: the entry behind it holds");
        assert_eq!(filter.of(99, &[9, 3]), Allowed, "{when:?}: other calls pass");
    }
}

#[test]
fn a_condition_of_two_holds_where_both_do() {
    const TWO: When = When::Both(&When::Is(0, !0, 2), &When::IsNot(1, 0xf, 1));
    const THREE: When = When::Both(&TWO, &When::NotAmong(2, &[6, 7]));
    let filter = Filter::refusing(&[
        refused(100, TWO, 1),
        refused(101, THREE, 1),
        refused(102, When::Always, 2),
    ]);
    for (call, arguments, verdict) in [
        (100, [2, 2, 6], Verdict::Fails(1)),
        (100, [2, 0x11, 6], Verdict::Allowed),
        (100, [3, 2, 6], Verdict::Allowed),
        (101, [2, 2, 5], Verdict::Fails(1)),
        (101, [2, 2, 6], Verdict::Allowed),
        (101, [2, 1, 5], Verdict::Allowed),
        (101, [1, 2, 5], Verdict::Allowed),
        (102, [0, 0, 0], Verdict::Fails(2)),
    ] {
        assert_eq!(filter.of(call, &arguments), verdict, "{call} {arguments:?}");
    }
}

#[test]
fn each_call_is_found_among_many() {
    for many in 1..40 {
        // Every third number, not in order.
        let numbers = (0..many).map(|n| (n * 7) % many * 3 + 1);
        let list: Vec<Refused> = numbers.map(|n| refused(n, When::Always, 1)).collect();
        let mut refused: Vec<c_long> = list.iter().map(|refused| refused.call).collect();
        refused.sort_unstable();
        let filter = Filter::refusing(&list);
        for call in 0..3 * many + 2 {
            let verdict = if refused.binary_search(&call).is_ok() {
                Verdict::Fails(1)
            } else {
                Verdict::Allowed
            };
            assert_eq!(filter.of(call, &[]), verdict, "{call} of {many}");
        }
    }
}

/// Whether a call with these arguments is refused, as the list has it.
fn fits(when: When, arguments: [u64; 6]) -> bool {
    let argument = |number: u32| u32::try_from(arguments[number as usize] & 0xffff_ffff).expect("a half");
    match when {
        When::Always => true,
        When::AnyBit(number, bits) => argument(number) & bits != 0,
        When::NoBit(number, bits) => argument(number) & bits == 0,
        When::Is(number, mask, value) => argument(number) & mask == value,
        When::IsNot(number, mask, value) => argument(number) & mask != value,
        When::NotAmong(number, values) => !values.contains(&argument(number)),
        When::Both(one, other) => fits(*one, arguments) && fits(*other, arguments),
    }
}

#[test]
fn programs_say_what_their_lists_say_and_are_short() {
    // One that no conditional jump reaches over: every call another error.
    let long = (0..400).map(|n| refused(n * 3, When::IsNot(0, !0, 1), i32::try_from(n).expect("few") + 1));
    let lists = [
        (lists::script(), 170),
        (lists::worker(Unlinking::Refused), 230),
        (lists::worker(Unlinking::Allowed), 230),
        (long.collect(), 4096),
    ];
    for (list, most) in lists {
        let filter = Filter::refusing(&list);
        assert!(filter.program.len() <= most, "{} of {most}", filter.program.len());
        for call in 0..1300 {
            for arguments in [[0; 6], [1; 6], [u64::MAX; 6], [0x2000_0000; 6], [2, 3, 58, 0, 0, 0]] {
                let mut entries = list.iter().filter(|entry| entry.call == call);
                let first = entries.find(|entry| fits(entry.when, arguments));
                let verdict = first.map_or(Verdict::Allowed, |entry| Verdict::Fails(entry.errno));
                assert_eq!(filter.of(call, &arguments), verdict, "{call} {arguments:?}");
            }
        }
    }
}

#[test]
fn the_first_entry_of_a_call_that_fits_decides() {
    let filter = Filter::refusing(&[
        refused(100, When::Is(0, !0, 1), 1),
        refused(101, When::Always, 9),
        refused(100, When::NotAmong(0, &[1, 2, 3]), 2),
        refused(100, When::AnyBit(0, 3), 3),
        refused(100, When::Always, 4),
    ]);
    for (argument, errno) in [(1, 1), (7, 2), (2, 3), (3, 3)] {
        assert_eq!(filter.of(100, &[argument]), Verdict::Fails(errno), "{argument}");
    }
    let without_last = Filter::refusing(&[refused(100, When::Is(0, !0, 1), 1), refused(100, When::Is(0, !0, 2), 2)]);
    assert_eq!(without_last.of(100, &[3]), Verdict::Allowed);
}

#[test]
fn tests_that_no_conditional_jump_reaches_over_are_jumped_over() {
    const MANY: [u32; 300] = {
        let mut many = [0; 300];
        let mut n = 0;
        while n < 300 {
            many[n as usize] = 2 * n;
            n += 1;
        }
        many
    };
    let filter = Filter::refusing(&[refused(100, When::NotAmong(0, &MANY), 1), refused(101, When::Always, 2)]);
    for (call, argument, verdict) in [
        (100, 0, Verdict::Allowed),
        (100, 598, Verdict::Allowed),
        (100, 1, Verdict::Fails(1)),
        (100, 600, Verdict::Fails(1)),
        (101, 0, Verdict::Fails(2)),
        (102, 1, Verdict::Allowed),
    ] {
        assert_eq!(filter.of(call, &[argument]), verdict, "{call} {argument}");
    }
}

#[test]
fn other_tables_of_calls_are_refused_altogether() {
    let filter = Filter::refusing(&[]);
    for architecture in [0x4000_0003, 0x4000_0028, 0, !0] {
        assert_eq!(
            filter.judges(architecture, 1, [0; 6]),
            Verdict::Fails(libc::EPERM),
            "{architecture:#x}"
        );
    }
    for number in [X32_BIT, X32_BIT | 1, !0] {
        assert_eq!(
            filter.judges(AUDIT_ARCHITECTURE, number, [0; 6]),
            Verdict::Fails(libc::ENOSYS),
            "{number:#x}"
        );
    }
    assert_eq!(filter.judges(AUDIT_ARCHITECTURE, X32_BIT - 1, [0; 6]), Verdict::Allowed);
}

#[test]
fn the_worker_s_list_refuses_and_allows() {
    use Verdict::{Allowed, Fails};
    let (eperm, own) = (Fails(libc::EPERM), u64::from(std::process::id()));
    let filter = Filter::refusing(&lists::worker(Unlinking::Refused));
    let thread = 0x003d_0f00; // as pthread_create(3) asks: CLONE_VM … CLONE_CHILD_CLEARTID
    let (inet, unix, netlink, packet) = (2, 1, 16, 17);
    for (call, arguments, verdict) in [
        (libc::SYS_execve, vec![], eperm),
        (libc::SYS_execveat, vec![], eperm),
        (libc::SYS_clone, vec![thread], Allowed),
        (libc::SYS_clone, vec![17], eperm),
        (libc::SYS_clone, vec![thread | 0x1000_0000], eperm),
        (libc::SYS_clone3, vec![], Fails(libc::ENOSYS)),
        (libc::SYS_ptrace, vec![], eperm),
        (libc::SYS_kill, vec![own, 6], Allowed),
        (libc::SYS_kill, vec![1], eperm),
        (libc::SYS_kill, vec![0], eperm),
        (libc::SYS_kill, vec![u64::MAX], eperm),
        (libc::SYS_tgkill, vec![own, 5, 6], Allowed),
        (libc::SYS_tgkill, vec![1, 1, 6], eperm),
        (libc::SYS_prlimit64, vec![0], Allowed),
        (libc::SYS_prlimit64, vec![1], eperm),
        (libc::SYS_socket, vec![inet, 1, 0], Allowed),
        (libc::SYS_socket, vec![10, 2 | 0x80800, 0], Allowed),
        (libc::SYS_socket, vec![unix, 1, 0], Allowed),
        (libc::SYS_socket, vec![inet, 3, 1], Fails(libc::ESOCKTNOSUPPORT)),
        (
            libc::SYS_socket,
            vec![inet, 3 | 0x80000, 255],
            Fails(libc::ESOCKTNOSUPPORT),
        ),
        (libc::SYS_socket, vec![inet, 10, 0], Fails(libc::ESOCKTNOSUPPORT)),
        (libc::SYS_socket, vec![inet, 1, 262], Fails(libc::EPROTONOSUPPORT)),
        (libc::SYS_socket, vec![netlink, 3, 0], Fails(libc::EAFNOSUPPORT)),
        (libc::SYS_socket, vec![packet, 3, 0], Fails(libc::EAFNOSUPPORT)),
        (libc::SYS_bind, vec![], eperm),
        (libc::SYS_sendto, vec![5, 0, 0, 0x4000], Allowed),
        (libc::SYS_sendto, vec![5, 0, 0, 0x2000_4000], Fails(libc::EOPNOTSUPP)),
        (libc::SYS_sendmsg, vec![5, 0, 0x2000_0000], Fails(libc::EOPNOTSUPP)),
        (libc::SYS_unlinkat, vec![], eperm),
        (libc::SYS_fchmod, vec![], eperm),
        (libc::SYS_personality, vec![0xffff_ffff], Allowed),
        (libc::SYS_personality, vec![0x0040_0000], eperm),
        (libc::SYS_unshare, vec![0x400], Allowed),
        (libc::SYS_unshare, vec![0x1000_0400], eperm),
        (libc::SYS_unshare, vec![0x80], eperm),
        (libc::SYS_openat, vec![], Allowed),
        (libc::SYS_write, vec![], Allowed),
        (libc::SYS_futex, vec![], Allowed),
    ] {
        assert_eq!(filter.of(call, &arguments), verdict, "{call} {arguments:?}");
    }
    let unlinking = Filter::refusing(&lists::worker(Unlinking::Allowed));
    assert_eq!(unlinking.of(libc::SYS_unlinkat, &[0, 0, 0]), Allowed);
    assert_eq!(unlinking.of(libc::SYS_unlinkat, &[0, 0, 0x200]), eperm);
}

#[test]
fn lists_count_each_call_once() {
    let list = [1, 2, 1].map(|call| refused(call, When::Always, 1));
    assert_eq!(lists::calls(&list), 2);
    assert!(lists::calls(&lists::worker(Unlinking::Refused)) > lists::calls(&lists::script()));
}

/// What a thread does under a filter, which ends with it.
fn under<T: Send + 'static>(list: &[Refused], act: impl FnOnce() -> T + Send + 'static) -> T {
    let filter = Filter::refusing(list);
    let thread = std::thread::spawn(move || {
        rustix::thread::set_no_new_privs(true).expect("always possible");
        filter.enter().expect("new privileges are renounced");
        act()
    });
    thread.join().expect("it does not panic")
}

#[test]
fn the_kernel_takes_the_lists_and_judges_alike() {
    for list in [lists::worker(Unlinking::Refused), lists::script()] {
        let (listened, connected, named, told, started, raw) = under(&list, || {
            let listened = TcpListener::bind("127.0.0.1:0").map(drop);
            let udp = UdpSocket::bind("127.0.0.1:0").map(drop);
            let names = crate::process::names::leads_to("localhost", Ipv4Addr::LOCALHOST.into());
            let begun = Arc::new(AtomicBool::new(false));
            let other = Arc::clone(&begun);
            let thread = std::thread::spawn(move || other.store(true, Ordering::Release));
            let _joined = thread.join();
            let raw = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::from(3), None).map(drop);
            let told = unshared();
            (listened, udp, names, told, begun.load(Ordering::Acquire), raw)
        });
        assert_eq!(listened.is_ok(), connected.is_ok());
        assert!(named, "the C library asks for names without netlink");
        assert!(started, "threads can be started");
        assert_eq!(told, Some(libc::EPERM));
        assert_eq!(raw.expect_err("refused").raw_os_error(), Some(libc::ESOCKTNOSUPPORT));
    }
}

fn unshared() -> Option<i32> {
    // SAFETY: refused by the filter; were it not, this thread would have a user namespace of its own and end in it.
    let result = unsafe { libc::unshare(libc::CLONE_NEWUSER) };
    (result < 0)
        .then(|| io::Error::last_os_error().raw_os_error())
        .flatten()
}

#[test]
fn a_child_is_refused_too_and_its_shell_goes_on() {
    let null = std::fs::File::open("/dev/null").expect("it is there");
    let filter = Filter::refusing(&lists::script());
    for (script, well) in [
        ("exit 0", true),
        ("(exit 0); ls / >/dev/null && echo x | cat >/dev/null", true),
        ("unshare -U true", false),
        ("unshare --time true", false),
        ("mount -t tmpfs none /mnt", false),
        ("dmesg", false),
        ("setarch -R true", false),
    ] {
        let argv = vec![
            c"sh".into(),
            c"-c".into(),
            std::ffi::CString::new(script).expect("no NUL"),
        ];
        let mut spec = ChildSpec::new(Program::Path(c"/bin/sh"), argv, vec![null.as_fd(); 3]);
        spec.env.push(b"PATH", b"/usr/sbin:/usr/bin:/sbin:/bin");
        spec.new_privileges = NewPrivileges::Never;
        spec.filter = Some(&filter);
        let child = spawn(&spec).expect("the shell is there");
        assert_eq!(child.pidfd.wait().expect("ours").exit.is_success(), well, "{script}");
    }
}

#[test]
fn without_privileges_renounced_an_ordinary_user_cannot_enter() {
    if rustix::process::geteuid().is_root() {
        return;
    }
    let refused = std::thread::spawn(|| Filter::refusing(&[]).enter().is_err());
    assert!(refused.join().expect("no panic"));
}
