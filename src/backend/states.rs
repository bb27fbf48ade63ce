//! How applications and balancers do, for status pages.

use std::time::Duration;

use tokio::time::Instant;

use crate::backend::Backends;
use crate::config::site::Config;

/// An application, or another server, by its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendState {
    /// What is spoken.
    pub scheme: &'static str,
    /// Where it is.
    pub address: String,
    /// Requests that have a connection or are getting one.
    pub active: usize,
    /// Connections that are kept for the next request.
    pub kept: usize,
    /// How long ago it could not be reached, where the last attempt failed.
    pub failed: Option<Duration>,
}

/// A balancer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalancerState {
    /// `balancer://name`.
    pub name: String,
    /// Its members in order.
    pub members: Vec<MemberState>,
}

/// A member of a balancer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberState {
    /// Its URL.
    pub address: String,
    /// Its route, if it has one.
    pub route: String,
    /// How many requests it has.
    pub active: u64,
    /// How long ago it could not be reached, where nothing has come through since.
    pub failed: Option<Duration>,
}

impl Backends {
    /// How those do that have had a request; services are their launcher's to tell of.
    pub fn states(&self) -> Vec<BackendState> {
        let states = self.pools.iter().map(|(scheme, pool)| BackendState {
            scheme: scheme.name(),
            address: pool.address().to_string(),
            active: pool.active(),
            kept: pool.kept(),
            failed: pool.failed_at().map(|at| at.elapsed()),
        });
        // Of each address there is a pool for every protocol; most are never used.
        states
            .filter(|one| one.active > 0 || one.kept > 0 || one.failed.is_some())
            .collect()
    }

    /// How the members of balancers do.
    pub fn balancer_states(&self, config: &Config) -> Vec<BalancerState> {
        let now = Instant::now();
        let state = |balancer: &crate::config::balancers::Balancer| BalancerState {
            name: String::from_utf8_lossy(&balancer.name).into_owned(),
            members: match self.balance(balancer) {
                Some(balance) => balance.states(balancer, now),
                None => Vec::new(),
            },
        };
        config.balancers.iter().map(state).collect()
    }
}
