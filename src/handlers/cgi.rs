//! Scripts: CGI/1.1 (RFC 3875) and `nph-` scripts, from the request to the first byte of the answer.
//!
//! The body is put on its way, a turn is waited for, the script is started; then its output, its silence and the client
//! are watched until the head of its reply is there. What follows the head is a stream.

pub mod environment;
mod failure;
mod feed;
pub mod known;
pub(in crate::handlers) mod reply;
mod stream;
mod talk;
pub mod wrapped;

#[cfg(test)]
mod tests;

use std::future::{Future, poll_fn};
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::config::directives::DirConf;
use crate::config::directives::cgi::ClientGone;
use crate::config::directives::core::{AcceptPathInfo, BODY_LIMIT};
use crate::config::directives::rlimit::{Bound, Bounds};
use crate::config::site::Site;
use crate::exchange::Exchange;
use crate::exchange::body::{BodyError, BodyLength, Gone, RequestBody};
use crate::exchange::error_facts;
use crate::exchange::fail::{Blame, Fail};
use crate::exchange::place::Place;
use crate::exchange::response::Outcome;
use crate::fs::spool::Spool;
use crate::gateway::command_line::{DashWords, command_line};
use crate::handlers::cgi::failure::Case;
use crate::handlers::cgi::feed::Feed;
use crate::handlers::cgi::known::Known;
use crate::handlers::cgi::talk::Talk;
use crate::http::status::Status;
use crate::process::environment::Environment;
use crate::process::limits::{Limit, Resource};
use crate::process::message::{Failed, FirstNews, Order, Runs};
use crate::scripts::client::StartError;
use crate::scripts::notes::{About, Asked, Notes};
use crate::scripts::queue::{NoSlot, Slot};
use crate::scripts::{Care, Inherited, Scripts};

/// Runs the script of `place` and answers with what it says. What is `known` of it need not be found out, and what is found out is
/// known from then on.
pub async fn run(ex: &mut Exchange, place: &Place, known: &Known, scripts: &Rc<Scripts>) -> Result<Outcome, Fail> {
    let words = arguments(ex);
    run_with(ex, place, (known, words), scripts).await
}

/// The same with these arguments, whatever the query is.
pub async fn run_with(
    ex: &mut Exchange,
    place: &Place,
    (known, arguments): (&Known, Vec<Vec<u8>>),
    scripts: &Rc<Scripts>,
) -> Result<Outcome, Fail> {
    let script = named(ex, place)?;
    let notes = scripts.notes(about(ex, place), || asked(ex));
    let mut input = input(ex, place).await?;
    let length = input.length;
    let told = length.is_none().then(|| known.environment(ex)).flatten();
    let (env, case) = if let Some((env, path)) = told {
        (env, Case::new(Some(path), Rc::clone(&notes)))
    } else {
        let env = environment::of_script(ex, place, scripts.inherited(), length);
        environment::warn_ignored(&env, |site, name| scripts.is_news(site, name), &notes);
        if length.is_none() {
            known.remember(ex, place, &env);
        }
        let case = Case::new(env.find(b"PATH"), Rc::clone(&notes));
        (env.iter().collect(), case)
    };
    let slot = turn(&ex.body, scripts).await?;
    // What has come of the body already is in the pipe before the script starts.
    input.feed.keep(notes.script_log_buffer().unwrap_or(0));
    input.feed.prime().await;
    let mut order = order(place, script, arguments, env, input.stdin.take());
    order.first_news = first_news(ex.method_name(), order.stdin.as_ref());
    let asked = (ex.method_name(), environment::request_target(ex, place));
    let outcome = match scripts.start(order, asked, care(ex, place), (slot, notes)).await {
        Ok(script) => {
            let talk = Talk::new(script, input.feed, ex.body.clone());
            reply::wait(ex, place, talk, case).await
        }
        Err(error) => Err(case.not_started(&error)),
    };
    if matches!(outcome, Ok(Outcome::Again(_)) | Err(_)) {
        // What comes next learns all that this script was told, with REDIRECT_ before it.
        ex.variables
            .extend(environment::of_script(ex, place, scripts.inherited(), length).into_pairs());
    }
    outcome
}

/// What would be asked for, of a request without a body.
pub struct Explained {
    /// The order to the spawner.
    pub order: Order,
    /// How the script would be treated.
    pub care: Care,
    /// Which variables are not passed as they were set, in words.
    pub ignored: Vec<String>,
}

