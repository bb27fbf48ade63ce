//! How handlers look ahead: through the phases, by exchanges that are thrown away.

use std::time::Duration;

use crate::exchange::Exchange;
use crate::exchange::fail::Fail;
use crate::exchange::looks::{Looks, Sight};
use crate::exchange::place::Place;
use crate::exchange::response::{Body, Outcome};
use crate::handlers::application::Known;
use crate::handlers::{as_is, static_file};
use crate::http::status::Status;
use crate::phases::ahead;
use crate::phases::choose::{self, Handler};
use crate::worker::serve::{Outside, QUESTIONS};

/// The phases, and what requests reach besides files.
pub struct Around<'a, O>(pub &'a O);

impl<O: Outside> Looks for Around<'_, O> {
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

    async fn body(&self, look: &mut Exchange, place: &mut Place) -> Result<Body, Fail> {
        let handler = match choose::run(look, place) {
            Ok(handler) => handler,
            Err(stop) => return includable(stop.into_outcome()?),
        };
        let outcome = match handler {
            Handler::StaticFile => return static_file::whole(look, place),
            Handler::Cgi => self.0.run_script(look, place).await?,
            Handler::Fcgid => self.0.ask_on_demand(look, place).await?,
            Handler::Application => self.0.ask_application(look, place, &Known::default(), None).await?,
            Handler::Balancer => self.0.ask_balancer(look, place).await?,
            Handler::Proxy => self.0.ask_server(look, place, None).await?,
            Handler::HandOff => self.0.hand_over(look, place).await?,
            Handler::AsIs => as_is::run(look, place)?,
            Handler::Options
            | Handler::Autoindex
            | Handler::TypeMap
            | Handler::Status
            | Handler::Metrics
            | Handler::Settings => {
                return Err(Fail::internal("a look for a file came to something else"));
            }
        };
        includable(outcome)
    }
}

/// The body of an answer.
fn includable(outcome: Outcome) -> Result<Body, Fail> {
    match outcome {
        Outcome::Reply(response) => Ok(response.body),
        Outcome::Again(_) => Err(Fail::internal("what a page includes redirects inside the server")),
    }
}

impl<O: Outside> Around<'_, O> {
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
