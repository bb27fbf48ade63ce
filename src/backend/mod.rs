//! Connections to application servers: made, kept where that was asked for, and the conversation on them. All threads of a
//! process share what is kept.

pub mod conversation;
pub mod fastcgi;
pub mod pool;
pub mod scgi;
mod socket;
pub mod wire;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::backend::pool::Pool;
use crate::config::backends::Address;
use crate::config::site::Config;

/// All application servers that may be talked to: those that the server's own files name.
pub struct Backends {
    pools: Vec<Arc<Pool>>,
}

impl Backends {
    /// Those of the settings.
    pub fn new(config: &Config) -> Backends {
        let pools = config
            .backends
            .iter()
            .map(|address| Arc::new(Pool::new(address.clone())));
        Backends { pools: pools.collect() }
    }

    /// The connections to an address, if it may be talked to.
    pub fn to(&self, address: &Address) -> Option<&Arc<Pool>> {
        self.pools.iter().find(|pool| pool.address() == address)
    }

    /// Closes kept connections that nobody has used for their time, or whose application has closed them.
    pub fn sweep(&self) {
        for pool in &self.pools {
            pool.sweep();
        }
    }

    /// Keeps no connection from now on.
    pub fn keep_none(&self) {
        for pool in &self.pools {
            pool.keep_none();
        }
    }
}
