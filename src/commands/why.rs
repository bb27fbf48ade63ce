//! `lychgate why METHOD URL`: what the server would do with a request, and why. The request goes the way of every other,
//! through `worker::serve`, with a listener to what is decided; what would be started, asked or written is not.

mod answer;
mod ask;
mod outside;
mod page;
mod script;
mod steps;
mod written;

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use crate::base::printed::printed;
use crate::config::directives::confine::Reading;
use crate::config::directives::tls::Engine;
use crate::config::load::Loaded;
use crate::config::site::{Config, Site};
use crate::exchange::authorizers::Gate;
use crate::exchange::body::RequestBody;
use crate::exchange::fail::Fail;
use crate::exchange::response::Response;
use crate::exchange::trace::Trail;
use crate::exchange::{Began, Connection, Exchange};
use crate::http::head::{Progress, RequestHead};
use crate::http::host::Host;
use crate::net::tls::Secured;
use crate::process::identity::{Identity, shown_user};
use crate::process::jail::{self, Guise};
use crate::spawner::{self, Asked, Rules};
use crate::worker::conn::limits;
use crate::worker::serve;

use ask::{Over, request};
use outside::{StandIn, Stopped};
use page::Page;
use steps::{Rights, Telling};
use written::Sections;

pub use ask::Question;

/// Why there is no explanation.
#[derive(Debug)]
pub enum Trouble {
    /// The command line is wrong.
    Usage(String),
    /// Something is in the way.
    Failed(String),
}

/// Explains the request to `out`. `rules` are what a spawner with these settings would go by. When it returns, this process
/// may have the rights of the server's user, and ChrootDir for its root.
pub fn run(question: &Question, loaded: Loaded, rules: Rules, out: &mut dyn Write) -> Result<(), Trouble> {
    let failed = |what: &'static str| move |error: io::Error| Trouble::Failed(format!("{what}: {error}"));
    let asked = request(question, &loaded.config.server.core.listen).map_err(Trouble::Usage)?;
    let mut sections = Sections::default();
    sections.add(&loaded.settings.nodes);
    // It lives as long as the program, which ends soon.
    let config: &'static Config = Box::leak(Box::new(loaded.config));
    let mut page = Page::default();
    let spawner_is_root = spawner::stays_root(config);
    let spawner = Asked::new(rules).map_err(failed("cannot tell how scripts would be started"))?;
    let guise = take_ground(config)?;
    tell_request(&mut page, config, &asked, guise.is_some());
    let stand_in = Rc::new(StandIn {
        config,
        spawner: RefCell::new(spawner),
        spawner_is_root,
        guise,
        stopped: Stopped::default(),
        script: RefCell::default(),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(failed("cannot run"))?;
    let trail = Rc::new(Trail::default());
    let (ex, response) = runtime.block_on(served(config, &asked, &stand_in, &trail));
    let rights = match stand_in.guise {
        Some(_) => Rights::TheServers,
        None => Rights::Enough,
    };
    let rights = Telling::new(&mut page, &mut sections, config, rights).steps(&trail.take());
    page.gap();
    answer::tell(&mut page, &ex, response.as_ref(), &stand_in, rights);
    printed(out.write_all(page.into_text().as_bytes())).map_err(failed("cannot write"))
}

/// Takes the root and the rights that the server would have, as far as this process can.
fn take_ground(config: &Config) -> Result<Option<Guise>, Trouble> {
    let core = &config.server.core;
    let failed = |error: &dyn std::fmt::Display| Trouble::Failed(error.to_string());
    let identity = Identity::for_root(core.user.value(), core.group.value()).map_err(|error| failed(&error))?;
    if let Some(root) = core.chroot.value() {
        if !Identity::process_is_root() {
            let why = "ChrootDir: only root can look from inside; ask as root";
            return Err(Trouble::Failed(why.to_owned()));
        }
        jail::enter(root).map_err(|error| failed(&format!("ChrootDir: {error}")))?;
    }
    let guise = identity.filter(|identity| identity.uid != 0).map(Guise::put_on);
    guise.transpose().map_err(|error| failed(&error))
}

fn tell_request(page: &mut Page, config: &Config, asked: &ask::Asked, is_guised: bool) {
    let line = asked.head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    page.line("request", 0, &String::from_utf8_lossy(line), None);
    let host = head_line(&asked.head, b"host:");
    page.line("request", 0, &String::from_utf8_lossy(host), None);
    let (peer, local) = (asked.peer.ip(), asked.local);
    page.line("request", 0, &format!("from {peer} to {local}"), None);
    let core = &config.server.core;
    let listens = core.listen.iter().any(|line| {
        let address = line.address.filter(|address| !address.is_unspecified());
        line.port == local.port() && address.is_none_or(|address| address == local.ip())
    });
    if !listens {
        page.line(
            "note",
            0,
            &format!("no Listen line is for {local}: nobody would answer there"),
            None,
        );
    }
    let speaks = config.site_for(local, None, b"").settings.tls.spoken();
    let note = match (asked.over, speaks) {
        (Over::Tls, Engine::Off) => {
            "nothing speaks TLS at this address: a client of https would not be understood; explained without it"
        }
        (Over::Plain, Engine::On) => {
            "this address speaks TLS: what is said without it is answered with 400; write https; explained without it"
        }
        (Over::Tls, Engine::Optional) | (Over::Tls | Over::Whatever, Engine::On) => {
            "within TLS, by a client that has no certificate"
        }
        (Over::Whatever, Engine::Optional) => {
            "this address speaks TLS and plain HTTP; explained without TLS: write https"
        }
        (Over::Plain, Engine::Optional) | (Over::Plain | Over::Whatever, Engine::Off) => "",
    };
    if !note.is_empty() {
        page.line("note", 0, note, None);
    }
    let us = shown_user(rustix::process::geteuid().as_raw());
    if is_guised {
        page.line("note", 0, &format!("with the rights of {us}, the server's User"), None);
    } else if let Some(user) = core.user.value().map(|user| String::from_utf8_lossy(user))
        && user != us
    {
        let line = format!("with the rights of {us}; started by root the server has those of {user}, which may differ");
        page.line("note", 0, &line, None);
    }
    if matches!(config.server.confine.reading.value(), Some(Reading::Served(_))) {
        let line = "ConfineReading lets the server read less; here it does not hold";
        page.line("note", 0, line, None);
    }
    if !asked.head.starts_with(b"GET ") && !asked.head.starts_with(b"HEAD ") {
        page.line("note", 0, "it is asked without a body", None);
    }
}

/// The first line of a head that begins so, in any case.
fn head_line<'a>(head: &'a [u8], begin: &[u8]) -> &'a [u8] {
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let begins = |line: &&[u8]| {
        line.get(..begin.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(begin))
    };
    lines.find(begins).unwrap_or_default()
}

