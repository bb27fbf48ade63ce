//! A script for a FastCGI client (`lychgate fcgiwrap`): the client says which, and what its environment is; it is started,
//! fed and watched as any script here. Its reply goes back as a CGI reply that has one meaning only; a script without one is
//! diagnosed, and the client gets a page.

use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use crate::config::directives::DirConf;
use crate::config::places::conf_of;
use crate::config::site::{Config, Site};
use crate::exchange::body::{BodyLength, RequestBody};
use crate::exchange::fail::{Fail, Reply};
use crate::exchange::page;
use crate::exchange::response::{BodyStream, Broken};
use crate::gateway::fastcgi::script::{Besides, Unfit, Variables};
use crate::gateway::script_reply::{Kind, ReplyReader, ScriptReply};
use crate::handlers::cgi::failure::Case;
use crate::handlers::cgi::feed::Feed;
use crate::handlers::cgi::reply::tell_dropped;
use crate::handlers::cgi::stream::{Length, ScriptStream};
use crate::handlers::cgi::talk::{Event, Talk};
use crate::handlers::cgi::{broken_body, care_of, first_news, no_input, turn};
use crate::http::status::Status;
use crate::process::child::Step;
use crate::process::message::{Order, Runs};
use crate::process::pidfd::Exit;
use crate::scripts::Scripts;
use crate::scripts::client::StartError;
use crate::scripts::notes::{About, Asked, Logs, Notes};
use crate::scripts::script::{Output, State};

/// A request as its client told it.
pub struct Wrapped {
    /// Its variables.
    pub variables: Variables,
    /// Its standard input, and whether the client is still there. A length of `None`: there is none, and none will come.
    pub body: RequestBody,
    /// Its name, where the client gave it none.
    pub unique_id: [u8; 24],
}

/// What scripts are started with.
pub struct Means<'a> {
    /// The settings of this process.
    pub config: &'static Config,
    /// The site whose scripts they are.
    pub site: &'static Site,
    /// Scripts.
    pub scripts: &'a Rc<Scripts>,
    /// Where notes about this request go.
    pub logs: Rc<dyn Logs>,
}

/// A script's answer: the head of a CGI reply, and the document behind it.
pub struct Answer {
    /// The head, with the empty line at its end.
    pub head: Vec<u8>,
    document: ScriptStream,
    /// Nobody wants the document (a reply to HEAD).
    unwanted: bool,
}

impl Answer {
    /// The next bytes of the document, at least one; `None` at its end. Dropping it before that is how its script learns that
    /// the client has left.
    pub fn poll_document(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        if !self.unwanted {
            return self.document.poll_chunk(cx);
        }
        // The script may come to its end.
        while let Some(Ok(_)) = ready!(self.document.poll_chunk(cx)) {}
        Poll::Ready(None)
    }

    /// How the script ended, as a shell tells it; 0 where it goes on after its output, or nobody knows.
    pub async fn status(&mut self) -> u32 {
        match self.document.settle().await {
            State::Running | State::Ended(None) => 0,
            State::Ended(Some(Exit::Code(code))) => code.cast_unsigned(),
            State::Ended(Some(Exit::Signal(signal))) => 128 + signal.cast_unsigned(),
        }
    }

    /// Whether [`Answer::status`] has nothing to wait for.
    pub fn has_ended(&self) -> bool {
        self.document.has_ended()
    }
}

/// Runs the script that is asked for.
pub async fn run(wrapped: Wrapped, means: &Means<'_>) -> Result<Answer, Fail> {
    let Started { talk, case, unwanted } = start(&wrapped, means).await.map_err(as_gateway)?;
    reply(talk, case, unwanted).await.map_err(as_gateway)
}

/// A script at work.
struct Started {
    talk: Talk,
    case: Case,
    /// Nobody wants its document.
    unwanted: bool,
}

