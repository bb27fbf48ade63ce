//! Why there is no script.

use std::{fmt, io};

use crate::process::message::Failed;

/// Why there is no script.
#[derive(Debug, PartialEq, Eq)]
pub enum StartError {
    /// It could not be started, or must not be.
    Failed(Failed),
    /// The spawner did not answer in time.
    NoAnswer,
    /// There is no spawner any more: the server is about to end.
    Gone,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Failed(failed) => {
                write!(
                    f,
                    "{}: {}",
                    failed.step.told(),
                    io::Error::from_raw_os_error(failed.errno)
                )
            }
            StartError::NoAnswer => f.write_str("the spawner did not answer in time"),
            StartError::Gone => f.write_str("there is no spawner"),
        }
    }
}

impl std::error::Error for StartError {}
