//! The command line: Apache's flags with Apache's meaning, our subcommands, and the hidden `--role`.

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the program with its arguments (the first is its own name) and returns its exit code:
/// 0 done, 1 failed, 2 wrong usage.
pub fn run(_args: Vec<OsString>) -> ExitCode {
    ExitCode::from(2)
}
