//! The driver: from a parsed head to a response. Start reading lychgate here.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use crate::base::placed::placed;
use crate::config::directives::site::{StageTimeout, Trace};
use crate::exchange::allowed;
use crate::exchange::body::BodyLength;
use crate::exchange::fail::{AfterFail, Fail, Reply};
use crate::exchange::place::Place;
use crate::exchange::response::{AfterResponse, Body, Outcome, Parsable, Response, StatusBy, Stop};
use crate::exchange::rewriting::Question;
use crate::exchange::state::State;
use crate::exchange::subrequest::{Aim, Local, Subrequests};
use crate::exchange::trace::Step;
use crate::exchange::{Again, Exchange};
use crate::filters::chain::{self, Coded};
use crate::filters::error_document::{self, Replacement};
use crate::filters::tables::{self, Made, Tables};
use crate::filters::{default_charset, expires, headers, inflate, negotiated, rewriting};
use crate::handlers;
use crate::handlers::known::Known;
use crate::handlers::{application, proxy};
use crate::http::depends::{self, Depends};
use crate::http::fields::append_line;
use crate::http::head::RequestHead;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::lang::log_level::Level;
use crate::lang::regex::effort;
use crate::phases;
use crate::phases::choose::Handler;
use crate::phases::target::Asked;
use crate::worker::balance;
use crate::worker::destination::{Begun, Leads, Scene};
use crate::worker::looks::Around;
use crate::worker::survey;
use crate::worker::thread::Thread;

/// What a request reaches besides files and its client: logs, map programs, scripts, applications. A thread has them; who only explains
/// requests has stand-ins.
pub trait Outside {
    /// Takes a failure for the error log.
    fn record(&self, ex: &Exchange, fail: &Reply);

    /// Takes the lines that phases have for the error log.
    fn tell(&self, ex: &Exchange);

    /// Whether any rules may ask map programs.
    fn has_map_programs(&self) -> bool;

    /// What a map program answers; `limit` is how long it may take.
    fn ask_map(&self, question: &Question, limit: Duration) -> impl Future<Output = Result<Option<Vec<u8>>, Fail>>;

    /// What the script of the place answers, of which this is known.
    fn run_script(
        &self,
        ex: &mut Exchange,
        place: &Place,
        known: &Known,
    ) -> impl Future<Output = Result<Outcome, Fail>>;

    /// What the program of the place answers, which is started where it does not run.
    fn ask_on_demand(&self, ex: &mut Exchange, place: &Place) -> impl Future<Output = Result<Outcome, Fail>>;
    /// What the program of the place answers to these arguments.
    fn run_program(
        &self,
        ex: &mut Exchange,
        place: &Place,
        arguments: Vec<Vec<u8>>,
    ) -> impl Future<Output = Result<Outcome, Fail>>;

    /// What the application of the place answers, of which this is known, and which may have been told of the request already.
    fn ask_application(
        &self,
        ex: &mut Exchange,
        place: &Place,
        known: &Known,
        begun: Option<Box<application::at_once::Begun>>,
    ) -> impl Future<Output = Result<Outcome, Fail>>;

    /// What may be kept of a request on its way to a script or to who is behind this server, whose phases depend on this; nothing
    /// where nothing is kept.
    fn scene(&self, _ex: &Exchange, _depends: Depends) -> Option<Scene> {
        None
    }

    /// Keeps where the request with this head has led.
    fn keep(&self, _scene: Scene, _head: &RequestHead, _found: (Handler, Place, Known)) {}

    /// What the server behind this one answers, which may have been told of the request already.
    fn ask_server(
        &self,
        ex: &mut Exchange,
        place: &Place,
        begun: Option<Box<proxy::at_once::Begun>>,
    ) -> impl Future<Output = Result<Outcome, Fail>>;

    /// Finds the service that takes the client's connection.
    fn hand_over(&self, ex: &mut Exchange, place: &Place) -> impl Future<Output = Result<Outcome, Fail>>;

    /// The text of the settings.
    fn settings(&self) -> &[u8];

