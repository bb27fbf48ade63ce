//! Connections to application servers: made, kept where that was asked for, and the conversation on them. All threads of a
//! process share what is kept.

pub mod conversation;
pub mod fastcgi;
pub mod on_demand;
pub mod pool;
pub mod scgi;
pub mod service;
mod socket;
pub mod wire;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::sync::Notify;

use crate::backend::pool::Pool;
use crate::backend::service::{News, Processes};
use crate::config::backends::Address;
use crate::config::services;
use crate::config::site::Config;

/// All application servers that may be talked to: those that the server's own files name.
pub struct Backends {
    pools: Vec<Arc<Pool>>,
    services: Vec<Processes>,
    /// A process has had enough requests for the launcher to know.
    news: Arc<Notify>,
}

impl Backends {
    /// Those of the settings.
    pub fn new(config: &Config) -> Backends {
        let pools = config
            .backends
            .iter()
            .map(|address| Arc::new(Pool::new(address.clone())));
        let news = Arc::default();
        // Where there is no directory, no service was let in.
        let directory = services::directory(config).unwrap_or_default();
        let services = config.services.iter();
        Backends {
            pools: pools.collect(),
            services: services
                .map(|service| Processes::of(service, &directory, &news))
                .collect(),
            news,
        }
    }

    /// The connections to an address, if it may be talked to.
    pub fn to(&self, address: &Address) -> Option<&Arc<Pool>> {
        if let Address::Service(name) = address {
            let service = self.services.iter().find(|service| service.are_of(name));
            return service.and_then(Processes::least_busy);
        }
        self.pools.iter().find(|pool| pool.address() == address)
    }

    /// Whether any of them are services.
    pub fn have_services(&self) -> bool {
        !self.services.is_empty()
    }

    /// Waits until there is something to tell of services.
    pub async fn news_come(&self) {
        self.news.notified().await;
    }

    /// What is to be told of them.
    pub fn news(&self) -> Vec<News> {
        self.services.iter().flat_map(Processes::news).collect()
    }

    /// Another process of a service has taken the place of this one: what is kept of it holds it up.
    pub fn renewed(&self, name: &[u8], number: u16) {
        for service in self.services.iter().filter(|service| service.are_of(name)) {
            service.renewed(number);
        }
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Pool>> {
        self.pools.iter().chain(self.services.iter().flat_map(Processes::pools))
    }

    /// Closes kept connections that nobody has used for their time, or whose application has closed them.
    pub fn sweep(&self) {
        for pool in self.all() {
            pool.sweep();
        }
    }

    /// Keeps no connection from now on.
    pub fn keep_none(&self) {
        for pool in self.all() {
            pool.keep_none();
        }
    }
}
