//! FastCGI programs among a site's files, started when a request wants one (`mod_fcgid`): the handler fcgid-script.
//!
//! The spawner starts them as it starts scripts, from the same places, on the same terms and as the same users; all that
//! differs is that their standard input is a listening socket, and that they stay. A process has one request at a time.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::timeout;

use crate::backend::conversation::Conversation;
use crate::backend::fastcgi;
use crate::backend::on_demand::{Class, Got, Ticket, Verdict, Wanted, Watched};
use crate::backend::pool::{Agreed, Keep, Which};
use crate::config::backends::{Address, Scheme, Target};
use crate::config::directives::cgi::ClientGone;
use crate::config::directives::fcgid::SiteFcgid;
use crate::config::directives::suexec;
use crate::exchange::Exchange;
use crate::exchange::body::{BodyError, BodyLength};
use crate::exchange::fail::{Blame, Fail};
use crate::exchange::place::Place;
use crate::exchange::response::Outcome;
use crate::fs::open::Found;
use crate::gateway::fastcgi::record::Role;
use crate::handlers::application::Applications;
use crate::handlers::application::input::Input;
use crate::handlers::application::reply::{self, Unanswered};
use crate::handlers::application::talk::Talk;
use crate::handlers::behind::{Behind, may_repeat};
use crate::handlers::cgi::{self, broken_body, environment};
use crate::http::status::Status;
use crate::process::message::Runs;
use crate::scripts::notes::{About, Notes, Weight};
use crate::scripts::queue::Slots;
use crate::scripts::script::{Output, Script, State};
use crate::scripts::{Care, Order, Scripts};

/// The module in whose name the log speaks.
const MODULE: &str = "fcgid";

/// How often a process is looked after.
const TICK: Duration = Duration::from_millis(500);

/// Bodies are no longer where FcgidMaxRequestLen says nothing, in bytes.
const LONGEST_BODY: u64 = 131_072;

/// Asks a process of the program of `place`, started where none is free, and answers with what it says.
pub async fn run(
    ex: &mut Exchange,
    place: &Place,
    applications: &Applications,
    scripts: &Rc<Scripts>,
) -> Result<Outcome, Fail> {
    let named = cgi::named(ex, place)?;
    ex.handler = b"fcgid-script".to_vec();
    if !applications.started.are_possible() {
        return Err(not_prepared());
    }
    let settings = &ex.site.settings.fcgid;
    let longest = settings.longest_body.or(LONGEST_BODY);
    if matches!(ex.body.length(), BodyLength::Known(length) if length > longest) {
        return Err(broken_body(BodyError::TooLarge).of_module(MODULE));
    }
    let mut input = Input::of(ex, place, MODULE).await?;
    if input.length().is_some_and(|length| length > longest) {
        return Err(broken_body(BodyError::TooLarge).of_module(MODULE));
    }
    let about = About {
        module: MODULE,
        ..cgi::about(ex, place)
    };
    let notes = Rc::new(Notes::of_error_log(Rc::clone(&applications.logs), about));
    let variables = environment::of_script(ex, place, scripts.inherited(), input.length());
    environment::warn_ignored(&variables, |site, name| scripts.is_news(site, name), &notes);
    let mut variables = variables.into_pairs();
    variables.extend(passed(ex, settings));
    let target = target(place);
    let silence = settings.silence.or(Duration::from_secs(40));
    let agreed = agreed(settings);
    let mut which = Which::Any;
    let outcome = loop {
        let ticket = match process(ex, place, &named, applications, scripts, &notes).await {
            Ok(ticket) => ticket,
            Err(fail) => break Err(fail),
        };
        let Some(pool) = ticket.pool() else {
            break Err(not_prepared());
        };
        let lease = match Behind::Application.lease(ex, pool, &agreed, Which::New, MODULE).await {
            Ok(lease) => lease,
            Err(fail) => {
                ticket.give_up();
                break Err(fail);
            }
        };
        let pairs = variables
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice()));
        let conversation = fastcgi::Conversation::begin(lease, Role::Responder, pairs, silence);
        let limit = place.conf.cgi.stderr_limit.or(65536);
        let talk = Talk::new(
            Conversation::FastCgi(conversation),
            input,
            ex.body.clone(),
            Rc::clone(&notes),
            limit,
        );
        match reply::wait(ex, place, talk, &target).await {
            Ok(outcome) => break Ok(outcome),
            Err(Unanswered { talk: Some(talk), fail }) => {
                // It is gone, or it does not do as it should.
                ticket.give_up();
                if which == Which::New || !may_repeat(ex.method, talk.repeatable()) {
                    break Err(fail);
                }
                input = talk.into_input();
                which = Which::New;
            }
            Err(unanswered) => break Err(unanswered.fail),
        }
    };
    if matches!(outcome, Ok(Outcome::Again(_)) | Err(_)) {
        // What comes next learns all that this program was told, with REDIRECT_ before it.
        ex.variables.extend(variables);
    }
    outcome
}

fn not_prepared() -> Fail {
    Fail::site(
        Status::INTERNAL_SERVER_ERROR,
        "the server's own files make nothing a FastCGI program (SetHandler or AddHandler fcgid-script), so that none can be started",
    )
    .of_module(MODULE)
}

/// Whom messages name.
fn target(place: &Place) -> Target {
    Target {
        scheme: Scheme::FastCgi,
        address: Address::Service(place.path.clone()),
        base: b"fcgi://localhost".to_vec(),
        path: place.path.clone(),
    }
}

fn agreed(settings: &SiteFcgid) -> Agreed {
    let connect = settings.connect.or(Duration::from_secs(3));
    Agreed {
        keep: Keep::No,
        connect,
        acquire: connect,
        retry: Duration::ZERO,
        most: 0,
        idle: Duration::ZERO,
    }
}

