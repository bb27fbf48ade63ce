//! Services that take the client's connection itself: the last thing that is done for it here is to find the service ready.
//! The connection gives itself away (`worker::conn::handoff`), and what the service does with it nobody here can know.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::sleep;

use crate::backend::handoff::{Errand, Unready};
use crate::backend::pool::{Agreed, Which};
use crate::base::quote::{EncodedSlash, escape_path_for_server};
use crate::config::backends::{self, Address, Target};
use crate::exchange::Exchange;
use crate::exchange::body::Gone;
use crate::exchange::fail::{Blame, Fail};
use crate::exchange::place::{Alias, Place};
use crate::exchange::response::{Body, HandOff, Outcome, Response};
use crate::gateway::handoff::About;
use crate::handlers::application::{Applications, patience};
use crate::handlers::behind::Behind;
use crate::handlers::proxy::asked;
use crate::http::head::Version;
use crate::http::status::Status;

/// The module in whose name the log speaks.
const MODULE: &str = "proxy";

/// Who would get the connection, and for which path; nobody does.
pub fn explain(ex: &mut Exchange, place: &Place) -> Result<(Address, Vec<u8>), Fail> {
    let target = asked(place)?;
    if !ex.site.backends.contains(&target.address) {
        return Err(Behind::Service.not_named(&target));
    }
    let url = url(ex, place, &target);
    Ok((target.address, url))
}

/// Waits until the service of `place` is ready to take the connection.
pub async fn run(ex: &mut Exchange, place: &Place, applications: &Applications) -> Result<Outcome, Fail> {
    let target = asked(place)?;
    ex.handler = place.types.handler.clone().unwrap_or_else(|| backends::SERVER.to_vec());
    let address = &target.address;
    let pool = Behind::Service.pool(ex, applications.backends(), &target)?;
    check(ex, address)?;
    let agreed = Agreed::of(target.scheme, &backends::terms(ex.site, &target), patience(ex));
    let mut errands = 0;
    let errand = loop {
        let lease = Behind::Service.lease(ex, pool, &agreed, Which::New, MODULE).await?;
        let mut errand = Errand::new(lease);
        errands += 1;
        match ready(ex, &mut errand, agreed.connect).await? {
            Ok(()) => break errand,
            // The process has ended, and has a successor.
            Err(Unready::Closed) if errand.may_be_lost() && errands == 1 => {}
            Err(why) => return Err(refused(address, &why, agreed.connect)),
        }
    };
    let about = About {
        client: ex.connection.client,
        local: ex.connection.local,
        site: ex.site_name().to_vec(),
        url: url(ex, place, &target),
        user: ex.client.user.clone(),
        id: ex.unique_id,
    };
    let hand_off = HandOff {
        errand,
        about,
        patience: agreed.connect,
    };
    Ok(Outcome::Reply(Response::new(
        Status::OK,
        Body::HandOff(Box::new(hand_off)),
    )))
}

/// Whether the request is one that its service can answer: the client's own, as it stands on the connection.
fn check(ex: &Exchange, address: &Address) -> Result<(), Fail> {
    let why = if !ex.body.is_the_clients_own() || ex.is_subrequest() {
        "a request that was made inside the server, as for an error document, is on no connection that could be given away"
    } else if ex.is_secure() {
        "a connection within TLS cannot be handed over"
    } else if ex.head.version() == Version::V09 {
        "HTTP/0.9 is not handed over"
    } else if !ex.config.gives_away {
        "the server's own files name it for another protocol alone"
    } else {
        return Ok(());
    };
    let note = format!("service `{address}`: {why}");
    Err(Fail::new(Status::BAD_GATEWAY, Blame::Site, note).of_module(MODULE))
}

/// Waits until the service says that it takes the connection, but not for a client that has left.
async fn ready(ex: &Exchange, errand: &mut Errand, limit: Duration) -> Result<Result<(), Unready>, Fail> {
    let mut late = pin!(sleep(limit));
    poll_fn(|cx| {
        if let Poll::Ready(ready) = errand.poll_ready(cx) {
            return Poll::Ready(Ok(ready));
        }
        if let Poll::Ready(Gone::Reset) = ex.body.poll_gone(cx) {
            return Poll::Ready(Err(Fail::ClientGone));
        }
        late.as_mut().poll(cx).map(|()| Ok(Err(Unready::TooLate)))
    })
    .await
}

fn refused(address: &Address, why: &Unready, limit: Duration) -> Fail {
    let bad = |why: String| {
        Fail::new(
            Status::BAD_GATEWAY,
            Blame::Backend,
            format!("service `{address}`: {why}"),
        )
    };
    let fail = match why {
        Unready::Closed => bad("it closed the errand and took nothing".to_owned()),
        Unready::OutOfPlace => bad("it does not speak the protocol of the hand-off, lychgate-handoff(7)".to_owned()),
        Unready::Broken(error) => bad(format!("the errand broke: {error}")),
        Unready::TooLate => Fail::new(
            Status::SERVICE_UNAVAILABLE,
            Blame::Backend,
            format!("service `{address}`: it did not take the connection within {limit:?} (connectiontimeout)"),
        )
        .with_field("Retry-After", "5"),
    };
    fail.of_module(MODULE)
}

/// What ProxyPass or a rule has made of the path, or the request's own where a handler names the service; and the query.
fn url(ex: &Exchange, place: &Place, target: &Target) -> Vec<u8> {
    let mut url = match place.alias {
        Alias::Proxied => target.path.clone(),
        Alias::None | Alias::Files | Alias::Scripts => {
            let mut path = Vec::new();
            escape_path_for_server(&mut path, ex.target.path.as_bytes(), EncodedSlash::Escaped);
            path
        }
    };
    if let Some(query) = &ex.target.query {
        url.push(b'?');
        url.extend_from_slice(query);
    }
    url
}