async fn start(wrapped: &Wrapped, means: &Means<'_>) -> Result<Started, Fail> {
    let script = wrapped.variables.script().map_err(unfit)?;
    let mut input = Input::of(&wrapped.body)?;
    match attempt(wrapped, means, &mut input, (&script, b"")).await {
        Err(NoStart::NotADirectory) => {}
        Err(NoStart::Failed(fail)) => return Err(fail),
        Ok(started) => return Ok(started),
    }
    // A file stands where the name goes on: what is behind it is PATH_INFO, unless the client has said what that is.
    let ends = script.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'/');
    for (end, _) in ends.filter(|_| wrapped.variables.find(b"PATH_INFO").is_none()) {
        let (file, rest) = script.split_at(end);
        if means.config.script_place(means.site.number, file).is_none() {
            continue;
        }
        match attempt(wrapped, means, &mut input, (file, rest)).await {
            Err(NoStart::NotADirectory) => {}
            Err(NoStart::Failed(fail)) => return Err(fail),
            Ok(started) => return Ok(started),
        }
    }
    Err(Fail::site(Status::NOT_FOUND, format!("no script: {}", shown(&script))).of_module("cgi"))
}

/// Why nothing was started.
enum NoStart {
    /// A file is where the name has a directory, or a directory where it has a file.
    NotADirectory,
    /// Anything else.
    Failed(Fail),
}

impl From<Fail> for NoStart {
    fn from(fail: Fail) -> NoStart {
        NoStart::Failed(fail)
    }
}

/// Starts the script of this name; `rest` is what the client's name for it has behind that.
async fn attempt(
    wrapped: &Wrapped,
    means: &Means<'_>,
    input: &mut Input,
    (script, rest): (&[u8], &[u8]),
) -> Result<Started, NoStart> {
    let place = means.config.script_place(means.site.number, script);
    let (number, path) = place.ok_or_else(|| not_allowed(script))?;
    let conf = conf(means, number, script);
    let notes = notes(wrapped, means, &conf, script);
    let mut variables = wrapped.variables.clone();
    if !rest.is_empty() {
        variables.split(rest);
    }
    let unwanted = variables.find(b"REQUEST_METHOD") == Some(b"HEAD");
    let inherited = means.scripts.inherited();
    let besides = Besides {
        path: inherited.path.as_deref(),
        time_zone: inherited.time_zone.as_deref(),
        unique_id: &wrapped.unique_id,
    };
    let configured = conf.env.variables.iter();
    let configured = configured.map(|(name, value)| (&**name, value.as_slice()));
    let env = variables.environment(script, besides, configured).into_iter().collect();
    let slot = turn(&wrapped.body, means.scripts).await?;
    input.feed.keep(notes.script_log_buffer().unwrap_or(0));
    input.feed.prime().await;
    let case = Case::new(besides.path, Rc::clone(&notes));
    let stdin = input.stdin()?;
    let said = |name| wrapped.variables.find(name).unwrap_or_default();
    let (method, target) = (said(b"REQUEST_METHOD".as_slice()), said(b"REQUEST_URI"));
    let order = Order {
        place: u32::try_from(number).map_err(|_| not_allowed(script))?,
        path: path.to_vec(),
        arguments: Vec::new(),
        env,
        limits: Vec::new(),
        first_news: first_news(method, stdin.as_ref()),
        stdin,
        runs: Runs::Itself,
    };
    match means
        .scripts
        .start(order, (method, target), care_of(means.site, &conf), (slot, notes))
        .await
    {
        Ok(script) => Ok(Started {
            talk: Talk::new(script, input.take_feed(), wrapped.body.clone()),
            case,
            unwanted,
        }),
        Err(StartError::Failed(failed)) if is_no_directory(failed.step, failed.errno) => Err(NoStart::NotADirectory),
        Err(error) => Err(case.not_started(&error).into()),
    }
}

fn is_no_directory(step: Step, errno: i32) -> bool {
    step == Step::Kind || (step == Step::Open && errno == libc::ENOTDIR)
}

