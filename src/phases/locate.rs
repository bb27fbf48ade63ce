//! From the target of a pass to its place: rules, redirects, aliases, the walk, access, and what the place itself says.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::config::backends;
use crate::exchange::Exchange;
use crate::exchange::authorizers::Refusal;
use crate::exchange::client::{Patience, Question};
use crate::exchange::fail::Fail;
use crate::exchange::place::{Alias, Place};
use crate::exchange::response::{Body, Outcome, Response, Stop};
use crate::exchange::rewriting::Look;
use crate::phases::access::Closed;
use crate::phases::fixup::Fixed;
use crate::phases::rewrite::Rewritten;
use crate::phases::translate::Translated;
use crate::phases::{
    access, answers, authn, early, fixup, instead, negotiate, proxy_pass, redirect, rewrite, speling, walk,
};

/// Finds the place of this pass: the path's own, or that of an index file or fallback which stands for it.
pub async fn run(ex: &mut Exchange) -> Result<Place, Stop> {
    if ex.rewriting.look == Look::Request {
        early::of_site(ex);
    }
    found(ex, 0).await
}

/// The same for what stands for another place, which may stand for one again; `depth` is how often.
pub(super) async fn found(ex: &mut Exchange, depth: usize) -> Result<Place, Stop> {
    let mark = ex.trail_mark();
    let translated = loop {
        let translated = rewrite::of_server(ex);
        if !settled(ex).await? {
            ex.forget_steps(mark);
            continue;
        }
        break translated?;
    };
    let place = walked(ex, &translated).await?;
    // As in Apache, it is the place that was asked for which sets variables, not what stands for it: an index file, a fallback;
    // nor, below, a variant.
    if depth == 0 {
        early::of_place(ex);
    }
    let mut place = completed(ex, place).await?;
    if let Fixed::Instead(by, names) = fixup::run(ex, &mut place)? {
        if let Some(other) = Box::pin(instead::run(ex, &place, (by, &names), depth)).await? {
            return Ok(other);
        }
        fixup::complete(ex, &mut place);
    }
    if speling::concerns(ex, &place) {
        Box::pin(speling::run(ex, &place)).await?;
    }
    Ok(place)
}

/// Finds the place of a file by its name, for those who only look.
pub fn look_at_file(ex: &mut Exchange, path: &[u8]) -> Result<Place, Stop> {
    let translated = Translated {
        path: path.to_vec(),
        alias: Alias::None,
        context_prefix: Vec::new(),
        context_root: Vec::new(),
        document_root: None,
    };
    at_once(judged(ex, translated))
}

/// Finds the place of an entry of a directory, by its absolute name.
pub async fn entry(ex: &mut Exchange, directory: &Place, path: &[u8]) -> Result<Place, Stop> {
    let translated = Translated {
        path: path.to_vec(),
        alias: directory.alias,
        context_prefix: directory.context_prefix.clone(),
        context_root: directory.context_root.clone(),
        document_root: None,
    };
    let mut place = judged(ex, translated).await?;
    // What would stand for the entry (an index file, a fallback) is of no interest.
    fixup::run(ex, &mut place)?;
    Ok(place)
}

/// Finds the place of a file by its name, for a page that includes it.
pub async fn of_file(ex: &mut Exchange, path: &[u8]) -> Result<Place, Stop> {
    let translated = Translated {
        path: path.to_vec(),
        alias: Alias::None,
        context_prefix: Vec::new(),
        context_root: Vec::new(),
        document_root: None,
    };
    let mut place = judged(ex, translated).await?;
    match fixup::run(ex, &mut place)? {
        Fixed::Here => Ok(place),
        Fixed::Instead(..) => Err(Fail::internal("it is no file").into()),
    }
}

/// Finds the place of this pass for those who only look, and cannot wait.
pub fn look(ex: &mut Exchange) -> Result<Place, Stop> {
    at_once(run(ex))
}

/// What a future comes to that waits for nothing, as one with [`Patience::Leaves`] does.
fn at_once(looking: impl Future<Output = Result<Place, Stop>>) -> Result<Place, Stop> {
    match pin!(looking).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(place) => place,
        Poll::Pending => Err(Fail::internal("a look ahead would have to wait").into()),
    }
}

