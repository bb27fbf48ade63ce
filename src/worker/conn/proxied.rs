//! Connections that a load balancer has made for a client: the header of the PROXY protocol before the first request.

use bytes::Buf;
use tokio::time::Instant;

use super::Conn;
use super::waits::Waited;
use crate::config::directives::remote_ip::RemoteIp;
use crate::http::proxy_protocol::{NotAHeader, Progress, Proxied, parse};
use crate::lang::log_level::Level;

impl Conn {
    /// Whether a header of the PROXY protocol has to come first. All sites of an address have a say.
    pub(super) fn begins_with_header(&self) -> bool {
        let config = self.thread.config;
        if !config.proxy_protocol {
            return false;
        }
        let numbers = config.hosts.at(self.local);
        let numbers = if numbers.is_empty() { &[0] } else { numbers };
        let settings = || {
            numbers
                .iter()
                .filter_map(|n| Some(&config.sites.get(*n)?.settings.remote_ip))
        };
        let peer = self.peer.ip();
        let is_excepted = |remote_ip: &RemoteIp| {
            let exceptions = remote_ip.exceptions.value();
            exceptions.is_some_and(|networks| networks.iter().any(|network| network.contains(peer)))
        };
        settings().any(RemoteIp::expects_header) && !settings().any(is_excepted)
    }

    /// Reads the header of the PROXY protocol; whether the connection goes on.
    pub(super) async fn proxy_header(&mut self) -> bool {
        let began = std::time::Instant::now();
        let not_one = loop {
            let progress = parse(&self.reader.borrow().buffer);
            match progress {
                Ok(Progress::Complete(client, length)) => {
                    self.reader.borrow_mut().buffer.advance(length);
                    if let Proxied::By(client) = client {
                        self.proxied = Some(Box::new(client));
                        self.thread.roster.is_of(self.seat, client);
                    }
                    return true;
                }
                Ok(Progress::Partial) => {}
                Err(NotAHeader) => break "does not begin with one",
            }
            let now = Instant::now();
            match self.wait_for_bytes(self.head_deadline(Some(began), now), now).await {
                Waited::Bytes => {}
                Waited::TooLate => break "took too long for it",
                Waited::Ended => return false,
            }
        };
        let message = format_args!(
            "RemoteIPProxyProtocol: a connection from {} {not_one}: closed",
            self.peer.ip()
        );
        self.thread.note(Level::Error, message);
        false
    }
}
