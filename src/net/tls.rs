//! TLS: what each site needs for its handshakes with clients, what servers behind are asked with, and the bytes of a
//! connection behind a handshake.

#[cfg(not(feature = "tls"))]
mod absent;
#[cfg(feature = "tls")]
mod asking;
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
mod secured;
#[cfg(feature = "tls")]
mod session;
#[cfg(feature = "tls")]
mod sessions;
#[cfg(feature = "tls")]
mod stapling;
#[cfg(feature = "tls")]
mod terms;
#[cfg(feature = "tls")]
mod tickets;
#[cfg(feature = "tls")]
mod trust;

#[cfg(not(feature = "tls"))]
pub use absent::{
    Belief, Below, Client, Clients, Engine, Engines, Hello, Partner, Session, Subject, begin, disagreement,
};
#[cfg(feature = "tls")]
pub use behind::{Belief, Client, Clients, Partner, disagreement};
#[cfg(feature = "tls")]
pub use engines::{Engine, Engines};
#[cfg(feature = "tls")]
pub use handshake::{Hello, begin};
pub use secured::{Cipher, Doubt, Known, Protocol, Resumption, Secured, Verified};
#[cfg(feature = "tls")]
pub use session::{Below, Session};
#[cfg(feature = "tls")]
pub use stapling::Subject;
