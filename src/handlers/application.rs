//! FastCGI and SCGI applications (`mod_proxy_fcgi`, `mod_proxy_scgi`): from the request to the first byte of the answer.
//!
//! The application is told what a CGI script would be, in the words in which php-fpm knows it from Apache; its body streams
//! to it while its output, its silence and the client are watched. What follows the head of its reply is a stream.

mod asked;
pub mod at_once;
mod authorizer;
pub(in crate::handlers) mod input;
pub mod known;
pub mod on_demand;
mod reply;
mod starting;
mod stream;
mod talk;

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::backend::conversation::Conversation;
use crate::backend::on_demand::OnDemand;
use crate::backend::pool::{Lease, Which};
use crate::backend::wire::Repeatable;
use crate::backend::{Backends, fastcgi, scgi};
use crate::config::backends::{self, Address, Scheme};
use crate::exchange::Exchange;
use crate::exchange::error_facts;
use crate::exchange::fail::Fail;
use crate::exchange::place::Place;
use crate::exchange::response::Outcome;
use crate::gateway::fastcgi::record::Role;
use crate::gateway::meta_vars::MetaVars;
use crate::handlers::application::asked::Asked;
use crate::handlers::application::at_once::Begun;
use crate::handlers::application::input::Input;
use crate::handlers::application::known::Known;
use crate::handlers::application::known::Way;
use crate::handlers::application::reply::Unanswered;
use crate::handlers::application::talk::Talk;
use crate::handlers::behind::{Behind, may_repeat};
use crate::handlers::cgi::environment;
use crate::scripts::Scripts;
use crate::scripts::notes::{About, Logs, Notes};

/// What one worker thread needs to ask applications.
pub struct Applications {
    backends: Arc<Backends>,
    started: Arc<OnDemand>,
    logs: Rc<dyn Logs>,
    scripts: Rc<Scripts>,
    path: Option<Vec<u8>>,
    /// The variables of which it was said that they are not passed, and of which site.
    said: RefCell<HashSet<(usize, Vec<u8>)>>,
}

impl Applications {
    /// Those that may be talked to, and who has programs started.
    pub fn new(
        backends: Arc<Backends>,
        started: Arc<OnDemand>,
        logs: Rc<dyn Logs>,
        scripts: Rc<Scripts>,
    ) -> Applications {
        Applications {
            backends,
            started,
            logs,
            path: scripts.inherited().path.clone(),
            scripts,
            said: RefCell::default(),
        }
    }

    /// Those that are started when they are wanted.
    pub fn started(&self) -> &Arc<OnDemand> {
        &self.started
    }

    /// The logs that notes about them go to.
    pub(in crate::handlers) fn logs(&self) -> &Rc<dyn Logs> {
        &self.logs
    }

    /// Their connections.
    pub fn backends(&self) -> &Backends {
        &self.backends
    }
}

/// Who would be asked, and for which SCRIPT_FILENAME; nobody is.
pub fn explain(ex: &mut Exchange, place: &Place) -> Result<(Address, Vec<u8>), Fail> {
    let asked = Asked::of(ex, place)?;
    let address = asked.target.address.clone();
    if !ex.site.backends.contains(&address) {
        return Err(Behind::Application.not_named(&asked.target));
    }
    let variables = asked.variables(ex, place, None, None);
    let variables = Asked::changed(ex, place, variables);
    Ok((address, variables.find(b"SCRIPT_FILENAME").unwrap_or_default().to_vec()))
}

