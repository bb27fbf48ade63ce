//! `lychgate fcgiwrap`: the socket first, then the roles that every server has; only what they speak is another.

use std::ffi::{CString, OsString};
use std::path::Path;
use std::process::ExitCode;

use crate::commands::fcgiwrap::socket::{self, Listening};
use crate::commands::fcgiwrap::{Errors, Fcgiwrap, out_of_place, web_servers};
use crate::config::error::Severity;
use crate::config::load::{Loaded, load_text};
use crate::launcher::{self, ControlSocket, Launch, Plan, StandardError};
use crate::process::identity::Identity;
use crate::process::inherit::Role;
use crate::worker::thread::{self, Protocol};

use super::options::Threads;
use super::privileges::{self, Asker};
use super::start::{SILENCE, role_argv};
use super::{checks, complaints, plan, terminal};

/// The word by which a worker is told what its clients speak; `=client` behind it sends them scripts' error output.
const FASTCGI: &str = "--fastcgi";

/// The variable of the specification that says who may connect over TCP.
const WEB_SERVERS: &str = "FCGI_WEB_SERVER_ADDRS";

/// Serves until it is told to stop: 0; 1 where it cannot, 2 where it was asked wrongly.
pub(super) fn run(wrap: &Fcgiwrap) -> ExitCode {
    // First of all: before a descriptor of ours has the number of one that was given.
    let given = if wrap.socket.is_none() { socket::given() } else { None };
    let told = |code: u8, error: &str| {
        for line in error.lines() {
            terminal::err(&format!("lychgate fcgiwrap: {line}"));
        }
        ExitCode::from(code)
    };
    let listening = match (&wrap.socket, given) {
        (Some(url), _) => match wrap
            .configuration()
            .and_then(|_| socket::make(url, wrap.owner.as_ref(), wrap.mode))
        {
            Ok(listening) => listening,
            Err(error) => return told(1, &error),
        },
        (None, Some(given)) => given,
        (None, None) => {
            return told(
                2,
                "no socket was given; say with -s (--socket) where to listen: /path or tcp:127.0.0.1:9000",
            );
        }
    };
    match serve(wrap, listening) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => told(1, &error),
    }
}

fn serve(wrap: &Fcgiwrap, listening: Listening) -> Result<(), String> {
    let known = std::env::var(WEB_SERVERS).ok();
    let known = known.as_deref().map(web_servers).transpose()?;
    if listening.is_public() && known.is_none() {
        return Err(format!(
            "{}: whoever reaches it runs scripts with any variables: name the web servers in {WEB_SERVERS}",
            listening.place
        ));
    }
    if Identity::process_is_root() && wrap.user.is_none() {
        return Err("started as root: say with -u who the scripts run as".to_owned());
    }
    let place = listening.place.clone();
    let (socket, _until_we_end) = listening.into_parts();
    launcher::run(Launch {
        load: &mut || plan_of(wrap),
        // Nobody asks for it: this mode has no ControlSocket.
        check: &|| (Vec::new(), true),
        role_argv: match wrap.errors {
            Errors::Log => argv,
            Errors::Client => argv_errors_to_client,
        },
        ready: &mut |_| terminal::out(&format!("lychgate: FastCGI at {place}")),
        stderr: StandardError::Log,
        silence: Some(SILENCE),
        command: None,
        socket: Some(socket),
        handed_over: None,
    })
}

fn plan_of(wrap: &Fcgiwrap) -> Result<Plan, String> {
    // Alone first, so that what is wrong with them has the number of its line.
    let settings = load_text("-C", &wrap.settings()?, Path::new("/"));
    let out_of_place = out_of_place(&settings.settings.nodes);
    if settings.is_fatal() || !out_of_place.is_empty() {
        let wrong = complaints::lines(&settings.complaints, Severity::Error);
        return Err([wrong, out_of_place].concat().join("\n"));
    }
    let mut loaded = load_text("lychgate fcgiwrap", &wrap.configuration()?, Path::new("/"));
    judge(&mut loaded);
    if loaded.is_fatal() {
        return Err(complaints::lines(&loaded.complaints, Severity::Error).join("\n"));
    }
    complaints::print(&loaded.complaints, Severity::Warning);
    let mut plan = plan::of_all_but_listening(&loaded, Threads::Configured)?;
    plan.pid_file = None;
    plan.control = ControlSocket::None;
    Ok(plan)
}

/// What the settings ask for and this machine, or who we are, does not give.
fn judge(loaded: &mut Loaded) {
    let unheld = checks::sandbox::unheld(&loaded.settings);
    loaded.complaints.extend(unheld);
    let unmet = privileges::unmet(&loaded.settings, &loaded.config, Asker::Server);
    loaded.complaints.extend(unmet);
}

fn argv(role: Role) -> Vec<CString> {
    with(role, FASTCGI)
}

fn argv_errors_to_client(role: Role) -> Vec<CString> {
    with(role, &format!("{FASTCGI}=client"))
}

fn with(role: Role, word: &str) -> Vec<CString> {
    let mut argv = role_argv(role);
    if role == Role::Worker {
        argv.extend(CString::new(word));
    }
    argv
}

/// What the clients of a worker speak that is started with these words.
pub(super) fn protocol(words: &[OsString]) -> Protocol {
    let spoken = words.iter().find_map(|word| word.to_str()?.strip_prefix(FASTCGI));
    let errors = match spoken {
        None => return Protocol::Http,
        Some("=client") => thread::Errors::Client,
        Some(_) => thread::Errors::Log,
    };
    let clients = std::env::var(WEB_SERVERS).ok();
    Protocol::FastCgi {
        errors,
        // The launcher has read it before; should it be unreadable all the same, nobody is let in.
        clients: clients.map(|value| web_servers(&value).unwrap_or_default()),
    }
}