/// The fields that FcgidPassHeader names, as variables.
fn passed(ex: &Exchange, settings: &SiteFcgid) -> Vec<(Vec<u8>, Vec<u8>)> {
    let variable = |field: &Vec<u8>| {
        let value = ex.head.field(field)?;
        let mut name = b"HTTP_".to_vec();
        name.extend(field.iter().map(|byte| match byte {
            b'-' => b'_',
            byte => byte.to_ascii_uppercase(),
        }));
        Some((name, value.to_vec()))
    };
    settings.pass_headers.iter().filter_map(variable).collect()
}

/// A process that has nothing to do, or a new one.
async fn process(
    ex: &Exchange,
    place: &Place,
    named: &(u32, Vec<u8>),
    applications: &Applications,
    scripts: &Rc<Scripts>,
    notes: &Rc<Notes>,
) -> Result<Ticket, Fail> {
    let settings = &ex.site.settings.fcgid;
    let wanted = Wanted {
        patience: settings.connect.or(Duration::from_secs(3)),
        most_requests: settings.most_requests.or(0),
        busy: settings.busy.or(Duration::from_secs(300)),
    };
    let ticket = match applications.started.take(&class(place, named.0), &wanted).await {
        None => return Err(busy()),
        Some(Got::Ready(ticket)) => return Ok(ticket),
        Some(Got::Place(ticket)) => ticket,
    };
    let stdin = ticket.listener().map(|socket| socket.try_clone_to_owned()).transpose();
    let stdin =
        stdin.map_err(|error| Fail::internal(format!("cannot hand over a socket: {error}")).of_module(MODULE))?;
    let path = scripts.inherited().path.clone();
    let own = path.iter().map(|path| (b"PATH".to_vec(), path.clone()));
    let initial = settings.initial_env.iter();
    let order = Order {
        place: named.0,
        path: named.1.clone(),
        runs: match place.conf.fcgid.wrapper(&place.path) {
            Some(_) => Runs::Wrapper,
            None => Runs::Itself,
        },
        arguments: Vec::new(),
        env: own
            .chain(initial.map(|(name, value)| (name.clone(), value.clone())))
            .collect(),
        limits: cgi::limits(place),
        stdin,
    };
    // The process has it until it has ended.
    let gate = Slots::new(1, 1, FOR_EVER);
    let Ok(slot) = gate.take().await else {
        return Err(busy());
    };
    match scripts.start(order, care(place), slot, Rc::clone(notes)).await {
        Ok(script) => {
            tokio::task::spawn_local(watch(script, ticket.started(), gate, Rc::clone(notes)));
            Ok(ticket)
        }
        Err(error) => Err(cgi::start_failed(path.as_deref(), Rc::clone(notes), &error)),
    }
}

/// Longer than any process lives.
const FOR_EVER: Duration = Duration::from_secs(31_536_000);

fn care(place: &Place) -> Care {
    let cgi = &place.conf.cgi;
    Care {
        silence: FOR_EVER,
        grace: cgi.kill_grace.or(Duration::from_secs(3)),
        quiet: cgi.quiet_time.or(Duration::from_millis(250)),
        stderr_limit: u64::MAX,
        client_gone: ClientGone::Terminate,
    }
}

/// Which processes may serve the place: those of its file; or, of a wrapper, those that run on the same terms.
fn class(place: &Place, number: u32) -> Class {
    let conf = &place.conf;
    let mut family = number.to_ne_bytes().to_vec();
    let Some(wrapper) = conf.fcgid.wrapper(&place.path) else {
        family.extend_from_slice(&place.path);
        let file = match &place.found {
            Found::File(seen) => (seen.meta.device, seen.meta.inode, seen.meta.mtime),
            Found::Directory(_) | Found::Missing => (0, 0, (0, 0)),
        };
        return Class { family, file };
    };
    for word in &wrapper.command {
        family.extend_from_slice(word);
        family.push(0);
    }
    let terms = (&conf.process, &conf.sandbox, &conf.suexec);
    family.extend_from_slice(format!("{terms:?}").as_bytes());
    if conf.suexec.target.value() == Some(&suexec::Target::FileOwner) {
        family.extend_from_slice(&place.path);
    }
    Class {
        family,
        file: (0, 0, (0, 0)),
    }
}

/// Watches over a process until it has ended.
async fn watch(mut script: Script, watched: Watched, gate: Slots, notes: Rc<Notes>) {
    script.must_end();
    let mut reads = true;
    loop {
        let turn = async {
            if reads {
                // What it writes to standard output is for nobody.
                if let Ok(Output::End(_) | Output::Silence) = timeout(TICK, script.output()).await {
                    reads = false;
                }
            } else {
                script.settle(TICK).await;
            }
        };
        tokio::select! {
            () = turn => {}
            () = watched.called() => {
                if watched.may_make_place() {
                    break;
                }
            }
        }
        if watched.has_to_end() || script.state() != State::Running {
            break;
        }
        match watched.verdict() {
            Verdict::Stays => {}
            Verdict::Goes => break,
            Verdict::Overdue => {
                let told = "it has had one request for too long (FcgidBusyTimeout): it is ended";
                notes.note(Weight::Error, script.pid(), told);
                break;
            }
        }
    }
    watched.is_ending();
    drop(script);
    // The place is free when the process is gone, and not before.
    let _it_has_ended = gate.take().await;
}

fn busy() -> Fail {
    let note = "as many processes run as may, and none was free in time: FcgidMaxProcesses, FcgidMaxProcessesPerClass, \
                FcgidConnectTimeout";
    Fail::new(Status::SERVICE_UNAVAILABLE, Blame::Server, note)
        .with_field("Retry-After", "5")
        .of_module(MODULE)
}