    /// What the server is doing.
    fn state(&self) -> impl Future<Output = Result<State, Fail>>;

    /// What a member of the place's balancer answers; the place becomes the member's.
    fn ask_balancer(&self, ex: &mut Exchange, place: &mut Place) -> impl Future<Output = Result<Outcome, Fail>>;
}

impl Outside for Thread {
    fn record(&self, ex: &Exchange, fail: &Reply) {
        Thread::record(self, ex, fail);
    }

    fn tell(&self, ex: &Exchange) {
        Thread::tell(self, ex);
    }

    fn has_map_programs(&self) -> bool {
        self.maps.are_there()
    }

    async fn ask_map(&self, question: &Question, limit: Duration) -> Result<Option<Vec<u8>>, Fail> {
        let answer = self.maps.ask(question.program, question.key.clone(), limit).await;
        answer.map_err(|why| Fail::internal(why).of_module("rewrite"))
    }

    async fn run_script(&self, ex: &mut Exchange, place: &Place, known: &Known) -> Result<Outcome, Fail> {
        handlers::cgi::run(ex, place, &known.script, &self.scripts).await
    }

    async fn ask_on_demand(&self, ex: &mut Exchange, place: &Place) -> Result<Outcome, Fail> {
        application::on_demand::run(ex, place, &self.applications).await
    }

    async fn run_program(&self, ex: &mut Exchange, place: &Place, arguments: Vec<Vec<u8>>) -> Result<Outcome, Fail> {
        let known = handlers::cgi::known::Known::default();
        handlers::cgi::run_with(ex, place, (&known, arguments), &self.scripts).await
    }

    async fn ask_application(
        &self,
        ex: &mut Exchange,
        place: &Place,
        known: &Known,
        begun: Option<Box<application::at_once::Begun>>,
    ) -> Result<Outcome, Fail> {
        application::run(ex, place, &known.application, &self.applications, begun).await
    }

    fn scene(&self, ex: &Exchange, depends: Depends) -> Option<Scene> {
        Scene::of(self, ex, depends)
    }

    fn keep(&self, scene: Scene, head: &RequestHead, found: (Handler, Place, Known)) {
        scene.keep(self, head, found);
    }

    async fn ask_server(
        &self,
        ex: &mut Exchange,
        place: &Place,
        begun: Option<Box<proxy::at_once::Begun>>,
    ) -> Result<Outcome, Fail> {
        proxy::run(ex, place, &self.applications, begun).await
    }

    async fn hand_over(&self, ex: &mut Exchange, place: &Place) -> Result<Outcome, Fail> {
        handlers::handoff::run(ex, place, &self.applications).await
    }

    fn settings(&self) -> &[u8] {
        self.board.survey.settings()
    }

    async fn state(&self) -> Result<State, Fail> {
        Ok(survey::state(self).await)
    }

    async fn ask_balancer(&self, ex: &mut Exchange, place: &mut Place) -> Result<Outcome, Fail> {
        balance::ask(self, ex, place).await
    }
}

/// Serves one request: from parsed head to response. `None` when the client has left. What is kept of an earlier one is where it
/// leads.
pub async fn serve<O: Outside + 'static>(ex: &mut Exchange, outside: &Rc<O>, leads: Option<Leads>) -> Option<Response> {
    if let Some(Leads { destination, begun }) = leads {
        let (place, known) = (&destination.place, &destination.known);
        let outcome = asked(ex, outside, (destination.handler, place, known), begun).await;
        let outcome = told_user(ex, outcome).map_err(Stop::from);
        let answer = from_outcome(ex, outside, outcome).await;
        return finish(ex, outside, answer).await;
    }
    let answer = match phases::vhost::run(ex).and_then(|()| phases::misdirected::run(ex)) {
        Ok(()) => {
            phases::client_address::run(ex);
            let core = &ex.site.settings.core;
            let stage = core.read_timeout.body.or(StageTimeout::BODY);
            ex.body.pace(stage, core.timeout.or(Duration::from_secs(60)));
            answer(ex, outside).await
        }
        Err(fail) => {
            phases::target::as_sent(ex);
            Err(fail)
        }
    };
    finish(ex, outside, answer).await
}

