//! Connections to application servers: made, kept where that was asked for, and the conversation on them. All threads of a
//! process share what is kept.

pub mod balance;
pub mod conversation;
pub mod fastcgi;
pub mod pool;
pub mod scgi;
mod socket;
pub mod wire;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::backend::balance::Balance;
use crate::backend::pool::Pool;
use crate::config::backends::Address;
use crate::config::balancers::Balancer;
use crate::config::site::Config;

/// All application servers that may be talked to: those that the server's own files name.
pub struct Backends {
    pools: Vec<Arc<Pool>>,
    balances: Vec<Arc<Balance>>,
}

impl Backends {
    /// Those of the settings.
    pub fn new(config: &Config) -> Backends {
        let pools = config
            .backends
            .iter()
            .map(|address| Arc::new(Pool::new(address.clone())));
        let balances = config.balancers.iter().map(|balancer| Arc::new(Balance::new(balancer)));
        Backends {
            pools: pools.collect(),
            balances: balances.collect(),
        }
    }

    /// The connections to an address, if it may be talked to.
    pub fn to(&self, address: &Address) -> Option<&Arc<Pool>> {
        self.pools.iter().find(|pool| pool.address() == address)
    }

    /// What is known of a balancer's members.
    pub fn balance(&self, balancer: &Balancer) -> Option<&Arc<Balance>> {
        self.balances.get(balancer.number)
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