/// What would have been agreed upon with the client, where the address speaks TLS and the URL does not say otherwise. The site
/// is that of the name it would have asked for.
fn secured(config: &Config, asked: &ask::Asked) -> Option<Rc<Secured>> {
    let named = head_line(&asked.head, b"host:")
        .get(b"host:".len()..)
        .unwrap_or_default();
    let host = Host::parse(named.trim_ascii()).ok()?;
    let name = host.name().to_ascii_lowercase();
    let is_address = name.starts_with(b"[") || name.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    let name = Some(name.into_boxed_slice()).filter(|_| !is_address);
    let first = config.site_for(asked.local, None, b"");
    let site = config.site_for(asked.local, name.as_deref(), b"");
    let is_within = match first.settings.tls.spoken() {
        Engine::On => asked.over != Over::Plain,
        Engine::Optional => asked.over == Over::Tls,
        Engine::Off => false,
    };
    is_within.then(|| Rc::new(Secured::assumed(name, site.number)))
}

/// Has the request served, with nobody to answer.
async fn served(
    config: &'static Config,
    asked: &ask::Asked,
    stand_in: &Rc<StandIn>,
    trail: &Rc<Trail>,
) -> (Exchange, Option<Response>) {
    let first: &Site = config.site_for(asked.local, None, b"");
    let mut head = RequestHead::new();
    let parsed = head.parse(
        &asked.head,
        &limits::limits_of(first),
        limits::options_of(first, config),
    );
    let connection = Connection {
        local: asked.local,
        peer: asked.peer,
        client: asked.peer,
        earlier_requests: 0,
        opened: 0,
        tls: secured(config, asked),
    };
    let mut ex = Exchange::new(config, connection, head, RequestBody::none(), Began::now());
    ex.trail = Some(Rc::clone(trail));
    ex.client.gate = Some(Gate(Rc::new(stand_in.stopped.clone())));
    let broken = match parsed {
        Ok(Progress::Complete { .. }) => None,
        Ok(Progress::Partial) => Some(Fail::internal("the head is not whole")),
        Err(error) => Some(limits::broken(error)),
    };
    let response = match broken {
        None => serve::serve(&mut ex, stand_in, None).await,
        Some(fail) => serve::refuse(&mut ex, stand_in, fail).await,
    };
    (ex, response)
}