/// Answers a request that failed before it could be served (a broken head, a body that cannot be framed).
pub async fn refuse<O: Outside + 'static>(ex: &mut Exchange, outside: &Rc<O>, fail: Fail) -> Option<Response> {
    // The site decides how an error looks; that the host cannot be found is part of the failure.
    let _ = phases::vhost::run(ex);
    phases::target::as_sent(ex);
    finish(ex, outside, Err(fail)).await
}

/// Answers a request that failed on its way to an answer, with the page that its place has for that.
pub async fn fail<O: Outside + 'static>(ex: &mut Exchange, outside: &Rc<O>, fail: Fail) -> Option<Response> {
    finish(ex, outside, Err(fail)).await
}

async fn finish<O: Outside + 'static>(
    ex: &mut Exchange,
    outside: &Rc<O>,
    answer: Result<Response, Fail>,
) -> Option<Response> {
    let (mut response, mut made) = match answer {
        Ok(response) => (response, Made::ByHandler),
        Err(Fail::ClientGone) => return None,
        Err(Fail::Reply(fail)) => {
            outside.record(ex, &fail);
            Box::pin(replaced(ex, outside, &fail)).await?
        }
    };
    if matches!(response.body, Body::BuiltIn) {
        made = Made::ByServer;
    }
    error_document::fill_in(ex, &mut response);
    let coded = chain::apply(ex, &mut response, made).await;
    complete(ex, &mut response, made, coded);
    outside.tell(ex);
    Some(response)
}

/// Completes the head of an answer of who is behind this server, which passes no filters.
pub fn finish_at_once<O: Outside>(ex: &mut Exchange, outside: &O, response: &mut Response) {
    tell_user(ex, response);
    complete(ex, response, Made::ByHandler, Coded::No);
    outside.tell(ex);
}

/// What is done about the head of any answer.
fn complete(ex: &mut Exchange, response: &mut Response, made: Made, coded: Coded) {
    rewriting::apply(ex, response, made);
    negotiated::apply(ex, response);
    if coded != Coded::No || !ex.rewriting.said.is_empty() || headers::concern(ex) || expires::concern(ex) {
        let ((), effort) = effort::watched_at_once(|| change_fields(ex, response, made, coded));
        if let Some(pattern) = effort.gave_up {
            ex.rewriting.lines.push(Level::Error, "headers", given_up(&pattern));
        }
    }
    default_charset::apply(ex, response);
    negotiated::expire(ex, response);
    tables::tidy_vary(response);
    tables::strip_what_is_of_a_body(response);
}

/// What filters leave to be said, Expires and Header.
fn change_fields(ex: &mut Exchange, response: &mut Response, made: Made, coded: Coded) {
    let mut tables = Tables::split(ex, response, made);
    tables.say(coded);
    expires::apply(ex, response, &mut tables);
    headers::apply(ex, response, made, &mut tables);
    tables.join(response);
}

/// What the client sees of a failure: the error document, or the built-in page where that fails too.
async fn replaced<O: Outside + 'static>(ex: &mut Exchange, outside: &Rc<O>, fail: &Reply) -> Option<(Response, Made)> {
    let next = match error_document::choose(ex, fail) {
        Replacement::Response(response) => return Some((response, Made::ByServer)),
        Replacement::Again(next) => next,
    };
    let second = match again(ex, next) {
        Ok(()) => Box::pin(answer(ex, outside)).await,
        Err(too_many) => Err(too_many),
    };
    match second {
        Ok(mut response) => {
            keep_status(&mut response, fail);
            Some((response, Made::ByHandler))
        }
        Err(Fail::ClientGone) => None,
        Err(Fail::Reply(second)) => {
            outside.record(ex, &second);
            Some((error_document::last_resort(ex, fail, second.status), Made::ByServer))
        }
    }
}

