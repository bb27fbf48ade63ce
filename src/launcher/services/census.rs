//! What the system knows of processes and of connections to their sockets: /proc/net/unix and /proc/PID/status (proc(5)).

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How many connections there are to each socket that listens under a name, taken or waiting.
#[derive(Debug, Default)]
pub(super) struct Census(Option<HashMap<PathBuf, usize>>);

/// The flag of a socket that listens: `__SO_ACCEPTCON` of the kernel.
const LISTENS: u64 = 0x10000;

impl Census {
    /// Counts now those below a directory.
    pub(super) fn take(directory: &Path) -> Census {
        Census(
            std::fs::read("/proc/net/unix")
                .ok()
                .map(|table| counted(&table, directory)),
        )
    }

    /// How many there are to this one; nobody knows where there is no /proc.
    pub(super) fn connections(&self, bound: &Path) -> Option<usize> {
        Some(self.0.as_ref()?.get(bound).copied().unwrap_or(0))
    }
}

fn counted(table: &[u8], directory: &Path) -> HashMap<PathBuf, usize> {
    let mut counts = HashMap::new();
    for line in table.split(|byte| *byte == b'\n').skip(1) {
        let Some((path, flags)) = read(line) else { continue };
        let path = Path::new(OsStr::from_bytes(path));
        if flags & LISTENS == 0 && path.starts_with(directory) {
            *counts.entry(path.to_owned()).or_default() += 1;
        }
    }
    counts
}

/// The name and the flags of a line: `Num RefCount Protocol Flags Type St Inode Path`.
fn read(line: &[u8]) -> Option<(&[u8], u64)> {
    let mut flags = 0;
    let mut rest = line;
    for field in 0..7 {
        rest = rest.trim_ascii_start();
        let end = rest.iter().position(|byte| *byte == b' ')?;
        let (word, more) = rest.split_at_checked(end)?;
        if field == 3 {
            flags = u64::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        }
        rest = more;
    }
    Some((rest.strip_prefix(b" ")?, flags))
}

/// The resident memory of a process in bytes, if it is still there.
pub(super) fn resident(pid: i32) -> Option<u64> {
    let table = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = table.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{counted, resident};

    #[test]
    fn connections_are_counted_by_the_name_of_their_socket() {
        let table = b"Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 11 /run/s/wiki.0.1-1\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 12 /run/s/wiki.0.1-1\n\
            0000000000000000: 00000003 00000000 00000000 0001 02    13 /run/s/wiki.0.1-1\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 14\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 15 @abstract\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 16 /run/sother\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 17 /run/s/a b\n\
            broken\n";
        let counts = counted(table, Path::new("/run/s"));
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort();
        assert_eq!(
            counts,
            [
                (PathBuf::from("/run/s/a b"), 1),
                (PathBuf::from("/run/s/wiki.0.1-1"), 2)
            ]
        );
    }

    #[test]
    fn our_own_memory_is_known() {
        assert!(resident(std::process::id().cast_signed()).is_some_and(|bytes| bytes > 100_000));
        assert_eq!(resident(i32::MAX), None);
    }
}