/// What goes into the script, whichever it is in the end.
struct Input {
    feed: Feed,
    stdin: Option<OwnedFd>,
}

impl Input {
    /// A client that has said that nothing comes needs no pipe.
    fn of(body: &RequestBody) -> Result<Input, Fail> {
        let (feed, stdin) = match body.length() {
            BodyLength::None => (Feed::none(), None),
            BodyLength::Known(_) | BodyLength::Unknown => {
                let (feed, stdin) = Feed::new(body.clone()).map_err(|error| no_input(&error))?;
                (feed, Some(stdin))
            }
        };
        Ok(Input { feed, stdin })
    }

    fn stdin(&self) -> Result<Option<OwnedFd>, Fail> {
        let copy = self.stdin.as_ref().map(OwnedFd::try_clone).transpose();
        copy.map_err(|error| no_input(&error))
    }

    fn take_feed(&mut self) -> Feed {
        std::mem::replace(&mut self.feed, Feed::none())
    }
}

/// Waits for the head of the script's reply.
async fn reply(mut talk: Talk, mut case: Case, unwanted: bool) -> Result<Answer, Fail> {
    let mut reader = ReplyReader::new();
    loop {
        match poll_fn(|cx| talk.poll(cx)).await {
            Event::Gone => return Err(Fail::ClientGone),
            Event::Body(error) => {
                talk.script.must_end();
                return Err(broken_body(error));
            }
            Event::Output(Output::Silence) => return Err(case.silent(talk)),
            Event::Output(Output::End(_)) => return Err(case.no_reply(talk, &reader.end()).await),
            Event::Output(Output::Bytes(bytes)) => {
                case.keep_output(&bytes);
                match reader.push(&bytes) {
                    Ok(None) => {}
                    Ok(Some(reply)) => return Ok(answer(talk, &case, reply, unwanted)),
                    Err(error) => return Err(case.no_reply(talk, &error).await),
                }
            }
        }
    }
}

fn answer(mut talk: Talk, case: &Case, mut reply: ScriptReply, unwanted: bool) -> Answer {
    tell_dropped(case.notes(), &reply.dropped);
    let first = Bytes::from(std::mem::take(&mut reply.body_start));
    let length = if unwanted {
        talk.script.may_finish();
        Length::Unwanted
    } else {
        reply.content_length.map_or(Length::Open, Length::Promised)
    };
    Answer {
        head: head(&reply),
        document: ScriptStream::new(talk, case, first, length),
        unwanted,
    }
}

