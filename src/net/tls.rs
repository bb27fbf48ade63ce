//! TLS: what each site needs for its handshakes with clients, what servers behind are asked with, and the bytes of a
//! connection behind a handshake.

#[cfg(not(feature = "tls"))]
mod absent;
#[cfg(feature = "tls")]
mod behind;
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
pub use absent::{Below, Client, Clients, Engine, Engines, Hello, Partner, Secured, Session, begin, disagreement};
#[cfg(feature = "tls")]
pub use behind::{Client, Clients, Partner, disagreement};
#[cfg(feature = "tls")]
pub use engines::{Engine, Engines};
#[cfg(feature = "tls")]
pub use handshake::{Hello, Secured, begin};
#[cfg(feature = "tls")]
pub use session::{Below, Session};
