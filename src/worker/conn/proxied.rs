//! Connections that a load balancer has made for a client: the header of the PROXY protocol before the first request.

use bytes::Buf;

use super::{Conn, Waited};
use crate::config::site::Site;
use crate::http::proxy_protocol::{NotAHeader, Progress, Proxied, parse};
use crate::lang::log_level::Level;

impl Conn {
    /// Whether a header of the PROXY protocol has to come first. All sites of an address have a say.
    pub(super) fn begins_with_header(&self) -> bool {
        let config = self.thread.config;
        let is_on = |site: &Site| site.settings.remote_ip.protocol.or(false);
        let sites = config
            .hosts
            .at(self.local)
            .iter()
            .filter_map(|number| config.sites.get(*number));
        let mut asking = sites.clone().filter(|site| is_on(site)).peekable();
        if asking.peek().is_none() && !(sites.clone().next().is_none() && is_on(self.site)) {
            return false;
        }
        let peer = self.peer.ip();
        let is_excepted = |site: &Site| {
            let exceptions = site.settings.remote_ip.exceptions.value();
            exceptions.is_some_and(|networks| networks.iter().any(|network| network.contains(peer)))
        };
        !sites.chain([self.site]).any(is_excepted)
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
                    }
                    return true;
                }
                Ok(Progress::Partial) => {}
                Err(NotAHeader) => break "does not begin with one",
            }
            match self.wait_for_bytes(self.head_deadline(Some(began))).await {
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
