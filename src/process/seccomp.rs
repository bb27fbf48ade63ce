//! System calls that a process is refused for good (seccomp(2)): a deny-list, made into a program for the kernel.
//!
//! A refused call fails with an error number and harms nobody else. Calls of another architecture's table (32-bit
//! programs, x32) are refused altogether, or they would be a way around the list.

pub mod lists;
mod program;

use std::ffi::{c_long, c_ulong};
use std::io;

use libc::{BPF_ABS, BPF_ALU, BPF_AND, BPF_JA, BPF_JEQ, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W, sock_filter};

use program::{Backwards, Ranges};

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

/// With which arguments a call is refused. Arguments are numbered from 0; of each the lower half is looked at, and what a
/// pointer leads to cannot be.
#[derive(Clone, Copy, Debug)]
pub enum When {
    /// With any.
    Always,
    /// When one of these bits of an argument is set.
    AnyBit(u32, u32),
    /// When none of these bits of an argument is set.
    NoBit(u32, u32),
    /// When an argument, of which only the bits of the mask count, has the value: argument, mask, value.
    Is(u32, u32, u32),
    /// When an argument, of which only the bits of the mask count, has another value.
    IsNot(u32, u32, u32),
    /// When an argument has none of these values.
    NotAmong(u32, &'static [u32]),
    /// When both hold.
    Both(&'static When, &'static When),
}

impl Filter {
    /// A filter that refuses these calls and lets all others pass. Of the entries of one call, the first that fits decides.
    /// The kernel takes 4096 instructions, which is some 400 entries; a longer list fails when it is entered.
    ///
    /// Where no argument decides, the kernel remembers the answer (since 5.11), and the list costs nothing. To know them it
    /// asks the program for every call there is when it is entered, and makes it into machine code: 20 us and 0.15 us for each
    /// instruction, measured. So calls are found by halves, and neighbours that fare alike are one range.
    pub fn refusing(list: &[Refused]) -> Filter {
        let mut calls: Vec<u32> = list.iter().map(number_of).filter(|call| *call < X32_BIT).collect();
        calls.sort_unstable();
        calls.dedup();
        let mut program = Backwards::default();
        let allowed = program.end(allow());
        let mut ranges = Ranges::default();
        ranges.from(0, allowed);
        for call in calls {
            let fate = match of_call(call, list).as_slice() {
                [always] => program.end(*always),
                judged => program.block(judged),
            };
            ranges.from(call, fate);
            ranges.from(call + 1, allowed);
        }
        ranges.from(X32_BIT, program.end(refuse(libc::ENOSYS)));
        let decided = program.among(&ranges.0);
        program.go(decided);
        program.block(&[
            load(ARCHITECTURE),
            jump(BPF_JEQ, AUDIT_ARCHITECTURE, 1, 0),
            refuse(libc::EPERM),
            load(NUMBER),
        ]);
        Filter {
            program: program.forwards(),
        }
    }

    /// A filter that has somebody else decide on these calls, see [`super::supervise`], and lets all others pass. Calls of
    /// another architecture's table pass too: it stands beside one that refuses them.
    pub fn asking(calls: &[c_long]) -> Filter {
        let mut program = vec![
            load(ARCHITECTURE),
            jump(BPF_JEQ, AUDIT_ARCHITECTURE, 1, 0),
            allow(),
            load(NUMBER),
        ];
        for call in calls {
            program.push(jump(BPF_JEQ, u32::try_from(*call).unwrap_or(u32::MAX), 0, 1));
            program.push(statement(BPF_RET | BPF_K, libc::SECCOMP_RET_USER_NOTIF));
        }
        program.push(allow());
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
                FILTER_FLAGS,
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

/// Kernels before 5.16 would switch on a defence against speculation for every process with a filter, which slows all it
/// does. It is for those who run foreign code beside their secrets in one memory (SECCOMP_FILTER_FLAG_SPEC_ALLOW).
pub(super) const FILTER_FLAGS: c_ulong = libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;

/// The tests of one call: those of its entries, in their order. Where it is always refused, that alone.
fn of_call(call: u32, list: &[Refused]) -> Vec<sock_filter> {
    let entries: Vec<_> = list.iter().filter(|refused| number_of(refused) == call).collect();
    if let Some(Refused {
        when: When::Always,
        errno,
        ..
    }) = entries.first()
    {
        return vec![refuse(*errno)];
    }
    let judged = entries.iter().enumerate().map(|(at, refused)| {
        let is_last = at + 1 == entries.len();
        let pass = if is_last { allow() } else { skip(0) };
        judgement(refused.when, refuse(refused.errno), pass)
    });
    judged.flatten().collect()
}

fn number_of(refused: &Refused) -> u32 {
    u32::try_from(refused.call).unwrap_or(u32::MAX)
}

/// The instructions for one entry of a call: `refusal` where it fits, and at their end `pass` where it does not.
fn judgement(when: When, refusal: sock_filter, pass: sock_filter) -> Vec<sock_filter> {
    let one = |argument, mask: Option<u32>, test| {
        let masked = mask.map(|mask| statement(BPF_ALU | BPF_AND | BPF_K, mask));
        let tests = [load_argument(argument)].into_iter().chain(masked);
        tests.chain([test, refusal, pass]).collect()
    };
    match when {
        When::Always => vec![refusal, pass],
        When::AnyBit(argument, bits) => one(argument, None, jump(BPF_JSET, bits, 0, 1)),
        When::NoBit(argument, bits) => one(argument, None, jump(BPF_JSET, bits, 1, 0)),
        When::Is(argument, mask, value) => one(argument, Some(mask), jump(BPF_JEQ, value, 0, 1)),
        When::IsNot(argument, mask, value) => one(argument, Some(mask), jump(BPF_JEQ, value, 1, 0)),
        When::NotAmong(argument, values) => {
            let mut tests = vec![load_argument(argument)];
            for (done, value) in values.iter().enumerate() {
                tests.push(jump(BPF_JEQ, *value, 0, 1));
                tests.push(skip(2 * (values.len() - done - 1) + 1));
            }
            tests.extend([refusal, pass]);
            tests
        }
        When::Both(one, other) => {
            // Where the first fits, over its `pass` to the second.
            let mut tests = judgement(*one, skip(1), pass);
            tests.extend(judgement(*other, refusal, pass));
            tests
        }
    }
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

fn load_argument(number: u32) -> sock_filter {
    load(ARGUMENTS + 8 * number)
}

fn load(offset: u32) -> sock_filter {
    statement(BPF_LD | BPF_W | BPF_ABS, offset)
}

fn refuse(errno: i32) -> sock_filter {
    statement(
        BPF_RET | BPF_K,
        libc::SECCOMP_RET_ERRNO | (errno.unsigned_abs() & 0xffff),
    )
}

fn allow() -> sock_filter {
    statement(BPF_RET | BPF_K, libc::SECCOMP_RET_ALLOW)
}

fn skip(instructions: usize) -> sock_filter {
    statement(BPF_JMP | BPF_JA, u32::try_from(instructions).unwrap_or(u32::MAX))
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

#[cfg(test)]
mod tests;
