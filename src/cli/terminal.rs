//! Lines for whoever started us. A terminal or pipe that has gone takes none, and that must end no server.

use std::io::{self, Write};

/// A line on standard output.
pub(super) fn out(line: &str) {
    let _nobody_reads = writeln!(io::stdout(), "{line}");
}

/// A line on standard error.
pub(super) fn err(line: &str) {
    let _nobody_reads = writeln!(io::stderr(), "{line}");
}
