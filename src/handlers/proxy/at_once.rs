//! The short way of a GET request without a body for a server whose way is known, over a connection that is kept. A response that is
//! all there with its head is given at once. Wherever something else turns out, the request goes on as any other does, with what was
//! begun.

use std::cell::OnceCell;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;

use crate::backend::conversation::Talks;
use crate::backend::http::{Answer, Conversation, Expects, Order};
use crate::backend::pool::{Agreed, Pool, Which};
use crate::config::backends::{self, Scheme, Target};
use crate::config::directives::proxy::Upgrade;
use crate::exchange::Exchange;
use crate::exchange::place::Place;
use crate::exchange::response::{AfterResponse, Body, Origin, Response, StatusBy};
use crate::exchange::stream::Untold;
use crate::handlers::application::Applications;
use crate::handlers::proxy::reply::{led_back, overridden};
use crate::handlers::proxy::request::{self, Plan};
use crate::handlers::proxy::{Hops, agreed, allowed_upgrade, asked, hops, line_limit};
use crate::http::framing::Framing;
use crate::http::head::Version;
use crate::http::received::{BadLine, BodyEnd};

/// What is found out about a server once for all requests that lead to the same place.
#[derive(Default)]
pub struct Known(OnceCell<Option<Way>>);

/// Who is asked, and on which terms.
struct Way {
    target: Target,
    agreed: Agreed,
    silence: Duration,
    pool: Arc<Pool>,
    upgrade: Upgrade,
    line_limit: usize,
    bad_line: BadLine,
}

impl Way {
    /// That of a plain server that is asked in the usual way; nothing where the site may not ask it.
    fn of(ex: &Exchange, place: &Place, applications: &Applications) -> Option<Way> {
        let target = asked(place).ok()?;
        let is_usual = target.scheme == Scheme::Http && ex.variable(b"proxy-initial-not-pooled").is_none();
        if !is_usual || !ex.site.backends.contains(&target.address) {
            return None;
        }
        let pool = Arc::clone(applications.backends().to(target.scheme, &target.address)?);
        let terms = backends::terms(ex.site, &target);
        let (agreed, silence, version) = agreed(ex, &target, &terms);
        (version == Version::V11 && pool.is_of_one()).then(|| Way {
            agreed,
            silence,
            pool,
            upgrade: allowed_upgrade(target.scheme, &terms),
            line_limit: line_limit(&terms),
            bad_line: ex.site.settings.proxy_http.bad_header.or(BadLine::Refused),
            target,
        })
    }
}

/// A request that a server is being told.
pub struct Begun {
    pub(super) conversation: Conversation,
    /// Its UNIQUE_ID.
    pub unique_id: [u8; 24],
}

impl Begun {
    /// Begins a request for the server of which this is known; nothing where there is more to it, or no connection.
    pub fn new(ex: &Exchange, place: &Place, known: &Known, applications: &Applications) -> Option<Box<Begun>> {
        let way = known.0.get_or_init(|| Way::of(ex, place, applications)).as_ref()?;
        let Ok(Hops::Left(max_forwards)) = hops(ex) else {
            return None;
        };
        if request::upgrade(ex, way.upgrade).is_some() {
            return None;
        }
        let plan = Plan {
            target: &way.target,
            version: Version::V11,
            framing: Framing::None,
            expects: Expects::Nothing,
            upgrade: None,
            keep: way.agreed.keep,
            max_forwards,
        };
        let order = Order {
            head: request::head(ex, place, &plan).ok()?,
            method: ex.method,
            framing: plan.framing,
            expects: plan.expects,
            silence: way.silence,
            line_limit: way.line_limit,
            bad_line: way.bad_line,
        };
        let lease = way.pool.lease_kept(&way.agreed, Which::Likely)?;
        Some(Box::new(Begun {
            conversation: Conversation::begin(lease, order),
            unique_id: ex.unique_id,
        }))
    }

    /// Waits for the response: its head and its body, if they are there at once, and nothing has to be done about them but to send
    /// them. Otherwise nothing is taken from it.
    pub fn poll(&mut self, cx: &mut Context<'_>, ex: &Exchange, place: &Place) -> Poll<Option<(Response, Bytes)>> {
        let answer = match ready!(self.conversation.poll_answer(cx)) {
            Ok(Answer::Head(received, BodyEnd::Length(length)))
                if received.head.status.allows_body() && !overridden(place, received.head.status) =>
            {
                if let Some(body) = self.conversation.take_whole_body() {
                    let response = Response {
                        head: led_back(ex, place, received),
                        body: Body::Stream(Box::new(Untold), Some(length)),
                        connection: AfterResponse::Keep,
                        origin: Origin::Behind,
                        status_by: StatusBy::Server,
                        parsable: None,
                    };
                    return Poll::Ready(Some((response, body)));
                }
                Ok(Answer::Head(received, BodyEnd::Length(length)))
            }
            answer => answer,
        };
        self.conversation.put_back(answer);
        Poll::Ready(None)
    }

    /// Ends what was answered at once. The connection may carry another request.
    pub fn end(self) {
        self.conversation.end();
    }
}
