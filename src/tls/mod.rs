//! What TLS needs before and beside a connection: files of certificates and keys, the names of things. No I/O.

pub mod pem;