/// An error document answers with the error's status, unless it is a script that names one, be it 200, as in Apache.
fn keep_status(response: &mut Response, fail: &Reply) {
    if response.head.status == Status::OK && response.status_by == StatusBy::Server {
        response.head.status = fail.status;
    }
    fail.say_fields(&mut response.head.fields);
    if fail.connection == AfterFail::Close {
        response.connection = AfterResponse::Close;
    }
}

fn again(ex: &mut Exchange, next: Again) -> Result<(), Fail> {
    ex.trace(|| Step::Again {
        target: next.target.clone(),
        status: next.status,
    });
    ex.again(next)
}

async fn answer<O: Outside + 'static>(ex: &mut Exchange, outside: &Rc<O>) -> Result<Response, Fail> {
    let outcome = one_pass(ex, outside).await;
    from_outcome(ex, outside, outcome).await
}

/// The answer that a pass came to, or those behind it.
async fn from_outcome<O: Outside + 'static>(
    ex: &mut Exchange,
    outside: &Rc<O>,
    mut outcome: Result<Outcome, Stop>,
) -> Result<Response, Fail> {
    loop {
        match outcome.or_else(Stop::into_outcome)? {
            Outcome::Reply(response) => return Ok(response),
            Outcome::Again(next) => again(ex, next)?,
        }
        outcome = one_pass(ex, outside).await;
    }
}

/// The phases in their order. `?` leaves early: a phase failed, or already knows the outcome.
async fn one_pass<O: Outside + 'static>(ex: &mut Exchange, outside: &Rc<O>) -> Result<Outcome, Stop> {
    phases::request_fields::early(ex);
    // As in Apache, logs and fields know the variables of a request whose path is refused.
    let asked = phases::target::run(ex).inspect_err(|_| phases::early::of_site(ex))?;
    if asked == Asked::Server {
        phases::early::of_site(ex);
        phases::rewrite::of_server_itself(ex)?;
        return Ok(Outcome::Reply(options(ex)));
    }
    if ex.method == Method::Trace {
        phases::early::of_site(ex);
        return Ok(Outcome::Reply(trace(ex)?));
    }
    let place = located(ex, outside).await?;
    handled(ex, outside, place).await
}

/// The answer for a place, by its handler; a page has its includes filled in.
async fn handled<O: Outside + 'static>(ex: &mut Exchange, outside: &Rc<O>, mut place: Place) -> Result<Outcome, Stop> {
    phases::client_name::run(ex).await;
    let handler = phases::choose::run(ex, &place)?;
    inflate::request(ex, &place);
    if matches!(handler, Handler::Application | Handler::Proxy | Handler::Cgi) && !place.may_be_parsed() {
        return Ok(behind(ex, outside, handler, place).await?);
    }
    if handler != Handler::StaticFile {
        depends::on_more();
    }
    // Each in a box of its own: in the future of every request there would be room for the largest, and futures are moved.
    let mut outcome = match handler {
        Handler::StaticFile => {
            if ex.body.length() == BodyLength::Unknown {
                Box::pin(handlers::static_file::read_body(ex, &place)).await?;
            }
            handlers::static_file::run(ex, &place)?
        }
        Handler::AsIs => handlers::as_is::run(ex, &place)?,
        Handler::Options => Outcome::Reply(handlers::static_file::options(ex, &place)),
        Handler::Autoindex => Box::pin(handlers::autoindex::run(ex, &place, &Around(outside))).await?,
        Handler::TypeMap => Box::pin(handlers::type_map::run(ex, &place, &Around(outside))).await?,
        Handler::Cgi => Box::pin(outside.run_script(ex, &place, &Known::default())).await?,
        Handler::Fcgid => Box::pin(outside.ask_on_demand(ex, &place)).await?,
        Handler::Application => Box::pin(outside.ask_application(ex, &place, &Known::default(), None)).await?,
        Handler::Proxy => Box::pin(outside.ask_server(ex, &place, None)).await?,
        Handler::HandOff => Box::pin(outside.hand_over(ex, &place)).await?,
        Handler::Balancer => Box::pin(outside.ask_balancer(ex, &mut place)).await?,
        Handler::Status => handlers::status::run(ex, &Box::pin(outside.state()).await?),
        Handler::Metrics => handlers::metrics::run(ex, &Box::pin(outside.state()).await?),
        Handler::Settings => handlers::settings::run(ex, outside.settings())?,
    };
    if let Outcome::Reply(response) = &mut outcome {
        tell_user(ex, response);
        response.parsable = parsable(place, outside);
    }
    Ok(outcome)
}

