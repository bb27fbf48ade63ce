//! Servers behind this one that speak HTTP (`mod_proxy_http`): from the request to the first byte of the answer.
//!
//! The request is written anew, its body streams to the server while that one's answer, its silence and the client are
//! watched. What follows the head of the response is a stream.

pub mod at_once;
mod input;
pub(in crate::handlers) mod reply;
mod request;
mod reverse;
mod stream;
mod talk;

use std::rc::Rc;
use std::time::Duration;

use crate::backend::Backends;
use crate::backend::http::{Conversation, Expects, Order};
use crate::backend::pool::{Agreed, Keep, Which};
use crate::base::ascii;
use crate::base::quote::{EncodedSlash, escape_path_for_server};
use crate::config::backends::{self, Address, Scheme, Target};
use crate::config::directives::proxy::{Terms, Upgrade};
use crate::exchange::Exchange;
use crate::exchange::allowed;
use crate::exchange::fail::{Blame, Fail};
use crate::exchange::place::{Alias, Place};
use crate::exchange::response::{Body, Outcome, Response};
use crate::handlers::application::input::Input;
use crate::handlers::application::{Applications, about, patience};
use crate::handlers::behind::{Behind, may_repeat};
use crate::handlers::proxy::at_once::Begun;
use crate::handlers::proxy::reply::Unanswered;
use crate::handlers::proxy::request::Plan;
use crate::handlers::proxy::talk::Talk;
use crate::http::framing::Expectation;
use crate::http::head::Version;
use crate::http::method::Method;
use crate::http::received::BadLine;
use crate::http::status::Status;
use crate::net::tls::Partner;
use crate::scripts::notes::Notes;

/// The module in whose name the log speaks.
const MODULE: &str = "proxy_http";

/// The longest line of a response's head, in bytes; `responsefieldsize` moves it.
const LINE: u64 = 8192;

/// Who would be asked, and for what.
pub struct Explained {
    /// Where it listens.
    pub address: Address,
    /// The path and query.
    pub path: Vec<u8>,
    /// The host that its certificate must name, where it is asked over TLS.
    pub tls: Option<Vec<u8>>,
}

/// Who would be asked, and for what; nobody is.
pub fn explain(ex: &mut Exchange, place: &Place) -> Result<Explained, Fail> {
    let target = asked(place)?;
    if !ex.site.backends.contains(&target.address) {
        return Err(Behind::Server.not_named(&target));
    }
    let mut tls = None;
    if target.scheme.is_secure() {
        is_switched_on(place, &target)?;
        tls = Some(request::tls_host(ex, place, &target).to_vec());
    }
    let mut path = target.path;
    if let Some(query) = &ex.target.query {
        path.push(b'?');
        path.extend_from_slice(query);
    }
    let address = target.address;
    Ok(Explained { address, path, tls })
}

/// Asks the server of `place` and answers with what it says. Where that was `begun` already, that goes on.
pub async fn run(
    ex: &mut Exchange,
    place: &Place,
    applications: &Applications,
    mut begun: Option<Box<Begun>>,
) -> Result<Outcome, Fail> {
    let target = asked(place)?;
    ex.handler = place.types.handler.clone().unwrap_or_else(|| backends::SERVER.to_vec());
    let address = &target.address;
    let pool = Behind::Server.pool(ex, applications.backends(), &target)?;
    let max_forwards = match hops(ex)? {
        Hops::Left(hops) => hops,
        Hops::AnswerHere => return Ok(Outcome::Reply(options(ex))),
    };
    let terms = backends::terms(ex.site, &target);
    let (mut agreed, silence, version) = agreed(ex, &target, &terms);
    if target.scheme.is_secure() {
        agreed.tls = Some(secured(ex, place, &target, applications.backends())?);
    }
    let mut input = input::of(ex, place, version).await?;
    // Behind a body nobody could tell where the other protocol begins.
    let may_upgrade = version == Version::V11 && input.is_empty();
    let upgrade = request::upgrade(ex, allowed_upgrade(target.scheme, &terms)).filter(|_| may_upgrade);
    let plan = Plan {
        target: &target,
        version,
        framing: input.framing(),
        expects: expects(ex, place, version, &input),
        upgrade: upgrade.as_deref(),
        keep: agreed.keep,
        max_forwards,
    };
    let asked = reply::Asked {
        upgrade: plan.upgrade,
        silence,
    };
    let order = Order {
        head: request::head(ex, place, &plan)?,
        method: ex.method,
        framing: plan.framing,
        expects: plan.expects,
        silence,
        line_limit: line_limit(&terms),
        bad_line: ex.site.settings.proxy_http.bad_header.or(BadLine::Refused),
    };
    let notes = Rc::new(Notes::of_error_log(
        Rc::clone(applications.logs()),
        about(ex, place, MODULE),
    ));
    let is_first = ex.connection.earlier_requests == 0;
    let mut which = match ex.variable(b"proxy-initial-not-pooled") {
        Some(_) if is_first => Which::New,
        _ => Which::Any,
    };
    loop {
        let conversation = if let Some(begun) = begun.take() {
            begun.conversation
        } else {
            let lease = Behind::Server.lease(ex, pool, &agreed, which, MODULE).await?;
            Conversation::begin(lease, order.clone())
        };
        let talk = Talk::new(conversation, input, ex.body.clone(), Rc::clone(&notes));
        match reply::wait(ex, place, talk, address, &asked).await {
            Ok(outcome) => return Ok(outcome),
            Err(Unanswered { talk: Some(talk), .. })
                if which == Which::Any && may_repeat(ex.method, talk.repeatable()) =>
            {
                input = talk.into_input();
                which = Which::New;
            }
            Err(unanswered) => return Err(unanswered.fail),
        }
    }
}