/// The head as a CGI reply (RFC 3875 section 6.3). What the script did not mean to say again, its client will not hear.
fn head(reply: &ScriptReply) -> Vec<u8> {
    let mut head = Vec::new();
    let mut field = |name: &[u8], value: &[u8]| {
        for part in [name, b": ", value, b"\r\n"] {
            head.extend_from_slice(part);
        }
    };
    match &reply.kind {
        // Which status that is, is for the client to say.
        Kind::LocalRedirect(location) => field(b"Location", location),
        Kind::Nowhere => field(b"Location", b""),
        Kind::Document | Kind::ClientRedirect(_) => {
            let reason = reply.reason.as_deref();
            let usual = || Status::new(reply.status).map_or("", Status::reason).as_bytes();
            let status = [reply.status.to_string().as_bytes(), b" ", reason.unwrap_or_else(usual)].concat();
            field(b"Status", &status);
            if let Kind::ClientRedirect(location) = &reply.kind {
                field(b"Location", location);
            }
        }
    }
    for (name, value) in &reply.fields {
        field(name, value);
    }
    if let Some(length) = reply.content_length {
        field(b"Content-Length", length.to_string().as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// A failure as a CGI reply.
pub fn page(failed: &Reply) -> Vec<u8> {
    let (status, reason) = (failed.status, failed.status.reason());
    let mut reply = format!(
        "Status: {} {reason}\r\nContent-Type: text/html; charset=utf-8\r\n",
        status.code()
    )
    .into_bytes();
    for (name, value) in &failed.fields {
        for part in [name.as_ref(), b": ", value, b"\r\n"] {
            reply.extend_from_slice(part);
        }
    }
    reply.extend_from_slice(b"\r\n");
    let mut body = page::begin(format!("{} {reason}", status.code()).as_bytes());
    if let Some(told) = &failed.told {
        body.extend_from_slice(format!("<p>{told}</p>\n").as_bytes());
    }
    page::end(&mut body, None);
    reply.extend_from_slice(&body);
    reply
}

/// To our client we are a gateway: a script that fails is a backend's fault.
fn as_gateway(fail: Fail) -> Fail {
    match fail {
        Fail::Reply(mut reply) if reply.status == Status::INTERNAL_SERVER_ERROR => {
            reply.status = Status::BAD_GATEWAY;
            Fail::Reply(reply)
        }
        fail => fail,
    }
}

fn unfit(why: Unfit) -> Fail {
    let status = match why {
        Unfit::Nul => Status::BAD_REQUEST,
        Unfit::Unnamed | Unfit::Relative | Unfit::DotSegment => Status::FORBIDDEN,
    };
    Fail::site(status, why.to_string()).of_module("cgi")
}

fn not_allowed(script: &[u8]) -> Fail {
    let note = format!("{} may not be run: it is in no place that `-p` names", shown(script));
    Fail::site(Status::FORBIDDEN, note).of_module("cgi")
}

fn shown(script: &[u8]) -> String {
    format!("`{}`", String::from_utf8_lossy(script))
}

/// What the settings say of the script.
fn conf(means: &Means<'_>, place: usize, script: &[u8]) -> Arc<DirConf> {
    let site = means.site;
    let has_sections = !(site.directories.is_empty() && site.directory_matches.is_empty());
    match means.config.script_places.get(place).filter(|_| has_sections) {
        Some(place) => Arc::new(conf_of(means.config, place, script)),
        None => Arc::clone(&site.base),
    }
}

fn notes(wrapped: &Wrapped, means: &Means<'_>, conf: &Arc<DirConf>, script: &[u8]) -> Rc<Notes> {
    let given = wrapped
        .variables
        .find(b"UNIQUE_ID")
        .and_then(|id| <[u8; 24]>::try_from(id).ok());
    let about = About {
        module: "cgi",
        site: means.site.number,
        client: client(&wrapped.variables),
        conf: Arc::clone(conf),
        unique_id: given.unwrap_or(wrapped.unique_id),
        script: script.to_vec(),
        facts: None,
    };
    Rc::new(Notes::new(Rc::clone(&means.logs), about, || asked(&wrapped.variables)))
}

/// Whose request it is, as far as its client says so.
pub fn client(variables: &Variables) -> SocketAddr {
    let text = |name: &[u8]| variables.find(name).and_then(|value| std::str::from_utf8(value).ok());
    let address = text(b"REMOTE_ADDR").and_then(|text| text.parse().ok());
    let port = text(b"REMOTE_PORT").and_then(|text| text.parse().ok());
    SocketAddr::new(address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), port.unwrap_or(0))
}

/// The request for the script log.
fn asked(variables: &Variables) -> Asked {
    let value = |name: &[u8]| variables.find(name).unwrap_or_default().to_vec();
    let owned = |(name, value): (&[u8], &[u8])| (name.to_vec(), value.to_vec());
    Asked {
        method: value(b"REQUEST_METHOD"),
        path: value(b"SCRIPT_NAME"),
        query: variables.find(b"QUERY_STRING").map(<[u8]>::to_vec),
        protocol: "HTTP/1.1",
        fields: variables
            .iter()
            .filter(|(name, _)| name.starts_with(b"HTTP_"))
            .map(owned)
            .collect(),
    }
}