/// What is needed to fill in the includes of a page, where the answer for a place may be one.
pub(super) fn parsable<O: Outside + 'static>(place: Place, outside: &Rc<O>) -> Option<Box<Parsable>> {
    place.may_be_parsed().then(|| {
        let requests = Rc::new(Requests(Rc::clone(outside)));
        Box::new(Parsable { place, requests })
    })
}

/// The answer of a script, or of who is behind this server. Where it was the way to them that the phases found, that is kept for the
/// next request.
async fn behind<O: Outside + 'static>(
    ex: &mut Exchange,
    outside: &Rc<O>,
    handler: Handler,
    place: Place,
) -> Result<Outcome, Fail> {
    let scene = depends::so_far().and_then(|depends| outside.scene(ex, depends));
    depends::on_more();
    let known = match scene {
        Some(_) => Known::lasting(),
        None => Known::default(),
    };
    let outcome = asked(ex, outside, (handler, &place, &known), None).await;
    let outcome = told_user(ex, outcome)?;
    if let (Some(scene), Outcome::Reply(_)) = (scene, &outcome) {
        outside.keep(scene, &ex.head, (handler, place, known));
    }
    Ok(outcome)
}

/// What a script, an application or a server that speaks HTTP answers, of which this is known.
async fn asked<O: Outside + 'static>(
    ex: &mut Exchange,
    outside: &Rc<O>,
    (handler, place, known): (Handler, &Place, &Known),
    begun: Option<Begun>,
) -> Result<Outcome, Fail> {
    let (application, server) = match begun {
        Some(Begun::Application(begun)) => (Some(begun), None),
        Some(Begun::Server(begun)) => (None, Some(begun)),
        None => (None, None),
    };
    if handler == Handler::Proxy {
        return placed(|| outside.ask_server(ex, place, server)).await;
    }
    if handler == Handler::Cgi {
        return placed(|| outside.run_script(ex, place, known)).await;
    }
    placed(|| outside.ask_application(ex, place, known, application)).await
}

fn told_user(ex: &Exchange, mut outcome: Result<Outcome, Fail>) -> Result<Outcome, Fail> {
    if let Ok(Outcome::Reply(response)) = &mut outcome {
        tell_user(ex, response);
    }
    outcome
}

/// Tells the client how it was known, with what answers the request itself well: not with another page in its stead.
fn tell_user(ex: &Exchange, response: &mut Response) {
    let Some(value) = ex.client.authenticated.as_deref().filter(|_| ex.previous.is_none()) else {
        return;
    };
    let status = response.head.status;
    if status == Status::NOT_MODIFIED || !matches!(response.body, Body::BuiltIn) && !(300..400).contains(&status.code())
    {
        // What cannot be sent is left out: the client itself has said parts of it.
        let _unsendable = response.head.fields.try_append(b"Authentication-Info", value);
    }
}

/// Carries out the requests that pages make.
struct Requests<O>(Rc<O>);

