//! TLS on the side of the clients: what each site needs for its handshakes, and the bytes of a connection behind one.

#[cfg(not(feature = "tls"))]
mod absent;
#[cfg(feature = "tls")]
mod certificates;
#[cfg(feature = "tls")]
mod engines;
#[cfg(feature = "tls")]
mod handshake;
#[cfg(feature = "tls")]
mod remarks;
#[cfg(feature = "tls")]
mod session;

#[cfg(not(feature = "tls"))]
pub use absent::{Below, Engine, Engines, Hello, Secured, Session, begin};
#[cfg(feature = "tls")]
pub use engines::{Engine, Engines};
#[cfg(feature = "tls")]
pub use handshake::{Hello, Secured, begin};
#[cfg(feature = "tls")]
pub use session::{Below, Session};