/// Asks the application of `place` and answers with what it says. What is `known` of it need not be found out, and what is found
/// out is known from then on. Where it was `begun` already, that goes on.
pub async fn run(
    ex: &mut Exchange,
    place: &Place,
    known: &Known,
    applications: &Applications,
    mut begun: Option<Box<Begun>>,
) -> Result<Outcome, Fail> {
    let mut here = None;
    let way = known.way(ex, place, applications, &mut here)?;
    let target = &way.asked.target;
    ex.handler = place.types.handler.clone().unwrap_or_else(|| backends::SERVER.to_vec());
    let pool = way.pool(applications)?;
    let module = target.scheme.module();
    let mut input = Input::of(ex, place, module).await?;
    let length = input.length();
    let notes = Rc::new(Notes::of_error_log(
        Rc::clone(&applications.logs),
        about(ex, place, module),
    ));
    let words = if length.is_none() {
        known.words(&ex.head, ex.connection.client, &ex.unique_id, way.agreed.keep)
    } else {
        None
    };
    let variables = match words {
        Some(_) => None,
        None => Some(told(ex, place, (known, way), applications, (length, &notes))),
    };
    let is_told_again = words.is_some() && may_repeat(ex.method, Repeatable::IfIdempotent);
    let mut which = if is_told_again { Which::Likely } else { Which::Any };
    let outcome = loop {
        let conversation = match begun.take() {
            Some(begun) => Conversation::FastCgi(begun.conversation),
            None => match Behind::Application.lease(ex, pool, &way.agreed, which, module).await {
                Ok(lease) => match begin(way, lease, (words.as_ref(), variables.as_ref()), length) {
                    Ok(conversation) => conversation,
                    Err(fail) => break Err(fail),
                },
                Err(fail) => break Err(fail),
            },
        };
        let limit = place.conf.cgi.stderr_limit.or(65536);
        let talk = Talk::new(conversation, input, ex.body.clone(), Rc::clone(&notes), limit);
        match reply::wait(ex, place, talk, target).await {
            Ok(outcome) => break Ok(outcome),
            Err(Unanswered { talk: Some(talk), .. })
                if which != Which::New && may_repeat(ex.method, talk.repeatable()) =>
            {
                input = talk.into_input();
                which = Which::New;
            }
            Err(unanswered) => break Err(unanswered.fail),
        }
    };
    if matches!(outcome, Ok(Outcome::Again(_)) | Err(_)) {
        // What comes next learns all that this application was told, with REDIRECT_ before it.
        let variables = match variables {
            Some(variables) => variables,
            None => told(ex, place, (known, way), applications, (length, &notes)),
        };
        ex.variables.extend(variables.into_pairs());
    }
    // Not before: what ProxyFCGISetEnvIf asks for is what this application will be told.
    ex.target.landed.is_told = true;
    outcome
}

/// Begins the request on a connection, with these words or variables.
fn begin(
    way: &Way,
    lease: Lease,
    (words, variables): (Option<&Bytes>, Option<&MetaVars>),
    length: Option<u64>,
) -> Result<Conversation, Fail> {
    let target = &way.asked.target;
    let pairs = variables.into_iter().flat_map(MetaVars::iter);
    Ok(match (target.scheme, words) {
        (Scheme::FastCgi, Some(words)) => {
            Conversation::FastCgi(fastcgi::Conversation::begin_with(lease, words.clone(), way.silence))
        }
        (Scheme::FastCgi, None) => {
            Conversation::FastCgi(fastcgi::Conversation::begin(lease, Role::Responder, pairs, way.silence))
        }
        (Scheme::Scgi, _) => Conversation::Scgi(scgi::Conversation::begin(
            lease,
            pairs,
            length.unwrap_or(0),
            way.silence,
        )),
        (Scheme::Http | Scheme::Https | Scheme::WebSocket | Scheme::SecureWebSocket | Scheme::HandOff, _) => {
            let why = "what is behind is no application of this handler";
            return Err(Fail::internal(why).of_module(target.scheme.module()));
        }
    })
}

/// What the application is told.
fn told(
    ex: &mut Exchange,
    place: &Place,
    (known, way): (&Known, &Way),
    applications: &Applications,
    (length, notes): (Option<u64>, &Notes),
) -> MetaVars {
    let variables = way.asked.variables(ex, place, applications.path.as_deref(), length);
    let is_news = |site, name: &[u8]| applications.said.borrow_mut().insert((site, name.to_vec()));
    environment::warn_ignored(&variables, is_news, notes);
    if length.is_none() {
        known.remember(ex, place, &variables);
    }
    Asked::changed(ex, place, variables).with(on_demand::passed(ex, &way.asked.pass_headers))
}

/// How long an application may be silent, where nobody says it of this one.
pub(in crate::handlers) fn patience(ex: &Exchange) -> Duration {
    let said = ex.site.settings.proxy.timeout.value().copied();
    said.unwrap_or_else(|| ex.site.settings.core.timeout.or(Duration::from_secs(60)))
}

/// What notes about a request begin with.
pub(in crate::handlers) fn about(ex: &Exchange, place: &Place, module: &'static str) -> About {
    About {
        module,
        site: ex.site.number,
        client: ex.connection.peer,
        conf: Arc::clone(&place.conf),
        unique_id: ex.unique_id,
        script: place.path.clone(),
        facts: error_facts::of(ex),
    }
}