impl<O: Outside + 'static> Subrequests for Requests<O> {
    fn locate<'a>(&'a self, sub: &'a mut Exchange, aim: &'a Aim) -> Local<'a, Result<Place, Stop>> {
        Box::pin(async move {
            phases::target::run(sub)?;
            match aim {
                Aim::Url => located(sub, &self.0).await,
                Aim::File(path) => phases::locate::of_file(sub, path).await,
            }
        })
    }

    fn answer<'a>(&'a self, sub: &'a mut Exchange, place: Place) -> Local<'a, Result<Response, Fail>> {
        Box::pin(async move {
            let mut outcome = handled(sub, &self.0, place).await;
            loop {
                match outcome.or_else(Stop::into_outcome)? {
                    Outcome::Reply(mut response) => {
                        chain::apply_to_included(sub, &mut response).await;
                        return Ok(response);
                    }
                    Outcome::Again(next) => again(sub, next)?,
                }
                outcome = one_pass(sub, &self.0).await;
            }
        })
    }

    fn run<'a>(
        &'a self,
        sub: &'a mut Exchange,
        place: &'a Place,
        arguments: Vec<Vec<u8>>,
    ) -> Local<'a, Result<Outcome, Fail>> {
        Box::pin(self.0.run_program(sub, place, arguments))
    }

    fn environment(&self, ex: &Exchange, place: &Place) -> Vec<(Vec<u8>, Vec<u8>)> {
        handlers::cgi::environment::of_page(ex, place)
    }

    fn tell(&self, ex: &Exchange) {
        self.0.tell(ex);
    }
}

/// The place of the request. Where rules ask a program for it they are applied again, from the start, with its answer.
async fn located<O: Outside + 'static>(ex: &mut Exchange, outside: &Rc<O>) -> Result<Place, Stop> {
    if !outside.has_map_programs() {
        return searched(ex).await;
    }
    Box::pin(located_by_answers(ex, outside)).await
}

/// The same where rules may ask programs.
async fn located_by_answers<O: Outside + 'static>(ex: &mut Exchange, outside: &Rc<O>) -> Result<Place, Stop> {
    for _ in 0..QUESTIONS {
        let (mark, steps) = (ex.mark(), ex.trail_mark());
        let place = searched(ex).await;
        let Some(question) = ex.rewriting.asked.take_open() else {
            return place;
        };
        ex.back_to(mark);
        let limit = ex.site.settings.core.timeout.or(Duration::from_secs(60));
        let answer = outside.ask_map(&question, limit).await?;
        ex.forget_steps(steps);
        ex.rewriting.asked.note(question, answer);
    }
    let why = format!("the rules ask map programs more than {QUESTIONS} times");
    Err(Fail::internal(why).of_module("rewrite").into())
}

/// The place of the request; none if a search on the way was given up, for nobody knows what it would have forbidden.
async fn searched(ex: &mut Exchange) -> Result<Place, Stop> {
    let (place, effort) = effort::watched(std::pin::pin!(phases::locate::run(ex))).await;
    match effort.gave_up {
        Some(pattern) => Err(Fail::internal(given_up(&pattern)).into()),
        None => place,
    }
}

fn given_up(pattern: &str) -> String {
    format!("the search for `{pattern}` was given up: it steps back too often")
}

/// How often the rules of one pass may ask map programs; more is an error. No directive moves it.
pub(super) const QUESTIONS: usize = 64;

/// What the server as a whole can be asked for.
fn options(ex: &Exchange) -> Response {
    let mut response = Response::new(Status::OK, Body::Empty);
    response.head.fields.append("Allow", allowed::methods(ex));
    response
}

/// Sends the request's head back (RFC 9110 section 9.3.8), where TraceEnable asks for it.
fn trace(ex: &Exchange) -> Result<Response, Fail> {
    let enabled = ex.site.settings.core.trace.or(Trace::Off);
    let has_body = !matches!(ex.body.length(), BodyLength::None | BodyLength::Known(0));
    if enabled == Trace::On && has_body {
        return Err(Fail::client(
            Status::CONTENT_TOO_LARGE,
            "TRACE with a body; TraceEnable extended would allow that",
        ));
    }
    if enabled == Trace::Off {
        let note = "TRACE denied by server configuration; TraceEnable on would allow it";
        return Err(Fail::client(Status::METHOD_NOT_ALLOWED, note).with_field("Allow", allowed::methods(ex)));
    }
    let mut head = ex.head.request_line().to_vec();
    head.extend_from_slice(b"\r\n");
    for (name, value) in ex.head.fields() {
        append_line(&mut head, name, value);
    }
    head.extend_from_slice(b"\r\n");
    let mut response = Response::new(Status::OK, Body::Bytes(Bytes::from(head)));
    response.head.fields.append("Content-Type", "message/http");
    Ok(response)
}
