//! Connections to application servers: made, kept where that was asked for, and the conversation on them. All threads of a
//! process share what is kept.

pub mod balance;
pub mod conversation;
pub mod fastcgi;
pub mod handoff;
pub mod http;
pub mod on_demand;
mod patience;
pub mod pool;
pub mod responder;
pub mod scgi;
pub mod service;
mod socket;
pub mod states;
mod unix;
mod waiting;
pub mod wire;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::sync::Notify;

use crate::backend::balance::Balance;
use crate::backend::pool::Pool;
use crate::backend::service::{News, Processes};
use crate::config::backends::{Address, Scheme};
use crate::config::balancers::Balancer;
use crate::config::directives::tls_proxy::TlsProxy;
use crate::config::services;
use crate::config::site::Config;
use crate::net::tls::{Clients, Partner};

/// All application servers that may be talked to: those that the server's own files name.
pub struct Backends {
    pools: Vec<(Scheme, Arc<Pool>)>,
    balances: Vec<Arc<Balance>>,
    services: Vec<(Scheme, Arc<Processes>)>,
    clients: Clients,
    /// A process has had enough requests for the launcher to know.
    news: Arc<Notify>,
}

impl Backends {
    /// Those of the settings, and what is needed to ask them over TLS.
    pub fn new(config: &Config, clients: Clients) -> Backends {
        let of_address = |address: &Address| {
            let pool = |scheme| (scheme, Arc::new(Pool::new(address.clone())));
            Scheme::ALL.map(pool)
        };
        let pools = config.backends.iter().flat_map(of_address);
        let balances = config.balancers.iter().map(|balancer| Arc::new(Balance::new(balancer)));
        let news = Arc::default();
        // Where there is no directory, no service was let in.
        let directory = services::directory(config).unwrap_or_default();
        let of_service = |service| Scheme::ALL.map(|scheme| (scheme, Processes::of(service, &directory, &news)));
        let services = config.services.iter().flat_map(of_service).collect();
        Backends {
            pools: pools.collect(),
            balances: balances.collect(),
            services,
            clients,
            news,
        }
    }

    /// The connections to an address over which this is spoken, if it may be talked to. For a service it is its door: which of
    /// its processes has a request is chosen when it gets its connection.
    pub fn to(&self, scheme: Scheme, address: &Address) -> Option<&Arc<Pool>> {
        if let Address::Service(name) = address {
            let mut services = self.services.iter();
            let service = services.find(|(spoken, service)| *spoken == scheme && service.are_of(name));
            return service.and_then(|(_, service)| service.door());
        }
        let mut pools = self.pools.iter();
        pools.find_map(|(spoken, pool)| (*spoken == scheme && pool.address() == address).then_some(pool))
    }

    /// The server of this host, to be asked over TLS under these settings. The error is a sentence.
    pub fn partner(&self, conf: &TlsProxy, host: &[u8]) -> Result<Partner, String> {
        let client = self.clients.of(conf).map_err(|faults| {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            faults.join("; ")
        })?;
        client.partner(host)
    }

    /// What is known of a balancer's members.
    pub fn balance(&self, balancer: &Balancer) -> Option<&Arc<Balance>> {
        self.balances.get(balancer.number)
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
        self.services.iter().flat_map(|(_, service)| service.news()).collect()
    }

    /// Another process of a service has taken the place of this one: what is kept of it holds it up.
    pub fn renewed(&self, name: &[u8], number: u16) {
        for (_, service) in self.services.iter().filter(|(_, service)| service.are_of(name)) {
            service.renewed(number);
        }
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Pool>> {
        let services = self.services.iter().flat_map(|(_, service)| service.pools());
        self.pools.iter().map(|(_, pool)| pool).chain(services)
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
