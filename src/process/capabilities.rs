//! The parts of root's power that a process keeps (capabilities(7)), by raw calls: each counts for this thread alone, so they
//! belong before the second one starts.

use std::ffi::{c_int, c_long, c_ulong};
use std::io;

/// A part of root's power that one of our roles has use for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Capability {
    /// Giving files away (CAP_CHOWN).
    Chown = 0,
    /// Reaching files whatever their modes say (CAP_DAC_OVERRIDE).
    DacOverride = 1,
    /// Reading files and searching directories whatever their modes say (CAP_DAC_READ_SEARCH).
    DacReadSearch = 2,
    /// Signals to processes of others (CAP_KILL).
    Kill = 5,
    /// Becoming another group (CAP_SETGID).
    SetGid = 6,
    /// Becoming another user (CAP_SETUID).
    SetUid = 7,
    /// Dropping from the bounding set (CAP_SETPCAP).
    SetPcap = 8,
    /// chroot(2) (CAP_SYS_CHROOT).
    SysChroot = 18,
    /// Looking into processes of others (CAP_SYS_PTRACE).
    SysPtrace = 19,
    /// Higher priorities (CAP_SYS_NICE).
    SysNice = 23,
    /// Limits above the hard ones (CAP_SYS_RESOURCE).
    SysResource = 24,
}

/// Keeps these of what this thread has, and none besides: permitted and effective; nothing is inheritable or ambient. One that
/// it has not is not gained and is no error. The bounding set stays as it is: a child that may execute set-user-id programs
/// finds them in order.
pub fn keep_only(kept: &[Capability]) -> io::Result<()> {
    let mask = kept.iter().fold(0_u64, |mask, one| mask | 1 << (*one as u32));
    let permitted = permitted()? & mask;
    clear_ambient()?;
    set(permitted)
}

/// Whether this thread has it. Root in a container has not all of them.
pub fn holds(one: Capability) -> bool {
    permitted().is_ok_and(|permitted| permitted & (1 << (one as u32)) != 0)
}

/// Gives all up, the bounding set too where that is allowed: without CAP_SETPCAP it stays, and is good for nothing to a process
/// that has renounced new privileges.
pub fn renounce_all() -> io::Result<()> {
    drop_bounding()?;
    clear_ambient()?;
    set(0)
}

/// Empties the bounding set: nothing executed from here on has any capability, set-user-id or not. Without CAP_SETPCAP nothing
/// happens.
pub fn drop_bounding() -> io::Result<()> {
    for number in 0..=c_ulong::from(LAST_POSSIBLE) {
        match prctl(libc::PR_CAPBSET_DROP, number, 0) {
            Ok(()) => {}
            Err(error) => {
                return match error.raw_os_error() {
                    Some(libc::EINVAL | libc::EPERM) => Ok(()), // past the last one there is; or not allowed
                    _ => Err(error),
                };
            }
        }
    }
    Ok(())
}

/// The sets have 64 bits; kernels know some 40.
pub(super) const LAST_POSSIBLE: u8 = 63;

fn clear_ambient() -> io::Result<()> {
    let all = c_ulong::from(libc::PR_CAP_AMBIENT_CLEAR_ALL.unsigned_abs());
    prctl(libc::PR_CAP_AMBIENT, all, 0)
}

fn prctl(option: c_int, second: c_ulong, third: c_ulong) -> io::Result<()> {
    // SAFETY: these options take numbers only.
    answered(unsafe { libc::syscall(libc::SYS_prctl, option, second, third, 0, 0) })
}

/// `struct __user_cap_header_struct` of <linux/capability.h>; process 0 is this thread.
#[repr(C)]
struct Header {
    version: u32,
    pid: c_int,
}

static HEADER: Header = Header {
    version: 0x2008_0522, // _LINUX_CAPABILITY_VERSION_3
    pid: 0,
};

/// `struct __user_cap_data_struct`: half of each set. Two of them are the sets' 64 bits.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

fn permitted() -> io::Result<u64> {
    let mut halves = [Half::default(); 2];
    // SAFETY: the header is of the version whose sets have two halves, and there is room for both.
    answered(unsafe { libc::syscall(libc::SYS_capget, &raw const HEADER, halves.as_mut_ptr()) })?;
    Ok(u64::from(halves[1].permitted) << 32 | u64::from(halves[0].permitted))
}

fn set(permitted: u64) -> io::Result<()> {
    let half = |bits: u64| {
        let bits = u32::try_from(bits & 0xffff_ffff).unwrap_or(0);
        Half {
            effective: bits,
            permitted: bits,
            inheritable: 0,
        }
    };
    let halves = [half(permitted), half(permitted >> 32)];
    // SAFETY: as above; the kernel reads both.
    answered(unsafe { libc::syscall(libc::SYS_capset, &raw const HEADER, halves.as_ptr()) })
}

fn answered(result: c_long) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io;

    use super::{Capability, keep_only, renounce_all};

    /// The `Cap…` lines of this thread's /proc entry.
    fn sets() -> BTreeMap<String, u64> {
        let status = std::fs::read_to_string("/proc/thread-self/status").expect("/proc is there");
        let lines = status
            .lines()
            .filter_map(|line| line.strip_prefix("Cap")?.split_once(":\t"));
        lines
            .map(|(name, bits)| (name.to_owned(), u64::from_str_radix(bits, 16).expect("hexadecimal")))
            .collect()
    }

    /// What a thread of its own has left.
    fn left(act: fn() -> io::Result<()>) -> BTreeMap<String, u64> {
        let thread = std::thread::spawn(move || {
            act().expect("giving up is always allowed");
            sets()
        });
        thread.join().expect("no panic")
    }

    #[test]
    fn all_can_be_given_up() {
        let before = sets();
        let after = left(renounce_all);
        for name in ["Inh", "Prm", "Eff", "Amb"] {
            assert_eq!(after[name], 0, "{name}");
        }
        let setpcap = 1 << (Capability::SetPcap as u32);
        let bounding = if before["Eff"] & setpcap == 0 { before["Bnd"] } else { 0 };
        assert_eq!(after["Bnd"], bounding);
        assert_eq!(sets(), before, "one thread's loss is no other's");
    }

    #[test]
    fn some_can_be_kept_and_none_is_gained() {
        let before = sets();
        let after = left(|| keep_only(&[Capability::SetUid, Capability::SysResource]));
        let kept = before["Prm"] & (1 << 7 | 1 << 24);
        assert_eq!((after["Prm"], after["Eff"]), (kept, kept));
        assert_eq!((after["Inh"], after["Amb"], after["Bnd"]), (0, 0, before["Bnd"]));
        let again = left(|| {
            keep_only(&[])?;
            keep_only(&[Capability::SetUid])
        });
        assert_eq!((again["Prm"], again["Eff"]), (0, 0));
    }
}
