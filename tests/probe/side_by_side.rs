//! The tables side by side, in the manual.
use libtest_mimic::Trial;
/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    Vec::new()
}
