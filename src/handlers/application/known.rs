//! What is found out about an application once for all requests that lead to the same place: who is asked on which terms, and what
//! it is told that does not change.

use std::cell::OnceCell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::backend::fastcgi;
use crate::backend::pool::{Agreed, Keep, Pool};
use crate::config::backends::{self, Address, Scheme};
use crate::exchange::Exchange;
use crate::exchange::fail::Fail;
use crate::exchange::place::Place;
use crate::gateway::fastcgi::params;
use crate::gateway::fastcgi::record::{self, Role};
use crate::gateway::frame::{Frame, Occasion};
use crate::gateway::meta_vars::MetaVars;
use crate::handlers::application::asked::Asked;
use crate::handlers::application::{Applications, patience};
use crate::handlers::behind::Behind;
use crate::handlers::framed;
use crate::http::head::RequestHead;

/// The words of a usual request have so many bytes, and glibc keeps pieces of this size at hand.
const USUAL: usize = 1024;

/// What is known of the application of a place. It is filled in by the requests that go there.
#[derive(Default)]
pub struct Known {
    /// Whether there will be other requests.
    lasts: bool,
    way: OnceCell<Way>,
    /// Nothing where what it is told cannot be made beforehand.
    frame: OnceCell<Option<Frame>>,
}

/// Who is asked, and on which terms.
pub(super) struct Way {
    pub(super) asked: Asked,
    pub(super) agreed: Agreed,
    pub(super) silence: Duration,
    /// Nothing where a service chooses one of its processes for each request.
    pool: Option<Arc<Pool>>,
}

impl Way {
    fn of(ex: &Exchange, place: &Place, applications: &Applications) -> Result<Way, Fail> {
        let asked = Asked::of(ex, place)?;
        let target = &asked.target;
        let terms = asked.terms.unwrap_or_else(|| backends::terms(ex.site, target));
        let usual = patience(ex);
        let mut agreed = Agreed::of(target.scheme, &terms, usual);
        if target.scheme == Scheme::Scgi {
            agreed.keep = Keep::No;
        }
        let pool = Behind::Application.pool(ex, &applications.backends, target)?;
        let is_service = matches!(target.address, Address::Service(_));
        Ok(Way {
            pool: (!is_service).then(|| Arc::clone(pool)),
            silence: terms.timeout.unwrap_or(usual),
            asked,
            agreed,
        })
    }

    /// The connections to it.
    pub(super) fn pool<'a>(&'a self, applications: &'a Applications) -> Result<&'a Arc<Pool>, Fail> {
        let target = &self.asked.target;
        let found = self.pool.as_ref();
        let pool = found.or_else(|| applications.backends.to(target.scheme, &target.address));
        pool.ok_or_else(|| Behind::Application.not_named(target))
    }
}

impl Known {
    /// Nothing so far, of what is to be kept for other requests.
    pub(in crate::handlers) fn lasting() -> Known {
        Known {
            lasts: true,
            ..Known::default()
        }
    }

    /// Who is asked for `place`: found out anew where `proxy-fcgi-pathinfo` has files looked at.
    pub(super) fn way<'a>(
        &'a self,
        ex: &Exchange,
        place: &Place,
        applications: &Applications,
        here: &'a mut Option<Way>,
    ) -> Result<&'a Way, Fail> {
        if let Some(way) = self.way.get() {
            return Ok(way);
        }
        let way = Way::of(ex, place, applications)?;
        if ex.variable(b"proxy-fcgi-pathinfo").is_some() || ex.variable(b"proxy-scgi-pathinfo").is_some() {
            return Ok(here.insert(way));
        }
        Ok(self.way.get_or_init(|| way))
    }

    /// Who is asked and over which connections, where that is the same for all requests.
    pub(super) fn well_known(&self) -> Option<(&Way, &Arc<Pool>)> {
        let way = self.way.get()?;
        Some((way, way.pool.as_ref()?))
    }

    /// The words of a FastCGI request without a body, standard input's end among them; nothing where they are not known.
    pub(super) fn words(&self, head: &RequestHead, client: SocketAddr, unique_id: &[u8], keep: Keep) -> Option<Bytes> {
        let frame = self.frame.get()?.as_ref()?;
        let mut words = Vec::with_capacity(USUAL);
        let occasion = Occasion {
            peer: client,
            unique_id,
        };
        let is_told = record::request(&mut words, Role::Responder, fastcgi::connection(keep), |pairs| {
            frame.append(pairs, head.fields(), &occasion)
        });
        is_told.then(|| Bytes::from(words))
    }

    /// Remembers what one request was told for the next, unless something of it may be another then.
    pub(super) fn remember(&self, ex: &Exchange, place: &Place, variables: &MetaVars) {
        let Some(way) = self.way.get().filter(|_| self.lasts) else {
            return;
        };
        self.frame.get_or_init(|| {
            let is_steady = way.asked.target.scheme == Scheme::FastCgi
                && way.asked.pass_headers.is_empty()
                && place.conf.fastcgi.fixups.is_empty();
            is_steady
                .then(|| framed::frame(ex, place, variables, params::append))
                .flatten()
        });
    }
}