/// The longest line of a response's head, in bytes.
fn line_limit(terms: &Terms) -> usize {
    usize::try_from(terms.field_size.unwrap_or(LINE)).unwrap_or(usize::MAX)
}

/// On which terms the server is talked to, how long it may be silent, and in which version it is asked.
fn agreed(ex: &Exchange, target: &Target, terms: &Terms) -> (Agreed, Duration, Version) {
    let usual = patience(ex);
    let mut agreed = Agreed::of(target.scheme, terms, usual);
    let version = match ex.variable(b"force-proxy-request-1.0") {
        Some(_) => Version::V10,
        None => Version::V11,
    };
    if version == Version::V10 || ex.variable(b"proxy-nokeepalive").is_some() {
        agreed.keep = Keep::No;
    }
    (agreed, terms.timeout.unwrap_or(usual), version)
}

/// Whether servers may be asked over TLS.
fn is_switched_on(place: &Place, target: &Target) -> Result<(), Fail> {
    if place.conf.tls_proxy.is_on() {
        return Ok(());
    }
    let note = format!(
        "server `{}` is asked over TLS, which is not switched on: `SSLProxyEngine on` would",
        target.address
    );
    Err(Fail::site(Status::INTERNAL_SERVER_ERROR, note).of_module(MODULE))
}

/// With whom TLS is spoken.
fn secured(ex: &Exchange, place: &Place, target: &Target, backends: &Backends) -> Result<Partner, Fail> {
    is_switched_on(place, target)?;
    let conf = &place.conf.tls_proxy;
    let host = request::tls_host(ex, place, target);
    backends.partner(conf, host).map_err(|why| {
        let note = format!("server `{}`: TLS: {why}", target.address);
        Fail::new(Status::BAD_GATEWAY, Blame::Backend, note).of_module(MODULE)
    })
}

/// Who is asked, and for which path: the URL that ProxyPass or a rule has come to, or a handler's with the file's name behind it (as in Apache without PATH_INFO).
pub(in crate::handlers) fn asked(place: &Place) -> Result<Target, Fail> {
    let parsed = |name: &[u8]| {
        let url = backends::of_handler(name).unwrap_or_default();
        Target::parse(url).map_err(|why| Fail::internal(why).of_module(MODULE))
    };
    let mut target = match place.alias {
        Alias::Proxied => parsed(&place.path)?,
        Alias::None | Alias::Files | Alias::Scripts => {
            let mut target = parsed(place.types.handler.as_deref().unwrap_or_default())?;
            let name = [&target.path, &*place.full_name()].concat();
            target.path.clear();
            escape_path_for_server(&mut target.path, &name, EncodedSlash::Escaped);
            target
        }
    };
    if !target.path.starts_with(b"/") {
        target.path.insert(0, b'/');
    }
    Ok(target)
}

/// What Max-Forwards leaves.
enum Hops {
    /// The request goes on, and says this.
    Left(Option<u64>),
    /// It ends here.
    AnswerHere,
}

/// RFC 9110 section 7.6.2. As in Apache, it holds for every method.
fn hops(ex: &Exchange) -> Result<Hops, Fail> {
    let Some(said) = ex.head.field(b"max-forwards") else {
        let own = ex.site.settings.proxy_http.max_forwards.or(None);
        return Ok(Hops::Left(own));
    };
    let bad = |note: &str| Fail::client(Status::BAD_REQUEST, note).of_module(MODULE);
    match ascii::parse_decimal(said) {
        None => Err(bad("Max-Forwards is no number")),
        Some(0) if ex.method == Method::Options => Ok(Hops::AnswerHere),
        Some(0) => Err(bad(
            "Max-Forwards has come to 0: the request may have gone round in a circle",
        )),
        Some(hops) => Ok(Hops::Left(Some(hops - 1))),
    }
}

fn options(ex: &Exchange) -> Response {
    let mut response = Response::new(Status::OK, Body::Empty);
    response.head.fields.append("Allow", allowed::methods(ex));
    response
}

fn allowed_upgrade(scheme: Scheme, terms: &Terms) -> Upgrade {
    let usual = if scheme.is_for_web_sockets() {
        Upgrade::WebSocket
    } else {
        Upgrade::Never
    };
    terms.upgrade.unwrap_or(usual)
}

/// Whether the server is to ask for the body: where the client waits for that, and Proxy100Continue lets it.
fn expects(ex: &Exchange, place: &Place, version: Version, input: &Input) -> Expects {
    let asks = Expectation::of(&ex.head) == Expectation::Continue && !input.is_empty();
    if asks && version == Version::V11 && place.conf.proxy_http.forward_continue.or(true) {
        Expects::Continue
    } else {
        Expects::Nothing
    }
}
