//! Listening and streams.

pub mod accept;
pub mod near;
pub mod stream;
pub mod tls;
pub mod vigil;
