//! How handlers look ahead: through the phases, by exchanges that are thrown away.

use std::rc::Rc;
use std::time::Duration;

use crate::exchange::Exchange;
use crate::exchange::fail::Fail;
use crate::exchange::looks::{Looks, Sight};
use crate::exchange::place::Place;
use crate::exchange::response::{Body, Outcome, Response};
use crate::filters::chain;
use crate::handlers::known::Known;
use crate::handlers::{as_is, static_file};
use crate::http::status::Status;
use crate::phases::ahead;
use crate::phases::choose::{self, Handler};
use crate::worker::serve::{self, Outside, QUESTIONS};

/// The phases, and what requests reach besides files.
pub struct Around<'a, O>(pub &'a Rc<O>);

impl<O: Outside + 'static> Looks for Around<'_, O> {
    async fn at_entry(&self, ex: &Exchange, directory: &Place, name: &[u8]) -> Sight {
        for _ in 1..QUESTIONS {
            let sight = ahead::at_entry(ex, directory, name).await;
            if !self.has_asked(ex).await {
                return sight;
            }
        }
        ahead::at_entry(ex, directory, name).await
    }

    async fn at_url(&self, ex: &Exchange, url: &[u8]) -> Option<(Exchange, Place)> {
        for _ in 1..QUESTIONS {
            let found = ahead::file_at_url(ex, url).await;
            if !self.has_asked(ex).await {
                return found;
            }
        }
        ahead::file_at_url(ex, url).await
    }

    async fn at_sibling(&self, ex: &Exchange, place: &Place, name: &[u8]) -> (Status, Exchange) {
        for _ in 1..QUESTIONS {
            let found = ahead::at_sibling(ex, place, name).await;
            if !self.has_asked(ex).await {
                return found;
            }
        }
        ahead::at_sibling(ex, place, name).await
    }

    async fn body(&self, look: &mut Exchange, mut place: Place) -> Result<Body, Fail> {
        let handler = match choose::run(look, &place) {
            Ok(handler) => handler,
            Err(stop) => return Ok(includable(stop.into_outcome()?)?.body),
        };
        let outcome = match handler {
            Handler::StaticFile => {
                let body = static_file::whole(look, &place)?;
                Outcome::Reply(Response::new(Status::OK, body))
            }
            Handler::Cgi => self.0.run_script(look, &place, &Known::default()).await?,
            Handler::Fcgid => self.0.ask_on_demand(look, &place).await?,
            Handler::Application => {
                let known = Known::default();
                self.0.ask_application(look, &place, &known, None).await?
            }
            Handler::Balancer => self.0.ask_balancer(look, &mut place).await?,
            Handler::Proxy => self.0.ask_server(look, &place, None).await?,
            Handler::HandOff => self.0.hand_over(look, &place).await?,
            Handler::AsIs => as_is::run(look, &place)?,
            Handler::Options
            | Handler::Autoindex
            | Handler::TypeMap
            | Handler::Status
            | Handler::Metrics
            | Handler::Settings => {
                return Err(Fail::internal("a look for a file came to something else"));
            }
        };
        let mut response = includable(outcome)?;
        // A listing that is part of a page is no page again: they would lie within each other as often as pages may. (Apache dies of it.)
        response.parsable = (!look.is_subrequest())
            .then(|| serve::parsable(place, self.0))
            .flatten();
        chain::apply_to_included(look, &mut response).await;
        Ok(response.body)
    }
}

/// An answer that a page can have a part of.
fn includable(outcome: Outcome) -> Result<Response, Fail> {
    match outcome {
        Outcome::Reply(response) => Ok(response),
        Outcome::Again(_) => Err(Fail::internal("what a page includes redirects inside the server")),
    }
}

impl<O: Outside + 'static> Around<'_, O> {
    /// Whether rules asked a map program for something that was not known; it is known afterwards.
    async fn has_asked(&self, ex: &Exchange) -> bool {
        let asked = &ex.rewriting.asked;
        let Some(question) = asked.take_open() else {
            return false;
        };
        let limit = ex.site.settings.core.timeout.or(Duration::from_secs(60));
        let Ok(answer) = self.0.ask_map(&question, limit).await else {
            return false;
        };
        asked.note(question, answer);
        true
    }
}
