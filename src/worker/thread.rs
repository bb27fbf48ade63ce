//! What the connections of one thread share: settings, logs, the order to stop.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::config::directives::server::Tokens;
use crate::config::site::{Config, Site};
use crate::exchange::Exchange;
use crate::exchange::error_facts;
use crate::exchange::fail::{Blame, Reply};
use crate::exchange::response::Response;
use crate::exchange::tally::{Answered, Tally};
use crate::fs::cache::FileCache;
use crate::handlers::application::Applications;
use crate::http::depends;
use crate::lang::log_level::Level;
use crate::log::error::{Entry, Message};
use crate::net::tls::Engines;
use crate::scripts::Scripts;
use crate::worker::board::{Board, InHand};
use crate::worker::conn::rest::Resting;
use crate::worker::crowd::Idlers;
use crate::worker::drain::Drain;
use crate::worker::logs::Logs;
use crate::worker::maps::MapPrograms;
use crate::worker::record::{self, Sent};
use crate::worker::roster::{Detail, Roster};
use crate::worker::shortcut::{self, Kept};
use crate::worker::unique_id::UniqueIds;

/// What the clients of a worker speak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP.
    Http,
    /// FastCGI (`lychgate fcgiwrap`).
    FastCgi {
        /// Where scripts' error output goes.
        errors: Errors,
        /// Who may connect over TCP (FCGI_WEB_SERVER_ADDRS); `None` is everybody.
        clients: Option<Vec<IpAddr>>,
    },
}

/// Where the error output of scripts goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errors {
    /// To the error log.
    Log,
    /// To the client, as FCGI_STDERR.
    Client,
}

/// One serving thread.
pub struct Thread {
    /// The settings of this process.
    pub config: &'static Config,
    /// What its clients speak.
    pub protocol: Protocol,
    /// The value of the Server field.
    pub server_field: Vec<u8>,
    /// The order to stop.
    pub drain: Drain,
    /// The logs of all sites.
    pub logs: Rc<Logs>,
    /// Scripts.
    pub scripts: Rc<Scripts>,
    /// Applications.
    pub applications: Rc<Applications>,
    /// Whether the settings have authorizers.
    pub has_authorizers: bool,
    /// Programs that are maps.
    pub maps: Arc<MapPrograms>,
    /// Its idle connections.
    pub idlers: Idlers,
    /// Those among them that rest.
    pub resting: Resting,
    /// What the threads have in hand.
    pub board: Arc<Board>,
    /// When a kept answer was given last.
    pub(super) lately: Cell<Instant>,
    /// Its connections.
    pub(super) roster: Roster,
    /// The answers that it keeps.
    pub(super) cache: Option<FileCache<Kept>>,
    /// What it has answered.
    pub(super) tally: RefCell<Tally>,
    /// What the sites need for TLS.
    pub engines: Arc<Engines>,
    ids: UniqueIds,
}

/// What is kept of requests to be shown.
fn detail(config: &Config) -> Detail {
    let status = &config.server.status;
    match (status.extended.or(true), status.tail.or(false)) {
        (false, _) => Detail::Count,
        (true, false) => Detail::Lines,
        (true, true) => Detail::Tails,
    }
}

impl Thread {
    /// The thread that these idle connections are of.
    pub fn new(
        (config, protocol, engines): (&'static Config, Protocol, Arc<Engines>),
        logs: Rc<Logs>,
        scripts: Rc<Scripts>,
        applications: Rc<Applications>,
        maps: Arc<MapPrograms>,
        (idlers, resting): (Idlers, Resting),
        board: Arc<Board>,
    ) -> Thread {
        Thread {
            cache: shortcut::cache(config, board.threads()),
            config,
            protocol,
            server_field: crate::base::version::software(config.server.core.tokens.or(Tokens::Full).detail()),
            drain: Drain::default(),
            logs,
            scripts,
            applications,
            has_authorizers: config.server.authorizers.providers.iter().next().is_some() || !config.programs.is_empty(),
            maps,
            engines,
            ids: UniqueIds::new(idlers.number()),
            idlers,
            resting,
            board,
            lately: Cell::new(Instant::now()),
            roster: Roster::new(detail(config)),
            tally: RefCell::default(),
        }
    }

    /// A name for a request that no other request has.
    pub fn unique_id(&self, now: SystemTime) -> [u8; 24] {
        self.ids.next(now)
    }

    /// The site of what is outside of all others.
    pub fn main_site(&self) -> &'static Site {
        // There always is one.
        &self.config.sites[0]
    }

    /// One more request is in hand, until what comes back is dropped.
    pub fn take_in_hand(&self) -> InHand<'_> {
        self.board.take(self.idlers.number())
    }

    /// Writes the lines that phases have made into the site's error log.
    pub fn tell(&self, ex: &Exchange) {
        let log = self.logs.error_of(ex.site);
        let levels = &ex.conf().core.log_level;
        let mut lines = ex.rewriting.lines.take();
        lines.retain(|line| levels.allow(line.level, line.module));
        if lines.is_empty() {
            return;
        }
        depends::on_more();
        let facts = error_facts::of(ex);
        for line in lines {
            let mut entry = Entry::new(line.level, line.module, Message::Bytes(line.text.as_bytes()));
            entry.client = Some(ex.connection.client);
            entry.request = facts.as_deref();
            log.write(&entry);
        }
    }

    /// Writes a failure into the site's error log.
    pub fn record(&self, ex: &Exchange, fail: &Reply) {
        if fail.note.is_empty() {
            return;
        }
        let level = match fail.blame {
            Blame::Client => Level::Info,
            Blame::Site | Blame::Script | Blame::Backend | Blame::Server => Level::Error,
        };
        if !ex.conf().core.log_level.allow(level, fail.module) {
            return;
        }
        depends::on_more();
        let facts = error_facts::of(ex);
        self.logs.error_of(ex.site).write(&Entry {
            level,
            module: fail.module,
            client: Some(ex.connection.client),
            referer: ex.head.field(b"referer"),
            request: facts.as_deref(),
            os_error: None,
            message: Message::Text(format_args!("{}", fail.note)),
        });
    }

    /// Writes a line about no request into the main error log.
    pub fn note(&self, level: Level, message: std::fmt::Arguments<'_>) {
        self.logs.error_of(self.main_site()).note(level, "core", message);
    }

    /// Writes a request into the access logs of its site.
    pub fn log_request(&self, ex: &Exchange, response: Option<&Response>, sent: &Sent) {
        self.log_answer(ex, response, sent, ex.began.instant.elapsed());
    }

    /// The same, of one that took so long.
    pub fn log_answer(&self, ex: &Exchange, response: Option<&Response>, sent: &Sent, duration: Duration) {
        self.board.answered(self.idlers.number(), sent.bytes_out);
        self.tally.borrow_mut().add(&Answered {
            method: ex.head.method(),
            status: record::last_status(response),
            site: ex.site.number,
            bytes_in: sent.bytes_in,
            bytes_out: sent.bytes_out,
            body_bytes: sent.body_bytes,
            duration,
            first_byte: ex.began.first_byte,
            aborted: sent.aborted,
            kept: ex.connection.earlier_requests > 0,
        });
        record::write(&self.logs, ex, response, sent, duration);
    }
}
