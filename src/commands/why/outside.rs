//! The stand-ins for what a request reaches besides files: nothing is logged, no map program is asked, no script runs.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use crate::config::maps;
use crate::config::site::Config;
use crate::exchange::Exchange;
use crate::exchange::authorizers::{Asking, Authorizers, Authorizing};
use crate::exchange::fail::{Fail, Reply};
use crate::exchange::place::Place;
use crate::exchange::response::{Body, Outcome, Response};
use crate::exchange::rewriting::Question;
use crate::exchange::state::State;
use crate::exchange::trace::Step;
use crate::handlers::application::at_once::Begun;
use crate::handlers::cgi;
use crate::handlers::known::Known;
use crate::handlers::{application, balance, handoff, proxy};
use crate::http::status::Status;
use crate::lang::log_level::Level;
use crate::process::jail::Guise;
use crate::scripts::{Care, Inherited};
use crate::spawner::{Asked, Explained, Wanted};
use crate::worker::serve::Outside;

/// Who stands in.
pub(super) struct StandIn {
    /// The settings.
    pub(super) config: &'static Config,
    /// What the server would start scripts by.
    pub(super) spawner: RefCell<Asked>,
    /// Whether the spawner stays root where the server is started by root.
    pub(super) spawner_is_root: bool,
    /// Whose rights we have taken.
    pub(super) guise: Option<Guise>,
    /// Why nothing more is known from some point on.
    pub(super) stopped: Stopped,
    /// The script that would answer.
    pub(super) script: RefCell<Option<Script>>,
}

/// Why nothing more is known from some point on. Who would ask authorizers knows nothing from there.
#[derive(Clone, Default)]
pub(super) struct Stopped(pub(super) Rc<RefCell<Option<String>>>);

impl Authorizers for Stopped {
    fn ask<'a>(&'a self, _ex: &'a Exchange, _place: &'a Place, asked: &'a Authorizing) -> Asking<'a> {
        let why = format!(
            "authorizer `{}` is asked whether the client may come in; nobody is asked here, so that what it answers is not known",
            asked.whom
        );
        *self.0.borrow_mut() = Some(why);
        Box::pin(std::future::ready(Err(Fail::ClientGone)))
    }
}

/// A script that would be started.
pub(super) struct Script {
    pub(super) started: Explained,
    pub(super) care: Care,
    /// Its file.
    pub(super) path: Vec<u8>,
    /// Variables that it does not get as they were set, in words.
    pub(super) ignored: Vec<String>,
}

impl StandIn {
    fn explain(&self, order: &crate::process::message::Order) -> io::Result<Result<Explained, (Fail, String)>> {
        let wanted = Wanted {
            place: order.place,
            path: &order.path,
            arguments: &order.arguments,
            env: &order.env,
            limits: &order.limits,
        };
        let ask = || self.spawner.borrow_mut().explain(&wanted);
        let told = match &self.guise {
            Some(guise) if self.spawner_is_root => guise.without(ask)?,
            _ => ask(),
        };
        Ok(told.map_err(|(failed, words)| (cgi::not_started(&failed), words)))
    }

    fn stop(&self, why: String) -> Fail {
        *self.stopped.0.borrow_mut() = Some(why);
        // Nobody is there to be answered, and so nothing more is done.
        Fail::ClientGone
    }
}

impl Outside for StandIn {
    fn record(&self, ex: &Exchange, fail: &Reply) {
        ex.trace(|| Step::Failed(fail.clone()));
    }

    fn tell(&self, ex: &Exchange) {
        let levels = &ex.conf().core.log_level;
        for line in ex.rewriting.lines.take() {
            // The steps are told already.
            if line.level < Level::Trace1 && levels.allow(line.level, line.module) {
                ex.trace(|| Step::Said(line.level, line.text));
            }
        }
    }

    fn has_map_programs(&self) -> bool {
        true
    }

    async fn ask_map(&self, question: &Question, _limit: Duration) -> Result<Option<Vec<u8>>, Fail> {
        let programs = maps::programs(self.config);
        let map = programs.get(question.program).map_or(&b""[..], |program| program.name);
        let (map, key) = (String::from_utf8_lossy(map), String::from_utf8_lossy(&question.key));
        Err(self.stop(format!(
            "a rule asks the program of RewriteMap {map} for `{key}`; no program is run here, so that what follows is not known"
        )))
    }

