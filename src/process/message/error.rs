//! What is wrong with a packet that is no message.

use std::fmt;

use crate::process::wire::Malformed;

/// A packet that is no message of its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageError {
    /// No kind has this tag.
    UnknownKind(u8),
    /// The fields are not those of its kind.
    Malformed,
    /// Not the descriptors of its kind.
    Descriptors,
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MessageError::UnknownKind(tag) => write!(f, "a message of unknown kind {tag}"),
            MessageError::Malformed => f.write_str("a malformed message"),
            MessageError::Descriptors => f.write_str("a message with the wrong descriptors"),
        }
    }
}

impl std::error::Error for MessageError {}

impl From<Malformed> for MessageError {
    fn from(Malformed: Malformed) -> MessageError {
        MessageError::Malformed
    }
}
