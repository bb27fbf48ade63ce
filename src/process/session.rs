//! The session this process is in, and whether it has a terminal.

use std::fs;

use super::child::Session;

/// The session for a child that no key pressed at a terminal may reach, and that must never have that terminal: ours, in a
/// process group of its own, where we have no terminal ourselves; else one of its own.
///
/// Ours is the better one where both will do. The kernel may divide the processors' time among sessions (sched(7),
/// autogroup); processes that work for one another in small steps are slower when each step is a matter between groups.
pub fn without_terminal() -> Session {
    match fs::read_to_string("/proc/self/stat") {
        Ok(stat) if terminal_of(&stat) == Some(0) => Session::Group,
        _ => Session::Own,
    }
}

/// `tty_nr`, the number of the controlling terminal, zero for none: field 7 of proc_pid_stat(5). Field 2 is in parentheses
/// and may hold any character.
fn terminal_of(stat: &str) -> Option<i32> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(4)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::terminal_of;

    #[test]
    fn the_terminal_is_found_whatever_the_name() {
        for (stat, terminal) in [
            ("12 (lychgate) S 1 12 12 34816 12 4194560", Some(34816)),
            ("12 (a ) 0 (b) S 1 12 12 0 -1 4194560", Some(0)),
            ("12 (lychgate) S 1 12 12", None),
            ("12 (lychgate) S 1 12 12 tty 12", None),
            ("", None),
        ] {
            assert_eq!(terminal_of(stat), terminal, "{stat}");
        }
    }
}