    async fn run_script(&self, ex: &mut Exchange, place: &Place, _known: &Known) -> Result<Outcome, Fail> {
        let explained = cgi::explain(ex, place, &Inherited::here())?;
        let started = match self.explain(&explained.order) {
            Err(error) => return Err(self.stop(format!("cannot take root's rights again: {error}"))),
            Ok(Err((fail, words))) => {
                let Fail::Reply(mut reply) = fail else { return Err(fail) };
                reply.note = words;
                return Err(Fail::Reply(reply));
            }
            Ok(Ok(started)) => started,
        };
        *self.script.borrow_mut() = Some(Script {
            started,
            care: explained.care,
            path: place.path.clone(),
            ignored: explained.ignored,
        });
        Ok(Outcome::Reply(Response::new(Status::OK, Body::Empty)))
    }

    async fn ask_on_demand(&self, _ex: &mut Exchange, place: &Place) -> Result<Outcome, Fail> {
        let file = String::from_utf8_lossy(&place.path);
        let program = match place.conf.fcgid.wrapper(&place.path) {
            Some(wrapper) => {
                let words: Vec<_> = wrapper
                    .command
                    .iter()
                    .map(|word| String::from_utf8_lossy(word))
                    .collect();
                format!("`{}` is asked for `{file}` (FcgidWrapper)", words.join(" "))
            }
            None => format!("`{file}` is asked"),
        };
        Err(self.stop(format!(
            "{program}, by FastCGI, and started where no process of it is free; nothing is started here, so that what it answers is not \
             known"
        )))
    }

    async fn run_program(&self, ex: &mut Exchange, place: &Place, _: Vec<Vec<u8>>) -> Result<Outcome, Fail> {
        self.run_script(ex, place, &Known::default()).await
    }

    async fn ask_application(
        &self,
        ex: &mut Exchange,
        place: &Place,
        _known: &Known,
        _begun: Option<Box<Begun>>,
    ) -> Result<Outcome, Fail> {
        let (address, file) = application::explain(ex, place)?;
        let file = String::from_utf8_lossy(&file);
        Err(self.stop(format!(
            "application `{address}` is asked for SCRIPT_FILENAME `{file}`; nobody is asked here, so that what it answers is not \
             known"
        )))
    }

    async fn ask_server(
        &self,
        ex: &mut Exchange,
        place: &Place,
        _begun: Option<Box<proxy::at_once::Begun>>,
    ) -> Result<Outcome, Fail> {
        let proxy::Explained { address, path, tls } = proxy::explain(ex, place)?;
        let path = String::from_utf8_lossy(&path);
        let over = tls.map_or_else(String::new, |host| {
            format!(" over TLS, as `{}`,", String::from_utf8_lossy(&host))
        });
        Err(self.stop(format!(
            "server `{address}` is asked{over} for `{path}`; nobody is asked here, so that what it answers is not known"
        )))
    }

    async fn hand_over(&self, ex: &mut Exchange, place: &Place) -> Result<Outcome, Fail> {
        let (address, path) = handoff::explain(ex, place)?;
        let path = String::from_utf8_lossy(&path);
        Err(self.stop(format!(
            "service `{address}` takes the connection for `{path}`; none is given here, so that what it answers is not known"
        )))
    }

    fn settings(&self) -> &[u8] {
        b""
    }

    async fn state(&self) -> Result<State, Fail> {
        Err(self
            .stop("the server tells of itself; none is asked here, so that what it answers is not known".to_owned()))
    }

    async fn ask_balancer(&self, ex: &mut Exchange, place: &mut Place) -> Result<Outcome, Fail> {
        let balancer = balance::explain(ex, place)?;
        let members: Vec<String> = balancer
            .members
            .iter()
            .map(|member| {
                let over = if member.target.scheme.is_secure() {
                    " over TLS"
                } else {
                    ""
                };
                format!("`{}`{over}", member.target.address)
            })
            .collect();
        Err(self.stop(format!(
            "one of the members of `{}` is asked: {}; nobody is asked here, so that what it answers is not known",
            String::from_utf8_lossy(&balancer.name),
            members.join(", ")
        )))
    }
}
