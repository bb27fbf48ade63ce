//! What TLS needs before and beside a connection: files of certificates and keys, the names of things. No I/O.

pub mod certificate;
pub mod ciphers;
#[cfg(feature = "tls")]
pub mod decrypt;
mod der;
#[cfg(feature = "tls")]
pub mod made;
pub mod name;
mod object;
pub mod ocsp;
pub mod pem;
pub mod protocol;
pub mod responder;