/// What [`run`] would ask for; nothing is started.
pub fn explain(ex: &mut Exchange, place: &Place, inherited: &Inherited) -> Result<Explained, Fail> {
    let script = named(ex, place)?;
    let env = environment::of_script(ex, place, inherited, None);
    let ignored = env.ignored().iter().map(environment::told).collect();
    Ok(Explained {
        order: order(place, script, arguments(ex), env.iter().collect(), None),
        care: care(ex, place),
        ignored,
    })
}

/// What becomes of a request whose program was not started; `path` is the PATH that it would have had.
pub(in crate::handlers) fn start_failed(path: Option<&[u8]>, notes: Rc<Notes>, error: &StartError) -> Fail {
    Case::new(path, notes).not_started(error)
}

/// What becomes of a request whose script was not started.
pub fn not_started(failed: &Failed) -> Fail {
    failure::fail(failure::status_of(failed))
}

/// The number of the script place that the file is in, and its path there.
pub(in crate::handlers) fn named(ex: &mut Exchange, place: &Place) -> Result<(u32, Vec<u8>), Fail> {
    ex.handler = b"cgi-script".to_vec();
    ex.target.landed.is_told = true;
    if !place.path_info.is_empty() && place.conf.core.accept_path_info.value() == Some(&AcceptPathInfo::Off) {
        let note = "the URL goes on behind the script, and AcceptPathInfo is Off here";
        return Err(Fail::client(Status::NOT_FOUND, note).of_module("cgi"));
    }
    let (number, path) = ex
        .config
        .script_place(ex.site.number, &place.path)
        .ok_or_else(|| no_place(place))?;
    Ok((u32::try_from(number).map_err(|_| no_place(place))?, path.to_vec()))
}

fn order(
    place: &Place,
    (number, path): (u32, Vec<u8>),
    arguments: Vec<Vec<u8>>,
    env: Environment,
    stdin: Option<OwnedFd>,
) -> Order {
    Order {
        place: number,
        path,
        runs: Runs::Itself,
        arguments,
        env,
        limits: limits(place),
        stdin,
        first_news: FirstNews::AtOnce,
    }
}

/// A script with a body needs us from the first moment. One whose request may not be made twice (RFC 9110 section 9.2.1)
/// should be known of.
fn first_news(method: &[u8], stdin: Option<&OwnedFd>) -> FirstNews {
    if matches!(method, b"GET" | b"HEAD") && stdin.is_none() {
        FirstNews::WithEnd
    } else {
        FirstNews::AtOnce
    }
}

/// A script's standard input.
struct Input {
    /// What it gets; nothing when there is no body.
    stdin: Option<OwnedFd>,
    /// What goes into it.
    feed: Feed,
    /// CONTENT_LENGTH.
    length: Option<u64>,
}

/// Prepares standard input: a body of known length streams, another is kept until its length is known.
async fn input(ex: &Exchange, place: &Place) -> Result<Input, Fail> {
    let limit = match place.conf.core.limit_request_body.or(BODY_LIMIT) {
        0 => None,
        limit => Some(limit),
    };
    ex.body.limit(limit);
    match ex.body.length() {
        BodyLength::None => Ok(Input {
            stdin: None,
            feed: Feed::none(),
            length: None,
        }),
        BodyLength::Known(length) if limit.is_some_and(|limit| length > limit) => Err(broken_body(BodyError::TooLarge)),
        BodyLength::Known(0) => Ok(Input {
            stdin: None,
            feed: Feed::none(),
            length: Some(0),
        }),
        BodyLength::Known(length) => {
            let (feed, stdin) = Feed::new(ex.body.clone()).map_err(|error| no_input(&error))?;
            Ok(Input {
                stdin: Some(stdin),
                feed,
                length: Some(length),
            })
        }
        BodyLength::Unknown => spooled(ex).await,
    }
}

/// Keeps a chunked body, so that the script can be told its length.
async fn spooled(ex: &Exchange) -> Result<Input, Fail> {
    let mut spool = Spool::new().map_err(|error| no_input(&error))?;
    while let Some(bytes) = ex.body.data().await.map_err(broken_body)? {
        spool.add(&bytes).map_err(|error| no_input(&error))?;
    }
    let length = spool.length();
    let stdin = spool.into_reader().map_err(|error| no_input(&error))?;
    Ok(Input {
        stdin: Some(stdin),
        feed: Feed::none(),
        length: Some(length),
    })
}

