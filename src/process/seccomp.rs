//! System calls that a process is refused for good (seccomp(2)): a deny-list, made into a program for the kernel.
//!
//! A refused call fails with an error number and harms nobody else. Calls of another architecture's table (32-bit
//! programs, x32) are refused altogether, or they would be a way around the list.

use std::ffi::c_long;
use std::io;

use libc::{
    BPF_ABS, BPF_ALU, BPF_AND, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W, sock_filter,
};

/// Calls that fail, ready for the kernel.
#[derive(Clone, Debug)]
pub struct Filter {
    program: Vec<sock_filter>,
}

/// A call that is refused.
#[derive(Clone, Copy, Debug)]
pub struct Refused {
    /// Its number, `libc::SYS_…`.
    pub call: c_long,
    /// With which arguments.
    pub when: When,
    /// The error it fails with.
    pub errno: i32,
}

/// With which arguments a call is refused. Arguments are numbered from 0; pointers cannot be looked behind.
#[derive(Clone, Copy, Debug)]
pub enum When {
    /// With any.
    Always,
    /// When one of these bits of an argument's lower half is set.
    AnyBit(u32, u32),
    /// When none of these bits of an argument's lower half is set.
    NoBit(u32, u32),
    /// When an argument's lower half, of which only the bits of the mask count, has the value: argument, mask, value.
    Is(u32, u32, u32),
    /// When an argument's lower half, of which only the bits of the mask count, has another value.
    IsNot(u32, u32, u32),
}

impl Filter {
    /// A filter that refuses these calls and lets all others pass. The list may have up to some 500 entries; the first entry
    /// that fits a call decides.
    pub fn refusing(list: &[Refused]) -> Filter {
        let mut program = vec![
            load(ARCHITECTURE),
            jump(BPF_JEQ, AUDIT_ARCHITECTURE, 1, 0),
            refuse(libc::EPERM),
            load(NUMBER),
            jump(BPF_JGE, X32_BIT, 0, 1),
            refuse(libc::ENOSYS),
        ];
        for refused in list {
            append(&mut program, refused);
        }
        program.push(statement(BPF_RET | BPF_K, libc::SECCOMP_RET_ALLOW));
        Filter { program }
    }

    /// Refuses the calls to this thread and all it starts, for good. It must have renounced new privileges, or be root.
    pub fn enter(&self) -> io::Result<()> {
        let raw = self.raw();
        // SAFETY: the program lives until the call returns; the kernel copies it.
        let result = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                0,
                std::ptr::from_ref(&raw),
            )
        };
        if result < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }

    /// The kernel's view, good for as long as the filter lives.
    pub(super) fn raw(&self) -> libc::sock_fprog {
        libc::sock_fprog {
            // The kernel refuses a program of more than 4096 instructions.
            len: u16::try_from(self.program.len()).unwrap_or(u16::MAX),
            filter: self.program.as_ptr().cast_mut(),
        }
    }
}

/// The tests of one entry: at its end the number of the call is loaded again.
fn append(program: &mut Vec<sock_filter>, refused: &Refused) {
    let number = u32::try_from(refused.call).unwrap_or(u32::MAX);
    let (argument, mask, test) = match refused.when {
        When::Always => {
            program.push(jump(BPF_JEQ, number, 0, 1));
            return program.push(refuse(refused.errno));
        }
        When::AnyBit(argument, bits) => (argument, None, jump(BPF_JSET, bits, 0, 1)),
        When::NoBit(argument, bits) => (argument, None, jump(BPF_JSET, bits, 1, 0)),
        When::Is(argument, mask, value) => (argument, Some(mask), jump(BPF_JEQ, value, 0, 1)),
        When::IsNot(argument, mask, value) => (argument, Some(mask), jump(BPF_JEQ, value, 1, 0)),
    };
    let masked = mask.map(|mask| statement(BPF_ALU | BPF_AND | BPF_K, mask));
    let mut tests = vec![load(ARGUMENTS + 8 * argument)];
    tests.extend(masked);
    tests.push(test);
    tests.push(refuse(refused.errno));
    tests.push(load(NUMBER));
    program.push(jump(BPF_JEQ, number, 0, u8::try_from(tests.len()).unwrap_or(u8::MAX)));
    program.extend(tests);
}

/// Offsets into the kernel's `struct seccomp_data`; of an argument the lower half, on machines that store it first.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = if cfg!(target_endian = "little") { 16 } else { 20 };

/// Numbers of the x32 table have this bit (x86_64 only; no other table is that long).
const X32_BIT: u32 = 0x4000_0000;

/// `AUDIT_ARCH_…` of <linux/audit.h>: the ELF machine, 64 bits, little-endian.
#[cfg(target_arch = "x86_64")]
const AUDIT_ARCHITECTURE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const AUDIT_ARCHITECTURE: u32 = 0xC000_00B7;
#[cfg(target_arch = "riscv64")]
const AUDIT_ARCHITECTURE: u32 = 0xC000_00F3;

fn load(offset: u32) -> sock_filter {
    statement(BPF_LD | BPF_W | BPF_ABS, offset)
}

fn refuse(errno: i32) -> sock_filter {
    statement(
        BPF_RET | BPF_K,
        libc::SECCOMP_RET_ERRNO | (errno.unsigned_abs() & 0xffff),
    )
}

fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter {
        code: u16::try_from(code).unwrap_or(u16::MAX),
        jt: 0,
        jf: 0,
        k,
    }
}

fn jump(test: u32, k: u32, yes: u8, no: u8) -> sock_filter {
    sock_filter {
        jt: yes,
        jf: no,
        ..statement(BPF_JMP | test | BPF_K, k)
    }
}
