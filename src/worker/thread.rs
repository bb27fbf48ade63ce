//! What the connections of one thread share: settings, logs, the order to stop.

use std::cell::Cell;
use std::rc::Rc;

use crate::config::directives::server::Tokens;
use crate::config::directives::site::Trace;
use crate::config::site::Config;
use crate::exchange::Exchange;
use crate::exchange::fail::{Blame, Reply};
use crate::exchange::response::Response;
use crate::lang::log_level::Level;
use crate::log::error::{Entry, Message};
use crate::scripts::Scripts;
use crate::worker::drain::Drain;
use crate::worker::logs::Logs;
use crate::worker::record::{self, Sent};

/// One serving thread.
pub struct Thread {
    /// The settings of this process.
    pub config: &'static Config,
    /// The value of the Server field.
    pub server_field: Vec<u8>,
    /// The order to stop.
    pub drain: Drain,
    /// The logs of all sites.
    pub logs: Rc<Logs>,
    /// What runs scripts.
    pub scripts: Rc<Scripts>,
    number: u8,
    /// Random for each process, so that ids of two processes differ.
    seed: u64,
    requests: Cell<u64>,
}

impl Thread {
    /// Thread `number` of its process.
    pub fn new(config: &'static Config, logs: Rc<Logs>, scripts: Rc<Scripts>, number: usize) -> Thread {
        let mut seed = [0; 8];
        // Without randomness the process number alone tells processes apart.
        if rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty()).is_err() {
            seed = u64::from(std::process::id()).to_ne_bytes();
        }
        Thread {
            config,
            server_field: crate::base::version::software(config.server.core.tokens.or(Tokens::Full).detail()),
            drain: Drain::default(),
            logs,
            scripts,
            number: u8::try_from(number).unwrap_or(u8::MAX),
            seed: u64::from_ne_bytes(seed),
            requests: Cell::new(0),
        }
    }

    /// A name for a request that no other request has: 24 characters that can stand in a URL and in a log.
    pub fn unique_id(&self) -> [u8; 24] {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let count = self.requests.get().wrapping_add(1);
        self.requests.set(count);
        let seconds = std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .map_or(0, |since| since.as_secs());
        let mut bytes = [0; 18];
        let parts = seconds
            .to_be_bytes()
            .into_iter()
            .skip(4)
            .chain(self.seed.to_be_bytes())
            .chain([self.number]);
        for (byte, part) in bytes
            .iter_mut()
            .zip(parts.chain(count.to_be_bytes().into_iter().skip(3)))
        {
            *byte = part;
        }
        let mut id = [0; 24];
        for (four, three) in id.chunks_mut(4).zip(bytes.chunks(3)) {
            let bits = three.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
            for (n, digit) in four.iter_mut().enumerate() {
                *digit = DIGITS[bits >> (18 - 6 * n) & 63];
            }
        }
        id
    }

    /// What the server as a whole can be asked for.
    pub fn server_methods(&self, ex: &Exchange) -> &'static str {
        match ex.site.settings.core.trace.or(Trace::Off) {
            Trace::Off => "GET,HEAD,POST,OPTIONS",
            Trace::On | Trace::Extended => "GET,HEAD,POST,OPTIONS,TRACE",
        }
    }

    /// Writes a failure into the site's error log.
    pub fn record(&self, ex: &Exchange, fail: &Reply) {
        if fail.note.is_empty() {
            return;
        }
        let level = match fail.blame {
            Blame::Client => Level::Info,
            Blame::Site | Blame::Script | Blame::Server => Level::Error,
        };
        let log = self.logs.error_of(ex.site);
        let entry = Entry {
            level,
            module: fail.module,
            client: Some(ex.connection.peer),
            referer: ex.head.field(b"referer"),
            os_error: None,
            message: Message::Text(format_args!("{}", fail.note)),
        };
        log.record(&ex.conf().core.log_level, &entry);
    }

    /// Writes a line about no request into the main error log.
    pub fn note(&self, level: Level, message: std::fmt::Arguments<'_>) {
        if let Some(main) = self.config.sites.first() {
            self.logs.error_of(main).note(level, "core", message);
        }
    }

    /// Writes a request into the access logs of its site.
    pub fn log_request(&self, ex: &Exchange, response: Option<&Response>, sent: &Sent) {
        record::write(&self.logs, ex, response, sent);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::rc::Rc;
    use std::sync::Arc;
    use std::time::Duration;

    use super::Thread;
    use crate::config::site::Config;
    use crate::process::channel::Channel;
    use crate::scripts::Scripts;
    use crate::scripts::client::connect;
    use crate::scripts::queue::Slots;
    use crate::worker::logs::Logs;

    #[tokio::test]
    async fn no_two_requests_have_the_same_id() {
        let config: &'static Config = Box::leak(Box::default());
        let logs = Rc::new(Logs::nowhere());
        let (channel, _spawner) = Channel::pair().expect("sockets work");
        let (spawner, _driver) = connect(channel).expect("a runtime is there");
        let slots = Arc::new(Slots::new(1, 0, Duration::ZERO));
        let scripts = Scripts::new(spawner, slots, Rc::clone(&logs) as Rc<_>);
        let thread = Thread::new(config, logs, Rc::new(scripts), 3);
        let ids: HashSet<_> = (0..10_000).map(|_| thread.unique_id()).collect();
        assert_eq!(ids.len(), 10_000);
    }
}
