//! What a process has used of processors and memory: /proc/PID/stat (proc_pid_stat(5)).

use std::time::Duration;

/// What a process has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Time of processors in its own code.
    pub user: Duration,
    /// Time of processors in the kernel.
    pub system: Duration,
    /// The same of children that have ended and were waited for.
    pub children_user: Duration,
    /// The same of them in the kernel.
    pub children_system: Duration,
    /// Its resident memory in bytes.
    pub memory: u64,
}

impl Usage {
    /// That of a process, if it is there and may be seen.
    pub fn of(pid: i32) -> Option<Usage> {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        read(
            &stat,
            system_value(libc::_SC_CLK_TCK)?,
            system_value(libc::_SC_PAGESIZE)?,
        )
    }
}

fn system_value(name: libc::c_int) -> Option<u64> {
    // SAFETY: the call takes a number and returns one.
    let value = unsafe { libc::sysconf(name) };
    u64::try_from(value).ok()
}

/// Reads fields 14 to 17 and 24. The name, field 2, may hold anything, parentheses too.
fn read(stat: &[u8], ticks: u64, page: u64) -> Option<Usage> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let fields = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    let mut fields = fields.split_ascii_whitespace().skip(14 - 3);
    let mut time = || {
        let count: u64 = fields.next()?.parse().ok()?;
        Some(Duration::from_millis(count.checked_mul(1000)?.checked_div(ticks)?))
    };
    Some(Usage {
        user: time()?,
        system: time()?,
        children_user: time()?,
        children_system: time()?,
        memory: fields.nth(24 - 18)?.parse::<u64>().ok()?.checked_mul(page)?,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Usage, read};

    #[test]
    fn fields_are_found_behind_any_name() {
        let line = b"7 (a) b (c) S 1 7 7 0 -1 4 9 8 7 6 250 50 300 10 20 0 1 0 99 4096 3 18446744073709551615 0\n";
        let usage = Usage {
            user: Duration::from_millis(2500),
            system: Duration::from_millis(500),
            children_user: Duration::from_secs(3),
            children_system: Duration::from_millis(100),
            memory: 3 * 4096,
        };
        assert_eq!(read(line, 100, 4096), Some(usage));
        let whole = line.len() - b"18446744073709551615 0\n".len() - 1;
        for end in 0..whole - 1 {
            assert_eq!(read(&line[..end], 100, 4096), None, "{end}");
        }
    }

    #[test]
    fn a_process_that_is_there_uses_memory() {
        let own = rustix::process::getpid().as_raw_nonzero().get();
        assert!(Usage::of(own).is_some_and(|usage| usage.memory > 4096));
        assert_eq!(Usage::of(-1), None);
    }
}