/// Waits for a turn, but not for a client that has left.
async fn turn(client: &RequestBody, scripts: &Scripts) -> Result<Slot, Fail> {
    let mut taken = pin!(scripts.slots().take());
    let taken = poll_fn(|cx| {
        if let Poll::Ready(taken) = taken.as_mut().poll(cx) {
            return Poll::Ready(Some(taken));
        }
        match client.poll_gone(cx) {
            Poll::Ready(Gone::Reset) => Poll::Ready(None),
            Poll::Ready(Gone::SendingClosed) | Poll::Pending => Poll::Pending,
        }
    });
    match taken.await {
        None => Err(Fail::ClientGone),
        Some(Ok(slot)) => Ok(slot),
        Some(Err(why)) => Err(busy(scripts, why)),
    }
}

fn busy(scripts: &Scripts, why: NoSlot) -> Fail {
    let note = match why {
        NoSlot::QueueFull => {
            "as many scripts run as may, and as many requests wait: CGIMaxScripts, CGIQueueLength".to_owned()
        }
        NoSlot::WaitedTooLong => {
            "as many scripts run as may, and none ended in time: CGIMaxScripts, CGIQueueTime".to_owned()
        }
    };
    Fail::new(Status::SERVICE_UNAVAILABLE, Blame::Server, note)
        .with_field("Retry-After", scripts.slots().retry_after().to_string())
        .of_module("cgi")
}

/// What a body that cannot be read means for the client.
pub(in crate::handlers) fn broken_body(error: BodyError) -> Fail {
    let (status, note) = match error {
        BodyError::Gone => return Fail::ClientGone,
        BodyError::TooLarge => (
            Status::CONTENT_TOO_LARGE,
            "the request's body is larger than LimitRequestBody",
        ),
        BodyError::Malformed => (Status::BAD_REQUEST, "the request's body is malformed"),
        BodyError::TimedOut => (Status::REQUEST_TIMEOUT, "the request's body came too slowly"),
    };
    Fail::client(status, note).closing().of_module("cgi")
}

fn no_input(error: &std::io::Error) -> Fail {
    Fail::internal(format!("the request's body cannot be passed to the script: {error}")).of_module("cgi")
}

fn no_place(place: &Place) -> Fail {
    let file = String::from_utf8_lossy(&place.path);
    Fail::site(
        Status::FORBIDDEN,
        format!("`{file}` is not within a directory whose scripts may be started: ScriptAlias, or Options ExecCGI with a handler"),
    )
    .of_module("cgi")
}

pub(in crate::handlers) fn about(ex: &Exchange, place: &Place) -> About {
    About {
        module: "cgi",
        site: ex.site.number,
        client: ex.connection.client,
        conf: Arc::clone(&place.conf),
        unique_id: ex.unique_id,
        script: place.path.clone(),
        facts: error_facts::of(ex),
    }
}

fn asked(ex: &Exchange) -> Asked {
    let owned = |(name, value): (&[u8], &[u8])| (name.to_vec(), value.to_vec());
    Asked {
        method: ex.method_name().to_vec(),
        path: ex.target.path.as_bytes().to_vec(),
        query: ex.target.query.clone(),
        protocol: ex.head.version().as_str(),
        fields: ex.head.fields().map(owned).collect(),
    }
}

/// The words of an indexed query (RFC 3875 section 4.4).
fn arguments(ex: &Exchange) -> Vec<Vec<u8>> {
    let query = ex.target.query.as_deref().unwrap_or_default();
    command_line(ex.method_name(), query, DashWords::Refuse)
}

/// What the settings of the request say of limits; the spawner knows those of the file's place itself.
pub(in crate::handlers) fn limits(place: &Place) -> Vec<Limit> {
    let said = place.conf.process.limits();
    let limit = |(directive, bounds): (&str, Bounds)| {
        Some(Limit {
            resource: Resource::of_directive(directive)?,
            soft: bounds.soft.number(),
            hard: bounds.hard.and_then(Bound::number),
        })
    };
    said.filter_map(limit).collect()
}

fn care(ex: &Exchange, place: &Place) -> Care {
    care_of(ex.site, &place.conf)
}

fn care_of(site: &Site, conf: &DirConf) -> Care {
    let cgi = &conf.cgi;
    let timeout = site.settings.core.timeout.or(Duration::from_secs(60));
    Care {
        silence: cgi.script_timeout.or(timeout),
        grace: cgi.kill_grace.or(Duration::from_secs(3)),
        quiet: cgi.quiet_time.or(Duration::from_millis(250)),
        stderr_limit: cgi.stderr_limit.or(65536),
        client_gone: cgi.client_gone.or(ClientGone::Terminate),
    }
}

/// Whether the script of this name writes the whole response itself.
fn is_nph(path: &[u8]) -> bool {
    let name = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
    name.starts_with(b"nph-")
}
