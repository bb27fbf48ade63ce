//! `lychgate why METHOD URL`: what the server would do with a request, and why. The request goes the way of every other,
//! through `worker::serve`, with a listener to what is decided; what would be started, asked or written is not.

mod answer;
mod ask;
mod outside;
mod page;
mod script;
mod written;

use std::cell::RefCell;
use std::collections::HashSet;
use std::io::{self, Write};
use std::rc::Rc;

use crate::config::directives::confine::Reading;
use crate::config::error::Span;
use crate::config::load::Loaded;
use crate::config::site::{Config, Site};
use crate::exchange::body::RequestBody;
use crate::exchange::fail::Fail;
use crate::exchange::response::Response;
use crate::exchange::trace::{AccessFile, Step, Trail};
use crate::exchange::{Began, Connection, Exchange};
use crate::http::head::{Progress, RequestHead};
use crate::process::identity::{Identity, shown_user};
use crate::process::jail::{self, Guise};
use crate::spawner::{self, Asked, Rules};
use crate::worker::conn;
use crate::worker::serve;

use ask::request;
use outside::StandIn;
use page::Page;
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
    let guise = take_ground(config)?.map(Rc::new);
    tell_request(&mut page, config, &asked, guise.is_some());
    let stand_in = StandIn {
        config,
        spawner: RefCell::new(spawner),
        spawner_is_root,
        guise,
        stopped: RefCell::default(),
        script: RefCell::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(failed("cannot run"))?;
    let trail = Rc::new(Trail::default());
    let (ex, response) = runtime.block_on(served(config, &asked, &stand_in, &trail));
    let mut telling = Telling {
        page: &mut page,
        sections: &mut sections,
        config,
        rule: None,
        containers: Vec::new(),
        told: HashSet::new(),
        rights: match stand_in.guise {
            Some(_) => Rights::TheServers,
            None => Rights::Enough,
        },
    };
    telling.steps(&trail.take());
    let rights = telling.rights;
    page.gap();
    answer::tell(&mut page, &ex, response.as_ref(), &stand_in, rights);
    match out.write_all(page.into_text().as_bytes()) {
        // Whoever has read enough need not read on.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(failed("cannot write")),
    }
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

/// Has the request served, with nobody to answer.
async fn served(
    config: &'static Config,
    asked: &ask::Asked,
    stand_in: &StandIn,
    trail: &Rc<Trail>,
) -> (Exchange, Option<Response>) {
    let first: &Site = config.site_for(asked.local, None, b"");
    let mut head = RequestHead::new();
    let parsed = head.parse(&asked.head, &conn::limits_of(first), conn::options_of(first, config));
    let connection = Connection {
        local: asked.local,
        peer: asked.peer,
        earlier_requests: 0,
    };
    let mut ex = Exchange::new(config, connection, head, RequestBody::none(), Began::now());
    ex.trail = Some(Rc::clone(trail));
    let broken = match parsed {
        Ok(Progress::Complete { .. }) => None,
        Ok(Progress::Partial) => Some(Fail::internal("the head is not whole")),
        Err(error) => Some(conn::broken(error)),
    };
    let response = match broken {
        None => serve::serve(&mut ex, stand_in).await,
        Some(fail) => serve::refuse(&mut ex, stand_in, fail).await,
    };
    (ex, response)
}

/// Whether what we may read decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rights {
    /// We have those of the server.
    TheServers,
    /// They were enough.
    Enough,
    /// They were not; the server's may be others.
    Wanting,
}

/// A container of requirements.
struct Inside {
    /// Whether it stands in the settings.
    is_written: bool,
    /// How many rules of it were asked.
    rules: usize,
}

/// Steps on their way to the page.
struct Telling<'a> {
    page: &'a mut Page,
    sections: &'a mut Sections,
    config: &'a Config,
    /// Where the rule stands whose first step is still to come.
    rule: Option<String>,
    /// The containers of requirements that are open.
    containers: Vec<Inside>,
    /// The places of the lines that were told; they are not told again.
    told: HashSet<Span>,
    rights: Rights,
}

impl Telling<'_> {
    fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            self.step(step);
        }
    }

    fn step(&mut self, step: &Step) {
        let (word, text, place) = (step.topic().word(), step.to_string(), step.place());
        match step {
            Step::Again { status, .. } if status.is_error() => {
                self.page
                    .heading(&format!("the error document for {}: {text}", status.code()));
            }
            Step::Again { .. } => self.page.heading(&format!("once more, with {text}")),
            Step::Instead { .. } => self.page.heading(&text),
            Step::NoRights(_) if self.rights == Rights::TheServers => {}
            Step::NoRights(_) => {
                self.rights = Rights::Wanting;
                self.page.line(word, 0, &text, None);
            }
            Step::Rule(_) => self.rule = place,
            Step::Rewriting(_) => {
                let place = self.rule.take();
                self.page.line(word, 1, &text, place.as_deref());
            }
            Step::Container(_) => {
                if !text.is_empty() {
                    self.page.line(word, self.depth(), &text, None);
                }
                self.containers.push(Inside {
                    is_written: !text.is_empty(),
                    rules: 0,
                });
            }
            Step::ContainerEnd(_) => {
                let ended = self.containers.pop();
                if ended.is_none_or(|ended| ended.is_written || ended.rules > 1) {
                    self.page.line(word, self.depth(), &text, None);
                }
                self.count_rule();
            }
            Step::Requirement { .. } => {
                self.page.line(word, self.depth(), &text, place.as_deref());
                self.count_rule();
            }
            Step::Section { at, .. } => {
                self.page.line(word, 0, &text, place.as_deref());
                self.tell_lines(self.sections.lines(at).to_vec());
            }
            Step::Condition { at, holds, .. } => {
                self.page.line(word, 0, &text, place.as_deref());
                if *holds == Some(true) {
                    self.tell_lines(self.sections.lines(at).to_vec());
                }
            }
            Step::AccessFile(AccessFile::Read, paths) => {
                self.page.line(word, 0, &text, None);
                for path in paths {
                    let lines = self.sections.access_file(path, &self.config.server_root);
                    self.tell_lines(lines);
                }
            }
            _ => {
                // A request that was refused within containers leaves them.
                self.containers.clear();
                self.page.line(word, 0, &text, place.as_deref());
            }
        }
    }

    /// How deep in containers that are written.
    fn depth(&self) -> usize {
        self.containers.iter().filter(|container| container.is_written).count()
    }

    fn count_rule(&mut self) {
        if let Some(container) = self.containers.last_mut() {
            container.rules += 1;
        }
    }

    fn tell_lines(&mut self, lines: Vec<written::Line>) {
        for line in lines {
            if !self.told.insert(line.span.clone()) {
                continue;
            }
            let place = format!(":{}", line.span.line);
            self.page.line("section", 1 + line.depth, &line.text, Some(&place));
        }
    }
}
