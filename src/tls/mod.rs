//! What TLS needs before and beside a connection: files of certificates and keys, the names of things. No I/O.

pub mod certificate;
mod der;
pub mod name;
mod object;
pub mod pem;