/// The place of a name, which the client may see.
async fn judged(ex: &mut Exchange, translated: Translated) -> Result<Place, Stop> {
    let place = walked(ex, &translated).await?;
    early::of_place(ex);
    completed(ex, place).await
}

async fn walked(ex: &mut Exchange, translated: &Translated) -> Result<Place, Fail> {
    loop {
        let place = match translated.alias {
            Alias::Proxied => Ok(walk::applications::proxied(ex, translated)),
            Alias::None | Alias::Files | Alias::Scripts => walk::run(ex, translated),
        };
        if settled(ex).await? {
            return place;
        }
    }
}

/// The place, if the client may see it, or the variant that is negotiated there; what rules and redirects say of it.
async fn completed(ex: &mut Exchange, place: Place) -> Result<Place, Stop> {
    admitted(ex, &place).await?;
    authn::fake(ex, &place)?;
    if place.alias != Alias::Proxied
        && let Some(variant) = negotiate::run(ex, &place).await?
    {
        let place = walked(ex, &variant).await?;
        return Box::pin(completed(ex, place)).await;
    }
    let mut place = place;
    let mark = ex.trail_mark();
    let rewritten = loop {
        let rewritten = rewrite::of_directory(ex, &place);
        if settled(ex).await? {
            break rewritten?;
        }
        ex.forget_steps(mark);
    };
    if let Rewritten::ToApplication(url, form) = &rewritten {
        // As in Apache, the settings stay those of the file.
        let proxied = proxy_pass::to_url(ex, url, *form)?;
        ex.file.clone_from(&proxied.path);
        place.path = proxied.path;
        place.alias = Alias::Proxied;
        ex.handler = backends::SERVER.to_vec();
    }
    redirect::of_sections(ex, &place.conf)?;
    if let Rewritten::Again(next) = rewritten {
        fixup::of_rewritten(ex, &place);
        return Err(Stop::Outcome(Box::new(Outcome::Again(next))));
    }
    Ok(place)
}

/// Waits until it is known whether the client may see the place.
pub(super) async fn admitted(ex: &mut Exchange, place: &Place) -> Result<(), Stop> {
    let mark = ex.trail_mark();
    loop {
        let judged = access::run(ex, place);
        if !settled(ex).await? {
            ex.client.admitted = None;
            continue;
        }
        match judged {
            Ok(()) => return Ok(()),
            Err(Closed::Fail(fail)) => return Err(fail.into()),
            Err(Closed::Answered(refusal)) => return Err(refused(refusal)),
            Err(Closed::Ask(Question::Authorizer(_))) if ex.client.patience == Patience::Leaves => {
                return Err(Fail::internal("a look ahead asks no authorizer").into());
            }
            Err(Closed::Ask(question)) if ex.client.patience == Patience::Leaves => {
                ex.client.want(question);
                return Err(Fail::internal("not known yet").into());
            }
            Err(Closed::Ask(Question::Authorizer(asked))) => {
                ex.forget_steps(mark);
                Box::pin(answers::of_authorizer(ex, place, asked)).await?;
            }
            Err(Closed::Ask(question)) => {
                ex.forget_steps(mark);
                Box::pin(answers::find(ex, question)).await?;
            }
        }
    }
}

/// An authorizer's refusal as the answer; the server's own page where it has no words.
fn refused(refusal: Refusal) -> Stop {
    let body = match refusal.body.as_slice() {
        [] => Body::BuiltIn,
        body => Body::Bytes(Bytes::copy_from_slice(body)),
    };
    let mut response = Response::new(refusal.status, body);
    for (name, value) in refusal.fields {
        // What cannot be sent is left out, as it is from a script's reply.
        let _unsendable = response.head.fields.try_append(&name, value.as_slice());
    }
    Stop::Outcome(Box::new(Outcome::Reply(response)))
}

/// Whether what rules and expressions came to counts. Where they looked ahead and left questions, those are asked now, and
/// they are to be applied again.
async fn settled(ex: &mut Exchange) -> Result<bool, Fail> {
    if ex.client.patience == Patience::Leaves || !ex.client.is_in_doubt() {
        return Ok(true);
    }
    Box::pin(async {
        for question in ex.client.wanted() {
            answers::find(ex, question).await?;
        }
        Ok(false)
    })
    .await
}
