//! Listening and streams.

pub mod accept;
pub mod stream;
