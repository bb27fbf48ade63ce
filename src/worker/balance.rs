//! A balancer's members asked one after the other, each in its protocol, until one answers.

use crate::config::backends::Scheme;
use crate::exchange::Exchange;
use crate::exchange::fail::Fail;
use crate::exchange::place::Place;
use crate::exchange::response::Outcome;
use crate::handlers::balance::{Judged, Turn};
use crate::handlers::known::Known;
use crate::worker::serve::Outside;
use crate::worker::thread::Thread;

/// What the members of the balancer of `place` answer.
pub async fn ask(thread: &Thread, ex: &mut Exchange, place: &mut Place) -> Result<Outcome, Fail> {
    let mut turn = Turn::begin(ex, place, thread.applications.backends())?;
    loop {
        let scheme = turn.choose(ex, place).await?;
        let variables = ex.variables.clone();
        let outcome = match scheme {
            Scheme::FastCgi | Scheme::Scgi => thread.ask_application(ex, place, &Known::default(), None).await,
            Scheme::Http | Scheme::Https | Scheme::WebSocket | Scheme::SecureWebSocket => {
                thread.ask_server(ex, place, None).await
            }
            Scheme::HandOff => thread.hand_over(ex, place).await,
        };
        match turn.judge(outcome) {
            Judged::Final(outcome) => return outcome,
            Judged::Next(Fail::Reply(why)) => {
                thread.record(ex, &why);
                // What the next one is told does not come from what this one would have been.
                ex.variables = variables;
            }
            Judged::Next(gone @ Fail::ClientGone) => return Err(gone),
        }
    }
}
