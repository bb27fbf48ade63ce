//! A system call without the C library, whose wrappers leave the error number in memory of their thread: a child that shares
//! its parent's memory has no such memory of its own.

use std::ffi::{c_int, c_long};

/// Whether a child can make its calls while its parent goes on: where not, it must wait.
pub(super) const IS_BARE: bool = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));

/// Makes a call: its result or its error number.
///
/// # Safety
/// As of the call itself.
// SAFETY: the caller's word is passed on.
pub(super) unsafe fn system_call(number: c_long, arguments: [usize; 6]) -> Result<usize, c_int> {
    let [one, two, three, four, five, six] = arguments;
    let result: c_long;
    // SAFETY: the kernel's convention (syscall(2)): these registers, of which it changes rax, rcx and r11.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") one, in("rsi") two, in("rdx") three, in("r10") four, in("r8") five, in("r9") six,
            lateout("rcx") _, lateout("r11") _,
            options(nostack)
        );
    }
    // SAFETY: the kernel's convention (syscall(2)): these registers, of which it changes x0.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        std::arch::asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") one => result,
            in("x1") two, in("x2") three, in("x3") four, in("x4") five, in("x5") six,
            options(nostack)
        );
    }
    // SAFETY: the parent waits meanwhile (IS_BARE), so that its error number is ours to change.
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    unsafe {
        result = match libc::syscall(number, one, two, three, four, five, six) {
            failed if failed < 0 => -c_long::from(*libc::__errno_location()),
            done => done,
        };
    }
    match result {
        // Error numbers come as small negative results.
        -4095..0 => Err(c_int::try_from(-result).unwrap_or(libc::EIO)),
        result => Ok(result.word()),
    }
}

/// What can be an argument.
pub(super) trait Word {
    /// As a register holds it.
    fn word(self) -> usize;
}

macro_rules! words {
    ($($kind:ty)*) => {$(
        impl Word for $kind {
            #[expect(clippy::allow_attributes, reason = "which of these lints speaks depends on the machine")]
            #[allow(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "a register has room for it")]
            fn word(self) -> usize {
                self as usize
            }
        }
    )*};
}

words! { i32 u32 i64 u64 usize }

impl<T> Word for *const T {
    fn word(self) -> usize {
        self.expose_provenance()
    }
}

impl<T> Word for *mut T {
    fn word(self) -> usize {
        self.expose_provenance()
    }
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::{Word, system_call};

    #[test]
    fn results_and_errors_are_told_apart() {
        // SAFETY: asks for our number.
        let pid = unsafe { system_call(libc::SYS_getpid, [0; 6]) };
        assert_eq!(pid, Ok(std::process::id() as usize));
        let name = c"/no/such/file";
        let words = [
            libc::AT_FDCWD.word(),
            name.as_ptr().word(),
            libc::O_RDONLY.word(),
            0,
            0,
            0,
        ];
        // SAFETY: the name lives.
        assert_eq!(unsafe { system_call(libc::SYS_openat, words) }, Err(libc::ENOENT));
        // SAFETY: nothing is at this address, and the call says so.
        let refused = unsafe { system_call(libc::SYS_pipe2, [ptr::null::<u8>().word(), 0, 0, 0, 0, 0]) };
        assert_eq!(refused, Err(libc::EFAULT));
    }

    #[test]
    fn all_six_arguments_arrive() {
        let all = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let words = [0, 4096, all.word(), flags.word(), (-1).word(), 0];
        // SAFETY: a new mapping, where the kernel likes; the last argument must be a multiple of a page.
        let (mapped, refused) = unsafe {
            let mapped = system_call(libc::SYS_mmap, words).expect("there is room");
            let refused = system_call(libc::SYS_mmap, [0, 4096, all.word(), flags.word(), (-1).word(), 1]);
            system_call(libc::SYS_munmap, [mapped, 4096, 0, 0, 0, 0]).expect("it is mapped");
            (mapped, refused)
        };
        assert!(mapped != 0);
        assert_eq!(refused, Err(libc::EINVAL));
    }
}
