//! Listening and streams.

pub mod accept;
mod near;
pub mod stream;
pub mod tls;
pub mod vigil;
