//! Connections to application servers: made, kept where that was asked for, and the conversation on them. All threads of a
//! process share what is kept.

pub mod conversation;
pub mod fastcgi;
pub mod http;
pub mod pool;
pub mod scgi;
mod socket;
pub mod wire;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::backend::pool::Pool;
use crate::config::backends::{Address, Scheme};
use crate::config::site::Config;

/// All application servers that may be talked to: those that the server's own files name.
pub struct Backends {
    pools: Vec<(Scheme, Arc<Pool>)>,
}

impl Backends {
    /// Those of the settings.
    pub fn new(config: &Config) -> Backends {
        let of_address = |address: &Address| {
            let pool = |scheme| (scheme, Arc::new(Pool::new(address.clone())));
            Scheme::ALL.map(pool)
        };
        let pools = config.backends.iter().flat_map(of_address);
        Backends { pools: pools.collect() }
    }

    /// The connections to an address over which this is spoken, if it may be talked to.
    pub fn to(&self, scheme: Scheme, address: &Address) -> Option<&Arc<Pool>> {
        let mut pools = self.pools.iter();
        pools.find_map(|(spoken, pool)| (*spoken == scheme && pool.address() == address).then_some(pool))
    }

    /// Closes kept connections that nobody has used for their time, or whose application has closed them.
    pub fn sweep(&self) {
        for (_, pool) in &self.pools {
            pool.sweep();
        }
    }

    /// Keeps no connection from now on.
    pub fn keep_none(&self) {
        for (_, pool) in &self.pools {
            pool.keep_none();
        }
    }
}
