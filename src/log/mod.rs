//! Access and error log: records in, lines out.
//!
//! Writing a line never blocks, never fails and never panics: what cannot be written is counted, and the count is
//! reported to the error log once a minute.

pub mod access;
pub mod error;
mod losses;
mod outlet;
pub mod queue;
pub mod script_log;
pub mod sink;
