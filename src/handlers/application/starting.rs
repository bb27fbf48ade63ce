//! Programs that are started when they are wanted: which one, how it is started, and who watches over it.
//!
//! The spawner starts them: those among a site's files from the places of scripts and as it starts scripts, and those that the
//! settings name as the settings say.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::timeout;

use crate::backend::on_demand::{Class, Got, Ticket, Verdict, Wanted, Watched};
use crate::backend::pool::{Agreed, Keep};
use crate::config::directives::cgi::ClientGone;
use crate::config::directives::fcgid::{Asks, Treatment, Wrapper};
use crate::config::directives::suexec;
use crate::config::places::conf_of;
use crate::exchange::Exchange;
use crate::exchange::fail::{Blame, Fail};
use crate::exchange::place::Place;
use crate::fs::open::Found;
use crate::handlers::application::Applications;
use crate::handlers::cgi;
use crate::http::status::Status;
use crate::process::message::{FirstNews, Order, Runs};
use crate::scripts::Care;
use crate::scripts::notes::{Notes, Weight};
use crate::scripts::queue::Slots;
use crate::scripts::script::{Output, Script, State};

/// The module in whose name the log speaks.
pub(super) const MODULE: &str = "fcgid";

/// How often a process is looked after.
const TICK: Duration = Duration::from_millis(500);

/// A program that may be started.
pub(super) struct Program {
    /// Its number, or that of its place.
    number: u32,
    /// Its path in that place.
    path: Vec<u8>,
    runs: Runs,
    class: Class,
    file: Vec<u8>,
}

impl Program {
    /// The file of a place, or the wrapper that runs in its place.
    pub(super) fn of_place(ex: &mut Exchange, place: &Place) -> Result<Program, Fail> {
        let Some(wrapper) = place.conf.fcgid.wrapper(&place.path) else {
            let (number, path) = cgi::named(ex, place)?;
            return Ok(Program {
                class: of_file(place, number),
                file: place.path.clone(),
                runs: Runs::Itself,
                number,
                path,
            });
        };
        if wrapper.asks == Asks::Names {
            return Program::named(ex, &wrapper.command);
        }
        let (number, path) = cgi::named(ex, place)?;
        if !goes_by_file(ex, place, wrapper) {
            return Program::named(ex, &wrapper.command);
        }
        Ok(Program {
            class: of_terms(place, number, &wrapper.command),
            file: wrapper.command.first().cloned().unwrap_or_default(),
            runs: Runs::Wrapper,
            number,
            path,
        })
    }

    /// A program that the settings name.
    pub(super) fn named(ex: &Exchange, command: &[Vec<u8>]) -> Result<Program, Fail> {
        let number = ex.config.program(ex.site.number, command).ok_or_else(not_prepared)?;
        Ok(Program {
            class: Class {
                family: number.to_ne_bytes().to_vec(),
                file: (0, 0, (0, 0)),
            },
            file: command.first().cloned().unwrap_or_default(),
            runs: Runs::Program,
            number,
            path: Vec::new(),
        })
    }

    /// Its own file, by which FcgidCmdOptions knows it.
    pub(super) fn file(&self) -> &[u8] {
        &self.file
    }
}

/// Whether a wrapper stands in the sections that go by files, where the spawner finds it too.
fn goes_by_file(ex: &Exchange, place: &Place, wrapper: &Wrapper) -> bool {
    let mut places = ex.config.script_places.iter();
    let Some(of_site) = places.find(|known| known.site == ex.site.number) else {
        return false;
    };
    let conf = conf_of(ex.config, of_site, &place.path);
    conf.fcgid.wrapper(&place.path) == Some(wrapper)
}

/// How connections to a process are made.
pub(super) fn agreed(treatment: &Treatment) -> Agreed {
    Agreed {
        keep: Keep::No,
        connect: treatment.connect,
        acquire: treatment.connect,
        retry: Duration::ZERO,
        most: 0,
        idle: Duration::ZERO,
        tls: None,
        handshake: Duration::ZERO,
    }
}

/// No sockets were made.
pub(super) fn not_prepared() -> Fail {
    Fail::site(
        Status::INTERNAL_SERVER_ERROR,
        "the server's own files make nothing a FastCGI program (SetHandler or AddHandler fcgid-script), so that none can be started",
    )
    .of_module(MODULE)
}

/// A process that has nothing to do, or a new one.
pub(super) async fn process(
    ex: &Exchange,
    place: &Place,
    program: &Program,
    applications: &Applications,
    notes: &Rc<Notes>,
) -> Result<Ticket, Fail> {
    let settings = &ex.site.settings.fcgid;
    let wanted = Wanted {
        treatment: settings.treatment(&program.file),
        busy: settings.busy.or(Duration::from_secs(300)),
    };
    let ticket = match applications.started.take(&program.class, &wanted).await {
        None => return Err(busy()),
        Some(Got::Ready(ticket)) => return Ok(ticket),
        Some(Got::Place(ticket)) => ticket,
    };
    let stdin = ticket.listener().map(|socket| socket.try_clone_to_owned()).transpose();
    let stdin =
        stdin.map_err(|error| Fail::internal(format!("cannot hand over a socket: {error}")).of_module(MODULE))?;
    let scripts = &applications.scripts;
    let path = scripts.inherited().path.clone();
    let own = path.iter().map(|path| (b"PATH".to_vec(), path.clone()));
    let order = Order {
        place: program.number,
        path: program.path.clone(),
        runs: program.runs,
        arguments: Vec::new(),
        env: own.chain(settings.initial_env_of(&program.file)).collect(),
        limits: match program.runs {
            Runs::Itself | Runs::Wrapper => cgi::limits(place),
            // It has those of its own file.
            Runs::Program => Vec::new(),
        },
        stdin,
        first_news: FirstNews::AtOnce,
    };
    // The process has it until it has ended.
    let gate = Slots::new(1, 1, FOR_EVER);
    let Ok(slot) = gate.take().await else {
        return Err(busy());
    };
    // It serves several requests.
    let none = (&b""[..], &b""[..]);
    match scripts.start(order, none, care(place), (slot, Rc::clone(notes))).await {
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

/// The processes of a file.
fn of_file(place: &Place, number: u32) -> Class {
    let mut family = number.to_ne_bytes().to_vec();
    family.extend_from_slice(&place.path);
    let file = match &place.found {
        Found::File(seen) => (seen.meta.device, seen.meta.inode, seen.meta.mtime),
        Found::Directory(_) | Found::Missing => (0, 0, (0, 0)),
    };
    Class { family, file }
}

/// The processes of a program that run on the same terms.
fn of_terms(place: &Place, number: u32, command: &[Vec<u8>]) -> Class {
    let conf = &place.conf;
    let mut family = number.to_ne_bytes().to_vec();
    for word in command {
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
